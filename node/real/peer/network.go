package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/real/loop"
)

const (
	dialTimeout      = 1 * time.Second
	handshakeTimeout = 3 * time.Second
	// maxInbound bounds the connections of peers. A cluster has at most 256
	// members with one connection each; the rest is room for those that were
	// replaced and not yet noticed.
	maxInbound = 1024
	// maxLinks bounds the peers that are dialed, gone members included until
	// they are idle.
	maxLinks = 1024
)

// peerProtocol is what the network asks of the node. It asks on the loop only.
type Protocol struct {
	Hello func() (node.Hello, bool)
	Judge func(node.Hello) error
	Lost  func(node.MemberNumber)
}

// network is node.Network on TCP: one connection for each ordered pair of
// nodes, opened by the sender. The sender's frames flow one way; nothing but
// the first frame, a Hello or a refusal, flows back.
//
// Send and flush belong to the loop and never wait.
type Network struct {
	loop     *loop.Loop
	node     Protocol
	log      *slog.Logger
	listener net.Listener
	counts   networkCounts

	links map[node.StoreID]*link // the loop's
	dirty []*link                // links with frames of this turn; the loop's

	mu      sync.Mutex
	inbound map[net.Conn]struct{}
	current map[node.StoreID]net.Conn // newest inbound connection of each store
	closed  bool
	quit    chan struct{}
	running sync.WaitGroup
}

var (
	errStopping     = errors.New("this node is stopping")
	errNotRecovered = errors.New("this node has not recovered its store yet")
)

// networkCounts are told to the operator in /metrics.
type networkCounts struct {
	framesSent, bytesSent         atomic.Uint64
	framesReceived, bytesReceived atomic.Uint64
	framesDropped                 atomic.Uint64 // a queue was full, or its peer unreachable
	framesRefused                 atomic.Uint64 // short, long, unknown, corrupt
	hellosRefused                 atomic.Uint64 // by either side
	connected, lost               atomic.Uint64 // connections that this node opened
	inboundRefused                atomic.Uint64 // too many connections
}

// newNetwork accepts nothing and dials nobody before start.
func New(l *loop.Loop, listener net.Listener, log *slog.Logger) *Network {
	return &Network{
		loop:     l,
		log:      log,
		listener: listener,
		links:    make(map[node.StoreID]*link),
		inbound:  make(map[net.Conn]struct{}),
		current:  make(map[node.StoreID]net.Conn),
		quit:     make(chan struct{}),
	}
}

// Address is where peers are accepted.
func (n *Network) Address() net.Addr { return n.listener.Addr() }

// start begins to accept peers.
func (n *Network) Start(p Protocol) {
	n.node = p
	n.running.Go(n.accept)
}

// Send queues a frame for a peer, or drops it and counts.
func (n *Network) Send(to door.Peer, m *node.Envelope) {
	l := n.links[to.Store]
	if l == nil {
		if len(n.links) >= maxLinks || !n.open(to) {
			n.counts.framesDropped.Add(1)
			return
		}
		l = n.links[to.Store]
	}
	if first := l.enqueue(to, m); first {
		n.dirty = append(n.dirty, l)
	}
}

// flush hands the turn's frames to the goroutines that write them, so that a
// turn's frames of a peer leave in one write.
func (n *Network) Flush() {
	for i, l := range n.dirty {
		l.signal()
		n.dirty[i] = nil
	}
	n.dirty = n.dirty[:0]
}

// open makes the link to a peer; false once the network is closed.
func (n *Network) open(to door.Peer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	l := newLink(n, to)
	n.links[to.Store] = l
	n.running.Go(l.run)
	return true
}

// retire forgets a link that was idle for long. It runs on the loop.
func (n *Network) retire(l *link) {
	if n.links[l.store] == l && l.end() {
		delete(n.links, l.store)
	}
}

// close ends all connections and waits for their goroutines. The loop may run
// on or be stopped.
func (n *Network) Close() {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return
	}
	n.closed = true
	close(n.quit)
	for conn := range n.inbound {
		_ = conn.Close()
	}
	n.mu.Unlock()
	_ = n.listener.Close()
	n.running.Wait()
}

func (n *Network) isClosed() bool {
	select {
	case <-n.quit:
		return true
	default:
		return false
	}
}

// introduce asks the node for its Hello to a peer.
func (n *Network) introduce(to node.StoreID) (node.Hello, error) {
	var hello node.Hello
	var ok bool
	if !n.loop.Call(func() { hello, ok = n.node.Hello() }) {
		return node.Hello{}, errStopping
	}
	if !ok {
		return node.Hello{}, errNotRecovered
	}
	hello.MinVersion, hello.MaxVersion = node.ProtocolVersion, node.ProtocolVersion
	hello.To = to
	return hello, nil
}

// admit asks the node whether to go on with a peer.
func (n *Network) admit(hello node.Hello) error {
	if hello.MinVersion > node.ProtocolVersion || hello.MaxVersion < node.ProtocolVersion {
		return fmt.Errorf("no common protocol version: %s speaks %d to %d, this node speaks %d",
			hello.Node, hello.MinVersion, hello.MaxVersion, node.ProtocolVersion)
	}
	var verdict error
	if !n.loop.Call(func() { verdict = n.node.Judge(hello) }) {
		return errStopping
	}
	return verdict
}
