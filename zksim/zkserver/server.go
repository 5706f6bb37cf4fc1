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

// Options configure a server. The zero value of each field means its default.
type Options struct {
	// Dir is the data directory, which is made if it is missing. If it is empty, the
	// state is in memory only and ends with the server.
	Dir string
	// Tick is the unit of session timeouts; default 2 s.
	Tick time.Duration
	// MinSessionTimeout and MaxSessionTimeout clamp what clients ask for;
	// default 2 and 20 ticks.
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration
	// MaxConnections is how many clients may be connected at once. Further
	// connections are closed without an answer. Default 1,024.
	MaxConnections int
	// SnapshotBytes is the length of the log at which a snapshot replaces it;
	// default 64 MiB.
	SnapshotBytes int64
	// ContainerInterval is how often empty containers and nodes past their time to
	// live are removed; default 60 s.
	ContainerInterval time.Duration
	// Logger logs snapshots, expired sessions, refused clients and failures; default:
	// no log.
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
		return fmt.Errorf("zkserver: invalid Options: Tick is %v, must be at least 1ms", o.Tick)
	}
	if o.MinSessionTimeout < 0 || o.MinSessionTimeout > o.MaxSessionTimeout {
		return fmt.Errorf("zkserver: invalid Options: MinSessionTimeout is %v, MaxSessionTimeout is %v: the minimum must be from 0 to the maximum", o.MinSessionTimeout, o.MaxSessionTimeout)
	}
	if o.MaxConnections < 1 || o.SnapshotBytes < 0 {
		return fmt.Errorf("zkserver: invalid Options: MaxConnections is %d, SnapshotBytes is %d: must be at least 1 and 0", o.MaxConnections, o.SnapshotBytes)
	}
	if o.ContainerInterval < time.Millisecond {
		return fmt.Errorf("zkserver: invalid Options: ContainerInterval is %v, must be at least 1ms", o.ContainerInterval)
	}
	return nil
}

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("zkserver: server closed")

// A Server is a ZooKeeper server. Its methods may be called from any goroutine.
type Server struct {
	opts    Options
	began   time.Time
	stop    chan struct{} // closed when the server ends
	clock   sync.WaitGroup
	conns   sync.WaitGroup
	latency sharedLatency

	closing  sync.Once
	closeErr error

	mu        sync.Mutex // guards the fields below; never held while waiting for turn
	err       error      // why the server ended; never changes once set
	listeners map[net.Listener]struct{}
	addr      net.Addr
	open      map[*conn]struct{}
	nextConn  int64

	// turn guards all the state below. A goroutine takes it to handle the requests
	// that have arrived, and gives it back with finish.
	turn     sync.Mutex
	tree     *zktree.Tree
	shown    *zktree.Tree // the state that clients see: tree, unless the server lags
	watches  *zktree.Watches
	lag      *lag // nil unless the server lags
	zxid     int64
	sessions map[int64]*session
	lastID   int64
	byID     map[int64]*conn // connections that can receive events
	dirty    []*conn
	wal      *wal // nil if the state is in memory only
	batch    batch
	answered int // bytes of replies in this turn
	lastTick time.Time
	total    traffic
	faults   faults
}

// session is what the server knows about a live session beyond the tree.
type session struct {
	id       int64
	timeout  time.Duration
	password [16]byte
	conn     *conn // nil while no client is connected
	heard    time.Time
}

// maxTurn bounds the requests of a connection that share a turn.
const maxTurn = 256

// Open makes a server. Given a directory, it recovers the state that an earlier
// server left there; all sessions are live again, with their full timeouts.
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

// restore makes tree the server's state.
func (s *Server) restore(tree *zktree.Tree) {
	s.lastTick = time.Now()
	s.tree, s.shown, s.zxid = tree, tree, tree.Zxid()
	s.watches = zktree.NewWatches()
	s.lastID = max(s.lastID, firstSessionID())
	s.sessions = make(map[int64]*session)
	for _, id := range tree.Sessions() {
		timeout, password, _ := tree.Session(id)
		s.sessions[id] = &session{id: id, timeout: timeout, password: password, heard: s.lastTick}
	}
}

// firstSessionID returns a number above those of earlier servers with this state, as
// ZooKeeper does: the top byte is a server's number, the time follows.
func firstSessionID() int64 {
	return 1<<56 | time.Now().UnixMilli()<<24>>8&(1<<56-1)
}

// Serve accepts connections until the listener fails or the server ends, and returns
// the reason: ErrClosed after Close. It may be called for several listeners.
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
		default: // out of file descriptors, or the client has hung up
			failures++
			time.Sleep(acceptPause)
		}
	}
}

// Serve gives up a listener that fails this often in a row.
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

// connDone cleans up when a connection's reader has ended.
func (s *Server) connDone(c *conn) {
	if !s.begin() {
		return // the server is closing and still sends the answers
	}
	s.forget(c)
	s.finish(c)
	c.kill()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

// Addr returns the address of the first listener, nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close ends the server. It accepts nothing more, syncs and answers the requests
// taken so far (waiting up to a second for a client that does not read), closes the
// connections and unlocks the directory, where the sessions remain. It returns the
// error that ended the server earlier, if any. A second call waits for the first
// and returns the same.
func (s *Server) Close() error {
	s.end(ErrClosed)
	s.closing.Do(func() {
		s.clock.Wait()
		s.turn.Lock() // the last turn is over, and none begins any more
		s.setLag(0)
		s.finish(nil)
		if s.wal != nil {
			s.closeErr = s.wal.close()
		}
		s.closeConns()
		s.conns.Wait()
		if s.err != ErrClosed { // set by end
			s.closeErr = s.err
		}
	})
	return s.closeErr
}

// closeConns makes every connection end once its output is sent.
func (s *Server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.close()
	}
}

// fail ends the server because of a fault. What was not answered never is.
func (s *Server) fail(err error) {
	s.opts.Logger.Error("zkserver stopped after an error", "error", err)
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

// begin takes the turn. It returns false, without the turn, if the server has ended.
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

// finish ends the turn. Its output is released once everything that it and earlier
// turns wrote is synced, so that no client learns of what a crash could undo.
// Without a log it is released at once, and sent here, outside the turn. c is the
// connection whose requests the turn handled, if any.
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

// submit passes the turn's writes and its output to the log.
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

// full reports whether the turn has done enough and should end.
func (s *Server) full() bool {
	return len(s.batch.log) > turnBytes || s.answered > turnBytes
}

// call runs fn in a turn of its own. It returns false if the server has ended.
func (s *Server) call(fn func()) bool {
	if !s.begin() {
		return false
	}
	fn()
	s.finish(nil)
	return true
}

// keepTime expires sessions, and removes containers and TTL nodes.
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

// onTick expires the sessions that were silent for their timeout, rounded up to a
// tick. If the server itself was suspended, that time does not count: the clients
// could not be heard.
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
		c.session = nil // its further requests are ignored
		s.after(c, r.Zxid, func() { s.hangUp(c) })
	}
}

// onSweep removes the containers and TTL nodes that are due.
func (s *Server) onSweep(now time.Time) {
	for _, path := range s.tree.Due(now.UnixMilli()) {
		txn := zktree.Txn{Trusted: true}
		txn.Op = zktree.Op{Code: zktree.OpDelContainer, Path: path}
		s.commit(&txn)
	}
}

// output is what one turn sends to one connection.
type output struct {
	conn     *conn
	bytes    []byte
	answered requests
	hangUp   bool
}

// batch is what one turn wrote to the log, and its output.
type batch struct {
	log     []byte
	outputs []output
	rotate  *zktree.Image // if not nil, a new log begins after this batch, with this state
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
	_, _ = rand.Read(p[:]) // never returns an error: it crashes the program instead
	if binary.BigEndian.Uint64(p[:]) == 0 {
		p[0] = 1 // all zeros means "expired" to clients
	}
	return p
}
