// Command dkvsim runs DKV clusters in simulation: campaigns of seeds, single
// schedules, their minimisation, the planted bugs that a campaign has to catch,
// and the check of recorded histories.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"dkv/sim"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:   "dkvsim",
		Short: "Run DKV clusters in simulation, and check what they did",
		Long: `dkvsim runs whole DKV clusters in virtual time on one thread, under seeded
faults, and checks every promise of the store. The same seed gives the same run
on the same build.

Exit status of run, replay and shrink: 0 if everything passed, 2 for a mistake in
the command, 3 if a campaign as a whole was too calm (a fault that never took
effect, a probe never hit), else by the worst class that fired:
11 L not linearizable    12 D acknowledged write lost    13 R refused write seen
14 I invariant           15 A assertion or panic         16 C no convergence
17 V no progress
Exit status of check: 0 linearizable, 1 not, 2 undecided, 3 bad input.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // runs are small, and garbage is most of what they make
	}
	root.AddCommand(runCommand(), replayCommand(), shrinkCommand(), checkCommand(), mutantsCommand(), enumerateCommand())
	if err := root.Execute(); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			os.Exit(int(status))
		}
		fmt.Fprintln(os.Stderr, "dkvsim:", err)
		os.Exit(2)
	}
}

// exitStatus ends the program without another word: all is said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

const tooCalm = exitStatus(3)

// statusOf is the exit status of the worst of the classes.
func statusOf(fired []sim.Class) error {
	for i, class := range sim.Classes {
		for _, f := range fired {
			if f == class {
				return exitStatus(11 + i)
			}
		}
	}
	return nil
}
