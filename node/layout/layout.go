package layout

import (
	"cmp"
	"fmt"
	"slices"
)

// NodeID is the name that an operator gives to a node. A node whose disk was replaced
// keeps its NodeID and becomes a new member.
type NodeID string

// StoreID is the random identity of one disk, written when its data directory
// was created.
type StoreID string

// MemberNumber names a member: one node with one disk. Numbers count from 1
// and are never used twice in a cluster's life; 0 names no member.
type MemberNumber uint32

// PartitionID is a partition's index, from 0 to Q-1.
type PartitionID uint32

// Epoch counts the assignments of one partition, from 1. Every step of a
// partition raises its epoch by exactly one.
type Epoch uint64

// The bounds of a layout. Together they make every valid layout fit into
// MaxEncodedBytes.
const (
	MaxPartitions   = 4096
	MaxMembers      = 256
	MaxReplication  = 7
	MaxWeight       = 100
	MaxNameBytes    = 64        // node id, store id, zone, cluster UUID
	MaxAddressBytes = 255       // peer and HTTP address
	MaxMemberNumber = 9_999_999 // of all the members a cluster ever has
	MaxEpoch        = 1<<53 - 1 // exact in every JSON reader
)

// State is where a member stands between joining and being forgotten.
type State string

const (
	Active  State = "active"  // serves, and the ring places partitions on it
	Leaving State = "leaving" // serves, while its partitions move away
	// Replaced: given up for lost. Its partitions move away, as from one that is
	// leaving; if it comes back with its disk it becomes active again.
	Replaced State = "replaced"
	Gone     State = "gone" // never returns; dropped when no partition names it
)

// Member is one node with one disk.
type Member struct {
	Number MemberNumber
	Node   NodeID
	Store  StoreID
	Peer   string // address of the peer protocol, as registered
	HTTP   string // address of the client API, as registered
	Zone   string // empty when zones are not used
	Weight int    // 1 to MaxWeight: the member's share of the ring
	State  State
}

// Partition is the assignment of one partition in one epoch.
type Partition struct {
	Epoch    Epoch
	Primary  MemberNumber   // one of Replicas or Next
	Replicas []MemberNumber // R: never empty, no number twice; order carries no rank
	Next     []MemberNumber // N: nil unless the partition is moving
}

// Moving reports whether the partition is between two sets of replicas.
func (p Partition) Moving() bool { return len(p.Next) > 0 }

// Names reports whether n is in R or N.
func (p Partition) Names(n MemberNumber) bool {
	return Contains(p.Replicas, n) || Contains(p.Next, n)
}

// Layout is the whole cluster's assignment at one version. It is immutable:
// slices that its methods return are shared with other versions and must not
// be modified.
type Layout struct {
	version     int32
	cluster     string
	replication int
	nextMember  MemberNumber
	members     []Member // ascending by number
	partitions  []Partition
	byNode      map[NodeID]int // index in members of each that is not gone
}

// Placement is where Form puts one partition.
type Placement struct {
	Primary  MemberNumber
	Replicas []MemberNumber
}

// Form makes the first layout of a cluster: version 0, as the znode's after
// its creation, and epoch 1 for each of the len(placements) partitions.
// Members become active and are numbered from 1 in the order given; a Number
// already set must agree with that.
func Form(cluster string, replication int, members []Member, placements []Placement) (*Layout, error) {
	l := &Layout{
		cluster:     cluster,
		replication: replication,
		nextMember:  MemberNumber(len(members) + 1),
		members:     slices.Clone(members),
		partitions:  make([]Partition, len(placements)),
	}
	for i := range l.members {
		m, number := &l.members[i], MemberNumber(i+1)
		if m.Number != 0 && m.Number != number {
			return nil, fmt.Errorf("forming layout: member %q has number %d, not %d", m.Node, m.Number, number)
		}
		m.Number, m.State = number, Active
	}
	for i, p := range placements {
		l.partitions[i] = Partition{Epoch: 1, Primary: p.Primary, Replicas: slices.Clone(p.Replicas)}
	}
	l.index()
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("forming layout: %w", err)
	}
	return l, nil
}

// Version is the version of the znode that holds this layout.
func (l *Layout) Version() int32 { return l.version }

// Cluster is the UUID of the cluster, given once when it was formed.
func (l *Layout) Cluster() string { return l.cluster }

// Q is the number of partitions.
func (l *Layout) Q() int { return len(l.partitions) }

// Replication is the number of replicas that the ring aims at. A partition may
// have fewer (too few members) or, if an operator moved it, more.
func (l *Layout) Replication() int { return l.replication }

// NextMember is the number that the next member to join will get.
func (l *Layout) NextMember() MemberNumber { return l.nextMember }

// Members lists the members in ascending order of their numbers, gone ones
// included while they are remembered. The caller must not modify it.
func (l *Layout) Members() []Member { return l.members }

// Partitions lists the partitions by their PartitionID. The caller must not
// modify it.
func (l *Layout) Partitions() []Partition { return l.partitions }

// Partition returns one partition's assignment; ok is false if id is not below
// Q. The caller must not modify its slices.
func (l *Layout) Partition(id PartitionID) (p Partition, ok bool) {
	if uint64(id) >= uint64(len(l.partitions)) {
		return Partition{}, false
	}
	return l.partitions[id], true
}

// Member returns the member with this number, whatever its state.
func (l *Layout) Member(n MemberNumber) (m Member, ok bool) {
	i, ok := l.find(n)
	if !ok {
		return Member{}, false
	}
	return l.members[i], true
}

// MemberByNode returns the member of this node id that is not gone. There is
// at most one.
func (l *Layout) MemberByNode(id NodeID) (m Member, ok bool) {
	i, ok := l.byNode[id]
	if !ok {
		return Member{}, false
	}
	return l.members[i], true
}

// MemberByStore returns the member with this store id, whatever its state.
func (l *Layout) MemberByStore(id StoreID) (m Member, ok bool) {
	i := slices.IndexFunc(l.members, func(m Member) bool { return m.Store == id })
	if i < 0 {
		return Member{}, false
	}
	return l.members[i], true
}

// Names reports whether any partition has n in R or N.
func (l *Layout) Names(n MemberNumber) bool {
	return slices.ContainsFunc(l.partitions, func(p Partition) bool { return p.Names(n) })
}

// Contains reports whether set holds n.
func Contains(set []MemberNumber, n MemberNumber) bool { return slices.Contains(set, n) }

// find is the index in members of the member with number n.
func (l *Layout) find(n MemberNumber) (int, bool) {
	// Until a member is dropped each stands where its number says.
	if i := int(n) - 1; i >= 0 && i < len(l.members) && l.members[i].Number == n {
		return i, true
	}
	return slices.BinarySearchFunc(l.members, n, func(m Member, n MemberNumber) int {
		return cmp.Compare(m.Number, n)
	})
}

// index rebuilds byNode after members changed. Of two members with one node id
// the later wins; validate refuses such a layout.
func (l *Layout) index() {
	l.byNode = make(map[NodeID]int, len(l.members))
	for i, m := range l.members {
		if m.State != Gone {
			l.byNode[m.Node] = i
		}
	}
}

// Equal reports whether two assignments are the same, with their sets in the same order: no
// step reorders them.
func (p Partition) Equal(q Partition) bool {
	return p.Epoch == q.Epoch && p.Primary == q.Primary &&
		slices.Equal(p.Replicas, q.Replicas) && slices.Equal(p.Next, q.Next)
}

// sameSet reports whether two sets without duplicates have the same elements.
func sameSet(a, b []MemberNumber) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(n MemberNumber) bool { return !Contains(b, n) })
}
