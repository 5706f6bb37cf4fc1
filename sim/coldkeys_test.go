package sim

import (
	"strings"
	"testing"

	"dkv/linearizability"
	"dkv/sim/schedule"
)

// Cold keys are written once or twice, throughout the fault phase, and each key that was
// written by any client, workload, step or check, is read at the end.
func TestEveryKeyWrittenIsReadAtTheEnd(t *testing.T) {
	s, err := Draw(3, "calm")
	if err != nil {
		t.Fatal(err)
	}
	s.Setup.Workload.Cold, s.Setup.Workload.Operations = 100, 800
	steps, err := schedule.Parse("at 4s put-new n1 0\nat 5s put-large n2 0\n")
	if err != nil {
		t.Fatal(err)
	}
	s.Steps = steps.Steps
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.Violations) > 0 {
		t.Fatal(err, r.Violations)
	}
	writes, last := make(map[string]int), make(map[string]*linearizability.Operation)
	late := 0
	for i := range r.History {
		op := &r.History[i]
		last[op.Key] = op
		if op.Kind != linearizability.Get {
			writes[op.Key]++
			if strings.HasPrefix(op.Key, "cold") && op.CallTime > s.Setup.Phases.Faults/2 {
				late++
			}
		}
	}
	cold, twice := 0, 0
	for key, n := range writes {
		if op := last[key]; op.Client < finalClient || op.Client >= scriptClient || op.Kind != linearizability.Get || op.Outcome != linearizability.OK {
			t.Errorf("the last operation on key %.20q is not a final read: %+v", key, op)
		}
		if strings.HasPrefix(key, "cold") {
			cold++
			if n == 2 {
				twice++
			}
			if n > 2 {
				t.Errorf("key %s was written %d times", key, n)
			}
		}
	}
	if cold < 60 || twice < 20 || late < 20 || len(writes) < cold+4 {
		t.Errorf("%d cold keys, %d of them written twice, %d writes in the later half; %d keys written", cold, twice, late, len(writes))
	}
}

// Half of the seeds have cold keys, and a third have turns of many events.
func TestSwarmDrawsColdKeysAndLongTurns(t *testing.T) {
	const runs = 400
	cold, long := 0, 0
	for seed := range uint64(runs) {
		s, _ := Draw(seed, "default")
		if w := &s.Setup.Workload; w.Cold > 0 {
			cold++
			if w.Cold < 64 || w.Cold > 256 {
				t.Errorf("seed %d has %d cold keys", seed, w.Cold)
			}
		}
		if s.Setup.TurnMin > 0 {
			long++
			if s.Setup.Turn != schedule.MostTurn {
				t.Errorf("seed %d lets at most %d events gather for %v", seed, s.Setup.Turn, s.Setup.TurnMax)
			}
		}
	}
	if cold < runs*40/100 || cold > runs*60/100 || long < runs*25/100 || long > runs*42/100 {
		t.Errorf("of %d runs %d have cold keys and %d have long turns", runs, cold, long)
	}
}
