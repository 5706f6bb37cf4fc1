package node

import (
	"testing"
	"time"

	"dkv/node/door"
)

// Planned steps of the layout: rule "drain before a planned step".

// draining4 leads epoch 5 of 1, 2 and 4, of which the ring prefers 4, and is about to hand
// over; proposed is in the log, and not committed.
func draining4(t *testing.T) (s *setup, proposed *client) {
	t.Helper()
	a := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1, 2, 4}}
	s = newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
	s.promise(2, 1, 2)
	for s.now < 10*time.Second-suspect/4 {
		s.ack(2, 4)
		s.pass(suspect / 4)
	}
	s.ack(2, 4)
	proposed = s.put("k", "proposed before")
	s.pass(suspect / 4)
	if s.zk.count(setLayout) > 0 || !s.replica().reign.draining.on {
		t.Fatalf("%d sets, draining: %v", s.zk.count(setLayout), s.replica().reign.draining.on)
	}
	s.forget()
	return s, proposed
}

// TestAPlannedStepWaitsForWhatWasProposed checks the whole way of a hand-over: what was
// proposed is answered, and what came later is refused for good or sent to the new primary.
func TestAPlannedStepWaitsForWhatWasProposed(t *testing.T) {
	s, proposed := draining4(t)
	held := s.put("k", "held")
	s.forward(2, 5, 1, putK)
	s.settle()
	s.wantLog(1, 1, 5, 5)
	s.ack(2)
	proposed.want(t, door.Done)
	if s.zk.count(setLayout) > 0 {
		t.Fatal("handed over to a member that lacks an entry")
	}
	s.ack(4)
	if a := s.replica().known(); a.Epoch != 6 || a.Primary != 4 || s.saw(EventHandOver) != 1 {
		t.Fatalf("the assignment is %+v, want epoch 6 under 4 as soon as all is committed", *a)
	}
	if p := one[*ForwardReply](s, 2); p.Response.Outcome != door.Refused || p.Known.Epoch != 6 {
		t.Errorf("the forward that was held is answered %+v", *p)
	}
	if f := one[*Forward](s, 4); f.Epoch != 6 || string(f.Request.Value) != "held" {
		t.Errorf("forwarded %+v, want the put that was held, in epoch 6", *f)
	}
	held.want(t)
	if s.saw(EventHeldForStep) != 2 || s.saw(EventDrained) != 1 {
		t.Errorf("%d requests were held, and %d steps drained", s.saw(EventHeldForStep), s.saw(EventDrained))
	}
}

// TestAStepIsTakenThoughTheLogIsNotCommitted: what hinders it may last.
func TestAStepIsTakenThoughTheLogIsNotCommitted(t *testing.T) {
	s, _ := draining4(t)
	for range 3 {
		s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 3})
		s.beatReply(4, BeatReplyItem{Epoch: 5, Promised: 5, Match: 3})
		s.pass(suspect / 4)
	}
	if s.saw(EventHandOver) != 1 || s.saw(EventDrained) != 0 {
		t.Errorf("%d hand-overs, %d drained", s.saw(EventHandOver), s.saw(EventDrained))
	}
}

// TestWritesContinueWhenAStepFails: after a conflict at once, without ZooKeeper's answer
// after suspect-after.
func TestWritesContinueWhenAStepFails(t *testing.T) {
	t.Run("conflict", func(t *testing.T) {
		s, _ := draining4(t)
		s.put("k", "held")
		s.zk.put(layoutPath, encoded(s.t, s.node.layout), s.node.layout.Version()+1)
		s.ack(2, 4)
		if s.saw(EventLayoutConflict) != 1 {
			t.Fatal("no conflict")
		}
		s.wantLog(1, 1, 5, 5, 5)
	})
	t.Run("no answer", func(t *testing.T) {
		s, _ := draining4(t)
		s.put("k", "held")
		s.slowZookeeper = true
		for range 2 {
			s.ack(2, 4)
			s.pass(suspect / 4)
		}
		s.wantLog(1, 1, 5, 5)
		for range 3 {
			s.ack(2, 4)
			s.pass(suspect / 4)
		}
		s.wantLog(1, 1, 5, 5, 5)
		s.put("k", "not held")
		s.wantLog(1, 1, 5, 5, 5, 5)
	})
	t.Run("no longer due", func(t *testing.T) {
		s, _ := draining4(t)
		s.put("k", "held")
		s.replica().move.failures = []failure{{4, time.Hour, time.Hour}}
		s.pass(suspect / 4)
		s.wantLog(1, 1, 5, 5, 5)
	})
}

// A reign to which no forward came refuses one that comes when it is over.
func TestAForwardThatComesAfterAReignIsRefused(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.prepare(led(2, 6))
	s.forget()
	s.forward(3, 5, 1, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused || p.Known.Epoch != 6 {
		t.Errorf("answered %+v", *p)
	}
	s.pass(FatesKept + time.Second)
	s.forget()
	s.forward(3, 5, 2, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Unknown {
		t.Errorf("answered %+v after the record was discarded", *p)
	}
}
