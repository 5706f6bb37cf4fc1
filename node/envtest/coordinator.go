package envtest

import (
	"bytes"
	"dkv/node/door"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// CoordinatorHarness is a world with one ZooKeeper and two processes.
type CoordinatorHarness interface {
	Loop
	// Coordinator is that of process n, 0 or 1.
	Coordinator(n int) door.Coordinator
	// Root is the path of a persistent znode without children, made for this
	// test.
	Root() string
	// Expire lets ZooKeeper end a session that is connected, and returns at
	// once. The process hears of it in its own time.
	Expire(s door.Session)
}

// Cutter is a CoordinatorHarness that can break connections.
type Cutter interface {
	// Cut breaks the connection of process n and lets it make no other, until
	// Heal. A session must outlive a cut of the time that it takes to notice.
	Cut(n int)
	Heal(n int)
}

// TestCoordinator checks a Coordinator against its promises. If the harness is
// a Cutter, it checks broken connections too.
func TestCoordinator(t *testing.T, harness func(t *testing.T) CoordinatorHarness) {
	tests := []struct {
		name string
		body func(*coordinatorBody)
	}{
		{"OpenConnects", (*coordinatorBody).openConnects},
		{"MultiMakesAllOrNothing", (*coordinatorBody).multiAllOrNothing},
		{"MultiNamesTheOperation", (*coordinatorBody).multiNamesTheOperation},
		{"VersionsCount", (*coordinatorBody).versionsCount},
		{"DataComesBack", (*coordinatorBody).dataComesBack},
		{"AnswersInOrder", (*coordinatorBody).answersInOrder},
		{"ChildrenAreSorted", (*coordinatorBody).childrenSorted},
		{"WatchTellsOnce", (*coordinatorBody).watchTellsOnce},
		{"WatchOnMissing", (*coordinatorBody).watchOnMissing},
		{"WatchOnChildren", (*coordinatorBody).watchOnChildren},
		{"WatchesAreSetAnew", (*coordinatorBody).watchesSetAnew},
		{"WatchTellsTheEnd", (*coordinatorBody).watchTellsTheEnd},
		{"CloseRemovesEphemerals", (*coordinatorBody).closeRemovesEphemerals},
		{"CallsAfterCloseAreOver", (*coordinatorBody).callsAfterClose},
		{"ExpiryIsTheLastEvent", (*coordinatorBody).expiryIsLast},
		{"ACutLeavesTheOutcomeUnknown", (*coordinatorBody).cutLeavesUnknown},
		{"ChecksTellThePresent", (*coordinatorBody).checksTellThePresent},
		{"EventsComeBeforeAnswers", (*coordinatorBody).eventsBeforeAnswers},
		{"ForeignEphemeralsStay", (*coordinatorBody).foreignEphemerals},
		{"LargestRequests", (*coordinatorBody).largestRequests},
		{"WatchesAfterACut", (*coordinatorBody).watchesAfterACut},
		{"ExpiryWhileCut", (*coordinatorBody).expiryWhileCut},
		{"AnUnknownOutcomeIsDecided", (*coordinatorBody).unknownIsDecided},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := harness(t)
			test.body(&coordinatorBody{stage: stage{t: t, loop: h}, harness: h, root: h.Root()})
		})
	}
}

type coordinatorBody struct {
	stage
	harness CoordinatorHarness
	root    string
}

func (b *coordinatorBody) path(name string) string { return b.root + "/" + name }

// client is a session and what it was told.
type client struct {
	*coordinatorBody
	session door.Session
	events  []door.SessionEvent
	asked   int // calls made
	told    int // and answered
	over    bool
}

// connect opens a session of process n and waits until it stands.
func (b *coordinatorBody) connect(n int) *client {
	b.t.Helper()
	c := &client{coordinatorBody: b}
	b.do(func() {
		c.session = b.harness.Coordinator(n).Open(func(e door.SessionEvent) {
			b.event("a session event", func() { c.onEvent(e) })()
		})
		if len(c.events) > 0 {
			b.t.Error("Open told events before it returned")
		}
	})
	b.wait("a session", func() bool { return c.count(door.EventConnected) > 0 })
	return c
}

func (c *client) onEvent(e door.SessionEvent) {
	if c.over {
		c.t.Errorf("event %+v after the end of the session", e)
	}
	c.over = e.Kind == door.EventExpired
	c.events = append(c.events, e)
}

// count says how many events of a kind were told.
func (c *client) count(kind door.SessionEventKind) int {
	n := 0
	for _, e := range c.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// changed says how often a path was told as changed.
func (c *client) changed(path string) int {
	n := 0
	for _, e := range c.events {
		if e == (door.SessionEvent{Kind: door.EventChanged, Path: path}) {
			n++
		}
	}
	return n
}

// answer wraps a callback: it runs once, as an event, after those of the
// calls made before.
func (c *client) answer(fn func()) func() {
	c.asked++
	number := c.asked
	return c.event("an answer", func() {
		if number != c.told+1 {
			c.t.Errorf("call %d was answered after %d others", number, c.told)
		}
		c.told++
		fn()
	})
}

// got is what a read answered.
type got struct {
	data []byte
	stat door.Stat
	list []string
	err  error
	done bool
}

// get, children and multi run in an event; their results are filled in later.
func (c *client) get(path string, watch bool) *got {
	g := new(got)
	var data []byte
	var stat door.Stat
	var err error
	done := c.answer(func() { g.data, g.stat, g.err, g.done = data, stat, err, true })
	c.session.Get(path, watch, func(d []byte, s door.Stat, e error) {
		data, stat, err = d, s, e
		done()
	})
	return g
}

func (c *client) children(path string, watch bool) *got {
	g := new(got)
	var list []string
	var err error
	done := c.answer(func() { g.list, g.err, g.done = list, err, true })
	c.session.Children(path, watch, func(l []string, e error) {
		list, err = l, e
		done()
	})
	return g
}

func (c *client) multi(ops ...door.Op) *got {
	g := new(got)
	var err error
	done := c.answer(func() { g.err, g.done = err, true })
	c.session.Multi(ops, func(e error) {
		err = e
		done()
	})
	return g
}

// await makes a call and waits for its answer.
func (c *client) await(call func() *got) *got {
	c.t.Helper()
	var g *got
	c.do(func() {
		g = call()
		if g.done {
			c.t.Error("a call was answered before it returned")
		}
	})
	c.wait("an answer", func() bool { return g.done })
	return g
}

func (c *client) awaitGet(path string, watch bool) *got {
	c.t.Helper()
	return c.await(func() *got { return c.get(path, watch) })
}

func (c *client) awaitChildren(path string, watch bool) *got {
	c.t.Helper()
	return c.await(func() *got { return c.children(path, watch) })
}

func (c *client) awaitMulti(ops ...door.Op) error {
	c.t.Helper()
	return c.await(func() *got { return c.multi(ops...) }).err
}

// must makes changes that have to succeed.
func (c *client) must(ops ...door.Op) {
	c.t.Helper()
	if err := c.awaitMulti(ops...); err != nil {
		c.t.Fatalf("multi %v: %v", ops, err)
	}
}

// wantData checks what a path holds.
func (c *client) wantData(path, data string, version int32) {
	c.t.Helper()
	g := c.awaitGet(path, false)
	if g.err != nil || string(g.data) != data || g.stat.Version != version {
		c.t.Errorf("%s holds %q in version %d, %v; want %q in version %d", path, g.data, g.stat.Version, g.err, data, version)
	}
}

// wantMissing checks that a path is not there.
func (c *client) wantMissing(path string) {
	c.t.Helper()
	if g := c.awaitGet(path, false); !errors.Is(g.err, door.ErrNoNode) {
		c.t.Errorf("%s holds %q, %v; want none", path, g.data, g.err)
	}
}

// fresh waits until this session sees what another one did before: a write
// reaches the server that it reads from behind all earlier ones.
func (c *client) fresh() {
	c.t.Helper()
	c.must(door.Op{Kind: door.OpCheck, Path: c.root, Version: door.AnyVersion})
}

// eventually reads a path until the read is as wanted.
func (c *client) eventually(what, path string, ok func(*got) bool) {
	c.t.Helper()
	for range 200 {
		if ok(c.awaitGet(path, false)) {
			return
		}
		c.loop.Settle()
	}
	c.t.Fatalf("waited in vain until %s", what)
}

func missing(g *got) bool { return errors.Is(g.err, door.ErrNoNode) }

// end closes a session and waits for it.
func (c *client) end() {
	c.t.Helper()
	done := false
	c.do(func() { c.session.Close(c.event("the end of a session", func() { done = true })) })
	c.wait("the end of a session", func() bool { return done })
}

func create(path, data string) door.Op {
	return door.Op{Kind: door.OpCreate, Path: path, Data: []byte(data)}
}

func ephemeral(path, data string) door.Op {
	return door.Op{Kind: door.OpCreateEphemeral, Path: path, Data: []byte(data)}
}

func set(path, data string, version int32) door.Op {
	return door.Op{Kind: door.OpSet, Path: path, Data: []byte(data), Version: version}
}

func remove(path string, version int32) door.Op {
	return door.Op{Kind: door.OpDelete, Path: path, Version: version}
}

func check(path string, version int32) door.Op {
	return door.Op{Kind: door.OpCheck, Path: path, Version: version}
}

func (b *coordinatorBody) openConnects() {
	c := b.connect(0)
	other := b.connect(1)
	b.loop.Settle()
	b.do(func() {
		if c.session.ID() == 0 || c.session.ID() == other.session.ID() {
			b.t.Errorf("the sessions have the numbers %d and %d", c.session.ID(), other.session.ID())
		}
		if !slices.Equal(c.events, []door.SessionEvent{{Kind: door.EventConnected}}) {
			b.t.Errorf("opening a session told %+v", c.events)
		}
	})
	first := c.session.ID()
	c.end()
	again := b.connect(0)
	if id := again.session.ID(); id == 0 || id == first {
		b.t.Errorf("the second session has number %d, the first had %d", id, first)
	}
	again.end()
	other.end()
}

func (b *coordinatorBody) multiAllOrNothing() {
	c := b.connect(0)
	x, y, below := b.path("x"), b.path("y"), b.path("x/below")
	c.must(create(x, "1"), create(below, "2"), set(x, "3", 0), check(x, 1)) // each sees those before it
	c.wantData(x, "3", 1)
	c.wantData(below, "2", 0)
	err := c.awaitMulti(create(y, "4"), set(x, "5", 1), remove(below, 0), check(x, 1))
	if !errors.Is(err, door.ErrBadVersion) {
		b.t.Errorf("a multi with a check of an old version: %v", err)
	}
	c.wantMissing(y)
	c.wantData(x, "3", 1)
	c.wantData(below, "2", 0)
	c.must(remove(below, 0), remove(x, 1))
	c.wantMissing(x)
	c.end()
}

func (b *coordinatorBody) multiNamesTheOperation() {
	c := b.connect(0)
	full, child, gone := b.path("full"), b.path("full/child"), b.path("gone")
	c.must(create(full, ""), create(child, ""))
	ok := check(full, door.AnyVersion)
	for _, test := range []struct {
		name string
		ops  []door.Op
		op   int
		want error
	}{
		{"create below nothing", []door.Op{create(gone+"/child", "")}, 0, door.ErrNoNode},
		{"create again", []door.Op{ok, create(child, "")}, 1, door.ErrNodeExists},
		{"create an ephemeral again", []door.Op{ok, ok, ephemeral(child, "")}, 2, door.ErrNodeExists},
		{"set nothing", []door.Op{ok, set(gone, "", door.AnyVersion), ok}, 1, door.ErrNoNode},
		{"set another version", []door.Op{set(full, "", 7), ok}, 0, door.ErrBadVersion},
		{"delete nothing", []door.Op{ok, remove(gone, door.AnyVersion)}, 1, door.ErrNoNode},
		{"delete another version", []door.Op{remove(child, 7)}, 0, door.ErrBadVersion},
		{"delete with children", []door.Op{ok, ok, remove(full, 0)}, 2, door.ErrNotEmpty},
		{"check nothing", []door.Op{check(gone, 0), ok, ok}, 0, door.ErrNoNode},
		{"check another version", []door.Op{ok, check(full, 7), ok}, 1, door.ErrBadVersion},
		{"the first of two", []door.Op{ok, check(full, 7), create(child, "")}, 1, door.ErrBadVersion},
	} {
		err := c.awaitMulti(test.ops...)
		var op *door.OpError
		if !errors.As(err, &op) || op.Op != test.op || !errors.Is(err, test.want) {
			b.t.Errorf("%s: %v (%T); want operation %d: %v", test.name, err, err, test.op, test.want)
		}
	}
	c.must(ok) // nothing happened to the session
	c.end()
}

func (b *coordinatorBody) versionsCount() {
	c := b.connect(0)
	x := b.path("x")
	c.must(create(x, "a"))
	first := c.awaitGet(x, false)
	for v := range int32(5) {
		c.wantData(x, string(rune('a'+v)), v)
		c.must(set(x, string(rune('b'+v)), v))
	}
	c.must(set(x, "any", door.AnyVersion))
	c.wantData(x, "any", 6)
	if last := c.awaitGet(x, false); last.stat.Czxid != first.stat.Czxid || first.stat.Czxid == 0 || last.stat.EphemeralOwner != 0 {
		b.t.Errorf("stat went from %+v to %+v", first.stat, last.stat)
	}
	c.must(remove(x, 6), create(x, "new"))
	again := c.awaitGet(x, false)
	if again.stat.Version != 0 || again.stat.Czxid <= first.stat.Czxid {
		b.t.Errorf("created again: %+v after %+v", again.stat, first.stat)
	}
	c.end()
}

func (b *coordinatorBody) dataComesBack() {
	c := b.connect(0)
	x := b.path("x")
	c.must(door.Op{Kind: door.OpCreate, Path: x}) // nil
	c.wantData(x, "", 0)
	c.must(door.Op{Kind: door.OpSet, Path: x, Data: []byte{}, Version: 0})
	c.wantData(x, "", 1)
	binary := []byte{0, 255, 10, 0, 128}
	c.must(set(x, string(binary), 1))
	c.wantData(x, string(binary), 2)
	large := bytes.Repeat([]byte("0123456789abcdef"), 900_000/16)
	c.must(set(x, string(large), 2))
	c.wantData(x, string(large), 3)
	c.end()
}

// answersInOrder makes calls without waiting. They are answered in order, and
// a read sees the writes before it and not those after.
func (b *coordinatorBody) answersInOrder() {
	c := b.connect(0)
	x := b.path("x")
	c.must(create(x, "0"))
	const rounds = 20
	var reads, lists, failures []*got
	b.do(func() {
		for i := range int32(rounds) {
			c.multi(set(x, fmt.Sprint(i+1), i), create(fmt.Sprintf("%s/%02d", x, i), ""))
			reads = append(reads, c.get(x, false))
			lists = append(lists, c.children(x, false))
			failures = append(failures, c.multi(create(x, "")))
		}
		if c.told > 1 {
			b.t.Error("calls were answered before they returned")
		}
	})
	b.wait("80 answers", func() bool { return failures[rounds-1].done })
	for i := range rounds {
		if g := reads[i]; g.err != nil || string(g.data) != fmt.Sprint(i+1) || g.stat.Version != int32(i+1) {
			b.t.Errorf("read %d: %q in version %d, %v", i, g.data, g.stat.Version, g.err)
		}
		if g := lists[i]; g.err != nil || len(g.list) != i+1 {
			b.t.Errorf("list %d: %q, %v", i, g.list, g.err)
		}
		if !errors.Is(failures[i].err, door.ErrNodeExists) {
			b.t.Errorf("failure %d: %v", i, failures[i].err)
		}
	}
	c.end()
}

func (b *coordinatorBody) childrenSorted() {
	c := b.connect(0)
	if g := c.awaitChildren(b.root, false); g.err != nil || len(g.list) != 0 {
		b.t.Errorf("the children of nothing: %q, %v", g.list, g.err)
	}
	for _, name := range []string{"n10", "n2", "a", "n1", "Z"} {
		c.must(create(b.path(name), ""), create(b.path(name)+"/deeper", ""))
	}
	if g := c.awaitChildren(b.root, false); g.err != nil || !slices.Equal(g.list, []string{"Z", "a", "n1", "n10", "n2"}) {
		b.t.Errorf("the children: %q, %v", g.list, g.err)
	}
	if g := c.awaitChildren(b.path("gone"), false); !errors.Is(g.err, door.ErrNoNode) {
		b.t.Errorf("the children of a missing znode: %q, %v", g.list, g.err)
	}
	c.end()
}

// watchTellsOnce arms a watch and changes the znode twice, by the session
// itself and by another.
func (b *coordinatorBody) watchTellsOnce() {
	c, writer := b.connect(0), b.connect(1)
	own, foreign, still := b.path("own"), b.path("foreign"), b.path("still")
	c.must(create(own, ""), create(foreign, ""), create(still, ""))
	for _, path := range []string{own, foreign, still} {
		if g := c.awaitGet(path, true); g.err != nil {
			b.t.Fatal(g.err)
		}
	}
	b.loop.Settle()
	b.do(func() {
		if n := c.count(door.EventChanged); n > 0 {
			b.t.Errorf("%d watches fired before any change", n)
		}
	})
	for v := range int32(2) {
		c.must(set(own, "x", v))
		writer.fresh()
		writer.must(set(foreign, "x", v))
	}
	b.wait("two watches", func() bool { return c.changed(own) > 0 && c.changed(foreign) > 0 })
	b.loop.Settle()
	b.do(func() {
		if c.changed(own) != 1 || c.changed(foreign) != 1 || c.changed(still) != 0 {
			b.t.Errorf("after two changes each the watches told %+v", c.events)
		}
	})
	c.awaitGet(foreign, true) // armed anew
	writer.must(set(foreign, "y", 2))
	b.wait("the watch that was armed again", func() bool { return c.changed(foreign) == 2 })
	c.end()
	writer.end()
}

func (b *coordinatorBody) watchOnMissing() {
	c, writer := b.connect(0), b.connect(1)
	x := b.path("x")
	if g := c.awaitGet(x, true); !errors.Is(g.err, door.ErrNoNode) {
		b.t.Fatalf("a missing znode: %q, %v", g.data, g.err)
	}
	writer.must(create(b.path("another"), ""))
	b.loop.Settle()
	b.do(func() {
		if n := c.count(door.EventChanged); n > 0 {
			b.t.Errorf("%d watches fired by another znode", n)
		}
	})
	writer.must(create(x, "1"))
	b.wait("the creation", func() bool { return c.changed(x) > 0 })
	writer.must(set(x, "2", 0))
	b.loop.Settle()
	b.do(func() {
		if n := c.changed(x); n != 1 {
			b.t.Errorf("the watch told %d times", n)
		}
	})
	c.fresh()
	c.wantData(x, "2", 1)
	c.end()
	writer.end()
}

func (b *coordinatorBody) watchOnChildren() {
	c, writer := b.connect(0), b.connect(1)
	x := b.path("x")
	c.must(create(x, ""), create(x+"/a", ""))
	writer.fresh()
	arm := func(want ...string) {
		b.t.Helper()
		c.fresh()
		if g := c.awaitChildren(x, true); g.err != nil || !slices.Equal(g.list, want) {
			b.t.Fatalf("the children: %q, %v; want %q", g.list, g.err, want)
		}
	}
	arm("a")
	writer.must(set(x, "data", 0), set(x+"/a", "data", 0)) // no change of the names
	b.loop.Settle()
	b.do(func() {
		if c.changed(x) != 0 {
			b.t.Error("a watch on the children told of data")
		}
	})
	writer.must(create(x+"/b", ""))
	b.wait("a new child", func() bool { return c.changed(x) == 1 })
	arm("a", "b")
	writer.must(remove(x+"/a", door.AnyVersion))
	b.wait("the end of a child", func() bool { return c.changed(x) == 2 })
	arm("b")
	b.loop.Settle()
	b.do(func() {
		if n := c.changed(x); n != 2 {
			b.t.Errorf("two changes were told %d times", n)
		}
	})
	c.end()
	writer.end()
}

// watchesSetAnew asks for a watch where an earlier one failed, or ended with its
// znode: the next change is told all the same.
func (b *coordinatorBody) watchesSetAnew() {
	c, writer := b.connect(0), b.connect(1)
	x := b.path("x")
	wantNews := func(what string, change door.Op) {
		b.t.Helper()
		c.fresh()
		if g := c.awaitChildren(x, true); g.err != nil || len(g.list) > 0 {
			b.t.Fatalf("the children: %q, %v; want none", g.list, g.err)
		}
		b.loop.Settle()
		told := 0
		b.do(func() { told = c.changed(x) })
		writer.must(change)
		b.wait(what, func() bool { return c.changed(x) > told })
	}
	if g := c.awaitChildren(x, true); !errors.Is(g.err, door.ErrNoNode) {
		b.t.Fatalf("the children of a missing znode: %q, %v", g.list, g.err)
	}
	writer.must(create(x, ""))
	wantNews("a child of a znode that was missing", create(x+"/a", ""))
	writer.must(remove(x+"/a", 0))
	wantNews("the end of a znode", remove(x, 0))
	writer.must(create(x, ""))
	wantNews("a child of a znode that was created again", create(x+"/b", ""))
	c.end()
	writer.end()
}

func (b *coordinatorBody) watchTellsTheEnd() {
	c, writer := b.connect(0), b.connect(1)
	x, y := b.path("x"), b.path("y")
	writer.must(create(x, ""), ephemeral(y, ""))
	c.fresh()
	for _, path := range []string{x, y} {
		if g := c.awaitGet(path, true); g.err != nil {
			b.t.Fatal(g.err)
		}
	}
	writer.must(remove(x, 0))
	writer.end()
	b.wait("the end of both", func() bool { return c.changed(x) == 1 && c.changed(y) == 1 })
	c.fresh()
	c.wantMissing(x)
	c.wantMissing(y)
	c.end()
}

func (b *coordinatorBody) closeRemovesEphemerals() {
	c, other := b.connect(0), b.connect(1)
	mine, persistent := b.path("mine"), b.path("persistent")
	c.must(ephemeral(mine, "here"), create(persistent, ""))
	if g := c.awaitGet(mine, false); g.err != nil || g.stat.EphemeralOwner != c.session.ID() {
		b.t.Errorf("the ephemeral of session %d: %+v, %v", c.session.ID(), g.stat, g.err)
	}
	other.eventually("the ephemeral is seen", mine, func(g *got) bool { return g.stat.EphemeralOwner == c.session.ID() })
	c.end()
	other.fresh()
	other.eventually("the ephemeral is gone", mine, missing)
	other.wantData(persistent, "", 0)
	b.do(func() {
		if c.over {
			b.t.Error("a session that was closed was told to have expired")
		}
	})
	other.end()
}

// callsAfterClose checks that calls under way at Close and calls after it are
// answered once, in order, and that no event follows.
func (b *coordinatorBody) callsAfterClose() {
	c, writer := b.connect(0), b.connect(1)
	x := b.path("x")
	c.must(create(x, ""))
	c.awaitGet(x, true)
	var before, after []*got
	var events int
	closed := false
	b.do(func() {
		for range 5 {
			before = append(before, c.get(x, false), c.multi(set(x, "", door.AnyVersion)))
		}
		events = len(c.events)
		c.session.Close(b.event("the end of a session", func() { closed = true }))
		for range 3 {
			after = append(after, c.get(x, true), c.children(x, true), c.multi(set(x, "", door.AnyVersion)))
		}
	})
	last := after[len(after)-1]
	b.wait("the end and all answers", func() bool { return closed && last.done })
	writer.fresh()
	writer.must(set(x, "after", door.AnyVersion))
	b.loop.Settle()
	b.do(func() {
		for i, g := range before {
			if !g.done || g.err != nil && !errors.Is(g.err, door.ErrSessionOver) && !errors.Is(g.err, door.ErrUnknownOutcome) {
				b.t.Errorf("call %d before Close: answered %v, %v", i, g.done, g.err)
			}
		}
		for i, g := range after {
			if !errors.Is(g.err, door.ErrSessionOver) {
				b.t.Errorf("call %d after Close: %v", i, g.err)
			}
		}
		if len(c.events) != events {
			b.t.Errorf("events after Close: %+v", c.events[events:])
		}
	})
	writer.end()
}

func (b *coordinatorBody) expiryIsLast() {
	c, other := b.connect(0), b.connect(1)
	mine, x := b.path("mine"), b.path("x")
	c.must(ephemeral(mine, ""), create(x, ""))
	c.awaitGet(x, true)
	other.fresh()
	b.harness.Expire(c.session)
	b.wait("the expiry", func() bool { return c.over })
	other.fresh()
	other.eventually("the ephemeral is gone", mine, missing)
	other.must(set(x, "after", door.AnyVersion))
	for _, g := range []*got{
		c.awaitGet(x, true), c.awaitChildren(x, true), c.await(func() *got { return c.multi(create(mine, "")) }),
	} {
		if !errors.Is(g.err, door.ErrSessionOver) {
			b.t.Errorf("a call after the expiry: %v", g.err)
		}
	}
	b.loop.Settle()
	b.do(func() {
		if c.count(door.EventExpired) != 1 {
			b.t.Errorf("the session was told %+v", c.events)
		}
	})
	again := b.connect(0)
	again.must(ephemeral(mine, ""))
	again.end()
	other.end()
}

func (b *coordinatorBody) cutLeavesUnknown() {
	cutter, ok := b.harness.(Cutter)
	if !ok {
		b.t.Skip("this world's connections do not break")
	}
	c, other := b.connect(0), b.connect(1)
	mine, x := b.path("mine"), b.path("x")
	c.must(ephemeral(mine, ""), create(x, ""))
	c.awaitGet(x, true)
	cutter.Cut(0)
	var calls []*got
	b.do(func() {
		for range 3 {
			calls = append(calls, c.get(x, false), c.multi(set(x, "mine", door.AnyVersion)))
		}
	})
	b.wait("the cut to be told", func() bool { return c.count(door.EventDisconnected) == 1 })
	b.wait("answers without ZooKeeper", func() bool { return calls[len(calls)-1].done })
	for i, g := range calls {
		if !errors.Is(g.err, door.ErrUnknownOutcome) && !errors.Is(g.err, door.ErrSessionOver) {
			b.t.Errorf("call %d across the cut: %q, %v", i, g.data, g.err)
		}
	}
	other.fresh()
	other.must(set(x, "changed", door.AnyVersion))
	cutter.Heal(0)
	b.wait("the connection, or the expiry", func() bool { return c.over || c.count(door.EventConnected) == 2 })
	if c.over { // the world was slow
		b.t.Skip("the session expired during the cut")
	}
	c.fresh()
	c.wantAfterCut(x, mine)
	c.end()
	other.end()
}

// wantAfterCut reads everything again, as a node does.
func (c *client) wantAfterCut(x, mine string) {
	c.t.Helper()
	if g := c.awaitGet(x, true); g.err != nil || g.stat.Version == 0 {
		c.t.Errorf("after the cut %s holds %q in version %d, %v", x, g.data, g.stat.Version, g.err)
	}
	if g := c.awaitGet(mine, false); g.err != nil || g.stat.EphemeralOwner != c.session.ID() {
		c.t.Errorf("after the cut the ephemeral: %+v, %v", g.stat, g.err)
	}
	told := c.changed(x)
	c.must(set(x, "again", door.AnyVersion))
	c.wait("the watch that was armed after the cut", func() bool { return c.changed(x) > told })
}
