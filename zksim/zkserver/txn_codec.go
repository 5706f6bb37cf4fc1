package zkserver

import (
	"errors"
	"time"

	"dkv/zksim/zktree"
)

// opNothing replaces a failed transaction in the log: it takes the zxid and changes
// nothing.
const opNothing zktree.OpCode = 0

var errUnknownRecord = errors.New("zkserver: decoding a record: its kind is unknown or it has bytes left over")

// appendTxn appends one record, preceded by its length.
func appendTxn(b []byte, txn *zktree.Txn) []byte {
	e := encoder{b}
	mark := e.begin()
	e.i64(txn.Zxid)
	e.i64(txn.Time)
	e.i64(txn.Session)
	e.i32(int32(txn.Code))
	switch txn.Code {
	case opNothing, zktree.OpCloseSession:
	case zktree.OpCreateSession:
		e.i64(int64(txn.Timeout))
		e.buffer(txn.Password[:])
	case zktree.OpMulti:
		e.i32(int32(len(txn.Ops)))
		for i := range txn.Ops {
			e.i32(int32(txn.Ops[i].Code))
			e.loggedOp(&txn.Ops[i])
		}
	default:
		e.loggedOp(&txn.Op)
	}
	e.end(mark)
	return e.b
}

func (e *encoder) loggedOp(op *zktree.Op) {
	e.str(op.Path)
	e.buffer(op.Data)
	e.i32(int32(op.Flags))
	e.i32(op.Version)
	if op.Code == zktree.OpCreateTTL {
		e.i64(op.TTL.Milliseconds())
	}
	if op.ACL == nil {
		e.i32(-1)
	} else {
		e.acl(op.ACL)
	}
}

// decodeTxn decodes one record, without the length that precedes it.
func decodeTxn(record []byte) (zktree.Txn, error) {
	d := decoder{b: record}
	txn := zktree.Txn{Trusted: true} // it passed the access lists when it was first applied
	txn.Zxid, txn.Time, txn.Session = d.i64(), d.i64(), d.i64()
	txn.Code = zktree.OpCode(d.i32())
	switch txn.Code {
	case opNothing, zktree.OpCloseSession:
	case zktree.OpCreateSession:
		txn.Timeout = time.Duration(d.i64())
		copy(txn.Password[:], d.buffer())
	case zktree.OpMulti:
		txn.Ops = d.loggedOps()
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL, zktree.OpDelete,
		zktree.OpDelContainer, zktree.OpSetData, zktree.OpSetACL, zktree.OpCheck:
		txn.Op = d.loggedOp(txn.Code)
	default:
		return txn, errUnknownRecord
	}
	if d.err == nil && len(d.b) > 0 {
		return txn, errUnknownRecord
	}
	return txn, d.err
}

const loggedOpBytes = 24 // of the shortest operation

func (d *decoder) loggedOps() []zktree.Op {
	n := d.count(loggedOpBytes)
	ops := make([]zktree.Op, 0, n)
	for range n {
		ops = append(ops, d.loggedOp(zktree.OpCode(d.i32())))
	}
	return ops
}

func (d *decoder) loggedOp(code zktree.OpCode) zktree.Op {
	op := zktree.Op{Code: code, Path: d.str(), Data: d.buffer()}
	op.Flags, op.Version = zktree.CreateFlags(d.i32()), d.i32()
	if code == zktree.OpCreateTTL {
		op.TTL = milliseconds(d.i64())
	}
	op.ACL = d.loggedACL()
	return op
}

func (d *decoder) loggedACL() []zktree.ACL {
	if len(d.b) >= 4 && d.b[0] == 0xff {
		d.i32() // -1 stands for OpenACL
		return nil
	}
	return d.acl()
}

// encodeImage returns the body of a snapshot.
func encodeImage(img *zktree.Image) []byte {
	var e encoder
	e.i64(img.Zxid)
	e.i32(int32(len(img.Sessions)))
	for i := range img.Sessions {
		s := &img.Sessions[i]
		e.i64(s.ID)
		e.i64(int64(s.Timeout))
		e.buffer(s.Password[:])
	}
	e.i32(int32(len(img.Nodes)))
	for i := range img.Nodes {
		n := &img.Nodes[i]
		e.str(n.Path)
		e.buffer(n.Data)
		e.acl(n.ACL)
		e.stat(&n.Stat)
	}
	return e.b
}

// The least bytes that each element of an image takes.
const (
	sessionImageBytes = 8 + 8 + 4 + 16
	nodeImageBytes    = 4 + 4 + 4 + 68
)

func decodeImage(b []byte) (zktree.Image, error) {
	d := decoder{b: b}
	img := zktree.Image{Zxid: d.i64()}
	for range d.count(sessionImageBytes) {
		s := zktree.SessionImage{ID: d.i64(), Timeout: time.Duration(d.i64())}
		copy(s.Password[:], d.buffer())
		img.Sessions = append(img.Sessions, s)
	}
	for range d.count(nodeImageBytes) {
		n := zktree.NodeImage{Path: d.str(), Data: d.buffer(), ACL: d.acl()}
		n.Stat = d.stat()
		img.Nodes = append(img.Nodes, n)
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = errUnknownRecord
	}
	return img, d.err
}

func (d *decoder) stat() (s zktree.Stat) {
	s.Czxid, s.Mzxid, s.Ctime, s.Mtime = d.i64(), d.i64(), d.i64(), d.i64()
	s.Version, s.Cversion, s.Aversion = d.i32(), d.i32(), d.i32()
	s.EphemeralOwner = d.i64()
	s.DataLength, s.NumChildren = d.i32(), d.i32()
	s.Pzxid = d.i64()
	return s
}
