package node

import (
	"strings"
	"testing"
	"time"

	"dkv/node/layout"
)

// Moves and hand-overs: how a partition gets to its new replicas and to the primary
// that the ring prefers.

// TestAMoveThatDoesNotEndIsCancelled checks rule "cancel a stuck move": by its
// primary after move-timeout, by another member of R five seconds later.
func TestAMoveThatDoesNotEndIsCancelled(t *testing.T) {
	next := []MemberNumber{4, 5, 6}
	t.Run("by the primary", func(t *testing.T) {
		s := newSetup(t, disk{asg: Assignment{Epoch: 5, Primary: 1, Replicas: three, Next: next}, promised: 4, zk: newZookeeper()})
		s.pass(10 * time.Second)
		if s.zk.count(setLayout) > 0 {
			t.Fatal("cancelled within 10 s")
		}
		s.pass(suspect)
		if a := s.replica().known(); a.Epoch != 6 || a.Moving() || a.Primary != 1 {
			t.Errorf("the assignment is %+v, want no move", *a)
		}
	})
	t.Run("by another", func(t *testing.T) {
		s := newSetup(t, disk{asg: Assignment{Epoch: 5, Primary: 2, Replicas: three, Next: next}, promised: 5, zk: newZookeeper()})
		for end := s.now + 15*time.Second; s.now < end; s.pass(suspect / 4) {
			s.heart(BeatHeart, 5)
		}
		if s.zk.count(setLayout) > 0 {
			t.Fatal("cancelled within 15 s")
		}
		s.pass(suspect / 2)
		if a := s.replica().known(); a.Epoch != 6 || a.Moving() || a.Primary != 2 {
			t.Errorf("the assignment is %+v, want no move and the same primary", *a)
		}
	})
}

// TestAMoveIsFinishedByThePrimaryThatCommittedIt checks rule "finish only what
// you committed": not before the joint no-op is committed.
func TestAMoveIsFinishedByThePrimaryThatCommittedIt(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: three, Next: []MemberNumber{4, 5, 6}}
	s := newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
	s.promise(2, 1, 2)
	s.ack(2, 3, 5)
	s.pass(suspect / 4)
	if s.zk.count(setLayout) > 0 {
		t.Fatal("finished before N has the no-op")
	}
	s.ack(6)
	s.pass(suspect / 4)
	if s.saw(EventMoveFinished) != 1 {
		t.Fatal("not finished")
	}
	l, err := layout.Decode(s.zk.znodes["/dkv/default/layout"].data)
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := l.Partition(0); p.Epoch != 6 || p.Moving() || p.Primary != 5 || p.Replicas[0] != 4 {
		t.Errorf("the assignment is %+v, want epoch 6 of 4, 5, 6, led by 5, which has the whole log", p)
	}
}

// TestAMoveIsFinishedByOneThatIsThere: the next primary answers and is registered, also at the
// time of the step.
func TestAMoveIsFinishedByOneThatIsThere(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: three, Next: []MemberNumber{4, 5, 6}}
	s := newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
	s.promise(2, 1, 2)
	s.zk.fault = func(what string) (bool, error) {
		if strings.HasPrefix(what, setLayout) { // it leaves between the reading and the set
			delete(s.zk.znodes, liveRoot+"/n5")
		}
		return false, nil
	}
	for end := s.now + suspect; s.now < end && s.saw(EventHeirAway) == 0; s.pass(suspect / 32) {
		s.ack(2, 3, 5, 6)
	}
	if s.saw(EventMoveFinished) > 0 || s.saw(EventHeirAway) != 1 {
		t.Fatalf("finished %d times, refused %d times; 5 is not registered", s.saw(EventMoveFinished), s.saw(EventHeirAway))
	}
	for end := s.now + suspect; s.now < end && s.saw(EventMoveFinished) == 0; s.pass(suspect / 8) {
		s.ack(2, 3, 5, 6)
	}
	if p, _ := s.layoutNow().Partition(0); p.Moving() || p.Primary != 6 {
		t.Errorf("the assignment is %+v, want 4, 5, 6, led by 6, which is registered", p)
	}
}

// TestAPartitionIsHandedToThePreferredPrimary checks rule "hand over to the
// fit": after the own settle-time, if the preferred primary answers, has nearly the
// whole log, and has not failed lately.
func TestAPartitionIsHandedToThePreferredPrimary(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1, 2, 4}} // the ring prefers 4
	for _, c := range []struct {
		name   string
		act    func(s *setup)
		handed bool
	}{
		{"fit", func(s *setup) { s.ack(2, 4) }, true},
		{"silent", func(s *setup) { s.ack(2) }, false},
		{"far behind", func(s *setup) {
			s.beatReply(4, BeatReplyItem{Epoch: 5, Promised: 5})
			s.ack(2)
		}, false},
		{"what it lacks is compacted", func(s *setup) {
			s.ackTo(4, 98)
			s.ack(2)
		}, false},
		{"failed lately", func(s *setup) {
			s.replica().move.failures = []failure{{4, time.Hour, time.Hour}}
			s.ack(2, 4)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSetup(t, disk{asg: a, promised: 4, epochs: make100(1), applied: 2, zk: newZookeeper(), config: Config{RetainEntries: 1}})
			s.promise(2, 1, 100)
			for s.now < 10*time.Second {
				c.act(s)
				if s.zk.count(setLayout) > 0 {
					t.Fatalf("handed over after %v", s.now)
				}
				s.pass(suspect / 4)
			}
			for range 4 { // writes are held for a moment first
				c.act(s)
				s.pass(suspect / 4)
			}
			if got := s.saw(EventHandOver) == 1 && s.replica().known().Primary == 4; got != c.handed {
				t.Errorf("handed over: %v, want %v", got, c.handed)
			}
		})
	}
}

// make100 lists an epoch a hundred times.
func make100(e Epoch) (epochs []Epoch) {
	for range 100 {
		epochs = append(epochs, e)
	}
	return epochs
}

// TestAPrimaryMovedAwayForgets checks rule "keep the tombstone": a primary that is not a
// replica any more does not keep its data; its promise outlives them.
func TestAPrimaryMovedAwayForgets(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.from(2, &PreVote{Items: []PreVoteItem{{0, Assignment{Epoch: 6, Primary: 2, Replicas: []MemberNumber{2, 3, 4}}}}})
	s.pass(9 * time.Second)
	if s.saw(EventForgotten) > 0 {
		t.Fatal("forgotten before the settle time")
	}
	s.pass(2 * time.Second)
	if s.saw(EventForgotten) != 1 || s.saw(EventReignEnded) != 1 {
		t.Fatalf("forgotten %d times, reigns ended %d, want one each", s.saw(EventForgotten), s.saw(EventReignEnded))
	}
	for key := range s.rows {
		if strings.HasPrefix(key, "p/") && key != string(promisedKey(0)) {
			t.Errorf("%q is left", key)
		}
	}
	s.restart()
	s.prepare(led(2, 5))
	if j := one[*Reject](s, 2); j.Promised != 6 {
		t.Errorf("rejected with %d, want 6", j.Promised)
	}
	none[*Promise](s)
}
