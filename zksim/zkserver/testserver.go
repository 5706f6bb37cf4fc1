package zkserver

import (
	"net"
	"time"

	"dkv/zksim/zktree"
)

// TB is the part of testing.TB that NewTest uses. It keeps package testing out of
// programs that import this package.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// A TestServer is a server in memory on a free loopback port, with methods that
// inject faults.
type TestServer struct {
	*Server
	t    TB
	addr string
	l    net.Listener
}

// TestTick is the tick of NewTest: session timeouts are from 100 ms to 1 s.
const TestTick = 50 * time.Millisecond

// NewTest starts a server that is closed at the end of the test.
func NewTest(t TB) *TestServer { return NewTestWith(t, Options{Tick: TestTick}) }

// NewTestWith is like NewTest, with options.
func NewTestWith(t TB, o Options) *TestServer {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("starting a ZooKeeper server for a test: %v", err)
	}
	ts := &TestServer{Server: s, t: t, addr: "127.0.0.1:0"}
	ts.Up()
	ts.addr = ts.l.Addr().String()
	t.Cleanup(func() { _ = s.Close() })
	return ts
}

// Address returns host:port. Down and Up do not change it.
func (ts *TestServer) Address() string { return ts.addr }

// Down closes every connection and accepts no more until Up. Sessions can expire
// meanwhile.
func (ts *TestServer) Down() {
	_ = ts.l.Close()
	ts.DropConnections()
}

// Up accepts connections again, at the same address.
func (ts *TestServer) Up() {
	ts.t.Helper()
	l, err := net.Listen("tcp", ts.addr)
	if err != nil {
		ts.t.Fatalf("listening for ZooKeeper clients: %v", err)
	}
	ts.l = l
	go func() { _ = ts.Serve(l) }() // its error only says that Down or Close was called
}

// DropConnections breaks every connection. Sessions stay live.
func (ts *TestServer) DropConnections() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for c := range ts.open {
		c.kill()
	}
}

// DropNextWrite breaks the connection at the next write: instead of the reply if
// afterEffect is set, otherwise before the write is done.
func (ts *TestServer) DropNextWrite(afterEffect bool) {
	ts.call(func() {
		if afterEffect {
			ts.faults.dropAfter++
		} else {
			ts.faults.dropBefore++
		}
	})
}

// Lag makes the server show everything later by the given time, like a follower far
// behind its leader. Reads and watches use the old state; writes, and the beginning
// of sessions, are done at once and answered when they are shown; a client that has
// seen a later state is refused. 0 ends the lag: everything is shown at once.
func (ts *TestServer) Lag(by time.Duration) {
	ts.call(func() { ts.setLag(by) })
}

// DelayWatches delays every watch event by the given time, in order, but not reads and
// replies. So a client reads a change before its event, as happens with a library
// that delivers events and answers by different paths. 0 ends the delay: events held
// back are sent at once.
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

// Wipe makes the server lose its state, including its sessions, as if its disk had
// been replaced. Connections break, and clients that have seen a later state are
// refused. It ends a lag. It is for servers in memory only.
func (ts *TestServer) Wipe() {
	ts.t.Helper()
	if ts.wal != nil {
		ts.t.Fatalf("Wipe of a ZooKeeper server with a data directory: close the server and remove %s instead", ts.opts.Dir)
	}
	ts.call(func() {
		for _, c := range ts.byID {
			ts.hangUp(c)
		}
		ts.lag = nil
		ts.restore(zktree.NewTree())
	})
}

// HoldHandshakes makes the server accept connections without answering on them, until
// it is called with false. Handshakes that were held are never answered.
func (ts *TestServer) HoldHandshakes(hold bool) {
	ts.call(func() { ts.faults.holdHandshakes = hold })
}
