package sim

import (
	"slices"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
	"dkv/zksim"
)

// faultPlayer takes the steps of a schedule at their times.
type faultPlayer struct {
	world    *world.World
	schedule *schedule.Schedule
	over     bool // the fault phase: what was to come does not
	waiting  []*schedule.Step
	// starters are the last two hosts that began to act as primary, the later
	// one first, by partition.
	starters [][2]int
	note     func(format string, args ...any)
	scene    *sceneRecorder // nil: nobody wants one
	ledger   ledger
	spared   []int // steps, by their places in the schedule, that the budget forbade
	// ask lets a client ask for a key of a partition at a host.
	ask func(host int, do schedule.Verb, p node.PartitionID)
}

func newFaultPlayer(w *world.World, s *schedule.Schedule) *faultPlayer {
	f := &faultPlayer{world: w, schedule: s, starters: make([][2]int, s.Setup.Partitions), ledger: ledger{nodes: s.Setup.Nodes}}
	for p := range f.starters {
		f.starters[p] = [2]int{world.NoHost, world.NoHost}
	}
	for i := range s.Steps {
		step := &s.Steps[i]
		w.After(step.At, func() {
			if !f.over {
				f.take(step)
			}
		})
	}
	return f
}

// take takes a step whose time has come, or lets it wait for its moment.
func (f *faultPlayer) take(s *schedule.Step) {
	if s.Once != schedule.AtOnce {
		f.await(s)
		return
	}
	f.aim(s)
}

// aim finds out who is struck, and takes the step, now or later.
func (f *faultPlayer) aim(s *schedule.Step) {
	hosts := f.resolve(s.Targets)
	if len(hosts) == 0 && len(s.Targets) > 0 {
		f.note("nobody has the role: %v", s)
		return
	}
	if s.After == 0 {
		f.act(s, hosts)
		return
	}
	f.world.After(s.After, func() {
		if !f.over {
			f.act(s, hosts)
		}
	})
}

// act takes a step, if the budget has it, and sees to its end.
func (f *faultPlayer) act(s *schedule.Step, hosts []int) {
	release, ok := f.afford(s, hosts)
	if !ok {
		f.note("spared, for the sake of a majority: %v: %v", s, hostNames(hosts))
		f.world.Count(world.FaultSpared)
		f.spared = append(f.spared, f.place(s))
		return
	}
	f.note("%v: %v", s, hostNames(hosts))
	end := f.begin(s, hosts)
	band := f.scene.began(f.world.Now(), s, hosts, end != nil)
	if end == nil || s.For == 0 {
		return
	}
	f.world.After(s.For, func() {
		if !f.over {
			f.note("over: %v", s)
			end()
			release()
			f.scene.ended(f.world.Now(), band)
		}
	})
}

// place is where in the schedule a step stands.
func (f *faultPlayer) place(s *schedule.Step) int {
	for i := range f.schedule.Steps {
		if &f.schedule.Steps[i] == s {
			return i
		}
	}
	panic("sim: a step of another schedule")
}

// begin does what a step says, and returns what takes it back; nil if nothing
// does.
func (f *faultPlayer) begin(s *schedule.Step, hosts []int) (end func()) {
	w := f.world
	switch s.Do {
	case schedule.Crash:
		w.Crash(hosts[0])
		return func() { w.Restart(hosts[0]) }
	case schedule.Restart:
		w.Restart(hosts[0])
	case schedule.PowerLoss:
		w.PowerLoss()
		return f.restartAll
	case schedule.Stop:
		w.Stop(hosts[0])
		return func() {
			if w.State(hosts[0]) == world.Stopping {
				w.Crash(hosts[0]) // who has waited for so long kills it
			}
			w.Restart(hosts[0])
		}
	case schedule.Slow:
		w.SlowHost(hosts[0], between(0, s.Lag))
		return func() { w.SlowHost(hosts[0], world.Range{}) }
	case schedule.Suspend:
		return w.Suspend(hosts[0], s.For)
	case schedule.Pause:
		w.Pause(hosts[0])
		return func() { w.Resume(hosts[0]) }
	case schedule.Resume:
		w.Resume(hosts[0])
	case schedule.DiskStall, schedule.DiskSlow, schedule.DiskFailSync, schedule.DiskIO, schedule.DiskFull, schedule.DiskRot, schedule.DiskFlipEntry, schedule.DiskFlipTable, schedule.DiskFlipLog:
		return f.beginDisk(s, hosts[0])
	case schedule.Move:
		w.Move(node.PartitionID(s.Partition), f.members(hosts), nil)
	case schedule.Cancel:
		w.Cancel(node.PartitionID(s.Partition), nil)
	case schedule.CrashInTurn:
		w.CrashInTurn(hosts[0])
		return func() {
			w.Disarm(hosts[0])
			w.Restart(hosts[0])
		}
	case schedule.AskPut, schedule.AskGet, schedule.AskPutNew, schedule.AskPutLarge:
		f.ask(hosts[0], s.Do, node.PartitionID(s.Partition))
	case schedule.CutOneWay, schedule.CutTwoWay, schedule.Isolate, schedule.Split, schedule.Cordon, schedule.Bridge, schedule.Delay, schedule.Throttle, schedule.Clog, schedule.Heal, schedule.SetRates:
		return f.beginNetwork(s, hosts)
	default:
		return f.beginZooKeeper(s, hosts)
	}
	return nil
}

func (f *faultPlayer) beginDisk(s *schedule.Step, host int) (end func()) {
	w := f.world
	switch s.Do {
	case schedule.DiskStall:
		w.StallDisk(host, max(s.For, time.Millisecond))
	case schedule.DiskSlow:
		w.SlowDisk(host, between(0, s.Lag))
		return func() { w.SlowDisk(host, world.Range{}) }
	case schedule.DiskFailSync:
		w.FailSync(host)
	case schedule.DiskIO:
		w.BreakDisk(host, true)
		return func() { w.BreakDisk(host, false) }
	case schedule.DiskFull:
		w.FillDisk(host, true)
		return func() { w.FillDisk(host, false) }
	case schedule.DiskRot, schedule.DiskFlipEntry:
		return w.RotDisk(host, s.Do == schedule.DiskFlipEntry)
	case schedule.DiskFlipTable, schedule.DiskFlipLog:
		flip := w.FlipTable
		if s.Do == schedule.DiskFlipLog {
			flip = w.FlipLog
		}
		if !flip(host) {
			f.note("no bit was flipped: %v", s)
		}
		return func() { w.Restart(host) }
	}
	return nil
}

func (f *faultPlayer) restartAll() {
	for host := range f.world.Hosts() {
		f.world.Restart(host)
	}
}

func (f *faultPlayer) beginNetwork(s *schedule.Step, hosts []int) (end func()) {
	n := f.world.Network()
	ids := f.netIDs(hosts)
	switch s.Do {
	case schedule.CutOneWay, schedule.CutTwoWay, schedule.Delay, schedule.Throttle:
		if len(ids) < 2 {
			return nil // both roles are one node's
		}
		switch s.Do {
		case schedule.CutOneWay:
			return n.CutOneWay(ids[0], ids[1]).Heal
		case schedule.CutTwoWay:
			return n.CutTwoWay(ids[0], ids[1]).Heal
		case schedule.Throttle:
			return n.Slow(ids[0], ids[1], int64(s.Rate)).Heal
		}
		return n.Delay(ids[0], ids[1], s.Lag).Heal
	case schedule.Isolate:
		return n.Isolate(ids[0]).Heal
	case schedule.Split:
		return n.Split(ids, f.netIDs(f.others(hosts))).Heal
	case schedule.Cordon:
		return n.Split(ids[:1], f.netIDs(f.others(hosts))).Heal
	case schedule.Bridge:
		one, other := f.halves(hosts[0])
		return n.Bridge(ids[0], f.netIDs(slices.Concat(one, other))...).Heal
	case schedule.Clog:
		return f.clog(ids[0])
	case schedule.Heal:
		n.HealAll()
		f.ledger.heal()
		f.setRates(f.schedule.Setup.Rates)
	case schedule.SetRates:
		f.setRates(s.Rates)
		return func() { f.setRates(f.schedule.Setup.Rates) }
	}
	return nil
}

// clog holds all frames to and from a node.
func (f *faultPlayer) clog(id netsim.HostID) (end func()) {
	var held []*netsim.Fault
	for h := range f.world.Hosts() {
		if other := f.world.NetID(h); other != id {
			held = append(held, f.world.Network().Clog(id, other), f.world.Network().Clog(other, id))
		}
	}
	return func() {
		for _, fault := range held {
			fault.Heal()
		}
	}
}

// setRates cannot fail: the parser has judged the rates.
func (f *faultPlayer) setRates(r netsim.Rates) {
	if err := f.world.Network().SetRates(r); err != nil {
		panic("sim: " + err.Error())
	}
}

func (f *faultPlayer) beginZooKeeper(s *schedule.Step, hosts []int) (end func()) {
	w, zk := f.world, f.world.ZooKeeper()
	switch s.Do {
	case schedule.ZKExpire:
		w.ExpireSession(hosts[0])
	case schedule.ZKCut:
		w.CutZooKeeper(hosts[0])
		return func() { w.HealZooKeeper(hosts[0]) }
	case schedule.ZKHeal:
		w.HealZooKeeper(hosts[0])
	case schedule.ZKDown:
		zk.Down()
		return func() { zk.Up() }
	case schedule.ZKUp:
		zk.Up()
	case schedule.ZKLeader:
		zk.ChangeLeader(w.Random().Below(2, "run deposed leader", uint64(s.At), 0) == 0)
	case schedule.ZKLag:
		zk.SetLag(s.Server, zksim.Range{Min: s.Lag / 2, Max: s.Lag})
		return func() { zk.ResetLag(s.Server) }
	case schedule.ZKLoseBefore, schedule.ZKLoseAfter:
		zk.LoseNextWrite(schedule.HostName(hosts[0]), s.Do == schedule.ZKLoseAfter)
	case schedule.ZKLate:
		zk.DelayNextWrite(schedule.HostName(hosts[0]))
	case schedule.ZKIsolate:
		zk.Isolate(s.Server, max(s.For, time.Millisecond))
	case schedule.ZKWipe:
		zk.WipeServer(s.Server, max(s.For, time.Millisecond))
	case schedule.ZKLoseAll:
		zk.WipeAll()
	}
	return nil
}

// resolve finds the hosts of targets, each once; roles that nobody has drop
// out.
func (f *faultPlayer) resolve(targets []schedule.Target) []int {
	var hosts []int
	for _, t := range targets {
		host := f.hostOf(t)
		known := host == world.NoHost
		for _, h := range hosts {
			known = known || h == host
		}
		if !known {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func (f *faultPlayer) hostOf(t schedule.Target) int {
	if t.Role == schedule.ByNumber {
		return t.Node - 1
	}
	l := f.world.Layout()
	if l == nil {
		return f.world.ProgramIn(t.Role)
	}
	p, ok := l.Partition(node.PartitionID(t.Partition))
	if !ok {
		return world.NoHost
	}
	primary := f.world.HostOf(p.Primary)
	former := f.starters[t.Partition][0]
	if former == primary {
		former = f.starters[t.Partition][1]
	}
	var backups []int
	for _, m := range p.Replicas {
		if host := f.world.HostOf(m); m != p.Primary && (t.Role != schedule.Other || host != former) {
			backups = append(backups, host)
		}
	}
	switch {
	case t.Role == schedule.Primary:
		return primary
	case t.Role == schedule.Former:
		return former
	case t.Role == schedule.Second && len(backups) > 1:
		return backups[1]
	case t.Role != schedule.Second && len(backups) > 0:
		return backups[0]
	}
	return world.NoHost
}

func (f *faultPlayer) members(hosts []int) []node.MemberNumber {
	var members []node.MemberNumber
	for _, h := range hosts {
		if m := f.world.MemberOf(h); m != 0 {
			members = append(members, m)
		}
	}
	return members
}

func (f *faultPlayer) netIDs(hosts []int) []netsim.HostID {
	ids := make([]netsim.HostID, len(hosts))
	for i, h := range hosts {
		ids[i] = f.world.NetID(h)
	}
	return ids
}

func (f *faultPlayer) others(hosts []int) []int {
	var others []int
	for h := range f.world.Hosts() {
		inside := false
		for _, x := range hosts {
			inside = inside || x == h
		}
		if !inside {
			others = append(others, h)
		}
	}
	return others
}
