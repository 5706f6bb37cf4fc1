package zksim

import (
	"math"
	"strconv"

	"dkv/zksim/zktree"
)

// This file counts what happened to transactions, servers and clients without
// their knowledge: it takes a view of the whole service.

// observe counts what a transaction met. It runs after the leader's tree has
// applied the transaction and before the history records it.
func (s *Service) observe(e *entry, r *zktree.Result) {
	if r.Failed {
		s.count(failedWrite)
		if e.txn.Code == zktree.OpMulti {
			s.count(multiFailed)
		}
	}
	eachOp(&e.txn, r, func(op *zktree.Op, done *zktree.OpResult) { s.observeOp(&e.txn, op, done, r.Failed) })
	for _, change := range r.Changes {
		if was, known := s.history.latest(change.Path); change.Kind == zktree.Created && known && !was.exists && was.version > 0 {
			s.count(versionReset)
		}
	}
}

func (s *Service) observeOp(txn *zktree.Txn, op *zktree.Op, done *zktree.OpResult, failed bool) {
	switch {
	case op.Code.Creates():
		s.observeCreate(txn, op, done, failed)
	case !failed && (op.Code == zktree.OpDelete || op.Code == zktree.OpSetData):
		if was, known := s.history.latest(op.Path); known && was.exists && was.owner != 0 && was.owner != txn.Session {
			s.count(foreignEphemeral)
		}
	}
}

func (s *Service) observeCreate(txn *zktree.Txn, op *zktree.Op, done *zktree.OpResult, failed bool) {
	switch {
	case done.Err == zktree.ErrNodeExists && op.IsSequential():
		parent, _ := zktree.ParentOf(op.Path)
		if s.leader.tree.NextSequence(parent) == math.MaxInt32 {
			s.count(sequenceStuck)
		}
	case done.Err == zktree.ErrNodeExists:
		if was, known := s.history.latest(op.Path); known && s.ofEarlierSession(was.owner, txn.Session) {
			s.count(staleEphemeral)
		}
	case !failed && op.IsSequential():
		s.observeSequence(txn.Session, op.Path, done.Path)
	}
}

// ofEarlierSession reports whether owner is another session of the host that began
// session.
func (s *Service) ofEarlierSession(owner, session int64) bool {
	old, now := s.leases[owner], s.leases[session]
	return old != nil && now != nil && owner != session && old.host == now.host
}

// observeSequence counts what is remarkable about a new sequential node. asked is
// its path without the number.
func (s *Service) observeSequence(session int64, asked, made string) {
	parent, _ := zktree.ParentOf(made)
	if number, err := strconv.ParseInt(made[len(asked):], 10, 64); err == nil {
		if last, known := s.numbers[parent]; known && number != last+1 {
			s.count(sequenceGap)
		}
		if len(s.numbers) >= maxDeleted {
			clear(s.numbers)
		}
		s.numbers[parent] = number
	}
	if l := s.leases[session]; l != nil && l.lostSequence == asked {
		l.lostSequence = ""
		s.count(sequenceDuplicate)
	}
}

// observeCatchUp counts the changes that a reconnecting client does not learn of,
// or learns of in another form.
func (v *server) observeCatchUp(req *request) {
	s := v.svc
	for _, path := range req.watchSet.Exist {
		if was, known := s.history.at(path, v.tree.Zxid()); known && !was.exists && was.czxid > req.seen {
			s.count(existsLost)
		}
	}
	for _, path := range req.watchSet.Data {
		stat, code := v.tree.Exists(path)
		switch {
		case code != zktree.OK:
		case stat.Mzxid > req.seen && req.lastZxid >= stat.Mzxid:
			s.count(catchUpLost)
		case stat.Czxid > req.seen:
			s.count(recreateTold)
		}
	}
	for _, path := range req.watchSet.Child {
		if stat, code := v.tree.Exists(path); code == zktree.OK && stat.Pzxid > req.seen && req.lastZxid >= stat.Pzxid {
			s.count(catchUpLost)
		}
	}
}

// blocked counts a request that waits because its server lags behind the leader or
// is cut off from it.
func (v *server) blocked(req *request) {
	switch req.kind {
	case reqConnect:
		v.svc.count(sessionBlocked)
	case reqSync:
		v.svc.count(syncBlocked)
	default:
		v.svc.count(writeBlocked)
		if v.deposed {
			v.svc.count(deposedWrite)
		}
	}
}

// observeRead counts what a read's answer shows other than the latest state.
func (v *server) observeRead(req *request, r *reply) {
	s, c := v.svc, req.conn
	if v.applied < s.logEnd() {
		var truth reply
		truth.read(s.leader.tree, req)
		if truth.result.Err != r.result.Err || truth.result.Stat != r.result.Stat {
			s.count(staleRead)
			if v.deposed {
				s.count(deposedRead)
				if c.synced {
					s.count(deposedSyncRead)
				}
			}
		}
	}
	if v.cutOff {
		s.count(isolatedRead)
	}
	if l := s.leases[c.session]; l != nil && l.owner != c.id {
		s.count(supersededRead)
	}
	if owner := r.result.Stat.EphemeralOwner; owner != 0 && s.ofEarlierSession(owner, c.session) {
		s.count(staleEphemeral)
	}
}

// observeLoss counts, by kind, writes that were done and not answered.
func (v *server) observeLoss(req *request) {
	s := v.svc
	s.count(replyLostAfter)
	if req.result.Failed {
		return
	}
	switch {
	case req.op.Code == zktree.OpMulti:
		s.count(lostMulti)
	case req.op.IsSequential():
		s.count(lostSequence)
		if l := s.leases[req.session]; l != nil {
			l.lostSequence = req.op.Path
		}
	case req.op.Code.Creates():
		s.count(lostCreate)
	case req.op.Code == zktree.OpSetData:
		s.count(lostSet)
	case req.op.Code == zktree.OpDelete:
		s.count(lostDelete)
	}
}

// observeReply counts reads that show a state older than one seen before.
func (cl *Client) observeReply(c *conn, req *request, r *reply) {
	if req.kind != reqGet && req.kind != reqExists && req.kind != reqChildren {
		return
	}
	if r.zxid < cl.toldZxid && cl.toldOn != c {
		cl.svc.count(readBehindEvent)
	}
	if r.zxid < cl.host.saw && cl.host.sawIn != cl.session {
		cl.svc.count(newSessionBehind)
	}
}

// learned records which server first reported a change to a client.
type learned struct {
	zxid   int64
	server int
	leads  bool
	told   bool // a client of another server has learned of it since
}

// maxLearned bounds the changes for which that is remembered.
const maxLearned = 64

// observeEvent counts the order in which two clients at different servers learn of
// a change.
func (s *Service) observeEvent(v *server, zxid int64) {
	for i := range s.learned {
		first := &s.learned[i]
		if first.zxid != zxid {
			continue
		}
		if first.told || first.server == v.id {
			return
		}
		switch {
		case first.leads:
			first.told = true
			s.count(leaderFirst)
		case v == s.leader:
			first.told = true
			s.count(followerFirst)
		}
		return
	}
	s.learned[s.nextLearned] = learned{zxid: zxid, server: v.id, leads: v == s.leader}
	s.nextLearned = (s.nextLearned + 1) % maxLearned
}

// observeExpiry counts what the client of an expiring session believes about it.
func (s *Service) observeExpiry(l *lease) {
	s.count(sessionExpired)
	cl := l.client
	if cl == nil || cl.session != l.id {
		return
	}
	switch {
	case cl.state == connected:
		s.count(expiredConnected)
	case cl.state == connecting && s.sched.Now()-cl.lostAt >= longLost:
		s.count(expiredDisconnected)
	}
}
