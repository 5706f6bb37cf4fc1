package zksim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

const tick = 200 * time.Millisecond // that of newTestService

func TestExpiryIsWithinATickOfTheTimeout(t *testing.T) {
	for seed := range uint64(20) {
		g := newTestService(t, seed, Config{Servers: 1 + int(seed%3)})
		a := g.client("n1", time.Second)
		a.create("/e", "", zktree.Ephemeral)
		id := a.cl.Session()
		a.cl.Abandon()
		began := g.w.now
		g.w.run(g.w.now+time.Minute, func() bool { return !g.s.SessionAlive(id) })
		took := g.w.now - began
		// The last heartbeat reached the leader up to a round trip earlier, or,
		// through a follower, counts for up to half a tick later.
		if took < time.Second-10*time.Millisecond || took > time.Second+tick+tick/2 {
			t.Errorf("seed %d: the session ended after %v", seed, took)
		}
		if _, _, code := g.s.Peek("/e"); code != zktree.ErrNoNode {
			t.Errorf("seed %d: the ephemeral still exists", seed)
		}
	}
}

func TestPingsKeepAnIdleSession(t *testing.T) {
	g := newTestService(t, 3, Config{})
	a := g.client("n1", 500*time.Millisecond)
	g.w.pass(time.Minute)
	if !g.s.SessionAlive(a.cl.Session()) || len(a.states) != 1 {
		t.Errorf("an idle client had the states %v", a.states)
	}
}

func TestExpiredClientLearnsItOnlyWhenItReconnects(t *testing.T) {
	g := newTestService(t, 1, Config{Servers: 1})
	a := g.client("n1", 4*time.Second)
	b := g.client("n2", 4*time.Second)
	a.create("/e", "", zktree.Ephemeral)
	g.s.CutHost("n1")
	if !g.s.ExpireSession(a.cl.Session()) {
		t.Fatal("ExpireSession did not find the session")
	}
	g.w.pass(500 * time.Millisecond)
	if _, _, code := g.s.Peek("/e"); code != zktree.ErrNoNode || a.last() != HasSession {
		t.Fatalf("the ephemeral: %v; its owner's state: %v", code, a.last())
	}
	failed := 0
	for range 3 {
		a.cl.Set("/x", nil, -1, func(_ zktree.Stat, err error) {
			if err != zktree.ErrConnectionLoss && err != zktree.ErrSessionExpired {
				t.Errorf("a write of an ended session: %v", err)
			}
			failed++
		})
	}
	g.s.HealHost("n1")
	g.await("Expired", func() bool { return a.last() == Expired })
	if !slices.Equal(a.states, []SessionState{HasSession, Disconnected, Expired}) || failed != 3 {
		t.Errorf("states %v, %d calls ended", a.states, failed)
	}
	if err := a.delete("/", -1); err != zktree.ErrSessionExpired {
		t.Errorf("a call of an expired client: %v", err)
	}
	if g.counted("session-expired") != 1 || b.last() != HasSession {
		t.Error("the session of another host ended too")
	}
}

func TestCutHostIsDisconnectedAndComesBackWithItsSession(t *testing.T) {
	g := newTestService(t, 5, Config{})
	a := g.client("n1", 4*time.Second)
	a.create("/e", "", zktree.Ephemeral)
	a.get("/e", true)
	g.s.CutHost("n1")
	cutAt := g.w.now
	g.await("Disconnected", func() bool { return a.last() == Disconnected })
	if took := g.w.now - cutAt; took < 4*time.Second/3 || took > 3*time.Second {
		t.Errorf("the client noticed the cut after %v", took)
	}
	other := g.client("n2", 4*time.Second)
	other.set("/e", "x", -1)
	g.s.HealHost("n1")
	g.await("the session again", func() bool { return a.last() == HasSession })
	g.await("the watch", func() bool { return len(a.events) == 1 })
	if r := a.get("/e", false); r.err != nil || string(r.data) != "x" || r.stat.EphemeralOwner != a.cl.Session() {
		t.Errorf("read its ephemeral after the cut: %+v", r)
	}
	if g.counted("host-cut") == 0 {
		t.Error("the fault was not counted")
	}
}

func TestCutFromOneServerMovesToAnother(t *testing.T) {
	g := newTestService(t, 7, Config{Servers: 3})
	a := g.client("n1", 4*time.Second)
	at := a.cl.conn.server.id
	if !g.s.CutHostFrom("n1", at) || g.s.CutHostFrom("n1", 3) {
		t.Fatal("CutHostFrom must accept servers 0 to 2 only")
	}
	g.await("Disconnected", func() bool { return a.last() == Disconnected })
	g.await("the session again", func() bool { return a.last() == HasSession })
	if now := a.cl.conn.server.id; now == at {
		t.Errorf("the client is still connected to server %d", now)
	}
}

func TestShortCutOnlyDelays(t *testing.T) {
	g := newTestService(t, 8, Config{})
	a := g.client("n1", 4*time.Second)
	g.s.CutHost("n1")
	done := false
	a.cl.Create("/a", nil, 0, func(_ CreateResult, err error) { done = err == nil })
	g.w.pass(time.Second)
	if done {
		t.Fatal("a call passed a cut")
	}
	g.s.HealHost("n1")
	g.await("the call", func() bool { return done })
	if len(a.states) != 1 {
		t.Errorf("a client that was cut off shortly had the states %v", a.states)
	}
}

func TestReplyLost(t *testing.T) {
	for _, after := range []bool{false, true} {
		g := newTestService(t, 9, Config{})
		a := g.client("n1", 4*time.Second)
		g.s.LoseNextWrite("n1", after)
		if r := a.create("/q-", "", zktree.Sequential); r.err != zktree.ErrConnectionLoss {
			t.Fatalf("the write whose reply is lost: %+v", r)
		}
		g.await("the session again", func() bool { return a.last() == HasSession })
		names, _ := g.s.PeekChildren("/")
		if got := slices.Contains(names, "q-0000000000"); got != after {
			t.Errorf("after=%v, done=%v", after, got)
		}
		name := map[bool]string{false: "reply-lost-before-effect", true: "reply-lost-after-effect"}[after]
		if g.counted(name) != 1 {
			t.Errorf("%s was not counted", name)
		}
		if r := a.create("/q-", "", zktree.Sequential); r.err != nil {
			t.Errorf("the write after the lost one: %v", r.err)
		}
	}
}

func TestWriteIsDoneAfterItsClientWasToldUnknown(t *testing.T) {
	late, never := 0, 0
	for seed := range uint64(30) {
		g := newTestService(t, seed, Config{})
		a := g.client("n1", 4*time.Second)
		g.s.DelayNextWrite("n1")
		if r := a.create("/a", "", 0); r.err != zktree.ErrConnectionLoss {
			t.Fatalf("the delayed write: %+v", r)
		}
		if _, _, code := g.s.Peek("/a"); code != zktree.ErrNoNode {
			t.Fatal("the write was done at once")
		}
		g.w.pass(10 * time.Second)
		_, _, code := g.s.Peek("/a")
		switch {
		case code == zktree.OK && g.counted("applied-late") == 1:
			late++
		case code == zktree.ErrNoNode && g.counted("session-moved") == 1:
			never++ // the session had moved to another connection by then
		default:
			t.Errorf("seed %d: %v, counted %v", seed, code, g.s.Counters())
		}
	}
	if late == 0 || never == 0 {
		t.Errorf("done late %d times, dropped %d times; want both to occur", late, never)
	}
}

func TestLeaderChange(t *testing.T) {
	for seed := range uint64(10) {
		g := newTestService(t, seed, Config{Servers: 3})
		a := g.client("n1", 4*time.Second)
		a.create("/e", "", zktree.Ephemeral)
		zxid := g.s.Zxid()
		began := g.w.now
		if !g.s.ChangeLeader(false) || g.s.ChangeLeader(false) {
			t.Fatal("ChangeLeader must refuse during an election")
		}
		g.await("a leader", func() bool { _, serves := g.s.Leader(); return serves })
		if took := g.w.now - began; took < 400*time.Millisecond || took > 3*time.Second {
			t.Errorf("seed %d: there was no leader for %v", seed, took)
		}
		if g.s.Zxid()>>32 != zxid>>32+1 || g.s.Zxid()&0xffffffff != 0 {
			t.Errorf("zxid %#x after %#x", g.s.Zxid(), zxid)
		}
		g.await("the session again", func() bool { return a.last() == HasSession && a.cl.conn != nil })
		if r := a.set("/e", "x", -1); r.err != nil && r.err != zktree.ErrConnectionLoss {
			t.Errorf("seed %d: %v", seed, r.err)
		}
		if !g.s.SessionAlive(a.cl.Session()) {
			t.Errorf("seed %d: the session ended", seed)
		}
	}
}

func TestNewLeaderRestartsEverySessionTimeout(t *testing.T) {
	g := newTestService(t, 2, Config{Servers: 3})
	a := g.client("n1", time.Second)
	id := a.cl.Session()
	a.cl.Abandon()
	for range 5 { // each within the session timeout
		g.w.pass(600 * time.Millisecond)
		g.s.ChangeLeader(false)
		g.await("a leader", func() bool { _, serves := g.s.Leader(); return serves })
	}
	if !g.s.SessionAlive(id) {
		t.Error("an abandoned session ended, though no leader had waited for its whole timeout")
	}
	g.w.pass(time.Second + tick + tick/2)
	if g.s.SessionAlive(id) {
		t.Error("the session did not end after its timeout under the last leader")
	}
}

func TestNothingExpiresWithoutAQuorum(t *testing.T) {
	g := newTestService(t, 4, Config{Servers: 3})
	a := g.client("n1", time.Second)
	if !g.s.Down() || g.s.Down() || g.s.ExpireSession(a.cl.Session()) || g.s.ChangeLeader(true) {
		t.Fatal("Down must succeed once, and other faults must be refused after it")
	}
	failed := error(nil)
	a.cl.Get("/", false, func(_ []byte, _ zktree.Stat, err error) { failed = err })
	g.w.pass(time.Minute)
	if a.last() != Disconnected || !g.s.SessionAlive(a.cl.Session()) {
		t.Fatalf("without a quorum the client is %v, its session alive: %v", a.last(), g.s.SessionAlive(a.cl.Session()))
	}
	if failed != zktree.ErrConnectionLoss && failed != zktree.ErrNoServer {
		t.Errorf("a call ended with %v", failed)
	}
	if !g.s.Up() || g.s.Up() {
		t.Fatal("Up must succeed once")
	}
	g.await("the session again", func() bool { return a.last() == HasSession })
	if r := a.create("/a", "", 0); r.err != nil {
		t.Error(r.err)
	}
}

// twoServers returns a client at a follower and one at the leader.
func twoServers(t *testing.T, cfg Config) (g *testService, atFollower, atLeader *app, follower int) {
	t.Helper()
	cfg.Servers = 3
	g = newTestService(t, 11, cfg)
	leader, _ := g.s.Leader()
	for i := 0; atFollower == nil || atLeader == nil; i++ {
		a := g.client(fmt.Sprintf("n%d", i), 4*time.Second)
		if a.cl.conn.server.id == leader {
			atLeader = a
		} else {
			atFollower, follower = a, a.cl.conn.server.id
		}
	}
	return g, atFollower, atLeader, follower
}

func TestLaggingFollower(t *testing.T) {
	g, reader, writer, follower := twoServers(t, Config{})
	writer.create("/a", "old", 0)
	reader.sync()
	reader.get("/a", true)
	g.s.SetLag(follower, Range{500 * time.Millisecond, 500 * time.Millisecond})
	writer.set("/a", "new", -1)
	if r := reader.get("/a", false); string(r.data) != "old" {
		t.Fatalf("read %q from the lagging server, want the old data", r.data)
	}
	if len(reader.events) != 0 {
		t.Fatal("an event arrived before its change could be read")
	}
	if g.counted("stale-read") != 1 {
		t.Error("the fault was not counted")
	}
	began := g.w.now
	reader.sync()
	if g.w.now-began < 400*time.Millisecond {
		t.Error("sync did not wait for the lagging server")
	}
	if r := reader.get("/a", false); string(r.data) != "new" || len(reader.events) != 1 {
		t.Errorf("read %q after sync, events %v", r.data, reader.events)
	}
	if g.counted("watch-late") == 0 || g.counted("follower-lag") == 0 {
		t.Errorf("the late event or the lag was not counted: %v", g.s.Counters())
	}
	g.s.SetLag(follower, Range{0, 0})
	if r := reader.set("/a", "own", -1); r.err != nil {
		t.Fatal(r.err)
	}
	if r := reader.get("/a", false); string(r.data) != "own" {
		t.Errorf("a client reads %q after its own write", r.data)
	}
}

func TestClientAheadIsRefusedByALaggingServer(t *testing.T) {
	g, _, writer, follower := twoServers(t, Config{})
	g.s.SetLag(follower, Range{20 * time.Second, 20 * time.Second})
	writer.create("/a", "", 0)
	for server := range 3 {
		if server != follower {
			g.s.CutHostFrom(writer.cl.host.name, server)
		}
	}
	g.w.pass(15 * time.Second)
	if g.counted("zxid-ahead-refused") == 0 {
		t.Error("no server refused the client")
	}
	if writer.last() == HasSession {
		t.Error("the client was served from an older state than it had seen")
	}
}

func TestDeposedLeaderAnswersSyncAndReadFromOldState(t *testing.T) {
	found := false
	for seed := uint64(0); seed < 50 && !found; seed++ {
		g := newTestService(t, seed, Config{Servers: 3, SyncLimit: 10 * time.Second})
		leader, _ := g.s.Leader()
		a := g.client("n1", 4*time.Second)
		if a.cl.conn.server.id != leader {
			continue
		}
		a.create("/a", "old", 0)
		g.s.ChangeLeader(true)
		b := g.client("n2", 4*time.Second)
		if b.cl.conn.server.id == leader || a.last() != HasSession {
			continue
		}
		if r := b.set("/a", "new", -1); r.err != nil {
			continue
		}
		if err := a.sync(); err != nil {
			t.Fatal(err)
		}
		if r := a.get("/a", false); r.err == nil && string(r.data) == "old" {
			found = true
		}
		if g.counted("deposed-sync-read") != 1 {
			t.Error("the fault was not counted")
		}
		answered := false
		a.cl.Multi([]zktree.Op{{Code: zktree.OpCheck, Path: "/a", Version: 0}}, func(_ []zktree.OpResult, err error) {
			answered = err == nil
		})
		g.w.pass(20 * time.Second)
		if answered {
			t.Error("a deposed leader answered a write")
		}
	}
	if !found {
		t.Error("no seed made a deposed leader answer from old state")
	}
}

func TestIsolatedFollowerServesAClientWhoseSessionHasEnded(t *testing.T) {
	g, owner, other, follower := twoServers(t, Config{SyncLimit: 30 * time.Second})
	owner.create("/e", "", zktree.Ephemeral)
	owner.sync()
	if !g.s.Isolate(follower, 20*time.Second) || g.s.Isolate(follower, time.Second) {
		t.Fatal("Isolate must succeed once")
	}
	g.await("expiry", func() bool { return !g.s.SessionAlive(owner.cl.Session()) })
	if r := owner.get("/e", false); r.err != nil || owner.last() != HasSession {
		t.Errorf("the owner reads its own ephemeral: %v, %v", r.err, owner.last())
	}
	if r := other.create("/e", "", zktree.Ephemeral); r.err != nil {
		t.Errorf("the next session's create: %v", r.err)
	}
	ended := error(nil)
	owner.cl.Set("/e", nil, -1, func(_ zktree.Stat, err error) { ended = err })
	g.await("Expired", func() bool { return owner.last() == Expired })
	if ended != zktree.ErrConnectionLoss {
		t.Errorf("the isolated owner's write ended with %v", ended)
	}
	if g.counted("isolated-server-read") == 0 || g.counted("write-blocked") == 0 {
		t.Error("the fault was not counted")
	}
}

func TestAbandonedSessionStaysUntilItExpires(t *testing.T) {
	g := newTestService(t, 6, Config{})
	a := g.client("n1", 2*time.Second)
	a.create("/live", "", zktree.Ephemeral)
	called := false
	a.cl.Get("/live", false, func([]byte, zktree.Stat, error) { called = true })
	a.cl.Abandon()
	a.cl.Delete("/live", -1, func(error) { called = true })
	a.cl.Close(func() { called = true })
	b := g.client("n1", 2*time.Second)
	if r := b.create("/live", "", zktree.Ephemeral); r.err != zktree.ErrNodeExists {
		t.Errorf("a restarted process creates its ephemeral again: %v", r.err)
	}
	g.w.pass(3 * time.Second)
	if called {
		t.Error("an abandoned client's callback was called")
	}
	if r := b.create("/live", "", zktree.Ephemeral); r.err != nil {
		t.Errorf("after expiry: %v", r.err)
	}
}

func TestOversizedRequestBreaksItsConnection(t *testing.T) {
	g := newTestService(t, 6, Config{})
	a := g.client("n1", 4*time.Second)
	a.create("/a", "", 0)
	op := zktree.Op{Code: zktree.OpSetData, Path: "/a", Data: []byte{}, Version: -1}
	fits := make([]byte, zktree.MaxRequest-zktree.RequestBytes(&op, nil))
	if r := a.set("/a", string(fits), -1); r.err != nil {
		t.Fatal(r.err)
	}
	if r := a.set("/a", string(fits)+"x", -1); r.err != zktree.ErrConnectionLoss {
		t.Errorf("a request one byte too long: %v", r.err)
	}
	g.await("the session again", func() bool { return a.last() == HasSession })
	if g.counted("oversized-request") != 1 {
		t.Error("the fault was not counted")
	}
}

func TestCloseEndsCallsInTheirOrder(t *testing.T) {
	for _, broken := range []bool{false, true} {
		g := newTestService(t, 6, Config{})
		a := g.client("n1", 4*time.Second)
		var ended []string
		note := func(name string) func(zktree.Stat, error) {
			return func(_ zktree.Stat, err error) { ended = append(ended, fmt.Sprint(name, " ", err)) }
		}
		a.cl.Exists("/", false, note("before"))
		a.cl.Close(func() { ended = append(ended, "closed") })
		a.cl.Exists("/", false, note("after"))
		if broken {
			g.s.Down()
		}
		g.w.pass(10 * time.Second)
		want := []string{"before <nil>", "closed", "after " + zktree.ErrClosing.Error()}
		if broken {
			want[0] = "before " + zktree.ErrConnectionLoss.Error()
		}
		if !slices.Equal(ended, want) {
			t.Errorf("broken=%v: %v", broken, ended)
		}
	}
}

func TestClientCopiesItsCallersData(t *testing.T) {
	g := newTestService(t, 6, Config{})
	a := g.client("n1", 4*time.Second)
	data := []byte("one")
	created := false
	a.cl.Create("/a", data, 0, func(CreateResult, error) { created = true })
	copy(data, "two")
	g.await("create", func() bool { return created })
	got := a.get("/a", false)
	if string(got.data) != "one" {
		t.Fatalf("changing the data after the call of Create changed the node: %q", got.data)
	}
	copy(got.data, "bad")
	if d, _, _ := g.s.Peek("/a"); string(d) != "one" {
		t.Errorf("changing the data that Get returned changed the node: %q", d)
	}
}

func TestChildrenAreUnordered(t *testing.T) {
	g := newTestService(t, 6, Config{})
	a := g.client("n1", 4*time.Second)
	for i := range 8 {
		a.create(fmt.Sprintf("/c%d", i), "", 0)
	}
	for range 10 {
		if !slices.IsSorted(a.children("/", false).names) {
			return
		}
	}
	t.Error("children always come sorted: a caller could come to rely on it")
}

func TestHealEndsEveryFault(t *testing.T) {
	g := newTestService(t, 12, Config{Servers: 5, Rates: Rates{LoseBefore: 0.9, Stall: 0.9}})
	for i := range 5 {
		g.s.SetLag(i, Range{time.Second, time.Second})
	}
	g.s.Isolate(1, time.Hour)
	g.s.CutHost("n1")
	g.s.LoseNextWrite("n1", true)
	g.s.Down()
	g.s.Heal()
	a := g.client("n1", 4*time.Second)
	began := g.w.now
	for i := range 20 {
		if r := a.create(fmt.Sprintf("/c%d", i), "", 0); r.err != nil {
			t.Fatal(r.err)
		}
	}
	if took := g.w.now - began; took > time.Second {
		t.Errorf("20 creates took %v", took)
	}
}

func TestLoseWatchAndReadFirst(t *testing.T) {
	g := newTestService(t, 13, Config{Rates: Rates{LoseWatch: 1, ReadFirst: 1}})
	a := g.client("n1", 4*time.Second)
	a.create("/a", "", 0)
	a.get("/a", true)
	b := g.client("n2", 4*time.Second)
	g.s.LoseNextWrite("n1", false)
	a.cl.Set("/none", nil, -1, func(zktree.Stat, error) {})
	g.await("Disconnected", func() bool { return a.last() == Disconnected })
	b.set("/a", "x", -1)
	a.cl.Sync("/", func(error) {})
	g.await("the session again", func() bool { return a.last() == HasSession })
	g.w.pass(5 * time.Second)
	if len(a.events) != 0 || g.counted("watch-lost") != 1 {
		t.Errorf("the lost watch reported the events %v; counters %v", a.events, g.s.Counters())
	}
}

func TestEveryKindOfWatchIsRestored(t *testing.T) {
	g := newTestService(t, 14, Config{})
	a, b := g.client("n1", 4*time.Second), g.client("n2", 4*time.Second)
	for _, p := range []string{"/get", "/there", "/kids", "/quiet"} {
		a.create(p, "", 0)
	}
	a.get("/get", true)
	a.exists("/there", true)
	a.exists("/absent", true)
	a.children("/kids", true)
	a.get("/quiet", true)
	g.s.LoseNextWrite("n1", false)
	a.set("/none", "", -1)
	g.await("Disconnected", func() bool { return a.last() == Disconnected })
	b.set("/get", "x", -1)
	b.set("/there", "x", -1)
	b.create("/absent", "", 0)
	b.create("/kids/k", "", 0)
	b.sync()
	want := []zktree.Event{{Type: zktree.EventDataChanged, Path: "/get"}, {Type: zktree.EventDataChanged, Path: "/there"}, {Type: zktree.EventCreated, Path: "/absent"}, {Type: zktree.EventChildrenChanged, Path: "/kids"}}
	g.await("the events", func() bool { return len(a.events) == len(want) })
	if !slices.Equal(a.events, want) {
		t.Errorf("events %v, want %v", a.events, want)
	}
	b.set("/quiet", "x", -1)
	g.await("the watch still armed", func() bool { return len(a.events) == len(want)+1 })
}

func TestConfigIsValidated(t *testing.T) {
	for _, cfg := range []Config{
		{Servers: 6}, {Servers: -1}, {Latency: Range{2, 1}}, {Rates: Rates{LoseAfter: 1.1}}, {Tick: -1},
		{MinSessionTimeout: time.Hour, MaxSessionTimeout: time.Second},
	} {
		full := cfg.withDefaults()
		if full.validate() == nil {
			t.Errorf("the configuration %+v is accepted", cfg)
		}
	}
	full := Config{}.withDefaults()
	if err := full.validate(); err != nil {
		t.Error(err)
	}
}
