package node

import (
	"fmt"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/ring"
)

// Node is one member of the cluster, or about to become one. One goroutine owns it
// and calls its methods; each runs to completion. What waits for a door continues in
// a callback, and a callback trusts nothing that it captured: it asks again whether the
// node, the session and the epoch that it was made for still stand.
type Node struct {
	cfg Config
	env Env

	dead     bool // failed or stopped: every event is ignored
	begun    bool // identity is durable, events count
	stopping bool
	parting  parting // counts while stopping
	started  time.Duration

	store   StoreID
	boot    uint64
	cluster string // UUID; "" until it is known
	self    MemberNumber
	layout  *layout.Layout // newest adopted; nil before there is one

	// assignments is the newest known of each partition, from the layout or from
	// peers, and may so be ahead of layout; an epoch in it never falls. replicas are
	// those with data here, nil for the others. Both have length Q once the layout is
	// known, and a layout with another Q is never adopted.
	assignments []Assignment
	replicas    []*replica

	turn  turn
	sent  uint64 // transmissions of this boot, for Counter
	marks []mark // of the last turns, oldest first

	voteSeq  uint64        // round of the last PreVote of this boot
	askings  []asking      // of the last two suspect-afters, in their order
	ticked   time.Duration // the last tick
	voteSoon bool          // ask for votes at the end of the turn, not only at the tick
	stepSoon bool          // take steps at the end of the turn, not only at the tick

	uncommitted int // bytes proposed here and neither committed nor given up
	requests    requests
	member      membership
	planner     planner
	roster      roster
	commands    []*command
	transfers   []*transfer
	copying     copyLimits

	heard        map[MemberNumber]time.Duration // when a frame of a member came last
	pinged       map[MemberNumber]time.Duration // when a member was last asked for a sign of life
	rollCalledAt time.Duration
	strangerAt   time.Duration // when the last forward of a stranger led to a reading of the layout
	readiness    readiness
	alarms       []alarm
	stamps       stamps

	// flags are the settings that this node was started with. cfg has the ones in use,
	// and rule places partitions: those of the cluster's record, once it was read.
	flags        Settings
	rule         ring.Rule // the zero value places nothing
	settingCalls []*settingCall
	scratch      scratch
}

// New makes a node. Nothing happens before Start.
func New(cfg Config, env Env) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg.withDefaults(), env: env}
	n.flags = n.cfg.settings()
	n.requests.forwarded = make(map[uint64]*operation)
	n.requests.toPeer = make(map[MemberNumber]int)
	n.requests.detours = make(map[PartitionID]detour)
	n.turn.overlay = make(map[string][]byte)
	n.heard, n.pinged = make(map[MemberNumber]time.Duration), make(map[MemberNumber]time.Duration)
	n.stamps.peers = make(map[StoreID]*peerStamp)
	return n, nil
}

// Start recovers the store and begins to enter the cluster. It is the first event; what is
// wrong with the store is told to Env.Fail, since the owner has to end the process in any
// case.
func (n *Node) Start() {
	n.started = n.now()
	n.readiness.servedAt = n.started
	if err := n.recover(); err != nil {
		n.fail(err)
		return
	}
	n.whenDurable(n.begin)
}

// begin runs when store id and boot counter are durable: now the node may be seen (rule
// "one disk one member"). Otherwise a crash could take back an identity under which
// others have acknowledged entries, or let two processes use the same numbers.
func (n *Node) begin() {
	if n.stopping {
		return
	}
	if n.awaitsRecord() {
		return
	}
	n.begun = true
	n.observe(Event{Kind: EventBooted, Index: Index(n.boot), Text: string(n.store)})
	n.recoverReplicas()
	if n.dead {
		return
	}
	if n.member.session == nil {
		n.openSession()
	} else {
		n.reconcile() // the start had to wait for the record
	}
	n.scratch.tick = func() {
		if !n.dead {
			n.tick()
			n.scheduleTick()
		}
	}
	n.scheduleTick()
}

// OnMessage takes a decoded frame. The node keeps what it points to.
func (n *Node) OnMessage(m *Envelope) {
	if n.dead || !n.begun {
		return
	}
	if n.ignoreFrame(m) {
		n.observe(Event{Kind: EventFrameRefused, Peer: m.From})
		return
	}
	if n.ignoreStamp(m) {
		return
	}
	n.heardFrom(m.From)
	switch body := m.Body.(type) {
	case *Forward:
		n.onForward(m, body)
	case *ForwardReply:
		n.onForwardReply(m, body)
	case *Prepare:
		n.onPrepare(m, body)
	case *Promise:
		n.onPromise(m, body)
	case *Reject:
		n.onReject(m, body)
	case *CopyRequest:
		n.onCopyRequest(m, body)
	case *CopyReply:
		n.onCopyReply(m, body)
	case *Append:
		n.onAppend(m, body)
	case *Appended:
		n.onAppended(m, body)
	case *Beat:
		n.onBeat(m, body)
	case *BeatReply:
		n.onBeatReply(m, body)
	case *PreVote:
		n.onPreVote(m, body)
	case *PreVoteReply:
		n.onPreVoteReply(m, body)
	case *SnapshotOffer:
		n.onSnapshotOffer(m, body)
	case *SnapshotPull:
		n.onSnapshotPull(m, body)
	case *SnapshotChunk:
		n.onSnapshotChunk(m, body)
	case *LayoutRequest:
		n.onLayoutRequest(m)
	case *LayoutCopy:
		n.onLayoutCopy(m, body)
	case *RollCall:
		n.onRollCall(m, body)
	case *RollReply:
		n.onRollReply(m, body)
	}
}

// ignoreFrame drops what was meant for another disk, or comes from a disk that is not the
// member it says it is: rule "one disk one member". A frame from a member that the layout
// here does not list yet is taken; the layout may be old.
func (n *Node) ignoreFrame(m *Envelope) bool {
	if m.ToStore != n.store || m.From == n.self && n.self != 0 {
		return true
	}
	if n.layout == nil {
		return false
	}
	known, ok := n.layout.Member(m.From)
	return ok && known.Store != m.FromStore
}

// OnPeerLost is a hint that a member's process is gone. It may be wrong, so it only makes
// this node ask the others sooner than after suspect-after.
func (n *Node) OnPeerLost(peer MemberNumber) {
	if n.dead || !n.begun {
		return
	}
	if peer == 0 {
		n.noTwin()
		return
	}
	for _, r := range n.replicas {
		if r != nil && r.known().Primary == peer && peer != n.self {
			r.lost = true
			n.voteSoon = true
		}
	}
	n.requests.peerLost(n, peer)
}

// OnRequest takes a client's request and ends it exactly once through done, within its
// timeout and one interval, unless the node fails. done may run before OnRequest returns;
// it must not call the node. The node keeps the request's slices; done may keep the
// response's.
func (n *Node) OnRequest(r door.Request, done func(door.Response)) {
	if n.dead {
		if n.stopping {
			done(refused("the node has stopped"))
		}
		return
	}
	n.onRequest(r, done)
}

// Hello returns how this node introduces itself on a new connection to a store; ok is false
// until its identity is durable, and ZooKeeper had its chance to deny it. To and the
// protocol versions are the transport's to fill in.
func (n *Node) Hello(to StoreID) (h Hello, ok bool) {
	version := int32(-1)
	if n.layout != nil {
		version = n.layout.Version()
	}
	return Hello{
		Cluster: n.cluster, Node: n.cfg.ID, Member: n.self, Store: n.store,
		Boot: n.boot, LayoutVersion: version,
		Count: n.stamps.kept, Lineage: n.stamps.lines,
	}, n.begun && !n.dead && (n.stamps.greets || to == n.store)
}

// OnHello judges a peer's introduction. The error says why the connection must be closed;
// it is sent to the peer. A peer that knows no cluster yet, or that this node's layout does
// not list, is welcome: it may be about to learn the layout from here.
func (n *Node) OnHello(h Hello) error {
	switch {
	case n.dead || !n.begun:
		return fmt.Errorf("node %s is not ready for peers yet", n.cfg.ID)
	case h.Store == "":
		return fmt.Errorf("node %s: a peer must name its store id", n.cfg.ID)
	case n.cluster != "" && h.Cluster != "" && h.Cluster != n.cluster:
		return fmt.Errorf("node %s belongs to cluster %s, not to %s", n.cfg.ID, n.cluster, h.Cluster)
	case h.To != "" && h.To != n.store:
		return fmt.Errorf("node %s has store %s, not %s", n.cfg.ID, n.store, h.To)
	case h.Store == n.store && h.Lineage.Running() != n.stamps.lines.Running():
		return fmt.Errorf("node %s, at %s, runs with store %s: this is a copy of its data directory; stop one of the two, and replace its member if the wrong one ran", n.cfg.ID, n.cfg.PeerAddress, n.store)
	case h.Store == n.store:
		return nil // this process, at an address that it had before; what it says to itself is dropped
	case !n.stamps.greets:
		return fmt.Errorf("node %s is asking ZooKeeper whether its disk was rolled back", n.cfg.ID)
	}
	if err := n.judgeStamp(&h); err != nil || n.layout == nil || h.Member == 0 {
		return err
	}
	if m, ok := n.layout.Member(h.Member); ok && m.Store != h.Store {
		return fmt.Errorf("member %d has store %s, not %s", h.Member, m.Store, h.Store)
	}
	n.compareLayouts(h.Member, h.LayoutVersion)
	return nil
}

// Hello is the first frame of a connection, each way. It names the store that the sender
// means to reach: an address may have passed to another node since the layout was made.
type Hello struct {
	MinVersion, MaxVersion uint16 // of the peer protocol
	Cluster                string // UUID; "" while the sender knows none
	Node                   NodeID
	Member                 MemberNumber // 0 while the sender has none
	Store                  StoreID      // the sender's
	To                     StoreID      // the store that the sender means to reach; "" if it does not know
	Boot                   uint64
	LayoutVersion          int32 // -1 while the sender has none
	Count                  uint64
	Lineage                Lineage // nil from protocol 1
}

func (n *Node) now() time.Duration { return n.env.Clock.Now() }

// after runs fn as an event unless the node died meanwhile.
func (n *Node) after(d time.Duration, fn func()) {
	n.env.Clock.After(d, func() {
		if !n.dead {
			fn()
		}
	})
}

// jitter returns a random duration from 0 up to d. Nodes that saw the same event at the
// same time would otherwise act at the same time, and again after each conflict.
func (n *Node) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.env.Random.Uint64() % uint64(d))
}

func (n *Node) observe(e Event) { n.env.Observer.Observe(e) }

func (n *Node) notice(format string, args ...any) {
	n.observe(Event{Kind: EventNotice, Text: fmt.Sprintf(format, args...)})
}

// alarm tells the operator what is wrong. The same words come again only after a while,
// since the same problem is met at every retry.
func (n *Node) alarm(format string, args ...any) {
	const quietTime, remembered = 30 * time.Second, 16
	text, now := fmt.Sprintf(format, args...), n.now()
	for i := range n.alarms {
		if n.alarms[i].text == text {
			if now-n.alarms[i].at >= quietTime {
				n.alarms[i].at = now
				n.observe(Event{Kind: EventAlarm, Text: text})
			}
			return
		}
	}
	if len(n.alarms) == remembered {
		n.alarms = n.alarms[1:]
	}
	n.alarms = append(n.alarms, alarm{text, now})
	n.observe(Event{Kind: EventAlarm, Text: text})
}

// alarm is something that the operator was told, and when.
type alarm struct {
	text string
	at   time.Duration
}

// fail stops the node for good: rule "stop on damage". Nothing that was promised or
// acknowledged may be said on the strength of a disk that can't be read or synced. The
// messages of the turn are not sent, since EndTurn does nothing any more; a restart is the
// recovery.
func (n *Node) fail(err error) {
	if n.dead {
		return
	}
	n.dead = true
	n.observe(Event{Kind: EventFailed, Text: err.Error()})
	n.env.Fail(err)
}

// interval returns the time between two ticks. Four of them fit into suspect-after, so
// that a single lost heartbeat, or its answer, has no consequence.
func (n *Node) interval() time.Duration { return n.cfg.SuspectAfter / 4 }

func (n *Node) scheduleTick() { n.env.Clock.After(n.interval(), n.scratch.tick) }

// tick does all that is due with time. What tells others that this node lives comes
// first, so that a slow turn does not look like a dead node. Steps of the layout come
// last: by then each replica has looked at its own state.
func (n *Node) tick() {
	n.scratch.ticked = true
	now := n.now()
	n.ticked = now
	for _, r := range n.replicas {
		if r != nil {
			r.tickReign(now)
		}
	}
	n.sendBeats()
	for _, r := range n.replicas {
		if r != nil {
			r.tickInstall(now)
			r.tickKept()
			r.tickForget(now)
		}
	}
	n.sendPreVotes(now)
	n.tickRequests(now)
	n.tickTransfers(now)
	n.tickMembership(now)
	n.pruneSettingCalls()
	n.tickRoster(now)
	n.tickStamps(now)
	n.takeSteps()
	n.tickCommands(now)
	n.tickReady(now)
}

// replica returns the replica of a partition, and makes an empty one if this node has
// not had one; nil for a partition that does not exist, or while the layout is not
// known. An empty replica may promise and follow like any other.
func (n *Node) replica(p PartitionID) *replica {
	if uint64(p) >= uint64(len(n.replicas)) {
		return nil
	}
	n.scratch.uncheckedPartition(p)
	if n.replicas[p] == nil {
		n.replicas[p] = newReplica(n, p)
	}
	return n.replicas[p]
}

// held returns the replica of a partition if there is one here.
func (n *Node) held(p PartitionID) *replica {
	if uint64(p) >= uint64(len(n.replicas)) {
		return nil
	}
	n.scratch.uncheckedPartition(p)
	return n.replicas[p]
}

// learn takes an assignment from wherever it comes: a layout, or any frame that carries
// one. One epoch has one assignment (rule "compare and set"), so a copy is as good as the
// original (rule "frames carry their assignment").
func (n *Node) learn(p PartitionID, a Assignment) {
	if uint64(p) >= uint64(len(n.assignments)) || a.Epoch <= n.assignments[p].Epoch {
		return
	}
	n.assignments[p] = a
	n.requests.rerouted = true
	if n.replicas[p] == nil && (n.self == 0 || !a.Names(n.self)) {
		return
	}
	n.replica(p).onAssignment(a)
}
