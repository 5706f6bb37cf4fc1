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

// judge makes an invariants checker over four hosts, n1 to n4, whose members 1
// to 4 replicate one partition.
func judge(t *testing.T) *invariants {
	t.Helper()
	v := &verdict{where: func() (time.Duration, uint64) { return 0, 0 }}
	c := newInvariants(v, 4, 1)
	c.commit(t, formed(t, 1, 1, 2, 3))
	c.verdict.violations, c.verdict.kept = nil, [7]int{} // that of the ring: n4 is spare
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

// commit is ZooKeeper committing a layout.
func (c *invariants) commit(t *testing.T, l *layout.Layout) {
	t.Helper()
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c.onLayout(data, l.Version(), func(id node.NodeID) int { return int(id[1] - '1') })
}

// step takes a legal step and commits the layout.
func (c *invariants) step(t *testing.T, kind layout.StepKind, primary node.MemberNumber, next ...node.MemberNumber) {
	t.Helper()
	p, _ := c.layouts.latest.Partition(0)
	applied := c.layouts.latest.Apply([]layout.Step{{Kind: kind, Epoch: p.Epoch, Primary: primary, Next: next}})
	if len(applied.Rejected) > 0 {
		t.Fatal(applied.Rejected[0].Reason)
	}
	c.commit(t, applied.Layout)
}

func (c *invariants) tell(host int, incarnation uint64, events ...node.Event) {
	for i := range events {
		c.onEvent(host, incarnation, &events[i])
	}
}

func (c *invariants) expect(t *testing.T, want string) {
	t.Helper()
	switch {
	case want == "" && len(c.violations) > 0:
		t.Errorf("unexpected: %v", c.violations[0])
	case want != "" && len(c.violations) == 0:
		t.Errorf("nothing fired, want %q", want)
	case want != "" && (c.violations[0].Class != Invariant || !strings.Contains(c.violations[0].What, want)):
		t.Errorf("fired %v, want %q", c.violations[0], want)
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
		tell func(c *invariants)
		want string
	}{
		{"an ordinary reign", func(c *invariants) {
			c.tell(0, 1, event(promised, 1, 0, 0), event(started, 1, 0, 0), event(kept, 1, 0, 0), event(logged, 1, 1, 7),
				event(active, 1, 1, 0), event(applied, 1, 1, 7))
			c.tell(1, 1, event(promised, 1, 0, 0), event(kept, 1, 0, 0), event(logged, 1, 1, 7), event(applied, 1, 1, 7))
		}, ""},
		{"a process that died before its promise was durable may be followed", func(c *invariants) {
			c.tell(0, 1, event(promised, 1, 0, 0), event(started, 1, 0, 0))
			c.tell(0, 2, event(promised, 1, 0, 0), event(started, 1, 0, 0))
		}, ""},
		{"a restarted primary resumes its epoch", func(c *invariants) {
			c.tell(0, 1, event(started, 1, 0, 0), event(kept, 1, 0, 0))
			c.tell(0, 2, event(started, 1, 0, 0))
		}, "two acting primaries: process 1 of n1 and process 2 of n1"},
		{"another than the layout's primary acts", func(c *invariants) {
			c.tell(1, 1, event(started, 1, 0, 0))
		}, "n2 acts in epoch 1 of partition 0, whose primary is member 1"},
		{"an epoch that no layout has", func(c *invariants) {
			c.tell(0, 1, event(started, 9, 0, 0))
		}, "which no layout has"},
		{"acting below the promise", func(c *invariants) {
			c.tell(0, 1, event(promised, 5, 0, 0), event(started, 1, 0, 0))
		}, "after promising 5"},
		{"active below the promise", func(c *invariants) {
			c.tell(0, 1, event(started, 1, 0, 0), event(promised, 2, 0, 0), event(active, 1, 1, 0))
		}, "becomes active in epoch 1"},
		{"promised falls in one process", func(c *invariants) {
			c.tell(2, 1, event(promised, 4, 0, 0), event(promised, 3, 0, 0))
		}, "promised falls"},
		{"promised falls over a restart", func(c *invariants) {
			c.tell(2, 1, event(promised, 4, 0, 0), event(kept, 4, 0, 0))
			c.tell(2, 2, event(promised, 3, 0, 0))
		}, "has 3 after a restart"},
		{"a promise that was not durable may be lost", func(c *invariants) {
			c.tell(2, 1, event(promised, 4, 0, 0))
			c.tell(2, 2, event(promised, 3, 0, 0))
		}, ""},
		{"one index, two applied entries", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7))
			c.tell(1, 1, event(applied, 2, 1, 8))
		}, "index 1 of partition 0 is an entry of epoch 2 at n2 and was one of epoch 1"},
		{"an index is skipped", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7), event(applied, 1, 3, 9))
		}, "not consecutive: n1 applied index 3 of partition 0 after 1"},
		{"an index is skipped over a restart", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7))
			c.tell(0, 2, event(applied, 1, 3, 9))
		}, "not consecutive"},
		{"applied again after a restart", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7), event(applied, 1, 2, 8))
			c.tell(0, 2, event(applied, 1, 2, 8), event(applied, 1, 3, 9))
		}, ""},
		{"one name, two entries", func(c *invariants) {
			c.tell(0, 1, event(logged, 1, 1, 7))
			c.tell(1, 1, event(logged, 1, 1, 8))
		}, "entry (index 1, epoch 1) of partition 0 is another at n2"},
		{"equal entries over different pasts", func(c *invariants) {
			c.tell(0, 1, event(logged, 1, 1, 7), event(logged, 3, 2, 9))
			c.tell(1, 1, event(logged, 2, 1, 8), event(logged, 3, 2, 9))
		}, "before entry (index 2, epoch 3)"},
		{"a suffix is cut and replaced", func(c *invariants) {
			c.tell(0, 1, event(logged, 1, 1, 7), event(logged, 1, 2, 8), event(cut, 0, 1, 0), event(logged, 2, 2, 9))
			c.tell(1, 1, event(logged, 1, 1, 7), event(logged, 2, 2, 9))
		}, ""},
		{"a committed entry is cut", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7), event(applied, 1, 2, 8), event(cut, 0, 1, 0))
		}, "cut its log of partition 0 to index 1 after applying 2"},
		{"a snapshot goes back", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7), event(applied, 1, 2, 8), event(snapshot, 1, 1, 0))
		}, "applied falls"},
		{"a snapshot goes on", func(c *invariants) {
			c.tell(0, 1, event(applied, 1, 1, 7), event(snapshot, 1, 5, 0), event(applied, 1, 6, 9))
		}, ""},
		{"a partition that is not", func(c *invariants) {
			c.tell(0, 1, node.Event{Kind: applied, Partition: 1, Epoch: 1, Index: 1})
		}, "which cannot be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := judge(t)
			c.tell(checker)
			checker.expect(t, c.want)
		})
	}
}

func TestInvariantsOnLayouts(t *testing.T) {
	jointActive := func(e node.Epoch) node.Event { return event(node.EventJointActive, e, 1, 0) }
	for _, c := range []struct {
		name string
		tell func(c *invariants)
		want string
	}{
		{"a move finished with the fact", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.tell(0, 1, jointActive(2))
			c.step(t, layout.FinishMove, 4)
		}, ""},
		{"the fact of an earlier epoch of the same move", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.tell(0, 1, jointActive(2))
			c.step(t, layout.ChangePrimary, 3)
			c.step(t, layout.FinishMove, 3)
		}, ""},
		{"a move finished without the fact", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.step(t, layout.ChangePrimary, 2)
			c.step(t, layout.FinishMove, 2)
		}, "no epoch from 2 on had committed its no-op under both quorums"},
		{"the fact of a move that was cancelled does not count", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.tell(0, 1, jointActive(2))
			c.step(t, layout.CancelMove, 1)
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.step(t, layout.FinishMove, 2)
		}, "no epoch from 4 on"},
		{"a cancelled move needs no fact", func(c *invariants) {
			c.step(t, layout.BeginMove, 1, 2, 3, 4)
			c.step(t, layout.CancelMove, 2)
		}, ""},
		{"a blind write", func(c *invariants) {
			c.commit(t, formed(t, 2, 1, 2, 3))
		}, "an illegal change of the layout"},
		{"bytes that are no layout", func(c *invariants) {
			c.onLayout([]byte("{}"), 1, func(node.NodeID) int { return world.NoHost })
		}, "cannot be read"},
		{"another version than the znode's", func(c *invariants) {
			data, _ := c.layouts.latest.Encode()
			c.onLayout(data, 1, func(node.NodeID) int { return world.NoHost })
		}, "says it is version 0"},
		{"the znode goes", (*invariants).onLayoutGone, "was deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := judge(t)
			c.tell(checker)
			checker.expect(t, c.want)
		})
	}
}

func TestChangesOfPrimaryAreCounted(t *testing.T) {
	c := judge(t)
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
