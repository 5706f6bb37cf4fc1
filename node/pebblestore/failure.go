package pebblestore

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Pebble reports errors in four ways: it returns them; it panics; it calls the
// logger's Fatalf, and would report success if that returned; or it calls a
// listener and retries forever. All four end here. Errors of writes and syncs are
// caught before Pebble sees them (disk.go).

// fail records the first error and always returns that one, because later errors are
// usually its consequences.
func (s *Store) fail(err error) error {
	if s.failure.CompareAndSwap(nil, &err) {
		s.options.Logger.Error("the store has failed", "dir", s.options.Dir, "error", err)
		if s.options.Failed != nil {
			s.options.Failed(err)
		}
	}
	return *s.failure.Load()
}

// Err returns the error that made the store fail, or nil.
func (s *Store) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// recovered turns a panic inside Pebble into an error. Every call into Pebble defers
// it.
func (s *Store) recovered(err *error) {
	r := recover()
	if r == nil {
		return
	}
	cause, ok := r.(error)
	if !ok {
		cause = fmt.Errorf("%v", r)
	}
	if !errors.As(cause, new(fatal)) {
		s.options.Logger.Debug("Pebble panicked", "panic", r, "stack", string(debug.Stack()))
	}
	*err = s.fail(fmt.Errorf("the store in %s: %w", s.options.Dir, cause))
}

// fatal is the value that Fatalf panics with, where a call can recover it.
type fatal struct{ what string }

func (f fatal) Error() string { return f.what }

// logger receives what Pebble logs.
type logger struct{ store *Store }

func (l logger) Infof(format string, args ...any) {
	l.store.options.Logger.Debug("Pebble: " + fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.store.options.Logger.Warn("Pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf makes the store fail and never returns, because Pebble would continue as if
// the operation had succeeded. Inside a call from this package it panics, and the
// call returns the error. On a goroutine of Pebble it blocks forever, together with
// the locks that the goroutine holds: even its deferred functions could build on
// something that did not happen.
func (l logger) Fatalf(format string, args ...any) {
	what := fatal{"Pebble: " + fmt.Sprintf(format, args...)}
	if calledFromHere() {
		panic(what)
	}
	_ = l.store.fail(fmt.Errorf("the store in %s: %w", l.store.options.Dir, what))
	select {}
}

// calledFromHere reports whether a method of Store is on the stack.
func calledFromHere() bool {
	callers := make([]uintptr, 128)
	callers = callers[:runtime.Callers(2, callers)]
	frames := runtime.CallersFrames(callers)
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "pebblestore.(*Store).") {
			return true
		}
		if !more {
			return false
		}
	}
}

// listener receives what Pebble cannot return as an error. Pebble would retry failing
// background work forever, until the loop has to wait for it.
func (s *Store) listener() pebble.EventListener {
	return pebble.EventListener{
		BackgroundError: func(err error) {
			if s.closed.Load() {
				return // the data is in the log, for the next process
			}
			_ = s.fail(fmt.Errorf("the store in %s, in the background: %w", s.options.Dir, err))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			_ = s.fail(fmt.Errorf("the store in %s: %v", s.options.Dir, info))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.counts.stalls.Add(1)
			s.options.Logger.Warn("the store makes the node wait for background work", "dir", s.options.Dir, "reason", info.Reason)
		},
	}
}
