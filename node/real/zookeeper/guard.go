package zookeeper

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// The part of ZooKeeper's wire protocol that the guard knows: a frame is a length
// (i32) and a body. The body of a reply starts with xid (i32), zxid (i64) and err
// (i32). The first reply of a connection is protocol (i32), timeout (i32), session
// (i64) and password.
const (
	minConnectReply  = 36
	maxConnectReply  = 256
	minReply         = 16
	minEvent         = 28 // header, type i32, state i32, path's length i32
	maxReplyBytes    = 8 << 20
	eventXid         = -1
	opSetWatches     = 101
	maxHandshakeTime = 1 * time.Second
	troubleLogged    = 5 * time.Second
	// dialGap is the least time from a handshake to the next dial. The library
	// pauses only after a server that it cannot reach, so it would flood one that
	// closes each connection.
	dialGap = 50 * time.Millisecond
)

var errGuardOver = errors.New("the ZooKeeper session is over and opens no more connections")

// guard dials for one zk.Conn and checks everything that passes between it and the
// server. It does what the library does not: it limits the time of a handshake,
// admits a single session and none after it, closes the connection on frames that
// would make the library panic, and learns what the library hides.
type guard struct {
	log       *slog.Logger
	handshake time.Duration
	connect   zk.Dialer
	// rewatched is called when a connection has sent its SetWatches.
	rewatched func()

	mu         sync.Mutex
	over       bool
	session    int64
	negotiated time.Duration
	acked      time.Time // when ZooKeeper last answered
	stood      time.Time // when a handshake last succeeded
	conn       *guardConn
	logged     time.Time // when trouble was last logged
	since      time.Time // when the trouble began
}

func newGuard(timeout time.Duration, log *slog.Logger, connect zk.Dialer, rewatched func()) *guard {
	return &guard{
		log:        log,
		handshake:  min(timeout/4, maxHandshakeTime),
		negotiated: timeout,
		connect:    connect,
		rewatched:  rewatched,
	}
}

// dial is a zk.Dialer. It resolves names each time.
func (g *guard) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	g.mu.Lock()
	over, gap := g.over, dialGap-time.Since(g.stood)
	g.mu.Unlock()
	if over {
		return nil, errGuardOver
	}
	time.Sleep(gap)
	raw, err := g.connect(network, address, min(timeout, g.handshake))
	if err != nil {
		g.trouble(address, err)
		return nil, err
	}
	conn := &guardConn{
		Conn:     raw,
		guard:    g,
		address:  address,
		deadline: time.Now().Add(g.handshake),
		r:        bufio.NewReaderSize(raw, 16<<10),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		_ = raw.Close()
		return nil, errGuardOver
	}
	g.conn = conn
	return conn, nil
}

// trouble logs every few seconds why there is no connection.
func (g *guard) trouble(address string, err error) {
	g.mu.Lock()
	now := time.Now()
	if g.since.IsZero() {
		g.since = now
	}
	quiet := g.over || now.Sub(g.logged) < troubleLogged
	if !quiet {
		g.logged = now
	}
	waited := now.Sub(g.since)
	g.mu.Unlock()
	if !quiet {
		g.log.Warn("cannot reach ZooKeeper; retrying", "address", address,
			"error", err, "for", waited.Round(time.Second))
	}
}

// shut closes the connection and refuses to dial again.
func (g *guard) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// cut closes the connection; the library then reconnects with the same session.
func (g *guard) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// timeout returns the negotiated session timeout, or the requested one before the
// first handshake.
func (g *guard) timeout() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.negotiated
}

func (g *guard) lastAcknowledged() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.acked
}

// greeted checks the server's answer to a connect request.
func (g *guard) greeted(timeout time.Duration, session int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case session == 0: // expired; the same frame tells the library
		g.over = true
	case g.session != 0 && session != g.session:
		g.over = true
		return fmt.Errorf("the server answered with session %#x instead of %#x", session, g.session)
	default:
		if !g.logged.IsZero() {
			g.log.Info("reached ZooKeeper again", "after", time.Since(g.since).Round(time.Millisecond))
		}
		g.session, g.negotiated = session, timeout
		g.stood = time.Now()
		g.acked, g.since, g.logged = g.stood, time.Time{}, time.Time{}
	}
	return nil
}

func (g *guard) acknowledged() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked = time.Now()
}

// guardConn is one connection. The library reads it from one goroutine and writes
// it from another.
type guardConn struct {
	net.Conn
	guard    *guard
	address  string
	r        *bufio.Reader
	frame    []byte // checked, and not yet read by the library
	deadline time.Time

	mu       sync.Mutex
	greeted  bool // the connect reply has been read
	greeting bool // the connect request has been written; used by Write only
}

// Read returns bytes of whole frames that have been checked, so that the deadline
// that the library sets for the length of a frame covers its body too.
func (c *guardConn) Read(p []byte) (int, error) {
	if len(c.frame) == 0 {
		if err := c.readFrame(); err != nil {
			if !c.isGreeted() {
				c.guard.trouble(c.address, fmt.Errorf("connecting: %w", err))
			}
			return 0, err
		}
	}
	n := copy(p, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

func (c *guardConn) readFrame() error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return err
	}
	length := int32(binary.BigEndian.Uint32(head))
	if length < minReply || length > maxReplyBytes {
		return fmt.Errorf("invalid frame of %d bytes from ZooKeeper", length)
	}
	body, err := readBody(c.r, int64(length))
	if err != nil {
		return err
	}
	if err := c.check(body); err != nil {
		return err
	}
	c.frame = append(head, body...)
	return nil
}

// readBody reads length bytes. Memory grows with the bytes that arrive, not with
// the claimed length.
func readBody(r io.Reader, length int64) ([]byte, error) {
	var body bytes.Buffer
	_, err := io.CopyN(&body, r, length)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return body.Bytes(), err
}

func (c *guardConn) check(body []byte) error {
	if !c.isGreeted() {
		return c.checkConnectReply(body)
	}
	if int32(binary.BigEndian.Uint32(body)) != eventXid {
		c.guard.acknowledged()
		return nil
	}
	if len(body) < minEvent || int64(binary.BigEndian.Uint32(body[24:])) > int64(len(body)-minEvent) {
		return fmt.Errorf("truncated notification of %d bytes from ZooKeeper", len(body))
	}
	return nil
}

func (c *guardConn) checkConnectReply(body []byte) error {
	if len(body) < minConnectReply || len(body) > maxConnectReply {
		return fmt.Errorf("invalid connect reply of %d bytes from ZooKeeper", len(body))
	}
	timeout := time.Duration(int32(binary.BigEndian.Uint32(body[4:]))) * time.Millisecond
	session := int64(binary.BigEndian.Uint64(body[8:]))
	if session != 0 && timeout <= 0 {
		return fmt.Errorf("invalid session timeout of %v from ZooKeeper", timeout)
	}
	c.mu.Lock()
	c.greeted = true
	c.mu.Unlock()
	return c.guard.greeted(timeout, session)
}

// Write passes on one whole request, which is what the library writes at a time,
// and recognizes SetWatches.
func (c *guardConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if !c.greeting {
		c.greeting = true
		return n, err
	}
	if err == nil && len(p) >= 12 && binary.BigEndian.Uint32(p[8:]) == opSetWatches {
		c.guard.rewatched()
	}
	return n, err
}

func (c *guardConn) isGreeted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.greeted
}

// SetReadDeadline does not exceed the deadline of the handshake until that is over.
func (c *guardConn) SetReadDeadline(t time.Time) error {
	return c.Conn.SetReadDeadline(c.bounded(t))
}

// SetWriteDeadline is like SetReadDeadline.
func (c *guardConn) SetWriteDeadline(t time.Time) error {
	return c.Conn.SetWriteDeadline(c.bounded(t))
}

func (c *guardConn) bounded(t time.Time) time.Time {
	if !c.isGreeted() && (t.IsZero() || t.After(c.deadline)) {
		return c.deadline
	}
	return t
}
