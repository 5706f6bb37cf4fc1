package zkserver

import (
	"slices"
	"strings"

	"dkv/zksim/zktree"
)

// shownPath is the node that a request means: ZooKeeper knows the root by the
// empty path too.
func shownPath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// serveRead answers what asks for the state and changes nothing. Data and
// children are for those who may read them, and exists is for everybody.
func (s *Server) serveRead(c *conn, req *request) {
	var code zktree.Code
	var body func(*encoder)
	switch req.op {
	case opExists:
		code, body = s.readExists(c, req)
	case opGetData, opGetChildren, opChildren2:
		code, body = s.readNode(c, req.op, req.path)
		if req.watch && code == zktree.OK {
			kind := zktree.ChildWatch
			if req.op == opGetData {
				kind = zktree.DataWatch
			}
			s.watches.Add(kind, req.path, c.id)
		}
	case opGetACL:
		acl, stat, aclCode := s.seen.ACLFor(shownPath(req.path), c.auth)
		code, body = aclCode, func(e *encoder) { e.acl(acl); e.stat(&stat) }
	case opAllChildrenNumber:
		if code = s.seen.Allowed(shownPath(req.path), zktree.PermRead, c.auth); code == zktree.OK {
			n, _ := s.seen.AllChildrenNumber(shownPath(req.path))
			if req.path == "" {
				n++ // asked for by its other name, the root counts itself
			}
			body = func(e *encoder) { e.i32(int32(n)) }
		}
	case opGetEphemerals:
		body = func(e *encoder) { e.strings(s.ephemeralsBelow(c.session.id, req.path)) }
	case opWhoAmI:
		body = func(e *encoder) { e.identities(c.auth) }
	case opMultiRead:
		var results encoder
		if !s.multiRead(c, req.parts, &results) {
			s.hangUp(c)
			return
		}
		body = func(e *encoder) { e.b = append(e.b, results.b...) }
	}
	s.answer(c, req, s.seen.Zxid(), code, body)
}

func (s *Server) readExists(c *conn, req *request) (zktree.Code, func(*encoder)) {
	stat, code := s.seen.Exists(shownPath(req.path))
	if req.watch && (code == zktree.OK || code == zktree.ErrNoNode) {
		s.watches.Add(zktree.DataWatch, req.path, c.id)
	}
	return code, func(e *encoder) { e.stat(&stat) }
}

// readNode is a node's data or children, if c may read it.
func (s *Server) readNode(c *conn, op int32, path string) (zktree.Code, func(*encoder)) {
	path = shownPath(path)
	if code := s.seen.Allowed(path, zktree.PermRead, c.auth); code != zktree.OK {
		return code, nil
	}
	if op == opGetData {
		data, stat, code := s.seen.Get(path)
		return code, func(e *encoder) { e.buffer(data); e.stat(&stat) }
	}
	names, stat, code := s.seen.Children(path)
	return code, func(e *encoder) {
		e.strings(names)
		if op == opChildren2 {
			e.stat(&stat)
		}
	}
}

// multiRead answers each part for itself: one that fails stops no other. A
// short request can ask for many large nodes, or for one over and over: false
// when the answer would be longer than a connection's output may be.
func (s *Server) multiRead(c *conn, parts []readOp, e *encoder) bool {
	for _, part := range parts {
		if len(e.b) > maxOutBytes {
			return false
		}
		code, body := s.readNode(c, part.code, part.path)
		if code != zktree.OK {
			e.multiError(code)
			continue
		}
		e.multiHeader(part.code, false, 0)
		body(e)
	}
	e.multiHeader(-1, true, -1)
	return true
}

// ephemeralsBelow are a session's ephemeral nodes whose paths begin with prefix.
func (s *Server) ephemeralsBelow(session int64, prefix string) []string {
	prefix = strings.TrimSpace(prefix)
	var paths []string
	for _, path := range s.seen.Ephemerals(session) {
		if strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	return paths
}

// serveAuth adds an identity to the connection, or hangs up.
func (s *Server) serveAuth(c *conn, req *request) {
	switch {
	case req.scheme == "digest" && req.credential != nil:
		c.prove(zktree.DigestIdentity(string(req.credential)))
	case req.scheme == "ip": // every connection has it from the start
	default:
		s.answer(c, req, 0, zktree.ErrAuthFailed, nil)
		s.hangUp(c)
		return
	}
	s.answer(c, req, 0, zktree.OK, nil)
}

// prove adds an identity, unless the connection has it. What was shared of the
// list before stays as it was.
func (c *conn) prove(id zktree.Identity) {
	if slices.Contains(c.auth, id) || len(c.auth) >= maxIdentities {
		return
	}
	c.auth = append(slices.Clone(c.auth), id)
	c.server.watches.Identify(c.id, c.auth)
}

// serveWatches arms, restores, finds and removes a connection's watches.
func (s *Server) serveWatches(c *conn, req *request) {
	code := zktree.OK
	var body func(*encoder)
	switch req.op {
	case opSetWatches, opSetWatches2:
		s.watches.Restore(s.seen, req.since, req.watches, c.id, func(ev zktree.Event) { s.tell(c.id, ev) })
	case opAddWatch:
		code, body = s.addWatch(c, req), func(e *encoder) { e.i32(0) }
	case opCheckWatches:
		code = watchesOfKind(req.kind, func(kind zktree.WatchKind) bool { return s.watches.Watched(kind, req.path) })
	case opRemoveWatches:
		code = watchesOfKind(req.kind, func(kind zktree.WatchKind) bool { return s.watches.Remove(kind, req.path, c.id) })
	}
	s.answer(c, req, s.seen.Zxid(), code, body)
}

func (s *Server) addWatch(c *conn, req *request) zktree.Code {
	switch req.kind {
	case modePersistent:
		s.watches.Add(zktree.PersistentWatch, req.path, c.id)
	case modeRecursive:
		s.watches.Add(zktree.RecursiveWatch, req.path, c.id)
	default:
		return zktree.ErrMarshalling
	}
	return zktree.OK
}

// watchesOfKind asks each table that a client's kind of watcher stands in;
// errNoWatcher when none of them knows it.
func watchesOfKind(kind int32, in func(zktree.WatchKind) bool) zktree.Code {
	children, data := false, false
	switch kind {
	case watcherOfChildren:
		children = in(zktree.ChildWatch)
	case watcherOfData:
		data = in(zktree.DataWatch)
	case watcherOfEither:
		children, data = in(zktree.ChildWatch), in(zktree.DataWatch)
	default:
		return zktree.ErrMarshalling
	}
	if !children && !data {
		return errNoWatcher
	}
	return zktree.OK
}
