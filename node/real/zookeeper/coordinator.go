package zookeeper

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
)

// Coordinator implements door.Coordinator with go-zookeeper.
type Coordinator struct {
	post    func(fn func()) bool // runs fn on the loop of the node
	servers []string
	timeout time.Duration // requested for each session
	log     *slog.Logger
	dial    zk.Dialer // net.DialTimeout, except in tests
	counts  sessionCounts
	current atomic.Pointer[session] // the latest
}

type sessionCounts struct {
	sessions, expired, reconnects, unknown atomic.Uint64
}

// New returns a Coordinator for the given servers. post must run functions on the
// loop of the node, in order.
func New(post func(fn func()) bool, servers []string, timeout time.Duration, log *slog.Logger) *Coordinator {
	if len(servers) == 1 { // with one server the library pauses a second before each reconnect
		servers = append(servers, servers[0])
	}
	return &Coordinator{post: post, servers: slices.Clone(servers), timeout: timeout, log: log, dial: net.DialTimeout}
}

// Open starts a session. Each has a connection object of its own, because
// go-zookeeper would carry requests from an expired session over to the next.
func (z *Coordinator) Open(events func(door.SessionEvent)) door.Session {
	s := &session{
		zk:       z,
		tell:     events,
		overChan: make(chan struct{}),
		armed:    make(map[watch]struct{}),
		dirty:    make(map[string]struct{}),
	}
	s.ready.L = &s.mu
	s.guard = newGuard(z.timeout, z.log, z.dial, s.rewatched)
	// The callback may run before Connect returns; then it waits for s.mu.
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, _, err := zk.Connect(z.servers, z.timeout,
		zk.WithDialer(s.guard.dial), zk.WithEventCallback(s.onEvent), zk.WithHostProvider(&hosts{}),
		zk.WithLogger(libraryLog{z.log}), zk.WithLogInfo(false), zk.WithMaxBufferSize(maxReplyBytes))
	if err != nil { // only without servers, which the options exclude
		panic(fmt.Sprintf("opening a ZooKeeper session: %v", err))
	}
	s.conn = conn
	z.counts.sessions.Add(1)
	z.current.Store(s)
	go s.work()
	return s
}
