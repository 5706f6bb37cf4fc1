package zksim

import (
	"time"

	"dkv/zksim/zktree"
)

// This file has the faults that an ensemble is not built to survive, and the state
// that only years of use bring: lost disks, and counters at their end.

// WipeServer makes a follower lose its disk. It is back at once with an empty tree,
// refuses every client that has seen any state, and has caught up after d. It
// returns false for a leader, or a server that is down or cut off.
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

// wipe empties a server's state. Its place in the log stays where it was until it
// joins again.
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
		panic("zksim: copying the leader's tree: " + err.Error())
	}
	v.tree, v.wiped = tree, false
	v.applied = v.svc.leader.applied
}

// WipeAll makes every server lose its disk: all data and sessions are gone, epochs
// and zxids begin again, and every server silently refuses clients that have seen
// more. This breaks what ZooKeeper promises, but operators have done it.
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
	s.history = newHistory()
	clear(s.numbers)
	s.count(rolledBack)
	s.cfg.Checker.onWipe()
	s.elect(s.draws.within("election", s.cfg.Election))
}

// AgeSequence raises the number that the next sequential node below a parent gets,
// as if that many nodes had been created there. It returns false if the parent
// does not exist, the service is not serving, or the number would decrease. At
// 2,147,483,647 the counter sticks.
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
