package zkserver

import (
	"encoding/binary"
	"strings"

	"dkv/zksim/zktree"
)

// decoder decodes jute, which is big-endian. After the first error it returns zero
// values.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.err = errShort
		return nil
	}
	head := d.b[:n:n]
	d.b = d.b[n:]
	return head
}

func (d *decoder) i32() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) i64() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) boolean() bool {
	b := d.take(1)
	return b != nil && b[0] != 0
}

// buffer returns nil for the length -1. The slice shares the frame's memory.
func (d *decoder) buffer() []byte {
	n := d.i32()
	if n == -1 {
		return nil
	}
	return d.take(int(n))
}

// str decodes a string. The length -1 gives an empty one.
func (d *decoder) str() string { return string(d.buffer()) }

// path decodes a string. The length -1 is an error.
func (d *decoder) path() string {
	b := d.buffer()
	if b == nil && d.err == nil {
		d.err = errNull
	}
	return string(b)
}

// count decodes a vector's length. Each element takes at least elementBytes, so a
// count that the rest of the frame cannot hold is refused before anything is
// allocated.
func (d *decoder) count(elementBytes int) int {
	n := int(d.i32())
	if n == -1 {
		return 0
	}
	if n < 0 || n > len(d.b)/elementBytes {
		d.err = errShort
		return 0
	}
	return n
}

func (d *decoder) strings() []string {
	n := d.count(4)
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.str())
	}
	return list
}

// paths decodes a vector of paths.
func (d *decoder) paths() []string {
	n := d.count(4)
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.path())
	}
	return list
}

// acl returns an empty list, not nil, for an empty vector: the tree refuses an empty
// list, while nil means OpenACL.
func (d *decoder) acl() []zktree.ACL {
	n := d.count(12)
	list := make([]zktree.ACL, 0, n)
	for range n {
		list = append(list, zktree.ACL{Perms: d.i32(), Scheme: d.str(), ID: d.str()})
	}
	return list
}

// encoder appends jute to a buffer.
type encoder struct {
	b []byte
}

func (e *encoder) i32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) i64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

func (e *encoder) boolean(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) buffer(v []byte) {
	if v == nil {
		e.i32(-1)
		return
	}
	e.i32(int32(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) str(v string) {
	e.i32(int32(len(v)))
	e.b = append(e.b, v...)
}

// path encodes a string, or null if none is set.
func (e *encoder) path(v string, none bool) {
	if none {
		e.i32(-1)
		return
	}
	e.str(v)
}

func (e *encoder) strings(list []string) {
	e.i32(int32(len(list)))
	for _, s := range list {
		e.str(s)
	}
}

func (e *encoder) stat(s *zktree.Stat) {
	e.i64(s.Czxid)
	e.i64(s.Mzxid)
	e.i64(s.Ctime)
	e.i64(s.Mtime)
	e.i32(s.Version)
	e.i32(s.Cversion)
	e.i32(s.Aversion)
	e.i64(s.EphemeralOwner)
	e.i32(s.DataLength)
	e.i32(s.NumChildren)
	e.i64(s.Pzxid)
}

func (e *encoder) acl(list []zktree.ACL) {
	e.i32(int32(len(list)))
	for i := range list {
		e.i32(list[i].Perms)
		e.str(list[i].Scheme)
		e.str(list[i].ID)
	}
}

// identities encodes identities without the hashes of their passwords.
func (e *encoder) identities(list []zktree.Identity) {
	e.i32(int32(len(list)))
	for _, id := range list {
		name := id.ID
		if id.Scheme == "digest" {
			name, _, _ = strings.Cut(name, ":")
		}
		e.str(id.Scheme)
		e.str(name)
	}
}

// begin reserves space for a frame's length, which end fills in.
func (e *encoder) begin() (mark int) {
	mark = len(e.b)
	e.b = append(e.b, 0, 0, 0, 0)
	return mark
}

func (e *encoder) end(mark int) {
	binary.BigEndian.PutUint32(e.b[mark:], uint32(len(e.b)-mark-4))
}
