package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// shrinkOf minimises a drawn run for which the function fails gives the verdicts.
// Nothing is simulated: the tests look only at what Shrink tries and keeps.
func shrinkOf(t *testing.T, jobs int, fails func(s *schedule.Schedule) []Class) (small *Result, runs int) {
	t.Helper()
	s, err := Draw(10, Profiles()[0])
	if err != nil {
		t.Fatal(err)
	}
	judge := func(s *schedule.Schedule) *Result {
		r := &Result{Schedule: s, Classes: fails(s)}
		for _, c := range r.Classes {
			r.Violations = append(r.Violations, Violation{Class: c, At: s.Setup.Phases.Faults / 2})
		}
		return r
	}
	first := judge(s)
	for i := range 300 { // what the clients asked, as far as it matters
		first.History = append(first.History, linearizability.Operation{
			Client: i % 7, Key: []string{"a", "b", "c"}[i%3], Kind: linearizability.Put, Node: schedule.HostName(i % 3),
			CallTime: time.Second + time.Duration(i)*7_654_321*time.Nanosecond,
		})
	}
	if len(first.Classes) == 0 {
		t.Fatal("the first run has to fail")
	}
	small = Shrink(first, ShrinkOptions{
		Jobs: jobs,
		RunAll: func(all []*schedule.Schedule) []*Result {
			if len(all) > jobs {
				t.Errorf("%d schedules at once, %d are the most", len(all), jobs)
			}
			var results []*Result
			for _, s := range all {
				results = append(results, judge(s))
			}
			return results
		},
		More: func(p ShrinkProgress) bool { runs = p.Runs; return true },
	})
	return small, runs
}

// needed fails with L if the schedule has two crashes, a call of client 4 after
// a second and a half, and four nodes; with A if it has a crash.
func needed(s *schedule.Schedule) []Class {
	crashes := 0
	for i := range s.Steps {
		if s.Steps[i].Do == schedule.Crash {
			crashes++
		}
	}
	listed := s.Setup.Workload.Source == schedule.Listed
	put := !listed || slices.ContainsFunc(s.Calls, func(c schedule.Call) bool { return c.Client == 4 && c.At > 1500*time.Millisecond })
	var classes []Class
	if crashes >= 2 && put && s.Setup.Nodes >= 4 {
		classes = append(classes, Linearizability)
	}
	if crashes > 0 {
		classes = append(classes, Assertion)
	}
	return classes
}

func TestShrinkKeepsWhatIsNeededAndNothingElse(t *testing.T) {
	small, runs := shrinkOf(t, 1, needed)
	s := small.Schedule
	if !slices.Contains(small.Classes, Linearizability) {
		t.Errorf("the worst class is lost: %v", small.Classes)
	}
	if len(s.Steps) != 2 || s.Steps[0].Do != schedule.Crash || s.Steps[1].Do != schedule.Crash || len(s.Calls) != 1 || s.Setup.Nodes != 4 || s.Setup.Partitions != 1 {
		t.Errorf("two crashes, one call, four nodes and one partition are needed; after %d runs there is left\n%s", runs, s.Brief())
	}
	// Nothing unusual remains but what is needed and the run's end.
	for _, line := range strings.Split(strings.TrimSpace(s.Brief()), "\n") {
		word, _, _ := strings.Cut(line, " ")
		if !slices.Contains([]string{"seed", "nodes", "partitions", "workload", "phases", "at"}, word) {
			t.Errorf("%q is left, though the failure does not need it", line)
		}
	}
	for i := range s.Steps {
		if d := s.Steps[i].At % (100 * time.Millisecond); d != 0 {
			t.Errorf("%v is not at a round time", &s.Steps[i])
		}
	}
	if small.Origin == nil || small.Origin.Setup.Seed != 10 {
		t.Errorf("the result does not name the run from which it was made: %+v", small.Origin)
	}
	if runs > 3000 {
		t.Errorf("it took %d runs", runs)
	}
}

func TestShrinkFindsTheSameHoweverManyRunAtOnce(t *testing.T) {
	one, _ := shrinkOf(t, 1, needed)
	four, _ := shrinkOf(t, 4, needed)
	if a, b := one.Schedule.Brief(), four.Schedule.Brief(); a != b {
		t.Errorf("one at a time:\n%s\nfour at once:\n%s", a, b)
	}
}

func TestShrinkEndsWhenItIsTold(t *testing.T) {
	s, err := Draw(10, Profiles()[0])
	if err != nil {
		t.Fatal(err)
	}
	failed := &Result{Schedule: s, Classes: []Class{Invariant}}
	asked := 0
	small := Shrink(failed, ShrinkOptions{
		RunAll: func(all []*schedule.Schedule) []*Result {
			return []*Result{{Schedule: all[0]}}
		},
		More: func(ShrinkProgress) bool { asked++; return asked <= 5 },
	})
	if small != failed || asked != 6 {
		t.Errorf("More was called %d times, want 6; a run that was not reduced must be returned as it is: %t", asked, small == failed)
	}
}

// TestShrinkOfARealRun minimises a run of a store that does not replicate: a write
// at one node and a read at another are enough, without any fault.
func TestShrinkOfARealRun(t *testing.T) {
	run := func(s *schedule.Schedule) *Result {
		index := door.Index(0)
		r, err := runProcesses(s, RunOptions{}, func(int, node.Config, node.Env) (world.Process, error) {
			return &mapStore{values: map[string]storedValue{}, index: &index, answer: func(r door.Response) door.Response { return r }}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	s, err := schedule.Parse(mapStoreSchedule)
	if err != nil {
		t.Fatal(err)
	}
	failed := run(s)
	wantClass(t, failed, Linearizability)
	small := Shrink(failed, ShrinkOptions{
		RunAll: func(all []*schedule.Schedule) []*Result {
			var results []*Result
			for _, s := range all {
				results = append(results, run(s))
			}
			return results
		},
		Jobs: 1,
	})
	if !slices.Contains(small.Classes, Linearizability) {
		t.Fatalf("classes %v", small.Classes)
	}
	if len(small.Schedule.Steps) != 0 || len(small.Schedule.Calls) > 2 || small.Virtual > 5*time.Second {
		t.Errorf("want two operations at two nodes, got:\n%s", small.Schedule.Brief())
	}
	test := RegressionTest(small)
	for _, want := range []string{"func TestSeed", "(t *testing.T) {", "schedule.Parse(`\nseed ", "passAndRepeat(t, s)", small.Schedule.Calls[0].String()} {
		if !strings.Contains(test, want) {
			t.Errorf("the regression test lacks %q:\n%s", want, test)
		}
	}
	if again := run(small.Schedule); again.Trace != small.Trace {
		t.Errorf("the reduced schedule has trace %016x, the result says %016x", again.Trace, small.Trace)
	}
	if text := Failure(small, Profiles()[0], Report{Dir: "d", Schedule: "d/schedule.txt"}); !strings.Contains(text, inline(small.Schedule, "    ")) {
		t.Errorf("the failure does not show its short schedule in full:\n%s", text)
	}
}
