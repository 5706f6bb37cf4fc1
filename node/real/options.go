package real

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"dkv/node"
)

// Config and NodeID let programs configure a Server without importing package
// node.
type (
	Config = node.Config
	NodeID = node.NodeID
)

// Options configure a Server. The zero value of a field means its default, if it
// has one.
type Options struct {
	// Config configures the core. Its addresses are the ones that others should
	// use; if empty, they are the addresses of the listeners.
	Config Config
	// Data is the data directory. Required.
	Data string
	// Listen is the address to serve clients on. Default 127.0.0.1:8000.
	Listen string
	// PeerListen is the address to serve peers on. Default 127.0.0.1:8002.
	PeerListen string
	// DebugListen is the address to serve pprof and metrics on. Default: none.
	DebugListen string
	// ZooKeeper lists the servers as host:port. Default 127.0.0.1:2181.
	ZooKeeper []string
	// SessionTimeout is requested from ZooKeeper. Default 4 s.
	SessionTimeout time.Duration
	// Log receives log lines. Default: none.
	Log *slog.Logger
}

const (
	defaultListen         = "127.0.0.1:8000"
	defaultPeerListen     = "127.0.0.1:8002"
	defaultZooKeeper      = "127.0.0.1:2181"
	defaultSessionTimeout = 4 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = defaultListen
	}
	if o.PeerListen == "" {
		o.PeerListen = defaultPeerListen
	}
	if len(o.ZooKeeper) == 0 {
		o.ZooKeeper = []string{defaultZooKeeper}
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = defaultSessionTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	if o.Data == "" {
		return errors.New("options: Data is empty: every node needs a data directory")
	}
	if o.SessionTimeout < 100*time.Millisecond || o.SessionTimeout > 10*time.Minute {
		return fmt.Errorf("options: invalid SessionTimeout %v (want 100ms to 10m)", o.SessionTimeout)
	}
	for _, server := range o.ZooKeeper {
		if host, port, err := net.SplitHostPort(server); err != nil || host == "" || port == "" {
			return fmt.Errorf("options: invalid ZooKeeper server %q (want host:port)", server)
		}
	}
	return nil
}

// advertised returns the address of a listener that others should use: the
// configured one, or the listener's own if that names a host.
func advertised(configured string, listener net.Addr, what string) (string, error) {
	if configured != "" {
		host, port, err := net.SplitHostPort(configured)
		if err != nil || host == "" || port == "" || port == "0" {
			return "", fmt.Errorf("options: invalid %s %q (want host:port)", what, configured)
		}
		return configured, nil
	}
	if tcp, ok := listener.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("options: %s is empty and the node listens on every address (%s): set the address that others should use", what, listener)
	}
	return listener.String(), nil
}

// open reports whether other machines may be able to reach a listener.
func open(listener net.Addr) bool {
	tcp, ok := listener.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}
