package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dkv/node/client"
)

// statusFlags are the flags of dkv status.
type statusFlags struct {
	clientFlags
	output string
	watch  time.Duration
}

func newStatusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is: members, partitions, and what to do",
		Long: `Show how the cluster is: its members, its partitions by state, and what is wrong,
each with what helps. All servers are asked for the layout at the same time, and then
all members of the newest one. One that hangs costs two fifths of --timeout.

The exit code is 0 if the cluster is healthy, 6 if it is degraded (all keys are served,
and a further failure may stop some), 7 if some keys are not served, and 1 if no server
answers.`,
		Example: "  dkv status\n  dkv status --watch\n  dkv status -o json --server 10.0.0.1:8000,10.0.0.2:8000",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, or json as of GET /v1/health")
	cmd.Flags().DurationVar(&f.watch, "watch", 0, "show it again and again, so long after the last answer, until interrupted")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command) error {
	show := showStatus
	switch f.output {
	case "table":
	case "json":
		show = func(w io.Writer, h *client.Health) {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			_ = e.Encode(h)
		}
	default:
		return fmt.Errorf("invalid --output %q (want table or json)", f.output)
	}
	if f.watch == 0 {
		return f.once(cmd, show)
	}
	if f.watch < 0 {
		return fmt.Errorf("invalid --watch %v (want more than 0)", f.watch)
	}
	for {
		if f.output == "table" {
			clearScreen(cmd.OutOrStdout())
		}
		err := f.once(cmd, show)
		var code exitCode
		if err != nil && !errors.As(err, &code) && cmd.Context().Err() == nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "dkv:", err)
		}
		select {
		case <-cmd.Context().Done():
			return err
		case <-time.After(f.watch):
		}
	}
}

// once shows the status, and returns the exit code that it means.
func (f *statusFlags) once(cmd *cobra.Command, show func(io.Writer, *client.Health)) error {
	return f.call(cmd, func(ctx context.Context, c *client.Client) error {
		h, err := c.Health(ctx, f.timeout*2/5)
		if err != nil {
			return err
		}
		show(cmd.OutOrStdout(), h)
		switch h.State {
		case client.Degraded:
			return exitCode(exitDegraded)
		case client.Unavailable:
			return exitCode(exitUnavailable)
		}
		return nil
	})
}

// clearScreen clears a terminal; elsewhere the time separates what follows.
func clearScreen(w io.Writer) {
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprint(w, "\x1b[H\x1b[2J")
		}
	}
	fmt.Fprintf(w, "%s\n\n", time.Now().Format(time.DateTime))
}

func showStatus(w io.Writer, h *client.Health) {
	if h.Version >= 0 {
		fmt.Fprintf(w, "cluster %s, layout version %d, %d partitions, replication %d: %s\n\n",
			h.Cluster, h.Version, h.Partitions.Total, h.Replication, h.State)
		printMembers(w, h)
		p := &h.Partitions
		fmt.Fprintf(w, "\npartitions: %d of %d led, %d without a majority, %d under-replicated, %d moving, %d unsafe in a zone; longest uncommitted log: %d entries\n",
			p.Led, p.Total, p.NoMajority, p.UnderReplicated, p.Moving, p.UnsafeInZone, p.LongestLag)
		printMoves(w, h.Moves)
		printBurdens(w, &h.View)
	}
	for _, p := range h.Problems {
		word := string(p.State)
		if p.State == client.Healthy {
			word = "note"
		}
		fmt.Fprintf(w, "\n%s: %s\n", word, p.What)
		if p.Help != "" {
			fmt.Fprintf(w, "  what helps: %s\n", p.Help)
		}
	}
}

// printMembers shows the members, and below them the nodes that are not: those that were
// asked, and those that wait.
func printMembers(w io.Writer, h *client.Health) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tNODE\tSTATE\tHTTP\tPEERS\tPRIMARIES\tREPLICAS\tZOOKEEPER\tREADY")
	for _, m := range h.Members {
		ready := "yes"
		switch {
		case !m.Answers:
			ready = "no answer"
		case !m.Status.Ready:
			ready = "no: " + m.Status.Why
		}
		zooKeeper := m.Status.ZooKeeper
		if m.Status.Fault != "" {
			zooKeeper = m.Status.Fault
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n",
			m.Number, m.Node, m.State, m.HTTP, m.Peer, m.Primaries, m.Replicas, orDash(zooKeeper), ready)
	}
	for _, n := range h.Strangers {
		fmt.Fprintf(table, "-\t%s\tnot a member\t-\t-\t0\t0\t%s\tno: %s\n", n.ID, orDash(n.ZooKeeper), n.Why)
	}
	for _, n := range h.Waiting {
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

func printMoves(w io.Writer, m client.Moves) {
	if m.Left == 0 {
		return
	}
	left := "time left not known yet"
	if m.SecondsLeft > 0 {
		left = fmt.Sprintf("about %.0f s left", m.SecondsLeft)
	}
	fmt.Fprintf(w, "moving data: %d of %d replicas done, %s\n", m.Total-m.Left, m.Total, left)
}

// printBurdens prints who carries more than its weight because of its zone.
func printBurdens(w io.Writer, cluster *client.Cluster) {
	names := map[uint32]client.Member{}
	for _, m := range cluster.Members {
		names[m.Number] = m
	}
	for _, b := range cluster.Burdened {
		m := names[b.Member]
		fmt.Fprintf(w, "%s stores %.0f %% of all partitions instead of %.0f %% by its weight, because zone %s has too few members\n",
			m.Node, 100*b.Share, 100*b.ByWeight, orDash(m.Zone))
	}
}
