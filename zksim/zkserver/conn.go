package zkserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"dkv/zksim"
)

const (
	// handshakeTime is how long a new connection may take over its first frame.
	handshakeTime = 10 * time.Second
	// writeTime is how long a client may take nothing at all.
	writeTime = 30 * time.Second
	// pauseBytes is how much unsent output stops a connection's reader;
	// maxOutBytes ends the connection (events go on while the reader stands).
	pauseBytes  = 4 << 20
	maxOutBytes = 64 << 20
)

var errFrame = errors.New("zkserver: frame longer than allowed")

// conn is one client connection.
type conn struct {
	id     int64
	server *Server
	nc     net.Conn

	// The owner's.
	session *session
	gone    bool   // nothing is read from it or told to it any more
	pending []byte // output of the current turn
	hangUp  bool   // close once pending is sent
	dirty   bool   // in the turn's list
	counts  traffic

	mu      sync.Mutex
	changed sync.Cond // out, closing or dead changed
	out     []byte    // to be sent
	closing bool      // close once out is sent
	dead    bool
}

type traffic struct {
	received, sent int64
}

func newConn(s *Server, id int64, nc net.Conn) *conn {
	c := &conn{id: id, server: s, nc: nc}
	c.changed.L = &c.mu
	return c
}

// read feeds the owner until the connection ends.
func (c *conn) read() {
	defer c.server.connDone(c)
	r := bufio.NewReaderSize(c.nc, 16<<10)
	_ = c.nc.SetReadDeadline(time.Now().Add(handshakeTime)) // a socket that cannot take a deadline fails at the read
	word, err := r.Peek(4)
	if err != nil {
		return
	}
	if text := fourLetterWord(word); text != "" {
		c.server.send(event{conn: c, kind: evWord, word: text})
		c.awaitDeath()
		return
	}
	frame, err := readFrame(r, zksim.MaxRequest)
	if err != nil {
		return
	}
	hello, err := decodeConnect(frame)
	if err != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	if !c.server.send(event{conn: c, kind: evHello, hello: hello}) {
		return
	}
	for {
		frame, err := readFrame(r, zksim.MaxRequest)
		if err != nil {
			return
		}
		if !c.waitForRoom() || !c.server.send(event{conn: c, kind: evFrame, frame: frame}) {
			return
		}
	}
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
	frame := make([]byte, n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	return frame, nil
}

// write sends what the owner releases, until the connection ends.
func (c *conn) write() {
	defer c.kill()
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.closing && !c.dead {
			c.changed.Wait()
		}
		out, last := c.out, c.closing
		c.out = nil
		dead := c.dead
		c.changed.Broadcast()
		c.mu.Unlock()
		if dead {
			return
		}
		if len(out) > 0 {
			_ = c.nc.SetWriteDeadline(time.Now().Add(writeTime))
			if _, err := c.nc.Write(out); err != nil {
				return
			}
		}
		if last && len(out) == 0 {
			return
		}
	}
}

// release hands output to the writer; with thenClose it is the last.
func (c *conn) release(b []byte, thenClose bool) {
	c.mu.Lock()
	if c.out == nil {
		c.out = b
	} else {
		c.out = append(c.out, b...)
	}
	c.closing = c.closing || thenClose
	tooMuch := len(c.out) > maxOutBytes
	c.changed.Broadcast()
	c.mu.Unlock()
	if tooMuch {
		c.kill()
	}
}

// waitForRoom holds the reader while the client does not take its replies.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > pauseBytes && !c.dead {
		c.changed.Wait()
	}
	return !c.dead
}

func (c *conn) awaitDeath() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.dead {
		c.changed.Wait()
	}
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
