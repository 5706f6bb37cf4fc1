package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dkv/linearizability"
)

// staleRun returns a failed run. A simulated run of a correct store does not fail,
// so it replaces the answer of one read.
func staleRun(t *testing.T) (r *Result, planted *linearizability.Operation) {
	t.Helper()
	schedule, err := Draw(11, Profiles()[0])
	if err != nil {
		t.Fatal(err)
	}
	if r, err = Run(schedule, RunOptions{}); err != nil || len(r.Classes) > 0 {
		t.Fatalf("%v, %v", err, r.Violations)
	}
	first := map[string]*linearizability.Operation{} // acknowledged puts
	for i := range r.History {
		op := &r.History[i]
		switch put := first[op.Key]; {
		case op.Outcome != linearizability.OK || op.Answer.ConditionFailed:
		case op.Kind == linearizability.Put && put == nil:
			first[op.Key] = op
		case op.Kind == linearizability.Get && put != nil && op.Answer.Version > put.Answer.Version+5:
			planted = op
		}
	}
	if planted == nil {
		t.Fatal("no read to plant a violation in")
	}
	old := first[planted.Key]
	planted.Answer.Value, planted.Answer.Version = old.Value, old.Answer.Version
	if r.Check, err = linearizability.Check(r.History, linearizability.Options{}); err != nil {
		t.Fatal(err)
	}
	r.Classes = []Class{Linearizability}
	return r, planted
}

func TestReportShowsTheRun(t *testing.T) {
	r, planted := staleRun(t)
	report, err := WriteReport(t.TempDir(), r)
	if err != nil {
		t.Fatal(err)
	}
	recording, err := linearizability.ReadRecordingFile(report.History, linearizability.ReadOptions{})
	if err != nil || recording.Annotations == nil {
		t.Fatalf("the run's history has no annotations: %v", err)
	}
	history, annotations := recording.Operations, recording.Annotations
	if len(history) != len(r.History) {
		t.Errorf("the file has %d operations of %d", len(history), len(r.History))
	}
	states := map[linearizability.SpanState]int{}
	for _, s := range annotations.Spans {
		states[s.State]++
		if s.To != 0 && s.To < s.From || s.From > r.Virtual {
			t.Errorf("a span from %v to %v, in a run of %v", s.From, s.To, r.Virtual)
		}
	}
	kinds := map[string]int{}
	for _, b := range annotations.Bands {
		kinds[b.Kind]++
		if b.To == 0 {
			t.Errorf("%s %q has no end, though everything is healed at last", b.Kind, b.Label)
		}
	}
	if states[linearizability.Up] < r.Schedule.Setup.Nodes || states[linearizability.Down] == 0 || states[linearizability.Primary] < r.Schedule.Setup.Partitions {
		t.Errorf("spans: %v", states)
	}
	if kinds[linearizability.BandFault] == 0 || kinds[bandPhase] != 3 {
		t.Errorf("bands: %v", kinds)
	}
	if annotations.Partitions[planted.Key] == "" {
		t.Errorf("the annotations do not name the partition of key %q", planted.Key)
	}
	if text := Failure(r, Profiles()[0], report); !strings.Contains(text, "report:        "+opener()+" "+report.Page+"\n") {
		t.Errorf("the failure does not name the report:\n%s", text)
	}
	openReport(t, r, report, planted)
}

// openReport opens the page in Chromium, with the driver of package
// linearizability.
func openReport(t *testing.T, r *Result, report Report, planted *linearizability.Operation) {
	t.Helper()
	const driver = "../linearizability/report/testdata/browser/report.mjs"
	chromium, err := exec.LookPath("chromium")
	if err == nil {
		_, err = exec.LookPath("node")
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(filepath.Dir(driver), "node_modules", "playwright-core"))
	}
	if err != nil {
		const what = "NOT RUN in a browser: %v (scripts/browser.sh installs Chromium, Node.js and playwright-core)"
		if os.Getenv("CI") == "true" {
			t.Fatalf(what, err)
		}
		t.Skipf(what, err)
	}
	work := map[string]any{"page": report.Page, "key": planted.Key, "shots": ""}
	for i := range r.Check.Keys {
		if k := &r.Check.Keys[i]; k.Key == planted.Key {
			last := k.Contradiction.Core[len(k.Contradiction.Core)-1]
			work["client"], work["value"], work["searched"] = last.Client, last.Answer.Value, k.Operations
		}
	}
	if dir := os.Getenv("DKV_TEST_SHOTS"); dir != "" {
		shots := filepath.Join(dir, t.Name())
		if err := os.MkdirAll(shots, 0o755); err != nil {
			t.Fatal(err)
		}
		work["shots"] = shots
	}
	text, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(report.Dir, "work.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("node", driver, chromium, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
