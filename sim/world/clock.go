package world

import "time"

// clock is a machine's own: it runs a little fast or slow, and began at a time
// of its own.
type clock struct {
	ppm   int64         // how much faster than true time, in parts per million
	began time.Duration // its reading at virtual time 0
}

// newClock draws a host's clock. Readings begin within ten days of boot.
func newClock(r Random, host int, driftPPM int) clock {
	entity := uint64(host)
	c := clock{began: Range{0, 240 * time.Hour}.pick(r.Draw("clock.began", entity, 0))}
	if driftPPM > 0 {
		c.ppm = int64(r.Draw("clock.drift", entity, 0)%uint64(2*driftPPM+1)) - int64(driftPPM)
	}
	return c
}

const million = 1_000_000

// read is what the clock shows at a virtual time.
func (c clock) read(now time.Duration) time.Duration {
	whole, part := int64(now)/million, int64(now)%million
	return c.began + now + time.Duration(whole*c.ppm+part*c.ppm/million)
}

// trueTime is the least virtual time in which the clock, read at now, advances
// by d.
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

// processClock is the clock as the process on a host sees it.
type processClock struct{ life *life }

func (p processClock) Now() time.Duration {
	return p.life.host.clock.read(p.life.world().Now())
}

// After sets an alarm. It goes off as an event of the process, so it is late
// while the process is paused or busy; stopped before its event, it is silent.
func (p processClock) After(d time.Duration, fn func()) (stop func()) {
	l := p.life
	a := &alarm{life: l, fn: fn}
	if l.ended {
		return func() {}
	}
	s := l.world().scheduler
	a.timer = s.Schedule(l.host.clock.trueTime(s.Now(), d), l.host.index, KindClock, a.ring)
	return a.stop
}

// alarm is one call of After.
type alarm struct {
	life    *life
	fn      func()
	timer   Timer
	stopped bool
}

func (a *alarm) ring() {
	a.life.post(dispatch{kind: KindTimer, fn: a.fn, alarm: a})
}

func (a *alarm) stop() {
	a.stopped = true
	a.timer.Stop()
}
