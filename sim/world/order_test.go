package world

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/netsim"
	"dkv/sim/schedule"

	"pgregory.net/rapid"
)

// ran is a step that a test has seen.
type ran struct {
	host, number int
	due, at      time.Duration
}

// runOrdered schedules steps of four hosts and returns how they ran.
func runOrdered(o schedule.Order, seed uint64, due [][]time.Duration) (list []ran, overtaken int) {
	s := newScheduler(nil)
	s.order = newOrdering(o, NewRandom(seed), func() { overtaken++ })
	for host := range due {
		for number, d := range due[host] {
			s.Schedule(d, host, kindTurn, func() { list = append(list, ran{host, number, d, s.Now()}) })
		}
	}
	for s.Step() {
	}
	if s.Pending() != 0 {
		panic("steps are left")
	}
	return list, overtaken
}

// The steps of a lane keep their order, no step is early, and none is later than the
// window allows. Time never runs backwards.
func TestOrderKeepsLanesAndTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := time.Duration(rapid.IntRange(0, 20).Draw(t, "window"))
		due := make([][]time.Duration, 4)
		total := 0
		for host := range due {
			for range rapid.IntRange(0, 8).Draw(t, "steps") {
				due[host] = append(due[host], time.Duration(rapid.IntRange(0, 60).Draw(t, "due")))
				total++
			}
			slices.Sort(due[host])
		}
		o := schedule.Order{Mode: schedule.PCT, Depth: rapid.IntRange(1, 4).Draw(t, "depth"), Span: rapid.IntRange(1, 9).Draw(t, "span"), Window: window}
		list, _ := runOrdered(o, rapid.Uint64().Draw(t, "seed"), due)
		if len(list) != total {
			t.Fatalf("%d of %d steps ran", len(list), total)
		}
		next, now := make([]int, 4), time.Duration(0)
		for _, r := range list {
			if r.number != next[r.host] || r.at < r.due || r.at > r.due+window || r.at < now {
				t.Fatalf("step %+v after %v, where number %d was expected: %v", r, now, next[r.host], list)
			}
			next[r.host]++
			now = r.at
		}
	})
}

// Three lanes with one step each, all due at one instant, run in all six orders.
func TestPCTFindsEveryOrderOfOneInstant(t *testing.T) {
	orders := make(map[string]int)
	overtaken := 0
	for seed := range uint64(200) {
		list, n := runOrdered(schedule.Order{Mode: schedule.PCT, Depth: 1, Span: 10}, seed, [][]time.Duration{{5}, {5}, {5}})
		orders[fmt.Sprint(list[0].host, list[1].host, list[2].host)]++
		overtaken += n
	}
	if len(orders) != 6 || overtaken == 0 {
		t.Fatalf("orders of 3 lanes: %v; %d steps overtook", orders, overtaken)
	}
}

// One lane runs until a change of priorities lets another in. With one change fewer than
// an interleaving needs, it never occurs.
func TestPCTNeedsTheDepthOfABug(t *testing.T) {
	lanes := [][]time.Duration{{5, 5, 5, 5}, {5, 5}}
	interleaved := func(depth int) int {
		n := 0
		for seed := range uint64(300) {
			list, _ := runOrdered(schedule.Order{Mode: schedule.PCT, Depth: depth, Span: 6}, seed, lanes)
			if list[0].host == 0 && list[1].host == 1 && list[2].host == 1 && list[3].host == 0 {
				n++
			}
		}
		return n
	}
	if n := interleaved(1); n > 0 {
		t.Errorf("depth 1 has no change of priorities, but interleaved %d times", n)
	}
	if n := interleaved(2); n < 10 {
		t.Errorf("depth 2 interleaved in %d of 300 runs", n)
	}
}

func TestOrderOutlivesStoppedSteps(t *testing.T) {
	s := newScheduler(nil)
	s.order = newOrdering(schedule.Order{Mode: schedule.PCT, Window: 10, Span: 100}, NewRandom(1), func() {})
	var timers []timer
	left := 0
	for i := range 5000 {
		timers = append(timers, s.Schedule(time.Duration(i/100), i%7, kindClock, func() { left-- }))
	}
	for i, timer := range timers {
		if i%4 != 0 {
			if !timer.Stop() {
				t.Fatalf("timer %d was not stopped", i)
			}
		} else {
			left++
		}
		if i%1000 == 0 {
			s.next() // some are ready when they are stopped
		}
	}
	if s.Pending() != left {
		t.Fatalf("%d steps wait, want %d", s.Pending(), left)
	}
	for s.Step() {
	}
	if left != 0 || s.Pending() != 0 {
		t.Fatalf("%d steps did not run, %d wait", left, s.Pending())
	}
}

// FIFO needs no ordering: it is the scheduler's own order.
func TestFIFOIsTheSchedulersOwnOrder(t *testing.T) {
	list, _ := runOrdered(schedule.Order{Mode: schedule.FIFO, Window: 50}, 1, [][]time.Duration{{3, 4}, {2, 5}, {4, 4}})
	if !slices.IsSortedFunc(list, func(a, b ran) int { return cmp.Compare(a.due, b.due) }) {
		t.Fatalf("out of order: %v", list)
	}
}

// arrivals is a handler that records the frames that arrive.
type arrivals struct{ got *[]string }

func (a arrivals) OnFrame(from netsim.HostID, frame []byte) {
	*a.got = append(*a.got, fmt.Sprintf("%d:%03d", from, frame[0]))
}
func (a arrivals) OnPeerLost(netsim.HostID) {}

// Steps of different links overtake each other, but those of one link never do, although
// all are due within the window. The network keeps the frames of a stream in order by
// itself, so this test calls the scheduler as the network does.
func TestOrderKeepsALinksOrder(t *testing.T) {
	changed := 0
	for seed := range uint64(20) {
		s := newScheduler(nil)
		s.order = newOrdering(schedule.Order{Mode: schedule.PCT, Depth: 5, Span: 40, Window: 50 * time.Millisecond}, NewRandom(seed), func() {})
		d := networkDoor{schedulerPart{s, kindNetwork}}
		var got []ran
		for i := range 40 { // to one host, from two
			from, due := i%2, time.Duration(i)*time.Millisecond
			d.AfterOn(netsim.HostID(from), 2, due, func() { got = append(got, ran{host: from, number: i / 2, due: due}) })
		}
		for s.Step() {
		}
		next := [2]int{}
		for i, r := range got {
			if r.number != next[r.host] {
				t.Fatalf("seed %d: link from %d: number %d came instead of %d", seed, r.host, r.number, next[r.host])
			}
			next[r.host]++
			if i > 0 && r.due < got[i-1].due {
				changed++
			}
		}
		if len(got) != 40 {
			t.Fatalf("seed %d: %d of 40 steps ran", seed, len(got))
		}
	}
	if changed == 0 {
		t.Error("no step of one link overtook a step of the other")
	}
}

// Frames of different connections overtake each other, but those of one connection never
// do, although all are due within the window.
func TestOrderKeepsAConnectionsOrder(t *testing.T) {
	s := newScheduler(nil)
	overtaken := 0
	s.order = newOrdering(schedule.Order{Mode: schedule.PCT, Depth: 5, Span: 40, Window: 50 * time.Millisecond}, NewRandom(4), func() { overtaken++ })
	n, err := netsim.New(networkDoor{schedulerPart{s, kindNetwork}}, NewRandom(4), netsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	hosts := [3]netsim.HostID{n.Host("a"), n.Host("b"), n.Host("c")}
	for _, h := range hosts {
		n.Attach(h, arrivals{&got})
	}
	for i := range byte(100) {
		s.Schedule(time.Duration(i)*time.Millisecond, 0, kindTurn, func() {
			n.Send(hosts[0], hosts[2], []byte{i})
			n.Send(hosts[1], hosts[2], []byte{i})
		})
	}
	for s.Step() {
	}
	var last [2]string
	changed := 0
	for i, frame := range got {
		from := frame[0] - '0'
		if frame < last[from] {
			t.Fatalf("%s came after %s", frame, last[from])
		}
		last[from] = frame
		if i > 0 && frame[2:] < got[i-1][2:] {
			changed++
		}
	}
	if len(got) != 200 || overtaken == 0 || changed == 0 {
		t.Fatalf("%d frames of 200; %d steps overtook, %d frames of one connection came before older ones of the other", len(got), overtaken, changed)
	}
}

// All steps of a link keep their order: the end of a dial comes before the first
// delivery, which learns here that there is no receiver.
func TestOrderKeepsADialBeforeItsFrames(t *testing.T) {
	for seed := range uint64(50) {
		s := newScheduler(nil)
		s.order = newOrdering(schedule.Order{Mode: schedule.PCT, Depth: 3, Span: 5, Window: 50 * time.Millisecond}, NewRandom(seed), func() {})
		lost := 0
		n, err := netsim.New(networkDoor{schedulerPart{s, kindNetwork}}, NewRandom(seed), netsim.Config{
			Dropped: func(_, _ netsim.HostID, _ []byte, _ netsim.Cause) { lost++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		a, b, absent := n.Host("a"), n.Host("b"), n.Host("absent")
		n.Attach(a, arrivals{&got})
		n.Attach(b, arrivals{&got})
		n.Send(a, absent, []byte{1})
		n.Send(b, absent, []byte{2})
		n.Send(a, b, []byte{3})
		for s.Step() {
		}
		if lost != 2 || len(got) != 1 {
			t.Fatalf("seed %d: %d frames were lost, %v arrived", seed, lost, got)
		}
	}
}
