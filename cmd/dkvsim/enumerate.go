package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"dkv/sim"
	"dkv/sim/campaign"
	"dkv/sim/schedule"

	"github.com/spf13/cobra"
)

func enumerateCommand() *cobra.Command {
	e := sim.Tiny()
	var s, report string
	var moving bool
	var budget time.Duration
	cmd := &cobra.Command{
		Use:   "enumerate",
		Short: "Run a tiny cluster through every delivery order and every crash, within bounds",
		Long: `enumerate runs all executions of a tiny cluster within bounds: every order in which
messages are delivered, and every point at which one node crashes, with an immediate
or a later restart. With --moving a partition moves meanwhile. It prints the bounds
and the number of executions, and stops at the first execution that fails, which it
writes as a schedule.

Exit status: 0 if all executions passed, 3 if it ended before reaching its bounds,
else that of the worst class, as for run.`,
		Example: `  dkvsim enumerate
  dkvsim enumerate --moving --choices 60
  dkvsim enumerate --deviations 2 --choices 40 --crash-steps 60 --crash-deviations 1`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case moving && s != "":
				return errors.New("--moving has a schedule of its own: leave out --schedule")
			case moving:
				e.Base = sim.Moving().Base
			case s != "":
				text, err := os.ReadFile(s)
				if err != nil {
					return err
				}
				if e.Base, err = schedule.Parse(string(text)); err != nil {
					return err
				}
			}
			return enumerate(e, budget, report)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s, "schedule", "", "explore the schedule in this file (default: three nodes, one partition, a put and a get)")
	f.BoolVar(&moving, "moving", false, "explore four nodes and a partition that moves away from its primary")
	f.StringVar(&report, "report", "", "write the report of a failed execution below this directory (default: a new temporary one)")
	f.DurationVar(&budget, "budget", 0, "time limit (default: none)")
	f.DurationVar(&e.From, "from", e.From, "virtual time from which choices and steps are counted")
	f.DurationVar(&e.Window, "window", e.Window, "deliveries due within this time of each other may be reordered")
	f.IntVar(&e.Choices, "choices", e.Choices, "number of choices of an execution that may deviate")
	f.IntVar(&e.Deviations, "deviations", e.Deviations, "total deviation of an execution without a crash")
	f.IntVar(&e.CrashSteps, "crash-steps", e.CrashSteps, "a node may crash after each of its first steps, up to this number (0: no crash)")
	f.IntVar(&e.CrashDeviations, "crash-deviations", e.CrashDeviations, "total deviation of an execution with a crash")
	f.IntVar(&e.MaxRuns, "max-runs", e.MaxRuns, "stop after this many executions")
	return cmd
}

func enumerate(e *sim.Enumeration, budget time.Duration, report string) error {
	fmt.Println(e)
	begun, said := time.Now(), time.Now()
	found, err := e.Run(func(runs int) bool {
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "%d executions in %v\n", runs, time.Since(begun).Round(time.Second))
		}
		return budget == 0 || time.Since(begun) < budget
	})
	if err != nil {
		return err
	}
	fmt.Printf("%v wall=%v\n", found, time.Since(begun).Round(time.Millisecond))
	if found.Failed == nil {
		if !found.Complete {
			return campaign.TooCalm
		}
		return nil
	}
	if report == "" {
		if report, err = os.MkdirTemp("", "dkv-sim-"); err != nil {
			return err
		}
	}
	if report, err = filepath.Abs(report); err != nil {
		return err
	}
	files, err := sim.WriteReport(report, found.Failed)
	if err != nil {
		return err
	}
	fmt.Print(sim.EnumerationFailure(found.Failed, files))
	return campaign.StatusOf(found.Failed.Classes)
}
