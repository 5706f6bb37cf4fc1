package sim

import (
	"math/bits"

	"dkv/node/layout"
	"dkv/node/quorum"
	"dkv/sim/world"
)

// mostEnumerated is the number of nodes up to which every majority is tried. Of 20
// nodes there are 167,960 smallest majorities.
const mostEnumerated = 9

// chooseCore returns a smallest majority of nodes, and as many more as the setup says,
// that keeps the most partitions available; it draws one if several do. In a large cluster it adds one node after
// another, each time the one that brings the partitions closest to their
// majorities. If the cluster never formed, every node is needed.
func (r *run) chooseCore() *core {
	n := r.setup.Nodes
	l := r.world.Layout()
	if l == nil && r.system == nil {
		return r.newCore(1<<n-1, nil)
	}
	quorums := r.quorums(l)
	if n > mostEnumerated {
		return r.newCore(r.greedyCore(quorums), l)
	}
	best, most := []uint{}, -1
	size, damaged := r.coreSize(), r.damaged()
	for set := range uint(1) << n {
		if bits.OnesCount(set) != size || set&damaged != 0 {
			continue
		}
		switch covered := countCovered(quorums, set); {
		case covered > most:
			best, most = []uint{set}, covered
		case covered == most:
			best = append(best, set)
		}
	}
	return r.newCore(best[r.world.Random().Below(len(best), "run core", 0, 0)], l)
}

// coreSize returns how many hosts the core has. No host with a damaged disk is in it, or with
// one that is not a member's. Of those two kinds there may be half of the hosts: one that was
// removed, and one whose disk was lost.
func (r *run) coreSize() int {
	n := r.setup.Nodes
	if r.system != nil {
		return n/2 + 1
	}
	return min(n/2+1+r.setup.Steady.Spare, n-bits.OnesCount(r.damaged()))
}

// replicaSet is the hosts of a partition's replicas, as bits, and how many of them
// are a majority.
type replicaSet struct {
	hosts    uint
	majority int
}

func (r *run) quorums(l *layout.Layout) []replicaSet {
	if l == nil {
		return nil
	}
	sets := make([]replicaSet, 0, l.Q())
	for _, part := range l.Partitions() {
		s := replicaSet{majority: quorum.Majority(len(part.Replicas))}
		for _, m := range part.Replicas {
			if h := r.world.HostOf(m); h != world.NoHost && r.desk.serves(h, m) {
				s.hosts |= 1 << h
			}
		}
		sets = append(sets, s)
	}
	return sets
}

func countCovered(sets []replicaSet, core uint) int {
	covered := 0
	for _, s := range sets {
		if bits.OnesCount(s.hosts&core) >= s.majority {
			covered++
		}
	}
	return covered
}

// greedyCore returns a core of the hosts, as bits. It begins at a
// drawn host, and among equally good ones takes the first after that one.
func (r *run) greedyCore(sets []replicaSet) uint {
	n := r.setup.Nodes
	first, damaged := r.world.Random().Below(n, "run core", 0, 0), r.damaged()
	core, size := uint(0), r.coreSize()
	for bits.OnesCount(core) < size {
		next, most := -1, -1
		for i := range n {
			h := (first + i) % n
			if (core|damaged)>>h&1 != 0 {
				continue
			}
			if score := scoreCore(sets, core|1<<h); score > most {
				next, most = h, score
			}
		}
		core |= 1 << next
	}
	return core
}

// scoreCore returns how much of the partitions' majorities the core holds. A
// complete majority counts for more than several incomplete ones.
func scoreCore(sets []replicaSet, core uint) int {
	score := 0
	for _, s := range sets {
		inside := min(bits.OnesCount(s.hosts&core), s.majority)
		score += inside
		if inside == s.majority {
			score += layout.MaxReplication
		}
	}
	return score
}
