package world

import (
	"fmt"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/quorum"
	"dkv/sim/schedule"
)

// cluster returns a world of real nodes that has formed.
func cluster(t testing.TB, cfg Config) *World {
	if cfg.Hosts == 0 {
		cfg.Hosts = 5
	}
	if cfg.Node.Expect == 0 {
		cfg.Node.Expect = cfg.Hosts
	}
	if cfg.Node.Partitions == 0 {
		cfg.Node.Partitions = 8
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	startAll(w)
	for w.Now() < time.Minute {
		w.RunUntil(w.Now() + 100*time.Millisecond)
		ready := 0
		for i := range w.Hosts() {
			if n := w.Node(i); n != nil {
				if ok, _ := n.Ready(); ok {
					ready++
				}
			}
		}
		if ready == w.Hosts() {
			return w
		}
	}
	t.Fatalf("not formed after a minute")
	return nil
}

// ask sends a request and waits for the answer.
func ask(t testing.TB, w *World, host int, r door.Request) door.Response {
	var got *door.Response
	w.Submit(host, r, func(resp door.Response, broken bool) {
		if broken {
			t.Errorf("%s: the connection broke", schedule.HostName(host))
		}
		got = &resp
		w.Interrupt()
	})
	w.RunUntil(w.Now() + time.Minute)
	if got == nil {
		t.Fatalf("%s did not answer", schedule.HostName(host))
	}
	return *got
}

func TestClusterForms(t *testing.T) {
	w := cluster(t, Config{Seed: 1})
	l := w.Layout()
	if l == nil || l.Q() != 8 || len(l.Members()) != 5 {
		t.Fatalf("layout %+v", l)
	}
	for i := range w.Hosts() {
		if m := w.MemberOf(i); m == 0 || w.HostOf(m) != i {
			t.Errorf("%s is member %d, whose host is %d", schedule.HostName(i), m, w.HostOf(m))
		}
	}
	for n := range 20 {
		key := fmt.Appendf(nil, "key-%d", n)
		if r := ask(t, w, n%5, door.Request{Kind: door.RequestPut, Key: key, Value: []byte("v")}); r.Outcome != door.Done {
			t.Errorf("put at %s: %+v", schedule.HostName(n%5), r)
		}
		if r := ask(t, w, (n+2)%5, door.Request{Kind: door.RequestGet, Key: key}); r.Outcome != door.Done || string(r.Value) != "v" {
			t.Errorf("get at %s: %+v", schedule.HostName((n+2)%5), r)
		}
	}
}

// busy makes a client at each host write and read until the run ends.
func busy(w *World, clients int) {
	n := uint64(0)
	for c := range clients {
		host := c % w.Hosts()
		var next func()
		next = func() {
			n++
			r := door.Request{Kind: door.RequestGet, Key: fmt.Appendf(nil, "key-%d", n%97)}
			if n%2 == 0 {
				r.Kind, r.Value = door.RequestPut, fmt.Appendf(nil, "value-%d", n)
			}
			w.Submit(host, r, func(door.Response, bool) { w.After(time.Millisecond, next) })
		}
		w.After(0, next)
	}
}

func TestRealNodesRunTheSameTwice(t *testing.T) {
	run := func(seed uint64) *World {
		cfg := Config{Seed: seed, ZooKeeper: quickZK(), SessionTimeout: time.Second, DriftPPM: 200,
			Turns: TurnProfile{Most: 8, Delay: Range{0, 100 * time.Microsecond}}}
		w := cluster(t, cfg)
		busy(w, 5)
		for i, host := range []int{0, 3, 1} {
			w.After(time.Duration(i+1)*500*time.Millisecond, func() { w.Crash(host); w.Restart(host) })
		}
		w.After(4*time.Second, func() { w.PowerLoss(); startAll(w) })
		w.RunUntil(w.Now() + 8*time.Second)
		return w
	}
	a, b := run(9), run(9)
	if a.TraceHash() != b.TraceHash() || a.Steps() != b.Steps() {
		t.Errorf("%d steps %x, then %d steps %x", a.Steps(), a.TraceHash(), b.Steps(), b.TraceHash())
	}
	if c := counters(a); c["crash"] != 8 || c["restart"] != 8 || a.Steps() < 10_000 {
		t.Errorf("crash %d, restart %d, steps %d", c["crash"], c["restart"], a.Steps())
	}
}

// settle runs the world until a condition holds, for at most two minutes.
func settle(t testing.TB, w *World, what string, cond func() bool) {
	for end := w.Now() + 2*time.Minute; !cond(); {
		if w.Now() > end {
			t.Fatalf("waited in vain for %s", what)
		}
		w.RunUntil(w.Now() + 50*time.Millisecond)
	}
}

func TestAdministratorMovesAndCancels(t *testing.T) {
	w := cluster(t, Config{Seed: 3, ZooKeeper: quickZK()})
	before := w.Layout()
	p, _ := before.Partition(2)
	var next []node.MemberNumber
	for _, m := range before.Members() {
		if !p.Names(m.Number) || m.Number == p.Primary {
			next = append(next, m.Number)
		}
	}
	var taken []bool
	note := func(ok bool) { taken = append(taken, ok) }
	w.Cancel(2, note)           // there is nothing to cancel
	w.Move(2, p.Replicas, note) // this is where it is
	w.Move(99, next, note)
	settle(t, w, "refusals", func() bool { return len(taken) == 3 })
	if taken[0] || taken[1] || taken[2] || counters(w)["move"]+counters(w)["cancel"] != 0 {
		t.Errorf("impossible requests succeeded: %v", taken)
	}
	w.ZooKeeper().LoseNextWrite("operator", true)
	w.Move(2, next, note)
	settle(t, w, "the move", func() bool { return len(taken) == 4 })
	if !taken[3] || counters(w)["move"] != 1 {
		t.Errorf("taken: %t, counted: %d", taken[3], counters(w)["move"])
	}
	after, _ := w.Layout().Partition(2)
	if after.Epoch == p.Epoch || after.Primary != p.Primary {
		t.Errorf("the partition was %+v, now %+v", p, after)
	}
}

func TestAdministratorGivesUpWithoutZooKeeper(t *testing.T) {
	w := cluster(t, Config{Seed: 3, ZooKeeper: quickZK()})
	w.ZooKeeper().Down()
	heard := 0
	for range maxRequests + 5 {
		w.Cancel(1, func(taken bool) {
			if taken {
				t.Error("a step was taken without ZooKeeper")
			}
			heard++
		})
	}
	w.RunUntil(w.Now() + time.Second)
	if heard != 5 {
		t.Errorf("%d requests beyond the bound were refused, want 5", heard)
	}
	w.RunUntil(w.Now() + 30*time.Minute)
	if heard != maxRequests+5 {
		t.Errorf("%d of %d requests ended", heard, maxRequests+5)
	}
}

// TestHealCoreLeavesTheRestBroken checks rule "safe but stuck is a bug": a majority
// that can reach one another gets primaries that serve, while the rest stays broken.
func TestHealCoreLeavesTheRestBroken(t *testing.T) {
	w := cluster(t, Config{Seed: 5, ZooKeeper: quickZK(), SessionTimeout: time.Second})
	for i := range 5 {
		w.CutZooKeeper(i)
		w.Pause(i)
		w.Network().Isolate(w.NetID(i))
	}
	w.SlowDisk(0, Range{time.Hour, time.Hour})
	w.RunUntil(w.Now() + 5*time.Second)
	w.HealCore(0, 1, 2)
	inCore := func(m node.MemberNumber) bool { return w.HostOf(m) < 3 }
	settle(t, w, "sessions in the core, and primaries wherever it has a majority", func() bool {
		for i := range 3 {
			if !w.ZooKeeper().SessionAlive(w.hosts[i].sessionID()) {
				return false
			}
		}
		for _, p := range w.Layout().Partitions() {
			have := 0
			for _, m := range p.Replicas {
				if inCore(m) {
					have++
				}
			}
			if have >= quorum.Majority(len(p.Replicas)) && !inCore(p.Primary) {
				return false
			}
		}
		return true
	})
	alive := func(i int) bool { return w.ZooKeeper().SessionAlive(w.hosts[i].sessionID()) }
	settle(t, w, "sessions in the core", func() bool { return alive(0) && alive(1) && alive(2) })
	for i := range 5 {
		if core := i < 3; w.Running(i) != core || alive(i) != core {
			t.Errorf("%s: %v, session alive: %t", schedule.HostName(i), w.State(i), !core)
		}
	}
	w.HealAll()
	w.RunUntil(w.Now() + 20*time.Second)
	for i := range 5 {
		if ok, why := w.Node(i).Ready(); !ok {
			t.Errorf("%s is not ready: %s", schedule.HostName(i), why)
		}
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, cfg := range []Config{
		{Hosts: -1}, {Hosts: MaxHosts + 1}, {Turns: TurnProfile{Most: 257}}, {DriftPPM: -1}, {DriftPPM: schedule.MaxDriftPPM + 1},
		{SessionTimeout: -1}, {Recovery: Range{2, 1}}, {Disk: DiskProfile{Sync: Range{-1, 1}}},
		{Order: schedule.Order{Picks: "3"}}, {Hosts: 3, Order: schedule.Order{Crash: schedule.CrashPoint{Host: 3, Step: 1}}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if _, err := New(Config{}); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
}
