package zkserver

import (
	"time"

	"dkv/zksim/zktree"
)

// faults are what tests may ask for; they belong to the turn.
type faults struct {
	dropBefore, dropAfter int
	holdHandshakes        bool
	delayWatches          time.Duration
	delayed               []delayedEvent // in the order in which they happened
}

// maxDelayed bounds the events that are held back; of more, the oldest come
// early.
const maxDelayed = 1 << 16

// delayedEvent is an event whose client has not been told yet.
type delayedEvent struct {
	watcher int64
	event   zktree.Event
	due     time.Time
}

// tell lets a client know of an event, now or, while events are delayed, later.
// Later ones never overtake: once one is waiting, all wait behind it.
func (s *Server) tell(watcher int64, ev zktree.Event) {
	by := s.faults.delayWatches
	if by == 0 && len(s.faults.delayed) == 0 {
		s.tellNow(watcher, ev)
		return
	}
	due := time.Now().Add(by)
	if n := len(s.faults.delayed); n > 0 && s.faults.delayed[n-1].due.After(due) {
		due = s.faults.delayed[n-1].due
	}
	if len(s.faults.delayed) == maxDelayed {
		s.tellDelayed(s.faults.delayed[0].due)
	}
	s.faults.delayed = append(s.faults.delayed, delayedEvent{watcher, ev, due})
	time.AfterFunc(time.Until(due), func() { s.call(func() { s.tellDelayed(time.Now()) }) })
}

func (s *Server) tellDelayed(until time.Time) {
	for len(s.faults.delayed) > 0 && !s.faults.delayed[0].due.After(until) {
		d := s.faults.delayed[0]
		s.faults.delayed = s.faults.delayed[1:]
		s.tellNow(d.watcher, d.event)
	}
}

func take(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// ExpireSession ends a session now, as if it had been silent for its timeout;
// false if there is none.
func (s *Server) ExpireSession(id int64) bool {
	found := false
	s.call(func() {
		if sess := s.sessions[id]; sess != nil {
			found = true
			s.expire(sess)
		}
	})
	return found
}

// Sessions are the ids of the live sessions, ascending.
func (s *Server) Sessions() []int64 {
	var ids []int64
	s.call(func() { ids = s.tree.Sessions() })
	return ids
}
