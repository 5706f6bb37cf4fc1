package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"dkv/sim/campaign"
	"dkv/sim/schedule"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func runCommand() *cobra.Command {
	o := &campaign.Options{Stdout: os.Stdout, Stderr: os.Stderr, Terminal: os.Stderr, Flags: make(map[string]string)}
	cmd := &cobra.Command{
		Use:   "run (--seed N | --seeds N|A-B | --budget D)",
		Short: "Run seeds; print one line for each and the campaign's tables",
		Long: `run runs the simulation once for each seed and adds up the results.

Resuming: with --state FILE, a stopped campaign continues with the remaining seeds.
Apart from wall time, its tables and results are those of a campaign that was never
stopped. The file is replaced atomically every --state-every and at the end.
--budget counts the time of all starts. SIGINT or SIGTERM stops the campaign after
the running seeds, with tables and status 4; a second signal stops it at once. If
the machine crashes, the seeds since the last write are run again; none is counted
twice. Only one process at a time may use a state file. The state of another build,
profile, store, range of seeds or shard is refused.

Shards: --shard I/N runs every N-th seed, starting at the I-th. A single shard never
fails because a fault or probe did not trigger: dkvsim merge judges the coverage of
all shards together, from the results that they wrote with --json.

Results: --json writes one document, also when a signal stops the campaign. See
"go doc ./sim/campaign Document" for the schema and its version. With --seed it holds
the run: trace, outcomes, violations and schedule.

Traces: with --seed, --report DIR writes the run's files also if it passed: schedule,
history, what happened in words, the outcomes of the operations, and a page.

Exit status; with several failure classes, the first in this list wins:
` + campaign.StatusHelp(),
		Example: `  dkvsim run --seed 42
  dkvsim run --seed 42 --report traces --json 42.json
  dkvsim run --seeds 3000
  dkvsim run --budget 10m --profile moves --jobs 4
  dkvsim run --seeds 1000 --profile disk --store pebble-raw
  dkvsim run --budget 8h --quiet --state campaign.state
  dkvsim run --seeds 1-100000 --shard 3/8 --quiet --state 3.state --json 3.json
  dkvsim merge 1.json 2.json 3.json 4.json 5.json 6.json 7.json 8.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Flags().Visit(func(f *pflag.Flag) { o.Flags[f.Name] = f.Value.String() })
			o.One = cmd.Flags().Changed("seed")
			return campaign.Run(*o)
		},
	}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	o.AddFlags(flags)
	cmd.Flags().AddGoFlagSet(flags)
	cmd.MarkFlagsMutuallyExclusive("shard", "shard-from-zero")
	return cmd
}

func storeUsage() string {
	return "store of the simulated disks: " + strings.Join(schedule.StoreNames(), ", ") + " (default: the schedule's)"
}

func useStore(s *schedule.Schedule, name string) error {
	store, err := schedule.ParseStore(name)
	if err != nil {
		return err
	}
	return s.UseStore(store)
}

func readSchedule(file string) (*schedule.Schedule, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := schedule.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}
