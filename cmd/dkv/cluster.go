package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"dkv/node/client"
)

func newClusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show and change the settings that all nodes share",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newClusterShowCommand(), newClusterSetCommand())
	return cmd
}

func newClusterShowCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the settings that all nodes share, as the node asked uses them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd, func(ctx context.Context, c *client.Client) error {
				cluster, err := c.Cluster(ctx)
				if err == nil {
					printSettings(cmd.OutOrStdout(), cluster)
				}
				return err
			})
		},
	}
	f.register(cmd)
	return cmd
}

func printSettings(w io.Writer, c client.Cluster) {
	s := c.Settings
	if s.Ring == 0 {
		fmt.Fprintf(w, "Node %s has not read the cluster's record yet.\n", c.Node.ID)
		return
	}
	fmt.Fprintf(w, "ring=%d\n", s.Ring)
	if s.Zones != "" {
		fmt.Fprintf(w, "zones=%s\n", s.Zones)
	}
	fmt.Fprintf(w, "suspect-after=%s\nmax-drift=%d\n", s.SuspectAfter, s.MaxDrift)
}

func newClusterSetCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "set NAME=VALUE",
		Short: "Change a setting that all nodes share",
		Long: `Change a setting that all nodes share. The nodes follow at once, whatever their
flags say.

  ring           version of the rule that places partitions: 1 or 2. Clusters that
                 were formed by a build before version 2 have 1. Set 2 when all nodes
                 run a build that knows it; data then moves.
  zones          strict: no zone has more than its part of the replicas of a partition,
                 even if its members then store more than their weights say; prefer:
                 members store what their weights say
  suspect-after  failover timeout
  max-drift      bound of the drift between two nodes' clocks, in millionths`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, value, ok := strings.Cut(args[0], "=")
			if !ok || name == "" {
				return fmt.Errorf("invalid setting %q (want NAME=VALUE, for example ring=2)", args[0])
			}
			return f.call(cmd, func(ctx context.Context, c *client.Client) error {
				detail, err := c.Set(ctx, name, value)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), detail)
				}
				return err
			})
		},
	}
	f.register(cmd)
	return cmd
}
