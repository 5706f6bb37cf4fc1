package zkserver

import (
	"net"
	"time"

	"dkv/zksim/zktree"
)

// TB is the part of testing.TB that NewTest uses, so that this package does not
// bring package testing into a program.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// TestServer is a server in memory on a free loopback port, with hands for a
// test to break it.
type TestServer struct {
	*Server
	t    TB
	addr string
	l    net.Listener
}

// TestTick is a TestServer's tick: sessions live 100 ms to 1 s.
const TestTick = 50 * time.Millisecond

// NewTest starts a server that ends with the test.
func NewTest(t TB) *TestServer { return NewTestWith(t, Options{Tick: TestTick}) }

// NewTestWith is NewTest with options of the caller's.
func NewTestWith(t TB, o Options) *TestServer {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("opening a ZooKeeper server: %v", err)
	}
	ts := &TestServer{Server: s, t: t, addr: "127.0.0.1:0"}
	ts.Up()
	ts.addr = ts.l.Addr().String()
	t.Cleanup(func() { _ = s.Close() })
	return ts
}

// Address is host:port, the same over Down and Up.
func (ts *TestServer) Address() string { return ts.addr }

// Down closes every connection and takes no more. Sessions age meanwhile.
func (ts *TestServer) Down() {
	_ = ts.l.Close()
	ts.DropConnections()
}

// Up takes connections again, on the same address.
func (ts *TestServer) Up() {
	ts.t.Helper()
	l, err := net.Listen("tcp", ts.addr)
	if err != nil {
		ts.t.Fatalf("listening for ZooKeeper clients: %v", err)
	}
	ts.l = l
	go func() { _ = ts.Serve(l) }() // ends with Down or Close, both of which the test asked for
}

// DropConnections breaks every connection; sessions live on.
func (ts *TestServer) DropConnections() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for c := range ts.open {
		c.kill()
	}
}

// DropNextWrite breaks the connection of the next write: before it is done, or
// afterwards instead of the reply.
func (ts *TestServer) DropNextWrite(afterEffect bool) {
	ts.call(func() {
		if afterEffect {
			ts.faults.dropAfter++
		} else {
			ts.faults.dropBefore++
		}
	})
}

// Lag makes the server show everything by later than it happens, as a follower
// that is far behind: reads and watches tell of the state before that, writes
// (of sessions too) happen at once and are answered when they are shown, and a
// client that has seen more elsewhere is refused. 0 ends it: what is held back
// is shown at once.
func (ts *TestServer) Lag(by time.Duration) {
	ts.call(func() { ts.setLag(by) })
}

// DelayWatches makes every watch event come by later than it happens, in order,
// while reads and replies do not wait for it: a client then reads what changed
// before it is told, as one may whose library hands out events and answers by
// different ways. 0 ends it: what is held back is told at once.
func (ts *TestServer) DelayWatches(by time.Duration) {
	ts.call(func() {
		ts.faults.delayWatches = max(0, by)
		if by <= 0 {
			for _, d := range ts.faults.delayed {
				ts.tellNow(d.watcher, d.event)
			}
			ts.faults.delayed = nil
		}
	})
}

// Wipe makes the server lose its state, sessions included, as one whose disk
// was replaced: connections break, and clients that have seen more than is left
// are refused. It is for servers in memory, and ends a lag.
func (ts *TestServer) Wipe() {
	ts.t.Helper()
	if ts.wal != nil {
		ts.t.Fatalf("Wipe is for a ZooKeeper server in memory; close this one and remove %s", ts.opts.Dir)
	}
	ts.call(func() {
		for _, c := range ts.byID {
			ts.hangUp(c)
		}
		ts.lag = nil
		ts.restore(zktree.NewTree())
	})
}

// HoldHandshakes makes the server take connections and answer nothing on them,
// until it is called with false; what was held stays unanswered.
func (ts *TestServer) HoldHandshakes(hold bool) {
	ts.call(func() { ts.faults.holdHandshakes = hold })
}
