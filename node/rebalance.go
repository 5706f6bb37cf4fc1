package node

import "time"

// How a partition gets to the members that the ring names, when members came or went: its
// primary moves it (rule "move to the target"), by way of learners (learner.go), once the list
// of members has not changed for settle-time.

// maxMoveBackoff bounds how long a move that failed is put off.
const maxMoveBackoff = 5 * time.Minute

// moveTarget returns where this partition should move now, or nil. Not to fewer replicas
// than it has: with too few members, a lost replica that is still listed costs nothing, and
// the next member that joins takes its place.
func (g *reign) moveTarget(now time.Duration) []MemberNumber {
	n, r := g.r.n, g.r
	target := n.target(r.id)
	if now-g.started < n.cfg.SettleTime || now < r.move.retryAt || len(target) < min(n.layout.Replication(), len(g.asg.Replicas)) {
		return nil
	}
	there := 0
	for _, m := range target {
		if contains(g.asg.Replicas, MemberNumber(m)) {
			there++
		}
	}
	if there == len(target) && there == len(g.asg.Replicas) {
		return nil // most of the time, hence no allocation before this
	}
	next := make([]MemberNumber, 0, len(target))
	for _, m := range target {
		next = append(next, MemberNumber(m))
	}
	return next
}

// moveProgress counts the replicas that the ring means for members which do not have them.
type moveProgress struct {
	total, left int // left is never more than total
	since       time.Duration
}

// countMoves counts anew, after the layout or the targets have changed. More than were left
// before are a new beginning, whatever was under way.
func (n *Node) countMoves() {
	p, left := &n.planner.moves, 0
	for id, t := range n.planner.targets {
		a, _ := n.layout.Partition(PartitionID(id))
		for _, m := range t.Replicas {
			if !contains(a.Replicas, MemberNumber(m)) {
				left++
			}
		}
	}
	if left > p.left || left == 0 {
		p.total, p.since = left, n.now()
	}
	p.left = left
}

func sameMembers(a, b []MemberNumber) bool {
	if len(a) != len(b) {
		return false
	}
	for _, m := range a {
		if !contains(b, m) {
			return false
		}
	}
	return true
}

// hearsAll reports whether all of the set were heard lately, and asks the others for a sign
// of life: a move to a member that is away would hold the partition up until it is
// cancelled.
func (n *Node) hearsAll(set []MemberNumber) bool {
	all := true
	for _, m := range set {
		if !n.hears(m) {
			n.ping(m)
			all = false
		}
	}
	return all
}

// retryMoves ends the waits after moves that failed: with other members the ring means other
// moves.
func (n *Node) retryMoves() {
	for _, r := range n.replicas {
		if r != nil {
			r.move.retryAt, r.move.backoff = 0, 0
		}
	}
}

// failed makes the next try to copy or to move wait, twice as long after each failure in a row.
func (w *moveWatch) failed(now, first time.Duration) {
	w.backoff = min(max(2*w.backoff, first), maxMoveBackoff)
	w.retryAt = now + w.backoff
}
