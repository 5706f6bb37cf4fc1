package node

import (
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/quorum"
)

// The life of a write at its primary and its replicas, in order:
//
//	take ─▶ propose ─▶ push ─▶ onAppend (each replica) ─▶ onAppended
//	     ─▶ advanceCommit ─▶ apply (replica.go) ─▶ finish

// pendingWrite waits for its entry to be committed and applied.
type pendingWrite struct {
	index Index
	size  int
	work  *work
}

// take accepts a request, or ends it.
func (g *reign) take(w *work) {
	n := g.r.n
	switch {
	case n.stopping:
		w.refuse("the primary stops")
	case g.closing || g.abandoned:
		w.refuse("another epoch begins")
	case g.quiet:
		w.refuse("the primary can't reach a quorum")
	case g.phase != leading:
		g.enqueue(w)
	case !w.request.Kind.Writes():
		g.takeRead(w)
	default:
		g.propose(w)
	}
}

// enqueue keeps a request until the reign leads.
func (g *reign) enqueue(w *work) {
	size := len(w.request.Key) + len(w.request.Value)
	full := len(g.queue) > 0 && g.queueBytes+size > g.r.n.cfg.MaxUncommittedBytes
	if full || len(g.queue) >= g.r.n.cfg.MaxWaiting {
		w.finish(busy("too many requests wait for the primary to start"))
		return
	}
	g.queue = append(g.queue, w)
	g.queueBytes += size
}

// propose puts a write into the log. It is sent, and synced here, at the end of
// the turn.
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

// push sends what is new to the followers, and has the primary acknowledge its
// own log once it is durable. It runs once a turn.
func (g *reign) push() {
	if g.phase != leading || g.quiet {
		return
	}
	for _, f := range g.followers {
		g.replicate(f, false)
	}
	last := g.r.log.lastIndex()
	if last <= g.selfSent {
		return
	}
	g.selfSent = last
	g.r.n.whenDurable(g.r.inEpoch(g.epoch, func() {
		g.selfMatch = max(g.selfMatch, last)
		g.advanceCommit()
	}))
}

// replicate sends a follower what it lacks, as far as the bound of Appends in
// flight allows; forced, at least an empty Append.
func (g *reign) replicate(f *follower, forced bool) {
	r := g.r
	for f.inflight < maxInflight && (forced || f.next <= r.log.lastIndex()) {
		prev := f.next - 1
		prevEpoch, ok := r.log.epochAt(prev)
		if !ok {
			g.offer(f)
			return
		}
		entries := r.log.between(prev, r.log.lastIndex(), r.n.cfg.ChunkBytes)
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

// offer tells a follower of a snapshot, once an interval.
func (g *reign) offer(f *follower) {
	if now := g.r.n.now(); f.offeredAt == 0 || now-f.offeredAt >= g.r.n.interval() {
		f.offeredAt = now
		g.r.offerSnapshot(f.member, g.asg)
	}
}

// resend begins again with every follower after the last acknowledged entry.
func (g *reign) resend(now time.Duration) {
	if g.phase != leading {
		return
	}
	for _, f := range g.followers {
		g.rewind(f)
		g.replicate(f, true)
	}
	g.r.touch()
}

// rewind forgets what was sent and not acknowledged.
func (g *reign) rewind(f *follower) {
	f.next = max(f.match+1, f.start)
	f.inflight = 0
}

// onAppend stores the primary's entries, and answers once they are durable.
func (n *Node) onAppend(m *Envelope, a *Append) {
	r := n.replica(a.Partition)
	if r == nil || r.reject(m, a.Assignment.Epoch) || r.ignoreAppend(m, a) {
		return
	}
	e := a.Assignment.Epoch
	n.learn(r.id, a.Assignment)
	r.heard(e)
	if !r.holds(a.PrevIndex, a.PrevEpoch) {
		hint, hintEpoch := r.log.agree(a.PrevIndex, a.PrevEpoch)
		n.observe(Event{Kind: EventAppendRejected, Partition: r.id, Epoch: e, Index: a.PrevIndex})
		n.send(m.From, &Appended{
			Partition: r.id, Epoch: e, Counter: a.Counter, HintIndex: hint, HintEpoch: hintEpoch,
		})
		return
	}
	r.raise(e)
	match := a.PrevIndex + Index(len(a.Entries)) // never the log's length
	r.merge(a.PrevIndex, a.Entries)
	r.touch()
	r.acknowledge(m.From, e, match, a.Counter)
	r.learnCommit(min(a.Commit, match))
}

// acknowledge answers once all up to match, and the promise, are durable and
// the promise still stands, also when nothing was written now.
func (r *replica) acknowledge(to MemberNumber, e Epoch, match Index, counter Counter) {
	r.n.whenDurable(r.inEpoch(e, func() {
		if r.ackEpoch != e {
			r.ackEpoch, r.ackMatch = e, 0
		}
		r.ackMatch = max(r.ackMatch, match)
		r.n.send(to, &Appended{Partition: r.id, Epoch: e, Counter: counter, OK: true, Match: match})
	}))
}

// ignoreAppend drops what no primary of the epoch would send.
func (r *replica) ignoreAppend(m *Envelope, a *Append) bool {
	if m.From != a.Assignment.Primary || r.n.self == 0 {
		return true
	}
	next := a.PrevIndex
	for i := range a.Entries {
		if next++; a.Entries[i].Index != next || a.Entries[i].Epoch > a.Assignment.Epoch {
			return true
		}
	}
	return false
}

// onAppended takes a follower's acknowledgement, or its hint.
func (n *Node) onAppended(m *Envelope, a *Appended) {
	g := n.reignOf(a.Partition, a.Epoch)
	if g == nil || g.phase != leading {
		return
	}
	f := g.follower(m.From)
	if f == nil {
		return
	}
	if !n.isLate(a.Counter) {
		g.answeredBy(f)
	}
	f.inflight = max(0, f.inflight-1)
	if a.OK {
		g.acknowledged(f, a.Match)
	} else {
		g.backUp(f, a)
	}
	g.confirmedBy(f, a.Counter)
	if !g.quiet {
		g.replicate(f, false)
	}
}

// acknowledged: f's log is durable and equal up to match.
func (g *reign) acknowledged(f *follower, match Index) {
	assertf(match <= g.r.log.lastIndex(), "partition %d: member %d acknowledges %d beyond the log's end %d", g.r.id, f.member, match, g.r.log.lastIndex())
	if match <= f.match {
		return
	}
	f.match = match
	f.next = max(f.next, match+1)
	g.advanceCommit()
}

// backUp goes back to where the logs may agree. Of several answers to what was
// sent before the last going back, only the first counts.
func (g *reign) backUp(f *follower, a *Appended) {
	if a.Counter.Boot != g.r.n.boot || a.Counter.Sent <= f.rewound {
		return
	}
	if f.match < f.start {
		f.start = min(max(g.mayAgree(a), f.match)+1, f.start)
	}
	f.rewound = g.r.n.sent
	g.rewind(f)
}

// mayAgree is the last index at which the logs may agree, by a follower's hint.
// Below this log's base only a snapshot helps.
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

// advanceCommit commits what the quorums have, if it is of this epoch: older
// entries are committed by what follows them (Raft, section 5.4.2).
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
	g.serveReads()
}

// durableAt returns the index up to which a member of R∪N is known to have this
// log on its disk. For this node that is what its own sync has covered, which
// may be less than what it has sent.
func (g *reign) durableAt(m MemberNumber) Index {
	if m == g.r.n.self {
		return g.selfMatch
	}
	return g.follower(m).match
}

func (g *reign) becomeActive() {
	g.active = true
	g.r.n.observe(Event{Kind: EventReignActive, Partition: g.r.id, Epoch: g.epoch, Index: g.noop})
	if g.asg.Moving() {
		g.r.n.observe(Event{Kind: EventJointActive, Partition: g.r.id, Epoch: g.epoch, Index: g.noop})
	}
}

// finish answers the write whose entry was just applied.
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

// dropLateReads refuses reads that waited too long for a confirmation.
func (g *reign) dropLateReads(now time.Duration) {
	late := func(w pendingRead) bool {
		if now >= w.work.deadline {
			w.work.finish(refused("no majority confirmed the read in time"))
		}
		return w.work.ended
	}
	g.reads = slices.DeleteFunc(g.reads, late)
}

func contains(set []MemberNumber, m MemberNumber) bool { return layout.Contains(set, m) }
