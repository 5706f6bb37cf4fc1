package node

import (
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/ring"
)

// The client's way in:
//
//	onRequest ─▶ attempt ─┬▶ take (write.go), if this node is the primary
//	                      └▶ Forward ─▶ onForward (the primary) ─▶ take
//	                                 ◀─ ForwardReply ◀─ finish
//	answered ─▶ done, or another attempt after a refusal
//
// A write is attempted again only after a refusal, which is certain (rule "refuse
// only for good"). Without an answer it ends as unknown, because a second attempt
// would be a second write (rule "unknown is final"). A get changes nothing and may
// be asked anew.

// operation is a client's request at the node that took it. It ends exactly
// once.
//
// local is set exactly in the state of this name. number, epoch, to, sentAt and wait
// belong to the last forward; a number is never used for a second one, since it
// is what makes the copies of a forward one request (rule "one fate per
// forward").
type operation struct {
	request   door.Request
	done      func(door.Response)
	partition PartitionID
	deadline  time.Duration
	state     operationState
	why       string // of the last refusal

	local *work // while attempting here

	number uint64 // of the forward under way
	epoch  Epoch
	to     MemberNumber
	sentAt time.Duration
	wait   time.Duration // from sentAt to the next repeat
	doomed time.Duration // when its primary was seen to be gone; 0: not

	lastAsked bool // asked again when its primary was about to leave
}

type operationState uint8

const (
	waiting operationState = iota
	local
	forwarded
	ended
)

// requests holds the operations that this node took from clients.
//
//   - live counts the operations of all that have not ended, and is at most
//     MaxWaiting: a client beyond that is told at once that the node is busy.
//   - forwarded holds exactly the operations in that state, by their numbers, which
//     are at most number; toPeer counts them by primary, at most maxForwards each.
type requests struct {
	all       []*operation // in order of arrival; ended ones go at the tick
	forwarded map[uint64]*operation
	number    uint64               // of the last forward
	toPeer    map[MemberNumber]int // forwards under way
	detours   map[PartitionID]detour
	live      int
	rerouted  bool // routes changed: those waiting are attempted again at the end of the turn
}

// check asserts what the comments of operation and requests say; with all set it
// looks at each operation.
func (q *requests) check(most int, all bool) error {
	if q.live < 0 || q.live > most || q.live > len(q.all) || len(q.forwarded) > q.live {
		return broken("%d requests are live of %d, %d forwarded", q.live, len(q.all), len(q.forwarded))
	}
	if !all {
		return nil
	}
	live, forwards := 0, 0
	for _, o := range q.all {
		if o.state != ended {
			live++
		}
		if (o.state == local) != (o.local != nil) {
			return broken("a request in state %v is local: %v", o.state, o.local != nil)
		}
		if o.state != forwarded {
			continue
		}
		forwards++
		if o.number > q.number || q.forwarded[o.number] != o || q.toPeer[o.to] < 1 || q.toPeer[o.to] > maxForwards {
			return broken("forward %d of %d is listed: %v, one of %d to member %d", o.number, q.number, q.forwarded[o.number] == o, q.toPeer[o.to], o.to)
		}
	}
	if live != q.live || forwards != len(q.forwarded) {
		return broken("%d live requests are counted as %d, %d forwards as %d", live, q.live, forwards, len(q.forwarded))
	}
	return nil
}

// open counts the requests that have not ended.
func (q *requests) open() int { return q.live }

// onRequest takes a client's request. It ends exactly once, at the latest with the tick
// that follows its deadline.
func (n *Node) onRequest(request door.Request, done func(door.Response)) {
	if why, ok := n.ignoreRequest(request); ok {
		done(why)
		return
	}
	timeout := request.Timeout
	if timeout <= 0 {
		timeout = n.cfg.RequestTimeout
	}
	timeout = min(timeout, MaxRequestTimeout)
	o := &operation{request: request, done: done, deadline: n.now() + timeout}
	n.requests.all = append(n.requests.all, o)
	n.requests.live++
	n.attempt(o)
}

// ignoreRequest refuses what can't be served at all.
func (n *Node) ignoreRequest(request door.Request) (door.Response, bool) {
	switch {
	case n.stopping && !n.holdsWrites():
		return refused("the node is stopping"), true
	case len(request.Key) == 0 || len(request.Key) > MaxKeyBytes || len(request.Value) > MaxValueBytes:
		return refused("the key is empty, or key or value are too large"), true
	case n.stamps.accused():
		return refused(n.stamps.why), true
	case n.outside():
		return n.turnAway(), true
	case n.requests.live >= n.cfg.MaxWaiting:
		return busy("too many requests are waiting at this node"), true
	}
	return door.Response{}, false
}

// attempt sends the operation where it belongs just now, or lets it wait. An operation
// that waits is attempted again when routes change, and at each tick.
func (n *Node) attempt(o *operation) {
	o.state, o.local, o.doomed, o.lastAsked = waiting, nil, 0, false
	if !n.begun || len(n.assignments) == 0 {
		o.why = "the node has no layout of the cluster yet"
		// Nor may a forward leave before the boot counter in it is durable: after a
		// crash the next process would use the same numbers for other requests.
		return
	}
	if n.outside() { // it came before the layout did, or before this node was removed
		n.end(o, n.turnAway())
		return
	}
	o.partition = PartitionID(ring.PartitionOf(o.request.Key, len(n.assignments)))
	a := &n.assignments[o.partition]
	// By the newest assignment known, which may be old; then the primary refuses, or
	// the forward is answered with a newer one.
	if a.Primary == n.self {
		n.attemptHere(o)
		return
	}
	if _, ok := n.peer(a.Primary); !ok {
		o.why = "the primary's address is not known"
		return
	}
	if n.requests.toPeer[a.Primary] >= maxForwards {
		n.end(o, busy("too many requests are being forwarded to the primary"))
		return
	}
	if !n.stamps.greets {
		// A forward would be dropped here, and end as unknown if the primary left meanwhile.
		o.why = "peers may not know of this process yet"
		return
	}
	n.requests.number++
	o.state, o.number, o.epoch, o.to = forwarded, n.requests.number, a.Epoch, a.Primary
	o.wait = n.cfg.SuspectAfter / 2
	n.requests.forwarded[o.number] = o
	n.requests.toPeer[o.to]++
	n.forward(o, n.firstHop(o))
}

// attemptHere gives the operation to this node's own reign, if that serves. If not, it
// waits here instead of being queued there: a reign that is closing will not serve it.
func (n *Node) attemptHere(o *operation) {
	r := n.held(o.partition)
	if r == nil || r.reign == nil || r.reign.closing || r.reign.abandoned || r.reign.quiet {
		o.why = "this node is the primary, but not ready to serve"
		return
	}
	if n.holdsWrites() && o.request.Kind.Writes() {
		if o.why != heldForHeir {
			n.observe(Event{Kind: EventHeldAtStop, Partition: r.id, Epoch: r.reign.epoch})
		}
		o.why = heldForHeir
		return
	}
	o.state = local
	w := &work{request: o.request, deadline: o.deadline}
	w.reply = func(answer door.Response) { n.answered(o, w, answer) }
	o.local = w
	r.reign.take(w)
}

// answered ends an attempt. The reign may answer long after the operation has ended, or
// has been attempted elsewhere, so it names the work that it answers: only the last
// attempt's answer counts.
func (n *Node) answered(o *operation, w *work, answer door.Response) {
	if o.state == ended || o.local != w {
		return
	}
	n.settle(o, answer)
}

// settle ends the operation, unless it was refused for a reason that may pass. A get that
// got no answer is asked again; a write is not (rule "unknown is final").
func (n *Node) settle(o *operation, answer door.Response) {
	n.unforward(o)
	again := answer.Outcome == door.Refused || answer.Outcome == door.Unknown && !o.request.Kind.Writes()
	if again && !answer.Busy && !(n.stopping && n.assignments[o.partition].Primary == n.self) {
		o.state, o.why, o.local = waiting, answer.Reason, nil
		return
	}
	n.end(o, answer)
}

// unforward takes the operation's forward off the list. A later answer to its number
// finds nothing.
func (n *Node) unforward(o *operation) {
	if o.state != forwarded {
		return
	}
	delete(n.requests.forwarded, o.number)
	n.requests.toPeer[o.to]--
	o.state = waiting
}

// end answers the client. done may be called from within OnRequest, so nothing of the
// operation is used after it.
func (n *Node) end(o *operation, answer door.Response) {
	if o.state == ended {
		return
	}
	n.unforward(o)
	o.state, o.local = ended, nil
	n.requests.live--
	o.done(answer)
}

// giveUp ends an operation that can't wait longer: as refused if it was certainly not
// proposed and never will be, and otherwise as unknown. A queued one is marked as ended,
// so that the reign drops it when it leads; a waiting one has nothing under way.
func (n *Node) giveUp(o *operation, why string) {
	if o.why != "" {
		why += ": " + o.why
	}
	switch {
	case o.state == ended:
	case !o.request.Kind.Writes(), o.state == waiting:
		if o.local != nil {
			o.local.ended = true
		}
		n.end(o, refused(why))
	case o.state == local && !o.local.proposed:
		o.local.ended = true
		n.end(o, refused(why))
	default:
		n.end(o, unknown(why))
	}
}

// retryWaiting attempts again what waits, and asks again for what is outdated, when routes
// have changed.
func (n *Node) retryWaiting() {
	if !n.requests.rerouted {
		return
	}
	n.requests.rerouted = false
	for _, o := range n.requests.all {
		switch o.state {
		case waiting:
			n.attempt(o)
		case forwarded:
			n.outdate(o)
		}
	}
}

// outdate asks the former primary at once for what became of a forward whose epoch is over:
// a frame may have been lost, and a primary that stops is gone a moment after this node
// knows its heir (rule "hand over before leaving").
func (n *Node) outdate(o *operation) {
	if o.doomed == 0 && n.assignments[o.partition].Epoch != o.epoch {
		o.doomed = n.now()
		n.forward(o, o.to)
	}
}

// askBeforeItLeaves asks a former primary again what became of forwards. A connection between
// the two may have been dead when it was asked, or answered, and the layout that follows
// shows it that this node has nothing more to ask.
func (n *Node) askBeforeItLeaves(former MemberNumber) {
	for _, o := range n.requests.all {
		if o.state == forwarded && o.to == former && o.doomed != 0 && (!o.lastAsked || n.now()-o.sentAt >= n.interval()/2) {
			o.lastAsked = true
			n.forward(o, former)
		}
	}
}

// tickRequests ends what is late, asks again where no answer came, and attempts again
// what waits.
func (n *Node) tickRequests(now time.Duration) {
	for _, o := range n.requests.all {
		switch {
		case o.state == ended:
		case now >= o.deadline:
			n.giveUp(o, "no answer in time")
		case o.state == waiting:
			n.attempt(o)
		case o.state == forwarded:
			n.tickForward(o, now)
		}
	}
	n.requests.all = slices.DeleteFunc(n.requests.all, func(o *operation) bool { return o.state == ended })
}

// tickForward repeats a forward under its number, directly and through all replicas at
// once: this node may be cut off from the primary, and can't know which of them are not.
// The number makes the copies one request (rule "one fate per forward").
//
// When the epoch is over or the connection is lost, an answer may still be on its way, so
// the forward is given suspect-after more. Then it ends as unknown, and not as refused:
// the primary may have proposed the write before it went away.
func (n *Node) tickForward(o *operation, now time.Duration) {
	n.outdate(o)
	if o.doomed != 0 && now-o.doomed >= n.cfg.SuspectAfter {
		n.settle(o, unknown("the primary went away before it answered"))
		return
	}
	if now-o.sentAt < o.wait {
		return
	}
	// Twice as long each time: copies cost the primary as much as requests do, and one
	// that is behind would fall further behind by them, with no end.
	o.wait = min(2*o.wait, maxForwardWait*n.cfg.SuspectAfter)
	n.forward(o, o.to)
	a := &n.assignments[o.partition]
	for _, via := range union(a.Replicas, a.Next) {
		if via != n.self && via != o.to {
			n.forward(o, via)
		}
	}
}

// maxForwardWait bounds the time between two repeats of a forward, in suspect-afters: a
// way that heals is found within it.
const maxForwardWait = 4

// detour remembers the replica through which a partition's primary was last
// reached when it could not be reached directly.
type detour struct {
	epoch Epoch
	via   MemberNumber
	until time.Duration
}

// firstHop returns the member to which a forward is sent first: the primary, or the
// replica through which it was last reached when it did not answer directly.
func (n *Node) firstHop(o *operation) MemberNumber {
	d := n.requests.detours[o.partition]
	if d.epoch == o.epoch && n.now() < d.until {
		return d.via
	}
	return o.to
}

// reached notes the way on which an answer came.
func (n *Node) reached(o *operation, from MemberNumber) {
	if from == o.to {
		delete(n.requests.detours, o.partition)
		return
	}
	n.requests.detours[o.partition] = detour{o.epoch, from, n.now() + n.cfg.SettleTime}
}

// forward sends the operation under its number. The timeout is what is left of the
// request's, as a duration, because the clocks of two nodes have nothing in common.
func (n *Node) forward(o *operation, to MemberNumber) {
	o.sentAt = n.now()
	n.send(to, &Forward{
		Partition: o.partition, Epoch: o.epoch,
		ID: ForwardID{n.store, n.boot, o.number},
		To: o.to, Origin: n.self,
		Timeout: o.deadline - o.sentAt, Request: o.request,
	})
}

// peerLost gives forwards to a peer that seems gone only a little longer. The hint may be
// wrong, so they are not ended at once.
func (q *requests) peerLost(n *Node, peer MemberNumber) {
	for _, o := range q.all {
		if o.state == forwarded && o.to == peer && o.doomed == 0 {
			o.doomed = n.now()
		}
	}
}

// onForward does a peer's request, or passes it on to the primary. A forward of an epoch
// above the promised one is dropped: this node may yet become the primary of that epoch,
// and would then accept a copy of what it had refused.
func (n *Node) onForward(m *Envelope, f *Forward) {
	if f.To != n.self {
		n.relay(m, f)
		return
	}
	n.parting.stirred = n.now()
	r := n.held(f.Partition)
	if r == nil || f.Epoch > r.promised {
		n.wantLayout()
		return
	}
	if n.ignoreForward(m, f) {
		return
	}
	from := m.From
	reply := func(answer door.Response) {
		if answer.Outcome == door.Refused && f.Request.Kind.Writes() {
			// Rule "refuse only for good": the promise that ends the epoch may just have
			// been written. A crash before it is durable would take it back, and the
			// next process could start this epoch and accept a copy.
			n.whenDurable(func() { r.replyTo(from, f, answer) })
			return
		}
		r.replyTo(from, f, answer)
	}
	if !f.Request.Kind.Writes() {
		r.forwardedRead(f, reply)
		return
	}
	r.forwardedWrite(f, reply)
}

// replyTo ends a Forward. It goes back the way that the Forward came.
func (r *replica) replyTo(from MemberNumber, f *Forward, answer door.Response) {
	r.n.send(from, &ForwardReply{r.id, f.ID, f.Origin, answer, *r.known()})
}

// relay passes a forward on, once, for a node that the primary seems not to hear. It is
// stateless: the number in the forward keeps a relayed copy from being another request. A
// relay that knows a newer epoch tells the sender instead of bothering a deposed primary.
func (n *Node) relay(m *Envelope, f *Forward) {
	if f.Hops > 0 {
		return
	}
	if r := n.held(f.Partition); r != nil && r.known().Epoch > f.Epoch {
		n.send(m.From, &Reject{f.Partition, f.Epoch, r.promised, *r.known()})
		return
	}
	relayed := *f
	relayed.Hops++
	n.observe(Event{Kind: EventRelayed, Partition: f.Partition, Epoch: f.Epoch, Peer: f.To})
	n.send(f.To, &relayed)
}

// forwardedRead needs no memory: a copy reads again.
func (r *replica) forwardedRead(f *Forward, reply func(door.Response)) {
	if r.reign == nil || r.reign.epoch != f.Epoch {
		reply(refused("not the primary of that epoch"))
		return
	}
	r.reign.take(&work{request: f.Request, deadline: r.n.now() + f.Timeout, reply: reply})
}

// forwardedWrite does a write whose number is new here; a copy is dropped while the first
// one is under way, and gets its answer afterwards. The fate is recorded before it is
// answered, also if it is a refusal: a number is accepted or refused once, even if this
// primary could serve it by the time the copy comes.
//
// Without a table of the epoch there are two cases. If this process passed over the epoch
// it did nothing in it, and never will: refused. Otherwise an earlier process of this node
// may have done the write: unknown.
func (r *replica) forwardedWrite(f *Forward, reply func(door.Response)) {
	table := r.fatesOf(f)
	if table == nil {
		if f.Epoch > r.bootPromised && f.Epoch > r.lastStarted {
			reply(refused("the epoch was skipped here"))
			return
		}
		reply(unknown("the epoch is over, and its record was discarded"))
		return
	}
	fate, fresh := table.of(f.ID.Number)
	if !fresh {
		r.n.observe(Event{Kind: EventDuplicateForward, Partition: r.id, Epoch: f.Epoch})
		if fate == nil {
			reply(unknown("the request number is outdated"))
		} else if fate.final {
			reply(fate.response)
		}
		return
	}
	record := func(answer door.Response) {
		fate.settle(answer)
		reply(answer)
	}
	if r.reign == nil || r.reign.epoch != f.Epoch {
		record(refused("the epoch is over"))
		return
	}
	r.reign.take(&work{request: f.Request, deadline: r.n.now() + f.Timeout, reply: record})
}

// onForwardReply ends the attempt at its origin, or passes it on there. An answer to an
// earlier boot, or to a forward that was given up, is dropped.
func (n *Node) onForwardReply(m *Envelope, p *ForwardReply) {
	if p.ID.Store != n.store {
		if p.Origin != n.self && m.From != p.Origin {
			n.send(p.Origin, p)
		}
		return
	}
	n.learn(p.Partition, p.Known)
	o := n.requests.forwarded[p.ID.Number]
	if p.ID.Boot != n.boot || o == nil || o.state != forwarded || o.partition != p.Partition {
		return
	}
	n.reached(o, m.From)
	n.settle(o, p.Response)
}

func refused(reason string) door.Response {
	return door.Response{Outcome: door.Refused, Reason: reason}
}
func unknown(reason string) door.Response {
	return door.Response{Outcome: door.Unknown, Reason: reason}
}
func busy(reason string) door.Response {
	return door.Response{Outcome: door.Refused, Reason: reason, Busy: true}
}
