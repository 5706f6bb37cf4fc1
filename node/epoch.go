package node

import (
	"slices"
	"time"

	"dkv/node/quorum"
)

// How a primary starts an epoch:
//
//	startReign ─▶ prepare ─▶ onPrepare (each of R) ─▶ onPromise ─▶ chooseLog
//	           ─▶ copyLog ⇄ onCopyRequest (the source) ─▶ lead ─▶ (write.go) active
//
// The order is the proof. The own promise comes before the question to others,
// so that a crash cannot make this node ask twice in one epoch. The promises come
// before the choice, so that no entry can be committed in an older epoch behind
// the back of the choice. The whole copy comes before the no-op, so that the
// no-op's place says that everything below it was chosen.

// startReign begins to act as primary of a. The assertion is rule "never resume an
// epoch": a process that finds the epoch promised may have sent entries in it before
// it crashed, which it does not remember, and would give their indexes to others.
//
// promised rises with the turn's commit; what is sent waits for that in prepare.
func (r *replica) startReign(a Assignment) {
	assertf(r.promised < a.Epoch, "partition %d: starting epoch %d, promised %d", r.id, a.Epoch, r.promised)
	r.raise(a.Epoch, r.n.self)
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
	// inReign: by the time the disk has synced, this node may have promised more.
	r.n.whenDurable(g.inReign(g.prepare))
}

// prepare runs when the promise to itself, and the log's tail, are durable: rule
// "promise yourself first". Only a member of R counts its own promise (rule "promises
// from a majority"); a primary that is in N alone has nothing to add to R's.
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

// sendPrepares asks the members of R that have not promised yet. N is not asked: until
// the move is finished R holds everything that was committed.
func (g *reign) sendPrepares() {
	for _, f := range g.followers {
		if f.inR && !g.promisedBy(f.member) {
			g.r.n.send(f.member, &Prepare{g.r.id, g.asg})
		}
	}
}

// onPrepare promises to follow no lower epoch. The same Prepare may come again; the
// answer is then the same, after the same wait.
//
// The Prepare must come from the primary that it names. It is judged by the assignment
// that it carries and not by the layout here, which may be older (rule "frames carry
// their assignment").
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
	if p.Assignment.Primary != m.From || !contains(p.Assignment.Replicas, n.self) || r.promisedAnother(m.From, e, m.From) {
		return
	}
	n.learn(p.Partition, p.Assignment)
	r.heard(e)
	r.raise(e, m.From)
	// Rule "persist before promise": one sync covers the promise and the whole log.
	// The log's end is read when that has ended. Nothing below e was accepted
	// meanwhile; if entries of e were, the primary has chosen without this promise.
	n.whenDurable(r.inEpoch(e, func() {
		if n.stamps.accused() {
			return // the disk may have lost what it promised before
		}
		lastEpoch, lastIndex := r.last()
		n.send(m.From, &Promise{r.id, e, lastEpoch, lastIndex})
	}))
}

// reject answers a frame of an epoch below the promised one, and reports that it did:
// rule "reject below the promise". Each handler of such frames asks it before it does
// anything else. The answer carries the newest assignment known, so that a deposed
// primary learns who leads (rule "pass the layout on").
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

// overtaken notes that a peer promised a higher epoch. The reign is not over by that:
// this node has promised nothing higher, and the other members may still follow it. But
// a layout with that epoch was made, or is being made, so it is read.
func (g *reign) overtaken(promised Epoch, by MemberNumber) {
	if len(g.reads) > 0 {
		g.r.n.observe(Event{Kind: EventReadRefused, Partition: g.r.id, Epoch: g.epoch, Peer: by})
	}
	if promised > g.r.known().Epoch {
		g.r.n.wantLayout()
	}
}

// onPromise counts a promise. The first one from each member counts; a second was sent
// for a repeated Prepare and says the same as long as the log has not been chosen.
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

// chooseLog picks the source of the log once a majority of R has promised. It runs
// after every promise and at every tick, so it must not do anything twice: the phase
// guards it.
func (g *reign) chooseLog() {
	if g.phase != preparing || !g.selfKept || g.abandoned {
		return
	}
	if !quorum.Set(g.asg.Replicas).Reached(g.promisedBy) {
		return
	}
	source, ok := g.source()
	if !ok {
		g.abandon("no one can show the log that a majority promised")
		return
	}
	g.phase = completing
	g.copyLog(source)
}

// source returns a promiser whose log is at least as good, by epoch first and then by
// index, as those of a majority of R (rule "the best log wins"). Among those any is
// safe. This node comes before others, because its log need not be copied; then the
// best, because it leaves the fewest followers to be cut.
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

// coversMajority reports whether p's log is at least as good as a majority's. Some
// member of that majority has every committed entry, so p's log has them too.
func (g *reign) coversMajority(p promise) bool {
	return quorum.Set(g.asg.Replicas).Reached(func(m MemberNumber) bool {
		i := g.promiseOf(m)
		return i >= 0 && p.atLeast(g.promises[i])
	})
}

// copyLog makes the own log end exactly where the source's did when it promised: rule
// "end where the source promised". If the source is this node there is nothing to copy,
// unless a copy from another source began and failed: the log is then no longer the one
// that was promised, and that it is still good is more than anyone has compared.
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
	if source.lastIndex < g.r.commit {
		g.r.n.refuseClaim(source.member, g.r.id, "that its log ended at %d when it promised, while %d is committed here", source.lastIndex, g.r.commit)
		g.sourceFailed()
		return
	}
	g.copyAfter(g.r.log.agree(source.lastIndex, source.lastEpoch))
}

// copyAfter asks the source for what follows an entry of the own log, unless the own
// log has the promised end already. It never asks below applied: what is applied was
// committed, so the source has the same there, and a mismatch could not be repaired.
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

// copied ends the copy. The own log holds the promised end; what it has beyond was
// not chosen and goes. The cut and the no-op that follows stand in one batch, so no
// crash leaves the one without the other.
func (g *reign) copied() {
	c := g.copying
	g.copying = nil
	g.r.dropInstall()
	g.r.cutAfter(c.source.lastIndex)
	g.r.n.observe(Event{Kind: EventLogCopied, Partition: g.r.id, Epoch: g.epoch, Peer: c.source.member, Index: c.source.lastIndex})
	g.lead()
}

// onCopyRequest shows the log to a primary that chose it. Only the epoch that is
// promised here may ask: under a higher promise the log may be changing, and under a
// lower one nothing was promised to the asker.
//
// If this log no longer has the end that it promised, it says so at once, rather than
// show a part that leads nowhere. If it begins too late, it offers a snapshot.
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

// onCopyReply takes what the source shows. Each answer leads to the next question, so
// one question is under way at a time.
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
		// At least one step down, whatever the source's hint: or the two would repeat
		// themselves for ever.
		g.copyAfter(g.r.log.agree(min(c.PrevIndex, g.copying.prevIndex-1), c.PrevEpoch))
	case CopyEntries:
		g.r.merge(c.PrevIndex, c.Entries)
		g.r.touch()
		end := c.Entries[len(c.Entries)-1]
		g.copyAfter(end.Index, end.Epoch)
	}
}

// ignoreCopyReply drops what does not answer the last question: another source, an
// earlier question, entries beyond the promised end. A repeated reply that was taken
// again could end the copy short of that end, and entries that were committed would be
// overwritten by the no-op and what follows it.
func (g *reign) ignoreCopyReply(m *Envelope, c *CopyReply) bool {
	k := g.copying
	if k == nil || k.source.member != m.From || k.source.lastIndex != c.LastIndex || k.source.lastEpoch != c.LastEpoch {
		return true
	}
	switch c.Result {
	case CopyEntries:
		end := c.PrevIndex + Index(len(c.Entries))
		return c.PrevIndex != k.prevIndex || c.PrevEpoch != k.prevEpoch || end > k.source.lastIndex || len(c.Entries) == 0 ||
			!chained(c.PrevIndex, c.PrevEpoch, c.Entries, k.source.lastEpoch)
	case CopyMismatch:
		return c.PrevIndex >= k.prevIndex && c.PrevEpoch == k.prevEpoch || k.prevIndex <= g.r.applied
	}
	return false
}

// sourceFailed tries another source, or leads to another epoch if none is left. A
// failed source does not qualify again in this reign: it has shown that it no longer has
// the log that it promised.
func (g *reign) sourceFailed() {
	g.failed = append(g.failed, g.copying.source.member)
	g.copying = nil
	g.r.suspendInstall()
	g.phase = preparing
	g.chooseLog()
}

// lead appends the epoch's no-op: rule "no-op first". Only now may Append be sent;
// entries of clients may follow at once. The no-op gives this log a last epoch that no
// other log has, and commits what older epochs left (rule "commit your own epoch").
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
	g.takeQueued(r.n.now())
}

// takeQueued takes what waited.
func (g *reign) takeQueued(now time.Duration) {
	queue := g.queue
	g.queue, g.queueBytes = nil, 0
	for _, w := range queue {
		switch {
		case w.ended: // given up by its client's node: must not be proposed
		case now >= w.deadline:
			w.refuse("the primary was not ready in time")
		default:
			g.take(w)
		}
	}
}

// abandon gives up a reign that can't become active. It stands until a higher epoch is
// promised, but serves nothing; this node asks for that epoch at once (a bump).
func (g *reign) abandon(why string) {
	g.abandoned = true
	g.endRequests(why)
	g.r.n.voteSoon = true
}

// tickReign does what a reign owes with time: check-quorum, and asking again for what
// got lost (rule "send again what was lost"). A quiet reign asks nothing here: its pings
// go out with the heartbeats of the others (sendBeats), and what it lost meanwhile is sent
// when it resumes.
func (r *replica) tickReign(now time.Duration) {
	r.dropFates(now)
	g := r.reign
	if g == nil {
		return
	}
	if g.closing && now-g.closed > r.n.cfg.SuspectAfter {
		g.endRequests("another epoch began") // long enough to hope for acknowledgements
	}
	g.checkQuorum(now)
	g.drainInTime(now)
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
		g.tickLearners(now)
	}
}

// tickCopy asks again, or elsewhere. A snapshot under way counts as progress of the
// copy. The source gets longer after reigns that failed: a log that is long to copy
// would otherwise fail in every epoch at the same place.
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

// checkQuorum makes the reign quiet when its quorums stop answering, and lets it resume
// when they answer again: rule "go quiet without a quorum". The bound is the one after
// which the others would take over from a silent primary, so that a partition whose
// primary is deaf changes hands as fast as one whose primary is gone.
//
// The reign need not end: promised has not risen, so no other primary has this node's
// promise, and whether others have a majority's the next answers will tell.
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

// answeredBy notes an answer in this epoch; a quiet reign may resume with it. Only
// answers that are not late come here (rule "late answers do not count").
func (g *reign) answeredBy(f *follower) {
	f.answered = g.r.n.now()
	if g.quiet {
		g.checkQuorum(f.answered)
	}
}
