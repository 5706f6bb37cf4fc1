package sim

import (
	"slices"
	"testing"
	"time"

	"dkv/netsim"

	"pgregory.net/rapid"
)

// FuzzSchedules searches for schedules that break a promise, led by what of the
// code they reach. What it finds is told as a schedule, to replay and to keep.
// With -fuzzminimizetime=10x little of the time goes into shortening inputs.
func FuzzSchedules(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		s := drawShortSchedule(t)
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Classes) > 0 {
			t.Fatalf("class %s: %v\nSave the lines below, and: go test ./sim -v -schedule=FILE\n%s", joinClasses(r.Classes), r.Violations, s.Brief())
		}
	}))
}

// drawShortSchedule makes a cluster that a run is quick with, and steps among
// which the clients' operations are.
func drawShortSchedule(t *rapid.T) *Schedule {
	s := &Schedule{Setup: defaultSetup()}
	p := &s.Setup
	p.Seed = rapid.Uint64().Draw(t, "seed")
	p.Nodes = rapid.IntRange(3, 5).Draw(t, "nodes")
	p.Partitions = rapid.IntRange(1, 2).Draw(t, "partitions")
	p.Turn = rapid.IntRange(1, 16).Draw(t, "turn")
	p.RetainEntries = rapid.IntRange(2, 16).Draw(t, "retain")
	p.SessionTimeout = time.Duration(rapid.IntRange(1000, 4000).Draw(t, "session")) * time.Millisecond
	p.Workload.Operations, p.Workload.Clients = 60, 3
	p.Phases = Phases{Faults: 8 * time.Second, Core: 40 * time.Second, Converge: 40 * time.Second}
	if rapid.Bool().Draw(t, "pct") {
		p.Order = Order{Mode: PCT, Depth: rapid.IntRange(1, 4).Draw(t, "depth"), Span: 300, Window: 2 * time.Millisecond}
	}
	at := time.Second
	for range rapid.IntRange(0, 14).Draw(t, "steps") {
		at += time.Duration(rapid.IntRange(0, 800).Draw(t, "gap")) * time.Millisecond
		if step := drawStep(t, p, at); survivable(&step, p) {
			soften(&step.Rates)
			s.Steps = append(s.Steps, step)
		}
	}
	return s
}

// survivable says whether a cluster owes its promises after a step: not once
// ZooKeeper has forgotten everything, nor once an outside hand has moved a
// partition to fewer nodes than it has to have.
func survivable(s *Step, p *Setup) bool {
	if s.Do != Move {
		return s.Do != ZKLoseAll
	}
	certain := slices.IndexFunc(s.Targets, func(t Target) bool { return t.Role != ByNumber }) < 0
	return certain && len(s.Targets) == p.Replication
}

func TestFuzzedMovesKeepTheReplication(t *testing.T) {
	three := []Target{{Node: 1}, {Node: 2}, {Node: 3}}
	for _, c := range []struct {
		step Step
		want bool
	}{
		{Step{Do: Move, Targets: three}, true},
		{Step{Do: Move, Targets: three[:1]}, false},
		{Step{Do: Move, Targets: []Target{{Node: 1}, {Node: 2}, {Role: Primary}}}, false}, // n1 may lead
		{Step{Do: ZKLoseAll}, false},
		{Step{Do: Crash, Targets: three[:1]}, true},
	} {
		if got := survivable(&c.step, &Setup{Replication: 3}); got != c.want {
			t.Errorf("%v: %t, want %t", &c.step, got, c.want)
		}
	}
}

// soften keeps rates from those at which a run is all retries, and slow.
func soften(r *netsim.Rates) {
	for _, f := range rateFields(r) {
		*f.rate = min(*f.rate, 0.2)
	}
}
