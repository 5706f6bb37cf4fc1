package main

import (
	"cmp"
	"errors"
	"fmt"
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
	fmt.Printf("from %d faults and %d operations to %d and %d, in %d runs and %v\n\n",
		len(r.Schedule.Steps), len(sim.Freeze(r).Calls), len(small.Schedule.Steps), len(sim.Freeze(small).Calls),
		runs, time.Since(begun).Round(100*time.Millisecond))
	dir := describe(small, m.profile, m.report)
	test := sim.RegressionTest(small)
	fmt.Printf("\nTo keep it, paste this into a test file of package sim, or copy the schedule's file, with its\nstory on top, to sim/testdata/regressions/NAME.txt:\n\n%s", test)
	if dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "regression_test.txt"), []byte(test), 0o644); err != nil {
			return fmt.Errorf("writing the regression test: %w", err)
		}
	}
	return statusOf(small.Classes)
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
