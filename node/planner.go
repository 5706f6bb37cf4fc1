package node

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/ring"
)

// How the layout is read, copied and changed. It is one znode; every change is a set
// conditional on the version read, and carries all the steps that this node wants at
// the time (rule "compare and set"). After a conflict or a lost answer the layout is
// read, and every step is judged anew against what is there: nothing is repeated
// because it was wanted before.

// planner is the part of a node that reads and changes the layout. At most one
// reading and one compare-and-set are under way; while either is, no step is taken,
// since it would be judged by a layout that is about to be replaced.
type planner struct {
	setting  bool           // a compare-and-set is under way
	pending  layout.Applied // what it would make
	tried    layout.Applied // what got no answer; its Layout is nil if nothing did
	reading  bool
	readings uint64        // that found a layout
	again    bool          // read again after the reading under way
	retryAt  time.Duration // after a conflict
	backoff  time.Duration
	targets  []ring.Target // of the layout's members
	members  []layout.Member
	placedOn time.Duration // when the members on which the ring places changed last
	askedAt  time.Duration // when a peer was last asked for its copy
	adopted  []byte        // the layout adopted last, as the znode holds it
	fault    Fault         // in the layout's znode, as read last
	moves    moveProgress
}

func (n *Node) layoutPath() string { return n.root() + "/layout" }

func (n *Node) layoutVersion() int32 {
	if n.layout == nil {
		return -1
	}
	return n.layout.Version()
}

// takeSteps makes the steps that this node wants just now, all in one compare-and-set. It
// runs at every tick, and whenever a taker's wait has passed.
func (n *Node) takeSteps() {
	p := &n.planner
	now := n.now()
	if n.layout == nil || p.setting || p.reading || now < p.retryAt || !n.registered() || n.stopping && !n.parting.handing || n.stamps.accused() || p.fault.Kind == FaultEdited {
		return
	}
	steps := n.dueSteps(now)
	var changes []layout.MemberChange
	if n.stopping {
		steps = n.partingSteps(now)
	} else {
		changes = n.dueChanges(now)
	}
	if len(steps)+len(changes) == 0 {
		return
	}
	// Apply judges each step by the layout that is known here. A step whose partition
	// has moved on since is left out, and the others are made all the same.
	result := n.layout.Apply(steps, changes...)
	n.commandsRejected(result.RejectedChanges)
	if result.Layout == n.layout {
		n.releaseAll(now)
		return
	}
	data, err := result.Layout.Encode()
	if err != nil {
		n.alarm("the layout can't be changed: %v", err)
		p.retryAt = now + n.cfg.SettleTime
		return
	}
	p.setting, p.pending = true, result
	ops := []door.Op{{Kind: door.OpSet, Path: n.layoutPath(), Data: data, Version: n.layout.Version()}}
	needed := n.mustBeRegistered(result)
	for _, m := range needed {
		ops = append(ops, door.Op{Kind: door.OpCheck, Path: n.livePath(m.Node), Version: door.AnyVersion})
	}
	session := n.member.session
	session.Multi(ops, func(err error) {
		var refusal *door.OpError
		switch {
		case n.dead || n.member.session != session:
		case errors.As(err, &refusal) && refusal.Op > 0:
			n.neededIsAway(needed[refusal.Op-1])
		default:
			n.onLayoutSet(result, data, err)
		}
	})
}

// mustBeRegistered returns the members to which steps hand a partition, and those that join,
// each once. The set is made on the condition that each of them is registered: one that has
// left leads nothing (rule "hand over before leaving"), and stores nothing.
func (n *Node) mustBeRegistered(result layout.Applied) []layout.Member {
	var needed []layout.Member
	for _, s := range result.Steps {
		m, ok := n.layout.Member(s.Primary)
		handsOver := s.Kind == layout.ChangePrimary || s.Kind == layout.FinishMove
		if handsOver && s.Primary != n.self && ok && !slices.Contains(needed, m) {
			needed = append(needed, m)
		}
	}
	for _, c := range result.Changes {
		if c.Kind == layout.Join {
			needed = append(needed, c.Member)
		}
	}
	return needed
}

// neededIsAway takes the answer that nothing was changed, since a member that would lead a
// partition, or join, is not registered.
func (n *Node) neededIsAway(m layout.Member) {
	n.planner.setting = false
	n.observe(Event{Kind: EventHeirAway, Peer: m.Number})
	if n.stopping {
		n.parting.away = append(n.parting.away, m.Number)
	}
	n.roster.changed()
	n.releaseAll(n.now())
	n.backOff()
	n.wantLayout()
}

// dueSteps asks every replica, in the order of the partitions. A replica that wants to
// take over has no say in a move at the same time: one epoch, one step.
func (n *Node) dueSteps(now time.Duration) []layout.Step {
	var steps []layout.Step
	for _, r := range n.replicas {
		if r == nil {
			continue
		}
		if step, ok := r.dueTakeOver(now); ok {
			steps = append(steps, step)
		} else if step, ok := r.dueMove(now); !ok {
			r.release(now)
		} else if r.drained(&step, now) {
			steps = append(steps, step)
		}
	}
	return steps
}

// dueChanges returns what this node would change in the list of members: its own entry,
// what an operator asked for, and what is its turn to do.
func (n *Node) dueChanges(now time.Duration) []layout.MemberChange {
	changes := n.ownChange()
	changes = append(changes, n.commandedChanges()...)
	for _, c := range n.plannedChanges(now) {
		if !slices.Contains(changes, c) { // what an operator asks for is made once
			changes = append(changes, c)
		}
	}
	return changes
}

// ownChange corrects the own entry, when the node came back under another address, or
// after it was replaced. Peers dial what the layout says.
func (n *Node) ownChange() []layout.MemberChange {
	m, ok := n.layout.Member(n.self)
	if !ok || m.State == layout.Gone {
		return nil
	}
	was := m
	m.Peer, m.HTTP = n.cfg.PeerAddress, n.cfg.HTTPAddress
	if m.State == layout.Replaced {
		m.State = layout.Active
	}
	if m == was {
		return nil
	}
	return []layout.MemberChange{{Kind: layout.Update, Member: m}}
}

// onLayoutSet takes the answer to a compare-and-set. Without an answer the set may have
// been made, or may still be; tried remembers it until a reading shows which.
func (n *Node) onLayoutSet(result layout.Applied, data []byte, err error) {
	p := &n.planner
	p.setting = false
	switch {
	case err == nil:
		p.backoff = 0
		n.stepsTaken(result)
		n.changesMade(result)
		n.adopt(result.Layout, data)
		n.stepsOfDrained()
	case errors.Is(err, door.ErrBadVersion):
		n.observe(Event{Kind: EventLayoutConflict, Index: Index(n.layout.Version())})
		n.releaseAll(n.now())
		n.backOff()
		n.wantLayout()
	default:
		n.observe(Event{Kind: EventLayoutUnknown, Index: Index(n.layout.Version())})
		p.tried = result
		n.backOff()
		n.wantLayout()
	}
}

// backOff waits, twice as long after each failure in a row, with jitter: the nodes that
// met in one conflict would otherwise meet in the next.
func (n *Node) backOff() {
	p := &n.planner
	p.backoff = min(max(2*p.backoff, n.cfg.SuspectAfter/32), n.cfg.SuspectAfter)
	wait := p.backoff/2 + n.jitter(p.backoff)
	p.retryAt = n.now() + wait
	n.after(wait, n.takeSteps)
}

// stepsTaken observes what this node's steps were. They are compared with the layout that
// they changed: a peer may have sent the next one before ZooKeeper's answer came.
func (n *Node) stepsTaken(result layout.Applied) {
	for _, s := range result.Steps {
		was, _ := result.From.Partition(s.Partition)
		e := Event{Partition: s.Partition, Epoch: s.Epoch + 1, Peer: s.Primary}
		switch {
		case s.Kind == layout.BeginMove:
			e.Kind = EventMoveBegun
		case s.Kind == layout.FinishMove:
			e.Kind = EventMoveFinished
		case s.Kind == layout.CancelMove:
			e.Kind = EventMoveCancelled
		case s.Primary == was.Primary:
			e.Kind = EventBump
		case s.Primary == n.self:
			e.Kind = EventTakeOver
			if r := n.held(s.Partition); r != nil {
				r.tookOverFrom(was.Primary)
			}
		case n.stopping:
			e.Kind = EventHandedOverAtStop
			n.replica(s.Partition).passed = true
		default:
			e.Kind = EventHandOver
		}
		n.observe(e)
	}
}

// wantLayout reads the layout again, from ZooKeeper; if that is away, peers are asked. The
// reading sets the watch for the next change (rule "read again"). What is wanted while a
// reading is under way is read afterwards: that one may have been answered already.
func (n *Node) wantLayout() {
	p := &n.planner
	if p.reading {
		p.again = true
		return
	}
	if !n.registered() {
		n.askPeersForLayout()
		return
	}
	p.reading = true
	session := n.member.session
	session.Get(n.layoutPath(), true, func(data []byte, stat door.Stat, err error) {
		if !n.dead && n.member.session == session {
			n.onLayoutRead(data, stat, err)
		}
	})
}

// onLayoutRead adopts what ZooKeeper has. A missing layout means that the cluster has not
// been formed, but only to a node that never saw one: to any other it means that ZooKeeper
// lost it, and forming anew would give out its epochs a second time.
func (n *Node) onLayoutRead(data []byte, stat door.Stat, err error) {
	p := &n.planner
	p.reading = false
	switch {
	case err == nil:
		p.readings++
		n.takeLayout(data, stat.Version)
		n.member.wasMember = n.member.wasMember || n.self != 0
	case errors.Is(err, door.ErrNoNode) && n.layout == nil:
		n.formCluster()
	case errors.Is(err, door.ErrNoNode):
		n.faulty(&p.fault, FaultWiped, "ZooKeeper has no layout of cluster %s, which had version %d: it was wiped, or is the wrong one; restore it, or write the layout of any node's /v1/cluster back to %s", n.cluster, n.layout.Version(), n.layoutPath())
	default:
		p.again = false
		n.after(n.interval()/2+n.jitter(n.interval()), n.wantLayout)
	}
	if p.again {
		p.again = false
		n.wantLayout()
	}
	n.stepsOfDrained()
}

// takeLayout decodes what was read, unless it is what was adopted last, and judges it
// (rule "no lower layout"). A layout whose version is not its znode's was not written by a
// node, and the next compare-and-set would not be conditional on what this node read.
func (n *Node) takeLayout(data []byte, version int32) {
	if n.layout != nil && version == n.layout.Version() && bytes.Equal(data, n.planner.adopted) {
		n.planner.fault = Fault{}
		n.resolveTried(n.layout)
		return
	}
	l, err := layout.Decode(data)
	if err == nil && l.Version() != version {
		l, err = nil, errors.New("its version differs from its znode's, so it was not written by a node")
	}
	var newer *layout.NewerError
	switch {
	case errors.As(err, &newer):
		// Not damage, and nothing to restore: a set by this node would be refused, since
		// its version is not the one that was read.
		text := fmt.Sprintf("the layout in ZooKeeper can't be read: %v; start that version or a later one here", err)
		n.member.waitingFor = text
		n.faulty(&n.planner.fault, FaultUnreadable, "%s", text)
		return
	case err != nil:
		n.faulty(&n.planner.fault, FaultUnreadable, "the layout in ZooKeeper can't be used: %v; restore it from the /v1/cluster of any node", err)
		return
	}
	if n.layout != nil && l.Version() < n.layout.Version() {
		n.provenLower(l.Version())
		return
	}
	n.resolveTried(l)
	refusal := n.adopt(l, data)
	if refusal == "" && n.layout.Version() == l.Version() && !bytes.Equal(data, n.planner.adopted) {
		refusal = fmt.Sprintf("refusing layout version %d in %s: it differs from the one of that version which is held here, so it was edited or rolled back; this node keeps its own copy", l.Version(), n.layoutPath())
		n.alarm("%s", refusal)
	}
	n.planner.fault = Fault{Why: refusal}
	if refusal != "" {
		n.planner.fault.Kind = FaultEdited
	}
}

// resolveTried finds out whether a compare-and-set without an answer was made: the layout
// of its version is the one that it would have made, or another one. If a later version is
// there the question is moot, and only the events of the steps are lost.
func (n *Node) resolveTried(l *layout.Layout) {
	tried := n.planner.tried
	if tried.Layout == nil {
		return
	}
	n.planner.tried = layout.Applied{}
	if l.Version() != tried.Layout.Version() || !sameLayout(l, tried.Layout) {
		return // not made so far, and conditional; or made and followed by others
	}
	n.observe(Event{Kind: EventAppliedUnanswered, Index: Index(l.Version())})
	n.stepsTaken(tried)
	n.changesMade(tried)
}

// sameLayout compares two layouts by their encodings, of which each has only one.
func sameLayout(a, b *layout.Layout) bool {
	x, errX := a.Encode()
	y, errY := b.Encode()
	return errX == nil && errY == nil && string(x) == string(y)
}

// provenLower asks whether ZooKeeper's layout is truly older than the copy here, or only
// the server that was read lags: a check goes through the leader. Either way the node
// keeps its copy, since adopting a lower version could start an epoch twice.
func (n *Node) provenLower(version int32) {
	session := n.member.session
	session.Multi([]door.Op{{Kind: door.OpCheck, Path: n.layoutPath(), Version: version}}, func(err error) {
		if n.dead || n.member.session != session {
			return
		}
		if err == nil && version < n.layout.Version() {
			n.faulty(&n.planner.fault, FaultRolledBack, "ZooKeeper's layout has version %d, this node has seen %d: ZooKeeper was rolled back; this node keeps its own copy", version, n.layout.Version())
		}
		if err != nil {
			n.after(n.interval()+n.jitter(n.interval()), n.wantLayout)
		}
	})
}

// adopt follows a newer layout. It is stored with the turn's commit, in the batch of
// whatever is done in its epochs, so that no promise on this disk is of an epoch that its
// layout does not explain. data is its encoding, the only one. It returns why the layout is
// refused, after an alarm; "" if it is followed, or is not newer.
func (n *Node) adopt(l *layout.Layout, data []byte) (refusal string) {
	if n.layout != nil && l.Version() <= n.layout.Version() {
		return ""
	}
	if refusal = n.otherCluster(l); refusal == "" {
		refusal = n.contradicts(l)
	}
	if refusal != "" {
		n.alarm("%s", refusal)
		return refusal
	}
	first := n.layout == nil
	n.planner.adopted = data
	if n.layout != nil && !slices.Equal(n.layout.Members(), l.Members()) {
		n.roster.known = false // other names need explaining
	}
	n.turn.batch.Put(keyLayout, data)
	if first {
		n.cluster, n.member.waitingFor = l.Cluster(), "" // it waited for this layout
		n.turn.batch.Put(keyCluster, []byte(n.cluster))
	}
	n.useLayout(l)
	n.observe(Event{Kind: EventLayout, Index: Index(l.Version())})
	for p, a := range l.Partitions() {
		n.learn(PartitionID(p), a)
		if r := n.held(PartitionID(p)); r != nil && r.promised == a.Epoch {
			r.raise(a.Epoch, a.Primary) // names the primary of a promise that names none
		}
	}
	n.followAll()
	n.countMoves()
	if n.stopping && n.parting.led > 0 {
		n.tellPeers()
	}
	if first {
		n.notice("the cluster has a layout of %d members and %d partitions", len(l.Members()), l.Q())
	}
	return ""
}

// followAll has the replicas follow what was learned before this node knew that it is a
// member.
func (n *Node) followAll() {
	for p, a := range n.assignments {
		if n.self == 0 || !a.Names(n.self) {
			continue
		}
		if r := n.replica(PartitionID(p)); r.followed != a.Epoch {
			r.onAssignment(a)
		}
	}
}

// otherCluster returns why a layout cannot follow the one known; "" if it can.
func (n *Node) otherCluster(l *layout.Layout) string {
	switch {
	case n.cluster != "" && l.Cluster() != n.cluster:
		return fmt.Sprintf("refusing a layout of cluster %s: this store belongs to %s; check --zookeeper and --cluster", l.Cluster(), n.cluster)
	case n.layout != nil && l.Q() != n.layout.Q():
		return fmt.Sprintf("refusing layout version %d: it has %d partitions instead of %d, so it was not written by a node", l.Version(), l.Q(), n.layout.Q())
	}
	return ""
}

// contradicts returns how a layout gives out an epoch twice, by what this node knows:
// an epoch in it fell, or it names another assignment for an epoch that was known here, or
// another primary than the promise (rules "no lower layout", "a promise names its
// primary"); "" if it does not. Such a layout was edited, or follows one that was rolled back.
func (n *Node) contradicts(l *layout.Layout) string {
	for p, a := range l.Partitions() {
		if why := n.contradiction(PartitionID(p), a); why != "" {
			return fmt.Sprintf("refusing layout version %d: for partition %d it names epoch %d under member %d, but %s; the layout in %s was edited or rolled back, and this node keeps its own copy; no step can be taken before that partition has an epoch above all that nodes name", l.Version(), p, a.Epoch, a.Primary, why, n.layoutPath())
		}
	}
	return ""
}

func (n *Node) contradiction(p PartitionID, a Assignment) string {
	if n.layout != nil {
		if was, _ := n.layout.Partition(p); a.Epoch < was.Epoch {
			return fmt.Sprintf("layout version %d, held here, has epoch %d", n.layout.Version(), was.Epoch)
		}
		if known := n.assignments[p]; a.Epoch == known.Epoch && !a.Equal(known) {
			return fmt.Sprintf("that epoch was known as led by member %d, with replicas %v and next %v", known.Primary, known.Replicas, known.Next)
		}
	}
	if r := n.held(p); r != nil && a.Epoch == r.promised && r.promisedTo != 0 && r.promisedTo != a.Primary {
		return fmt.Sprintf("that epoch is promised to member %d here", r.promisedTo)
	}
	return ""
}

// useLayout makes a layout the node's own copy; assignments follow by learn.
func (n *Node) useLayout(l *layout.Layout) {
	first := n.layout == nil
	n.layout = l
	if first {
		n.assignments = make([]Assignment, l.Q())
		n.replicas = make([]*replica, l.Q())
		n.scratch.listed = make([]bool, l.Q())
		if !n.begun {
			copy(n.assignments, l.Partitions())
		}
	}
	if !slices.Equal(n.planner.members, l.Members()) {
		if !slices.Equal(ringMembers(n.planner.members), ringMembers(l.Members())) {
			n.planner.placedOn = n.now()
			n.retryMoves()
		}
		n.planner.members, n.planner.targets = l.Members(), nil
		unlisted := func(m MemberNumber, _ time.Duration) bool { _, ok := l.Member(m); return !ok }
		// order-free: each entry is judged by itself
		maps.DeleteFunc(n.heard, unlisted)
		// order-free: no entry depends on another
		maps.DeleteFunc(n.pinged, unlisted)
	}
	n.knowSelf(l)
	n.requests.rerouted = true
}

// knowSelf finds the own number in a layout. A member that was removed is a stranger, and
// if it joins again it gets another number. Reigns under the old one end first.
func (n *Node) knowSelf(l *layout.Layout) {
	number := MemberNumber(0)
	if m, ok := l.MemberByStore(n.store); ok && m.State != layout.Gone {
		number = m.Number
	}
	if number == n.self {
		return
	}
	was := n.self
	n.self = number
	if was != 0 {
		n.endReigns("this node was removed from the cluster")
		n.becomeStranger(was)
	}
	if number != 0 {
		n.observe(Event{Kind: EventMember, Peer: number})
	}
}

// preferred returns the ring's choice of a primary; 0 if it has none.
func (n *Node) preferred(p PartitionID) MemberNumber {
	if !n.placed() {
		return 0
	}
	return MemberNumber(n.planner.targets[p].Primary)
}

// target returns the ring's choice of replicas; nil if it has none.
func (n *Node) target(p PartitionID) []uint64 {
	if !n.placed() {
		return nil
	}
	return n.planner.targets[p].Replicas
}

// mayTarget reports whether the ring means a partition for this node, or may: a node that
// has not read the cluster's record knows no rule.
func (n *Node) mayTarget(p PartitionID) bool {
	return !n.placed() || slices.Contains(n.target(p), uint64(n.self))
}

// placed has the ring place the partitions on the members of the layout, and reports
// whether it could.
func (n *Node) placed() bool {
	if n.layout == nil || n.rule.Version == 0 {
		return false
	}
	if n.planner.targets == nil {
		targets, err := n.rule.Assign(n.layout.Q(), n.layout.Replication(), ringMembers(n.layout.Members()))
		if err != nil {
			return false
		}
		n.planner.targets = targets
		n.countMoves()
	}
	return true
}

// ringMembers lists the members on which the ring places partitions. One that is leaving
// gets no new ones; one that is gone has none.
func ringMembers(members []layout.Member) []ring.Member {
	var all []ring.Member
	for _, m := range members {
		if m.State == layout.Active {
			all = append(all, ring.Member{Number: uint64(m.Number), ID: string(m.Node), Weight: m.Weight, Zone: m.Zone})
		}
	}
	return all
}

// compareLayouts lets the side with the lower version ask for the copy, so that routing
// heals while ZooKeeper is away: rule "pass the layout on". Once an interval, because each
// frame of each peer says the same.
func (n *Node) compareLayouts(peer MemberNumber, version int32) {
	if version <= n.layoutVersion() {
		return
	}
	now := n.now()
	if n.planner.askedAt != 0 && now-n.planner.askedAt < n.interval() {
		return
	}
	n.planner.askedAt = now
	n.send(peer, &LayoutRequest{})
}

// askPeersForLayout asks all of them, once an interval.
func (n *Node) askPeersForLayout() {
	now := n.now()
	if n.layout == nil || n.planner.askedAt != 0 && now-n.planner.askedAt < n.interval() {
		return
	}
	n.planner.askedAt = now
	for _, m := range n.layout.Members() {
		if m.Number != n.self && m.State != layout.Gone {
			n.send(m.Number, &LayoutRequest{})
		}
	}
}

// onLayoutRequest sends the copy. A node that stops asks, and then leaves: what it did with
// forwards whose answers were lost must be asked before.
func (n *Node) onLayoutRequest(m *Envelope) {
	if n.layout == nil {
		return
	}
	n.askBeforeItLeaves(m.From)
	if data, err := n.layout.Encode(); err == nil {
		n.send(m.From, &LayoutCopy{data})
	}
}

// onLayoutCopy adopts a peer's newer copy. Whether it came from ZooKeeper or from a peer
// makes no difference: a version was written once.
func (n *Node) onLayoutCopy(m *Envelope, c *LayoutCopy) {
	if n.layout != nil && bytes.Equal(c.Data, n.planner.adopted) {
		n.peerKnows(m.From, n.layoutVersion())
		return // most copies, because several peers are asked
	}
	l, err := layout.Decode(c.Data)
	if err != nil {
		n.alarm("member %d sent a layout that can't be used: %v", m.From, err)
		return
	}
	n.peerKnows(m.From, l.Version())
	if n.layout == nil || l.Version() > n.layout.Version() {
		n.observe(Event{Kind: EventLayoutCopied, Index: Index(l.Version()), Peer: m.From})
		n.adopt(l, c.Data)
	}
}
