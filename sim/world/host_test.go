package world

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/netsim"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// storm runs toys through all faults of hosts.
func storm(t testing.TB, seed uint64, out *bytes.Buffer) *World {
	cfg := Config{
		Seed: seed, Hosts: 4, DriftPPM: 500, ZooKeeper: quickZK(), SessionTimeout: 800 * time.Millisecond,
		Turns: TurnProfile{Most: 16, Delay: Range{0, 300 * time.Microsecond}},
		Net:   netsim.Config{Mode: netsim.Mode(seed % 2), Rates: netsim.Rates{Loss: 0.01, Delay: 0.01, Duplicate: 0.01}},
	}
	if out != nil {
		cfg.Steps = out
	}
	w, _ := toyWorld(t, cfg)
	startAll(w)
	r := w.Random()
	for n := range uint64(80) {
		w.After(time.Duration(n+1)*50*time.Millisecond, func() {
			host := r.Below(4, "storm.host", 0, n)
			switch r.Below(7, "storm.what", 0, n) {
			case 0:
				w.After(time.Millisecond, func() { w.Crash(host) })
			case 1, 2:
				for i := range 4 {
					w.Restart(i)
				}
			case 3:
				if !w.Pause(host) {
					w.Resume(host)
				}
			case 4:
				w.ExpireSession(host)
			case 5:
				if n%4 == 0 {
					w.PowerLoss()
				}
			case 6:
				w.Stop(host)
			}
			for i := range 4 {
				put := door.Request{Kind: door.RequestPut, Key: []byte{byte(i)}, Value: []byte{byte(n)}}
				w.Submit(i, put, func(door.Response, bool) {})
			}
		})
	}
	if !w.RunUntil(5 * time.Second) {
		t.Error("the run was interrupted")
	}
	return w
}

func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(6) {
		a, b := storm(t, seed, nil), storm(t, seed, new(bytes.Buffer))
		if a.TraceHash() != b.TraceHash() || a.Steps() != b.Steps() || a.Events() != b.Events() {
			t.Errorf("seed %d: %d steps %x, then %d steps %x", seed, a.Steps(), a.TraceHash(), b.Steps(), b.TraceHash())
		}
		if fmt.Sprint(a.Counters()) != fmt.Sprint(b.Counters()) {
			t.Errorf("seed %d: counters differ", seed)
		}
		if a.Steps() < 3000 {
			t.Errorf("seed %d: only %d steps", seed, a.Steps())
		}
	}
	if storm(t, 1, nil).TraceHash() == storm(t, 3, nil).TraceHash() {
		t.Error("two seeds gave the same run")
	}
}

func TestStepsArePrintedOneALine(t *testing.T) {
	var out bytes.Buffer
	w := storm(t, 2, &out)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if uint64(len(lines)) != w.Steps() {
		t.Fatalf("%d lines for %d steps", len(lines), w.Steps())
	}
	for i, line := range lines {
		var step int
		if _, err := fmt.Sscan(line, &step); err != nil || step != i+1 {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
	for _, word := range []string{" n2 ", "message", "from 1: ", "crashed", "outcome", "the connection broke", "zookeeper", "disk"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("no line says %q", word)
		}
	}
}

func TestEveryFaultOfAHostCountsWhenItTookEffect(t *testing.T) {
	total := make(map[string]uint64)
	for seed := range uint64(8) {
		for name, n := range counters(storm(t, seed, nil)) {
			total[name] += n
		}
	}
	for _, name := range []string{"crash", "crash-lost-suffix", "restart", "pause", "power-loss", "stop", "zk-session-expired", "net-loss"} {
		if total[name] == 0 {
			t.Errorf("%s never took effect", name)
		}
	}
	for _, name := range []string{"move", "cancel", "disk-fail-sync", "disk-slow", "wipe-disk", "slow-host", "net-ring"} {
		if n, ok := total[name]; n != 0 || !ok {
			t.Errorf("%s: %d, %t; the run has no such fault", name, n, ok)
		}
	}
}

func TestCrashSilencesAProcess(t *testing.T) {
	w, toys := toyWorld(t, Config{Seed: 7, ZooKeeper: quickZK()})
	startAll(w)
	w.RunUntil(500 * time.Millisecond)
	if toys[0].messages == 0 || len(toys[0].session0) == 0 {
		t.Fatalf("before: %d messages, session events %v", toys[0].messages, toys[0].session0)
	}
	broken := 0
	for range 5 {
		put := door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v")}
		w.Submit(0, put, func(_ door.Response, b bool) {
			if !b {
				t.Error("an answer came from a dead process")
			}
			broken++
		})
	}
	dead := toys[0]
	if !w.Crash(0) || w.Crash(0) || w.State(0) != Down || w.Process(0) != nil {
		t.Fatalf("crash: state %v", w.State(0))
	}
	messages, ticks := dead.messages, len(dead.timers)
	w.RunUntil(time.Second) // a toy fails the test if it is called after its end
	if broken != 5 {
		t.Errorf("%d of 5 clients learned that their connection broke", broken)
	}
	if dead.messages != messages || len(dead.timers) != ticks {
		t.Error("the dead process still ran")
	}
	w.Submit(0, door.Request{Kind: door.RequestGet, Key: []byte("k")}, func(r door.Response, b bool) {
		if b || r.Outcome != door.Refused {
			t.Errorf("a host without a process answered %v, broken %t", r, b)
		}
		broken++
	})
	w.Start(0)
	w.RunUntil(2 * time.Second)
	if broken != 6 || toys[0] == dead || toys[0].number != 2 || toys[0].messages == 0 {
		t.Errorf("after the restart: process %d, %d messages", toys[0].number, toys[0].messages)
	}
}

func TestRestartTakesItsTimeAndACrashCallsItOff(t *testing.T) {
	w, toys := toyWorld(t, Config{Recovery: Range{time.Second, time.Second}})
	if !w.Restart(1) || w.Restart(1) || w.State(1) != Booting {
		t.Fatal("restart")
	}
	w.RunUntil(999 * time.Millisecond)
	if toys[1] != nil {
		t.Error("started too early")
	}
	w.RunUntil(time.Second)
	if !w.Running(1) || w.ProcessNumber(1) != 1 {
		t.Errorf("not started: %v", w.State(1))
	}
	w.Crash(1)
	w.Restart(1)
	if w.Crash(1) || w.State(1) != Down {
		t.Error("a host without a process was crashed")
	}
	w.RunUntil(3 * time.Second)
	if w.ProcessNumber(1) != 1 {
		t.Error("a restart that was called off took place")
	}
}

func TestPausedProcessGetsAllAtOnceLater(t *testing.T) {
	w, toys := toyWorld(t, Config{Seed: 5, ZooKeeper: quickZK(), SessionTimeout: 800 * time.Millisecond})
	startAll(w)
	w.RunUntil(time.Second)
	p := toys[0]
	messages, ticks := p.messages, len(p.timers)
	if !w.Pause(0) || w.Pause(0) {
		t.Fatal("pause")
	}
	answered := time.Duration(0)
	w.Submit(0, door.Request{Kind: door.RequestGet}, func(_ door.Response, b bool) {
		if b {
			t.Error("the connection broke")
		}
		answered = w.Now()
	})
	session := w.ZooKeeper().SessionAlive(p.session.ID())
	w.RunUntil(4 * time.Second)
	if p.messages != messages || len(p.timers) != ticks || answered != 0 {
		t.Error("a paused process ran")
	}
	if !session || w.ZooKeeper().SessionAlive(p.session.ID()) {
		t.Error("the session of a paused process did not expire")
	}
	if counters(w)["pause"] != 0 {
		t.Error("the pause counted before anything came late")
	}
	if !w.Resume(0) || w.Resume(0) {
		t.Fatal("resume")
	}
	w.RunUntil(4*time.Second + time.Millisecond)
	if p.messages < messages+400 || answered < 4*time.Second {
		t.Errorf("after the resume: %d messages more, answered at %v", p.messages-messages, answered)
	}
	if late := p.timers[len(p.timers)-1] - p.timers[ticks-1]; late < 2900*time.Millisecond {
		t.Errorf("the process's clock advanced by only %v", late)
	}
	if counters(w)["pause"] != 1 {
		t.Error("the pause did not count")
	}
	w.RunUntil(8 * time.Second)
	if !slices.Contains(p.session0, door.EventExpired) || !w.ZooKeeper().SessionAlive(p.session.ID()) {
		t.Errorf("session events %v", p.session0)
	}
}

func TestTurnsAreOfSeededSize(t *testing.T) {
	for _, most := range []int{1, 2, 17, 256} {
		cfg := Config{Seed: 11, Hosts: 5, Turns: TurnProfile{Most: most}}
		if most > 1 {
			cfg.Turns.Delay = Range{0, 20 * time.Millisecond}
		}
		w, toys := toyWorld(t, cfg)
		startAll(w)
		w.RunUntil(5 * time.Second)
		sizes := make(map[int]int)
		for _, p := range toys {
			for _, n := range p.turns {
				sizes[n]++
				if n > most {
					t.Fatalf("a turn of %d events; the most is %d", n, most)
				}
			}
		}
		if most > 1 && (sizes[1] == 0 || sizes[2] == 0 || most > 2 && sizes[3] == 0) {
			t.Errorf("most %d: sizes of turns: %v", most, sizes)
		}
	}
}

func TestClientsPath(t *testing.T) {
	w, _ := toyWorld(t, Config{Seed: 1, ClientLatency: Range{time.Millisecond, time.Millisecond}})
	startAll(w)
	w.RunUntil(time.Second)
	var got []string
	submit := func(r door.Request) {
		w.Submit(1, r, func(resp door.Response, broken bool) {
			got = append(got, fmt.Sprint(resp.Outcome, string(resp.Value), broken))
			if d := w.Now() - time.Second; d < 2*time.Millisecond {
				t.Errorf("answered after %v", d)
			}
		})
	}
	submit(door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v")})
	if len(got) != 0 {
		t.Error("done ran inside Submit")
	}
	w.RunUntil(2 * time.Second)
	submit(door.Request{Kind: door.RequestGet, Key: []byte("k")})
	w.RunUntil(3 * time.Second)
	if want := []string{"donefalse", "donevfalse"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if h := w.hosts[1]; h.current.calls.first != nil || h.current.calls.last != nil {
		t.Error("calls that ended are still listed")
	}
}

func TestCallListKeepsItsOrder(t *testing.T) {
	var l callList
	calls := []*call{{number: 1}, {number: 2}, {number: 3}, {number: 4}}
	for _, c := range calls {
		l.add(c)
	}
	for _, gone := range []int{1, 0, 3} {
		l.remove(calls[gone])
	}
	if l.first != calls[2] || l.last != calls[2] || calls[2].next != nil || calls[2].previous != nil {
		t.Errorf("list: %+v", l)
	}
	l.remove(calls[2])
	if l != (callList{}) {
		t.Errorf("list: %+v", l)
	}
}

func TestStopIsGraceful(t *testing.T) {
	var changes []HostChange
	cfg := Config{Seed: 2, ZooKeeper: quickZK(), OnHost: func(_ int, c HostChange) { changes = append(changes, c) }}
	w, toys := toyWorld(t, cfg)
	w.Start(0)
	w.RunUntil(time.Second)
	id := toys[0].session.ID()
	if !w.Stop(0) || w.Stop(0) || w.State(0) != Stopping {
		t.Fatal("stop")
	}
	w.RunUntil(1500 * time.Millisecond)
	if w.State(0) != Down || w.ZooKeeper().SessionAlive(id) || counters(w)["stop"] != 1 {
		t.Errorf("after the stop: %v, session alive: %t", w.State(0), w.ZooKeeper().SessionAlive(id))
	}
	if want := []HostChange{HostStarted, HostStopped}; !slices.Equal(changes, want) {
		t.Errorf("changes %v, want %v", changes, want)
	}
	if len(toys[1:]) == 0 || w.Failure(0) != nil {
		t.Errorf("failure: %v", w.Failure(0))
	}
}

func TestFailedProcessEnds(t *testing.T) {
	w, toys := toyWorld(t, Config{Seed: 2})
	startAll(w)
	w.RunUntil(time.Second)
	w.FailSync(1)
	outcomes := 0
	w.Submit(1, door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v")}, func(_ door.Response, broken bool) {
		if !broken {
			t.Error("a put was answered without being durable")
		}
		outcomes++
	})
	w.RunUntil(2 * time.Second)
	if w.State(1) != Down || !errors.Is(w.Failure(1), errIO) || !w.Excused(1) || outcomes != 1 {
		t.Errorf("state %v, failure %v, excused %t", w.State(1), w.Failure(1), w.Excused(1))
	}
	w.Start(1)
	if w.Failure(1) != nil || w.Excused(1) {
		t.Error("the next process inherits the failure")
	}
	w.RunUntil(3 * time.Second)
	toys[1].env.Fail(errors.New("rot")) // outside a turn, so it takes effect in the next
	w.RunUntil(4 * time.Second)
	if w.State(1) != Down || w.Failure(1) == nil || w.Excused(1) {
		t.Errorf("state %v, failure %v, excused %t", w.State(1), w.Failure(1), w.Excused(1))
	}
}

func TestPowerLossIsOfAllAtOnce(t *testing.T) {
	w, toys := toyWorld(t, Config{Seed: 4})
	startAll(w)
	w.RunUntil(time.Second)
	if n := w.PowerLoss(); n != 3 {
		t.Errorf("%d processes died", n)
	}
	for i := range 3 {
		w.Restart(i)
	}
	w.RunUntil(5 * time.Second)
	for i, p := range toys {
		if p.boots != 2 || len(p.lost) > 0 && p.lost[0] == 0 {
			t.Errorf("%s: boot %d, lost %v", schedule.HostName(i), p.boots, p.lost)
		}
	}
	c := counters(w)
	if c["crash"] != 3 || c["power-loss"] != 1 || c["restart"] != 3 {
		t.Errorf("crash %d, power-loss %d, restart %d", c["crash"], c["power-loss"], c["restart"])
	}
	w.PowerLoss()
	w.wipe(0)
	w.Start(0)
	w.RunUntil(6 * time.Second)
	if toys[0].boots != 1 || counters(w)["wipe-disk"] != 1 || w.wipe(0) {
		t.Errorf("after the wipe: boot %d", toys[0].boots)
	}
}

func TestSlowHostAndSlowDisk(t *testing.T) {
	w, toys := toyWorld(t, Config{Seed: 4, Hosts: 1})
	w.Start(0)
	w.RunUntil(time.Second)
	ticks := len(toys[0].timers)
	w.SlowHost(0, Range{100 * time.Millisecond, 100 * time.Millisecond})
	w.RunUntil(2 * time.Second)
	if n := len(toys[0].timers) - ticks; n > 12 || n < 5 {
		t.Errorf("%d ticks in a second of a slow host", n)
	}
	w.HealAll()
	w.RunUntil(3 * time.Second)
	ticks = len(toys[0].timers)
	w.SlowDisk(0, Range{time.Second, time.Second})
	w.StallDisk(0, 5*time.Second)
	w.Submit(0, door.Request{Kind: door.RequestPut, Key: []byte("k")}, func(door.Response, bool) {
		if d := w.Now() - 3*time.Second; d < 5*time.Second {
			t.Errorf("answered after %v", d)
		}
	})
	w.RunUntil(9 * time.Second)
	if n := len(toys[0].timers) - ticks; n < 500 {
		t.Errorf("a slow disk slowed the process: %d ticks", n)
	}
	c := counters(w)
	if c["slow-host"] == 0 || c["disk-slow"] != 1 || c["disk-stall"] != 1 {
		t.Errorf("slow-host %d, disk-slow %d, disk-stall %d", c["slow-host"], c["disk-slow"], c["disk-stall"])
	}
}

func TestPeerLostNamesTheMember(t *testing.T) {
	lost := false
	for seed := range uint64(8) { // the machine may vanish without a sign
		w, toys := toyWorld(t, Config{Seed: seed})
		startAll(w)
		w.RunUntil(time.Second)
		w.Crash(2)
		w.RunUntil(1200 * time.Millisecond)
		for _, p := range toys[:2] {
			for _, member := range p.lost {
				lost = true
				if member != 3 {
					t.Errorf("member %d was lost", member)
				}
			}
		}
	}
	if !lost {
		t.Error("no process learned of any crash")
	}
}
