package sim

import (
	"slices"
	"testing"
	"time"

	"dkv/netsim"
	"dkv/sim/schedule"

	"pgregory.net/rapid"
)

// FuzzSchedules searches for schedules that break a promise, led by what of the
// code they reach. What it finds is told as a schedule, to replay and to keep.
// With -fuzzminimisetime=10x little of the time goes into shortening inputs.
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

// drawShortSchedule draws a cluster whose runs are quick, and steps, some of which
// are clients' requests.
func drawShortSchedule(t *rapid.T) *schedule.Schedule {
	s := &schedule.Schedule{Setup: schedule.DefaultSetup()}
	p := &s.Setup
	p.Seed = rapid.Uint64().Draw(t, "seed")
	p.Nodes = rapid.IntRange(3, 5).Draw(t, "nodes")
	p.Partitions = rapid.IntRange(1, 2).Draw(t, "partitions")
	p.Turn = rapid.IntRange(1, 16).Draw(t, "turn")
	p.RetainEntries = rapid.IntRange(2, 16).Draw(t, "retain")
	p.SessionTimeout = time.Duration(rapid.IntRange(1000, 4000).Draw(t, "session")) * time.Millisecond
	p.Workload.Operations, p.Workload.Clients = 60, 3
	p.Phases = schedule.Phases{Faults: 8 * time.Second, Core: 40 * time.Second, Converge: 40 * time.Second}
	if rapid.Bool().Draw(t, "pct") {
		p.Order = schedule.Order{Mode: schedule.PCT, Depth: rapid.IntRange(1, 4).Draw(t, "depth"), Span: 300, Window: 2 * time.Millisecond}
	}
	at := time.Second
	for range rapid.IntRange(0, 14).Draw(t, "steps") {
		at += time.Duration(rapid.IntRange(0, 800).Draw(t, "gap")) * time.Millisecond
		if step := schedule.Generate(p, at, func(what string, low, high int) int { return rapid.IntRange(low, high).Draw(t, what) }); survivable(&step, p) {
			soften(&step.Rates)
			s.Steps = append(s.Steps, step)
		}
	}
	return s
}

// survivable reports whether a cluster must keep its promises after a step. It need
// not after ZooKeeper has forgotten everything, nor after an administrator has
// moved a partition to too few nodes.
func survivable(s *schedule.Step, p *schedule.Setup) bool {
	if s.Do != schedule.Move {
		return s.Do != schedule.ZKLoseAll
	}
	certain := slices.IndexFunc(s.Targets, func(t schedule.Target) bool { return t.Role != schedule.ByNumber }) < 0
	return certain && len(s.Targets) == p.Replication
}

func TestFuzzedMovesKeepTheReplication(t *testing.T) {
	three := []schedule.Target{{Node: 1}, {Node: 2}, {Node: 3}}
	for _, c := range []struct {
		step schedule.Step
		want bool
	}{
		{schedule.Step{Do: schedule.Move, Targets: three}, true},
		{schedule.Step{Do: schedule.Move, Targets: three[:1]}, false},
		{schedule.Step{Do: schedule.Move, Targets: []schedule.Target{{Node: 1}, {Node: 2}, {Role: schedule.Primary}}}, false}, // n1 may lead
		{schedule.Step{Do: schedule.ZKLoseAll}, false},
		{schedule.Step{Do: schedule.Crash, Targets: three[:1]}, true},
	} {
		if got := survivable(&c.step, &schedule.Setup{Replication: 3}); got != c.want {
			t.Errorf("%v: %t, want %t", &c.step, got, c.want)
		}
	}
}

// soften lowers rates at which a run would consist of retries and be slow.
func soften(r *netsim.Rates) {
	for _, rate := range []*float64{&r.Loss, &r.Duplicate, &r.Reorder, &r.Delay, &r.Corrupt, &r.Reset, &r.HalfOpen, &r.HintLoss} {
		*rate = min(*rate, 0.2)
	}
}
