package door

import "errors"

// Coordinator opens sessions with ZooKeeper.
type Coordinator interface {
	// Open starts a session and keeps trying until it is established. It reports
	// session events in order, each as an event of its own, and none after
	// EventExpired or Close. A program has one session at a time.
	Open(events func(SessionEvent)) Session
}

// Session is one ZooKeeper session, from its first connection to its end. Calls
// are answered in the order in which they were made, each exactly once and each
// as an event of its own. A call on a session that has ended is answered with
// ErrSessionOver; a call whose answer does not come in time, with
// ErrUnknownOutcome.
//
// The guarantees are ZooKeeper's ("Consistency Guarantees" in the ZooKeeper
// Programmer's Guide): writes are linearizable; reads may be stale, but within a
// session they never go back and they see the session's own writes.
type Session interface {
	// ID returns ZooKeeper's number of the session; 0 before the first
	// connection.
	ID() int64
	// Get reads a znode. With watch, the next change (of its data, its removal,
	// or the loss of the watch itself) is reported as EventChanged with its path.
	// A watch on a missing znode waits for its creation.
	Get(path string, watch bool, done func(data []byte, stat Stat, err error))
	// Children lists the names under a znode, sorted.
	Children(path string, watch bool, done func(names []string, err error))
	// Multi makes all the changes at one instant, or none. err is nil if they
	// were made; an *OpError names the operation that prevented them; after
	// ErrUnknownOutcome or ErrSessionOver they may have been made, or may still
	// be.
	Multi(ops []Op, done func(err error))
	// Close ends the session. If the server can be reached, its ephemerals go at
	// once. done, which may be nil, runs when that is certain or when a bounded
	// time has passed.
	Close(done func())
}

// SessionEvent reports what happened to a session or to a watched path.
type SessionEvent struct {
	Kind SessionEventKind
	Path string // of EventChanged
}

// SessionEventKind is the kind of a SessionEvent.
type SessionEventKind uint8

const (
	// EventConnected: requests get through, perhaps again. Watches may have been
	// lost in between, so read again whatever was watched.
	EventConnected SessionEventKind = iota + 1
	// EventDisconnected: the state of the session is unknown from now on.
	EventDisconnected
	// EventExpired: the session has ended and its ephemerals are gone. It is the
	// last event.
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

// OpKind is the kind of an Op.
type OpKind uint8

const (
	OpCreate OpKind = iota + 1
	OpCreateEphemeral
	OpSet
	OpDelete
	OpCheck
)

// AnyVersion makes an Op match every version of its znode.
const AnyVersion int32 = -1

// Op is one change, or one condition, of a Multi.
type Op struct {
	Kind    OpKind
	Path    string
	Data    []byte
	Version int32 // of OpSet, OpDelete, OpCheck
}

// OpError names the operation that prevented a Multi, by its place in the list.
type OpError struct {
	Op  int
	Err error
}

func (e *OpError) Error() string { return e.Err.Error() }
func (e *OpError) Unwrap() error { return e.Err }

// The errors of a Session. An adapter maps every other error to one of these, or
// wraps one. It returns ErrUnknownOutcome unless the operation certainly failed.
var (
	ErrNoNode         = errors.New("no such znode")
	ErrNodeExists     = errors.New("the znode exists")
	ErrBadVersion     = errors.New("the znode has another version")
	ErrNotEmpty       = errors.New("the znode has children")
	ErrUnknownOutcome = errors.New("no answer from ZooKeeper: the outcome is unknown")
	ErrSessionOver    = errors.New("the ZooKeeper session is over")
)
