package zookeeper

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
)

// onEvent is the library's callback. It runs on the goroutine that reads the
// connection, before the reply of any later request, so that a change is told
// before an answer that shows it. It only queues.
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
		s.expire("ZooKeeper says so")
	}
}

// onHasSession lets requests flow once the library has set its watches again:
// what is asked before that may be answered with news whose event is lost.
func (s *session) onHasSession() {
	if s.watchdog != nil {
		s.watchdog.Stop()
		s.zk.counts.reconnects.Add(1)
	}
	s.connected = true
	s.stands++
	s.id.Store(s.conn.SessionID())
	s.post(door.SessionEvent{Kind: door.EventConnected})
	if len(s.armed) == 0 {
		s.allowRequests()
		return
	}
	this := s.stands
	time.AfterFunc(rewatchTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.connected && !s.sendable && s.stands == this { // the library knows of no watches
			clear(s.armed)
			s.allowRequests()
		}
	})
}

// rewatched is told by the guard: SetWatches has been sent.
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

// onSilence is the watchdog: after twice the session timeout without ZooKeeper
// the session is as good as over, and a server that was wiped or rolled back
// would never say so.
func (s *session) onSilence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && !s.connected {
		s.expire(fmt.Sprintf("no server took it back within %v", 2*s.guard.timeout()))
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
	go func() { // Close waits for the goroutine that runs this
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

// fired takes note that watches are spent, and tells the path once.
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

// move changes the kind of a watch unless it has fired in between.
func (s *session) move(from, to watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.armed[from]; ok {
		delete(s.armed, from)
		s.armed[to] = struct{}{}
	}
}

// state says in a word how the session is doing.
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

// hosts hands out the servers in turn, as names: the guard resolves them at
// each dial. Its rules are those of the library's own provider.
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

// Next says with retry that all servers failed since the last success; the
// library then pauses a second.
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
