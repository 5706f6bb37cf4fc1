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
	post    func(fn func()) bool // runs fn on the node's loop
	servers []string
	timeout time.Duration // of a session, as asked for
	log     *slog.Logger
	dial    zk.Dialer // net.DialTimeout, but for tests
	counts  sessionCounts
	current atomic.Pointer[session]
}

type sessionCounts struct {
	sessions, expired, reconnects, unknown atomic.Uint64
}

func New(post func(fn func()) bool, servers []string, timeout time.Duration, log *slog.Logger) *Coordinator {
	if len(servers) == 1 { // or the library pauses a second before each reconnect
		servers = append(servers, servers[0])
	}
	return &Coordinator{post: post, servers: slices.Clone(servers), timeout: timeout, log: log, dial: net.DialTimeout}
}

// Open starts a session of its own connection object: go-zookeeper would carry
// requests from an expired session into the next.
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
	// The callback may run before Connect returns: it waits for s.mu.
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, _, err := zk.Connect(z.servers, z.timeout,
		zk.WithDialer(s.guard.dial), zk.WithEventCallback(s.onEvent), zk.WithHostProvider(&hosts{}),
		zk.WithLogger(libraryLog{z.log}), zk.WithLogInfo(false), zk.WithMaxBufferSize(maxReplyBytes))
	if err != nil { // no servers, which Options.validate excludes
		panic(fmt.Sprintf("opening a ZooKeeper session: %v", err))
	}
	s.conn = conn
	z.counts.sessions.Add(1)
	z.current.Store(s)
	go s.work()
	return s
}
