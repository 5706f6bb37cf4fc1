package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dkv/node/real"
)

// nodeFlags are the flags of dkv node.
type nodeFlags struct {
	options  real.Options
	id       string
	moveRate size
	copyLog  size
	logLevel string

	replaceAfter time.Duration
}

func newNodeCommand() *cobra.Command {
	f := &nodeFlags{}
	cmd := &cobra.Command{
		Use:   "node --id NAME --data DIR [flags]",
		Short: "Run one node of a cluster",
		Long: `Run one node of a cluster until it is stopped (SIGTERM or Ctrl-C).

The first --expect nodes that register in ZooKeeper form the cluster. From then on
it serves clients, even while nodes or ZooKeeper are down, and every further node
joins it and gets its share of the data. The data directory is the node's identity:
keep it with the node, and never copy or share it.

--cluster, --partitions and --replication must be the same on every node, and cannot
change once the cluster has formed. --expect matters only until then.`,
		Example: `  dkv node --id n1 --data /var/lib/dkv --zookeeper zk1:2181,zk2:2181,zk3:2181 \
      --listen 10.0.0.1:8000 --peer-listen 10.0.0.1:8002`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *nodeFlags) register(flags *pflag.FlagSet) {
	o, c := &f.options, &f.options.Config
	flags.StringVar(&f.id, "id", "", "name of this node, unique in the cluster (required)")
	flags.StringVar(&o.Data, "data", "", "data directory of this node, created if missing (required)")
	flags.StringVar(&c.Cluster, "cluster", "default", "name of the cluster in ZooKeeper")
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8000", "address to serve clients on (HTTP)")
	flags.StringVar(&o.PeerListen, "peer-listen", "127.0.0.1:8002", "address to serve other nodes on (TCP)")
	flags.StringVar(&c.HTTPAddress, "advertise", "", "address that clients should use, if different from --listen")
	flags.StringVar(&c.PeerAddress, "peer-advertise", "", "address that other nodes should use, if different from --peer-listen")
	flags.StringVar(&o.DebugListen, "debug-listen", "", "address to serve profiles (pprof) and metrics on; not served if empty")
	flags.StringSliceVar(&o.ZooKeeper, "zookeeper", []string{"127.0.0.1:2181"}, "ZooKeeper servers as host:port, comma-separated")
	flags.DurationVar(&o.SessionTimeout, "session-timeout", 4*time.Second, "ZooKeeper session timeout")
	flags.IntVar(&c.Expect, "expect", 5, "number of nodes that form the cluster")
	flags.IntVar(&c.Partitions, "partitions", 256, "number of partitions, at most 4096")
	flags.IntVar(&c.Replication, "replication", 3, "number of nodes that store each key, at most 7")
	flags.StringVar(&c.Zone, "zone", "", "failure domain of this node; replicas are spread across zones")
	flags.IntVar(&c.Weight, "weight", 1, "this node's share of the data, relative to other nodes")
	flags.StringVar((*string)(&c.Zones), "zones", "strict", "strict: zones before weights; prefer: weights before zones (a new cluster's setting)")
	flags.IntVar(&c.DriftPPM, "max-drift", 500, "bound of the drift between two nodes' clocks, in millionths (a new cluster's setting)")
	flags.DurationVar(&c.SuspectAfter, "suspect-after", 500*time.Millisecond, "failover timeout: take over from a primary silent for this long (a new cluster's setting)")
	f.moveRate, f.copyLog = 32<<20, 1<<30
	flags.Var(&f.moveRate, "move-rate", "bytes a second that this node spends on data which moves to another node; 0: it begins no moves")
	flags.Var(&f.copyLog, "copy-log", "disk space for the log that such copies need while they run")
	flags.DurationVar(&c.RequestTimeout, "request-timeout", 5*time.Second, "default request timeout, at most 60s")
	flags.StringVar(&c.Join, "join", "auto", "how a new node becomes a member: auto, or approve (by 'dkv member approve')")
	flags.DurationVar(&f.replaceAfter, "replace-after", 10*time.Minute, "give the data of a member that is missing for so long to others; 0: never")
	flags.StringVar(&f.logLevel, "log-level", "info", "log level on stderr: debug, info, warn or error")
}

func (f *nodeFlags) run(cmd *cobra.Command) error {
	if f.id == "" {
		return errors.New("missing --id (or DKV_ID): every node needs a name")
	}
	if f.options.Data == "" {
		return errors.New("missing --data (or DKV_DATA): every node needs a data directory")
	}
	if err := f.checkAddresses(); err != nil {
		return err
	}
	log, err := newLog(cmd.ErrOrStderr(), f.logLevel)
	if err != nil {
		return err
	}
	f.options.Config.MoveRate, f.options.Config.CopyLogBytes = int(f.moveRate), int(f.copyLog)
	if f.moveRate == 0 {
		f.options.Config.MoveRate = -1 // to the core 0 is the default
	}
	if f.copyLog == 0 {
		return errors.New("invalid --copy-log 0: a copy needs some log (default 1GiB)")
	}
	f.options.Config.ID = real.NodeID(f.id)
	switch {
	case f.replaceAfter < 0:
		return fmt.Errorf("--replace-after %v is negative: use 0 to never replace a member", f.replaceAfter)
	case f.replaceAfter == 0:
		f.options.Config.ReplaceAfter = -1
	default:
		f.options.Config.ReplaceAfter = f.replaceAfter
	}
	f.options.Log = log
	server, err := real.Open(f.options)
	if isTaken(err) {
		return fmt.Errorf("%w: another process is using the port; choose another with --listen, --peer-listen or --debug-listen", err)
	}
	if err != nil {
		return err
	}
	return server.Run(cmd.Context())
}

// checkAddresses refuses a node that listens on every address and does not say
// which one others should use.
func (f *nodeFlags) checkAddresses() error {
	o, c := &f.options, &f.options.Config
	for _, a := range []struct{ listen, advertised, flag string }{
		{o.Listen, c.HTTPAddress, "listen"},
		{o.PeerListen, c.PeerAddress, "peer-listen"},
	} {
		if a.advertised == "" && isWildcard(a.listen) {
			return fmt.Errorf("--%s %s listens on every address of this machine: set --%s to the host:port that others should use",
				a.flag, a.listen, strings.Replace(a.flag, "listen", "advertise", 1))
		}
	}
	return nil
}

func isWildcard(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

func newLog(to io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, fmt.Errorf("invalid --log-level %q (want debug, info, warn or error)", level)
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: l})), nil
}
