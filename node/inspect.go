package node

import (
	"dkv/node/door"
	"time"
)

// Inspection shows a node that was stopped in the simulator, or in a debugger, beyond its
// Status: what is on its way. It is a copy.
type Inspection struct {
	Status   *Status
	Dead     bool // failed or stopped
	Stopping bool
	// Committed and Durable count the commits that were made, and those whose
	// end the node has heard of; Waiting is what runs when one more is durable.
	Committed, Durable uint64
	Waiting            int
	Outgoing           int // messages for the end of the turn
	Requests           []RequestInspection
	Partitions         []PartitionInspection // those with a log here
}

// RequestInspection is one client's request without an answer.
type RequestInspection struct {
	Kind      door.RequestKind
	Key       string
	Partition PartitionID
	State     string       // "waiting", "local" or "forwarded"
	To        MemberNumber // of a forward
	Deadline  time.Duration
	Why       string // of the last refusal
}

// PartitionInspection is one partition's log and what the node does for it.
type PartitionInspection struct {
	ID         PartitionID
	Tail       []Entry // the last entries of the log, keys and values shared
	HeardEpoch Epoch   // of the primary last heard of
	HeardAt    time.Duration
	AckEpoch   Epoch // what was acknowledged last, as a follower
	AckMatch   Index
	Votes      int              // members that consent to a take-over by this node
	Installing bool             // a snapshot
	Reign      *ReignInspection // nil: not the primary
}

// ReignInspection is what a primary, or one that is about to be, waits for.
type ReignInspection struct {
	Epoch     Epoch
	Phase     string // "preparing", "completing" or "leading"
	Active    bool
	Quiet     bool
	Closing   bool
	Noop      Index
	SelfMatch Index          // own log is durable up to here
	Promises  []MemberNumber // who promised
	Writes    []Index        // proposed and not answered
	Reads     int            // that wait for a confirmation
	Queued    int            // requests that came before it leads
	Followers []FollowerInspection
}

// FollowerInspection is what a primary knows of one follower.
type FollowerInspection struct {
	Member     MemberNumber
	Match      Index // acknowledged as durable
	Next       Index // the next entry to send
	InFlight   int   // Appends without an answer
	AnsweredAt time.Duration
}

// inspectedEntries bounds the tail of a log.
const inspectedEntries = 4

// Inspect takes the picture. It has no effect.
func (n *Node) Inspect() *Inspection {
	t := &n.turn
	i := &Inspection{
		Status: n.Status(true), Dead: n.dead, Stopping: n.stopping,
		Committed: t.committed, Durable: t.durable, Waiting: len(t.waiting), Outgoing: len(t.out),
	}
	for _, o := range n.requests.all {
		if o.state != ended {
			i.Requests = append(i.Requests, RequestInspection{
				Kind: o.request.Kind, Key: string(o.request.Key), Partition: o.partition,
				State: o.state.String(), To: o.to, Deadline: o.deadline, Why: o.why,
			})
		}
	}
	for _, r := range n.replicas {
		if r != nil {
			i.Partitions = append(i.Partitions, r.inspect())
		}
	}
	return i
}

func (s operationState) String() string {
	return [...]string{waiting: "waiting", local: "local", forwarded: "forwarded", ended: "ended"}[s]
}

// inspect copies what is on its way in one partition. The entries are shared, which is
// harmless: they are never written to again.
func (r *replica) inspect() PartitionInspection {
	entries := r.log.entries
	p := PartitionInspection{
		ID: r.id, HeardEpoch: r.heardEpoch, HeardAt: r.heardAt,
		AckEpoch: r.ackEpoch, AckMatch: r.ackMatch, Installing: r.install != nil,
		Tail: append([]Entry(nil), entries[max(0, len(entries)-inspectedEntries):]...),
	}
	for _, v := range r.taker.votes {
		if v.consent {
			p.Votes++
		}
	}
	if r.reign != nil {
		p.Reign = r.reign.inspect()
	}
	return p
}

func (g *reign) inspect() *ReignInspection {
	i := &ReignInspection{
		Epoch: g.epoch, Phase: [...]string{preparing: "preparing", completing: "completing", leading: "leading"}[g.phase],
		Active: g.active, Quiet: g.quiet, Closing: g.closing, Noop: g.noop, SelfMatch: g.selfMatch,
		Reads: len(g.reads), Queued: len(g.queue),
	}
	for _, p := range g.promises {
		i.Promises = append(i.Promises, p.member)
	}
	for _, w := range g.writes {
		i.Writes = append(i.Writes, w.index)
	}
	for _, f := range g.followers {
		i.Followers = append(i.Followers, FollowerInspection{f.member, f.match, f.next, f.inflight, f.answered})
	}
	return i
}
