package zkserver

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

const testLag = 300 * time.Millisecond

// slowly checks that something was answered after the lag, not at once.
func slowly(t *testing.T, name string, began time.Time) {
	t.Helper()
	if took := time.Since(began); took < testLag {
		t.Errorf("%s was answered after %v by a server that lags %v", name, took, testLag)
	}
}

func TestLagShowsAllClientsAnOldState(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	writer, reader := newSession(t, s.Address(), 20*time.Second), newSession(t, s.Address(), 20*time.Second)
	writer.create("/a", "old", 0)
	reader.read(opGetData, "/a", true)
	s.Lag(time.Hour) // until the test has looked
	set := opSet("/a")
	xid := writer.send(int32(set.Code), func(e *encoder) { encodeOp(e, &set) })
	created := opCreate("/b")
	second := writer.send(int32(created.Code), func(e *encoder) { encodeOp(e, &created) })
	exists := writer.send(opExists, func(e *encoder) { e.str("/b"); e.boolean(false) })
	waitFor(t, "the write to be done", func() bool {
		var data []byte
		s.call(func() { data, _, _ = s.tree.Get("/a") })
		return string(data) == "s"
	})
	for range 5 {
		o := reader.read(opGetData, "/a", false)
		want(t, "data read by another client", string(o.Data), "old")
		want(t, "its zxid", o.Zxid, o.Stat.Czxid)
	}
	want(t, "events before the change is shown", len(reader.takeEvents()), 0)
	s.Lag(0)
	r, err := writer.receive(xid)
	must(t, err)
	want(t, "the write's outcome", r.Err, zktree.OK)
	if r, err = writer.receive(second); err != nil || r.Err != zktree.OK {
		t.Errorf("a write after it: %v %v", err, r.Err)
	}
	if r, err = writer.receive(exists); err != nil || r.Err != zktree.OK {
		t.Errorf("a read after it does not show it: %v %v", err, r.Err)
	}
	want(t, "data read by another client afterwards", string(reader.read(opGetData, "/a", false).Data), "s")
	want(t, "events before that answer", len(reader.events), 1)
	s.Lag(testLag)
	began := time.Now()
	writer.set("/a", "late", -1)
	slowly(t, "a write", began)
}

func TestLagHoldsSessionsAndSyncs(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	a, b := newSession(t, s.Address(), 20*time.Second), newSession(t, s.Address(), 20*time.Second)
	s.Lag(testLag)
	began := time.Now()
	set := opCreate("/a")
	a.send(int32(set.Code), func(e *encoder) { encodeOp(e, &set) })
	waitFor(t, "the write to be done", func() bool { return treeHas(s, "/a") })
	b.call(opPing, nil)
	b.call(opSync, func(e *encoder) { e.str("/") })
	slowly(t, "sync", began)
	want(t, "exists after the sync", b.exists("/a", false).Err, zktree.OK)
	began = time.Now()
	c := newSession(t, s.Address(), 20*time.Second)
	slowly(t, "a handshake", began)
	began = time.Now()
	c.close()
	slowly(t, "the end of a session", began)
	s.Lag(0)
	least := testLag
	for range 5 { // a busy machine may delay any one
		began = time.Now()
		b.set("/a", "x", -1)
		least = min(least, time.Since(began))
	}
	if least >= testLag {
		t.Errorf("each write took %v or more after the lag ended", least)
	}
	var same bool
	s.call(func() { same = s.shown == s.tree })
	want(t, "the server uses one tree again", same, true)
}

func treeHas(s *TestServer, path string) (has bool) {
	s.call(func() { _, code := s.tree.Exists(path); has = code == zktree.OK })
	return has
}

func TestLagRefusesClientsThatHaveSeenMore(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	a := newSession(t, s.Address(), 20*time.Second)
	a.exists("/", false)
	s.Lag(time.Minute)
	set := opCreate("/a")
	a.send(int32(set.Code), func(e *encoder) { encodeOp(e, &set) })
	waitFor(t, "the write to be done", func() bool { return treeHas(s, "/a") })
	if _, err := hello(t, s.Address(), 20*time.Second, a.session, a.password, a.lastZxid+1); err == nil {
		t.Error("a client was accepted that has seen what this server does not show yet")
	}
	back, err := hello(t, s.Address(), 20*time.Second, a.session, a.password, a.lastZxid)
	if err != nil || back.session != a.session {
		t.Fatalf("reattaching the session: %v %+v", err, back)
	}
	want(t, "exists before the change is shown", back.exists("/a", false).Err, zktree.ErrNoNode)
	s.Lag(0)
	want(t, "exists after the change is shown", back.exists("/a", false).Err, zktree.OK)
}

// TestLagEndsInTheSameState checks that a lagging server finally shows the state that
// the writes produced, whatever their kinds.
func TestLagEndsInTheSameState(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second, ContainerInterval: 5 * time.Millisecond})
	a := newSession(t, s.Address(), 20*time.Second)
	a.call(opAuth, func(e *encoder) { e.i32(0); e.str("digest"); e.buffer([]byte("u:p")) })
	s.Lag(time.Minute)
	for _, op := range everyKindOfWrite() {
		a.send(int32(op.Code), func(e *encoder) { encodeWrite(e, &op) })
	}
	gone := newSessionLater(t, s, 20*time.Second)
	waitFor(t, "the last write to be done", func() bool { return treeHas(s, "/end") })
	waitFor(t, "the sweep to be done", func() bool { return !treeHas(s, "/short") })
	s.ExpireSession(a.session)
	var happened, shown zktree.Image
	s.call(func() {
		s.show(len(s.lag.queue))
		happened, shown = s.tree.Export(), s.shown.Export()
	})
	if !reflect.DeepEqual(happened, shown) {
		t.Errorf("committed %+v\nshown %+v", happened, shown)
	}
	<-gone
}

// newSessionLater begins a session whose handshake is answered later.
func newSessionLater(t *testing.T, s *TestServer, timeout time.Duration) <-chan error {
	begun := make(chan error, 1)
	before := len(s.Sessions())
	go func() {
		_, err := hello(t, s.Address(), timeout, 0, [16]byte{}, 0)
		begun <- err
	}()
	waitFor(t, "the session to begin", func() bool { return len(s.Sessions()) > before })
	return begun
}

// encodeWrite encodes an operation of any kind as the body of a request.
func encodeWrite(e *encoder, op *zktree.Op) {
	acl := op.ACL
	if acl == nil {
		acl = zktree.OpenACL
	}
	e.str(op.Path)
	switch op.Code {
	case zktree.OpSetACL:
		e.acl(acl)
		e.i32(op.Version)
	case zktree.OpSetData:
		e.buffer(op.Data)
		e.i32(op.Version)
	case zktree.OpDelete, zktree.OpCheck:
		e.i32(op.Version)
	default:
		e.buffer(op.Data)
		e.acl(acl)
		e.i32(int32(op.Flags))
		if op.Code == zktree.OpCreateTTL {
			e.i64(op.TTL.Milliseconds())
		}
	}
}

// everyKindOfWrite returns writes of all kinds; the last one creates /end.
func everyKindOfWrite() []zktree.Op {
	mine := []zktree.ACL{{Perms: zktree.PermAll, Scheme: "auth"}}
	return []zktree.Op{
		{Code: zktree.OpCreate, Path: "/mine", Data: []byte("x"), ACL: mine},
		{Code: zktree.OpCreate2, Path: "/mine/e", Flags: zktree.Ephemeral},
		{Code: zktree.OpCreate, Path: "/mine/s", Flags: zktree.Sequential, Data: []byte{}},
		{Code: zktree.OpContainer, Path: "/box", Flags: 4},
		{Code: zktree.OpCreateTTL, Path: "/short", Flags: 5, TTL: 20 * time.Millisecond},
		{Code: zktree.OpCreateTTL, Path: "/long", Flags: 6, TTL: time.Hour},
		{Code: zktree.OpSetData, Path: "/mine", Data: []byte("y"), Version: -1},
		{Code: zktree.OpSetData, Path: "/mine", Version: 77},
		{Code: zktree.OpSetACL, Path: "/box", Version: 0, ACL: append(mine, zktree.OpenACL[0])},
		{Code: zktree.OpSetACL, Path: "/box", Version: 9, ACL: mine},
		{Code: zktree.OpCreate, Path: "/box/in"},
		{Code: zktree.OpCreate, Path: "/gone"},
		{Code: zktree.OpDelete, Path: "/gone", Version: 0},
		{Code: zktree.OpDelete, Path: "/mine", Version: -1},
		{Code: zktree.OpCreate, Path: "/bad", ACL: []zktree.ACL{}},
		{Code: zktree.OpCreate, Path: "/end"},
	}
}

func TestWipedServerRefusesClientsThatHaveSeenMore(t *testing.T) {
	s := lastingServer(t)
	c := newSession(t, s.Address(), lasting)
	c.create("/a", "", 0)
	s.Wipe()
	want(t, "connection closed", c.closedByServer(), true)
	if _, err := hello(t, s.Address(), lasting, c.session, c.password, c.lastZxid); err == nil {
		t.Error("a client from before the wipe was accepted")
	}
	lost, err := hello(t, s.Address(), lasting, c.session, c.password, 0)
	if err != nil || lost.session != 0 {
		t.Errorf("its session still exists: %v %+v", err, lost)
	}
	d := newSession(t, s.Address(), lasting)
	want(t, "exists after the wipe", d.exists("/a", false).Err, zktree.ErrNoNode)
	want(t, "the first zxid", d.lastZxid, 1)
}

// TestNewTestIsQuick checks the least time, since a busy machine may delay most.
func TestNewTestIsQuick(t *testing.T) {
	var took []time.Duration
	for range 51 {
		began := time.Now()
		NewTest(t)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("from %v to %v, median %v", took[0], took[len(took)-1], took[len(took)/2])
	if took[0] > 5*time.Millisecond {
		t.Errorf("starting a server never took less than %v", took[0])
	}
}

func TestContainersAndTTLNodesAreRemoved(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second, ContainerInterval: 10 * time.Millisecond})
	c := newSession(t, s.Address(), 20*time.Second)
	for _, op := range []zktree.Op{
		{Code: zktree.OpContainer, Path: "/box", Flags: 4},
		{Code: zktree.OpContainer, Path: "/fresh", Flags: 4},
		opCreate("/box/a"),
		{Code: zktree.OpCreateTTL, Path: "/short", Flags: 5, TTL: time.Millisecond},
		{Code: zktree.OpCreateTTL, Path: "/long", Flags: 5, TTL: time.Hour},
	} {
		want(t, op.Path, c.call(int32(op.Code), func(e *encoder) { encodeWrite(e, &op) }).Err, zktree.OK)
	}
	c.exists("/box", true)
	waitFor(t, "the removal of the TTL node", func() bool { return c.exists("/short", false).Err == zktree.ErrNoNode })
	for _, path := range []string{"/box", "/fresh", "/long"} {
		want(t, path, c.exists(path, false).Err, zktree.OK)
	}
	z := c.delete("/box/a", -1).Zxid
	waitFor(t, "the removal of the container", func() bool { return c.exists("/box", false).Err == zktree.ErrNoNode })
	want(t, "the zxid of the removal", c.exists("/", false).Stat.Pzxid, z+1)
	want(t, "the event of the removal", fmt.Sprint(c.takeEvents()), fmt.Sprint([]zktree.Event{{Type: zktree.EventDeleted, Path: "/box"}}))
}

func TestDelayedWatchesComeLateAndInOrder(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c := newSession(t, s.Address(), 20*time.Second)
	c.create("/a", "", 0)
	c.read(opGetData, "/a", true)
	c.exists("/b", true)
	s.DelayWatches(time.Hour) // until the test has looked
	c.set("/a", "new", -1)
	c.create("/b", "", 0)
	want(t, "events before the delay is over", len(c.takeEvents()), 0)
	want(t, "data read meanwhile", string(c.read(opGetData, "/a", true).Data), "new")
	s.DelayWatches(0)
	want(t, "events when the delay ends", c.takeEvents(), []zktree.Event{
		{Type: zktree.EventDataChanged, Path: "/a"}, {Type: zktree.EventCreated, Path: "/b"},
	})
	s.DelayWatches(testLag)
	began := time.Now()
	c.set("/a", "newer", -1)
	waitFor(t, "the event", func() bool { c.call(opPing, nil); return len(c.events) == 1 })
	slowly(t, "the event", began)
}
