package sim

import (
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
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
	ask func(host int, do *schedule.Action, p node.PartitionID)
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

// begin carries out a step and returns what ends it; nil if nothing does.
func (f *faultPlayer) begin(s *schedule.Step, hosts []int) (end func()) {
	return carriers[s.Do](f, s, hosts)
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
