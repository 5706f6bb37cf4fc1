package zkserver

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"dkv/zksim/zktree"
)

// Options shape a server. The zero value of each field means its default.
type Options struct {
	// Dir is where state is kept; it is made if it is missing. Empty: state is
	// in memory only and ends with the server.
	Dir string
	// Tick is the unit of session timeouts; default 2 s.
	Tick time.Duration
	// MinSessionTimeout and MaxSessionTimeout clamp what clients ask for;
	// default 2 and 20 ticks.
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration
	// MaxConnections is how many clients may be connected at once; more are
	// closed silently. Default 1,024.
	MaxConnections int
	// SnapshotBytes is how long the log may grow before a snapshot replaces
	// it; default 64 MiB.
	SnapshotBytes int64
	// ContainerInterval is how often containers without children and nodes
	// whose time to live is over are looked for and removed; default 60 s.
	ContainerInterval time.Duration
	// Logger is told of starts, snapshots and refusals; default: nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Tick == 0 {
		o.Tick = 2 * time.Second
	}
	if o.MinSessionTimeout == 0 {
		o.MinSessionTimeout = 2 * o.Tick
	}
	if o.MaxSessionTimeout == 0 {
		o.MaxSessionTimeout = max(20*o.Tick, o.MinSessionTimeout)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 1024
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 64 << 20
	}
	if o.ContainerInterval == 0 {
		o.ContainerInterval = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o *Options) validate() error {
	if o.Tick < time.Millisecond {
		return fmt.Errorf("zkserver: Tick is %v, must be a millisecond or more", o.Tick)
	}
	if o.MinSessionTimeout < 0 || o.MinSessionTimeout > o.MaxSessionTimeout {
		return fmt.Errorf("zkserver: session timeouts from %v to %v", o.MinSessionTimeout, o.MaxSessionTimeout)
	}
	if o.MaxConnections < 1 || o.SnapshotBytes < 0 {
		return fmt.Errorf("zkserver: MaxConnections is %d, SnapshotBytes is %d", o.MaxConnections, o.SnapshotBytes)
	}
	if o.ContainerInterval < time.Millisecond {
		return fmt.Errorf("zkserver: ContainerInterval is %v, must be a millisecond or more", o.ContainerInterval)
	}
	return nil
}

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("zkserver: server closed")

// Server is a ZooKeeper server. Its methods may be called from any goroutine.
type Server struct {
	opts    Options
	began   time.Time
	stop    chan struct{} // closed when the server ends
	clock   sync.WaitGroup
	conns   sync.WaitGroup
	latency sharedLatency

	closing  sync.Once
	closeErr error

	mu        sync.Mutex // taken last
	err       error      // why it ended
	listeners map[net.Listener]struct{}
	addr      net.Addr
	open      map[*conn]struct{}
	nextConn  int64

	// turn is the right to what follows: who holds it owns the state.
	turn     sync.Mutex
	tree     *zktree.Tree
	seen     *zktree.Tree // what clients are shown: tree, unless the server lags
	watches  *zktree.Watches
	lag      *lag // nil: none
	zxid     int64
	sessions map[int64]*session
	lastID   int64
	byID     map[int64]*conn // connections that can be told events
	dirty    []*conn
	wal      *wal // nil: memory only
	batch    batch
	answered int // bytes of this turn's replies
	lastTick time.Time
	total    traffic
	faults   faults
}

// session is what the server keeps of a live session beside the tree.
type session struct {
	id       int64
	timeout  time.Duration
	password [16]byte
	conn     *conn // nil while the client is away
	heard    time.Time
}

// maxTurn is how many requests of a connection share a turn.
const maxTurn = 256

// Open makes a server and, given a directory, finds again what an earlier one
// left there: all sessions are alive, with their full timeouts from now.
func Open(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts:      o,
		began:     time.Now(),
		stop:      make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		open:      make(map[*conn]struct{}),
		byID:      make(map[int64]*conn),
	}
	tree := zktree.NewTree()
	if o.Dir != "" {
		var err error
		if s.wal, tree, err = openWAL(o.Dir, o.Logger, s.fail); err != nil {
			return nil, err
		}
	}
	s.restore(tree)
	s.clock.Add(1)
	go s.keepTime()
	return s, nil
}

// restore makes a tree the server's state.
func (s *Server) restore(tree *zktree.Tree) {
	s.lastTick = time.Now()
	s.tree, s.seen, s.zxid = tree, tree, tree.Zxid()
	s.watches = zktree.NewWatches()
	s.lastID = max(s.lastID, firstSessionID())
	s.sessions = make(map[int64]*session)
	for _, id := range tree.Sessions() {
		timeout, password, _ := tree.Session(id)
		s.sessions[id] = &session{id: id, timeout: timeout, password: password, heard: s.lastTick}
	}
}

// firstSessionID starts where no earlier server of this state can have been:
// the top byte is a server's number, then comes the time.
func firstSessionID() int64 {
	return 1<<56 | time.Now().UnixMilli()<<24>>8&(1<<56-1)
}

// Serve takes connections until the listener fails or the server ends; then
// it returns why (ErrClosed after Close). It may be called for several
// listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		_ = l.Close()
		return s.err
	}
	s.listeners[l] = struct{}{}
	if s.addr == nil {
		s.addr = l.Addr()
	}
	s.mu.Unlock()
	failures := 0
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			failures = 0
			s.admit(nc)
		case errors.Is(err, net.ErrClosed) || failures == maxAcceptFailures:
			return s.serveEnded(l, err)
		default: // out of file descriptors, or the client has gone again
			failures++
			time.Sleep(acceptPause)
		}
	}
}

// A listener that fails this often in a row is given up.
const (
	maxAcceptFailures = 100
	acceptPause       = 50 * time.Millisecond
)

func (s *Server) serveEnded(l net.Listener, err error) error {
	_ = l.Close() // it may be closed already
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("zkserver: accepting connections: %w", err)
}

func (s *Server) admit(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || len(s.open) >= s.opts.MaxConnections {
		_ = nc.Close()
		return
	}
	s.nextConn++
	c := newConn(s, s.nextConn, nc)
	s.open[c] = struct{}{}
	s.conns.Add(2)
	go func() {
		defer s.conns.Done()
		c.read()
	}()
	go func() {
		defer s.conns.Done()
		c.write()
	}()
}

// connDone runs when a connection's reader ends.
func (s *Server) connDone(c *conn) {
	if !s.begin() {
		return // Close still sends what was answered
	}
	s.forget(c)
	s.finish(c)
	c.kill()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

// Addr is the address of the first listener served, nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close ends the server: nothing more is taken, what was taken is synced and
// answered (a client that does not read is waited for a second), connections
// are closed, the directory is let go. Sessions are kept there. It returns the
// error that ended the server before, if one did. A second call waits for the
// first and returns the same.
func (s *Server) Close() error {
	s.end(ErrClosed)
	s.closing.Do(func() {
		s.clock.Wait()
		s.turn.Lock() // the last one is over, and nobody begins another
		s.setLag(0)
		s.finish(nil)
		if s.wal != nil {
			s.closeErr = s.wal.close()
		}
		s.closeConns()
		s.conns.Wait()
		if s.err != ErrClosed { // set by end, and never changed after
			s.closeErr = s.err
		}
	})
	return s.closeErr
}

// closeConns lets every connection end once its output is sent.
func (s *Server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.close()
	}
}

// fail ends the server because of a fault; nothing is answered any more.
func (s *Server) fail(err error) {
	s.opts.Logger.Error("zkserver stops", "error", err)
	s.end(err)
}

func (s *Server) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = why
	close(s.stop)
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.open {
		if why == ErrClosed {
			c.stopReading()
		} else {
			c.kill()
		}
	}
}

// begin takes the turn; false, and not taken, when the server has ended.
func (s *Server) begin() bool {
	s.turn.Lock()
	select {
	case <-s.stop:
		s.turn.Unlock()
		return false
	default:
		return true
	}
}

// finish ends the turn. Its output is released after a sync of everything that
// it and earlier turns wrote: nobody hears of what a crash could take back.
// Without a log that is at once, and the caller sends it, outside the turn.
// c is who had the turn, nil: nobody in particular.
func (s *Server) finish(c *conn) {
	s.answered = 0
	if s.wal != nil {
		s.submit()
		s.turn.Unlock()
		return
	}
	var others []*conn
	for _, d := range s.dirty {
		d.dirty = false
		d.release(d.pending, d.requests, d.hangUp)
		d.pending, d.requests = d.recycle(d.pending), requests{}
		if d != c {
			others = append(others, d)
		}
	}
	s.dirty = s.dirty[:0]
	s.turn.Unlock()
	for _, d := range others {
		d.flush()
	}
	if c != nil {
		c.flush()
	}
}

// submit hands the turn's output to the log.
func (s *Server) submit() {
	for _, c := range s.dirty {
		s.batch.outputs = append(s.batch.outputs, output{c, c.pending, c.requests, c.hangUp})
		c.pending, c.requests, c.dirty = nil, requests{}, false
	}
	s.dirty = s.dirty[:0]
	if len(s.batch.outputs) == 0 && len(s.batch.log) == 0 {
		return
	}
	if s.wal.grown(len(s.batch.log)) > s.opts.SnapshotBytes && !s.wal.snapshotting() {
		img := s.tree.Export()
		s.batch.rotate = &img
	}
	s.wal.submit(s.batch)
	s.batch = batch{}
}

// full says that a turn has done enough to be ended.
func (s *Server) full() bool {
	return len(s.batch.log) > turnBytes || s.answered > turnBytes
}

// call runs fn in a turn of its own; false when the server has ended.
func (s *Server) call(fn func()) bool {
	if !s.begin() {
		return false
	}
	fn()
	s.finish(nil)
	return true
}

// keepTime ends sessions, containers and what has lived long enough.
func (s *Server) keepTime() {
	defer s.clock.Done()
	tick := time.NewTicker(s.opts.Tick)
	defer tick.Stop()
	sweep := time.NewTicker(s.opts.ContainerInterval)
	defer sweep.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.call(func() { s.onTick(now) })
		case now := <-sweep.C:
			s.call(func() { s.onSweep(now) })
		}
	}
}

// onTick ends the sessions that were silent for their timeout, rounded up to a
// tick. If the server itself was asleep, no session is blamed for it.
func (s *Server) onTick(now time.Time) {
	if asleep := now.Sub(s.lastTick) - s.opts.Tick; asleep > s.opts.Tick {
		for _, sess := range s.sessions {
			sess.heard = sess.heard.Add(asleep)
		}
	}
	s.lastTick = now
	for _, id := range s.tree.Sessions() {
		if sess := s.sessions[id]; now.Sub(sess.heard) >= sess.timeout {
			s.opts.Logger.Info("session expired", "session", fmt.Sprintf("%#x", id), "timeout", sess.timeout)
			s.expire(sess)
		}
	}
}

func (s *Server) expire(sess *session) {
	txn := zktree.Txn{Session: sess.id}
	txn.Code = zktree.OpCloseSession
	c := sess.conn
	r := s.commit(&txn)
	if c != nil {
		c.session = nil // nothing more is taken from it
		s.after(c, r.Zxid, func() { s.hangUp(c) })
	}
}

// onSweep removes what nobody ends but time.
func (s *Server) onSweep(now time.Time) {
	for _, path := range s.tree.Due(now.UnixMilli()) {
		txn := zktree.Txn{Trusted: true}
		txn.Op = zktree.Op{Code: zktree.OpDelContainer, Path: path}
		s.commit(&txn)
	}
}

// output is what one turn tells one connection.
type output struct {
	conn     *conn
	bytes    []byte
	answered requests
	hangUp   bool
}

// batch is what one turn wrote and answered.
type batch struct {
	log     []byte
	outputs []output
	rotate  *zktree.Image // begin a new log; this is the state at its start
}

func (b *batch) release() {
	for i := range b.outputs {
		o := &b.outputs[i]
		o.conn.release(o.bytes, o.answered, o.hangUp)
		o.conn.flush()
		*o = output{}
	}
}

func newPassword() (p [16]byte) {
	_, _ = rand.Read(p[:]) // never fails: it ends the program instead
	if binary.BigEndian.Uint64(p[:]) == 0 {
		p[0] = 1 // all zeros is how "expired" looks
	}
	return p
}
