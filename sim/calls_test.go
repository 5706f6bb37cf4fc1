package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/sim/schedule"
)

func TestListedCallsAreAllThatClientsAsk(t *testing.T) {
	s, err := schedule.Parse(`
seed 3
nodes 3
workload calls=listed
phases faults=6s core=0s converge=0s
at 3s client 0 put a at n1
at 3.2s client 0 put a if-match at n2
at 3.4s client 1 put a if-absent at n3
at 3.6s client 0 delete a if-match at n1
at 3.8s client 1 get a at n2
at 9s client 1 get a at n2
`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
	if r.Virtual != 6*time.Second {
		t.Errorf("the run lasted %v; the phases after 6s are left out", r.Virtual)
	}
	if len(r.History) != 5 {
		t.Fatalf("%d operations, want the five that come before the end: %v", len(r.History), r.History)
	}
	for i := range r.History {
		op, call := &r.History[i], &s.Calls[i]
		if op.CallTime != call.At || op.Client != call.Client || op.Node != schedule.HostName(call.Host) || op.Outcome != linearizability.OK {
			t.Errorf("operation %d: %+v, want %v", i, op, call)
		}
	}
	first, second, third, gone, last := &r.History[0], &r.History[1], &r.History[2], &r.History[3], &r.History[4]
	if second.IfMatch != first.Answer.Version || second.Answer.ConditionFailed {
		t.Errorf("the second put asks for version %d, the first made %d", second.IfMatch, first.Answer.Version)
	}
	if !third.IfAbsent || !third.Answer.ConditionFailed || gone.Answer.ConditionFailed || last.Answer.Found {
		t.Errorf("put if absent %+v, delete %+v, get %+v", third, gone, last)
	}
}

// With their operations listed, the clients send the same requests and get the
// same answers until the faults are over. This does not hold for a run with order
// pct: the listed calls are steps too, so other steps are chosen.
func TestFreezeKeepsTheRun(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		s, err := Draw(seed, Profiles()[0])
		if err != nil {
			t.Fatal(err)
		}
		if s.Setup.Order.Mode == schedule.PCT {
			continue
		}
		s.Setup.Phases.Core, s.Setup.Phases.Converge = 0, 0
		drawn, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		frozen := Freeze(drawn)
		listed, err := Run(frozen, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		workload := 0 // the schedule's own puts and gets stay steps of it
		for i := range drawn.History {
			if drawn.History[i].Client < checkClient {
				workload++
			}
		}
		if len(frozen.Calls) != workload || workload < 100 {
			t.Errorf("seed %d: %d calls of %d operations", seed, len(frozen.Calls), workload)
		}
		if !slices.Equal(drawn.History, listed.History) {
			t.Errorf("seed %d: the history changes when the calls are written down", seed)
		}
		if again := Freeze(listed); again.String() != frozen.String() {
			t.Errorf("seed %d: a frozen schedule freezes to another", seed)
		}
		if text := frozen.Brief(); strings.Count(text, " client ") != len(frozen.Calls) {
			t.Errorf("seed %d: the text has not one line a call", seed)
		}
	}
}
