package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
)

var diskCarriers = map[*schedule.Action]carrier{
	schedule.DiskStall: func(f *injector, s *schedule.Step, hosts []int) func() {
		f.world.StallDisk(hosts[0], s.Lasting())
		return nil
	},
	schedule.DiskSlow: func(f *injector, s *schedule.Step, hosts []int) func() {
		f.world.SlowDisk(hosts[0], between(0, s.Lag))
		return func() { f.world.SlowDisk(hosts[0], world.Range{}) }
	},
	schedule.DiskFailSync: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.FailSync(hosts[0])
		return nil
	},
	schedule.DiskEIO: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.BreakDisk(hosts[0], true)
		return func() { f.world.BreakDisk(hosts[0], false) }
	},
	schedule.DiskFull: func(f *injector, _ *schedule.Step, hosts []int) func() {
		f.world.FillDisk(hosts[0], true)
		return func() { f.world.FillDisk(hosts[0], false) }
	},
	schedule.DiskRot: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.world.RotDisk(hosts[0], false)
	},
	schedule.DiskFlipEntry: func(f *injector, _ *schedule.Step, hosts []int) func() {
		return f.world.RotDisk(hosts[0], true)
	},
	schedule.DiskSave: func(f *injector, _ *schedule.Step, hosts []int) func() {
		for _, host := range hosts {
			f.world.SaveDisk(host)
		}
		return nil
	},
	schedule.DiskRollBack: func(f *injector, s *schedule.Step, hosts []int) func() {
		if !f.world.RollBack(hosts[0]) {
			f.note("nothing was rolled back: %v", s)
		}
		return nil
	},
	schedule.DiskCopy: func(f *injector, s *schedule.Step, hosts []int) func() {
		if len(hosts) < 2 || !f.world.RunCopy(hosts[0], hosts[1]) {
			f.note("nothing was copied: %v", s)
			return func() {}
		}
		return func() { f.world.EndCopy(hosts[0]) }
	},
	schedule.DiskFlipTable: func(f *injector, s *schedule.Step, hosts []int) func() {
		return f.flip(s, hosts[0], f.world.FlipTable)
	},
	schedule.DiskFlipWAL: func(f *injector, s *schedule.Step, hosts []int) func() {
		return f.flip(s, hosts[0], f.world.FlipLog)
	},
}

// flip crashes a host and flips a bit on its disk, if there is one to flip.
func (f *injector) flip(s *schedule.Step, host int, flip func(host int) bool) (end func()) {
	if !flip(host) {
		f.note("no bit was flipped: %v", s)
	}
	return func() { f.world.Restart(host) }
}
