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
	tickRange = "10ms to 1h"
	minTick   = 10 * time.Millisecond
	maxTick   = time.Hour // 20 ticks still fit the protocol's int32 of milliseconds

	// Session timeouts in ticks, as in ZooKeeper.
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
		Short: "Run the embedded ZooKeeper-compatible server on its own",
		Long: `Run the ZooKeeper-compatible server that dkv local embeds, on its own, until it is
stopped (SIGTERM or Ctrl-C). Ordinary ZooKeeper clients work with it. It is meant
for tests and for single machines: it is one process with one disk and no quorum.

With --data every transaction is synced to disk before it is answered: a kill at
any moment loses nothing that was acknowledged, and sessions survive a restart.
Without it the state is lost when the process ends.

Session timeouts are limited to between 2 and 20 ticks.`,
		Example: `  dkv zk --data /var/lib/dkv-zk
  dkv node --id n1 --data /var/lib/dkv --zookeeper 127.0.0.1:2181`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:2181", "address to serve clients on")
	flags.StringVar(&f.data, "data", "", "data directory, created if missing; in memory only if empty")
	flags.DurationVar(&f.tick, "tick", 2*time.Second, "unit of session timeouts, "+tickRange)
	flags.StringVar(&f.logLevel, "log-level", "info", "log level on stderr: debug, info, warn or error")
	return cmd
}

// run serves until ctx ends or the server fails.
func (f *zkFlags) run(ctx context.Context, out, logs io.Writer) error {
	if f.tick < minTick || f.tick > maxTick {
		return fmt.Errorf("invalid --tick %v (want %s)", f.tick, tickRange)
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
		return fmt.Errorf("%w: another process is using the port; choose another with --listen", err)
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
		return fmt.Errorf("running the ZooKeeper-compatible server: %w", err)
	}
	fmt.Fprintln(out, "stopped")
	return nil
}

func (f *zkFlags) describe(out io.Writer, log *slog.Logger, address net.Addr) {
	if tcp, ok := address.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("this address is open to everyone who can reach it", "address", address.String())
	}
	if f.data == "" {
		fmt.Fprintln(out, "State is in memory only and is lost when this process ends; set --data to keep it.")
	} else {
		fmt.Fprintf(out, "State is kept in %s.\n", f.data)
	}
	fmt.Fprintf(out, "ZooKeeper-compatible server on %s: session timeouts from %v to %v. Press Ctrl-C to stop.\n",
		address, minSessionTicks*f.tick, maxSessionTicks*f.tick)
}

// zkService is a ZooKeeper-compatible server that accepts connections.
type zkService struct {
	server  *zkserver.Server
	address net.Addr
	ended   chan struct{} // closed when it accepts no more connections
	failed  error         // why it ended; nil after stop
}

// startZK starts a server. It takes the port before the data directory, so that a
// second server with the same flags fails with the clearer error. Port 0 is any
// free port.
func startZK(address string, o zkserver.Options) (*zkService, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for ZooKeeper clients: %w", err)
	}
	server, err := zkserver.Open(o)
	if err != nil {
		_ = listener.Close() // the server's error is more useful
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

// stop closes the server after syncing everything it accepted. If the server had
// already failed, stop returns that error.
func (z *zkService) stop() error {
	if err := z.server.Close(); err != nil {
		return err
	}
	<-z.ended
	return z.failed
}

func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
