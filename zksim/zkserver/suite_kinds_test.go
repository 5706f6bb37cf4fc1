package zkserver

import (
	"fmt"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

func opContainerAt(path string) zktree.Op {
	return zktree.Op{Code: zktree.OpContainer, Path: path, Flags: flagContainer}
}

func opTTLAt(path string, ttl time.Duration) zktree.Op {
	return zktree.Op{Code: zktree.OpCreateTTL, Path: path, Flags: flagTTL, TTL: ttl}
}

// awaitGone waits until a node no longer exists.
func (c *wireClient) awaitGone(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(patience); c.exists(path, false).Err != zktree.ErrNoNode; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s still exists after %v", path, patience)
		}
	}
}

func suiteContainers(t *testing.T, at target) {
	c, root := place(t, at)
	box, unused, kept := root+"/box", root+"/unused", root+"/kept"
	o := c.write(opContainerAt(box))
	want(t, "create of a container", o.Err, zktree.OK)
	want(t, "the stat in the answer", o.Stat, c.exists(box, false).Stat)
	want(t, "the owner in that stat", o.Stat.EphemeralOwner, 0)
	for _, op := range ops(opContainerAt(unused), opContainerAt(kept), opCreate(kept+"/x"), opCreate(kept+"/y"), opDelete(kept+"/y"),
		opContainerAt(box+"/inner"), opCreate(box+"/inner/x"), zktree.Op{Code: zktree.OpCreate, Path: box + "/inner/e", Flags: zktree.Ephemeral | zktree.Sequential}) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	c.exists(box+"/inner", true)
	c.read(opChildren2, box, true)
	c.read(opChildren2, root, true)
	want(t, "deleting the last children", errs(c.multi(opDelete(box+"/inner/x"), opDelete(box+"/inner/e0000000001"))), []zktree.Code{0, 0})
	c.awaitGone(t, box+"/inner")
	c.awaitGone(t, box)
	want(t, "events of the removals", c.takeEvents(), []zktree.Event{{Type: zktree.EventDeleted, Path: box + "/inner"},
		{Type: zktree.EventChildrenChanged, Path: box}, {Type: zktree.EventChildrenChanged, Path: root}})
	want(t, "a container that never had a child", c.exists(unused, false).Err, zktree.OK)
	want(t, "a container with a child", c.exists(kept, false).Err, zktree.OK)
	want(t, "the cversion of that container", c.exists(kept, false).Stat.Cversion, 3)
	want(t, "delete of a container", c.delete(unused, 0).Err, zktree.OK)
	c.create(unused, "", 0)
	c.create(unused+"/x", "", 0)
	c.delete(unused+"/x", -1)
	c.write(opContainerAt(box))
	c.create(box+"/x", "", 0)
	c.delete(box+"/x", -1)
	c.awaitGone(t, box)
	want(t, "a plain node in the place of a deleted container", c.exists(unused, false).Err, zktree.OK)
}

const mostTTL = 0xff_ffff_ffff * time.Millisecond // the greatest number of 40 bits

func suiteTTL(t *testing.T, at target) {
	c, root := place(t, at)
	for _, x := range []struct {
		ttl  time.Duration
		want zktree.Code
	}{
		{-time.Millisecond, zktree.ErrBadArguments}, {0, zktree.ErrBadArguments}, {time.Millisecond * 60_000, zktree.OK},
		{mostTTL + time.Millisecond, zktree.ErrBadArguments}, {mostTTL, zktree.OK},
	} {
		path := fmt.Sprintf("%s/t%d", root, x.ttl.Milliseconds())
		o := c.write(opTTLAt(path, x.ttl))
		want(t, x.ttl.String(), o.Err, x.want)
		if o.Err == zktree.OK {
			want(t, "the owner in the stat", o.Stat.EphemeralOwner, 0)
			want(t, "the stat", o.Stat, c.exists(path, false).Stat)
		}
	}
	seq := opTTLAt(root+"/s-", time.Minute)
	seq.Flags = flagSequentialTTL
	want(t, "sequential", c.write(seq).Path, root+"/s-0000000002")

	const ttl = time.Second
	began := time.Now()
	for _, op := range ops(opTTLAt(root+"/short", ttl), opTTLAt(root+"/renewed", 4*ttl), opTTLAt(root+"/parent", ttl), opCreate(root+"/parent/c")) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	c.exists(root+"/short", true)
	c.awaitGone(t, root+"/short")
	if took := time.Since(began); took < ttl {
		t.Errorf("a node with a time to live of %v was removed after %v", ttl, took)
	}
	want(t, "events of the removal", c.takeEvents(), []zktree.Event{{Type: zktree.EventDeleted, Path: root + "/short"}})
	want(t, "a node past its time to live that has a child", c.exists(root+"/parent", false).Err, zktree.OK)
	time.Sleep(time.Until(began.Add(3 * ttl)))
	o := c.set(root+"/renewed", "x", -1)
	c.delete(root+"/parent/c", -1) // by now the parent has outlasted its time to live
	c.awaitGone(t, root+"/parent")
	c.awaitGone(t, root+"/renewed")
	if age := time.Since(time.UnixMilli(o.Stat.Mtime)); o.Err == zktree.OK && age < 4*ttl { // on a slow machine the set may come too late
		t.Errorf("a node with a time to live of %v was removed %v after a set", 4*ttl, age)
	}
	want(t, "a node with a long time to live", c.exists(root+"/t60000", false).Err, zktree.OK)
}

// suiteKinds creates nodes of all kinds: the operation and its flags both name a kind,
// and they need not agree.
func suiteKinds(t *testing.T, at target) {
	c, root := place(t, at)
	for _, x := range []struct {
		code  zktree.OpCode
		flags zktree.CreateFlags
		ttl   time.Duration
		want  zktree.Code
		name  string
	}{
		{zktree.OpCreate2, 0, 0, 0, ""},
		{zktree.OpCreate2, flagContainer, 0, 0, ""},
		{zktree.OpCreate2, flagTTL, 0, zktree.ErrBadArguments, ""},
		{zktree.OpCreate2, flagSequentialTTL, 0, zktree.ErrBadArguments, ""},
		{zktree.OpCreate2, 7, 0, zktree.ErrBadArguments, ""},
		{zktree.OpCreate2, -1, 0, zktree.ErrBadArguments, ""},
		{zktree.OpContainer, 0, 0, 0, ""},
		{zktree.OpContainer, zktree.Sequential, 0, 0, "0000000003"},
		{zktree.OpContainer, zktree.Ephemeral, 0, 0, ""},
		{zktree.OpContainer, flagTTL, 0, zktree.ErrBadArguments, ""},
		{zktree.OpContainer, 8, 0, zktree.ErrBadArguments, ""},
		{zktree.OpCreateTTL, 0, time.Minute, zktree.ErrBadArguments, ""},
		{zktree.OpCreateTTL, zktree.Ephemeral, time.Minute, zktree.ErrBadArguments, ""},
		{zktree.OpCreateTTL, flagContainer, time.Minute, zktree.ErrBadArguments, ""},
		{zktree.OpCreateTTL, flagContainer, 0, zktree.ErrBadArguments, ""},
	} {
		name := fmt.Sprintf("operation %d, flags %d, time to live %v", x.code, x.flags, x.ttl)
		path := fmt.Sprintf("%s/n%d-%d", root, x.code, x.flags)
		o := c.write(zktree.Op{Code: x.code, Path: path, Flags: x.flags, TTL: x.ttl})
		want(t, name, o.Err, x.want)
		if o.Err == zktree.OK {
			want(t, name+": owner", o.Stat.EphemeralOwner, 0)
			want(t, name+": name", o.Path, path+x.name)
			want(t, name+": stat", o.Stat, c.exists(o.Path, false).Stat)
		}
	}
	want(t, "a child of create2 with the flag of a container", c.create(root+"/n15-4/x", "", 0).Err, zktree.OK)
	c.delete(root+"/n15-4/x", -1)
	want(t, "a child of createContainer without the flag", c.create(root+"/n19-0/x", "", 0).Err, zktree.OK)
	c.delete(root+"/n19-0/x", -1)
	c.awaitGone(t, root+"/n19-0")
	want(t, "the node of create2, which is plain", c.exists(root+"/n15-4", false).Err, zktree.OK)
}

func suiteKindsInMulti(t *testing.T, at target) {
	c, root := place(t, at)
	o := c.multi(opContainerAt(root+"/c"), opTTLAt(root+"/t", time.Minute), opCreate(root+"/c/x"), zktree.Op{Code: zktree.OpCreate2, Path: root + "/two"})
	want(t, "errors", errs(o), []zktree.Code{0, 0, 0, 0})
	want(t, "codes of the answer", codes(o), []zktree.OpCode{zktree.OpCreate2, zktree.OpCreate2, zktree.OpCreate, zktree.OpCreate})
	want(t, "paths", o.Ops[1].Path, root+"/t")
	want(t, "a stat, which create2 does not get", o.Ops[1].Stat, c.exists(root+"/t", false).Stat)
	want(t, "errors of a multi with an invalid TTL", errs(c.multi(opContainerAt(root+"/d"), opTTLAt(root+"/u", 0))), []zktree.Code{0, zktree.ErrBadArguments})
	want(t, "a create of the failed multi", c.exists(root+"/d", false).Err, zktree.ErrNoNode)
	c.delete(root+"/c/x", -1)
	c.awaitGone(t, root+"/c")
}

func suiteCounts(t *testing.T, at target) {
	c, root := place(t, at)
	for _, n := range []string{"/a", "/ab", "/a/1", "/a/2", "/a/1/x"} {
		want(t, n, c.create(root+n, "", 0).Err, zktree.OK)
	}
	for path, count := range map[string]int32{root: 5, root + "/a": 3, root + "/ab": 0, root + "/a/1": 1} {
		want(t, "all below "+path, c.countAll(path).Count, count)
	}
	want(t, "all below a missing node", c.countAll(root+"/no").Err, zktree.ErrNoNode)
	want(t, "all below a path with a trailing slash", c.countAll(root+"/").Err, zktree.ErrNoNode)
	if c.countAll("/").Count <= 5 {
		t.Error("the number of all nodes below the root is too small")
	}
	for _, n := range []string{"/a/e1", "/ab/e2", "/e3"} {
		want(t, n, c.create(root+n, "", zktree.Ephemeral).Err, zktree.OK)
	}
	want(t, "an ephemeral of another session", newSession(t, at.addr, longest).create(root+"/foreign", "", zktree.Ephemeral).Err, zktree.OK)
	all := []string{root + "/a/e1", root + "/ab/e2", root + "/e3"}
	want(t, "all ephemerals", c.ephemeralsBelow("/").Names, all)
	want(t, "ephemerals without a prefix", c.ephemeralsBelow("").Names, all)
	want(t, "ephemerals below a blank", c.ephemeralsBelow(" ").Names, all)
	want(t, "ephemerals with a prefix that ends within a name", c.ephemeralsBelow(root+"/a").Names, all[:2])
	want(t, "ephemerals with a prefix that ends in a slash", c.ephemeralsBelow(root+"/a/").Names, all[:1])
	want(t, "ephemerals below a missing node", c.ephemeralsBelow(root+"/no").Names, nil)
	want(t, "delete of an ephemeral", c.delete(root+"/e3", -1).Err, zktree.OK)
	want(t, "ephemerals after the delete", c.ephemeralsBelow("/").Names, all[:2])
}

// suiteMultiRead checks that each read is answered on its own.
func suiteMultiRead(t *testing.T, at target) {
	c, root := place(t, at)
	c.create(root+"/a", "data", 0)
	c.create(root+"/a/x", "", 0)
	want(t, "closed", as(t, at, "u").write(opCreateWith(root+"/closed", aclFor(31, "u"))).Err, zktree.OK)
	o := c.multiRead(partRead{Code: opGetData, Path: root + "/a", Watch: true}, partRead{Code: opGetChildren, Path: root + "/no", Watch: true},
		partRead{Code: opGetChildren, Path: root + "/a", Watch: true}, partRead{Code: opGetData, Path: root + "/closed", Watch: true},
		partRead{Code: opGetData, Path: root + "/no\x00"})
	want(t, "code", o.Err, zktree.OK)
	want(t, "zxid", o.Zxid, c.exists(root, false).Zxid)
	if len(o.Reads) != 5 {
		t.Fatalf("%d answers", len(o.Reads))
	}
	want(t, "data", string(o.Reads[0].Data), "data")
	want(t, "stat", o.Reads[0].Stat, c.exists(root+"/a", false).Stat)
	want(t, "names", o.Reads[2].Names, []string{"x"})
	for i, code := range []zktree.Code{0, zktree.ErrNoNode, 0, zktree.ErrNoAuth, zktree.ErrNoNode} {
		want(t, fmt.Sprint("read ", i), o.Reads[i].Err, code)
	}
	want(t, "number of answers to an empty multiRead", len(c.multiRead().Reads), 0)
	c.set(root+"/a", "x", -1)
	c.create(root+"/a/y", "", 0)
	want(t, "events after a multiRead that asked for watches", c.takeEvents(), nil)
}
