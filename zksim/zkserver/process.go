package zkserver

import (
	"errors"
	"fmt"
	"time"

	"dkv/zksim/zktree"
)

// onWord answers a four-letter word and closes the connection.
func (s *Server) onWord(c *conn, word string) {
	s.total.received++
	c.counts.received++
	c.pending = append(c.pending, words[word](s)...)
	s.hangUp(c)
}

// forget drops what is kept for a connection. Its session stays live.
func (s *Server) forget(c *conn) {
	c.gone = true
	s.watches.Drop(c.id)
	delete(s.byID, c.id)
	if c.session != nil && c.session.conn == c {
		c.session.conn = nil
	}
	c.session, c.held = nil, nil
	c.setFull(false)
}

// hangUp closes a connection once its output of this turn is sent.
func (s *Server) hangUp(c *conn) {
	s.forget(c)
	c.hangUp = true
	s.markDirty(c)
}

func (s *Server) markDirty(c *conn) {
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// onHello begins a session, or moves a live one to this connection.
func (s *Server) onHello(c *conn, h *connectRequest) {
	s.total.received++
	c.counts.received++
	if s.faults.holdHandshakes {
		return
	}
	if h.lastZxid > s.shown.Zxid() {
		s.opts.Logger.Warn("refused a client that has seen a later state than this server: it is the wrong server, or its state was lost",
			"client", fmt.Sprintf("%#x", h.lastZxid), "server", fmt.Sprintf("%#x", s.shown.Zxid()))
		s.hangUp(c)
		return
	}
	var sess *session
	if h.session == 0 {
		sess = s.newSession(h.timeout)
	} else {
		sess = s.sessions[h.session]
		if sess != nil && sess.conn != nil {
			s.hangUp(sess.conn) // even if the password is wrong, as in ZooKeeper
		}
		if sess != nil && sess.password != h.password {
			sess = nil
		}
	}
	if sess == nil {
		s.welcome(c, &session{}, h)
		s.hangUp(c)
		return
	}
	sess.conn, sess.heard, sess.timeout = c, time.Now(), s.clamp(h.timeout)
	c.session = sess
	s.byID[c.id] = c
	s.watches.Identify(c.id, c.auth)
	zxid := int64(0)
	if h.session == 0 {
		zxid = s.zxid
	}
	s.after(c, zxid, func() { s.welcome(c, sess, h) })
}

// welcome answers a handshake. A zero session means that the session has expired.
func (s *Server) welcome(c *conn, sess *session, h *connectRequest) {
	enc := encoder{c.pending}
	enc.connectResponse(sess.id, sess.timeout, sess.password, h.saysReadOnly)
	c.pending = enc.b
	c.counts.sent++
	s.total.sent++
	s.markDirty(c)
}

// clamp returns the timeout that a client gets. It is negotiated again with each
// connection.
func (s *Server) clamp(asked time.Duration) time.Duration {
	return min(max(asked, s.opts.MinSessionTimeout), s.opts.MaxSessionTimeout)
}

func (s *Server) newSession(asked time.Duration) *session {
	for s.lastID++; s.sessions[s.lastID] != nil; s.lastID++ {
	}
	sess := &session{
		id:       s.lastID,
		timeout:  s.clamp(asked),
		password: newPassword(),
	}
	txn := zktree.Txn{Session: sess.id, Timeout: sess.timeout, Password: sess.password}
	txn.Code = zktree.OpCreateSession
	s.commit(&txn)
	s.sessions[sess.id] = sess
	return sess
}

// commit gives a transaction its zxid, applies it, and adds it to the turn's log.
// Unless the server lags, it fires watches at once, so that an event precedes every
// answer that shows its change.
func (s *Server) commit(txn *zktree.Txn) zktree.Result {
	s.zxid++
	txn.Zxid, txn.Time = s.zxid, time.Now().UnixMilli()
	r := s.tree.Apply(txn)
	if txn.Code == zktree.OpCloseSession && r.Err == zktree.OK {
		delete(s.sessions, txn.Session)
	}
	if s.wal != nil || s.lag != nil {
		settle(txn, r.Failed)
	}
	if s.wal != nil {
		s.batch.log = appendTxn(s.batch.log, txn)
	}
	if s.lag != nil {
		s.showLater(txn)
	} else {
		s.watches.Fire(r.Changes, s.tell)
	}
	return r
}

// settle turns a transaction that was applied into one that can be applied again with
// the same effect: its access lists are resolved, and if it failed it does nothing.
func settle(txn *zktree.Txn, failed bool) {
	txn.Trusted = true
	if failed {
		txn.Op, txn.Ops = zktree.Op{Code: opNothing}, nil
		return
	}
	txn.Op = resolved(txn.Op, txn.Auth)
	ops := make([]zktree.Op, 0, len(txn.Ops)) // a copy: the request keeps its own
	for _, op := range txn.Ops {
		ops = append(ops, resolved(op, txn.Auth))
	}
	txn.Ops = ops
}

func resolved(op zktree.Op, auth []zktree.Identity) zktree.Op {
	if acl, code := zktree.ResolveACL(op.ACL, auth); code == zktree.OK && op.ACL != nil {
		op.ACL = acl
	}
	return op
}

func (s *Server) tellNow(watcher int64, ev zktree.Event) {
	c := s.byID[watcher]
	if c == nil {
		return
	}
	enc := encoder{c.pending}
	enc.event(ev)
	c.pending = enc.b
	c.counts.sent++
	s.total.sent++
	s.markDirty(c)
}

// onFrame handles one request of a client, read at now.
func (s *Server) onFrame(c *conn, frame []byte, now time.Time) {
	if c.gone || c.session == nil {
		return // the connection is closing, or its handshake is held
	}
	c.counts.received++
	s.total.received++
	c.session.heard = now
	req, header, err := decodeRequest(frame)
	req.taken = now
	switch {
	case !header || (err != nil && req.op == opAuth):
		s.hangUp(c)
		return
	case err != nil:
		s.onUndecodable(c, &req, err)
	default:
		s.serve(c, &req)
	}
	c.counts.asked++
}

// onUndecodable answers a request whose body cannot be decoded. As in ZooKeeper, a
// write still takes a zxid.
func (s *Server) onUndecodable(c *conn, req *request, why error) {
	zxid := int64(0)
	if req.writes() {
		zxid = s.commitNothing(c.session.id)
	}
	s.after(c, zxid, func() {
		var body func(*encoder)
		if errors.Is(why, errNotRead) {
			body = func(e *encoder) { e.multiHeader(-1, true, -1) }
		}
		s.reply(c, req, max(zxid, s.shown.Zxid()), zktree.ErrMarshalling, body)
	})
}

// commitNothing takes a zxid for a request that failed before it became a
// transaction.
func (s *Server) commitNothing(session int64) (zxid int64) {
	txn := zktree.Txn{Session: session}
	txn.Code = opNothing
	return s.commit(&txn).Zxid
}

func (s *Server) serve(c *conn, req *request) {
	switch {
	case req.writes():
		s.serveWrite(c, req)
		return
	case req.reads():
		s.after(c, 0, func() { s.serveRead(c, req) })
		return
	}
	switch req.op {
	case opPing:
		req.xid = xidPing
		s.after(c, 0, func() { s.answer(c, req, s.shown.Zxid(), zktree.OK, nil) })
	case opSync:
		s.after(c, s.zxid, func() {
			s.answer(c, req, s.shown.Zxid(), zktree.OK, func(e *encoder) { e.path(req.path, req.noPath) })
		})
	case opSetWatches, opSetWatches2, opAddWatch, opCheckWatches, opRemoveWatches:
		s.after(c, 0, func() { s.serveWatches(c, req) })
	case opAuth:
		s.after(c, 0, func() { s.serveAuth(c, req) })
	case opSASL:
		// No mechanism is available, which ZooKeeper answers with an empty token.
		s.after(c, 0, func() { s.answer(c, req, 0, zktree.OK, func(e *encoder) { e.buffer(nil) }) })
	case opReconfig:
		s.refuse(c, req, errReconfigDisabled)
	case int32(zktree.OpDelContainer): // for the server itself only
		s.refuse(c, req, zktree.ErrBadArguments)
	case opClose:
		s.serveClose(c, req)
	default: // ZooKeeper hangs up on an unknown operation, and its answer has no zxid
		s.after(c, 0, func() {
			s.answer(c, req, -1, zktree.ErrUnimplemented, nil)
			s.hangUp(c)
		})
	}
}

// refuse answers a write that this server never does. As in ZooKeeper, it takes a
// zxid.
func (s *Server) refuse(c *conn, req *request, code zktree.Code) {
	zxid := s.commitNothing(c.session.id)
	s.after(c, zxid, func() { s.answer(c, req, zxid, code, nil) })
}

func (s *Server) serveClose(c *conn, req *request) {
	txn := zktree.Txn{Session: c.session.id}
	txn.Code = zktree.OpCloseSession
	r := s.commit(&txn)
	c.session = nil // requests after it are ignored
	s.after(c, r.Zxid, func() {
		s.answer(c, req, r.Zxid, zktree.OK, nil)
		s.hangUp(c)
	})
}

func (s *Server) serveWrite(c *conn, req *request) {
	if take(&s.faults.dropBefore) {
		s.hangUp(c)
		return
	}
	txn := zktree.Txn{Session: c.session.id, Op: req.write, Ops: req.ops, Auth: c.auth}
	r := s.commit(&txn)
	if take(&s.faults.dropAfter) {
		s.hangUp(c)
		return
	}
	if req.write.Code == zktree.OpCheck && r.Err == zktree.OK {
		s.after(c, r.Zxid, func() {}) // outside a multi ZooKeeper fails to build an answer, so it sends nothing
		return
	}
	if unreadable(&r) {
		s.after(c, r.Zxid, func() { s.answer(c, req, r.Zxid, zktree.ErrMarshalling, nil) })
		return
	}
	s.after(c, r.Zxid, func() {
		s.answer(c, req, r.Zxid, r.Err, func(e *encoder) {
			switch req.write.Code {
			case zktree.OpCreate:
				e.str(r.Path)
			case zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL:
				e.str(r.Path)
				e.stat(&r.Stat)
			case zktree.OpSetData, zktree.OpSetACL:
				e.stat(&r.Stat)
			case zktree.OpMulti:
				e.multiResults(&r)
			}
		})
	})
}

// unreadable reports whether a multi failed at an operation that lacks the fields of
// its kind. ZooKeeper notices only when it reaches that operation.
func unreadable(r *zktree.Result) bool {
	for i := range r.Ops {
		if r.Ops[i].Code == opUnreadable && r.Ops[i].Err == zktree.ErrUnimplemented {
			return true
		}
	}
	return false
}

// answer adds a reply to the turn's output, without the body if code is an error.
func (s *Server) answer(c *conn, req *request, zxid int64, code zktree.Code, body func(*encoder)) {
	if code != zktree.OK {
		body = nil
	}
	s.reply(c, req, zxid, code, body)
}

func (s *Server) reply(c *conn, req *request, zxid int64, code zktree.Code, body func(*encoder)) {
	enc := encoder{c.pending}
	mark := enc.begin()
	enc.replyHeader(req.xid, zxid, code)
	if body != nil {
		body(&enc)
	}
	enc.end(mark)
	s.answered += len(enc.b) - mark
	c.pending = enc.b
	c.requests.add(req.taken)
	c.last = lastRequest{c.last.began, req.op, req.xid, zxid}
	if code != zktree.OK && req.writes() {
		c.last.op = opFailed // ZooKeeper does not show which one
	}
	c.counts.sent++
	s.total.sent++
	s.markDirty(c)
}
