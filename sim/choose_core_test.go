package sim

import (
	"math/bits"
	"math/rand"
	"testing"

	"dkv/sim/schedule"
	"dkv/sim/world"
)

// The core of a large cluster is a smallest majority of intact hosts that covers
// every partition whose replicas all fit into it, and hardly fewer partitions than
// the best core.
func TestGreedyCoreCoversNearlyAllThatCanBe(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	greedy, best := 0, 0
	for seed := range uint64(200) {
		s := &schedule.Schedule{Setup: schedule.DefaultSetup()}
		s.Setup.Seed, s.Setup.Nodes = seed, 10+int(seed%2)
		r := startedRun(t, s)
		var sets []replicaSet
		for range 12 {
			set := replicaSet{majority: 2}
			for bits.OnesCount(set.hosts) < 3 {
				set.hosts |= 1 << random.Intn(s.Setup.Nodes)
			}
			sets = append(sets, set)
		}
		core := r.greedyCore(sets)
		if bits.OnesCount(core) != s.Setup.Nodes/2+1 || core>>s.Setup.Nodes != 0 {
			t.Fatalf("the core of %d hosts is %b", s.Setup.Nodes, core)
		}
		most := 0
		for set := range uint(1) << s.Setup.Nodes {
			if bits.OnesCount(set) == s.Setup.Nodes/2+1 {
				most = max(most, countCovered(sets, set))
			}
		}
		greedy, best = greedy+countCovered(sets, core), best+most
	}
	if greedy*100 < best*93 {
		t.Errorf("greedy cores cover %d partitions, the best ones %d", greedy, best)
	}
}

// All replicas live on few of many hosts: the core must contain them.
func TestGreedyCoreFindsTheHostsThatMatter(t *testing.T) {
	s := &schedule.Schedule{Setup: schedule.DefaultSetup()}
	s.Setup.Nodes = schedule.MaxNodes
	r := startedRun(t, s)
	sets := []replicaSet{{1<<3 | 1<<7 | 1<<19, 2}, {1<<19 | 1<<7 | 1<<0, 2}, {1 << 12, 1}, {0b1111 << 14, 3}}
	if core := r.greedyCore(sets); countCovered(sets, core) != len(sets) {
		t.Errorf("the core %b covers %d of %d partitions", core, countCovered(sets, core), len(sets))
	}
}

// startedRun returns a run whose world exists and has not taken a step.
func startedRun(t *testing.T, s *schedule.Schedule) *run {
	t.Helper()
	r := newRun(s, RunOptions{})
	w, err := world.New(r.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	r.world = w
	return r
}

// A cluster of 20 nodes goes through all phases.
func TestTwentyNodes(t *testing.T) {
	s, err := schedule.Parse("nodes 20\npartitions 12\nreplication 3\nbudget majority\nworkload clients=12 operations=600\n" +
		"phases faults=10s core=40s converge=40s\nat 4s split n1 n2 n3 n4 n5 n6 n7 n8 n9 for 2s\nat 7s crash primary:0 for 1s")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
	if len(r.Spared) > 0 {
		t.Errorf("the budget forbade %v", r.Spared)
	}
}
