package sim

import (
	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// invariants checks, step by step, what must hold in every run, on what the
// nodes tell their Observers and on every layout that ZooKeeper commits. It
// sees all nodes at once, which no node can. Everything is kept in slices by
// host, partition, index and epoch, so that an event costs a few loads.
type invariants struct {
	*verdict
	hosts      []hostFacts
	partitions []partitionFacts
	layouts    layoutFacts
	// ringPartitions is for how many partitions the ring is compared with its
	// plain rule when the cluster forms; 0: only for those that it has.
	ringPartitions int
	counts         [node.EventKinds]uint64 // of all events, by kind
}

// partitionFacts is what is true of a partition, whoever says so.
type partitionFacts struct {
	applied []entryName     // by index; what was applied anywhere
	logged  [][]loggedEntry // by index: all entries that ever stood in a log
	reigns  []reignFacts    // by epoch
}

// entryName identifies an entry. The zero value is no entry.
type entryName struct {
	epoch node.Epoch
	hash  uint64
}

type loggedEntry struct {
	entryName
	before node.Epoch // epoch of the entry at the index before it; 0: not known
}

// reignFacts is who acted in an epoch, and what of its joint quorums is known.
type reignFacts struct {
	host        int32 // 1 + the host; 0: nobody
	incarnation uint64
	acts        bool // its promise is durable: from then on it speaks for the epoch
	jointActive bool
}

// hostFacts is what one machine said.
type hostFacts struct {
	incarnation uint64
	partitions  []replicaFacts
}

type replicaFacts struct {
	promised node.Epoch   // in memory, since the process began
	kept     node.Epoch   // durable, whatever process wrote it
	applied  door.Index   // last applied since the process began; 0: nothing yet
	reached  door.Index   // greatest ever applied
	log      []node.Epoch // by index: epoch of the entry; 0: not known
}

// maxEpoch and maxIndex bound what an event may name: a run makes far fewer.
const (
	maxEpoch = 1 << 16
	maxIndex = 1 << 20
)

func newInvariants(v *verdict, hosts, partitions int) *invariants {
	c := &invariants{verdict: v, hosts: make([]hostFacts, hosts), partitions: make([]partitionFacts, partitions)}
	for i := range c.hosts {
		c.hosts[i].partitions = make([]replicaFacts, partitions)
	}
	return c
}

// onEvent judges what a host's process of this incarnation observed.
func (c *invariants) onEvent(host int, incarnation uint64, ev *node.Event) {
	if int(ev.Kind) < len(c.counts) {
		c.counts[ev.Kind]++
	}
	h := &c.hosts[host]
	if h.incarnation != incarnation {
		h.begin(incarnation)
	}
	switch ev.Kind {
	case node.EventPromised, node.EventPromiseKept, node.EventLogged, node.EventCut, node.EventApplied,
		node.EventReignStarted, node.EventReignActive, node.EventJointActive, node.EventSnapshotInstalled,
		node.EventForgotten:
	default:
		return
	}
	if int(ev.Partition) >= len(c.partitions) || ev.Epoch >= maxEpoch || ev.Index >= maxIndex {
		c.broken(Invariant, "%s names partition %d, epoch %d, index %d in event %v, which cannot be",
			schedule.HostName(host), ev.Partition, ev.Epoch, ev.Index, ev.Kind)
		return
	}
	r := &h.partitions[ev.Partition]
	switch ev.Kind {
	case node.EventPromised:
		c.onPromised(host, r, ev)
	case node.EventPromiseKept:
		c.onPromiseKept(host, incarnation, r, ev)
	case node.EventLogged:
		c.onLogged(host, r, ev)
	case node.EventCut:
		c.onCut(host, r, ev)
	case node.EventApplied:
		c.onApplied(host, r, ev)
	case node.EventReignStarted:
		c.onReignStarted(host, incarnation, r, ev)
	case node.EventReignActive:
		c.onReignActive(host, r, ev)
	case node.EventJointActive:
		c.reign(ev.Partition, ev.Epoch).jointActive = true
	case node.EventSnapshotInstalled:
		c.onSnapshotInstalled(host, r, ev)
	case node.EventForgotten:
		// A crash may yet bring back what was forgotten, so reached stands.
		*r = replicaFacts{promised: r.promised, kept: r.kept, reached: r.reached}
	}
}

// begin forgets what was volatile: a new process starts from its disk.
func (h *hostFacts) begin(incarnation uint64) {
	h.incarnation = incarnation
	for i := range h.partitions {
		r := &h.partitions[i]
		r.promised, r.applied = 0, 0
		r.log = r.log[:0]
	}
}

func (c *invariants) reign(p node.PartitionID, e node.Epoch) *reignFacts {
	facts := &c.partitions[p]
	for len(facts.reigns) <= int(e) {
		facts.reigns = append(facts.reigns, reignFacts{})
	}
	return &facts.reigns[e]
}

// onPromised: the promise never falls, over restarts neither.
func (c *invariants) onPromised(host int, r *replicaFacts, ev *node.Event) {
	if ev.Epoch < r.promised {
		c.broken(Invariant, "promised falls: %s went from epoch %d to %d of partition %d in one process",
			schedule.HostName(host), r.promised, ev.Epoch, ev.Partition)
	}
	if ev.Epoch < r.kept {
		c.broken(Invariant, "promised falls: %s had epoch %d of partition %d durable and has %d after a restart",
			schedule.HostName(host), r.kept, ev.Partition, ev.Epoch)
	}
	r.promised = ev.Epoch
}

func (c *invariants) onPromiseKept(host int, incarnation uint64, r *replicaFacts, ev *node.Event) {
	r.kept = max(r.kept, ev.Epoch)
	if reign := c.reign(ev.Partition, ev.Epoch); int(reign.host) == host+1 && reign.incarnation == incarnation {
		reign.acts = true
	}
}

// onLogged: equal (index, epoch) means equal entries, and equal logs up to it.
func (c *invariants) onLogged(host int, r *replicaFacts, ev *node.Event) {
	e := c.loggedEntry(host, ev)
	if e == nil {
		return
	}
	for len(r.log) <= int(ev.Index) {
		r.log = append(r.log, 0)
	}
	if was := r.log[ev.Index]; was != 0 && was != ev.Epoch {
		clear(r.log[ev.Index:])
	}
	r.log[ev.Index] = ev.Epoch
	if ev.Index == 0 {
		return
	}
	switch before := r.log[ev.Index-1]; {
	case before == 0:
	case e.before == 0:
		e.before = before
	case e.before != before:
		c.broken(Invariant, "log matching: before entry (index %d, epoch %d) of partition %d, %s has an entry of epoch %d and others have one of epoch %d",
			ev.Index, ev.Epoch, ev.Partition, schedule.HostName(host), before, e.before)
	}
}

// loggedEntry finds the entry among those known, or adds it; nil if it differs
// from one of the same name.
func (c *invariants) loggedEntry(host int, ev *node.Event) *loggedEntry {
	facts := &c.partitions[ev.Partition]
	for len(facts.logged) <= int(ev.Index) {
		facts.logged = append(facts.logged, nil)
	}
	at := facts.logged[ev.Index]
	for i := range at {
		if at[i].epoch != ev.Epoch {
			continue
		}
		if at[i].hash != ev.Hash {
			c.broken(Invariant, "log matching: entry (index %d, epoch %d) of partition %d is another at %s than elsewhere",
				ev.Index, ev.Epoch, ev.Partition, schedule.HostName(host))
			return nil
		}
		return &at[i]
	}
	facts.logged[ev.Index] = append(at, loggedEntry{entryName: entryName{ev.Epoch, ev.Hash}})
	return &facts.logged[ev.Index][len(at)]
}

// onCut: what was applied stays.
func (c *invariants) onCut(host int, r *replicaFacts, ev *node.Event) {
	if ev.Index < r.applied {
		c.broken(Invariant, "the committed prefix changes: %s cut its log of partition %d to index %d after applying %d",
			schedule.HostName(host), ev.Partition, ev.Index, r.applied)
	}
	if int(ev.Index)+1 < len(r.log) {
		r.log = r.log[:ev.Index+1]
	}
}

// onApplied: indices are consecutive, and every index holds one entry for all
// and for ever.
func (c *invariants) onApplied(host int, r *replicaFacts, ev *node.Event) {
	if r.applied != 0 && ev.Index != r.applied+1 || r.applied == 0 && ev.Index > r.reached+1 {
		c.broken(Invariant, "applied indices are not consecutive: %s applied index %d of partition %d after %d",
			schedule.HostName(host), ev.Index, ev.Partition, max(r.applied, r.reached))
	}
	r.applied = ev.Index
	r.reached = max(r.reached, ev.Index)

	facts := &c.partitions[ev.Partition]
	for len(facts.applied) <= int(ev.Index) {
		facts.applied = append(facts.applied, entryName{})
	}
	name := entryName{ev.Epoch, ev.Hash}
	switch known := &facts.applied[ev.Index]; {
	case *known == entryName{}:
		*known = name
	case *known != name:
		c.broken(Invariant, "the committed prefix changes: index %d of partition %d is an entry of epoch %d at %s and was one of epoch %d",
			ev.Index, ev.Partition, ev.Epoch, schedule.HostName(host), known.epoch)
	}
}

// onReignStarted: one acting primary an epoch, and the one that the layout
// names. A process that died before its promise was durable had not acted yet.
func (c *invariants) onReignStarted(host int, incarnation uint64, r *replicaFacts, ev *node.Event) {
	reign := c.reign(ev.Partition, ev.Epoch)
	if reign.acts && (int(reign.host) != host+1 || reign.incarnation != incarnation) {
		c.broken(Invariant, "two acting primaries: process %d of %s and process %d of %s both act in epoch %d of partition %d",
			reign.incarnation, schedule.HostName(int(reign.host)-1), incarnation, schedule.HostName(host), ev.Epoch, ev.Partition)
	}
	reign.host, reign.incarnation, reign.acts = int32(host)+1, incarnation, false
	if ev.Epoch < r.promised {
		c.broken(Invariant, "%s acts in epoch %d of partition %d after promising %d", schedule.HostName(host), ev.Epoch, ev.Partition, r.promised)
	}
	named, ok := c.layouts.assignment(ev.Partition, ev.Epoch)
	if !ok {
		c.broken(Invariant, "%s acts in epoch %d of partition %d, which no layout has", schedule.HostName(host), ev.Epoch, ev.Partition)
		return
	}
	if at := c.layouts.host(named.Primary); at != host {
		c.broken(Invariant, "%s acts in epoch %d of partition %d, whose primary is member %d",
			schedule.HostName(host), ev.Epoch, ev.Partition, named.Primary)
	}
}

// onReignActive: a promise for a higher epoch has ended the reign.
func (c *invariants) onReignActive(host int, r *replicaFacts, ev *node.Event) {
	if r.promised > ev.Epoch {
		c.broken(Invariant, "%s becomes active in epoch %d of partition %d after promising %d", schedule.HostName(host), ev.Epoch, ev.Partition, r.promised)
	}
}

// onSnapshotInstalled: never lower than what was applied.
func (c *invariants) onSnapshotInstalled(host int, r *replicaFacts, ev *node.Event) {
	if ev.Index < r.applied {
		c.broken(Invariant, "applied falls: %s installed a snapshot of partition %d at index %d after applying %d",
			schedule.HostName(host), ev.Partition, ev.Index, r.applied)
	}
	r.applied = ev.Index
	r.reached = max(r.reached, ev.Index)
	r.log = r.log[:0]
}

// layoutFacts is every layout that ZooKeeper ever had.
type layoutFacts struct {
	latest  *layout.Layout
	changes int            // of a primary, to another node
	history [][]epochFacts // by partition and epoch
	hosts   []int          // by member number: 1 + its host
}

// epochFacts is the assignment of one epoch.
type epochFacts struct {
	layout.Partition
	movingSince node.Epoch // in which N began; 0 if there is none
}

func (f *layoutFacts) assignment(p node.PartitionID, e node.Epoch) (layout.Partition, bool) {
	if int(p) >= len(f.history) || int(e) >= len(f.history[p]) {
		return layout.Partition{}, false
	}
	a := f.history[p][e].Partition
	return a, a.Epoch != 0
}

// host is the host of a member, or NoHost.
func (f *layoutFacts) host(m node.MemberNumber) int {
	if int(m) >= len(f.hosts) || f.hosts[m] == 0 {
		return world.NoHost
	}
	return f.hosts[m] - 1
}

// onLayout judges a change of the layout's znode; hostOf finds a node's host.
func (c *invariants) onLayout(data []byte, version int32, hostOf func(node.NodeID) int) {
	next, err := layout.Decode(data)
	if err != nil {
		c.broken(Invariant, "the layout of version %d cannot be read: %v", version, err)
		return
	}
	if next.Version() != version {
		c.broken(Invariant, "the layout in the znode's version %d says it is version %d", version, next.Version())
	}
	f := &c.layouts
	switch {
	case f.latest == nil:
		c.onFormed(next)
	default:
		if err := layout.Legal(f.latest, next); err != nil {
			c.broken(Invariant, "an illegal change of the layout: %v", err)
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

// onLayoutGone: the znode is never deleted or recreated.
func (c *invariants) onLayoutGone() {
	c.broken(Invariant, "the layout's znode was deleted")
}

// onAssignment notes a partition's step, and judges the one step that the
// layout alone does not: the end of a move needs the fact F.
func (c *invariants) onAssignment(p node.PartitionID, next layout.Partition) {
	f := &c.layouts
	for len(f.history) <= int(p) {
		f.history = append(f.history, nil)
	}
	epochs := f.history[p]
	if int(next.Epoch) < len(epochs) {
		return // as it was
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
		c.broken(Invariant, "the move of partition %d from %v to %v was finished after epoch %d, and no epoch from %d on had committed its no-op under both quorums",
			p, was.Replicas, was.Next, was.Epoch, was.movingSince)
	}
}

// joint: some epoch of the range committed its own no-op by R and N.
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

// onFormed judges the first layout against a second implementation of the ring.
func (c *invariants) onFormed(l *layout.Layout) {
	if what := checkOwners(l); what != "" {
		c.broken(Invariant, "the first layout does not follow the ring: %s", what)
	}
	if c.ringPartitions == 0 {
		return
	}
	if what := checkRing(l, c.ringPartitions); what != "" {
		c.broken(Invariant, "the ring differs from its plain rule: %s", what)
	}
}
