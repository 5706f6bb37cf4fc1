package zkserver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// The numbers of operations on the wire. The client has its own, so that an error in
// the server's is not repeated here.
const (
	wireGetACL        = 6
	wireSync          = 9
	wireCheckWatches  = 17
	wireRemoveWatches = 18
	wireMultiRead     = 22
	wireAuth          = 100
	wireSetWatches    = 101
	wireGetEphemerals = 103
	wireCountAll      = 104
	wireSetWatches2   = 105
	wireAddWatch      = 106
	wireWhoAmI        = 107
	wireErrNoWatcher  = zktree.Code(-121)
	watchPersistent   = 0
	watchRecursive    = 1
	wireOfChildren    = 1
	wireOfData        = 2
	wireOfEither      = 3
	flagContainer     = zktree.CreateFlags(4)
	flagTTL           = zktree.CreateFlags(5)
	flagSequentialTTL = zktree.CreateFlags(6)
	permRead          = 1
	permWrite         = 2
	permCreate        = 4
	permDelete        = 8
	permAdmin         = 16
	noTTL             = -time.Millisecond // sent by a client that sets no TTL
)

// failer is the part of testing.TB that the client uses; rapid.T has it too.
type failer interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// wireClient speaks the protocol without a library, one call at a time, so that tests
// see each field as it was sent.
type wireClient struct {
	t        failer
	nc       net.Conn
	session  int64
	password [16]byte
	timeout  time.Duration
	xid      int32
	lastZxid int64
	events   []wireEvent
	lax      bool // an error may have a body
}

// wireEvent is a notification and the number of replies that came before it.
type wireEvent struct {
	zktree.Event
	Replies int32
}

// wireReply is one reply with its body still encoded.
type wireReply struct {
	Zxid int64
	Err  zktree.Code
	body decoder
}

func askWord(t testing.TB, addr, word string) []byte {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// hello connects to the given session, or to a new one if it is 0.
func hello(t failer, addr string, timeout time.Duration, session int64, password [16]byte, lastZxid int64) (*wireClient, error) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	c := &wireClient{t: t, nc: nc, lastZxid: lastZxid}
	t.Cleanup(c.leave)
	var e encoder
	mark := e.begin()
	e.i32(0)
	e.i64(lastZxid)
	e.i32(int32(timeout.Milliseconds()))
	e.i64(session)
	e.buffer(password[:])
	e.end(mark)
	c.sendRaw(e.b)
	d, err := c.frame()
	if err != nil {
		return nil, err
	}
	d.i32()
	c.timeout = time.Duration(d.i32()) * time.Millisecond
	c.session = d.i64()
	copy(c.password[:], d.buffer())
	if d.err != nil || len(d.b) != 0 {
		t.Fatalf("connect response: %v, %d bytes too many", d.err, len(d.b))
	}
	return c, nil
}

// leave ends the session at the end of a test, if this connection still has it.
// Otherwise it would expire during a later test, and take a zxid there.
func (c *wireClient) leave() {
	if c.session != 0 {
		_ = c.nc.SetDeadline(time.Now().Add(time.Second))
		var e encoder
		mark := e.begin()
		e.i32(1 << 30)
		e.i32(opClose)
		e.end(mark)
		if _, err := c.nc.Write(e.b); err == nil {
			_, _ = io.Copy(io.Discard, c.nc) // until the server closes
		}
	}
	c.nc.Close()
}

func newSession(t failer, addr string, timeout time.Duration) *wireClient {
	t.Helper()
	c, err := hello(t, addr, timeout, 0, [16]byte{}, 0)
	if err != nil || c.session == 0 {
		t.Fatalf("beginning a session: %v", err)
	}
	return c
}

func (c *wireClient) sendRaw(b []byte) {
	c.t.Helper()
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	if _, err := c.nc.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Logf("writing: %v", err) // the read that follows fails
	}
}

func (c *wireClient) frame() (decoder, error) {
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	b, err := readFrame(c.nc, 2<<20)
	return decoder{b: b}, err
}

// send writes one request and returns its xid.
func (c *wireClient) send(op int32, body func(e *encoder)) int32 {
	c.t.Helper()
	c.xid++
	xid := c.xid
	if op == opPing {
		xid = xidPing
	}
	var e encoder
	mark := e.begin()
	e.i32(xid)
	e.i32(op)
	if body != nil {
		body(&e)
	}
	e.end(mark)
	c.sendRaw(e.b)
	return xid
}

// receive reads frames up to the reply to xid, and keeps the events before it.
func (c *wireClient) receive(xid int32) (wireReply, error) {
	c.t.Helper()
	for {
		d, err := c.frame()
		if err != nil {
			return wireReply{}, err
		}
		got := d.i32()
		r := wireReply{Zxid: d.i64(), Err: zktree.Code(d.i32())}
		if got == xidEvent {
			c.keepEvent(&r, &d)
			continue
		}
		if got != xid || d.err != nil {
			c.t.Fatalf("reply to %d, want %d: %v", got, xid, d.err)
		}
		if r.Err != zktree.OK && len(d.b) > 0 && !c.lax {
			c.t.Fatalf("error %v with a body of %d bytes", r.Err, len(d.b))
		}
		c.lastZxid = max(c.lastZxid, r.Zxid)
		r.body = d
		return r, nil
	}
}

func (c *wireClient) keepEvent(r *wireReply, d *decoder) {
	ev := wireEvent{Replies: c.xid}
	ev.Type = zktree.EventType(d.i32())
	state := d.i32()
	ev.Path = d.str()
	if r.Zxid != -1 || r.Err != zktree.OK || state != stateConnected || d.err != nil || len(d.b) > 0 {
		c.t.Fatalf("event %+v: zxid %d err %d state %d", ev, r.Zxid, r.Err, state)
	}
	c.events = append(c.events, ev)
}

func (c *wireClient) call(op int32, body func(e *encoder)) wireReply {
	c.t.Helper()
	r, err := c.receive(c.send(op, body))
	if err != nil {
		c.t.Fatalf("operation %d: %v", op, err)
	}
	return r
}

// takeEvents returns the events so far, after a round trip that flushes them.
func (c *wireClient) takeEvents() []zktree.Event {
	c.t.Helper()
	c.call(opPing, nil)
	return c.keptEvents()
}

// keptEvents returns the events that came before the last reply.
func (c *wireClient) keptEvents() []zktree.Event {
	var list []zktree.Event
	for _, ev := range c.events {
		list = append(list, ev.Event)
	}
	c.events = nil
	return list
}

// closedByServer reports whether the connection ends without another reply.
func (c *wireClient) closedByServer() bool { return c.awaitClose() == nil }

// awaitClose waits until the server closes the connection. It returns an error if
// a reply comes instead, or nothing in time.
func (c *wireClient) awaitClose() error {
	for {
		d, err := c.frame()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return err
			}
			return nil
		}
		if xid := d.i32(); xid != xidEvent {
			return fmt.Errorf("got a reply to request %d instead", xid)
		}
	}
}

// endsAsApache is closedByServer for Apache ZooKeeper and a request sent after the
// close of its session. The server mostly drops that request, but about one time in
// three it answers first, with session expired (-112) or unknown session (-12).
func (c *wireClient) endsAsApache() bool {
	const unknownSession = -12
	for {
		d, err := c.frame()
		if err != nil {
			var timeout net.Error
			return !(errors.As(err, &timeout) && timeout.Timeout())
		}
		xid := d.i32()
		d.i64()
		code := d.i32()
		if xid != xidEvent && code != int32(zktree.ErrSessionExpired) && code != unknownSession {
			return false
		}
	}
}

func encodeOp(e *encoder, op *zktree.Op) {
	e.str(op.Path)
	switch op.Code {
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL:
		e.buffer(op.Data)
		e.acl(orOpen(op.ACL))
		e.i32(int32(op.Flags))
		if op.Code == zktree.OpCreateTTL {
			e.i64(op.TTL.Milliseconds())
		}
	case zktree.OpSetData:
		e.buffer(op.Data)
		e.i32(op.Version)
	case zktree.OpSetACL:
		e.acl(orOpen(op.ACL))
		e.i32(op.Version)
	default:
		e.i32(op.Version)
	}
}

func orOpen(acl []zktree.ACL) []zktree.ACL {
	if acl == nil {
		return zktree.OpenACL
	}
	return acl
}

// outcome is everything that a reply says, for comparison.
type outcome struct {
	Zxid  int64
	Err   zktree.Code
	Path  string
	Data  []byte
	Nil   bool // Data was sent as length -1
	Names []string
	Stat  zktree.Stat
	Ops   []zktree.OpResult
	ACL   []zktree.ACL
	Count int32
	Reads []outcome // of a multiRead
	IDs   []zktree.Identity
}

func (c *wireClient) write(op zktree.Op) outcome {
	c.t.Helper()
	r := c.call(int32(op.Code), func(e *encoder) { encodeOp(e, &op) })
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err != zktree.OK {
		return o
	}
	switch op.Code {
	case zktree.OpCreate:
		o.Path = r.body.str()
	case zktree.OpCreate2, zktree.OpContainer, zktree.OpCreateTTL:
		o.Path = r.body.str()
		o.Stat = r.body.stat()
	case zktree.OpSetData, zktree.OpSetACL:
		o.Stat = r.body.stat()
	}
	c.wantEnd(&r)
	return o
}

func (c *wireClient) wantEnd(r *wireReply) {
	c.t.Helper()
	if r.body.err != nil || len(r.body.b) > 0 {
		c.t.Fatalf("reply: %v, %d bytes too many", r.body.err, len(r.body.b))
	}
}

func (c *wireClient) multi(ops ...zktree.Op) outcome {
	c.t.Helper()
	r := c.call(int32(zktree.OpMulti), func(e *encoder) {
		for i := range ops {
			e.multiHeader(int32(ops[i].Code), false, -1)
			encodeOp(e, &ops[i])
		}
		e.multiHeader(-1, true, -1)
	})
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	for r.Err == zktree.OK {
		code, done, code2 := r.body.i32(), r.body.boolean(), r.body.i32()
		if done || r.body.err != nil {
			break
		}
		op := zktree.OpResult{Code: zktree.OpCode(code)}
		switch op.Code {
		case -1:
			op.Err = zktree.Code(r.body.i32())
			if int32(op.Err) != code2 {
				c.t.Fatalf("a multi gives the error of one operation as %d and as %d", op.Err, code2)
			}
		case zktree.OpCreate:
			op.Path = r.body.str()
		case zktree.OpCreate2:
			op.Path = r.body.str()
			op.Stat = r.body.stat()
		case zktree.OpSetData:
			op.Stat = r.body.stat()
		}
		o.Ops = append(o.Ops, op)
	}
	c.wantEnd(&r)
	return o
}

func (c *wireClient) read(op int32, path string, watch bool) outcome {
	c.t.Helper()
	r := c.call(op, func(e *encoder) {
		e.str(path)
		e.boolean(watch)
	})
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err != zktree.OK {
		return o
	}
	switch op {
	case opGetData:
		o.Data = r.body.buffer()
		o.Nil = o.Data == nil
	case opGetChildren, opChildren2:
		o.Names = r.body.strings()
	}
	if op != opGetChildren {
		o.Stat = r.body.stat()
	}
	c.wantEnd(&r)
	return o
}

func (c *wireClient) create(path, data string, flags zktree.CreateFlags) outcome {
	c.t.Helper()
	return c.write(zktree.Op{Code: zktree.OpCreate, Path: path, Data: []byte(data), Flags: flags})
}

func (c *wireClient) set(path, data string, version int32) outcome {
	c.t.Helper()
	return c.write(zktree.Op{Code: zktree.OpSetData, Path: path, Data: []byte(data), Version: version})
}

func (c *wireClient) delete(path string, version int32) outcome {
	c.t.Helper()
	return c.write(zktree.Op{Code: zktree.OpDelete, Path: path, Version: version})
}

func (c *wireClient) exists(path string, watch bool) outcome {
	c.t.Helper()
	return c.read(opExists, path, watch)
}

func (c *wireClient) aclOf(path string) outcome {
	c.t.Helper()
	r := c.call(wireGetACL, func(e *encoder) { e.str(path) })
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err == zktree.OK {
		o.ACL = r.body.acl()
		o.Stat = r.body.stat()
	}
	c.wantEnd(&r)
	return o
}

func (c *wireClient) setACL(path string, aversion int32, acl ...zktree.ACL) outcome {
	c.t.Helper()
	return c.write(zktree.Op{Code: zktree.OpSetACL, Path: path, Version: aversion, ACL: append([]zktree.ACL{}, acl...)})
}

// auth adds an identity to the connection.
func (c *wireClient) auth(scheme, proof string) wireReply {
	c.t.Helper()
	return c.call(wireAuth, func(e *encoder) { e.i32(0); e.str(scheme); e.buffer([]byte(proof)) })
}

func (c *wireClient) whoAmI() outcome {
	c.t.Helper()
	r := c.call(wireWhoAmI, nil)
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err == zktree.OK {
		for range r.body.i32() {
			o.IDs = append(o.IDs, zktree.Identity{Scheme: r.body.str(), ID: r.body.str()})
		}
	}
	c.wantEnd(&r)
	slices.SortFunc(o.IDs, func(a, b zktree.Identity) int {
		return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.ID, b.ID))
	})
	return o
}

func (c *wireClient) ephemeralsBelow(prefix string) outcome {
	c.t.Helper()
	r := c.call(wireGetEphemerals, func(e *encoder) { e.str(prefix) })
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err == zktree.OK {
		o.Names = r.body.strings()
		slices.Sort(o.Names)
	}
	c.wantEnd(&r)
	return o
}

func (c *wireClient) countAll(path string) outcome {
	c.t.Helper()
	r := c.call(wireCountAll, func(e *encoder) { e.str(path) })
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err == zktree.OK {
		o.Count = r.body.i32()
	}
	c.wantEnd(&r)
	return o
}

// addWatch sets a watch of mode watchPersistent or watchRecursive.
func (c *wireClient) addWatch(path string, mode int32) outcome {
	c.t.Helper()
	r := c.call(wireAddWatch, func(e *encoder) { e.str(path); e.i32(mode) })
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	if r.Err == zktree.OK {
		o.Count = r.body.i32()
	}
	c.wantEnd(&r)
	return o
}

// onWatcher asks for or removes, depending on op, a watch of one of the wireOf kinds.
func (c *wireClient) onWatcher(op int32, path string, kind int32) outcome {
	c.t.Helper()
	r := c.call(op, func(e *encoder) { e.str(path); e.i32(kind) })
	c.wantEnd(&r)
	return outcome{Zxid: r.Zxid, Err: r.Err}
}

// partRead is one read of a multiRead.
type partRead struct {
	Code  int32
	Path  string
	Watch bool
}

func (c *wireClient) multiRead(reads ...partRead) outcome {
	c.t.Helper()
	r := c.call(wireMultiRead, func(e *encoder) {
		for _, p := range reads {
			e.multiHeader(p.Code, false, -1)
			e.str(p.Path)
			e.boolean(p.Watch)
		}
		e.multiHeader(-1, true, -1)
	})
	o := outcome{Zxid: r.Zxid, Err: r.Err}
	for r.Err == zktree.OK {
		code, done, code2 := r.body.i32(), r.body.boolean(), r.body.i32()
		if done || r.body.err != nil {
			break
		}
		var part outcome
		switch code {
		case opGetData:
			part.Data = r.body.buffer()
			part.Nil = part.Data == nil
			part.Stat = r.body.stat()
		case opGetChildren:
			part.Names = r.body.strings()
			slices.Sort(part.Names)
		case -1:
			part.Err = zktree.Code(r.body.i32())
		default:
			c.t.Fatalf("multiRead answers kind %d", code)
		}
		if int32(part.Err) != code2 {
			c.t.Fatalf("a multiRead gives the error of one operation as %d and as %d", part.Err, code2)
		}
		o.Reads = append(o.Reads, part)
	}
	c.wantEnd(&r)
	return o
}

// watchLists are the paths in setWatches and setWatches2; the last two lists are in
// setWatches2 only.
type watchLists struct {
	Data, Exist, Child, Persistent, Recursive []string
}

func (c *wireClient) setWatches(since int64, set watchLists) outcome {
	c.t.Helper()
	return c.sendWatches(wireSetWatches, since, set.Data, set.Exist, set.Child)
}

func (c *wireClient) setWatches2(since int64, set watchLists) outcome {
	c.t.Helper()
	return c.sendWatches(wireSetWatches2, since, set.Data, set.Exist, set.Child, set.Persistent, set.Recursive)
}

func (c *wireClient) sendWatches(op int32, since int64, lists ...[]string) outcome {
	c.t.Helper()
	r := c.call(op, func(e *encoder) {
		e.i64(since)
		for _, list := range lists {
			e.strings(list)
		}
	})
	c.wantEnd(&r)
	return outcome{Zxid: r.Zxid, Err: r.Err}
}

func (c *wireClient) close() {
	c.t.Helper()
	c.call(opClose, nil)
}
