package zksim

import (
	"encoding/binary"
	"time"

	"dkv/zksim/zktree"
)

// lease is what the leader knows about a session: the connection whose writes it
// accepts, and when it last heard from the client. It is not replicated: a new
// leader gives every session its full timeout again.
type lease struct {
	id       int64
	host     string
	timeout  time.Duration
	password [16]byte
	owner    int64 // the connection whose writes are accepted
	heard    time.Duration
	stop     func()

	client       *Client // for observation only: the client that attached last; may be nil
	stretched    bool    // heard is later than the truth, because it came through a follower
	lostSequence string  // path asked for by the last sequential create that was done and not answered
}

// openSession commits a new session for a connection's first request.
func (s *Service) openSession(req *request) {
	s.sessions++
	txn := zktree.Txn{Session: int64(req.conn.server.id+1)<<56 | s.epoch<<32 | s.sessions}
	txn.Code = zktree.OpCreateSession
	txn.Timeout = min(max(req.timeout, s.cfg.MinSessionTimeout), s.cfg.MaxSessionTimeout)
	binary.BigEndian.PutUint64(txn.Password[:], s.draws.word("password"))
	req.session = txn.Session
	s.commit(txn, req)
}

func (s *Service) beginLease(e *entry) {
	l := &lease{id: e.txn.Session, timeout: e.txn.Timeout, password: e.txn.Password, stop: func() {}}
	if e.req != nil {
		l.owner, l.host, l.client = e.req.conn.id, e.req.conn.host.name, e.req.conn.client
		s.cfg.Checker.onAttach(l.id, e.req.conn)
	}
	s.leases[l.id] = l
	s.touch(l, s.leader)
	s.arm(l)
}

func (s *Service) endLease(id int64) {
	if l := s.leases[id]; l != nil {
		l.stop()
		delete(s.leases, id)
	}
}

// touch records that a session's client was heard from. Followers report their
// sessions to the leader every half tick, so what comes through one counts later.
func (s *Service) touch(l *lease, via *server) {
	heard := s.sched.Now()
	if via != s.leader {
		heard += via.draws.within("touch", Range{0, s.cfg.Tick / 2})
	}
	if heard > l.heard {
		l.heard, l.stretched = heard, via != s.leader
	}
}

// arm schedules the session's end, rounded up to a tick: between T and T+tick after
// its client was last heard from, where T is the timeout.
func (s *Service) arm(l *lease) {
	end := l.heard + l.timeout
	if odd := end % s.cfg.Tick; odd != 0 {
		end += s.cfg.Tick - odd
	}
	l.stop = s.sched.After(max(0, end-s.sched.Now()), func() { s.onLeaseEnd(l) })
}

func (s *Service) onLeaseEnd(l *lease) {
	if s.phase != serving {
		return // armed again when a leader comes
	}
	if l.heard+l.timeout > s.sched.Now() {
		s.arm(l)
		return
	}
	if l.stretched {
		s.count(expiryStretched)
	}
	s.expire(l)
}

func (s *Service) expire(l *lease) {
	s.observeExpiry(l)
	txn := zktree.Txn{Session: l.id}
	txn.Code = zktree.OpCloseSession
	s.commit(txn, nil)
}

// restartLeases gives every session its full timeout again, as a new leader does: it
// does not know when the old one last heard from them.
func (s *Service) restartLeases() {
	for _, id := range sortedKeys(s.leases) {
		l := s.leases[id]
		l.stop()
		if l.heard+l.timeout <= s.sched.Now() {
			s.count(expiryPutOff)
		}
		l.heard = s.sched.Now()
		s.arm(l)
	}
}

// reattach moves a live session to the connection that asks for it, or answers that
// the session has ended. As in ZooKeeper, a wrong password gets the same answer.
func (s *Service) reattach(req *request, l *lease) {
	c := req.conn
	if l == nil || l.password != req.password {
		req.result = &zktree.Result{Err: zktree.ErrSessionExpired}
		c.server.answerLink(req)
		return
	}
	l.owner, l.client = c.id, c.client
	s.cfg.Checker.onAttach(l.id, c)
	s.touch(l, c.server)
	req.timeout = l.timeout
	c.server.answerLink(req)
}
