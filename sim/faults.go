package sim

import (
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// injector carries out the steps of a schedule at their times.
type injector struct {
	world    *world.World
	schedule *schedule.Schedule
	over     bool             // the fault phase has ended: no further step begins or ends
	waiting  []*schedule.Step // for their triggers
	// starters are the last two hosts that started an epoch as primary, the later
	// one first, by partition.
	starters [][2]int
	note     func(format string, args ...any)
	timeline *timelineRecorder // nil unless a report is written
	ledger   ledger
	spared   []int // indices of the steps that the budget forbade
	// ask sends a client's request for a key of the partition to the host.
	ask  func(host int, do *schedule.Action, p node.PartitionID)
	desk *desk
}

func newInjector(w *world.World, s *schedule.Schedule) *injector {
	f := &injector{world: w, schedule: s, starters: make([][2]int, s.Setup.Partitions), ledger: ledger{nodes: s.Setup.Nodes}}
	for p := range f.starters {
		f.starters[p] = [2]int{world.NoHost, world.NoHost}
	}
	for i := range s.Steps {
		step := &s.Steps[i]
		w.After(step.At, func() {
			if !f.over {
				f.start(step)
			}
		})
	}
	return f
}

// start begins a step whose time has come, or lets it wait for its trigger.
func (f *injector) start(s *schedule.Step) {
	if s.Once != schedule.AtOnce {
		f.await(s)
		return
	}
	f.aim(s)
}

// aim resolves the step's targets and injects the step, now or after its delay.
// The targets are those that have the roles now, not after the delay.
func (f *injector) aim(s *schedule.Step) {
	hosts := f.resolve(s.Targets)
	if len(hosts) == 0 && len(s.Targets) > 0 {
		f.note("skipped, because no node has the role: %v", s)
		return
	}
	if s.After == 0 {
		f.inject(s, hosts)
		return
	}
	f.world.After(s.After, func() {
		if !f.over {
			f.inject(s, hosts)
		}
	})
}

// inject carries out a step, if the budget allows it, and schedules its end.
func (f *injector) inject(s *schedule.Step, hosts []int) {
	release, ok := f.afford(s, hosts)
	if !ok {
		f.note("spared, because the budget keeps a majority: %v: %v", s, hostNames(hosts))
		f.world.Count(world.FaultSpared)
		f.spared = append(f.spared, f.place(s))
		return
	}
	f.note("%v: %v", s, hostNames(hosts))
	end := f.begin(s, hosts)
	band := f.timeline.began(f.world.Now(), s, hosts, end != nil)
	if end == nil || s.For == 0 {
		return
	}
	f.world.After(s.For, func() {
		if !f.over {
			f.note("over: %v", s)
			end()
			release()
			f.timeline.ended(f.world.Now(), band)
		}
	})
}

// place returns the index of a step in the schedule.
func (f *injector) place(s *schedule.Step) int {
	for i := range f.schedule.Steps {
		if &f.schedule.Steps[i] == s {
			return i
		}
	}
	panic("sim: a step of another schedule")
}

// begin carries out a step. It returns the function that ends it, or nil if the
// step needs none.
func (f *injector) begin(s *schedule.Step, hosts []int) (end func()) {
	return carriers[s.Do](f, s, hosts)
}

// resolve returns the hosts of the targets, each once. It leaves out a role that
// no host has.
func (f *injector) resolve(targets []schedule.Target) []int {
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

func (f *injector) hostOf(t schedule.Target) int {
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

func (f *injector) members(hosts []int) []node.MemberNumber {
	var members []node.MemberNumber
	for _, h := range hosts {
		if m := f.world.MemberOf(h); m != 0 {
			members = append(members, m)
		}
	}
	return members
}
