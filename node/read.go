package node

import (
	"slices"

	"dkv/node/door"
	"dkv/node/quorum"
)

// A read at its primary:
//
//	takeRead ─▶ sendConfirmations (end of turn) ─▶ onBeat (each replica)
//	         ─▶ onBeatReply ─▶ confirmedBy ─▶ serveReads
//
// Rule "confirm after arrival": a read is served when majorities have answered,
// that they promised nothing higher, to something sent after it arrived. Heartbeats,
// pings and Appends count as well as the confirmation round made for it.
//
// No clock takes part. A majority that had promised nothing higher when it answered
// shows that no later epoch had started by then, so nothing newer than this state
// had been acknowledged when the read arrived.

// pendingRead waits for its confirmation. after is the number of the last
// transmission before it arrived.
type pendingRead struct {
	after uint64
	work  *work
}

// takeRead queues a read. All reads of a turn share one round, so a busy primary sends
// no more confirmations than it has turns.
func (g *reign) takeRead(w *work) {
	n := g.r.n
	if len(g.reads) >= n.cfg.MaxWaiting {
		w.finish(busy("too many reads wait for a confirmation"))
		return
	}
	g.reads = append(g.reads, pendingRead{n.sent, w})
	if !g.r.reading {
		g.r.reading = true
		n.turn.reading = append(n.turn.reading, g.r)
	}
}

// sendConfirmations asks the replicas of all partitions that took reads in this turn, one
// frame a peer. It runs at the end of the turn: the frame's counter is then greater than
// the one that each read of the turn has noted.
func (n *Node) sendConfirmations() {
	reading := n.turn.reading
	if len(reading) == 0 {
		return
	}
	n.turn.reading, n.scratch.asked = n.scratch.asked[:0], nil
	beats := &n.scratch.confirms
	for _, r := range reading {
		r.reading = false
		g := r.reign
		if g == nil || g.quiet || len(g.reads) == 0 {
			continue
		}
		for _, f := range g.followers {
			beats.add(f.member, BeatItem{r.id, g.epoch, r.commit})
		}
		g.serveReads() // a primary that is alone in its quorums asks no one
	}
	beats.send(n, BeatConfirm)
	clear(reading)
	n.scratch.asked = reading
}

// confirmedBy notes that f answered, with no higher promise, a transmission of this boot.
// An answer to an earlier boot says nothing of this process's reads, and one that is
// overtaken by a later answer adds nothing.
func (g *reign) confirmedBy(f *follower, c Counter) {
	if c.Boot != g.r.n.boot || c.Sent <= f.confirmed {
		return
	}
	f.confirmed = c.Sent
	g.serveReads()
	if len(g.reads) > 0 && g.reads[0].after >= c.Sent {
		g.r.n.observe(Event{Kind: EventAnswerTooOld, Partition: g.r.id, Epoch: g.epoch, Peer: f.member})
	}
}

// serveReads answers the reads that were confirmed, from the applied state, which
// includes all that is committed. Before the reign is active the state may lack what an
// earlier primary acknowledged (rule "active before reading"). An uncommitted write is
// not seen: it may still be cut (rule "answer only what is applied").
func (g *reign) serveReads() {
	if !g.active || len(g.reads) == 0 {
		return
	}
	confirmed := g.confirmedUpTo()
	served := 0
	for served < len(g.reads) && g.reads[served].after < confirmed {
		served++
	}
	ready := g.reads[:served]
	g.reads = g.reads[served:]
	for _, read := range ready {
		if read.work.ended {
			continue
		}
		answer := g.r.get(read.work.request.Key)
		if g.r.n.dead {
			return // the store failed: what was read is not the truth
		}
		read.work.finish(answer)
	}
}

// confirmedUpTo returns the greatest transmission that majorities answered; a read that
// arrived before it may be served. While the partition moves, N may have got a primary of
// its own that R knows nothing of, so N has to answer too (rule "both majorities while
// moving").
func (g *reign) confirmedUpTo() uint64 {
	return quorum.Greatest(quorum.Of(g.asg), func(m MemberNumber) uint64 {
		if m == g.r.n.self {
			return ^uint64(0) // promised is this epoch, or the reign would have ended
		}
		return g.follower(m).confirmed
	})
}

// get reads the applied state. The index tells a checker where in the order of writes
// the read stands.
func (r *replica) get(key []byte) door.Response {
	version, value := r.n.readKV(kvKey(r.id, r.generation, key))
	return door.Response{Outcome: door.Done, Found: version != 0, Version: version, Value: value, Index: r.applied}
}

// beats gathers one Beat a peer, however many partitions the two share. It is empty
// between two calls of send; most is how many items a Beat had the last time, which
// is a good guess at how many it will have.
type beats struct {
	to   []MemberNumber
	list []*Beat
	most int
}

func (b *beats) add(to MemberNumber, item BeatItem) {
	i := slices.Index(b.to, to)
	if i < 0 {
		i = len(b.to)
		b.to = append(b.to, to)
		b.list = append(b.list, &Beat{Items: make([]BeatItem, 0, b.most)})
	}
	b.list[i].Items = append(b.list[i].Items, item)
}

// send sends what was gathered, and counts the transmissions; reads that arrive later are
// not covered by them.
func (b *beats) send(n *Node, kind BeatKind) {
	b.most = 1
	for i, beat := range b.list {
		beat.Kind, beat.LayoutVersion, beat.Counter = kind, n.layoutVersion(), n.transmission()
		b.most = max(b.most, len(beat.Items))
		n.send(b.to[i], beat)
	}
	clear(b.list)
	b.to, b.list = b.to[:0], b.list[:0]
}

// sendBeats sends every interval's heartbeats, and the pings of quiet reigns. A reign
// sends them from the moment its own promise is durable, long before it is active: they
// tell its replicas that the primary is at work, so that they do not take over from a primary
// that copies a long log. A closing or abandoned reign sends none, since its replicas
// should not wait for it.
func (n *Node) sendBeats() {
	hearts, pings := &n.scratch.hearts, &n.scratch.pings
	for _, r := range n.replicas {
		if r == nil || r.reign == nil || !r.reign.selfKept || r.reign.closing || r.reign.abandoned {
			continue
		}
		to := hearts
		if r.reign.quiet {
			to = pings
		}
		for _, f := range r.reign.followers {
			to.add(f.member, BeatItem{r.id, r.reign.epoch, r.commit})
		}
		for _, f := range r.reign.learners.list {
			to.add(f.member, BeatItem{r.id, r.reign.epoch, r.commit})
		}
	}
	hearts.send(n, BeatHeart)
	pings.send(n, BeatPing)
}

// onBeat answers for each partition listed, at once and in the same turn: it must show a
// sign of life while the disk is slow. Therefore nothing here may wait for a sync, and
// nothing needs to: rule "a heartbeat changes no log". It never raises promised and never
// cuts; it carries neither an assignment to judge by nor an entry to match.
func (n *Node) onBeat(m *Envelope, b *Beat) {
	n.compareLayouts(m.From, b.LayoutVersion)
	reply := &BeatReply{
		Counter: b.Counter, LayoutVersion: n.layoutVersion(), Items: make([]BeatReplyItem, 0, len(b.Items)),
	}
	for _, item := range b.Items {
		if uint64(item.Partition) >= uint64(len(n.replicas)) {
			continue
		}
		answer := BeatReplyItem{Partition: item.Partition, Epoch: item.Epoch}
		if r := n.held(item.Partition); r != nil {
			if r.promisedAnother(m.From, item.Epoch, m.From) {
				continue // no answer: it would confirm a read
			}
			answer.Promised, answer.Match = r.onBeatItem(b.Kind, item)
		}
		reply.Items = append(reply.Items, answer)
	}
	n.send(m.From, reply)
}

// onBeatItem answers with the promise, and with what was acknowledged in the epoch; a
// follower takes the primary's commit up to that (rule "commit only what matches"). Beyond
// ackMatch its log may be that of another epoch, however long it is.
//
// A ping does not count as having heard the primary: a primary that its quorums do not
// answer must not keep them from taking over (rule "heard is per epoch").
func (r *replica) onBeatItem(kind BeatKind, item BeatItem) (promised Epoch, match Index) {
	if r.promised > item.Epoch {
		return r.promised, 0
	}
	if kind != BeatPing {
		r.heard(item.Epoch)
	}
	r.toldCommit = item.Commit
	if known := r.known(); known.Epoch == item.Epoch && !known.Names(r.n.self) {
		r.copiedAt = r.n.now() // to the primary this is a learner
	}
	if r.ackEpoch != item.Epoch {
		return r.promised, 0
	}
	if r.promised == item.Epoch {
		r.learnCommit(min(item.Commit, r.ackMatch))
	}
	return r.promised, r.ackMatch
}

// onBeatReply takes the answers: who follows, how far, and who promised more. An answer
// of a follower that promised a higher epoch confirms no read, nor does it count as having
// answered.
func (n *Node) onBeatReply(m *Envelope, b *BeatReply) {
	n.compareLayouts(m.From, b.LayoutVersion)
	for _, item := range b.Items {
		g := n.reignOf(item.Partition, item.Epoch)
		if g == nil {
			continue
		}
		if item.Promised > item.Epoch {
			g.overtaken(item.Promised, m.From)
			continue
		}
		f := g.peer(m.From)
		if f == nil {
			continue
		}
		if !n.isLate(b.Counter) {
			g.answeredBy(f)
			g.lost(f, item.Match)
		}
		g.confirmedBy(f, b.Counter)
		if g.phase == leading && !g.quiet {
			g.onFollowerMatch(f, item.Match)
		}
	}
}

// onFollowerMatch compares what a follower lists as acknowledged with what it should have
// by now, and sends again what seems lost (rule "send again what was lost"). It waits for
// an interval after the last Append, so that what is in flight is not sent twice. One that
// restarted lists nothing, whatever it acknowledged before: an empty Append lets it take
// the commit again.
func (g *reign) onFollowerMatch(f *follower, match Index) {
	if match > 0 {
		g.acknowledged(f, match)
	}
	if match >= g.r.log.lastIndex() || g.r.n.now()-f.sentAt < g.r.n.interval() {
		return
	}
	g.rewind(f)
	g.replicate(f, true)
}
