package zksim

import "time"

type reqKind uint8

const (
	reqConnect reqKind = iota
	reqWrite
	reqClose
	reqSync
	reqGet
	reqExists
	reqChildren
	reqSetWatches
)

// forwarded says whether the leader has a part in the answer.
func (k reqKind) forwarded() bool { return k <= reqSync }

// request is one call of a client on its way: to its server, perhaps to the
// leader, and back.
type request struct {
	kind  reqKind
	conn  *conn
	op    Op
	ops   []Op
	watch bool
	size  int // bytes of the frame

	session  int64
	password [16]byte
	timeout  time.Duration
	lastZxid int64
	watchSet WatchSet

	result    Result // a forwarded request's
	ready     bool   // result is in
	loseReply bool
	answerAt  int // a sync: the prefix to wait for

	done func(r *reply) // at the client
}

// reply is what a server answers.
type reply struct {
	zxid   int64
	result Result
	data   []byte
	names  []string
}

func (r *request) txn() Txn {
	t := Txn{Session: r.session, Op: r.op, Ops: r.ops}
	if r.kind == reqClose {
		t.Code = OpCloseSession
	}
	return t
}
