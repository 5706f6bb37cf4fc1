package sim

import (
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/zksim"
)

var zookeeperCarriers = map[*schedule.Action]carrier{
	schedule.ZKExpire: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.ExpireSession(hosts[0])
		return nil
	},
	schedule.ZKCut: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.CutZooKeeper(hosts[0])
		return func() { f.world.HealZooKeeper(hosts[0]) }
	},
	schedule.ZKHeal: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.HealZooKeeper(hosts[0])
		return nil
	},
	schedule.ZKDown: func(f *injector, _ *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().Down()
		return func() { f.world.ZooKeeper().Up() }
	},
	schedule.ZKUp: func(f *injector, _ *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().Up()
		return nil
	},
	schedule.ZKLeader: func(f *injector, s *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().ChangeLeader(f.world.Random().Below(2, "run deposed leader", uint64(s.At), 0) == 0)
		return nil
	},
	schedule.ZKLag: func(f *injector, s *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().SetLag(s.Server, zksim.Range{Min: s.Lag / 2, Max: s.Lag})
		return func() { f.world.ZooKeeper().ResetLag(s.Server) }
	},
	schedule.ZKLoseBefore: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.ZooKeeper().LoseNextWrite(schedule.HostName(hosts[0]), false)
		return nil
	},
	schedule.ZKLoseAfter: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.ZooKeeper().LoseNextWrite(schedule.HostName(hosts[0]), true)
		return nil
	},
	schedule.ZKLate: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.ZooKeeper().DelayNextWrite(schedule.HostName(hosts[0]))
		return nil
	},
	schedule.ZKIsolate: func(f *injector, s *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().Isolate(s.Server, s.Lasting())
		return nil
	},
	schedule.ZKWipe: func(f *injector, s *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().WipeServer(s.Server, s.Lasting())
		return nil
	},
	schedule.ZKLoseAll: func(f *injector, _ *schedule.Step, _ []int) func() {
		f.world.ZooKeeper().WipeAll()
		return nil
	},
}

// clientCarriers carry out the actions of administrators and clients.
var clientCarriers = map[*schedule.Action]carrier{
	schedule.Move: func(f *injector, s *schedule.Step, hosts []int) func() {
		f.world.Move(node.PartitionID(s.Partition), f.members(hosts), nil)
		return nil
	},
	schedule.Cancel: func(f *injector, s *schedule.Step, _ []int) func() {
		f.world.Cancel(node.PartitionID(s.Partition), nil)
		return nil
	},
	schedule.EditLayout: func(f *injector, s *schedule.Step, hosts []int) func() {
		if m := f.world.MemberOf(hosts[0]); m != 0 {
			f.world.EditLayout(node.PartitionID(s.Partition), m)
		}
		return f.world.RepairLayout
	},
	schedule.SetRing: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.SetRing(hosts[0], 2)
		return nil
	},
	schedule.AskPut: asks, schedule.AskGet: asks, schedule.AskPutNew: asks, schedule.AskPutLarge: asks,
}

func asks(f *injector, s *schedule.Step, hosts []int) func() {
	f.ask(hosts[0], s.Do, node.PartitionID(s.Partition))
	return nil
}
