package linearizability

import "encoding/binary"

// A generalSearch is the search of Wing and Gong with Lowe's memory of configurations,
// over any sequential machine. Unlike search it assumes nothing about values, so it
// works where they do not identify their writes, and with the user's own model. Like
// search it counts its steps.
//
// It skips three things, none of which loses an order:
//
//   - An answered operation that has no effect and is true of the current state is
//     placed at once.
//   - Open operations of unknown outcome that ask for the same are interchangeable.
//     They are used in the order of their calls and only where they change something,
//     and none has to be used. Of two configurations that differ in nothing else, the
//     one that used fewer is at least as good.
//   - An open operation is not followed by one that replaces everything it left before
//     any operation observed it: not using it has the same result.
type generalSearch[S any] struct {
	eventList
	rules   rules[S]
	ops     []generalOp
	classes []generalClass
	// deadEnd reports whether the remaining operations rule out a state, and how
	// many steps it took to look. nil: it never does.
	deadEnd func(S) (dead bool, steps int)
	state   S
	trail   []int32 // operations placed, and the complements of classes used
	frames  []generalFrame[S]
	seen    map[string][]configuration[S]
	scratch []byte
	spending
}

// rules define a sequential machine. They identify operations by number.
type rules[S any] interface {
	// step reports whether the operation, with the answer it got, can take effect
	// in s, and returns the state after it.
	step(s S, op int32) (S, bool)
	equal(a, b S) bool
	hash(s S) uint64
	// weight returns the cost of keeping s, in steps beyond the first.
	weight(s S) int
}

// A generalOp is what the search needs to know about a closed operation.
type generalOp struct {
	// quiet: with its answer the operation has no effect in any state.
	quiet bool
	// replaces: the operation can take effect in every state, and the state after it
	// does not depend on the state before.
	replaces bool
}

// A generalClass is a set of interchangeable open operations of unknown outcome.
type generalClass struct {
	op       int32 // its number in the rules
	replaces bool
	calls    []Stamp // ascending
	used     int
}

type configuration[S any] struct {
	state S
	used  []int32 // of each class
}

type generalFrame[S any] struct {
	state S
	trail int
	event int32 // the next call in the list to try
	class int   // then the next class
	idle  bool  // an open operation came last, and its effect was not observed
}

func (s *generalSearch[S]) run() Verdict {
	s.seen = make(map[string][]configuration[S])
	s.settle()
	if s.empty() {
		return Linearizable
	}
	s.push(false)
	for len(s.frames) > 0 {
		if s.out() {
			return Undecided
		}
		top := &s.frames[len(s.frames)-1]
		s.undo(top.trail)
		s.state = top.state
		placed, open := s.advance(top)
		if !placed {
			s.frames = s.frames[:len(s.frames)-1]
			continue
		}
		settled := s.settle()
		if s.empty() {
			return Linearizable
		}
		if s.remember() {
			s.push(open && !settled)
		}
	}
	return Illegal
}

func (s *generalSearch[S]) push(idle bool) {
	s.frames = append(s.frames, generalFrame[S]{state: s.state, trail: len(s.trail), event: s.next[0], idle: idle})
}

// settle places every quiet operation that is true of the state.
func (s *generalSearch[S]) settle() (any bool) {
	for event := s.next[0]; event != end && isCall(event); event = s.next[event] {
		s.steps++
		i := opOf(event)
		if !s.ops[i].quiet {
			continue
		}
		if after, ok := s.rules.step(s.state, i); ok && s.rules.equal(after, s.state) {
			s.place(i)
			any = true
		}
	}
	return any
}

// advance places the next candidate of a configuration, if one is left. open reports
// whether that is an open operation.
func (s *generalSearch[S]) advance(f *generalFrame[S]) (placed, open bool) {
	for f.event != end && isCall(f.event) {
		i := opOf(f.event)
		f.event = s.next[f.event]
		s.steps++
		if f.idle && s.ops[i].replaces {
			continue
		}
		after, ok := s.rules.step(f.state, i)
		if !ok {
			continue
		}
		s.place(i)
		if s.enter(after) {
			return true, false
		}
		s.undo(f.trail)
	}
	// The list is not empty here, so a return event bounds the calls that can come
	// first.
	bound := s.stamp[f.event]
	for f.class < len(s.classes) {
		c := &s.classes[f.class]
		f.class++
		s.steps++
		if c.used == len(c.calls) || c.calls[c.used] >= bound || f.idle && c.replaces {
			continue
		}
		after, ok := s.rules.step(f.state, c.op)
		if !ok || s.rules.equal(after, f.state) {
			continue
		}
		c.used++
		s.trail = append(s.trail, ^int32(f.class-1))
		if s.enter(after) {
			return true, true
		}
		s.undo(f.trail)
	}
	return false, false
}

// enter makes a state the current one, unless it is a dead end.
func (s *generalSearch[S]) enter(after S) bool {
	s.steps += s.rules.weight(after)
	if s.deadEnd != nil {
		dead, steps := s.deadEnd(after)
		s.steps += steps
		if dead {
			return false
		}
	}
	s.state = after
	return true
}

func (s *generalSearch[S]) place(i int32) {
	s.take(i)
	s.trail = append(s.trail, i)
}

// undo takes back, in reverse order, what was placed since the trail had this length.
func (s *generalSearch[S]) undo(length int) {
	for len(s.trail) > length {
		i := s.trail[len(s.trail)-1]
		s.trail = s.trail[:len(s.trail)-1]
		if i < 0 {
			s.classes[^i].used--
		} else {
			s.putBack(i)
		}
	}
}

// remember records the configuration. It returns false if this one, or one at least as
// good, was seen before.
func (s *generalSearch[S]) remember() bool {
	key := binary.LittleEndian.AppendUint64(s.scratch[:0], s.rules.hash(s.state))
	key = s.appendPlaced(key)
	s.scratch = key
	met := s.seen[string(key)]
	for i := range met {
		s.steps++
		if s.usedAtLeast(met[i].used) && s.rules.equal(met[i].state, s.state) {
			return false
		}
	}
	if s.full() {
		return true
	}
	s.keep(key, len(s.classes))
	c := configuration[S]{state: s.state}
	if len(s.classes) > 0 {
		c.used = make([]int32, len(s.classes))
		for i := range s.classes {
			c.used[i] = int32(s.classes[i].used)
		}
		s.steps += len(s.classes) / 8
	}
	s.seen[string(key)] = append(met, c)
	return true
}

func (s *generalSearch[S]) usedAtLeast(others []int32) bool {
	for i, used := range others {
		if int32(s.classes[i].used) < used {
			return false
		}
	}
	return true
}
