package campaign

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dkv/internal/version"
	"dkv/sim"
	"dkv/sim/schedule"
)

// documentVersion is that of the schema below. A field more leaves it as it is;
// a field that goes, or means something else, makes it the next one.
const documentVersion = 1

const documentKind = "dkvsim campaign"

// Document is the result of a campaign, or of one shard of it, as --json writes
// it: what was asked for, what was run, what was seen, and the verdict. A state
// file holds the same.
type Document struct {
	Version int    `json:"version"`
	Kind    string `json:"kind"`
	Build   Build  `json:"build"`

	// Flags are those that were given, by name; none of a sum.
	Flags map[string]string `json:"flags"`
	Plan  Plan              `json:"plan"`
	// Shards are those whose runs are counted, from 1.
	Shards []uint64 `json:"shards"`
	// Complete: nothing is left to run, by the seeds or by the budget.
	Complete bool `json:"complete"`
	// Whole: complete, with all shards. Only then zeros count for the verdict.
	Whole bool   `json:"whole"`
	Ran   []Span `json:"ran"`

	// Failures are those of the lowest seeds, by seed.
	Failures        []Failure `json:"failures"`
	FailuresLeftOut int       `json:"failures_left_out"`
	// StoppedAt is the run that ended a campaign with --stop-at.
	StoppedAt *Failure `json:"stopped_at,omitempty"`

	// Run is the run of a campaign of a single seed.
	Run *SingleRun `json:"run,omitempty"`

	Tally sim.Tally `json:"tally"`
	// Never names the faults without effect and the probes not hit, of those
	// that seeds of the default profile should reach.
	Never []string `json:"never"`
	// Wrong says in sentences what is wrong with the campaign as a whole.
	Wrong []string `json:"wrong"`

	Wall           time.Duration `json:"wall_ns"` // of all starts; of shards, the longest
	SeedsPerSecond float64       `json:"seeds_per_second"`
	EventRate      float64       `json:"events_per_second_and_core"`
	Exit           Exit          `json:"exit"`

	// Report is where the files of failed runs are, or of the single one; "" if none was described.
	Report string `json:"report"`
}

// Build is the program that ran.
type Build struct {
	Commit   string `json:"commit"`   // "unknown" if it was not stamped
	Modified bool   `json:"modified"` // there was more than the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Binary   string `json:"binary_sha256"`
}

// Plan is what decides a campaign's runs, but for the build.
type Plan struct {
	Profile string `json:"profile"`
	Store   string `json:"store"`
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	Shards  uint64 `json:"shards"` // in how many it is cut: shard I has seeds From+I-1, From+I-1+Shards and so on
}

// Failure is one run that failed.
type Failure struct {
	Seed      uint64      `json:"seed"`
	Classes   []sim.Class `json:"classes"`
	First     sim.Class   `json:"first"`     // the class that fired first
	What      string      `json:"what"`      // the contradiction of the worst class
	Trace     string      `json:"trace"`     // its hash
	Reproduce string      `json:"reproduce"` // the command, from the module's root
	Report    string      `json:"report"`    // the directory of its files; "" if it was not described
}

// Exit is how the command ended.
type Exit struct {
	Status int    `json:"status"`
	Means  string `json:"means"`
}

// maxFailures bounds the failures that are kept one by one.
const maxFailures = 1000

func failureOf(p *Plan, r *sim.Result, report string) Failure {
	f := Failure{
		Seed: r.Schedule.Setup.Seed, Classes: r.Classes, Trace: fmt.Sprintf("%016x", r.Trace), Report: report,
		Reproduce: fmt.Sprintf("go run ./cmd/dkvsim run --seed %d --profile %s", r.Schedule.Setup.Seed, p.Profile),
	}
	if p.Store != schedule.StoreNames()[0] {
		f.Reproduce += " --store " + p.Store
	}
	if len(r.Violations) > 0 {
		f.First = r.Violations[0].Class
	}
	for _, v := range r.Violations {
		if v.Class == r.Classes[0] {
			f.What, _, _ = strings.Cut(v.String(), "\n")
			break
		}
	}
	return f
}

// keep adds failures, and leaves out those of the highest seeds.
func (d *Document) keep(failures ...Failure) {
	d.Failures = append(d.Failures, failures...)
	slices.SortStableFunc(d.Failures, func(a, b Failure) int {
		switch {
		case a.Seed < b.Seed:
			return -1
		case a.Seed > b.Seed:
			return 1
		}
		return 0
	})
	if over := len(d.Failures) - maxFailures; over > 0 {
		d.Failures = d.Failures[:maxFailures]
		d.FailuresLeftOut += over
	}
}

// conclude fills in what follows from the rest, and the exit. A campaign that is
// not whole is not judged as one.
func (d *Document) conclude(sum *sim.Campaign, otherwise error) {
	d.Tally, d.EventRate = sum.Tally(), sum.Rate()
	d.Never, d.Wrong = append([]string{}, sum.Zeros()...), []string{}
	d.Failures = append([]Failure{}, d.Failures...)
	if d.Wall > 0 {
		d.SeedsPerSecond = float64(d.Tally.Runs) / d.Wall.Seconds()
	}
	status := otherwise
	if status == nil {
		status = StatusOf(sum.Fired())
	}
	if err := sum.Err(); err != nil && d.Whole {
		d.Wrong = strings.Split(err.Error(), "\n")
		if status == nil {
			status = TooCalm
		}
	}
	d.Exit = exitOf(status)
}

// ended is the exit as the command's error.
func (d *Document) ended() error {
	if d.Exit.Status == 0 {
		return nil
	}
	return Status(d.Exit.Status)
}

// maxListed bounds the failures that are printed one by one.
const maxListed = 20

// print writes the tables, and a few lines on each failure.
func (d *Document) print(out io.Writer, sum *sim.Campaign, wall string) {
	fmt.Fprint(out, sum.Tables())
	fmt.Fprintf(out, "wall time %v%s\n", d.Wall.Round(time.Millisecond), wall)
	for i, f := range d.Failures {
		if i == maxListed {
			fmt.Fprintf(out, "and %d more failures\n", len(d.Failures)+d.FailuresLeftOut-maxListed)
			break
		}
		fmt.Fprintf(out, "failed: %s\n  again: %s\n", f.Line(), f.Reproduce)
		if f.Report != "" {
			fmt.Fprintf(out, "  files: %s\n", f.Report)
		}
	}
	for _, what := range d.Wrong {
		fmt.Fprintln(out, what)
	}
}

// Line describes the failure in one line.
func (f Failure) Line() string {
	return fmt.Sprintf("seed=%d class=%s trace=%s %s", f.Seed, joined(f.Classes), f.Trace, f.What)
}

func joined(classes []sim.Class) string {
	words := make([]string, len(classes))
	for i, class := range classes {
		words[i] = string(class)
	}
	return strings.Join(words, ",")
}

// write puts the document where --json says.
func (d *Document) write(path string, stdout io.Writer) error {
	if err := WriteJSON(path, stdout, d); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}

// WriteJSON writes a value to a file, or to stdout if the path is "-".
func WriteJSON(path string, stdout io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if path == "-" {
		_, err = stdout.Write(text)
		return err
	}
	return writeAtomically(path, text)
}

// readDocument takes what write wrote, and refuses everything else.
func readDocument(text []byte) (*Document, error) {
	var head struct {
		Version int
		Kind    string
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("not a JSON document, or a truncated one: %w", err)
	}
	if head.Kind != documentKind {
		return nil, fmt.Errorf("not the result of a campaign: its kind is %q, want %q", head.Kind, documentKind)
	}
	if head.Version != documentVersion {
		return nil, fmt.Errorf("its version is %d, but this program reads version %d", head.Version, documentVersion)
	}
	d := &Document{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, err
	}
	return d, d.validate()
}

func (d *Document) validate() error {
	p := &d.Plan
	if p.Shards < 1 || p.From > p.To || len(d.Shards) == 0 {
		return fmt.Errorf("invalid plan: %d shards, seeds %d to %d", p.Shards, p.From, p.To)
	}
	for i, shard := range d.Shards {
		if shard < 1 || shard > p.Shards || i > 0 && shard <= d.Shards[i-1] {
			return fmt.Errorf("its shards %v are not shards of %d in ascending order", d.Shards, p.Shards)
		}
	}
	return nil
}

// differences says in which of what decides the runs two campaigns differ.
func differences(here, there *Document) []string {
	var all []string
	for _, f := range []struct {
		what        string
		here, there any
	}{
		{"commit", here.Build.Commit, there.Build.Commit},
		{"Go", here.Build.Go, there.Build.Go},
		{"platform", here.Build.Platform, there.Build.Platform},
		{"the binary's SHA-256", shorten(here.Build.Binary), shorten(there.Build.Binary)},
		{"--profile", here.Plan.Profile, there.Plan.Profile},
		{"--store", here.Plan.Store, there.Plan.Store},
		{"first seed", here.Plan.From, there.Plan.From},
		{"last seed", here.Plan.To, there.Plan.To},
		{"number of shards", here.Plan.Shards, there.Plan.Shards},
	} {
		if f.here != f.there {
			all = append(all, fmt.Sprintf("%s is %v there, %v here", f.what, f.there, f.here))
		}
	}
	return all
}

func shorten(hash string) string { return hash[:min(len(hash), 16)] }

// thisBuild reads the program's own file.
func thisBuild() (Build, error) {
	here := version.Read()
	b := Build{Commit: here.Commit, Modified: here.Modified, Go: here.Go, Platform: here.Platform}
	path, err := os.Executable()
	if err != nil {
		return b, fmt.Errorf("finding this program's file: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return b, fmt.Errorf("reading this program's file: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return b, fmt.Errorf("reading this program's file: %w", err)
	}
	b.Binary = fmt.Sprintf("%x", hash.Sum(nil))
	return b, nil
}

// writeAtomically leaves the old content or the new one, whenever it is killed,
// and the new one once it returned.
func writeAtomically(path string, text []byte) error {
	next := path + ".next"
	file, err := os.Create(next)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
