package main

import (
	"fmt"
	"os"

	"dkv/linearizability"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var budget int
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check recorded histories for linearizability",
		Long: `check reads histories (JSON lines; see linearizability/README.md) and says of
each whether one register per key, taking effect at one instant inside each
operation, explains all of its answers.

Exit status, the greatest of all files: 0 linearizable, 1 not linearizable,
2 undecided within the budget of steps, 3 a file that is no history.`,
		RunE: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				fmt.Fprintln(os.Stderr, "dkvsim: check: name at least one file")
				return exitStatus(linearizability.ExitBadInput)
			}
			return check(files, budget)
		},
	}
	cmd.Flags().IntVar(&budget, "steps", linearizability.DefaultStepBudget, "how many steps the search may take on one key")
	return cmd
}

func check(files []string, budget int) error {
	worst := linearizability.ExitLinearizable
	for _, file := range files {
		r, status, err := linearizability.CheckFile(file, linearizability.Options{StepBudget: budget})
		worst = max(worst, status)
		if err != nil {
			fmt.Fprintln(os.Stderr, "dkvsim:", err)
			continue
		}
		fmt.Printf("%s: ", file)
		if err := r.WriteText(os.Stdout); err != nil {
			return err
		}
	}
	if worst != linearizability.ExitLinearizable {
		return exitStatus(worst)
	}
	return nil
}
