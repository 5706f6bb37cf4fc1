package node

import (
	"errors"
	"time"

	"dkv/node/layout"
)

// The nouns of the layout, used all over the core.
type (
	// Epoch numbers the assignments of one partition; each change adds one.
	Epoch = layout.Epoch
	// MemberNumber names a member for ever; it is never reused. Zero is nobody.
	MemberNumber = layout.MemberNumber
	// PartitionID numbers the slices of the hash space, from 0.
	PartitionID = layout.PartitionID
	// StoreID is the identity of one disk.
	StoreID = layout.StoreID
	// NodeID is the name an operator gave to a node.
	NodeID = layout.NodeID
)

// Index is a position in a partition's log. The first entry has index 1.
type Index uint64

// Version of a key is the log index of the write that made its value. Zero
// means that the key is absent.
type Version = Index

// Env is everything a Node touches. All doors belong to one node alone.
type Env struct {
	Clock       Clock
	Network     Network
	Store       Store
	Coordinator Coordinator
	Observer    Observer
	Random      Random

	// Fail is called once, when the node can't go on: a failed sync, rot, a
	// store of another cluster. From then on the node ignores every event and
	// answers nothing; the owner ends the process (or the simulated host).
	Fail func(error)
}

// Clock is monotonic since boot. Rates of different nodes' clocks differ by
// at most a bound; their readings have nothing to do with one another.
type Clock interface {
	Now() time.Duration
	// After runs fn once, as an event of its own, no earlier than d from now.
	// After stop it does not run.
	After(d time.Duration, fn func()) (stop func())
}

// Peer is where a message goes: which member, on which disk, at what address.
type Peer struct {
	Number  MemberNumber
	Store   StoreID
	Address string
}

// Network may lose, delay, duplicate and reorder, and tells nobody.
// What arrives, arrives whole, at (*Node).OnMessage. That a peer seems gone is
// told to (*Node).OnPeerLost, a hint that may be wrong or absent.
type Network interface {
	// Send hands over a message. The envelope may be used again once Send has
	// returned; what its Body points to is immutable from then on.
	Send(to Peer, m *Envelope)
}

// Store is an ordered map of bytes on one disk.
//
// Commits take effect in the order made; Get, Scan and View see every Commit
// made before them. When done(nil) runs, this batch and every earlier one are
// durable, also when the batch is empty. After a crash the store holds the
// effects of a prefix of the commits, batches whole, no shorter than the last
// whose done(nil) ran. After an error nothing later is durable: every later
// done gets an error, and the node stops.
type Store interface {
	// Get returns a copy of the value.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for the keys in [from, to) in order until fn returns
	// false. The slices are valid inside fn only.
	Scan(from, to []byte, fn func(key, value []byte) bool) error
	// View is the store of this instant, to be closed by the caller.
	View() (View, error)
	// Commit applies the batch, which belongs to the store from then on. done
	// runs later as an event of its own; nil asks for no sync.
	Commit(b *Batch, done func(error))
}

// View is an unchanging picture of a Store.
type View interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
	Close()
}

// Coordinator opens sessions with ZooKeeper.
type Coordinator interface {
	// Open starts a session and keeps trying until it stands. events are told
	// in order, each as an event of its own, never after EventExpired or
	// Close. A node has one session at a time.
	Open(events func(SessionEvent)) Session
}

// Session is one ZooKeeper session, from its first connection to its end.
// Calls are answered in the order made, each exactly once, each as an event of
// its own. A call on a session that is over is answered ErrSessionOver. A node
// that does not get an answer in time gets ErrUnknownOutcome.
//
// Guarantees are ZooKeeper's (see "Consistency Guarantees" in the ZooKeeper
// Programmer's Guide): writes are linearizable, reads may be stale but never
// go back within a session, and see the session's own writes.
type Session interface {
	// ID is ZooKeeper's number of the session, 0 until it first connected.
	ID() int64
	// Get reads a znode. With watch, the next change of it (its data, its
	// end, or the loss of the watch) is told as EventChanged with its path; a
	// watch on a missing znode is armed too, for its creation.
	Get(path string, watch bool, done func(data []byte, stat Stat, err error))
	// Children lists the names under a znode, sorted.
	Children(path string, watch bool, done func(names []string, err error))
	// Multi makes all the changes at one instant, or none. err is nil if they
	// were made; *OpError names the operation that forbade it; with
	// ErrUnknownOutcome or ErrSessionOver they may have been made or not, or
	// may yet be.
	Multi(ops []Op, done func(err error))
	// Close ends the session; its ephemerals go at once if the server can be
	// reached. done runs when that is certain, or when a bounded time has
	// passed, and may be nil.
	Close(done func())
}

// SessionEvent tells what became of a session or of a watched path.
type SessionEvent struct {
	Kind SessionEventKind
	Path string // of EventChanged
}

// SessionEventKind says what a SessionEvent tells.
type SessionEventKind uint8

const (
	// EventConnected: requests flow (again). Watches may have been lost in
	// between: read again what was watched.
	EventConnected SessionEventKind = iota + 1
	// EventDisconnected: nothing is known of the session any more.
	EventDisconnected
	// EventExpired: the session is over, its ephemerals are gone. Last event.
	EventExpired
	// EventChanged: the watch on Path fired, or may have been lost.
	EventChanged
)

// Stat is the part of a znode's stat that the core uses.
type Stat struct {
	Version        int32
	EphemeralOwner int64
	Czxid          int64
}

// OpKind says what an Op does.
type OpKind uint8

const (
	OpCreate OpKind = iota + 1
	OpCreateEphemeral
	OpSet
	OpDelete
	OpCheck
)

// AnyVersion lets an Op pass whatever the znode's version is.
const AnyVersion int32 = -1

// Op is one change, or one condition, of a Multi.
type Op struct {
	Kind    OpKind
	Path    string
	Data    []byte
	Version int32 // of OpSet, OpDelete, OpCheck
}

// OpError says which operation of a Multi kept all of it from happening.
type OpError struct {
	Op  int
	Err error
}

func (e *OpError) Error() string { return e.Err.Error() }
func (e *OpError) Unwrap() error { return e.Err }

// What a Session may answer. Adapters map every error to one of these, or
// wrap it, so that an unlisted one reads as certain failure only if it is.
var (
	ErrNoNode         = errors.New("no such znode")
	ErrNodeExists     = errors.New("the znode exists")
	ErrBadVersion     = errors.New("the znode has another version")
	ErrNotEmpty       = errors.New("the znode has children")
	ErrUnknownOutcome = errors.New("no answer from ZooKeeper: the outcome is unknown")
	ErrSessionOver    = errors.New("the ZooKeeper session is over")
)

// Observer is told what happens inside. In the simulator events become the
// trace, its hash, the probes and the step-wise checks; in production log
// lines and metrics. It must not call the node.
type Observer interface{ Observe(Event) }

// Random is a source of random numbers for jitter and identities, seeded by
// the owner of the node.
type Random interface{ Uint64() uint64 }

// Batch is a list of changes that a Store makes as one.
type Batch struct {
	Ops []BatchOp
}

// BatchOpKind says what a BatchOp does.
type BatchOpKind uint8

const (
	BatchPut BatchOpKind = iota + 1
	BatchDelete
	BatchDeleteRange
)

// BatchOp is one change. To is the end (exclusive) of a BatchDeleteRange,
// which begins at Key.
type BatchOp struct {
	Kind       BatchOpKind
	Key, Value []byte
	To         []byte
}

// Put sets a key. The batch keeps the slices.
func (b *Batch) Put(key, value []byte) {
	b.Ops = append(b.Ops, BatchOp{Kind: BatchPut, Key: key, Value: value})
}

// Delete removes a key, present or not.
func (b *Batch) Delete(key []byte) {
	b.Ops = append(b.Ops, BatchOp{Kind: BatchDelete, Key: key})
}

// DeleteRange removes the keys in [from, to).
func (b *Batch) DeleteRange(from, to []byte) {
	b.Ops = append(b.Ops, BatchOp{Kind: BatchDeleteRange, Key: from, To: to})
}

// Empty says that nothing would change.
func (b *Batch) Empty() bool { return len(b.Ops) == 0 }
