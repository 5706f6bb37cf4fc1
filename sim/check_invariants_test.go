package sim

import (
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/sim/world"
)

// newChecker returns a checker of invariants for four hosts, n1 to n4, with members
// 1 to 4, and one partition.
func newChecker(t *testing.T) *invariants {
	t.Helper()
	v := &verdict{where: func() (time.Duration, uint64) { return 0, 0 }}
	c := newInvariants(v, 4, 1)
	c.commit(t, formed(t, 1, 1, 2, 3))
	c.verdict.violations, c.verdict.kept = nil, [8]int{} // drop the violation of the ring: n4 has no replica
	return c
}

func formed(t *testing.T, primary node.MemberNumber, replicas ...node.MemberNumber) *layout.Layout {
	t.Helper()
	var members []layout.Member
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		members = append(members, layout.Member{Node: node.NodeID(id), Store: node.StoreID("store-" + id), Peer: "p:" + id, HTTP: "h:" + id, Weight: 1})
	}
	l, err := layout.Form("uuid", 3, members, []layout.Placement{{Primary: primary, Replicas: replicas}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// commit commits a layout as ZooKeeper does.
func (c *invariants) commit(t *testing.T, l *layout.Layout) {
	t.Helper()
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c.onLayout(data, l.Version(), false, func(id node.NodeID) int { return int(id[1] - '1') })
}

// step applies a legal step and commits the resulting layout.
func (c *invariants) step(t *testing.T, kind layout.StepKind, primary node.MemberNumber, next ...node.MemberNumber) {
	t.Helper()
	p, _ := c.layouts.latest.Partition(0)
	applied := c.layouts.latest.Apply([]layout.Step{{Kind: kind, Epoch: p.Epoch, Primary: primary, Next: next}})
	if len(applied.Rejected) > 0 {
		t.Fatal(applied.Rejected[0].Reason)
	}
	c.commit(t, applied.Layout)
}

func (c *invariants) feed(host int, incarnation uint64, events ...node.Event) {
	for i := range events {
		c.onEvent(host, incarnation, &events[i])
	}
}

func (c *invariants) expect(t *testing.T, want string) {
	t.Helper()
	switch {
	case want == "" && len(c.violations) > 0:
		t.Errorf("unexpected violation: %v", c.violations[0])
	case want != "" && len(c.violations) == 0:
		t.Errorf("no violation, want %q", want)
	case want != "" && (c.violations[0].Class != Invariant || !strings.Contains(c.violations[0].What, want)):
		t.Errorf("violation %v, want %q", c.violations[0], want)
	}
}

func event(kind node.EventKind, e node.Epoch, i door.Index, hash uint64) node.Event {
	return node.Event{Kind: kind, Epoch: e, Index: i, Hash: hash}
}

func TestInvariantsOnEvents(t *testing.T) {
	const (
		promised, kept   = node.EventPromised, node.EventPromiseKept
		logged, applied  = node.EventLogged, node.EventApplied
		cut, started     = node.EventCut, node.EventReignStarted
		active, snapshot = node.EventReignActive, node.EventSnapshotInstalled
	)
	for _, c := range []struct {
		name string
		feed func(c *invariants)
		want string
	}{
		{"an ordinary reign", func(c *invariants) {
			c.feed(0, 1, event(promised, 1, 0, 0), event(started, 1, 0, 0), event(kept, 1, 0, 0), event(logged, 1, 1, 7),
				event(active, 1, 1, 0), event(applied, 1, 1, 7))
			c.feed(1, 1, event(promised, 1, 0, 0), event(kept, 1, 0, 0), event(logged, 1, 1, 7), event(applied, 1, 1, 7))
		}, ""},
		{"a process that died before its promise was durable may be followed", func(c *invariants) {
			c.feed(0, 1, event(promised, 1, 0, 0), event(started, 1, 0, 0))
			c.feed(0, 2, event(promised, 1, 0, 0), event(started, 1, 0, 0))
		}, ""},
		{"a restarted primary resumes its epoch", func(c *invariants) {
			c.feed(0, 1, event(started, 1, 0, 0), event(kept, 1, 0, 0))
			c.feed(0, 2, event(started, 1, 0, 0))
		}, "two acting primaries: process 1 of n1 and process 2 of n1"},
		{"a node acts that is not the layout's primary", func(c *invariants) {
			c.feed(1, 1, event(started, 1, 0, 0))
		}, "n2 acts in epoch 1 of partition 0, whose primary is member 1"},
		{"an epoch that no layout contains", func(c *invariants) {
			c.feed(0, 1, event(started, 9, 0, 0))
		}, "which no layout contains"},
		{"acting below the promise", func(c *invariants) {
			c.feed(0, 1, event(promised, 5, 0, 0), event(started, 1, 0, 0))
		}, "after promising 5"},
		{"active below the promise", func(c *invariants) {
			c.feed(0, 1, event(started, 1, 0, 0), event(promised, 2, 0, 0), event(active, 1, 1, 0))
		}, "becomes active in epoch 1"},
		{"a promise decreases within one process", func(c *invariants) {
			c.feed(2, 1, event(promised, 4, 0, 0), event(promised, 3, 0, 0))
		}, "a promise decreases"},
		{"a promise decreases across a restart", func(c *invariants) {
			c.feed(2, 1, event(promised, 4, 0, 0), event(kept, 4, 0, 0))
			c.feed(2, 2, event(promised, 3, 0, 0))
		}, "has 3 after a restart"},
		{"a promise that was not durable may be lost", func(c *invariants) {
			c.feed(2, 1, event(promised, 4, 0, 0))
			c.feed(2, 2, event(promised, 3, 0, 0))
		}, ""},
		{"two applied entries at one index", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7))
			c.feed(1, 1, event(applied, 2, 1, 8))
		}, "at index 1 of partition 0, an entry of epoch 2 was applied on n2, but another one of epoch 1 before"},
		{"an index is skipped", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7), event(applied, 1, 3, 9))
		}, "not consecutive: n1 applied index 3 of partition 0 after 1"},
		{"an index is skipped across a restart", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7))
			c.feed(0, 2, event(applied, 1, 3, 9))
		}, "not consecutive"},
		{"applied again after a restart", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7), event(applied, 1, 2, 8))
			c.feed(0, 2, event(applied, 1, 2, 8), event(applied, 1, 3, 9))
		}, ""},
		{"two entries with one index and epoch", func(c *invariants) {
			c.feed(0, 1, event(logged, 1, 1, 7))
			c.feed(1, 1, event(logged, 1, 1, 8))
		}, "entry (index 1, epoch 1) of partition 0 has other contents on n2"},
		{"equal entries after different ones", func(c *invariants) {
			c.feed(0, 1, event(logged, 1, 1, 7), event(logged, 3, 2, 9))
			c.feed(1, 1, event(logged, 2, 1, 8), event(logged, 3, 2, 9))
		}, "the entry before (index 2, epoch 3)"},
		{"a suffix is truncated and replaced", func(c *invariants) {
			c.feed(0, 1, event(logged, 1, 1, 7), event(logged, 1, 2, 8), event(cut, 0, 1, 0), event(logged, 2, 2, 9))
			c.feed(1, 1, event(logged, 1, 1, 7), event(logged, 2, 2, 9))
		}, ""},
		{"a committed entry is truncated", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7), event(applied, 1, 2, 8), event(cut, 0, 1, 0))
		}, "truncated its log of partition 0 to index 1 after applying 2"},
		{"a snapshot goes back behind the applied index", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7), event(applied, 1, 2, 8), event(snapshot, 1, 1, 0))
		}, "the applied index decreases"},
		{"a snapshot advances the applied index", func(c *invariants) {
			c.feed(0, 1, event(applied, 1, 1, 7), event(snapshot, 1, 5, 0), event(applied, 1, 6, 9))
		}, ""},
		{"a partition that does not exist", func(c *invariants) {
			c.feed(0, 1, node.Event{Kind: applied, Partition: 1, Epoch: 1, Index: 1})
		}, "reports the impossible partition"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := newChecker(t)
			c.feed(checker)
			checker.expect(t, c.want)
		})
	}
}

func TestInvariantsOnLayouts(t *testing.T) {
	jointActive := func(e node.Epoch) node.Event { return event(node.EventJointActive, e, 1, 0) }
	for _, c := range []struct {
		name string
		feed func(c *invariants)
		want string
	}{
		{"a move finished after a joint no-op", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.feed(0, 1, jointActive(2))
			c.step(t, layout.FinishMove, 4)
		}, ""},
		{"the joint no-op of an earlier epoch of the same move", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.feed(0, 1, jointActive(2))
			c.step(t, layout.ChangePrimary, 3)
			c.step(t, layout.FinishMove, 3)
		}, ""},
		{"a move finished without a joint no-op", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.step(t, layout.ChangePrimary, 2)
			c.step(t, layout.FinishMove, 2)
		}, "no epoch since 2 had committed its no-op under both quorums"},
		{"the joint no-op of a cancelled move does not count", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.feed(0, 1, jointActive(2))
			c.step(t, layout.CancelMove, 1)
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.step(t, layout.FinishMove, 2)
		}, "no epoch since 4"},
		{"a cancelled move needs no joint no-op", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.step(t, layout.CancelMove, 2)
		}, ""},
		{"a blind write", func(c *invariants) {
			c.commit(t, formed(t, 2, 1, 2, 3))
		}, "illegal change of the layout"},
		{"bytes that are not a layout", func(c *invariants) {
			c.onLayout([]byte("{}"), 1, false, func(node.NodeID) int { return world.NoHost })
		}, "cannot read the layout"},
		{"a version that is not the znode's", func(c *invariants) {
			data, _ := c.layouts.latest.Encode()
			c.onLayout(data, 1, false, func(node.NodeID) int { return world.NoHost })
		}, "says that it is version 0"},
		{"the znode is deleted", (*invariants).onLayoutGone, "was deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := newChecker(t)
			c.feed(checker)
			checker.expect(t, c.want)
		})
	}
}

func TestChangesOfPrimaryAreCounted(t *testing.T) {
	c := newChecker(t)
	c.step(t, layout.ChangePrimary, 2)
	c.step(t, layout.ChangePrimary, 2) // a bump
	c.step(t, layout.ChangePrimary, 1)
	if c.layouts.changes != 2 {
		t.Fatalf("%d changes of primary counted, want 2", c.layouts.changes)
	}
}

func TestAVerdictKeepsFewOfEachClass(t *testing.T) {
	v := &verdict{where: func() (time.Duration, uint64) { return time.Second, 3 }}
	for range 100 {
		v.broken(Progress, "stuck")
	}
	v.broken(Linearizability, "key %s", "k")
	if len(v.violations) != maxPerClass+1 {
		t.Fatalf("%d violations kept, want %d", len(v.violations), maxPerClass+1)
	}
	if got := joinClasses(v.classes()); got != "L,V" {
		t.Fatalf("classes %q, want L,V", got)
	}
	if _, err := ParseClasses("D,X"); err == nil {
		t.Fatal("an unknown class was read")
	}
	if got, err := ParseClasses("D L"); err != nil || joinClasses(got) != "D,L" {
		t.Fatalf("read %v, %v", got, err)
	}
}
