package node

import (
	"fmt"
	"time"

	"dkv/node/layout"
	"dkv/node/ring"
)

// Config holds what an operator chooses. The zero value of a field means its default,
// where it has one.
type Config struct {
	// Cluster names the cluster in ZooKeeper: /dkv/<Cluster>. Default "default".
	Cluster string
	// ID is the node's name, unique in the cluster. Required.
	ID NodeID
	// PeerAddress is where peers reach this node. Required.
	PeerAddress string
	// HTTPAddress is where clients reach this node; only published.
	HTTPAddress string
	// Zone is a failure domain; replicas are spread over zones. Optional.
	Zone string
	// Weight scales the node's share of the data. Default 1.
	Weight int

	// Expect is how many nodes form the cluster. Default 5. It means nothing once the
	// cluster has formed.
	Expect int
	// Join says how a registered node becomes a member of a cluster that has formed:
	// by itself (JoinAuto, the default), or only when an operator approves it
	// (JoinApprove). A node joins by itself only if neither it nor the member that
	// would add it was told otherwise.
	Join string
	// ReplaceAfter is how long a member may be missing before its data are given to
	// others. Default 10 min; negative: forever.
	ReplaceAfter time.Duration
	// Partitions is Q. Default 256, at most 4096. Fixed at forming.
	Partitions int
	// Replication is how many replicas a partition has. Default 3, at most 7.
	// Fixed at forming.
	Replication int

	// Ring is the version of the ring's rule in a cluster that this node creates.
	// Default 2. With 1 it creates the cluster as older builds do. A cluster that is
	// there keeps the version of its record.
	Ring int
	// Zones says what prevails where the spread over zones and the weights contradict
	// each other: ring.Strict (the default) or ring.Prefer. The value in the cluster's
	// record goes before it.
	Zones ring.Zones
	// DriftPPM bounds how much faster one node's clock runs than another's, in
	// millionths. Default 500. The value in the cluster's record goes before it.
	// Nothing depends on it yet; leases will.
	DriftPPM int

	// SuspectAfter is how long a silent peer is given. Default 500 ms. An answer
	// that takes more than twice as long counts as none. The value in the cluster's
	// record goes before it.
	SuspectAfter time.Duration
	// RequestTimeout bounds a request that brings no bound of its own; one that
	// does is bounded by that, and by MaxRequestTimeout. Default 5 s.
	RequestTimeout time.Duration
	// MoveTimeout is how long a joint state may stand before it is cancelled.
	// Default 10 s.
	MoveTimeout time.Duration
	// SettleTime is how long a new state is left alone: a reign before it hands over
	// or moves its partition, the list of members before partitions move to it, data
	// before it is deleted. It is also the first wait after a hand-over or a move
	// that failed, the bound of the back-off after reigns that failed, and the time
	// between two stamps that are made durable. Default 10 s.
	SettleTime time.Duration

	// RetainEntries is how many applied entries a log keeps, for followers
	// that lag, before it is compacted. Default 1024.
	RetainEntries int
	// RetainBytes bounds the same in bytes. Default 1 MiB.
	RetainBytes int
	// ChunkBytes is the aim for the size of a snapshot chunk and of a batch of
	// entries. Default 256 KiB.
	ChunkBytes int
	// ViewTime is how long a snapshot's View is held for a receiver that
	// stopped asking. Default 60 s.
	ViewTime time.Duration

	// MoveRate bounds, in bytes a second, what this node sends to learners, and what
	// it loads as one: data on its way to where the ring means it to be. Default
	// 32 MiB; below 0 it begins no moves.
	MoveRate int
	// CopyLogBytes bounds the log that is kept on disk because a copy needs it, of
	// all partitions together. Default 1 GiB.
	CopyLogBytes int

	// MaxUncommittedBytes bounds the uncommitted log of a partition (4 MiB)
	// and MaxNodeUncommittedBytes that of all partitions led here (64 MiB).
	MaxUncommittedBytes     int
	MaxNodeUncommittedBytes int
	// MaxWaiting bounds the requests waiting at this node. Default 4096.
	MaxWaiting int
}

// How a node becomes a member of a cluster that has formed.
const (
	JoinAuto    = "auto"
	JoinApprove = "approve"
)

// Limits of the store. Everything that can grow with what clients or peers do has a
// bound; what is beyond it is refused as busy, or dropped and asked for again.
const (
	MaxKeyBytes       = 4 << 10
	MaxValueBytes     = 1 << 20
	MaxRequestTimeout = 60 * time.Second
	maxInflight       = 64   // Appends to one follower without an answer
	maxViews          = 16   // Views held for snapshot transfers
	maxForwards       = 1024 // outstanding forwards to one peer
	forwardWindow     = 4096 // numbers remembered per forwarder and reign
)

func (c Config) withDefaults() Config {
	setString(&c.Cluster, "default")
	setInt(&c.Weight, 1)
	setInt(&c.Expect, 5)
	setString(&c.Join, JoinAuto)
	setDuration(&c.ReplaceAfter, 10*time.Minute)
	setInt(&c.Partitions, 256)
	setInt(&c.Replication, 3)
	setInt(&c.Ring, ring.Latest.Version)
	if c.Zones == "" {
		c.Zones = ring.Latest.Zones
	}
	setInt(&c.DriftPPM, 500)
	setDuration(&c.SuspectAfter, 500*time.Millisecond)
	setDuration(&c.RequestTimeout, 5*time.Second)
	setDuration(&c.MoveTimeout, 10*time.Second)
	setDuration(&c.SettleTime, 10*time.Second)
	setInt(&c.RetainEntries, 1024)
	setInt(&c.RetainBytes, 1<<20)
	setInt(&c.ChunkBytes, 256<<10)
	setDuration(&c.ViewTime, 60*time.Second)
	setInt(&c.MoveRate, 32<<20)
	setInt(&c.CopyLogBytes, 1<<30)
	setInt(&c.MaxUncommittedBytes, 4<<20)
	setInt(&c.MaxNodeUncommittedBytes, 64<<20)
	setInt(&c.MaxWaiting, 4096)
	return c
}

// settings returns the settings among the flags.
func (c *Config) settings() Settings {
	return Settings{Ring: c.Ring, Zones: c.Zones, SuspectAfter: c.SuspectAfter, DriftPPM: c.DriftPPM}
}

func setString(field *string, def string) {
	if *field == "" {
		*field = def
	}
}

func setInt(field *int, def int) {
	if *field == 0 {
		*field = def
	}
}

func setDuration(field *time.Duration, def time.Duration) {
	if *field == 0 {
		*field = def
	}
}

// Validate names the first wrong field and says why. Defaults count. The partitions,
// replication and expected nodes are also compared with the cluster's (rule "flags must
// agree"); here only their ranges are judged.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, check := range []struct {
		wrong bool
		why   string // with a verb for the value
		value any
	}{
		{c.ID == "", "ID %q: a node needs a name", c.ID},
		{badName(string(c.ID)), "ID %q: use letters, digits, '.', '_' and '-'", c.ID},
		{badName(c.Cluster), "Cluster %q: use letters, digits, '.', '_' and '-'", c.Cluster},
		{c.PeerAddress == "", "PeerAddress %q: peers need an address to reach this node", c.PeerAddress},
		{c.Weight < 1 || c.Weight > 64, "Weight %d: must be 1 to 64", c.Weight},
		{c.Partitions < 1 || c.Partitions > 4096, "Partitions %d: must be 1 to 4096", c.Partitions},
		{c.Replication < 1 || c.Replication > 7, "Replication %d: must be 1 to 7", c.Replication},
		{c.Expect < 1 || c.Expect > 256, "Expect %d: must be 1 to 256", c.Expect},
		{c.Expect < c.Replication, "Expect %d: fewer nodes than replicas", c.Expect},
		{c.Join != JoinAuto && c.Join != JoinApprove, "Join %q: must be auto or approve", c.Join},
		{c.Ring != 1 && c.Ring != 2, "Ring %d: must be 1 or 2", c.Ring},
		{c.Zones != ring.Strict && c.Zones != ring.Prefer, "Zones %q: must be strict or prefer", c.Zones},
		{c.DriftPPM < 1 || c.DriftPPM > maxDriftPPM, "DriftPPM %d: must be 1 to 100000", c.DriftPPM},
		{c.SuspectAfter < minSuspectAfter || c.SuspectAfter > maxSuspectAfter, "SuspectAfter %v: must be 1ms to 10m", c.SuspectAfter},
		{c.ReplaceAfter > 0 && c.ReplaceAfter < 4*c.SuspectAfter, "ReplaceAfter %v: must be at least four times SuspectAfter, or negative", c.ReplaceAfter},
		{c.RequestTimeout < 0 || c.RequestTimeout > MaxRequestTimeout, "RequestTimeout %v: must be above 0 and at most " + MaxRequestTimeout.String(), c.RequestTimeout},
		{c.MoveTimeout < 0, "MoveTimeout %v: must be above 0", c.MoveTimeout},
		{c.SettleTime < 0, "SettleTime %v: must be above 0", c.SettleTime},
		{c.ViewTime < 0, "ViewTime %v: must be above 0", c.ViewTime},
		{c.RetainBytes < 1, "RetainBytes %d: must be at least 1", c.RetainBytes},
		{c.MaxUncommittedBytes < 1 || c.MaxNodeUncommittedBytes < 1, "MaxUncommittedBytes %d: both bounds must be at least 1", c.MaxUncommittedBytes},
		{c.MaxWaiting < 1, "MaxWaiting %d: must be at least 1", c.MaxWaiting},
		{c.Zone != "" && badName(c.Zone), "Zone %q: use letters, digits, '.', '_' and '-'", c.Zone},
		{c.RetainEntries < 1, "RetainEntries %d: must be at least 1", c.RetainEntries},
		{c.MoveRate > 1<<40, "MoveRate %d: must be at most 1 TiB a second; below 0 no moves are begun", c.MoveRate},
		{c.CopyLogBytes < 1, "CopyLogBytes %d: must be at least 1", c.CopyLogBytes},
		{c.ChunkBytes < 1 || c.ChunkBytes > 2<<20, "ChunkBytes %d: must be 1 to 2 MiB", c.ChunkBytes},
	} {
		if check.wrong {
			return fmt.Errorf("configuration: "+check.why, check.value)
		}
	}
	// By the layout's own rule: an address that it refuses would keep the whole cluster
	// from forming.
	if err := layout.CheckAddress("PeerAddress (--peer-advertise)", c.PeerAddress); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := layout.CheckAddress("HTTPAddress (--advertise)", c.HTTPAddress); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// badName reports whether a string can't be part of a znode's path.
func badName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 64 {
		return true
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return true
		}
	}
	return false
}
