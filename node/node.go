package node

import "dkv/node/layout"

// Node is one member of the cluster, or about to become one.
type Node struct {
	cfg Config
	env Env
}

// New makes a node. Nothing happens before Start.
func New(cfg Config, env Env) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Node{cfg: cfg.withDefaults(), env: env}, nil
}

// Start recovers the store and begins to enter the cluster. It is the first
// event; what is wrong with the store is told to Env.Fail.
func (n *Node) Start() {}

// OnMessage takes a decoded frame. The node keeps what it points to.
func (n *Node) OnMessage(m *Envelope) {}

// OnPeerLost is a hint that a member's process is gone.
func (n *Node) OnPeerLost(peer MemberNumber) {}

// OnRequest takes a client's request and ends it exactly once through done,
// within its timeout and a little, unless the node fails. done may run before
// OnRequest returns; it must not call the node. The node keeps the request's
// slices; done may keep the response's.
func (n *Node) OnRequest(r Request, done func(Response)) {}

// EndTurn makes the turn's Commit and sends the turn's messages. The owner
// calls it after every event, or after up to 256 of them.
func (n *Node) EndTurn() {}

// Stop refuses what comes, ends what is under way, closes the session, and
// runs done once, within a bounded time.
func (n *Node) Stop(done func()) {}

// Ready says whether the node can serve, and if not, what it waits for.
func (n *Node) Ready() (ok bool, why string) { return false, "not started" }

// Hello is how this node introduces itself on a new connection to a peer; ok
// is false until its identity is durable. To and the protocol versions are
// the transport's to fill in.
func (n *Node) Hello() (h Hello, ok bool) { return Hello{}, false }

// OnHello judges a peer's introduction. The error says why the connection
// must be closed; it is sent to the peer.
func (n *Node) OnHello(h Hello) error { return nil }

// Hello is the first frame of a connection, each way.
type Hello struct {
	MinVersion, MaxVersion uint16 // of the peer protocol
	Cluster                string // UUID; "" while the sender knows none
	Node                   NodeID
	Member                 MemberNumber // 0 while the sender has none
	Store                  StoreID      // the sender's
	To                     StoreID      // whom the sender means to reach; "" if it does not know
	Boot                   uint64
	LayoutVersion          int32 // -1 while the sender has none
}

// Status is a picture of a node, for pages, metrics and checks.
type Status struct {
	Node        NodeID
	Store       StoreID
	Boot        uint64
	Member      MemberNumber // 0: not a member yet
	Cluster     string       // UUID, "" before it is known
	Ready       bool
	Why         string // what it waits for, if not ready
	Session     string // "connected", "disconnected", "none"
	Layout      *layout.Layout
	Waiting     int // requests without an answer
	Uncommitted int // bytes, all partitions led here
	Partitions  []PartitionStatus
}

// PartitionStatus is what a node knows of one partition.
type PartitionStatus struct {
	ID         PartitionID
	Assignment Assignment // newest known
	Here       bool       // this node keeps a log of it
	Role       string     // "primary", "starting", "quiet", "replica", "learner", ""
	Promised   Epoch
	First      Index // of the entries still in the log
	Last       Index
	LastEpoch  Epoch
	Commit     Index
	Applied    Index
}

// Status takes the picture; of partitions without data here only if all.
func (n *Node) Status(all bool) *Status { return &Status{} }
