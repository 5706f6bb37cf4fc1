package sim

import (
	"time"

	"dkv/sim/schedule"
)

// dayPatterns are faults that aim at the times which the code fixes. They only make
// sense where those are short beside suspect-after.
var dayPatterns = []source{
	{dayFamily + " late copies", 70, between(4*time.Second, 12*time.Second), lateCopies},
	{dayFamily + " late copies in a move", 70, between(4*time.Second, 12*time.Second), lateCopiesInMove},
}

// lateCopies lets copies of a forward reach a primary after it has discarded its
// record of them. A node that took a partition over hands it back to the preferred
// one after settle-time. Around that moment it serves writes of another node that
// does not hear its answers, and so repeats them half a suspect-after later: by
// then the reign may have been over for longer than its record is kept.
func lateCopies(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary, origin := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Node: 1 + f.draw(d, d.setup.Nodes, n, 1)}
	part := func(percent int) time.Duration {
		return (d.setup.SuspectAfter * time.Duration(percent) / 100).Round(time.Millisecond)
	}
	from := max(time.Millisecond, d.setup.SettleTime-part(30))
	steps := []schedule.Step{
		{At: at, Do: schedule.Crash, Targets: []schedule.Target{primary}, For: f.suspects(d, 110, 60, n, 2)},
		{At: at, Do: schedule.CutOneWay, Targets: []schedule.Target{primary, origin}, Once: schedule.Active, Of: p, After: from, For: f.suspects(d, 45, 45, n, 3)},
	}
	for k := range 12 {
		after := from + part(6*k) + f.suspects(d, 1, 6, n, 10+k)
		steps = append(steps,
			schedule.Step{At: at, Do: schedule.AskPut, Targets: []schedule.Target{origin}, Partition: p, Once: schedule.Active, Of: p, After: after},
			schedule.Step{At: at, Do: schedule.AskGet, Targets: []schedule.Target{{Role: schedule.Backup, Partition: p}}, Partition: p, Once: schedule.Active, Of: p, After: after + part(3)})
	}
	return steps
}

// lateCopiesInMove is lateCopies with a reign that ends because a move begins a new epoch.
// A hand-over is late, by up to five minutes, if the preferred primary has failed before.
func lateCopiesInMove(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	move := movePartition(f, d, n, at+f.suspects(d, 4, 4, n, 2))[0]
	primary, origin := schedule.Target{Role: schedule.Primary, Partition: move.Partition}, schedule.Target{Node: 1 + f.draw(d, d.setup.Nodes, n, 1)}
	steps := []schedule.Step{move, {At: at, Do: schedule.CutOneWay, Targets: []schedule.Target{primary, origin}, For: f.suspects(d, 45, 45, n, 3)}}
	for k := range 10 {
		after := f.suspects(d, 1, 5, n, 10+k)
		steps = append(steps,
			schedule.Step{At: at + after, Do: schedule.AskPut, Targets: []schedule.Target{origin}, Partition: move.Partition},
			schedule.Step{At: at + after, Do: schedule.AskGet, Targets: []schedule.Target{{Role: schedule.Backup, Partition: move.Partition}}, Partition: move.Partition, After: f.suspects(d, 2, 4, n, 30+k)})
	}
	return steps
}
