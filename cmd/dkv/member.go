package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dkv/node/client"
)

func newMemberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "List, approve, drain, remove and replace the members of a cluster",
		Long: `List and change the members of a cluster.

A node that registers in a cluster joins it by itself, unless it or the members run
with --join=approve. Its share of the data then moves to it.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newMemberListCommand(),
		memberChange("approve ID", "Let a registered node join, or a leaving member stay",
			"Let a registered node join a cluster that runs with --join=approve. A member that is\nleaving stays.", 1, nil),
		memberChange("drain ID", "Move a member's data to the others, so that it can be stopped",
			"Move a member's data to the others. It serves until the end. When 'dkv member list'\nshows no replicas of it any more, stop it and run 'dkv member remove'.", 1, nil),
		memberChange("remove ID", "Forget a member that is gone or drained",
			"Forget a member that is gone for good, or drained. What it stored is restored from the\nother replicas. A member that lives and has data needs --force.", 1,
			func(c *cobra.Command, m *client.MemberCommand) {
				c.Flags().BoolVar(&m.Force, "force", false, "remove it although it lives and has data")
			}),
		memberChange("replace OLD NEW", "Give a member's place to another node",
			"Give a member's place to another node, which is registered or a member already. If the\nold one lives it hands its data over. With the same name twice, a node that lost its\ndisk takes its own place with an empty one.", 2, nil),
	)
	return cmd
}

func newMemberListCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the members, and the nodes that wait to become one",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Members(ctx)
				if err == nil {
					printMemberList(cmd.OutOrStdout(), list)
				}
				return err
			})
		},
	}
	f.register(cmd)
	return cmd
}

func printMemberList(w io.Writer, list client.Members) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tNODE\tSTATE\tREGISTERED\tREPLICAS\tZONE\tWEIGHT\tHTTP")
	for _, m := range list.Members {
		registered := "yes"
		if !m.Registered {
			registered = "no"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n", m.Number, m.Node, m.State, registered, m.Replicas, orDash(m.Zone), m.Weight, m.HTTP)
	}
	for _, n := range list.Waiting {
		fmt.Fprintf(table, "-\t%s\twaiting\tyes\t0\t-\t-\t%s\n", n.Node, n.HTTP)
	}
	_ = table.Flush()
	for _, n := range list.Waiting {
		fmt.Fprintf(w, "%s is not a member: %s\n", n.Node, n.Why)
	}
}

// memberChange makes the command of one change. The first word of use is the change.
func memberChange(use, short, long string, args int, flags func(*cobra.Command, *client.MemberCommand)) *cobra.Command {
	var f clientFlags
	var m client.MemberCommand
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ExactArgs(args)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m.Do, m.Node = cmd.Name(), args[0]
		if len(args) > 1 {
			m.New = args[1]
		}
		return f.call(cmd, func(ctx context.Context, c *client.Client) error {
			detail, err := c.Command(ctx, m)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), detail)
			}
			return err
		})
	}
	f.register(cmd)
	if flags != nil {
		flags(cmd, &m)
	}
	return cmd
}
