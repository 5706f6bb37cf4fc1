package world

import "time"

// clock is a host's clock. It starts at a time of its own and may run a little fast
// or slow, so that comparing two hosts' clocks is bound to fail.
type clock struct {
	ppm   int64         // how much faster than virtual time, in parts per million
	began time.Duration // reading at virtual time 0
}

// newClock draws a host's clock. It begins at up to ten days.
func newClock(r Random, host int, driftPPM int) clock {
	entity := uint64(host)
	c := clock{began: Range{0, 240 * time.Hour}.pick(r.Draw("clock.began", entity, 0))}
	if driftPPM > 0 {
		c.ppm = int64(r.Draw("clock.drift", entity, 0)%uint64(2*driftPPM+1)) - int64(driftPPM)
	}
	return c
}

const million = 1_000_000

// read returns the clock's reading at a virtual time.
func (c clock) read(now time.Duration) time.Duration {
	whole, part := int64(now)/million, int64(now)%million
	return c.began + now + time.Duration(whole*c.ppm+part*c.ppm/million)
}

// trueTime returns the least virtual time that makes the clock advance by d from
// its reading at now. So an alarm is never early, and as little late as possible.
func (c clock) trueTime(now, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	target := c.read(now) + d
	rate := million + c.ppm
	guess := max(0, time.Duration(int64(d)/rate*million+int64(d)%rate*million/rate)-2)
	for c.read(now+guess) < target {
		guess++
	}
	return guess
}

// processClock is a process's door.Clock.
type processClock struct{ process *hostProcess }

func (c processClock) Now() time.Duration {
	return c.process.host.clock.read(c.process.world().Now())
}

// After sets an alarm. It is handled as an event of the process, and so comes late
// while the process is paused or busy. Once stopped it is never handled, even if it
// waits in the queue already.
func (c processClock) After(d time.Duration, fn func()) (stop func()) {
	p := c.process
	a := &alarm{process: p, fn: fn}
	if p.ended {
		return func() {}
	}
	s := p.world().scheduler
	a.timer = s.Schedule(p.host.clock.trueTime(s.Now(), d), p.host.index, kindClock, a.ring)
	return a.stop
}

// alarm is one call of processClock.After.
type alarm struct {
	process *hostProcess
	fn      func()
	timer   timer
	stopped bool
}

func (a *alarm) ring() {
	a.process.post(dispatch{kind: kindTimer, fn: a.fn, alarm: a})
}

func (a *alarm) stop() {
	a.stopped = true
	a.timer.Stop()
}
