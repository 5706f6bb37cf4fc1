package world

import (
	"dkv/sim/schedule"
	"slices"
	"time"
)

// lane is a class of steps that never overtake each other. Each host is a lane, so
// that a turn stays behind the events that it was scheduled for. ZooKeeper is one
// lane, because its servers rely on the order of what they send each other.
// Everything outside of the cluster is another. In the network each link is a lane,
// so that the frames of a stream keep their order.
type lane uint32

const (
	laneZooKeeper lane = MaxHosts + iota
	laneWorld
	laneNetwork // plus the link's number
)

func laneOf(at *slot) lane {
	switch {
	case at.host != NoHost:
		return lane(at.host)
	case at.kind == kindZooKeeper:
		return laneZooKeeper
	case at.kind == kindNetwork:
		return laneNetwork + lane(at.link)
	}
	return laneWorld
}

// ordering lets steps overtake others that are due at most a window earlier. A real
// cluster has no order between events on different machines; this explores more of
// the orders than FIFO does.
//
//   - A step overtakes only steps of other lanes.
//   - After gather, every live entry that is due within the window of the first
//     is in ready, and ready is sorted by (time, sequence). It may hold more, if an
//     earlier entry was scheduled since.
//   - What ready holds is valid while gathered is set and asOf equals the scheduler's
//     changes.
//   - Time never runs backwards: an overtaken step runs at the time that it is then,
//     not at its own.
type ordering struct {
	window time.Duration
	// choose picks one of the candidates, which are the first step of each lane
	// that has one within the window, by time. There are at least two.
	choose func(candidates []entry, lanes []lane) int
	// overtook is called for each step that runs before an earlier one.
	overtook func()
	// before, if not nil, runs between two steps.
	before func()
	// onTake, if not nil, is called with each step that is about to run.
	onTake func(at *slot)

	ready      []entry // taken out of the heap; some may be dead
	gathered   bool
	asOf       uint64
	candidates []entry // scratch of gatherLanes
	lanes      []lane  // of the candidates
}

// next returns the earliest time at which a step can run; ok is false if no step
// waits.
func (o *ordering) next(s *scheduler) (at time.Duration, ok bool) {
	o.gather(s)
	if len(o.ready) == 0 {
		return 0, false
	}
	return max(s.now, o.ready[0].at), true
}

// take removes the step that runs next; ok is false if no step waits.
func (o *ordering) take(s *scheduler) (e entry, ok bool) {
	if o.before != nil {
		o.before()
	}
	o.gather(s)
	if len(o.ready) == 0 {
		return entry{}, false
	}
	chosen := o.ready[0]
	if len(o.ready) > 1 && o.gatherLanes(s) > 1 {
		chosen = o.candidates[o.choose(o.candidates, o.lanes)]
	}
	i := slices.IndexFunc(o.ready, func(r entry) bool { return r.sequence == chosen.sequence })
	if i > 0 {
		o.overtook()
	}
	o.ready = slices.Delete(o.ready, i, i+1)
	o.gathered = false
	if o.onTake != nil {
		o.onTake(&s.slots[chosen.slot])
	}
	return chosen, true
}

// gather moves all entries that are due within the window of the first to ready.
func (o *ordering) gather(s *scheduler) {
	if o.gathered && o.asOf == s.changes {
		return
	}
	o.gathered, o.asOf = true, s.changes
	o.drop(s)
	for s.settle() {
		first := s.heap[0].at
		if len(o.ready) > 0 {
			first = min(first, o.ready[0].at)
		}
		if s.heap[0].at > first+o.window {
			return
		}
		e := s.pop()
		i := len(o.ready)
		for i > 0 && e.before(&o.ready[i-1]) {
			i--
		}
		o.ready = slices.Insert(o.ready, i, e)
	}
}

// drop removes stopped entries from ready.
func (o *ordering) drop(s *scheduler) {
	before := len(o.ready)
	o.ready = slices.DeleteFunc(o.ready, func(e entry) bool { return s.slots[e.slot].generation != e.generation })
	s.dead -= before - len(o.ready)
}

// gatherLanes finds the first step of each lane within the window and returns the
// number of lanes. It leaves out what ready holds beyond the window.
func (o *ordering) gatherLanes(s *scheduler) int {
	o.candidates, o.lanes = o.candidates[:0], o.lanes[:0]
	for i := range o.ready {
		e := &o.ready[i]
		if e.at > o.ready[0].at+o.window {
			break
		}
		if l := laneOf(&s.slots[e.slot]); !slices.Contains(o.lanes, l) {
			o.candidates, o.lanes = append(o.candidates, *e), append(o.lanes, l)
		}
	}
	return len(o.lanes)
}

// pct orders steps by probabilistic concurrency testing (Burckhardt and others,
// 2010): every lane has a random priority, the lane with the highest runs, and at
// depth-1 random choices within a span that lane falls to the bottom. schedule.PCT
// states the probability with which that finds a bug.
type pct struct {
	random Random
	depth  int
	span   uint64 // in choices

	choices uint64          // made in this span
	spans   uint64          // before this one
	lowered map[lane]uint64 // priorities below all that were not lowered
	changes []uint64        // choices before which a priority changes
}

// newOrdering returns nil for FIFO, and for a steered order, which Steer sets.
func newOrdering(o schedule.Order, random Random, overtook func()) *ordering {
	if o.Mode != schedule.PCT {
		return nil
	}
	p := &pct{random: random, depth: max(1, o.Depth), span: uint64(max(1, o.Span))}
	p.begin()
	return &ordering{window: o.Window, choose: p.choose, overtook: overtook}
}

// begin draws the choices of a new span at which priorities change.
func (p *pct) begin() {
	p.choices, p.lowered, p.changes = 0, make(map[lane]uint64), p.changes[:0]
	for i := range p.depth - 1 {
		p.changes = append(p.changes, p.random.Draw("order change", uint64(i), p.spans)%p.span)
	}
}

// choose picks the lane with the highest priority. At change i it first lowers that
// lane to priority i+1, below all lanes that were not lowered.
func (p *pct) choose(_ []entry, lanes []lane) int {
	if p.choices == p.span {
		p.spans++
		p.begin()
	}
	best := p.highest(lanes)
	for i, at := range p.changes {
		if at == p.choices {
			p.lowered[lanes[best]] = uint64(i) + 1
			best = p.highest(lanes)
		}
	}
	p.choices++
	return best
}

func (p *pct) highest(lanes []lane) int {
	best, most := 0, uint64(0)
	for i, l := range lanes {
		if priority := p.priority(l); i == 0 || priority > most {
			best, most = i, priority
		}
	}
	return best
}

func (p *pct) priority(l lane) uint64 {
	if low, ok := p.lowered[l]; ok {
		return low
	}
	return 1<<63 | p.random.Draw("order priority", uint64(l), p.spans)
}
