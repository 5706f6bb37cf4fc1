package zkserver

import (
	"slices"
	"strings"

	"dkv/zksim/zktree"
)

// nodePath returns the path of the node that a request names: in ZooKeeper the root
// has the empty path too.
func nodePath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// serveRead answers the requests that read the state. Data and children require
// permission to read; exists requires none.
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
		acl, stat, aclCode := s.shown.ACLFor(nodePath(req.path), c.auth)
		code, body = aclCode, func(e *encoder) { e.acl(acl); e.stat(&stat) }
	case opAllChildrenNumber:
		if code = s.shown.Allowed(nodePath(req.path), zktree.PermRead, c.auth); code == zktree.OK {
			n, _ := s.shown.AllChildrenNumber(nodePath(req.path))
			if req.path == "" {
				n++ // by its empty path, the root counts itself
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
	s.answer(c, req, s.shown.Zxid(), code, body)
}

func (s *Server) readExists(c *conn, req *request) (zktree.Code, func(*encoder)) {
	stat, code := s.shown.Exists(nodePath(req.path))
	if req.watch && (code == zktree.OK || code == zktree.ErrNoNode) {
		s.watches.Add(zktree.DataWatch, req.path, c.id)
	}
	return code, func(e *encoder) { e.stat(&stat) }
}

// readNode reads a node's data or children, if c may read them.
func (s *Server) readNode(c *conn, op int32, path string) (zktree.Code, func(*encoder)) {
	path = nodePath(path)
	if code := s.shown.Allowed(path, zktree.PermRead, c.auth); code != zktree.OK {
		return code, nil
	}
	if op == opGetData {
		data, stat, code := s.shown.Get(path)
		return code, func(e *encoder) { e.buffer(data); e.stat(&stat) }
	}
	names, stat, code := s.shown.Children(path)
	return code, func(e *encoder) {
		e.strings(names)
		if op == opChildren2 {
			e.stat(&stat)
		}
	}
}

// multiRead answers each part on its own: one that fails does not stop the others. A
// short request can name many large nodes, or the same one many times, so it returns
// false once the answer is longer than a connection's output may be.
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

// ephemeralsBelow returns a session's ephemerals whose paths begin with prefix.
func (s *Server) ephemeralsBelow(session int64, prefix string) []string {
	prefix = strings.TrimSpace(prefix)
	var paths []string
	for _, path := range s.shown.Ephemerals(session) {
		if strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	return paths
}

// serveAuth adds an identity to the connection. It hangs up if the proof is invalid.
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

// prove adds an identity, unless the connection has it. It copies the list, since
// transactions share the old one.
func (c *conn) prove(id zktree.Identity) {
	if slices.Contains(c.auth, id) || len(c.auth) >= maxIdentities {
		return
	}
	c.auth = append(slices.Clone(c.auth), id)
	c.server.watches.Identify(c.id, c.auth)
}

// serveWatches answers the requests that add, restore, find and remove watches.
func (s *Server) serveWatches(c *conn, req *request) {
	code := zktree.OK
	var body func(*encoder)
	switch req.op {
	case opSetWatches, opSetWatches2:
		s.watches.Restore(s.shown, req.since, req.watches, c.id, func(ev zktree.Event) { s.tell(c.id, ev) })
	case opAddWatch:
		code, body = s.addWatch(c, req), func(e *encoder) { e.i32(0) }
	case opCheckWatches:
		code = watchesOfKind(req.kind, func(kind zktree.WatchKind) bool { return s.watches.Watched(kind, req.path) })
	case opRemoveWatches:
		code = watchesOfKind(req.kind, func(kind zktree.WatchKind) bool { return s.watches.Remove(kind, req.path, c.id) })
	}
	s.answer(c, req, s.shown.Zxid(), code, body)
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

// watchesOfKind calls in for each table that holds watches of the client's kind. The
// code is errNoWatcher if it returns false for all of them.
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
