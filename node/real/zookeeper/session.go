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
	// maxCalls limits the queued requests of one session. A call beyond it is not made;
	// it waits for its turn to be told so, because calls are answered in order.
	maxCalls = 4096
	// rewatchTime is how long a reconnected session waits for the library to set
	// its watches again before it sends requests.
	rewatchTime = 250 * time.Millisecond
	// closeTime limits how long closing a session may take.
	closeTime = 2 * time.Second
)

// session implements door.Session: one ZooKeeper session from its first connection
// to its end.
type session struct {
	zk    *Coordinator
	tell  func(door.SessionEvent)
	guard *guard
	conn  *zk.Conn
	id    atomic.Int64

	silent bool // expired or closed: no more events; used on the loop only

	mu          sync.Mutex
	ready       sync.Cond // a call is queued, requests can be sent, or the session is over
	calls       []*call
	idle        bool // work has returned
	over        bool
	overChan    chan struct{} // closed when over
	connected   bool
	sendable    bool                // connected, with the watches set again
	connections uint64              // number of connections so far
	armed       map[watch]struct{}  // set, and not fired yet
	dirty       map[string]struct{} // paths whose EventChanged is in the queue
	watchdog    *time.Timer
}

// call is one request. perform waits for ZooKeeper, off the loop, and returns the
// function to run on the loop. If there is no answer, or perform is nil because too many
// calls were waiting, fail runs there instead.
type call struct {
	deadline time.Time
	perform  func() (answer func())
	fail     func(error)
}

// watch is a watch that the library holds and the server has not fired.
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

// Close ends the session in the background. Queued calls fail with ErrSessionOver.
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

// finish marks the session as over, so that no further call is made.
func (s *session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	close(s.overChan)
	s.ready.Broadcast()
	if s.watchdog != nil {
		s.watchdog.Stop()
	}
}

func (s *session) enqueue(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.deadline = time.Now().Add(s.guard.timeout())
	switch {
	case s.idle:
		s.zk.post(func() { c.fail(door.ErrSessionOver) })
	default:
		if len(s.calls) >= maxCalls {
			c.perform = nil // and let go of the request
		}
		s.calls = append(s.calls, c)
		s.ready.Broadcast()
	}
}

// work performs the calls one at a time, so that they take effect and are answered
// in the order in which they were made. It returns when the session is over.
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
		clear(s.dirty) // a later change is news: this answer does not show it
		s.zk.post(answer)
		s.mu.Unlock()
	}
}

// next waits for a call. It returns nil when the session is over and all calls have
// been answered.
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

// await performs a call as soon as requests can be sent. If there is no answer by
// its deadline, await closes the connection: the library would wait forever, and
// later calls must not overtake this one.
func (s *session) await(c *call) (answer func(), err error) {
	if c.perform == nil {
		return nil, fmt.Errorf("%w: too many calls were waiting", door.ErrUnknownOutcome)
	}
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
		return nil, fmt.Errorf("%w: timed out", door.ErrUnknownOutcome)
	}
}

// awaitSendable waits out a short loss of the connection. After a longer one the
// call fails: the node has received EventDisconnected and will ask again.
func (s *session) awaitSendable(deadline time.Time) error {
	deadline = deadline.Add(-s.guard.timeout() * 3 / 4)
	late := time.AfterFunc(time.Until(deadline), func() {
		s.mu.Lock() // or the wake-up could come between the check of the clock and Wait
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
