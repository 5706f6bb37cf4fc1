package sim

import (
	"math"
	"testing"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

// Each bound of the swarm is reached in its share of the runs, and in no more: they
// cost more than the others.
func TestSwarmDrawsWideClusters(t *testing.T) {
	const runs = 1500
	kinds := []struct {
		what      string
		low, high int // in a thousand runs
		has       func(*schedule.Setup) bool
	}{
		{"more than 7 nodes", 10, 30, func(s *schedule.Setup) bool { return s.Nodes > 7 }},
		{"more than 9 nodes", 8, 28, func(s *schedule.Setup) bool { return s.Nodes > mostEnumerated }},
		{"more than 256 partitions", 7, 25, func(s *schedule.Setup) bool { return s.Partitions > 256 }},
		{"one replica", 25, 60, func(s *schedule.Setup) bool { return s.Replication == 1 }},
		{"two replicas", 25, 60, func(s *schedule.Setup) bool { return s.Replication == 2 }},
		{"four replicas", 30, 80, func(s *schedule.Setup) bool { return s.Replication == 4 }},
		{"seven replicas", 8, 35, func(s *schedule.Setup) bool { return s.Replication == 7 }},
		{"clients that wait for 10 s", 30, 110, func(s *schedule.Setup) bool { return s.Workload.Patience >= 10*time.Second }},
		{"more than 3000 operations", 4, 25, func(s *schedule.Setup) bool { return s.Workload.Operations > 3000 }},
		{"all values of a kilobyte or more", 8, 40, func(s *schedule.Setup) bool { return s.Workload.ValueBytes >= 1<<10 }},
		{"some values up to the limit", 8, 40, func(s *schedule.Setup) bool { return s.Workload.Large > 0 }},
		{"unequal suspect-after", 110, 190, func(s *schedule.Setup) bool { return s.Uneven != "" }},
	}
	met := make([]int, len(kinds))
	for seed := range uint64(runs) {
		s, err := Draw(seed, "default")
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range kinds {
			if k.has(&s.Setup) {
				met[i]++
			}
		}
	}
	for i, k := range kinds {
		if got := met[i] * 1000 / runs; got < k.low || got > k.high {
			t.Errorf("%d in a thousand runs have %s, want %d to %d", got, k.what, k.low, k.high)
		}
	}
}

// No two nodes differ by more than a factor of 2: a healthy primary must not lose
// its partitions because its heartbeats are slower than another node suspects.
func TestDrawnSuspectAftersStayClose(t *testing.T) {
	for seed := range uint64(300) {
		s, _ := Draw(seed, "default")
		least, most := time.Hour, time.Duration(0)
		for _, d := range s.Setup.SuspectAfters() {
			least, most = min(least, d), max(most, d)
		}
		if most > 2*least+2*time.Millisecond {
			t.Fatalf("seed %d: %v and %v", seed, least, most)
		}
	}
}

// All nodes have the same suspect-after, and clocks by which it lasts as drawn.
func TestEachHostHasItsOwnSuspectAfter(t *testing.T) {
	s, err := schedule.Parse("nodes 3\nsuspect-after 400ms\nsuspect-after-of n2:300ms,n3:1s")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, RunOptions{})
	config := r.config()
	for host, want := range []time.Duration{400 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		cfg := config.Node
		if config.Configure(host, &cfg); cfg.SuspectAfter != 400*time.Millisecond {
			t.Errorf("n%d suspects after %v by its own clock", host+1, cfg.SuspectAfter)
		}
		rate := 1 + float64(config.ClockPPM(host))/1e6
		if lasts := float64(cfg.SuspectAfter) / rate; math.Abs(lasts-float64(want)) > float64(time.Microsecond) {
			t.Errorf("n%d suspects after %v, want %v", host+1, time.Duration(lasts), want)
		}
		if got := s.Setup.Lasts(host, 4*time.Hour); (got - 36_000*want).Abs() > 100*time.Millisecond {
			t.Errorf("four hours of n%d last %v", host+1, got)
		}
	}
	if got := r.slowest(); got != time.Second {
		t.Errorf("the slowest suspects after %v", got)
	}
	if s.Fold(1, 2); s.Setup.Uneven != "n2:300ms" {
		t.Errorf("folded to two nodes: %q", s.Setup.Uneven)
	}
}

// With every node but one cut off, a client ends when its timeout does.
func TestEveryFourthClientIsPatient(t *testing.T) {
	s, err := schedule.Parse("nodes 3\nworkload calls=listed timeout=1s patience=6s\nphases faults=14s core=0s converge=0s\n" +
		"at 3s isolate n1 for 11s\nat 5s client 2 put k1 at n1\nat 5s client 3 put k1 at n1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.History) != 2 {
		t.Fatal(err, len(r.History))
	}
	for _, op := range r.History {
		want := map[int]time.Duration{2: time.Second, 3: 6 * time.Second}[op.Client]
		if took := op.ReturnTime - op.CallTime; took < want-50*time.Millisecond || took > want+clientPatience+500*time.Millisecond {
			t.Errorf("client %d waited for %v, want %v", op.Client, took, want)
		}
	}
}

func TestSomeValuesAreAsLargeAsTheStoreTakes(t *testing.T) {
	s, err := schedule.Parse("nodes 3\nsnapshot chunk=65536\nworkload operations=200 large=500\nmix get=20 put=80 delete=0 conditional=0\nphases faults=8s")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
	most, small := 0, 0
	for _, op := range r.History {
		most = max(most, len(op.Value))
		if op.Value != "" && len(op.Value) < 1<<10 {
			small++
		}
	}
	if most < node.MaxValueBytes/2 || most > node.MaxValueBytes || small < 20 {
		t.Errorf("the largest value has %d bytes, and %d are small", most, small)
	}
}
