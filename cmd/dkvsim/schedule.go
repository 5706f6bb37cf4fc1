package main

import (
	"fmt"
	"io"
	"strings"

	"dkv/sim"
	"dkv/sim/schedule"

	"github.com/spf13/cobra"
)

func scheduleCommand() *cobra.Command {
	var seed uint64
	var profile, store string
	cmd := &cobra.Command{
		Use:   "schedule [--seed N]",
		Short: "Print the schedule of a seed, or the reference of the schedule language",
		Long: `schedule prints the schedule of a seed: save it, edit it and run it with replay.
Without a seed it prints every line that a schedule may contain, and what it does.`,
		Example: `  dkvsim schedule
  dkvsim schedule --seed 42 > mine.txt && dkvsim replay mine.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("seed") {
				_, err := io.WriteString(cmd.OutOrStdout(), schedule.Reference())
				return err
			}
			s, err := chosenSchedule(cmd, args, "", seed, profile, store)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), s)
			return err
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&seed, "seed", 0, "seed to draw the schedule from")
	f.StringVar(&profile, "profile", sim.Profiles()[0], "profile of --seed: "+strings.Join(sim.Profiles(), ", "))
	f.StringVar(&store, "store", "", storeUsage())
	return cmd
}
