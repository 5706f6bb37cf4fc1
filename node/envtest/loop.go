package envtest

import "testing"

// Loop is where a body and the door's callbacks run, one event at a time.
// Bodies call it from the test's goroutine, never from an event.
type Loop interface {
	// Do runs fn as one event, and returns when it has run.
	Do(fn func())
	// RunUntil runs events until cond holds. cond is asked between events, as
	// an event. It gives up, and returns false, after a time in which whatever
	// is under way in a healthy world must have happened: some seconds.
	RunUntil(cond func() bool) bool
	// Settle runs events until nothing is under way, or for a moment (tens of
	// milliseconds) where that can't be known.
	Settle()
}

// stage runs the steps of a body and the callbacks of a door, and fails the
// test when one runs inside another.
type stage struct {
	t    *testing.T
	loop Loop
	busy bool // an event of the body runs; used on the loop alone
}

// do runs fn as one event.
func (s *stage) do(fn func()) {
	s.t.Helper()
	s.loop.Do(s.event("a step of the body", fn))
}

// event wraps a callback for a door.
func (s *stage) event(what string, fn func()) func() {
	return func() {
		if s.busy {
			s.t.Errorf("%s ran inside another event", what)
		}
		s.busy = true
		fn()
		s.busy = false
	}
}

// wait runs events until cond holds.
func (s *stage) wait(what string, cond func() bool) {
	s.t.Helper()
	if !s.loop.RunUntil(cond) {
		s.t.Fatalf("waited in vain for %s", what)
	}
}
