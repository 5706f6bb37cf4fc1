package zksim

import "time"

// The methods in this file inject faults. Each reports whether the fault was
// possible now; Counters say how often it took effect.

// ExpireSession makes the leader end a session now, as if it had timed out.
func (s *Service) ExpireSession(id int64) bool {
	l := s.leases[id]
	if l == nil || s.phase != serving {
		return false
	}
	s.expire(l)
	return true
}

// ExpireHost makes the leader end every session that clients on a host began, and
// returns their number.
func (s *Service) ExpireHost(name string) int {
	ended := 0
	for _, id := range sortedKeys(s.leases) {
		if s.leases[id].host == name && s.ExpireSession(id) {
			ended++
		}
	}
	return ended
}

// CutHost stops all traffic between a host and all servers until HealHost. No
// message is lost, since connections hold what was sent, until one end gives up.
func (s *Service) CutHost(name string) {
	s.host(name).cut = 1<<maxServers - 1
}

// CutHostFrom stops all traffic between a host and one server until HealHost.
func (s *Service) CutHostFrom(name string, server int) bool {
	if server < 0 || server >= len(s.servers) {
		return false
	}
	s.host(name).cut |= 1 << server
	return true
}

// HealHost ends every cut of a host. Messages that were held are delivered.
func (s *Service) HealHost(name string) {
	h := s.host(name)
	h.cut = 0
	held := h.held
	h.held = nil
	for _, p := range held {
		p.held = false
		p.start()
	}
}

// LoseNextWrite breaks the connection at the next write from a host: instead of
// the reply if afterEffect is set, otherwise before the server gets the write.
func (s *Service) LoseNextWrite(name string, afterEffect bool) {
	if afterEffect {
		s.host(name).loseAfter++
	} else {
		s.host(name).loseBefore++
	}
}

// DelayNextWrite breaks the connection at the next write from a host. The write
// reaches the leader later, and takes effect unless the session has moved by then.
func (s *Service) DelayNextWrite(name string) { s.host(name).applyLate++ }

// SetLag sets how long a server takes to apply a committed transaction. It has no
// effect while the server leads.
func (s *Service) SetLag(server int, lag Range) bool {
	if server < 0 || server >= len(s.servers) || lag.Min < 0 || lag.Min > lag.Max {
		return false
	}
	s.servers[server].lag = lag
	return true
}

// ResetLag restores a server's configured lag.
func (s *Service) ResetLag(server int) bool { return s.SetLag(server, s.cfg.Lag) }

// Isolate cuts a server off from the leader for a while. It answers reads and pings
// until SyncLimit, then disconnects its clients and refuses all until the cut is
// over. A leader that is isolated is deposed.
func (s *Service) Isolate(server int, d time.Duration) bool {
	if server < 0 || server >= len(s.servers) || s.phase != serving {
		return false
	}
	v := s.servers[server]
	if v == s.leader {
		return s.ChangeLeader(true)
	}
	if v.cutOff || !v.up {
		return false
	}
	s.cutOff(v, min(d, s.cfg.SyncLimit), d)
	return true
}

// cutOff cuts a server off from the leader for d. The server stops serving after
// patience, and rejoins when the cut is over.
func (s *Service) cutOff(v *server, patience, d time.Duration) {
	v.cutOff = true
	ended := false
	stopLeave := s.sched.After(patience, func() {
		if !ended {
			v.leave()
		}
	})
	stopHeal := s.sched.After(max(d, patience), func() {
		if ended {
			return
		}
		ended = true
		v.rejoin()
	})
	v.stopHeal = func() {
		ended = true
		stopLeave()
		stopHeal()
	}
}

// rejoin ends a server's cut, if there is one.
func (v *server) rejoin() {
	if !v.cutOff {
		return
	}
	v.stopHealing()
	v.leave()
	v.cutOff, v.deposed = false, false
	if v.svc.phase == serving {
		v.join()
	}
}

// ChangeLeader removes the leader. For a random time there are no writes, and every
// other server disconnects its clients at some moment of it; then a new leader
// begins a new epoch, and all session timeouts start again. If deposed is set, the
// old leader keeps answering reads and syncs from its own state for up to
// SyncLimit. With one server it is a restart.
func (s *Service) ChangeLeader(deposed bool) bool {
	if s.phase != serving {
		return false
	}
	old := s.leader
	stall := s.draws.within("election", s.cfg.Election)
	if deposed && len(s.servers) > 1 {
		old.stopHealing()
		old.deposed = true
		s.cutOff(old, s.draws.within("deposed", Range{s.cfg.SyncLimit / 4, s.cfg.SyncLimit}), 0)
	} else {
		old.leave()
	}
	s.elect(stall)
	for _, v := range s.servers {
		if v != old && v.up && !v.cutOff {
			v.leaveWithin(min(stall, s.cfg.SyncLimit))
		}
	}
	return true
}

// leaveWithin makes a server notice that the leader is gone: half of the servers at
// once, the others at a random moment up to bound.
func (v *server) leaveWithin(bound time.Duration) {
	if v.draws.word("notice")%2 == 0 {
		v.leave()
		return
	}
	epoch := v.svc.epoch
	v.svc.post(v.draws.within("notice after", Range{0, bound}), func() {
		if v.svc.phase == electing && v.svc.epoch == epoch {
			v.leave()
		}
	})
}

// elect makes a new leader take over after the stall.
func (s *Service) elect(stall time.Duration) {
	s.phase = electing
	s.endStall = s.sched.After(stall, s.onElected)
}

func (s *Service) onElected() {
	if s.phase != electing {
		return
	}
	candidates := make([]*server, 0, len(s.servers))
	for _, v := range s.servers {
		if !v.cutOff {
			candidates = append(candidates, v)
		}
	}
	if 2*len(candidates) <= len(s.servers) { // no quorum without those cut off
		candidates = append(candidates[:0], s.servers...)
	}
	for _, v := range candidates {
		v.leave()
		v.join()
	}
	s.leader = candidates[s.draws.below("leader", len(candidates))]
	s.epoch++
	s.zxid = s.epoch << 32
	s.phase = serving
	s.count(leaderChanged)
	s.cfg.Checker.onElected()
	s.restartLeases()
}

// Down takes the quorum away: all clients are disconnected, and no session expires.
func (s *Service) Down() bool {
	if s.phase == down {
		return false
	}
	if s.endStall != nil {
		s.endStall()
	}
	s.phase = down
	for _, v := range s.servers {
		if v.up && len(v.conns) > 0 {
			s.count(quorumLost)
			break
		}
	}
	for _, v := range s.servers {
		v.leave()
	}
	return true
}

// Up brings the quorum back: after an election all servers serve again.
func (s *Service) Up() bool {
	if s.phase != down {
		return false
	}
	s.elect(s.draws.within("election", s.cfg.Election))
	return true
}

// Heal ends every fault: cuts, lag, isolation, loss of the quorum, and breaks that
// were requested but have not happened. It sets all Rates to 0.
func (s *Service) Heal() {
	s.cfg.Rates = Rates{}
	for _, name := range sortedKeys(s.hosts) {
		h := s.hosts[name]
		h.loseBefore, h.loseAfter, h.applyLate = 0, 0, 0
		s.HealHost(name)
	}
	for _, v := range s.servers {
		s.ResetLag(v.id)
		v.rejoin()
	}
	s.Up()
}
