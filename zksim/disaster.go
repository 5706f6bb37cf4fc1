package zksim

import (
	"time"

	"dkv/zksim/zktree"
)

// What follows is worse than what an ensemble is made to bear, or older than
// it: lost disks, and counters that have run for years.

// WipeServer makes a server that does not lead lose its disk. It comes back at
// once with nothing, turns away every client that has seen anything, and has
// caught up after d.
func (s *Service) WipeServer(server int, d time.Duration) bool {
	if server < 0 || server >= len(s.servers) || s.phase != serving || d < 0 {
		return false
	}
	v := s.servers[server]
	if v == s.leader || v.cutOff || !v.up {
		return false
	}
	v.leave()
	v.wipe()
	v.up = true
	s.cutOff(v, d, d)
	return true
}

// wipe empties a server. Until it has taken part again it stands at the log's
// place where it stood.
func (v *server) wipe() {
	v.tree, v.watches = zktree.NewTree(), zktree.NewWatches()
	v.wiped = true
}

// restore gives a wiped server the leader's state, as a snapshot would.
func (v *server) restore() {
	if !v.wiped {
		return
	}
	tree, err := zktree.Import(v.svc.leader.tree.Export())
	if err != nil {
		panic("zksim: the leader's own image: " + err.Error())
	}
	v.tree, v.wiped = tree, false
	v.applied = v.svc.leader.applied
}

// WipeAll makes every server lose its disk: all data and sessions are gone,
// epochs and zxids begin again, and clients that have seen more are turned
// away by every server without a word. It breaks what ZooKeeper promises, and
// what nobody should do to an ensemble happens to some.
func (s *Service) WipeAll() {
	if s.endStall != nil {
		s.endStall()
	}
	for _, id := range sortedKeys(s.leases) {
		s.endLease(id)
	}
	s.log, s.logBase = nil, 0
	for _, v := range s.servers {
		v.stopHealing()
		v.leave()
		v.wipe()
		v.wiped, v.cutOff, v.deposed, v.applied = false, false, false, 0
	}
	s.epoch, s.zxid = 0, 0
	s.chronicle = newChronicle()
	clear(s.numbers)
	s.count(rolledBack)
	s.cfg.Checker.onWipe()
	s.elect(s.draws.within("election", s.cfg.Election))
}

// AgeSequence sets the number that the next sequential node below a parent
// gets, as if so many had been made there before. It is false if there is no
// such node, the service does not serve, or the number is less than it is. At
// 2,147,483,647 the counter stays.
func (s *Service) AgeSequence(parent string, next int32) bool {
	if s.phase != serving || s.leader.tree.NextSequence(parent) > next || next < 0 {
		return false
	}
	if _, code := s.leader.tree.Exists(parent); code != zktree.OK {
		return false
	}
	txn := zktree.Txn{Op: zktree.Op{Code: zktree.OpCheck, Path: parent, Version: -1}, Trusted: true}
	s.commitEntry(entry{txn: txn, aged: next})
	return true
}
