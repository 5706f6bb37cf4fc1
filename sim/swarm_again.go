package sim

import (
	"time"

	"dkv/sim/schedule"
)

// againSources are patterns in which something begins again before its first attempt
// has left the disks: a process on a disk that had not synced, a move that was
// cancelled, a membership that had ended.
var againSources = []source{
	{"disk stall and crash", 18, between(6*time.Second, 30*time.Second), stallAndCrash},
	{"layout move again", 22, between(5*time.Second, 20*time.Second), moveAgain},
	{"layout away over moves", 18, between(10*time.Second, 24*time.Second), awayOverMoves},
}

// stallAndCrash stalls disks and crashes their hosts before the stall ends: of one
// replica under writes, of one that is about to promise, of one that has just started,
// or of all nodes.
func stallAndCrash(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	replica := []schedule.Target{{Role: [...]schedule.Role{schedule.Primary, schedule.Backup, schedule.Second}[f.draw(d, min(3, d.setup.Replication), n, 1)], Partition: p}}
	lasts := f.lasting(d, between(100*time.Millisecond, 3*time.Second), n)
	strikes := (lasts * time.Duration(5+f.draw(d, 90, n, 2)) / 100).Round(time.Millisecond)
	down := time.Duration(20+f.draw(d, 1500, n, 3)) * time.Millisecond
	stall := schedule.Step{At: at, Do: schedule.DiskStall, Targets: replica, For: lasts}
	crash := schedule.Step{At: at, Do: schedule.Crash, Targets: replica, After: strikes, For: down}
	put := schedule.Step{At: at, Do: schedule.AskPut, Targets: primary, Partition: p, After: strikes / 2}
	switch f.draw(d, 6, n, 4) {
	case 0: // the disk of a replica that is asked for a promise
		if d.setup.Replication < 3 {
			break
		}
		other := []schedule.Target{{Role: schedule.Backup, Partition: p}}
		stall.Targets, stall.For = other, 2*d.setup.SuspectAfter+lasts
		crash.Targets, crash.Once, crash.Of, crash.After = other, schedule.Started, p, f.roundTrips(d, n, 5)
		return []schedule.Step{stall, {At: at, Do: schedule.Isolate, Targets: primary, For: 3 * d.setup.SuspectAfter}, crash}
	case 1: // twice: the second time the process has just started
		stall.For += down + d.setup.Recovery
		again := schedule.Step{
			At: at, Do: schedule.Crash, Targets: replica, After: strikes + down + schedule.LeastRecovery + time.Duration(f.draw(d, 300, n, 6))*time.Millisecond,
			For: down,
		}
		return []schedule.Step{stall, crash, again, put}
	case 2:
		steps := []schedule.Step{put, {At: at, Do: schedule.PowerLoss, After: strikes, For: down}}
		for node := range d.setup.Nodes {
			steps = append(steps, schedule.Step{At: at, Do: schedule.DiskStall, Targets: []schedule.Target{{Node: node + 1}}, For: lasts})
		}
		return steps
	}
	return []schedule.Step{stall, put, crash}
}

// moveAgain begins a move, cancels it and begins the same move again, up to three
// times. One of its new replicas may be away from before a cancellation until after
// the next beginning.
func moveAgain(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	move := movePartition(f, d, n, at)[0]
	sleeper := move.Targets[f.draw(d, len(move.Targets), n, 1)]
	steps := []schedule.Step{move}
	for k := range 1 + f.draw(d, 3, n, 2) {
		begun := move.At
		cancelled := begun + time.Duration(20+f.draw(d, 1500, n, 10+k))*time.Millisecond
		move.At = cancelled + time.Duration(20+f.draw(d, 1000, n, 20+k))*time.Millisecond
		steps = append(steps, schedule.Step{At: cancelled, Do: schedule.Cancel, Partition: move.Partition}, move)
		if choice := f.draw(d, 5, n, 30+k); choice < 3 {
			away := cancelled - time.Duration(f.draw(d, int((cancelled-begun)/time.Millisecond), n, 40+k))*time.Millisecond
			steps = append(steps, schedule.Step{
				At: away, Do: [...]*schedule.Action{schedule.Crash, schedule.Pause, schedule.Isolate}[choice], Targets: []schedule.Target{sleeper},
				For: move.At - away + time.Duration(1+f.draw(d, 1000, n, 50+k))*time.Millisecond,
			})
		}
	}
	return steps
}

// awayOverMoves moves a partition to some nodes, takes one of them away, moves the
// partition off it, perhaps a second time, and back: the node returns during that last
// move or after it, and meets the data of its former membership.
func awayOverMoves(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	r := d.setup.Replication
	if d.setup.Nodes <= r {
		return moveAgain(f, d, n, at)
	}
	nodes := f.some(d, d.setup.Nodes, n)
	with, without := nodes[:r], nodes[1:r+1]
	p := f.draw(d, d.setup.Partitions, n, 0)
	pace := func(k int) time.Duration {
		return (d.setup.MoveTimeout * time.Duration(20+f.draw(d, 130, n, k)) / 100).Round(time.Millisecond)
	}
	left := at + pace(1)
	moved := left + pace(2)
	back := moved + pace(3)
	steps := []schedule.Step{
		{At: at, Do: schedule.Move, Partition: p, Targets: with},
		{At: left, Do: schedule.Move, Partition: p, Targets: without},
		{At: back, Do: schedule.Move, Partition: p, Targets: with},
		{
			At: left - pace(4)/4, Do: [...]*schedule.Action{schedule.Crash, schedule.Pause, schedule.Isolate}[f.draw(d, 3, n, 5)],
			Targets: nodes[:1], For: back - left + pace(6)/2,
		},
	}
	if d.setup.Nodes > r+1 && f.draw(d, 2, n, 7) == 0 {
		steps = append(steps, schedule.Step{At: moved, Do: schedule.Move, Partition: p, Targets: nodes[2 : r+2]})
	}
	return steps
}
