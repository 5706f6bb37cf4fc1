package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"dkv/sim"
	"dkv/sim/schedule"

	"github.com/spf13/cobra"
)

// minimisation is one shrink command.
type minimisation struct {
	seed    uint64
	file    string
	profile string
	store   string
	report  string
	budget  time.Duration
	jobs    int
	json    string
}

// shrunk is what a minimisation gave, as --json writes it.
type shrunk struct {
	Seed           uint64        `json:"seed"`
	Classes        []sim.Class   `json:"classes"`
	FromFaults     int           `json:"from_faults"`
	FromOperations int           `json:"from_operations"`
	Faults         int           `json:"faults"`
	Operations     int           `json:"operations"`
	Runs           int           `json:"runs"`
	Wall           time.Duration `json:"wall_ns"`
}

func shrinkCommand() *cobra.Command {
	m := &minimisation{}
	cmd := &cobra.Command{
		Use:   "shrink (--seed N | FILE)",
		Short: "Look for the smallest schedule that breaks the same promise",
		Long: `shrink runs a failing schedule again and again, each time with something less:
operations of clients, faults, nodes, unusual settings. It keeps what still fails
in the worst class of the first run, and prints the schedule that is left, the
commands to go on with, and a Go test to keep it as a regression.`,
		Example: `  dkvsim shrink --seed 42
  dkvsim shrink DIR/seed-42-…/schedule.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := chosenSchedule(cmd, args, m.file, m.seed, m.profile, m.store)
			if err != nil {
				return err
			}
			return m.run(s)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&m.seed, "seed", 0, "the seed of the run that fails")
	f.StringVar(&m.file, "schedule", "", "or its schedule's file")
	f.StringVar(&m.profile, "profile", sim.Profiles()[0], "of --seed: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&m.store, "store", "", storeUsage())
	f.StringVar(&m.report, "report", "", "write the files of the smallest run below this directory (default: a new temporary one)")
	f.DurationVar(&m.budget, "budget", time.Minute, "look for so long")
	f.IntVar(&m.jobs, "jobs", runtime.NumCPU(), "how many schedules to run at once")
	f.StringVar(&m.json, "json", "", "write the counts to this file as JSON (-: to the standard output, and all else to the standard error)")
	return cmd
}

// chosenSchedule is the schedule of a file, named as an argument or by a flag,
// or that of a seed, on the store that is named, if any.
func chosenSchedule(cmd *cobra.Command, args []string, file string, seed uint64, profile, store string) (*schedule.Schedule, error) {
	seeded := cmd.Flags().Changed("seed")
	if len(args) == 1 && file == "" {
		file = args[0]
	} else if len(args) == 1 {
		return nil, errors.New("two files: leave out --schedule")
	}
	switch {
	case seeded && file != "":
		return nil, errors.New("a file and a seed: leave out one")
	case seeded:
		on, err := schedule.ParseStore(cmp.Or(store, storeNames()[0]))
		if err != nil {
			return nil, err
		}
		return sim.DrawOn(seed, profile, on)
	case file == "":
		return nil, errors.New("say what to run: a schedule's file, or --seed N")
	}
	s, err := readSchedule(file)
	if err == nil && store != "" {
		err = useStore(s, store)
	}
	return s, err
}

func (m *minimisation) run(s *schedule.Schedule) error {
	if m.jobs < 1 {
		return fmt.Errorf("--jobs %d: must be at least 1", m.jobs)
	}
	r, err := sim.Run(s, sim.RunOptions{})
	if err != nil {
		return err
	}
	if len(r.Classes) == 0 {
		fmt.Println(r.Line(0))
		return errors.New("the run passes: there is nothing to shrink")
	}
	small, counts := m.minimise(r)
	var out io.Writer = os.Stdout
	if m.json == "-" {
		out = os.Stderr
	}
	fmt.Fprintf(out, "from %d faults and %d operations to %d and %d, in %d runs and %v\n\n",
		counts.FromFaults, counts.FromOperations, counts.Faults, counts.Operations, counts.Runs, counts.Wall.Round(100*time.Millisecond))
	dir, _ := describeTo(out, small, m.profile, m.report)
	test := sim.RegressionTest(small)
	fmt.Fprintf(out, "\nTo keep it, paste this into a test file of package sim, or copy the schedule's file, with its\nstory on top, to sim/testdata/regressions/NAME.txt:\n\n%s", test)
	if dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "regression_test.txt"), []byte(test), 0o644); err != nil {
			return fmt.Errorf("writing the regression test: %w", err)
		}
	}
	if m.json != "" {
		if err := writeJSON(m.json, os.Stdout, counts); err != nil {
			return err
		}
	}
	return statusOf(small.Classes)
}

// minimise shrinks a failed run within the budget, and reports its progress.
func (m *minimisation) minimise(r *sim.Result) (*sim.Result, shrunk) {
	begun, said, runs := time.Now(), time.Now(), 0
	small := sim.Shrink(r, sim.ShrinkOptions{
		Jobs: m.jobs, RunAll: runAll,
		More: func(p sim.ShrinkProgress) bool {
			runs = p.Runs
			if time.Since(said) > 2*time.Second {
				said = time.Now()
				fmt.Fprintf(os.Stderr, "%4v: %d runs, now %d faults and %d operations; trying %s\n",
					time.Since(begun).Round(time.Second), p.Runs, p.Faults, p.Calls, p.Doing)
			}
			return time.Since(begun) < m.budget
		},
	})
	return small, shrunk{
		Seed: r.Schedule.Setup.Seed, Classes: small.Classes,
		FromFaults: len(r.Schedule.Steps), FromOperations: len(sim.Freeze(r).Calls),
		Faults: len(small.Schedule.Steps), Operations: len(sim.Freeze(small).Calls),
		Runs: runs, Wall: time.Since(begun),
	}
}

// runAll runs schedules at once, one on each core.
func runAll(all []*schedule.Schedule) []*sim.Result {
	results := make([]*sim.Result, len(all))
	var done sync.WaitGroup
	for i, s := range all {
		done.Go(func() {
			// A schedule of which no world can be made fails in no class.
			results[i], _ = sim.Run(s, sim.RunOptions{})
		})
	}
	done.Wait()
	return results
}
