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
	// dialTimeout and handshakeTimeout limit the two steps of connecting. On a
	// machine that is busy, tests allow more.
	dialTimeout      = 1 * time.Second
	handshakeTimeout = 3 * time.Second
	// maxInbound limits the connections from peers. A cluster has at most 256
	// members with one connection each; the rest allows for connections that were
	// replaced and not yet closed.
	maxInbound = 1024
	// maxLinks limits the peers that are dialed, including former members until
	// their links are idle.
	maxLinks = 1024
)

// Protocol is what the network needs from the node. It calls the functions on the
// loop only.
type Protocol struct {
	// Hello introduces this node to a store. It returns false until the node has
	// recovered its own store and may be known to peers.
	Hello func(to node.StoreID) (node.Hello, bool)
	// Judge returns an error if the node refuses a peer.
	Judge func(node.Hello) error
	// Refuse words the refusal that the peer gets.
	Refuse func(node.Hello, error) node.HelloRefusal
	// Refused reports that a member refused this node.
	Refused func(node.MemberNumber, node.HelloRefusal)
	// Lost reports that a connection to a member broke, or was refused because no
	// process listens there.
	Lost func(node.MemberNumber)
}

// Network implements door.Network with TCP: one connection for each ordered pair of
// nodes, opened by the sender. Frames flow from the sender only; the receiver
// answers the first one, with a Hello or a refusal, and sends nothing else.
//
// Send and Flush belong to the loop and never wait.
type Network struct {
	loop     *loop.Loop
	node     Protocol
	log      *slog.Logger
	listener net.Listener
	counts   networkCounts

	dialWithin, greetWithin time.Duration

	links map[node.StoreID]*link // used on the loop only
	dirty []*link                // links with frames of this turn; used on the loop only

	mu       sync.Mutex
	accepted uint64                    // connections so far
	inbound  map[net.Conn]uint64       // open connections, numbered in the order of accept
	current  map[node.StoreID]net.Conn // latest inbound connection of each store
	closed   bool
	quit     chan struct{}
	running  sync.WaitGroup
}

var (
	errStopping     = errors.New("this node is stopping")
	errNotRecovered = errors.New("this node is not ready for peers yet: it recovers its store, or compares its stamp in ZooKeeper")
	errSuperseded   = errors.New("a later connection of this peer has replaced this one")
)

// networkCounts is shown in /metrics.
type networkCounts struct {
	framesSent, bytesSent         atomic.Uint64
	framesReceived, bytesReceived atomic.Uint64
	framesDropped                 atomic.Uint64 // the queue was full or the peer unreachable
	framesRefused                 atomic.Uint64 // truncated, too long, unknown or corrupt
	hellosRefused                 atomic.Uint64 // by either side
	connected, lost               atomic.Uint64 // connections that this node opened
	inboundRefused                atomic.Uint64 // too many connections
}

// New returns a network that neither accepts nor dials before Start.
func New(l *loop.Loop, listener net.Listener, log *slog.Logger) *Network {
	return &Network{
		loop:     l,
		log:      log,
		listener: listener,

		dialWithin: dialTimeout, greetWithin: handshakeTimeout,

		links:   make(map[node.StoreID]*link),
		inbound: make(map[net.Conn]uint64),
		current: make(map[node.StoreID]net.Conn),
		quit:    make(chan struct{}),
	}
}

// Address returns the address that peers connect to.
func (n *Network) Address() net.Addr { return n.listener.Addr() }

// Start begins to accept peers.
func (n *Network) Start(p Protocol) {
	n.node = p
	n.running.Go(n.accept)
}

// Send queues a frame for a peer, or drops and counts it.
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

// Flush wakes the goroutines that write the frames of this turn. All frames of a
// turn to the same peer leave in one write.
func (n *Network) Flush() {
	for i, l := range n.dirty {
		l.signal()
		n.dirty[i] = nil
	}
	n.dirty = n.dirty[:0]
}

// open creates the link to a peer. It returns false once the network is closed.
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

// retire removes a link that has been idle for long. It runs on the loop.
func (n *Network) retire(l *link) {
	if n.links[l.store] == l && l.end() {
		delete(n.links, l.store)
	}
}

// Close closes all connections and waits for their goroutines. The loop may be
// running or stopped.
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

// introduce returns the Hello that this node sends to a peer.
func (n *Network) introduce(to node.StoreID) (node.Hello, error) {
	var hello node.Hello
	var ok bool
	if !n.loop.Call(func() { hello, ok = n.node.Hello(to) }) {
		return node.Hello{}, errStopping
	}
	if !ok {
		return node.Hello{}, errNotRecovered
	}
	hello.MinVersion, hello.MaxVersion = node.ProtocolVersion, node.ProtocolVersion
	hello.To = to
	return hello, nil
}

// admit asks the node whether to accept a peer.
func (n *Network) admit(hello node.Hello) error {
	if hello.MinVersion > node.ProtocolVersion || hello.MaxVersion < node.ProtocolVersion {
		age := "an older"
		if hello.MinVersion > node.ProtocolVersion {
			age = "a newer"
		}
		return fmt.Errorf("no common protocol version: %s is %s build, which supports %d to %d, and this node supports %d; run the same version of dkv on both",
			hello.Node, age, hello.MinVersion, hello.MaxVersion, node.ProtocolVersion)
	}
	var verdict error
	if !n.loop.Call(func() { verdict = n.node.Judge(hello) }) {
		return errStopping
	}
	return verdict
}

// refuse returns the refusal that a peer gets.
func (n *Network) refuse(hello node.Hello, why error) node.HelloRefusal {
	refusal := node.HelloRefusal{Reason: why.Error()}
	if hello.Store != "" {
		n.loop.Call(func() { refusal = n.node.Refuse(hello, why) })
	}
	return refusal
}
