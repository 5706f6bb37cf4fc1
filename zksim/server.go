package zksim

import (
	"slices"
	"time"

	"dkv/zksim/zktree"
)

// server is one member of the ensemble: the state after a prefix of the log, and the
// connections of the clients that it serves.
type server struct {
	svc     *Service
	id      int
	draws   *draws
	tree    *zktree.Tree
	watches *zktree.Watches
	conns   map[int64]*conn
	lag     Range

	applied   int           // index of the next entry to apply
	applying  bool          // scheduled
	up        bool          // accepts connections
	cutOff    bool          // from the leader
	deposed   bool          // was the leader and does not know yet that it no longer is
	wiped     bool          // lost its disk and has not caught up
	link      []*request    // requests for the leader, held while cut off
	linkDue   time.Duration // when the last request under way to the leader arrives
	linkEpoch uint64        // incremented when what is under way is lost
	syncs     []*request    // waiting until enough of the log is applied
	stopHeal  func()        // cancels the scheduled end of a cut
}

func newServer(svc *Service, id int) *server {
	return &server{
		svc: svc, id: id, up: true, lag: svc.cfg.Lag,
		draws:   newDraws(svc.rand, uint64(id)),
		tree:    zktree.NewTree(),
		watches: zktree.NewWatches(),
		conns:   make(map[int64]*conn),
	}
}

// scheduleApply schedules the application of the next entry of the log, after the
// server's lag.
func (v *server) scheduleApply() {
	if v.applying || v.cutOff || v.applied == v.svc.logEnd() {
		return
	}
	v.applying = true
	e := &v.svc.log[v.applied-v.svc.logBase]
	due := e.committed + pick(v.svc.rand.Draw("lag", uint64(v.id), uint64(v.applied)), v.lag)
	v.svc.post(max(0, due-v.svc.sched.Now()), v.onApplyDue)
}

func (v *server) onApplyDue() {
	v.applying = false
	if v.cutOff || v.applied == v.svc.logEnd() {
		return
	}
	v.applyNext()
	v.svc.trimLog()
	v.scheduleApply()
}

// catchUp applies everything that is committed, as a leader does at each commit, and
// a follower before it serves again.
func (v *server) catchUp() {
	for v.applied < v.svc.logEnd() {
		v.applyNext()
	}
	v.svc.trimLog()
}

// applyNext applies one entry. Watches fire before the request is answered, so that a
// client gets an event before the answer of a request that shows the change.
func (v *server) applyNext() {
	e := &v.svc.log[v.applied-v.svc.logBase]
	v.applied++
	delay := v.svc.sched.Now() - e.committed
	if delay >= late {
		v.svc.count(followerLagged)
	}
	result := v.tree.Apply(&e.txn)
	if e.aged != 0 {
		v.tree.AgeSequence(e.txn.Path, e.aged)
	}
	if v == v.svc.leader {
		v.svc.onApplied(e, &result)
	}
	v.watches.Fire(result.Changes, func(watcher int64, ev zktree.Event) {
		if delay >= late {
			v.svc.count(watchLate)
		}
		v.tell(v.conns[watcher], ev, e.txn.Zxid)
	})
	req := e.req
	if req != nil && req.conn.server == v && !req.conn.closed {
		if delay >= late {
			v.blocked(req)
		}
		answer := result
		answer.Changes = nil
		req.result, req.ready = &answer, true
		v.advance(req.conn)
	}
	if e.txn.Code == zktree.OpCloseSession {
		v.closeSession(e.txn.Session)
	}
	v.answerSyncs()
}

func (v *server) closeSession(id int64) {
	for _, connID := range sortedKeys(v.conns) {
		if c := v.conns[connID]; c.session == id {
			v.close(c)
		}
	}
}

// tell sends an event of the change at a zxid.
func (v *server) tell(c *conn, ev zktree.Event, zxid int64) {
	c.toClient(func(cl *Client) { cl.onWatchEvent(c, ev, zxid) })
}

// close closes the server's end of a connection. What was sent before reaches the
// client before the close does.
func (v *server) close(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	c.queue = nil
	c.up.drop()
	v.watches.Drop(c.id)
	delete(v.conns, c.id)
	c.toClient(func(cl *Client) { cl.onConnectionLost(c) })
}

func (v *server) closeAll() {
	for _, id := range sortedKeys(v.conns) {
		if v.conns[id].session != 0 {
			v.svc.count(serviceDown)
		}
		v.close(v.conns[id])
	}
}

// leave makes a server stop serving: its connections are closed, and what was under
// way to the leader is lost.
func (v *server) leave() {
	v.up = false
	v.closeAll()
	v.dropLink()
}

// join makes a server serve again, up to date.
func (v *server) join() {
	v.up, v.cutOff, v.deposed = true, false, false
	v.stopHealing()
	v.restore()
	v.catchUp()
}

func (v *server) stopHealing() {
	if v.stopHeal != nil {
		v.stopHeal()
		v.stopHeal = nil
	}
}

// forward sends a request to the leader. The requests of one server arrive in the
// order sent, except one with extra delay, whose connection is broken already.
// While the server is cut off they wait.
func (v *server) forward(req *request, extra time.Duration) {
	if v.cutOff {
		v.blocked(req)
		v.link = append(v.link, req)
		return
	}
	due := max(v.svc.sched.Now()+v.draws.within("forward", v.svc.cfg.Forward)+extra, v.linkDue)
	if extra == 0 {
		v.linkDue = due
	}
	epoch := v.linkEpoch
	v.svc.post(due-v.svc.sched.Now(), func() {
		if epoch == v.linkEpoch && v.svc.phase == serving {
			v.svc.onForwarded(req)
		}
	})
}

func (v *server) dropLink() {
	v.link, v.linkDue = nil, 0
	v.linkEpoch++
	v.syncs = nil
}

// answerLink sends the leader's answer, which is not part of the log, back to the
// server that forwarded the request.
func (v *server) answerLink(req *request) {
	epoch := v.linkEpoch
	v.svc.post(v.draws.within("answer", v.svc.cfg.Forward), func() {
		if epoch == v.linkEpoch && !req.conn.closed {
			req.ready = true
			v.advance(req.conn)
		}
	})
}

// scheduleAnswer makes a sync wait until the server has applied everything that was
// committed before it.
func (v *server) scheduleAnswer(req *request) {
	req.since = v.svc.sched.Now()
	v.syncs = append(v.syncs, req)
	v.svc.post(v.draws.within("answer", v.svc.cfg.Forward), v.answerSyncs)
}

func (v *server) answerSyncs() {
	if len(v.syncs) == 0 {
		return
	}
	waiting := v.syncs
	v.syncs = nil
	for _, req := range waiting {
		switch {
		case req.conn.closed:
		case req.answerAt <= v.applied:
			if v.svc.sched.Now()-req.since >= late {
				v.blocked(req)
			}
			req.ready = true
			v.advance(req.conn)
		default:
			v.syncs = append(v.syncs, req)
		}
	}
}

// onRequest handles a request that arrives at the server's end of a connection.
func (v *server) onRequest(req *request) {
	c := req.conn
	if c.closed {
		return
	}
	if req.size > zktree.MaxRequest {
		v.svc.count(oversized)
		v.close(c)
		return
	}
	if req.kind == reqConnect {
		v.onConnect(req)
		return
	}
	req.session = c.session
	v.onHeard(c)
	if req.kind.forwarded() && v.breakAround(req) {
		return
	}
	c.queue = append(c.queue, req)
	switch {
	case req.kind == reqSync && v.deposed:
		req.ready, c.synced = true, true // it believes that it still leads
	case req.kind.forwarded():
		v.forward(req, 0)
	}
	v.advance(c)
}

// breakAround injects the faults in which a connection breaks around a write. It
// reports whether the write is handled.
func (v *server) breakAround(req *request) bool {
	c, h, rates := req.conn, req.conn.host, &v.svc.cfg.Rates
	if req.kind != reqWrite {
		return false
	}
	switch {
	case take(&h.loseBefore) || h.draws.happens("lose before", rates.LoseBefore):
		v.svc.count(replyLostBefore)
		v.close(c)
		return true
	case take(&h.applyLate) || h.draws.happens("apply late", rates.ApplyLate):
		v.close(c)
		v.forward(req, h.draws.within("late by", Range{10 * time.Millisecond, 1200 * time.Millisecond}))
		return true
	case take(&h.loseAfter) || h.draws.happens("lose after", rates.LoseAfter):
		req.loseReply = true
	}
	return false
}

func take(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// onConnect handles a handshake, for a new session or an existing one.
func (v *server) onConnect(req *request) {
	c := req.conn
	if req.lastZxid > v.tree.Zxid() {
		v.svc.count(aheadRefused)
		if v.wiped {
			v.svc.count(wipedRefused)
		}
		v.close(c)
		return
	}
	if c.host.draws.happens("stall", v.svc.cfg.Rates.Stall) {
		v.svc.count(handshakeStalled)
		return
	}
	for _, id := range sortedKeys(v.conns) {
		if old := v.conns[id]; req.session != 0 && old.session == req.session {
			v.close(old)
		}
	}
	c.queue = append(c.queue, req)
	v.forward(req, 0)
}

// advance answers a connection's requests in their order, as far as they can be
// answered now.
func (v *server) advance(c *conn) {
	for len(c.queue) > 0 && !c.closed {
		req := c.queue[0]
		if !req.ready && req.kind.forwarded() {
			return
		}
		c.queue = dropFirst(c.queue)
		v.answer(req)
	}
}

func (v *server) answer(req *request) {
	c := req.conn
	r := reply{zxid: v.tree.Zxid()}
	switch req.kind {
	case reqConnect:
		v.answerConnect(req)
		return
	case reqWrite, reqClose:
		r.result = *req.result
		r.zxid = req.result.Zxid
		if req.loseReply {
			v.observeLoss(req)
			v.close(c)
			return
		}
	case reqSync:
	case reqAddWatch:
		v.addWatch(req, &r)
	case reqSetWatches:
		v.observeCatchUp(req)
		v.watches.Restore(v.tree, req.lastZxid, *req.watchSet, c.id, func(ev zktree.Event) { v.tell(c, ev, v.tree.Zxid()) })
	default:
		v.read(req, &r)
	}
	c.toClient(func(cl *Client) { cl.onReply(c, req, &r) })
}

func (v *server) answerConnect(req *request) {
	c := req.conn
	l := v.svc.leases[req.session] // it may have ended since the leader answered
	expired := l == nil || req.result != nil && req.result.Err != zktree.OK
	if !expired {
		c.session, req.timeout, req.password = l.id, l.timeout, l.password
	}
	c.toClient(func(cl *Client) { cl.onConnected(c, req, expired) })
	if expired {
		v.close(c)
	}
}

func (v *server) addWatch(req *request, r *reply) {
	switch {
	case !zktree.ValidPath(req.op.Path):
		r.result.Err = zktree.ErrBadArguments
	case req.watch:
		v.watches.Add(zktree.RecursiveWatch, req.op.Path, req.conn.id)
	default:
		v.watches.Add(zktree.PersistentWatch, req.op.Path, req.conn.id)
	}
}

func (v *server) read(req *request, r *reply) {
	c := req.conn
	r.read(v.tree, req)
	v.observeRead(req, r)
	if !req.watch {
		return
	}
	switch {
	case req.kind == reqChildren && r.result.Err == zktree.OK:
		v.watches.Add(zktree.ChildWatch, req.op.Path, c.id)
	case req.kind == reqGet && r.result.Err == zktree.OK, req.kind == reqExists && r.result.Err != zktree.ErrBadArguments:
		v.watches.Add(zktree.DataWatch, req.op.Path, c.id)
	}
}

// read answers a read from a tree, for a client without an identity.
func (r *reply) read(t *zktree.Tree, req *request) {
	if req.kind != reqExists && t.Allowed(req.op.Path, zktree.PermRead, nil) == zktree.ErrNoAuth {
		r.result.Err = zktree.ErrNoAuth
		return
	}
	switch req.kind {
	case reqGet:
		r.data, r.result.Stat, r.result.Err = t.Get(req.op.Path)
	case reqExists:
		r.result.Stat, r.result.Err = t.Exists(req.op.Path)
	case reqChildren:
		r.names, r.result.Stat, r.result.Err = t.Children(req.op.Path)
	}
}

// onPing handles a heartbeat. The server answers it whatever became of the session:
// only the leader knows.
func (v *server) onPing(c *conn) {
	switch l := v.svc.leases[c.session]; {
	case l == nil:
		v.svc.count(pingAfterExpiry)
	case l.owner != c.id:
		v.svc.count(supersededPing)
	case v.cutOff:
		v.svc.count(isolatedPing)
	}
	v.onHeard(c)
}

// onHeard tells the leader, if the server can reach it, that a session's client was
// heard from.
func (v *server) onHeard(c *conn) {
	if l := v.svc.leases[c.session]; l != nil && !v.cutOff && v.svc.phase == serving {
		v.svc.touch(l, v)
	}
}

// toClient sends a message to the client's end, which may be gone when it arrives.
func (c *conn) toClient(deliver func(cl *Client)) {
	if c.client == nil {
		return
	}
	due := c.svc.sched.Now() + c.host.draws.within("latency", c.svc.cfg.Latency)
	c.down.put(message{due: due, tell: deliver})
}

// shuffle puts names in random order, so that no client comes to rely on one. It
// sorts first: the result depends on the draws only.
func shuffle(names []string, d *draws) {
	slices.Sort(names)
	for i := len(names) - 1; i > 0; i-- {
		j := d.below("children", i+1)
		names[i], names[j] = names[j], names[i]
	}
}
