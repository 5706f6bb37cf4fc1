package sim

import (
	"time"

	"dkv/sim/schedule"
)

// rollBack saves a disk, lets its node work for so long that others durably know of it, and
// rolls it back. Often it does so at the worst time: a replica has just missed the newest
// writes, and the primary that made them crashes, so that the disk that was rolled back and
// the one that missed them would be a majority. In most cases ZooKeeper can't be asked.
func rollBack(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	two := f.some(d, 2, n)
	struck, missing := two[:1], two[1:]
	steps := []schedule.Step{{At: at, Do: schedule.DiskSave, Targets: struck}}
	at += stampsKnown(f, d, n)
	if f.draw(d, 3, n, 3) > 0 {
		cut := d.span(200*time.Millisecond, 2*time.Second, f.name+" missing", n)
		p := f.draw(d, d.setup.Partitions, n, 4)
		steps = append(steps, schedule.Step{At: at, Do: schedule.Isolate, Targets: missing, For: cut})
		at += cut
		steps = append(steps, schedule.Step{
			At: at, Do: schedule.Crash, Targets: []schedule.Target{{Role: schedule.Primary, Partition: p}}, After: time.Millisecond,
			For: (d.setup.SuspectAfter / 5).Round(time.Millisecond),
		})
	}
	if f.draw(d, 10, n, 5) < 7 {
		steps = append(steps, schedule.Step{At: at, Do: schedule.ZKCut, Targets: struck, For: d.span(500*time.Millisecond, 8*time.Second, f.name+" alone", n)})
	}
	return append(steps, schedule.Step{At: at + 2*time.Millisecond, Do: schedule.DiskRollBack, Targets: struck})
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
