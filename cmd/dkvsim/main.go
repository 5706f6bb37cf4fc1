// Command dkvsim runs DKV clusters in simulation: campaigns of seeds, single
// schedules, their minimisation, and the check of recorded histories.
package main

import (
	"errors"
	"fmt"
	"os"

	"dkv/internal/version"
	"dkv/sim"
	"dkv/sim/campaign"

	"github.com/spf13/cobra"
)

func main() {
	sim.TuneHeap()
	if err := newRoot().Execute(); err != nil {
		var status campaign.Status
		if errors.As(err, &status) {
			os.Exit(int(status))
		}
		fmt.Fprintln(os.Stderr, "dkvsim:", err)
		os.Exit(int(campaign.Mistaken))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dkvsim",
		Short: "Run DKV clusters in a deterministic simulation and check the results",
		Long: `dkvsim runs whole DKV clusters in virtual time on one thread, injects faults drawn
from a seed, and checks everything the store promises. On the same build, the same
seed gives the same run.

Exit status of run, merge, replay and shrink; with several failure classes, the first
in this list wins:
` + campaign.StatusHelp() + `
Exit status of check: 0 linearizable, 1 not, 2 undecided, 3 bad input.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Version = version.Read().Text("dkvsim")
	root.SetVersionTemplate("{{.Version}}")
	root.AddCommand(runCommand(), mergeCommand(), replayCommand(), shrinkCommand(), scheduleCommand(), checkCommand(), enumerateCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the versions of the protocol and the store",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), cmd.Root().Version)
			return err
		},
	}
}
