package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// A carrier carries out a step of one action on the hosts of its targets. It
// returns the function that ends the step, or nil if the step needs none.
type carrier func(f *injector, s *schedule.Step, hosts []int) (end func())

// carriers holds the function of each row of the table of actions.
var carriers = joined(processCarriers, diskCarriers, networkCarriers, zookeeperCarriers, clientCarriers, memberCarriers)

// joined merges tables with disjoint keys.
func joined(tables ...map[*schedule.Action]carrier) map[*schedule.Action]carrier {
	all := make(map[*schedule.Action]carrier)
	for _, table := range tables {
		// order-free: every key is in one table only
		for action, do := range table {
			all[action] = do
		}
	}
	return all
}

var processCarriers = map[*schedule.Action]carrier{
	schedule.Crash: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.Crash(hosts[0])
		return func() { f.restart(hosts[0]) }
	},
	schedule.CrashInTurn: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.CrashInTurn(hosts[0])
		return func() {
			f.world.Disarm(hosts[0])
			f.restart(hosts[0])
		}
	},
	schedule.Restart: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.restart(hosts[0])
		return nil
	},
	schedule.PowerLoss: func(f *injector, _ *schedule.Step, _ []int) func() {
		f.world.PowerLoss()
		return f.restartAll
	},
	schedule.Stop: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.Stop(hosts[0])
		return func() {
			if f.world.State(hosts[0]) == world.Stopping {
				f.world.Crash(hosts[0]) // the operator's patience has run out: kill it
			}
			f.restart(hosts[0])
		}
	},
	schedule.Slow: func(f *injector, s *schedule.Step, hosts []int) func() {
		f.world.SlowHost(hosts[0], between(0, s.Lag))
		return func() { f.world.SlowHost(hosts[0], world.Range{}) }
	},
	schedule.Pause: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.Pause(hosts[0])
		return func() { f.world.Resume(hosts[0]) }
	},
	schedule.Suspend: func(f *injector, s *schedule.Step, hosts []int) func() {
		return f.world.Suspend(hosts[0], s.For)
	},
	schedule.Resume: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.Resume(hosts[0])
		return nil
	},
}

func (f *injector) restartAll() {
	for host := range f.world.Hosts() {
		f.restart(host)
	}
}

// restart starts a host again. A stranger that was never started waits for the cluster to
// form: before that it would be one of the nodes that form it.
func (f *injector) restart(host int) {
	if host < f.schedule.Setup.Nodes || f.world.ProcessNumber(host) > 0 {
		f.world.Restart(host)
	}
}
