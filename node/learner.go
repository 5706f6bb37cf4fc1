package node

import (
	"bytes"
	"slices"
	"time"

	"dkv/node/layout"
	"dkv/node/quorum"
)

// How a partition gets to where the ring means it to be:
//
//	tickLearners ─▶ beginCopy ─▶ replicate, offerSnapshot ⇄ the learners
//	             ─▶ caughtUp ─▶ L2 (planner.go) ─▶ active in the joint epoch ─▶ L3 (move.go)
//
// Rule "learners first": the members that a move adds get the data before the layout names
// them. They answer like followers and count for nothing, since all that counts goes by
// the assignment, which does not name them; that is also how a learner knows that it is
// one. What a copy costs is bounded: in number, in bytes a second, and in the log that is
// kept for it.

const (
	// maxCopies bounds the partitions that one node copies to learners at once, and
	// maxInstalls the snapshots that it loads as a learner.
	maxCopies   = 4
	maxInstalls = 16
	// maxLearnerFrames bounds the Appends in flight to a learner.
	maxLearnerFrames = 8
	// copiesInSettleTime is how many copies a node begins in settle-time. A move
	// changes the epoch twice or three times, and each time its clients wait: while
	// many partitions move, few of them should wait at any time.
	copiesInSettleTime = 20
	// copyLag and copyLagBytes are how much of what is committed a learner may lack
	// when the joint state begins. The joint state commits nothing before the next
	// replicas have this, so it must be a matter of milliseconds.
	copyLag      = 64
	copyLagBytes = 1 << 20
)

// learners is a reign's copy to the members that a move would add.
//
//   - target is N of the move, or nil while nothing is copied; it is never R.
//   - list has those of target that are not in R, each once; none is in R∪N.
type learners struct {
	target   []MemberNumber
	list     []*follower
	progress time.Duration // of any of them
}

// learner returns what is known of a learner; nil for others.
func (g *reign) learner(m MemberNumber) *follower {
	for _, f := range g.learners.list {
		if f.member == m {
			return f
		}
	}
	return nil
}

// peer returns a follower or a learner. Only sending and its answers go by it: what counts
// goes by follower.
func (g *reign) peer(m MemberNumber) *follower {
	if f := g.follower(m); f != nil {
		return f
	}
	return g.learner(m)
}

// wantedMove returns where the partition should move, or nil. Nothing is copied while a move
// stands or this node is told to begin none.
func (g *reign) wantedMove(now time.Duration) []MemberNumber {
	n := g.r.n
	if n.cfg.MoveRate < 0 || n.stopping || !g.active || g.closing || g.asg.Moving() {
		return nil
	}
	return g.moveTarget(now)
}

// tickLearners begins a copy, gives it up when the ring changes its mind, and cancels one
// that is stuck (rule "a copy has bounds").
func (g *reign) tickLearners(now time.Duration) {
	l := &g.learners
	want := g.wantedMove(now)
	if len(l.list) > 0 && !g.r.n.mayCopy() && g.allAnswer(now) {
		l.progress = now // what waits for the rate is not stuck
	}
	switch {
	case len(want) == 0:
		g.endCopy()
	case !sameMembers(want, l.target):
		g.beginCopy(want, now)
	case now-l.progress >= g.r.n.cfg.MoveTimeout && !g.caughtUp(now):
		g.cancelCopy("no learner has come any further for move-timeout")
	}
}

// beginCopy makes the missing members learners, and keeps those that are. The first Append
// is empty: its answer says what the learner has, which may be what an earlier primary has
// sent it.
func (g *reign) beginCopy(want []MemberNumber, now time.Duration) {
	l, n := &g.learners, g.r.n
	if l.target == nil && now-n.planner.placedOn < n.cfg.SettleTime {
		return // more may join, and data would move twice
	}
	if l.target == nil && now < n.copying.nextAt {
		return // each move interrupts its partition, and not all at once
	}
	if l.target == nil && (g.handOverTo(now) != 0 || g.r.n.copies() >= maxCopies || !g.r.n.hearsAll(want)) {
		return // for the next primary, or for later
	}
	var list, added []*follower
	for _, m := range want {
		if contains(g.asg.Replicas, m) {
			continue
		}
		f := g.learner(m)
		if f == nil {
			f = &follower{member: m, learner: true, next: g.r.log.lastIndex() + 1, start: g.noop}
			added = append(added, f)
		}
		list = append(list, f)
	}
	if l.target == nil {
		n.copying.nextAt = now + n.cfg.SettleTime/copiesInSettleTime
	}
	*l = learners{target: want, list: list, progress: now}
	g.r.n.observe(Event{Kind: EventCopyBegun, Partition: g.r.id, Epoch: g.epoch})
	for _, f := range added {
		g.replicate(f, true)
	}
}

// endCopy stops sending. What the learners have stays with them.
func (g *reign) endCopy() {
	g.learners = learners{}
}

// cancelCopy gives the copy up for a while, and what is held for it.
func (g *reign) cancelCopy(why string) {
	r := g.r
	for _, f := range g.learners.list {
		if t := r.n.transfer(r.id, f.member); t != nil {
			r.n.closeTransfer(t)
		}
	}
	g.endCopy()
	r.move.failed(r.n.now(), r.n.cfg.SettleTime)
	r.n.observe(Event{Kind: EventCopyCancelled, Partition: r.id, Epoch: g.epoch, Text: why})
}

// copies counts the partitions that this node copies to learners.
func (n *Node) copies() (count int) {
	for _, r := range n.replicas {
		if r != nil && r.reign != nil && r.reign.learners.target != nil {
			count++
		}
	}
	return count
}

// installs counts the snapshots that this node loads as a learner.
func (n *Node) installs() (count int) {
	for _, r := range n.replicas {
		if r != nil && r.install != nil && !r.known().Names(n.self) {
			count++
		}
	}
	return count
}

// beginMove returns L2 when the learners have caught up, and the layout of now still means
// the partition for them: the target is that of the last tick.
func (g *reign) beginMove(step layout.Step, now time.Duration) (layout.Step, bool) {
	if !g.caughtUp(now) || !sameMembers(g.wantedMove(now), g.learners.target) {
		return step, false
	}
	for _, f := range g.learners.list {
		g.r.n.observe(Event{Kind: EventLearnerCaughtUp, Partition: g.r.id, Epoch: g.epoch, Index: f.match, Peer: f.member})
	}
	step.Kind, step.Primary, step.Next = layout.BeginMove, g.r.n.self, slices.Clone(g.learners.target)
	return step, true
}

// caughtUp reports whether the joint state would have nothing to wait for: every learner
// answers and lacks little, and a majority of N answers. That of R does, or the reign would
// be quiet.
func (g *reign) caughtUp(now time.Duration) bool {
	fresh := func(m MemberNumber) bool {
		f := g.peer(m)
		return m == g.r.n.self || f != nil && now-f.answered <= g.r.n.cfg.SuspectAfter/2
	}
	for _, f := range g.learners.list {
		if !fresh(f.member) || !g.lacksLittle(f) {
			return false
		}
	}
	return quorum.Set(g.learners.target).Reached(fresh)
}

// isThere reports whether a follower or a learner answers.
func (g *reign) isThere(f *follower, now time.Duration) bool {
	return now-f.answered <= 2*g.r.n.cfg.SuspectAfter
}

// allAnswer reports whether every learner is there.
func (g *reign) allAnswer(now time.Duration) bool {
	for _, f := range g.learners.list {
		if !g.isThere(f, now) {
			return false
		}
	}
	return true
}

// behind returns the followers that the partition would miss if it lost others: those that
// are not there, and those that lack more than a little.
func (g *reign) behind(now time.Duration) []MemberNumber {
	var list []MemberNumber
	for _, f := range g.followers {
		if !g.isThere(f, now) || !g.lacksLittle(f) {
			list = append(list, f.member)
		}
	}
	return list
}

// lacksLittle reports whether what a member lacks of what is committed is within the bounds.
func (g *reign) lacksLittle(f *follower) bool {
	r := g.r
	if f.match >= r.commit {
		return true
	}
	if f.match == 0 || f.match < r.log.baseIndex || f.match+copyLag < r.commit {
		return false
	}
	return f.match+Index(len(r.log.between(f.match, r.commit, copyLagBytes))) == r.commit
}

// progressed notes that a learner has come further.
func (g *reign) progressed(f *follower) {
	if f.learner {
		g.learners.progress = g.r.n.now()
	}
}

// dataSize is what a key takes in EventCopySent: key, value and version.
func dataSize(key, value []byte) int { return len(key) + len(value) + 8 }

// learned takes a learner's first answer of this reign: where its log ends. What it has by
// then it has from an earlier copy.
func (g *reign) learned(f *follower, end Index) {
	if !f.learner || f.met {
		return
	}
	f.met = true
	if end > 0 {
		g.r.n.observe(Event{Kind: EventCopyContinued, Partition: g.r.id, Epoch: g.epoch, Index: end, Peer: f.member})
	}
}

// copiedTo takes from the rate what a learner is sent, entry by entry: one large one is
// forgiven as bucket.take says, but not all of a frame.
func (g *reign) copiedTo(f *follower, entries []Entry) {
	n, sum := g.r.n, 0
	for i := range entries {
		n.copying.outbound.take(entries[i].size(), n.cfg)
		sum += dataSize(entries[i].Key, entries[i].Value)
	}
	if sum > 0 {
		n.observe(Event{Kind: EventCopySent, Partition: g.r.id, Epoch: g.epoch, Index: Index(sum), Peer: f.member})
	}
}

// lost begins anew with a learner that has less than it acknowledged, by its hint or by its
// answer to a heartbeat: it has deleted its copy, as one may that the ring no longer means
// (rule "a learner keeps its copy"), or it restarted, and the next Append tells what it has.
// A replica never has less.
func (g *reign) lost(f *follower, has Index) {
	if f.learner && has < f.match {
		f.match, f.start = 0, g.noop
	}
}

// check asserts what the comment of learners says.
func (g *reign) checkLearners() error {
	l := &g.learners
	if l.target == nil && len(l.list) > 0 || l.target != nil && (g.phase != leading || g.asg.Moving()) {
		return broken("%d learners for %v in phase %d of %+v", len(l.list), l.target, g.phase, g.asg)
	}
	for _, f := range l.list {
		if g.follower(f.member) != nil || f.member == g.r.n.self || !contains(l.target, f.member) || !f.learner {
			return broken("member %d is a learner for %v in %+v", f.member, l.target, g.asg)
		}
		if err := f.check(g); err != nil {
			return err
		}
	}
	return nil
}

// bucket measures out bytes: so many a second, and a burst after a pause. What is taken
// may exceed what is there; then nothing may be taken until the debt is paid.
type bucket struct {
	tokens int
	filled time.Duration
}

// open adds what has come since the last time and reports whether anything may be taken.
func (b *bucket) open(now time.Duration, rate int) bool {
	since := min(now-b.filled, time.Second)
	if more := int(since) / 1000 * rate / 1_000_000; more > 0 {
		b.tokens = min(b.tokens+more, max(rate/32, 1))
		b.filled = now
	}
	return b.tokens > 0
}

// take takes size bytes. What would keep a transfer waiting for as long as its View is held
// is forgiven: at a low rate a large value takes longer than that, and a copy that can't
// get past it would begin anew for ever.
func (b *bucket) take(size int, cfg Config) {
	most := int(cfg.ViewTime/16/time.Microsecond) * cfg.MoveRate / 1_000_000
	b.tokens = max(b.tokens-size, -most)
}

// wait returns how long the bucket stays empty.
func (b *bucket) wait(rate int) time.Duration {
	return time.Duration(max(1-b.tokens, 0))*time.Second/time.Duration(rate) + time.Microsecond
}

// mayCopy reports whether learners may be sent more now; if not, pumpCopies follows.
func (n *Node) mayCopy() bool {
	if n.copying.outbound.open(n.now(), n.cfg.MoveRate) {
		return true
	}
	if !n.copying.pumping {
		n.copying.pumping = true
		n.observe(Event{Kind: EventCopyPaced})
		n.after(n.copying.outbound.wait(n.cfg.MoveRate), n.pumpCopies)
	}
	return false
}

// pumpCopies continues what waited for the rate: Appends first, because they end a copy,
// then chunks in the order in which they were asked for.
func (n *Node) pumpCopies() {
	c := &n.copying
	c.pumping = false
	for _, r := range n.replicas {
		if r == nil || r.reign == nil || r.reign.quiet {
			continue
		}
		for _, f := range r.reign.learners.list {
			n.scratch.uncheckedPartition(r.id)
			r.reign.replicate(f, false)
		}
	}
	n.copyMore()
}

// copyMore sends the chunks that were asked for, as far as the rate allows.
func (n *Node) copyMore() {
	c := &n.copying
	for len(c.asked) > 0 && n.mayCopy() {
		t := c.asked[0]
		c.asked = slices.Delete(c.asked, 0, 1)
		size, items := n.sendChunk(t)
		c.outbound.take(size, n.cfg)
		sum := 0
		for i := range items {
			sum += dataSize(items[i].Key, items[i].Value)
		}
		n.observe(Event{Kind: EventCopySent, Partition: t.partition, Index: Index(sum), Peer: t.to})
	}
}

// copyLimits is what a node's copies to and from learners share.
type copyLimits struct {
	outbound, inbound bucket
	nextAt            time.Duration // no copy begins before
	pumping           bool          // pumpCopies will run
	asked             []*transfer   // whose next chunk waits for the rate, each once
	kept              int           // bytes of log that all copies need: see kept
}

// pullPaced asks for the next chunk, as a learner no sooner than the rate allows.
func (r *replica) pullPaced(size int) {
	n, i := r.n, r.install
	if r.known().Names(n.self) || n.cfg.MoveRate < 0 {
		r.pull()
		return
	}
	b := &n.copying.inbound
	open := b.open(n.now(), n.cfg.MoveRate)
	b.take(size, n.cfg)
	if open && b.tokens > 0 {
		r.pull()
		return
	}
	wait := b.wait(n.cfg.MoveRate)
	i.askedAt = n.now() + wait // the tick is in no hurry
	after := bytes.Clone(i.after)
	n.after(wait, func() {
		if n.held(r.id) == r && r.install == i && bytes.Equal(i.after, after) {
			r.pull()
		}
	})
}
