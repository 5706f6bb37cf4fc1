package sim

import (
	"slices"
	"testing"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Some of the sessions that end while the cluster forms must end between the count
// of the registered nodes and the creation of the layout.
func TestFormingIsStruckAtTheCriticalInstant(t *testing.T) {
	drawn, met := 0, 0
	for seed := uint64(1); seed <= 120; seed++ {
		s, err := Draw(seed, "calm")
		if err != nil {
			t.Fatal(err)
		}
		d := &swarm{random: world.NewRandom(seed), profile: profiles[0], setup: s.Setup}
		if d.drawForming(); len(d.steps) == 0 {
			continue
		}
		drawn++
		s.Steps = d.steps
		s.Setup.Workload.Operations = 0
		s.Setup.Phases = schedule.Phases{Faults: 2 * time.Second}
		if r := runBehind(t, s.String(), faultyDoor{}); len(r.Violations) > 0 {
			t.Fatalf("seed %d: %v", seed, r.Violations)
		}
		if r := runBehind(t, s.String(), faultyDoor{unchecked: true}); slices.Contains(r.Classes, Invariant) {
			met++
		}
	}
	if drawn < 15 || drawn > 60 || met < 2 {
		t.Errorf("drawn for %d of 120 seeds, struck at the critical instant in %d", drawn, met)
	}
}

// The lost reply is that of the registration, which has taken effect.
func TestLostRegistrationIsFoundMade(t *testing.T) {
	found := uint64(0)
	for seed := uint64(1); seed <= 6; seed++ {
		s, err := Draw(seed, "calm")
		if err != nil {
			t.Fatal(err)
		}
		s.Setup.Phases.Faults = 12 * time.Second
		d := &swarm{random: world.NewRandom(seed), setup: s.Setup}
		s.Steps = lostRegistration(&registering[0], d, 1, 5*time.Second)
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Violations) > 0 {
			t.Errorf("seed %d: %v", seed, r.Violations)
		}
		found += r.Probes[node.EventAppliedUnanswered]
	}
	if found < 4 {
		t.Errorf("%d registrations without an answer were found made in 6 runs", found)
	}
}
