package node

import (
	"fmt"
	"time"
)

// Whether a node should be sent requests. Only what it sees itself counts: that it keeps a
// partition whose primary it is, or hears. Who may be asked instead is not its business.

// readiness is what the ticks saw.
type readiness struct {
	servedAt time.Duration // when a partition that this node keeps was last seen to have a primary with a majority
	caughtUp bool          // every replica here once followed its primary, or had none to follow
}

// unservedTime is how long all partitions of this node may be without a primary before it
// says that it can't serve. Take-overs fit into it; clients should look for another node
// when one does not come.
func (n *Node) unservedTime() time.Duration { return max(3*time.Second, 6*n.cfg.SuspectAfter) }

// tickReady looks at every replica. A member without any answers by forwarding alone, and
// has nothing to catch up with.
func (n *Node) tickReady(now time.Duration) {
	if n.layout == nil || n.self == 0 {
		n.readiness.servedAt = now
		return
	}
	keeps, served, behind := false, false, false
	for _, r := range n.replicas {
		if r == nil || !r.known().Names(n.self) {
			continue
		}
		keeps = true
		served = served || r.served(now)
		behind = behind || r.behind(now)
	}
	if served || !keeps {
		n.readiness.servedAt = now
	}
	n.readiness.caughtUp = n.readiness.caughtUp || !behind
}

// served reports whether the partition has a primary with a majority, as far as can be told
// here: a primary without one goes quiet, and is not heard.
func (r *replica) served(now time.Duration) bool {
	if g := r.reign; g != nil && g.epoch == r.known().Epoch {
		return g.active && !g.quiet && !g.abandoned
	}
	return r.silence(now) < r.n.cfg.SuspectAfter
}

// behind reports whether a follower has yet to show its primary that it has the log, but
// for the little that a hand-over would allow. One whose primary is silent for long has
// nothing to catch up with.
func (r *replica) behind(now time.Duration) bool {
	if r.known().Primary == r.n.self || r.lost || r.silence(now) >= r.n.unservedTime() {
		return false
	}
	return r.ackEpoch != r.known().Epoch || r.commit+copyLag < r.toldCommit
}

// mayServe is the part of Ready that the ticks decide.
func (n *Node) mayServe() (ok bool, why string) {
	if !n.readiness.caughtUp {
		return false, "its replicas are catching up with their primaries after the start"
	}
	if bound := n.unservedTime(); n.now()-n.readiness.servedAt > bound {
		return false, fmt.Sprintf("no partition that this node keeps has had a primary with a majority for %v", bound)
	}
	return true, ""
}
