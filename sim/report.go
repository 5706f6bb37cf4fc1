package sim

import (
	"bytes"
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

// Report is where the files of a failed run stand.
type Report struct {
	Dir      string
	Schedule string // the run as data: replay it, edit it, keep it
	History  string // what the clients asked and heard, and what was done meanwhile, for dkvsim check
	Page     string // all of it as a page for a browser
	Notes    string // what happened, in words, one line an event of note
}

// WriteReport writes the files of a run into a directory of its own below dir.
// It runs the schedule once more for the notes and for what a report shows
// beside the history; that run must be the same.
func WriteReport(dir string, r *Result) (Report, error) { return writeReport(dir, r, Run) }

func writeReport(dir string, r *Result, run runner) (Report, error) {
	rep := Report{Dir: filepath.Join(dir, fmt.Sprintf("seed-%d-%016x", r.Schedule.Setup.Seed, r.Trace))}
	rep.Schedule = filepath.Join(rep.Dir, "schedule.txt")
	rep.History = filepath.Join(rep.Dir, "history.jsonl")
	rep.Notes = filepath.Join(rep.Dir, "notes.txt")
	rep.Page = filepath.Join(rep.Dir, "report.html")
	if err := os.MkdirAll(rep.Dir, 0o755); err != nil {
		return rep, fmt.Errorf("making the report's directory: %w", err)
	}
	if err := os.WriteFile(rep.Schedule, []byte(scheduleFile(r)), 0o644); err != nil {
		return rep, fmt.Errorf("writing the schedule: %w", err)
	}
	scene := newSceneRecorder(&r.Schedule.Setup)
	scene.place(r.History, r.Schedule.Setup.Partitions)
	if err := writeNotes(rep.Notes, r, run, scene); err != nil {
		return rep, err
	}
	if err := writeHistory(rep.History, r.History, &scene.scene); err != nil {
		return rep, err
	}
	return rep, writePage(rep, r, &scene.scene)
}

func writeHistory(path string, history []linearizability.Operation, scene *linearizability.Annotations) error {
	var b bytes.Buffer
	if err := linearizability.WriteAnnotations(&b, scene); err != nil {
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

// maxViolationsOnPage bounds what the page's head lists.
const maxViolationsOnPage = 8

// writePage needs a history that could be checked; without one there is no page.
func writePage(rep Report, r *Result, scene *linearizability.Annotations) error {
	if r.Check == nil {
		return nil
	}
	seed := r.Schedule.Setup.Seed
	o := report.Options{
		Title: fmt.Sprintf("Simulated run of seed %d", seed),
		Facts: []report.Fact{
			{Name: "seed", Value: fmt.Sprint(seed)}, {Name: "classes", Value: joinClasses(r.Classes)},
			{Name: "commit", Value: version.Read().Commit}, {Name: "Go", Value: runtime.Version()}, {Name: "trace", Value: fmt.Sprintf("%016x", r.Trace)},
			{Name: "virtual time", Value: r.Virtual.String()},
		},
		Commands: []report.Command{
			{What: "the run again", Line: "go test ./sim -v -schedule=" + rep.Schedule},
			{What: "check its history", Line: "go run ./cmd/dkvsim check " + rep.History},
		},
	}
	for i, v := range othersThanClients(r.Violations) {
		if i == maxViolationsOnPage {
			o.Facts = append(o.Facts, report.Fact{Name: "violations", Value: "more than are shown; see notes.txt"})
			break
		}
		line, _, _ := strings.Cut(v.String(), "\n")
		o.Facts = append(o.Facts, report.Fact{Name: "violation", Value: line})
	}
	var b bytes.Buffer
	if err := report.WriteHTML(&b, r.Check, r.History, scene, o); err != nil {
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

func writeNotes(path string, r *Result, run runner, scene *sceneRecorder) error {
	var b strings.Builder
	again, err := run(r.Schedule, RunOptions{Note: func(at time.Duration, what string) {
		fmt.Fprintf(&b, "%14v %s\n", at, what)
	}, scene: scene})
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
		fmt.Fprintf(&b, "the second run differs: trace %016x, first %016x\n", again.Trace, r.Trace)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the notes: %w", err)
	}
	return nil
}

// Failure is what a failed run has to say for itself: classes, seed, where the
// code came from, the contradictions, and the commands to go on with. Commands
// are for the module's root.
func Failure(r *Result, profile string, rep Report) string {
	var b strings.Builder
	seed := r.Schedule.Setup.Seed
	writeFailure(&b, r, ", profile "+profile)
	fmt.Fprintf(&b, "  the run's files: %s\n", rep.Dir)
	if r.Check != nil {
		fmt.Fprintf(&b, "  its report:      %s %s\n", opener(), rep.Page)
	}
	fmt.Fprintf(&b, "  the run again:   go test ./sim -v -schedule=%s\n", rep.Schedule)
	if r.Origin != nil {
		seed = r.Origin.Setup.Seed // a minimised schedule may have another
	}
	fmt.Fprintf(&b, "  from the seed:   go test ./sim -v -seed=%d -profile=%s%s\n", seed, profile, storeFlag(r.Schedule.Setup.Store))
	fmt.Fprintf(&b, "  its history:     go run ./cmd/dkvsim check %s\n", rep.History)
	return b.String()
}

// writeFailure is the part before the commands.
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
		b.WriteString("  its schedule:\n" + text)
	}
}

// othersThanClients leaves out the violations that the history shows by itself.
func othersThanClients(all []Violation) []Violation {
	return slices.DeleteFunc(slices.Clone(all), func(v Violation) bool {
		return v.Class == Linearizability || v.Class == Durability || v.Class == RefusedSeen
	})
}

// opener is the command by which this system opens a file.
func opener() string {
	if runtime.GOOS == "darwin" {
		return "open"
	}
	return "xdg-open"
}

// storeFlag is needed where the store is not the default.
func storeFlag(s schedule.Store) string {
	if s == schedule.ModelStore {
		return ""
	}
	return " -store=" + string(s)
}
