package node

import (
	"testing"

	"dkv/node/door"
)

// TestARefusedRequestIsNotProposedLater checks rule "refuse only for good": a write that
// waits for a reign to start, and is refused because that takes too long, must not get
// into the log when the reign leads at last.
func TestARefusedRequestIsNotProposedLater(t *testing.T) {
	d := newDoors(t, storeOfMember(t))
	d.sync()
	n := d.node
	from2 := func(m Message) {
		n.OnMessage(d.frame(2, m))
		n.EndTurn()
		d.sync()
	}
	from2(&PreVote{Items: []PreVoteItem{{0, Assignment{Epoch: 6, Primary: 1, Replicas: []MemberNumber{1, 2, 3}}}}})
	var answers []door.Response
	n.OnRequest(door.Request{Kind: door.RequestPut, Key: []byte("late"), Value: []byte("x")}, func(r door.Response) { answers = append(answers, r) })
	n.EndTurn()
	if len(answers) != 0 || len(n.replicas[0].reign.queue) != 1 {
		t.Fatalf("answers %v, %d in the queue, want the write to wait", answers, len(n.replicas[0].reign.queue))
	}
	d.now += n.cfg.RequestTimeout
	n.tickRequests(d.now)
	if len(answers) != 1 || answers[0].Outcome != door.Refused {
		t.Fatalf("answers %v, want a refusal", answers)
	}
	from2(&Promise{Partition: 0, Epoch: 6, LastEpoch: 4, LastIndex: 5})
	r := n.replicas[0]
	if e := r.log.at(6); r.log.lastIndex() != 6 || e.Kind != EntryNoop {
		t.Errorf("the log ends at %d with %q, want 6 and the no-op", r.log.lastIndex(), r.log.at(r.log.lastIndex()).Key)
	}
}
