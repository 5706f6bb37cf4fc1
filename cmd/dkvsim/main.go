// Command dkvsim runs DKV clusters in simulation: campaigns of seeds, single
// schedules, their minimisation, and the check of recorded histories.
package main

import (
	"errors"
	"fmt"
	"os"

	"dkv/internal/version"
	"dkv/sim"

	"github.com/spf13/cobra"
)

func main() {
	sim.TuneHeap()
	if err := newRoot().Execute(); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			os.Exit(int(status))
		}
		fmt.Fprintln(os.Stderr, "dkvsim:", err)
		os.Exit(int(mistaken))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dkvsim",
		Short: "Run DKV clusters in simulation, and check what they did",
		Long: `dkvsim runs whole DKV clusters in virtual time on one thread, under seeded
faults, and checks every promise of the store. The same seed gives the same run
on the same build.

Exit status of run, merge, replay and shrink; of several classes the worst, which
is the first:
` + statusHelp() + `
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

// exitStatus ends the program without another word: all is said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// The statuses that are no class.
const (
	mistaken   = exitStatus(2)
	tooCalm    = exitStatus(3)
	unfinished = exitStatus(4)
	firstClass = exitStatus(11) // of the classes in their order
)

// statuses are all and what they mean. Batch systems read them, so a number
// keeps its meaning.
var statuses = []struct {
	status exitStatus
	means  string
}{
	{0, "everything passed"},
	{mistaken, "a mistake in the command, or a file that cannot be read or written"},
	{tooCalm, "a whole campaign was too calm: a fault never took effect, a probe was never hit"},
	{unfinished, "not finished: run was stopped by a signal, whatever it had found; or merge lacks runs, and none failed"},
	{firstClass + 0, "L: not linearizable"},
	{firstClass + 1, "D: an acknowledged write was lost"},
	{firstClass + 2, "R: a refused write was seen"},
	{firstClass + 3, "I: an invariant was broken"},
	{firstClass + 4, "A: an assertion failed, or a panic"},
	{firstClass + 5, "C: no convergence"},
	{firstClass + 6, "V: no progress"},
}

// means is empty of a status that is none of them.
func (s exitStatus) means() string {
	for _, known := range statuses {
		if known.status == s {
			return known.means
		}
	}
	return ""
}

// statusHelp lists the statuses. Of several classes the worst counts, which is
// the first.
func statusHelp() string {
	text := ""
	for _, s := range statuses {
		text += fmt.Sprintf("  %2d  %s\n", s.status, s.means)
	}
	return text
}

// statusOf is the exit status of the worst of the classes.
func statusOf(fired []sim.Class) error {
	for i, class := range sim.Classes {
		for _, f := range fired {
			if f == class {
				return firstClass + exitStatus(i)
			}
		}
	}
	return nil
}
