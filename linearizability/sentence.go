package linearizability

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxClaims bounds the operations that one sentence names.
const maxClaims = 6

// quoted is a key or value as ASCII; of a long one its beginning and its end.
func Quote(s string) string {
	const most, head, tail = 24, 10, 9
	if len(s) > most {
		return strconv.QuoteToASCII(s[:head]) + "..." + strconv.QuoteToASCII(s[len(s)-tail:])
	}
	return strconv.QuoteToASCII(s)
}

// claim says in one clause what an operation was and what it was told.
func claim(op *Operation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d's %s", op.Client, op.Kind)
	if op.Writes() {
		b.WriteString(" of " + Quote(op.Value))
	}
	switch {
	case op.HasIfValue:
		b.WriteString(" if the value is " + Quote(op.IfValue))
	case op.IfMatch != 0:
		fmt.Fprintf(&b, " under If-Match %d", op.IfMatch)
	case op.IfAbsent:
		b.WriteString(" under If-None-Match")
	}
	if op.Node != "" {
		b.WriteString(" at " + op.Node)
	}
	fmt.Fprintf(&b, " (%s) %s", when(op), answerClause(op))
	return b.String()
}

func when(op *Operation) string {
	if op.Return == 0 {
		if op.CallTime != 0 {
			return fmt.Sprintf("from stamp %d, %s", op.Call, roughly(op.CallTime))
		}
		return fmt.Sprintf("from stamp %d", op.Call)
	}
	s := fmt.Sprintf("stamps %d-%d", op.Call, op.Return)
	if op.CallTime != 0 || op.ReturnTime != 0 {
		s += fmt.Sprintf(", %s to %s", roughly(op.CallTime), roughly(op.ReturnTime))
	}
	return s
}

func roughly(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func answerClause(op *Operation) string {
	a := &op.Answer
	switch {
	case op.Outcome == Unknown:
		return "ended as unknown"
	case op.Outcome == Refused:
		return "was refused"
	case a.ConditionFailed && a.Found:
		return "failed its condition and met " + foundWords(a)
	case a.Unreported:
		return "failed its condition"
	case a.ConditionFailed:
		return "failed its condition and met no value"
	case op.Writes() && a.Version != 0:
		return fmt.Sprintf("was acknowledged with version %d", a.Version)
	case op.Writes():
		return "was acknowledged"
	case !a.Found:
		return "found the key absent"
	case op.Kind == Delete:
		return "removed " + foundWords(a)
	}
	return "read " + foundWords(a)
}

func foundWords(a *Answer) string {
	switch {
	case a.HasValue && a.Version != 0:
		return fmt.Sprintf("%s, version %d", Quote(a.Value), a.Version)
	case a.HasValue:
		return Quote(a.Value)
	case a.Version != 0:
		return fmt.Sprintf("version %d", a.Version)
	}
	return "an existing value"
}

func clashSentence(c *clash) string { return explainAll(c.ops, c.reason) }

// explainAll names every operation and then the reason.
func explainAll(ops []*Operation, reason string) string {
	claims := make([]string, 0, maxClaims)
	for _, op := range ops[:min(len(ops), maxClaims)] {
		claims = append(claims, claim(op))
	}
	s := strings.Join(claims, "; ")
	if more := len(ops) - maxClaims; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s + ": " + reason
}

// explain says in one sentence why the operations of a core, by call, cannot
// all be true. The facts are those of the whole key.
func explain(core []*Operation, f *facts) string {
	switch len(core) {
	case 1:
		return explainAll(core, "no state of the key explains that")
	case 2:
		if s := explainPair(core[0], core[1], f); s != "" {
			return s
		}
	}
	if s := explainOldest(core, f); s != "" {
		return s
	}
	if s := explainGone(core, f); s != "" {
		return s
	}
	return explainAll(core, fmt.Sprintf("no order of these %d explains them all", len(core)))
}

// explainPair finds words for two operations, the first of which was called
// first. Since they contradict each other by themselves, whatever else may have
// happened in between was taken into account.
func explainPair(first, second *Operation, f *facts) string {
	before := first.Return < second.Call
	switch {
	case before && needsAbsent(second):
		return although(second, first) + ", and nothing can have deleted it in between"
	case before && needsAbsent(first):
		return although(second, first) + ", and nothing can have written it in between"
	case before && first.effective() && first.Kind == Append && second.Observes() && second.Answer.HasValue && !strings.Contains(second.Answer.Value, first.Value):
		return although(second, first) + ", and " + Quote(first.Value) + " is not in it"
	case before && first.Kind == Delete && first.effective():
		return although(second, first) + ", and nothing can have written it in between"
	case before && f.versionMet(second) != 0 && f.versionMet(second) < f.versionLeft(first):
		return although(second, first)
	case first.IfMatch != 0 && first.IfMatch == second.IfMatch && first.effective() && second.effective():
		return explainAll([]*Operation{first, second}, fmt.Sprintf("both replaced version %d, and only one can have", first.IfMatch))
	case first.IfAbsent && second.IfAbsent && first.effective() && second.effective():
		return explainAll([]*Operation{first, second}, "both created the key, and nothing can have deleted it in between")
	case first.Kind == Delete && second.Kind == Delete && first.effective() && second.effective():
		return explainAll([]*Operation{first, second}, "both removed the key, and nothing can have written it in between")
	case before:
		return although(second, first)
	}
	return ""
}

// explainOldest: among more than two operations, one that met something older
// than what had been there before it was called.
func explainOldest(core []*Operation, f *facts) string {
	for _, late := range core {
		met := f.versionMet(late)
		if met == 0 {
			continue
		}
		for _, early := range core {
			if early.Return < late.Call && met < f.versionLeft(early) {
				return although(late, early)
			}
		}
	}
	return ""
}

// explainGone: an operation met a value that another had found or left replaced
// by then, and whoever may have written it had returned before that.
func explainGone(core []*Operation, f *facts) string {
	if f.appends > 0 {
		return ""
	}
	for _, late := range core {
		met, ok := valueMet(late)
		if !ok || f.initially(met) {
			continue
		}
		for _, early := range core {
			was, known := valueLeft(early)
			if !known || early.Return >= late.Call || was == met {
				continue
			}
			gone := true
			for _, op := range f.ops {
				if op.Kind == Put && op.Value == met && op.Call < late.Return && (op.effective() || op.mayTakeEffect()) {
					gone = gone && op.effective() && op.Return < early.Call
				}
			}
			if gone {
				return although(late, early) + ", and every put of " + Quote(met) + " had returned before that"
			}
		}
	}
	return ""
}

// valueMet is the value that an operation must have met, if it is known.
func valueMet(op *Operation) (value string, known bool) {
	switch {
	case op.Observes() && op.Answer.HasValue:
		return op.Answer.Value, true
	case op.effective() && op.HasIfValue:
		return op.IfValue, true
	}
	return "", false
}

// valueLeft is the value that an operation left or found.
func valueLeft(op *Operation) (value string, known bool) {
	if op.effective() {
		return op.Value, op.Kind == Put
	}
	return valueMet(op)
}

func although(late, early *Operation) string {
	return claim(late) + ", although before it was called " + claim(early)
}

// needsAbsent: the operation met no value.
func needsAbsent(op *Operation) bool {
	if op.effective() {
		return op.IfAbsent
	}
	return op.foundAbsent()
}

// versionMet is the version of what an operation met, if that is known.
func (f *facts) versionMet(op *Operation) Version {
	a := &op.Answer
	switch {
	case op.Observes() && a.Version != 0:
		return a.Version
	case op.Observes() && a.HasValue && len(f.version) != 0:
		if put, ok := f.putOf[a.Value]; ok {
			return f.version[put]
		}
	case op.effective():
		return op.IfMatch
	}
	return 0
}

// versionLeft is a version that had been taken when the operation returned.
func (f *facts) versionLeft(op *Operation) Version {
	if op.effective() && op.Writes() && op.Answer.Version != 0 {
		return op.Answer.Version
	}
	return f.versionMet(op)
}
