package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dkv/node"
	"dkv/node/door"
)

const (
	// maxLinkFrames and maxLinkBytes limit the queue of one peer.
	maxLinkFrames = 8192
	maxLinkBytes  = 64 << 20
	// writeChunkBytes is roughly how many encoded bytes go into one write.
	writeChunkBytes = 256 << 10
	// writeTimeout is how long a write to a full socket may make no progress.
	writeTimeout = 10 * time.Second
	// unacknowledged is how long sent data may remain unacknowledged before the
	// connection is closed and the peer dialed again.
	unacknowledged = 5 * time.Second
	// linkIdle is how long a link keeps its connection without sending a frame.
	linkIdle = 60 * time.Second

	minBackoff = 20 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
	// settled is how long a connection must have lasted for the next attempt to
	// follow it without a delay.
	settled = 1 * time.Second
	// refusalLogged is the least time between two log lines about refusals.
	refusalLogged = 10 * time.Second
)

// link carries this node's frames to one peer. It has a bounded queue, and a
// goroutine that dials, introduces the node and writes.
type link struct {
	net   *Network
	store node.StoreID
	wake  chan struct{} // capacity 1: there are frames to write, or the link has ended
	back  chan struct{} // capacity 1: the peer has connected, so it can be dialed again

	// Used by run only:

	buf      []byte
	deadline time.Time // of writes on this connection; zero if not set yet
	down     time.Time // when the loss of the connection was logged; zero if it was not
	warned   time.Time // when a refusal was last logged

	// writes counts how often the queue was written to the socket.
	writes atomic.Uint64

	mu    sync.Mutex
	peer  door.Peer
	queue []node.Envelope
	spare []node.Envelope
	bytes int
	ended bool
}

func newLink(n *Network, to door.Peer) *link {
	return &link{net: n, store: to.Store, peer: to, wake: make(chan struct{}, 1), back: make(chan struct{}, 1)}
}

// enqueue queues a frame, or drops it if the queue is full. It reports whether the
// frame is now the only one in the queue.
func (l *link) enqueue(to door.Peer, m *node.Envelope) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer = to
	if len(l.queue) >= maxLinkFrames || l.bytes >= maxLinkBytes {
		l.net.counts.framesDropped.Add(1)
		return false
	}
	l.queue = append(l.queue, *m)
	l.bytes += weight(m)
	return len(l.queue) == 1
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// peerBack ends the wait before the next attempt to dial. A peer that was restarted says
// that it is back by connecting; while this link waited on, all that the node sends there
// would be lost, and the peer would seem fit for what needs both directions.
func (l *link) peerBack() {
	select {
	case l.back <- struct{}{}:
	default:
	}
}

// end ends the link, unless frames are waiting. It reports whether it did.
func (l *link) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 {
		return false
	}
	l.ended = true
	l.signal()
	return true
}

func (l *link) state() (peer door.Peer, waiting int, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer, len(l.queue), l.ended
}

// take empties the queue.
func (l *link) take() []node.Envelope {
	l.mu.Lock()
	defer l.mu.Unlock()
	frames := l.queue
	l.queue, l.spare = l.spare[:0], nil
	l.bytes = 0
	return frames
}

// giveBack returns the memory of what take returned.
func (l *link) giveBack(frames []node.Envelope) {
	clear(frames)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = frames[:0]
}

// drop empties the queue of an unreachable peer. Its frames would be stale by the
// time the peer is back, and the protocol repeats what matters.
func (l *link) drop() {
	frames := l.take()
	l.net.counts.framesDropped.Add(uint64(len(frames)))
	l.giveBack(frames)
}

// run connects whenever there are frames to send, until the link ends.
func (l *link) run() {
	backoff := minBackoff
	for {
		peer, waiting, ended := l.state()
		if ended || l.net.isClosed() {
			return
		}
		if waiting == 0 {
			l.await()
			continue
		}
		conn, err := l.connect(peer)
		if err == nil {
			l.welcomeBack(peer)
			began := time.Now()
			l.serve(conn, peer)
			if time.Since(began) >= settled {
				backoff = minBackoff
				continue
			}
		} else {
			l.explain(peer, err)
			l.drop()
		}
		switch l.pause(backoff) {
		case pauseOver:
			backoff = min(2*backoff, maxBackoff)
		case peerReturned:
			backoff = minBackoff
		case networkClosed:
			return
		}
	}
}

// await waits for a frame. After a long time without one it asks to be retired.
func (l *link) await() {
	idle := time.NewTimer(linkIdle)
	defer idle.Stop()
	select {
	case <-l.wake:
	case <-l.net.quit:
	case <-idle.C:
		l.net.loop.Post(func() { l.net.retire(l) })
	}
}

// pauseEnd is why a pause ended.
type pauseEnd uint8

const (
	pauseOver     pauseEnd = iota // the time has passed
	peerReturned                  // the peer is back
	networkClosed                 // the network is
)

func (l *link) pause(d time.Duration) pauseEnd {
	d += rand.N(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return pauseOver
	case <-l.back:
		return peerReturned
	case <-l.net.quit:
		return networkClosed
	}
}

// explain logs why there is no connection: once for each outage, and from time to
// time if the peer refuses this node. If no process is listening at the peer's
// address, it reports the loss to the node.
func (l *link) explain(peer door.Peer, err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		l.net.loop.Post(func() { l.net.node.Lost(peer.Number) })
	}
	log := l.net.log.With("member", peer.Number, "address", peer.Address)
	log.Debug("no connection to a peer", "error", err)
	var refusal node.HelloRefusal
	switch {
	case errors.Is(err, errStopping), errors.Is(err, errNotRecovered):
	case errors.As(err, &refusal):
		l.net.loop.Post(func() { l.net.node.Refused(peer.Number, refusal) })
		if time.Since(l.warned) > refusalLogged {
			l.warned = time.Now()
			log.Warn("a peer refused this node", "reason", refusal.Reason)
		}
	case l.down.IsZero():
		l.down = time.Now()
		log.Warn("cannot reach a peer; retrying", "error", err)
	}
}

// welcomeBack logs the end of an outage that explain logged.
func (l *link) welcomeBack(peer door.Peer) {
	if l.down.IsZero() {
		return
	}
	l.net.log.Info("reached a peer again", "member", peer.Number, "address", peer.Address,
		"after", time.Since(l.down).Round(time.Millisecond))
	l.down = time.Time{}
}

// connect dials the peer and exchanges Hellos.
func (l *link) connect(peer door.Peer) (net.Conn, error) {
	hello, err := l.net.introduce(peer.Store)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", peer.Address, l.net.dialWithin)
	if err != nil {
		return nil, err
	}
	if err := giveUpAfter(conn, unacknowledged); err != nil {
		l.net.log.Debug("cannot limit how long sent data may remain unacknowledged", "error", err)
	}
	release := closeOn(l.net.quit, conn)
	defer release()
	if err := l.greet(conn, hello, peer); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("introducing this node to %s: %w", peer.Address, err)
	}
	l.net.counts.connected.Add(1)
	return conn, nil
}

func (l *link) greet(conn net.Conn, hello node.Hello, peer door.Peer) error {
	if err := conn.SetDeadline(time.Now().Add(l.net.greetWithin)); err != nil {
		return err
	}
	if _, err := conn.Write(node.AppendHello(nil, hello)); err != nil {
		return err
	}
	// The peer sends exactly one frame, so this reader cannot buffer anything that
	// is needed later.
	body, err := readFrame(bufio.NewReader(conn), node.MaxHelloBytes)
	if err != nil {
		return err
	}
	answer, err := node.DecodeHello(body)
	if err == nil && answer.Store != peer.Store {
		err = fmt.Errorf("a node with a different disk answers there: store %s instead of %s", answer.Store, peer.Store)
	}
	if err == nil {
		err = l.net.admit(answer)
	}
	if err != nil {
		l.net.counts.hellosRefused.Add(1)
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// serve writes queued frames until the connection breaks, the address of the peer
// changes, or the link ends.
func (l *link) serve(conn net.Conn, peer door.Peer) {
	release := closeOn(l.net.quit, conn) // unblocks a write
	defer release()
	lost := make(chan struct{})
	l.net.running.Go(func() {
		// The peer sends nothing after its Hello, so this returns when it is gone.
		_, _ = io.ReadFull(conn, make([]byte, 1))
		close(lost)
	})
	defer func() {
		_ = conn.Close()
		<-lost
	}()
	broken := l.pump(conn, peer, lost)
	if broken && !l.net.isClosed() {
		l.net.counts.lost.Add(1)
		l.net.loop.Post(func() { l.net.node.Lost(peer.Number) })
	}
}

// pump writes frames as they are queued. It reports whether it ended because the
// connection broke.
func (l *link) pump(conn net.Conn, peer door.Peer, lost <-chan struct{}) (broken bool) {
	idle := time.NewTicker(linkIdle)
	defer idle.Stop()
	l.deadline = time.Time{}
	wrote := true
	for {
		now, waiting, ended := l.state()
		if ended || now.Address != peer.Address {
			return false
		}
		if waiting > 0 {
			if err := l.write(conn); err != nil {
				return true
			}
			wrote = true
		}
		select {
		case <-l.wake:
		case <-lost:
			return true
		case <-l.net.quit:
			return false
		case <-idle.C:
			if !wrote {
				l.net.loop.Post(func() { l.net.retire(l) })
			}
			wrote = false
		}
	}
}

// write encodes and writes all queued frames.
func (l *link) write(conn net.Conn) error {
	frames := l.take()
	defer l.giveBack(frames)
	for i := range frames {
		l.buf = node.AppendFrame(l.buf, &frames[i])
		if len(l.buf) < writeChunkBytes && i+1 < len(frames) {
			continue
		}
		if err := l.writeBuffer(conn); err != nil {
			l.net.counts.framesDropped.Add(uint64(len(frames) - i))
			return err
		}
	}
	l.writes.Add(1)
	l.net.counts.framesSent.Add(uint64(len(frames)))
	return nil
}

func (l *link) writeBuffer(conn net.Conn) error {
	buf := l.buf
	l.buf = l.buf[:0]
	if cap(l.buf) > 4*writeChunkBytes { // release the memory of a burst
		l.buf = nil
	}
	if now := time.Now(); l.deadline.Sub(now) < writeTimeout { // set rarely, because it is not cheap
		l.deadline = now.Add(2 * writeTimeout)
		if err := conn.SetWriteDeadline(l.deadline); err != nil {
			return err
		}
	}
	n, err := conn.Write(buf)
	l.net.counts.bytesSent.Add(uint64(n))
	return err
}

// weight estimates how many bytes of memory a queued frame takes.
func weight(m *node.Envelope) int {
	const fixed = 256
	bytes := fixed
	switch body := m.Body.(type) {
	case *node.Append:
		bytes += entriesWeight(body.Entries)
	case *node.CopyReply:
		bytes += entriesWeight(body.Entries)
	case *node.Forward:
		bytes += len(body.Request.Key) + len(body.Request.Value)
	case *node.ForwardReply:
		bytes += len(body.Response.Value)
	case *node.SnapshotChunk:
		for i := range body.Items {
			bytes += len(body.Items[i].Key) + len(body.Items[i].Value)
		}
	case *node.LayoutCopy:
		bytes += len(body.Data)
	}
	return bytes
}

func entriesWeight(entries []node.Entry) int {
	const fixed = 96
	bytes := fixed * len(entries)
	for i := range entries {
		bytes += len(entries[i].Key) + len(entries[i].Value)
	}
	return bytes
}

// closeOn closes conn if quit is closed before release is called.
func closeOn(quit <-chan struct{}, conn net.Conn) (release func()) {
	released := make(chan struct{})
	go func() {
		select {
		case <-quit:
			_ = conn.Close()
		case <-released:
		}
	}()
	return func() { close(released) }
}
