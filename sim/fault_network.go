package sim

import (
	"slices"

	"dkv/netsim"
	"dkv/sim/schedule"
)

var networkCarriers = map[*schedule.Action]carrier{
	schedule.CutOneWay: onLink(func(n *netsim.Network, from, to netsim.HostID, _ *schedule.Step) *netsim.Fault {
		return n.CutOneWay(from, to)
	}),
	schedule.CutTwoWay: onLink(func(n *netsim.Network, a, b netsim.HostID, _ *schedule.Step) *netsim.Fault {
		return n.CutTwoWay(a, b)
	}),
	schedule.Delay: onLink(func(n *netsim.Network, from, to netsim.HostID, s *schedule.Step) *netsim.Fault {
		return n.Delay(from, to, s.Lag)
	}),
	schedule.Late: func(f *injector, s *schedule.Step, hosts []int) func() {
		return f.world.Network().Late(f.world.NetID(hosts[0]), s.Lag).Heal
	},
	schedule.Throttle: onLink(func(n *netsim.Network, from, to netsim.HostID, s *schedule.Step) *netsim.Fault {
		return n.Slow(from, to, int64(s.Rate))
	}),
	schedule.Isolate: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.world.Network().Isolate(f.world.NetID(hosts[0])).Heal
	},
	schedule.Mute: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.onEach(hosts[0], func(n *netsim.Network, id, other netsim.HostID) []*netsim.Fault {
			return []*netsim.Fault{n.CutOneWay(id, other)}
		})
	},
	schedule.Split: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.world.Network().Split(f.netIDs(hosts), f.netIDs(f.others(hosts))).Heal
	},
	schedule.Cordon: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.world.Network().Split(f.netIDs(hosts[:1]), f.netIDs(f.others(hosts))).Heal
	},
	schedule.Bridge: func(f *injector, _ *schedule.Step, hosts []int) func() {
		one, other := schedule.Halves(hosts[0], f.world.Hosts())
		return f.world.Network().Bridge(f.world.NetID(hosts[0]), f.netIDs(slices.Concat(one, other))...).Heal
	},
	schedule.Clog: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.onEach(hosts[0], func(n *netsim.Network, id, other netsim.HostID) []*netsim.Fault {
			return []*netsim.Fault{n.Clog(id, other), n.Clog(other, id)}
		})
	},
	schedule.SetRates: func(f *injector, s *schedule.Step, _ []int) func() {
		f.setRates(s.Rates)
		return func() { f.setRates(f.schedule.Setup.Rates) }
	},
	schedule.Heal: func(f *injector, _ *schedule.Step, _ []int) func() {
		f.world.Network().HealAll()
		f.ledger.heal()
		f.setRates(f.schedule.Setup.Rates)
		return nil
	},
}

// onLink carries out a fault of the link between two targets. If one node has both
// roles, there is no link and no fault.
func onLink(begin func(n *netsim.Network, from, to netsim.HostID, s *schedule.Step) *netsim.Fault) carrier {
	return func(f *injector, s *schedule.Step, hosts []int) func() {
		if len(hosts) < 2 {
			return nil
		}
		return begin(f.world.Network(), f.world.NetID(hosts[0]), f.world.NetID(hosts[1]), s).Heal
	}
}

// onEach begins faults of the links between a host and each of the others.
func (f *injector) onEach(host int, begin func(n *netsim.Network, id, other netsim.HostID) []*netsim.Fault) (end func()) {
	var all []*netsim.Fault
	for _, other := range f.netIDs(f.others([]int{host})) {
		all = append(all, begin(f.world.Network(), f.world.NetID(host), other)...)
	}
	return func() {
		for _, fault := range all {
			fault.Heal()
		}
	}
}

// setRates panics on invalid rates: the parser has already checked them.
func (f *injector) setRates(r netsim.Rates) {
	if err := f.world.Network().SetRates(r); err != nil {
		panic("sim: " + err.Error())
	}
}

func (f *injector) netIDs(hosts []int) []netsim.HostID {
	ids := make([]netsim.HostID, len(hosts))
	for i, h := range hosts {
		ids[i] = f.world.NetID(h)
	}
	return ids
}

func (f *injector) others(hosts []int) []int { return schedule.Others(hosts, f.world.Hosts()) }
