package sim

import (
	"strings"
	"testing"
	"time"

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
			if s.Setup.Turn != schedule.MostTurn || !s.Setup.Workload.Bursts {
				t.Errorf("seed %d lets at most %d events gather for %v, with bursts: %t", seed, s.Setup.Turn, s.Setup.TurnMax, s.Setup.Workload.Bursts)
			}
		}
	}
	if cold < runs*40/100 || cold > runs*60/100 || long < runs*25/100 || long > runs*42/100 {
		t.Errorf("of %d runs %d have cold keys and %d have long turns", runs, cold, long)
	}
}

// With bursts most clients send at one instant now and then, and turns get longer when
// events gather.
func TestBurstsFillTurns(t *testing.T) {
	run := func(bursts bool, gather time.Duration) (most int, long float64) {
		s, err := Draw(5, "calm")
		if err != nil {
			t.Fatal(err)
		}
		s.Setup.Turn, s.Setup.TurnMin, s.Setup.TurnMax = schedule.MostTurn, gather/2, gather
		s.Setup.Workload.Bursts, s.Setup.Workload.Clients, s.Setup.Workload.Operations = bursts, 16, 1500
		r, err := Run(s, RunOptions{})
		if err != nil || len(r.Violations) > 0 {
			t.Fatal(err, r.Violations)
		}
		at := make(map[time.Duration]int)
		for i := range r.History {
			if op := &r.History[i]; op.Client < checkClient {
				at[op.CallTime]++
				most = max(most, at[op.CallTime])
			}
		}
		return most, r.Turns.Share(4)
	}
	calm, short := run(false, 200*time.Microsecond)
	crowd, long := run(true, 10*time.Millisecond)
	if calm > 2 || crowd < 8 || long < 2*short || long < 0.02 {
		t.Errorf("%d and %d operations at one instant, %.4f and %.4f of the turns with four events or more", calm, crowd, short, long)
	}
}
