package zksim

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// hazards lists what a real ensemble and its client libraries do to an application,
// each with the counters that say that it happened. The soak test requires every
// one of them, except those of WipeAll.
var hazards = []struct {
	line  string
	names string
}{
	{"a follower lags, so that reads are stale", "follower-lag stale-read"},
	{"a handshake, a sync and a write wait at a follower that still answers reads and heartbeats",
		"session-blocked sync-blocked write-blocked isolated-server-read isolated-server-ping"},
	{"a watch is as late as its server, so that two clients learn of a change in either order",
		"watch-late learned-at-leader-first learned-at-follower-first"},
	{"at a reconnect, a node created and deleted in between is not reported, and one created again is reported as changed",
		"exists-create-delete-lost recreate-told-as-change"},
	{"a read after a reconnect is older than an event before it", "read-behind-event"},
	{"the leader alone ends a session, and its client learns of it at a reconnect",
		"session-expired expiry-stretched expiry-learned-at-reconnect"},
	{"a client's heartbeats are answered after its session and its ephemerals are gone", "ping-after-expiry"},
	{"a session ends long after its client was disconnected, or while it is connected", "expired-long-disconnected expired-while-connected"},
	{"a connection breaks, and the operation was done, was not done, or is done later",
		"reply-lost-after-effect reply-lost-before-effect applied-late"},
	{"the reply of any kind of write is lost, and a repeated create makes a second sequential node",
		"reply-lost-of-create reply-lost-of-set reply-lost-of-multi reply-lost-of-sequence reply-lost-of-delete sequence-duplicated"},
	{"the leader changes: no writes meanwhile, a new epoch, full timeouts again", "leader-changed expiry-put-off service-down"},
	{"a deposed leader answers reads and syncs from old state, and no writes", "deposed-read deposed-sync-read deposed-write-blocked"},
	{"without a quorum all clients are disconnected, and no session expires", "quorum-lost"},
	{"a session moves, and its old connection can still read",
		"session-moved superseded-connection-read superseded-connection-ping"},
	{"a session shows an older state than an earlier session of its host did", "new-session-behind"},
	{"a multi fails as a whole", "multi-failed"},
	{"the version of a node that is created again begins at 0", "version-reset"},
	{"sequence numbers have gaps, and stick at their maximum", "sequence-gap sequence-stuck"},
	{"a restarted process meets the ephemeral of its previous session", "stale-ephemeral-met"},
	{"other sessions set and delete a session's ephemerals", "foreign-ephemeral"},
	{"a request is too large", "oversized-request"},
	{"a server that has an older state, or was wiped, refuses clients", "zxid-ahead-refused wiped-server-refused rolled-back"},
	{"failed writes take zxids", "zxid-spent-on-failure"},
	{"children come in no particular order", "children-unordered"},
	{"containers and TTL nodes are removed by the leader", "node-swept"},
	{"a client pauses, waits for a handshake, or sends requests in a later session than they were made in",
		"reconnect-pause handshake-stalled unguarded-handshake-stalled request-crossed-sessions"},
	{"a client library loses watches, or reads before it has restored them", "watch-lost catch-up-lost read-before-event"},
	{"a host is cut off", "host-cut"},
}

func TestEveryHazardHasItsCounters(t *testing.T) {
	lines := make(map[string]string)
	for _, spot := range hazards {
		for _, name := range strings.Fields(spot.names) {
			if lines[name] != "" {
				t.Errorf("counter %s belongs to both %q and %q", name, lines[name], spot.line)
			}
			lines[name] = spot.line
		}
	}
	for _, name := range effectNames {
		if lines[name] == "" {
			t.Errorf("counter %q belongs to no hazard", name)
		}
		delete(lines, name)
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		t.Errorf("hazard %q names counter %q, which does not exist", lines[name], name)
	}
}

func TestWipedFollowerRefusesUntilItHasCaughtUp(t *testing.T) {
	quick := Config{DialTimeout: 50 * time.Millisecond, Reconnect: Range{100 * time.Millisecond, 200 * time.Millisecond}}
	g, reader, writer, follower := twoServers(t, quick)
	writer.create("/a", "x", 0)
	reader.sync()
	leader, _ := g.s.Leader()
	if g.s.WipeServer(leader, time.Second) || g.s.WipeServer(7, time.Second) || !g.s.WipeServer(follower, 3*time.Second) || g.s.WipeServer(follower, time.Second) {
		t.Fatal("WipeServer must accept one follower, once")
	}
	for server := range 3 {
		if server != follower {
			g.s.CutHostFrom(reader.cl.host.name, server)
		}
	}
	g.w.pass(2900 * time.Millisecond)
	if g.counted("wiped-server-refused") == 0 || reader.last() == HasSession {
		t.Errorf("the wiped server accepted a client: %v, %v", reader.states, g.s.Counters())
	}
	g.await("the session", func() bool { return reader.last() == HasSession })
	if r := reader.get("/a", false); string(r.data) != "x" {
		t.Errorf("read %q, %v from the server after it has caught up", r.data, r.err)
	}
	if !sameTree(g.s.servers[follower].tree, g.s.leader.tree) {
		t.Error("the wiped server differs from the leader after it has caught up")
	}
}

func TestWipedServiceSilentlyRefusesItsOldClients(t *testing.T) {
	g := newTestService(t, 3, Config{Checker: NewChecker(func(v Violation) { t.Error(v) })})
	a := g.client("n1", 4*time.Second)
	for range 10 {
		a.set("/none", "", -1)
	}
	a.create("/a", "", 0)
	g.s.WipeAll()
	g.w.pass(time.Minute)
	if a.last() != Disconnected || g.counted("zxid-ahead-refused") == 0 || g.counted("rolled-back") != 1 {
		t.Errorf("after WipeAll the client had the states %v; counters %v", a.states, g.s.Counters())
	}
	b := g.client("n2", 4*time.Second)
	if r := b.get("/a", false); r.err != zktree.ErrNoNode {
		t.Errorf("a wiped service still has the node: %v", r.err)
	}
	if r := b.create("/a", "", 0); r.err != nil || b.cl.LastZxid() >= a.cl.LastZxid() {
		t.Errorf("%v at %#x, before %#x", r.err, b.cl.LastZxid(), a.cl.LastZxid())
	}
	g.s.Audit()
}

func TestSequencesStickAtTheirMaximum(t *testing.T) {
	g := newTestService(t, 5, Config{})
	a := g.client("n1", 4*time.Second)
	a.create("/q", "", 0)
	if !g.s.AgeSequence("/q", math.MaxInt32-1) || g.s.AgeSequence("/q", 4) || g.s.AgeSequence("/none", 4) {
		t.Fatal("AgeSequence must raise a counter, never lower it")
	}
	for _, want := range []string{"/q/a-2147483646", "/q/a-2147483647"} {
		if r := a.create("/q/a-", "", zktree.Sequential); r.path != want {
			t.Errorf("created %q, %v", r.path, r.err)
		}
	}
	for range 2 {
		if r := a.create("/q/a-", "", zktree.Sequential); r.err != zktree.ErrNodeExists {
			t.Errorf("at the maximum: created %q, %v", r.path, r.err)
		}
	}
	if r := a.create("/q/b-", "", zktree.Sequential); r.path != "/q/b-2147483647" {
		t.Errorf("another prefix: %q, %v", r.path, r.err)
	}
	for _, v := range g.s.servers {
		v.catchUp()
		if !sameTree(v.tree, g.s.leader.tree) {
			t.Errorf("server %d differs from the leader", v.id)
		}
	}
	if g.counted("sequence-stuck") != 2 {
		t.Errorf("sequence-stuck should count 2: %v", g.s.Counters())
	}
}

// onTwoServers returns a client and a second connection of its session, to another
// server.
func onTwoServers(t *testing.T, cfg Config) (g *testService, old, now *app) {
	t.Helper()
	g = newTestService(t, 21, cfg)
	old = g.client("n1", 4*time.Second)
	now = &app{t: t, w: g.w}
	other := (old.cl.Server()+1)%3 + 1
	now.cl = g.s.ConnectWith("n1", 4*time.Second, now, ClientOptions{
		Session: old.cl.Session(), Password: old.cl.Password(), First: other,
	})
	g.await("the second connection", func() bool { return now.last() == HasSession })
	return g, old, now
}

func TestSupersededConnectionReadsUntilItWrites(t *testing.T) {
	g, old, now := onTwoServers(t, Config{})
	if now.cl.Session() != old.cl.Session() || now.cl.Server() == old.cl.Server() {
		t.Fatalf("sessions %#x and %#x, servers %d and %d", old.cl.Session(), now.cl.Session(), old.cl.Server(), now.cl.Server())
	}
	if r := now.create("/a", "x", zktree.Ephemeral); r.err != nil {
		t.Fatal(r.err)
	}
	g.w.pass(10 * time.Second)
	if r := old.get("/a", false); r.err != nil || r.stat.EphemeralOwner != old.cl.Session() || len(old.states) != 1 {
		t.Errorf("a read over the superseded connection: %+v, states %v", r, old.states)
	}
	if g.counted("superseded-connection-read") != 1 || g.counted("superseded-connection-ping") == 0 {
		t.Errorf("reads and pings over the superseded connection are not counted: %v", g.s.Counters())
	}
	if r := old.set("/a", "y", -1); r.err != zktree.ErrConnectionLoss || g.counted("session-moved") != 1 {
		t.Errorf("a write over the superseded connection: %v", r.err)
	}
	if d, _, _ := g.s.Peek("/a"); string(d) != "x" {
		t.Errorf("the write over the superseded connection was done: %q", d)
	}
}

func TestWrongPasswordIsAnsweredAsExpiry(t *testing.T) {
	g := newTestService(t, 22, Config{})
	a := g.client("n1", 4*time.Second)
	b := &app{t: t, w: g.w}
	b.cl = g.s.ConnectWith("n2", 4*time.Second, b, ClientOptions{Session: a.cl.Session(), Password: [16]byte{1}})
	g.await("the answer", func() bool { return b.last() == Expired })
	if !g.s.SessionAlive(a.cl.Session()) {
		t.Error("a wrong password ended the session")
	}
}

func TestReopeningClientSendsRequestsInItsNextSession(t *testing.T) {
	g := newTestService(t, 23, Config{})
	a := &app{t: t, w: g.w}
	a.cl = g.s.ConnectWith("n1", 4*time.Second, a, ClientOptions{Reopen: true})
	g.await("a session", func() bool { return a.last() == HasSession })
	first := a.cl.Session()
	g.s.ExpireSession(first)
	g.await("the loss", func() bool { return a.last() == Disconnected })
	var made CreateResult
	a.cl.Create("/lock", nil, zktree.Ephemeral, func(r CreateResult, err error) { made = r })
	g.await("a second session", func() bool { return len(a.states) == 4 })
	g.await("the create", func() bool { return made.Path != "" })
	want := []SessionState{HasSession, Disconnected, Expired, HasSession}
	if !slices.Equal(a.states, want) || a.cl.Session() == first || g.counted("request-crossed-sessions") != 1 {
		t.Errorf("states %v, session %#x after %#x", a.states, a.cl.Session(), first)
	}
	if _, stat, _ := g.s.Peek("/lock"); stat.EphemeralOwner != a.cl.Session() {
		t.Errorf("the lock belongs to session %#x", stat.EphemeralOwner)
	}
}

func TestUnguardedHandshakeWaitsSixAndTwoThirdsTimeouts(t *testing.T) {
	for _, unguarded := range []bool{false, true} {
		g := newTestService(t, 24, Config{Servers: 1, Rates: Rates{Stall: 1}})
		a := &app{t: t, w: g.w}
		a.cl = g.s.ConnectWith("n1", 3*time.Second, a, ClientOptions{Unguarded: unguarded})
		g.w.pass(10 * time.Millisecond)
		g.s.cfg.Rates.Stall = 0
		g.await("a session", func() bool { return a.last() == HasSession })
		if took := g.w.now; unguarded != (took > 20*time.Second) {
			t.Errorf("unguarded=%v: %v", unguarded, took)
		}
	}
}

func TestChangeIsNotReportedWithALateZxid(t *testing.T) {
	g := newTestService(t, 25, Config{Rates: Rates{LateZxid: 1}})
	a, b := g.client("n1", 4*time.Second), g.client("n2", 4*time.Second)
	a.create("/a", "", 0)
	a.get("/a", true)
	a.cl.Cut()
	g.await("the loss", func() bool { return a.last() == Disconnected })
	b.set("/a", "1", -1)
	g.await("the session again", func() bool { return a.last() == HasSession })
	g.w.pass(time.Second)
	if len(a.events) != 0 || g.counted("catch-up-lost") != 1 {
		t.Errorf("the change was reported, or not counted as lost: events %v", a.events)
	}
	b.set("/a", "2", -1)
	g.await("the next change", func() bool { return len(a.events) == 1 })
}

func TestPersistentWatchIsRestoredAtAReconnect(t *testing.T) {
	g := newTestService(t, 26, Config{})
	a, b := g.client("n1", 4*time.Second), g.client("n2", 4*time.Second)
	a.create("/a", "", 0)
	err := do(a, func(done func(error)) { a.cl.AddWatch("/a", true, done) })
	bad := do(a, func(done func(error)) { a.cl.AddWatch("a", true, done) })
	if err != nil || bad != zktree.ErrBadArguments {
		t.Fatal(err, bad)
	}
	b.create("/a/b", "", 0)
	b.set("/a", "x", -1)
	g.await("two events", func() bool { return len(a.events) == 2 })
	a.cl.Cut()
	g.await("the loss", func() bool { return a.last() == Disconnected })
	b.set("/a", "y", -1)
	g.await("the session again", func() bool { return a.last() == HasSession })
	a.sync()
	b.create("/a/c", "", 0)
	g.await("a third event", func() bool { return len(a.events) == 3 })
	want := []zktree.Event{{Type: zktree.EventCreated, Path: "/a/b"}, {Type: zktree.EventDataChanged, Path: "/a"}, {Type: zktree.EventCreated, Path: "/a/c"}}
	if !slices.Equal(a.events, want) {
		t.Errorf("events %v, want %v", a.events, want)
	}
}

func TestContainersAndTTLNodesAreSwept(t *testing.T) {
	g := newTestService(t, 27, Config{Sweep: 2 * time.Second})
	a := g.client("n1", 4*time.Second)
	create := func(op zktree.Op) error {
		return do(a, func(done func(error)) { a.cl.CreateNode(op, func(_ CreateResult, err error) { done(err) }) })
	}
	if err := create(zktree.Op{Code: zktree.OpContainer, Path: "/c", Flags: zktree.Container}); err != nil {
		t.Fatal(err)
	}
	if err := create(zktree.Op{Code: zktree.OpCreateTTL, Path: "/t", Flags: zktree.WithTTL, TTL: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	a.create("/c/x", "", 0)
	g.w.pass(4 * time.Second)
	if a.exists("/c", false).err != nil || a.exists("/t", false).err != nil {
		t.Fatal("removed too early")
	}
	a.delete("/c/x", -1)
	g.w.pass(6 * time.Second)
	if a.exists("/c", false).err != zktree.ErrNoNode || a.exists("/t", false).err != zktree.ErrNoNode || g.counted("node-swept") != 2 {
		t.Errorf("still there: %v", g.s.Counters())
	}
}

func TestPauseRate(t *testing.T) {
	for _, rate := range []float64{-1, 1} {
		g := newTestService(t, 28, Config{PauseRate: rate, Servers: 3})
		a := g.client("n1", 4*time.Second)
		began := g.w.now
		a.cl.Cut()
		g.await("the loss", func() bool { return a.last() == Disconnected })
		g.await("the session again", func() bool { return a.last() == HasSession })
		if took := g.w.now - began; (rate == 1) != (took >= 900*time.Millisecond) {
			t.Errorf("rate %v: %v", rate, took)
		}
	}
}
