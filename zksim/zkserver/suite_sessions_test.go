package zkserver

import (
	"fmt"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// suiteMoved gives a session a second connection, to another server. A follower keeps
// answering reads and pings over the first one until that one writes; a leader checks
// at every request which connection owns the session. Any of its connections can end
// the session.
func suiteMoved(t *testing.T, at target) {
	if at.other == "" {
		t.Skip("this part needs an ensemble")
	}
	c, root := place(t, at)
	c.create(root+"/e", "", zktree.Ephemeral)
	moved := c.moveTo(t, at.other, c.lastZxid)
	want(t, "a write over the new connection", moved.set(root+"/e", "moved", 0).Err, zktree.OK)
	if at.reportDelay > 0 {
		c.call(opPing, nil)
		want(t, "a read over the old connection", c.exists(root, false).Err, zktree.OK)
	}
	c.send(int32(zktree.OpSetData), func(e *encoder) { op := opSet(root + "/e"); encodeOp(e, &op) })
	want(t, "connection closed by a write over the old one", c.closedByServer(), true)
	want(t, "the version after that write", moved.exists(root+"/e", false).Stat.Version, 1)
	want(t, "a create over the new connection", moved.create(root+"/f", "", zktree.Ephemeral).Err, zktree.OK)
	back := c.moveTo(t, at.addr, moved.lastZxid)
	want(t, "a write after moving back", back.set(root+"/e", "back", 1).Err, zktree.OK)
	moved.send(opClose, nil)
	gone := newSession(t, at.addr, longest)
	gone.awaitGone(t, root+"/e")
	want(t, "connection closed by a close over another one", back.closedByServer(), true)
	again, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid)
	if err != nil || again.session != 0 {
		t.Errorf("a session that was ended was accepted: %v %+v", err, again)
	}
}

// moveTo connects a session to another server of its ensemble, which refuses it until
// it has applied what the session saw. Even a leader may be behind its followers for
// a moment.
func (c *wireClient) moveTo(t *testing.T, addr string, seen int64) *wireClient {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		moved, err := hello(t, addr, longest, c.session, c.password, seen)
		switch {
		case err == nil && moved.session == c.session:
			return moved
		case err == nil || time.Now().After(end):
			t.Fatalf("moving to %s: %v", addr, err)
		}
	}
}

func suiteReattachZxids(t *testing.T, at target) {
	c, root := place(t, at)
	c.exists(root, true)
	for _, x := range []struct {
		name string
		zxid int64
	}{{"as seen", c.lastZxid}, {"lower", 1}, {"none", 0}} {
		again, err := hello(t, at.addr, longest, c.session, c.password, x.zxid)
		if err != nil || again.session != c.session {
			t.Fatalf("%s: %v", x.name, err)
		}
		want(t, x.name+": reads", again.exists(root, false).Err, zktree.OK)
		again.set(root, x.name, -1)
		want(t, x.name+": events of the old connection's watch", again.takeEvents(), nil)
		c = again
	}
	ahead, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid+1<<40)
	if err == nil {
		t.Errorf("a session that saw a later state than the server was accepted: %+v", ahead)
	}
	want(t, "a read over the present connection", c.exists(root, false).Err, zktree.OK)
}

func suiteRenegotiation(t *testing.T, at target) {
	c, root := place(t, at)
	short, err := hello(t, at.addr, 2*at.tick, c.session, c.password, c.lastZxid)
	if err != nil || short.session != c.session {
		t.Fatalf("reattach: %v", err)
	}
	want(t, "a shorter timeout", short.timeout, 2*at.tick)
	want(t, "ephemeral", short.create(root+"/e", "", zktree.Ephemeral).Err, zktree.OK)
	long, err := hello(t, at.addr, time.Hour, c.session, c.password, c.lastZxid)
	if err != nil || long.session != c.session {
		t.Fatalf("reattach: %v", err)
	}
	want(t, "a longer timeout", long.timeout, 20*at.tick)
	last, err := hello(t, at.addr, 2*at.tick, c.session, c.password, c.lastZxid)
	if err != nil || last.session != c.session {
		t.Fatalf("reattach: %v", err)
	}
	last.nc.Close()
	began := time.Now()
	c.session, short.session, long.session = 0, 0, 0 // leave must not end the session
	newSession(t, at.addr, longest).awaitGone(t, root+"/e")
	// In an ensemble the longer timeout applies now and then.
	if took := time.Since(began); took > 10*at.tick && at.other == "" {
		t.Errorf("a session with a timeout of %v ended after %v", 2*at.tick, took)
	}
}

// suiteEndOfSession checks that all ephemerals are removed at one zxid, that of the
// reply to close, and that watchers get an event for each.
func suiteEndOfSession(t *testing.T, at target) {
	c, root := place(t, at)
	owner := newSession(t, at.addr, longest)
	var paths []string
	for i := range 3 {
		parent := fmt.Sprintf("%s/p%d", root, i)
		c.create(parent, "", 0)
		want(t, "ephemeral", owner.create(parent+"/e", "", zktree.Ephemeral).Err, zktree.OK)
		paths = append(paths, parent)
		c.exists(parent+"/e", true)
		c.read(opChildren2, parent, true)
	}
	r := owner.call(opClose, nil)
	want(t, "the zxid of the reply to close", r.Zxid, c.exists(root, false).Zxid)
	for _, p := range paths {
		want(t, "one zxid", c.exists(p, false).Stat.Pzxid, r.Zxid)
		want(t, "an ephemeral after it", c.exists(p+"/e", false).Err, zktree.ErrNoNode)
	}
	got := map[zktree.Event]bool{}
	for _, e := range c.takeEvents() {
		got[e] = true
	}
	want(t, "events", len(got), 6)
	for _, p := range paths {
		want(t, "event of the ephemeral", got[zktree.Event{Type: zktree.EventDeleted, Path: p + "/e"}], true)
		want(t, "event of the parent", got[zktree.Event{Type: zktree.EventChildrenChanged, Path: p}], true)
	}
}

// suiteUnknown sends operations that do not exist, or not in this place.
func suiteUnknown(t *testing.T, at target) {
	c, root := place(t, at)
	for _, op := range []int32{-2, 10, 23, 99, 108, 1000} {
		d := newSession(t, at.addr, longest)
		zxid := c.exists(root, false).Zxid
		r, err := d.receive(d.send(op, func(e *encoder) { e.str(root) }))
		name := fmt.Sprint("operation ", op)
		want(t, name, r.Err, zktree.ErrUnimplemented)
		want(t, name+": zxid", r.Zxid, -1)
		want(t, name+": read", err, nil)
		want(t, name+": connection closed", d.closedByServer(), true)
		want(t, name+": zxid afterwards", c.exists(root, false).Zxid, zxid)
	}
	want(t, "a read over another connection", c.exists(root, false).Err, zktree.OK)
	r := c.call(int32(zktree.OpMulti), func(e *encoder) {
		e.multiHeader(int32(zktree.OpSetACL), false, -1)
		e.str(root)
		e.acl(zktree.OpenACL)
		e.i32(-1)
		e.multiHeader(-1, true, -1)
	})
	want(t, "setACL in a multi", r.Err, zktree.ErrMarshalling)
	r = c.call(int32(zktree.OpMulti), func(e *encoder) {
		e.multiHeader(opGetData, false, -1)
		e.str(root + "/no")
		e.boolean(false)
		e.multiHeader(-1, true, -1)
	})
	want(t, "a read in a multi", r.Err, zktree.ErrMarshalling)
	c.lax = true // the answer has an empty list after its error
	r = c.call(wireMultiRead, func(e *encoder) {
		e.multiHeader(int32(zktree.OpCheck), false, -1)
		e.str(root)
		e.i32(-1)
		e.multiHeader(-1, true, -1)
	})
	want(t, "a write in a multiRead", r.Err, zktree.ErrMarshalling)
	want(t, "a read over the same connection", c.exists(root, false).Err, zktree.OK)
	want(t, "a failing check outside a multi", c.write(opCheck(root, 7)).Err, zktree.ErrBadVersion)
	if at.other != "" {
		return // followers cannot read the transaction of a check that succeeds, and the ensemble breaks
	}
	last := c.lastZxid
	c.send(int32(zktree.OpCheck), func(e *encoder) { op := opCheck(root, -1); encodeOp(e, &op) })
	want(t, "the zxid after an unanswered check outside a multi", c.exists(root, false).Zxid, last+1)
}
