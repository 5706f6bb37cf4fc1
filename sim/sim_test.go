package sim_test

import (
	"bufio"
	"errors"
	goflag "flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/sim"
	"dkv/sim/campaign"
	"dkv/sim/schedule"
)

// The flags of go test ./sim: those of a campaign, and two for single schedules.
// With any flag that chooses runs, only the campaign runs, and the package's other
// tests do not.
var (
	options      campaign.Options
	flagSchedule = goflag.String("schedule", "", "run the schedule in this `file`")
	flagSteps    = goflag.Bool("steps", false, "print each step of the run (with -seed or -schedule)")
)

func chosen(name string) bool {
	found := false
	goflag.Visit(func(f *goflag.Flag) { found = found || f.Name == name })
	return found
}

func TestMain(m *testing.M) {
	options.AddFlags(goflag.CommandLine)
	goflag.Parse()
	sim.TuneHeap()
	if slices.ContainsFunc([]string{"seed", "seeds", "budget", "schedule"}, chosen) {
		if err := goflag.Set("test.run", "^TestCampaign$"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestCampaign runs what the flags ask for.
func TestCampaign(t *testing.T) {
	o := reported(t)
	o.One = chosen("seed")
	o.Tables = o.One && testing.Verbose()
	switch {
	case *flagSchedule != "":
		s, err := readSchedule(*flagSchedule)
		if err == nil && chosen("store") {
			err = s.UseStore(schedule.Store(o.Store))
		}
		if err != nil {
			t.Fatal(err)
		}
		runOne(t, o, s)
	case o.One && *flagSteps:
		s, err := sim.DrawOn(o.Seed, o.Profile, schedule.Store(o.Store))
		if err != nil {
			t.Fatal(err)
		}
		runOne(t, o, s)
	case o.One || o.Seeds != "" || o.Budget > 0:
		if deadline, ok := t.Deadline(); ok {
			o.Deadline = deadline.Add(-20 * time.Second) // so that the tables are printed before go test ends it
		}
		if err := campaign.Run(o); err != nil {
			t.Fatal(err)
		}
	default:
		t.Skip("asked for by -seed, -seeds, -budget or -schedule")
	}
}

// reported returns the options with files named as seen from the module's root.
func reported(t *testing.T) campaign.Options {
	t.Helper()
	o := options
	o.Stdout, o.Stderr = os.Stdout, os.Stderr
	for _, file := range []*string{&o.Report, &o.State, &o.JSON} {
		if *file == "" || *file == "-" {
			continue
		}
		absolute, err := filepath.Abs(rooted(*file))
		if err != nil {
			t.Fatal(err)
		}
		*file = absolute
	}
	return o
}

// readSchedule tries a relative path from the module's root, then from here.
func readSchedule(path string) (*schedule.Schedule, error) {
	text, err := os.ReadFile(rooted(path))
	if errors.Is(err, os.ErrNotExist) && !filepath.IsAbs(path) {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	return schedule.Parse(string(text))
}

// rooted returns a path as seen from the module's root; tests run one level below.
func rooted(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join("..", path)
}

// runOne runs one schedule and prints what it gave.
func runOne(t *testing.T, o campaign.Options, s *schedule.Schedule) {
	var how sim.RunOptions
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	if *flagSteps {
		how.Steps = out
		how.Note = func(at time.Duration, what string) { fmt.Fprintf(out, "%8s %14v %s\n", "", at, what) }
	}
	begun := time.Now()
	r, err := sim.Run(s, how)
	if err := errors.Join(err, out.Flush()); err != nil {
		t.Fatal(err)
	}
	if err := campaign.Conclude(o, r, time.Since(begun)); err != nil {
		t.Fatal(err)
	}
}

// fixedSeeds are run by a plain go test, each twice.
const fixedSeeds = 40

// TestFixedSeedsPassAndRepeat runs each seed twice: it has to pass, and take
// the same steps.
func TestFixedSeedsPassAndRepeat(t *testing.T) {
	for seed := uint64(1); seed <= fixedSeeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			s, err := sim.Draw(seed, sim.Profiles()[0])
			if err != nil {
				t.Fatal(err)
			}
			passAndRepeat(t, s)
		})
	}
}

// TestRegressions runs the schedules of bugs that were found once.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/regressions/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			s, err := readSchedule(filepath.Join("sim", file))
			if err != nil {
				t.Fatal(err)
			}
			passAndRepeat(t, s)
		})
	}
}

func passAndRepeat(t *testing.T, s *schedule.Schedule) {
	r, err := sim.RunTwice(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) > 0 {
		campaign.Conclude(reported(t), r, 0)
		t.FailNow()
	}
}
