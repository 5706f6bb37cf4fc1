package linearizability

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// ExitStatus is what a command that checked a history exits with.
type ExitStatus int

// The exit statuses of a checking command.
const (
	ExitLinearizable ExitStatus = 0
	ExitIllegal      ExitStatus = 1
	ExitUndecided    ExitStatus = 2
	ExitBadInput     ExitStatus = 3 // the history could not be read, or is none
)

// ExitStatus of a result: that of its verdict.
func (r *Result) ExitStatus() ExitStatus {
	switch r.Verdict {
	case Linearizable:
		return ExitLinearizable
	case Illegal:
		return ExitIllegal
	}
	return ExitUndecided
}

// How much of a bad history a report shows.
const (
	maxKeysReported = 8
	maxRows         = 40 // of a timeline
	maxContextRows  = 12 // of them, operations that are not in the core
)

// WriteText reports a result in lines of at most 100 columns of ASCII, but for
// the sentences, which are as long as they need to be: the verdict, and for
// each key that failed what contradicts what, with a timeline of it.
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
	fmt.Fprintf(&b, "%s: %d operations on %d keys\n", r.Verdict, r.Operations, len(r.Keys))
	for m, keys := range methods {
		if keys > 0 {
			fmt.Fprintf(&b, "  decided by %s: %d keys\n", Method(m), keys)
		}
	}
	if agreed > 0 {
		fmt.Fprintf(&b, "  confirmed by Porcupine: %d keys\n", agreed)
	}
	if unanswered > 0 {
		fmt.Fprintf(&b, "  not answered by Porcupine within its budget: %d keys\n", unanswered)
	}
	shown := 0
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Verdict == Linearizable {
			continue
		}
		if shown == maxKeysReported {
			fmt.Fprintf(&b, "\nnot shown: %d more keys that are not linearizable, or undecided\n", failed-shown)
			break
		}
		shown++
		r.reportKey(&b, k)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) reportKey(b *strings.Builder, k *KeyResult) {
	fmt.Fprintf(b, "\nkey %s: %s (%d operations, %d that matter, %d steps)\n", Quote(k.Key), k.Verdict, k.Operations, k.Kept, k.Steps)
	if k.Verdict == Undecided {
		if k.Disagree {
			fmt.Fprintf(b, "  the checkers differ: Porcupine says %s; this is a bug in one of them\n", k.SecondOpinion)
		} else {
			b.WriteString("  the budget of steps was spent; a larger one may decide it\n")
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

// Widths of a timeline's columns; with two marks and three spaces 100 at most.
const (
	clientColumns = 9
	laneColumns   = 36
	textColumns   = 50
)

// Timeline draws the contradiction: one line an operation, from its call to its
// return, in lines of at most 100 columns of ASCII. Stamps are not to scale:
// what counts is which operations overlap. A star marks the operations that
// cannot all be true; an arrow's head marks one that may take effect at any
// time after.
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

// Rows returns the core and as much of the context as there is room for,
// by call: first the puts whose values the core met, then the latest.
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

// meets: an operation of the core met the value of this put.
func (c *Contradiction) meets(put *Operation) bool {
	return put.Kind == Put && slices.ContainsFunc(c.Core, func(op *Operation) bool {
		return op.Observes() && op.Answer.HasValue && op.Answer.Value == put.Value
	})
}

// lane is the bar of one operation, laneColumns wide.
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

// rowText is what an operation was and was told, at most textColumns wide.
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
