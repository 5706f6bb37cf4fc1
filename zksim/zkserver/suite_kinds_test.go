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

// awaitGone waits until a node is swept.
func (c *wireClient) awaitGone(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); c.exists(path, false).Err != zktree.ErrNoNode; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is still there after 15 s", path)
		}
	}
}

func suiteContainers(t *testing.T, at target) {
	c, root := place(t, at)
	box, unused, kept := root+"/box", root+"/unused", root+"/kept"
	o := c.write(opContainerAt(box))
	want(t, "made", o.Err, zktree.OK)
	want(t, "answered with a stat", o.Stat, c.exists(box, false).Stat)
	want(t, "which shows no owner", o.Stat.EphemeralOwner, 0)
	for _, op := range ops(opContainerAt(unused), opContainerAt(kept), opCreate(kept+"/x"), opCreate(kept+"/y"), opDelete(kept+"/y"),
		opContainerAt(box+"/inner"), opCreate(box+"/inner/x"), zktree.Op{Code: zktree.OpCreate, Path: box + "/inner/e", Flags: zktree.Ephemeral | zktree.Sequential}) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	c.exists(box+"/inner", true)
	c.read(opChildren2, box, true)
	c.read(opChildren2, root, true)
	want(t, "the last children", errs(c.multi(opDelete(box+"/inner/x"), opDelete(box+"/inner/e0000000001"))), []zktree.Code{0, 0})
	c.awaitGone(t, box+"/inner")
	c.awaitGone(t, box)
	want(t, "told as deletions", c.takeEvents(), []zktree.Event{{Type: zktree.EventDeleted, Path: box + "/inner"},
		{Type: zktree.EventChildrenChanged, Path: box}, {Type: zktree.EventChildrenChanged, Path: root}})
	want(t, "one that never had a child stays", c.exists(unused, false).Err, zktree.OK)
	want(t, "one that has a child stays", c.exists(kept, false).Err, zktree.OK)
	want(t, "its stat counts", c.exists(kept, false).Stat.Cversion, 3)
	want(t, "deleted by hand", c.delete(unused, 0).Err, zktree.OK)
	c.create(unused, "", 0)
	c.create(unused+"/x", "", 0)
	c.delete(unused+"/x", -1)
	c.write(opContainerAt(box))
	c.create(box+"/x", "", 0)
	c.delete(box+"/x", -1)
	c.awaitGone(t, box)
	want(t, "a plain node of a container's name is none", c.exists(unused, false).Err, zktree.OK)
}

const mostTTL = 0xff_ffff_ffff * time.Millisecond // 40 bits of them

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
			want(t, "no owner is shown", o.Stat.EphemeralOwner, 0)
			want(t, "the stat", o.Stat, c.exists(path, false).Stat)
		}
	}
	seq := opTTLAt(root+"/s-", time.Minute)
	seq.Flags = flagSequentialTTL
	want(t, "sequential", c.write(seq).Path, root+"/s-0000000002")

	const ttl = 300 * time.Millisecond
	began := time.Now()
	for _, op := range ops(opTTLAt(root+"/dies", ttl), opTTLAt(root+"/renewed", 4*ttl), opTTLAt(root+"/parent", ttl), opCreate(root+"/parent/c")) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	c.exists(root+"/dies", true)
	c.awaitGone(t, root+"/dies")
	if took := time.Since(began); took < ttl {
		t.Errorf("a node with a time to live of %v went after %v", ttl, took)
	}
	want(t, "told as a deletion", c.takeEvents(), []zktree.Event{{Type: zktree.EventDeleted, Path: root + "/dies"}})
	want(t, "a parent stays", c.exists(root+"/parent", false).Err, zktree.OK)
	time.Sleep(time.Until(began.Add(3 * ttl)))
	o := c.set(root+"/renewed", "x", -1)
	c.delete(root+"/parent/c", -1) // the parent's own time is long over
	c.awaitGone(t, root+"/parent")
	c.awaitGone(t, root+"/renewed")
	if lived := time.Since(time.UnixMilli(o.Stat.Mtime)); o.Err == zktree.OK && lived < 4*ttl { // a slow machine sets it too late
		t.Errorf("a set renewed a time to live of %v for %v", 4*ttl, lived)
	}
	want(t, "those with long lives stay", c.exists(root+"/t60000", false).Err, zktree.OK)
}

// suiteKinds: what kind of node it becomes is said twice, by the operation and
// by its flags, and they need not agree.
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
		story := fmt.Sprintf("operation %d, flags %d, time to live %v", x.code, x.flags, x.ttl)
		path := fmt.Sprintf("%s/n%d-%d", root, x.code, x.flags)
		o := c.write(zktree.Op{Code: x.code, Path: path, Flags: x.flags, TTL: x.ttl})
		want(t, story, o.Err, x.want)
		if o.Err == zktree.OK {
			want(t, story+": owner", o.Stat.EphemeralOwner, 0)
			want(t, story+": name", o.Path, path+x.name)
			want(t, story+": stat", o.Stat, c.exists(o.Path, false).Stat)
		}
	}
	want(t, "a node that says container in its flags only", c.create(root+"/n15-4/x", "", 0).Err, zktree.OK)
	c.delete(root+"/n15-4/x", -1)
	want(t, "one that says it by its operation only", c.create(root+"/n19-0/x", "", 0).Err, zktree.OK)
	c.delete(root+"/n19-0/x", -1)
	c.awaitGone(t, root+"/n19-0")
	want(t, "the former is plain", c.exists(root+"/n15-4", false).Err, zktree.OK)
}

func suiteKindsInMulti(t *testing.T, at target) {
	c, root := place(t, at)
	o := c.multi(opContainerAt(root+"/c"), opTTLAt(root+"/t", time.Minute), opCreate(root+"/c/x"), zktree.Op{Code: zktree.OpCreate2, Path: root + "/two"})
	want(t, "errors", errs(o), []zktree.Code{0, 0, 0, 0})
	want(t, "answered as", codes(o), []zktree.OpCode{zktree.OpCreate2, zktree.OpCreate2, zktree.OpCreate, zktree.OpCreate})
	want(t, "paths", o.Ops[1].Path, root+"/t")
	want(t, "with stats, unlike create2", o.Ops[1].Stat, c.exists(root+"/t", false).Stat)
	want(t, "a bad one spoils it all", errs(c.multi(opContainerAt(root+"/d"), opTTLAt(root+"/u", 0))), []zktree.Code{0, zktree.ErrBadArguments})
	want(t, "undone", c.exists(root+"/d", false).Err, zktree.ErrNoNode)
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
	want(t, "below nothing", c.countAll(root+"/no").Err, zktree.ErrNoNode)
	want(t, "with a slash", c.countAll(root+"/").Err, zktree.ErrNoNode)
	if c.countAll("/").Count <= 5 {
		t.Error("the root counts too few")
	}
	for _, n := range []string{"/a/e1", "/ab/e2", "/e3"} {
		want(t, n, c.create(root+n, "", zktree.Ephemeral).Err, zktree.OK)
	}
	want(t, "another's ephemeral", newSession(t, at.addr, 4*time.Second).create(root+"/foreign", "", zktree.Ephemeral).Err, zktree.OK)
	all := []string{root + "/a/e1", root + "/ab/e2", root + "/e3"}
	want(t, "all of one's own", c.ephemeralsBelow("/").Names, all)
	want(t, "without a prefix", c.ephemeralsBelow("").Names, all)
	want(t, "with a blank one", c.ephemeralsBelow(" ").Names, all)
	want(t, "a prefix is of the text, not of the path", c.ephemeralsBelow(root+"/a").Names, all[:2])
	want(t, "with a slash", c.ephemeralsBelow(root+"/a/").Names, all[:1])
	want(t, "nothing", c.ephemeralsBelow(root+"/no").Names, nil)
	want(t, "deleted ones go", c.delete(root+"/e3", -1).Err, zktree.OK)
	want(t, "at once", c.ephemeralsBelow("/").Names, all[:2])
}

// suiteMultiRead: each read is answered for itself.
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
	want(t, "of nothing", len(c.multiRead().Reads), 0)
	c.set(root+"/a", "x", -1)
	c.create(root+"/a/y", "", 0)
	want(t, "it arms nothing, whatever was asked", c.takeEvents(), nil)
}
