package zksim

import (
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// A snapshot shows servers, sessions and ephemerals as they are, and ExpireHost ends the
// sessions of one host only.
func TestInspectAndExpireHost(t *testing.T) {
	g := newTestService(t, 1, Config{Servers: 3})
	a, b, other := g.client("n1", 4*tick), g.client("n1", 5*tick), g.client("n2", 4*tick)
	if a.cl.Watching() {
		t.Error("a new client has a watch")
	}
	a.create("/a", "", zktree.Ephemeral)
	b.create("/b", "", zktree.Ephemeral)
	other.create("/other", "", zktree.Ephemeral)
	if a.exists("/other", true); !a.cl.Watching() {
		t.Error("a client with a watch says that it has none")
	}
	g.w.pass(time.Second)
	i := g.s.Inspect()
	leader, _ := g.s.Leader()
	if i.Phase != "serving" || i.Leader != leader || i.Zxid != g.s.Zxid() || len(i.Servers) != g.s.Servers() || len(i.Sessions) != 3 {
		t.Fatalf("%+v", i)
	}
	connections := 0
	for n, s := range i.Servers {
		connections += s.Connections
		if !s.Up || s.CutOff || s.Wiped || s.Behind != 0 || s.Zxid != i.Zxid {
			t.Errorf("server %d: %+v", n, s)
		}
	}
	for _, s := range i.Sessions {
		if len(s.Ephemerals) != 1 || (s.ID == b.cl.Session()) != (s.Ephemerals[0] == "/b") || s.Server < 0 || !g.s.SessionAlive(s.ID) {
			t.Errorf("session %+v", s)
		}
	}
	if connections != 3 {
		t.Errorf("%d connections, want 3", connections)
	}
	if n := g.s.ExpireHost("n1"); n != 2 {
		t.Errorf("ExpireHost ended %d sessions, want 2", n)
	}
	names, _ := g.s.PeekChildren("/")
	if g.s.SessionAlive(a.cl.Session()) || g.s.SessionAlive(b.cl.Session()) || !g.s.SessionAlive(other.cl.Session()) || len(names) != 2 { // other and zookeeper
		t.Errorf("after ExpireHost: %+v, znodes %q", g.s.Inspect(), names)
	}
	if HasSession.String() == Disconnected.String() || HasSession.String() == Expired.String() {
		t.Errorf("states have the names %v, %v and %v", HasSession, Disconnected, Expired)
	}
	g.s.Down()
	if i := g.s.Inspect(); i.Phase != "down" {
		t.Errorf("without a quorum the phase is %q", i.Phase)
	}
}
