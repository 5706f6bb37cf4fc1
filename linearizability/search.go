package linearizability

import (
	"encoding/binary"
	"math"
	"slices"
)

// The search is that of Wing and Gong with Lowe's memory of configurations, as
// in Porcupine, over the operations that prune kept. It is our own for two
// reasons. Porcupine can only be stopped by a clock, and no clock may take part
// in a verdict: this one counts steps. And what the answers say of the writes
// (facts) lets it go almost straight, which a general checker cannot know:
//
//   - An answered operation without effect that is true of the current state is
//     placed at once. It changes nothing, so no linearization is lost.
//   - Known writes are placed in the order of their versions, as they must be.
//   - A write is not replaced while an operation waits that must meet it.
//   - Unknown writes that stay open and have the same condition are alike, since
//     nobody read their values: they are used in the order of their calls, only
//     where they change something, and none needs to be used at all.
//
// What remains to be tried are the deletes and the writes whose version nobody
// told. The property tests compare every verdict with Porcupine's on the whole,
// unpruned history.

// requirement is what must be true of the state for an operation to take effect.
type requirement struct {
	absent     bool
	present    bool
	impossible bool    // its parts contradict one another
	write      int32   // this put must be current; noWrite: any
	version    Version // of the current put, where no known write has it; 0: any
	notVersion Version // the current put must not have it; 0: any may
	excludes   bool    // and nobody knows which put has that version
}

type effect uint8

const (
	observe effect = iota
	write
	erase
)

// A searchOp is a closed operation: it has to be placed before it returns.
type searchOp struct {
	requirement
	effect  effect
	self    int32   // the put, as others name it
	version Version // of a known put
}

// An openClass is a set of open unknown writes with the same effect and
// condition. Each may be placed anywhere after its call, or nowhere.
type openClass struct {
	requirement
	effect effect
	target Version // its If-Match; 0: none
	calls  []Stamp // ascending
	used   int
}

// anonymous is the current write after an open put: nobody read its value.
const anonymous int32 = math.MaxInt32

type searchState struct {
	current int32 // the put whose value is there; noWrite: absent
	version Version
	floor   Version
	rank    int32 // known writes placed so far
	// excluded are versions that the current put, whose own nobody told, cannot
	// have.
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
	pending []int32 // by put: operations not yet placed that must meet it
	state   searchState
	trail   []int32 // operations placed, and complements of classes used
	frames  []frame
	seen    map[string][]int32 // configurations met, with what they had used of each class
	scratch []byte
	steps   int
	budget  int
}

// newSearch prepares to place the kept operations.
func newSearch(f *facts, kept []keptOp, budget int) *search {
	s := &search{budget: budget, seen: make(map[string][]int32)}
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

// required is what an operation that took effect must have met.
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

// effectOf is the effect of an operation that is known to have taken place.
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

// open adds an open unknown write to its class. Operations come by call.
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

// run decides. It returns Undecided when the budget is spent.
func (s *search) run() Verdict {
	s.settle()
	if s.empty() {
		return Linearizable
	}
	s.push()
	for len(s.frames) > 0 {
		if s.steps > s.budget {
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

// settle places every operation without effect that is true of the state.
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

// advance places the next candidate of a configuration. False: none is left.
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
	// A return event bounds the calls that can come first; the list is not empty
	// here, so there is one.
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

// satisfies: the requirement is true of the state as it is known.
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

// meet is satisfies, and where nobody has told the version of the current put
// it supposes the one required, or that it is not the one excluded.
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

// awaited: somebody else than the operation at hand, which itself must meet
// own, has yet to meet the current put.
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

// undo puts back what was placed since the trail had this length, last first.
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

// remember notes the configuration; false if it, or one that is as good, was met
// before.
//
// Of two configurations that differ only in how many open writes were used, the
// one that used fewer of each class is as good: all that follows from the other
// follows from it.
func (s *search) remember() bool {
	key := s.appendPlaced(s.scratch[:0])
	key = binary.LittleEndian.AppendUint32(key, uint32(s.state.current))
	key = binary.AppendUvarint(key, uint64(s.state.version))
	key = binary.AppendUvarint(key, uint64(s.state.floor))
	key = append(binary.AppendUvarint(key, uint64(len(s.state.excluded))), s.state.excluded...)
	s.scratch = key
	met, known := s.seen[string(key)]
	if len(s.classes) == 0 {
		if !known {
			s.seen[string(key)] = nil
		}
		return !known
	}
	for at := 0; at < len(met); at += len(s.classes) {
		if s.usedAtLeast(met[at : at+len(s.classes)]) {
			return false
		}
	}
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

// usedOf is how much of a class was used, 0 if that makes no difference: the
// version that its writes must meet is not there yet, or is gone.
func (s *search) usedOf(c *openClass) int32 {
	if c.target != 0 && s.state.version != c.target {
		return 0
	}
	return int32(c.used)
}
