package linearizability

import "encoding/binary"

// A plainSearch is the search of Wing and Gong with Lowe's memory of
// configurations, over any sequential machine: it supposes nothing of the
// values, as search does, and so serves where they do not name their writes, and
// where users bring a model of their own. Like search it counts its steps.
//
// Three things are spared, none of which loses an order:
//
//   - An answered operation without effect that is true of the current state is
//     placed at once.
//   - Open operations of unknown outcome that ask for the same are alike: they
//     are used in the order of their calls, only where they change something,
//     and none needs to be used at all. Of two configurations that differ in
//     nothing else, the one that used fewer is as good.
//   - An open operation is not followed by one that replaces all it left before
//     anybody saw it: the same comes of not using it.
type generalSearch[S any] struct {
	eventList
	rules   rules[S]
	ops     []generalOp
	classes []generalClass
	// deadEnd sees from the operations that are left that a state leads nowhere,
	// and says how many steps it took to look. nil: it never does.
	deadEnd func(S) (dead bool, steps int)
	state   S
	trail   []int32 // operations placed, and complements of classes used
	frames  []generalFrame[S]
	seen    map[string][]configuration[S]
	scratch []byte
	steps   int
	budget  int
}

// rules are a sequential machine. Its operations are known by number.
type rules[S any] interface {
	// step says whether the operation, with the answer it got, can take effect in
	// s, and the state after it.
	step(s S, op int32) (S, bool)
	equal(a, b S) bool
	hash(s S) uint64
	// weight is what it costs to keep s, in steps beyond the first.
	weight(s S) int
}

// A plainOp is what the search has to know of a closed operation.
type generalOp struct {
	// quiet: with its answer it has no effect in any state.
	quiet bool
	// replaces: it can take effect in every state, and all that matters of the
	// state after it is the operation's own.
	replaces bool
}

// A plainClass is a set of open operations of unknown outcome that are alike.
type generalClass struct {
	op       int32 // how the rules know each of them
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
	idle  bool  // an open operation came last, and nobody saw what it left
}

func (s *generalSearch[S]) run() Verdict {
	s.seen = make(map[string][]configuration[S])
	s.settle()
	if s.empty() {
		return Linearizable
	}
	s.push(false)
	for len(s.frames) > 0 {
		if s.steps > s.budget {
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

// advance places the next candidate of a configuration, if one is left. Open: it
// was one of a class.
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
	// The list is not empty here, so a return bounds the calls that can come first.
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

// enter makes a state the current one, unless it leads nowhere.
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

// undo takes back what was placed since the trail had this length, last first.
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

// remember notes the configuration; false if it, or one that is as good, was met
// before.
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
