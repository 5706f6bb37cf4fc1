package real

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"dkv/node"
)

// Config and NodeID are the core's, for programs that build a Server and need
// not know package node.
type (
	Config = node.Config
	NodeID = node.NodeID
)

// Options say what a Server is made of. The zero value of a field means its
// default, where there is one.
type Options struct {
	// Config is the core's. Its addresses are what the node tells others; an
	// empty one is taken from the listener.
	Config Config
	// Data is the data directory: the node's disk. Required.
	Data string
	// Listen is where clients are served. Default 127.0.0.1:8000.
	Listen string
	// PeerListen is where peers are served. Default 127.0.0.1:8002.
	PeerListen string
	// DebugListen is where pprof and metrics are served; empty: nowhere.
	DebugListen string
	// ZooKeeper lists the servers, host:port. Default 127.0.0.1:2181.
	ZooKeeper []string
	// SessionTimeout is asked of ZooKeeper. Default 4 s.
	SessionTimeout time.Duration
	// Log takes the node's lines. Default: nobody.
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
		return errors.New("options: Data: a node needs a data directory")
	}
	if o.SessionTimeout < 100*time.Millisecond || o.SessionTimeout > 10*time.Minute {
		return fmt.Errorf("options: SessionTimeout %v: must be 100ms to 10m", o.SessionTimeout)
	}
	for _, server := range o.ZooKeeper {
		if host, port, err := net.SplitHostPort(server); err != nil || host == "" || port == "" {
			return fmt.Errorf("options: ZooKeeper %q: give host:port", server)
		}
	}
	return nil
}

// advertised is what others are told of a listener: the configured address, or
// the listener's own if it names a host.
func advertised(configured string, listener net.Addr, what string) (string, error) {
	if configured != "" {
		host, port, err := net.SplitHostPort(configured)
		if err != nil || host == "" || port == "" || port == "0" {
			return "", fmt.Errorf("options: %s %q: give host:port", what, configured)
		}
		return configured, nil
	}
	if tcp, ok := listener.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("options: %s: listening on every address (%s), so say which one others use", what, listener)
	}
	return listener.String(), nil
}

// open says whether others than this machine reach a listener.
func open(listener net.Addr) bool {
	tcp, ok := listener.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}
