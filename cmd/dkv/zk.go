package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dkv/zksim/zkserver"
)

const (
	minTick = 10 * time.Millisecond
	maxTick = time.Hour // 20 of them still fit the protocol's milliseconds

	// Session timeouts in ticks, as ZooKeeper has them.
	minSessionTicks = 2
	maxSessionTicks = 20
)

// zkFlags are the flags of dkv zk.
type zkFlags struct {
	listen   string
	data     string
	tick     time.Duration
	logLevel string
}

func newZKCommand() *cobra.Command {
	f := &zkFlags{}
	cmd := &cobra.Command{
		Use:   "zk",
		Short: "Run the embedded ZooKeeper-compatible server alone",
		Long: `Run the ZooKeeper-compatible server that dkv local embeds, alone, until it is
told to stop (SIGTERM or Ctrl-C). Unchanged ZooKeeper clients work with it. It is
meant for tests and for one machine: it is one process and one disk, with no
quorum.

With --data every transaction is synced to disk before it is answered; a kill at
any instant loses nothing that was acknowledged, and sessions are alive again
after a restart. Without it the state ends with the process.

Clients get session timeouts of 2 to 20 ticks, the nearest to what they ask for.`,
		Example: `  dkv zk --data /var/lib/dkv-zk
  dkv node --id n1 --data /var/lib/dkv --zookeeper 127.0.0.1:2181`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:2181", "address for clients")
	flags.StringVar(&f.data, "data", "", "data directory; made if it is missing; in memory only if empty")
	flags.DurationVar(&f.tick, "tick", 2*time.Second, "unit of session timeouts, 10ms to 1h")
	flags.StringVar(&f.logLevel, "log-level", "info", "what is logged to stderr: debug, info, warn or error")
	return cmd
}

// run serves until ctx ends or the server fails.
func (f *zkFlags) run(ctx context.Context, out, logs io.Writer) error {
	if f.tick < minTick || f.tick > maxTick {
		return fmt.Errorf("--tick %v: give %v to %v", f.tick, minTick, maxTick)
	}
	log, err := newLog(logs, f.logLevel)
	if err != nil {
		return err
	}
	z, err := startZK(f.listen, zkserver.Options{
		Dir:               f.data,
		Tick:              f.tick,
		MinSessionTimeout: minSessionTicks * f.tick,
		MaxSessionTimeout: maxSessionTicks * f.tick,
		Logger:            log,
	})
	if isTaken(err) {
		return fmt.Errorf("%w: another process has that port; --listen chooses another", err)
	}
	if err != nil {
		return err
	}
	f.describe(out, log, z.address)
	select {
	case <-ctx.Done():
	case <-z.ended:
	}
	if err := z.stop(); err != nil {
		return fmt.Errorf("the ZooKeeper-compatible server: %w", err)
	}
	fmt.Fprintln(out, "stopped")
	return nil
}

func (f *zkFlags) describe(out io.Writer, log *slog.Logger, address net.Addr) {
	if tcp, ok := address.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("this address is open to everybody who reaches it", "address", address.String())
	}
	if f.data == "" {
		fmt.Fprintln(out, "State is in memory only and ends with this process; --data DIR keeps it.")
	} else {
		fmt.Fprintf(out, "State is kept in %s.\n", f.data)
	}
	fmt.Fprintf(out, "ZooKeeper-compatible server on %s: sessions of %v to %v. Ctrl-C stops it.\n",
		address, minSessionTicks*f.tick, maxSessionTicks*f.tick)
}

// zkService is a ZooKeeper-compatible server that listens.
type zkService struct {
	server  *zkserver.Server
	address net.Addr
	ended   chan struct{} // closed when it takes no more connections
	failed  error         // why, once ended; nil after stop
}

// startZK starts a server. The port comes first: whoever is second on the same
// address and the same data stops there. A port of 0 is any free one.
func startZK(address string, o zkserver.Options) (*zkService, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for ZooKeeper clients: %w", err)
	}
	server, err := zkserver.Open(o)
	if err != nil {
		_ = listener.Close() // the server's error says more
		return nil, err
	}
	z := &zkService{server: server, address: listener.Addr(), ended: make(chan struct{})}
	go func() {
		defer close(z.ended)
		if err := server.Serve(listener); !errors.Is(err, zkserver.ErrClosed) {
			z.failed = err
		}
	}()
	return z, nil
}

// stop closes the server once all that it took is synced. It says why the
// server had ended before, if it had.
func (z *zkService) stop() error {
	if err := z.server.Close(); err != nil {
		return err
	}
	<-z.ended
	return z.failed
}

func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
