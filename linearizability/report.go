package linearizability

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// ExitStatus is the exit status of a command that checks a history.
type ExitStatus int

// The exit statuses of a checking command.
const (
	ExitLinearizable ExitStatus = 0
	ExitIllegal      ExitStatus = 1
	ExitUndecided    ExitStatus = 2
	ExitBadInput     ExitStatus = 3 // the history is unreadable or invalid
)

// ExitStatus returns the exit status for the verdict.
func (r *Result) ExitStatus() ExitStatus {
	switch r.Verdict {
	case Linearizable:
		return ExitLinearizable
	case Illegal:
		return ExitIllegal
	}
	return ExitUndecided
}

// Limits of what a report shows of a bad history.
const (
	maxKeysReported = 8
	maxRows         = 40 // in a timeline
	maxContextRows  = 12 // of those, operations outside the core
)

// WriteText writes the verdict and, for each key that failed, the contradiction as
// a sentence and as a timeline. Lines are ASCII and have at most 100 columns,
// except that sentences are as long as they need to be.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	methods := [ByGeneralSearch + 1]int{}
	failed, agreed, unanswered := 0, 0, 0
	for i := range r.Keys {
		k := &r.Keys[i]
		switch {
		case k.Asked && k.SecondOpinion == Undecided:
			unanswered++
		case k.Asked && !k.Disagree:
			agreed++
		}
		methods[r.Keys[i].Method]++
		if r.Keys[i].Verdict != Linearizable {
			failed++
		}
	}
	fmt.Fprintf(&b, "%s: %s", r.Verdict, counted(r.Operations, "operation"))
	if !r.Nameless() {
		fmt.Fprintf(&b, " on %s", counted(len(r.Keys), "key"))
	}
	b.WriteString("\n")
	for m, keys := range methods {
		if keys > 0 {
			fmt.Fprintf(&b, "  decided by %s%s\n", Method(m), r.ofKeys(keys))
		}
	}
	if agreed > 0 {
		fmt.Fprintf(&b, "  confirmed by Porcupine%s\n", r.ofKeys(agreed))
	}
	if unanswered > 0 {
		fmt.Fprintf(&b, "  Porcupine ran out of its step budget%s\n", r.ofKeys(unanswered))
	}
	shown := 0
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Verdict == Linearizable {
			continue
		}
		if shown == maxKeysReported {
			fmt.Fprintf(&b, "\nnot shown: %s\n", counted(failed-shown, "failing key"))
			break
		}
		shown++
		r.reportKey(&b, k)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// counted returns "1 key" or "5 keys".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// OutOfBudget returns the sentence that says why a search left its key undecided.
func (k *KeyResult) OutOfBudget() string {
	if k.MemoryFull {
		return fmt.Sprintf("the memory of %s was full, so the search repeated work until the step budget of %d ran out;"+
			" more memory may decide this key (dkvsim check --memory), or more steps (--steps or --budget)", sizeOf(k.MemoryBudget), k.StepBudget)
	}
	return fmt.Sprintf("the step budget of %d ran out; a larger one may decide this key (dkvsim check --steps or --budget)", k.StepBudget)
}

// sizeOf returns a number of bytes as --memory counts them if it is large enough.
func sizeOf(bytes int) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// Nameless reports whether all operations are on one object without a name, such as
// the mutex of a Jepsen test. Then reports mention no key.
func (r *Result) Nameless() bool { return len(r.Keys) == 1 && r.Keys[0].Key == "" }

// ofKeys returns how many keys something is true of, as ": 5 keys"; "" if the only one
// has no name.
func (r *Result) ofKeys(n int) string {
	if r.Nameless() {
		return ""
	}
	return ": " + counted(n, "key")
}

func (r *Result) reportKey(b *strings.Builder, k *KeyResult) {
	b.WriteString("\n")
	if !r.Nameless() {
		b.WriteString("key " + Quote(k.Key) + ": ")
	}
	fmt.Fprintf(b, "%s (%s, %d after pruning, %s)\n", k.Verdict, counted(k.Operations, "operation"), k.Kept, counted(k.Steps, "step"))
	if k.Verdict == Undecided {
		if k.Disagree {
			fmt.Fprintf(b, "  the checkers disagree: Porcupine says %s; one of the two checkers has a bug\n", k.SecondOpinion)
		} else {
			fmt.Fprintf(b, "  %s\n", k.OutOfBudget())
		}
		return
	}
	for _, v := range r.Violations {
		if v.Key == k.Key {
			fmt.Fprintf(b, "  %s: %s\n", v.Class, v.Sentence)
		}
	}
	if k.Contradiction != nil {
		if k.Asked && k.SecondOpinion == Illegal {
			b.WriteString("  (confirmed by Porcupine)\n")
		}
		b.WriteString(k.Contradiction.Timeline())
	}
}

// Widths of the columns of a timeline. With the mark and the spaces a line has at
// most 100 columns.
const (
	clientColumns = 9
	laneColumns   = 36
	textColumns   = 50
)

// Timeline draws the contradiction in ASCII: one line for each operation, from its
// call to its return, of at most 100 columns. It is not to scale, but shows which
// operations overlap. A star marks the operations that no order explains together;
// an arrowhead marks one that may take effect at any later time.
func (c *Contradiction) Timeline() string {
	rows, left := c.Rows()
	var stamps []Stamp
	for _, op := range rows {
		stamps = append(stamps, op.Call)
		if op.Return != 0 {
			stamps = append(stamps, op.Return)
		}
	}
	slices.Sort(stamps)
	stamps = slices.Compact(stamps)
	var b strings.Builder
	for _, op := range rows {
		mark := ' '
		if slices.Contains(c.Core, op) {
			mark = '*'
		}
		client := fmt.Sprintf("client %d", op.Client)
		if len(client) > clientColumns {
			client = fmt.Sprintf("c%d", op.Client)
		}
		line := fmt.Sprintf("%c %-*.*s %s %s", mark, clientColumns, clientColumns, client, lane(op, stamps), rowText(op))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if left > 0 {
		fmt.Fprintf(&b, "  not shown: %d more\n", left)
	}
	return b.String()
}

// Rows returns the operations that a timeline shows, sorted by call, and how many it
// leaves out. They are the core and as much of the context as there is room for:
// first the puts whose values the core found, then the latest operations.
func (c *Contradiction) Rows() (rows []*Operation, left int) {
	context := slices.Clone(c.Context)
	slices.SortFunc(context, func(a, b *Operation) int {
		if met := c.meets(a); met != c.meets(b) {
			if met {
				return -1
			}
			return 1
		}
		return int(b.Call - a.Call)
	})
	core := c.Core[:min(len(c.Core), maxRows)]
	context = context[:min(len(context), maxContextRows, maxRows-len(core))]
	left = len(c.Core) + len(c.Context) - len(core) - len(context)
	rows = slices.Concat(core, context)
	slices.SortFunc(rows, func(a, b *Operation) int { return int(a.Call - b.Call) })
	return rows, left
}

// meets reports whether an operation of the core found the value of this put.
func (c *Contradiction) meets(put *Operation) bool {
	return put.Kind == Put && slices.ContainsFunc(c.Core, func(op *Operation) bool {
		return op.Observes() && op.Answer.HasValue && op.Answer.Value == put.Value
	})
}

// lane returns the bar of one operation, laneColumns wide.
func lane(op *Operation, stamps []Stamp) string {
	column := func(s Stamp) int {
		i, _ := slices.BinarySearch(stamps, s)
		return i * (laneColumns - 1) / max(1, len(stamps)-1)
	}
	bar := []byte(strings.Repeat(" ", laneColumns))
	from, to := column(op.Call), laneColumns-1
	if op.Outcome != Unknown {
		to = column(op.Return)
	}
	for i := from; i <= to; i++ {
		bar[i] = '-'
	}
	bar[to] = '|'
	if op.Outcome == Unknown {
		bar[to] = '>'
	}
	bar[from] = '|'
	return string(bar)
}

// rowText returns an operation and its answer, at most textColumns wide.
func rowText(op *Operation) string {
	s := op.Kind.String()
	if op.Writes() {
		s += " " + Quote(op.Value)
	}
	switch {
	case op.HasIfValue:
		s += " if " + Quote(op.IfValue)
	case op.IfMatch != 0:
		s += fmt.Sprintf(" if v%d", op.IfMatch)
	case op.IfAbsent:
		s += " if absent"
	}
	s += rowAnswer(op)
	stamps := fmt.Sprintf(" [%d,%d]", op.Call, op.Return)
	if op.Return == 0 {
		stamps = fmt.Sprintf(" [%d,", op.Call)
	}
	if room := textColumns - len(stamps); len(s) > room {
		s = s[:max(0, room-3)] + "..."
	}
	return s + stamps
}

func rowAnswer(op *Operation) string {
	a := &op.Answer
	if op.Outcome != OK {
		return " " + op.Outcome.String()
	}
	if op.Writes() && !a.ConditionFailed {
		if a.Version == 0 {
			return " ok"
		}
		return fmt.Sprintf(" ok v%d", a.Version)
	}
	s := " ->"
	if a.ConditionFailed {
		s += " failed"
		if a.Unreported {
			return s
		}
		s += ","
	}
	if !a.Found {
		return s + " absent"
	}
	if a.HasValue {
		s += " " + Quote(a.Value)
	}
	if a.Version != 0 {
		s += fmt.Sprintf(" v%d", a.Version)
	}
	if !a.HasValue && a.Version == 0 {
		s += " existed"
	}
	return s
}
