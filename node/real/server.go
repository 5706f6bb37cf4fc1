package real

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"dkv/node"
	"dkv/node/client"
	"dkv/node/door"
	"dkv/node/pebblestore"
	"dkv/node/real/httpapi"
	"dkv/node/real/loop"
	"dkv/node/real/metrics"
	"dkv/node/real/peer"
	"dkv/node/real/zookeeper"
)

const (
	// stopTime limits each step of a graceful stop but the node's own, answerDrain the
	// sending of the last answers.
	stopTime    = 5 * time.Second
	answerDrain = 1 * time.Second
	// answerGrace is how long after a request's timeout the API waits for a node
	// that is stalled before it answers in its place.
	answerGrace = 5 * time.Second
	// statusTime is how long a page waits for the loop.
	statusTime = 2 * time.Second
	// healthTime is how long the page of the whole cluster waits for each node.
	healthTime = 2 * time.Second
)

// A Server is one node with everything that it runs on.
type Server struct {
	options  Options
	log      *slog.Logger
	loop     *loop.Loop
	node     *node.Node
	store    *pebblestore.Store
	network  *peer.Network
	zk       *zookeeper.Coordinator
	observer *observer
	api      *httpapi.API
	self     *client.Client // of this node
	http     *http.Server
	listener net.Listener
	clients  *httpapi.Listener // the same, while it is served
	debug    *http.Server      // nil if not configured
	debugAt  net.Listener

	patience time.Duration // for each step of a graceful stop but the node's own
	parting  time.Duration // for that one
	failOnce sync.Once
	failed   chan struct{} // closed once failure is set
	failure  error
}

// Open locks the data directory and opens the ports, but serves nothing before Run.
// A Server that was opened must be run.
func Open(o Options) (s *Server, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s = &Server{options: o, log: o.Log, loop: loop.New(), patience: stopTime, parting: node.StopTime + time.Second, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			s.release()
			s = nil
		}
	}()
	if err = s.listen(); err != nil {
		return s, err
	}
	if err = s.options.Config.Validate(); err != nil { // before the data directory is created
		return s, err
	}
	s.store, err = pebblestore.Open(pebblestore.Options{
		Dir: o.Data, Post: func(fn func()) { s.loop.Post(fn) }, Failed: s.fail, Logger: s.log,
	})
	if err != nil {
		return s, fmt.Errorf("opening the data directory: %w", err)
	}
	s.zk = zookeeper.New(s.loop.Post, o.ZooKeeper, o.SessionTimeout, s.log)
	s.observer = newObserver(s.log)
	s.node, err = node.New(s.options.Config, node.Env{
		Clock: s.loop.Clock(), Network: s.network, Store: s.store, Coordinator: s.zk,
		Observer: s.observer, Random: newRandom(), Fail: s.fail,
	})
	if err != nil {
		return s, err
	}
	s.loop.OnFrame = s.node.OnMessage
	s.loop.EndTurn = func() {
		s.node.EndTurn()
		s.network.Flush()
	}
	if s.self, err = client.New(s.HTTPAddress()); err != nil {
		return s, err
	}
	s.serveHTTP()
	return s, nil
}

// listen opens the ports and fills in the addresses that others should use.
func (s *Server) listen() error {
	peers, err := net.Listen("tcp", s.options.PeerListen)
	if err != nil {
		return fmt.Errorf("listening for peers: %w", err)
	}
	s.network = peer.New(s.loop, peers, s.log)
	s.listener, err = net.Listen("tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listening for clients: %w", err)
	}
	c := &s.options.Config
	if c.PeerAddress, err = advertised(c.PeerAddress, peers.Addr(), "PeerAddress"); err != nil {
		return err
	}
	if c.HTTPAddress, err = advertised(c.HTTPAddress, s.listener.Addr(), "HTTPAddress"); err != nil {
		return err
	}
	if s.options.DebugListen != "" {
		s.debugAt, err = net.Listen("tcp", s.options.DebugListen)
		if err != nil {
			return fmt.Errorf("listening for debugging: %w", err)
		}
	}
	return nil
}

// release undoes what Open has done so far.
func (s *Server) release() {
	s.loop.Stop()
	if s.network != nil {
		s.network.Close()
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.debugAt != nil {
		_ = s.debugAt.Close()
	}
	if s.store != nil {
		_ = s.store.Close()
	}
	if s.observer != nil {
		s.observer.close()
	}
}

func (s *Server) serveHTTP() {
	m := metrics.New()
	metricsPage := m.Handler(s.log)
	s.api = httpapi.New(httpapi.Node{
		Submit: func(q door.Request, done func(door.Response)) bool {
			return s.loop.Post(func() { s.node.OnRequest(q, done) })
		},
		Command: func(c node.MemberCommand, done func(node.MemberAnswer)) bool {
			return s.loop.Post(func() { s.node.OnMemberCommand(c, done) })
		},
		Set: func(c node.SettingCommand, done func(node.MemberAnswer)) bool {
			return s.loop.Post(func() { s.node.OnSettingCommand(c, done) })
		},
		Stopped: s.loop.Stopped(),
		Status:  s.status,
		Health:  s.health,
		Timeout: cmp.Or(s.options.Config.RequestTimeout, node.MaxRequestTimeout),
		Grace:   answerGrace,
	}, m, metricsPage)
	s.loop.Register(m)
	s.network.Register(m)
	s.zk.Register(m)
	s.observer.register(m)
	registerStore(m, s.store)
	s.http = httpapi.NewServer(s.api, s.log)
	if s.debugAt != nil {
		s.debug = httpapi.NewServer(debugPages(metricsPage), s.log)
		s.debug.WriteTimeout = 0 // a profile takes as long as its client asks
	}
}

func debugPages(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/metrics", metrics)
	return mux
}

// status asks the loop for the status of the node. It returns nil if the loop does
// not answer.
func (s *Server) status(all bool) *node.Status {
	answer := make(chan *node.Status, 1)
	if !s.loop.Post(func() { answer <- s.node.Status(all) }) {
		return nil
	}
	select {
	case status := <-answer:
		return status
	case <-s.loop.Stopped():
	case <-time.After(statusTime):
	}
	return nil
}

// health asks all members, as any client would, beginning with this node.
func (s *Server) health(ctx context.Context) (page any, served bool, err error) {
	h, err := s.self.Health(ctx, healthTime)
	if err != nil {
		return nil, false, err
	}
	return h, h.State != client.Unavailable, nil
}

// HTTPAddress returns the address that clients connect to.
func (s *Server) HTTPAddress() string { return s.listener.Addr().String() }

// PeerAddress returns the address that peers connect to.
func (s *Server) PeerAddress() string { return s.network.Address().String() }

// Run serves until ctx ends or the node fails. It returns nil after a graceful stop,
// which hands the node's partitions over, ends the requests in progress and closes the
// session. A stop takes a bounded time: each of its steps has a limit.
func (s *Server) Run(ctx context.Context) error {
	s.announce()
	s.loop.Post(s.node.Start) // the first event
	s.network.Start(peer.Protocol{
		Hello: s.node.Hello, Judge: s.node.OnHello, Refuse: s.node.Refuse,
		Refused: s.node.OnRefused, Lost: s.node.OnPeerLost,
	})
	ended := make(chan struct{})
	go func() { s.loop.Run(); close(ended) }()
	s.clients = httpapi.Limit(s.listener)
	s.goServe(s.http, s.clients)
	if s.debug != nil {
		s.goServe(s.debug, httpapi.Limit(s.debugAt))
	}
	select {
	case <-ctx.Done():
		s.stop(ended)
	case <-s.failed:
		s.abandon(ended)
	}
	select {
	case <-s.failed: // perhaps while stopping
		return s.failure
	default:
		return nil
	}
}

func (s *Server) goServe(server *http.Server, listener net.Listener) {
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.fail(fmt.Errorf("serving clients: %w", err))
		}
	}()
}

// announce logs where the node listens, and warns if other machines can connect.
func (s *Server) announce() {
	c := s.options.Config
	s.log.Info("starting node", "id", string(c.ID), "http", s.HTTPAddress(), "peers", s.PeerAddress(),
		"advertises", c.PeerAddress, "data", s.options.Data, "zookeeper", fmt.Sprint(s.options.ZooKeeper))
	addresses := []net.Addr{s.listener.Addr(), s.network.Address()}
	if s.debugAt != nil {
		addresses = append(addresses, s.debugAt.Addr())
	}
	for _, a := range addresses {
		if open(a) {
			s.log.Warn("this address is open to everyone who can reach it: there is no TLS and no authentication", "address", a.String())
		}
	}
}

// fail ends the server with the first error it is given. Any goroutine may call it.
func (s *Server) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = err
		close(s.failed)
		s.loop.Stop()
	})
}

// stop ends gracefully: first the node, which hands its partitions over and answers its
// requests, then the connections of clients, whose last requests it refuses, then what it
// runs on.
func (s *Server) stop(ended <-chan struct{}) {
	s.log.Info("stopping node")
	s.api.Leave()
	left := make(chan struct{})
	s.loop.Post(func() { s.node.Stop(func() { close(left) }) })
	select {
	case <-left:
	case <-s.failed:
	case <-time.After(s.parting):
		s.log.Warn("the node did not finish its requests in time")
		s.loop.Stop()
	}
	if s.closeDoors(ended) { // otherwise the loop may still be using the store
		s.bounded("closing the store", func() { _ = s.store.Close() })
	}
	s.observer.close()
	s.log.Info("node stopped")
}

// abandon ends after a failure. It does not touch the store any more.
func (s *Server) abandon(ended <-chan struct{}) {
	s.log.Error("the node failed", "error", s.failure)
	s.closeDoors(ended)
	s.observer.close()
}

// closeDoors stops the adapters and the loop. It reports whether the loop has
// returned, so that nothing uses the store any more. A loop that still runs ends the last
// requests of clients.
func (s *Server) closeDoors(ended <-chan struct{}) bool {
	bound, cancel := context.WithTimeout(context.Background(), answerDrain)
	defer cancel()
	s.clients.Drain(bound, s.http)
	s.loop.Stop()
	over := s.bounded("stopping the loop", func() { <-ended })
	if s.debug != nil {
		_ = s.debug.Close()
	}
	s.self.Close()
	s.bounded("closing connections", s.network.Close)
	return over
}

// bounded runs fn and waits for it, but not for long, because the process is about
// to exit anyway. It reports whether fn has returned.
func (s *Server) bounded(what string, fn func()) bool {
	done := make(chan struct{})
	go func() { fn(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(s.patience):
		s.log.Warn("gave up waiting", "for", what)
		return false
	}
}

// newRandom returns a source of randomness that the operating system has seeded.
func newRandom() door.Random {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // it never fails
	return mathrand.New(mathrand.NewChaCha8(seed))
}
