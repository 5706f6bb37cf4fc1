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

// forwarded says whether the leader has a part in the answer.
func (k reqKind) forwarded() bool { return k <= reqSync }

// request is one call of a client on its way: to its server, perhaps to the
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

	// Of a reqSetWatches lastZxid is what the library names, seen the truth.
	seen int64
	// madeIn is the session in which it was called, 0 before the first.
	madeIn int64
	since  time.Duration // a sync: when the leader's answer was due

	number    int64 // of a write: its place among those of its connection
	serial    int64 // of a call: its place among those of its client
	floor     int64 // the greatest zxid answered to anybody when it was called
	committed int64 // the zxid at which the leader did it

	result    *zktree.Result // a forwarded request's; nil: nothing but that it was done
	ready     bool           // the answer is in
	loseReply bool
	answerAt  int // a sync: the prefix to wait for

	done func(r *reply) // at the client
}

// reply is what a server answers.
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
