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
	report       = flag.String("report", "", "keep the files of failed runs below this `directory`")
)

func TestCounterKeepsItsPromise(t *testing.T) {
	r, err := System("").Search(sim.Seeds{From: 1, To: 30}, "default")
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations, r.Schedule)
	}
}

func TestFlawsAreFoundAndMadeSmall(t *testing.T) {
	for _, flaw := range []Flaw{Unfenced, Unsynced} {
		r, err := System(flaw).Search(sim.Seeds{From: 1, To: 20}, "default")
		if err != nil || len(r.Classes) == 0 {
			t.Fatalf("%s was not found: %v", flaw, err)
		}
		small := System(flaw).Shrink(r, sim.ShrinkOptions{})
		text, err := System(flaw).Report(cmp.Or(*report, t.TempDir()), small)
		t.Logf("%s: seed %d, %d faults at first, %d now\n%s", flaw, r.Schedule.Setup.Seed, len(r.Schedule.Steps), len(small.Schedule.Steps), text)
		if err != nil || len(small.Schedule.Steps) > 4 || len(small.Schedule.Calls) > 10 {
			t.Errorf("%s is not small: %v", flaw, err)
		}
	}
}

func TestSchedule(t *testing.T) {
	if r, err := System(Unfenced).RunFile("testdata/unfenced.txt"); err != nil || len(r.Classes) == 0 {
		t.Error("the kept schedule does not show its flaw: ", err)
	}
	r, err := System(Flaw(*flaw)).RunFile(*scheduleFile)
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
}
