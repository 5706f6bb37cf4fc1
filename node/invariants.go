package node

import "fmt"

// The invariants of the core's state stand beside the fields that they speak of:
// reign and follower (reign.go), replica (replica.go), log (log.go), requests
// (request.go), membership (membership.go), fates (dedupe.go) and turn (turn.go).
// Each of these types has a check method that asserts what its comments say.
//
// Assertions (assertf) guard single steps and end the process. These checks look
// at whole states, between two turns, and only report: the simulator calls them
// after every turn, and continues, to see what the broken state leads to.

// broken describes an invariant that does not hold.
func broken(format string, args ...any) error {
	return fmt.Errorf("broken invariant: "+format, args...)
}

// CheckInvariants returns the first invariant that does not hold. The owner calls
// it between two turns, after EndTurn; it changes nothing that matters.
//
// A turn touches few partitions, so only those that were looked at since the last
// call are checked, besides what belongs to the whole node. After a tick, which
// touches everything, so does the check.
func (n *Node) CheckInvariants() error {
	all := n.scratch.ticked
	n.scratch.ticked = false
	defer n.scratch.checked()
	if n.dead {
		return nil // it stopped in the middle of an event, and nothing of it counts
	}
	if err := n.turn.check(); err != nil {
		return err
	}
	if err := n.member.check(); err != nil {
		return err
	}
	if err := n.requests.check(n.cfg.MaxWaiting, all); err != nil {
		return err
	}
	if n.uncommitted < 0 || len(n.assignments) != len(n.replicas) || len(n.transfers) > maxViews {
		return broken("%d bytes uncommitted, %d assignments of %d partitions, %d transfers", n.uncommitted, len(n.assignments), len(n.replicas), len(n.transfers))
	}
	if all {
		return n.checkAll()
	}
	for _, p := range n.scratch.unchecked {
		if r := n.replicas[p]; r != nil {
			if err := r.check(); err != nil {
				return fmt.Errorf("partition %d: %w", p, err)
			}
		}
	}
	return nil
}

// checkAll checks every replica, and what they add up to.
func (n *Node) checkAll() error {
	uncommitted, kept := 0, 0
	for p, r := range n.replicas {
		if r == nil {
			continue
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		kept += r.kept.bytes
		if r.reign != nil {
			uncommitted += r.reign.size
		}
	}
	if uncommitted != n.uncommitted {
		return broken("reigns have %d bytes uncommitted, the node counts %d", uncommitted, n.uncommitted)
	}
	if kept != n.copying.kept {
		return broken("copies need %d bytes of log on disk, the node counts %d", kept, n.copying.kept)
	}
	return nil
}

// scratch holds what is kept only to be used again: no value in it means
// anything between two calls of the methods that use it. Emptying it would cost
// allocations and change nothing else, which is why it stands apart from the
// state of the protocol.
type scratch struct {
	tick func() // tick and scheduleTick

	hearts, pings, confirms beats // empty but while they are filled and sent

	voters    []MemberNumber // of sendPreVotes: the members to ask,
	votes     []*PreVote     // the frame of each,
	voteItems int            // and the most items that one had the last time

	settled  []*replica // will be the next turn.dirty
	asked    []*replica // will be the next turn.reading
	envelope Envelope   // of the message that is being sent

	// For CheckInvariants: the partitions that were looked at since it was last
	// called, each once (listed says which), and whether there was a tick. Where
	// nothing ever calls it, they stop growing at one entry a partition.
	unchecked []PartitionID
	listed    []bool
	ticked    bool
}

// uncheckedPartition notes that a partition's replica may be changed now.
func (s *scratch) uncheckedPartition(p PartitionID) {
	if !s.listed[p] {
		s.listed[p] = true
		s.unchecked = append(s.unchecked, p)
	}
}

func (s *scratch) checked() {
	for _, p := range s.unchecked {
		s.listed[p] = false
	}
	s.unchecked = s.unchecked[:0]
}
