package world

import (
	"testing"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

// A fault counts when it takes effect: not if there is no process that it could affect,
// and not if it ends before anything met it.
func TestFaultsWithoutEffectAreNotCounted(t *testing.T) {
	strike := func(w *World) (heal func()) {
		for host := range w.Hosts() {
			w.CutZooKeeper(host)
			w.SlowHost(host, Range{time.Millisecond, time.Millisecond})
			w.SlowDisk(host, Range{time.Millisecond, time.Millisecond})
			w.StallDisk(host, time.Nanosecond)
			w.BreakDisk(host, true)
			w.FillDisk(host, true)
			w.CrashInTurn(host)
			w.Network().Isolate(w.NetID(host))
			w.Network().Clog(w.NetID(host), w.NetID((host+1)%w.Hosts()))
			w.Network().CutTwoWay(w.NetID(host), w.NetID((host+1)%w.Hosts()))
		}
		return w.HealAll
	}
	t.Run("no process runs", func(t *testing.T) {
		w, _ := toyWorld(t, Config{Seed: 5, ZooKeeper: quickZK()})
		heal := strike(w)
		for host := range w.Hosts() {
			for what, done := range map[string]bool{
				"crash": w.Crash(host), "stop": w.Stop(host), "pause": w.Pause(host), "resume": w.Resume(host),
				"expiry": w.ExpireSession(host), "crash in a turn": w.CrashInTurn(host),
			} {
				if done {
					t.Errorf("%s of a host without a process returned true", what)
				}
			}
			w.FailSync(host)
			w.wipe(host)
			w.ZooKeeper().LoseNextWrite(schedule.HostName(host), true)
			w.ZooKeeper().DelayNextWrite(schedule.HostName(host))
		}
		w.PowerLoss()
		w.Move(0, []node.MemberNumber{1}, nil)
		w.Cancel(0, nil)
		w.RunUntil(20 * time.Second)
		heal()
		w.RunUntil(40 * time.Second)
		wantNoEffects(t, w, nil)
	})
	t.Run("over at once", func(t *testing.T) {
		w, _ := toyWorld(t, Config{Seed: 5, ZooKeeper: quickZK()})
		startAll(w)
		for at := 100 * time.Millisecond; at < 3*time.Second; at += 100 * time.Millisecond {
			w.RunUntil(at)
			before := counters(w)
			strike(w)()
			for host := range w.Hosts() {
				w.Pause(host)
				w.Resume(host)
			}
			wantNoEffects(t, w, before)
		}
	})
}

// wantNoEffects fails the test for each counter that has changed.
func wantNoEffects(t *testing.T, w *World, before map[string]uint64) {
	t.Helper()
	for _, c := range w.Counters() {
		if c.Count != before[c.Name] {
			t.Errorf("counter %s was %d and is %d", c.Name, before[c.Name], c.Count)
		}
	}
}

// The same key gives the same word, whatever was drawn before. Shrinking relies on that:
// taking out one fault must not change the others.
func TestADrawDependsOnItsKeyAlone(t *testing.T) {
	draw := func(r Random) [5]uint64 {
		return [5]uint64{
			r.Draw("a", 1, 2), uint64(r.Between(Range{0, time.Hour}, "b", 3, 4)),
			uint64(r.Below(1<<30, "c", 5, 6)), uint64(1e9 * r.Float("d", 7, 8)), uint64(1e9 * r.LogScale(1, 9, "e", 9, 0)),
		}
	}
	alone := draw(NewRandom(42))
	r := NewRandom(42)
	for i := range uint64(5) {
		r.Draw("another", i, i)
		if got := draw(r); got != alone {
			t.Fatalf("after %d other draws %v, alone %v", i+1, got, alone)
		}
	}
	words := map[uint64]bool{}
	for _, word := range []uint64{
		r.Draw("a", 1, 2), r.Draw("b", 1, 2), r.Draw("a", 2, 2), r.Draw("a", 1, 3), r.Draw("a", 2, 1), NewRandom(43).Draw("a", 1, 2),
	} {
		words[word] = true
	}
	if len(words) != 6 {
		t.Errorf("%d different words of 6 keys", len(words))
	}
}

// A suspended machine sends nothing, receives nothing and writes nothing, while its clock
// continues.
func TestSuspendedMachineStandsStill(t *testing.T) {
	w := cluster(t, Config{Seed: 2, Hosts: 3})
	busy(w, 6)
	w.RunUntil(w.Now() + time.Second)
	clock := w.hosts[0].clock.read(w.Now())
	wake := w.Suspend(0, 3*time.Second)
	w.RunUntil(w.Now() + 500*time.Millisecond) // what was under way is over
	still := w.hosts[0].current.head
	w.RunUntil(w.Now() + 2500*time.Millisecond)
	if w.hosts[0].current.head != still || w.State(0) != Paused {
		t.Error("its process ran")
	}
	wake()
	if leapt := w.hosts[0].clock.read(w.Now()) - clock; leapt < 2900*time.Millisecond {
		t.Errorf("its clock advanced by %v", leapt)
	}
	w.RunUntil(w.Now() + 5*time.Second)
	if ok, why := w.Node(0).Ready(); !ok {
		t.Errorf("it does not serve again after the wake: %s", why)
	}
}
