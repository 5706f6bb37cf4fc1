package zkserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"dkv/zksim/zktree"
)

// seedRequests returns one valid frame of each kind.
func seedRequests() [][]byte {
	frame := func(op int32, body func(e *encoder)) []byte {
		var e encoder
		e.i32(7)
		e.i32(op)
		body(&e)
		return e.b
	}
	op := zktree.Op{Code: zktree.OpCreate, Path: "/a", Data: []byte("x"), Flags: 3}
	var all [][]byte
	for _, write := range everyKindOfWrite() {
		all = append(all, frame(int32(write.Code), func(e *encoder) { encodeWrite(e, &write) }))
	}
	for _, read := range []int32{opExists, opGetData, opGetChildren, opChildren2} {
		all = append(all, frame(read, func(e *encoder) { e.str("/mine"); e.boolean(true) }))
	}
	for _, ask := range []int32{opGetACL, opSync, opAllChildrenNumber, opGetEphemerals, opWhoAmI, opSASL} {
		all = append(all, frame(ask, func(e *encoder) { e.str("/mine") }))
	}
	for _, watch := range []int32{opAddWatch, opCheckWatches, opRemoveWatches} {
		all = append(all, frame(watch, func(e *encoder) { e.str("/mine"); e.i32(1) }))
	}
	return append(all, [][]byte{
		frame(1, func(e *encoder) { encodeOp(e, &op) }),
		frame(5, func(e *encoder) { o := opSet("/a"); encodeOp(e, &o) }),
		frame(2, func(e *encoder) { o := opDelete("/a"); encodeOp(e, &o) }),
		frame(14, func(e *encoder) {
			e.multiHeader(1, false, -1)
			encodeOp(e, &op)
			e.multiHeader(-1, true, -1)
		}),
		frame(12, func(e *encoder) { e.str("/"); e.boolean(true) }),
		frame(101, func(e *encoder) {
			e.i64(1)
			e.strings([]string{"/a"})
			e.strings(nil)
			e.strings([]string{"/b", "/c"})
		}),
		frame(100, func(e *encoder) { e.i32(0); e.str("digest"); e.buffer(nil) }),
		frame(11, func(e *encoder) {}),
		frame(-11, func(e *encoder) {}),
		frame(14, func(e *encoder) { e.multiHeader(1, false, -1); e.i32(0x7fffffff) }),
		frame(101, func(e *encoder) { e.i64(1); e.i32(0x7fffffff) }),
		frame(opReconfig, func(e *encoder) { e.str("a"); e.str("b"); e.buffer(nil); e.i64(-1) }),
		frame(opSetWatches2, func(e *encoder) {
			e.i64(1)
			for range 5 {
				e.strings([]string{"/a", "/mine"})
			}
		}),
		frame(opMultiRead, func(e *encoder) {
			for _, read := range []int32{opGetData, opGetChildren} {
				e.multiHeader(read, false, -1)
				e.str("/mine")
				e.boolean(false)
			}
			e.multiHeader(-1, true, -1)
		}),
	}...)
}

// FuzzRequest decodes any bytes and serves what can be decoded: it must not panic, nor
// allocate more than the frame's length allows.
func FuzzRequest(f *testing.F) {
	for _, b := range seedRequests() {
		f.Add(b)
	}
	s := memoryServer(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		req, header, err := decodeRequest(frame)
		if err == nil && !header {
			t.Fatal("a frame without a header was decoded")
		}
		if n := len(req.ops); n > len(frame)/9 {
			t.Fatalf("%d operations from %d bytes", n, len(frame))
		}
		w := req.watches
		if n := len(w.Data) + len(w.Exist) + len(w.Child) + len(w.Persistent) + len(w.Recursive); n > len(frame)/4 {
			t.Fatalf("%d watches from %d bytes", n, len(frame))
		}
		if n := len(req.parts); n > len(frame)/9 {
			t.Fatalf("%d reads from %d bytes", n, len(frame))
		}
		s.call(func() {
			c := &conn{id: 1, server: s}
			c.changed.L = &c.mu
			c.session = s.newSession(time.Second)
			s.byID[1] = c
			s.onFrame(c, frame, time.Now())
			checkFrames(t, c.pending)
			s.forget(c)
			c.pending, c.dirty, s.dirty = nil, false, s.dirty[:0]
		})
	})
}

// checkFrames checks that output consists of complete frames with complete headers.
func checkFrames(t *testing.T, b []byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 4 || int(binary.BigEndian.Uint32(b)) > len(b)-4 || binary.BigEndian.Uint32(b) < 16 {
			t.Fatalf("output with an incomplete frame: %x", b)
		}
		b = b[4+binary.BigEndian.Uint32(b):]
	}
}

func memoryServer(t testing.TB) *Server {
	s, err := Open(Options{Tick: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func FuzzConnect(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 44))
	f.Add(append(make([]byte, 24), 0, 0, 0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if _, err := decodeConnect(frame); err == nil && len(frame) < 28 {
			t.Fatalf("a handshake of %d bytes was decoded", len(frame))
		}
	})
}

// FuzzTxn checks that what can be decoded survives encoding and decoding.
func FuzzTxn(f *testing.F) {
	for _, txn := range []zktree.Txn{
		{Zxid: 1, Time: 2, Session: 3, Op: opCreate("/a")},
		{Zxid: 1, Session: 3, Op: zktree.Op{Code: zktree.OpCreate, Path: "/a", Data: []byte("d"), Flags: 1, ACL: zktree.OpenACL}},
		{Zxid: 1, Session: 3, Op: zktree.Op{Code: zktree.OpMulti}, Ops: ops(opDelete("/a"), opCheck("/b", 3), opSet("/c"))},
		{Zxid: 1, Session: 3, Op: zktree.Op{Code: zktree.OpCreateSession}, Timeout: time.Second, Password: [16]byte{1}},
		{Zxid: 1, Session: 3, Op: zktree.Op{Code: zktree.OpCloseSession}},
		{Zxid: 1, Session: 3, Op: zktree.Op{Code: zktree.OpCreateTTL, Path: "/a", TTL: time.Second}},
		{Zxid: 1, Session: 3, Op: zktree.Op{Code: zktree.OpSetACL, Path: "/a", ACL: zktree.OpenACL}},
		{Zxid: 1, Op: zktree.Op{Code: zktree.OpDelContainer, Path: "/a"}},
		{Zxid: 1, Session: 3},
	} {
		f.Add(appendTxn(nil, &txn)[4:])
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		txn, err := decodeTxn(record)
		if err != nil {
			return
		}
		again, err := decodeTxn(appendTxn(nil, &txn)[4:])
		if err != nil || !reflect.DeepEqual(txn, again) {
			t.Fatalf("%+v became %+v: %v", txn, again, err)
		}
	})
}

func FuzzImage(f *testing.F) {
	img := zktree.NewTree().Export()
	img.Sessions = []zktree.SessionImage{{ID: 5, Timeout: time.Second}}
	f.Add(encodeImage(&img))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := decodeImage(b)
		if err != nil {
			return
		}
		if len(img.Nodes) > len(b)/nodeImageBytes {
			t.Fatalf("%d nodes from %d bytes", len(img.Nodes), len(b))
		}
		if tree, err := zktree.Import(img); err == nil {
			tree.Export()
		}
	})
}

// FuzzLog replays damaged logs: each gives an error or a prefix, never a panic.
func FuzzLog(f *testing.F) {
	var log []byte
	log = append(log, logMagic...)
	log = append(log, make([]byte, 16)...)
	log = binary.BigEndian.AppendUint64(log, xxhash.Sum64(log))
	block := make([]byte, blockHeaderBytes)
	block = appendTxn(block, &zktree.Txn{Zxid: 1, Session: 5, Op: zktree.Op{Code: zktree.OpCreateSession}, Timeout: time.Second})
	block = appendTxn(block, &zktree.Txn{Zxid: 2, Session: 5, Op: opCreate("/a")})
	sealBlock(block, 0, int64(len(log)))
	f.Add(append(log, block...))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree := zktree.NewTree()
		if end, err := replayLog(tree, b, 0); err == nil && end > len(b) {
			t.Fatalf("replayed up to byte %d of %d", end, len(b))
		}
	})
}

// FuzzStream sends raw bytes to a listening server, which must survive.
func FuzzStream(f *testing.F) {
	s := NewTest(f)
	var e encoder
	mark := e.begin()
	e.i32(0)
	e.i64(0)
	e.i32(1000)
	e.i64(0)
	e.buffer(make([]byte, 16))
	e.end(mark)
	f.Add(e.b)
	f.Add([]byte("ruok"))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		nc, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write(b) // the server may have hung up already
		nc.Close()
		if !s.call(func() {}) {
			t.Fatal("the server ended")
		}
	})
}

// FuzzConversation sends frames cut from the input, each with a length of two bytes,
// over a session of a new server. Every request must be answered or end the
// connection, every answer must be a complete frame, and the server must survive.
func FuzzConversation(f *testing.F) {
	var all []byte
	for _, frame := range seedRequests() {
		one := append(binary.BigEndian.AppendUint16(nil, uint16(len(frame))), frame...)
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, input []byte) {
		s := NewTestWith(t, Options{Tick: time.Minute})
		c := newSession(t, s.Address(), time.Hour)
		var out encoder
		for len(input) >= 2 {
			n := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
			mark := out.begin()
			out.b = append(out.b, input[2:2+n]...)
			out.end(mark)
			input = input[2+n:]
		}
		mark := out.begin()
		out.i32(xidPing)
		out.i32(opPing)
		out.end(mark)
		sent := make(chan struct{})
		go func() {
			c.sendRaw(out.b)
			close(sent)
		}()
		for {
			d, err := c.frame()
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Fatal("neither an answer nor the end of the connection")
			}
			if err != nil {
				break
			}
			if len(d.b) < 16 {
				t.Fatalf("an incomplete answer: %x", d.b)
			}
			if d.i32() == xidPing && len(d.b) == 12 {
				break
			}
		}
		c.nc.Close()
		<-sent
		if other := newSession(t, s.Address(), time.Hour); other.exists("/", false).Err != zktree.OK {
			t.Fatal("the server no longer serves")
		}
	})
}
