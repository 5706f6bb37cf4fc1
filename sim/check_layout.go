package sim

import (
	"slices"
	"strings"

	"dkv/node"
	"dkv/node/layout"
	"dkv/node/ring"
	"dkv/sim/world"
)

// layoutFacts records every layout that ZooKeeper ever had.
type layoutFacts struct {
	latest  *layout.Layout
	changes int            // changes of a primary to another node
	history [][]epochFacts // by partition and epoch
	hosts   []int          // by member number: 1 + its host
	edited  bool           // an administrator gave out an epoch twice
}

// epochFacts is the assignment of one epoch.
type epochFacts struct {
	layout.Partition
	movingSince node.Epoch // epoch in which its move began; 0: not moving

	second   node.MemberNumber // that an edit made its primary; 0: there was none
	starters uint              // hosts that started it after the edit, as bits
	counted  bool
}

func (f *layoutFacts) assignment(p node.PartitionID, e node.Epoch) (layout.Partition, bool) {
	if int(p) >= len(f.history) || int(e) >= len(f.history[p]) {
		return layout.Partition{}, false
	}
	a := f.history[p][e].Partition
	return a, a.Epoch != 0
}

// host returns the host of a member, or NoHost.
func (f *layoutFacts) host(m node.MemberNumber) int {
	if int(m) >= len(f.hosts) || f.hosts[m] == 0 {
		return world.NoHost
	}
	return f.hosts[m] - 1
}

// onLayout judges a change of the layout's znode, unless it was edited by hand; hostOf
// finds a node's host.
func (c *invariants) onLayout(data []byte, version int32, edited bool, hostOf func(node.NodeID) int) {
	next, err := layout.Decode(data)
	if err != nil {
		c.broken(Invariant, "cannot read the layout in version %d of its znode: %v", version, err)
		return
	}
	if next.Version() != version {
		c.broken(Invariant, "the layout in version %d of its znode says that it is version %d", version, next.Version())
	}
	f := &c.layouts
	switch {
	case f.latest == nil:
		c.onFormed(next)
	case edited:
	default:
		if err := layout.Legal(f.latest, next); err != nil {
			c.broken(Invariant, "illegal change of the layout: %v", err)
		}
	}
	for _, m := range next.Members() {
		for len(f.hosts) <= int(m.Number) && m.Number < maxIndex {
			f.hosts = append(f.hosts, 0)
		}
		f.hosts[m.Number] = hostOf(m.Node) + 1
	}
	for p, part := range next.Partitions() {
		if p < len(c.partitions) && part.Epoch < maxEpoch {
			c.onAssignment(node.PartitionID(p), part)
		}
	}
	f.latest = next
}

// onLayoutGone reports that the layout's znode was deleted, which never happens
// in a correct run.
func (c *invariants) onLayoutGone() {
	c.broken(Invariant, "the layout's znode was deleted")
}

// onAssignment records a partition's new epoch. It also judges the one step that
// layouts alone do not justify: a move may end only after an epoch of the move
// committed its no-op under both quorums.
func (c *invariants) onAssignment(p node.PartitionID, next layout.Partition) {
	f := &c.layouts
	for len(f.history) <= int(p) {
		f.history = append(f.history, nil)
	}
	epochs := f.history[p]
	if int(next.Epoch) < len(epochs) {
		return // this epoch is already known
	}
	for len(epochs) <= int(next.Epoch) {
		epochs = append(epochs, epochFacts{})
	}
	now := &epochs[next.Epoch]
	now.Partition = next
	f.history[p] = epochs
	was := &epochs[next.Epoch-min(1, next.Epoch)]
	if was.Epoch != 0 && was.Primary != next.Primary {
		f.changes++
	}
	if next.Moving() {
		now.movingSince = next.Epoch
		if was.Moving() {
			now.movingSince = was.movingSince
		}
		return
	}
	finished := was.Epoch != 0 && was.Moving() && sameMembers(was.Next, next.Replicas)
	if finished && !c.joint(p, was.movingSince, was.Epoch) {
		c.broken(Invariant, "the move of partition %d from %v to %v was finished after epoch %d, but no epoch since %d had committed its no-op under both quorums",
			p, was.Replicas, was.Next, was.Epoch, was.movingSince)
	}
}

// joint reports whether some epoch in the range committed its own no-op by R and N.
func (c *invariants) joint(p node.PartitionID, from, to node.Epoch) bool {
	for e := from; e <= to; e++ {
		if c.reign(p, e).jointActive {
			return true
		}
	}
	return false
}

func sameMembers(a, b []node.MemberNumber) bool {
	if len(a) != len(b) {
		return false
	}
	for _, m := range a {
		if !layout.Contains(b, m) {
			return false
		}
	}
	return true
}

// onFormed compares the first layout with a second implementation of the ring. The node that
// formed it may have read the record before an operator changed the rule.
func (c *invariants) onFormed(l *layout.Layout) {
	var faults []string
	for _, rule := range append(slices.Clone(c.formerRules), c.rule) {
		what := c.checkFirst(l, rule)
		if what == "" {
			return
		}
		faults = append(faults, what)
	}
	c.broken(Invariant, "the first layout %s", strings.Join(faults, "; by another rule of the record it "))
}

func (c *invariants) checkFirst(l *layout.Layout, rule ring.Rule) string {
	if what := checkOwners(l, rule); what != "" {
		return "does not follow the ring: " + what
	}
	if c.ringPartitions == 0 {
		return ""
	}
	if what := checkRing(l, rule, c.ringPartitions); what != "" {
		return "is of a ring that differs from its plain rule: " + what
	}
	return ""
}
