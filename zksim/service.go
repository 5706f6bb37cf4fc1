package zksim

import (
	"time"

	"dkv/zksim/zktree"
)

const (
	maxServers = 5
	// late is how long after its commit applying or reporting a change counts as
	// late.
	late = 100 * time.Millisecond
	// longLost is how long a client must have been disconnected before its session's
	// end to count as disconnected long before.
	longLost = time.Second
)

// A Service is an ensemble of servers over one log. All its work happens within
// events of its Scheduler and calls of its methods.
//
// The leader applies each entry in the call that commits it, so its tree is always
// the state after the whole log. The log keeps what some server has yet to apply.
type Service struct {
	sched Scheduler
	post  func(d time.Duration, fn func()) // Post of sched if it is a Poster, else After
	rand  Random
	cfg   Config
	draws *draws

	servers  []*server
	leader   *server // during an election, the last one
	phase    phase
	endStall func() // cancels the election under way

	epoch   int64
	zxid    int64
	log     []entry // the entries that some server has yet to apply
	logBase int     // index of log[0]

	leases   map[int64]*lease // by session, as the leader knows them
	sessions int64            // number made so far
	hosts    map[string]*host
	conns    int64 // number made so far
	counts   [effects]uint64

	history     *history
	numbers     map[string]int64 // by parent: the number of the last sequential node
	learned     [maxLearned]learned
	nextLearned int  // index of the entry of learned to overwrite next
	sweeping    bool // a sweep is scheduled
}

type phase uint8

const (
	serving  phase = iota
	electing       // no leader; an election is under way
	down           // no quorum
)

// entry is a committed transaction and the request that asked for it.
type entry struct {
	txn       zktree.Txn
	committed time.Duration
	req       *request
	aged      int32 // if not 0, the value to which the sequence counter of the transaction's path is raised
}

// NewService returns an ensemble that serves at once. It panics if cfg is invalid:
// that is an error in the program.
func NewService(s Scheduler, r Random, cfg Config) *Service {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		panic(err)
	}
	svc := &Service{
		sched:  s,
		rand:   r,
		cfg:    cfg,
		draws:  newDraws(r, nameHash("zookeeper")),
		epoch:  1,
		zxid:   1 << 32,
		leases: make(map[int64]*lease),
		hosts:  make(map[string]*host),

		history: newHistory(),
		numbers: make(map[string]int64),
	}
	if cfg.Checker != nil {
		cfg.Checker.s = svc
	}
	for i := range cfg.Servers {
		svc.servers = append(svc.servers, newServer(svc, i))
	}
	if p, ok := s.(Poster); ok {
		svc.post = p.Post
	} else {
		svc.post = func(d time.Duration, fn func()) { s.After(d, fn) }
	}
	svc.leader = svc.servers[svc.draws.below("first leader", cfg.Servers)]
	return svc
}

// Peek reads a node from the leader's tree at once: the latest committed state. The
// slice is the service's own: do not change it.
func (s *Service) Peek(path string) ([]byte, zktree.Stat, zktree.Code) {
	return s.leader.tree.Get(path)
}

// PeekChildren returns the names below a node in the leader's tree, sorted.
func (s *Service) PeekChildren(path string) ([]string, zktree.Code) {
	names, _, code := s.leader.tree.Children(path)
	return names, code
}

// Leader returns the number of the leading server, and whether it serves now.
func (s *Service) Leader() (server int, serves bool) {
	return s.leader.id, s.phase == serving
}

// Servers returns the number of servers.
func (s *Service) Servers() int { return len(s.servers) }

// Zxid returns the zxid of the last committed transaction.
func (s *Service) Zxid() int64 { return s.zxid }

// SessionAlive reports whether the leader knows the session as live.
func (s *Service) SessionAlive(id int64) bool { return s.leases[id] != nil }

func (s *Service) wallMillis() int64 {
	return s.cfg.StartTime + s.sched.Now().Milliseconds()
}

// commit appends a transaction to the log, schedules its application at the
// followers, and applies it at the leader. req, if not nil, is answered by the
// server it came through, once that server has applied the transaction.
func (s *Service) commit(txn zktree.Txn, req *request) { s.commitEntry(entry{txn: txn, req: req}) }

func (s *Service) commitEntry(e entry) {
	s.zxid++
	e.txn.Zxid, e.txn.Time = s.zxid, s.wallMillis()
	e.committed = s.sched.Now()
	s.log = append(s.log, e)
	for _, srv := range s.servers {
		if srv != s.leader {
			srv.scheduleApply()
		}
	}
	s.leader.catchUp()
}

// onApplied runs for each transaction, in order, when the leader has applied it.
func (s *Service) onApplied(e *entry, r *zktree.Result) {
	s.cfg.Checker.onCommit(e, r)
	s.observe(e, r)
	s.history.record(&e.txn, r)
	if s.cfg.OnCommit != nil {
		s.cfg.OnCommit(&e.txn, r)
	}
	if r.Err != zktree.OK {
		return
	}
	switch e.txn.Code {
	case zktree.OpCreateSession:
		s.beginLease(e)
	case zktree.OpCloseSession:
		s.endLease(e.txn.Session)
	default:
		s.sweepLater()
	}
}

// sweepLater schedules a sweep if there are containers or TTL nodes.
func (s *Service) sweepLater() {
	if s.sweeping || !s.leader.tree.HasTransient() {
		return
	}
	s.sweeping = true
	s.post(s.cfg.Sweep, func() {
		s.sweeping = false
		if s.phase == serving {
			for _, path := range s.leader.tree.Due(s.wallMillis()) {
				s.count(nodeSwept)
				s.commit(zktree.Txn{Op: zktree.Op{Code: zktree.OpDelContainer, Path: path}}, nil)
			}
		}
		s.sweepLater()
	})
}

func (s *Service) logEnd() int { return s.logBase + len(s.log) }

// trimLog drops the entries that every server has applied.
func (s *Service) trimLog() {
	low := s.logEnd()
	for _, srv := range s.servers {
		low = min(low, srv.applied)
	}
	n := low - s.logBase
	if n < 256 && low != s.logEnd() {
		return // not worth the copying yet
	}
	clear(s.log[:n])
	if n == len(s.log) {
		n = 0
		s.log = s.log[:0]
	}
	s.log = s.log[n:]
	s.logBase = low
}

// onForwarded handles a request that arrives at the leader.
func (s *Service) onForwarded(req *request) {
	c := req.conn
	if req.kind == reqConnect && c.session == 0 && req.session == 0 {
		s.openSession(req)
		return
	}
	l := s.leases[req.session]
	switch {
	case req.kind == reqConnect:
		s.reattach(req, l)
	case req.kind == reqSync:
		req.answerAt = s.logEnd()
		c.server.scheduleAnswer(req)
	case l != nil && l.owner != c.id:
		s.count(sessionMoved)
		c.server.close(c)
	default:
		if l != nil {
			s.touch(l, c.server)
		}
		if c.client == nil && req.kind == reqWrite {
			s.count(appliedLate)
		}
		s.commit(req.txn(), req)
	}
}
