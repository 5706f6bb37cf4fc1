package realtest

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// patience limits every wait for what has to happen. Only a failing test waits that
// long, so it allows for a machine that is busy with other work.
const patience = 30 * time.Second

// Loop is the part of *loop.Loop that tests drive.
type Loop interface {
	Run()
	Stop()
	Post(fn func()) bool
	Call(fn func()) bool
}

// Start runs a loop in the background until the test ends.
func Start(t *testing.T, l Loop) {
	t.Helper()
	ended := make(chan struct{})
	go func() { l.Run(); close(ended) }()
	t.Cleanup(func() {
		l.Stop()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the loop does not end")
		}
	})
}

// World is an envtest.Loop on a real loop.
type World struct{ Loop }

// NewWorld starts a loop that ends with the test.
func NewWorld(t *testing.T, l Loop) World {
	t.Helper()
	Start(t, l)
	return World{l}
}

// Do runs fn as an event and returns when it has run.
func (w World) Do(fn func()) { w.Call(fn) }

// RunUntil waits, for a bounded time, until cond holds. It reports whether it
// does.
func (w World) RunUntil(cond func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		holds := false
		w.Call(func() { holds = cond() })
		if holds {
			return true
		}
	}
	return false
}

// Settle waits long enough for events that are due to run.
func (w World) Settle() {
	time.Sleep(30 * time.Millisecond)
	w.Call(func() {})
}

// Eventually waits until holds returns true and fails the test if it never
// does.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// Within waits for done to be closed and fails the test with the given message
// if that takes too long.
func Within(t *testing.T, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

// Log is a buffer that can be read while a logger writes to it.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
