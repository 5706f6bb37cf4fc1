package zkserver

import (
	"time"

	"dkv/zksim/zktree"
)

// faults are those that a test has requested. The turn guards them.
type faults struct {
	dropBefore, dropAfter int
	holdHandshakes        bool
	delayWatches          time.Duration
	delayed               []delayedEvent // ascending by due
}

// maxDelayed bounds the events that are held back. Beyond it, the oldest are sent
// early.
const maxDelayed = 1 << 16

// delayedEvent is an event that is held back.
type delayedEvent struct {
	watcher int64
	event   zktree.Event
	due     time.Time
}

// tell sends an event to a client, now or, while events are delayed, later. Events
// never overtake each other: while one waits, all later ones wait behind it.
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

// ExpireSession ends a session now, as if it had been silent for its timeout. It
// returns false if there is no such session.
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

// Sessions returns the ids of the live sessions, ascending.
func (s *Server) Sessions() []int64 {
	var ids []int64
	s.call(func() { ids = s.tree.Sessions() })
	return ids
}
