package sim

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"dkv/internal/version"
	"dkv/linearizability"
	"dkv/linearizability/report"
	"dkv/sim/schedule"
)

// Report names the files that describe a run.
type Report struct {
	Dir      string
	Schedule string // the run as data: run it again, edit it, keep it
	History  string // the clients' operations, with the faults and phases beside them, for dkvsim check
	Page     string // the history as an HTML page
	Notes    string // what happened, in words, one line per notable event
	Outcomes string // how many operations of each kind were done, refused and so on
}

// WriteReport writes the files of a run into a new directory below dir. It runs the
// schedule again to get the notes and the timeline of faults; a run that differs
// from the first is reported in the notes.
func WriteReport(dir string, r *Result) (Report, error) { return writeReport(dir, r, Run) }

func writeReport(dir string, r *Result, run runner) (Report, error) {
	rep := Report{Dir: filepath.Join(dir, fmt.Sprintf("seed-%d-%016x", r.Schedule.Setup.Seed, r.Trace))}
	rep.Schedule = filepath.Join(rep.Dir, "schedule.txt")
	rep.History = filepath.Join(rep.Dir, "history.jsonl")
	rep.Notes = filepath.Join(rep.Dir, "notes.txt")
	rep.Outcomes = filepath.Join(rep.Dir, "outcomes.txt")
	rep.Page = filepath.Join(rep.Dir, "report.html")
	if err := os.MkdirAll(rep.Dir, 0o755); err != nil {
		return rep, fmt.Errorf("creating the report's directory: %w", err)
	}
	if err := os.WriteFile(rep.Schedule, []byte(scheduleFile(r)), 0o644); err != nil {
		return rep, fmt.Errorf("writing the schedule: %w", err)
	}
	if err := os.WriteFile(rep.Outcomes, []byte(outcomesTable(OutcomesOf(r.History))), 0o644); err != nil {
		return rep, fmt.Errorf("writing the outcomes: %w", err)
	}
	timeline := newTimelineRecorder(&r.Schedule.Setup)
	timeline.place(r.History, r.Schedule.Setup.Partitions)
	if err := writeNotes(rep.Notes, r, run, timeline); err != nil {
		return rep, err
	}
	if err := writeHistory(rep.History, r.History, &timeline.annotations); err != nil {
		return rep, err
	}
	return rep, writePage(rep, r, &timeline.annotations)
}

func writeHistory(path string, history []linearizability.Operation, annotations *linearizability.Annotations) error {
	var b bytes.Buffer
	if err := linearizability.WriteAnnotations(&b, annotations); err != nil {
		return err
	}
	if err := linearizability.Write(&b, history); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

// maxViolationsOnPage bounds the list at the top of the page.
const maxViolationsOnPage = 8

// writePage writes the HTML page. Without a check of the history there is no page.
func writePage(rep Report, r *Result, annotations *linearizability.Annotations) error {
	if r.Check == nil {
		return nil
	}
	seed := r.Schedule.Setup.Seed
	o := report.Options{
		Title: fmt.Sprintf("Simulated run of seed %d", seed),
		Facts: []report.Fact{
			{Name: "seed", Value: fmt.Sprint(seed)}, {Name: "classes", Value: cmp.Or(joinClasses(r.Classes), "none: the run passed")},
			{Name: "commit", Value: version.Read().Commit}, {Name: "Go", Value: runtime.Version()}, {Name: "trace", Value: fmt.Sprintf("%016x", r.Trace)},
			{Name: "virtual time", Value: r.Virtual.String()},
		},
		Commands: []report.Command{
			{What: "run again", Line: "go test ./sim -v -schedule=" + rep.Schedule},
			{What: "check the history", Line: "go run ./cmd/dkvsim check " + rep.History},
		},
	}
	for i, v := range notInHistory(r.Violations) {
		if i == maxViolationsOnPage {
			o.Facts = append(o.Facts, report.Fact{Name: "violations", Value: "there are more; see notes.txt"})
			break
		}
		line, _, _ := strings.Cut(v.String(), "\n")
		o.Facts = append(o.Facts, report.Fact{Name: "violation", Value: line})
	}
	var b bytes.Buffer
	if err := report.WriteHTML(&b, r.Check, r.History, annotations, o); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(rep.Page, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func scheduleFile(r *Result) string {
	var b strings.Builder
	for _, v := range r.Violations {
		line, _, _ := strings.Cut(v.String(), "\n")
		b.WriteString("# " + line + "\n")
	}
	return b.String() + r.Schedule.FileText()
}

func writeNotes(path string, r *Result, run runner, timeline *timelineRecorder) error {
	var b strings.Builder
	again, err := run(r.Schedule, RunOptions{Note: func(at time.Duration, what string) {
		fmt.Fprintf(&b, "%14v %s\n", at, what)
	}, timeline: timeline})
	if err != nil {
		return err
	}
	for _, v := range again.Violations {
		fmt.Fprintf(&b, "%v\n", v)
	}
	if again.Check != nil && again.Check.Verdict != linearizability.Linearizable {
		if err := again.Check.WriteText(&b); err != nil {
			return err
		}
	}
	if again.Trace != r.Trace {
		fmt.Fprintf(&b, "the run for this report differs from the first one: its trace is %016x, the first was %016x\n", again.Trace, r.Trace)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the notes: %w", err)
	}
	return nil
}

// Failure describes a failed run: the classes, the seed, the build, the
// contradictions, and the commands for the next steps, to be run in the module's
// root.
func Failure(r *Result, profile string, rep Report) string {
	var b strings.Builder
	seed := r.Schedule.Setup.Seed
	writeFailure(&b, r, ", profile "+profile)
	fmt.Fprintf(&b, "  files:         %s\n", rep.Dir)
	if r.Check != nil {
		fmt.Fprintf(&b, "  report:        %s %s\n", opener(), rep.Page)
	}
	fmt.Fprintf(&b, "  run again:     go test ./sim -v -schedule=%s\n", rep.Schedule)
	if r.Origin != nil {
		seed = r.Origin.Setup.Seed // a minimised schedule may have another seed
	}
	fmt.Fprintf(&b, "  from the seed: go test ./sim -v -seed=%d -profile=%s%s\n", seed, profile, storeFlag(r.Schedule.Setup.Store))
	fmt.Fprintf(&b, "  check history: go run ./cmd/dkvsim check %s\n", rep.History)
	return b.String()
}

// Passed names the files of a run that passed, and the command that checks its
// history.
func Passed(r *Result, rep Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  files:         %s\n", rep.Dir)
	if r.Check != nil {
		fmt.Fprintf(&b, "  report:        %s %s\n", opener(), rep.Page)
	}
	fmt.Fprintf(&b, "  check history: go run ./cmd/dkvsim check %s\n", rep.History)
	return b.String()
}

// writeFailure writes the part before the commands.
func writeFailure(b *strings.Builder, r *Result, from string) {
	fmt.Fprintf(b, "FAIL class %s, seed %d%s, commit %s, %s, trace %016x\n",
		joinClasses(r.Classes), r.Schedule.Setup.Seed, from, version.Read().Commit, runtime.Version(), r.Trace)
	for _, v := range r.Violations {
		fmt.Fprintf(b, "  %v\n", v)
	}
	if r.Check != nil {
		for i := range r.Check.Keys {
			if c := r.Check.Keys[i].Contradiction; c != nil {
				fmt.Fprintf(b, "  key %q:\n%s", r.Check.Keys[i].Key, c.Timeline())
			}
		}
	}
	if text := inline(r.Schedule, "    "); text != "" {
		b.WriteString("  schedule:\n" + text)
	}
}

// notInHistory leaves out the violations that the history shows by itself.
func notInHistory(all []Violation) []Violation {
	return slices.DeleteFunc(slices.Clone(all), func(v Violation) bool {
		return v.Class == Linearizability || v.Class == Durability || v.Class == RefusedSeen
	})
}

// opener returns the command that opens a file on this system.
func opener() string {
	if runtime.GOOS == "darwin" {
		return "open"
	}
	return "xdg-open"
}

// storeFlag returns the flag that selects the store, or "" for the default store.
func storeFlag(s schedule.Store) string {
	if s == schedule.ModelStore {
		return ""
	}
	return " -store=" + string(s)
}
