package node

import (
	"time"

	"dkv/node/layout"
)

// How a primary spares its clients a planned change of epoch (rule "drain before a planned
// step"):
//
//	dueMove ─▶ drained: writes are held ─▶ drainedSoon: all is committed ─▶ takeSteps
//	        ─▶ adopt ─▶ close: what is held is refused to its origin, which routes it anew
//
// A write that is in the log when the epoch ends would be unknown to its client, though
// nothing failed. Held writes were never proposed, so that refusing them is true.

// draining is what a reign holds writes for. It ends with the reign, when the step is no
// longer due, when its compare-and-set fails, and after suspect-after.
type draining struct {
	on    bool
	told  bool // all that was proposed is committed
	since time.Duration
	again time.Duration // before, steps are taken without
}

// drained reports whether a step may be taken now. The first question for a step by which a
// primary ends its own reign begins to hold its writes. It has half of suspect-after to get
// them committed; the step is then taken all the same, since what hinders them may last.
// The cancel of a move is not put off: a joint state that is stuck commits nothing.
func (r *replica) drained(step *layout.Step, now time.Duration) bool {
	g := r.reign
	if step.Kind == layout.CancelMove || g == nil || g.epoch != step.Epoch {
		return true
	}
	d := &g.draining
	if !d.on {
		if now < d.again {
			return true
		}
		d.on, d.told, d.since = true, false, now
	}
	if g.allCommitted(step.Primary) {
		if !d.told {
			d.told = true
			r.n.observe(Event{Kind: EventDrained, Partition: r.id, Epoch: g.epoch})
		}
		return true
	}
	return now-d.since >= r.n.cfg.SuspectAfter/2
}

// allCommitted reports whether the log is committed to its end, and the next primary has
// all of it, so that it has nothing to copy.
func (g *reign) allCommitted(next MemberNumber) bool {
	last := g.r.log.lastIndex()
	f := g.follower(next)
	return g.r.commit == last && (f == nil || f.match == last)
}

// drainedSoon has the steps judged at the end of the turn if the log is committed, and not
// only at the tick.
func (g *reign) drainedSoon() {
	if g.draining.on && g.r.commit == g.r.log.lastIndex() {
		g.r.n.stepSoon = true
	}
}

// stepsOfDrained does so for all partitions, when the layout was read or changed: no step
// is taken meanwhile.
func (n *Node) stepsOfDrained() {
	for _, r := range n.replicas {
		if r != nil && r.reign != nil {
			r.reign.drainedSoon()
		}
	}
}

// drainInTime takes what is held if the step was not made in time. ZooKeeper may be away,
// and partitions are served without it. The next steps are then taken without holding.
func (g *reign) drainInTime(now time.Duration) {
	if g.draining.on && now-g.draining.since >= g.r.n.cfg.SuspectAfter {
		g.r.release(now)
		g.draining.again = now + g.r.n.cfg.SettleTime
	}
}

// release takes the writes that were held for a step which is not made just now.
func (r *replica) release(now time.Duration) {
	g := r.reign
	if g == nil || !g.draining.on {
		return
	}
	g.draining.on = false
	g.takeQueued(now)
}

// releaseAll does so for all partitions, when a compare-and-set came to nothing.
func (n *Node) releaseAll(now time.Duration) {
	for _, r := range n.replicas {
		if r != nil && r.reign != nil && r.reign.draining.on {
			n.scratch.uncheckedPartition(r.id)
			r.release(now)
		}
	}
}
