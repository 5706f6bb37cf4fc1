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

// weakSpots is what a real ensemble and its clients do to an application, a
// line each, and the counters that say that it took effect. The soak test asks
// that each one does, but for those of WipeAll.
var weakSpots = []struct {
	line  string
	names string
}{
	{"a follower lags, and reads are stale", "follower-lag stale-read"},
	{"new session, sync and write wait at a follower while reads and heartbeats work",
		"session-blocked sync-blocked write-blocked isolated-server-read isolated-server-ping"},
	{"a watch is as late as its server, and two clients learn of a change in either order",
		"watch-late learned-at-leader-first learned-at-follower-first"},
	{"a node that came and went is not told at a reconnect, one made anew is told as changed",
		"exists-create-delete-lost recreate-told-as-change"},
	{"a read after a reconnect is older than an event before", "read-behind-event"},
	{"the leader alone decides that a session is over, its client hears of it at a reconnect",
		"session-expired expiry-stretched expiry-learned-at-reconnect"},
	{"an owner runs on, with heartbeats answered, after its ephemerals are gone", "ping-after-expiry"},
	{"a client is disconnected long before its session ends, or never", "expired-long-disconnected expired-while-connected"},
	{"a connection breaks, and the operation was done, not done, or is done later",
		"reply-lost-after-effect reply-lost-before-effect applied-late"},
	{"replies are lost of each kind of write, and a second sequential node is made",
		"reply-lost-of-create reply-lost-of-set reply-lost-of-multi reply-lost-of-sequence reply-lost-of-delete sequence-duplicated"},
	{"a leader changes: no writes, another epoch, all timeouts again", "leader-changed expiry-put-off service-down"},
	{"a deposed leader reads and syncs from old state and does not write", "deposed-read deposed-sync-read deposed-write-blocked"},
	{"without a quorum all are disconnected and nothing expires", "quorum-lost"},
	{"a session moves, and its old connection goes on reading",
		"session-moved superseded-connection-read superseded-connection-ping"},
	{"a session shows an older state than another one of the host did", "new-session-behind"},
	{"a multi fails as a whole", "multi-failed"},
	{"versions begin again with a node", "version-reset"},
	{"sequences have gaps, and stay at their greatest number", "sequence-gap sequence-stuck"},
	{"a process meets the ephemeral of its earlier life", "stale-ephemeral-met"},
	{"others set and delete a session's ephemerals", "foreign-ephemeral"},
	{"a request is too large", "oversized-request"},
	{"a server that has seen less, or was wiped, turns clients away", "zxid-ahead-refused wiped-server-refused rolled-back"},
	{"failed writes take zxids", "zxid-spent-on-failure"},
	{"children have no order", "children-unordered"},
	{"nodes go by themselves", "node-swept"},
	{"a client pauses, waits for handshakes, carries requests into a later session",
		"reconnect-pause handshake-stalled unguarded-handshake-stalled request-crossed-sessions"},
	{"a client library loses watches or reads before they are set again", "watch-lost catch-up-lost read-before-event"},
	{"a host is cut off", "host-cut"},
}

func TestEveryWeakSpotHasItsCounters(t *testing.T) {
	lines := make(map[string]string)
	for _, spot := range weakSpots {
		for _, name := range strings.Fields(spot.names) {
			if lines[name] != "" {
				t.Errorf("%s stands for %q and for %q", name, lines[name], spot.line)
			}
			lines[name] = spot.line
		}
	}
	for _, name := range effectNames {
		if lines[name] == "" {
			t.Errorf("counter %q stands for no line", name)
		}
		delete(lines, name)
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		t.Errorf("%q has no counter %q", lines[name], name)
	}
}

func TestWipedFollowerRefusesUntilItHasCaughtUp(t *testing.T) {
	quick := Config{DialTimeout: 50 * time.Millisecond, Reconnect: Range{100 * time.Millisecond, 200 * time.Millisecond}}
	g, reader, writer, follower := twoServers(t, quick)
	writer.create("/a", "x", 0)
	reader.sync()
	leader, _ := g.s.Leader()
	if g.s.WipeServer(leader, time.Second) || g.s.WipeServer(7, time.Second) || !g.s.WipeServer(follower, 3*time.Second) || g.s.WipeServer(follower, time.Second) {
		t.Fatal("one follower, once")
	}
	for server := range 3 {
		if server != follower {
			g.s.CutHostFrom(reader.cl.host.name, server)
		}
	}
	g.w.pass(2900 * time.Millisecond)
	if g.counted("wiped-server-refused") == 0 || reader.last() == HasSession {
		t.Errorf("it took a client back: %v, %v", reader.states, g.s.Counters())
	}
	g.await("the session", func() bool { return reader.last() == HasSession })
	if r := reader.get("/a", false); string(r.data) != "x" {
		t.Errorf("read %q, %v", r.data, r.err)
	}
	if !sameTree(g.s.servers[follower].tree, g.s.leader.tree) {
		t.Error("it differs from the leader")
	}
}

func TestWipedServiceTurnsItsOldClientsAwayWithoutAWord(t *testing.T) {
	g := newStage(t, 3, Config{Checker: NewChecker(func(v Violation) { t.Error(v) })})
	a := g.client("n1", 4*time.Second)
	for range 10 {
		a.set("/none", "", -1)
	}
	a.create("/a", "", 0)
	g.s.WipeAll()
	g.w.pass(time.Minute)
	if a.last() != Disconnected || g.counted("zxid-ahead-refused") == 0 || g.counted("rolled-back") != 1 {
		t.Errorf("states %v, %v", a.states, g.s.Counters())
	}
	b := g.client("n2", 4*time.Second)
	if r := b.get("/a", false); r.err != zktree.ErrNoNode {
		t.Errorf("a wiped service remembers: %v", r.err)
	}
	if r := b.create("/a", "", 0); r.err != nil || b.cl.LastZxid() >= a.cl.LastZxid() {
		t.Errorf("%v at %#x, before %#x", r.err, b.cl.LastZxid(), a.cl.LastZxid())
	}
	g.s.Audit()
}

func TestSequencesStayAtTheirGreatestNumber(t *testing.T) {
	g := newStage(t, 5, Config{})
	a := g.client("n1", 4*time.Second)
	a.create("/q", "", 0)
	if !g.s.AgeSequence("/q", math.MaxInt32-1) || g.s.AgeSequence("/q", 4) || g.s.AgeSequence("/none", 4) {
		t.Fatal("a counter only grows")
	}
	for _, want := range []string{"/q/a-2147483646", "/q/a-2147483647"} {
		if r := a.create("/q/a-", "", zktree.Sequential); r.path != want {
			t.Errorf("%q, %v", r.path, r.err)
		}
	}
	for range 2 {
		if r := a.create("/q/a-", "", zktree.Sequential); r.err != zktree.ErrNodeExists {
			t.Errorf("%q, %v", r.path, r.err)
		}
	}
	if r := a.create("/q/b-", "", zktree.Sequential); r.path != "/q/b-2147483647" {
		t.Errorf("another prefix: %q, %v", r.path, r.err)
	}
	for _, v := range g.s.servers {
		v.catchUp()
		if !sameTree(v.tree, g.s.leader.tree) {
			t.Errorf("server %d differs", v.id)
		}
	}
	if g.counted("sequence-stuck") != 2 {
		t.Errorf("%v", g.s.Counters())
	}
}

// onTwoServers is a client and a second connection of its session, at another
// server.
func onTwoServers(t *testing.T, cfg Config) (g *stage, old, now *app) {
	t.Helper()
	g = newStage(t, 21, cfg)
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
		t.Errorf("%+v, states %v", r, old.states)
	}
	if g.counted("superseded-connection-read") != 1 || g.counted("superseded-connection-ping") == 0 {
		t.Errorf("%v", g.s.Counters())
	}
	if r := old.set("/a", "y", -1); r.err != zktree.ErrConnectionLoss || g.counted("session-moved") != 1 {
		t.Errorf("a write over it: %v", r.err)
	}
	if d, _, _ := g.s.Peek("/a"); string(d) != "x" {
		t.Errorf("it was done: %q", d)
	}
}

func TestWrongPasswordIsAnsweredAsExpiry(t *testing.T) {
	g := newStage(t, 22, Config{})
	a := g.client("n1", 4*time.Second)
	b := &app{t: t, w: g.w}
	b.cl = g.s.ConnectWith("n2", 4*time.Second, b, ClientOptions{Session: a.cl.Session(), Password: [16]byte{1}})
	g.await("the answer", func() bool { return b.last() == Expired })
	if !g.s.SessionAlive(a.cl.Session()) {
		t.Error("the session is gone")
	}
}

func TestLibraryThatReopensCarriesRequestsIntoItsNextSession(t *testing.T) {
	g := newStage(t, 23, Config{})
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
		t.Errorf("the lock belongs to %#x", stat.EphemeralOwner)
	}
}

func TestUnguardedHandshakeTakesSixTimeoutsAndTwoThirds(t *testing.T) {
	for _, unguarded := range []bool{false, true} {
		g := newStage(t, 24, Config{Servers: 1, Rates: Rates{Stall: 1}})
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

func TestCatchUpIsLostWithALateZxid(t *testing.T) {
	g := newStage(t, 25, Config{Rates: Rates{LateZxid: 1}})
	a, b := g.client("n1", 4*time.Second), g.client("n2", 4*time.Second)
	a.create("/a", "", 0)
	a.get("/a", true)
	a.cl.Cut()
	g.await("the loss", func() bool { return a.last() == Disconnected })
	b.set("/a", "1", -1)
	g.await("the session again", func() bool { return a.last() == HasSession })
	g.w.pass(time.Second)
	if len(a.events) != 0 || g.counted("catch-up-lost") != 1 {
		t.Errorf("events %v", a.events)
	}
	b.set("/a", "2", -1)
	g.await("the next change", func() bool { return len(a.events) == 1 })
}

func TestWatchThatStaysTellsAgainAfterAReconnect(t *testing.T) {
	g := newStage(t, 26, Config{})
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
		t.Errorf("%v", a.events)
	}
}

func TestContainersAndTTLNodesGoByThemselves(t *testing.T) {
	g := newStage(t, 27, Config{Sweep: 2 * time.Second})
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
		t.Fatal("gone too early")
	}
	a.delete("/c/x", -1)
	g.w.pass(6 * time.Second)
	if a.exists("/c", false).err != zktree.ErrNoNode || a.exists("/t", false).err != zktree.ErrNoNode || g.counted("node-swept") != 2 {
		t.Errorf("still there: %v", g.s.Counters())
	}
}

func TestPauseRate(t *testing.T) {
	for _, rate := range []float64{-1, 1} {
		g := newStage(t, 28, Config{PauseRate: rate, Servers: 3})
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
