package node

import (
	"time"

	"dkv/node/layout"
)

// How a partition gets to the members that the ring names, when members came or went: its
// primary moves it (rule "move to the target").

const (
	// maxMovesLed bounds the moves that one node leads at a time.
	maxMovesLed = 2
	// maxMoveBackoff bounds how long a move that failed is put off.
	maxMoveBackoff = 5 * time.Minute
)

// moveTarget returns where this partition should move now, or nil. Not to fewer replicas
// than it has: with too few members, a lost replica that is still listed costs nothing, and
// the next member that joins takes its place.
func (g *reign) moveTarget(now time.Duration) []MemberNumber {
	n, r := g.r.n, g.r
	target := n.target(r.id)
	if now-g.started < n.cfg.SettleTime || now < r.move.retryAt || len(target) < min(n.layout.Replication(), len(g.asg.Replicas)) {
		return nil
	}
	next := make([]MemberNumber, 0, len(target))
	for _, m := range target {
		next = append(next, MemberNumber(m))
	}
	if sameMembers(next, g.asg.Replicas) || !n.hearsAll(next) || n.movesLed() >= maxMovesLed {
		return nil
	}
	return next
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

// movesLed counts the moves that this node leads.
func (n *Node) movesLed() int {
	led := 0
	for p := range n.assignments {
		if a := &n.assignments[p]; a.Moving() && a.Primary == n.self {
			led++
		}
	}
	return led
}

// failed makes the next try to move wait, twice as long after each failure in a row.
func (w *moveWatch) failed(now, first time.Duration) {
	w.backoff = min(max(2*w.backoff, first), maxMoveBackoff)
	w.retryAt = now + w.backoff
}

// beginMove is the step towards the ring's target.
func (g *reign) beginMove(step layout.Step, next []MemberNumber) layout.Step {
	step.Kind, step.Primary, step.Next = layout.BeginMove, g.asg.Primary, next
	return step
}
