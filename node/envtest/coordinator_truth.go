package envtest

import (
	"bytes"
	"dkv/node/door"
	"errors"
	"fmt"
	"slices"
)

// What the store builds on a Coordinator beyond its single calls: that a check
// tells the present, that an event does not come after what it announces, whose
// an ephemeral is, and what can be learnt after an outcome was unknown.

// checksTellThePresent: reads may be stale, but a multi of nothing but checks
// stands in the order of all changes.
func (b *coordinatorBody) checksTellThePresent() {
	c, writer := b.connect(0), b.connect(1)
	x, y := b.path("x"), b.path("y")
	writer.must(create(x, ""), create(y, ""))
	for v := range int32(20) {
		c.must(check(x, v), check(y, 0))
		writer.must(set(x, "", v))
		var op *door.OpError
		if err := c.awaitMulti(check(y, 0), check(x, v)); !errors.As(err, &op) || op.Op != 1 || !errors.Is(err, door.ErrBadVersion) {
			b.t.Errorf("version %d after it was %d: %v", v, v+1, err)
		}
	}
	writer.must(remove(x, 20))
	if err := c.awaitMulti(check(x, door.AnyVersion)); !errors.Is(err, door.ErrNoNode) {
		b.t.Errorf("a check of what is gone: %v", err)
	}
	if g := c.awaitGet(x, false); !errors.Is(g.err, door.ErrNoNode) { // the failed check came after the end
		b.t.Errorf("read after the check: %q, %v", g.data, g.err)
	}
	c.end()
	writer.end()
}

// eventsBeforeAnswers: the event of a watch comes before any answer that shows
// the change, no matter which session made it.
func (b *coordinatorBody) eventsBeforeAnswers() {
	c, writer := b.connect(0), b.connect(1)
	own, foreign := b.path("own"), b.path("foreign")
	c.must(create(own, ""), create(foreign, ""))
	writer.fresh()
	for round := range 10 {
		c.awaitGet(own, true)
		c.awaitChildren(own, true)
		c.awaitGet(foreign, true)
		toldOwn, toldForeign := c.changed(own), c.changed(foreign)
		seen, answered := 0, false
		b.do(func() {
			done := c.answer(func() { seen, answered = c.changed(own), true })
			c.session.Multi([]door.Op{set(own, "", door.AnyVersion)}, func(error) { done() })
		})
		b.wait("a write", func() bool { return answered })
		if seen == toldOwn {
			b.t.Errorf("round %d: a session's own write was answered before its event", round)
		}
		writer.must(set(foreign, fmt.Sprint(round), door.AnyVersion))
		var before int
		c.eventually("the change is seen", foreign, func(g *got) bool {
			before = c.changed(foreign)
			return string(g.data) == fmt.Sprint(round)
		})
		if before == toldForeign {
			b.t.Errorf("round %d: a change was read before its event", round)
		}
	}
	c.end()
	writer.end()
}

// foreignEphemerals: any session may remove an ephemeral and put another in its
// place, and the end of a session takes only what is still its own.
func (b *coordinatorBody) foreignEphemerals() {
	c, other := b.connect(0), b.connect(1)
	taken, gone, kept := b.path("taken"), b.path("gone"), b.path("kept")
	c.must(ephemeral(taken, "mine"), ephemeral(gone, ""), ephemeral(kept, ""))
	for _, path := range []string{taken, gone, kept} {
		c.awaitGet(path, true)
	}
	other.must(set(kept, "touched", 0), remove(taken, 0), ephemeral(taken, "other's"), remove(gone, door.AnyVersion))
	b.wait("the losses", func() bool { return c.changed(taken) > 0 && c.changed(gone) > 0 && c.changed(kept) > 0 })
	c.fresh()
	c.wantMissing(gone)
	if g := c.awaitGet(taken, false); string(g.data) != "other's" || g.stat.EphemeralOwner != other.session.ID() {
		b.t.Errorf("what another session took: %q of %d, %v", g.data, g.stat.EphemeralOwner, g.err)
	}
	if g := c.awaitGet(kept, false); string(g.data) != "touched" || g.stat.EphemeralOwner != c.session.ID() {
		b.t.Errorf("what another session only set: %q of %d, %v", g.data, g.stat.EphemeralOwner, g.err)
	}
	if err := c.awaitMulti(ephemeral(taken, "")); !errors.Is(err, door.ErrNodeExists) {
		b.t.Errorf("an ephemeral where there is one: %v", err)
	}
	c.end()
	other.fresh()
	other.wantMissing(kept)
	other.wantData(taken, "other's", 0)
	other.end()
}

// largestRequests: a request below ZooKeeper's limit passes, one above it never
// takes effect and does not end the session.
func (b *coordinatorBody) largestRequests() {
	c := b.connect(0)
	x := b.path("x")
	large := bytes.Repeat([]byte("0123456789abcdef"), 998_000/16)
	c.must(door.Op{Kind: door.OpCreate, Path: x, Data: large}, check(b.root, door.AnyVersion))
	c.wantData(x, string(large), 0)
	c.awaitGet(x, true)
	if err := c.awaitMulti(door.Op{Kind: door.OpSet, Path: x, Data: make([]byte, 1<<20), Version: 0}); err == nil {
		b.t.Error("a request of more than a mebibyte passed")
	}
	b.wait("a connection that takes requests", func() bool { return !c.over && c.count(door.EventConnected) > c.count(door.EventDisconnected) })
	c.eventually("the session continues", b.root, func(g *got) bool { return g.err == nil })
	c.wantData(x, string(large), 0)
	c.end()
}

// watchesAfterACut: whatever was read and watched again after a cut is told of
// again, once for each change.
func (b *coordinatorBody) watchesAfterACut() {
	cutter, ok := b.harness.(Cutter)
	if !ok {
		b.t.Skip("this world's connections do not break")
	}
	c, other := b.connect(0), b.connect(1)
	x, parent, later := b.path("x"), b.path("parent"), b.path("later")
	c.must(create(x, ""), create(parent, ""))
	arm := func() {
		for _, g := range []*got{c.awaitGet(x, true), c.awaitChildren(parent, true), c.awaitGet(later, true)} {
			if g.err != nil && !errors.Is(g.err, door.ErrNoNode) {
				b.t.Fatalf("arming: %v", g.err)
			}
		}
	}
	arm()
	cutter.Cut(0)
	b.wait("the cut to be told", func() bool { return c.count(door.EventDisconnected) == 1 })
	other.fresh()
	other.must(set(x, "away", door.AnyVersion), create(parent+"/away", ""))
	cutter.Heal(0)
	b.wait("the connection, or the expiry", func() bool { return c.over || c.count(door.EventConnected) == 2 })
	if c.over { // the world was slow
		b.t.Skip("the session expired during the cut")
	}
	c.fresh()
	arm()
	c.wantData(x, "away", 1)
	b.loop.Settle()
	told := [...]int{c.changed(x), c.changed(parent), c.changed(later)}
	for range 2 {
		other.must(set(x, "back", door.AnyVersion))
	}
	other.must(create(parent+"/a", ""), create(parent+"/b", ""), create(later, ""))
	b.wait("three changes", func() bool {
		return c.changed(x) > told[0] && c.changed(parent) > told[1] && c.changed(later) > told[2]
	})
	b.loop.Settle()
	b.do(func() {
		if now := [...]int{c.changed(x) - told[0], c.changed(parent) - told[1], c.changed(later) - told[2]}; now != [...]int{1, 1, 1} {
			b.t.Errorf("each watch was to tell once, and told %v times", now)
		}
	})
	c.end()
	other.end()
}

// expiryWhileCut: a session that ends while its process is away is told to have
// expired, and nothing after that; what was its own is gone by then.
func (b *coordinatorBody) expiryWhileCut() {
	cutter, ok := b.harness.(Cutter)
	if !ok {
		b.t.Skip("this world's connections do not break")
	}
	c, other := b.connect(0), b.connect(1)
	mine := b.path("mine")
	c.must(ephemeral(mine, ""))
	c.awaitGet(mine, true)
	other.fresh()
	other.eventually("the ephemeral is seen", mine, func(g *got) bool { return g.err == nil })
	cutter.Cut(0)
	b.wait("the cut to be told", func() bool { return c.count(door.EventDisconnected) == 1 })
	b.harness.Expire(c.session)
	if g := other.awaitGet(mine, true); g.err == nil {
		b.wait("the end of the ephemeral", func() bool { return other.changed(mine) > 0 })
	}
	var late *got
	b.do(func() { late = c.multi(create(b.path("late"), "")) })
	cutter.Heal(0)
	b.wait("the expiry", func() bool { return c.over && late.done })
	if late.err == nil {
		b.t.Error("a session that had ended made a change")
	}
	b.do(func() {
		if last := c.events[len(c.events)-1]; last.Kind != door.EventExpired || c.count(door.EventConnected) != 1 {
			b.t.Errorf("a session that ended while it was cut off was told %+v", c.events)
		}
	})
	other.fresh()
	other.wantMissing(mine)
	other.wantMissing(b.path("late"))
	other.end()
}

// unknownIsDecided: once the session has made another change, those before it
// whose outcome is unknown have happened or never will, and a read tells.
func (b *coordinatorBody) unknownIsDecided() {
	cutter, ok := b.harness.(Cutter)
	if !ok {
		b.t.Skip("this world's connections do not break")
	}
	c := b.connect(0)
	c.awaitGet(b.root, true)
	const calls = 40
	var writes []*got
	var names []string
	for i := range calls {
		names = append(names, fmt.Sprintf("w%02d", i))
	}
	b.do(func() {
		for i := range calls / 2 {
			writes = append(writes, c.multi(create(b.path(names[i]), "")))
		}
	})
	b.wait("some answers", func() bool { return writes[calls/8].done })
	b.do(func() {
		for i := calls / 2; i < calls; i++ {
			writes = append(writes, c.multi(create(b.path(names[i]), "")))
		}
	})
	cutter.Cut(0)
	b.wait("answers", func() bool { return writes[calls-1].done })
	cutter.Heal(0)
	b.wait("the connection, or the expiry", func() bool { return c.over || c.count(door.EventConnected) == 2 })
	if c.over { // the world was slow
		b.t.Skip("the session expired during the cut")
	}
	c.fresh()
	first := c.awaitChildren(b.root, false)
	b.loop.Settle()
	c.fresh()
	if again := c.awaitChildren(b.root, false); first.err != nil || !slices.Equal(first.list, again.list) {
		b.t.Errorf("what was made before the cut: first %q, %v, then %q, %v", first.list, first.err, again.list, again.err)
	}
	for i, g := range writes {
		switch made := slices.Contains(first.list, names[i]); {
		case g.err == nil && !made:
			b.t.Errorf("write %d was acknowledged and is not there", i)
		case g.err != nil && !errors.Is(g.err, door.ErrUnknownOutcome):
			b.t.Errorf("write %d: %v", i, g.err)
		case made && i > 0 && !slices.Contains(first.list, names[i-1]):
			b.t.Errorf("write %d happened and the one before it did not", i)
		}
	}
	c.end()
}
