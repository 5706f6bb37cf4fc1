package zkserver

import (
	"fmt"
	"time"

	"dkv/zksim"
)

// handle is one event, on the owner's goroutine.
func (s *Server) handle(e event) {
	switch e.kind {
	case evCall:
		e.call()
	case evGone:
		s.forget(e.conn)
	case evWord:
		if !e.conn.gone {
			e.conn.pending = append(e.conn.pending, s.fourLetterText(e.word)...)
			s.hangUp(e.conn)
		}
	case evHello:
		if !e.conn.gone {
			s.onHello(e.conn, &e.hello)
		}
	case evFrame:
		if !e.conn.gone {
			s.onFrame(e.conn, e.frame)
		}
	}
}

// forget drops what is kept for a connection; its session lives on.
func (s *Server) forget(c *conn) {
	c.gone = true
	s.watches.Drop(c.id)
	delete(s.byID, c.id)
	if c.session != nil && c.session.conn == c {
		c.session.conn = nil
	}
	c.session = nil
}

// hangUp closes a connection once what it was told in this turn is sent.
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

// onHello begins a session, or gives a living one this connection.
func (s *Server) onHello(c *conn, h *connectRequest) {
	if s.faults.holdHandshakes {
		return
	}
	if h.lastZxid > s.zxid {
		s.opts.Logger.Warn("client has seen more than this server: wrong server, or its state was lost",
			"client", fmt.Sprintf("%#x", h.lastZxid), "server", fmt.Sprintf("%#x", s.zxid))
		s.hangUp(c)
		return
	}
	var sess *session
	if h.session == 0 {
		sess = s.newSession(h.timeout)
	} else {
		sess = s.sessions[h.session]
		if sess != nil && sess.conn != nil {
			s.hangUp(sess.conn) // even if the password is wrong, as ZooKeeper has it
		}
		if sess != nil && sess.password != h.password {
			sess = nil
		}
	}
	enc := encoder{c.pending}
	if sess == nil {
		enc.connectResponse(0, 0, [16]byte{}, h.saysReadOnly)
		c.pending = enc.b
		s.hangUp(c)
		return
	}
	sess.conn, sess.heard = c, time.Now()
	c.session = sess
	s.byID[c.id] = c
	enc.connectResponse(sess.id, sess.timeout, sess.password, h.saysReadOnly)
	c.pending = enc.b
	s.markDirty(c)
}

func (s *Server) newSession(asked time.Duration) *session {
	for s.lastID++; s.sessions[s.lastID] != nil; s.lastID++ {
	}
	sess := &session{
		id:       s.lastID,
		timeout:  min(max(asked, s.opts.MinSessionTimeout), s.opts.MaxSessionTimeout),
		password: newPassword(),
	}
	txn := zksim.Txn{Session: sess.id, Timeout: sess.timeout, Password: sess.password}
	txn.Code = zksim.OpCreateSession
	s.commit(&txn)
	s.sessions[sess.id] = sess
	return sess
}

// commit gives a transaction its zxid, applies it, and adds it to the turn's
// log. Watches are told at once, so that an event comes before any answer that
// shows its change.
func (s *Server) commit(txn *zksim.Txn) zksim.Result {
	s.zxid++
	txn.Zxid, txn.Time = s.zxid, time.Now().UnixMilli()
	r := s.tree.Apply(txn)
	if s.wal != nil {
		s.batch.log = s.wal.append(s.batch.log, txn, r.Failed)
	}
	if txn.Code == zksim.OpCloseSession && r.Err == zksim.OK {
		delete(s.sessions, txn.Session)
	}
	s.watches.Fire(r.Changes, s.tell)
	return r
}

func (s *Server) tell(watcher int64, ev zksim.Event) {
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

// onFrame is one request of a client.
func (s *Server) onFrame(c *conn, frame []byte) {
	c.counts.received++
	s.total.received++
	if c.session == nil {
		return // the handshake is held: nothing is answered
	}
	c.session.heard = time.Now()
	req, header, err := decodeRequest(frame)
	switch {
	case !header:
		s.hangUp(c)
	case err != nil:
		s.answer(c, &req, s.zxid, zksim.ErrMarshalling, nil)
	default:
		s.serve(c, &req)
	}
}

func (s *Server) serve(c *conn, req *request) {
	switch req.op {
	case opPing:
		req.xid = xidPing
		s.answer(c, req, s.zxid, zksim.OK, nil)
	case opSync:
		s.answer(c, req, s.zxid, zksim.OK, func(e *encoder) { e.str(req.path) })
	case opExists, opGetData, opGetChildren, opChildren2, opGetACL:
		s.serveRead(c, req)
	case int32(zksim.OpCreate), int32(zksim.OpCreate2), int32(zksim.OpDelete),
		int32(zksim.OpSetData), int32(zksim.OpCheck), int32(zksim.OpMulti):
		s.serveWrite(c, req)
	case opSetWatches, opSetWatches2:
		s.watches.Restore(s.tree, req.since, req.watches, c.id, func(ev zksim.Event) { s.tell(c.id, ev) })
		s.answer(c, req, s.zxid, zksim.OK, nil)
	case opAuth:
		s.serveAuth(c, req)
	case opClose:
		txn := zksim.Txn{Session: c.session.id}
		txn.Code = zksim.OpCloseSession
		r := s.commit(&txn)
		s.answer(c, req, r.Zxid, zksim.OK, nil)
		s.hangUp(c)
	default:
		s.answer(c, req, s.zxid, zksim.ErrUnimplemented, nil)
		if !knownOp(req.op) {
			s.hangUp(c)
		}
	}
}

// knownOp says whether ZooKeeper has the operation, though this server does
// not; for others it hangs up.
func knownOp(op int32) bool {
	switch op {
	case opSetACL, 16, 17, 18, opContainer, 20, opTTL, opMultiRead, 103, 104, 106, 107:
		return true
	}
	return false
}

// serveAuth takes credentials of the schemes that ZooKeeper has built in. No
// access list here asks for any, so none are kept.
func (s *Server) serveAuth(c *conn, req *request) {
	if req.authName == "digest" || req.authName == "ip" {
		s.answer(c, req, 0, zksim.OK, nil)
		return
	}
	s.answer(c, req, 0, zksim.ErrAuthFailed, nil)
	s.hangUp(c)
}

func (s *Server) serveRead(c *conn, req *request) {
	var stat zksim.Stat
	var code zksim.Code
	var body func(e *encoder)
	switch req.op {
	case opExists:
		stat, code = s.tree.Exists(req.path)
		body = func(e *encoder) { e.stat(&stat) }
		if req.watch && (code == zksim.OK || code == zksim.ErrNoNode) {
			s.watches.Add(zksim.DataWatch, req.path, c.id)
		}
	case opGetData:
		var data []byte
		data, stat, code = s.tree.Get(req.path)
		body = func(e *encoder) { e.buffer(data); e.stat(&stat) }
		if req.watch && code == zksim.OK {
			s.watches.Add(zksim.DataWatch, req.path, c.id)
		}
	case opGetACL:
		var acl []zksim.ACL
		acl, stat, code = s.tree.ACLOf(req.path)
		body = func(e *encoder) { e.acl(acl); e.stat(&stat) }
	default:
		var names []string
		names, stat, code = s.tree.Children(req.path)
		body = func(e *encoder) {
			e.strings(names)
			if req.op == opChildren2 {
				e.stat(&stat)
			}
		}
		if req.watch && code == zksim.OK {
			s.watches.Add(zksim.ChildWatch, req.path, c.id)
		}
	}
	s.answer(c, req, s.zxid, code, body)
}

func (s *Server) serveWrite(c *conn, req *request) {
	if take(&s.faults.dropBefore) {
		s.hangUp(c)
		return
	}
	txn := zksim.Txn{Session: c.session.id, Op: req.write, Ops: req.ops}
	r := s.commit(&txn)
	if take(&s.faults.dropAfter) {
		s.hangUp(c)
		return
	}
	s.answer(c, req, r.Zxid, r.Err, func(e *encoder) {
		switch txn.Code {
		case zksim.OpCreate:
			e.str(r.Path)
		case zksim.OpCreate2:
			e.str(r.Path)
			e.stat(&r.Stat)
		case zksim.OpSetData:
			e.stat(&r.Stat)
		case zksim.OpMulti:
			e.multiResults(&r)
		}
	})
}

// answer adds a reply to the turn's output. There is no body when code is an
// error.
func (s *Server) answer(c *conn, req *request, zxid int64, code zksim.Code, body func(*encoder)) {
	enc := encoder{c.pending}
	mark := enc.begin()
	enc.replyHeader(req.xid, zxid, code)
	if code == zksim.OK && body != nil {
		body(&enc)
	}
	enc.end(mark)
	s.answered += len(enc.b) - mark
	c.pending = enc.b
	c.counts.sent++
	s.total.sent++
	s.markDirty(c)
}
