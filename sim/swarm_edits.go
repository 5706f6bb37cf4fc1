package sim

import (
	"time"

	"dkv/sim/schedule"
)

// editSources are the faults of a layout that was written by hand.
var editSources = []source{
	{"layout edited", 22, between(5*time.Second, 20*time.Second), editedLayout},
}

// editedLayout cuts a primary off, from the nodes and from ZooKeeper, until another one has
// been elected, and gives that one's epoch to the first one too. It hears of that from
// ZooKeeper before it hears of its successor. Clients ask both.
func editedLayout(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	away := f.suspects(d, 150, 300, n, 1)
	alone := away + f.lasting(d, between(300*time.Millisecond, 3*time.Second), n)
	primary, former := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Role: schedule.Former, Partition: p}
	steps := []schedule.Step{
		{At: at, Do: schedule.Isolate, Targets: []schedule.Target{primary}, For: alone},
		{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{primary}, For: away},
		{At: at, Do: schedule.EditLayout, Targets: []schedule.Target{former}, Partition: p, Once: schedule.Started, Of: p,
			After: time.Duration(f.draw(d, 200, n, 3)) * time.Millisecond, For: alone + time.Duration(1+f.draw(d, 5, n, 4))*time.Second},
	}
	if f.draw(d, 3, n, 2) == 0 { // it starts anew, with what its disk has
		steps = append(steps, schedule.Step{At: at, Do: schedule.Crash, Targets: []schedule.Target{primary}, For: away / 2})
	}
	for k := range 6 {
		// By the layout in ZooKeeper the former primary is the present one by then.
		asked := [...]schedule.Target{primary, former}[k%2]
		at := at + alone + time.Duration(f.draw(d, 1500, n, 10+k))*time.Millisecond
		steps = append(steps, schedule.Step{At: at, Do: schedule.AskPut, Targets: []schedule.Target{asked}, Partition: p})
	}
	return steps
}
