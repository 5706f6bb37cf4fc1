package zksim

import (
	"slices"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

func TestEveryCall(t *testing.T) {
	g := newTestService(t, 1, Config{})
	a := g.client("n1", 4*time.Second)
	if r := a.create("/a", "one", 0); r.err != nil || r.path != "/a" {
		t.Fatalf("create: %+v", r)
	}
	if r := a.get("/a", true); r.err != nil || string(r.data) != "one" {
		t.Fatalf("get: %+v", r)
	}
	b := g.client("n2", 4*time.Second)
	if err := b.sync(); err != nil {
		t.Fatal(err)
	}
	if r := b.set("/a", "two", 0); r.err != nil || r.stat.Version != 1 {
		t.Fatalf("set: %+v", r)
	}
	g.await("the watch", func() bool { return len(a.events) == 1 })
	if a.events[0] != (zktree.Event{Type: zktree.EventDataChanged, Path: "/a"}) {
		t.Fatalf("the watch fired with the events %v", a.events)
	}
	if r := b.create("/a/e", "", zktree.Ephemeral); r.err != nil || r.stat.EphemeralOwner != 0 && r.stat.EphemeralOwner != b.cl.Session() {
		t.Fatalf("ephemeral: %+v", r)
	}
	if r := a.multi(zktree.Op{Code: zktree.OpCheck, Path: "/a", Version: 1}, zktree.Op{Code: zktree.OpCreate, Path: "/b"}); r.err != nil || len(r.ops) != 2 {
		t.Fatalf("multi: %+v", r)
	}
	if r := a.multi(zktree.Op{Code: zktree.OpCreate, Path: "/c"}, zktree.Op{Code: zktree.OpCheck, Path: "/a", Version: 0}); r.err != zktree.ErrBadVersion {
		t.Fatalf("multi: %+v", r)
	}
	if _, _, code := g.s.Peek("/c"); code != zktree.ErrNoNode {
		t.Fatal("a failed multi left a node")
	}
	if err := a.delete("/a", -1); err != zktree.ErrNotEmpty {
		t.Fatalf("delete: %v", err)
	}
	closed := false
	b.cl.Close(func() { closed = true })
	g.await("close", func() bool { return closed })
	if _, _, code := g.s.Peek("/a/e"); code != zktree.ErrNoNode {
		t.Fatal("the ephemeral still exists after its session's end")
	}
	a.sync()
	if r := a.children("/", false); r.err != nil || !slices.Contains(r.names, "b") || len(r.names) != 3 {
		t.Fatalf("children: %+v", r)
	}
}
