package zkserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// unsent returns the length of the longest output that waits for a client.
func unsent(s *TestServer) (longest int) {
	for _, c := range s.connected() {
		c.mu.Lock()
		longest = max(longest, len(c.out))
		c.mu.Unlock()
	}
	return longest
}

// TestPipelineWithoutReading sends requests for 100 MB and reads nothing meanwhile: the
// server must stop reading them, serve others, and give every answer in the end.
func TestPipelineWithoutReading(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c, other := newSession(t, s.Address(), 20*time.Second), newSession(t, s.Address(), 20*time.Second)
	c.create("/a", strings.Repeat("x", 10_000), 0)
	const requests = 10_000
	var e encoder
	for i := range int32(requests) {
		mark := e.begin()
		e.i32(100 + i)
		e.i32(opGetData)
		e.str("/a")
		e.boolean(false)
		e.end(mark)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.nc.Write(e.b)
		sent <- err
	}()
	waitFor(t, "the server to stop reading requests", func() bool { return unsent(s) > pauseBytes })
	for range 20 {
		want(t, "another client", other.exists("/a", false).Err, zktree.OK)
		if n := unsent(s); n > pauseBytes+2*turnBytes {
			t.Fatalf("%d bytes are kept for a client that reads nothing", n)
		}
	}
	for i := range int32(requests) {
		r, err := c.receive(100 + i)
		if err != nil || r.Err != zktree.OK {
			t.Fatalf("answer %d: %v %v", i, err, r.Err)
		}
	}
	must(t, <-sent)
}

// TestClientThatReadsNoEventsIsCutOff: events cannot be held back, so a client that
// reads none of them must lose its connection.
func TestClientThatReadsNoEventsIsCutOff(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second, MaxSessionTimeout: time.Hour})
	c, other := newSession(t, s.Address(), time.Hour), newSession(t, s.Address(), time.Hour)
	path := "/" + strings.Repeat("long", 120_000)
	want(t, "create", other.create(path, "", 0).Err, zktree.OK)
	want(t, "addWatch", c.call(opAddWatch, func(e *encoder) { e.str(path); e.i32(modePersistent) }).Err, zktree.OK)
	connections := len(s.connected())
	for i := 0; len(s.connected()) == connections; i++ {
		if i > 4*maxOutBytes/len(path) {
			t.Fatalf("%d events of %d bytes are kept for a client that reads nothing", i, len(path))
		}
		want(t, "set", other.set(path, "", -1).Err, zktree.OK)
	}
	want(t, "another client", other.exists("/", false).Err, zktree.OK)
	back, err := hello(t, s.Address(), time.Hour, c.session, c.password, c.lastZxid)
	if err != nil || back.session != c.session {
		t.Errorf("the session ended with the connection: %v", err)
	}
}

func TestMultiReadOfTooMuchHangsUp(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c := newSession(t, s.Address(), 20*time.Second)
	c.create("/a", strings.Repeat("x", 1_000_000), 0)
	parts := func(n int) func(e *encoder) {
		return func(e *encoder) {
			for range n {
				e.multiHeader(opGetData, false, -1)
				e.str("/a")
				e.boolean(false)
			}
			e.multiHeader(-1, true, -1)
		}
	}
	c.send(opMultiRead, parts(10_000)) // 10 GB
	want(t, "closed", c.closedByServer(), true)
	back, err := hello(t, s.Address(), 20*time.Second, c.session, c.password, c.lastZxid)
	must(t, err)
	back.send(opMultiRead, parts(10))
	head := make([]byte, 4)
	_, err = io.ReadFull(back.nc, head)
	must(t, err)
	if n := binary.BigEndian.Uint32(head); n < 10_000_000 {
		t.Errorf("ten parts of a megabyte: %d bytes", n)
	}
}

// TestClaimedLengthsCostNothing: memory must be bounded by the bytes that have arrived,
// whatever lengths and counts they claim.
func TestClaimedLengthsCostNothing(t *testing.T) {
	const huge = 0x7fffffff
	frame := func(op int32, body func(e *encoder)) []byte {
		var e encoder
		e.i32(1)
		e.i32(op)
		body(&e)
		return e.b
	}
	for name, b := range map[string][]byte{
		"path":         frame(int32(zktree.OpCreate), func(e *encoder) { e.i32(huge) }),
		"data":         frame(int32(zktree.OpSetData), func(e *encoder) { e.str("/a"); e.i32(huge) }),
		"ACL":          frame(int32(zktree.OpSetACL), func(e *encoder) { e.str("/a"); e.i32(huge) }),
		"watches":      frame(opSetWatches2, func(e *encoder) { e.i64(0); e.i32(huge) }),
		"credentials":  frame(opAuth, func(e *encoder) { e.i32(0); e.str("digest"); e.i32(huge) }),
		"multi":        frame(int32(zktree.OpMulti), func(e *encoder) { e.multiHeader(1, false, -1); e.i32(huge) }),
		"multiRead":    frame(opMultiRead, func(e *encoder) { e.multiHeader(opGetData, false, -1); e.i32(huge) }),
		"negative ACL": frame(int32(zktree.OpSetACL), func(e *encoder) { e.str("/a"); e.i32(-huge) }),
	} {
		if allocated := allocatedBy(func() {
			if _, _, err := decodeRequest(b); err == nil {
				t.Errorf("%s: the frame was decoded", name)
			}
		}); allocated > 16<<10 {
			t.Errorf("%s: %d bytes were allocated for a frame of %d", name, allocated, len(b))
		}
	}
	claim := binary.BigEndian.AppendUint32(nil, zktree.MaxRequest)
	if allocated := allocatedBy(func() { _, _ = readFrame(bytes.NewReader(claim), zktree.MaxRequest) }); allocated > 4*trustedBytes {
		t.Errorf("a length of %d alone: %d bytes were allocated", zktree.MaxRequest, allocated)
	}
	whole := append(claim, bytes.Repeat([]byte{7}, zktree.MaxRequest)...)
	if b, err := readFrame(bytes.NewReader(whole), zktree.MaxRequest); err != nil || !bytes.Equal(b, whole[4:]) {
		t.Errorf("a long frame: %d bytes, %v", len(b), err)
	}
}

// allocatedBy returns the least of several measurements, because they count what
// goroutines of earlier tests allocate too.
func allocatedBy(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// TestBrokenHandshakesFreeTheirConnections: connections that end within their first
// frame must not count against MaxConnections.
func TestBrokenHandshakesFreeTheirConnections(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second, MaxConnections: 2})
	for range 10 {
		nc, err := net.Dial("tcp", s.Address())
		must(t, err)
		_, err = nc.Write([]byte{0, 0, 0, 44, 1, 2, 3})
		must(t, err)
		must(t, nc.(*net.TCPConn).CloseWrite())
		_, _ = io.Copy(io.Discard, nc) // until the server has accepted the connection, and ended it
		nc.Close()
		waitFor(t, "its place to be free", func() bool { return len(s.connected()) == 0 })
	}
	newSession(t, s.Address(), 20*time.Second)
}

// TestCloseWaitsOnlyBrieflyForAClientThatDoesNotRead allows Close its second, and a few
// more for a busy machine.
func TestCloseWaitsOnlyBrieflyForAClientThatDoesNotRead(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c := newSession(t, s.Address(), 20*time.Second)
	c.create("/a", strings.Repeat("x", 1_000_000), 0)
	// Some kernels would keep 32 MiB for the client.
	must(t, c.nc.(*net.TCPConn).SetReadBuffer(64<<10))
	for range 40 { // more than sockets hold and the writer has taken already
		c.send(opGetData, func(e *encoder) { e.str("/a"); e.boolean(false) })
	}
	waitFor(t, "answers that the client does not read", func() bool { return unsent(s) > pauseBytes })
	began := time.Now()
	must(t, s.Close())
	if took := time.Since(began); took < closeTime/2 || took > 8*closeTime {
		t.Errorf("closed after %v, want %v and a little", took, closeTime)
	}
}
