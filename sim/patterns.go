package sim

import (
	"time"

	"dkv/node"
)

// patterns are faults that come as a figure: several steps that mean something
// only together. Others of them, older ones, stand among the sources: bridge,
// flapping, leapfrog, exile, rolling restart, power loss.
var patterns = []source{
	{"pattern swizzle clog", 12, Range{12 * time.Second, 40 * time.Second}, swizzleClog},
	{"pattern isolate primary", 15, Range{8 * time.Second, 30 * time.Second}, isolatePrimary},
	{"pattern majorities ring", 10, Range{12 * time.Second, 40 * time.Second}, majoritiesRing},
	{"pattern expire during failover", 12, Range{10 * time.Second, 35 * time.Second}, expireDuringFailover},
	{"pattern pause beyond session", 10, Range{12 * time.Second, 40 * time.Second}, pauseBeyondSession},
	{"pattern crash in turn", 20, Range{4 * time.Second, 25 * time.Second}, crashInTurn},
}

// majorityLost is the source of the profile that means to lose it.
var majorityLost = source{"majority lost", 100, Range{5 * time.Second, 12 * time.Second}, loseMajority}

// swizzleClog clogs some nodes one after the other, and frees them one after
// the other in another order, so that old frames meet new ones.
func swizzleClog(f *source, d *swarm, n uint64, at time.Duration) []Step {
	nodes := f.some(d, 2+f.draw(d, max(1, d.setup.Nodes-2), n, 0), n)
	pace := d.setup.SuspectAfter * time.Duration(10+f.draw(d, 80, n, 1)) / 100
	all := pace * time.Duration(len(nodes))
	var steps []Step
	for i, target := range nodes {
		begin := pace * time.Duration(i)
		end := all + time.Duration(f.draw(d, int(all/time.Millisecond)+1, n, 30+i))*time.Millisecond
		steps = append(steps, Step{
			At: (at + begin).Round(time.Millisecond), Do: Clog, Targets: []Target{target},
			For: max(time.Millisecond, (end - begin).Round(time.Millisecond)),
		})
	}
	return steps
}

// isolatePrimary cuts a primary off from the other nodes, not from ZooKeeper,
// and lets clients ask it and one of its successors meanwhile.
func isolatePrimary(f *source, d *swarm, n uint64, at time.Duration) []Step {
	p := node.PartitionID(f.draw(d, d.setup.Partitions, n, 0))
	primary := []Target{{Role: Primary, Partition: p}}
	lasts := (d.setup.SuspectAfter * time.Duration(100+f.draw(d, 400, n, 1)) / 100).Round(time.Millisecond)
	later := func(k int) time.Duration {
		return max(time.Millisecond, (lasts * time.Duration(1+f.draw(d, 99, n, k)) / 100).Round(time.Millisecond))
	}
	return []Step{
		{At: at, Do: Isolate, Targets: primary, For: lasts},
		{At: at, Do: AskPut, Targets: primary, Partition: p, After: later(2)},
		{At: at, Do: AskGet, Targets: primary, Partition: p, After: later(3)},
		{At: at, Do: AskGet, Targets: primary, Partition: p, After: later(4)},
		{At: at, Do: AskPut, Targets: []Target{{Node: 1 + f.draw(d, d.setup.Nodes, n, 5)}}, Partition: p, After: later(6)},
	}
}

// majoritiesRing lets every node reach a majority, and no two nodes the same
// one: each reaches only its neighbours in a drawn ring. Three nodes make a line.
func majoritiesRing(f *source, d *swarm, n uint64, at time.Duration) []Step {
	size := d.setup.Nodes
	ring := f.some(d, size, n)
	reach := (size/2 + 1) / 2 // on either side; with itself a majority
	lasts := f.lasting(d, Range{500 * time.Millisecond, 6 * time.Second}, n)
	var steps []Step
	for i := range size {
		for j := i + 1; j < size; j++ {
			if apart := min(j-i, size-(j-i)); apart > reach || size == 3 && j-i == 2 {
				steps = append(steps, Step{At: at, Do: CutTwoWay, Targets: []Target{ring[i], ring[j]}, For: lasts})
			}
		}
	}
	return steps
}

// expireDuringFailover strikes a primary, and ends the session of the node that
// takes over while it does.
func expireDuringFailover(f *source, d *swarm, n uint64, at time.Duration) []Step {
	p := node.PartitionID(f.draw(d, d.setup.Partitions, n, 0))
	verb := [...]Verb{Crash, Isolate, Pause}[f.draw(d, 3, n, 1)]
	after := (d.setup.SuspectAfter * time.Duration(80+f.draw(d, 120, n, 2)) / 100).Round(time.Millisecond)
	next := [...]Role{Backup, Backup, Second}[f.draw(d, 3, n, 3)]
	return []Step{
		{At: at, Do: ZKExpire, Targets: []Target{{Role: next, Partition: p}}, After: after},
		{At: at, Do: verb, Targets: []Target{{Role: Primary, Partition: p}}, For: f.lasting(d, Range{time.Second, 5 * time.Second}, n)},
	}
}

// pauseBeyondSession lets a node stand still for longer than its session lives:
// when it goes on, it was declared dead.
func pauseBeyondSession(f *source, d *swarm, n uint64, at time.Duration) []Step {
	lasts := d.setup.SessionTimeout * time.Duration(105+f.draw(d, 100, n, 3)) / 100
	return []Step{{At: at, Do: Pause, Targets: []Target{f.target(d, n)}, For: lasts.Round(time.Millisecond)}}
}

// crashInTurn kills a node between what it writes and what it says.
func crashInTurn(f *source, d *swarm, n uint64, at time.Duration) []Step {
	return []Step{{At: at, Do: CrashInTurn, Targets: []Target{f.target(d, n)}, For: f.lasting(d, Range{time.Second, 4 * time.Second}, n)}}
}

// loseMajority takes a majority of all nodes away for a while, in one way for
// all of them. Nobody is owed an answer then; whoever asks those that are left
// must not get a wrong one.
func loseMajority(f *source, d *swarm, n uint64, at time.Duration) []Step {
	nodes := f.some(d, d.setup.Nodes, n)
	lost, left := nodes[:d.setup.Nodes/2+1], nodes[d.setup.Nodes/2+1:]
	verb := [...]Verb{Crash, Pause, Isolate, Clog}[f.draw(d, 4, n, 0)]
	lasts := f.lasting(d, Range{2 * time.Second, 8 * time.Second}, n)
	var steps []Step
	for _, target := range lost {
		steps = append(steps, Step{At: at, Do: verb, Targets: []Target{target}, For: lasts})
	}
	for i, target := range left {
		p := node.PartitionID(f.draw(d, d.setup.Partitions, n, 40+i))
		ask := [...]Verb{AskPut, AskGet}[f.draw(d, 2, n, 50+i)]
		steps = append(steps, Step{At: at, Do: ask, Targets: []Target{target}, Partition: p, After: lasts / 2})
	}
	return steps
}
