package node

import (
	"slices"
	"time"

	"dkv/node/layout"
)

// How a partition that is moving gets to its new replicas, or back (DESIGN
// section 5, (d) and (f)). The joint epoch's own no-op, committed by R and N,
// is the fact that L3 needs; only the primary that committed it takes the step.

// moveWatch is what this process saw of the partition's move.
type moveWatch struct {
	next  []MemberNumber
	since time.Duration // first sight of this N, whatever the epoch

	failures []failure // reigns that ended otherwise than by hand-over
}

// failure keeps a member from being handed the partition for a while.
type failure struct {
	member  MemberNumber
	until   time.Duration
	backoff time.Duration
}

const (
	maxHandOverBackoff = 5 * time.Minute
	// handOverLag is how far a replica's log may end below commit when it is
	// handed the partition, in entries.
	handOverLag = 64
)

// watchMove notes a newer assignment: since when its N stands, and whether a
// reign ended that this node's own take-over ended.
func (r *replica) watchMove(a Assignment) {
	if !slices.Equal(r.move.next, a.Next) {
		r.move.next, r.move.since = a.Next, r.n.now()
	}
}

// tookOverFrom notes that this node had to take the partition over from a member.
func (r *replica) tookOverFrom(m MemberNumber) {
	now := r.n.now()
	for i := range r.move.failures {
		f := &r.move.failures[i]
		if f.member == m {
			f.backoff = min(2*f.backoff, maxHandOverBackoff)
			f.until = now + f.backoff
			return
		}
	}
	r.move.failures = append(r.move.failures, failure{m, now + r.n.cfg.SettleTime, r.n.cfg.SettleTime})
	if len(r.move.failures) > layout.MaxReplication*2 {
		r.move.failures = r.move.failures[1:]
	}
}

// dueMove is the step that this node, for its part in the partition, should
// make now: finish or cancel the move, or hand over.
func (r *replica) dueMove(now time.Duration) (layout.Step, bool) {
	a := r.known()
	step := layout.Step{Partition: r.id, Epoch: a.Epoch}
	if r.n.self == 0 || !a.Names(r.n.self) || r.n.stopping {
		return step, false
	}
	g := r.reign
	leads := g != nil && g.epoch == a.Epoch && g.active && !g.quiet && !g.closing && !g.abandoned
	switch {
	case a.Moving() && leads:
		step.Kind, step.Primary = layout.FinishMove, g.bestOf(a.Next)
		return step, true
	case a.Moving():
		step.Kind, step.Primary = layout.CancelMove, a.Primary
		if !contains(a.Replicas, a.Primary) {
			step.Primary = a.Replicas[0]
		}
		return step, r.moveTimedOut(a, now)
	case leads:
		step.Kind = layout.ChangePrimary
		step.Primary = g.handOverTo(now)
		return step, step.Primary != 0
	}
	return step, false
}

// moveTimedOut: the primary cancels first, any of R five seconds later.
func (r *replica) moveTimedOut(a *Assignment, now time.Duration) bool {
	stood := now - r.move.since
	if a.Primary == r.n.self {
		return stood > r.n.cfg.MoveTimeout
	}
	return contains(a.Replicas, r.n.self) && stood > r.n.cfg.MoveTimeout+r.n.cfg.MoveTimeout/2
}

// bestOf is this node if it is in the set, else the follower in it that has
// most of the log.
func (g *reign) bestOf(set []MemberNumber) MemberNumber {
	if contains(set, g.r.n.self) {
		return g.r.n.self
	}
	best, match := set[0], Index(0)
	for _, f := range g.followers {
		if contains(set, f.member) && f.match > match {
			best, match = f.member, f.match
		}
	}
	return best
}

// handOverTo is the ring's preferred primary, if it is another replica that is
// fit to lead and has not failed lately; 0 if not.
func (g *reign) handOverTo(now time.Duration) MemberNumber {
	n := g.r.n
	if now-g.started < n.cfg.SettleTime {
		return 0
	}
	preferred := n.preferred(g.r.id)
	if preferred == n.self {
		return 0
	}
	f := g.follower(preferred)
	if f == nil || !f.inR || now-f.answered > n.cfg.SuspectAfter/2 || f.match+handOverLag < g.r.commit {
		return 0
	}
	for _, failed := range g.r.move.failures {
		if failed.member == preferred && now < failed.until {
			return 0
		}
	}
	return preferred
}
