package netsim

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

func frameNumber(t failer, frame string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(frame, "f"))
	if err != nil {
		t.Fatalf("frame %q: %v", frame, err)
	}
	return n
}

// everyFault starts each lasting fault on the link 0→1 or around host 0.
var everyFault = []struct {
	cause Cause
	start func(n *Network) *Fault
}{
	{CauseCutOneWay, func(n *Network) *Fault { return n.CutOneWay(0, 1) }},
	{CauseCutTwoWay, func(n *Network) *Fault { return n.CutTwoWay(0, 1) }},
	{CauseCutTwoWay, func(n *Network) *Fault { return n.Split([]HostID{0}, []HostID{1, 2}) }},
	{CauseIsolate, func(n *Network) *Fault { return n.Isolate(0) }},
	{CauseBridge, func(n *Network) *Fault { return n.Bridge(2, 0, 1) }},
	{CauseRing, func(n *Network) *Fault { return n.MajoritiesRing(1, 0, 2) }},
	{CauseClog, func(n *Network) *Fault { return n.Clog(0, 1) }},
	{CauseSlow, func(n *Network) *Fault { return n.Slow(0, 1, 100) }},
	{CauseDelay, func(n *Network) *Fault { return n.Delay(0, 1, time.Second) }},
}

// Each fault takes effect on a frame from 0 to 1 and is counted once, and no other
// fault is. Without such a frame, and after any kind of heal, nothing is counted.
func TestEachFaultCountsWhatItStruck(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		for _, f := range everyFault {
			t.Run(fmt.Sprintf("%v/%v", mode, f.cause), func(t *testing.T) {
				w, h := newTestNetwork(t, 7, Config{Mode: mode}, 3)
				w.connected(h)
				fault := f.start(w.net)
				if fault.Cause() != f.cause {
					t.Fatalf("the cause is %v", fault.Cause())
				}
				w.clock.run(time.Minute)
				fault.Heal()
				w.wantCounts(nil) // there was no frame to affect

				fault = f.start(w.net)
				w.send(0, 1, 1)
				w.clock.run(time.Minute)
				fault.Heal()
				fault.Heal()
				w.clock.run(time.Minute)
				w.wantCounts(map[Cause]int{f.cause: 1})
				if fault.Effects() != 1 {
					t.Fatalf("it affected %d frames", fault.Effects())
				}
				for _, heal := range []func(){
					func() { w.net.Heal(0, 1) },
					func() { w.net.HealAmong(0, 1, 2) },
					w.net.HealAll,
				} {
					f.start(w.net)
					heal()
					h[1].received = nil
					w.send(0, 1, 1)
					w.clock.run(time.Minute)
					wantFrames(t, h[1], w.sent, w.sent)
					w.wantCounts(map[Cause]int{f.cause: 1})
					w.net.HealAll()
				}
				w.wantConserved()
			})
		}
	}
}

// A rate of 1 takes effect, a rate of 0 does not.
func TestEachRateCountsWhatItStruck(t *testing.T) {
	for _, c := range []struct {
		mode  Mode
		rates Rates
		want  map[Cause]int
	}{
		{Stream, Rates{}, nil},
		{Stream, Rates{Loss: 1}, map[Cause]int{CauseLoss: 50}},
		{Stream, Rates{Delay: 1}, map[Cause]int{CauseDelay: 50}},
		{Stream, Rates{Corrupt: 1}, map[Cause]int{CauseCorrupt: 50}},
		{Stream, Rates{Reset: 1}, map[Cause]int{CauseReset: -1}},
		{Stream, Rates{HalfOpen: 1}, map[Cause]int{CauseHalfOpen: -1}},
		{Stream, Rates{HintLoss: 1}, nil},
		{Stream, Rates{Duplicate: 1, Reorder: 1}, nil},
		{Datagram, Rates{}, nil},
		{Datagram, Rates{Loss: 1}, map[Cause]int{CauseLoss: 50}},
		{Datagram, Rates{Delay: 1}, map[Cause]int{CauseDelay: 50}},
		{Datagram, Rates{Corrupt: 1}, map[Cause]int{CauseCorrupt: 50}},
		{Datagram, Rates{Duplicate: 1}, map[Cause]int{CauseDuplicate: 50}},
		{Datagram, Rates{Reorder: 1}, map[Cause]int{CauseReorder: -1}},
		{Datagram, Rates{Reset: 1, HalfOpen: 1, HintLoss: 1}, nil},
	} {
		w, h := newTestNetwork(t, 7, Config{Mode: c.mode}, 2)
		w.connected(h)
		if err := w.net.SetRates(c.rates); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			w.send(0, 1, 1)
			w.clock.run(time.Millisecond)
		}
		w.clock.run(time.Minute)
		t.Logf("%v %+v", c.mode, c.rates)
		w.wantCounts(c.want)
		w.wantConserved()
	}
}

func TestCorruptFlipsOneBitOfACopy(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Rates: Rates{Corrupt: 1}}, 2)
	frame := []byte("precious")
	w.net.Send(0, 1, frame)
	w.net.Send(0, 1, nil) // has no bit to flip
	w.clock.run(time.Second)
	if string(frame) != "precious" {
		t.Fatal("the sender's frame was written to")
	}
	flipped := 0
	for i, c := range []byte(h[1].received[0]) {
		for d := c ^ frame[i]; d != 0; d &= d - 1 {
			flipped++
		}
	}
	if flipped != 1 {
		t.Fatalf("%d bits flipped in %q", flipped, h[1].received[0])
	}
	w.wantCounts(map[Cause]int{CauseCorrupt: 1})
}

func TestOverlappingCutsEndIndependently(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram}, 2)
	first, second := w.net.CutOneWay(0, 1), w.net.Isolate(1)
	w.send(0, 1, 1)
	first.Heal()
	w.send(0, 1, 1)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 0)
	w.wantCounts(map[Cause]int{CauseCutOneWay: 1, CauseIsolate: 1})
	second.Heal()
	w.send(0, 1, 1)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 3, 3)
}

func TestIsolateAffectsHostsCreatedLater(t *testing.T) {
	w, _ := newTestNetwork(t, 1, Config{Mode: Datagram}, 1)
	fault := w.net.Isolate(0)
	late := w.attach(w.net.Host("late"))
	w.send(0, late.id, 1)
	w.send(late.id, 0, 1)
	w.clock.run(time.Second)
	w.wantCounts(map[Cause]int{CauseIsolate: 2})
	fault.Heal()
	later := w.attach(w.net.Host("later"))
	w.send(0, later.id, 1)
	w.clock.run(time.Second)
	wantFrames(t, later, 3, 3)
}

// reach returns which hosts hear which, after one frame for each pair.
func reach(t *testing.T, hosts int, shape func(n *Network)) [][]int {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram}, hosts)
	shape(w.net)
	for from := range h {
		for to := range h {
			w.net.Send(HostID(from), HostID(to), fmt.Appendf(nil, "%d", from))
		}
	}
	w.clock.run(time.Minute)
	heard := make([][]int, hosts)
	for i := range h {
		for _, f := range h[i].received {
			heard[i] = append(heard[i], frameNumber(t, f))
		}
		sort.Ints(heard[i])
	}
	return heard
}

func TestBridge(t *testing.T) {
	got := reach(t, 5, func(n *Network) { n.Bridge(2, 0, 1, 2, 3, 4) })
	if want := "[[0 1 2] [0 1 2] [0 1 2 3 4] [2 3 4] [2 3 4]]"; fmt.Sprint(got) != want {
		t.Fatalf("hosts hear %v, want %v", got, want)
	}
}

func TestMajoritiesRing(t *testing.T) {
	got := reach(t, 5, func(n *Network) { n.MajoritiesRing(0, 1, 2, 3, 4) })
	if want := "[[0 1 4] [0 1 2] [1 2 3] [2 3 4] [0 3 4]]"; fmt.Sprint(got) != want {
		t.Fatalf("hosts hear %v, want %v", got, want)
	}
	for hosts := 0; hosts <= 9; hosts++ {
		all := make([]HostID, hosts)
		for i := range all {
			all[i] = HostID(i)
		}
		seen := map[string]bool{}
		for i, heard := range reach(t, hosts, func(n *Network) { n.MajoritiesRing(all...) }) {
			key := fmt.Sprint(heard)
			if len(heard) != hosts/2+1 || !strings.Contains(key, strconv.Itoa(i)) || hosts > 2 && seen[key] {
				t.Fatalf("of %d, host %d hears %v", hosts, i, heard)
			}
			seen[key] = true
		}
	}
}

func TestHealAmongLeavesTheRestBroken(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Rates: Rates{Loss: 1}}, 4)
	w.net.Isolate(0)
	w.net.HealAmong(0, 1, 2)
	w.send(0, 1, 1)
	w.send(2, 0, 1)
	w.send(0, 3, 1) // isolated
	w.send(1, 3, 1) // lost
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 1)
	wantFrames(t, h[0], 2, 2)
	wantFrames(t, h[3], 1, 0)
	w.wantCounts(map[Cause]int{CauseIsolate: 1, CauseLoss: 1})
}

func TestCountersAreSortedAndComplete(t *testing.T) {
	w, _ := newTestNetwork(t, 1, Config{Mode: Datagram}, 2)
	w.net.CutOneWay(0, 1)
	w.send(0, 1, 3)
	all := w.net.Counters()
	if len(all) != numFaults {
		t.Fatalf("%d counters, want %d", len(all), numFaults)
	}
	for i, c := range all {
		if i > 0 && all[i-1].Name >= c.Name {
			t.Fatalf("%q is listed before %q", all[i-1].Name, c.Name)
		}
		if want := map[string]uint64{"cut-one-way": 3}[c.Name]; c.Count != want {
			t.Fatalf("%s counts %d, want %d", c.Name, c.Count, want)
		}
	}
	if CauseDown.String() != "down" || w.net.Count(CauseDown) != 0 {
		t.Fatal("CauseDown is counted as a fault")
	}
}

func TestInvalidConfigAndRates(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Mode":             {Mode: 7},
		"Latency.Shape":    {Latency: Latency{Shape: 7}},
		"invalid Latency:": {Latency: Latency{Min: 2, Mean: 1}},
		"GiveUp":           {GiveUp: Range{2, 1}},
		"Spike":            {Spike: Range{-1, 1}},
		"Retransmit":       {Retransmit: -1},
		"QueueFrames":      {QueueFrames: -1},
		"rate Loss":        {Rates: Rates{Loss: 1.5}},
		"rate Duplicate":   {Rates: Rates{Duplicate: -0.5}},
	} {
		if _, err := New(&clock{}, keyed(1), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one about %q", cfg, err, want)
		}
	}
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram}, 2)
	zero := 0.0
	if w.net.SetRates(Rates{Loss: zero / zero}) == nil || w.net.SetLinkRates(0, 1, Rates{Loss: 2}) == nil {
		t.Fatal("accepted a rate that is not a probability")
	}
	w.send(0, 1, 5)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 5)
}

func TestMisusePanics(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{MaxHosts: 2}, 2)
	for name, misuse := range map[string]func(){
		"a third host":        func() { w.net.Host("third") },
		"a second handler":    func() { w.net.Attach(0, h[0]) },
		"no handler":          func() { w.net.Attach(0, nil) },
		"a host without name": func() { w.net.Send(0, 5, nil) },
		"no bytes per second": func() { w.net.Slow(0, 1, 0) },
		"a delay of nothing":  func() { w.net.Delay(0, 1, 0) },
		"late by nothing":     func() { w.net.Late(1, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			misuse()
		}()
	}
	if w.net.Host("h1") != 1 || w.net.Name(1) != "h1" || !w.net.Attached(1) {
		t.Fatal("Host, Name and Attached disagree about h1")
	}
}

func TestLatencyShapes(t *testing.T) {
	for shape, most := range map[Shape]time.Duration{Exponential: 37 * 3 * time.Millisecond, Uniform: 5 * time.Millisecond} {
		w, _ := newTestNetwork(t, 1, Config{
			Latency: Latency{Min: time.Millisecond, Mean: 3 * time.Millisecond, Shape: shape},
		}, 2)
		l := w.net.link(0, 1)
		var sum, least, longest time.Duration = 0, time.Hour, 0
		for i := range uint64(20000) {
			d := l.latency(drawLatency, i)
			sum, least, longest = sum+d, min(least, d), max(longest, d)
		}
		mean := sum / 20000
		if least < time.Millisecond || longest > most || mean < 2900*time.Microsecond || mean > 3100*time.Microsecond {
			t.Errorf("shape %d: from %v to %v, mean %v", shape, least, longest, mean)
		}
	}
}

func TestSelfSendIsAnOrdinaryLink(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 1)
	w.net.Isolate(0)
	w.send(0, 0, 2)
	w.clock.run(time.Second)
	wantFrames(t, h[0], 1, 2)
	w.send(0, 0, 2)
	w.net.Detach(0)
	w.send(0, 0, 1)
	again := w.attach(0)
	w.clock.run(time.Minute)
	wantFrames(t, again, 1, 0)
	w.wantCounts(nil)
	w.wantConserved()
}

var constant = Latency{Min: 10 * time.Millisecond, Mean: 10 * time.Millisecond}

func TestHealRemovesTheRatesOfALink(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram}, 2)
	w.net.SetLinkRates(0, 1, Rates{Loss: 1})
	w.net.SetLinkRates(1, 0, Rates{Loss: 1})
	w.net.Heal(0, 1)
	w.send(0, 1, 1)
	w.send(1, 0, 1)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 1)
	wantFrames(t, h[0], 2, 2)
	w.wantCounts(nil)
}

func TestTheWorstOfSeveralFaultsIsInForce(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		for name, start := range map[string]func(n *Network){
			"slow":  func(n *Network) { n.Slow(0, 1, 1000); n.Slow(0, 1, 1); n.Slow(0, 1, 1000) },
			"delay": func(n *Network) { n.Delay(0, 1, 1); n.Delay(0, 1, 2*time.Second); n.Delay(0, 1, 1) },
		} {
			w, h := newTestNetwork(t, 1, Config{Mode: mode, Latency: constant}, 2)
			w.connected(h)
			start(w.net)
			w.send(0, 1, 1) // two bytes
			w.clock.run(2*time.Second + 9*time.Millisecond)
			if len(h[1].received) != 0 {
				t.Errorf("%v: %s: the frame arrived too early", mode, name)
			}
			w.clock.run(time.Millisecond)
			wantFrames(t, h[1], 1, 1)
		}
	}
}

// A fault that makes frames late is not counted if it is healed before any frame was
// late, and does not hold up what is sent afterwards.
func TestLatenessEndsWithItsFault(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		for name, start := range map[string]func(n *Network) *Fault{
			"slow":  func(n *Network) *Fault { return n.Slow(0, 1, 1) },
			"delay": func(n *Network) *Fault { return n.Delay(0, 1, time.Minute) },
		} {
			w, h := newTestNetwork(t, 1, Config{Mode: mode, Latency: constant}, 2)
			w.connected(h)
			fault := start(w.net)
			w.send(0, 1, 1)
			fault.Heal()
			w.send(0, 1, 1)
			w.clock.run(time.Second)
			if got := h[1].received; len(got) == 0 || got[len(got)-1] != "f2" {
				t.Errorf("%v: %s: after the heal %v arrived", mode, name, got)
			}
			w.wantCounts(nil)
		}
	}
}

// What is sent to a late host takes longer and longer, up to the bound, and each frame
// that the fault made late counts. Other hosts, and the other direction, are not affected.
func TestLateGrowsUpToItsBound(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		w, h := newTestNetwork(t, 1, Config{Mode: mode, Latency: constant}, 3)
		w.connected(h)
		arrived := func(from, to HostID) time.Duration {
			sent := w.clock.Now()
			h[to].received = nil
			w.send(from, to, 1)
			for len(h[to].received) == 0 {
				w.clock.run(time.Millisecond)
			}
			return w.clock.Now() - sent
		}
		fault := w.net.Late(1, 300*time.Millisecond)
		begin, struck := w.clock.Now(), 0
		for _, after := range []time.Duration{0, 50, 100, 200, 500, 1000, 3000} {
			w.clock.run(begin + after*time.Millisecond - w.clock.Now())
			grown := min(w.clock.Now()-begin, 300*time.Millisecond)
			if grown > 0 {
				struck++
			}
			if took := arrived(0, 1); took != constant.Min+grown {
				t.Errorf("%v: a frame sent %v after the fault began took %v, want %v", mode, after*time.Millisecond, took, constant.Min+grown)
			}
		}
		if took := arrived(0, 2) + arrived(1, 0); took != 2*constant.Min {
			t.Errorf("%v: between other hosts, and from the late one, two frames took %v", mode, took)
		}
		w.wantCounts(map[Cause]int{CauseLate: struck})
		w.send(2, 1, 1)
		fault.Heal()
		if took := arrived(0, 1); took != constant.Min {
			t.Errorf("%v: after the heal a frame took %v", mode, took)
		}
	}
}

// A delay that is hidden by an even later frame is not counted.
func TestDelayHiddenByAnOlderFrameIsNotCounted(t *testing.T) {
	const seeds = 20
	shown := 0
	for seed := range uint64(seeds) {
		w, h := newTestNetwork(t, seed, Config{Spike: Range{1, 1}}, 2)
		w.connected(h)
		w.send(0, 1, 1)
		w.net.SetLinkRates(0, 1, Rates{Delay: 1})
		w.send(0, 1, 1)
		w.clock.run(time.Second)
		wantFrames(t, h[1], 1, 2)
		shown += int(w.net.Count(CauseDelay))
	}
	if shown < seeds/4 || shown > seeds*3/4 {
		t.Fatalf("of %d second frames %d were late because of their own delay, want about half", seeds, shown)
	}
}

// What is said to cut both ways cuts both ways, between exactly these hosts, whether
// or not the links were in use before, and heals both ways.
func TestTwoWayCutsCutBothWays(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(n *Network) *Fault
		cuts string // pairs between which nothing passes, in either direction
	}{
		{"two ways", func(n *Network) *Fault { return n.CutTwoWay(1, 3) }, "13"},
		{"two ways, named otherwise", func(n *Network) *Fault { return n.CutTwoWay(3, 1) }, "13"},
		{"split", func(n *Network) *Fault { return n.Split([]HostID{0, 3}, []HostID{1, 2, 4}) }, "01 02 04 13 23 34"},
		{"isolate", func(n *Network) *Fault { return n.Isolate(2) }, "02 12 23 24"},
		{"bridge", func(n *Network) *Fault { return n.Bridge(4, 0, 1, 2, 3, 4) }, "02 03 12 13"},
	} {
		for _, mode := range []Mode{Stream, Datagram} {
			for _, used := range []bool{false, true} {
				w, h := newTestNetwork(t, 3, Config{Mode: mode}, 5)
				all := func(what string, within time.Duration, parted func(pair string) bool) {
					t.Helper()
					for i := range h {
						h[i].received = nil
					}
					for from := range h {
						for to := range h {
							if from != to {
								w.net.Send(HostID(from), HostID(to), fmt.Appendf(nil, "%d", from))
							}
						}
					}
					w.clock.run(within)
					for from := range h {
						for to := range h {
							pair := fmt.Sprintf("%d%d", min(from, to), max(from, to))
							arrived := false
							for _, frame := range h[to].received {
								arrived = arrived || frameNumber(t, frame) == from
							}
							if from != to && arrived == parted(pair) {
								t.Errorf("%s, %v, used %t, %s: from %d to %d arrived: %t", c.name, mode, used, what, from, to, arrived)
							}
						}
					}
				}
				never := func(string) bool { return false }
				if used {
					all("before", time.Minute, never)
				}
				fault := c.cut(w.net)
				all("during", 100*time.Millisecond, func(pair string) bool { return strings.Contains(c.cuts, pair) })
				fault.Heal()
				w.clock.run(time.Minute)
				all("after", time.Minute, never)
			}
		}
	}
}
