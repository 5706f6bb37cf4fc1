package linearizability

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxClaims limits the operations that one sentence names.
const maxClaims = 6

// Quote returns a key or value in quotes, as ASCII; of a long one only its beginning
// and its end.
func Quote(s string) string {
	const most, head, tail = 24, 10, 9
	if len(s) > most {
		return strconv.QuoteToASCII(s[:head]) + "..." + strconv.QuoteToASCII(s[len(s)-tail:])
	}
	return strconv.QuoteToASCII(s)
}

// claim returns one clause about what an operation asked and what it was answered.
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
		fmt.Fprintf(&b, " with If-Match %d", op.IfMatch)
	case op.IfAbsent:
		b.WriteString(" with If-None-Match")
	}
	if op.Node != "" {
		b.WriteString(" on " + op.Node)
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
		return "has an unknown outcome"
	case op.Outcome == Refused:
		return "was refused"
	case a.ConditionFailed && a.Found:
		return "failed its condition and found " + foundWords(a)
	case a.Unreported:
		return "failed its condition"
	case a.ConditionFailed:
		return "failed its condition and found no value"
	case op.Writes() && a.Version != 0:
		return fmt.Sprintf("was acknowledged with version %d", a.Version)
	case op.Writes():
		return "was acknowledged"
	case !a.Found:
		return "found no value"
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

// explainAll lists the operations, then the reason.
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

// explain returns one sentence about why no order explains the operations of a
// core, sorted by call. The facts are those of the whole key.
func explain(core []*Operation, f *facts) string {
	switch len(core) {
	case 1:
		return explainAll(core, "no state of the key explains this answer")
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
	return explainAll(core, fmt.Sprintf("no order of these %d operations explains all of them", len(core)))
}

// explainPair returns a sentence about two operations, of which first was called
// first, or "". The reduction proved that these two contradict each other whatever
// else happened, so the sentence may say that nothing happened in between.
func explainPair(first, second *Operation, f *facts) string {
	before := first.Return < second.Call
	switch {
	case before && needsAbsent(second):
		return butBefore(second, first) + ", and no delete can have taken effect in between"
	case before && needsAbsent(first):
		return butBefore(second, first) + ", and no write can have taken effect in between"
	case before && first.effective() && first.Kind == Append && second.Observes() && second.Answer.HasValue && !strings.Contains(second.Answer.Value, first.Value):
		return butBefore(second, first) + ", and " + Quote(first.Value) + " is missing from it"
	case before && first.Kind == Delete && first.effective():
		return butBefore(second, first) + ", and no write can have taken effect in between"
	case before && f.versionMet(second) != 0 && f.versionMet(second) < f.versionLeft(first):
		return butBefore(second, first)
	case first.IfMatch != 0 && first.IfMatch == second.IfMatch && first.effective() && second.effective():
		return explainAll([]*Operation{first, second}, fmt.Sprintf("both replaced version %d, but only one of them can have", first.IfMatch))
	case first.IfAbsent && second.IfAbsent && first.effective() && second.effective():
		return explainAll([]*Operation{first, second}, "both created the key, and no delete can have taken effect in between")
	case first.Kind == Delete && second.Kind == Delete && first.effective() && second.effective():
		return explainAll([]*Operation{first, second}, "both removed the key, and no write can have taken effect in between")
	case before:
		return butBefore(second, first)
	}
	return ""
}

// explainOldest looks for an operation that found an older version than the one that
// existed before it was called.
func explainOldest(core []*Operation, f *facts) string {
	for _, late := range core {
		met := f.versionMet(late)
		if met == 0 {
			continue
		}
		for _, early := range core {
			if early.Return < late.Call && met < f.versionLeft(early) {
				return butBefore(late, early)
			}
		}
	}
	return ""
}

// explainGone looks for an operation that found a value although an earlier operation
// had already found or left another one, and every put of that value had returned
// before the earlier operation was called.
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
				return butBefore(late, early) + ", and every put of " + Quote(met) + " had returned even earlier"
			}
		}
	}
	return ""
}

// valueMet returns the value that an operation must have found, if it is known.
func valueMet(op *Operation) (value string, known bool) {
	switch {
	case op.Observes() && op.Answer.HasValue:
		return op.Answer.Value, true
	case op.effective() && op.HasIfValue:
		return op.IfValue, true
	}
	return "", false
}

// valueLeft returns the value that the key had when the operation took effect, after
// a write its new value.
func valueLeft(op *Operation) (value string, known bool) {
	if op.effective() {
		return op.Value, op.Kind == Put
	}
	return valueMet(op)
}

func butBefore(late, early *Operation) string {
	return claim(late) + ", but before that call " + claim(early)
}

// needsAbsent reports whether the operation can only take effect on an absent key.
func needsAbsent(op *Operation) bool {
	if op.effective() {
		return op.IfAbsent
	}
	return op.foundAbsent()
}

// versionMet returns the version that an operation must have found, or 0.
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

// versionLeft returns a version that had been assigned when the operation returned,
// or 0.
func (f *facts) versionLeft(op *Operation) Version {
	if op.effective() && op.Writes() && op.Answer.Version != 0 {
		return op.Answer.Version
	}
	return f.versionMet(op)
}
