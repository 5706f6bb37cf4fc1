package sim

import (
	"strings"
	"testing"

	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// Strangers register, are asked, and refuse; the run passes. They start after the cluster
// has formed, whatever would have restarted them before.
func TestStrangersAreTurnedAway(t *testing.T) {
	s, err := schedule.Parse("seed 3\nnodes 3\nstrangers 2\nphases faults=9s\nat 100ms power-loss for 50ms\nat 120ms crash n4 for 10ms\n" +
		"at 4s zk-expire n4\nat 5s crash n5 for 1s\nat 6s put n4 0\nat 6s get n4 0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, RunOptions{})
	result, err := r.execute()
	if err != nil || len(result.Classes) > 0 {
		t.Fatal(err, result.Violations)
	}
	if n := result.Probes[node.EventTurnedAway]; n < 4 {
		t.Errorf("%d clients were turned away, want at least 4", n)
	}
	if n := len(r.world.Layout().Members()); n != 3 {
		t.Errorf("the layout has %d members", n)
	}
	if r.world.ProcessNumber(4) != 2 || r.registeredBy(3) != r.world.SessionID(3) {
		t.Errorf("n5 was started %d times, n4 is registered by session %x", r.world.ProcessNumber(4), r.registeredBy(3))
	}
}

// Whatever a stranger answers but a refusal is a violation; members may answer all.
func TestAnswersOfStrangersAreJudged(t *testing.T) {
	for outcome, class := range map[door.Outcome]Class{door.Done: Invariant, door.Unknown: Progress, door.Refused: ""} {
		s := &schedule.Schedule{Setup: schedule.DefaultSetup()}
		s.Setup.Nodes, s.Setup.Strangers = 3, 1
		r := newRun(s, RunOptions{})
		r.invariants = newInvariants(r.verdict, 4, 1)
		for host := range 4 {
			r.onAnswer(host, &door.Request{Kind: door.RequestPut}, &door.Response{Outcome: outcome})
		}
		var want []Class
		if class != "" {
			want = append(want, class)
		}
		if got := r.verdict.classes(); len(got) != len(want) || len(got) > 0 && (got[0] != class || !strings.Contains(r.verdict.violations[0].What, "n4")) {
			t.Errorf("%v: classes %v, want %v", outcome, got, want)
		}
	}
}

// Of a schedule without its strangers nothing is left that names one.
func TestStrangersAreDropped(t *testing.T) {
	s, err := schedule.Parse("nodes 3\nstrangers 2\nworkload calls=listed\nat 1s crash n4\nat 1s crash n3\nat 2s client 0 get k at n5\nat 2s client 0 get k at n1")
	if err != nil {
		t.Fatal(err)
	}
	s.Fold(1, 3)
	s.DropStrangers()
	if _, err := schedule.Parse(s.String()); err != nil || len(s.Steps) != 1 || len(s.Calls) != 1 {
		t.Errorf("%v: left\n%s", err, s)
	}
}
