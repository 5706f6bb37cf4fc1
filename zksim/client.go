package zksim

import (
	"slices"
	"time"
)

// SessionState is what a client tells of its session.
type SessionState uint8

// HasSession: a server took the session, at first or again. Disconnected: the
// connection broke; the session may live on or not. Expired: a server said
// that the session is gone; the client is dead and a new one must be made.
const (
	HasSession SessionState = iota + 1
	Disconnected
	Expired
)

// String names the state.
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

// Handler hears what nobody asked for. Calls come as events of their own,
// never inside a call of the Client.
type Handler interface {
	SessionEvent(state SessionState)
	WatchEvent(e Event)
}

// Client is one session as an application sees it through a client library.
// Calls return at once; each done is called exactly once, later, in the order
// of the calls, unless the client is abandoned (a call refused for being one
// too many, with ErrThrottled, does not wait for the earlier ones). A request that was under way
// when the connection broke ends with ErrConnectionLoss: done, not done, or
// yet to be done. One that could not be sent ends with ErrNoServer.
type Client struct {
	svc     *Service
	host    *host
	handler Handler
	state   clientState
	end     Code // why it is dead

	session  int64
	password [16]byte
	timeout  time.Duration
	lastZxid int64

	conn      *conn
	next      int // the server to try next
	tried     int // servers tried since the last pause
	lastHeard time.Duration

	sent    []*request // not answered
	waiting []*request // not sent
	// What is watched, by what a reconnect says of it.
	watchData, watchExist, watchChild map[string]struct{}
}

type clientState uint8

const (
	connecting clientState = iota // the connection, if any, is not answered yet
	connected
	closing // close is under way
	dead
)

// maxWaiting bounds the requests a client holds; beyond it: ErrThrottled.
const maxWaiting = 4096

// CreateResult is what a create made: the name with its sequence number.
type CreateResult struct {
	Path string
	Stat Stat
}

// Connect makes a client at a host and begins its session. The timeout is
// clamped to the service's bounds.
func (s *Service) Connect(hostName string, timeout time.Duration, h Handler) *Client {
	where := s.host(hostName)
	cl := &Client{
		svc: s, host: where, handler: h, timeout: timeout,
		next:       where.draws.below("first server", len(s.servers)),
		watchData:  make(map[string]struct{}),
		watchExist: make(map[string]struct{}),
		watchChild: make(map[string]struct{}),
	}
	s.sched.After(0, cl.attempt)
	return cl
}

// Session is the session's id, 0 before the first HasSession.
func (cl *Client) Session() int64 { return cl.session }

// Timeout is the session timeout, as negotiated once HasSession was told.
func (cl *Client) Timeout() time.Duration { return cl.timeout }

// LastZxid is the greatest zxid a reply has carried.
func (cl *Client) LastZxid() int64 { return cl.lastZxid }

// Create makes a node.
func (cl *Client) Create(path string, data []byte, flags CreateFlags, done func(CreateResult, error)) {
	op := Op{Code: OpCreate, Path: path, Data: slices.Clone(data), Flags: flags}
	cl.write(op, nil, func(r *reply) {
		done(CreateResult{r.result.Path, r.result.Stat}, r.result.Err.err())
	})
}

// Delete removes a node; version -1 matches any.
func (cl *Client) Delete(path string, version int32, done func(error)) {
	cl.write(Op{Code: OpDelete, Path: path, Version: version}, nil, func(r *reply) { done(r.result.Err.err()) })
}

// Set replaces a node's data; version -1 matches any.
func (cl *Client) Set(path string, data []byte, version int32, done func(Stat, error)) {
	op := Op{Code: OpSetData, Path: path, Data: slices.Clone(data), Version: version}
	cl.write(op, nil, func(r *reply) { done(r.result.Stat, r.result.Err.err()) })
}

// Multi does all operations or none. When one fails, err is its code, and the
// results tell which it was. An empty multi succeeds.
func (cl *Client) Multi(ops []Op, done func([]OpResult, error)) {
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Data = slices.Clone(ops[i].Data)
	}
	cl.write(Op{Code: OpMulti}, ops, func(r *reply) {
		err := r.result.Err
		for i := range r.result.Ops {
			if err == OK {
				err = r.result.Ops[i].Err
			}
		}
		done(r.result.Ops, err.err())
	})
}

// Get reads a node. With watch, the next change of it is told once; a missing
// node arms nothing.
func (cl *Client) Get(path string, watch bool, done func([]byte, Stat, error)) {
	cl.read(reqGet, path, watch, func(r *reply) {
		done(slices.Clone(r.data), r.result.Stat, r.result.Err.err())
	})
}

// Exists reads a node's stat, ErrNoNode if there is none. With watch, its next
// change, or its creation, is told once.
func (cl *Client) Exists(path string, watch bool, done func(Stat, error)) {
	cl.read(reqExists, path, watch, func(r *reply) { done(r.result.Stat, r.result.Err.err()) })
}

// Children reads the names below a node, in no particular order.
func (cl *Client) Children(path string, watch bool, done func([]string, Stat, error)) {
	cl.read(reqChildren, path, watch, func(r *reply) {
		if r.result.Err == OK {
			shuffle(r.names, cl.host.draws)
		}
		done(r.names, r.result.Stat, r.result.Err.err())
	})
}

// Sync brings the server up to what the leader had when it was asked; through
// a deposed leader it does nothing.
func (cl *Client) Sync(path string, done func(error)) {
	req := &request{kind: reqSync, op: Op{Path: path}}
	req.size = RequestBytes(&req.op, nil)
	req.done = func(r *reply) { done(r.result.Err.err()) }
	cl.submit(req)
}

func (cl *Client) write(op Op, ops []Op, done func(*reply)) {
	cl.submit(&request{kind: reqWrite, op: op, ops: ops, size: RequestBytes(&op, ops), done: done})
}

func (cl *Client) read(kind reqKind, path string, watch bool, done func(*reply)) {
	req := &request{kind: kind, op: Op{Path: path}, watch: watch, done: done}
	req.size = RequestBytes(&req.op, nil)
	cl.submit(req)
}

func (cl *Client) submit(req *request) {
	switch {
	case cl.state == dead:
		cl.refuse(req, cl.end)
	case len(cl.sent)+len(cl.waiting) >= maxWaiting:
		cl.refuse(req, ErrThrottled)
	case cl.state == connected:
		cl.send(req)
	default:
		cl.waiting = append(cl.waiting, req)
	}
}

func (cl *Client) refuse(req *request, code Code) {
	cl.svc.sched.After(0, func() {
		if cl.handler != nil {
			req.fail(code)
		}
	})
}

func (r *request) fail(code Code) { r.done(&reply{result: Result{Err: code, Failed: true}}) }

func (cl *Client) send(req *request) {
	req.conn = cl.conn
	cl.sent = append(cl.sent, req)
	cl.transmit(req)
}

func (cl *Client) transmit(req *request) {
	c := cl.conn
	req.conn = c
	c.up.send(cl.host.draws.within("latency", cl.svc.cfg.Latency), func() { c.server.onRequest(req) })
}

// Close ends the session; done, which may be nil, is called when it is ended
// or the connection broke on the way, after every earlier call's done. Without
// a connection the session is left to expire.
func (cl *Client) Close(done func()) {
	if done == nil {
		done = func() {}
	}
	switch cl.state {
	case connected:
		cl.state = closing
		cl.send(&request{kind: reqClose, done: func(*reply) { cl.onClosed(done) }})
	case connecting:
		waiting := cl.waiting
		cl.die(ErrClosing)
		cl.svc.sched.After(0, func() {
			cl.failAll(waiting, ErrClosing)
			if cl.handler != nil {
				done()
			}
		})
	default:
		cl.svc.sched.After(0, func() {
			if cl.handler != nil {
				done()
			}
		})
	}
}

// onClosed ends the client; calls made after Close fail after it.
func (cl *Client) onClosed(done func()) {
	waiting := cl.waiting
	cl.die(ErrClosing)
	done()
	cl.failAll(waiting, ErrClosing)
}

// Abandon is the crash of the client's process: nothing is called any more,
// the connection vanishes without a close, and what was under way arrives in
// part. The session lives until it expires.
func (cl *Client) Abandon() {
	if c := cl.conn; c != nil {
		c.up.keep(cl.host.draws.below("crash keeps", len(c.up.queue)+1))
		c.down.drop()
	}
	cl.die(ErrClosing)
	cl.handler = nil
}

func (cl *Client) die(why Code) {
	cl.dropConn()
	cl.state, cl.end = dead, why
	cl.sent, cl.waiting = nil, nil
	cl.watchData, cl.watchExist, cl.watchChild = nil, nil, nil
}

// dropConn ends the client's end of its connection; the server learns of it
// after what was sent before.
func (cl *Client) dropConn() {
	c := cl.conn
	if c == nil {
		return
	}
	cl.conn, c.client = nil, nil
	c.down.drop()
	c.up.send(cl.host.draws.within("latency", cl.svc.cfg.Latency), func() { c.server.close(c) })
}

func (cl *Client) failAll(reqs []*request, code Code) {
	for _, req := range reqs {
		if cl.handler == nil {
			return
		}
		req.fail(code)
	}
}

func (cl *Client) onReply(c *conn, req *request, r *reply) {
	if cl.conn != c {
		return
	}
	cl.lastHeard = cl.svc.sched.Now()
	cl.lastZxid = max(cl.lastZxid, r.zxid)
	if req.kind == reqSetWatches {
		return
	}
	if len(cl.sent) == 0 || cl.sent[0] != req {
		panic("zksim: replies out of order")
	}
	cl.sent[0] = nil
	cl.sent = cl.sent[1:]
	cl.noteWatch(req, r)
	req.done(r)
}

// noteWatch keeps what has to be restored at a reconnect.
func (cl *Client) noteWatch(req *request, r *reply) {
	path, code := req.op.Path, r.result.Err
	switch {
	case !req.watch:
	case req.kind == reqChildren && code == OK:
		cl.watchChild[path] = struct{}{}
	case code == OK:
		cl.watchData[path] = struct{}{}
	case req.kind == reqExists && code == ErrNoNode:
		cl.watchExist[path] = struct{}{}
	}
}

func (cl *Client) onWatchEvent(e Event) {
	if cl.conn == nil {
		return
	}
	cl.lastHeard = cl.svc.sched.Now()
	if e.Type == EventChildrenChanged || e.Type == EventDeleted {
		delete(cl.watchChild, e.Path)
	}
	if e.Type != EventChildrenChanged {
		delete(cl.watchExist, e.Path)
	}
	if e.Type == EventDataChanged || e.Type == EventDeleted {
		delete(cl.watchData, e.Path)
	}
	cl.handler.WatchEvent(e)
}
