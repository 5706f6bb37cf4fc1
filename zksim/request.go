package zksim

import (
	"time"

	"dkv/zksim/zktree"
)

type reqKind uint8

const (
	reqConnect reqKind = iota
	reqWrite
	reqClose
	reqSync
	reqGet
	reqExists
	reqChildren
	reqAddWatch
	reqSetWatches
)

// forwarded reports whether the leader takes part in the answer.
func (k reqKind) forwarded() bool { return k <= reqSync }

// request is one call of a client on its way to its server, perhaps on to the
// leader, and back.
type request struct {
	kind  reqKind
	conn  *conn
	op    zktree.Op
	ops   []zktree.Op
	watch bool
	size  int // bytes of the frame

	session  int64
	password [16]byte
	timeout  time.Duration
	lastZxid int64
	watchSet *zktree.WatchSet // of a reqSetWatches

	// seen is, for a reqSetWatches, the last zxid that the client has really seen;
	// lastZxid is what its library claims.
	seen int64
	// madeIn is the session in which the call was made, 0 before the first.
	madeIn int64
	since  time.Duration // for a sync: when the leader got it

	number    int64 // for a write: its position among those of its connection
	serial    int64 // its position among the calls of its client
	floor     int64 // the greatest zxid answered to any client when the call was made
	committed int64 // the zxid at which the leader committed it

	result    *zktree.Result // of a forwarded request; nil if it has no result but success
	ready     bool           // it can be answered
	loseReply bool
	answerAt  int // for a sync: how much of the log must be applied first

	done func(r *reply) // at the client
}

// reply is a server's answer.
type reply struct {
	zxid   int64
	result zktree.Result
	data   []byte
	names  []string
}

func (r *request) txn() zktree.Txn {
	t := zktree.Txn{Session: r.session, Op: r.op, Ops: r.ops}
	if r.kind == reqClose {
		t.Code = zktree.OpCloseSession
	}
	return t
}
