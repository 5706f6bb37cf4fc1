package netsim

import (
	"slices"
	"testing"
	"time"
)

func TestDatagramCutLoses(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Latency: Latency{Min: time.Second, Mean: time.Second}}, 2)
	w.send(0, 1, 2) // in flight when the cut comes
	cut := w.net.CutOneWay(0, 1)
	w.send(0, 1, 3)
	w.send(1, 0, 1)
	w.clock.run(2 * time.Second)
	wantFrames(t, h[1], 1, 0)
	wantFrames(t, h[0], 6, 6)
	w.wantCounts(map[Cause]int{CauseCutOneWay: 5})
	cut.Heal()
	w.send(0, 1, 2)
	w.clock.run(2 * time.Second)
	wantFrames(t, h[1], 7, 8)
	if cut.Effects() != 5 {
		t.Fatalf("the cut stopped %d frames", cut.Effects())
	}
	w.wantConserved()
}

func TestDatagramLossRate(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Rates: Rates{Loss: 0.25}}, 2)
	w.send(0, 1, 4000)
	w.clock.run(time.Minute)
	lost := 4000 - len(h[1].received)
	if lost < 900 || lost > 1100 {
		t.Fatalf("lost %d of 4000 at a rate of 0.25", lost)
	}
	w.wantCounts(map[Cause]int{CauseLoss: lost})
	w.net.Detach(1)
	w.send(0, 1, 1000)
	w.clock.run(time.Minute)
	w.wantCounts(map[Cause]int{CauseLoss: lost}) // lost for lack of a receiver, not by the fault
}

func TestDatagramDuplicates(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Rates: Rates{Duplicate: 0.5}}, 2)
	w.send(0, 1, 200)
	w.clock.run(time.Minute)
	extra := len(h[1].received) - 200
	if extra < 70 || extra > 130 {
		t.Fatalf("%d second copies of 200 at a rate of 0.5", extra)
	}
	w.wantCounts(map[Cause]int{CauseDuplicate: extra})
	seen := map[string]int{}
	for _, f := range h[1].received {
		if seen[f]++; seen[f] > 2 {
			t.Fatalf("%s arrived three times", f)
		}
	}
}

func TestDatagramDuplicateThatNeverArrivesCountsNothing(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{
		Mode:      Datagram,
		Rates:     Rates{Duplicate: 1},
		Duplicate: Range{time.Second, time.Second},
	}, 2)
	w.send(0, 1, 3)
	w.clock.run(500 * time.Millisecond)
	w.net.Detach(1)
	w.clock.run(time.Minute)
	wantFrames(t, h[1], 1, 3)
	w.wantCounts(nil)
	w.wantConserved()
}

func TestDatagramReorderCountsTheOvertaken(t *testing.T) {
	w, h := newTestNetwork(t, 3, Config{Mode: Datagram, Rates: Rates{Reorder: 0.1}}, 2)
	w.send(0, 1, 1) // even if it is held back, there is no frame to overtake it
	w.clock.run(time.Second)
	w.wantCounts(nil)
	for range 300 {
		w.send(0, 1, 1)
		w.clock.run(200 * time.Microsecond)
	}
	w.clock.run(time.Second)
	overtaken, newest := 0, 0
	for _, f := range h[1].received {
		if n := frameNumber(t, f); n < newest {
			overtaken++
		} else {
			newest = n
		}
	}
	if overtaken == 0 {
		t.Fatal("nothing was reordered")
	}
	w.wantCounts(map[Cause]int{CauseReorder: overtaken})
}

func TestDatagramHeldBackAloneIsNotReordered(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Rates: Rates{Reorder: 1}}, 2)
	for range 20 {
		w.send(0, 1, 1)
		w.clock.run(time.Second)
	}
	wantFrames(t, h[1], 1, 20)
	w.wantCounts(nil)
}

func TestDatagramReachesARestartedHost(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Latency: Latency{Min: time.Second, Mean: time.Second}}, 2)
	w.send(0, 1, 2)
	w.net.Detach(1)
	again := w.attach(1)
	w.clock.run(2 * time.Second)
	wantFrames(t, again, 1, 2)
	w.send(0, 1, 2)
	w.net.Vanish(1)
	w.clock.run(2 * time.Second)
	wantFrames(t, again, 1, 2)
	if len(h[0].lost) != 0 {
		t.Fatal("a host was told of a lost peer")
	}
	if !slices.Equal(w.lost, []Cause{CauseDown, CauseDown}) {
		t.Fatalf("dropped for %v", w.lost)
	}
}

func TestDatagramClogHoldsWhatArrives(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram}, 2)
	w.send(0, 1, 2) // in flight
	clog := w.net.Clog(0, 1)
	w.send(0, 1, 2)
	w.clock.run(time.Minute)
	wantFrames(t, h[1], 1, 0)
	clog.Heal()
	if len(h[1].received) != 0 {
		t.Fatal("delivered inside the heal")
	}
	w.clock.run(0)
	wantFrames(t, h[1], 1, 4)
	w.wantCounts(map[Cause]int{CauseClog: 4})
}

func TestDatagramSlowLinkDropsALongBacklog(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram}, 2)
	slow := w.net.Slow(0, 1, 1) // two bytes: two seconds
	w.send(0, 1, 8)
	w.clock.run(time.Minute)
	wantFrames(t, h[1], 1, 6) // the sixth is given to a link busy for 10 s
	w.wantCounts(map[Cause]int{CauseSlow: 8})
	slow.Heal()
	w.send(0, 1, 2)
	w.clock.run(time.Second)
	if len(h[1].received) != 8 {
		t.Fatalf("received %v", h[1].received)
	}
	w.wantCounts(map[Cause]int{CauseSlow: 8})
}

func TestDatagramHasNoConnections(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Rates: Rates{Reset: 1, HalfOpen: 1}}, 2)
	w.send(0, 1, 10)
	if w.net.Reset(0, 1) || w.net.HalfOpen(0, 1) {
		t.Fatal("a connection broke")
	}
	w.clock.run(time.Second)
	wantFrames(t, h[1], 1, 10)
	w.wantCounts(nil)
}

func TestDatagramSecondCopyIsNoReordering(t *testing.T) {
	w, h := newTestNetwork(t, 1, Config{Mode: Datagram, Rates: Rates{Duplicate: 1, Reorder: 1}}, 2)
	for range 10 {
		w.send(0, 1, 1)
		w.clock.run(2 * time.Second)
	}
	if len(h[1].received) != 20 {
		t.Fatalf("received %v", h[1].received)
	}
	w.wantCounts(map[Cause]int{CauseDuplicate: 10})
}
