package node

import (
	"slices"
	"time"

	"dkv/node/layout"
)

// How a partition that is moving gets to its new replicas, or back, and how it gets to
// the primary that the ring prefers.
//
// A move is finished by L3, which needs a fact that no layout holds: this epoch's own
// no-op was committed by R and N. Only the primary that committed it knows, so only
// it takes the step (rule "finish only what you committed"). Cancelling needs no fact:
// until L3, R holds everything that was committed.

// moveWatch is what this process saw of the partition's move. It is volatile: after a
// restart a stuck move gets a whole move-timeout again, and a failure is forgotten.
type moveWatch struct {
	next  []MemberNumber
	from  []MemberNumber // R at that first sight
	since time.Duration  // first sight of this N, whatever the epoch

	// After copies and moves that failed, this node begins none before retryAt.
	retryAt time.Duration
	backoff time.Duration

	failures []failure // members from which this node had to take the partition over
}

// failure keeps a member from being handed the partition for a while.
type failure struct {
	member  MemberNumber
	until   time.Duration
	backoff time.Duration
}

// maxHandOverBackoff bounds how long a member that keeps failing is left alone.
const maxHandOverBackoff = 5 * time.Minute

// watchMove notes since when the N of a newer assignment stands. A change of primary does
// not give the move new time: a joint state in which primaries follow one another is as
// stuck as one in which none acts.
func (r *replica) watchMove(a Assignment) {
	m := &r.move
	if slices.Equal(m.next, a.Next) {
		return
	}
	switch {
	case len(m.next) > 0 && len(a.Next) == 0 && slices.Equal(m.from, a.Replicas):
		m.failed(r.n.now(), r.n.cfg.SettleTime) // it was cancelled
	case len(m.next) > 0:
		m.retryAt, m.backoff = 0, 0
	}
	m.next, m.from, m.since = a.Next, a.Replicas, r.n.now()
}

// tookOverFrom notes that this node had to take the partition over from a member: it was
// not fit to lead, whatever its log says. The next time it waits longer (rule "hand over
// to the fit").
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

// dueMove returns the step that this node, for its part in the partition, should make
// now: finish or cancel the move, or hand over. It is asked again at every tick, and each
// step is conditional on the epoch, so it keeps no memory of what it asked for.
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
		step.Kind, step.Primary = layout.FinishMove, g.bestOf(a.Next, now)
		return step, step.Primary != 0
	case a.Moving():
		step.Kind, step.Primary = layout.CancelMove, a.Primary
		if !contains(a.Replicas, a.Primary) {
			step.Primary = a.Replicas[0]
		}
		return step, r.moveTimedOut(a, now)
	case leads && g.learners.target != nil: // a hand-over would interrupt the copy
		return g.beginMove(step, now)
	case leads:
		step.Kind = layout.ChangePrimary
		step.Primary = g.handOverTo(now)
		return step, step.Primary != 0
	}
	return step, false
}

// moveTimedOut reports whether the joint state has stood for too long (rule "cancel a
// stuck move"). The primary cancels first; any other member of R half a move-timeout
// later, in case the primary can't reach ZooKeeper.
func (r *replica) moveTimedOut(a *Assignment, now time.Duration) bool {
	stood := now - r.move.since
	if a.Primary == r.n.self {
		return stood > r.n.cfg.MoveTimeout
	}
	return contains(a.Replicas, r.n.self) && stood > r.n.cfg.MoveTimeout+r.n.cfg.MoveTimeout/2
}

// bestOf returns this node if it is in the set, else the registered follower in it that
// answers and has most of the log, and so the least to copy when it starts; 0 if none does.
func (g *reign) bestOf(set []MemberNumber, now time.Duration) (best MemberNumber) {
	n, match := g.r.n, Index(0)
	if contains(set, n.self) {
		return n.self
	}
	for _, f := range g.followers {
		fit := now-f.answered <= n.cfg.SuspectAfter/2 && n.roster.hasMember(n.layout, f.member)
		if contains(set, f.member) && fit && f.match > match {
			best, match = f.member, f.match
		}
	}
	return best
}

// handOverTo returns the ring's preferred primary, if it is another replica that is fit to
// lead, is registered and has not failed lately; 0 if not. A hand-over interrupts the partition for as
// long as the successor needs to start, so it must answer promptly and lack little. Only
// after settle-time: a reign that has just begun shows that something is changing.
func (g *reign) handOverTo(now time.Duration) MemberNumber {
	n := g.r.n
	if now-g.started < n.cfg.SettleTime {
		return 0
	}
	preferred := n.preferred(g.r.id)
	if preferred == n.self || !n.roster.hasMember(n.layout, preferred) {
		return 0
	}
	f := g.follower(preferred)
	if f == nil || !f.inR || now-f.answered > n.cfg.SuspectAfter/2 || !g.lacksLittle(f) {
		return 0
	}
	for _, failed := range g.r.move.failures {
		if failed.member == preferred && now < failed.until {
			return 0
		}
	}
	return preferred
}
