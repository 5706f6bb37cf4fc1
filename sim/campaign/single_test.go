package campaign

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/sim/schedule"
)

// A single seed leaves its traces although it passed: the files that repeat and show
// the run, and a document that agrees with them.
func TestSingleSeedLeavesTraces(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	o := Options{
		Seed: 5, One: true, Jobs: 1, Profile: "process", StateEvery: time.Second,
		Report: filepath.Join(dir, "traces"), JSON: filepath.Join(dir, "5.json"), Stdout: &out, Stderr: &out,
	}
	if err := Run(o); err != nil {
		t.Fatal(err, out.String())
	}
	run := results(t, o.JSON).Run
	if run == nil || run.Seed != 5 || len(run.Classes) > 0 || run.Steps == 0 || !strings.Contains(out.String(), "trace="+run.Trace) {
		t.Fatalf("the document says %+v of\n%s", run, out.String())
	}
	text, err := os.ReadFile(filepath.Join(run.Files, "schedule.txt"))
	if err != nil {
		t.Fatal(err)
	}
	read, err := schedule.Parse(string(text))
	if again, err2 := schedule.Parse(run.Schedule); err != nil || err2 != nil || read.String() != again.String() {
		t.Errorf("the schedules of file and document differ: %v, %v", err, err2)
	}
	text, err = os.ReadFile(filepath.Join(run.Files, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	operations := bytes.Count(text, []byte(`"client":`))
	counted := 0
	for _, c := range run.Outcomes {
		counted += c.Done + c.Unmet + c.Refused + c.Unknown
	}
	if counted != operations || counted < 300 {
		t.Errorf("the outcomes count %d operations, and the history has %d", counted, operations)
	}
	for _, name := range []string{"report.html", "notes.txt", "outcomes.txt"} {
		if info, err := os.Stat(filepath.Join(run.Files, name)); err != nil || info.Size() < 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(out.String(), run.Files) {
		t.Errorf("the directory is not printed:\n%s", out.String())
	}
}

// Without --report a run that passes leaves no files, and a campaign of several seeds
// leaves none of the runs that pass.
func TestPassingRunsLeaveNoFilesUnasked(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, o := range []Options{{Seed: 5, One: true}, {Seeds: "2", Report: "traces"}} {
		o.Jobs, o.Profile, o.StateEvery, o.JSON = 1, "calm", time.Second, "r.json"
		if err := Run(o); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("traces"); !os.IsNotExist(err) {
			t.Errorf("%+v: %v", o, err)
		}
		if d := results(t, "r.json"); (d.Run != nil) != o.One || d.Run != nil && d.Run.Files != "" {
			t.Errorf("the document says %+v", d.Run)
		}
	}
}
