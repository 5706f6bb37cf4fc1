package main

import (
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
	logLevel string
}

func newNodeCommand() *cobra.Command {
	f := &nodeFlags{}
	cmd := &cobra.Command{
		Use:   "node --id NAME --data DIR [flags]",
		Short: "Run one node of a cluster",
		Long: `Run one node of a cluster until it is told to stop (SIGTERM or Ctrl-C).

The first --expect nodes that register in ZooKeeper form the cluster; it serves
from then on, also when nodes or ZooKeeper fail. The data directory is the
node's identity: keep it with the node, never copy it, never share it.

--cluster, --partitions, --replication and --expect must be the same on all
nodes, and are fixed once the cluster is formed.`,
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
	flags.StringVar(&f.id, "id", "", "name of this node, unique in its cluster (required)")
	flags.StringVar(&o.Data, "data", "", "data directory of this node; made if it is missing (required)")
	flags.StringVar(&c.Cluster, "cluster", "default", "name of the cluster in ZooKeeper")
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8000", "address for clients (HTTP)")
	flags.StringVar(&o.PeerListen, "peer-listen", "127.0.0.1:8002", "address for the other nodes (TCP)")
	flags.StringVar(&c.HTTPAddress, "advertise", "", "address that clients are told, if not that of --listen")
	flags.StringVar(&c.PeerAddress, "peer-advertise", "", "address that the other nodes are told, if not that of --peer-listen")
	flags.StringVar(&o.DebugListen, "debug-listen", "", "address for profiles (pprof) and metrics; none if empty")
	flags.StringSliceVar(&o.ZooKeeper, "zookeeper", []string{"127.0.0.1:2181"}, "ZooKeeper servers, host:port, separated by commas")
	flags.DurationVar(&o.SessionTimeout, "session-timeout", 4*time.Second, "ZooKeeper session timeout")
	flags.IntVar(&c.Expect, "expect", 5, "how many nodes form the cluster")
	flags.IntVar(&c.Partitions, "partitions", 256, "into how many slices the keys are divided, at most 4096")
	flags.IntVar(&c.Replication, "replication", 3, "how many nodes keep each key, at most 7")
	flags.StringVar(&c.Zone, "zone", "", "failure domain of this node; replicas are spread over zones")
	flags.IntVar(&c.Weight, "weight", 1, "this node's share of the data, relative to the others'")
	flags.DurationVar(&c.SuspectAfter, "suspect-after", 500*time.Millisecond, "how long a silent node is given before others take over")
	flags.DurationVar(&c.RequestTimeout, "request-timeout", 5*time.Second, "bound of a request that brings none of its own, at most 60s")
	flags.StringVar(&f.logLevel, "log-level", "info", "what is logged to stderr: debug, info, warn or error")
}

func (f *nodeFlags) run(cmd *cobra.Command) error {
	if f.id == "" {
		return fmt.Errorf("a node needs a name: give --id or DKV_ID")
	}
	if f.options.Data == "" {
		return fmt.Errorf("a node needs a disk: give --data or DKV_DATA")
	}
	if err := f.checkAddresses(); err != nil {
		return err
	}
	log, err := newLog(cmd.ErrOrStderr(), f.logLevel)
	if err != nil {
		return err
	}
	f.options.Config.ID = real.NodeID(f.id)
	f.options.Log = log
	server, err := real.Open(f.options)
	if isTaken(err) {
		return fmt.Errorf("%w: another process has that port; --listen, --peer-listen and --debug-listen choose others", err)
	}
	if err != nil {
		return err
	}
	return server.Run(cmd.Context())
}

// checkAddresses wants to know what others are told of a node that listens on
// every address.
func (f *nodeFlags) checkAddresses() error {
	o, c := &f.options, &f.options.Config
	for _, a := range []struct{ listen, advertised, flag string }{
		{o.Listen, c.HTTPAddress, "listen"},
		{o.PeerListen, c.PeerAddress, "peer-listen"},
	} {
		if a.advertised == "" && isWildcard(a.listen) {
			return fmt.Errorf("--%s %s is every address of this machine: say with --%s which one others use, host:port",
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
		return nil, fmt.Errorf("--log-level %q: give debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: l})), nil
}
