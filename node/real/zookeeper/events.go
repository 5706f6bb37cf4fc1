package zookeeper

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
)

// onEvent is the callback of the library. It runs on the goroutine that reads the
// connection, before that reads the reply of any later request. So the node learns
// of a change before it gets an answer that shows the change. onEvent only queues.
func (s *session) onEvent(e zk.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	switch e.Type {
	case zk.EventSession:
		s.onState(e.State)
	case zk.EventNodeCreated:
		s.fired(e.Path, watchMissing)
	case zk.EventNodeDataChanged:
		s.fired(e.Path, watchMissing, watchData)
	case zk.EventNodeChildrenChanged:
		s.fired(e.Path, watchChildren)
	case zk.EventNodeDeleted:
		s.fired(e.Path, watchMissing, watchData, watchChildren)
	}
}

func (s *session) onState(state zk.State) {
	switch state {
	case zk.StateHasSession:
		s.onHasSession()
	case zk.StateDisconnected:
		if s.connected {
			s.connected, s.sendable = false, false
			s.post(door.SessionEvent{Kind: door.EventDisconnected})
			s.watchdog = time.AfterFunc(2*s.guard.timeout(), s.onSilence)
		}
	case zk.StateExpired:
		s.expire("ZooKeeper expired it")
	}
}

// onHasSession allows requests once the library has set its watches again. A
// request sent earlier might be answered with a change whose event is lost.
func (s *session) onHasSession() {
	if s.watchdog != nil {
		s.watchdog.Stop()
		s.zk.counts.reconnects.Add(1)
	}
	s.connected = true
	s.connections++
	s.id.Store(s.conn.SessionID())
	s.post(door.SessionEvent{Kind: door.EventConnected})
	if len(s.armed) == 0 {
		s.allowRequests()
		return
	}
	this := s.connections
	time.AfterFunc(rewatchTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.connected && !s.sendable && s.connections == this { // the library has no watches to set
			clear(s.armed)
			s.allowRequests()
		}
	})
}

// rewatched is called by the guard when SetWatches has been sent.
func (s *session) rewatched() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connected {
		s.allowRequests()
	}
}

func (s *session) allowRequests() {
	s.sendable = true
	s.ready.Broadcast()
}

// onSilence is called by the watchdog, after twice the session timeout without a
// connection. By then the session must have expired, but a server whose data was
// wiped or rolled back would never say so.
func (s *session) onSilence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && !s.connected {
		s.expire(fmt.Sprintf("no server resumed it within %v", 2*s.guard.timeout()))
	}
}

// expire ends the session; the caller holds the lock.
func (s *session) expire(why string) {
	s.over, s.connected, s.sendable = true, false, false
	close(s.overChan)
	s.ready.Broadcast()
	s.zk.counts.expired.Add(1)
	s.zk.log.Warn("the ZooKeeper session is over", "session", fmt.Sprintf("%#x", s.id.Load()), "why", why)
	s.zk.post(func() {
		if !s.silent {
			s.silent = true
			s.tell(door.SessionEvent{Kind: door.EventExpired})
		}
	})
	go func() { // in the background: Close waits for the goroutine that runs this
		s.guard.shut()
		s.conn.Close()
	}()
}

// post queues an event; the caller holds the lock.
func (s *session) post(e door.SessionEvent) {
	s.zk.post(func() {
		if !s.silent {
			s.tell(e)
		}
	})
}

// fired records that watches are used up, and reports the path unless that is
// already in the queue.
func (s *session) fired(path string, kinds ...watchKind) {
	for _, kind := range kinds {
		delete(s.armed, watch{path, kind})
	}
	if _, ok := s.dirty[path]; ok {
		return
	}
	s.dirty[path] = struct{}{}
	s.zk.post(func() {
		s.mu.Lock()
		delete(s.dirty, path)
		s.mu.Unlock()
		if !s.silent {
			s.tell(door.SessionEvent{Kind: door.EventChanged, Path: path})
		}
	})
}

func (s *session) isArmed(w watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.armed[w]
	return ok
}

func (s *session) arm(w watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed[w] = struct{}{}
}

func (s *session) disarm(w watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.armed, w)
}

// move changes the kind of a watch unless it has fired in the meantime.
func (s *session) move(from, to watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.armed[from]; ok {
		delete(s.armed, from)
		s.armed[to] = struct{}{}
	}
}

// state describes the session in one word.
func (s *session) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return "over"
	case s.connected:
		return "connected"
	}
	return "connecting"
}

// hosts is a zk.HostProvider that returns the servers in turn. Unlike the provider
// of the library it returns names, which the guard resolves at each dial.
type hosts struct {
	mu            sync.Mutex
	servers       []string
	current, last int
}

func (h *hosts) Init(servers []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servers, h.current, h.last = servers, -1, -1
	return nil
}

func (h *hosts) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.servers)
}

// Next returns the next server. retry means that all servers have failed since the
// last success; the library then pauses for a second.
func (h *hosts) Next() (server string, retry bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current = (h.current + 1) % len(h.servers)
	retry = h.current == h.last
	if h.last == -1 {
		h.last = 0
	}
	return h.servers[h.current], retry
}

func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = h.current
}

type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	l.log.Debug("go-zookeeper: " + fmt.Sprintf(format, args...))
}
