package node

import (
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/quorum"
)

// A write at its primary and its replicas, in order:
//
//	take ─▶ propose ─▶ push ─▶ onAppend (each replica) ─▶ onAppended
//	     ─▶ advanceCommit ─▶ apply (replica.go) ─▶ finish
//
// The primary's sync and those of the followers run at the same time. Each of
// them counts when it has ended and not before, so the answer to the client waits
// for the fastest majority of disks and for nothing else.

// pendingWrite waits for its entry to be committed and applied.
type pendingWrite struct {
	index Index
	size  int
	work  *work
}

// take accepts a request, or ends it. What is refused here was never proposed, and this
// reign will not propose it later: that is what makes the refusal true. Whether ZooKeeper
// can be reached is not asked (rule "serve without a session").
func (g *reign) take(w *work) {
	n := g.r.n
	switch {
	case n.stopping && !n.holdsWrites():
		w.refuse("the primary stops")
	case g.closing || g.abandoned:
		w.refuse("another epoch begins")
	case g.quiet:
		w.refuse("the primary can't reach a quorum")
	case g.phase != leading:
		g.enqueue(w)
	case !w.request.Kind.Writes():
		g.takeRead(w)
	case n.holdsWrites():
		n.observe(Event{Kind: EventHeldAtStop, Partition: g.r.id, Epoch: g.epoch})
		g.enqueue(w)
	case g.draining.on:
		n.observe(Event{Kind: EventHeldForStep, Partition: g.r.id, Epoch: g.epoch})
		g.enqueue(w)
	default:
		g.propose(w)
	}
}

// enqueue keeps a request until the reign leads, until a planned step was made or given up,
// or, while the node stops, until an heir leads. The queue is bounded in number and in
// bytes, because a start may take as long as a snapshot does; one request always fits,
// or a large value could never be written.
func (g *reign) enqueue(w *work) {
	size := w.size()
	full := len(g.queue) > 0 && g.queueBytes+size > g.r.n.cfg.MaxUncommittedBytes
	if full || len(g.queue) >= g.r.n.cfg.MaxWaiting {
		w.finish(busy("too many requests wait for a primary to start"))
		return
	}
	g.queue = append(g.queue, w)
	g.queueBytes += size
}

// propose puts a write into the log. It is sent, and synced here, at the end of the
// turn, together with all others of the turn. From here on it may be committed, by this
// reign or by a later one, so it can only end as done or unknown. Its condition goes into
// the log with it (rule "decide at apply").
func (g *reign) propose(w *work) {
	r := g.r
	e := Entry{
		Index: r.log.lastIndex() + 1, Epoch: g.epoch, Kind: EntryPut,
		Key: w.request.Key, Value: w.request.Value, If: w.request.If,
	}
	if w.request.Kind == door.RequestDelete {
		e.Kind, e.Value = EntryDelete, nil
	}
	size := e.size()
	full := g.size+size > r.n.cfg.MaxUncommittedBytes || r.n.uncommitted+size > r.n.cfg.MaxNodeUncommittedBytes
	if full && g.size > 0 { // one at a time always fits
		r.n.observe(Event{Kind: EventUncommittedBound, Partition: r.id, Epoch: g.epoch})
		w.finish(busy("too much is waiting to be committed"))
		return
	}
	w.proposed = true
	r.appendEntry(e)
	g.writes = append(g.writes, pendingWrite{e.Index, size, w})
	g.size += size
	r.n.uncommitted += size
	r.touch()
}

// push sends what is new to the followers, and has the primary acknowledge its own log
// once it is durable: rule "count yourself after your sync". It runs once a turn.
//
// selfSent remembers for which end of the log a sync is waited for, so that a turn which
// adds nothing asks for none. inEpoch drops the acknowledgement if a higher epoch was
// promised while the disk was busy: the promise said where this log ends, and a commit
// that counts this copy would come too late for it.
func (g *reign) push() {
	if g.phase != leading || g.quiet {
		return
	}
	for _, f := range g.followers {
		g.replicate(f, false)
	}
	for _, f := range g.learners.list {
		g.replicate(f, false)
	}
	last := g.r.log.lastIndex()
	if last <= g.selfSent {
		return
	}
	g.selfSent = last
	g.r.n.whenDurable(g.inReign(func() {
		g.selfMatch = max(g.selfMatch, last)
		g.advanceCommit()
		g.drainedSoon()
	}))
}

// replicate sends a follower what it lacks, as far as the bound of Appends in flight
// allows. It does not wait for answers: next moves with what is sent, and if that is lost
// the follower says so, by a hint or by what it lists in answer to a heartbeat. With
// forced it sends at least one Append, even an empty one, which makes the follower
// compare its log and learn the commit index.
func (g *reign) replicate(f *follower, forced bool) {
	r := g.r
	for f.mayBeSent() && (forced || f.next <= r.log.lastIndex()) {
		if f.learner && !forced && !r.n.mayCopy() {
			return
		}
		prev := f.next - 1
		entries, prevEpoch, ok := r.entriesAfter(prev)
		if !ok {
			g.offer(f)
			return
		}
		if f.learner {
			g.copiedTo(f, entries)
		}
		r.n.send(f.member, &Append{
			Partition: r.id, Assignment: g.asg, Counter: r.n.transmission(),
			PrevIndex: prev, PrevEpoch: prevEpoch, Commit: r.commit, Entries: entries,
		})
		f.next += Index(len(entries))
		f.inflight++
		f.sentAt = r.n.now()
		forced = false
	}
}

// mayBeSent reports whether the bound of Appends in flight allows another one.
func (f *follower) mayBeSent() bool {
	if f.learner {
		return f.inflight < maxLearnerFrames
	}
	return f.inflight < maxInflight
}

// offer tells a follower of a snapshot, since the entries it needs are no longer in the
// log. Once an interval: each turn comes by here for as long as the follower loads.
func (g *reign) offer(f *follower) {
	if now := g.r.n.now(); f.offeredAt == 0 || now-f.offeredAt >= g.r.n.interval() {
		f.offeredAt = now
		g.r.offerSnapshot(f.member, g.asg)
	}
}

// resend begins again with every follower after the last acknowledged entry. A quiet
// reign sent nothing, and what it sent before may be lost.
func (g *reign) resend(now time.Duration) {
	if g.phase != leading {
		return
	}
	for _, f := range g.followers {
		g.rewind(f)
		g.replicate(f, true)
	}
	for _, f := range g.learners.list {
		g.rewind(f)
	}
	g.learners.progress = now
	g.r.touch()
}

// rewind takes what was sent and not acknowledged for lost. If it was not, the follower
// gets it twice and skips it.
func (g *reign) rewind(f *follower) {
	f.next = max(f.match+1, f.start)
	f.inflight = 0
}

// onAppend stores the primary's entries, and answers once they are durable. The
// questions stand in the order of the rules: may this epoch still speak ("reject below the
// promise"), is this its primary ("frames carry their assignment"), is the log equal up to
// the new entries ("the past must match"). Only then does anything change.
func (n *Node) onAppend(m *Envelope, a *Append) {
	r := n.replica(a.Partition)
	if r == nil || r.reject(m, a.Assignment.Epoch) || r.ignoreAppend(m, a) {
		return
	}
	e := a.Assignment.Epoch
	if r.promisedAnother(m.From, e, m.From) || r.deniesCommitted(m.From, a.PrevIndex, a.PrevEpoch, a.Entries) {
		return
	}
	n.learn(r.id, a.Assignment)
	r.heard(e)
	r.toldCommit = a.Commit
	if !a.Assignment.Names(n.self) {
		r.copiedAt = n.now()
	}
	if !r.holds(a.PrevIndex, a.PrevEpoch) {
		hint, hintEpoch := r.log.agree(a.PrevIndex, a.PrevEpoch)
		n.observe(Event{Kind: EventAppendRejected, Partition: r.id, Epoch: e, Index: a.PrevIndex})
		n.send(m.From, &Appended{
			Partition: r.id, Epoch: e, Counter: a.Counter, HintIndex: hint, HintEpoch: hintEpoch,
		})
		return
	}
	// Rule "match is what was shown": beyond the last entry of this Append the log
	// may be that of another epoch, which the primary must not count.
	r.raise(e, m.From)
	match := a.PrevIndex + Index(len(a.Entries))
	r.merge(a.PrevIndex, a.Entries)
	r.touch()
	// Rule "commit only what matches": the primary's commit index speaks of the
	// primary's log, and this one is equal to it up to match.
	r.acknowledge(m.From, e, match, a.Counter)
	r.learnCommit(min(a.Commit, match))
}

// acknowledge answers once all up to match, and the promise under which it came, are
// durable, if that promise still stands: rule "durable before acknowledged". It waits also
// when nothing was written now, because what a repeated Append shows may be on its way
// to the disk still. A learner may delete its copy meanwhile, in the same epoch.
func (r *replica) acknowledge(to MemberNumber, e Epoch, match Index, counter Counter) {
	generation := r.generation
	r.n.whenDurable(r.inEpoch(e, func() {
		if r.generation != generation || r.n.stamps.accused() {
			return
		}
		if r.ackEpoch != e {
			r.ackEpoch, r.ackMatch = e, 0
		}
		r.ackMatch = max(r.ackMatch, match)
		r.n.send(to, &Appended{Partition: r.id, Epoch: e, Counter: counter, OK: true, Match: match})
	}))
}

// ignoreAppend drops what no primary of the epoch would send.
func (r *replica) ignoreAppend(m *Envelope, a *Append) bool {
	return m.From != a.Assignment.Primary || r.n.self == 0 ||
		!chained(a.PrevIndex, a.PrevEpoch, a.Entries, a.Assignment.Epoch)
}

// onAppended takes a follower's acknowledgement, or its hint. A late one says nothing of
// whether the follower is there now, but its match is as true as ever: what was durable
// under a promise that stood remains so.
func (n *Node) onAppended(m *Envelope, a *Appended) {
	g := n.reignOf(a.Partition, a.Epoch)
	if g == nil || g.phase != leading {
		return
	}
	f := g.peer(m.From)
	if f == nil {
		return
	}
	if !n.isLate(a.Counter) {
		g.answeredBy(f)
	}
	f.inflight = max(0, f.inflight-1)
	if a.OK {
		g.learned(f, a.Match)
		g.acknowledged(f, a.Match)
	} else {
		g.learned(f, a.HintIndex)
		g.backUp(f, a)
	}
	g.confirmedBy(f, a.Counter)
	if !g.quiet {
		g.replicate(f, false)
	}
}

// acknowledged notes that f's log is durable and equal up to match. An acknowledgement
// that comes twice, or after a later one, changes nothing (rule "commit by majority":
// each member counts once). One beyond the log's end would mean that two logs of one
// epoch exist, or that the member lies; neither is counted.
func (g *reign) acknowledged(f *follower, match Index) {
	if last := g.r.log.lastIndex(); match > last {
		g.r.n.refuseClaim(f.member, g.r.id, "that it acknowledged %d in epoch %d, whose log ends at %d here", match, g.epoch, last)
		return
	}
	if match <= f.match {
		return
	}
	g.progressed(f)
	f.match = match
	f.next = max(f.next, match+1)
	g.advanceCommit()
	g.drainedSoon()
}

// backUp goes back to where the logs may agree. All Appends that were in flight when the
// logs differed are answered with a hint; the first answer makes the step back, and the
// others, to what was sent before it, are ignored. Otherwise each would send everything
// again.
func (g *reign) backUp(f *follower, a *Appended) {
	if a.Counter.Boot != g.r.n.boot || a.Counter.Sent <= f.rewound {
		return
	}
	g.lost(f, a.HintIndex)
	if f.match < f.start {
		f.start = min(max(g.mayAgree(a), f.match)+1, f.start)
	}
	f.rewound = g.r.n.sent
	g.rewind(f)
}

// mayAgree returns the last index at which the logs may agree, by a follower's hint: the
// last one whose epoch, here, is not above the hint's. One exchange so skips a whole
// epoch of entries. Below this log's base only a snapshot helps.
func (g *reign) mayAgree(a *Appended) Index {
	base := g.r.log.baseIndex
	if a.HintIndex < base {
		return a.HintIndex
	}
	at, epoch := g.r.log.agree(a.HintIndex, a.HintEpoch)
	if epoch > a.HintEpoch {
		return base - 1 // the follower's entry at the base is another one
	}
	return at
}

// advanceCommit commits what the quorums have (rules "commit by majority", "both
// majorities while moving"), if it is of this epoch: rule "commit your own epoch". An
// older entry on a majority of disks can still lose against a log with a later last
// epoch; with an entry of this epoch behind it, it can't, because every log that is
// chosen later has that one (Raft, section 5.4.2).
func (g *reign) advanceCommit() {
	r := g.r
	i := quorum.Greatest(quorum.Of(g.asg), g.durableAt)
	if i <= r.commit {
		return
	}
	if epoch, ok := r.log.epochAt(i); !ok || epoch != g.epoch {
		return
	}
	r.commit = i
	if !g.active && i >= g.noop {
		g.becomeActive()
	}
	r.apply()
	g.serveReads() // those that were confirmed before the reign was active
}

// durableAt returns the index up to which a member of R∪N is known to have this log on
// its disk. For this node that is what its own sync has covered, which may be less than
// what it has sent. Nothing counts because it was sent.
func (g *reign) durableAt(m MemberNumber) Index {
	if m == g.r.n.self {
		return g.selfMatch
	}
	return g.follower(m).match
}

// becomeActive notes that the no-op is committed. From here on the applied state holds
// everything that any earlier epoch acknowledged, so reads are served (rule "active
// before reading"); and if the epoch is joint, the move may be finished.
func (g *reign) becomeActive() {
	g.active = true
	g.r.n.observe(Event{Kind: EventReignActive, Partition: g.r.id, Epoch: g.epoch, Index: g.noop})
	if g.asg.Moving() {
		g.r.n.observe(Event{Kind: EventJointActive, Partition: g.r.id, Epoch: g.epoch, Index: g.noop})
	}
}

// finish answers the write whose entry was just applied: rule "answer only what is
// applied". Writes wait in log order, so only the first can be the one. Entries that an
// earlier epoch left are applied as well and have no client here.
func (g *reign) finish(e *Entry, answer door.Response) {
	if len(g.writes) == 0 || g.writes[0].index != e.Index || e.Epoch != g.epoch {
		return
	}
	w := g.writes[0]
	g.writes[0] = pendingWrite{}
	g.writes = g.writes[1:]
	g.size -= w.size
	g.r.n.uncommitted -= w.size
	w.work.finish(answer)
}

// dropLateReads refuses reads that waited too long for a confirmation, and forgets those
// that ended otherwise. Writes have no such bound: their outcome is open until the entry
// is committed, or until their client's node stops waiting and answers unknown.
func (g *reign) dropLateReads(now time.Duration) {
	late := func(w pendingRead) bool {
		if now >= w.work.deadline {
			w.work.finish(refused("no majority confirmed the read in time"))
		}
		return w.work.ended
	}
	g.reads = slices.DeleteFunc(g.reads, late)
}

func contains(set []MemberNumber, m MemberNumber) bool { return slices.Contains(set, m) }
