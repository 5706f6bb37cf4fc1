package zookeeper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
	"dkv/node/real/loop"
	"dkv/node/real/realtest"
	"dkv/zksim/zkserver"
)

// client is a session on a loop of its own, with the events that it received.
type client struct {
	realtest.World
	zk      *Coordinator
	session *session
	mu      sync.Mutex
	events  []door.SessionEvent
	log     realtest.Log
}

func open(t *testing.T, timeout time.Duration, server string) *client {
	t.Helper()
	return openThrough(t, net.DialTimeout, timeout, server)
}

func openThrough(t *testing.T, dial zk.Dialer, timeout time.Duration, server string) *client {
	t.Helper()
	c := &client{World: realtest.NewWorld(t, loop.New())}
	c.zk = New(c.Post, []string{server}, timeout, slog.New(slog.NewTextHandler(&c.log, nil)))
	c.zk.dial = dial
	c.Do(func() {
		c.session = c.zk.Open(func(e door.SessionEvent) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.events = append(c.events, e)
		}).(*session)
	})
	t.Cleanup(func() { // stop the goroutines of the session soon after the test
		c.session.guard.shut()
		go c.session.conn.Close()
	})
	return c
}

func (c *client) told(kind door.SessionEventKind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

func (c *client) connected(t *testing.T) {
	t.Helper()
	realtest.Eventually(t, "connected", func() bool { return c.told(door.EventConnected) })
}

func (c *client) multi(t *testing.T, ops ...door.Op) error {
	t.Helper()
	answer := make(chan error, 1)
	c.Do(func() { c.session.Multi(ops, func(err error) { answer <- err }) })
	select {
	case err := <-answer:
		return err
	case <-time.After(2 * lasting):
		t.Fatal("a transaction was not answered")
		return nil
	}
}

func createOp(path string) door.Op { return door.Op{Kind: door.OpCreate, Path: path} }

func TestLostRepliesAreUnknown(t *testing.T) {
	server := lastingServer(t)
	c := open(t, lasting, server.Address())
	c.connected(t)
	for i, afterEffect := range []bool{false, true} {
		path := fmt.Sprintf("/lost-%d", i)
		server.DropNextWrite(afterEffect)
		if err := c.multi(t, createOp(path)); !errors.Is(err, door.ErrUnknownOutcome) {
			t.Errorf("a transaction whose reply was lost: %v", err)
		}
		err := c.multi(t, createOp(path)) // in the same session, reconnected
		if afterEffect != errors.Is(err, door.ErrNodeExists) {
			t.Errorf("the same transaction again: %v; the first took effect: %v", err, afterEffect)
		}
	}
}

func TestLargeRequestsAreNotSent(t *testing.T) {
	server := lastingServer(t)
	c := open(t, lasting, server.Address())
	c.connected(t)
	half := door.Op{Kind: door.OpCreate, Path: "/x", Data: make([]byte, maxRequestBytes/2)}
	err := c.multi(t, half, half)
	if err == nil || errors.Is(err, door.ErrUnknownOutcome) || errors.Is(err, door.ErrSessionOver) || !errors.Is(err, errTooLarge) {
		t.Errorf("a large transaction: %v", err)
	}
	if err := c.multi(t, createOp("/y")); err != nil {
		t.Errorf("the transaction after it: %v", err)
	}
	if err := c.multi(t, door.Op{Kind: 99, Path: "/x"}); err == nil || errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("an operation of an unknown kind: %v", err)
	}
	if c.told(door.EventDisconnected) {
		t.Error("the connection was lost")
	}
}

// A server that accepts connections and never answers must not hold a node up.
func TestHandshakeHasItsOwnDeadline(t *testing.T) {
	server := lastingServer(t)
	server.HoldHandshakes(true)
	const timeout = 3 * time.Second
	c := open(t, timeout, server.Address())
	realtest.Eventually(t, "a warning is logged", func() bool { return strings.Contains(c.log.String(), "cannot reach ZooKeeper") })
	server.HoldHandshakes(false)
	released := time.Now()
	c.connected(t)
	// The library pauses for a second after all addresses have failed. Without the
	// guard it would wait 6.7 times the session timeout.
	if took := time.Since(released); took > 5*timeout {
		t.Errorf("connected %v after the server started to answer", took)
	}
}

func TestUnreachableAtTheStart(t *testing.T) {
	address := realtest.Address(t)
	c := open(t, 400*time.Millisecond, address)
	realtest.Eventually(t, "a warning is logged", func() bool {
		return strings.Contains(c.log.String(), address) && strings.Contains(c.log.String(), "refused")
	})
	if err := c.multi(t, createOp("/x")); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("a transaction without a server: %v", err)
	}
	if id := c.session.ID(); id != 0 {
		t.Errorf("the session has ID %d", id)
	}
	began := time.Now()
	closed := make(chan struct{})
	c.Do(func() { c.session.Close(func() { close(closed) }) })
	realtest.Within(t, closed, "a session that never connected did not close")
	if took := time.Since(began); took > 5*closeTime {
		t.Errorf("closing took %v", took)
	}
}

// A server that is gone, or lost its state, never says that a session has expired.
func TestWatchdogEndsASessionThatNoServerResumes(t *testing.T) {
	const timeout = 2 * time.Second
	server := lastingServer(t)
	c := open(t, timeout, server.Address())
	c.connected(t)
	lost := time.Now()
	server.Down()
	realtest.Eventually(t, "the loss is reported", func() bool { return c.told(door.EventDisconnected) })
	realtest.Eventually(t, "the session is over", func() bool { return c.told(door.EventExpired) })
	if took := time.Since(lost); took < timeout {
		t.Errorf("the session ended %v after the loss, before its timeout of %v", took, timeout)
	}
	server.Up()
	if err := c.multi(t, createOp("/x")); !errors.Is(err, door.ErrSessionOver) {
		t.Errorf("a transaction after the end: %v", err)
	}
}

// After the end of a session its connection object must not open another.
func TestNoSecondSession(t *testing.T) {
	server := lastingServer(t)
	c := open(t, lasting, server.Address())
	c.connected(t)
	server.ExpireSession(c.session.ID())
	realtest.Eventually(t, "the expiry is reported", func() bool { return c.told(door.EventExpired) })
	time.Sleep(100 * time.Millisecond)
	if sessions := server.Sessions(); len(sessions) != 0 {
		t.Errorf("unexpected sessions %x", sessions)
	}
	if _, err := c.session.guard.dial("tcp", server.Address(), time.Second); !errors.Is(err, errGuardOver) {
		t.Errorf("dialing after the end: %v", err)
	}
}

// A request that gets no answer costs the connection, within a limited time.
func TestCallsHaveADeadline(t *testing.T) {
	const timeout = 3 * time.Second
	server := lastingServer(t)
	line := &deafLine{}
	c := openThrough(t, line.dial, timeout, server.Address())
	c.connected(t)
	line.deaf.Store(true)
	began := time.Now()
	err := c.multi(t, createOp("/x"))
	if took := time.Since(began); !errors.Is(err, door.ErrUnknownOutcome) || took > 4*timeout {
		t.Errorf("a transaction without an answer: %v after %v", err, took)
	}
	realtest.Eventually(t, "the loss is reported", func() bool { return c.told(door.EventDisconnected) })
}

// deafLine discards what the client writes.
type deafLine struct{ deaf atomic.Bool }

func (l *deafLine) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	return deafConn{conn, l}, err
}

type deafConn struct {
	net.Conn
	line *deafLine
}

func (c deafConn) Write(p []byte) (int, error) {
	if c.line.deaf.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// scriptedServer answers the connect request of a client that has no session with
// first, and of one that has a session with then. It keeps connections open.
func scriptedServer(t *testing.T, first, then []byte) (address string, taken *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken = new(atomic.Int64)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			serving.Go(func() {
				defer conn.Close()
				request := make([]byte, 4+44)
				_, _ = io.ReadFull(conn, request)
				reply := first
				if session := request[4+4+8+4:][:8]; !bytes.Equal(session, make([]byte, 8)) {
					reply = then
				}
				_, _ = conn.Write(reply)
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return listener.Addr().String(), taken
}

func connectReply(timeout time.Duration, session int64) []byte {
	reply := binary.BigEndian.AppendUint32(nil, 36)
	reply = binary.BigEndian.AppendUint32(reply, 0)
	reply = binary.BigEndian.AppendUint32(reply, uint32(timeout.Milliseconds()))
	reply = binary.BigEndian.AppendUint64(reply, uint64(session))
	reply = binary.BigEndian.AppendUint32(reply, 16)
	return append(reply, make([]byte, 16)...)
}

func frame(body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// Frames that would make the library panic cost only the connection.
func TestGuardRefusesInvalidFrames(t *testing.T) {
	header := make([]byte, minReply)
	binary.BigEndian.PutUint32(header, 0xffffffff) // a notification
	hello := connectReply(300*time.Millisecond, 7)
	tests := map[string][]byte{
		"short connect reply":         frame(make([]byte, 20)...),
		"huge connect reply":          binary.BigEndian.AppendUint32(nil, 1<<30),
		"negative connect reply":      {0xff, 0xff, 0xff, 0xff},
		"long connect reply":          frame(make([]byte, maxConnectReply+1)...),
		"no timeout":                  connectReply(0, 7),
		"short reply":                 append(bytes.Clone(hello), frame(1, 2, 3)...),
		"huge reply":                  append(bytes.Clone(hello), 0x7f, 0xff, 0xff, 0xff),
		"notification without a body": append(bytes.Clone(hello), frame(header...)...),
		"notification with a long path": append(bytes.Clone(hello),
			frame(append(bytes.Clone(header), 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 9, '/')...)...),
	}
	for name, reply := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, taken := scriptedServer(t, reply, reply)
			open(t, 300*time.Millisecond, address)
			realtest.Eventually(t, "it connects again", func() bool { return taken.Load() >= 2 })
		})
	}
}

func TestGuardAdmitsOneSession(t *testing.T) {
	first := append(connectReply(300*time.Millisecond, 7), frame(1)...) // and an invalid frame
	address, _ := scriptedServer(t, first, connectReply(300*time.Millisecond, 8))
	c := open(t, lasting, address)
	realtest.Eventually(t, "the session is over", func() bool { return c.told(door.EventExpired) })
	if id := c.session.ID(); id != 7 {
		t.Errorf("the session has ID %d", id)
	}
	if got := c.session.guard.timeout(); got != 300*time.Millisecond {
		t.Errorf("the negotiated timeout is %v", got)
	}
}

func TestNegotiatedTimeoutIsLearned(t *testing.T) {
	server := zkserver.NewTest(t) // at most a second
	c := open(t, time.Minute, server.Address())
	c.connected(t)
	if got := c.session.guard.timeout(); got != time.Second {
		t.Errorf("the negotiated timeout is %v", got)
	}
}

func TestErrorsOfTheLibrary(t *testing.T) {
	certain := map[error]error{
		zk.ErrNoNode: door.ErrNoNode, zk.ErrNodeExists: door.ErrNodeExists,
		zk.ErrBadVersion: door.ErrBadVersion, zk.ErrNotEmpty: door.ErrNotEmpty,
		zk.ErrSessionExpired: door.ErrSessionOver, zk.ErrNoAuth: zk.ErrNoAuth, nil: nil,
	}
	for from, to := range certain {
		if got := mapError(from); !errors.Is(got, to) || errors.Is(got, door.ErrUnknownOutcome) {
			t.Errorf("%v became %v, want %v", from, got, to)
		}
	}
	for _, from := range []error{zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrClosing, zk.ErrSessionMoved, zk.ErrUnknown, io.ErrUnexpectedEOF} {
		if got := mapError(from); !errors.Is(got, door.ErrUnknownOutcome) {
			t.Errorf("%v became %v, want unknown", from, got)
		}
	}
}

// Watches survive a reconnect, and each is set once.
func TestWatchesAcrossAReconnect(t *testing.T) {
	server := lastingServer(t)
	c := open(t, lasting, server.Address())
	c.connected(t)
	if err := c.multi(t, createOp("/x"), createOp("/x/y")); err != nil {
		t.Fatal(err)
	}
	read := func() {
		answers := make(chan error, 3)
		c.Do(func() {
			c.session.Get("/x", true, func(_ []byte, _ door.Stat, err error) { answers <- err })
			c.session.Get("/missing", true, func(_ []byte, _ door.Stat, err error) { answers <- err })
			c.session.Children("/x", true, func(_ []string, err error) { answers <- err })
		})
		for range 3 {
			if err := <-answers; err != nil && !errors.Is(err, door.ErrNoNode) {
				t.Error(err)
			}
		}
	}
	armed := func() int {
		c.session.mu.Lock()
		defer c.session.mu.Unlock()
		return len(c.session.armed)
	}
	read()
	for range 3 {
		before := c.zk.counts.reconnects.Load()
		server.DropConnections()
		realtest.Eventually(t, "reconnected", func() bool { return c.zk.counts.reconnects.Load() > before })
		read()
		if got := armed(); got != 3 {
			t.Errorf("%d watches are set, want 3", got)
		}
	}
	other := open(t, lasting, server.Address())
	other.connected(t)
	err := other.multi(t, door.Op{Kind: door.OpSet, Path: "/x", Version: door.AnyVersion}, createOp("/missing"), createOp("/x/z"))
	if err != nil {
		t.Fatal(err)
	}
	realtest.Eventually(t, "the changes are reported", func() bool { return armed() == 0 })
	c.Settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := map[string]int{}
	for _, e := range c.events {
		if e.Kind == door.EventChanged {
			changes[e.Path]++
		}
	}
	if changes["/x"] < 1 || changes["/x"] > 2 || changes["/missing"] != 1 {
		t.Errorf("reported %v", changes)
	}
}
