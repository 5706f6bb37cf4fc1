package world

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSchedulerRunsInOrderOfTimeThenOfAsking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScheduler(nil)
		type due struct {
			at time.Duration
			n  int
		}
		var want, got []due
		var timers []timer
		ask := func(d time.Duration) {
			e := due{s.Now() + d, len(timers)}
			timers = append(timers, s.Schedule(d, NoHost, kindWorld, func() { got = append(got, due{s.Now(), e.n}) }))
			want = append(want, e)
		}
		for range rapid.IntRange(1, 300).Draw(t, "operations") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				if len(timers) == 0 {
					continue
				}
				n := rapid.IntRange(0, len(timers)-1).Draw(t, "which")
				if timers[n].Stop() {
					want = slices.DeleteFunc(want, func(e due) bool { return e.n == n })
				}
			case 1:
				s.Step()
			default:
				ask(time.Duration(rapid.IntRange(0, 20).Draw(t, "delay")))
			}
		}
		for s.Step() {
		}
		slices.SortFunc(want, func(a, b due) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return a.n - b.n
		})
		if !slices.Equal(got, want) {
			t.Fatalf("ran %v, want %v", got, want)
		}
		if s.Pending() != 0 {
			t.Fatalf("%d entries wait in an empty scheduler", s.Pending())
		}
	})
}

func TestSchedulerForgetsStoppedEntries(t *testing.T) {
	s := newScheduler(nil)
	ran := 0
	s.Schedule(time.Hour, NoHost, kindWorld, func() { ran++ })
	for i := range 100_000 {
		s.Schedule(time.Duration(i)*time.Second, NoHost, kindWorld, func() { t.Error("a stopped entry ran") }).Stop()
	}
	if len(s.heap) > 5000 || len(s.slots) > 5000 {
		t.Errorf("heap of %d, %d slots after 100000 stopped entries", len(s.heap), len(s.slots))
	}
	for s.Step() {
	}
	if ran != 1 || s.Now() != time.Hour {
		t.Errorf("ran %d times, at %v", ran, s.Now())
	}
}

func TestSchedulerKeepsOrderWhenItForgets(t *testing.T) {
	s := newScheduler(nil)
	var last time.Duration
	ran := 0
	var timers []timer
	for i := range 10_000 {
		d := time.Duration(i*7919%10_007) * time.Millisecond
		if i%4 == 0 {
			s.Schedule(d, NoHost, kindWorld, func() {
				if s.Now() < last {
					t.Errorf("%v after %v", s.Now(), last)
				}
				last = s.Now()
				ran++
			})
			continue
		}
		timers = append(timers, s.Schedule(d, NoHost, kindWorld, func() { t.Error("a stopped entry ran") }))
	}
	for _, timer := range timers {
		timer.Stop()
	}
	if len(s.heap) > 6000 {
		t.Errorf("%d entries in the heap, 2500 of them live", len(s.heap))
	}
	for s.Step() {
	}
	if ran != 2500 {
		t.Errorf("%d of 2500 ran", ran)
	}
}

func TestTimerStopsOnlyItsOwnEntry(t *testing.T) {
	s := newScheduler(nil)
	var ran []string
	first := s.Schedule(1, NoHost, kindWorld, func() { ran = append(ran, "first") })
	s.Step()
	s.Schedule(1, NoHost, kindWorld, func() { ran = append(ran, "second") }) // in the same slot
	if first.Stop() {
		t.Error("a timer that ran was stopped")
	}
	if (timer{}).Stop() {
		t.Error("the zero timer was stopped")
	}
	s.Step()
	if !slices.Equal(ran, []string{"first", "second"}) {
		t.Errorf("ran %v", ran)
	}
}

// BenchmarkScheduler runs a step that schedules the next, among a thousand that wait. One
// timer in four is stopped.
func BenchmarkScheduler(b *testing.B) {
	s := newScheduler(newTrace(nil))
	r := NewRandom(1)
	n := uint64(0)
	var fn func()
	fn = func() {
		n++
		word := r.Draw("bench", 0, n)
		d := time.Duration(word % uint64(time.Millisecond))
		s.Schedule(d, NoHost, kindWorld, fn)
		if word>>60 < 4 {
			s.Schedule(d+time.Second, NoHost, kindWorld, fn).Stop()
		}
	}
	for range 1000 {
		fn()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		s.Step()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
