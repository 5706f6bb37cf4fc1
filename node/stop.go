package node

import (
	"errors"
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

// How a node that is told to stop leaves (rule "hand over before leaving"):
//
//	Stop ─▶ part ─▶ partingSteps ─▶ takeSteps (planner.go): one L1 for each partition
//	     ─▶ tellPeers ⇄ onLayoutCopy (their answers) ─▶ signOff ─▶ leave
//
// While it hands over, writes are held: those of peers in the queue of the reign, those of
// its own clients as waiting operations. The new epoch refuses the first, so that their
// origins send them to the heir, and routes the second.

// parting is how far an orderly stop has come.
type parting struct {
	began   time.Duration
	until   time.Duration  // the wait for answers ends; 0 while handing
	handing bool           // writes are held, and partitions handed over
	led     int            // partitions, when it began to hand over
	away    []MemberNumber // heirs that turned out not to be registered

	version   int32         // of the layout when it had handed over
	tells     bool          // peers must know it before this node leaves
	told      []knownLayout // what peers said that they know
	askedAt   time.Duration // when they were last told
	signedOff bool          // the registration was taken back
	stirred   time.Duration // when a peer last forwarded something here
}

// knownLayout is the version that a peer has.
type knownLayout struct {
	member  MemberNumber
	version int32
}

const (
	// StopTime bounds an orderly stop.
	StopTime = 10 * time.Second
	// handOverTime is how much of it the hand-over may take; what is held is refused then.
	handOverTime = StopTime / 2
)

// Stop hands this node's partitions over, waits for the answers to its requests, closes the
// session, and runs done once, within StopTime, unless the node fails before. Clients are
// served while it hands over, and refused afterwards. Without ZooKeeper it hands nothing
// over: the others take its partitions when it is silent.
func (n *Node) Stop(done func()) {
	if n.dead || n.stopping {
		done()
		return
	}
	now := n.now()
	n.stopping = true
	n.parting = parting{began: now, stirred: now, handing: n.registered() && !n.stamps.accused(), led: n.led()}
	if n.parting.handing {
		n.notice("stopping: %d partitions are handed over, and requests under way are ended", n.parting.led)
	} else {
		n.notice("stopping: new requests are refused, and those under way are ended")
	}
	n.part(done)
}

// part does what is next, and asks again a little later. The session is closed last: until
// then peers see the node as registered, and afterwards its ephemeral is gone without
// waiting for the session timeout.
func (n *Node) part(done func()) {
	p, now := &n.parting, n.now()
	if !p.handing && n.givenMeanwhile(now) {
		p.handing, p.until, p.led = true, 0, n.led()
		n.observe(Event{Kind: EventGivenAtStop, Index: Index(p.led)})
	}
	if p.handing {
		n.takeSteps()
		if n.handsOver(now) {
			n.refuseLateHeld(now)
			n.after(n.cfg.SuspectAfter/32, func() { n.part(done) })
			return
		}
		p.handing = false
		n.endHandOver()
	}
	if p.until == 0 {
		p.until = min(p.began+StopTime, now+2*n.cfg.SuspectAfter+time.Second)
	}
	if now < p.until && (n.busy() || p.tells && !n.peersKnow(now)) {
		if p.tells && now-p.askedAt >= n.interval() {
			n.tellPeers()
		}
		n.after(n.cfg.SuspectAfter/32, func() { n.part(done) })
		return
	}
	n.signOff(done)
}

// givenMeanwhile reports whether a primary has handed a partition to this node, not knowing
// that it stops. It is handed on as those before it were.
func (n *Node) givenMeanwhile(now time.Duration) bool {
	return !n.parting.signedOff && n.registered() && !n.stamps.accused() && n.handsOver(now)
}

// signOff takes the own registration back, on the condition that the layout is the one by
// which nothing is left to hand over. A hand-over (L1) to this node is conditional on its
// registration; so of the two, ZooKeeper makes one. Without an answer the node leaves
// all the same, since a stop takes a bounded time.
func (n *Node) signOff(done func()) {
	if n.parting.signedOff || !n.registered() || n.layout == nil || n.now()-n.parting.began >= handOverTime {
		n.leave(done)
		return
	}
	answered := false
	once := func(err error) {
		switch {
		case answered || n.dead:
			return
		case errors.Is(err, door.ErrBadVersion):
			n.wantLayout()
			n.after(n.cfg.SuspectAfter/32, func() { n.part(done) })
		default:
			n.parting.signedOff = true
			n.part(done) // a forward may have come meanwhile
		}
		answered = true
	}
	n.member.session.Multi([]door.Op{
		{Kind: door.OpCheck, Path: n.layoutPath(), Version: n.layout.Version()},
		{Kind: door.OpDelete, Path: n.livePath(n.cfg.ID), Version: door.AnyVersion},
	}, once)
	n.after(n.stopWait(), func() { once(nil) })
}

// stopWait returns how long a stop waits for one answer of ZooKeeper: a stop takes a bounded
// time.
func (n *Node) stopWait() time.Duration {
	return max(0, min(n.cfg.SuspectAfter, n.parting.began+StopTime-n.now()))
}

// leave ends what is left, and the node.
func (n *Node) leave(done func()) {
	for _, o := range n.requests.all {
		n.giveUp(o, "the node is stopping")
	}
	n.endCommands()
	n.endSettingCalls()
	for _, t := range slices.Clone(n.transfers) {
		n.closeTransfer(t)
	}
	end := func() {
		n.dead = true
		done()
	}
	if n.member.session == nil {
		n.after(0, end)
		return
	}
	n.tellLast(func() {
		if n.member.session == nil {
			end()
			return
		}
		n.member.session.Close(end)
	})
}

// busy reports whether a request is under way, of this node or forwarded to it.
func (n *Node) busy() bool {
	for _, r := range n.replicas {
		if r != nil && r.reign != nil && len(r.reign.writes)+len(r.reign.reads) > 0 {
			return true
		}
	}
	return n.requests.open() > 0
}

// led counts the partitions whose primary this node is, by the newest that it knows.
func (n *Node) led() (count int) {
	for i := range n.assignments {
		if n.self != 0 && n.assignments[i].Primary == n.self {
			count++
		}
	}
	return count
}

// handsOver reports whether partitions may yet be handed over.
func (n *Node) handsOver(now time.Duration) bool {
	since := now - n.parting.began
	young := since < n.cfg.SuspectAfter
	switch {
	case since >= handOverTime || !n.registered() && !young:
		return false
	case n.planner.setting:
		return true
	}
	return slices.ContainsFunc(n.replicas, func(r *replica) bool { return r != nil && r.mayPass(young) })
}

// mayPass reports whether an heir may come to be fit. A partition is handed over once in a
// stop: when it comes back, the heir is stopping too. A reign without a quorum gets as long
// as the others would wait before they take over.
func (r *replica) mayPass(young bool) bool {
	g := r.reign
	return g != nil && r.known().Primary == r.n.self && g.epoch == r.known().Epoch &&
		!r.passed && !g.abandoned && len(g.followers) > 0 && (young || !g.quiet)
}

// partingSteps returns L1 to an heir for each partition, all at once, so that the clients
// wait for one compare-and-set; what is not ready within half of suspect-after follows
// when it is.
func (n *Node) partingSteps(now time.Duration) []layout.Step {
	var steps []layout.Step
	var given []MemberNumber
	for _, r := range n.replicas {
		if r == nil || !r.mayPass(true) {
			continue
		}
		heir := r.heir(now, given)
		if heir == 0 {
			if now-n.parting.began < n.cfg.SuspectAfter/2 {
				return nil
			}
			continue
		}
		given = append(given, heir)
		steps = append(steps, layout.Step{Kind: layout.ChangePrimary, Partition: r.id, Epoch: r.known().Epoch, Primary: heir})
	}
	return steps
}

// heir returns the member to which the partition can be handed without a loss of time: all
// that was proposed is committed, and the heir's log ends where the own one does, so that it
// has nothing to copy and every write proposed here was answered. 0 while no follower is fit. The
// ring's choice comes first, then the replica that was given least; a member of N alone is
// the last choice. That a member failed lately, or that the reign is young, does not matter:
// the alternative is a partition without a primary.
func (r *replica) heir(now time.Duration, given []MemberNumber) MemberNumber {
	g, last := r.reign, r.log.lastIndex()
	if !g.active || g.quiet || r.commit != last {
		return 0
	}
	preferred, best, least := r.n.preferred(r.id), MemberNumber(0), 0
	for _, f := range g.followers {
		if f.match != last || now-f.answered > r.n.cfg.SuspectAfter/2 || contains(r.n.parting.away, f.member) {
			continue
		}
		if f.member == preferred && f.inR {
			return preferred
		}
		load := 0
		for _, m := range given {
			if m == f.member {
				load++
			}
		}
		if !f.inR {
			load += len(r.n.replicas)
		}
		if best == 0 || load < least {
			best, least = f.member, load
		}
	}
	return best
}

// holdsWrites reports whether a write that arrives has to wait for the heir. One that the log
// took now would have to be committed before the partition can be handed over, and so
// would the next.
func (n *Node) holdsWrites() bool { return n.stopping && n.parting.handing }

// heldForHeir is why an operation waits meanwhile.
const heldForHeir = "the primary is stopping, and hands the partition over"

// refuseLateHeld refuses what would otherwise be held beyond its deadline: its origin, which
// has sent it, could then only call it unknown.
func (n *Node) refuseLateHeld(now time.Duration) {
	for _, r := range n.replicas {
		if r == nil || r.reign == nil || len(r.reign.queue) == 0 {
			continue
		}
		g := r.reign
		g.queue = slices.DeleteFunc(g.queue, func(w *work) bool {
			late := !w.ended && now >= w.deadline-n.cfg.SuspectAfter
			if late {
				g.queueBytes -= w.size()
				w.refuse("the primary is stopping")
			}
			return late
		})
	}
}

// endHandOver refuses what is still held, and says how much could not be handed over.
func (n *Node) endHandOver() {
	p, left := &n.parting, n.led()
	p.version, p.tells = n.layoutVersion(), n.layout != nil
	for _, r := range n.replicas {
		if r == nil || r.reign == nil {
			continue
		}
		queue := r.reign.queue
		r.reign.queue, r.reign.queueBytes = nil, 0
		for _, w := range queue {
			w.refuse("the primary stops")
		}
	}
	if left > 0 {
		n.notice("stopping: %d of %d partitions could not be handed over; their replicas take them over when this node is silent", left, max(left, p.led))
	}
}

// tellPeers sends the layout to all that may still send requests here, and asks for theirs.
// Whatever a peer sent before it answers arrives before the answer, unless the network
// reorders frames; so once all have answered, no request for a former epoch is on its way.
func (n *Node) tellPeers() {
	n.parting.askedAt = n.now()
	for _, m := range n.layout.Members() {
		if m.Number != n.self && m.State != layout.Gone && !n.parting.knows(m.Number, n.layoutVersion()) {
			n.send(m.Number, &LayoutCopy{n.planner.adopted})
			n.send(m.Number, &LayoutRequest{})
		}
	}
}

func (p *parting) knows(m MemberNumber, version int32) bool {
	return slices.ContainsFunc(p.told, func(k knownLayout) bool { return k.member == m && k.version >= version })
}

// peerKnows notes the version of a layout that a peer sent.
func (n *Node) peerKnows(m MemberNumber, version int32) {
	if !n.stopping {
		return
	}
	told := &n.parting.told
	*told = slices.DeleteFunc(*told, func(k knownLayout) bool { return k.member == m && k.version < version })
	if !n.parting.knows(m, version) {
		*told = append(*told, knownLayout{m, version})
	}
}

// peersKnow reports whether every peer that may send a request knows the heirs, and none has
// sent one here for a moment: the network may have reordered its frames. Such a peer was
// heard lately, or is registered: one that has just started may not have been heard yet.
func (n *Node) peersKnow(now time.Duration) bool {
	p := &n.parting
	if now-p.stirred < n.interval()/2 {
		return false
	}
	for _, m := range n.layout.Members() {
		if m.Number == n.self || m.State == layout.Gone || p.knows(m.Number, p.version) {
			continue
		}
		at, heard := n.heard[m.Number]
		if heard && now-at <= 2*n.cfg.SuspectAfter || n.roster.has(m.Node) {
			return false
		}
	}
	return true
}
