package zkserver

import (
	"fmt"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// suiteMoved gives a session a second connection, on another server. A follower
// goes on answering reads and pings on the first one, until that one writes; a
// leader looks at who owns the session with every request. An end of the session
// is taken from any of its connections.
func suiteMoved(t *testing.T, at target) {
	if at.other == "" {
		t.Skip("there is no other server")
	}
	c, root := place(t, at)
	c.create(root+"/e", "", zktree.Ephemeral)
	moved := c.moveTo(t, at.other, c.lastZxid)
	want(t, "a write where it is now", moved.set(root+"/e", "moved", 0).Err, zktree.OK)
	if at.hearsay > 0 {
		c.call(opPing, nil)
		want(t, "a read where it was", c.exists(root, false).Err, zktree.OK)
	}
	c.send(int32(zktree.OpSetData), func(e *encoder) { op := opSet(root + "/e"); encodeOp(e, &op) })
	want(t, "a write where it was closes", c.closedByServer(), true)
	want(t, "without effect", moved.exists(root+"/e", false).Stat.Version, 1)
	want(t, "the session lives on", moved.create(root+"/f", "", zktree.Ephemeral).Err, zktree.OK)
	back := c.moveTo(t, at.addr, moved.lastZxid)
	want(t, "and moves back", back.set(root+"/e", "back", 1).Err, zktree.OK)
	moved.send(opClose, nil)
	gone := newSession(t, at.addr, 4*time.Second)
	gone.awaitGone(t, root+"/e")
	want(t, "an end where it was ends the session", back.closedByServer(), true)
	again, err := hello(t, at.addr, 4*time.Second, c.session, c.password, c.lastZxid)
	if err != nil || again.session != 0 {
		t.Errorf("a session that was ended came back: %v %+v", err, again)
	}
}

// moveTo connects a session to another server of its ensemble, which turns it
// away as long as it has not yet applied what the session saw. Even a leader may
// be behind its followers for a moment.
func (c *wireClient) moveTo(t *testing.T, addr string, seen int64) *wireClient {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		moved, err := hello(t, addr, 4*time.Second, c.session, c.password, seen)
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
		story string
		zxid  int64
	}{{"as seen", c.lastZxid}, {"lower", 1}, {"none", 0}} {
		again, err := hello(t, at.addr, 4*time.Second, c.session, c.password, x.zxid)
		if err != nil || again.session != c.session {
			t.Fatalf("%s: %v", x.story, err)
		}
		want(t, x.story+": reads", again.exists(root, false).Err, zktree.OK)
		again.set(root, x.story, -1)
		want(t, x.story+": no watch came along", again.takeEvents(), nil)
		c = again
	}
	ahead, err := hello(t, at.addr, 4*time.Second, c.session, c.password, c.lastZxid+1<<40)
	if err == nil {
		t.Errorf("a session that saw more than the server was taken: %+v", ahead)
	}
	want(t, "the rightful connection goes on", c.exists(root, false).Err, zktree.OK)
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
	c.session, short.session, long.session = 0, 0, 0 // nobody may end it
	newSession(t, at.addr, 4*time.Second).awaitGone(t, root+"/e")
	// In an ensemble the longer one holds now and then.
	if took := time.Since(began); took > 10*at.tick && at.other == "" {
		t.Errorf("a timeout of %v took %v", 2*at.tick, took)
	}
}

// suiteEndOfSession: all ephemerals go in one zxid, that of the reply to close,
// and watchers are told of each.
func suiteEndOfSession(t *testing.T, at target) {
	c, root := place(t, at)
	owner := newSession(t, at.addr, 4*time.Second)
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
	want(t, "its zxid is the next", r.Zxid, c.exists(root, false).Zxid)
	for _, p := range paths {
		want(t, "one zxid", c.exists(p, false).Stat.Pzxid, r.Zxid)
		want(t, "gone", c.exists(p+"/e", false).Err, zktree.ErrNoNode)
	}
	got := map[zktree.Event]bool{}
	for _, e := range c.takeEvents() {
		got[e] = true
	}
	want(t, "events", len(got), 6)
	for _, p := range paths {
		want(t, "deletion", got[zktree.Event{Type: zktree.EventDeleted, Path: p + "/e"}], true)
		want(t, "the parent's", got[zktree.Event{Type: zktree.EventChildrenChanged, Path: p}], true)
	}
}

// suiteUnknown sends operations that there are not.
func suiteUnknown(t *testing.T, at target) {
	c, root := place(t, at)
	for _, op := range []int32{-2, 10, 23, 99, 108, 1000} {
		d := newSession(t, at.addr, 4*time.Second)
		zxid := c.exists(root, false).Zxid
		r, err := d.receive(d.send(op, func(e *encoder) { e.str(root) }))
		story := fmt.Sprint("operation ", op)
		want(t, story, r.Err, zktree.ErrUnimplemented)
		want(t, story+": zxid", r.Zxid, -1)
		want(t, story+": read", err, nil)
		want(t, story+" closes", d.closedByServer(), true)
		want(t, story+" takes no zxid", c.exists(root, false).Zxid, zxid)
	}
	want(t, "the server lives", c.exists(root, false).Err, zktree.OK)
	r := c.call(int32(zktree.OpMulti), func(e *encoder) {
		e.multiHeader(int32(zktree.OpSetACL), false, -1)
		e.str(root)
		e.acl(zktree.OpenACL)
		e.i32(-1)
		e.multiHeader(-1, true, -1)
	})
	want(t, "a multi does not take setACL", r.Err, zktree.ErrMarshalling)
	r = c.call(int32(zktree.OpMulti), func(e *encoder) {
		e.multiHeader(opGetData, false, -1)
		e.str(root + "/no")
		e.boolean(false)
		e.multiHeader(-1, true, -1)
	})
	want(t, "a multi does not take reads", r.Err, zktree.ErrMarshalling)
	c.lax = true // the answer has the end of an empty list behind its error
	r = c.call(wireMultiRead, func(e *encoder) {
		e.multiHeader(int32(zktree.OpCheck), false, -1)
		e.str(root)
		e.i32(-1)
		e.multiHeader(-1, true, -1)
	})
	want(t, "a multiRead does not take writes", r.Err, zktree.ErrMarshalling)
	want(t, "the connection lives", c.exists(root, false).Err, zktree.OK)
	want(t, "a check without a multi that fails", c.write(opCheck(root, 7)).Err, zktree.ErrBadVersion)
	if at.other != "" {
		return // followers cannot read the transaction of one that holds, and the ensemble falls apart
	}
	last := c.lastZxid
	c.send(int32(zktree.OpCheck), func(e *encoder) { op := opCheck(root, -1); encodeOp(e, &op) })
	want(t, "one that holds is not answered, but takes a zxid", c.exists(root, false).Zxid, last+1)
}
