package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dkv/node/client"
	"dkv/zksim/zkserver"
)

const (
	portStep    = 10 // between the ports of two nodes
	portOfPeers = 2  // after a node's port for clients
	portOfZK    = 1  // after the first node's port for clients

	readyPoll    = 50 * time.Millisecond
	readyPrinted = 5 * time.Second // between lines that say what is missing
	maxNodes     = 64
	embeddedZK   = 500 * time.Millisecond // a tick; session timeouts are at least two
	clusterName  = "local"
)

// localFlags are the flags of dkv local.
type localFlags struct {
	nodes          int
	data           string
	zookeeper      []string
	basePort       int
	partitions     int
	replication    int
	sessionTimeout time.Duration
	suspectAfter   time.Duration
	logLevel       string
}

func newLocalCommand() *cobra.Command {
	f := &localFlags{}
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run a whole cluster on this machine",
		Long: `Run a whole cluster on this machine, one process per node, until Ctrl-C. Node 1
serves clients on port 8000, node 2 on 8010, and so on; each node's port for other
nodes is two higher. A ZooKeeper-compatible server runs inside this process unless
--zookeeper names real servers.

Kill a node with kill -9 and watch the others take over. Nodes are not restarted
automatically, but the command that restarts each of them is printed. The data
stays in --data, and the next dkv local continues with it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.nodes, "nodes", 5, "number of nodes")
	flags.StringVar(&f.data, "data", "dkv-data", "directory for the data and logs of the whole cluster, created if missing")
	flags.StringSliceVar(&f.zookeeper, "zookeeper", nil, "real ZooKeeper servers as host:port, comma-separated; empty for the embedded one")
	flags.IntVar(&f.basePort, "base-port", 8000, "first port")
	flags.IntVar(&f.partitions, "partitions", 256, "number of partitions")
	flags.IntVar(&f.replication, "replication", 0, "number of nodes that store each key; 0 means three, or all if there are fewer")
	flags.DurationVar(&f.sessionTimeout, "session-timeout", 4*time.Second, "ZooKeeper session timeout")
	flags.DurationVar(&f.suspectAfter, "suspect-after", 500*time.Millisecond, "failover timeout: take over from a primary silent for this long")
	flags.StringVar(&f.logLevel, "log-level", "info", "log level of the nodes: debug, info, warn or error")
	return cmd
}

func (f *localFlags) check() error {
	if f.nodes < 1 || f.nodes > maxNodes {
		return fmt.Errorf("invalid --nodes %d (want 1 to %d)", f.nodes, maxNodes)
	}
	if last := f.basePort + portStep*(f.nodes-1) + portOfPeers; f.basePort < 1 || last > 65535 {
		return fmt.Errorf("invalid --base-port %d: the highest port of %d nodes would be %d (want 1 to 65535)", f.basePort, f.nodes, last)
	}
	if f.replication == 0 {
		f.replication = min(3, f.nodes)
	}
	var err error
	f.data, err = filepath.Abs(f.data)
	return err
}

// run starts the cluster, waits for ctx to end, and stops it.
func (f *localFlags) run(ctx context.Context, out io.Writer) error {
	if err := os.MkdirAll(f.data, 0o755); err != nil {
		return fmt.Errorf("creating the data directory: %w", err)
	}
	servers, stopZK, err := f.coordination()
	if err != nil {
		return err
	}
	defer stopZK()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("locating this program: %w", err)
	}
	specs := make([]nodeSpec, f.nodes)
	for i := range specs {
		specs[i] = f.spec(program, i, servers)
	}
	fleet, err := launch(specs)
	defer fleet.stop(out)
	if err != nil {
		return err
	}
	if err := f.awaitReady(ctx, out, fleet); err != nil {
		return err
	}
	f.describe(out, fleet, servers)
	fleet.watch(ctx, out)
	fmt.Fprintln(out, "\nstopping the cluster")
	return nil
}

// coordination returns the ZooKeeper servers. It starts the embedded one unless
// others are named.
func (f *localFlags) coordination() (servers []string, stop func(), err error) {
	if len(f.zookeeper) > 0 {
		return f.zookeeper, func() {}, nil
	}
	address := fmt.Sprintf("127.0.0.1:%d", f.basePort+portOfZK)
	z, err := startZK(address, zkserver.Options{
		Dir:               filepath.Join(f.data, "zookeeper"),
		Tick:              embeddedZK,
		MaxSessionTimeout: time.Minute,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if isTaken(err) {
		return nil, nil, fmt.Errorf("starting the embedded ZooKeeper: %w (is another dkv local running? choose other ports with --base-port)", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("starting the embedded ZooKeeper: %w", err)
	}
	go func() {
		<-z.ended
		if z.failed != nil {
			fmt.Fprintln(os.Stderr, "dkv: the embedded ZooKeeper failed:", z.failed)
		}
	}()
	return []string{address}, func() { _ = z.stop() }, nil // a failure was already reported
}

// nodeSpec describes how one node is started, the first time and after a kill.
type nodeSpec struct {
	id      string
	command []string
	http    string
	peers   string
	log     string
}

func (f *localFlags) spec(program string, i int, servers []string) nodeSpec {
	port := f.basePort + portStep*i
	id := fmt.Sprintf("n%d", i+1)
	s := nodeSpec{
		id:    id,
		http:  fmt.Sprintf("127.0.0.1:%d", port),
		peers: fmt.Sprintf("127.0.0.1:%d", port+portOfPeers),
		log:   filepath.Join(f.data, id+".log"),
	}
	s.command = []string{program, "node",
		"--id", id, "--cluster", clusterName, "--data", filepath.Join(f.data, id),
		"--listen", s.http, "--peer-listen", s.peers, "--zookeeper", strings.Join(servers, ","),
		"--expect", fmt.Sprint(f.nodes), "--partitions", fmt.Sprint(f.partitions), "--replication", fmt.Sprint(f.replication),
		"--session-timeout", f.sessionTimeout.String(), "--suspect-after", f.suspectAfter.String(),
		"--log-level", f.logLevel}
	return s
}

// awaitReady polls every node until all are ready. It fails if a node exits
// before that.
func (f *localFlags) awaitReady(ctx context.Context, out io.Writer, fleet *fleet) error {
	printed := time.Now()
	for _, p := range fleet.processes {
		c, err := client.New(p.spec.http)
		if err != nil {
			return err
		}
		for {
			ready, why := isReady(ctx, c)
			if ready {
				break
			}
			if time.Since(printed) > readyPrinted {
				printed = time.Now()
				fmt.Fprintf(out, "waiting for node %s: %s\n", p.spec.id, why)
			}
			if err := fleet.pause(ctx, readyPoll); err != nil {
				return err
			}
		}
		c.Close()
	}
	return nil
}

func isReady(ctx context.Context, c *client.Client) (ready bool, why string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ready, why, err := c.Ready(ctx)
	if err != nil {
		return false, err.Error()
	}
	return ready, why
}

func (f *localFlags) describe(out io.Writer, fleet *fleet, servers []string) {
	fmt.Fprintf(out, "The cluster is ready: %d nodes, %d partitions, %d replicas of each key.\n\n", f.nodes, f.partitions, f.replication)
	for _, p := range fleet.processes {
		fmt.Fprintf(out, "  %-4s clients http://%s   peers %s   pid %d\n", p.spec.id, p.spec.http, p.spec.peers, p.pid)
	}
	if len(f.zookeeper) == 0 {
		fmt.Fprintf(out, "  ZooKeeper (embedded) %s\n", servers[0])
	} else {
		fmt.Fprintf(out, "  ZooKeeper %s\n", strings.Join(servers, ","))
	}
	fmt.Fprintf(out, "  data and logs: %s\n", f.data)
	fmt.Fprintf(out, "\nTo restart a node that you killed, run its command in another terminal:\n")
	for _, p := range fleet.processes {
		fmt.Fprintf(out, "  %s\n", shellCommand(p.spec.command))
	}
	fmt.Fprintf(out, "\nTry: curl -i -X PUT --data-binary world http://%s/v1/kv/hello\nPress Ctrl-C to stop the cluster.\n", fleet.processes[0].spec.http)
}

// shellCommand quotes the words that a shell would split or expand.
func shellCommand(command []string) string {
	quoted := make([]string, len(command))
	for i, word := range command {
		if strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(shellSafe, r) }) || word == "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted[i] = word
	}
	return strings.Join(quoted, " ")
}

const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+:,./@%"
