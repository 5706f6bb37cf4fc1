package zkserver

import (
	"time"

	"dkv/zksim"
)

// Operations beyond those of the tree, by their numbers on the wire.
const (
	opExists      = 3
	opGetData     = 4
	opGetACL      = 6
	opSetACL      = 7
	opGetChildren = 8
	opSync        = 9
	opPing        = 11
	opChildren2   = 12
	opContainer   = 19
	opTTL         = 21
	opMultiRead   = 22
	opAuth        = 100
	opSetWatches  = 101
	opSetWatches2 = 105
	opClose       = -11
)

const (
	xidEvent = -1
	xidPing  = -2

	stateConnected = 3
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

// request is one decoded call. Which fields hold depends on the operation.
type request struct {
	xid, op int32

	write    zksim.Op
	ops      []zksim.Op
	path     string
	watch    bool
	since    int64
	watches  zksim.WatchSet
	authName string
}

// decodeRequest reads a frame. The header is good even when err is not nil,
// unless the frame does not hold one: then header is false.
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
	switch r.op {
	case int32(zksim.OpMulti):
		r.ops = d.multi()
		r.write.Code = zksim.OpMulti
	case int32(zksim.OpCreate), int32(zksim.OpCreate2), int32(zksim.OpDelete), int32(zksim.OpSetData), int32(zksim.OpCheck):
		r.write = d.write(zksim.OpCode(r.op))
	case opExists, opGetData, opGetChildren, opChildren2:
		r.path, r.watch = d.str(), d.boolean()
	case opGetACL, opSync:
		r.path = d.str()
	case opAuth:
		d.i32()
		r.authName = d.str()
		d.buffer()
	case opSetWatches, opSetWatches2:
		r.since = d.i64()
		r.watches = zksim.WatchSet{Data: d.strings(), Exist: d.strings(), Child: d.strings()}
		if r.op == opSetWatches2 {
			d.strings() // persistent watches: never armed here, so none to restore
			d.strings()
		}
	}
}

// write reads one operation that changes the tree, or checks it.
func (d *decoder) write(code zksim.OpCode) zksim.Op {
	op := zksim.Op{Code: code, Path: d.str()}
	switch code {
	case zksim.OpCreate, zksim.OpCreate2:
		op.Data = d.buffer()
		op.ACL = d.acl()
		op.Flags = zksim.CreateFlags(d.i32())
	case zksim.OpSetData:
		op.Data = d.buffer()
		op.Version = d.i32()
	default:
		op.Version = d.i32()
	}
	return op
}

// multi reads {type, done, err, operation}… up to the header that says done.
func (d *decoder) multi() []zksim.Op {
	var ops []zksim.Op
	for d.err == nil {
		code, done := d.i32(), d.boolean()
		d.i32()
		if done || d.err != nil {
			break
		}
		switch zksim.OpCode(code) {
		case zksim.OpCreate, zksim.OpCreate2, zksim.OpDelete, zksim.OpSetData, zksim.OpCheck:
			ops = append(ops, d.write(zksim.OpCode(code)))
		default:
			d.err = errShort
		}
	}
	return ops
}

func (e *encoder) replyHeader(xid int32, zxid int64, code zksim.Code) {
	e.i32(xid)
	e.i64(zxid)
	e.i32(int32(code))
}

// multiResults writes the body of a multi's reply. A failed one has an error
// per operation; create2 is answered as create, without a stat.
func (e *encoder) multiResults(r *zksim.Result) {
	for i := range r.Ops {
		op := &r.Ops[i]
		if r.Failed {
			e.multiHeader(-1, false, int32(op.Err))
			e.i32(int32(op.Err))
			continue
		}
		code := op.Code
		if code == zksim.OpCreate2 {
			code = zksim.OpCreate
		}
		e.multiHeader(int32(code), false, 0)
		switch code {
		case zksim.OpCreate:
			e.str(op.Path)
		case zksim.OpSetData:
			e.stat(&op.Stat)
		}
	}
	e.multiHeader(-1, true, -1)
}

func (e *encoder) multiHeader(code int32, done bool, err int32) {
	e.i32(code)
	e.boolean(done)
	e.i32(err)
}

func (e *encoder) event(ev zksim.Event) {
	mark := e.begin()
	e.replyHeader(xidEvent, -1, zksim.OK)
	e.i32(int32(ev.Type))
	e.i32(stateConnected)
	e.str(ev.Path)
	e.end(mark)
}
