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
	// frameBatch is how many frames a connection hands to the loop at once.
	frameBatch = 64
	// trustedBytes is how much memory a length alone can claim; more follows
	// as bytes arrive.
	trustedBytes = 64 << 10
)

// accept takes peers in until the listener is closed.
func (n *Network) accept() {
	var told time.Time
	for {
		conn, err := n.listener.Accept()
		if n.isClosed() {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			if time.Since(told) > refusalLogged {
				told = time.Now()
				n.log.Warn("accepting a peer; trying on", "error", err)
			}
			time.Sleep(50 * time.Millisecond) // out of file descriptors, most likely
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
	n.inbound[conn] = struct{}{}
	return true
}

func (n *Network) leave(conn net.Conn) {
	_ = conn.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.inbound, conn)
}

// receive serves one inbound connection to its end.
func (n *Network) receive(conn net.Conn) {
	r := bufio.NewReaderSize(conn, readBufferBytes)
	peer, err := n.welcome(conn, r)
	if err != nil {
		n.counts.hellosRefused.Add(1)
		n.log.Debug("refused a peer", "address", conn.RemoteAddr(), "reason", err)
		return
	}
	n.supersede(peer.Store, conn)
	defer n.forget(peer.Store, conn)
	err = n.readFrames(r)
	if err != nil && !errors.Is(err, io.EOF) && !n.isClosed() {
		n.log.Debug("a peer's connection ended", "node", peer.Node, "address", conn.RemoteAddr(), "error", err)
	}
}

// welcome reads the peer's Hello, and answers with this node's or with the
// reason of a refusal.
func (n *Network) welcome(conn net.Conn, r *bufio.Reader) (node.Hello, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
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
	if err != nil {
		_, _ = conn.Write(node.AppendRefusal(nil, node.HelloRefusal{Reason: err.Error()}))
		return node.Hello{}, err
	}
	if _, err := conn.Write(node.AppendHello(nil, ours)); err != nil {
		return node.Hello{}, err
	}
	return theirs, conn.SetDeadline(time.Time{})
}

// supersede closes the store's former connection: its sender has dialed anew,
// so whatever is left there is dead.
func (n *Network) supersede(store node.StoreID, conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if former := n.current[store]; former != nil {
		_ = former.Close()
	}
	n.current[store] = conn
}

func (n *Network) forget(store node.StoreID, conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.current[store] == conn {
		delete(n.current, store)
	}
}

// readFrames hands frames to the loop until the connection ends or brings
// something that is no frame.
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

// wholeFrameBuffered says that the next frame can be read without waiting.
func wholeFrameBuffered(r *bufio.Reader) bool {
	if r.Buffered() < 4 {
		return false
	}
	head, err := r.Peek(4)
	return err == nil && uint64(r.Buffered()) >= 4+uint64(binary.BigEndian.Uint32(head))
}

// errFrame marks a length that no frame can have.
var errFrame = errors.New("impossible frame")

// readFrame reads what follows a frame's length, into memory of its own. Its
// error is io.EOF only between frames. Memory grows with what arrived, not
// with what the length claims.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if uint64(length) > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", errFrame, length, limit)
	}
	if length == 0 {
		return nil, fmt.Errorf("%w: no bytes", errFrame)
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
