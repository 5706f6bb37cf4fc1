package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// In the majorities ring every node reaches a majority, and no two nodes reach the
// same nodes, except that three nodes form a line.
func TestMajoritiesRing(t *testing.T) {
	for size := 3; size <= schedule.MaxNodes; size++ {
		d := &swarm{random: world.NewRandom(uint64(size))}
		d.setup.Nodes = size
		cut := make(map[[2]int]bool)
		for _, s := range majoritiesRing(&source{name: "ring"}, d, 0, time.Second) {
			a, b := s.Targets[0].Node, s.Targets[1].Node
			cut[[2]int{a, b}], cut[[2]int{b, a}] = true, true
		}
		seen := make(map[string]bool)
		for a := 1; a <= size; a++ {
			var reached []string
			for b := 1; b <= size; b++ {
				if !cut[[2]int{a, b}] {
					reached = append(reached, schedule.HostName(b-1))
				}
			}
			if len(reached) <= size/2 {
				t.Errorf("%d nodes: n%d reaches only %v", size, a, reached)
			}
			seen[strings.Join(reached, " ")] = true
		}
		if len(cut) == 0 || size > 4 && len(seen) < size || len(seen) < 3 {
			t.Errorf("%d nodes: %d views that differ, %d cuts", size, len(seen), len(cut)/2)
		}
	}
}

// Each pattern takes effect: runs without any other fault count its faults.
func TestPatternsTakeEffect(t *testing.T) {
	for name, counter := range map[string]string{
		"swizzle clog": "net-clog", "isolate primary": "net-isolate", "majorities ring": "net-cut-two-way",
		"expire during failover": "zk-session-expired", "pause beyond session": "zk-session-expired",
		"crash in turn": "crash-in-turn", "stranded entries": "step-at-moment", "deposed while asleep": "pause",
		"two primaries": "net-delay", "stalled replicas": "disk-stall", "cut while joint": "step-at-moment",
		"late answers": "stale-answer", "busy primary": "slow-host", "removed replica": "net-isolate", "one disk has it": "disk-stall",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 8; seed++ {
				if count(t, onlyPattern(t, name, seed), counter) > 0 {
					return
				}
			}
			t.Fatalf("%s is 0 in 8 runs", counter)
		})
	}
}

// onlyPattern returns a calm seed's schedule with one pattern in the middle.
func onlyPattern(t *testing.T, name string, seed uint64) *schedule.Schedule {
	s, err := Draw(seed, "calm")
	if err != nil {
		t.Fatal(err)
	}
	s.Setup.Phases.Faults = 16 * time.Second
	d := &swarm{random: world.NewRandom(seed), setup: s.Setup}
	for _, f := range slices.Concat(patterns, lateSources, againSources) {
		if strings.HasSuffix(f.name, " "+name) {
			s.Steps = f.make(&f, d, 1, 5*time.Second)
			return s
		}
	}
	t.Fatalf("there is no pattern %q", name)
	return nil
}

func count(t *testing.T, s *schedule.Schedule, counter string) uint64 {
	r, err := Run(s, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) > 0 {
		t.Errorf("%v\n%s", r.Violations, s)
	}
	for _, c := range r.Counters {
		if c.Name == counter {
			return c.Count
		}
	}
	t.Fatalf("there is no counter %q", counter)
	return 0
}

// Without a majority no request succeeds, neither at a primary that has just lost
// its majority nor at one that has noticed: an answer would be a guess. Once the
// majority is back, the run demands progress, as every run does.
func TestMajorityLostIsRefused(t *testing.T) {
	asked := 0
	for _, how := range []string{"crash", "pause", "isolate", "clog"} {
		s, err := schedule.Parse("seed 11\nnodes 3\npartitions 1\nworkload operations=0\nphases faults=14s\n" +
			"at 4s put primary:0 0\nat 5s " + how + " backup:0 for 8s\nat 5s " + how + " second:0 for 8s\n" +
			"at 5.05s put primary:0 0\nat 5.05s get primary:0 0\nat 8s put primary:0 0\nat 8s get primary:0 0\nat 8s get backup:0 0\n")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil || len(r.Classes) > 0 {
			t.Fatalf("%s: %v, %v", how, err, r.Violations)
		}
		for _, op := range r.History {
			if op.Client < scriptClient || op.CallTime < 5*time.Second {
				continue
			}
			asked++
			if op.Outcome == linearizability.OK && op.ReturnTime < 13*time.Second {
				t.Errorf("%s: succeeded without a majority: %+v", how, op)
			}
			if op.Kind == linearizability.Put && op.CallTime == 8*time.Second && op.Outcome != linearizability.Refused {
				t.Errorf("%s: by then the primary knows that it has no majority, but it did not refuse: %+v", how, op)
			}
		}
	}
	if asked != 20 {
		t.Errorf("%d operations without a majority, want 20", asked)
	}
}
