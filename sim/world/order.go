package world

import (
	"dkv/sim/schedule"
	"slices"
	"time"
)

// lane is what keeps its own order: steps of one lane never change places. All
// that befalls one host is a lane, so that a turn stays behind what it was
// scheduled for; ZooKeeper is one, whose servers rely on their order; and so is
// the outside world. In the network each link is one, so that a stream's frames
// keep their order.
type lane uint32

const (
	laneZooKeeper lane = MaxHosts + iota
	laneWorld
	laneNetwork // and the link's number
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

// ordering takes steps out of the scheduler's heap in an order of its own.
type ordering struct {
	window time.Duration
	// choose picks one of the candidates: the first step of each lane that has
	// one within the window, by time. It is asked when there are two or more.
	choose func(candidates []entry, lanes []lane) int
	// overtook hears of each step that runs before one that is due earlier, or
	// was asked for earlier at one time.
	overtook func()
	// before, if not nil, runs between two steps.
	before func()
	// onTake, if not nil, hears of each step that is about to run.
	onTake func(at *slot)

	ready      []entry // out of the heap, by (time, sequence); some may be dead
	gathered   bool    // as of asOf, the scheduler's changes
	asOf       uint64
	candidates []entry
	lanes      []lane
}

// next is when the next step runs, at the earliest; ok is false without one.
func (o *ordering) next(s *scheduler) (at time.Duration, ok bool) {
	o.gather(s)
	if len(o.ready) == 0 {
		return 0, false
	}
	return max(s.now, o.ready[0].at), true
}

// take removes the step that is to run; ok is false without one.
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

// gather brings all that is due within the window of the first into ready.
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

// drop forgets the entries that were stopped.
func (o *ordering) drop(s *scheduler) {
	before := len(o.ready)
	o.ready = slices.DeleteFunc(o.ready, func(e entry) bool { return s.slots[e.slot].generation != e.generation })
	s.dead -= before - len(o.ready)
}

// gatherLanes finds each lane's first step among those within the window, and
// says how many lanes there are. A window ends where that of the first step
// does, though ready may hold more since an earlier one was asked for.
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

// pct is the state of an ordering by priorities.
type pct struct {
	random Random
	depth  int
	span   uint64

	choices uint64 // made in this span
	spans   uint64 // before it
	lowered map[lane]uint64
	changes []uint64 // choices before which priorities change
}

// newOrdering is nil for FIFO.
func newOrdering(o schedule.Order, random Random, overtook func()) *ordering {
	if o.Mode != schedule.PCT {
		return nil
	}
	p := &pct{random: random, depth: max(1, o.Depth), span: uint64(max(1, o.Span))}
	p.begin()
	return &ordering{window: o.Window, choose: p.choose, overtook: overtook}
}

// begin draws where the priorities of a span change.
func (p *pct) begin() {
	p.choices, p.lowered, p.changes = 0, make(map[lane]uint64), p.changes[:0]
	for i := range p.depth - 1 {
		p.changes = append(p.changes, p.random.Draw("order change", uint64(i), p.spans)%p.span)
	}
}

// choose takes the lane of the highest priority. At the i-th point of change
// that lane falls below all that were not lowered, to place i.
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
