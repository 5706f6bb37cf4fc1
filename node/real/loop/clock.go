package loop

import (
	"time"

	"dkv/node/door"
)

// Clock returns the loop's clock.
func (l *Loop) Clock() door.Clock { return clock{l} }

// clock is node.Clock on the machine's time since boot, which goes on while
// the machine is suspended. Its methods are called on the loop.
type clock struct{ loop *Loop }

// Now stands still while an event runs, as in the simulator: the core asks many
// times an event, and each time would be a call of the system. The answer is
// never earlier than the event's begin, so that a frame is never taken for
// received, nor a lease for granted, before it was.
func (c clock) Now() time.Duration {
	if c.loop.now == 0 {
		c.loop.now = sinceBoot()
	}
	return c.loop.now
}

// After posts fn to the loop. Go's own timers stand still while the machine is
// suspended; then fn runs late, never early.
func (c clock) After(d time.Duration, fn func()) (stop func()) {
	t := &timer{loop: c.loop, due: sinceBoot() + d, fn: fn}
	t.arm(d)
	return t.stop
}

// timer belongs to the loop: arm, ring and stop run there, so that a stopped
// timer whose event is queued already does not run.
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
