package real

import (
	"dkv/node/door"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// zkMaxCalls bounds the calls of one session that wait for their turn.
	zkMaxCalls = 4096
	// zkMaxRequest keeps a request below what a server takes (1,048,575).
	zkMaxRequest = 1_000_000
	// zkRewatch is how long a reconnected session waits for the library to
	// set its watches again before it asks anything.
	zkRewatch = 250 * time.Millisecond
	// zkCloseTime bounds the end of a session.
	zkCloseTime = 2 * time.Second
	// zkReadTries bounds how often a read follows a znode that comes and goes.
	zkReadTries = 10
)

var errTooLarge = fmt.Errorf("larger than %d bytes, which is more than ZooKeeper takes", zkMaxRequest)

// zooKeeper is node.Coordinator on go-zookeeper.
type zooKeeper struct {
	loop    *loop
	servers []string
	timeout time.Duration // of a session, as asked for
	log     *slog.Logger
	dial    zk.Dialer // net.DialTimeout, but for tests
	counts  zkCounts
	current atomic.Pointer[session]
}

type zkCounts struct {
	sessions, expired, reconnects, unknown atomic.Uint64
}

func newZooKeeper(l *loop, servers []string, timeout time.Duration, log *slog.Logger) *zooKeeper {
	if len(servers) == 1 { // or the library pauses a second before each reconnect
		servers = append(servers, servers[0])
	}
	return &zooKeeper{loop: l, servers: slices.Clone(servers), timeout: timeout, log: log, dial: net.DialTimeout}
}

// Open starts a session of its own connection object: go-zookeeper would carry
// requests from an expired session into the next.
func (z *zooKeeper) Open(events func(door.SessionEvent)) door.Session {
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
		zk.WithLogger(zkLogger{z.log}), zk.WithLogInfo(false), zk.WithMaxBufferSize(zkMaxReply))
	if err != nil { // no servers, which Options.validate excludes
		panic(fmt.Sprintf("opening a ZooKeeper session: %v", err))
	}
	s.conn = conn
	z.counts.sessions.Add(1)
	z.current.Store(s)
	go s.work()
	return s
}

// session is one ZooKeeper session from its first connection to its end.
type session struct {
	zk    *zooKeeper
	tell  func(door.SessionEvent)
	guard *guard
	conn  *zk.Conn
	id    atomic.Int64

	silent bool // the loop's: expired or closed, so nothing is told any more

	mu        sync.Mutex
	ready     sync.Cond // calls wait, requests can be sent, or the session is over
	calls     []*call
	idle      bool // the worker has ended
	over      bool
	overChan  chan struct{} // closed when over
	connected bool
	sendable  bool   // connected, and the watches are set again
	stands    uint64 // connections so far
	armed     map[watch]struct{}
	dirty     map[string]struct{} // paths whose EventChanged is on its way
	watchdog  *time.Timer
}

// call is one request. perform waits for ZooKeeper off the loop and returns
// what to run on the loop; fail runs there instead if there is no answer.
type call struct {
	deadline time.Time
	perform  func() (answer func())
	fail     func(error)
}

// watch is one that the library holds and the server has not fired.
type watch struct {
	path string
	kind watchKind
}

type watchKind uint8

const (
	watchData watchKind = iota
	watchMissing
	watchChildren
)

func (s *session) ID() int64 { return s.id.Load() }

func (s *session) Get(path string, watched bool, done func([]byte, door.Stat, error)) {
	s.enqueue(&call{
		perform: func() func() {
			data, stat, err := s.get(path, watched)
			return func() { done(data, stat, err) }
		},
		fail: func(err error) { done(nil, door.Stat{}, err) },
	})
}

func (s *session) Children(path string, watched bool, done func([]string, error)) {
	s.enqueue(&call{
		perform: func() func() {
			names, err := s.children(path, watched)
			return func() { done(names, err) }
		},
		fail: func(err error) { done(nil, err) },
	})
}

func (s *session) Multi(ops []door.Op, done func(error)) {
	requests, err := encodeOps(ops)
	s.enqueue(&call{
		perform: func() func() {
			if err == nil {
				err = s.multi(requests)
			}
			return func() { done(err) }
		},
		fail: done,
	})
}

// Close ends the session in the background. Calls that wait are answered
// ErrSessionOver.
func (s *session) Close(done func()) {
	s.silent = true
	s.finish()
	go func() {
		closed := make(chan struct{})
		go func() {
			s.conn.Close() // returns when the server has removed the ephemerals
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(zkCloseTime):
		}
		s.guard.shut()
		if done != nil {
			s.zk.loop.post(done)
		}
	}()
}

// finish lets no further call through. It says whether it was the first to.
func (s *session) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.over = true
	close(s.overChan)
	s.ready.Broadcast()
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
	return true
}

func (s *session) enqueue(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.deadline = time.Now().Add(s.guard.timeout())
	switch {
	case s.idle:
		s.zk.loop.post(func() { c.fail(door.ErrSessionOver) })
	case len(s.calls) >= zkMaxCalls:
		s.zk.loop.post(func() { c.fail(fmt.Errorf("%w: too many calls wait", door.ErrUnknownOutcome)) })
	default:
		s.calls = append(s.calls, c)
		s.ready.Broadcast()
	}
}

// work performs the calls, one at a time, so that they take effect and are
// answered in the order made. It ends when the session is over.
func (s *session) work() {
	for {
		c := s.next()
		if c == nil {
			return
		}
		answer, err := s.await(c)
		if err != nil {
			answer = func() { c.fail(err) }
			s.zk.counts.unknown.Add(1)
		}
		s.mu.Lock()
		clear(s.dirty) // a change told from now on is news after this answer
		s.zk.loop.post(answer)
		s.mu.Unlock()
	}
}

// next waits for a call; nil says that the session is over and all calls are
// answered.
func (s *session) next() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.calls) == 0 && !s.over {
		s.ready.Wait()
	}
	if len(s.calls) == 0 {
		s.idle = true
		return nil
	}
	c := s.calls[0]
	s.calls[0] = nil
	s.calls = s.calls[1:]
	return c
}

// await performs a call as soon as requests can be sent. A call without an
// answer by its deadline costs the connection: the library would wait for
// ever, and what follows must not overtake it.
func (s *session) await(c *call) (answer func(), err error) {
	if err := s.awaitSendable(c.deadline); err != nil {
		return nil, err
	}
	result := make(chan func(), 1)
	go func() { result <- c.perform() }()
	late := time.NewTimer(time.Until(c.deadline))
	defer late.Stop()
	select {
	case answer := <-result:
		return answer, nil
	case <-s.overChan:
		return nil, door.ErrSessionOver
	case <-late.C:
		s.guard.cut()
		return nil, fmt.Errorf("%w: none in time", door.ErrUnknownOutcome)
	}
}

// awaitSendable bridges a short loss of the connection. After a longer one the
// node has heard EventDisconnected and asks again when there is news.
func (s *session) awaitSendable(deadline time.Time) error {
	deadline = deadline.Add(-s.guard.timeout() * 3 / 4)
	late := time.AfterFunc(time.Until(deadline), func() {
		s.mu.Lock() // or it could come between a look at the clock and the wait
		defer s.mu.Unlock()
		s.ready.Broadcast()
	})
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.over && !s.sendable && time.Now().Before(deadline) {
		s.ready.Wait()
	}
	switch {
	case s.over:
		return door.ErrSessionOver
	case !s.sendable:
		return fmt.Errorf("%w: not connected", door.ErrUnknownOutcome)
	}
	return nil
}

// get reads, and arms a watch unless one is armed already: the library keeps
// a channel for each time that it is asked to.
func (s *session) get(path string, watched bool) ([]byte, door.Stat, error) {
	for range zkReadTries {
		data, stat, err := s.getOnce(path, watched)
		if !watched || err != nil && !errors.Is(err, door.ErrNoNode) {
			return data, stat, err
		}
		if s.isArmed(watch{path, watchData}) || s.isArmed(watch{path, watchMissing}) {
			return data, stat, err
		}
	}
	return nil, door.Stat{}, fmt.Errorf("%w: %s comes and goes", door.ErrUnknownOutcome, path)
}

func (s *session) getOnce(path string, watched bool) ([]byte, door.Stat, error) {
	if !watched || s.isArmed(watch{path, watchData}) || s.isArmed(watch{path, watchMissing}) {
		data, stat, err := s.conn.Get(path)
		if err != nil {
			return nil, door.Stat{}, mapError(err)
		}
		return data, statOf(stat), nil
	}
	data, stat, err := s.getArming(path)
	if err != nil {
		return nil, door.Stat{}, err
	}
	return data, statOf(stat), nil
}

// getArming leaves a watch behind whether the znode exists or not. The watch is
// noted before it is asked for: its event may come before the answer's reader
// is scheduled.
func (s *session) getArming(path string) ([]byte, *zk.Stat, error) {
	s.arm(watch{path, watchData})
	data, stat, _, err := s.conn.GetW(path)
	if err == nil {
		return data, stat, nil
	}
	s.disarm(watch{path, watchData})
	if !errors.Is(err, zk.ErrNoNode) {
		return nil, nil, mapError(err)
	}
	s.arm(watch{path, watchMissing})
	exists, _, _, err := s.conn.ExistsW(path)
	switch {
	case err != nil:
		s.disarm(watch{path, watchMissing})
		return nil, nil, mapError(err)
	case exists: // it came in between: a data watch is armed
		s.move(watch{path, watchMissing}, watch{path, watchData})
		data, stat, err = s.conn.Get(path)
		return data, stat, mapError(err)
	}
	return nil, nil, door.ErrNoNode
}

func (s *session) children(path string, watched bool) ([]string, error) {
	w := watch{path, watchChildren}
	for range zkReadTries {
		names, err := s.childrenOnce(path, watched)
		if err != nil {
			return nil, err
		}
		if !watched || s.isArmed(w) {
			slices.Sort(names)
			return names, nil
		}
	}
	return nil, fmt.Errorf("%w: %s changes too fast", door.ErrUnknownOutcome, path)
}

func (s *session) childrenOnce(path string, watched bool) ([]string, error) {
	w := watch{path, watchChildren}
	if !watched || s.isArmed(w) {
		names, _, err := s.conn.Children(path)
		return names, mapError(err)
	}
	s.arm(w)
	names, _, _, err := s.conn.ChildrenW(path)
	if err != nil {
		s.disarm(w)
	}
	return names, mapError(err)
}

func (s *session) multi(requests []any) error {
	results, err := s.conn.Multi(requests...)
	if err == nil {
		return nil
	}
	for i := range results {
		if results[i].Error == nil {
			continue
		}
		cause := mapError(results[i].Error)
		if errors.Is(cause, door.ErrUnknownOutcome) || errors.Is(cause, door.ErrSessionOver) {
			return cause
		}
		return &door.OpError{Op: i, Err: cause}
	}
	return mapError(err)
}

func encodeOps(ops []door.Op) ([]any, error) {
	const fixed = 64 // header, access list, lengths
	requests := make([]any, len(ops))
	size := fixed
	for i, op := range ops {
		size += fixed + len(op.Path) + len(op.Data)
		switch op.Kind {
		case door.OpCreate:
			requests[i] = &zk.CreateRequest{Path: op.Path, Data: op.Data, Acl: zk.WorldACL(zk.PermAll)}
		case door.OpCreateEphemeral:
			requests[i] = &zk.CreateRequest{Path: op.Path, Data: op.Data, Acl: zk.WorldACL(zk.PermAll), Flags: zk.FlagEphemeral}
		case door.OpSet:
			requests[i] = &zk.SetDataRequest{Path: op.Path, Data: op.Data, Version: op.Version}
		case door.OpDelete:
			requests[i] = &zk.DeleteRequest{Path: op.Path, Version: op.Version}
		case door.OpCheck:
			requests[i] = &zk.CheckVersionRequest{Path: op.Path, Version: op.Version}
		default:
			return nil, fmt.Errorf("operation %d of a multi has kind %d", i, op.Kind)
		}
	}
	if size >= zkMaxRequest {
		return nil, fmt.Errorf("a multi of %d operations is %w", len(ops), errTooLarge)
	}
	return requests, nil
}

func statOf(s *zk.Stat) door.Stat {
	return door.Stat{Version: s.Version, EphemeralOwner: s.EphemeralOwner, Czxid: s.Czxid}
}

// mapError keeps an error as certain only if it came from the server as its
// verdict. Whatever else the library says means that nobody knows.
func mapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zk.ErrNoNode):
		return door.ErrNoNode
	case errors.Is(err, zk.ErrNodeExists):
		return door.ErrNodeExists
	case errors.Is(err, zk.ErrBadVersion):
		return door.ErrBadVersion
	case errors.Is(err, zk.ErrNotEmpty):
		return door.ErrNotEmpty
	case errors.Is(err, zk.ErrSessionExpired):
		return door.ErrSessionOver
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrInvalidACL),
		errors.Is(err, zk.ErrInvalidPath), errors.Is(err, zk.ErrBadArguments),
		errors.Is(err, zk.ErrNoChildrenForEphemerals):
		return err
	}
	return fmt.Errorf("%w: %v", door.ErrUnknownOutcome, err)
}
