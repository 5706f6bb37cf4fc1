package zkserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"dkv/zksim/zktree"
)

const (
	// handshakeTime is how long a new connection may take over its first frame.
	handshakeTime = 10 * time.Second
	// writeTime is how long a client may take nothing at all, and closeTime the
	// same once the server ends.
	writeTime = 30 * time.Second
	closeTime = time.Second
	// pauseBytes is how much unsent output stops a connection's reader;
	// maxOutBytes ends the connection (events go on while the reader stands).
	pauseBytes  = 4 << 20
	maxOutBytes = 64 << 20
	// keptBytes is the largest buffer that is used again.
	keptBytes = 64 << 10
	// maxHeld is how many of a connection's requests may wait for a lagging
	// server to show their effect before its reader stops.
	maxHeld = 1024
	// trustedBytes is what a frame's length alone gets.
	trustedBytes = 64 << 10
	// maxIdentities is how many a connection can prove; more are no one new.
	maxIdentities = 64
)

var errFrame = errors.New("zkserver: frame longer than allowed")

// conn is one client connection.
type conn struct {
	id     int64
	server *Server
	nc     net.Conn
	raw    syscall.RawConn // nil: not a plain socket, the writer sends everything

	// Of whoever has the turn.
	session  *session
	auth     []zktree.Identity
	gone     bool     // nothing is read from it or told to it any more
	pending  []byte   // output of the current turn
	requests requests // answered in pending
	hangUp   bool     // close once pending is sent
	dirty    bool     // in the turn's list
	held     []held   // what a lagging server cannot show yet
	counts   traffic
	last     lastRequest

	mu      sync.Mutex
	changed sync.Cond // anything below changed
	out     []byte    // to be sent
	sending bool      // the writer is busy with a part
	full    bool      // held is full
	closing bool      // close once out is sent
	dead    bool
	attempt func(fd uintptr) bool // one write of out that does not wait
	wrote   int                   // bytes that it wrote
	latency latency
}

type traffic struct {
	received, sent int64 // frames
	asked          int64 // requests that are to be answered
}

func newConn(s *Server, id int64, nc net.Conn) *conn {
	c := &conn{id: id, server: s, nc: nc}
	c.changed.L = &c.mu
	c.last.began = time.Now()
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.auth = []zktree.Identity{{Scheme: "ip", ID: tcp.IP.String()}}
	}
	if plain, ok := nc.(*net.TCPConn); ok {
		c.raw, _ = plain.SyscallConn() // an error means that it is closed, as the reader will find
	}
	c.attempt = func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), c.out)
		if err != nil {
			n = 0 // nothing fits just now, or it is broken: the writer finds out
		}
		c.wrote = n
		return true
	}
	return c
}

// read takes requests until the connection ends, and works on them itself.
func (c *conn) read() {
	defer c.server.connDone(c)
	r := bufio.NewReaderSize(c.nc, 16<<10)
	_ = c.nc.SetReadDeadline(time.Now().Add(handshakeTime)) // a socket that cannot take a deadline fails at the read
	word, err := r.Peek(4)
	if err != nil {
		return
	}
	if text := fourLetterWord(word); text != "" {
		if c.server.begin() {
			c.server.onWord(c, text)
			c.server.finish(c)
			c.awaitDeath()
		}
		return
	}
	frame, err := readFrame(r, zktree.MaxRequest)
	if err != nil {
		return
	}
	hello, err := decodeConnect(frame)
	if err != nil || !c.server.begin() {
		return
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	c.server.onHello(c, &hello)
	c.server.finish(c)
	for c.waitForRoom() && c.serveSome(r) {
	}
}

// serveSome waits for a request and handles it in one turn with those that came
// along; false when the connection has ended.
func (c *conn) serveSome(r *bufio.Reader) bool {
	frame, err := readFrame(r, zktree.MaxRequest)
	if err != nil || !c.server.begin() {
		return false
	}
	now := time.Now()
	c.server.onFrame(c, frame, now)
	for range maxTurn - 1 {
		if c.gone || c.server.full() || !holdsFrame(r) {
			break
		}
		if frame, err = readFrame(r, zktree.MaxRequest); err != nil {
			break
		}
		c.server.onFrame(c, frame, now)
	}
	c.server.finish(c)
	return err == nil
}

// holdsFrame says whether the next frame can be read without waiting.
func holdsFrame(r *bufio.Reader) bool {
	if r.Buffered() < 4 {
		return false
	}
	head, err := r.Peek(4)
	return err == nil && uint64(binary.BigEndian.Uint32(head))+4 <= uint64(r.Buffered())
}

// readFrame reads one frame, of limit bytes at most.
func readFrame(r io.Reader, limit uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > limit {
		return nil, errFrame
	}
	if n > trustedBytes {
		return readLong(r, int(n))
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	return frame, nil
}

// readLong makes room as the bytes come: a length alone costs its sender
// nothing, and must not cost the server a megabyte.
func readLong(r io.Reader, n int) ([]byte, error) {
	var frame []byte
	for len(frame) < n {
		more := min(max(trustedBytes, len(frame)), n-len(frame))
		frame = append(frame, make([]byte, more)...)
		if _, err := io.ReadFull(r, frame[len(frame)-more:]); err != nil {
			return nil, err
		}
	}
	return frame, nil
}

// write sends what could not be sent at once, until the connection ends.
func (c *conn) write() {
	defer c.kill()
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.closing && !c.dead {
			c.changed.Wait()
		}
		out, last, dead := c.out, c.closing, c.dead
		c.out, c.sending = nil, true
		c.mu.Unlock()
		if dead {
			return
		}
		if len(out) == 0 && last {
			c.linger()
			return
		}
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.patience()))
		_, err := c.nc.Write(out)
		c.mu.Lock()
		c.sending = false
		c.changed.Broadcast() // there is room again
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// linger says that nothing more comes, and waits a while for the client to hang
// up too. To close at once, with requests unread, would throw away answers that
// are still on their way.
func (c *conn) linger() {
	half, ok := c.nc.(*net.TCPConn)
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = half.SetReadDeadline(time.Now().Add(closeTime))
	_, _ = io.Copy(io.Discard, half) // ends with the client, or the deadline
}

func (c *conn) patience() time.Duration {
	select {
	case <-c.server.stop:
		return closeTime
	default:
		return writeTime
	}
}

// release adds to what is to be sent; with thenClose it is the last.
func (c *conn) release(b []byte, answered requests, thenClose bool) {
	c.mu.Lock()
	if answered.count > 0 {
		took := time.Since(answered.taken)
		c.latency.add(took, answered.count)
		c.server.latency.add(took, answered.count)
	}
	if !c.dead {
		c.out = append(c.out, b...)
	}
	c.closing = c.closing || thenClose
	tooMuch := len(c.out) > maxOutBytes
	c.mu.Unlock()
	if tooMuch {
		c.kill()
	}
}

// recycle is an empty buffer for the next turn, after b was released.
func (c *conn) recycle(b []byte) []byte {
	if cap(b) > keptBytes {
		return nil
	}
	return b[:0]
}

// flush sends what the socket takes without waiting; the writer gets the rest.
// It spares the way over the writer, which is most of a small request's time.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil && len(c.out) > 0 && !c.sending && !c.dead {
		c.wrote = 0
		_ = c.raw.Write(c.attempt) // an error means that it is closed, as the writer will find
		if c.wrote == len(c.out) {
			c.out = c.recycle(c.out)
		} else {
			c.out = c.out[c.wrote:]
		}
	}
	if len(c.out) > 0 || c.closing {
		c.changed.Broadcast()
	}
}

// waitForRoom holds the reader while the client does not take its replies, or
// while too many of them wait for a lagging server.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.out) > pauseBytes || c.full) && !c.dead && !c.closing {
		c.changed.Wait()
	}
	return !c.dead
}

// setFull says whether the reader has to wait for a lagging server.
func (c *conn) setFull(full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full != full {
		c.full = full
		c.changed.Broadcast()
	}
}

func (c *conn) awaitDeath() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.dead {
		c.changed.Wait()
	}
}

// stopReading ends the reader without touching what is to be sent, for which
// the client gets closeTime.
func (c *conn) stopReading() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // an error means that it has ended
	_ = c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	c.setFull(false)
}

// close ends the connection once everything is sent.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.changed.Broadcast()
}

// kill ends the connection at once; what was not sent is lost.
func (c *conn) kill() {
	c.mu.Lock()
	c.dead = true
	c.out = nil
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.nc.Close() // its only news would be that it is closed already
}
