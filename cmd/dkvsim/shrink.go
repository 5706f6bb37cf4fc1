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
	"time"

	"dkv/sim"
	"dkv/sim/campaign"
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

func shrinkCommand() *cobra.Command {
	m := &minimisation{}
	cmd := &cobra.Command{
		Use:   "shrink (--seed N | FILE)",
		Short: "Find the smallest schedule that fails in the same way",
		Long: `shrink runs a failing schedule repeatedly, each time with something removed: client
operations, faults, nodes, unusual settings. It keeps every change that still fails
in the worst class of the first run. At the end it prints the remaining schedule, the
commands to investigate it, and a Go test that keeps it as a regression.`,
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
	f.Uint64Var(&m.seed, "seed", 0, "seed of the failing run")
	f.StringVar(&m.file, "schedule", "", "or the file of its schedule")
	f.StringVar(&m.profile, "profile", sim.Profiles()[0], "profile of --seed: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&m.store, "store", "", storeUsage())
	f.StringVar(&m.report, "report", "", "write the report of the smallest run below this directory (default: a new temporary one)")
	f.DurationVar(&m.budget, "budget", time.Minute, "time limit")
	f.IntVar(&m.jobs, "jobs", runtime.NumCPU(), "number of schedules to run at once")
	f.StringVar(&m.json, "json", "", "write the counts to this file as JSON (-: to standard output, with everything else on standard error)")
	return cmd
}

// chosenSchedule returns the schedule of a file, named by an argument or a flag, or
// the schedule of a seed, on the named store, if any.
func chosenSchedule(cmd *cobra.Command, args []string, file string, seed uint64, profile, store string) (*schedule.Schedule, error) {
	seeded := cmd.Flags().Changed("seed")
	if len(args) == 1 && file == "" {
		file = args[0]
	} else if len(args) == 1 {
		return nil, errors.New("two files given: leave out --schedule")
	}
	switch {
	case seeded && file != "":
		return nil, errors.New("both a file and a seed given: leave out one")
	case seeded:
		on, err := schedule.ParseStore(cmp.Or(store, schedule.StoreNames()[0]))
		if err != nil {
			return nil, err
		}
		return sim.DrawOn(seed, profile, on)
	case file == "":
		return nil, errors.New("say what to run: the file of a schedule, or --seed N")
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
		return errors.New("the run passes: nothing to shrink")
	}
	small, counts := campaign.Minimise(r, m.jobs, m.budget, os.Stderr)
	var out io.Writer = os.Stdout
	if m.json == "-" {
		out = os.Stderr
	}
	fmt.Fprintf(out, "from %d faults and %d operations to %d and %d, in %d runs and %v\n\n",
		counts.FromFaults, counts.FromOperations, counts.Faults, counts.Operations, counts.Runs, counts.Wall.Round(100*time.Millisecond))
	dir, _ := campaign.Describe(out, os.Stderr, small, m.profile, m.report)
	test := sim.RegressionTest(small)
	fmt.Fprintf(out, "\nTo keep it, paste this into sim/sim_test.go, or copy the schedule's file, with its story on top,\nto sim/testdata/regressions/NAME.txt:\n\n%s", test)
	if dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "regression_test.txt"), []byte(test), 0o644); err != nil {
			return fmt.Errorf("writing the regression test: %w", err)
		}
	}
	if m.json != "" {
		if err := campaign.WriteJSON(m.json, os.Stdout, counts); err != nil {
			return err
		}
	}
	return campaign.StatusOf(small.Classes)
}
