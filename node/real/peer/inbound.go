package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"dkv/node"
	"dkv/node/real/loop"
)

const (
	readBufferBytes = 64 << 10
	// frameBatch is the most frames that a connection posts to the loop at once.
	frameBatch = 64
	// trustedBytes is how much memory is allocated for a frame from its claimed
	// length alone; more is allocated as bytes arrive.
	trustedBytes = 64 << 10
)

// accept accepts peers until the listener is closed.
func (n *Network) accept() {
	var logged time.Time
	for {
		conn, err := n.listener.Accept()
		if n.isClosed() {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			if time.Since(logged) > refusalLogged {
				logged = time.Now()
				n.log.Warn("cannot accept a peer; retrying", "error", err)
			}
			time.Sleep(50 * time.Millisecond) // most likely out of file descriptors
			continue
		}
		if !n.enter(conn) {
			n.counts.inboundRefused.Add(1)
			_ = conn.Close()
			continue
		}
		n.running.Go(func() {
			defer n.leave(conn)
			n.receive(conn)
		})
	}
}

func (n *Network) enter(conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.inbound) >= maxInbound {
		return false
	}
	n.accepted++
	n.inbound[conn] = n.accepted
	return true
}

func (n *Network) leave(conn net.Conn) {
	_ = conn.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.inbound, conn)
}

// receive serves one inbound connection until it ends.
func (n *Network) receive(conn net.Conn) {
	r := bufio.NewReaderSize(conn, readBufferBytes)
	peer, err := n.welcome(conn, r)
	defer n.forget(peer.Store, conn)
	if err != nil {
		n.counts.hellosRefused.Add(1)
		n.log.Debug("refused a peer", "address", conn.RemoteAddr(), "reason", err)
		return
	}
	err = n.readFrames(r)
	if err != nil && !errors.Is(err, io.EOF) && !n.isClosed() {
		n.log.Debug("the connection of a peer ended", "node", peer.Node, "address", conn.RemoteAddr(), "error", err)
	}
}

// welcome reads the Hello of a peer and answers it, with this node's Hello or with
// the reason for a refusal. An answer implies that the previous connection of the
// peer is over.
func (n *Network) welcome(conn net.Conn, r *bufio.Reader) (node.Hello, error) {
	if err := conn.SetDeadline(time.Now().Add(n.greetWithin)); err != nil {
		return node.Hello{}, err
	}
	body, err := readFrame(r, node.MaxHelloBytes)
	if err != nil {
		return node.Hello{}, err
	}
	theirs, err := node.DecodeHello(body)
	if err != nil {
		return node.Hello{}, err
	}
	ours, err := n.introduce(theirs.Store)
	if err == nil {
		err = n.admit(theirs)
	}
	if err == nil {
		err = n.supersede(theirs.Store, conn)
	}
	if err != nil {
		_, _ = conn.Write(node.AppendRefusal(nil, n.refuse(theirs, err)))
		return node.Hello{}, err
	}
	if _, err := conn.Write(node.AppendHello(nil, ours)); err != nil {
		return theirs, err
	}
	n.loop.Post(func() {
		if l := n.links[theirs.Store]; l != nil {
			l.peerBack()
		}
	})
	return theirs, conn.SetDeadline(time.Time{})
}

// supersede closes the previous connection of a store: a sender dials again only
// when it has given up the previous connection. The order is that of accept,
// because the goroutines of two connections may get here in either order.
func (n *Network) supersede(store node.StoreID, conn net.Conn) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if current := n.current[store]; current != nil {
		if n.inbound[current] > n.inbound[conn] {
			return errSuperseded
		}
		_ = current.Close()
	}
	n.current[store] = conn
	return nil
}

func (n *Network) forget(store node.StoreID, conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.current[store] == conn {
		delete(n.current, store)
	}
}

// readFrames posts frames to the loop until the connection ends or delivers
// something that is not a frame.
func (n *Network) readFrames(r *bufio.Reader) error {
	decoder := node.NewDecoder()
	batch := make([]loop.Frame, 0, frameBatch)
	for {
		body, err := readFrame(r, node.MaxFrameBytes)
		if err != nil {
			if errors.Is(err, errFrame) {
				n.counts.framesRefused.Add(1)
			}
			return err
		}
		frame, err := decoder.Decode(body)
		if err != nil {
			n.counts.framesRefused.Add(1)
			return err
		}
		n.counts.framesReceived.Add(1)
		n.counts.bytesReceived.Add(uint64(len(body)))
		batch = append(batch, loop.Frame{Envelope: frame, Bytes: len(body)})
		if len(batch) < frameBatch && wholeFrameBuffered(r) {
			continue
		}
		if !n.loop.PostFrames(batch) {
			return io.EOF
		}
		clear(batch)
		batch = batch[:0]
	}
}

// wholeFrameBuffered reports whether the next frame can be read without waiting.
func wholeFrameBuffered(r *bufio.Reader) bool {
	if r.Buffered() < 4 {
		return false
	}
	head, err := r.Peek(4)
	return err == nil && uint64(r.Buffered()) >= 4+uint64(binary.BigEndian.Uint32(head))
}

// errFrame means that a frame has an impossible length.
var errFrame = errors.New("invalid frame length")

// readFrame reads a frame and returns what follows its length, in memory of its
// own. It returns io.EOF only between frames. Memory grows with the bytes that
// arrive, not with the claimed length.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if uint64(length) > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes; the limit is %d", errFrame, length, limit)
	}
	if length == 0 {
		return nil, fmt.Errorf("%w: 0 bytes", errFrame)
	}
	return readGrowing(r, int(length))
}

func readGrowing(r io.Reader, length int) ([]byte, error) {
	body := make([]byte, min(length, trustedBytes))
	read := 0
	for {
		n, err := io.ReadFull(r, body[read:])
		read += n
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || read == length {
			return body[:read], err
		}
		larger := make([]byte, min(length, 2*len(body)))
		copy(larger, body)
		body = larger
	}
}
