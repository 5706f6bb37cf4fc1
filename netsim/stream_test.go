package netsim

import (
	"testing"
	"time"
)

func TestStreamDeliversInOrder(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 2)
	w.send(0, 1, 500)
	w.clock.run(time.Minute)
	wantFrames(t, h[1], 1, 500)
	w.wantCounts(nil)
	if got := w.net.Stats().Connections; got != 1 {
		t.Fatalf("%d connections for one pair", got)
	}
	if got := w.net.Stats().Bytes; got != 1892 { // 9·2 + 90·3 + 401·4
		t.Fatalf("%d bytes delivered", got)
	}
}

func TestStreamConnectsFirst(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{
		Latency: Latency{Min: time.Millisecond, Mean: time.Millisecond},
		Connect: Range{40 * time.Millisecond, 40 * time.Millisecond},
	}, 2)
	w.send(0, 1, 1)
	w.clock.run(41*time.Millisecond - 1)
	wantFrames(t, h[1], 1, 0)
	w.clock.run(1)
	wantFrames(t, h[1], 1, 1)
	w.send(0, 1, 1)
	w.clock.run(time.Millisecond)
	wantFrames(t, h[1], 1, 2)
}

func TestStreamCutHoldsFramesAndAHealReleasesThem(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{GiveUp: Range{time.Second, time.Second}}, 2)
	w.connected(h)
	cut := w.net.CutOneWay(0, 1)
	w.send(0, 1, 5)
	w.send(1, 0, 1)
	w.clock.run(900 * time.Millisecond)
	wantFrames(t, h[1], 1, 0)
	wantFrames(t, h[0], 6, 6) // the other direction still works
	w.wantCounts(nil)         // nothing is lost yet, and everything may still arrive
	cut.Heal()
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 5)
	w.wantCounts(map[Cause]int{CauseCutOneWay: 5})
	if cut.Effects() != 5 || len(h[0].lost) != 0 {
		t.Fatalf("the cut stopped %d frames, h0 lost %v", cut.Effects(), h[0].lost)
	}
}

func TestStreamCutBreaksTheConnectionInTheEnd(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{GiveUp: Range{time.Second, time.Second}}, 2)
	w.connected(h)
	cut := w.net.CutTwoWay(0, 1)
	w.clock.run(5 * time.Second)
	if len(h[0].lost) != 0 {
		t.Fatal("an idle connection broke because of a cut")
	}
	w.send(0, 1, 5)
	w.clock.run(1100 * time.Millisecond)
	if len(h[0].lost) != 1 || h[0].lost[0] != 1 || len(h[1].lost) != 0 {
		t.Fatalf("told: h0 %v, h1 %v; want h0 alone, once", h[0].lost, h[1].lost)
	}
	w.wantCounts(map[Cause]int{CauseCutTwoWay: 5})
	w.send(0, 1, 2) // dials without success
	w.clock.run(time.Second)
	w.wantCounts(map[Cause]int{CauseCutTwoWay: 7})
	cut.Heal()
	w.send(0, 1, 3)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 8, 10)
	w.wantConserved()
}

func TestStreamCutOfFramesInFlight(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Latency: Latency{Min: 50 * time.Millisecond, Mean: 50 * time.Millisecond}}, 2)
	w.connected(h)
	w.send(0, 1, 3)
	w.clock.run(10 * time.Millisecond)
	cut := w.net.CutOneWay(0, 1)
	w.clock.run(10 * time.Millisecond)
	cut.Heal() // before any of them was due
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 3)
	w.wantCounts(nil)
}

func TestStreamReset(t *testing.T) {
	prefixes := map[int]bool{}
	for seed := range uint64(40) {
		w, h := newTestNetwork(t, seed, Config{Latency: Latency{Min: 10 * time.Millisecond, Mean: 10 * time.Millisecond}}, 2)
		w.connected(h)
		w.send(0, 1, 4)
		w.clock.run(time.Millisecond)
		if !w.net.Reset(0, 1) {
			t.Fatal("there was no connection to reset")
		}
		w.send(0, 1, 1) // the sender does not know yet
		w.clock.run(time.Second)
		wantFrames(t, h[1], 1, len(h[1].received))
		prefixes[len(h[1].received)] = true
		if len(h[0].lost) != 1 || len(h[1].lost) != 1 {
			t.Fatalf("told: h0 %v, h1 %v; want each once", h[0].lost, h[1].lost)
		}
		h[1].received = nil
		w.send(0, 1, 2)
		w.clock.run(time.Second)
		wantFrames(t, h[1], 6, 7)
		w.wantCounts(map[Cause]int{CauseReset: 1})
		w.wantConserved()
	}
	if len(prefixes) != 5 {
		t.Fatalf("lengths of the prefix that arrived: %v; want all from 0 to 4", prefixes)
	}
}

func TestStreamResetNeedsAConnection(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 2)
	if w.net.Reset(0, 1) || w.net.HalfOpen(0, 1) {
		t.Fatal("Reset reported a connection before there was one")
	}
	w.wantCounts(nil)
	w.connected(h)
	if !w.net.Reset(0, 1) || w.net.Reset(0, 1) {
		t.Fatal("one connection broke twice")
	}
}

func TestStreamHalfOpen(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{GiveUp: Range{time.Second, time.Second}}, 2)
	w.connected(h)
	if !w.net.HalfOpen(0, 1) {
		t.Fatal("there was no connection")
	}
	w.clock.run(10 * time.Second)
	w.wantCounts(nil) // nothing was sent into it
	w.send(0, 1, 1)
	w.clock.run(500 * time.Millisecond)
	w.send(0, 1, 1)
	w.send(1, 0, 1)
	w.clock.run(400 * time.Millisecond)
	if len(h[0].lost) != 0 {
		t.Fatal("the sender was told too early")
	}
	wantFrames(t, h[0], 3, 3)
	w.clock.run(200 * time.Millisecond)
	if len(h[0].lost) != 1 || len(h[1].lost) != 0 {
		t.Fatalf("told: h0 %v, h1 %v; want the sender alone", h[0].lost, h[1].lost)
	}
	w.wantCounts(map[Cause]int{CauseHalfOpen: 2})
	w.send(0, 1, 2)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 4, 5)
}

func TestStreamHealEndsHalfOpen(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 2)
	w.connected(h)
	w.net.HalfOpen(0, 1)
	w.net.Heal(1, 0)
	w.send(0, 1, 2)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 2)
	if len(h[0].lost) != 1 {
		t.Fatalf("h0 was told %v", h[0].lost)
	}
	w.wantCounts(nil)
}

func TestStreamDetach(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 3)
	w.connected(h)
	w.send(0, 1, 3) // in flight to it
	w.send(1, 2, 3) // in flight from it
	w.net.Detach(1)
	w.net.Detach(1) // has no effect
	w.clock.run(20 * time.Millisecond)
	if len(h[0].lost) == 0 || len(h[2].lost) == 0 {
		t.Fatalf("told: h0 %v, h2 %v; want both", h[0].lost, h[2].lost)
	}
	wantFrames(t, h[2], 4, 3+len(h[2].received))
	w.send(0, 1, 1) // refused
	w.clock.run(time.Second)
	again := w.attach(1)
	w.send(0, 1, 2)
	w.clock.run(time.Second)
	wantFrames(t, again, 8, 9)
	if len(h[1].received) != 0 || len(h[1].lost) != 0 || len(again.lost) != 0 {
		t.Fatalf("the detached host received %v and lost %v; after it was attached again it lost %v", h[1].received, h[1].lost, again.lost)
	}
	w.wantCounts(nil)
	w.wantConserved()
}

func TestStreamVanish(t *testing.T) {
	cfg := Config{GiveUp: Range{time.Second, time.Second}}
	w, h := newTestNetwork(t, 1, cfg, 2)
	w.connected(h)
	w.net.Vanish(1)
	w.clock.run(10 * time.Second)
	if len(h[0].lost) != 0 {
		t.Fatal("h0 was told")
	}
	w.send(0, 1, 1)
	w.clock.run(900 * time.Millisecond)
	if len(h[0].lost) != 0 {
		t.Fatal("h0 gave up too early")
	}
	w.clock.run(200 * time.Millisecond)
	if len(h[0].lost) != 1 {
		t.Fatalf("h0 was told %v", h[0].lost)
	}

	w, h = newTestNetwork(t, 1, cfg, 2)
	w.connected(h)
	w.net.Vanish(1)
	w.send(0, 1, 1)
	again := w.attach(1)
	w.send(0, 1, 1) // answered by a reset: the new host process does not know this connection
	w.clock.run(100 * time.Millisecond)
	if len(h[0].lost) != 1 {
		t.Fatalf("after the host was attached again, h0 was told %v", h[0].lost)
	}
	w.send(0, 1, 2)
	w.clock.run(time.Second)
	wantFrames(t, again, 3, 4)
	w.wantCounts(nil)
}

func TestStreamQueueIsBounded(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{QueueFrames: 4}, 2)
	w.connected(h)
	clog := w.net.Clog(0, 1)
	w.send(0, 1, 7)
	w.clock.run(time.Minute)
	w.wantCounts(map[Cause]int{CauseQueueFull: 3})
	clog.Heal()
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 4)
	w.wantCounts(map[Cause]int{CauseQueueFull: 3, CauseClog: 4})

	w, h = newTestNetwork(t, 1, Config{QueueBytes: 5}, 2) // "f1" and "f2" fit, "f3" does not
	w.send(0, 1, 3)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 2)
	w.wantCounts(map[Cause]int{CauseQueueFull: 1})
	w.wantConserved()
}

func TestStreamLossIsADelay(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Latency: constant}, 2)
	w.connected(h)
	if err := w.net.SetLinkRates(0, 1, Rates{Loss: 1}); err != nil {
		t.Fatal(err)
	}
	w.send(0, 1, 1)
	w.net.ClearLinkRates(0, 1)
	w.send(0, 1, 1)
	w.clock.run(210*time.Millisecond - 1)
	wantFrames(t, h[1], 1, 0) // the second waits behind the first
	w.clock.run(1)
	wantFrames(t, h[1], 1, 2)
	w.wantCounts(map[Cause]int{CauseLoss: 1})
}

func TestStreamSlowBacklogArrivesAtTheHeal(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 2)
	w.connected(h)
	slow := w.net.Slow(0, 1, 1) // two bytes: two seconds
	w.send(0, 1, 3)
	w.clock.run(3 * time.Second)
	wantFrames(t, h[1], 1, 1)
	slow.Heal()
	w.clock.run(10 * time.Millisecond)
	wantFrames(t, h[1], 1, 3)
	w.wantCounts(map[Cause]int{CauseSlow: 3})
}

func TestStreamHintsMayBeLost(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Rates: Rates{HintLoss: 1}}, 2)
	w.connected(h)
	w.net.Reset(0, 1)
	w.clock.run(time.Minute)
	if len(h[0].lost)+len(h[1].lost) != 0 {
		t.Fatalf("told: h0 %v, h1 %v", h[0].lost, h[1].lost)
	}
	w.wantCounts(map[Cause]int{CauseReset: 1, CauseHintLoss: 2})
}

func TestStreamHandlerMayDoAnything(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Latency: Latency{Min: time.Millisecond, Mean: time.Millisecond}}, 2)
	w.connected(h)
	h[1].onFrame = func(from HostID, frame []byte) {
		w.net.Reset(from, 1)
		w.net.Detach(1)
		w.net.HealAll()
		w.attach(1)
		w.net.Send(1, from, []byte("f2"))
	}
	w.send(0, 1, 5)
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 1)
	wantFrames(t, h[0], 2, 2)
	w.wantConserved()
}

func TestStreamCutAndClogStopWhatIsInFlight(t *testing.T) {
	for cause, start := range map[Cause]func(n *Network) *Fault{
		CauseCutOneWay: func(n *Network) *Fault { return n.CutOneWay(0, 1) },
		CauseClog:      func(n *Network) *Fault { return n.Clog(0, 1) },
	} {
		w, h := newTestNetwork(t, 1, Config{Latency: constant}, 2)
		w.connected(h)
		w.send(0, 1, 2)
		fault := start(w.net)
		w.clock.run(200 * time.Millisecond)
		wantFrames(t, h[1], 1, 0)
		fault.Heal()
		w.clock.run(time.Second)
		wantFrames(t, h[1], 1, 2)
		w.wantCounts(map[Cause]int{cause: 2})
	}
}

// After a heal a held stream flows again after a drawn pause, even if another fault,
// healed with the cut, would have delivered its frames earlier.
func TestStreamResumesAfterAPause(t *testing.T) {
	for _, alsoSlow := range []bool{false, true} {
		var longest time.Duration
		for seed := range uint64(20) {
			w, h := newTestNetwork(t, seed, Config{Latency: constant}, 2)
			w.connected(h)
			w.net.CutOneWay(0, 1)
			if alsoSlow {
				w.net.Slow(0, 1, 1)
			}
			w.send(0, 1, 1)
			w.clock.run(100 * time.Millisecond)
			w.net.Heal(0, 1)
			healed := w.clock.now
			h[1].onFrame = func(HostID, []byte) { longest = max(longest, w.clock.now-healed) }
			w.clock.run(time.Second)
			wantFrames(t, h[1], 1, 1)
		}
		if longest < 100*time.Millisecond || longest > 200*time.Millisecond {
			t.Errorf("slow too: %v: the longest of 20 pauses was %v, want nearly 200 ms", alsoSlow, longest)
		}
	}
}

func TestStreamHealDoesNotOpenAConnectionSooner(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Latency: constant, Connect: Range{time.Second, time.Second}}, 2)
	slow := w.net.Slow(0, 1, 1)
	w.send(0, 1, 1)
	slow.Heal()
	w.clock.run(1010*time.Millisecond - 1)
	wantFrames(t, h[1], 1, 0)
	w.clock.run(1)
	wantFrames(t, h[1], 1, 1)
}

// While a link is cut, and after the heal, nothing of a broken connection arrives,
// neither frames nor hints.
func TestStreamBreaksWhileCut(t *testing.T) {
	for _, cutFirst := range []bool{false, true} {
		arrived := 0
		for seed := range uint64(10) {
			w, h := newTestNetwork(t, seed, Config{Latency: constant}, 2)
			w.connected(h)
			w.send(0, 1, 4)
			if cutFirst {
				w.net.CutOneWay(0, 1)
			}
			w.net.Reset(0, 1)
			if !cutFirst {
				w.net.CutOneWay(0, 1)
			}
			w.clock.run(200 * time.Millisecond) // before the sender gives up
			w.net.HealAll()
			w.clock.run(time.Minute)
			arrived += len(h[1].received) + len(h[1].lost)
			if len(h[0].lost) != 1 {
				t.Fatalf("h0 was told %v", h[0].lost)
			}
			w.wantConserved()
		}
		if arrived != 0 {
			t.Errorf("cut first: %v: %d frames or hints came from a broken connection", cutFirst, arrived)
		}
	}
}

func TestStreamLostFramesHoldUpNoOthers(t *testing.T) {
	lost := 0
	for seed := range uint64(10) {
		w, h := newTestNetwork(t, seed, Config{Spike: Range{time.Hour, time.Hour}}, 2)
		w.connected(h)
		w.net.SetLinkRates(0, 1, Rates{Delay: 1})
		w.send(0, 1, 1)
		w.net.ClearLinkRates(0, 1)
		w.net.Reset(0, 1)
		w.clock.run(time.Second)
		if w.net.Stats().InFlight > 0 {
			continue // it was in the prefix, and will still arrive
		}
		lost++
		w.send(0, 1, 1)
		w.clock.run(time.Second)
		wantFrames(t, h[1], 2, 2)
	}
	if lost == 0 {
		t.Fatal("no seed lost the frame")
	}
}

func TestStreamHintsAreLostWithTheHost(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 2)
	w.connected(h)
	w.net.Reset(0, 1)
	w.net.Detach(1) // with the end of the connection in flight to it
	w.wantConserved()
	again := w.attach(1)
	w.clock.run(time.Minute)
	if len(again.lost) != 0 || len(h[1].lost) != 0 {
		t.Fatalf("told: %v before the restart, %v after", h[1].lost, again.lost)
	}

	w, h = newTestNetwork(t, 1, Config{}, 2)
	w.connected(h)
	w.net.HalfOpen(0, 1)
	w.net.HealAll() // the sender will be told
	w.net.Detach(0)
	again = w.attach(0)
	w.clock.run(time.Minute)
	if len(again.lost) != 0 || len(h[0].lost) != 0 {
		t.Fatalf("told: %v before the restart, %v after", h[0].lost, again.lost)
	}
}

// A restart is noticed even if it is faster than the hints about it.
func TestStreamQuickRestartIsNoticed(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{}, 2)
	w.connected(h)
	w.net.Detach(1)
	w.attach(1)
	w.clock.run(100 * time.Millisecond)
	if len(h[0].lost) != 2 { // the connection it opened, and the one it accepted
		t.Fatalf("h0 was told %v", h[0].lost)
	}
}

func TestStreamQueueLimitIsForWhatIsInFlight(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{QueueBytes: 4, QueueFrames: 2}, 2)
	for range 4 {
		w.send(0, 1, 2)
		w.clock.run(time.Second)
	}
	wantFrames(t, h[1], 1, 8)
	w.wantCounts(nil)
}

// Each break and each hold of a link draws independently.
func TestStreamBreaksOfALinkDiffer(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Latency: constant}, 2)
	w.connected(h)
	prefixes, patience := map[int]bool{}, map[time.Duration]bool{}
	for range 10 {
		h[1].received = nil
		w.send(0, 1, 9)
		w.clock.run(time.Millisecond)
		w.net.Reset(0, 1)
		w.clock.run(time.Second)
		prefixes[len(h[1].received)] = true

		w.send(0, 1, 1) // opens a connection
		w.clock.run(time.Second)
		told := len(h[0].lost)
		cut := w.net.CutOneWay(0, 1)
		w.send(0, 1, 1)
		began := w.clock.now
		for len(h[0].lost) == told {
			w.clock.run(time.Millisecond)
		}
		patience[w.clock.now-began] = true
		cut.Heal()
		w.send(0, 1, 1)
		w.clock.run(time.Second)
	}
	if len(prefixes) < 4 || len(patience) < 8 {
		t.Fatalf("10 breaks had %d different prefixes and %d different waits", len(prefixes), len(patience))
	}
}
