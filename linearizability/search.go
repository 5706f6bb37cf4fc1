package linearizability

import (
	"encoding/binary"
	"math"
	"slices"
)

// The search is that of Wing and Gong with Lowe's memory of configurations, as in
// Porcupine, over the operations that prune kept. The package has a search of its
// own for two reasons. Porcupine can only be stopped by a clock, but a verdict must
// not depend on one: this search counts steps. And the facts about the writes let it
// go almost straight to an order, which a general checker cannot do:
//
//   - An answered operation that has no effect and is true of the current state is
//     placed at once. It changes nothing, so no linearization is lost.
//   - Known writes are placed in the order of their versions, as they must be.
//   - A write is not replaced while an operation waits that must find it.
//   - Unknown writes that stay open and have the same condition are interchangeable,
//     since their values were never read. They are used in the order of their calls
//     and only where they change something, and none has to be used.
//
// What remains to be tried are deletes and writes of unknown version. The property
// tests compare every verdict with that of Porcupine on the whole, unpruned history.

// A requirement must be true of the state for an operation to take effect.
type requirement struct {
	absent     bool
	present    bool
	impossible bool    // its parts contradict each other
	write      int32   // this put must be current; noWrite: any
	version    Version // of the current put, if no known write has this version; 0: any
	notVersion Version // the current put must not have it; 0: no such version
	excludes   bool    // and no known write has that version
}

type effect uint8

const (
	observe effect = iota
	write
	erase
)

// A searchOp is a closed operation: it must be placed before it returns.
type searchOp struct {
	requirement
	effect  effect
	self    int32   // the put, as requirements refer to it
	version Version // of a known put, else 0
}

// An openClass is a set of open unknown writes with the same effect and condition. Each
// of them may be placed anywhere after its call, or not at all.
type openClass struct {
	requirement
	effect effect
	target Version // its If-Match; 0: none
	calls  []Stamp // ascending
	used   int
}

// anonymous is the current write after an open put, whose value was never read.
const anonymous int32 = math.MaxInt32

type searchState struct {
	current int32 // the put whose value is current; noWrite: the key is absent
	version Version
	floor   Version
	rank    int32 // known writes placed so far
	// excluded holds versions that the current put, whose version is unknown,
	// cannot have.
	excluded versionSet
}

// A frame is a configuration whose successors are being tried.
type frame struct {
	state searchState
	trail int   // length of the trail at the configuration
	event int32 // the next call in the list to try
	class int   // then the next class
}

type search struct {
	eventList
	ops     []searchOp
	known   []Version
	classes []openClass
	pending []int32 // by put: operations not placed yet that must find it
	state   searchState
	trail   []int32 // operations placed, and the complements of classes used
	frames  []frame
	seen    map[string][]int32 // configurations seen, with the numbers used of each class
	scratch []byte
	spending
}

// newSearch returns a search over the kept operations.
func newSearch(f *facts, kept []keptOp, budget budget) *search {
	s := &search{spending: spending{budget: budget}, seen: make(map[string][]int32)}
	s.state.current = noWrite
	s.pending = make([]int32, len(f.ops))
	s.ops = make([]searchOp, 0, len(kept))
	calls, closes := make([]Stamp, 0, len(kept)), make([]Stamp, 0, len(kept))
	for _, k := range kept {
		op := f.ops[k.at]
		if k.closes == never {
			s.open(f, op)
			continue
		}
		so := searchOp{requirement: f.required(op), effect: effectOf(op), self: k.at}
		if so.effect == write {
			so.version = f.version[k.at]
			if so.version != 0 {
				s.known = append(s.known, so.version)
			}
		}
		if so.requirement.write != noWrite {
			s.pending[so.requirement.write]++
		}
		s.ops = append(s.ops, so)
		calls, closes = append(calls, k.call), append(closes, k.closes)
	}
	slices.Sort(s.known)
	s.known = append(s.known, math.MaxUint64) // so that known[rank] always exists
	s.eventList = newEventList(calls, closes)
	return s
}

// required returns what an operation that took effect must have found.
func (f *facts) required(op *Operation) requirement {
	a := &op.Answer
	r := requirement{write: noWrite}
	if op.Observes() {
		r.absent, r.present = op.foundAbsent(), a.Found
		if a.HasValue {
			r.mustMeetWrite(f.putOf[a.Value])
		}
		f.mustMeetVersion(&r, a.Version)
	}
	switch {
	case op.answered() && a.ConditionFailed:
		if op.IfAbsent {
			r.present = true
		}
		r.notVersion = op.IfMatch
		r.excludes = f.unheardOf(op.IfMatch)
	case op.answered() && op.Kind == Delete && !a.Found: // no effect, whatever the condition
	case op.IfAbsent:
		r.absent = true
	case op.IfMatch != 0:
		r.present = true
		f.mustMeetVersion(&r, op.IfMatch)
	}
	r.impossible = r.impossible || r.absent && r.present
	return r
}

func (f *facts) mustMeetVersion(r *requirement, version Version) {
	if version == 0 {
		return
	}
	if put, known := f.known[version]; known {
		r.mustMeetWrite(put)
		return
	}
	if r.version != 0 && r.version != version {
		r.impossible = true
	}
	r.version = version
}

func (r *requirement) mustMeetWrite(put int32) {
	if r.write != noWrite && r.write != put {
		r.impossible = true
	}
	r.write = put
}

// effectOf returns the effect of an operation that took effect.
func effectOf(op *Operation) effect {
	switch {
	case op.answered() && !op.effective():
		return observe
	case op.Kind == Put:
		return write
	default:
		return erase
	}
}

// open adds an open unknown write to its class. It must be called in call order.
func (s *search) open(f *facts, op *Operation) {
	r, e := f.required(op), effectOf(op)
	for i := range s.classes {
		if c := &s.classes[i]; c.requirement == r && c.effect == e {
			c.calls = append(c.calls, op.Call)
			return
		}
	}
	s.classes = append(s.classes, openClass{requirement: r, effect: e, target: op.IfMatch, calls: []Stamp{op.Call}})
}

// run searches for an order. It returns Undecided if the budget runs out.
func (s *search) run() Verdict {
	s.settle()
	if s.empty() {
		return Linearizable
	}
	s.push()
	for len(s.frames) > 0 {
		if s.out() {
			return Undecided
		}
		top := &s.frames[len(s.frames)-1]
		s.undo(top.trail)
		s.state = top.state
		if !s.advance(top) {
			s.frames = s.frames[:len(s.frames)-1]
			continue
		}
		s.settle()
		if s.empty() {
			return Linearizable
		}
		if s.remember() {
			s.push()
		}
	}
	return Illegal
}

func (s *search) push() {
	s.frames = append(s.frames, frame{state: s.state, trail: len(s.trail), event: s.next[0]})
}

// settle places every operation that has no effect and is true of the state.
func (s *search) settle() {
	event := s.next[0]
	for ; event != end && isCall(event); event = s.next[event] {
		s.steps++
		op := &s.ops[opOf(event)]
		if op.effect == observe && s.state.satisfies(&op.requirement) {
			s.place(opOf(event))
		}
	}
}

// advance places the next candidate of a configuration. It returns false if none is
// left.
func (s *search) advance(f *frame) bool {
	for f.event != end && isCall(f.event) {
		i := opOf(f.event)
		f.event = s.next[f.event]
		s.steps++
		if s.apply(&s.ops[i]) {
			s.place(i)
			return true
		}
	}
	// The list is not empty here, so it has a return event. That bounds the calls
	// that can come first.
	bound := s.stamp[f.event]
	for f.class < len(s.classes) {
		c := &s.classes[f.class]
		f.class++
		s.steps++
		if c.used < len(c.calls) && c.calls[c.used] < bound && s.applyOpen(c) {
			c.used++
			s.trail = append(s.trail, ^int32(f.class-1))
			return true
		}
	}
	return false
}

// satisfies reports whether the requirement is true of the state, as far as that is
// known.
func (st *searchState) satisfies(r *requirement) bool {
	switch {
	case r.impossible,
		r.absent && st.current != noWrite,
		r.present && st.current == noWrite,
		r.write != noWrite && r.write != st.current,
		r.version != 0 && r.version != st.version,
		r.notVersion != 0 && r.notVersion == st.version,
		r.excludes && st.current != noWrite && st.version == 0 && !st.excluded.has(r.notVersion):
		return false
	}
	return true
}

// apply changes the state by a closed operation, if it can come now.
func (s *search) apply(op *searchOp) bool {
	st := s.state
	if !s.meet(&st, &op.requirement) {
		return false
	}
	if op.effect != observe && s.awaited(op.requirement.write) {
		return false
	}
	switch op.effect {
	case write:
		st.current, st.version, st.excluded = op.self, op.version, ""
		if op.version != 0 {
			if op.version != s.known[st.rank] {
				return false
			}
			st.floor = op.version
			st.rank++
		}
	case erase:
		st.current, st.version, st.excluded = noWrite, 0, ""
	}
	s.state = st
	return true
}

// applyOpen changes the state by an open write, if that makes a difference.
func (s *search) applyOpen(c *openClass) bool {
	st := s.state
	if !s.meet(&st, &c.requirement) || s.awaited(noWrite) {
		return false
	}
	if c.effect == erase {
		if st.current == noWrite {
			return false
		}
		st.current, st.version, st.excluded = noWrite, 0, ""
	} else {
		if st.current == anonymous && st.version == 0 && st.excluded == "" {
			return false
		}
		st.current, st.version, st.excluded = anonymous, 0, ""
	}
	s.state = st
	return true
}

// meet is like satisfies, but if the version of the current put is unknown, it assumes
// that it is the one required, or that it is not the one excluded.
func (s *search) meet(st *searchState, r *requirement) bool {
	if st.version == 0 && st.current != noWrite {
		switch {
		case r.version != 0:
			if r.version <= st.floor || r.version >= s.known[st.rank] || st.excluded.has(r.version) {
				return false
			}
			st.version, st.floor, st.excluded = r.version, r.version, ""
		case r.excludes:
			st.excluded = st.excluded.with(r.notVersion)
		}
	}
	return st.satisfies(r)
}

// awaited reports whether an operation other than the current one, which itself must
// find own, must still find the current put.
func (s *search) awaited(own int32) bool {
	current := s.state.current
	if current == noWrite || current == anonymous {
		return false
	}
	waiting := s.pending[current]
	if own == current {
		waiting--
	}
	return waiting > 0
}

// place takes an operation out of the list.
func (s *search) place(i int32) {
	s.take(i)
	if w := s.ops[i].requirement.write; w != noWrite {
		s.pending[w]--
	}
	s.trail = append(s.trail, i)
}

// undo puts back, in reverse order, what was placed since the trail had this length.
func (s *search) undo(length int) {
	for len(s.trail) > length {
		i := s.trail[len(s.trail)-1]
		s.trail = s.trail[:len(s.trail)-1]
		if i < 0 {
			s.classes[^i].used--
			continue
		}
		s.putBack(i)
		if w := s.ops[i].requirement.write; w != noWrite {
			s.pending[w]++
		}
	}
}

// remember records the configuration. It returns false if this one, or one at least as
// good, was seen before.
//
// Of two configurations that differ only in the numbers of open writes used, the one
// that used fewer of each class is at least as good: whatever can follow the other can
// follow it.
func (s *search) remember() bool {
	key := s.appendPlaced(s.scratch[:0])
	key = binary.LittleEndian.AppendUint32(key, uint32(s.state.current))
	key = binary.AppendUvarint(key, uint64(s.state.version))
	key = binary.AppendUvarint(key, uint64(s.state.floor))
	key = append(binary.AppendUvarint(key, uint64(len(s.state.excluded))), s.state.excluded...)
	s.scratch = key
	met, known := s.seen[string(key)]
	if len(s.classes) == 0 {
		if !known && !s.full() {
			s.keep(key, 0)
			s.seen[string(key)] = nil
		}
		return !known
	}
	for at := 0; at < len(met); at += len(s.classes) {
		if s.usedAtLeast(met[at : at+len(s.classes)]) {
			return false
		}
	}
	if s.full() {
		return true
	}
	s.keep(key, len(s.classes))
	for i := range s.classes {
		met = append(met, s.usedOf(&s.classes[i]))
	}
	s.seen[string(key)] = met
	return true
}

func (s *search) usedAtLeast(others []int32) bool {
	for i, used := range others {
		s.steps++
		if s.usedOf(&s.classes[i]) < used {
			return false
		}
	}
	return true
}

// usedOf returns how many operations of a class were used, or 0 if that makes no
// difference because the version that they must find is not current.
func (s *search) usedOf(c *openClass) int32 {
	if c.target != 0 && s.state.version != c.target {
		return 0
	}
	return int32(c.used)
}
