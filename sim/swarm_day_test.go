package sim

import (
	"testing"
	"time"

	"dkv/node"
)

// A day has about as many faults as an ordinary run has in its time, and they last
// as long when measured in suspect-afters.
func TestDayIsARunInSlowMotion(t *testing.T) {
	const runs = 60
	var steps, ordinary int
	for seed := range uint64(runs) {
		s, err := Draw(seed, "day")
		if err != nil {
			t.Fatal(err)
		}
		p := &s.Setup
		for _, d := range p.SuspectAfters() {
			if d < 13*time.Second || d > 170*time.Second {
				t.Fatalf("seed %d: a node suspects after %v", seed, d)
			}
		}
		if p.Phases.Faults != 23*time.Hour || p.RequestTimeout > node.MaxRequestTimeout || p.Workload.Patience > node.MaxRequestTimeout || p.Nodes > 5 {
			t.Fatalf("seed %d:\n%s", seed, s)
		}
		late := 0
		for i := range s.Steps {
			if at := s.Steps[i].At; at > p.Phases.Faults {
				t.Fatalf("seed %d: %v comes after the faults", seed, &s.Steps[i])
			} else if at > 12*time.Hour {
				late++
			}
		}
		if len(s.Steps) > 40 && late < len(s.Steps)/4 {
			t.Fatalf("seed %d: only %d of %d steps come in the second half", seed, late, len(s.Steps))
		}
		d, _ := Draw(seed, "default")
		steps, ordinary = steps+len(s.Steps), ordinary+len(d.Steps)
	}
	if steps < ordinary {
		t.Errorf("%d steps in %d days, %d in as many ordinary runs", steps, runs, ordinary)
	}
}

func TestDayTakesAtMostTwoMillionEvents(t *testing.T) {
	for _, seed := range []uint64{1, 2, 16} {
		s, _ := Draw(seed, "day")
		r, err := Run(s, RunOptions{})
		if err != nil || len(r.Classes) > 0 {
			t.Fatal(err, r.Violations)
		}
		if r.Events > 2_000_000 || r.Virtual < 23*time.Hour {
			t.Errorf("seed %d: %d events in %v", seed, r.Events, r.Virtual)
		}
	}
}
