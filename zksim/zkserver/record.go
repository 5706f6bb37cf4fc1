package zkserver

import (
	"cmp"
	"errors"
	"math"
	"time"

	"dkv/zksim/zktree"
)

// Operations beyond those of the tree, by their numbers on the wire.
const (
	opExists            = 3
	opGetData           = 4
	opGetACL            = 6
	opGetChildren       = 8
	opSync              = 9
	opPing              = 11
	opChildren2         = 12
	opReconfig          = 16
	opCheckWatches      = 17
	opRemoveWatches     = 18
	opMultiRead         = 22
	opAuth              = 100
	opSetWatches        = 101
	opSASL              = 102
	opGetEphemerals     = 103
	opAllChildrenNumber = 104
	opSetWatches2       = 105
	opAddWatch          = 106
	opWhoAmI            = 107
	opClose             = -11
)

const (
	xidEvent = -1
	xidPing  = -2

	stateConnected = 3
)

// The kinds of watcher that checkWatches and removeWatches name.
const (
	watcherOfChildren = 1
	watcherOfData     = 2
	watcherOfEither   = 3
)

// Codes that only a server on the wire returns.
const (
	errNoWatcher        zktree.Code = -121
	errReconfigDisabled zktree.Code = -123
)

// The modes of addWatch.
const (
	modePersistent = 0
	modeRecursive  = 1
)

// connectRequest is a connection's first frame.
type connectRequest struct {
	lastZxid     int64
	timeout      time.Duration
	session      int64
	password     [16]byte
	saysReadOnly bool // the client sent the last field, and expects it back
}

func decodeConnect(frame []byte) (connectRequest, error) {
	d := decoder{b: frame}
	var r connectRequest
	d.i32() // protocol version, always 0
	r.lastZxid = d.i64()
	r.timeout = time.Duration(d.i32()) * time.Millisecond
	r.session = d.i64()
	copy(r.password[:], d.buffer())
	if d.err == nil && len(d.b) > 0 {
		d.boolean()
		r.saysReadOnly = true
	}
	return r, d.err
}

func (e *encoder) connectResponse(session int64, timeout time.Duration, password [16]byte, readOnlyField bool) {
	mark := e.begin()
	e.i32(0)
	e.i32(int32(timeout.Milliseconds()))
	e.i64(session)
	e.buffer(password[:])
	if readOnlyField {
		e.boolean(false)
	}
	e.end(mark)
}

// request is one decoded request. Which fields are set depends on the operation.
type request struct {
	xid, op int32

	write      zktree.Op
	ops        []zktree.Op
	taken      time.Time // when it was read
	path       string
	noPath     bool // for sync: the path was sent as null
	watch      bool
	kind       int32 // of a watcher, or of addWatch
	parts      []readOp
	since      int64
	watches    zktree.WatchSet
	scheme     string
	credential []byte
}

// writes reports whether the request takes a zxid.
func (r *request) writes() bool {
	switch zktree.OpCode(r.op) {
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL, zktree.OpDelete,
		zktree.OpSetData, zktree.OpSetACL, zktree.OpCheck, zktree.OpMulti:
		return true
	}
	return false
}

// reads reports whether the request reads the state, and at most sets a watch.
func (r *request) reads() bool {
	switch r.op {
	case opExists, opGetData, opGetChildren, opChildren2, opGetACL, opAllChildrenNumber,
		opGetEphemerals, opWhoAmI, opMultiRead:
		return true
	}
	return false
}

// readOp is one read of a multiRead.
type readOp struct {
	code int32
	path string
}

// The reasons why a frame cannot be decoded. ZooKeeper answers errNotRead with an
// empty list of results, and the others without a body.
var (
	// errShort: the record ends before its fields do, names a length that the rest
	// of the frame cannot hold, or has an operation where none belongs.
	errShort   = errors.New("zkserver: decoding a record: it is too short for its fields")
	errNull    = errors.New("zkserver: decoding a record: its path is missing")
	errNotRead = errors.New("zkserver: decoding a multiRead: one of its operations is not a read")
)

// decodeRequest decodes a frame. header reports whether the frame has a complete
// header; then xid and op are valid even if err is not nil.
func decodeRequest(frame []byte) (r request, header bool, err error) {
	d := decoder{b: frame}
	r.xid, r.op = d.i32(), d.i32()
	if d.err != nil {
		return r, false, d.err
	}
	d.body(&r)
	return r, true, d.err
}

func (d *decoder) body(r *request) {
	switch code := zktree.OpCode(r.op); code {
	case zktree.OpMulti:
		r.ops = d.multi()
		r.write.Code = zktree.OpMulti
		return
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL,
		zktree.OpDelete, zktree.OpSetData, zktree.OpSetACL, zktree.OpCheck:
		r.write = d.write(code)
		return
	}
	switch r.op {
	case opExists, opGetData, opGetChildren, opChildren2:
		r.path, r.watch = d.path(), d.boolean()
	case opGetACL, opAllChildrenNumber:
		r.path = d.path()
	case opCheckWatches, opRemoveWatches, opAddWatch:
		r.path, r.kind = d.path(), d.i32()
	case opSync:
		b := d.buffer()
		r.path, r.noPath = string(b), b == nil
	case opGetEphemerals:
		r.path = d.str()
	case opMultiRead:
		r.parts = d.multiRead()
	case opReconfig:
		d.buffer() // the servers that join, leave, and stay
		d.buffer()
		d.buffer()
		d.i64()
	case opAuth:
		d.i32()
		r.scheme = d.str()
		r.credential = d.buffer()
	case opSetWatches, opSetWatches2:
		d.setWatches(r)
	}
}

func (d *decoder) setWatches(r *request) {
	r.since = d.i64()
	w := &r.watches
	w.Data, w.Exist, w.Child = d.paths(), d.paths(), d.paths()
	if r.op == opSetWatches2 {
		w.Persistent, w.Recursive = d.paths(), d.paths()
	}
}

// write decodes one operation that changes the tree or checks it.
func (d *decoder) write(code zktree.OpCode) zktree.Op {
	op := zktree.Op{Code: code}
	switch code {
	case zktree.OpSetData:
		op.Path, op.Data, op.Version = d.str(), d.buffer(), d.i32()
	case zktree.OpSetACL:
		op.Path, op.ACL, op.Version = d.str(), d.acl(), d.i32()
	case zktree.OpDelete, zktree.OpCheck:
		op.Path, op.Version = d.path(), d.i32()
	default:
		op.Path, op.Data, op.ACL = d.path(), d.buffer(), d.acl()
		op.Flags = zktree.CreateFlags(d.i32())
		if code == zktree.OpCreateTTL {
			op.TTL = milliseconds(d.i64())
		}
	}
	return op
}

// milliseconds returns n milliseconds, or 0 if a Duration cannot hold them. No node
// accepts 0 as a time to live.
func milliseconds(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if n < -most || n > most {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// part decodes one header of a multi; ok reports whether an operation follows.
func (d *decoder) part() (code int32, ok bool) {
	code, done := d.i32(), d.boolean()
	d.i32()
	return code, !done && d.err == nil
}

// multi decodes headers, each followed by its operation, up to the header that is
// marked done. As in ZooKeeper, the kind of a create follows from its flags, not
// from the type in the header.
func (d *decoder) multi() []zktree.Op {
	var ops []zktree.Op
	for {
		number, ok := d.part()
		if !ok {
			return ops
		}
		code := zktree.OpCode(number)
		switch code {
		case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL:
			op := d.write(code)
			op.Code = createKind(&op)
			ops = append(ops, op)
		case zktree.OpDelete, zktree.OpSetData, zktree.OpCheck:
			ops = append(ops, d.write(code))
		default:
			d.err = errShort
		}
	}
}

// opUnreadable marks an operation of a multi whose flags require a field that the
// type it was sent as does not have. The tree refuses it as unimplemented.
const opUnreadable zktree.OpCode = -3

func createKind(op *zktree.Op) zktree.OpCode {
	const container, ttl, sequentialTTL = 4, 5, 6
	switch op.Flags {
	case container:
		return zktree.OpContainer
	case ttl, sequentialTTL:
		if op.Code != zktree.OpCreateTTL {
			return opUnreadable
		}
		return zktree.OpCreateTTL
	}
	return zktree.OpCreate
}

// multiRead decodes the same form with getData and getChildren as operations. As in
// ZooKeeper, their flags for watches are ignored.
func (d *decoder) multiRead() []readOp {
	var reads []readOp
	var late error // reported only if the rest can be decoded
	for {
		code, ok := d.part()
		if !ok {
			d.err = cmp.Or(d.err, late)
			return reads
		}
		switch code {
		case opGetData, opGetChildren:
			path := d.buffer()
			d.boolean()
			reads = append(reads, readOp{code, string(path)})
			if path == nil {
				late = errNotRead
			}
		case int32(zktree.OpCreate), int32(zktree.OpCreate2), int32(zktree.OpContainer), int32(zktree.OpCreateTTL),
			int32(zktree.OpDelete), int32(zktree.OpSetData), int32(zktree.OpCheck):
			d.write(zktree.OpCode(code))
			late = errNotRead
			if len(reads) > 0 {
				d.err = errShort // reads and writes cannot be mixed
			}
		default:
			d.err = errShort
		}
	}
}

func (e *encoder) replyHeader(xid int32, zxid int64, code zktree.Code) {
	e.i32(xid)
	e.i64(zxid)
	e.i32(int32(code))
}

// multiResults encodes the body of a multi's reply. A failed multi has an error for
// each operation. Containers and TTL nodes are answered as create2.
func (e *encoder) multiResults(r *zktree.Result) {
	for i := range r.Ops {
		op := &r.Ops[i]
		if r.Failed {
			e.multiError(op.Err)
			continue
		}
		code := op.Code
		if code == zktree.OpContainer || code == zktree.OpCreateTTL {
			code = zktree.OpCreate2
		}
		e.multiHeader(int32(code), false, 0)
		switch code {
		case zktree.OpCreate:
			e.str(op.Path)
		case zktree.OpCreate2:
			e.str(op.Path)
			e.stat(&op.Stat)
		case zktree.OpSetData:
			e.stat(&op.Stat)
		}
	}
	e.multiHeader(-1, true, -1)
}

func (e *encoder) multiError(code zktree.Code) {
	e.multiHeader(-1, false, int32(code))
	e.i32(int32(code))
}

func (e *encoder) multiHeader(code int32, done bool, err int32) {
	e.i32(code)
	e.boolean(done)
	e.i32(err)
}

func (e *encoder) event(ev zktree.Event) {
	mark := e.begin()
	e.replyHeader(xidEvent, -1, zktree.OK)
	e.i32(int32(ev.Type))
	e.i32(stateConnected)
	e.str(ev.Path)
	e.end(mark)
}
