package node

import (
	"bytes"
	"strings"
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

// answerLayouts answers, as these members and as 4 to 6, that they know the node's layout.
func (s *setup) answerLayouts(members ...MemberNumber) {
	for _, m := range append(members, 4, 5, 6) {
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

// TestAStoppingNodeWaitsForTheRegistered: a peer that has just started may send a request here
// before it was heard.
func TestAStoppingNodeWaitsForTheRegistered(t *testing.T) {
	for _, registered := range []bool{true, false} {
		s, _, left := stopping(t)
		if !registered {
			s.unregister("n3")
		}
		s.ack(2)
		s.pass(suspect / 16)
		s.answerLayouts(2)
		s.pass(suspect / 2)
		if *left == registered {
			t.Fatalf("left: %v, though 3 is registered: %v; it was never heard", *left, registered)
		}
		s.answerLayouts(3)
		s.pass(suspect / 4)
		if !*left {
			t.Fatal("has not left though all know")
		}
	}
}

// TestARestartedNodeTellsItsLayoutAtAStop: what its store held, since it adopted none yet.
func TestARestartedNodeTellsItsLayoutAtAStop(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, zk: newZookeeper()})
	s.restart()
	s.pass(suspect)
	s.forget()
	s.node.Stop(func() {})
	s.pass(suspect / 2)
	copies := sent[*LayoutCopy](s)
	if len(copies) == 0 || !bytes.Equal(copies[0].body.Data, encoded(t, s.node.layout)) {
		t.Fatalf("told %+v, want the layout", copies)
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

// TestAnHeirThatHasLeftIsPassedOver: the set is conditional on the heir's registration, and
// the partition goes to another replica.
func TestAnHeirThatHasLeftIsPassedOver(t *testing.T) {
	s, _, left := stopping(t)
	delete(s.zk.znodes, liveRoot+"/n2")
	s.ack(2)
	s.pass(suspect / 8)
	if s.saw(EventHeirAway) != 1 || s.saw(EventHandedOverAtStop) != 0 {
		t.Fatalf("%d refusals, handed over %d times; 2 is not registered, and 3 lacks entries", s.saw(EventHeirAway), s.saw(EventHandedOverAtStop))
	}
	s.ack(3)
	s.pass(suspect / 4)
	if a := s.replica().known(); a.Epoch != 6 || a.Primary != 3 {
		t.Fatalf("the assignment is %+v, want epoch 6 under 3", *a)
	}
	s.answerLayouts(2, 3)
	s.pass(suspect)
	if s.answerLayouts(2, 3); !*left {
		t.Error("has not left")
	}
}

// TestOrdinaryHandOversGoToTheRegistered: a primary hands nothing to a member of which it
// knows that it is not registered, or does not know that it is.
func TestOrdinaryHandOversGoToTheRegistered(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1, 2, 4}} // the ring prefers 4
	s := newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
	s.promise(2, 1, 2)
	s.ack(2, 4)
	s.unregister("n4")
	waitToHandOver := func() {
		for end := s.now + 3*s.node.cfg.SettleTime; s.now < end; s.pass(suspect / 4) {
			s.ack(2, 4)
		}
	}
	waitToHandOver()
	if s.zk.count(setLayout) > 0 {
		t.Fatalf("%d sets, though the ring's choice is not registered", s.zk.count(setLayout))
	}
	s.zk.fault = func(what string) (bool, error) {
		if strings.HasPrefix(what, setLayout) { // it leaves between the reading and the set
			delete(s.zk.znodes, liveRoot+"/n4")
		}
		return false, nil
	}
	s.register("n4", liveRecord{Store: "disk-4"})
	waitToHandOver()
	if s.saw(EventHeirAway) != 1 || s.replica().known().Epoch != 5 {
		t.Fatalf("%d refusals, the assignment is %+v", s.saw(EventHeirAway), *s.replica().known())
	}
	s.zk.fault = nil
	s.register("n4", liveRecord{Store: "disk-4"})
	waitToHandOver()
	if got := s.replica().known(); got.Epoch != 6 || got.Primary != 4 {
		t.Errorf("the assignment is %+v, want epoch 6 under 4, which is registered again", *got)
	}
}

// TestWhatAStoppingNodeIsGivenGoesOn: a primary may hand a partition to a node of which it does
// not know that it stops. The registration is taken back on the condition that the layout is
// the one known; so the node sees it, and hands it on.
func TestWhatAStoppingNodeIsGivenGoesOn(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
	s.zk.fault = func(what string) (bool, error) {
		if strings.HasPrefix(what, "multi check "+layoutPath+" delete ") && s.zk.znodes[layoutPath].version == 0 {
			s.plantLayout(layoutOf(t, 1, led(1, 6)))
		}
		return false, nil
	}
	left := false
	s.node.Stop(func() { left = true })
	for end := s.now + suspect; s.now < end && !s.node.replicas[0].known().Moving() && s.replica().reign == nil; {
		s.pass(suspect / 32)
	}
	if left || s.saw(EventGivenAtStop) > 0 {
		t.Fatal("left with a partition that was handed over")
	}
	s.promise(2, 1, 2)
	s.ack(2, 3)
	s.pass(suspect / 8)
	if a := s.replica().known(); a.Epoch != 7 || a.Primary == 1 || s.saw(EventGivenAtStop) != 1 {
		t.Fatalf("the assignment is %+v; given %d times", *a, s.saw(EventGivenAtStop))
	}
	s.answerLayouts(2, 3)
	s.pass(suspect)
	if s.answerLayouts(2, 3); !left || s.zk.znodes[liveRoot+"/n1"].owner != 0 {
		t.Errorf("left: %v; the registration is %+v", left, s.zk.znodes[liveRoot+"/n1"])
	}
}

// TestAForwardDuringTheSignOffIsAnswered: the node has signed off when it comes, and waits as
// long as for any other.
func TestAForwardDuringTheSignOffIsAnswered(t *testing.T) {
	s, _, left := stopping(t)
	s.ack(2, 3)
	s.pass(suspect / 16)
	s.answerLayouts(2, 3)
	s.forget()
	s.slowZookeeper = true
	s.pass(suspect / 2)
	s.forward(3, 5, 9, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused {
		t.Errorf("answered %+v", *p)
	}
	s.slowZookeeper = false
	s.settle()
	if *left {
		t.Fatal("left at once, though a forward had just come")
	}
	if s.pass(suspect / 4); !*left {
		t.Fatal("has not left")
	}
}
