package node

import (
	"slices"
	"time"

	"dkv/node/quorum"
)

// How a primary starts an epoch (DESIGN section 6, rules 3 to 5):
//
//	startReign ─▶ prepare ─▶ onPrepare (each of R) ─▶ onPromise ─▶ chooseLog
//	           ─▶ copyLog ⇄ onCopyRequest (the source) ─▶ lead ─▶ (write.go) active

// startReign begins to act as primary of a. promised must be below its epoch.
func (r *replica) startReign(a Assignment) {
	assertf(r.promised < a.Epoch, "partition %d: starting epoch %d, promised %d", r.id, a.Epoch, r.promised)
	r.raise(a.Epoch)
	now := r.n.now()
	g := &reign{r: r, epoch: a.Epoch, asg: a, started: now}
	for _, m := range append(slices.Clone(a.Replicas), a.Next...) {
		if m != r.n.self && g.follower(m) == nil {
			g.followers = append(g.followers, &follower{
				member: m, inR: contains(a.Replicas, m), answered: now,
			})
		}
	}
	r.reign, r.lastStarted = g, a.Epoch
	r.n.whenDurable(r.inEpoch(a.Epoch, g.prepare))
}

// prepare runs when the promise to itself, and the log's tail, are durable.
func (g *reign) prepare() {
	g.selfKept = true
	g.r.n.observe(Event{Kind: EventReignStarted, Partition: g.r.id, Epoch: g.epoch})
	if contains(g.asg.Replicas, g.r.n.self) {
		lastEpoch, lastIndex := g.r.last()
		g.promises = append(g.promises, promise{g.r.n.self, lastEpoch, lastIndex})
	}
	g.sendPrepares()
	g.chooseLog()
}

// sendPrepares asks those of R who have not promised yet.
func (g *reign) sendPrepares() {
	for _, f := range g.followers {
		if f.inR && !g.promisedBy(f.member) {
			g.r.n.send(f.member, &Prepare{g.r.id, g.asg})
		}
	}
}

// onPrepare promises, durably and together with the whole log, to follow no
// lower epoch.
func (n *Node) onPrepare(m *Envelope, p *Prepare) {
	r := n.replica(p.Partition)
	if r == nil || n.self == 0 {
		return
	}
	e := p.Assignment.Epoch
	if r.reject(m, e) {
		n.observe(Event{Kind: EventPromiseRejected, Partition: r.id, Epoch: e, Peer: m.From})
		return
	}
	if p.Assignment.Primary != m.From || !contains(p.Assignment.Replicas, n.self) {
		return
	}
	n.learn(p.Partition, p.Assignment)
	r.heard(e)
	r.raise(e)
	n.whenDurable(r.inEpoch(e, func() {
		lastEpoch, lastIndex := r.last()
		n.send(m.From, &Promise{r.id, e, lastEpoch, lastIndex})
	}))
}

// reject answers a frame of an epoch below the promised one, and says so.
func (r *replica) reject(m *Envelope, e Epoch) bool {
	if e >= r.promised {
		return false
	}
	r.n.send(m.From, &Reject{r.id, e, r.promised, *r.known()})
	return true
}

// onReject learns that the reign can't have this peer any more.
func (n *Node) onReject(m *Envelope, j *Reject) {
	n.learn(j.Partition, j.Known)
	if g := n.reignOf(j.Partition, j.Epoch); g != nil {
		g.overtaken(j.Promised, m.From)
	}
}

// overtaken: a peer promised a higher epoch, which the layout must know.
func (g *reign) overtaken(promised Epoch, by MemberNumber) {
	if len(g.reads) > 0 {
		g.r.n.observe(Event{Kind: EventReadRefused, Partition: g.r.id, Epoch: g.epoch, Peer: by})
	}
	if promised > g.r.known().Epoch {
		g.r.n.wantLayout()
	}
}

// onPromise counts a promise; the first from each member counts.
func (n *Node) onPromise(m *Envelope, p *Promise) {
	g := n.reignOf(p.Partition, p.Epoch)
	if g == nil {
		return
	}
	f := g.follower(m.From)
	if f == nil || !f.inR {
		return
	}
	g.answeredBy(f)
	if g.promisedBy(m.From) {
		return
	}
	g.promises = append(g.promises, promise{m.From, p.LastEpoch, p.LastIndex})
	g.chooseLog()
}

// chooseLog picks the source of the log once a majority of R has promised.
func (g *reign) chooseLog() {
	if g.phase != preparing || !g.selfKept || g.abandoned {
		return
	}
	if !quorum.Set(g.asg.Replicas).Reached(g.promisedBy) {
		return
	}
	source, ok := g.source()
	if !ok {
		g.abandon("nobody can show the log that a majority promised")
		return
	}
	g.phase = completing
	g.copyLog(source)
}

// source is a promiser whose log is at least as good, by epoch first and then
// by index, as those of a majority of R; this node before others.
func (g *reign) source() (best promise, ok bool) {
	for _, p := range g.promises {
		if slices.Contains(g.failed, p.member) || !g.coversMajority(p) {
			continue
		}
		if !ok || p.member == g.r.n.self || best.member != g.r.n.self && !best.atLeast(p) {
			best, ok = p, true
		}
	}
	return best, ok
}

// coversMajority says whether p's log is at least as good as a majority's.
func (g *reign) coversMajority(p promise) bool {
	return quorum.Set(g.asg.Replicas).Reached(func(m MemberNumber) bool {
		i := g.promiseOf(m)
		return i >= 0 && p.atLeast(g.promises[i])
	})
}

// copyLog makes the own log end exactly where the source's did when it
// promised.
func (g *reign) copyLog(source promise) {
	if source.member == g.r.n.self {
		if lastEpoch, lastIndex := g.r.last(); lastEpoch != source.lastEpoch || lastIndex != source.lastIndex {
			g.abandon("the own log was changed by a copy that failed")
			return
		}
		g.lead()
		return
	}
	now := g.r.n.now()
	g.copying = &copying{source: source, since: now}
	g.copyAfter(g.r.log.agree(source.lastIndex, source.lastEpoch))
}

// copyAfter asks the source for what follows an entry of the own log, unless
// that is the end already.
func (g *reign) copyAfter(prevIndex Index, prevEpoch Epoch) {
	c := g.copying
	if epoch, ok := g.r.log.epochAt(c.source.lastIndex); ok && epoch == c.source.lastEpoch {
		g.copied()
		return
	}
	if prevIndex < g.r.applied {
		prevIndex, prevEpoch = g.r.applied, g.r.appliedEpoch
	}
	c.prevIndex, c.prevEpoch, c.askedAt = prevIndex, prevEpoch, g.r.n.now()
	g.r.n.send(c.source.member, &CopyRequest{
		g.r.id, g.asg, prevIndex, prevEpoch, c.source.lastIndex, c.source.lastEpoch,
	})
}

// copied: the own log holds the promised end; what it has beyond goes.
func (g *reign) copied() {
	c := g.copying
	g.copying = nil
	g.r.dropInstall()
	g.r.cutAfter(c.source.lastIndex)
	g.r.n.observe(Event{Kind: EventLogCopied, Partition: g.r.id, Epoch: g.epoch, Peer: c.source.member, Index: c.source.lastIndex})
	g.lead()
}

// onCopyRequest shows the log to a primary that chose it.
func (n *Node) onCopyRequest(m *Envelope, q *CopyRequest) {
	r := n.held(q.Partition)
	if r == nil || r.reject(m, q.Assignment.Epoch) || r.promised != q.Assignment.Epoch {
		return
	}
	r.heard(q.Assignment.Epoch)
	reply := &CopyReply{
		Partition: r.id, Epoch: q.Assignment.Epoch, Result: CopyEntries,
		PrevIndex: q.PrevIndex, PrevEpoch: q.PrevEpoch, LastIndex: q.LastIndex, LastEpoch: q.LastEpoch,
	}
	if epoch, ok := r.log.epochAt(q.LastIndex); !ok || epoch != q.LastEpoch {
		reply.Result = CopyGone
		n.send(m.From, reply)
		return
	}
	epoch, ok := r.log.epochAt(q.PrevIndex)
	switch {
	case !ok && q.PrevIndex < r.log.baseIndex:
		r.offerSnapshot(m.From, q.Assignment)
		return
	case !ok || epoch != q.PrevEpoch:
		reply.Result = CopyMismatch
		reply.PrevIndex, reply.PrevEpoch = r.log.agree(q.PrevIndex, q.PrevEpoch)
	default:
		reply.Entries = r.log.between(q.PrevIndex, q.LastIndex, n.cfg.ChunkBytes)
	}
	n.send(m.From, reply)
}

// onCopyReply takes what the source shows.
func (n *Node) onCopyReply(m *Envelope, c *CopyReply) {
	g := n.reignOf(c.Partition, c.Epoch)
	if g == nil || g.ignoreCopyReply(m, c) {
		return
	}
	if f := g.follower(m.From); f != nil {
		g.answeredBy(f)
	}
	g.copying.since = n.now()
	switch c.Result {
	case CopyGone:
		g.sourceFailed()
	case CopyMismatch:
		g.copyAfter(g.r.log.agree(min(c.PrevIndex, g.copying.prevIndex-1), c.PrevEpoch))
	case CopyEntries:
		g.r.merge(c.PrevIndex, c.Entries)
		g.r.touch()
		end := c.Entries[len(c.Entries)-1]
		g.copyAfter(end.Index, end.Epoch)
	}
}

// ignoreCopyReply drops what was not asked for, or was answered before.
func (g *reign) ignoreCopyReply(m *Envelope, c *CopyReply) bool {
	k := g.copying
	if k == nil || k.source.member != m.From || k.source.lastIndex != c.LastIndex || k.source.lastEpoch != c.LastEpoch {
		return true
	}
	switch c.Result {
	case CopyEntries:
		end := c.PrevIndex + Index(len(c.Entries))
		return c.PrevIndex != k.prevIndex || c.PrevEpoch != k.prevEpoch || end > k.source.lastIndex || len(c.Entries) == 0
	case CopyMismatch:
		return c.PrevIndex >= k.prevIndex && c.PrevEpoch == k.prevEpoch || k.prevIndex <= g.r.applied
	}
	return false
}

// sourceFailed goes on with another source, or with another epoch.
func (g *reign) sourceFailed() {
	g.failed = append(g.failed, g.copying.source.member)
	g.copying = nil
	g.r.dropInstall()
	g.phase = preparing
	g.chooseLog()
}

// lead appends the epoch's no-op. Only now may Append be sent; entries of
// clients may follow at once.
func (g *reign) lead() {
	r := g.r
	g.phase = leading
	g.noop = r.log.lastIndex() + 1
	r.appendEntry(Entry{Index: g.noop, Epoch: g.epoch, Kind: EntryNoop})
	for _, f := range g.followers {
		f.next, f.start = g.noop, g.noop
	}
	r.touch()
	r.n.requests.rerouted = true
	queue := g.queue
	g.queue, g.queueBytes = nil, 0
	now := r.n.now()
	for _, w := range queue {
		switch {
		case w.ended: // given up by its client's node: must not be proposed
		case now >= w.deadline:
			w.refuse("the primary did not start in time")
		default:
			g.take(w)
		}
	}
}

// abandon gives up a reign that can't become active; a bump follows.
func (g *reign) abandon(why string) {
	g.abandoned = true
	g.endRequests(why)
	g.r.n.voteSoon = true
}

// tickReign does what a reign owes with time: check-quorum, and asking again
// for what got lost.
func (r *replica) tickReign(now time.Duration) {
	r.dropFates(now)
	g := r.reign
	if g == nil {
		return
	}
	if g.closing && now-g.closed > r.n.cfg.SuspectAfter {
		g.endRequests("another epoch began")
	}
	g.checkQuorum(now)
	if g.quiet || g.abandoned {
		return
	}
	switch g.phase {
	case preparing:
		if g.selfKept {
			g.sendPrepares()
			g.chooseLog()
		}
	case completing:
		g.tickCopy(now)
	case leading:
		g.dropLateReads(now)
	}
}

// tickCopy asks again, or elsewhere.
func (g *reign) tickCopy(now time.Duration) {
	c := g.copying
	if c == nil {
		return
	}
	if g.r.install != nil {
		c.since = max(c.since, g.r.install.progress)
	}
	switch {
	case now-c.since > g.r.n.cfg.SuspectAfter+g.r.taker.backoff:
		g.sourceFailed()
	case g.r.install == nil && now-c.askedAt >= g.r.n.interval():
		g.copyAfter(c.prevIndex, c.prevEpoch)
	}
}

// checkQuorum makes the reign quiet when its quorums stop answering, and lets
// it go on when they answer again (DESIGN: take-over, a).
func (g *reign) checkQuorum(now time.Duration) {
	bound := g.r.n.cfg.SuspectAfter
	answered := quorum.Of(g.asg).Reached(func(m MemberNumber) bool {
		return m == g.r.n.self || now-g.follower(m).answered <= bound
	})
	switch {
	case !answered && !g.quiet:
		g.quiet = true
		g.endRequests("the primary can't reach a quorum")
		g.r.n.observe(Event{Kind: EventQuiet, Partition: g.r.id, Epoch: g.epoch})
	case answered && g.quiet:
		g.quiet = false
		g.r.n.requests.rerouted = true
		g.r.n.observe(Event{Kind: EventResumed, Partition: g.r.id, Epoch: g.epoch})
		g.resend(now)
	}
}

// answeredBy notes an answer in this epoch; a quiet reign may go on with it.
func (g *reign) answeredBy(f *follower) {
	f.answered = g.r.n.now()
	if g.quiet {
		g.checkQuorum(f.answered)
	}
}
