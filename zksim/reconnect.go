package zksim

import (
	"cmp"
	"time"

	"dkv/zksim/zktree"
)

// What happens to a connection, in order:
//
//	attempt ─▶ onConnect (server) ─▶ onConnected ─▶ ping … ─▶ onConnectionLost ─▶ attempt

// attempt tries the next server.
func (cl *Client) attempt() {
	if cl.state != connecting || cl.conn != nil {
		return
	}
	v := cl.svc.servers[cl.next]
	cl.next = (cl.next + 1) % len(cl.svc.servers)
	switch {
	case cl.host.cut&(1<<v.id) != 0:
		cl.svc.count(hostCut)
		cl.svc.post(cl.svc.cfg.DialTimeout, cl.onAttemptFailed)
	case !v.up:
		cl.svc.count(serviceDown)
		cl.svc.post(cl.host.draws.within("refused", cl.svc.cfg.Latency), cl.onAttemptFailed)
	default:
		cl.open(v)
	}
}

func (cl *Client) open(v *server) {
	s := cl.svc
	s.conns++
	c := &conn{id: s.conns, svc: s, host: cl.host, server: v, client: cl}
	c.up.c, c.down.c = c, c
	v.conns[c.id] = c
	cl.conn = c
	cl.transmit(&request{
		kind: reqConnect, session: cl.session, password: cl.password,
		timeout: cl.timeout, lastZxid: cl.lastZxid,
	})
	patience := cmp.Or(s.cfg.HandshakeTimeout, cl.timeout/4)
	if cl.options.Unguarded {
		patience = cl.timeout * 20 / 3
	}
	s.post(patience, func() {
		if cl.conn == c && cl.state == connecting {
			if cl.options.Unguarded {
				s.count(unguardedStall)
			}
			cl.dropConn()
			cl.onAttemptFailed()
		}
	})
}

// onAttemptFailed tries the next server. Once all have been tried, the client
// pauses, and the requests that waited to be sent fail.
func (cl *Client) onAttemptFailed() {
	if cl.state != connecting {
		return
	}
	cl.tried++
	if cl.tried < len(cl.svc.servers) {
		cl.attempt()
		return
	}
	cl.tried = 0
	waiting := cl.waiting
	cl.waiting = nil
	cl.svc.count(reconnectPause)
	cl.svc.post(cl.host.draws.within("reconnect", cl.svc.cfg.Reconnect), cl.attempt)
	cl.failAll(waiting, zktree.ErrNoServer)
}

// onConnected handles a server's answer to the handshake.
func (cl *Client) onConnected(c *conn, req *request, expired bool) {
	if cl.conn != c {
		return
	}
	if expired {
		cl.onExpired()
		return
	}
	cl.session, cl.password, cl.timeout = req.session, req.password, req.timeout
	cl.state, cl.tried = connected, 0
	cl.lastHeard = cl.svc.sched.Now()
	waiting := cl.waiting
	cl.waiting = nil
	if len(waiting) > 0 && cl.host.draws.happens("read first", cl.svc.cfg.Rates.ReadFirst) {
		cl.svc.count(readBeforeEvent)
		cl.sendAll(waiting)
		cl.restoreWatches()
	} else {
		cl.restoreWatches()
		cl.sendAll(waiting)
	}
	cl.svc.post(cl.timeout/3, func() { cl.ping(c) })
	cl.handler.SessionEvent(HasSession)
}

func (cl *Client) sendAll(waiting []*request) {
	for _, req := range waiting {
		if req.madeIn != 0 && req.madeIn != cl.session {
			cl.svc.count(requestCrossed)
		}
		cl.send(req)
	}
}

// onExpired ends the client. One with the option Reopen begins a new session
// instead, in which the requests that wait are sent.
func (cl *Client) onExpired() {
	cl.svc.count(expiryLearned)
	if cl.options.Reopen {
		cl.dropConn()
		cl.session, cl.password, cl.lastZxid, cl.wrote = 0, [16]byte{}, 0, 0
		cl.toldZxid, cl.toldOn = 0, nil
		clear(cl.watchData)
		clear(cl.watchExist)
		clear(cl.watchChild)
		clear(cl.watchStaying)
		cl.svc.post(0, cl.attempt)
		cl.handler.SessionEvent(Expired)
		return
	}
	sent := append(cl.sent, cl.waiting...)
	cl.die(zktree.ErrSessionExpired)
	cl.handler.SessionEvent(Expired)
	cl.failAll(sent, zktree.ErrSessionExpired)
}

// restoreWatches asks the new server for the watches that the old one had. It is not
// a request of the application, so the order of replies does not apply to it.
func (cl *Client) restoreWatches() {
	set := zktree.WatchSet{
		Data:  cl.remembered(cl.watchData),
		Exist: cl.remembered(cl.watchExist),
		Child: cl.remembered(cl.watchChild),
	}
	for _, path := range sortedKeys(cl.watchStaying) {
		if cl.watchStaying[path] {
			set.Recursive = append(set.Recursive, path)
		} else {
			set.Persistent = append(set.Persistent, path)
		}
	}
	if !set.Empty() {
		since := cl.lastZxid
		if cl.host.draws.happens("late zxid", cl.svc.cfg.Rates.LateZxid) {
			since = cl.svc.zxid
		}
		cl.transmit(&request{kind: reqSetWatches, watchSet: &set, lastZxid: since, seen: cl.lastZxid})
	}
}

func (cl *Client) remembered(watched map[string]struct{}) []string {
	var kept []string
	for _, path := range sortedKeys(watched) {
		if cl.host.draws.happens("lose watch", cl.svc.cfg.Rates.LoseWatch) {
			cl.svc.count(watchLost)
			continue
		}
		kept = append(kept, path)
	}
	return kept
}

// ping sends a heartbeat every third of the session timeout. A client that has heard
// nothing for two thirds gives the connection up.
func (cl *Client) ping(c *conn) {
	if cl.conn != c {
		return
	}
	s := cl.svc
	s.post(cl.timeout/3, func() { cl.ping(c) })
	if !c.cut() {
		if !c.closed {
			c.server.onPing(c)
			cl.lastHeard = s.sched.Now()
		}
		return
	}
	s.count(hostCut)
	heard := cl.lastHeard
	patience := max(0, heard+2*cl.timeout/3-s.sched.Now())
	s.post(patience, func() {
		if cl.conn == c && cl.lastHeard == heard {
			cl.dropConn()
			cl.disconnected()
		}
	})
}

// onConnectionLost handles the close of the server's end of the connection.
func (cl *Client) onConnectionLost(c *conn) {
	if cl.conn != c {
		return
	}
	cl.conn, c.client = nil, nil
	c.up.drop()
	if cl.state == connecting {
		cl.onAttemptFailed()
		return
	}
	cl.disconnected()
}

// disconnected ends the requests under way with an unknown outcome, and tries
// another server at once or after a pause.
func (cl *Client) disconnected() {
	sent := cl.sent
	cl.sent = nil
	wasClosing := cl.state == closing
	cl.state, cl.tried = connecting, 0
	cl.lostAt = cl.svc.sched.Now()
	if wasClosing { // the close is among the requests ended below
		cl.state, cl.end = dead, zktree.ErrClosing
	} else {
		pause := time.Duration(0)
		if cl.pauses() {
			cl.svc.count(reconnectPause)
			pause = cl.host.draws.within("reconnect", cl.svc.cfg.Reconnect)
		}
		cl.svc.post(pause, cl.attempt)
	}
	cl.handler.SessionEvent(Disconnected)
	cl.failAll(sent, zktree.ErrConnectionLoss)
}

// pauses decides whether the client pauses before it tries another server.
func (cl *Client) pauses() bool {
	if rate := cl.svc.cfg.PauseRate; rate != 0 {
		return cl.host.draws.happens("pause by rate", rate)
	}
	return cl.host.draws.word("pause")%2 == 0
}
