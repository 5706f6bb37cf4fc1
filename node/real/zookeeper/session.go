package zookeeper

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
)

const (
	// maxCalls bounds the calls of one session that wait for their turn.
	maxCalls = 4096
	// rewatchTime is how long a reconnected session waits for the library to
	// set its watches again before it asks anything.
	rewatchTime = 250 * time.Millisecond
	// closeTime bounds the end of a session.
	closeTime = 2 * time.Second
)

// session is one ZooKeeper session from its first connection to its end.
type session struct {
	zk    *Coordinator
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
		case <-time.After(closeTime):
		}
		s.guard.shut()
		if done != nil {
			s.zk.post(done)
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
		s.zk.post(func() { c.fail(door.ErrSessionOver) })
	case len(s.calls) >= maxCalls:
		s.zk.post(func() { c.fail(fmt.Errorf("%w: too many calls wait", door.ErrUnknownOutcome)) })
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
		s.zk.post(answer)
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
