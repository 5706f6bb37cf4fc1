package loop

import (
	"time"

	"dkv/node/door"
)

// Clock returns the loop's clock.
func (l *Loop) Clock() door.Clock { return clock{l} }

// clock implements door.Clock with the machine's time since boot, which keeps
// running while the machine is suspended. Its methods are called on the loop.
type clock struct{ loop *Loop }

// Now returns the same time throughout an event, as in the simulator: the core asks
// many times per event, and each answer would cost a system call. The time is
// never before the start of the event, because then a lease could seem to have
// been granted before it was.
func (c clock) Now() time.Duration {
	if c.loop.now == 0 {
		c.loop.now = sinceBoot()
	}
	return c.loop.now
}

// After posts fn to the loop after d. Go's timers stop while the machine is
// suspended, so fn may run late; it never runs early.
func (c clock) After(d time.Duration, fn func()) (stop func()) {
	t := &timer{loop: c.loop, due: sinceBoot() + d, fn: fn}
	t.arm(d)
	return t.stop
}

// timer belongs to the loop: ring and stop run there, so that a stopped timer does
// not run even if its event is already in the queue.
type timer struct {
	loop  *Loop
	due   time.Duration
	fn    func()
	alarm *time.Timer
}

func (t *timer) arm(d time.Duration) {
	t.alarm = time.AfterFunc(d, func() { t.loop.Post(t.ring) })
}

func (t *timer) ring() {
	if t.fn == nil {
		return
	}
	if early := t.due - sinceBoot(); early > 0 {
		t.arm(early)
		return
	}
	fn := t.fn
	t.fn = nil
	fn()
}

func (t *timer) stop() {
	t.fn = nil
	t.alarm.Stop()
}
