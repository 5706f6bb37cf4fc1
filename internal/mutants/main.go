package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	h := &hunt{out: os.Stdout}
	cmd := &cobra.Command{
		Use:   "mutants",
		Short: "Plant known bugs one at a time, and check that a campaign catches each",
		Long: `mutants builds dkvsim once for each planted bug, with the bug laid over the source,
and runs seeds until one of the bug's oracles is among the classes that fired: once
in each of several disjoint ranges of seeds. Then it breaks the harness itself, one
thing at a time, and runs the test that should fail. It hunts in chunks of seeds, on
all cores, and tells what one campaign after the other would tell. Below a mutant it
names the faults and probes that no run with it reached, though the unmutated program
reaches them often enough that chance does not explain it.

It fails if a bug survives a range, if a breakage goes unseen, if a mutant's text
names neither oracles nor a test, if its lines do not occur exactly once, if it does
not compile or leaves the program unchanged, and if the unmutated program fails one
of the seeds or tests. It needs the module's source and the go command. The unmutated
program and the seeds that it passed are kept in ` + cacheDir + `, for this very source.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return h.run() },
	}
	f := cmd.Flags()
	f.StringVar(&h.dir, "dir", "sim/mutants", "directory of the mutants, relative to the module's root")
	f.IntVar(&h.seeds, "seeds", 2000, "number of seeds in each range; a mutant that outlives a range survives")
	f.IntVar(&h.ranges, "ranges", 5, "number of disjoint ranges of seeds to try")
	f.IntVar(&h.unmutated, "unmutated", 200, "number of seeds that the unmutated program must pass first")
	f.IntVar(&h.jobs, "jobs", runtime.NumCPU(), "number of mutants, or chunks of seeds, to run at once")
	f.DurationVar(&h.limit, "limit", 10*time.Minute, "time limit for each range, on one core")
	f.BoolVar(&h.shrink, "shrink", false, "shrink the first run that catches each mutant, and show how small it gets")
	f.StringVar(&h.only, "only", "", "hunt only mutants whose names contain one of these comma-separated words")
	f.BoolVar(&h.markdown, "markdown", false, "print the tables as Markdown, and update them in "+page)
	return cmd
}
