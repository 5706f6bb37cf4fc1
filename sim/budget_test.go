package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"reflect"
	"slices"
	"testing"
	"time"
)

// With a budget, only those steps strike that leave a node that can lead; without
// one, all steps do.
func TestBudgetSparesWhatLeavesNoMajority(t *testing.T) {
	for _, c := range []struct {
		name, text string
		spared     []int // of the steps in the text, from 0
	}{
		{"one of three", "nodes 3\nat 3s crash n1 for 2s", nil},
		{"the second of three", "nodes 3\nat 3s crash n1 for 2s\nat 4s isolate n2 for 1s", []int{1}},
		{"once the first is back", "nodes 3\nat 3s crash n1 for 1s\nat 7s isolate n2 for 1s", nil},
		{"once a cut is over", "nodes 3\nat 3s isolate n1 for 1s\nat 5s isolate n2 for 1s", nil},
		{"the same one again", "nodes 3\nat 3s pause n1 for 3s\nat 4s isolate n1 for 1s", nil},
		{"a restart", "nodes 3\nat 3s pause n1 for 2s\nat 4s crash n2 for 20ms\nat 4.5s crash n3 for 125ms", []int{2}},
		{"the second of four", "nodes 4\nat 3s suspend n1 for 2s\nat 4s clog n2 for 1s", []int{1}},
		{"the third of five", "nodes 5\nat 3s stop n1 for 3s\nat 3s pause n2 for 3s\nat 4s crash n3 for 1s", []int{2}},
		{"links one by one", "nodes 3\nat 3s cut n1<>n2 for 3s\nat 3s cut n2>n3 for 3s\nat 4s cut n3>n1 for 1s", []int{2}},
		{"a link after a node", "nodes 3\nat 3s crash n3 for 3s\nat 4s cut n1>n2 for 1s", []int{1}},
		{"a ring of five", "nodes 5\nat 3s cut n1<>n3 for 3s\nat 3s cut n1<>n4 for 3s\nat 3s cut n2<>n4 for 3s\n" +
			"at 3s cut n2<>n5 for 3s\nat 3s cut n3<>n5 for 3s", nil},
		{"a bridge whose middle falls", "nodes 5\nat 3s bridge n3 for 3s\nat 4s crash n3 for 1s", []int{1}},
		{"the larger part", "nodes 5\nat 3s split n1 n2 n3 for 3s\nat 4s isolate n1 for 1s", []int{1}},
		{"a trap that is set", "nodes 3\nat 3s crash-in-turn n1 for 3s\nat 3s crash n2 for 1s", []int{1}},
		{"a disk that will fail", "nodes 3\nat 3s disk-full n1 for 3s\nat 3s disk-eio n2 for 1s", []int{1}},
		{"healed", "nodes 3\nat 3s isolate n1\nat 4s heal\nat 4s isolate n2 for 500ms\nat 5s isolate n3 for 1s", nil},
		{"a heal does not count twice", "nodes 3\nat 3s isolate n1 for 2s\nat 4s heal\nat 4s isolate n2 for 3s\nat 6s isolate n3 for 1s", []int{3}},
		{"steps that the budget does not judge", "nodes 3\nat 3s power-loss for 1s\nat 3.5s zk-down for 1s\nat 3.5s slow n1 5ms for 1s\nat 3.5s delay n1>n2 5ms for 1s", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, budget := range []string{"budget majority\n", ""} {
				s, err := schedule.Parse(budget + "partitions 2\nphases faults=9s\n" + c.text)
				if err != nil {
					t.Fatal(err)
				}
				r, err := Run(s, RunOptions{})
				if err != nil || len(r.Classes) > 0 {
					t.Fatal(err, r.Violations)
				}
				want := c.spared
				if budget == "" {
					want = nil
				}
				if !slices.Equal(r.Spared, want) {
					t.Errorf("with %q the steps %v were spared, want %v", budget, r.Spared, want)
				}
			}
		})
	}
}

// Under faults of all kinds, some node can lead at any time after the nodes have
// started. Exceptions are a power loss, a disk fault that stops its process after
// it has ended, and the short time of a restart.
func TestBudgetHoldsThroughoutARun(t *testing.T) {
	instants, spared := 0, 0
	for seed := uint64(1); seed <= 12; seed++ {
		s, err := Draw(seed, "rough")
		if err != nil {
			t.Fatal(err)
		}
		s.Steps = slices.DeleteFunc(s.Steps, func(step schedule.Step) bool {
			return slices.Contains([]*schedule.Action{schedule.PowerLoss, schedule.DiskFull, schedule.DiskEIO, schedule.DiskRot, schedule.DiskFailSync}, step.Do)
		})
		s.Setup.Phases.Core, s.Setup.Phases.Converge = 0, 0
		var r *run
		next, led := time.Second, time.Second
		r = newRun(s, RunOptions{Pause: func(w *world.World) bool {
			if w.Now() >= next && !r.faults.over {
				next = w.Now() + time.Millisecond
				instants++
				if r.faults.ledger.leads(r.faults.away()) {
					led = w.Now()
				} else if w.Now()-led > s.Setup.SuspectAfter/2 {
					t.Errorf("seed %d: from %v to %v no node can lead", seed, led, w.Now())
					return false
				}
			}
			return true
		}})
		result, err := r.execute()
		if err != nil {
			t.Fatal(err)
		}
		spared += len(result.Spared)
	}
	if instants < 50_000 || spared < 100 {
		t.Errorf("only %d instants were checked and only %d steps spared: the test is blind", instants, spared)
	}
}

// A frozen schedule has no budget and lacks the steps that the budget forbade, but
// its run is the same.
func TestFreezeLeavesNoBudget(t *testing.T) {
	seen := 0
	for seed := uint64(1); seed <= 12; seed++ {
		s, err := Draw(seed, "default")
		if err != nil {
			t.Fatal(err)
		}
		if s.Setup.Order.Mode == schedule.PCT {
			continue // with a step fewer, other steps would be chosen
		}
		s.Setup.Phases.Core, s.Setup.Phases.Converge = 0, 0
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		without := &schedule.Schedule{Setup: s.Setup, Steps: slices.Clone(s.Steps)}
		without.Spare(r.Spared)
		again, err := Run(without, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.History, r.History) || again.Probes != r.Probes || len(again.Spared) > 0 {
			t.Errorf("seed %d: without the budget, and what it forbade, it is another run", seed)
		}
		if frozen := Freeze(r); frozen.Setup.Budget != schedule.NoBudget || len(frozen.Steps) != len(without.Steps) {
			t.Errorf("seed %d: frozen, it has budget %s and %d steps, want %d", seed, frozen.Setup.Budget, len(frozen.Steps), len(without.Steps))
		}
		seen += len(r.Spared)
	}
	if seen == 0 {
		t.Error("nothing was spared")
	}
}
