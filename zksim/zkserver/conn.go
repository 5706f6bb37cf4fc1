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
	// handshakeTime is how long a new connection may take to send its first frame.
	handshakeTime = 10 * time.Second
	// writeTime is how long a client may read nothing before its connection ends;
	// closeTime is the same once the server is closing.
	writeTime = 30 * time.Second
	closeTime = time.Second
	// pauseBytes of unsent output stop a connection's reader. maxOutBytes end the
	// connection: events still add output while the reader is stopped.
	pauseBytes  = 4 << 20
	maxOutBytes = 64 << 20
	// keptBytes is the largest buffer kept for reuse.
	keptBytes = 64 << 10
	// maxHeld is how many of a connection's requests may wait for a lagging server
	// to show their effect before the reader stops.
	maxHeld = 1024
	// trustedBytes is how much memory the mere length of a frame gets.
	trustedBytes = 64 << 10
	// maxIdentities bounds the identities of a connection; further ones are ignored.
	maxIdentities = 64
)

var errFrame = errors.New("zkserver: reading a frame: it is longer than allowed")

// conn is one client connection.
type conn struct {
	id     int64
	server *Server
	nc     net.Conn
	raw    syscall.RawConn // nil if nc is not a plain socket; then the writer sends everything

	// Guarded by the server's turn.
	session  *session
	auth     []zktree.Identity
	gone     bool     // its requests are ignored and it receives no events
	pending  []byte   // output of the current turn
	requests requests // the requests that pending answers
	hangUp   bool     // close once pending is sent
	dirty    bool     // in the turn's list
	held     []held   // answers that a lagging server cannot give yet
	counts   traffic
	last     lastRequest

	mu      sync.Mutex
	changed sync.Cond // signalled when anything below changes
	out     []byte    // to be sent
	sending bool      // the writer is sending a part
	full    bool      // held is full
	closing bool      // close once out is sent
	dead    bool
	attempt func(fd uintptr) bool // writes out to the socket once, without waiting
	wrote   int                   // bytes that attempt wrote
	latency latency
}

type traffic struct {
	received, sent int64 // frames
	asked          int64 // requests that get an answer
}

func newConn(s *Server, id int64, nc net.Conn) *conn {
	c := &conn{id: id, server: s, nc: nc}
	c.changed.L = &c.mu
	c.last.began = time.Now()
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.auth = []zktree.Identity{{Scheme: "ip", ID: tcp.IP.String()}}
	}
	if plain, ok := nc.(*net.TCPConn); ok {
		c.raw, _ = plain.SyscallConn() // an error means that it is closed, as the reader will notice
	}
	c.attempt = func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), c.out)
		if err != nil {
			n = 0 // the socket is full or broken, as the writer will notice
		}
		c.wrote = n
		return true
	}
	return c
}

// read reads requests and handles them until the connection ends.
func (c *conn) read() {
	defer c.server.connDone(c)
	r := bufio.NewReaderSize(c.nc, 16<<10)
	_ = c.nc.SetReadDeadline(time.Now().Add(handshakeTime)) // a socket that refuses a deadline fails at the read
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

// serveSome waits for a request, and handles it in one turn together with those that
// have arrived with it. It returns false when the connection has ended.
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

// holdsFrame reports whether the next frame can be read without waiting.
func holdsFrame(r *bufio.Reader) bool {
	if r.Buffered() < 4 {
		return false
	}
	head, err := r.Peek(4)
	return err == nil && uint64(binary.BigEndian.Uint32(head))+4 <= uint64(r.Buffered())
}

// readFrame reads one frame of at most limit bytes.
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

// readLong allocates memory as the bytes arrive. Sending a length costs a client
// nothing, so it must not cost the server a megabyte.
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

// write sends the output that flush could not send at once, until the connection
// ends.
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
		c.changed.Broadcast() // the reader may continue
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// linger closes the sending direction and waits a while for the client to hang up
// too. Closing both at once, with requests unread, would reset the connection and
// discard answers that are still on their way.
func (c *conn) linger() {
	half, ok := c.nc.(*net.TCPConn)
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = half.SetReadDeadline(time.Now().Add(closeTime))
	_, _ = io.Copy(io.Discard, half) // ends when the client hangs up, or at the deadline
}

func (c *conn) patience() time.Duration {
	select {
	case <-c.server.stop:
		return closeTime
	default:
		return writeTime
	}
}

// release adds b to the unsent output. With thenClose it is the last of it.
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

// recycle returns an empty buffer for the next turn, after b was released.
func (c *conn) recycle(b []byte) []byte {
	if cap(b) > keptBytes {
		return nil
	}
	return b[:0]
}

// flush sends what the socket accepts without waiting, and leaves the rest to the
// writer. Waking the writer would be most of the time that a small request takes.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil && len(c.out) > 0 && !c.sending && !c.dead {
		c.wrote = 0
		_ = c.raw.Write(c.attempt) // an error means that it is closed, as the writer will notice
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

// waitForRoom stops the reader while the client does not read its replies, or while
// too many of them wait for a lagging server. It returns false once the connection
// is dead.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.out) > pauseBytes || c.full) && !c.dead && !c.closing {
		c.changed.Wait()
	}
	return !c.dead
}

// setFull sets whether the reader must wait for a lagging server.
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

// stopReading ends the reader, but not the writer: the client has closeTime to read
// its answers.
func (c *conn) stopReading() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // an error means that the connection has ended
	_ = c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	c.setFull(false)
}

// close ends the connection once its output is sent.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.changed.Broadcast()
}

// kill ends the connection at once. Unsent output is lost.
func (c *conn) kill() {
	c.mu.Lock()
	c.dead = true
	c.out = nil
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.nc.Close() // an error only says that it is closed already
}
