package zkserver

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// The suite below knows a server's address and tick only. It runs against this
// server and against a real ZooKeeper, and both must pass all of it.

type target struct {
	addr  string
	other string // another server of the same ensemble, if there is one
	tick  time.Duration
	real  bool // Apache ZooKeeper
	// The followers of an ensemble report live sessions to the leader with a delay
	// of at most this.
	reportDelay time.Duration
}

func TestSuite(t *testing.T) {
	t.Parallel()
	runSuite(t, target{addr: NewTestWith(t, Options{Tick: realTick, ContainerInterval: sweepsOften}).Address(), tick: realTick})
}

func TestSuiteDurable(t *testing.T) {
	t.Parallel()
	s := NewTestWith(t, Options{Tick: realTick, Dir: t.TempDir(), SnapshotBytes: 4096, ContainerInterval: sweepsOften})
	runSuite(t, target{addr: s.Address(), tick: realTick})
}

// TestSuiteLagging runs the suite on a server that shows everything a while later,
// as a follower does.
func TestSuiteLagging(t *testing.T) {
	t.Parallel()
	s := NewTestWith(t, Options{Tick: realTick, ContainerInterval: sweepsOften})
	s.Lag(5 * time.Millisecond)
	runSuite(t, target{addr: s.Address(), tick: realTick})
}

func TestSuiteOnRealZooKeeper(t *testing.T) {
	t.Parallel()
	runSuite(t, target{addr: startSweepingZK(t, sweepsOften).addr, tick: realTick, real: true})
}

// TestSuiteOnRealEnsemble runs the suite on a follower and then on the leader, not
// in parallel, since some parts count zxids.
func TestSuiteOnRealEnsemble(t *testing.T) {
	t.Parallel()
	e := startRealEnsemble(t)
	t.Run("follower", func(t *testing.T) {
		runSuite(t, target{addr: e.follower, other: e.leader, tick: realTick, real: true, reportDelay: realTick})
	})
	t.Run("leader", func(t *testing.T) {
		runSuite(t, target{addr: e.leader, other: e.follower, tick: realTick, real: true})
	})
}

func runSuite(t *testing.T, at target) {
	for _, c := range []struct {
		name string
		body func(*testing.T, target)
	}{
		{"check orders", suiteCheckOrders},
		{"stat", suiteStat},
		{"fresh nodes", suiteFreshNodes},
		{"paths", suitePaths},
		{"sequences", suiteSequences},
		{"ephemerals", suiteEphemerals},
		{"multi", suiteMulti},
		{"watches", suiteWatches},
		{"events before replies", suiteEventOrder},
		{"setWatches", suiteSetWatches},
		{"zxids", suiteZxids},
		{"reads", suiteReads},
		{"sizes", suiteSizes},
		{"handshake", suiteHandshake},
		{"expiry", suiteExpiry},
		{"reattach", suiteReattach},
		{"close", suiteClose},
		{"bad frames", suiteBadFrames},
		{"auth", suiteAuth},
		{"pipeline", suitePipeline},
		{"order of access checks", suiteACLOrders},
		{"permissions", suiteACLPermissions},
		{"setACL", suiteSetACL},
		{"valid access lists", suiteACLValidity},
		{"identities", suiteIdentities},
		{"addresses", suiteAddresses},
		{"getACL", suiteGetACL},
		{"protected events", suiteProtectedEvents},
		{"containers", suiteContainers},
		{"time to live", suiteTTL},
		{"kinds", suiteKinds},
		{"kinds in a multi", suiteKindsInMulti},
		{"counts", suiteCounts},
		{"multiRead", suiteMultiRead},
		{"lasting watches", suiteLastingWatches},
		{"addWatch", suiteAddWatch},
		{"checkWatches", suiteCheckWatches},
		{"removeWatches", suiteRemoveWatches},
		{"setWatches2", suiteSetWatches2},
		{"session moved", suiteMoved},
		{"reattach zxids", suiteReattachZxids},
		{"renegotiation", suiteRenegotiation},
		{"end of session", suiteEndOfSession},
		{"unknown operations", suiteUnknown},
	} {
		t.Run(c.name, func(t *testing.T) { c.body(t, at) })
	}
}

// place begins a session and creates a node for the test alone.
func place(t *testing.T, at target) (*wireClient, string) {
	t.Helper()
	c := newSession(t, at.addr, longest)
	root := fmt.Sprintf("/t%x", c.session)
	if o := c.create(root, "", 0); o.Err != zktree.OK {
		t.Fatal(o.Err)
	}
	return c, root
}

func want[T any](t *testing.T, name string, got, wanted T) {
	t.Helper()
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s: got %v, want %v", name, got, wanted)
	}
}

func ops(list ...zktree.Op) []zktree.Op { return list }

func opCreate(path string) zktree.Op { return zktree.Op{Code: zktree.OpCreate, Path: path} }
func opDelete(path string) zktree.Op {
	return zktree.Op{Code: zktree.OpDelete, Path: path, Version: -1}
}
func opSet(path string) zktree.Op {
	return zktree.Op{Code: zktree.OpSetData, Path: path, Data: []byte("s"), Version: -1}
}
func opCheck(path string, version int32) zktree.Op {
	return zktree.Op{Code: zktree.OpCheck, Path: path, Version: version}
}

func suiteCheckOrders(t *testing.T, at target) {
	c, root := place(t, at)
	for _, o := range []outcome{c.create(root+"/p", "", 0), c.create(root+"/p/c", "", 0), c.create(root+"/e", "", zktree.Ephemeral)} {
		want(t, "set-up", o.Err, zktree.OK)
	}
	type create = zktree.Op
	noACL := []zktree.ACL{}
	for _, x := range []struct {
		name string
		op   zktree.Op
		want zktree.Code
	}{
		{"empty ACL before missing parent", create{Code: zktree.OpCreate, Path: root + "/no/x", ACL: noACL}, zktree.ErrInvalidACL},
		{"missing parent before bad path", opCreate(root + "/no/x\x01"), zktree.ErrNoNode},
		{"trailing slash", opCreate(root + "/p/"), zktree.ErrBadArguments},
		{"existence before ephemeral parent", opCreate(root + "/e"), zktree.ErrNodeExists},
		{"the root exists", opCreate("/"), zktree.ErrNodeExists},
		{"ephemeral parent", opCreate(root + "/e/x"), zktree.ErrNoChildrenForEphemerals},
		{"no slash", opCreate("x"), zktree.ErrBadArguments},
		{"empty path", opCreate(""), zktree.ErrBadArguments},
		{"unknown kind", create{Code: zktree.OpCreate, Path: root + "/k", Flags: 9}, zktree.ErrBadArguments},
		{"delete the root", opDelete("/"), zktree.ErrBadArguments},
		{"delete a built-in node", opDelete("/zookeeper"), zktree.ErrBadArguments},
		{"delete the built-in quota", opDelete("/zookeeper/quota"), zktree.ErrBadArguments},
		{"delete below nothing", opDelete(root + "/no/x"), zktree.ErrNoNode},
		{"delete with a trailing slash", opDelete(root + "/p/"), zktree.ErrNoNode},
		{"delete nothing", opDelete(root + "/no"), zktree.ErrNoNode},
		{"version before children", zktree.Op{Code: zktree.OpDelete, Path: root + "/p", Version: 9}, zktree.ErrBadVersion},
		{"children", opDelete(root + "/p"), zktree.ErrNotEmpty},
		{"set with a bad path", opSet(root + "/no/"), zktree.ErrBadArguments},
		{"set nothing", opSet(root + "/no"), zktree.ErrNoNode},
		{"set a wrong version", zktree.Op{Code: zktree.OpSetData, Path: root + "/p", Version: 1}, zktree.ErrBadVersion},
		{"set version -2", zktree.Op{Code: zktree.OpSetData, Path: root + "/p", Version: -2}, zktree.ErrBadVersion},
	} {
		want(t, x.name, c.write(x.op).Err, x.want)
	}
	want(t, "a write after all these failures", c.set(root+"/p", "x", 0).Err, zktree.OK)
}

func suiteStat(t *testing.T, at target) {
	c, root := place(t, at)
	n := root + "/n"
	made := c.create(n, "abc", 0).Zxid
	s := c.exists(n, false).Stat
	now := time.Now().UnixMilli()
	if s.Ctime != s.Mtime || s.Ctime < now-60_000 || s.Ctime > now+60_000 {
		t.Errorf("times %d %d at %d", s.Ctime, s.Mtime, now)
	}
	expect := zktree.Stat{Czxid: made, Mzxid: made, Pzxid: made, Ctime: s.Ctime, Mtime: s.Mtime, DataLength: 3}
	want(t, "created", s, expect)
	o := c.set(n, "abc", 0)
	expect.Mzxid, expect.Version, expect.Mtime = o.Zxid, 1, o.Stat.Mtime
	want(t, "the answer of a set to the same data", o.Stat, expect)
	o = c.create(n+"/c", "", 0)
	expect.Pzxid, expect.Cversion, expect.NumChildren = o.Zxid, 1, 1
	want(t, "child created", c.exists(n, false).Stat, expect)
	c.create(n+"/c/d", "", 0)
	c.set(n+"/c", "x", -1)
	c.create(n+"/c", "", 0) // fails
	want(t, "grandchild, child set, failed create", c.exists(n, false).Stat, expect)
	c.delete(n+"/c/d", -1)
	o = c.delete(n+"/c", -1)
	expect.Pzxid, expect.Cversion, expect.NumChildren = o.Zxid, 2, 0
	want(t, "child deleted", c.exists(n, false).Stat, expect)
	o = c.write(zktree.Op{Code: zktree.OpCreate2, Path: root + "/e", Flags: zktree.Ephemeral})
	want(t, "create2's owner", o.Stat.EphemeralOwner, c.session)
	want(t, "create2's stat", o.Stat, c.exists(root+"/e", false).Stat)
	c.delete(n, -1)
	c.create(n, "", 0)
	want(t, "version after a recreation", c.exists(n, false).Stat.Version, 0)
}

func suiteFreshNodes(t *testing.T, at target) {
	c := newSession(t, at.addr, longest)
	s := c.exists("/zookeeper", false).Stat
	want(t, "/zookeeper", s, zktree.Stat{Cversion: -2, NumChildren: 2})
	names := c.read(opChildren2, "/zookeeper", false).Names
	slices.Sort(names)
	want(t, "the children of /zookeeper", names, []string{"config", "quota"})
	want(t, "the root's czxid", c.exists("/", false).Stat.Czxid, 0)
}

func suitePaths(t *testing.T, at target) {
	c, root := place(t, at)
	for _, name := range []string{"ü", "a b", "..a", "a.", "...", "\u00a0", "\uf900", "\uffef"} {
		want(t, fmt.Sprintf("%q", name), c.create(root+"/"+name, "", 0).Err, zktree.OK)
	}
	for _, name := range []string{".", "..", "", "a//b", "\x01", "\x1f", "\x7f", "\u0080", "\u009f", "\ue000", "\uf8ff", "\ufff0", "\U0001F600", "a\x00"} {
		want(t, fmt.Sprintf("%q", name), c.create(root+"/"+name, "", zktree.Ephemeral).Err, badPathCode(name))
	}
	want(t, "sequential with a trailing slash", c.create(root+"/", "", zktree.Sequential).Path, root+"/0000000008")
	want(t, "exists of an invalid path", c.exists(root+"/a//b", false).Err, zktree.ErrNoNode)
	want(t, "exists with NUL", c.exists(root+"/\x00", false).Err, zktree.ErrBadArguments)
}

// badPathCode returns the expected code: of a name with a slash, the parent is checked
// first.
func badPathCode(name string) zktree.Code {
	if strings.Contains(name, "/") {
		return zktree.ErrNoNode
	}
	return zktree.ErrBadArguments
}

func suiteSequences(t *testing.T, at target) {
	c, root := place(t, at)
	seq := func(prefix string) outcome { return c.create(root+"/"+prefix, "", zktree.Sequential) }
	want(t, "first", seq("a-").Path, root+"/a-0000000000")
	want(t, "one counter for all prefixes", seq("b-").Path, root+"/b-0000000001")
	c.create(root+"/plain", "", 0)
	c.delete(root+"/plain", -1)
	c.create(root+"/no/x", "", 0)
	c.multi(zktree.Op{Code: zktree.OpCreate, Path: root + "/m", Flags: zktree.Sequential}, opCheck(root, 99))
	want(t, "the number after a plain create, a delete and failures", seq("a-").Path, root+"/a-0000000003")
	c.create(root+"/c-0000000005", "", 0) // number 4
	want(t, "a sequential name that a plain create took", seq("c-").Err, zktree.ErrNodeExists)
	want(t, "another prefix", seq("d-").Path, root+"/d-0000000005")
	want(t, "the same prefix after another create", seq("c-").Path, root+"/c-0000000006")
	o := c.multi(zktree.Op{Code: zktree.OpCreate, Path: root + "/m", Flags: zktree.Sequential}, zktree.Op{Code: zktree.OpCreate, Path: root + "/m", Flags: zktree.Sequential})
	want(t, "in a multi", o.Ops[1].Path, root+"/m0000000008")
}

func suiteEphemerals(t *testing.T, at target) {
	c, root := place(t, at)
	owner := newSession(t, at.addr, longest)
	for _, n := range []string{"/1", "/2", "/3"} {
		want(t, "create", owner.create(root+n, "", zktree.Ephemeral).Err, zktree.OK)
	}
	want(t, "set by another", c.set(root+"/1", "x", 0).Err, zktree.OK)
	want(t, "delete by another", c.delete(root+"/3", -1).Err, zktree.OK)
	swap := zktree.Op{Code: zktree.OpCreate, Path: root + "/2", Flags: zktree.Ephemeral}
	want(t, "replacing one in a multi: operations", len(c.multi(opDelete(root+"/2"), swap).Ops), 2)
	owner.close()
	want(t, "an ephemeral after the reply to close", c.exists(root+"/1", false).Err, zktree.ErrNoNode)
	want(t, "the owner of another session's ephemeral", c.exists(root+"/2", false).Stat.EphemeralOwner, c.session)
	want(t, "one zxid", c.exists(root, false).Stat.Pzxid, owner.lastZxid)
}

func suiteMulti(t *testing.T, at target) {
	c, root := place(t, at)
	o := c.multi()
	want(t, "empty", o.Err, zktree.OK)
	want(t, "empty has no results", len(o.Ops), 0)
	o = c.multi(opCreate(root+"/a"), zktree.Op{Code: zktree.OpCreate2, Path: root + "/a/b"}, opSet(root+"/a"), opCheck(root+"/a", 1), opDelete(root+"/a/b"))
	want(t, "codes", codes(o), []zktree.OpCode{1, 1, 5, 13, 2})
	asSet := c.exists(root+"/a", false).Stat // the present one, but for the delete at the end
	asSet.Cversion, asSet.NumChildren = 1, 1
	want(t, "set's stat", o.Ops[2].Stat, asSet)
	want(t, "one zxid", o.Ops[2].Stat.Czxid, o.Zxid)
	o = c.multi(opCreate(root+"/x"), opSet(root+"/a"), opCheck(root+"/a", 9), opDelete(root+"/a"), opCreate(root+"/no/no"))
	want(t, "header of a failed multi", o.Err, zktree.OK)
	want(t, "errors", errs(o), []zktree.Code{0, 0, zktree.ErrBadVersion, zktree.ErrRuntimeInconsistency, zktree.ErrRuntimeInconsistency})
	want(t, "a create in the failed multi", c.exists(root+"/x", false).Err, zktree.ErrNoNode)
	want(t, "the version after the failed multi", c.exists(root+"/a", false).Stat.Version, 1)
	want(t, "only a check", errs(c.multi(opCheck(root+"/a", 1))), []zktree.Code{0})
	want(t, "only a failing check", errs(c.multi(opCheck(root+"/a", 0))), []zktree.Code{zktree.ErrBadVersion})
	want(t, "check of a missing node", errs(c.multi(opCheck(root+"/no", -1))), []zktree.Code{zktree.ErrNoNode})
	want(t, "check of a bad path", errs(c.multi(opCheck(root+"/no/", -1))), []zktree.Code{zktree.ErrBadArguments})
}

func codes(o outcome) (list []zktree.OpCode) {
	for _, op := range o.Ops {
		list = append(list, op.Code)
	}
	return list
}

func errs(o outcome) (list []zktree.Code) {
	for _, op := range o.Ops {
		list = append(list, op.Err)
	}
	return list
}

func suiteWatches(t *testing.T, at target) {
	const created, deleted, changed, children = zktree.EventCreated, zktree.EventDeleted, zktree.EventDataChanged, zktree.EventChildrenChanged
	type told = []zktree.Event
	for i, x := range []struct {
		name        string
		arm         func(c *wireClient, r string)
		do          func(r string) []zktree.Op
		want        func(r string) told
		inOneMulti  bool
		fromAnother bool
	}{
		{name: "exists sets a watch on a missing node", arm: func(c *wireClient, r string) { c.exists(r+"/n", true) },
			do:   func(r string) []zktree.Op { return ops(opCreate(r+"/n"), opSet(r+"/n")) },
			want: func(r string) told { return told{{Type: created, Path: r + "/n"}} }},
		{name: "get of a missing node sets no watch", arm: func(c *wireClient, r string) { c.read(opGetData, r+"/n", true); c.read(opChildren2, r+"/n", true) },
			do:   func(r string) []zktree.Op { return ops(opCreate(r + "/n")) },
			want: func(r string) told { return nil }},
		{name: "changed, once", arm: func(c *wireClient, r string) { c.read(opGetData, r, true); c.exists(r, true) },
			do:   func(r string) []zktree.Op { return ops(opSet(r), opSet(r)) },
			want: func(r string) told { return told{{Type: changed, Path: r}} }},
		{name: "child created: node's event, then the parent's", arm: func(c *wireClient, r string) { c.exists(r+"/n", true); c.read(opChildren2, r, true) },
			do:   func(r string) []zktree.Op { return ops(opCreate(r + "/n")) },
			want: func(r string) told { return told{{Type: created, Path: r + "/n"}, {Type: children, Path: r}} }},
		{name: "a delete fires one event for both tables", arm: func(c *wireClient, r string) {
			c.create(r+"/n", "", 0)
			c.read(opGetData, r+"/n", true)
			c.read(opChildren2, r+"/n", true)
			c.read(opGetChildren, r, true)
		},
			do:   func(r string) []zktree.Op { return ops(opDelete(r + "/n")) },
			want: func(r string) told { return told{{Type: deleted, Path: r + "/n"}, {Type: children, Path: r}} }},
		{name: "a child's change does not fire a data watch", arm: func(c *wireClient, r string) { c.create(r+"/n", "", 0); c.read(opGetData, r, true) },
			do:   func(r string) []zktree.Op { return ops(opCreate(r+"/m"), opSet(r+"/n")) },
			want: func(r string) told { return nil }},
		{name: "a change of data does not fire a child watch", arm: func(c *wireClient, r string) { c.create(r+"/n", "", 0); c.read(opChildren2, r, true) },
			do:   func(r string) []zktree.Op { return ops(opSet(r+"/n"), opSet(r)) },
			want: func(r string) told { return nil }},
		{name: "failed writes fire nothing", arm: func(c *wireClient, r string) { c.read(opGetData, r, true); c.read(opChildren2, r, true) },
			do: func(r string) []zktree.Op {
				return ops(opCreate(r+"/no/x"), zktree.Op{Code: zktree.OpSetData, Path: r, Version: 7})
			},
			want: func(r string) told { return nil }},
		{name: "a multi fires events in the order of its operations", inOneMulti: true, arm: func(c *wireClient, r string) {
			c.exists(r+"/n", true)
			c.read(opGetData, r, true)
			c.read(opChildren2, r, true)
		},
			do: func(r string) []zktree.Op { return ops(opSet(r), opCreate(r+"/n"), opSet(r+"/n"), opDelete(r+"/n")) },
			want: func(r string) told {
				return told{{Type: changed, Path: r}, {Type: created, Path: r + "/n"}, {Type: children, Path: r}}
			}},
		{name: "writes of another session", fromAnother: true, arm: func(c *wireClient, r string) { c.exists(r+"/n", true); c.read(opGetData, r, true) },
			do:   func(r string) []zktree.Op { return ops(opSet(r), opCreate(r+"/n")) },
			want: func(r string) told { return told{{Type: changed, Path: r}, {Type: created, Path: r + "/n"}} }},
	} {
		c, root := place(t, at)
		r := fmt.Sprintf("%s/w%d", root, i)
		c.create(r, "", 0)
		x.arm(c, r)
		by := c
		if x.fromAnother {
			by = newSession(t, at.addr, longest)
		}
		if x.inOneMulti {
			by.multi(x.do(r)...)
		} else {
			for _, op := range x.do(r) {
				by.write(op)
			}
		}
		if got := c.takeEvents(); !slices.Equal(got, x.want(r)) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want(r))
		}
	}
}

func suiteEventOrder(t *testing.T, at target) {
	c, root := place(t, at)
	other := newSession(t, at.addr, longest)
	c.exists(root, true)
	other.set(root, "x", -1)
	want(t, "the data after the change", string(c.read(opGetData, root, true).Data), "x")
	want(t, "events before that answer", len(c.events), 1)
	c.events = nil
	xid := c.send(int32(zktree.OpSetData), func(e *encoder) { op := opSet(root); encodeOp(e, &op) })
	if _, err := c.receive(xid); err != nil {
		t.Fatal(err)
	}
	want(t, "events before the reply to one's own write", len(c.events), 1)
}

func suiteSetWatches(t *testing.T, at target) {
	c, root := place(t, at)
	for _, n := range []string{"/set", "/del", "/again", "/kids", "/plain", "/kids/x", "/gone", "/back"} {
		c.create(root+n, "", 0)
	}
	since := c.lastZxid
	for _, op := range ops(opSet(root+"/set"), opDelete(root+"/del"), opDelete(root+"/again"), opCreate(root+"/again"),
		opDelete(root+"/kids/x"), opCreate(root+"/new"), opCreate(root+"/brief"), opDelete(root+"/brief"), opDelete(root+"/gone"),
		opDelete(root+"/back"), opCreate(root+"/back")) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	d := newSession(t, at.addr, longest)
	d.setWatches(since, watchLists{
		Data:  []string{root + "/set", root + "/del", root + "/again", root + "/plain"},
		Exist: []string{root + "/new", root + "/brief"},
		Child: []string{root + "/kids", root + "/gone", root + "/back"},
	})
	want(t, "events told at once", d.takeEvents(), []zktree.Event{
		{Type: zktree.EventDataChanged, Path: root + "/set"}, {Type: zktree.EventDeleted, Path: root + "/del"},
		{Type: zktree.EventDataChanged, Path: root + "/again"}, {Type: zktree.EventCreated, Path: root + "/new"},
		{Type: zktree.EventChildrenChanged, Path: root + "/kids"}, {Type: zktree.EventDeleted, Path: root + "/gone"},
		{Type: zktree.EventChildrenChanged, Path: root + "/back"},
	})
	c.create(root+"/brief", "", 0)
	c.set(root+"/plain", "x", -1)
	want(t, "events of the watches restored", d.takeEvents(), []zktree.Event{{Type: zktree.EventCreated, Path: root + "/brief"}, {Type: zktree.EventDataChanged, Path: root + "/plain"}})
}

func suiteZxids(t *testing.T, at target) {
	c, root := place(t, at)
	z := c.lastZxid
	want(t, "a write", c.set(root, "x", -1).Zxid, z+1)
	want(t, "a failed write takes one", c.set(root, "x", 99).Zxid, z+2)
	want(t, "a failed multi takes one", c.multi(opCheck(root, 99)).Zxid, z+3)
	want(t, "a multi takes one", c.multi(opSet(root), opSet(root)).Zxid, z+4)
	want(t, "a read takes none", c.exists(root, false).Zxid, z+4)
	want(t, "a failed read takes none", c.exists(root+"/no", false).Zxid, z+4)
	want(t, "a bad path takes one", c.create(root+"/.", "", 0).Zxid, z+5)
	want(t, "sync takes none", c.call(opSync, func(e *encoder) { e.str(root) }).Zxid, z+5)
	d := newSession(t, at.addr, longest)
	want(t, "the zxid after a new session", d.exists(root, false).Zxid, z+6)
	d.close()
	want(t, "the zxid after the session's end", c.exists(root, false).Zxid, z+7)
}

func suiteReads(t *testing.T, at target) {
	c, root := place(t, at)
	c.write(zktree.Op{Code: zktree.OpCreate, Path: root + "/nil"})
	c.write(zktree.Op{Code: zktree.OpCreate, Path: root + "/empty", Data: []byte{}})
	want(t, "nil data", c.read(opGetData, root+"/nil", false).Nil, true)
	want(t, "empty data", c.read(opGetData, root+"/empty", false).Nil, false)
	o := c.read(opChildren2, root, false)
	slices.Sort(o.Names)
	want(t, "children", o.Names, []string{"empty", "nil"})
	want(t, "their parent's stat", o.Stat, c.exists(root, false).Stat)
	want(t, "children without stat", len(c.read(opGetChildren, root, false).Names), 2)
	for _, op := range []int32{opGetData, opExists, opGetChildren, opChildren2} {
		want(t, fmt.Sprint("missing, operation ", op), c.read(op, root+"/no", false).Err, zktree.ErrNoNode)
	}
	r := c.call(opSync, func(e *encoder) { e.str(root + "/no") })
	want(t, "sync of a missing node", r.Err, zktree.OK)
	want(t, "the path in the answer to sync", r.body.str(), root+"/no")
	r = c.call(opGetACL, func(e *encoder) { e.str(root) })
	want(t, "ACL", r.body.acl(), zktree.OpenACL)
}

func suiteSizes(t *testing.T, at target) {
	c, root := place(t, at)
	op := opSet(root)
	op.Data = nil
	op.Data = make([]byte, zktree.MaxRequest-zktree.RequestBytes(&op, nil))
	want(t, "the longest request", c.write(op).Err, zktree.OK)
	want(t, "data in a reply longer than a request may be", len(c.read(opGetData, root, false).Data), len(op.Data))
	op.Data = append(op.Data, 0)
	c.send(int32(zktree.OpSetData), func(e *encoder) { encodeOp(e, &op) })
	want(t, "connection closed after a request one byte longer", c.closedByServer(), true)
	again, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session {
		t.Fatalf("reattaching the session: %v %+v", err, again)
	}
	want(t, "the version after it", again.exists(root, false).Stat.Version, 1)
}

func suiteHandshake(t *testing.T, at target) {
	for _, x := range []struct{ asked, want time.Duration }{
		{time.Millisecond, 2 * at.tick}, {3 * at.tick, 3 * at.tick}, {time.Hour, 20 * at.tick},
	} {
		want(t, x.asked.String(), newSession(t, at.addr, x.asked).timeout, x.want)
	}
	c := newSession(t, at.addr, longest)
	gone, err := hello(t, at.addr, longest, 12345, [16]byte{1}, 0)
	if err != nil || gone.session != 0 || gone.timeout != 0 || gone.password != [16]byte{} {
		t.Errorf("reattaching a session that never existed: %v %+v", err, gone)
	}
	want(t, "connection closed after it", gone.closedByServer(), true)
	if _, err := hello(t, at.addr, longest, 0, [16]byte{}, 1<<60); err == nil {
		t.Error("a client that has seen a later state was accepted")
	}
	c.call(opPing, nil)
}

func suiteExpiry(t *testing.T, at target) {
	c, root := place(t, at)
	var silent *wireClient
	// A busy machine may be late, but not every time.
	for attempt := 1; ; attempt++ {
		silent = newSession(t, at.addr, 3*at.tick)
		began := time.Now()
		silent.create(root+"/e", "", zktree.Ephemeral)
		for c.exists(root+"/e", false).Err == zktree.OK && time.Since(began) < 5*time.Second {
			time.Sleep(5 * time.Millisecond)
		}
		took := time.Since(began)
		if took < 3*at.tick {
			t.Errorf("the session ended after %v, before its timeout of %v", took, 3*at.tick)
		}
		if took <= 4*at.tick+at.reportDelay+100*time.Millisecond {
			break
		}
		if attempt == 4 {
			t.Errorf("the session ended after %v, want %v to %v", took, 3*at.tick, 4*at.tick)
			break
		}
	}
	want(t, "connection of the expired session closed", silent.closedByServer(), true)
	back, err := hello(t, at.addr, 3*at.tick, silent.session, silent.password, silent.lastZxid)
	if err != nil || back.session != 0 {
		t.Errorf("an expired session was accepted: %v %+v", err, back)
	}
	pinging := newSession(t, at.addr, 3*at.tick)
	pinging.create(root+"/p", "", zktree.Ephemeral)
	for range 10 {
		time.Sleep(at.tick / 2)
		pinging.call(opPing, nil)
	}
	want(t, "the ephemeral of a session that pings", c.exists(root+"/p", false).Err, zktree.OK)
}

func suiteReattach(t *testing.T, at target) {
	c, root := place(t, at)
	c.create(root+"/e", "", zktree.Ephemeral)
	again, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session || again.password != c.password {
		t.Fatalf("reattaching the session: %v %+v", err, again)
	}
	want(t, "old connection closed", c.closedByServer(), true)
	want(t, "a write over the new connection", again.set(root+"/e", "x", 0).Err, zktree.OK)
	bad, err := hello(t, at.addr, longest, c.session, [16]byte{1, 2, 3}, 0)
	if err != nil || bad.session != 0 {
		t.Errorf("a wrong password was accepted: %v %+v", err, bad)
	}
	want(t, "connection closed by an attempt with a wrong password", again.closedByServer(), true)
	third, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid)
	if err != nil || third.session != c.session {
		t.Fatalf("reattaching the session: %v", err)
	}
	want(t, "the session's ephemeral", third.exists(root+"/e", false).Err, zktree.OK)
}

func suiteClose(t *testing.T, at target) {
	c, root := place(t, at)
	d := newSession(t, at.addr, longest)
	xid := d.send(opClose, nil)
	d.send(int32(zktree.OpCreate), func(e *encoder) { op := opCreate(root + "/late"); encodeOp(e, &op) })
	if _, err := d.receive(xid); err != nil {
		t.Fatal(err)
	}
	if at.real {
		want(t, "connection closed", d.endsAsApache(), true)
	} else {
		want(t, "connection closed without an answer", d.closedByServer(), true)
	}
	want(t, "the create sent after close", c.exists(root+"/late", false).Err, zktree.ErrNoNode)
	back, err := hello(t, at.addr, longest, d.session, d.password, 0)
	if err != nil || back.session != 0 {
		t.Errorf("a closed session was accepted: %v %+v", err, back)
	}
}

func suiteBadFrames(t *testing.T, at target) {
	c, root := place(t, at)
	r := c.call(int32(zktree.OpCreate), func(e *encoder) { e.i32(1000) })
	want(t, "a create cut short", r.Err, zktree.ErrMarshalling)
	r = c.call(int32(zktree.OpMulti), func(e *encoder) { e.multiHeader(1, false, -1); e.i32(-7) })
	want(t, "a multi cut short", r.Err, zktree.ErrMarshalling)
	want(t, "a read over the same connection", c.exists(root, false).Err, zktree.OK)
	for _, raw := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff}, {0, 0, 0, 2, 1, 1}} {
		d := newSession(t, at.addr, longest)
		d.sendRaw(raw)
		want(t, fmt.Sprintf("frame %x", raw), d.closedByServer(), true)
	}
	want(t, "a read over another connection", c.exists(root, false).Err, zktree.OK)
}

// suitePipeline sends many requests before it reads: the replies must come in order,
// and each read must show the writes before it.
func suitePipeline(t *testing.T, at target) {
	c, root := place(t, at)
	var xids []int32
	for range 200 {
		xids = append(xids, c.send(int32(zktree.OpSetData), func(e *encoder) { op := opSet(root); encodeOp(e, &op) }))
		xids = append(xids, c.send(opExists, func(e *encoder) { e.str(root); e.boolean(false) }))
	}
	for i, xid := range xids {
		r, err := c.receive(xid)
		if err != nil || r.Err != zktree.OK {
			t.Fatalf("reply %d: %v %v", i, err, r.Err)
		}
		if s := r.body.stat(); s.Version != int32(i/2+1) {
			t.Fatalf("reply %d shows version %d", i, s.Version)
		}
	}
}
