package sim

import (
	"slices"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/ring"
	"dkv/sim/schedule"
)

// invariants checks what must hold at every step of every run: it judges each
// event that a node reports to its Observer and each layout that ZooKeeper
// commits. It sees all nodes at once, which no node can, so it detects a
// contradiction between two nodes at the step in which it arises. All facts are
// slices by host, partition, index and epoch, so that an event costs a few loads.
type invariants struct {
	*verdict
	hosts      []hostFacts
	partitions []partitionFacts
	layouts    layoutFacts
	// ringPartitions is an additional number of partitions for which the ring is
	// compared with its plain rule when the cluster forms; 0: only the cluster's
	// own number is checked.
	ringPartitions int
	rule           ring.Rule               // of the cluster's record
	formerRules    []ring.Rule             // those that the record had before
	counts         [node.EventKinds]uint64 // events by kind
}

// partitionFacts holds the facts about a partition on which all nodes must agree.
type partitionFacts struct {
	applied []entryName     // by index: the entry that any node applied there
	logged  [][]loggedEntry // by index: all entries that any log ever held there
	reigns  []reignFacts    // by epoch
	active  node.Epoch      // the greatest that has committed its no-op
}

// entryName identifies an entry. The zero value identifies none.
type entryName struct {
	epoch node.Epoch
	hash  uint64
}

type loggedEntry struct {
	entryName
	before node.Epoch // epoch of the entry at the preceding index; 0: not known
}

// reignFacts records which process acted as primary in an epoch, and whether its
// no-op was committed by both quorums of a move.
type reignFacts struct {
	host        int32 // 1 + the host; 0: no host yet
	incarnation uint64
	acts        bool // its promise is durable; until then it has sent nothing in this epoch
	jointActive bool
	active      int32 // 1 + the host that committed its no-op; 0: none did
}

// hostFacts holds the facts about the replicas of one host.
type hostFacts struct {
	incarnation uint64
	store       string // of its disk
	partitions  []replicaFacts
}

type replicaFacts struct {
	promised node.Epoch   // in memory, since the process began
	kept     node.Epoch   // durable, by this process or an earlier one
	applied  door.Index   // last applied since the process began; 0: nothing yet
	reached  door.Index   // greatest ever applied, by any process of the host
	log      []node.Epoch // by index: epoch of the entry; 0: not known
}

// maxEpoch and maxIndex bound the numbers in an event, and so the slices above. A
// run stays far below them.
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

// onEvent judges an event of the host's process with this incarnation.
func (c *invariants) onEvent(host int, incarnation uint64, ev *node.Event) {
	if int(ev.Kind) < len(c.counts) {
		c.counts[ev.Kind]++
	}
	h := &c.hosts[host]
	if h.incarnation != incarnation {
		h.begin(incarnation)
	}
	if ev.Kind == node.EventBooted && ev.Text != h.store {
		h.store = ev.Text
		for i := range h.partitions {
			if r := &h.partitions[i]; r.reached != maxIndex {
				*r = replicaFacts{} // nothing of the former disk is there
			}
		}
	}
	switch ev.Kind {
	case node.EventPromised, node.EventPromiseKept, node.EventLogged, node.EventCut, node.EventApplied,
		node.EventReignStarted, node.EventReignActive, node.EventJointActive, node.EventSnapshotInstalled,
		node.EventForgotten:
	default:
		return
	}
	if int(ev.Partition) >= len(c.partitions) || ev.Epoch >= maxEpoch || ev.Index >= maxIndex {
		c.broken(Invariant, "%s reports the impossible partition %d, epoch %d or index %d in event %v",
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
		// A crash may yet bring back what was forgotten, so reached stays.
		*r = replicaFacts{promised: r.promised, kept: r.kept, reached: r.reached}
	}
}

// deposed reports whether an epoch above e has committed its no-op, so that writes may
// have been acknowledged of which a primary of e knows nothing.
func (c *invariants) deposed(p node.PartitionID, e node.Epoch) bool {
	return int(p) < len(c.partitions) && c.partitions[p].active > e
}

// begin forgets the volatile facts: a new process starts from its disk.
func (h *hostFacts) begin(incarnation uint64) {
	h.incarnation = incarnation
	for i := range h.partitions {
		r := &h.partitions[i]
		r.promised, r.applied = 0, 0
		r.log = r.log[:0]
	}
}

// onDisk forgets what a host was seen to have: its disk was rolled back, or replaced by a
// copy of another, or it is its own again. What such a process does is judged by the
// facts on which all nodes must agree.
func (c *invariants) onDisk(host int) {
	for i := range c.hosts[host].partitions {
		c.hosts[host].partitions[i] = replicaFacts{reached: maxIndex}
	}
}

// promiseUnsynced reports whether the host's process made a promise that is not durable.
func (c *invariants) promiseUnsynced(host int, incarnation uint64) bool {
	h := &c.hosts[host]
	return h.incarnation == incarnation && slices.ContainsFunc(h.partitions, func(r replicaFacts) bool { return r.promised > r.kept })
}

func (c *invariants) reign(p node.PartitionID, e node.Epoch) *reignFacts {
	facts := &c.partitions[p]
	for len(facts.reigns) <= int(e) {
		facts.reigns = append(facts.reigns, reignFacts{})
	}
	return &facts.reigns[e]
}

// onPromised checks that a promise never decreases, neither within a process nor,
// once it is durable, across restarts.
func (c *invariants) onPromised(host int, r *replicaFacts, ev *node.Event) {
	if ev.Epoch < r.promised {
		c.broken(Invariant, "a promise decreases: %s went from epoch %d to %d of partition %d within one process",
			schedule.HostName(host), r.promised, ev.Epoch, ev.Partition)
	}
	if ev.Epoch < r.kept {
		c.broken(Invariant, "a promise decreases: %s had made its promise of epoch %d of partition %d durable, but has %d after a restart",
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

// onLogged checks log matching: two entries with equal index and epoch are equal,
// and so are the logs before them. By induction it suffices that the entries at
// the preceding index have equal epochs.
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
		c.broken(Invariant, "log matching: the entry before (index %d, epoch %d) of partition %d has epoch %[5]d on %[4]s, but epoch %[6]d elsewhere",
			ev.Index, ev.Epoch, ev.Partition, schedule.HostName(host), before, e.before)
	}
}

// loggedEntry returns the known entry with the event's index and epoch, adding it
// if it is new. It returns nil if the known entry has other contents.
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
			c.broken(Invariant, "log matching: the entry (index %d, epoch %d) of partition %d has other contents on %s than elsewhere",
				ev.Index, ev.Epoch, ev.Partition, schedule.HostName(host))
			return nil
		}
		return &at[i]
	}
	facts.logged[ev.Index] = append(at, loggedEntry{entryName: entryName{ev.Epoch, ev.Hash}})
	return &facts.logged[ev.Index][len(at)]
}

// onCut checks that a log keeps every applied entry.
func (c *invariants) onCut(host int, r *replicaFacts, ev *node.Event) {
	if ev.Index < r.applied {
		c.broken(Invariant, "the committed prefix changes: %s truncated its log of partition %d to index %d after applying %d",
			schedule.HostName(host), ev.Partition, ev.Index, r.applied)
	}
	if int(ev.Index)+1 < len(r.log) {
		r.log = r.log[:ev.Index+1]
	}
}

// onApplied checks that indices are applied consecutively, and that all nodes
// apply the same entry at an index, for ever. After a restart a node may begin
// again at any index that it had reached before.
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
		c.broken(Invariant, "the committed prefix changes: at index %d of partition %d, an entry of epoch %d was applied on %s, but another one of epoch %d before",
			ev.Index, ev.Partition, ev.Epoch, schedule.HostName(host), known.epoch)
	}
}

// onReignStarted checks that each epoch has a single acting primary, the one that
// the layout names. A process that died before its promise was durable had not
// acted yet, so another one may follow it. An epoch that was given out twice may be
// started by two hosts, of which onReignActive lets one become active.
func (c *invariants) onReignStarted(host int, incarnation uint64, r *replicaFacts, ev *node.Event) {
	reign := c.reign(ev.Partition, ev.Epoch)
	second := c.layouts.second(ev.Partition, ev.Epoch)
	if other := int(reign.host) != host+1; reign.acts && (other && second == 0 || !other && reign.incarnation != incarnation) {
		c.broken(Invariant, "two acting primaries: process %d of %s and process %d of %s both act in epoch %d of partition %d",
			reign.incarnation, schedule.HostName(int(reign.host)-1), incarnation, schedule.HostName(host), ev.Epoch, ev.Partition)
	}
	reign.host, reign.incarnation, reign.acts = int32(host)+1, incarnation, false
	if ev.Epoch < r.promised {
		c.broken(Invariant, "%s acts in epoch %d of partition %d after promising %d", schedule.HostName(host), ev.Epoch, ev.Partition, r.promised)
	}
	named, ok := c.layouts.assignment(ev.Partition, ev.Epoch)
	if !ok {
		c.broken(Invariant, "%s acts in epoch %d of partition %d, which no layout contains", schedule.HostName(host), ev.Epoch, ev.Partition)
		return
	}
	if at := c.layouts.host(named.Primary); at != host && (second == 0 || c.layouts.host(second) != host) {
		c.broken(Invariant, "%s acts in epoch %d of partition %d, whose primary is member %d",
			schedule.HostName(host), ev.Epoch, ev.Partition, named.Primary)
	}
}

// onReignActive checks that one primary of an epoch becomes active, and none after it has
// promised a higher epoch, which ended its reign.
func (c *invariants) onReignActive(host int, r *replicaFacts, ev *node.Event) {
	if r.promised > ev.Epoch {
		c.broken(Invariant, "%s becomes active in epoch %d of partition %d after promising %d", schedule.HostName(host), ev.Epoch, ev.Partition, r.promised)
	}
	reign := c.reign(ev.Partition, ev.Epoch)
	if reign.active != 0 && int(reign.active) != host+1 {
		c.broken(Invariant, "two active primaries: %s and %s both became active in epoch %d of partition %d",
			schedule.HostName(int(reign.active)-1), schedule.HostName(host), ev.Epoch, ev.Partition)
	}
	reign.active = int32(host) + 1
	facts := &c.partitions[ev.Partition]
	facts.active = max(facts.active, ev.Epoch)
}

// onSnapshotInstalled checks that a snapshot never takes a replica back behind
// what it has applied.
func (c *invariants) onSnapshotInstalled(host int, r *replicaFacts, ev *node.Event) {
	if ev.Index < r.applied {
		c.broken(Invariant, "the applied index decreases: %s installed a snapshot of partition %d at index %d after applying %d",
			schedule.HostName(host), ev.Partition, ev.Index, r.applied)
	}
	r.applied = ev.Index
	r.reached = max(r.reached, ev.Index)
	r.log = r.log[:0]
}
