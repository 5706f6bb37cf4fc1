package node

import (
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/quorum"
)

// reign is one process's time as primary of one epoch of one partition. It
// begins with the promise to itself and ends in the event in which promised
// rises above it (rule "a higher promise ends the reign"), or in which this node
// learns that it may lead no longer (endReigns). It is never continued, by this
// process or another (rule "never resume an epoch"), so nothing here is durable.
//
// What always holds of a reign, and check asserts, stands beside the fields.
type reign struct {
	// Who and what: epoch == asg.Epoch == r.promised, and asg.Primary is this
	// node. asg is what this reign counts by until it ends, even when a newer
	// assignment is known (rule "frames carry their assignment").
	r     *replica
	epoch Epoch
	asg   Assignment

	// How far it has come. The phase only goes forward, except that a source that
	// fails takes it from completing back to preparing. copying is set in
	// completing, and only there; a reign that is completing without it has been
	// abandoned.
	phase   phase
	started time.Duration

	// What keeps it from serving. closing is true exactly while a newer epoch of
	// the partition is known. A reign that is quiet, closing or abandoned takes no
	// new request, so its queue is empty; a quiet or abandoned one has no reads
	// waiting either. Only quiet is ever taken back.
	quiet     bool          // its quorums do not answer: rule "go quiet without a quorum"
	closing   bool          // a newer epoch is known
	closed    time.Duration // when closing was set
	abandoned bool          // no source can show the log it promised: a bump follows

	// The promises. Nothing is sent, and the phase stays preparing, until selfKept.
	// At most one promise a member counts, and only those of members of R: rule
	// "promises from a majority".
	selfKept bool // own promise is durable
	promises []promise
	failed   []MemberNumber // sources that could not show their log
	copying  *copying

	// The log. Before leading there is no no-op, nothing has been sent and nothing
	// waits: noop, selfMatch and selfSent are 0. From then on
	//
	//	noop <= last(log)            entries from noop on are of this epoch
	//	selfMatch <= selfSent <= last(log)
	//	active == (commit >= noop)   commit never passes noop without becoming active
	//
	// and in an active reign quorums have the log durably up to commit.
	noop      Index
	active    bool
	selfMatch Index // own log is durable up to here
	selfSent  Index // up to where an own acknowledgement is under way

	// followers are R∪N without this node, each once, in the assignment's order.
	followers []*follower
	learners  learners

	// Requests. writes wait for their entries, in log order: applied < index <=
	// last(log). size is what their entries count for in bounds, and is part of the
	// node's uncommitted. reads are in the order of their arrival, so that their
	// transmissions never fall: one that is confirmed is confirmed with all before
	// it. queue holds what came before the reign leads, and writes
	// that wait for a planned step or, at a node which stops, for an heir; otherwise it is
	// empty afterwards.
	writes     []pendingWrite
	size       int // bytes of writes
	reads      []pendingRead
	queue      []*work
	queueBytes int
	draining   draining
	fates      []*fates
}

type phase uint8

const (
	preparing  phase = iota // collecting promises
	completing              // copying the chosen log
	leading                 // no-op appended: entries may follow
)

// promise is what a member of R promised, with the end of its log.
type promise struct {
	member    MemberNumber
	lastEpoch Epoch
	lastIndex Index
}

// atLeast compares the ends of two logs: by epoch first, because a longer log of
// an older epoch may consist of entries that were never committed, while the
// log with the later epoch was chosen from a majority (rule "the best log wins").
func (p promise) atLeast(q promise) bool {
	return p.lastEpoch > q.lastEpoch || p.lastEpoch == q.lastEpoch && p.lastIndex >= q.lastIndex
}

// copying is the way from this node's log to the chosen one. The entry at
// prevIndex is one that both logs have, as far as is known: a mismatch moves it
// down, entries move it up, and it never falls below what this node has applied.
type copying struct {
	source    promise
	prevIndex Index // the entry after which the source was asked
	prevEpoch Epoch
	askedAt   time.Duration
	since     time.Duration // of the last progress
}

// follower is what a primary knows of one of its peers in this epoch. Before the
// reign leads all indexes are 0. From then on
//
//	match < next <= last(log) + 1
//
// The follower has everything up to match durably, and equal to this log.
// Entries in (match, next) were sent and not acknowledged: they are in flight or
// lost. Nothing from next on was sent.
//
// While match < start it is not known where the logs agree. start is then where
// sending begins again; hints only lower it, from the no-op down, and it matters
// no more once match has reached it.
type follower struct {
	member  MemberNumber
	inR     bool // false: a member of N alone, or a learner
	learner bool // in neither: see learners
	met     bool // a learner that has answered in this reign

	// Both only grow. confirmed is at most the number of transmissions made.
	answered  time.Duration // when it last answered in this epoch
	confirmed uint64        // the greatest own transmission it answered

	match    Index // acknowledged as durable
	next     Index // of the next entry to send
	start    Index // where sending begins again while match is below it
	inflight int   // Appends without an answer, 0 to maxInflight
	sentAt   time.Duration
	rewound  uint64 // the last transmission before sending began again

	offeredAt time.Duration // of the last snapshot offered
}

// reignOf returns the reign of exactly this epoch, if it stands. Every answer
// that a primary takes goes through here: one for an epoch that is over finds
// no reign, whatever it says.
func (n *Node) reignOf(p PartitionID, e Epoch) *reign {
	r := n.held(p)
	if r == nil || r.reign == nil || r.reign.epoch != e {
		return nil
	}
	return r.reign
}

// follower returns what is known of a peer; nil for members outside R∪N, whose
// answers therefore count for nothing.
func (g *reign) follower(m MemberNumber) *follower {
	for _, f := range g.followers {
		if f.member == m {
			return f
		}
	}
	return nil
}

func (g *reign) promisedBy(m MemberNumber) bool { return g.promiseOf(m) >= 0 }

// promiseOf returns the place of a member's promise in promises; -1 if it has
// given none.
func (g *reign) promiseOf(m MemberNumber) int {
	return slices.IndexFunc(g.promises, func(p promise) bool { return p.member == m })
}

// check asserts what the comments of reign and follower say.
func (g *reign) check() error {
	r := g.r
	known := r.known().Epoch
	switch {
	case g.epoch != r.promised || g.epoch != g.asg.Epoch || g.asg.Primary != r.n.self || g.epoch != r.lastStarted:
		return broken("reign of epoch %d under promise %d, started %d, by %+v", g.epoch, r.promised, r.lastStarted, g.asg)
	case g.closing != (known > g.epoch):
		return broken("closing is %v in epoch %d while epoch %d is known", g.closing, g.epoch, known)
	case !g.selfKept && g.phase != preparing:
		return broken("phase %d before the own promise is durable", g.phase)
	case (g.phase == completing) != (g.copying != nil || g.phase == completing && g.abandoned):
		return broken("phase %d, copying %v, abandoned %v", g.phase, g.copying != nil, g.abandoned)
	case len(g.queue) > 0 && (g.phase == leading && !r.n.holdsWrites() && !g.draining.on || g.quiet || g.closing || g.abandoned):
		return broken("%d requests queued in phase %d, quiet %v, closing %v, abandoned %v", len(g.queue), g.phase, g.quiet, g.closing, g.abandoned)
	case len(g.reads) > 0 && (g.phase != leading || g.quiet || g.abandoned):
		return broken("%d reads wait in phase %d, quiet %v, abandoned %v", len(g.reads), g.phase, g.quiet, g.abandoned)
	case len(g.reads) > 0 && g.reads[0].after > g.reads[len(g.reads)-1].after:
		return broken("reads after transmissions %d to %d", g.reads[0].after, g.reads[len(g.reads)-1].after)
	case len(g.queue) == 0 && g.queueBytes != 0:
		return broken("an empty queue of %d bytes", g.queueBytes)
	}
	if err := g.checkFollowers(g.asg.Replicas, true); err != nil {
		return err
	}
	if err := g.checkFollowers(g.asg.Next, false); err != nil {
		return err
	}
	if err := g.checkLearners(); err != nil {
		return err
	}
	if err := g.checkLog(); err != nil {
		return err
	}
	return g.checkWrites()
}

func (g *reign) checkLog() error {
	r, last := g.r, g.r.log.lastIndex()
	if g.phase != leading {
		if g.noop != 0 || g.active || g.selfMatch != 0 || g.selfSent != 0 {
			return broken("phase %d with no-op %d, active %v, own match %d of %d", g.phase, g.noop, g.active, g.selfMatch, g.selfSent)
		}
		return nil
	}
	epoch, kept := r.log.epochAt(g.noop)
	switch {
	case g.noop == 0 || g.noop > last || kept && g.noop > r.log.baseIndex && epoch != g.epoch:
		return broken("no-op %d is of epoch %d, not of %d; the log ends at %d", g.noop, epoch, g.epoch, last)
	case g.selfMatch > g.selfSent || g.selfSent > last:
		return broken("own match %d, sent %d, the log ends at %d", g.selfMatch, g.selfSent, last)
	case g.active != (r.commit >= g.noop):
		return broken("active is %v with no-op %d and commit %d", g.active, g.noop, r.commit)
	case g.active && r.commit > quorum.Greatest(quorum.Of(g.asg), g.durableAt):
		return broken("commit %d, but quorums have the log up to %d", r.commit, quorum.Greatest(quorum.Of(g.asg), g.durableAt))
	}
	return nil
}

func (g *reign) checkWrites() error {
	size, before := 0, g.r.applied
	for i := range g.writes {
		w := &g.writes[i]
		if w.index <= before || w.index > g.r.log.lastIndex() {
			return broken("a write at %d waits after %d, the log ends at %d", w.index, before, g.r.log.lastIndex())
		}
		size, before = size+w.size, w.index
	}
	if size != g.size {
		return broken("writes of %d bytes are counted as %d", size, g.size)
	}
	for _, t := range g.fates {
		if err := t.check(); err != nil {
			return err
		}
	}
	return nil
}

// checkFollowers checks the followers that are in a set, and that all of it but
// this node are followers.
func (g *reign) checkFollowers(set []MemberNumber, inR bool) error {
	for _, m := range set {
		f := g.follower(m)
		if m == g.r.n.self {
			if f != nil {
				return broken("the primary %d follows itself", m)
			}
			continue
		}
		if f == nil || inR && !f.inR {
			return broken("member %d of %+v is not followed", m, g.asg)
		}
		if err := f.check(g); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) check(g *reign) error {
	last := g.r.log.lastIndex()
	switch {
	case f.inR != contains(g.asg.Replicas, f.member):
		return broken("member %d is in R: %v, in %+v", f.member, f.inR, g.asg)
	case f.confirmed > g.r.n.sent || f.rewound > g.r.n.sent:
		return broken("member %d confirmed transmission %d, stepped back at %d, of %d", f.member, f.confirmed, f.rewound, g.r.n.sent)
	case g.phase != leading:
		if f.match != 0 || f.next != 0 || f.start != 0 || f.inflight != 0 {
			return broken("member %d: match %d, next %d, start %d, %d in flight in phase %d", f.member, f.match, f.next, f.start, f.inflight, g.phase)
		}
	case f.match >= f.next || f.next > last+1:
		return broken("member %d: match %d, next %d, the log ends at %d", f.member, f.match, f.next, last)
	case f.start < 1 || f.start > g.noop:
		return broken("member %d: start %d, the no-op is at %d", f.member, f.start, g.noop)
	case f.inflight < 0 || f.inflight > maxInflight:
		return broken("member %d: %d Appends in flight", f.member, f.inflight)
	}
	return nil
}

// close: a newer epoch is known, but promised has not risen yet. What is under
// way may still end well until the new primary asks this replica, or enough
// others, for promises: an entry committed before that is in the log that will
// be chosen. New requests are not taken, since they most likely would not.
func (g *reign) close(now time.Duration) {
	if g.closing {
		return
	}
	g.closing, g.closed = true, now
	queue := g.queue
	g.queue, g.queueBytes = nil, 0
	for _, w := range queue {
		w.refuse("another epoch began")
	}
}

// endReign ends the reign, if there is one: promised has risen above it, or this node may
// lead no longer.
func (r *replica) endReign(why string) {
	g := r.reign
	if g == nil {
		return
	}
	r.reign = nil
	if g.copying != nil {
		r.suspendInstall()
	}
	g.endRequests(why)
	r.n.uncommitted -= g.size
	r.keepFates(g)
	r.taker.reignEnded(r.n.cfg, g.active)
	r.n.observe(Event{Kind: EventReignEnded, Partition: r.id, Epoch: g.epoch, Text: why})
}

// endRequests gives everything that waits the answer that is true of it. A
// proposed write is unknown: its entry stands in the log, and a later primary may
// commit it. Reads and queued requests changed nothing, so they are refused.
//
// The writes stay listed. Their entries still take up log that is not committed,
// and if the reign resumes they are counted off when they are applied.
func (g *reign) endRequests(why string) {
	reads, queue := g.reads, g.queue
	g.reads, g.queue, g.queueBytes = nil, nil, 0
	for _, w := range g.writes {
		w.work.finish(unknown(why))
	}
	for _, w := range reads {
		w.work.finish(refused(why))
	}
	for _, w := range queue {
		w.refuse(why)
	}
}

// work is a request at its primary: a client's of this node, or a forwarded one.
// It ends exactly once. proposed and ended only ever become true; a request that
// ended without being proposed never gets into the log.
type work struct {
	request  door.Request
	deadline time.Duration
	reply    func(door.Response)
	proposed bool // stands in the log: no longer to be refused
	ended    bool
}

// size is what the request counts for in the bound of a queue.
func (w *work) size() int { return len(w.request.Key) + len(w.request.Value) }

func (w *work) finish(resp door.Response) {
	if !w.ended {
		w.ended = true
		w.reply(resp)
	}
}

// refuse ends a request that was never proposed. A proposed one may yet be
// committed, so refusing it would be a lie: rule "refuse only for good".
func (w *work) refuse(why string) {
	assertf(!w.proposed, "refusing a proposed write")
	w.finish(refused(why))
}
