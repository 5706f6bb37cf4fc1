package sim

import (
	"dkv/sim/schedule"
	"time"
)

// patterns are faults of several steps that matter only in combination. Some
// others are among the sources: bridge, flapping, leapfrog, exile, rolling
// restart, power loss.
var patterns = []source{
	{"pattern swizzle clog", 12, between(12*time.Second, 40*time.Second), swizzleClog},
	{"pattern isolate primary", 30, between(6*time.Second, 24*time.Second), isolatePrimary},
	{"pattern majorities ring", 10, between(12*time.Second, 40*time.Second), majoritiesRing},
	{"pattern expire during failover", 12, between(10*time.Second, 35*time.Second), expireDuringFailover},
	{"pattern pause beyond session", 10, between(12*time.Second, 40*time.Second), pauseBeyondSession},
	{"pattern crash in turn", 20, between(4*time.Second, 25*time.Second), crashInTurn},
	{"pattern stranded entries", 75, between(5*time.Second, 18*time.Second), strandedEntries},
	{"pattern figure eight", 30, between(5*time.Second, 16*time.Second), figureEight},
	{"pattern deposed while asleep", 40, between(6*time.Second, 24*time.Second), deposedWhileAsleep},
	{"pattern two primaries", 75, between(5*time.Second, 18*time.Second), twoPrimaries},
	{"pattern stalled replicas", 15, between(8*time.Second, 30*time.Second), stalledReplicas},
	{"pattern cut while joint", 50, between(6*time.Second, 25*time.Second), cutWhileJoint},
}

// majorityLost is a source of the one profile that takes the majority away.
var majorityLost = source{"majority lost", 100, between(5*time.Second, 12*time.Second), loseMajority}

// swizzleClog clogs some nodes one after another and frees them in a different
// order, so that old frames meet new ones.
func swizzleClog(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	nodes := f.some(d, 2+f.draw(d, max(1, d.setup.Nodes-2), n, 0), n)
	pace := d.setup.SuspectAfter * time.Duration(10+f.draw(d, 80, n, 1)) / 100
	all := pace * time.Duration(len(nodes))
	var steps []schedule.Step
	for i, target := range nodes {
		begin := pace * time.Duration(i)
		end := all + time.Duration(f.draw(d, int(all/time.Millisecond)+1, n, 30+i))*time.Millisecond
		steps = append(steps, schedule.Step{
			At: (at + begin).Round(time.Millisecond), Do: schedule.Clog, Targets: []schedule.Target{target},
			For: max(time.Millisecond, (end - begin).Round(time.Millisecond)),
		})
	}
	return steps
}

// isolatePrimary cuts a primary off from the other nodes, but not from ZooKeeper,
// while clients send requests to it and to possible successors.
func isolatePrimary(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	lasts := (d.setup.SuspectAfter * time.Duration(100+f.draw(d, 400, n, 1)) / 100).Round(time.Millisecond)
	later := func(k int) time.Duration {
		return max(time.Millisecond, (lasts * time.Duration(1+f.draw(d, 99, n, k)) / 100).Round(time.Millisecond))
	}
	return []schedule.Step{
		{At: at, Do: schedule.Isolate, Targets: primary, For: lasts},
		{At: at, Do: schedule.AskPut, Targets: primary, Partition: p, After: later(2)},
		{At: at, Do: schedule.AskGet, Targets: primary, Partition: p, After: later(3)},
		{At: at, Do: schedule.AskGet, Targets: primary, Partition: p, After: later(4)},
		{At: at, Do: schedule.AskPut, Targets: []schedule.Target{{Node: 1 + f.draw(d, d.setup.Nodes, n, 5)}}, Partition: p, After: later(6)},
	}
}

// majoritiesRing gives every node a different majority that it can reach: its
// neighbours in a drawn ring. Three nodes form a line.
func majoritiesRing(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	size := d.setup.Nodes
	ring := f.some(d, size, n)
	reach := (size/2 + 1) / 2 // neighbours on either side; with the node itself a majority
	lasts := f.lasting(d, between(500*time.Millisecond, 6*time.Second), n)
	var steps []schedule.Step
	for i := range size {
		for j := i + 1; j < size; j++ {
			if apart := min(j-i, size-(j-i)); apart > reach || size == 3 && j-i == 2 {
				steps = append(steps, schedule.Step{At: at, Do: schedule.CutTwoWay, Targets: []schedule.Target{ring[i], ring[j]}, For: lasts})
			}
		}
	}
	return steps
}

// expireDuringFailover strikes a primary and ends the session of the node that
// takes over, during the take-over.
func expireDuringFailover(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	do := [...]*schedule.Action{schedule.Crash, schedule.Isolate, schedule.Pause}[f.draw(d, 3, n, 1)]
	after := (d.setup.SuspectAfter * time.Duration(80+f.draw(d, 120, n, 2)) / 100).Round(time.Millisecond)
	next := [...]schedule.Role{schedule.Backup, schedule.Backup, schedule.Second}[f.draw(d, 3, n, 3)]
	return []schedule.Step{
		{At: at, Do: schedule.ZKExpire, Targets: []schedule.Target{{Role: next, Partition: p}}, After: after},
		{At: at, Do: do, Targets: []schedule.Target{{Role: schedule.Primary, Partition: p}}, For: f.lasting(d, between(time.Second, 5*time.Second), n)},
	}
}

// pauseBeyondSession pauses a node for longer than its session timeout, so that it
// has been declared dead when it resumes.
func pauseBeyondSession(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	lasts := d.setup.SessionTimeout * time.Duration(105+f.draw(d, 100, n, 3)) / 100
	return []schedule.Step{{At: at, Do: schedule.Pause, Targets: []schedule.Target{f.target(d, n)}, For: lasts.Round(time.Millisecond)}}
}

// crashInTurn kills a node between its writes and its messages.
func crashInTurn(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{At: at, Do: schedule.CrashInTurn, Targets: []schedule.Target{f.target(d, n)}, For: f.lasting(d, between(time.Second, 4*time.Second), n)}}
}

// loseMajority takes a majority of all nodes away for a while, all in the same
// way. The remaining nodes owe no answer then, but must not give a wrong one.
func loseMajority(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	nodes := f.some(d, d.setup.Nodes, n)
	lost, left := nodes[:d.setup.Nodes/2+1], nodes[d.setup.Nodes/2+1:]
	do := [...]*schedule.Action{schedule.Crash, schedule.Pause, schedule.Isolate, schedule.Clog}[f.draw(d, 4, n, 0)]
	lasts := f.lasting(d, between(2*time.Second, 8*time.Second), n)
	var steps []schedule.Step
	for _, target := range lost {
		steps = append(steps, schedule.Step{At: at, Do: do, Targets: []schedule.Target{target}, For: lasts})
	}
	for i, target := range left {
		p := f.draw(d, d.setup.Partitions, n, 40+i)
		ask := [...]*schedule.Action{schedule.AskPut, schedule.AskGet}[f.draw(d, 2, n, 50+i)]
		steps = append(steps, schedule.Step{At: at, Do: ask, Targets: []schedule.Target{target}, Partition: p, After: lasts / 2})
	}
	return steps
}

// suspects draws a duration from least to least+span, exclusive, in hundredths of
// suspect-after.
func (f *source) suspects(d *swarm, least, span int, n uint64, k int) time.Duration {
	return (d.setup.SuspectAfter * time.Duration(least+f.draw(d, span, n, k)) / 100).Round(time.Millisecond)
}

// strandedEntries makes successive primaries append writes that no other node
// gets: the first because it is cut off, the second because it dies as it starts.
// The third has a choice of logs, answers a client, and dies before the second is
// back; the fourth gets the same request again. This is figure 8 of the Raft
// paper. In a variant the second dies after it has started, and the first is back,
// with entries that it alone has, when the third asks for promises.
func strandedEntries(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	ask := func(do *schedule.Action, once schedule.Trigger, later time.Duration) schedule.Step {
		return schedule.Step{At: at + later, Do: do, Targets: primary, Partition: p, Once: once, Of: p}
	}
	cut := f.suspects(d, 120, 150, n, 1)
	steps := []schedule.Step{
		{At: at, Do: schedule.Isolate, Targets: primary, For: cut},
		{At: at, Do: schedule.AskPut, Targets: primary, Partition: p, After: f.suspects(d, 1, 40, n, 2)},
		{At: at, Do: schedule.AskPutNew, Targets: primary, Partition: p, After: f.suspects(d, 1, 40, n, 10)},
		ask(schedule.AskPutNew, schedule.Started, 0),
		ask(schedule.AskGet, schedule.Active, 0),
	}
	away := f.suspects(d, 250, 200, n, 3)
	second := schedule.Step{At: at, Do: schedule.CrashInTurn, Targets: primary, Once: schedule.Started, Of: p, For: away}
	switch choice := f.draw(d, 8, n, 4); {
	case choice > 4: // so late that the other replicas know what it has committed
		second.Do, second.Once, second.After = [...]*schedule.Action{schedule.Crash, schedule.Isolate, schedule.Pause}[choice-5], schedule.Active, f.suspects(d, 10, 60, n, 5)
		return append(steps, second, ask(schedule.AskGet, schedule.Started, f.suspects(d, 150, 60, n, 6)))
	case choice > 2:
		second.Do, second.After = [...]*schedule.Action{schedule.Crash, schedule.Isolate}[choice-3], f.roundTrips(d, n, 5)
	}
	third := schedule.Step{
		At: at, Do: [...]*schedule.Action{schedule.Crash, schedule.Crash, schedule.Isolate}[f.draw(d, 3, n, 6)], Targets: primary, Once: schedule.Active, Of: p,
		After: f.suspects(d, 5, 60, n, 7), For: f.suspects(d, 250, 250, n, 8),
	}
	return append(steps, second, third, ask(schedule.AskGet, schedule.Active, away+f.suspects(d, 100, 1, n, 9)))
}

// figureEight is figure 8 of the Raft paper. The first primary gets a write that no other
// node gets. The second is cut off between its question for promises and its first entry.
// Then the first is back, and it or the third replica leads with the first write, which a
// client reads. This third primary is cut off as the second one returns, whose log has the
// later epoch. Two nodes are away at times, which takes five.
func figureEight(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	if d.setup.Nodes < 5 {
		return strandedEntries(f, d, n, at)
	}
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	back, away := f.suspects(d, 160, 60, n, 1), f.suspects(d, 220, 100, n, 2)
	asked := ((2*d.setup.LatencyMean + d.setup.Sync.Max) * time.Duration(50+f.draw(d, 100, n, 3)) / 100).Round(time.Microsecond)
	serves := f.suspects(d, 10, 50, n, 4)
	ask := func(do *schedule.Action, from time.Duration, later time.Duration) schedule.Step {
		return schedule.Step{At: at + from, Do: do, Targets: primary, Partition: p, Once: schedule.Started, Of: p, After: later}
	}
	return []schedule.Step{
		{At: at, Do: schedule.Isolate, Targets: primary, For: back},
		{At: at, Do: schedule.AskPut, Targets: primary, Partition: p, After: f.suspects(d, 1, 20, n, 5)},
		ask(schedule.AskPutNew, 0, 0), // of another key, or it would hide that the first is lost
		{At: at, Do: schedule.Mute, Targets: primary, Once: schedule.Started, Of: p, After: asked, For: away},
		{At: at, Do: schedule.Isolate, Targets: primary, Once: schedule.Started, Of: p, After: f.suspects(d, 5, 20, n, 6), For: away},
		ask(schedule.AskGet, back, serves/2),
		ask(schedule.AskGet, back, serves),
		ask(schedule.AskGet, back+d.setup.SuspectAfter, serves/2),
		{At: at + back, Do: schedule.Isolate, Targets: primary, Once: schedule.Started, Of: p, After: serves + time.Millisecond, For: f.suspects(d, 250, 150, n, 7)},
	}
}

// roundTrips draws a duration of up to a few round trips.
func (f *source) roundTrips(d *swarm, n uint64, k int) time.Duration {
	once := 2*d.setup.LatencyMean + d.setup.Sync.Max
	return max(time.Millisecond, (once * time.Duration(10+f.draw(d, 240, n, k)) / 100).Round(time.Millisecond))
}

// deposedWhileAsleep pauses a primary until another one has been elected, and lets
// it resume cut off from all nodes, or all but one. Clients send it requests after
// the new primary has answered.
func deposedWhileAsleep(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary, middle := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Role: [...]schedule.Role{schedule.Backup, schedule.Second}[f.draw(d, 2, n, 1)], Partition: p}
	asleep, cut := f.suspects(d, 140, 250, n, 2), f.suspects(d, 10, 60, n, 3)
	long := asleep + f.suspects(d, 50, 150, n, 4)
	asks := func(do *schedule.Action, k int) schedule.Step {
		return schedule.Step{At: at, Do: do, Targets: []schedule.Target{primary}, Partition: p, After: asleep + f.suspects(d, 1, 70, n, k)}
	}
	steps := []schedule.Step{
		{At: at, Do: schedule.Pause, Targets: []schedule.Target{primary}, For: asleep},
		{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{primary}, For: long},
		{At: at, Do: schedule.AskPut, Targets: []schedule.Target{primary}, Partition: p, Once: schedule.Active, Of: p},
		asks(schedule.AskGet, 5), asks(schedule.AskPut, 6), asks(schedule.AskGet, 7),
	}
	if f.draw(d, 2, n, 8) == 0 || d.setup.Replication < 3 {
		return append(steps, schedule.Step{At: at, Do: schedule.Isolate, Targets: []schedule.Target{primary}, After: cut, For: long - cut})
	}
	return append(steps,
		schedule.Step{At: at, Do: schedule.Cordon, Targets: []schedule.Target{primary, middle}, After: cut, For: long - cut},
		schedule.Step{At: at, Do: schedule.CutTwoWay, Targets: []schedule.Target{primary, middle}, After: cut, For: asleep - cut})
}

// twoPrimaries resumes a paused primary that reaches just one replica, after that
// replica has given its promise to another primary and before it gets that
// primary's first entry, which is delayed. The replica may crash in between: this
// tests whether it kept its promise.
func twoPrimaries(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary, former, other := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Role: schedule.Former, Partition: p}, schedule.Target{Role: schedule.Other, Partition: p}
	middle := schedule.Target{Role: [...]schedule.Role{schedule.Backup, schedule.Second}[f.draw(d, 2, n, 1)], Partition: p}
	long, lag := f.suspects(d, 250, 250, n, 2), f.suspects(d, 30, 90, n, 3)
	promised := f.roundTrips(d, n, 4)
	wakes := promised + 20*time.Millisecond + (lag * time.Duration(1+f.draw(d, 80, n, 5)) / 100).Round(time.Millisecond)
	steps := []schedule.Step{
		{At: at, Do: schedule.Pause, Targets: []schedule.Target{primary}, For: long},
		{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{primary}, For: 2 * long},
		{At: at, Do: schedule.Cordon, Targets: []schedule.Target{primary, middle}, For: long},
		{At: at, Do: schedule.Delay, Targets: []schedule.Target{primary, other}, Lag: lag, Once: schedule.Started, Of: p, For: 4 * lag},
		{At: at, Do: schedule.AskPut, Targets: []schedule.Target{former}, Partition: p, Once: schedule.Started, Of: p, After: wakes - time.Millisecond},
		{At: at, Do: schedule.Resume, Targets: []schedule.Target{former}, Once: schedule.Started, Of: p, After: wakes},
		{At: at, Do: schedule.AskGet, Targets: []schedule.Target{primary}, Partition: p, Once: schedule.Active, Of: p},
	}
	if f.draw(d, 4, n, 6) > 0 {
		crash := schedule.Step{At: at, Do: schedule.Crash, Targets: []schedule.Target{other}, Once: schedule.Started, Of: p, After: promised, For: 20 * time.Millisecond}
		steps = append(steps, crash)
		if f.draw(d, 2, n, 7) == 0 { // its disk has not synced the promise by then
			steps = append(steps, schedule.Step{At: at, Do: schedule.DiskStall, Targets: []schedule.Target{other}, Once: schedule.Started, Of: p, For: promised + time.Millisecond})
		}
	}
	return steps
}

// stalledReplicas stalls the disks of a partition's replicas, or makes their syncs
// fail, while clients send requests; then a power loss drops all unsynced writes, or most
// of them. In half of the cases the primary is cut off by then, so that what its disk kept
// does not count.
func stalledReplicas(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	do := [...]*schedule.Action{schedule.DiskStall, schedule.DiskStall, schedule.DiskFailSync}[f.draw(d, 3, n, 1)]
	least := f.draw(d, 3, n, 2) / 2 // 0: the primary's disk too
	lasts := time.Duration(50+f.draw(d, 1000, n, 3)) * time.Millisecond
	var steps []schedule.Step
	for _, role := range []schedule.Role{schedule.Primary, schedule.Backup, schedule.Second}[least:min(3, d.setup.Replication)] {
		step := schedule.Step{At: at, Do: do, Targets: []schedule.Target{{Role: role, Partition: p}}}
		if do == schedule.DiskStall {
			step.For = lasts
		}
		steps = append(steps, step)
	}
	ask := func(do *schedule.Action, least, k int) schedule.Step {
		after := (lasts * time.Duration(least+f.draw(d, 40, n, k)) / 100).Round(time.Millisecond)
		return schedule.Step{At: at, Do: do, Targets: primary, Partition: p, After: after}
	}
	if f.draw(d, 2, n, 7) == 0 {
		steps = append(steps, schedule.Step{At: at, Do: schedule.Isolate, Targets: primary, After: lasts - 2*time.Millisecond, For: f.suspects(d, 200, 200, n, 8)})
	}
	return append(steps, ask(schedule.AskPut, 2, 4), ask(schedule.AskGet, 20, 5), ask(schedule.AskGet, 50, 6), schedule.Step{
		At: at, Do: schedule.PowerLoss, After: lasts - time.Millisecond, For: f.lasting(d, between(10*time.Millisecond, time.Second), n),
	})
}

// cutWhileJoint begins a move and strikes the partition's primary while it needs
// both sets of replicas. In half of the cases the primary keeps the new replicas,
// loses the old ones and ZooKeeper, and gets a write.
func cutWhileJoint(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	steps := movePartition(f, d, n, at)
	p := steps[0].Partition
	primary := schedule.Target{Role: schedule.Primary, Partition: p}
	lasts := f.suspects(d, 100, 400, n, 1)
	strike := func(do *schedule.Action, targets ...schedule.Target) {
		steps = append(steps, schedule.Step{At: at, Do: do, Targets: targets, Once: schedule.Joint, Of: p, For: lasts})
	}
	switch choice := f.draw(d, 6, n, 2); choice {
	case 0, 1, 2:
		strike(schedule.ZKCut, primary)
		strike(schedule.CutTwoWay, primary, schedule.Target{Role: schedule.Backup, Partition: p})
		strike(schedule.CutTwoWay, primary, schedule.Target{Role: schedule.Second, Partition: p})
	default:
		strike([...]*schedule.Action{schedule.Crash, schedule.Isolate, schedule.CrashInTurn}[choice-3], primary)
	}
	return append(steps, schedule.Step{
		At: at, Do: schedule.AskPut, Targets: []schedule.Target{primary}, Partition: p, Once: schedule.Joint, Of: p, After: f.suspects(d, 1, 50, n, 3),
	})
}
