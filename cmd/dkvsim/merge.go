package main

import (
	"os"

	"dkv/sim/campaign"

	"github.com/spf13/cobra"
)

func mergeCommand() *cobra.Command {
	var results string
	cmd := &cobra.Command{
		Use:   "merge (FILE|DIR)…",
		Short: "Combine the results of a campaign's shards into one set of tables and one verdict",
		Long: `merge reads the results that the shards of a campaign wrote with dkvsim run --json,
in any order, and prints the tables of the campaign as a whole. A directory stands
for all its *.json files.

merge refuses shards of different builds, profiles, stores or ranges of seeds, and a
shard that is given twice. If a run failed, the status is its class. Otherwise, if a
shard is missing or did not finish, the status is 4. Otherwise coverage is judged
over all shards. With --json the sum is written as a document of the same kind,
which can be merged again.

Exit status; with several failure classes, the first in this list wins:
` + campaign.StatusHelp(),
		Example: `  dkvsim merge shard-1.json shard-2.json shard-3.json
  dkvsim merge results --json campaign.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return campaign.Merge(args, results, os.Stdout, os.Stderr)
		},
	}
	cmd.Flags().StringVar(&results, "json", "", "write the sum to this file as JSON (-: to standard output, with the tables on standard error)")
	return cmd
}
