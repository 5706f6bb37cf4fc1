package sim

import (
	"time"

	"dkv/sim/schedule"
)

// lateSources are patterns in which a node takes in what it is told late, or much of it
// at once.
var lateSources = []source{
	{"pattern busy primary", 45, between(4*time.Second, 16*time.Second), busyPrimary},
	{"network late answers", 28, between(6*time.Second, 20*time.Second), lateAnswers},
}

// drawLongTurns lets events gather before a turn in a third of the runs, so that a turn
// often has many, as on a busy node in production, and has all clients send at once. Whatever depends on two events of one
// turn is out of reach otherwise.
func (d *swarm) drawLongTurns() {
	if d.share(33, "long turns") {
		d.setup.Turn = schedule.MostTurn
		d.setup.TurnMax = d.span(200*time.Microsecond, 20*time.Millisecond, "turn delay", 0)
		d.setup.TurnMin = d.setup.TurnMax / 2
		d.setup.Workload.Bursts = true
	}
}

// lateFrames lets all frames to one node come late, by up to a few suspect-afters.
func lateFrames(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	most := f.suspects(d, 30, 370, n, 3)
	return []schedule.Step{{
		At: at, Do: schedule.Late, Targets: []schedule.Target{f.target(d, n)}, Lag: most,
		For: most + f.lasting(d, between(500*time.Millisecond, 5*time.Second), n),
	}}
}

// lateAnswers deposes a primary that is answered all the time. What is sent to it comes
// ever later, until an answer is under way for longer than the others need to miss the
// primary, elect another one and commit a write; then they hear it no more. Meanwhile old
// answers keep arriving at the deposed primary, and clients that have seen the write ask
// it for the same key: an answer from before the read may not confirm it.
func lateAnswers(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := schedule.Target{Role: schedule.Primary, Partition: p}
	former := schedule.Target{Role: schedule.Former, Partition: p}
	most := f.suspects(d, 150, 80, n, 1) // from 200 on, answers are so late that they do not count
	silent := most + f.suspects(d, 0, 60, n, 2)
	long := silent + most + f.suspects(d, 100, 100, n, 3)
	steps := []schedule.Step{
		{At: at, Do: schedule.Late, Targets: []schedule.Target{primary}, Lag: most, For: long},
		{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{primary}, For: long},
		{At: at, Do: schedule.Mute, Targets: []schedule.Target{primary}, After: silent, For: long - silent},
		{At: at + silent, Do: schedule.AskPut, Targets: []schedule.Target{primary}, Partition: p, Once: schedule.Active, Of: p},
	}
	later := 2*time.Millisecond + f.roundTrips(d, n, 4)
	for k := range 3 {
		steps = append(steps, schedule.Step{
			At: at + silent, Do: schedule.AskGet, Targets: []schedule.Target{former}, Partition: p, Once: schedule.Active, Of: p, After: later,
		})
		later += f.suspects(d, 3, 15, n, 5+k)
	}
	return steps
}

// busyPrimary slows a primary down, so that its turns have many events, while one of its
// followers returns after it was away for so long that it may need a snapshot. Clients put
// new keys all the time: acknowledgements, the follower's answers and writes meet in one
// turn.
func busyPrimary(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	d.setup.RetainEntries = min(d.setup.RetainEntries, 6) // otherwise it would hardly ever need one
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	back := schedule.Target{Role: [...]schedule.Role{schedule.Backup, schedule.Second}[f.draw(d, 2, n, 1)], Partition: p}
	away := f.suspects(d, 120, 250, n, 2)
	steps := []schedule.Step{
		{At: at, Do: schedule.Slow, Targets: primary, Lag: f.suspects(d, 8, 30, n, 3), For: away + f.suspects(d, 150, 150, n, 4)},
		{At: at, Do: [...]*schedule.Action{schedule.Isolate, schedule.Crash}[f.draw(d, 2, n, 5)], Targets: []schedule.Target{back}, For: away},
	}
	later := away / 2
	for k := range 12 {
		steps = append(steps, schedule.Step{At: at, Do: schedule.AskPutNew, Targets: primary, Partition: p, After: later})
		later += f.suspects(d, 1, 25, n, 10+k)
	}
	return steps
}
