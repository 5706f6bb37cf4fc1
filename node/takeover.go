package node

import (
	"slices"
	"time"

	"dkv/node/layout"
	"dkv/node/quorum"
)

// How a primary that is not heard is replaced:
//
//	silence ─▶ sendPreVotes ─▶ onPreVote (each of R∪N) ─▶ onPreVoteReply
//	        ─▶ consider ─▶ takeSteps (planner.go) ─▶ startReign
//
// Check-quorum stands in epoch.go with the reign that it silences. Safety depends on
// none of this: any of these steps, made by any node at any time, is safe, because the
// new primary has to collect promises before it leads. What depends on it is whether
// the partition is served: a node that can't hear must not depose a primary that the
// others hear (rule "ask before taking over").

// taker is a replica's attempt to become primary. While it does not ask (since is 0)
// there are no votes and no time to go; a new epoch, or hearing the primary, ends the
// asking and drops what was answered.
type taker struct {
	votes   []vote
	since   time.Duration // when asking began; 0: not asking
	round   uint64        // of the first frame since then; earlier answers don't count
	goAt    time.Duration // when to make the step; 0: consents are missing
	backoff time.Duration // after reigns that never became active
	bumps   []bumpConsent // given to restarted primaries
}

// vote is the last answer of one member for the newest known epoch. It is good for
// suspect-after from its arrival, and for two from the question: what a member heard
// before that says nothing of now.
type vote struct {
	member     MemberNumber
	askedAt    time.Duration
	answeredAt time.Duration
	consent    bool
	last       promise
}

// asking is one call of sendPreVotes that sent something.
type asking struct {
	round uint64 // of its first frame
	at    time.Duration
}

// bumpConsent remembers that a restarted primary was consented to at once.
type bumpConsent struct {
	member MemberNumber
	epoch  Epoch
	at     time.Duration
}

// forget drops what was said of an epoch that is over, or of a silence that has ended.
func (t *taker) forget() {
	t.votes = t.votes[:0]
	t.since, t.goAt = 0, 0
}

// reignEnded doubles the wait after a reign that came to nothing, and ends it after one
// that served: rule "the best log goes first". A node that keeps failing to start, for
// want of a source or of an answer, leaves the next epoch to another one.
func (t *taker) reignEnded(c Config, active bool) {
	if active {
		t.backoff = 0
		return
	}
	t.backoff = min(max(2*t.backoff, c.SuspectAfter/2), c.SettleTime)
}

// wants reports whether this node should try to lead the partition: because the primary
// is silent, because its own reign came to a dead end, or because it finds itself named
// primary of an epoch that an earlier process of it may have acted in (rule "never resume
// an epoch"). One that has promised a higher epoch waits for the layout that has it.
func (r *replica) wants(now time.Duration) bool {
	a := r.known()
	switch {
	case r.n.self == 0 || !a.Names(r.n.self) || r.n.stopping || r.promised > a.Epoch || !r.n.mayLead(a):
		return false
	case r.reign != nil && r.reign.epoch == a.Epoch:
		return r.reign.abandoned
	case a.Primary == r.n.self:
		return true // restarted in its own epoch, which is never resumed
	}
	return r.silence(now) >= r.n.cfg.SuspectAfter
}

// sendPreVotes asks R∪N about every partition that this node would lead, one frame a
// peer. It asks again each interval, since consents are good for suspect-after only: they
// say what the others hear now.
func (n *Node) sendPreVotes(now time.Duration) {
	to, frames := n.scratch.voters[:0], n.scratch.votes[:0]
	for _, r := range n.replicas {
		if r == nil {
			continue
		}
		if !r.wants(now) {
			r.taker.forget()
			continue
		}
		if r.taker.since == 0 {
			r.taker.since, r.taker.round = now, n.voteSeq+1
		}
		a := *r.known()
		for _, m := range union(a.Replicas, a.Next) {
			if m == n.self {
				continue
			}
			i := slices.Index(to, m)
			if i < 0 {
				i = len(to)
				to = append(to, m)
				frames = append(frames, &PreVote{LayoutVersion: n.layoutVersion(), Items: make([]PreVoteItem, 0, n.scratch.voteItems)})
			}
			frames[i].Items = append(frames[i].Items, PreVoteItem{r.id, a})
		}
		r.consider(now)
	}
	n.scratch.voteItems = 1
	if len(frames) > 0 {
		n.askings = slices.DeleteFunc(n.askings, func(a asking) bool { return now-a.at > 2*n.cfg.SuspectAfter })
		n.askings = append(n.askings, asking{n.voteSeq + 1, now})
	}
	for i, frame := range frames {
		n.voteSeq++
		frame.Round = n.voteSeq
		n.scratch.voteItems = max(n.scratch.voteItems, len(frame.Items))
		n.send(to[i], frame)
	}
	clear(frames)
	n.scratch.voters, n.scratch.votes = to, frames
}

// onPreVote answers for each partition whether its primary is silent here too. It learns
// the assignment that is asked about, and if it knows a newer one it answers with that,
// which is how a node that was away hears who leads (rule "pass the layout on").
func (n *Node) onPreVote(m *Envelope, v *PreVote) {
	n.compareLayouts(m.From, v.LayoutVersion)
	reply := &PreVoteReply{
		LayoutVersion: n.layoutVersion(), Round: v.Round, Items: make([]PreVoteReplyItem, 0, len(v.Items)),
	}
	for _, item := range v.Items {
		n.learn(item.Partition, item.Assignment)
		r := n.replica(item.Partition)
		if r == nil || n.self == 0 {
			continue
		}
		answer := PreVoteReplyItem{Partition: r.id, Epoch: item.Assignment.Epoch}
		if a := r.known(); a.Epoch > item.Assignment.Epoch {
			answer.Known = *a
		} else {
			answer.Consent = r.consents(m.From, n.now())
		}
		answer.LastEpoch, answer.LastIndex = r.last()
		reply.Items = append(reply.Items, answer)
	}
	n.send(m.From, reply)
}

// consents reports whether this node, asked by a member, has not heard the primary of the
// newest known epoch either. It promises nothing, so it may consent to several. A primary
// that leads the epoch does not consent to its own replacement, though it hears nothing
// from itself; but a quiet one does: another replica may reach a majority only with it.
// Asked by itself a node answers what it would answer others: a taker's own consent counts
// by the same rule.
func (r *replica) consents(asker MemberNumber, now time.Duration) bool {
	a := r.known()
	if !a.Names(asker) || r.promised > a.Epoch {
		return false
	}
	if g := r.reign; g != nil && g.epoch == a.Epoch && !g.abandoned && !g.quiet {
		return false
	}
	if asker == a.Primary && r.consentsToBump(asker, a.Epoch, now) {
		return true
	}
	return r.silence(now) >= r.n.cfg.SuspectAfter
}

// consentsToBump lets a restarted primary begin anew at once, though its former process
// was heard a moment ago: waiting for suspect-after would serve no one. But only once in
// settle-time for each member, so that a crash loop does not hold a partition; after that
// it waits like the others, and one of them is faster.
func (r *replica) consentsToBump(asker MemberNumber, e Epoch, now time.Duration) bool {
	for i := range r.taker.bumps {
		b := &r.taker.bumps[i]
		if b.member != asker {
			continue
		}
		if b.epoch != e && now-b.at < r.n.cfg.SettleTime {
			return false
		}
		if b.epoch != e {
			b.epoch, b.at = e, now
		}
		return true
	}
	r.taker.bumps = append(r.taker.bumps, bumpConsent{asker, e, now})
	if len(r.taker.bumps) > 16 {
		r.taker.bumps = r.taker.bumps[1:]
	}
	return true
}

// askedAt returns when this node asked in a round, and false if that is long ago.
func (n *Node) askedAt(round uint64) (at time.Duration, ok bool) {
	for i := len(n.askings) - 1; i >= 0 && round <= n.voteSeq; i-- {
		if n.askings[i].round <= round {
			return n.askings[i].at, true
		}
	}
	return 0, false
}

// onPreVoteReply counts the answers of this asking. An answer to an earlier round was
// given before this replica heard the primary again, and went silent again; it says
// nothing of this silence.
func (n *Node) onPreVoteReply(m *Envelope, v *PreVoteReply) {
	n.compareLayouts(m.From, v.LayoutVersion)
	now := n.now()
	asked, recent := n.askedAt(v.Round)
	for _, item := range v.Items {
		n.learn(item.Partition, item.Known)
		r := n.held(item.Partition)
		if r == nil || r.known().Epoch != item.Epoch || r.taker.since == 0 || v.Round < r.taker.round {
			continue
		}
		if !item.Consent {
			n.observe(Event{Kind: EventPreVoteRefused, Partition: r.id, Epoch: item.Epoch, Peer: m.From})
		}
		if recent {
			r.taker.record(vote{m.From, asked, now, item.Consent, promise{m.From, item.LastEpoch, item.LastIndex}})
			r.consider(now)
		}
	}
	n.takeSteps()
}

// record keeps the last vote of each member.
func (t *taker) record(v vote) {
	for i := range t.votes {
		if t.votes[i].member == v.member {
			t.votes[i] = v
			return
		}
	}
	t.votes = append(t.votes, v)
}

// ballot is the result of counting the votes that are fresh.
type ballot struct {
	consented bool // a majority of R consents, this node included
	answered  bool // a majority of N answers, or there is no N
	rank      int  // how many consenting members come first
}

// count takes the votes that are fresh; this node's own is asked now. The rank orders the
// takers without a word between them: each counts how many consenting members have a
// better log, or an equal one and an earlier place in the assignment.
func (r *replica) count(now time.Duration) ballot {
	a, self := r.known(), r.n.self
	lastEpoch, lastIndex := r.last()
	own := vote{self, now, now, r.consents(self, now), promise{self, lastEpoch, lastIndex}}
	freshVote := func(m MemberNumber) *vote {
		if m == self {
			return &own
		}
		return r.taker.freshVote(m, now, r.n.cfg.SuspectAfter)
	}
	b := ballot{
		consented: quorum.Set(a.Replicas).Reached(func(m MemberNumber) bool {
			v := freshVote(m)
			return v != nil && v.consent
		}),
		answered: !a.Moving() || quorum.Set(a.Next).Reached(func(m MemberNumber) bool { return freshVote(m) != nil }),
	}
	order := union(a.Replicas, a.Next)
	for i := range r.taker.votes {
		v := freshVote(r.taker.votes[i].member)
		if v == nil || v == &own || !v.consent {
			continue
		}
		better := v.last.atLeast(own.last)
		if better && (!own.last.atLeast(v.last) || slices.Index(order, v.member) < slices.Index(order, self)) {
			b.rank++
		}
	}
	return b
}

// freshVote returns a member's vote if it still counts, and nil otherwise.
func (t *taker) freshVote(m MemberNumber, now, suspectAfter time.Duration) *vote {
	for i := range t.votes {
		if v := &t.votes[i]; v.member == m && now-v.answeredAt <= suspectAfter && now-v.askedAt <= 2*suspectAfter {
			return v
		}
	}
	return nil
}

// consider decides, from the answers so far, whether and when to make the step. The wait
// grows by an interval with the rank, so that the best log, which needs no copy, goes
// first; the jitter separates those who can't tell their ranks apart; the back-off leaves
// the turn to others after failures. If the consents are gone when it has passed, the
// count at that time says so (dueTakeOver).
func (r *replica) consider(now time.Duration) {
	if !r.wants(now) {
		r.taker.forget()
		return
	}
	b := r.count(now)
	if _, ok := r.takeOverStep(b, now); !ok {
		r.taker.goAt = 0
		return
	}
	if r.taker.goAt == 0 {
		interval := r.n.interval()
		wait := time.Duration(b.rank)*interval + r.n.jitter(interval/2) + r.taker.backoff
		r.taker.goAt = now + wait
		r.n.after(wait, r.n.takeSteps)
	}
}

// takeOverStep returns the step that the ballot allows: L1 to this node; or, when N has
// been silent for suspect-after, L4 to it (rule "cancel a stuck move"). Without a majority
// of N a joint epoch could not become active, however often its primary changes. Only a
// member of R may cancel, since only it is a replica afterwards.
func (r *replica) takeOverStep(b ballot, now time.Duration) (layout.Step, bool) {
	a := r.known()
	step := layout.Step{Kind: layout.ChangePrimary, Partition: r.id, Epoch: a.Epoch, Primary: r.n.self}
	if !b.consented {
		return step, false
	}
	if b.answered {
		return step, true
	}
	step.Kind = layout.CancelMove
	silent := now-r.taker.since >= r.n.cfg.SuspectAfter
	return step, silent && contains(a.Replicas, r.n.self)
}

// dueTakeOver returns the take-over step to be made now, if there is one.
func (r *replica) dueTakeOver(now time.Duration) (layout.Step, bool) {
	if r.taker.goAt == 0 || now < r.taker.goAt || !r.wants(now) {
		return layout.Step{}, false
	}
	return r.takeOverStep(r.count(now), now)
}

// union returns a followed by what b adds. The result may be a itself, so it is not to be
// written to.
func union(a, b []MemberNumber) []MemberNumber {
	if len(b) == 0 {
		return a // most of the time: no partition moves for long
	}
	all := slices.Clone(a)
	for _, m := range b {
		if !contains(all, m) {
			all = append(all, m)
		}
	}
	return all
}
