package zkserver

import (
	"fmt"
	"testing"

	"dkv/zksim/zktree"
)

// told makes events of lines like "created /a".
func told(root string, lines ...string) []zktree.Event {
	var list []zktree.Event
	for _, line := range lines {
		kind, path, _ := cutAt(line, ' ')
		list = append(list, zktree.Event{Path: root + path, Type: map[string]zktree.EventType{
			"created": zktree.EventCreated, "deleted": zktree.EventDeleted,
			"changed": zktree.EventDataChanged, "children": zktree.EventChildrenChanged,
		}[kind]})
	}
	return list
}

// suiteLastingWatches shows the same changes to a watcher of each kind. A lasting
// watch is in the table of data watches and in that of child watches. A later watch
// of another kind on the same path changes the kind in the tables that it belongs to:
// after an exists, the data half of a lasting watch is one-shot, and the events of its
// child half look odd.
func suiteLastingWatches(t *testing.T, at target) {
	for _, x := range []struct {
		name string
		arm  func(c *wireClient, n string)
		want []string
	}{
		{"persistent", func(c *wireClient, n string) { c.addWatch(n, watchPersistent) },
			[]string{"created /n", "changed /n", "children /n", "children /n", "deleted /n", "created /n", "changed /n", "deleted /n"}},
		{"recursive", func(c *wireClient, n string) { c.addWatch(n, watchRecursive) },
			[]string{"created /n", "changed /n", "created /n/c", "changed /n/c", "created /n/c/d", "deleted /n/c/d", "deleted /n/c",
				"deleted /n", "created /n", "changed /n", "deleted /n"}},
		{"persistent, then recursive", func(c *wireClient, n string) { c.addWatch(n, watchPersistent); c.addWatch(n, watchRecursive) },
			[]string{"created /n", "changed /n", "created /n/c", "changed /n/c", "created /n/c/d", "deleted /n/c/d", "deleted /n/c",
				"deleted /n", "created /n", "changed /n", "deleted /n"}},
		{"recursive, then persistent", func(c *wireClient, n string) { c.addWatch(n, watchRecursive); c.addWatch(n, watchPersistent) },
			[]string{"created /n", "changed /n", "children /n", "children /n", "deleted /n", "created /n", "changed /n", "deleted /n"}},
		{"persistent, then one-shot", func(c *wireClient, n string) { c.addWatch(n, watchPersistent); c.exists(n, true) },
			[]string{"created /n", "children /n", "children /n", "deleted /n", "deleted /n"}},
		{"one-shot, then persistent", func(c *wireClient, n string) { c.exists(n, true); c.addWatch(n, watchPersistent) },
			[]string{"created /n", "changed /n", "children /n", "children /n", "deleted /n", "created /n", "changed /n", "deleted /n"}},
		{"recursive, then one-shot", func(c *wireClient, n string) { c.addWatch(n, watchRecursive); c.exists(n, true) },
			[]string{"created /n", "deleted /n/c/d", "deleted /n/c", "deleted /n", "deleted /n"}},
		{"recursive on the parent, and one-shot", func(c *wireClient, n string) {
			c.addWatch(n[:len(n)-len("/n")], watchRecursive)
			c.exists(n, true)
		},
			[]string{"created /n", "changed /n", "created /n/c", "changed /n/c", "created /n/c/d", "deleted /n/c/d", "deleted /n/c",
				"deleted /n", "created /n", "changed /n", "deleted /n"}},
		{"twice", func(c *wireClient, n string) { c.addWatch(n, watchPersistent); c.addWatch(n, watchPersistent) },
			[]string{"created /n", "changed /n", "children /n", "children /n", "deleted /n", "created /n", "changed /n", "deleted /n"}},
	} {
		c, root := place(t, at)
		n := root + "/n"
		x.arm(c, n)
		by := newSession(t, at.addr, longest)
		for _, op := range ops(opCreate(n), opSet(n), opCreate(n+"/c"), opSet(n+"/c"), opCreate(n+"/c/d"), opDelete(n+"/c/d"),
			opDelete(n+"/c"), opDelete(n), opCreate(n), opSet(n), opDelete(n)) {
			want(t, x.name+" "+op.Path, by.write(op).Err, zktree.OK)
		}
		want(t, x.name, c.takeEvents(), told(root, x.want...))
	}
}

func suiteAddWatch(t *testing.T, at target) {
	c, root := place(t, at)
	o := c.addWatch(root+"/no", watchPersistent)
	want(t, "addWatch on a missing node", o.Err, zktree.OK)
	want(t, "the body of its answer", o.Count, 0)
	want(t, "the zxid of its answer", o.Zxid, c.exists(root, false).Zxid)
	want(t, "an unknown mode", c.addWatch(root, 2).Err, zktree.ErrMarshalling)
	want(t, "a negative mode", c.addWatch(root, -1).Err, zktree.ErrMarshalling)
	want(t, "a read over the same connection", c.exists(root, false).Err, zktree.OK)
	c.set(root, "x", -1)
	want(t, "events after invalid modes", c.takeEvents(), nil)
	c.create(root+"/no", "", 0)
	want(t, "events before the reply to one's own write", len(c.events), 1)
	c.takeEvents()
	again, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session {
		t.Fatalf("reattach: %v", err)
	}
	again.set(root+"/no", "x", -1)
	want(t, "events over a new connection of the session", again.takeEvents(), nil)
}

// suiteCheckWatches sets a watch of one kind and asks for every kind. checkWatches
// finds the watches of any connection, removeWatches only those of its own.
func suiteCheckWatches(t *testing.T, at target) {
	for i, x := range []struct {
		name string
		arm  func(c *wireClient, n string)
		has  [3]bool // of children, data, either
	}{
		{"none", func(c *wireClient, n string) {}, [3]bool{}},
		{"data", func(c *wireClient, n string) { c.read(opGetData, n, true) }, [3]bool{false, true, true}},
		{"exists", func(c *wireClient, n string) { c.exists(n, true) }, [3]bool{false, true, true}},
		{"children", func(c *wireClient, n string) { c.read(opChildren2, n, true) }, [3]bool{true, false, true}},
		{"persistent", func(c *wireClient, n string) { c.addWatch(n, watchPersistent) }, [3]bool{true, true, true}},
		{"recursive", func(c *wireClient, n string) { c.addWatch(n, watchRecursive) }, [3]bool{true, true, true}},
		{"used up", func(c *wireClient, n string) { c.read(opGetData, n, true); c.set(n, "x", -1) }, [3]bool{}},
		{"recursive above", func(c *wireClient, n string) { up, _, _ := cutLast(n); c.addWatch(up, watchRecursive) }, [3]bool{}},
	} {
		for k, kind := range []int32{wireOfChildren, wireOfData, wireOfEither} {
			c, root := place(t, at)
			n := fmt.Sprintf("%s/n%d-%d", root, i, kind)
			c.create(n, "", 0)
			x.arm(c, n)
			wanted := wireErrNoWatcher
			if x.has[k] {
				wanted = zktree.OK
			}
			name := fmt.Sprintf("%s, kind %d", x.name, kind)
			stranger := newSession(t, at.addr, longest)
			want(t, name+": asked by another", stranger.onWatcher(wireCheckWatches, n, kind).Err, wanted)
			want(t, name+": removed by another", stranger.onWatcher(wireRemoveWatches, n, kind).Err, wireErrNoWatcher)
			want(t, name+": asked by its own connection", c.onWatcher(wireCheckWatches, n, kind).Err, wanted)
			want(t, name+": removed", c.onWatcher(wireRemoveWatches, n, kind).Err, wanted)
			want(t, name+": asked after the removal", c.onWatcher(wireCheckWatches, n, kind).Err, wireErrNoWatcher)
			want(t, name+": removed again", c.onWatcher(wireRemoveWatches, n, kind).Err, wireErrNoWatcher)
		}
	}
	c, root := place(t, at)
	for _, op := range []int32{wireCheckWatches, wireRemoveWatches} {
		want(t, "an unknown kind", c.onWatcher(op, root, 9).Err, zktree.ErrMarshalling)
		want(t, "a missing node", c.onWatcher(op, root+"/no", wireOfEither).Err, wireErrNoWatcher)
	}
	want(t, "a read over the same connection", c.exists(root, false).Err, zktree.OK)
}

func cutLast(path string) (parent, name string, found bool) {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i], path[i+1:], true
		}
	}
	return "/", path, false
}

// suiteRemoveWatches checks that removing a part of a watch leaves the rest.
func suiteRemoveWatches(t *testing.T, at target) {
	for _, x := range []struct {
		name   string
		arm    func(c *wireClient, n string)
		remove int32
		want   []string
	}{
		{"the data half of a persistent one", func(c *wireClient, n string) { c.addWatch(n, watchPersistent) }, wireOfData, []string{"children /n", "children /n", "deleted /n"}},
		{"the children half of a persistent one", func(c *wireClient, n string) { c.addWatch(n, watchPersistent) }, wireOfChildren, []string{"changed /n", "deleted /n"}},
		{"the data half of a recursive one", func(c *wireClient, n string) { c.addWatch(n, watchRecursive) }, wireOfData, []string{"deleted /n/c", "deleted /n"}},
		{"the children half of a recursive one", func(c *wireClient, n string) { c.addWatch(n, watchRecursive) }, wireOfChildren,
			[]string{"changed /n", "created /n/c", "deleted /n/c", "deleted /n"}},
		{"all of a recursive one", func(c *wireClient, n string) { c.addWatch(n, watchRecursive) }, wireOfEither, nil},
		{"all of a persistent one", func(c *wireClient, n string) { c.addWatch(n, watchPersistent) }, wireOfEither, nil},
		{"a one-shot beside a recursive above", func(c *wireClient, n string) {
			up, _, _ := cutLast(n)
			c.addWatch(up, watchRecursive)
			c.read(opGetData, n, true)
		}, wireOfData, []string{"changed /n", "created /n/c", "deleted /n/c", "deleted /n"}},
		{"recursive, removed, then one-shot", func(c *wireClient, n string) {
			c.addWatch(n, watchRecursive)
			c.onWatcher(wireRemoveWatches, n, wireOfEither)
			c.read(opGetData, n, true)
			c.read(opChildren2, n, true)
		}, wireOfChildren, []string{"changed /n"}},
	} {
		c, root := place(t, at)
		n := root + "/n"
		c.create(n, "", 0)
		x.arm(c, n)
		want(t, x.name, c.onWatcher(wireRemoveWatches, n, x.remove).Err, zktree.OK)
		for _, op := range ops(opSet(n), opCreate(n+"/c"), opDelete(n+"/c"), opDelete(n)) {
			want(t, x.name+" "+op.Path, c.write(op).Err, zktree.OK)
		}
		want(t, x.name, c.takeEvents(), told(root, x.want...))
	}
}

// suiteSetWatches2 checks that restored lasting watches do not report what was missed.
func suiteSetWatches2(t *testing.T, at target) {
	c, root := place(t, at)
	for _, n := range []string{"/p", "/r", "/one", "/gone"} {
		c.create(root+n, "", 0)
	}
	since := c.lastZxid
	for _, op := range ops(opSet(root+"/p"), opSet(root+"/r"), opCreate(root+"/r/x"), opSet(root+"/one"), opDelete(root+"/gone")) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	d := newSession(t, at.addr, longest)
	o := d.setWatches2(since, watchLists{Data: []string{root + "/one"}, Persistent: []string{root + "/p", root + "/gone"}, Recursive: []string{root + "/r"}})
	want(t, "code", o.Err, zktree.OK)
	want(t, "events told at once", d.takeEvents(), told(root, "changed /one"))
	for _, op := range ops(opSet(root+"/p"), opCreate(root+"/p/x"), opSet(root+"/p"), opSet(root+"/r/x"), opCreate(root+"/r/x/y"), opCreate(root+"/gone"),
		opSet(root+"/one")) {
		want(t, op.Path, c.write(op).Err, zktree.OK)
	}
	want(t, "events of the restored watches", d.takeEvents(), told(root, "changed /p", "children /p", "changed /p", "changed /r/x", "created /r/x/y", "created /gone"))
	want(t, "with empty lists", d.setWatches2(0, watchLists{}).Err, zktree.OK)
}
