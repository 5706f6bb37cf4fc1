package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dkv/node/client"
)

func newStatusCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show cluster members and partition status",
		Long: `Show cluster members and partition status. The list of members comes from the
first --server that answers; the state of the partitions comes from the members.

The exit code is 0 if every partition has an active primary, otherwise 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.call(cmd, func(ctx context.Context, c *client.Client) error { return showStatus(ctx, cmd.OutOrStdout(), c) })
		},
	}
	f.register(cmd)
	return cmd
}

// memberView is what one member reports about itself.
type memberView struct {
	member     client.Member
	node       client.NodeStatus
	partitions []client.Partition
	err        error
}

func showStatus(ctx context.Context, w io.Writer, c *client.Client) error {
	cluster, err := c.Cluster(ctx)
	if err != nil {
		return err
	}
	if cluster.Version < 0 {
		fmt.Fprintf(w, "The cluster has not formed yet. Node %s: %s\n", cluster.Node.ID, cluster.Node.Why)
		return exitCode(exitError)
	}
	views := askMembers(ctx, cluster.Members)
	fmt.Fprintf(w, "cluster %s, layout version %d, %d partitions, replication %d\n\n",
		cluster.Cluster, cluster.Version, cluster.Partitions, cluster.Replication)
	printMembers(w, views, cluster.Node, waitingNodes(ctx, c))
	printZones(w, cluster)
	assigned, err := c.Partitions(ctx)
	if err != nil {
		return err
	}
	if s := summarize(assigned, views); !s.print(w) {
		return exitCode(exitError)
	}
	return nil
}

// askMembers asks all members concurrently. There are at most 256.
func askMembers(ctx context.Context, members []client.Member) []memberView {
	views := make([]memberView, len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() { views[i] = askMember(ctx, m) })
	}
	asking.Wait()
	return views
}

func askMember(ctx context.Context, m client.Member) memberView {
	v := memberView{member: m}
	if m.State == "gone" {
		v.err = fmt.Errorf("gone")
		return v
	}
	c, err := client.New(m.HTTP)
	if err != nil {
		v.err = err
		return v
	}
	defer c.Close()
	cluster, err := c.Cluster(ctx)
	if err == nil {
		v.node = cluster.Node
		v.partitions, err = c.Partitions(ctx)
	}
	v.err = err
	return v
}

// waitingNodes returns the nodes that are registered and are not members, if the server
// that answers knows them: a member that has a session does.
func waitingNodes(ctx context.Context, c *client.Client) []client.WaitingNode {
	list, err := c.Members(ctx)
	if err != nil {
		return nil
	}
	return list.Waiting
}

// printMembers shows the members, and below them the nodes that are not: the one that was
// asked, and those that wait.
func printMembers(w io.Writer, views []memberView, asked client.NodeStatus, waiting []client.WaitingNode) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tNODE\tSTATE\tHTTP\tPEERS\tPRIMARIES\tREPLICAS\tZOOKEEPER\tREADY")
	for _, v := range views {
		m := v.member
		ready := "yes"
		switch {
		case v.err != nil:
			ready = "no answer"
		case v.node.ID != m.Node || v.node.Store != m.Store:
			ready = "no: a different node answers at this address"
		case !v.node.Ready:
			ready = "no: " + v.node.Why
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n",
			m.Number, m.Node, m.State, m.HTTP, m.Peer, m.Primaries, m.Replicas, orDash(v.node.ZooKeeper), ready)
	}
	if asked.Member == 0 {
		fmt.Fprintf(table, "-\t%s\tnot a member\t-\t-\t0\t0\t%s\tno: %s\n", asked.ID, orDash(asked.ZooKeeper), asked.Why)
	}
	for _, n := range waiting {
		fmt.Fprintf(table, "-\t%s\tnot a member\t%s\t-\t0\t0\t-\tno: %s\n", n.Node, n.HTTP, n.Why)
	}
	_ = table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// printZones prints what the loss of a zone would stop, and who carries more than its
// weight because of its zone.
func printZones(w io.Writer, cluster client.Cluster) {
	for _, zone := range slices.Sorted(maps.Keys(cluster.StoppedBy)) {
		stopped := cluster.StoppedBy[zone]
		fmt.Fprintf(w, "\nthe loss of zone %s would stop %d partitions: %s", zone, len(stopped), someOf(stopped))
	}
	names := map[uint32]client.Member{}
	for _, m := range cluster.Members {
		names[m.Number] = m
	}
	for _, b := range cluster.Burdened {
		m := names[b.Member]
		fmt.Fprintf(w, "\n%s stores %.0f %% of all partitions instead of %.0f %% by its weight, because zone %s has too few members",
			m.Node, 100*b.Share, 100*b.ByWeight, orDash(m.Zone))
	}
	if len(cluster.StoppedBy)+len(cluster.Burdened) > 0 {
		fmt.Fprintln(w)
	}
}

// someOf lists the first of many partitions.
func someOf(partitions []uint32) string {
	const shown = 16
	if len(partitions) > shown {
		return fmt.Sprintf("%v and %d more", partitions[:shown], len(partitions)-shown)
	}
	return fmt.Sprint(partitions)
}

// summary counts the partitions by state.
type summary struct {
	active, moving int
	waiting        []uint32 // without an active primary
	maxLag         uint64   // of any replica whose member answered
}

func summarize(assigned []client.Partition, views []memberView) summary {
	var s summary
	active := map[uint32]bool{}
	for _, v := range views {
		for _, p := range v.partitions {
			if p.Here == nil {
				continue
			}
			if p.Here.Role == "primary" {
				active[p.ID] = true
			}
			s.maxLag = max(s.maxLag, p.Here.Lag)
		}
	}
	for _, p := range assigned {
		if len(p.Next) > 0 {
			s.moving++
		}
		if active[p.ID] {
			s.active++
		} else {
			s.waiting = append(s.waiting, p.ID)
		}
	}
	return s
}

// print reports whether every partition has an active primary.
func (s summary) print(w io.Writer) bool {
	fmt.Fprintf(w, "\npartitions: %d active, %d without an active primary, %d moving; longest uncommitted log: %d entries\n",
		s.active, len(s.waiting), s.moving, s.maxLag)
	if len(s.waiting) > 0 {
		fmt.Fprintf(w, "without an active primary: %s\n", someOf(s.waiting))
	}
	return len(s.waiting) == 0
}
