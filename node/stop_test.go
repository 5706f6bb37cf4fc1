package node

import (
	"testing"
	"time"

	"dkv/node/door"
)

// An orderly stop: rule "hand over before leaving".

// stopping is the leader of epoch 5, told to stop while a write is not committed.
func stopping(t *testing.T) (s *setup, proposed *client, left *bool) {
	t.Helper()
	s = leader(t, Config{}, newZookeeper())
	s.passWith2(2 * suspect)
	proposed = s.put("k", "proposed before")
	s.forget()
	left = new(bool)
	s.node.Stop(func() { *left = true })
	s.settle()
	return s, proposed, left
}

// answerLayouts answers, as these members, that they know the node's layout.
func (s *setup) answerLayouts(members ...MemberNumber) {
	for _, m := range members {
		s.from(m, &LayoutCopy{encoded(s.t, s.node.layout)})
	}
}

// TestAStoppingPrimaryHandsOver checks the whole way: nothing new enters the log, the
// partition goes to a replica that has all of it, what was held is refused to its origin,
// or sent to the heir, and the node leaves when that was answered and the peers know.
func TestAStoppingPrimaryHandsOver(t *testing.T) {
	s, proposed, left := stopping(t)
	s.forward(3, 5, 1, putK)
	s.settle()
	held := s.put("k", "held")
	s.wantLog(1, 1, 4, 5, 5)
	s.pass(suspect / 8)
	if s.zk.count(setLayout) > 0 {
		t.Fatal("handed over before what was proposed is committed")
	}
	none[*ForwardReply](s)
	s.ack(2)
	proposed.want(t, door.Done)
	held.want(t)
	s.forget()
	s.pass(suspect / 16)
	if a := s.replica().known(); a.Epoch != 6 || a.Primary != 2 || s.zk.count(setLayout) != 1 || s.saw(EventHandedOverAtStop) != 1 {
		t.Fatalf("the assignment is %+v after %d sets, want epoch 6 under 2, which has the whole log", *a, s.zk.count(setLayout))
	}
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused || p.Known.Epoch != 6 {
		t.Errorf("the forward that was held is answered %+v", *p)
	}
	f := one[*Forward](s, 2)
	if f.Epoch != 6 || string(f.Request.Value) != "held" {
		t.Errorf("forwarded %+v, want the put that was held, in epoch 6", *f)
	}
	if len(sent[*LayoutCopy](s)) == 0 || s.saw(EventHeldAtStop) != 2 {
		t.Errorf("%d layouts sent, %d requests were held", len(sent[*LayoutCopy](s)), s.saw(EventHeldAtStop))
	}
	s.put("k", "late").want(t, door.Refused)
	s.answerLayouts(2, 3)
	s.pass(suspect)
	if *left {
		t.Fatal("left before the forward was answered")
	}
	s.answerLayouts(2, 3)
	s.from(2, &ForwardReply{Partition: 0, ID: f.ID, Origin: 1, Response: door.Response{Outcome: door.Done, Version: 9}, Known: *s.replica().known()})
	held.want(t, door.Done)
	s.pass(suspect / 4)
	if !*left || !s.zk.session.closed {
		t.Fatalf("left: %v, session closed: %v", *left, s.zk.session.closed)
	}
}

// A peer that does not know the heir yet may have sent a write; it would wait for an answer
// in vain.
func TestAStoppingNodeWaitsForPeersToKnow(t *testing.T) {
	s, _, left := stopping(t)
	s.ack(2, 3)
	s.pass(suspect / 16)
	s.forget()
	s.answerLayouts(2)
	s.from(3, &RollReply{})
	s.pass(suspect / 2)
	if *left {
		t.Fatal("left before 3 knows")
	}
	s.forward(3, 5, 9, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused || p.Known.Epoch != 6 {
		t.Errorf("a late forward is answered %+v", *p)
	}
	s.answerLayouts(3)
	s.pass(suspect / 32)
	if *left {
		t.Fatal("left at once, though a forward had just come")
	}
	s.pass(suspect / 4)
	if !*left {
		t.Fatal("has not left though all know")
	}
}

// TestAReplicaThatLacksEntriesIsNoHeir: only a log that ends where the own one does. The
// ring's choice comes first among those.
func TestAReplicaThatLacksEntriesIsNoHeir(t *testing.T) {
	for _, c := range []struct {
		name string
		full []MemberNumber
		heir MemberNumber
	}{
		{"the ring's choice", []MemberNumber{2, 4}, 4},
		{"the other", []MemberNumber{2}, 2},
	} {
		a := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1, 2, 4}} // the ring prefers 4
		s := newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
		s.promise(2, 1, 2)
		s.ack(2, 4)
		s.put("k", "x")
		s.node.Stop(func() {})
		s.settle()
		s.ack(c.full...)
		s.pass(suspect / 16)
		if got := s.replica().known(); got.Epoch != 6 || got.Primary != c.heir {
			t.Errorf("%s: the assignment is %+v, want epoch 6 under %d", c.name, *got, c.heir)
		}
	}
}

// TestAStopWithoutZooKeeperHoldsNothing: it can hand nothing over.
func TestAStopWithoutZooKeeperHoldsNothing(t *testing.T) {
	s := leader(t, Config{}, newZookeeper())
	s.zk.session.events(door.SessionEvent{Kind: door.EventDisconnected})
	s.settle()
	s.slowZookeeper = true
	left := false
	s.node.Stop(func() { left = true })
	s.settle()
	s.put("k", "late").want(t, door.Refused)
	s.forward(3, 5, 1, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused {
		t.Errorf("answered %+v", *p)
	}
	s.slowZookeeper = false
	s.settle()
	if !left {
		t.Error("has not left")
	}
}

// TestWhatIsHeldTooLongIsRefused: its origin would otherwise have to call it unknown.
func TestWhatIsHeldTooLongIsRefused(t *testing.T) {
	s, proposed, left := stopping(t)
	s.forward(3, 5, 1, putK) // in 5 s at most
	s.settle()
	for s.now < 20*time.Second && !*left {
		s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
		s.pass(suspect / 4)
		if len(sent[*ForwardReply](s)) > 0 && s.saw(EventHandedOverAtStop) == 0 {
			break
		}
	}
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused || s.now > 6*time.Second {
		t.Errorf("answered %+v after %v", *p, s.now)
	}
	for end := s.now + 6*time.Second; s.now < end; s.pass(suspect / 4) {
		s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
	}
	proposed.want(t, door.Unknown)
	if !*left {
		t.Error("has not left")
	}
}
