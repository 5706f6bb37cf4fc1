package node

import (
	"fmt"
	"time"

	"dkv/node/layout"
	"dkv/node/ring"
)

// Status is a picture of a node, for pages, metrics and checks. It says what this node
// knows, which may be old: a deposed primary that is cut off still shows itself as one.
type Status struct {
	Node        NodeID
	Store       StoreID
	Boot        uint64
	Member      MemberNumber // 0: not a member yet
	Cluster     string       // UUID, "" before it is known
	Ready       bool
	Why         string // what it waits for, if not ready
	Session     string // "connected", "disconnected" or "none"
	Fault       Fault  // what is wrong with ZooKeeper
	Moves       Moves
	Layout      *layout.Layout
	Settings    Settings      // in use: those of the cluster's record, once it was read
	Burdens     []ring.Burden // members that carry more than their weight because of their zones
	Waiting     int           // requests without an answer
	Uncommitted int           // bytes, all partitions led here
	Transfers   int           // snapshots being sent
	// Registered are the nodes that are registered in ZooKeeper, sorted, and Candidates
	// those of them that are not members; nil if this node does not know.
	Registered []NodeID
	Candidates []Candidate
	Partitions []PartitionStatus
}

// Moves are the replicas that members lack and the ring means for them: how many there were
// when there was last one more, and how many are left. Elapsed is the time since.
type Moves struct {
	Total, Left int
	Elapsed     time.Duration
}

// PartitionStatus is what a node knows of one partition.
type PartitionStatus struct {
	ID         PartitionID
	Assignment Assignment // newest known
	Here       bool       // this node keeps a log of it
	Role       string     // "primary", "starting", "quiet", "replica", "learner", "outside" or ""
	Promised   Epoch
	First      Index // of the entries still in the log
	Last       Index
	LastEpoch  Epoch
	Commit     Index
	Applied    Index
	Generation uint64
	// Behind are other replicas, of those that count, which do not answer this node or lack
	// more than a moment's writes. It is known to the node that leads the partition, or tries to.
	Behind []MemberNumber
}

// Ready reports whether the node can serve, and if not, what it waits for. The causes stand
// in the order in which a start overcomes them, so that the first one is the one to look
// at. A node that is the primary of a partition which it does not serve yet is not ready:
// a load balancer should send its clients elsewhere. Nor is one whose replicas have not
// caught up since its start, or that has seen none of its partitions served for some seconds.
func (n *Node) Ready() (ok bool, why string) {
	switch {
	case n.dead:
		return false, "the node has stopped"
	case n.stopping:
		return false, "the node is stopping"
	case !n.begun:
		return false, "recovering the store"
	case n.stamps.accused():
		return false, n.stamps.why
	case !n.stamps.greets:
		return false, "asking ZooKeeper whether the disk was rolled back"
	case n.layout == nil && !n.member.up:
		return false, "ZooKeeper does not answer"
	case n.layout == nil && n.member.waitingFor != "":
		return false, n.member.waitingFor
	case n.layout == nil:
		return false, "registering with ZooKeeper"
	case n.outside() && n.member.waitingFor != "":
		return false, n.member.waitingFor
	case n.outside():
		return false, notMember
	}
	for _, r := range n.replicas {
		if r != nil && r.known().Primary == n.self && (r.reign == nil || !r.reign.active) {
			return false, fmt.Sprintf("starting as primary of partition %d", r.id)
		}
	}
	return n.mayServe()
}

// Status takes the picture; of partitions without data here only if all. It copies what can
// change later, and shares the layout, which can't.
func (n *Node) Status(all bool) *Status {
	s := &Status{
		Node: n.cfg.ID, Store: n.store, Boot: n.boot, Member: n.self, Cluster: n.cluster,
		Layout: n.layout, Settings: n.settingsInUse(), Burdens: n.burdens(), Waiting: n.requests.open(), Uncommitted: n.uncommitted,
		Transfers: len(n.transfers), Session: "none",
	}
	s.Ready, s.Why = n.Ready()
	s.Fault = n.fault()
	if p := n.planner.moves; p.left > 0 {
		s.Moves = Moves{p.total, p.left, n.now() - p.since}
	}
	s.Registered, s.Candidates = n.roster.names, n.candidates()
	switch {
	case n.member.up:
		s.Session = "connected"
	case n.member.session != nil:
		s.Session = "disconnected"
	}
	for p := range n.assignments {
		r := n.replicas[p]
		if r == nil && !all {
			continue
		}
		status := PartitionStatus{ID: PartitionID(p), Assignment: n.assignments[p]}
		if r != nil {
			r.fillStatus(&status)
		}
		s.Partitions = append(s.Partitions, status)
	}
	return s
}

// fillStatus fills in what the replica knows. A reign that is quiet is called so even if it
// was active: it serves nothing just now.
func (r *replica) fillStatus(s *PartitionStatus) {
	s.Here = true
	s.Promised, s.Commit, s.Applied, s.Generation = r.promised, r.commit, r.applied, r.generation
	s.First = r.log.baseIndex + 1
	s.LastEpoch, s.Last = r.last()
	g := r.reign
	if g != nil {
		s.Behind = g.behind(r.n.now())
	}
	switch {
	case g != nil && g.quiet:
		s.Role = "quiet"
	case g != nil && g.active:
		s.Role = "primary"
	case g != nil:
		s.Role = "starting"
	case r.known().Names(r.n.self):
		s.Role = "replica"
	case r.n.cfg.MoveRate > 0 && r.n.mayTarget(r.id):
		s.Role = "learner"
	default:
		s.Role = "outside"
	}
}

// settingsInUse returns the settings by which this node acts. Ring is 0 before it has read
// the cluster's record.
func (n *Node) settingsInUse() Settings {
	return Settings{Ring: n.rule.Version, Zones: n.rule.Zones, SuspectAfter: n.cfg.SuspectAfter, DriftPPM: n.cfg.DriftPPM}
}

func (n *Node) burdens() []ring.Burden {
	if n.layout == nil || n.rule.Version == 0 {
		return nil
	}
	burdens, _ := n.rule.Burdens(n.layout.Replication(), ringMembers(n.layout.Members())) // no active member: no burdens
	return burdens
}
