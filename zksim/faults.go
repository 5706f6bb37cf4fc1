package zksim

import "time"

// The calls below are a schedule's hands. Each says whether it could do what
// was asked now; Counters tell what took effect.

// ExpireSession makes the leader end a session now.
func (s *Service) ExpireSession(id int64) bool {
	l := s.leases[id]
	if l == nil || s.phase != serving {
		return false
	}
	s.expire(l)
	return true
}

// ExpireHost makes the leader end every session that a host's clients began,
// and says how many that were.
func (s *Service) ExpireHost(name string) int {
	ended := 0
	for _, id := range sortedKeys(s.leases) {
		if s.leases[id].host == name && s.ExpireSession(id) {
			ended++
		}
	}
	return ended
}

// CutHost stops everything between a host and all servers until HealHost.
// Nothing is lost: connections hold what was sent, until one end gives up.
func (s *Service) CutHost(name string) {
	s.host(name).cut = 1<<maxServers - 1
}

// CutHostFrom stops everything between a host and one server.
func (s *Service) CutHostFrom(name string, server int) bool {
	if server < 0 || server >= len(s.servers) {
		return false
	}
	s.host(name).cut |= 1 << server
	return true
}

// HealHost ends every cut of a host; what was held goes on.
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

// LoseNextWrite breaks the connection of the next write that comes from a
// host: before the server took it, or instead of the reply.
func (s *Service) LoseNextWrite(name string, afterEffect bool) {
	if afterEffect {
		s.host(name).loseAfter++
	} else {
		s.host(name).loseBefore++
	}
}

// DelayNextWrite breaks the connection of the next write that comes from a
// host, and the write reaches the leader only later: it is done if the session
// has not moved by then.
func (s *Service) DelayNextWrite(name string) { s.host(name).applyLate++ }

// SetLag sets how long a server takes to apply what is committed. It has no
// effect while the server leads.
func (s *Service) SetLag(server int, lag Range) bool {
	if server < 0 || server >= len(s.servers) || lag.Min < 0 || lag.Min > lag.Max {
		return false
	}
	s.servers[server].lag = lag
	return true
}

// ResetLag gives a server the lag of the configuration again.
func (s *Service) ResetLag(server int) bool { return s.SetLag(server, s.cfg.Lag) }

// Isolate cuts a server from the leader for a while. It goes on answering
// reads and pings until SyncLimit, then throws its clients out until it is
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

// cutOff keeps a server from the leader: it leaves after the patience, and
// comes back when the cut ends.
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

// rejoin ends a cut from the leader.
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

// ChangeLeader takes the leader away: no writes for a drawn time, every other
// server throws its clients out somewhere in it, a new leader begins a new
// epoch, and all session timeouts start again. A deposed leader goes on
// answering reads and syncs from what it has, up to SyncLimit. With one server
// it is a restart.
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

// leaveWithin lets a server notice, in a drawn part of the time, that the
// leader is gone. Half of them notice at once.
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

// elect lets a new leader take over after the stall.
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

// Down takes the quorum away: all clients are thrown out, nothing expires.
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

// Up brings the quorum back: after a drawn election all serve again.
func (s *Service) Up() bool {
	if s.phase != down {
		return false
	}
	s.elect(s.draws.within("election", s.cfg.Election))
	return true
}

// Heal ends every fault that a schedule began: cuts, lag, isolation, no
// quorum, breaks yet to come. Faults that happen by rate stop too.
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
