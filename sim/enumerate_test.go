package sim

import (
	"os"
	"testing"
	"time"

	"dkv/node"
)

// TestEnumerate explores a tiny cluster within small bounds. All executions differ,
// and the search ends because of its bounds, not for lack of time. The same bounds
// find mutants 02, 05 and 06.
func TestEnumerate(t *testing.T) {
	e := Tiny()
	begun := time.Now()
	found, err := e.Run(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v\n%v wall=%v", e, found, time.Since(begun))
	if found.Failed != nil {
		report, err := WriteReport(os.TempDir(), found.Failed)
		t.Fatal(err, EnumerationFailure(found.Failed, report))
	}
	if !found.Complete || found.Runs < 240 || found.Traces < found.Runs {
		t.Fatalf("%v", found)
	}
}

// Each bound limits the number of executions, exactly where the number is known.
func TestEnumerateKeepsItsBounds(t *testing.T) {
	restarts := []time.Duration{time.Millisecond, 1500 * time.Millisecond}
	run := func(with func(*Enumeration)) *Enumerated {
		t.Helper()
		e := Tiny()
		e.Deviations, e.CrashSteps, e.Restarts = 0, 0, restarts
		with(e)
		found, err := e.Run(nil)
		if err != nil || found.Failed != nil || found.Traces != found.Runs || found.Complete != (found.Runs < e.MaxRuns) {
			t.Fatalf("%v: %v, %v", e, found, err)
		}
		return found
	}
	for _, c := range []struct {
		story string
		want  int
		with  func(*Enumeration)
	}{
		{"the ordinary order alone", 1, func(*Enumeration) {}},
		{"5 steps of 3 nodes, 2 restarts", 31, func(e *Enumeration) { e.CrashSteps = 5 }},
		{"5 steps of 3 nodes, 1 restart", 16, func(e *Enumeration) { e.CrashSteps, e.Restarts = 5, restarts[:1] }},
		{"no choice", 1, func(e *Enumeration) { e.Deviations, e.Choices = 1, 0 }},
		{"an end", 4, func(e *Enumeration) { e.CrashSteps, e.MaxRuns = 5, 4 }},
	} {
		if found := run(c.with); found.Runs != c.want {
			t.Errorf("%s: %d executions, want %d", c.story, found.Runs, c.want)
		}
	}
	one := run(func(e *Enumeration) { e.Deviations = 1 })
	two := run(func(e *Enumeration) { e.Deviations = 2 })
	if one.Runs <= 1 || two.Runs <= one.Runs || one.LeftOut == 0 {
		t.Errorf("one deviation: %v; two: %v", one, two)
	}
	// Taking the second candidate costs one deviation, so with one deviation each
	// choice either adds an execution or leaves one out.
	for _, choices := range []int{20, 14, 3} {
		found := run(func(e *Enumeration) { e.Deviations, e.Choices = 1, choices })
		if found.Runs-1+found.LeftOut != choices {
			t.Errorf("%d choices made %v", choices, found)
		}
	}
	crash := run(func(e *Enumeration) { e.Deviations, e.CrashSteps, e.Restarts = 1, 2, restarts[:1] })
	both := run(func(e *Enumeration) {
		e.Deviations, e.CrashSteps, e.CrashDeviations, e.Restarts = 1, 2, 1, restarts[:1]
	})
	if crash.Runs != one.Runs+6 || both.Runs <= crash.Runs {
		t.Errorf("one deviation or a crash: %v; both at once: %v; without crash: %v", crash, both, one)
	}
}

// TestEnumerateAMove explores a cluster of four nodes in which a partition moves. It
// moves in each execution without a crash; with these bounds the search finds mutants
// 18, 19 and 20.
func TestEnumerateAMove(t *testing.T) {
	e := Moving()
	plain, err := Run(e.schedule(execution{last: -1}), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if plain.Schedule.Setup.Nodes != 4 || plain.Probes[node.EventJointActive] == 0 || plain.Probes[node.EventMoveFinished] != 1 || len(plain.History) < 3 {
		t.Fatalf("%d joint no-ops, %d moves finished, %d operations", plain.Probes[node.EventJointActive], plain.Probes[node.EventMoveFinished], len(plain.History))
	}
	e.Choices, e.CrashSteps = 60, 30
	found, err := e.Run(nil)
	if err != nil {
		t.Fatal(err)
	}
	if found.Failed != nil {
		report, err := WriteReport(os.TempDir(), found.Failed)
		t.Fatal(err, EnumerationFailure(found.Failed, report))
	}
	if !found.Complete || found.Runs < 250 || found.Traces < found.Runs {
		t.Fatalf("%v", found)
	}
}
