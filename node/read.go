package node

import (
	"slices"

	"dkv/node/door"
	"dkv/node/quorum"
)

// The life of a read at its primary (DESIGN section 6, rule 9.1):
//
//	takeRead ─▶ sendConfirmations (end of turn) ─▶ onBeat (each replica)
//	         ─▶ onBeatReply ─▶ confirmedBy ─▶ serveReads
//
// A read is served when majorities have answered, that they promised nothing
// higher, to something sent after it arrived. Heartbeats, probes and Appends
// count as well as the confirmation round made for it.

// pendingRead waits for its confirmation. after is the number of the last
// transmission before it arrived.
type pendingRead struct {
	after uint64
	work  *work
}

// takeRead queues a read. All reads of a turn share one round.
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

// sendConfirmations asks the replicas of all partitions that took reads in this
// turn, one frame a peer.
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
		g.serveReads() // alone in its quorums, nobody needs to be asked
	}
	beats.send(n, BeatConfirm)
	clear(reading)
	n.scratch.asked = reading
}

// confirmedBy notes that f answered, with no higher promise, a transmission of
// this boot.
func (g *reign) confirmedBy(f *follower, c Counter) {
	if c.Boot != g.r.n.boot || c.Sent <= f.confirmed {
		return
	}
	f.confirmed = c.Sent
	g.serveReads()
}

// serveReads answers the reads that were confirmed, from the applied state,
// which includes all that is committed.
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

// confirmedUpTo is the greatest transmission that majorities answered; a read
// that arrived before it may be served.
func (g *reign) confirmedUpTo() uint64 {
	return quorum.Greatest(quorum.Of(g.asg), func(m MemberNumber) uint64 {
		if m == g.r.n.self {
			return ^uint64(0) // promised is this epoch, or the reign would have ended
		}
		return g.follower(m).confirmed
	})
}

// get reads the applied state.
func (r *replica) get(key []byte) door.Response {
	version, value := r.n.readKV(kvKey(r.id, r.generation, key))
	return door.Response{Outcome: door.Done, Found: version != 0, Version: version, Value: value, Index: r.applied}
}

// beats gathers one Beat a peer. It is used again and again.
type beats struct {
	to   []MemberNumber
	list []*Beat
	room int // items that a Beat had lately
}

func (b *beats) add(to MemberNumber, item BeatItem) {
	i := slices.Index(b.to, to)
	if i < 0 {
		i = len(b.to)
		b.to = append(b.to, to)
		b.list = append(b.list, &Beat{Items: make([]BeatItem, 0, b.room)})
	}
	b.list[i].Items = append(b.list[i].Items, item)
}

// send counts the transmissions; reads that arrive later are not covered.
func (b *beats) send(n *Node, kind BeatKind) {
	b.room = 1
	for i, beat := range b.list {
		beat.Kind, beat.LayoutVersion, beat.Counter = kind, n.layoutVersion(), n.transmission()
		b.room = max(b.room, len(beat.Items))
		n.send(b.to[i], beat)
	}
	clear(b.list)
	b.to, b.list = b.to[:0], b.list[:0]
}

// sendBeats sends every interval's heartbeats, and the probes of quiet reigns.
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
	}
	hearts.send(n, BeatHeart)
	pings.send(n, BeatPing)
}

// onBeat answers for each partition listed. It never raises promised and never
// cuts a log.
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
			answer.Promised, answer.Match = r.onBeatItem(b.Kind, item)
		}
		reply.Items = append(reply.Items, answer)
	}
	n.send(m.From, reply)
}

// onBeatItem answers with the promise, and with what was acknowledged in the
// epoch; a follower takes the primary's commit up to that.
func (r *replica) onBeatItem(kind BeatKind, item BeatItem) (promised Epoch, match Index) {
	if r.promised > item.Epoch {
		return r.promised, 0
	}
	if kind != BeatPing {
		r.heard(item.Epoch)
	}
	if r.ackEpoch != item.Epoch {
		return r.promised, 0
	}
	if r.promised == item.Epoch {
		r.learnCommit(min(item.Commit, r.ackMatch))
	}
	return r.promised, r.ackMatch
}

// onBeatReply takes the answers: who follows, how far, and who promised more.
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
		f := g.follower(m.From)
		if f == nil {
			continue
		}
		if !n.isLate(b.Counter) {
			g.answeredBy(f)
		}
		g.confirmedBy(f, b.Counter)
		if g.phase == leading && !g.quiet {
			g.onFollowerMatch(f, item.Match)
		}
	}
}

// onFollowerMatch compares what a follower lists as acknowledged with what it
// should have by now, and sends again what seems lost. One that restarted lists
// nothing, whatever it acknowledged before: an empty Append lets it take the
// commit again.
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
