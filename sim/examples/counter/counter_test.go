package counter

import (
	"cmp"
	"flag"
	"testing"

	"dkv/sim"
)

var (
	flaw         = flag.String("flaw", "", "plant this flaw when the schedule runs")
	scheduleFile = flag.String("schedule", "testdata/unfenced.txt", "run the schedule in this `file`")
	report       = flag.String("report", "", "write the files of failed runs below this `directory`")
)

func TestCounterKeepsItsPromise(t *testing.T) {
	if r := find(t, "", 30); len(r.Classes) > 0 {
		t.Fail()
	}
}

func TestFlawsAreFoundAndMadeSmall(t *testing.T) {
	for _, flaw := range []Flaw{Unfenced, Unsynced} {
		if r := find(t, flaw, 20); len(r.Classes) == 0 || len(r.Schedule.Steps) > 4 || len(r.Schedule.Calls) > 10 {
			t.Errorf("%s was not found, or is not small", flaw)
		}
	}
}

// find runs seeds until one fails, shrinks that run and reports what is left.
func find(t *testing.T, flaw Flaw, seeds uint64) *sim.Result {
	r, err := System(flaw).Search(sim.Seeds{From: 1, To: seeds}, "default")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) == 0 {
		return r
	}
	small := System(flaw).Shrink(r, sim.ShrinkOptions{})
	text, err := System(flaw).Report(cmp.Or(*report, t.TempDir()), small)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d fails: %d faults, shrunk to %d\n%s", r.Schedule.Setup.Seed, len(r.Schedule.Steps), len(small.Schedule.Steps), text)
	return small
}

func TestSchedule(t *testing.T) {
	if r, err := System(Unfenced).RunFile("testdata/unfenced.txt"); err != nil || len(r.Classes) == 0 {
		t.Error("the schedule in testdata does not show the flaw: ", err)
	}
	r, err := System(Flaw(*flaw)).RunFile(*scheduleFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		t.Errorf("%s: %s", v.Class, v.What)
	}
}
