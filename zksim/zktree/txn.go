package zktree

import (
	"fmt"
	"time"
)

// MaxRequest is the largest request frame a server takes, in bytes
// (jute.maxbuffer's default). One byte more closes the connection.
const MaxRequest = 1<<20 - 1

// OpCode is an operation's number on the wire.
type OpCode int32

// Operations on the tree, and the two that begin and end sessions.
const (
	OpCreate        OpCode = 1
	OpDelete        OpCode = 2
	OpSetData       OpCode = 5
	OpSetACL        OpCode = 7
	OpCheck         OpCode = 13
	OpMulti         OpCode = 14
	OpCreate2       OpCode = 15
	OpContainer     OpCode = 19 // create2 of a container, which is removed some time after its last child
	OpDelContainer  OpCode = 20 // sent by the service only: removes a container or TTL node that is due
	OpCreateTTL     OpCode = 21 // create2 of a node that is removed once unchanged and childless for its TTL
	OpCreateSession OpCode = -10
	OpCloseSession  OpCode = -11
)

// CreateFlags select the kind of node that a create makes.
type CreateFlags int32

// An Ephemeral node is removed with its session. A Sequential node has the
// parent's counter appended to its name. The two can be combined. The others
// cannot: see OpContainer and OpCreateTTL.
const (
	Ephemeral         CreateFlags = 1
	Sequential        CreateFlags = 2
	Container         CreateFlags = 4
	WithTTL           CreateFlags = 5
	SequentialWithTTL CreateFlags = 6
)

// Op is one operation on the tree.
type Op struct {
	Code    OpCode
	Path    string
	Data    []byte // nil and empty are different values
	Flags   CreateFlags
	Version int32         // -1 matches any; for OpSetACL the version of the list
	ACL     []ACL         // nil means OpenACL; an empty list is refused
	TTL     time.Duration // for OpCreateTTL: whole milliseconds, at most MaxTTL
}

// Creates reports whether the operation makes a node.
func (c OpCode) Creates() bool {
	switch c {
	case OpCreate, OpCreate2, OpContainer, OpCreateTTL:
		return true
	}
	return false
}

// IsEphemeral reports whether op creates an ephemeral node.
func (op *Op) IsEphemeral() bool {
	return (op.Code == OpCreate || op.Code == OpCreate2) && op.Flags&^Sequential == Ephemeral
}

// IsSequential reports whether op creates a node whose name ends in a sequence
// number.
func (op *Op) IsSequential() bool {
	switch op.Code {
	case OpCreate, OpCreate2:
		return op.Flags&^Ephemeral == Sequential
	case OpCreateTTL:
		return op.Flags&Sequential != 0
	}
	return false
}

// Txn is one entry of the log. It holds everything that decides the next state, so
// that trees that apply the same log are equal.
type Txn struct {
	Zxid    int64
	Time    int64 // milliseconds since the Unix epoch
	Session int64 // 0 for the service itself
	Op            // the operation; OpMulti uses Ops, OpCreateSession Timeout and Password
	Ops     []Op

	Timeout  time.Duration
	Password [16]byte

	// Auth holds the sender's identities, which access lists are checked against.
	Auth []Identity
	// Trusted skips the checks of access lists: for transactions of a log that is
	// replayed, which passed them once, and for the service's own. The lists that
	// such a transaction brings are stored as they are, since ResolveACL returned
	// them.
	Trusted bool
}

// Result is the outcome of a transaction. As on the wire, Err is OK even for a
// failed multi: Failed is set, and Ops hold the codes. The exception is a multi
// that reached a create with the flags of a TTL node but no time to live: its Err
// is ErrMarshalling, and it has no Ops.
type Result struct {
	Zxid    int64
	Err     Code
	Path    string     // of a create: the path with its sequence number
	Stat    Stat       // of a create, a set or a setACL
	Ops     []OpResult // of a multi
	Failed  bool       // nothing was changed
	Changes []Change   // in order; valid until the tree's next Apply
}

// OpResult is the outcome of one operation of a multi. In a failed multi, Err is
// OK before the operation that failed, its code at that operation, and
// ErrRuntimeInconsistency after it. In one that succeeded, Code is the one that
// ZooKeeper answers with: OpCreate2 for a container or a TTL node, OpCreate for
// every other create.
type OpResult struct {
	Code OpCode
	Err  Code
	Path string
	Stat Stat
}

// Stat is a node's state without its data.
type Stat struct {
	Czxid, Mzxid            int64
	Ctime, Mtime            int64 // milliseconds since the Unix epoch
	Version                 int32
	Cversion                int32
	Aversion                int32
	EphemeralOwner          int64
	DataLength, NumChildren int32
	Pzxid                   int64
}

// ChangeKind is what happened to a node.
type ChangeKind uint8

// The changes that fire watches.
const (
	Created ChangeKind = iota + 1
	Deleted
	DataSet
)

// Change is one change of one node, from which Watches derive events.
type Change struct {
	Kind ChangeKind
	Path string
	// The lists that decide which watchers may learn of the change at the node and
	// at its parent; nil admits everyone. They are those of the time of the change:
	// afterwards a deleted node has none.
	readers, parentReaders *accessList
}

// String returns the number of the kind and the path.
func (c Change) String() string { return fmt.Sprintf("{%d %s}", c.Kind, c.Path) }

// RequestBytes returns the length of the frame that carries op, or the operations
// of a multi, to a server. MaxRequest limits it.
func RequestBytes(op *Op, ops []Op) int {
	const header = 8
	if op.Code != OpMulti {
		return header + opBytes(op)
	}
	const multiHeader = 9
	total := header + multiHeader
	for i := range ops {
		total += multiHeader + opBytes(&ops[i])
	}
	return total
}

func opBytes(op *Op) int {
	path := 4 + len(op.Path)
	switch op.Code {
	case OpCreate, OpCreate2, OpContainer:
		return path + 4 + len(op.Data) + aclBytes(op.ACL) + 4
	case OpCreateTTL:
		return path + 4 + len(op.Data) + aclBytes(op.ACL) + 4 + 8
	case OpSetData:
		return path + 4 + len(op.Data) + 4
	case OpSetACL:
		return path + aclBytes(op.ACL) + 4
	case OpDelete, OpCheck:
		return path + 4
	case OpDelContainer:
		return path
	default:
		return path + 1
	}
}

func aclBytes(acl []ACL) int {
	if acl == nil {
		acl = OpenACL
	}
	size := 4
	for i := range acl {
		size += 12 + len(acl[i].Scheme) + len(acl[i].ID)
	}
	return size
}
