package world

import (
	"errors"
	"slices"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/zksim/zktree"
)

// zkScript is a puppet with a session, and the events that it got.
type zkScript struct {
	*puppetWorld
	session door.Session
	events  []door.SessionEvent
}

func newZKScript(t *testing.T) *zkScript { return newZKScriptOf(t, schedule.DoorView{}) }

func newZKScriptOf(t *testing.T, view schedule.DoorView) *zkScript {
	cfg := Config{Seed: 4, ZooKeeper: quickZK(), SessionTimeout: time.Second, Door: view}
	s := &zkScript{puppetWorld: newPuppetWorld(t, cfg)}
	s.open(s.start(0))
	return s
}

func (s *zkScript) open(p *puppet) {
	s.events = nil
	s.Do(func() {
		s.session = p.env.Coordinator.Open(func(ev door.SessionEvent) { s.events = append(s.events, ev) })
	})
	s.wait("a session", func() bool { return len(s.events) > 0 })
}

func (s *zkScript) wait(what string, cond func() bool) {
	s.t.Helper()
	if !s.RunUntil(cond) {
		s.t.Fatalf("waited in vain for %s", what)
	}
}

func (s *zkScript) multi(ops ...door.Op) error {
	s.t.Helper()
	var got error
	ended := false
	s.Do(func() { s.session.Multi(ops, func(err error) { got, ended = err, true }) })
	s.wait("a multi", func() bool { return ended })
	return got
}

func TestSessionWatchesWhatIsMissing(t *testing.T) {
	s := newZKScript(t)
	var missing error
	ended := false
	s.Do(func() {
		s.session.Get("/a", true, func(_ []byte, _ door.Stat, err error) { missing, ended = err, true })
	})
	s.wait("a get", func() bool { return ended })
	if !errors.Is(missing, door.ErrNoNode) {
		t.Errorf("a missing znode: %v", missing)
	}
	if err := s.multi(door.Op{Kind: door.OpCreateEphemeral, Path: "/a", Data: []byte("1")}); err != nil {
		t.Fatalf("a multi of one: %v", err)
	}
	s.wait("the watch", func() bool { return slices.Contains(s.events, door.SessionEvent{Kind: door.EventChanged, Path: "/a"}) })
	var data []byte
	var stat door.Stat
	s.Do(func() { s.session.Get("/a", false, func(d []byte, st door.Stat, _ error) { data, stat = d, st }) })
	s.wait("another get", func() bool { return data != nil })
	if string(data) != "1" || stat.EphemeralOwner != s.session.ID() || stat.Version != 0 || stat.Czxid == 0 {
		t.Errorf("got %q, %+v; the session is %d", data, stat, s.session.ID())
	}
}

func TestSessionNamesTheCulprit(t *testing.T) {
	s := newZKScript(t)
	if err := s.multi(door.Op{Kind: door.OpCreate, Path: "/a"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op   door.Op
		want error
	}{
		{door.Op{Kind: door.OpSet, Path: "/a", Version: 3}, door.ErrBadVersion},
		{door.Op{Kind: door.OpCheck, Path: "/b", Version: door.AnyVersion}, door.ErrNoNode},
		{door.Op{Kind: door.OpCreate, Path: "/a"}, door.ErrNodeExists},
		{door.Op{Kind: door.OpDelete, Path: "/a/b", Version: door.AnyVersion}, door.ErrNoNode},
	} {
		err := s.multi(door.Op{Kind: door.OpCheck, Path: "/a", Version: 0}, c.op)
		var culprit *door.OpError
		if !errors.As(err, &culprit) || culprit.Op != 1 || !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.op, err)
		}
	}
	err := s.multi(
		door.Op{Kind: door.OpSet, Path: "/a", Version: 0, Data: []byte("2")},
		door.Op{Kind: door.OpCreate, Path: "/a/b"},
		door.Op{Kind: door.OpCheck, Path: "/a", Version: 1},
	)
	if err != nil {
		t.Errorf("a multi that holds: %v", err)
	}
	if err := s.multi(door.Op{Kind: door.OpDelete, Path: "/a", Version: door.AnyVersion}); !errors.Is(err, door.ErrNotEmpty) {
		t.Errorf("deleting a parent: %v", err)
	}
}

func TestSessionEndsOnce(t *testing.T) {
	s := newZKScript(t)
	id := s.session.ID()
	if id == 0 || !s.world.ExpireSession(0) {
		t.Fatal("no session to expire")
	}
	s.wait("the end", func() bool { return s.events[len(s.events)-1].Kind == door.EventExpired })
	if err := s.multi(door.Op{Kind: door.OpCreate, Path: "/late"}); !errors.Is(err, door.ErrSessionOver) {
		t.Errorf("a call on a session that is over: %v", err)
	}
	s.world.RunUntil(s.world.Now() + 3*time.Second)
	if last := s.events[len(s.events)-1]; last.Kind != door.EventExpired {
		t.Errorf("after the end came %+v", last)
	}
	s.open(s.puppets[0])
	closed := false
	s.Do(func() { s.session.Close(func() { closed = true }) })
	s.wait("the close", func() bool { return closed })
	if s.world.ZooKeeper().SessionAlive(s.session.ID()) {
		t.Error("a closed session lives")
	}
	n := len(s.events)
	s.world.RunUntil(s.world.Now() + 3*time.Second)
	if len(s.events) != n {
		t.Errorf("after the close came %+v", s.events[n:])
	}
	again := false
	s.Do(func() { s.session.Close(func() { again = true }) })
	s.wait("another close", func() bool { return again })
}

func TestSessionClosedBeforeItsEventTellsNothing(t *testing.T) {
	s := newZKScript(t)
	n := len(s.events)
	s.Do(func() {
		s.session.(*session).WatchEvent(zktree.Event{Path: "/a"}) // waits for its turn
		s.session.Close(nil)
	})
	s.world.RunUntil(s.world.Now() + time.Second)
	if len(s.events) != n {
		t.Errorf("after the close came %+v", s.events[n:])
	}
}

func TestSessionSurvivesItsProcess(t *testing.T) {
	s := newZKScript(t)
	if err := s.multi(door.Op{Kind: door.OpCreateEphemeral, Path: "/me"}); err != nil {
		t.Fatal(err)
	}
	id := s.session.ID()
	answered := false
	s.Do(func() { s.session.Children("/", false, func([]string, error) { answered = true }) })
	s.world.Crash(0)
	events := len(s.events)
	if !s.world.ZooKeeper().SessionAlive(id) {
		t.Error("the session ended with its process")
	}
	s.world.RunUntil(s.world.Now() + 5*time.Second)
	if answered || len(s.events) != events {
		t.Error("a dead process was called back")
	}
	if _, _, code := s.world.ZooKeeper().Peek("/me"); code != zktree.ErrNoNode {
		t.Errorf("the ephemeral of a dead process: %v", code)
	}
}

func TestLostRepliesAreUnknown(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := newZKScript(t)
		s.world.ZooKeeper().LoseNextWrite(schedule.HostName(0), after)
		if err := s.multi(door.Op{Kind: door.OpCreate, Path: "/x"}); !errors.Is(err, door.ErrUnknownOutcome) {
			t.Errorf("lost, after the effect: %t: %v", after, err)
		}
		if _, _, code := s.world.ZooKeeper().Peek("/x"); (code == zktree.OK) != after {
			t.Errorf("lost, after the effect: %t: the znode: %v", after, code)
		}
	}
}

func TestCutsAddUp(t *testing.T) {
	s := newZKScript(t)
	id := s.session.ID()
	s.world.CutZooKeeper(0)
	s.world.Pause(0)
	s.world.Resume(0)
	s.world.RunUntil(s.world.Now() + 5*time.Second)
	if s.world.ZooKeeper().SessionAlive(id) {
		t.Error("the end of a pause healed the cut")
	}
	if counters(s.world)["cut-zookeeper"] != 1 {
		t.Errorf("the cut counted %d times", counters(s.world)["cut-zookeeper"])
	}
	s.world.HealZooKeeper(0)
	s.wait("the news", func() bool { return s.events[len(s.events)-1].Kind == door.EventExpired })
}

func TestChildrenAreSorted(t *testing.T) {
	s := newZKScript(t)
	for _, name := range []string{"/d", "/d/c", "/d/a", "/d/e", "/d/b", "/d/d"} {
		if err := s.multi(door.Op{Kind: door.OpCreate, Path: name}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	s.Do(func() { s.session.Children("/d", true, func(n []string, _ error) { names = n }) })
	s.wait("the names", func() bool { return names != nil })
	if !slices.Equal(names, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("children %v", names)
	}
	if err := s.multi(door.Op{Kind: door.OpDelete, Path: "/d/c", Version: 0}); err != nil {
		t.Fatal(err)
	}
	s.wait("the watch", func() bool { return slices.Contains(s.events, door.SessionEvent{Kind: door.EventChanged, Path: "/d"}) })
}
