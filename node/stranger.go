package node

import (
	"dkv/node/door"
	"dkv/node/layout"
)

// A stranger is a node that a layout does not list: one that registered after the cluster
// had formed and has not joined, or a member that was removed. No member can answer it.
// Rule "no answer to strangers" has two sides, since the layouts of two nodes differ in
// age: a node that knows itself to be a stranger refuses its clients at once, and a primary
// drops the forward of a node that it does not know, before anything is proposed.

// notMember is why a node without a place in the layout serves nothing.
const notMember = "this node is not a member of the cluster: the layout does not list its store; 'dkv member list' says why"

// outside reports whether the layout held here says that this node is a stranger.
func (n *Node) outside() bool {
	if n.layout == nil {
		return false
	}
	m, ok := n.layout.Member(n.self)
	return !ok || m.State == layout.Gone
}

// turnAway refuses a client of a stranger.
func (n *Node) turnAway() door.Response {
	n.observe(Event{Kind: EventTurnedAway})
	return refused(notMember)
}

// ignoreForward drops a forward that could not be answered: the layout held here does not
// list the sender or the origin. That layout may be too old, so a newer one is asked for,
// but once an interval; the origin repeats the forward meanwhile.
func (n *Node) ignoreForward(m *Envelope, f *Forward) bool {
	if n.answers(m.From) && n.answers(f.Origin) {
		return false
	}
	n.observe(Event{Kind: EventForwardDropped, Partition: f.Partition, Epoch: f.Epoch, Peer: f.Origin})
	if now := n.now(); n.strangerAt == 0 || now-n.strangerAt >= n.interval() {
		n.strangerAt = now
		n.wantLayout()
	}
	return true
}

// answers reports whether this node knows where to send a member's answers.
func (n *Node) answers(m MemberNumber) bool {
	_, ok := n.peer(m)
	return ok || m == n.self
}
