package world

import (
	"errors"
	"slices"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// ask makes a call without waiting. answer and at tell the result and its time later.
func (s *zkScript) ask(path string) (answer *error, at *time.Duration) {
	var err error = errPending
	var when time.Duration
	s.Do(func() {
		s.session.Get(path, false, func(_ []byte, _ door.Stat, e error) { err, when = e, s.world.Now() })
	})
	return &err, &when
}

var errPending = errors.New("not answered yet")

func TestDoorSendsOneCallAtATime(t *testing.T) {
	for _, one := range []bool{false, true} {
		s := newZKScriptOf(t, schedule.DoorView{OneAtATime: one})
		began := s.world.Now()
		var last *time.Duration
		for range 20 {
			_, last = s.ask("/")
		}
		s.wait("the answers", func() bool { return *last > 0 })
		if took := *last - began; one != (took > 8*time.Millisecond) { // a round trip is 0.4 ms or more
			t.Errorf("one at a time %v: 20 calls took %v", one, took)
		}
		if queued := counters(s.world)["door-call-queued"]; one != (queued > 0) {
			t.Errorf("one at a time %v: counted %d", one, queued)
		}
	}
}

func TestDoorEndsACallThatFindsNoConnection(t *testing.T) {
	s := newZKScriptOf(t, schedule.DoorView{Deadlines: true})
	s.world.CutZooKeeper(0)
	s.wait("the loss", func() bool { return s.events[len(s.events)-1].Kind == door.EventDisconnected })
	began := s.world.Now()
	err, at := s.ask("/")
	s.wait("the answer", func() bool { return *at > 0 })
	if took := *at - began; !errors.Is(*err, door.ErrUnknownOutcome) || took < 240*time.Millisecond || took > 300*time.Millisecond {
		t.Errorf("%v after %v, the session timeout is a second", *err, took)
	}
	if counters(s.world)["door-call-unsent"] != 1 {
		t.Error("not counted")
	}
}

func TestDoorCutsTheConnectionOfALateAnswer(t *testing.T) {
	s := newZKScriptOf(t, schedule.DoorView{Deadlines: true})
	zk := s.world.ZooKeeper()
	follower := s.session.(*session).client.Server()
	if leader, _ := zk.Leader(); leader == follower {
		zk.ChangeLeader(false)
		s.wait("another leader", func() bool {
			l, serves := zk.Leader()
			return serves && l != s.session.(*session).client.Server() && s.session.(*session).connected
		})
		follower = s.session.(*session).client.Server()
	}
	zk.SetLag(follower, zksim.Range{Min: 20 * time.Second, Max: 20 * time.Second})
	began := s.world.Now()
	var err error = errPending
	s.Do(func() {
		s.session.Multi([]door.Op{{Kind: door.OpCreate, Path: "/late"}}, func(e error) { err = e })
	})
	s.wait("the answer", func() bool { return err != errPending })
	if took := s.world.Now() - began; !errors.Is(err, door.ErrUnknownOutcome) || took < time.Second || took > 1100*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	if counters(s.world)["door-call-late"] != 1 {
		t.Error("not counted")
	}
	s.wait("the loss", func() bool { return s.events[len(s.events)-1].Kind == door.EventDisconnected })
}

func TestDoorTellsAPathOnceUntilTheNodeHasHeard(t *testing.T) {
	for _, coalesce := range []bool{false, true} {
		s := newZKScriptOf(t, schedule.DoorView{Coalesce: coalesce})
		n := len(s.events)
		s.Do(func() {
			for range 3 {
				s.session.(*session).WatchEvent(zktree.Event{Path: "/a"})
			}
			s.session.(*session).WatchEvent(zktree.Event{Path: "/b"})
		})
		s.Settle()
		s.Do(func() { s.session.(*session).WatchEvent(zktree.Event{Path: "/a"}) })
		s.Settle()
		want := map[bool]int{false: 5, true: 3}[coalesce]
		if got := len(s.events) - n; got != want {
			t.Errorf("coalesce %v: %d events, want %d", coalesce, got, want)
		}
		if counted := counters(s.world)["door-event-coalesced"]; coalesce != (counted == 2) {
			t.Errorf("coalesce %v: counted %d", coalesce, counted)
		}
	}
}

func TestDoorGivesASilentSessionUp(t *testing.T) {
	s := newZKScriptOf(t, schedule.DoorView{Watchdog: true})
	for server := range 3 { // the session stays alive, but no server accepts its client
		s.world.ZooKeeper().SetLag(server, zksim.Range{})
	}
	s.world.ZooKeeper().Down()
	s.wait("the loss", func() bool { return s.events[len(s.events)-1].Kind == door.EventDisconnected })
	began, id := s.world.Now(), s.session.ID()
	s.wait("the end", func() bool { return s.events[len(s.events)-1].Kind == door.EventExpired })
	if took := s.world.Now() - began; took < 1990*time.Millisecond || took > 2100*time.Millisecond {
		t.Errorf("given up after %v, want twice the session timeout", took)
	}
	if !s.world.ZooKeeper().SessionAlive(id) || counters(s.world)["door-watchdog"] != 1 {
		t.Error("ZooKeeper has ended the session, or the watchdog was not counted")
	}
	if err := s.multi(door.Op{Kind: door.OpCreate, Path: "/late"}); !errors.Is(err, door.ErrSessionOver) {
		t.Errorf("a call after it: %v", err)
	}
}

func TestDoorHoldsCallsUntilWatchesAreSetAgain(t *testing.T) {
	s := newZKScriptOf(t, schedule.DoorView{Rewatch: 1})
	s.Do(func() { s.session.Get("/", true, func([]byte, door.Stat, error) {}) })
	s.Settle()
	s.session.(*session).client.Cut()
	back := func() bool {
		kinds := make([]door.SessionEventKind, 0)
		for _, ev := range s.events {
			kinds = append(kinds, ev.Kind)
		}
		return slices.Equal(kinds, []door.SessionEventKind{door.EventConnected, door.EventDisconnected, door.EventConnected})
	}
	s.wait("the session again", back)
	began := s.world.Now()
	_, at := s.ask("/")
	s.wait("the answer", func() bool { return *at > 0 })
	if took := *at - began; took < rewatchWait-10*time.Millisecond || took > rewatchWait+50*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	if counters(s.world)["door-call-held"] != 1 {
		t.Error("not counted")
	}
}
