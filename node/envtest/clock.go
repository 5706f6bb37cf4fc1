package envtest

import (
	"dkv/node/door"
	"testing"
	"time"
)

// ClockHarness is a world with one clock.
type ClockHarness interface {
	Loop
	Clock() door.Clock
}

// TestClock checks a Clock against its promises.
func TestClock(t *testing.T, harness func(t *testing.T) ClockHarness) {
	tests := []struct {
		name string
		body func(*clockBody)
	}{
		{"NowNeverGoesBack", (*clockBody).nowNeverGoesBack},
		{"AfterIsNeverEarly", (*clockBody).afterIsNeverEarly},
		{"AfterNothingIsAnEventOfItsOwn", (*clockBody).afterNothing},
		{"StoppedTimersDoNotRun", (*clockBody).stoppedTimers},
		{"StopReachesATimerThatIsDue", (*clockBody).stopReachesDueTimer},
		{"StopAfterTheEnd", (*clockBody).stopAfterTheEnd},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := harness(t)
			test.body(&clockBody{stage: stage{t: t, loop: h}, clock: h.Clock()})
		})
	}
}

type clockBody struct {
	stage
	clock door.Clock
}

// after sets a timer whose callback is watched.
func (b *clockBody) after(d time.Duration, fn func()) (stop func()) {
	return b.clock.After(d, b.event("a timer", fn))
}

func (b *clockBody) nowNeverGoesBack() {
	var last time.Duration
	ticks := 0
	var tick func()
	tick = func() {
		now := b.clock.Now()
		if now < last {
			b.t.Errorf("the clock went from %v to %v", last, now)
		}
		last = now
		if ticks++; ticks < 20 {
			b.after(time.Millisecond, tick)
		}
	}
	b.do(func() {
		last = b.clock.Now()
		tick()
	})
	b.wait("20 ticks of a millisecond", func() bool { return ticks == 20 })
}

func (b *clockBody) afterIsNeverEarly() {
	const timers = 50
	ran := make([]int, timers)
	total := 0
	b.do(func() {
		for i := range timers {
			d := time.Duration(i*7%timers) * time.Millisecond
			due := b.clock.Now() + d
			b.after(d, func() {
				if now := b.clock.Now(); now < due {
					b.t.Errorf("a timer of %v ran %v early", d, due-now)
				}
				ran[i]++
				total++
			})
		}
	})
	b.wait("50 timers", func() bool { return total >= timers })
	b.loop.Settle()
	b.do(func() {
		for i, n := range ran {
			if n != 1 {
				b.t.Errorf("timer %d ran %d times", i, n)
			}
		}
	})
}

func (b *clockBody) afterNothing() {
	ran := 0
	b.do(func() {
		b.after(0, func() { ran++ })
		b.after(-time.Second, func() { ran++ })
		if ran > 0 {
			b.t.Error("a timer of no time ran inside After")
		}
	})
	b.wait("timers of no time", func() bool { return ran == 2 })
}

func (b *clockBody) stoppedTimers() {
	ran, last := 0, false
	b.do(func() {
		for i := range 20 {
			stop := b.after(time.Duration(i)*time.Millisecond, func() { ran++ })
			stop()
			stop() // again does nothing
		}
		b.after(30*time.Millisecond, func() { last = true })
	})
	b.wait("a timer of 30ms", func() bool { return last })
	b.do(func() {
		if ran > 0 {
			b.t.Errorf("%d stopped timers ran", ran)
		}
	})
}

// stopReachesDueTimer lets timers that are due together stop one another: one
// of them runs, although the others may have been queued by then.
func (b *clockBody) stopReachesDueTimer() {
	ran := 0
	b.do(func() {
		due := b.clock.Now() + 5*time.Millisecond
		stops := make([]func(), 10)
		for i := range stops {
			stops[i] = b.after(due-b.clock.Now(), func() {
				ran++
				for _, stop := range stops {
					stop()
				}
			})
		}
	})
	b.wait("one of ten timers", func() bool { return ran > 0 })
	b.loop.Settle()
	b.do(func() {
		if ran != 1 {
			b.t.Errorf("%d of 10 timers ran; the first stopped the others", ran)
		}
	})
}

func (b *clockBody) stopAfterTheEnd() {
	var stop func()
	ran := 0
	b.do(func() { stop = b.after(time.Millisecond, func() { ran++ }) })
	b.wait("a timer of 1ms", func() bool { return ran == 1 })
	b.do(func() { stop() })
	b.loop.Settle()
	b.do(func() {
		if ran != 1 {
			b.t.Errorf("the timer ran %d times", ran)
		}
	})
}
