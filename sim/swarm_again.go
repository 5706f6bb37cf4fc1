package sim

import (
	"slices"
	"time"

	"dkv/node/quorum"
	"dkv/sim/schedule"
)

// againSources are patterns in which something begins again before its first attempt
// has left the disks: a process on a disk that had not synced, a move that was
// cancelled, a membership that had ended.
var againSources = []source{
	{"disk stall and crash", 18, between(6*time.Second, 30*time.Second), stallAndCrash},
	{"layout move again", 22, between(5*time.Second, 20*time.Second), moveAgain},
	{"layout away over moves", 18, between(10*time.Second, 24*time.Second), awayOverMoves},
	{"pattern removed replica", 12, between(7*time.Second, 15*time.Second), removedReplica},
	{"pattern one disk has it", 32, between(8*time.Second, 24*time.Second), oneDiskHasIt},
}

// soloSources are patterns that take so long, or need so much to stay as it is meanwhile,
// that other faults would mostly spoil them. One that also needs more luck than the others
// stands here twice.
var soloSources = []string{
	"disk stall and crash", "layout move again", "layout away over moves", "pattern removed replica", "pattern removed replica", "pattern one disk has it",
	"pattern busy primary", "network late answers", "pattern stalled replicas", "pattern two primaries", "pattern two primaries", "pattern cut while joint",
	"pattern figure eight",
}

// drawSolo chooses, in almost half of the lean runs, up to two patterns that the run has
// instead of all other sources. It returns nil for the other runs.
func (d *swarm) drawSolo() []string {
	if !d.lean || !d.share(48, "solo") {
		return nil
	}
	solo := []string{soloSources[d.below(len(soloSources), "solo first")], soloSources[d.below(len(soloSources), "solo second")]}
	if s := &d.setup; slices.Contains(solo, "pattern removed replica") && s.Partitions <= 16 {
		s.Replication = max(2, min(s.Replication, 3))
		s.Nodes = max(s.Nodes, s.Replication+quorum.Majority(s.Replication))
	}
	if s := &d.setup; slices.Contains(solo, "pattern figure eight") && s.Partitions <= 16 {
		s.Nodes = max(s.Nodes, 5)
	}
	return solo
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
	switch f.draw(d, 7, n, 4) {
	case 3: // the disk of the primary's likely successor, which crashes when it asks for promises
		if d.setup.Replication < 3 {
			break
		}
		stall.Targets = []schedule.Target{{Role: schedule.Backup, Partition: p}}
		stall.For, crash.Targets, crash.Once, crash.Of, crash.After = 2*d.setup.SuspectAfter+lasts, primary, schedule.Started, p, f.roundTrips(d, n, 5)
		return []schedule.Step{stall, {At: at, Do: schedule.Isolate, Targets: primary, For: f.suspects(d, 130, 150, n, 7)}, crash}
	case 0: // the disk of a replica that is asked for a promise
		if d.setup.Replication < 3 {
			break
		}
		stall.Targets, stall.For = []schedule.Target{{Role: schedule.Second, Partition: p}}, 2*d.setup.SuspectAfter+lasts
		crash.Targets = []schedule.Target{{Role: schedule.Other, Partition: p}} // than the deposed primary: the one that stalls
		crash.Once, crash.Of, crash.After = schedule.Started, p, f.roundTrips(d, n, 5)
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

// removedReplica moves a partition away from a primary that does not learn of it: it is
// cut off from all other nodes and from ZooKeeper, until another primary has led the
// partition away and the replicas left behind had time to delete their data. Then it
// reaches only nodes that are not among the new replicas: one of them may be a replica
// that it had, whose promise alone keeps it from following the deposed primary again.
// Reads and writes wait at that primary. In half of the cases what it is told comes so
// late that it serves for a while before it learns of the layout. If there are enough
// nodes, the partition is first moved to nodes of which the later move leaves a majority
// behind.
func removedReplica(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	r := d.setup.Replication
	if d.setup.Nodes <= r || r == 1 {
		return moveAgain(f, d, n, at)
	}
	d.setup.SettleTime = min(d.setup.SettleTime, 1500*time.Millisecond) // or it would last too long to be left alone
	d.setup.MoveTimeout = min(d.setup.MoveTimeout, 3*time.Second)
	d.setup.MoveRate = 0 // or the ring means the partition for those left behind, and they keep it
	nodes := f.some(d, d.setup.Nodes, n)
	to, left := nodes[:r], nodes[r:]
	p := (f.draw(d, d.setup.Partitions, 0, 0) + int(n)) % d.setup.Partitions // not the last one, which may not be done
	var steps []schedule.Step
	if behind := quorum.Majority(r); d.setup.Nodes >= r+behind && f.draw(d, 4, n, 7) > 0 {
		steps = append(steps, schedule.Step{At: at, Do: schedule.Move, Partition: p, Targets: append(slices.Clone(left[:behind]), to[:r-behind]...)})
		at += (d.setup.MoveTimeout * time.Duration(20+f.draw(d, 50, n, 8)) / 100).Round(time.Millisecond)
	}
	primary := schedule.Target{Role: schedule.Primary, Partition: p}
	deposed := f.suspects(d, 150, 150, n, 1)
	moved := deposed + (d.setup.MoveTimeout * time.Duration(15+f.draw(d, 70, n, 2)) / 100).Round(time.Millisecond)
	gone := moved + d.setup.SettleTime + f.suspects(d, 50, 100, n, 3)
	long := gone + f.suspects(d, 200, 100, n, 4)
	steps = append(steps,
		schedule.Step{At: at, Do: schedule.Isolate, Targets: []schedule.Target{primary}, For: gone},
		schedule.Step{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{primary}, For: long},
		schedule.Step{At: at + deposed, Do: schedule.Move, Partition: p, Targets: to},
		schedule.Step{At: at + moved, Do: schedule.AskPut, Targets: []schedule.Target{primary}, Partition: p})
	for _, target := range to {
		steps = append(steps, schedule.Step{
			At: at, Do: schedule.CutTwoWay, Targets: []schedule.Target{primary, target}, After: gone - time.Millisecond, For: long - gone,
		})
	}
	if f.draw(d, 2, n, 5) == 0 {
		for _, target := range left {
			steps = append(steps, schedule.Step{
				At: at, Do: schedule.Delay, Targets: []schedule.Target{target, primary}, Lag: f.suspects(d, 10, 60, n, 6), After: gone - time.Millisecond, For: long - gone,
			})
		}
	}
	for k := range 8 {
		steps = append(steps, schedule.Step{
			At: at, Do: [...]*schedule.Action{schedule.AskGet, schedule.AskPut}[f.draw(d, 4, n, 20+k)/3], Targets: []schedule.Target{primary}, Partition: p,
			After: gone - min(d.setup.Workload.Timeout, d.setup.SuspectAfter)/4 + f.suspects(d, 0, 50+100*(k/4), n, 30+k),
		})
	}
	return steps
}

// oneDiskHasIt gets a write to the disk of a single replica: the primary's disk stalls and
// the others of its replicas are cut off from it. Then the primary crashes, and that
// replica is cut off from all others as these become reachable again.
func oneDiskHasIt(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary, second := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Role: schedule.Second, Partition: p}
	has := schedule.Target{Role: schedule.Backup, Partition: p}
	if f.draw(d, 2, n, 1) == 0 {
		has, second = second, has
	}
	lasts := f.suspects(d, 50, 45, n, 2) // less than the primary needs to become quiet
	asks := func(do *schedule.Action, k int) schedule.Step {
		return schedule.Step{At: at, Do: do, Targets: []schedule.Target{primary}, Partition: p, After: (lasts * time.Duration(1+f.draw(d, 40, n, k)) / 100).Round(time.Millisecond)}
	}
	return []schedule.Step{
		{At: at, Do: schedule.DiskStall, Targets: []schedule.Target{primary}, For: lasts + time.Second},
		{At: at, Do: schedule.CutTwoWay, Targets: []schedule.Target{primary, second}, For: lasts},
		asks(schedule.AskPut, 3), asks(schedule.AskPutNew, 4), asks(schedule.AskGet, 5),
		{At: at, Do: schedule.Isolate, Targets: []schedule.Target{has}, After: lasts - time.Millisecond, For: f.suspects(d, 300, 300, n, 6)},
		{At: at, Do: schedule.Crash, Targets: []schedule.Target{primary}, After: lasts, For: time.Duration(20+f.draw(d, 200, n, 7)) * time.Millisecond},
	}
}
