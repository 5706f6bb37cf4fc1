package zksim

import (
	"fmt"
	"slices"
	"time"

	"dkv/zksim/zktree"
)

// SessionState is what a client reports about its session.
type SessionState uint8

// HasSession: a server has accepted the session, for the first time or again.
// Disconnected: the connection broke, and the session may or may not have ended.
// Expired: a server said that the session has ended; the client is of no further
// use, and the application must make a new one.
const (
	HasSession SessionState = iota + 1
	Disconnected
	Expired
)

// String returns the name of the state.
func (s SessionState) String() string {
	switch s {
	case HasSession:
		return "HasSession"
	case Disconnected:
		return "Disconnected"
	case Expired:
		return "Expired"
	}
	return "unknown"
}

// A Handler receives what no call asked for. Its methods are called in events of
// their own, never within a call of the Client.
type Handler interface {
	SessionEvent(state SessionState)
	WatchEvent(e zktree.Event)
}

// A Client is one session as an application sees it through a client library.
// Calls return at once. Each done is called exactly once, later, in the order of
// the calls, with two exceptions: an abandoned client calls none, and a call
// refused with ErrThrottled does not wait for the earlier ones.
//
// A request that was under way when the connection broke ends with
// ErrConnectionLoss: it was done, was not done, or is done later. One that could
// not be sent ends with ErrNoServer.
type Client struct {
	svc     *Service
	host    *host
	handler Handler
	state   clientState
	end     zktree.Code // why it is dead

	session  int64
	password [16]byte
	timeout  time.Duration
	lastZxid int64
	options  ClientOptions

	conn      *conn
	next      int // the server to try next
	tried     int // servers tried since the last pause
	lastHeard time.Duration
	lostAt    time.Duration // when the last connection broke

	sent    []*request // not answered
	waiting []*request // not sent
	// The watches to restore at a reconnect, by the list that names them there.
	watchData, watchExist, watchChild map[string]struct{}
	watchStaying                      map[string]bool // true if recursive

	// For Counters, unknown to the library: the greatest zxid of a change that an
	// event reported, and the connection it came over.
	toldZxid int64
	toldOn   *conn
	// For the Checker: the number of calls made and of calls ended, and the zxid of
	// the last answered write of this client.
	called, endedCalls, wrote int64
}

// ClientOptions make a client differ from an ordinary one, which is the zero
// value.
type ClientOptions struct {
	// Session and Password of another client make this one a further connection
	// of that client's session. The leader accepts writes over the newest one
	// only; an older one, if it is to another server, can still read.
	Session  int64
	Password [16]byte
	// First is the server to try first, counted from 1. 0 means a random one.
	First int
	// Unguarded makes a client wait 6⅔ session timeouts for a handshake, as
	// go-zookeeper does unless its caller prevents it.
	Unguarded bool
	// Reopen makes a client begin another session when it learns that its own has
	// ended, as go-zookeeper does. Requests that waited to be sent are sent in the
	// new session.
	Reopen bool
}

type clientState uint8

const (
	connecting clientState = iota // the handshake, if any, is not answered yet
	connected
	closing // close is under way
	dead
)

// maxWaiting bounds the requests that a client holds. More end with ErrThrottled.
const maxWaiting = 4096

// CreateResult is the outcome of a create. Path includes the sequence number.
type CreateResult struct {
	Path string
	Stat zktree.Stat
}

// Connect makes a client on a host and begins its session. The session timeout is
// clamped to the service's bounds.
func (s *Service) Connect(hostName string, timeout time.Duration, h Handler) *Client {
	return s.ConnectWith(hostName, timeout, h, ClientOptions{})
}

// ConnectWith is like Connect, with options. It panics if there is no server
// number First.
func (s *Service) ConnectWith(hostName string, timeout time.Duration, h Handler, o ClientOptions) *Client {
	if o.First < 0 || o.First > len(s.servers) {
		panic(fmt.Sprintf("zksim: connecting: First is %d, must be 0 to %d", o.First, len(s.servers)))
	}
	where := s.host(hostName)
	cl := &Client{
		svc: s, host: where, handler: h, timeout: timeout, options: o,
		session: o.Session, password: o.Password,
		watchData:  make(map[string]struct{}),
		watchExist: make(map[string]struct{}),
		watchChild: make(map[string]struct{}),

		watchStaying: make(map[string]bool),
	}
	if o.First > 0 {
		cl.next = o.First - 1
	} else {
		cl.next = where.draws.below("first server", len(s.servers))
	}
	s.post(0, cl.attempt)
	return cl
}

// Session returns the session's id, 0 before the first HasSession.
func (cl *Client) Session() int64 { return cl.session }

// Password returns the session's password, with which another client can join the
// session.
func (cl *Client) Password() [16]byte { return cl.password }

// Server returns the number of the server that the client is connected to, or -1.
func (cl *Client) Server() int {
	if cl.state != connected {
		return -1
	}
	return cl.conn.server.id
}

// Timeout returns the session timeout: the negotiated one after the first
// HasSession.
func (cl *Client) Timeout() time.Duration { return cl.timeout }

// LastZxid returns the greatest zxid that a reply has carried.
func (cl *Client) LastZxid() int64 { return cl.lastZxid }

// Create creates a node that everyone may use.
func (cl *Client) Create(path string, data []byte, flags zktree.CreateFlags, done func(CreateResult, error)) {
	op := zktree.Op{Code: zktree.OpCreate, Path: path, Data: slices.Clone(data), Flags: flags}
	cl.write(op, nil, func(r *reply) {
		done(CreateResult{r.result.Path, r.result.Stat}, r.result.Err.Err())
	})
}

// CreateNode creates the node that op describes, of any kind and with any access
// list. The client itself has no identity.
func (cl *Client) CreateNode(op zktree.Op, done func(CreateResult, error)) {
	op.Data = slices.Clone(op.Data)
	cl.write(op, nil, func(r *reply) {
		done(CreateResult{r.result.Path, r.result.Stat}, r.result.Err.Err())
	})
}

// Delete deletes a node. Version -1 matches any.
func (cl *Client) Delete(path string, version int32, done func(error)) {
	cl.write(zktree.Op{Code: zktree.OpDelete, Path: path, Version: version}, nil, func(r *reply) { done(r.result.Err.Err()) })
}

// Set replaces a node's data. Version -1 matches any.
func (cl *Client) Set(path string, data []byte, version int32, done func(zktree.Stat, error)) {
	op := zktree.Op{Code: zktree.OpSetData, Path: path, Data: kept(data), Version: version}
	cl.write(op, nil, func(r *reply) { done(r.result.Stat, r.result.Err.Err()) })
}

// kept returns a copy of data for a server to keep. Data too large for a request is
// not copied, since only its length matters.
func kept(data []byte) []byte {
	if len(data) >= zktree.MaxRequest {
		return data
	}
	return slices.Clone(data)
}

// Multi applies all operations or none. If one fails, err is its code and the
// results show which one. An empty multi succeeds.
func (cl *Client) Multi(ops []zktree.Op, done func([]zktree.OpResult, error)) {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Data = slices.Clone(ops[i].Data)
	}
	cl.write(zktree.Op{Code: zktree.OpMulti}, ops, func(r *reply) {
		err := r.result.Err
		for i := range r.result.Ops {
			if err == zktree.OK {
				err = r.result.Ops[i].Err
			}
		}
		done(r.result.Ops, err.Err())
	})
}

// Get reads a node. With watch, it sets a one-shot watch for the node's next
// change, unless the node is missing.
func (cl *Client) Get(path string, watch bool, done func([]byte, zktree.Stat, error)) {
	cl.read(reqGet, path, watch, func(r *reply) {
		done(slices.Clone(r.data), r.result.Stat, r.result.Err.Err())
	})
}

// Exists reads a node's stat; err is ErrNoNode if there is no such node. With
// watch, it sets a one-shot watch for the node's next change or its creation.
func (cl *Client) Exists(path string, watch bool, done func(zktree.Stat, error)) {
	cl.read(reqExists, path, watch, func(r *reply) { done(r.result.Stat, r.result.Err.Err()) })
}

// Children reads the names below a node, in random order. With watch, it sets a
// one-shot watch for the next change of that set.
func (cl *Client) Children(path string, watch bool, done func([]string, zktree.Stat, error)) {
	cl.read(reqChildren, path, watch, func(r *reply) {
		if r.result.Err == zktree.OK {
			shuffle(r.names, cl.host.draws)
			if !slices.IsSorted(r.names) {
				cl.svc.count(unordered)
			}
		}
		done(r.names, r.result.Stat, r.result.Err.Err())
	})
}

// AddWatch sets a watch that stays until the client ends: on a node, or, if
// recursive, on everything below it too. It does not report what happens while the
// client has no connection.
func (cl *Client) AddWatch(path string, recursive bool, done func(error)) {
	req := &request{kind: reqAddWatch, op: zktree.Op{Path: path}, watch: recursive}
	req.size = zktree.RequestBytes(&req.op, nil)
	req.done = func(r *reply) { done(r.result.Err.Err()) }
	cl.submit(req)
}

// Sync waits until the client's server has applied what the leader had committed
// when Sync reached it. At a deposed leader it succeeds and does nothing.
func (cl *Client) Sync(path string, done func(error)) {
	req := &request{kind: reqSync, op: zktree.Op{Path: path}}
	req.size = zktree.RequestBytes(&req.op, nil)
	req.done = func(r *reply) { done(r.result.Err.Err()) }
	cl.submit(req)
}

func (cl *Client) write(op zktree.Op, ops []zktree.Op, done func(*reply)) {
	cl.submit(&request{kind: reqWrite, op: op, ops: ops, size: zktree.RequestBytes(&op, ops), done: done})
}

func (cl *Client) read(kind reqKind, path string, watch bool, done func(*reply)) {
	req := &request{kind: kind, op: zktree.Op{Path: path}, watch: watch, done: done}
	req.size = zktree.RequestBytes(&req.op, nil)
	cl.submit(req)
}

func (cl *Client) submit(req *request) {
	req.madeIn = cl.session
	switch {
	case cl.state == dead:
		cl.svc.cfg.Checker.onCall(cl, req)
		cl.refuse(req, cl.end)
		return
	case len(cl.sent)+len(cl.waiting) >= maxWaiting:
		cl.refuse(req, zktree.ErrThrottled)
		return
	}
	cl.svc.cfg.Checker.onCall(cl, req)
	if cl.state == connected {
		cl.send(req)
	} else {
		cl.waiting = append(cl.waiting, req)
	}
}

func (cl *Client) refuse(req *request, code zktree.Code) {
	cl.svc.post(0, func() {
		if cl.handler != nil {
			cl.fail(req, code)
		}
	})
}

func (cl *Client) fail(req *request, code zktree.Code) {
	cl.svc.cfg.Checker.onEnd(cl, req)
	req.done(&reply{result: zktree.Result{Err: code, Failed: true}})
}

func (cl *Client) send(req *request) {
	req.conn = cl.conn
	cl.sent = append(cl.sent, req)
	cl.transmit(req)
}

func (cl *Client) transmit(req *request) {
	c := cl.conn
	req.conn = c
	if req.kind == reqWrite || req.kind == reqClose {
		c.sentWrites++
		req.number = c.sentWrites
	}
	c.up.send(cl.host.draws.within("latency", cl.svc.cfg.Latency), func() { c.server.onRequest(req) })
}

// Close ends the session. done, which may be nil, is called once the session has
// ended or the connection broke, after every earlier call's done. Without a
// connection the session is left to expire.
func (cl *Client) Close(done func()) {
	if done == nil {
		done = func() {}
	}
	switch cl.state {
	case connected:
		cl.state = closing
		req := &request{kind: reqClose, done: func(*reply) { cl.onClosed(done) }}
		cl.svc.cfg.Checker.onCall(cl, req)
		cl.send(req)
	case connecting:
		waiting := cl.waiting
		cl.die(zktree.ErrClosing)
		cl.svc.post(0, func() {
			cl.failAll(waiting, zktree.ErrClosing)
			if cl.handler != nil {
				done()
			}
		})
	default:
		cl.svc.post(0, func() {
			if cl.handler != nil {
				done()
			}
		})
	}
}

// onClosed ends the client. Calls made after Close fail after it.
func (cl *Client) onClosed(done func()) {
	waiting := cl.waiting
	cl.die(zktree.ErrClosing)
	done()
	cl.failAll(waiting, zktree.ErrClosing)
}

// Cut breaks the client's connection from the client's end, as an application does
// that has waited too long for an answer. The client connects to another server.
// It happens soon, not within the call.
func (cl *Client) Cut() {
	c := cl.conn
	cl.svc.post(0, func() {
		if c == nil || cl.conn != c {
			return
		}
		cl.dropConn()
		if cl.state == connecting {
			cl.onAttemptFailed()
		} else {
			cl.disconnected()
		}
	})
}

// Abandon crashes the client's process: it gets no more calls, its connection
// disappears without a close, and a part of what was under way still arrives. The
// session stays until it expires.
func (cl *Client) Abandon() {
	if c := cl.conn; c != nil {
		c.up.keep(cl.host.draws.below("crash keeps", len(c.up.queue)+1))
		c.down.drop()
	}
	cl.die(zktree.ErrClosing)
	cl.handler = nil
}

func (cl *Client) die(why zktree.Code) {
	cl.dropConn()
	cl.state, cl.end = dead, why
	cl.sent, cl.waiting = nil, nil
	cl.watchData, cl.watchExist, cl.watchChild, cl.watchStaying = nil, nil, nil, nil
}

// dropConn closes the client's end of its connection. The server learns of it after
// what was sent before.
func (cl *Client) dropConn() {
	c := cl.conn
	if c == nil {
		return
	}
	cl.conn, c.client = nil, nil
	c.down.drop()
	c.up.send(cl.host.draws.within("latency", cl.svc.cfg.Latency), func() { c.server.close(c) })
}

func (cl *Client) failAll(reqs []*request, code zktree.Code) {
	for _, req := range reqs {
		if cl.handler == nil {
			return
		}
		cl.fail(req, code)
	}
}

func (cl *Client) onReply(c *conn, req *request, r *reply) {
	if cl.conn != c {
		return
	}
	cl.lastHeard = cl.svc.sched.Now()
	cl.svc.cfg.Checker.onAnswer(cl, c, req, r)
	cl.observeReply(c, req, r)
	cl.lastZxid = max(cl.lastZxid, r.zxid)
	if r.zxid > cl.host.saw {
		cl.host.saw, cl.host.sawIn = r.zxid, cl.session
	}
	if req.kind == reqSetWatches {
		return
	}
	if len(cl.sent) == 0 || cl.sent[0] != req {
		panic("zksim: replies out of order")
	}
	cl.sent = dropFirst(cl.sent)
	cl.noteWatch(req, r)
	cl.svc.cfg.Checker.onEnd(cl, req)
	req.done(r)
}

// noteWatch remembers the watch of a request for the next reconnect.
func (cl *Client) noteWatch(req *request, r *reply) {
	path, code := req.op.Path, r.result.Err
	switch {
	case req.kind == reqAddWatch:
		if code == zktree.OK {
			cl.watchStaying[path] = req.watch
		}
	case !req.watch:
	case req.kind == reqChildren && code == zktree.OK:
		cl.watchChild[path] = struct{}{}
	case code == zktree.OK:
		cl.watchData[path] = struct{}{}
	case req.kind == reqExists && code == zktree.ErrNoNode:
		cl.watchExist[path] = struct{}{}
	}
}

func (cl *Client) onWatchEvent(c *conn, e zktree.Event, zxid int64) {
	if cl.conn == nil {
		return
	}
	cl.lastHeard = cl.svc.sched.Now()
	cl.svc.cfg.Checker.onTold(cl, c, e, zxid)
	cl.svc.observeEvent(c.server, zxid)
	cl.toldZxid, cl.toldOn = max(cl.toldZxid, zxid), c
	if e.Type == zktree.EventChildrenChanged || e.Type == zktree.EventDeleted {
		delete(cl.watchChild, e.Path)
	}
	if e.Type != zktree.EventChildrenChanged {
		delete(cl.watchExist, e.Path)
	}
	if e.Type == zktree.EventDataChanged || e.Type == zktree.EventDeleted {
		delete(cl.watchData, e.Path)
	}
	cl.handler.WatchEvent(e)
}

// Watching reports whether the client has a watch that it would restore at a
// reconnect.
func (cl *Client) Watching() bool {
	return len(cl.watchData)+len(cl.watchExist)+len(cl.watchChild)+len(cl.watchStaying) > 0
}
