package sim

import (
	"time"

	"dkv/sim/schedule"
)

// rollBack saves all disks, lets the nodes work for so long that others durably know of
// it, and rolls one back. Often it does so at the worst time: one replica of a partition
// misses what the primary commits with the other, then the primary crashes, and that other
// one starts on an earlier state of its disk. The two that are left would be a majority
// without those writes. In most cases ZooKeeper can't be asked.
func rollBack(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 3)
	role := func(r schedule.Role) []schedule.Target { return []schedule.Target{{Role: r, Partition: p}} }
	steps := []schedule.Step{{At: at, Do: schedule.DiskSave, Targets: f.some(d, d.setup.Nodes, n)}}
	at += stampsKnown(f, d, n)
	struck := role(schedule.Backup)
	if f.draw(d, 4, n, 4) > 0 {
		cut := f.suspects(d, 20, 200, n, 7)
		for k := range 3 {
			steps = append(steps, schedule.Step{
				At: at, Do: schedule.AskPut, Targets: role(schedule.Primary), Partition: p, After: (cut * time.Duration(3+2*k) / 10).Round(time.Millisecond),
			})
		}
		steps = append(steps, schedule.Step{
			At: at, Do: schedule.CutTwoWay, Targets: append(role(schedule.Primary), role(schedule.Second)...), For: cut + d.setup.SuspectAfter,
		})
		at += cut
		steps = append(steps, schedule.Step{At: at, Do: schedule.Crash, Targets: role(schedule.Primary), For: f.suspects(d, 20, 900, n, 8)})
	} else {
		struck = []schedule.Target{f.target(d, n)}
	}
	if f.draw(d, 10, n, 5) < 7 {
		steps = append(steps, schedule.Step{At: at, Do: schedule.ZKCut, Targets: struck, For: d.span(500*time.Millisecond, 8*time.Second, f.name+" alone", n)})
	}
	return append(steps, schedule.Step{At: at, Do: schedule.DiskRollBack, Targets: struck})
}

// copyDisk runs a node a second time, on an old copy of its disk.
func copyDisk(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	two := f.some(d, 2, n)
	steps := []schedule.Step{{At: at, Do: schedule.DiskSave, Targets: two[1:]}}
	at += stampsKnown(f, d, n)
	lasts := d.span(500*time.Millisecond, 6*time.Second, f.name+" lasts", n)
	if f.draw(d, 2, n, 5) == 0 {
		steps = append(steps, schedule.Step{At: at, Do: schedule.ZKCut, Targets: two[:1], For: lasts})
	}
	return append(steps, schedule.Step{At: at + time.Millisecond, Do: schedule.DiskCopy, Targets: two, For: lasts})
}

// stampsKnown draws a time after which the others have most likely made durable what a node
// told them at its beginning.
func stampsKnown(f *source, d *swarm, n uint64) time.Duration {
	return (d.setup.SettleTime * time.Duration(110+f.draw(d, 150, n, 6)) / 100).Round(time.Millisecond)
}
