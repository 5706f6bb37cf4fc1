package sim

import (
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// judged returns a run of a world of its own that no process runs in, so that a test can
// send in their names. An interval is 125 ms.
func judged(t *testing.T) *run {
	t.Helper()
	setup := schedule.DefaultSetup()
	r := newRun(&schedule.Schedule{Setup: setup}, RunOptions{})
	r.traffic = newTraffic(&setup)
	w, err := world.New(world.Config{Hosts: setup.Nodes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	r.world = w
	return r
}

// send hands n1's frame for n2 over.
func (r *run) send(m node.Message) { r.onSend(0, 1, &node.Envelope{Body: m}, 100) }

func appendAfter(prev node.Index, entries int) *node.Append {
	return &node.Append{Assignment: node.Assignment{Epoch: 7}, PrevIndex: prev, Entries: make([]node.Entry, entries)}
}

// hint is what n2 answers to an Append that does not fit its log.
func (r *run) hint() {
	r.onSend(1, 0, &node.Envelope{Body: &node.Appended{Epoch: 7}}, 100)
}

// A primary that begins a resend once an interval, or once a hint, is sound; one that begins
// them more often breaks its bound, however it begins them.
func TestResendsMoreOftenThanDue(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name  string
		steps func(r *run, pass func(time.Duration))
		fires bool
	}{
		{"new entries", func(r *run, _ func(time.Duration)) {
			for i := range 50 {
				r.send(appendAfter(node.Index(10+i), 1))
			}
		}, false},
		{"one an interval", func(r *run, pass func(time.Duration)) {
			r.send(appendAfter(10, 5))
			for range 50 {
				pass(125 * ms)
				r.send(appendAfter(10, 5))
			}
		}, false},
		{"one an interval, in pieces", func(r *run, pass func(time.Duration)) {
			r.send(appendAfter(10, 64))
			for range 10 {
				pass(125 * ms)
				for i := range 64 {
					r.send(appendAfter(node.Index(10+i), 1))
				}
			}
		}, false},
		{"one a hint", func(r *run, pass func(time.Duration)) {
			r.send(appendAfter(10, 5))
			for range 50 {
				r.hint()
				r.send(appendAfter(10, 5))
			}
		}, false},
		{"each of many hints begins one", func(r *run, pass func(time.Duration)) {
			r.send(appendAfter(10, 5))
			for range 6 {
				r.hint()
			}
			for range 6 {
				r.send(appendAfter(10, 5))
			}
		}, true},
		{"four an interval", func(r *run, pass func(time.Duration)) {
			r.send(appendAfter(10, 5))
			for range 8 {
				pass(31 * ms)
				r.send(appendAfter(10, 5))
			}
		}, true},
		{"empty ones without end", func(r *run, _ func(time.Duration)) {
			for range 6 {
				r.send(appendAfter(10, 0))
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judged(t)
			c.steps(r, func(d time.Duration) { r.world.RunUntil(r.world.Now() + d) })
			checkFires(t, r, c.fires, "n1 has begun to send partition 0 to n2 again")
		})
	}
}

// Offers of a snapshot are due once an interval, and whenever a primary asks for a log.
func TestOffersMoreOftenThanDue(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		asked bool
		fires bool
	}{{125 * time.Millisecond, false, false}, {60 * time.Millisecond, false, true}, {time.Millisecond, true, false}} {
		r := judged(t)
		for range 20 {
			if c.asked {
				r.onSend(1, 0, &node.Envelope{Body: &node.CopyRequest{Assignment: node.Assignment{Epoch: 7}}}, 100)
			}
			r.send(&node.SnapshotOffer{Assignment: node.Assignment{Epoch: 7}})
			r.world.RunUntil(r.world.Now() + c.every)
		}
		checkFires(t, r, c.fires, "n1 has offered n2 a snapshot of partition 0")
	}
}

func checkFires(t *testing.T, r *run, fires bool, says string) {
	t.Helper()
	found := r.verdict.violations
	if !fires && len(found) > 0 || fires && (len(found) == 0 || found[0].Class != Bounds || !strings.Contains(found[0].What, says)) {
		t.Fatalf("found %v; fires is to be %v with %q", found, fires, says)
	}
}

// Five nodes with three replicas: a forward goes to at most five members, ever more rarely,
// and each number counts for itself.
func TestCopiesOfForwards(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		hops  uint8
		same  bool
		fires bool
	}{
		{"once in 16 intervals", 2 * time.Second, 0, true, false},
		{"once in two intervals", 250 * time.Millisecond, 0, true, true},
		{"of many forwards", 0, 0, false, false},
		{"relayed", 0, 1, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judged(t)
			for i := range 20 {
				number := uint64(1)
				if !c.same {
					number += uint64(i)
				}
				for range 5 {
					r.send(&node.Forward{Hops: c.hops, ID: node.ForwardID{Number: number}})
				}
				r.world.RunUntil(r.world.Now() + c.every)
			}
			checkFires(t, r, c.fires, "copies of its forward 1")
		})
	}
}

// A run's totals are judged by its settings: what four times as much may cost is too much
// for a run without operations.
func TestTotalsOfARun(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *traffic)
		says   string
	}{
		{"sound", func(*traffic) {}, ""},
		{"forwards", func(t *traffic) { t.forwards = 1700 }, "nodes sent 1700 forwards for 100 operations with 1000 bytes that waited for 720 intervals, the bound is 1641"},
		{"frames", func(t *traffic) { t.frames = 45_000 }, "nodes sent 45000 frames"},
		{"bytes", func(t *traffic) { t.size = 6_500_000 }, "nodes sent 6500000 bytes for"},
		{"resends", func(t *traffic) { t.resent = 3_800_000 }, "nodes sent 3800000 bytes of resends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judged(t)
			r.world.RunUntil(30 * time.Second)
			for range 100 {
				r.traffic.onAsked(0, 10, 900*time.Millisecond)
			}
			r.traffic.forwards, r.traffic.frames, r.traffic.size, r.traffic.resent = 500, 9000, 900_000, 100_000
			c.change(r.traffic)
			r.checkTraffic()
			if checkFires(t, r, c.says != "", c.says); len(r.verdict.violations) > 1 {
				t.Fatalf("one total is too much, and %v are found", r.verdict.violations)
			}
		})
	}
}
