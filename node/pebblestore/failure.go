package pebblestore

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Pebble tells of an error in four ways: it returns it, it panics, it calls
// the logger's Fatalf and would report success if that returned, or it tells a
// listener and tries again for ever. All four end here. Errors of writes and
// syncs are met before Pebble hears of them (disk.go).

// fail notes the first error and returns it, whatever err is: the first is the
// one that explains the others.
func (s *Store) fail(err error) error {
	if s.failure.CompareAndSwap(nil, &err) {
		s.options.Logger.Error("the store has failed", "dir", s.options.Dir, "error", err)
		if s.options.Failed != nil {
			s.options.Failed(err)
		}
	}
	return *s.failure.Load()
}

// Err returns the error that ended the store's use, or nil.
func (s *Store) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// recovered makes an error of a panic inside Pebble. It is deferred around
// every call into it.
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

// fatal is what Fatalf panics with where that can be recovered.
type fatal struct{ what string }

func (f fatal) Error() string { return f.what }

// logger is what Pebble tells.
type logger struct{ store *Store }

func (l logger) Infof(format string, args ...any) {
	l.store.options.Logger.Debug("Pebble: " + fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.store.options.Logger.Warn("Pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf reports, and never returns. Below a call of this package it panics,
// and the call returns the error. On a goroutine of Pebble's own it stops that
// goroutine for ever, with the locks it holds: any of its deferred steps could
// build on what did not happen.
func (l logger) Fatalf(format string, args ...any) {
	what := fatal{"Pebble: " + fmt.Sprintf(format, args...)}
	if calledFromHere() {
		panic(what)
	}
	_ = l.store.fail(fmt.Errorf("the store in %s: %w", l.store.options.Dir, what))
	select {}
}

// calledFromHere says whether a method of Store is on the stack.
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

// listener hears of what Pebble can't tell by an error. Work in the background
// that fails would be tried again for ever, until the loop waits for it.
func (s *Store) listener() pebble.EventListener {
	return pebble.EventListener{
		BackgroundError: func(err error) {
			if s.closed.Load() {
				return // it is in the log, for the next process
			}
			_ = s.fail(fmt.Errorf("the store in %s, in the background: %w", s.options.Dir, err))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			_ = s.fail(fmt.Errorf("the store in %s: %v", s.options.Dir, info))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.counts.stalls.Add(1)
			s.options.Logger.Warn("the store makes the node wait", "dir", s.options.Dir, "reason", info.Reason)
		},
	}
}
