package zksim

import (
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// TestNothingIsSweptWithoutALeader: containers and TTL nodes outlive their time while
// there is no quorum, since removing one is a transaction.
func TestNothingIsSweptWithoutALeader(t *testing.T) {
	g := newTestService(t, 1, Config{Servers: 3, Sweep: time.Second})
	a := g.client("n1", 4*time.Second)
	op := zktree.Op{Code: zktree.OpCreateTTL, Path: "/t", Flags: zktree.WithTTL, TTL: 2 * time.Second}
	if err := do(a, func(done func(error)) { a.cl.CreateNode(op, func(_ CreateResult, err error) { done(err) }) }); err != nil {
		t.Fatal(err)
	}
	g.s.Down()
	zxid := g.s.Zxid()
	g.w.pass(10 * time.Second)
	if _, _, code := g.s.Peek("/t"); code != zktree.OK || g.s.Zxid() != zxid {
		t.Errorf("without a quorum the node is %v, and the zxid rose by %d", code, g.s.Zxid()-zxid)
	}
	g.s.Up()
	g.await("the sweep", func() bool { _, _, code := g.s.Peek("/t"); return code == zktree.ErrNoNode })
}
