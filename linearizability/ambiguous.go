package linearizability

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// evidence is what an operation reveals about the state in which it took effect, as far
// as dropping unknown writes is concerned.
type evidence struct {
	until Stamp // the return of the operation; never if it is open
	// pinned: the value is known, or, if absent is set, that there was none.
	pinned bool
	absent bool
	value  string
	// vague: it may be true of many states.
	vague bool
}

// evidenceOf returns the evidence of an answered operation or a kept unknown one. A get
// or a delete may give one kind by its answer and another by its condition.
func (f *facts) evidenceOf(op *Operation, until Stamp) (all [2]evidence) {
	a := &op.Answer
	met := &all[0]
	met.until = until
	switch {
	case a.Unreported:
		met.vague = true
	case op.Observes():
		f.pin(met, a.Found, a.HasValue, a.Value)
	}
	held := &all[1]
	held.until = until
	switch {
	case op.answered() && !op.effective(): // the condition failed, or there was nothing to delete
	case op.IfAbsent:
		f.pin(held, false, false, "")
	case op.IfMatch != 0:
		held.vague = true
	case op.HasIfValue:
		f.pin(held, true, true, op.IfValue)
	}
	return all
}

func (f *facts) pin(e *evidence, found, hasValue bool, value string) {
	switch {
	case !found && f.model == Text: // absent means empty
		e.pinned = true
	case !found:
		e.pinned, e.absent = true, true
	case hasValue:
		e.pinned, e.value = true, value
	default:
		e.vague = true
	}
}

// mayExplain reports whether the evidence may be about the state that an unknown write
// leaves, or about one that appends make of that.
func (f *facts) mayExplain(op *Operation, e *evidence) bool {
	switch {
	case e.vague:
		return true
	case !e.pinned:
		return false
	case op.Kind == Delete:
		return e.absent || f.appends > 0
	case e.absent:
		return false
	case op.Kind == Append:
		return strings.Contains(e.value, op.Value)
	case f.appends > 0:
		return strings.HasPrefix(e.value, op.Value)
	}
	return e.value == op.Value
}

// pruneAmbiguous is prune for keys where values do not identify their writes. It drops
// the unknown writes about whose effect no evidence that returns after their call can
// be.
//
// That is sound. In any order, let W be such a write that takes effect, and W' the next
// operation after it, other than an append, that takes effect, if there is one. Evidence
// between the two would be about the effect of W, so it does not exist. Appends between the
// two are not observed, and W' has no condition that they or W could have satisfied.
// Hence the order without W, with the unknown operations that had no effect moved to
// the end, explains as much.
//
// An unknown put closes at the first return of evidence with its value, if nothing else
// can have produced that value.
func pruneAmbiguous(f *facts) []keptOp {
	closes := f.earliestOfUnique()
	keep := make([]bool, len(f.ops))
	var said []evidence
	add := func(i int, until Stamp) {
		keep[i] = true
		for _, e := range f.evidenceOf(f.ops[i], until) {
			if e.pinned || e.vague {
				said = append(said, e)
			}
		}
	}
	unknown := 0
	for i, op := range f.ops {
		switch {
		case op.answered():
			add(i, op.Return)
		case closes[i] != never:
			add(i, closes[i])
		default:
			unknown++
		}
	}
	const most = 10_000_000 // comparisons; if there are more, nothing is dropped
	everything := unknown*(len(said)+unknown) > most
	for changed := true; changed; {
		changed = false
		for i, op := range f.ops {
			if keep[i] || !everything && !f.explainsAny(op, said) {
				continue
			}
			add(i, never)
			changed = changed || op.conditional() // otherwise it adds no evidence
		}
	}
	return f.kept(keep, closes)
}

func (f *facts) explainsAny(op *Operation, said []evidence) bool {
	return slices.ContainsFunc(said, func(e evidence) bool { return e.until > op.Call && f.mayExplain(op, &e) })
}

// earliestOfUnique returns for each operation the earliest return of an answer that
// only its value can explain, or never.
func (f *facts) earliestOfUnique() []Stamp {
	closes := make([]Stamp, len(f.ops))
	for i := range closes {
		closes[i] = never
	}
	if f.appends > 0 {
		return closes
	}
	for _, op := range f.ops {
		if !op.answered() {
			continue
		}
		for _, e := range f.evidenceOf(op, op.Return) {
			if !e.pinned || e.absent || e.value == "" && f.model == Text || f.writers[e.value] != 1 {
				continue
			}
			if put, ok := f.putOf[e.value]; ok {
				closes[put] = min(closes[put], op.Return)
			}
		}
	}
	return closes
}

// keyRules apply step to the kept operations of one key: first the closed ones, then
// one of each class.
//
// The values that no operation asks for, and that no append can make into one that is
// asked for, are interchangeable. The rules replace them all by one value, so that
// orders that differ only in values that were never observed become one order.
type keyRules struct {
	ops       []*Operation
	appends   bool
	askedFor  []string // values read or compared with, sorted
	forgotten string   // stands for all other values
}

func (r *keyRules) step(s state, op int32) (state, bool) {
	after, ok := step(s, r.ops[op])
	if ok && r.ops[op].Kind != Get && after.present {
		after.value = r.known(after.value)
	}
	return after, ok
}

// known returns the value if it is asked for or may still become so, else the value that
// stands for all others.
func (r *keyRules) known(value string) string {
	at, found := slices.BinarySearch(r.askedFor, value)
	if found || r.appends && at < len(r.askedFor) && strings.HasPrefix(r.askedFor[at], value) {
		return value
	}
	return r.forgotten
}

// gather collects the values that the operations ask for, and finds one that is neither
// asked for nor the beginning of one.
func (r *keyRules) gather(ops []*Operation) {
	longest, first := "", [256]bool{}
	mention := func(value string) {
		r.askedFor = append(r.askedFor, value)
		if len(value) > 0 {
			first[value[0]] = true
		}
		if len(value) > len(longest) {
			longest = value
		}
	}
	for _, op := range ops {
		if op.Observes() && op.Answer.HasValue {
			mention(op.Answer.Value)
		}
		if op.HasIfValue {
			mention(op.IfValue)
		}
	}
	mention("") // the value of an absent key, and the first value of a text
	slices.Sort(r.askedFor)
	r.askedFor = slices.Compact(r.askedFor)
	if at := slices.Index(first[:], false); at >= 0 {
		r.forgotten = string([]byte{byte(at)})
	} else {
		r.forgotten = longest + "x"
	}
}

func (r *keyRules) equal(a, b state) bool { return a == b }
func (r *keyRules) hash(s state) uint64   { return s.hash() }
func (r *keyRules) weight(s state) int    { return len(s.value) / 64 }

func (s *state) hash() uint64 {
	h := xxhash.Sum64String(s.value)
	h = (h ^ uint64(s.version)) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29 ^ uint64(s.floor)) * 0xbf58476d1ce4e5b9
	if s.present {
		h++
	}
	return h ^ h>>32
}

// newGeneralSearch returns a search over the kept operations of a key.
func newGeneralSearch(f *facts, kept []keptOp, budget budget) *generalSearch[state] {
	r := &keyRules{appends: f.appends > 0}
	r.gather(f.ops)
	s := &generalSearch[state]{rules: r, spending: spending{budget: budget}, state: f.model.initial()}
	var calls, closes []Stamp
	var open []*Operation
	for _, k := range kept {
		op := f.ops[k.at]
		if k.closes == never {
			open = append(open, op)
			continue
		}
		r.ops = append(r.ops, op)
		calls, closes = append(calls, k.call), append(closes, k.closes)
		s.ops = append(s.ops, generalOp{quiet: op.answered() && !op.effective(), replaces: replaces(op)})
	}
	s.eventList = newEventList(calls, closes)
	type ask struct {
		kind    Kind
		value   string
		match   Version
		absent  bool
		ifValue bool
		want    string
	}
	classOf := make(map[ask]int)
	for _, op := range open {
		value := op.Value
		if op.Kind == Put {
			value = r.known(value)
		}
		key := ask{op.Kind, value, op.IfMatch, op.IfAbsent, op.HasIfValue, op.IfValue}
		n, known := classOf[key]
		if !known {
			n = len(s.classes)
			classOf[key] = n
			s.classes = append(s.classes, generalClass{op: int32(len(r.ops)), replaces: replaces(op)})
			r.ops = append(r.ops, op)
		}
		s.classes[n].calls = append(s.classes[n].calls, op.Call)
	}
	if f.appends > 0 {
		s.deadEnd = func(after state) (bool, int) { return deadEnd(s, r, after) }
	}
	return s
}

// replaces reports whether a write can take effect in every state and leaves nothing of
// the value that it found.
func replaces(op *Operation) bool {
	if op.conditional() {
		return false
	}
	return op.Kind == Put || op.Kind == Delete && !op.answered()
}

// deadEnd reports whether the next answer that pins the value does not begin with the
// value of the state, and only appends can come before it. Without this check every
// order of concurrent appends would be tried before the next read reveals the right
// one.
func deadEnd(s *generalSearch[state], r *keyRules, after state) (dead bool, steps int) {
	for event := s.next[0]; event != end; event = s.next[event] {
		steps++
		op := r.ops[opOf(event)]
		if isCall(event) {
			if op.Kind == Put && !op.Answer.ConditionFailed || op.Kind == Delete && (!op.answered() || op.effective()) {
				return false, steps
			}
			continue
		}
		want, pinned := pinnedValue(op)
		if !pinned || strings.HasPrefix(want, after.value) {
			if pinned {
				return false, steps
			}
			continue
		}
		for i := range s.classes {
			c := &s.classes[i]
			if r.ops[c.op].Kind != Append && c.used < len(c.calls) && c.calls[c.used] < s.stamp[event] {
				return false, steps
			}
		}
		return true, steps
	}
	return false, steps
}

// pinnedValue returns the value that an operation must have found; "" if it found
// none.
func pinnedValue(op *Operation) (value string, pinned bool) {
	a := &op.Answer
	switch {
	case op.Observes() && a.HasValue:
		return a.Value, true
	case op.foundAbsent():
		return "", true
	case op.effective() && op.HasIfValue:
		return op.IfValue, true
	case op.effective() && op.IfAbsent:
		return "", true
	}
	return "", false
}
