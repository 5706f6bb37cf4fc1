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

// Operations of the tree, and the two that make and end sessions.
const (
	OpCreate        OpCode = 1
	OpDelete        OpCode = 2
	OpSetData       OpCode = 5
	OpSetACL        OpCode = 7
	OpCheck         OpCode = 13
	OpMulti         OpCode = 14
	OpCreate2       OpCode = 15
	OpContainer     OpCode = 19 // create2 of a container, which goes some time after its last child
	OpDelContainer  OpCode = 20 // the service's own, of a container or a TTL node that is due
	OpCreateTTL     OpCode = 21 // create2 of a node that goes when it is unchanged and childless for its TTL
	OpCreateSession OpCode = -10
	OpCloseSession  OpCode = -11
)

// CreateFlags say what kind of node a create makes.
type CreateFlags int32

// Ephemeral nodes go with their session; Sequential ones get the parent's
// counter appended to their name. Both can be had together. The others stand
// alone: see OpContainer and OpCreateTTL.
const (
	Ephemeral         CreateFlags = 1
	Sequential        CreateFlags = 2
	Container         CreateFlags = 4
	WithTTL           CreateFlags = 5
	SequentialWithTTL CreateFlags = 6
)

// Op is one operation on the tree. Version -1 matches any version.
type Op struct {
	Code    OpCode
	Path    string
	Data    []byte // nil and empty are different values
	Flags   CreateFlags
	Version int32         // of OpSetACL: the aversion
	ACL     []ACL         // nil: OpenACL; empty but not nil: refused
	TTL     time.Duration // of OpCreateTTL, in whole milliseconds, up to MaxTTL
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

// Txn is one entry of the log: everything a tree needs to take the next step,
// so that trees that apply the same log are equal.
type Txn struct {
	Zxid    int64
	Time    int64 // milliseconds since the Unix epoch
	Session int64 // 0: the service itself
	Op            // the operation; OpMulti uses Ops, the session operations the two fields at the end
	Ops     []Op

	Timeout  time.Duration // of OpCreateSession
	Password [16]byte      // of OpCreateSession

	// Auth is who asks, beyond anybody: what access lists are held against.
	Auth []Identity
	// Trusted transactions passed the access lists once already: those of a log
	// that is replayed, and the service's own. The lists that they bring are
	// taken as they stand: ResolveACL gave them.
	Trusted bool
}

// Result is what a transaction did. Err is OK for a failed multi too, as it is
// on the wire: Failed tells, and Ops hold the codes. Only one that got as far as
// a create with the flags of a TTL node but no time to live has no Ops: its Err
// is ErrMarshalling.
type Result struct {
	Zxid    int64
	Err     Code
	Path    string     // of a create: the name with its sequence number
	Stat    Stat       // of a create, a set or a setACL
	Ops     []OpResult // of a multi
	Failed  bool       // nothing was changed
	Changes []Change   // in order; valid until the tree's next Apply
}

// OpResult is the part of one operation in a multi. When the multi failed,
// Err is OK before the culprit, its code at it, ErrRuntimeInconsistency after.
// When it went through, Code says how ZooKeeper answers: OpCreate2 for what made
// a container or a TTL node, OpCreate for every other create.
type OpResult struct {
	Code OpCode
	Err  Code
	Path string
	Stat Stat
}

// Stat is a node's state without its data, as clients see it.
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

// The three changes that watches can tell.
const (
	Created ChangeKind = iota + 1
	Deleted
	DataSet
)

// Change is one change of one node, from which Watches make events.
type Change struct {
	Kind ChangeKind
	Path string
	// Who may hear of it, at the node and at its parent; nil is everybody.
	readers, parentReaders *accessList
}

// String is the kind's number and the path.
func (c Change) String() string { return fmt.Sprintf("{%d %s}", c.Kind, c.Path) }

// RequestBytes is the length of the frame that would carry op, or ops in a
// multi, to a server: what MaxRequest limits.
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
