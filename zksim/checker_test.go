package zksim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// TestCheckerSeesEachRuleBroken corrupts the service in one way after the other, and
// checks that the checker reports the rule which that breaks.
func TestCheckerSeesEachRuleBroken(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   Rule
		change func(g *testService, a, b *app)
	}{
		{"a zxid is given out again", ZxidOrder, func(g *testService, a, b *app) {
			k := g.s.cfg.Checker
			k.onCommit(&entry{txn: zktree.Txn{Zxid: k.zxid, Op: zktree.Op{Code: zktree.OpCheck, Path: "/"}}}, &zktree.Result{Zxid: k.zxid})
		}},
		{"a write is answered with another's zxid", ZxidOrder, func(g *testService, a, b *app) {
			a.cl.Set("/a", nil, -1, func(zktree.Stat, error) {})
			req := a.cl.sent[0]
			g.await("its commit", func() bool { return req.committed != 0 })
			req.committed--
			g.w.pass(time.Second)
		}},
		{"a server answers from a changed tree", SessionOrder, func(g *testService, a, b *app) {
			corrupt(a.cl.conn.server, func(img *zktree.Image) { nodeIn(img, "/a").Stat.Version = 7 })
			a.get("/a", false)
		}},
		{"answers come in another order", SessionOrder, func(g *testService, a, b *app) {
			k := g.s.cfg.Checker
			first, second := &request{}, &request{}
			k.onCall(a.cl, first)
			k.onCall(a.cl, second)
			k.onEnd(a.cl, second)
		}},
		{"a write vanishes on its way", NoGap, func(g *testService, a, b *app) {
			a.cl.Set("/a", nil, -1, func(zktree.Stat, error) {})
			a.cl.Set("/a", nil, -1, func(zktree.Stat, error) {})
			q := &a.cl.conn.up
			q.queue = q.queue[1:]
			defer func() { _ = recover() }() // the client panics, after the checker has seen it
			g.w.pass(time.Second)
		}},
		{"a server takes back a client that has seen more", Forward, func(g *testService, a, b *app) {
			a.cl.lastZxid = g.s.zxid + 5
			a.get("/a", false)
		}},
		{"a watch says nothing", EventFirst, func(g *testService, a, b *app) {
			a.get("/a", true)
			a.cl.conn.server.watches.Drop(a.cl.conn.id)
			b.set("/a", "new", -1)
			a.sync()
			a.get("/a", false)
		}},
		{"a watch of children says nothing", EventFirst, func(g *testService, a, b *app) {
			a.children("/a", true)
			a.cl.conn.server.watches.Drop(a.cl.conn.id)
			b.create("/a/b", "new", 0)
			a.sync()
			a.children("/a", false)
		}},
		{"events come in another order", EventFirst, func(g *testService, a, b *app) {
			c := a.cl.conn
			g.s.cfg.Checker.onTold(a.cl, c, zktree.Event{Type: zktree.EventCreated, Path: "/x"}, 9)
			g.s.cfg.Checker.onTold(a.cl, c, zktree.Event{Type: zktree.EventCreated, Path: "/y"}, 8)
		}},
		{"a failed multi leaves a change", Atomic, func(g *testService, a, b *app) {
			k := g.s.cfg.Checker
			k.onCommit(&entry{txn: zktree.Txn{Zxid: k.zxid + 1, Op: zktree.Op{Code: zktree.OpMulti}}},
				&zktree.Result{Zxid: k.zxid + 1, Failed: true, Changes: []zktree.Change{{Kind: zktree.DataSet, Path: "/a"}}})
		}},
		{"a multi is done in part", Atomic, func(g *testService, a, b *app) {
			k := g.s.cfg.Checker
			ops := []zktree.Op{{Code: zktree.OpSetData, Path: "/a"}, {Code: zktree.OpDelete, Path: "/a"}}
			k.onCommit(&entry{txn: zktree.Txn{Zxid: k.zxid + 1, Op: zktree.Op{Code: zktree.OpMulti}, Ops: ops}},
				&zktree.Result{Zxid: k.zxid + 1, Ops: make([]zktree.OpResult, 2), Changes: []zktree.Change{{Kind: zktree.DataSet, Path: "/a"}}})
		}},
		{"a session writes after its end", Ended, func(g *testService, a, b *app) {
			id := a.cl.session
			g.s.ExpireSession(id)
			for _, v := range g.s.servers {
				v.catchUp()
				corrupt(v, func(img *zktree.Image) { img.Sessions = append(img.Sessions, zktree.SessionImage{ID: id}) })
			}
			g.s.commit(zktree.Txn{Session: id, Op: zktree.Op{Code: zktree.OpSetData, Path: "/a", Version: -1}}, nil)
		}},
		{"a superseded connection writes", Ended, func(g *testService, a, b *app) {
			c := a.cl.conn
			g.s.cfg.Checker.onAttach(a.cl.session, &conn{id: c.id + 100})
			a.set("/a", "x", -1)
		}},
		{"an ephemeral outlives its session", OneEnd, func(g *testService, a, b *app) {
			a.create("/e", "", zktree.Ephemeral)
			for _, v := range g.s.servers {
				v.catchUp()
				corrupt(v, func(img *zktree.Image) { nodeIn(img, "/e").Stat.EphemeralOwner = 0 })
			}
			g.s.ExpireSession(a.cl.session)
		}},
		{"a new leader lacks the last write", Durable, func(g *testService, a, b *app) {
			a.set("/a", "last", -1)
			for _, v := range g.s.servers {
				v.applied = g.s.logEnd()
				corrupt(v, func(img *zktree.Image) { img.Zxid-- })
			}
			g.s.ChangeLeader(false)
			g.w.pass(10 * time.Second)
		}},
		{"a new leader lacks a node", Durable, func(g *testService, a, b *app) {
			for _, v := range g.s.servers {
				v.catchUp()
				corrupt(v, withoutA)
			}
			g.s.ChangeLeader(false)
			g.w.pass(10 * time.Second)
		}},
	} {
		k := NewChecker(nil)
		g := newTestService(t, 31, Config{Checker: k, Servers: 3})
		a, b := g.client("n1", 4*time.Second), g.client("n2", 4*time.Second)
		a.create("/a", "", 0)
		b.sync()
		if len(k.Violations()) > 0 {
			t.Fatalf("violations before the corruption: %v", k.Violations())
		}
		c.change(g, a, b)
		if !slices.ContainsFunc(k.Violations(), func(v Violation) bool { return v.Rule == c.rule }) {
			t.Errorf("%s: no violation of %q: %v", c.name, c.rule, k.Violations())
		}
	}
}

// corrupt gives a server a tree that does not follow from the log.
func corrupt(v *server, change func(*zktree.Image)) {
	img := v.tree.Export()
	change(&img)
	tree, err := zktree.Import(img)
	if err != nil {
		panic(err)
	}
	v.tree = tree
}

func nodeIn(img *zktree.Image, path string) *zktree.NodeImage {
	at := slices.IndexFunc(img.Nodes, func(n zktree.NodeImage) bool { return n.Path == path })
	return &img.Nodes[at]
}

func withoutA(img *zktree.Image) {
	img.Nodes = slices.DeleteFunc(img.Nodes, func(n zktree.NodeImage) bool { return n.Path == "/a" })
}

func TestAuditFindsWhatNoReadHasShown(t *testing.T) {
	for _, change := range []func(g *testService, id int64){
		func(g *testService, id int64) { corrupt(g.s.servers[1], withoutA) },
		func(g *testService, id int64) {
			corrupt(g.s.servers[2], func(img *zktree.Image) { nodeIn(img, "/a").Stat.Mzxid++ })
		},
		func(g *testService, id int64) { delete(g.s.leases, id) },
	} {
		k := NewChecker(nil)
		g := newTestService(t, 32, Config{Checker: k, Servers: 3})
		a := g.client("n1", 4*time.Second)
		a.create("/a", "", zktree.Ephemeral)
		g.w.pass(time.Second)
		if g.s.Audit(); len(k.Violations()) > 0 {
			t.Fatalf("violations before the corruption: %v", k.Violations())
		}
		change(g, a.cl.session)
		if g.s.Audit(); len(k.Violations()) == 0 {
			t.Error("Audit found nothing")
		}
	}
}

func TestCheckerKeepsTheFirstViolationsAndReportsThem(t *testing.T) {
	told := 0
	k := NewChecker(func(Violation) { told++ })
	newTestService(t, 33, Config{Checker: k})
	for range 2 * maxViolations {
		k.broken(Durable, "again")
	}
	if len(k.Violations()) != maxViolations || told != maxViolations {
		t.Errorf("%d kept, %d reported", len(k.Violations()), told)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	c := newHistory()
	zxid := int64(0)
	step := func(op zktree.Op, kind zktree.ChangeKind) {
		zxid++
		txn := &zktree.Txn{Zxid: zxid, Op: op}
		c.record(txn, &zktree.Result{Zxid: zxid, Path: op.Path, Changes: []zktree.Change{{Kind: kind, Path: op.Path}}})
	}
	step(zktree.Op{Code: zktree.OpCreate, Path: "/a"}, zktree.Created)
	for range 2 * maxStates {
		step(zktree.Op{Code: zktree.OpSetData, Path: "/a"}, zktree.DataSet)
	}
	if _, known := c.at("/a", 1); known {
		t.Error("a state beyond the bound is still known")
	}
	if now, known := c.at("/a", zxid); !known || now.version != 2*maxStates {
		t.Errorf("the latest state of /a is %+v, known: %v", now, known)
	}
	for i := range maxDeleted + 10 {
		path := fmt.Sprintf("/d%d", i)
		step(zktree.Op{Code: zktree.OpCreate, Path: path}, zktree.Created)
		step(zktree.Op{Code: zktree.OpDelete, Path: path}, zktree.Deleted)
	}
	if len(c.paths) != maxDeleted+2 { // "/" and "/a" exist
		t.Errorf("%d paths are remembered", len(c.paths))
	}
	if was, known := c.latest(fmt.Sprintf("/d%d", maxDeleted)); !known || was.exists {
		t.Errorf("the latest state of the last deleted path is %+v, known: %v", was, known)
	}
}
