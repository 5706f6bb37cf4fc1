package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/real/loop"
	"dkv/node/real/realtest"
)

// station is a network with a loop, and with a node that only records what arrives.
type station struct {
	*Network
	loop  *loop.Loop
	peer  door.Peer
	hello node.Hello
	log   realtest.Log

	mu       sync.Mutex
	got      []*node.Envelope
	lost     []node.MemberNumber
	hellos   []node.Hello
	ready    bool
	refuse   error
	refusals []string // the member that refused, the store that it named, and its reason
}

func newStation(t *testing.T, number node.MemberNumber) *station {
	t.Helper()
	return newStationAt(t, number, realtest.Address(t), 1)
}

func newStationAt(t *testing.T, number node.MemberNumber, address string, boot uint64) *station {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	store := node.StoreID(fmt.Sprintf("store-%d", number))
	s := &station{
		loop:  loop.New(),
		peer:  door.Peer{Number: number, Store: store, Address: listener.Addr().String()},
		hello: node.Hello{Cluster: "c", Node: node.NodeID(fmt.Sprintf("n%d", number)), Member: number, Store: store, Boot: boot, LayoutVersion: -1},
		ready: true,
	}
	s.Network = New(s.loop, listener, slog.New(slog.NewTextHandler(&s.log, nil)))
	s.dialWithin, s.greetWithin = time.Minute, time.Minute
	s.loop.OnFrame = s.onFrame
	s.loop.EndTurn = s.Flush
	realtest.Start(t, s.loop)
	s.Start(Protocol{Hello: s.introduction, Judge: s.judge, Refuse: s.refusal, Refused: s.onRefused, Lost: s.onLost})
	t.Cleanup(s.Close)
	return s
}

func (s *station) onFrame(m *node.Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, m)
}

func (s *station) refusal(_ node.Hello, why error) node.HelloRefusal {
	return node.HelloRefusal{Reason: why.Error(), Store: s.peer.Store}
}

func (s *station) onRefused(by node.MemberNumber, r node.HelloRefusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, fmt.Sprintf("%d %s %s", by, r.Store, r.Reason))
}

func (s *station) introduction(node.StoreID) (node.Hello, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hello, s.ready
}

func (s *station) judge(h node.Hello) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hellos = append(s.hellos, h)
	return s.refuse
}

func (s *station) onLost(m node.MemberNumber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = append(s.lost, m)
}

func (s *station) send(to door.Peer, bodies ...node.Message) {
	s.loop.Post(func() {
		for _, body := range bodies {
			s.Send(to, &node.Envelope{From: s.peer.Number, FromStore: s.peer.Store, ToStore: to.Store, Body: body})
		}
	})
}

func (s *station) received() []*node.Envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*node.Envelope(nil), s.got...)
}

func (s *station) losses() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lost)
}

func numbered(n uint64) node.Message { return &node.PreVote{Round: n} }

func number(m *node.Envelope) uint64 { return m.Body.(*node.PreVote).Round }

func TestFramesArriveWholeAndInOrder(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	const frames = 3000
	for i := range frames {
		a.send(b.peer, numbered(uint64(i)))
	}
	realtest.Eventually(t, "all frames arrive", func() bool { return len(b.received()) == frames })
	for i, m := range b.received() {
		if number(m) != uint64(i) || m.From != 1 || m.FromStore != "store-1" || m.ToStore != "store-2" {
			t.Fatalf("frame %d: %+v %+v", i, m, m.Body)
		}
	}
	// A write is counted when it returns, which may be after its frames have
	// arrived.
	realtest.Eventually(t, "all frames are counted as sent", func() bool { return a.counts.framesSent.Load() == frames })
	// Both introduced themselves, and the sender named the receiver.
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.hellos) != 1 || b.hellos[0].Store != "store-1" || b.hellos[0].To != "store-2" || b.hellos[0].MaxVersion != node.ProtocolVersion {
		t.Errorf("the receiver got %+v", b.hellos)
	}
	if len(a.hellos) != 1 || a.hellos[0].Store != "store-2" {
		t.Errorf("the sender got %+v", a.hellos)
	}
}

// The frames of one turn leave in one write.
func TestTurnsAreCoalesced(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	a.send(b.peer, numbered(0))
	realtest.Eventually(t, "there is a connection", func() bool { return len(b.received()) == 1 })
	// A write is counted when it returns, which may be after its frames have
	// arrived.
	realtest.Eventually(t, "the frame is counted as sent", func() bool { return a.counts.framesSent.Load() == 1 })
	before := a.counts.bytesSent.Load()
	const frames = 100
	bodies := make([]node.Message, frames)
	for i := range bodies {
		bodies[i] = numbered(uint64(i))
	}
	writes := countWrites(a, b.peer)
	a.send(b.peer, bodies...)
	realtest.Eventually(t, "the turn arrives", func() bool { return len(b.received()) == 1+frames })
	realtest.Eventually(t, "its frames are counted as sent", func() bool { return a.counts.framesSent.Load() == 1+frames })
	if a.counts.bytesSent.Load() == before {
		t.Error("no bytes are counted")
	}
	if n := writes(); n != 1 {
		t.Errorf("%d writes for one turn", n)
	}
}

// countWrites counts how often the link emptied its queue.
func countWrites(s *station, to door.Peer) func() int {
	var l *link
	s.loop.Call(func() { l = s.links[to.Store] })
	before := l.writes.Load()
	return func() int { return int(l.writes.Load() - before) }
}

func TestLargestFrameArrives(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	value := make([]byte, node.MaxValueBytes)
	value[len(value)-1] = 7
	a.send(b.peer, &node.Append{Assignment: node.Assignment{Epoch: 1, Primary: 1, Replicas: []node.MemberNumber{1}},
		Entries: []node.Entry{
			{Index: 1, Epoch: 1, Kind: node.EntryPut, Key: []byte("a"), Value: value},
			{Index: 2, Epoch: 1, Kind: node.EntryPut, Key: []byte("b"), Value: value}}})
	realtest.Eventually(t, "the frame arrives", func() bool { return len(b.received()) == 1 })
	entries := b.received()[0].Body.(*node.Append).Entries
	if len(entries) != 2 || len(entries[1].Value) != len(value) || entries[1].Value[len(value)-1] != 7 {
		t.Error("the frame arrived damaged")
	}
}

func TestPeerThatComesBack(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	a.send(b.peer, numbered(1))
	realtest.Eventually(t, "the first frame arrives", func() bool { return len(b.received()) == 1 })
	b.Close()
	realtest.Eventually(t, "the loss is reported", func() bool { return a.losses() == 1 })
	again := newStationAt(t, 2, b.peer.Address, 2)
	realtest.Eventually(t, "frames arrive again", func() bool {
		a.send(again.peer, numbered(2))
		time.Sleep(5 * time.Millisecond)
		return len(again.received()) > 0
	})
}

// A peer that connects is dialed at once, however often it was dialed in vain, and gets what
// was queued meanwhile.
func TestPeerThatConnectsIsDialedAtOnce(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	l := newLink(a.Network, b.peer)
	began := time.Now()
	a.loop.Call(func() { a.links[b.peer.Store] = l })
	over := make(chan pauseEnd, 1)
	go func() { over <- l.pause(time.Hour) }()
	b.send(a.peer, numbered(1))
	select {
	case why := <-over:
		if why != peerReturned {
			t.Errorf("the pause ended as %d after %v, want %d", why, time.Since(began), peerReturned)
		}
	case <-time.After(time.Minute):
		t.Fatal("the link still waits though its peer has connected")
	}
}

// An operator reads once that a peer is gone, and once that it is back.
func TestOutageOfAPeerIsLogged(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	a.send(b.peer, numbered(1))
	realtest.Eventually(t, "the first frame arrives", func() bool { return len(b.received()) == 1 })
	b.Close()
	realtest.Eventually(t, "several dials fail", func() bool {
		a.send(b.peer, numbered(2))
		time.Sleep(5 * time.Millisecond)
		return a.losses() >= 4
	})
	again := newStationAt(t, 2, b.peer.Address, 2)
	realtest.Eventually(t, "frames arrive again", func() bool {
		a.send(again.peer, numbered(3))
		time.Sleep(5 * time.Millisecond)
		return len(again.received()) > 0
	})
	text := a.log.String()
	if gone, back := strings.Count(text, "cannot reach a peer"), strings.Count(text, "reached a peer again"); gone != 1 || back != 1 {
		t.Errorf("outage and recovery logged %d and %d times, want once each:\n%s", gone, back, text)
	}
}

func TestDialThatIsRefusedIsALoss(t *testing.T) {
	a := newStation(t, 1)
	a.send(door.Peer{Number: 2, Store: "store-2", Address: realtest.Address(t)}, numbered(1))
	realtest.Eventually(t, "the loss is reported", func() bool { return a.losses() > 0 })
	realtest.Eventually(t, "the frame is counted as dropped", func() bool { return a.counts.framesDropped.Load() == 1 })
}

func TestPeerThatMoves(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	a.send(b.peer, numbered(1))
	realtest.Eventually(t, "the first frame arrives", func() bool { return len(b.received()) == 1 })
	moved := newStation(t, 2) // the same store at another address
	realtest.Eventually(t, "frames arrive there", func() bool {
		a.send(moved.peer, numbered(2))
		time.Sleep(5 * time.Millisecond)
		return len(moved.received()) > 0
	})
	if a.losses() != 0 {
		t.Error("a move was reported as a loss")
	}
}

// deadlineConn records the deadlines of writes and discards the data.
type deadlineConn struct {
	net.Conn
	deadlines []time.Time
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.deadlines = append(c.deadlines, t)
	return nil
}

func (c *deadlineConn) Write(p []byte) (int, error) { return len(p), nil }

// Every write has its bound, though not each sets one.
func TestWritesAreBounded(t *testing.T) {
	a := newStation(t, 1)
	l, conn := newLink(a.Network, a.peer), &deadlineConn{}
	write := func() {
		if err := l.writeBuffer(conn); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(l.deadline); left < writeTimeout-time.Second || left > 2*writeTimeout {
			t.Errorf("the deadline of a write is in %v", left)
		}
	}
	write()
	write()
	if len(conn.deadlines) != 1 || !conn.deadlines[0].Equal(l.deadline) {
		t.Errorf("deadlines %v, want one", conn.deadlines)
	}
	l.deadline = l.deadline.Add(-writeTimeout) // as if time had passed
	write()
	if len(conn.deadlines) != 2 || !conn.deadlines[1].Equal(l.deadline) {
		t.Errorf("deadlines %v, want another", conn.deadlines)
	}
}

func TestQueueOfASlowPeerIsBounded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // it never accepts, so the handshake waits
	a := newStation(t, 1)
	to := door.Peer{Number: 2, Store: "store-2", Address: listener.Addr().String()}
	const extra = 500
	for range maxLinkFrames + extra {
		a.send(to, numbered(1))
	}
	a.loop.Call(func() {})
	if dropped := a.counts.framesDropped.Load(); dropped != extra {
		t.Errorf("%d frames dropped, want %d", dropped, extra)
	}
}

func TestQueueIsBoundedByBytes(t *testing.T) {
	l := newLink(New(loop.New(), nil, slog.New(slog.DiscardHandler)), door.Peer{})
	m := &node.Envelope{Body: &node.ForwardReply{Response: door.Response{Value: make([]byte, 1<<20)}}}
	for range 70 {
		l.enqueue(door.Peer{}, m)
	}
	if len(l.queue) != 64 || l.net.counts.framesDropped.Load() != 6 {
		t.Errorf("%d frames of 1 MiB queued, %d dropped", len(l.queue), l.net.counts.framesDropped.Load())
	}
}

func TestRefusedHellos(t *testing.T) {
	refusal := errors.New("you belong to another cluster")
	a, b := newStation(t, 1), newStation(t, 2)
	b.refuse = refusal
	a.send(b.peer, numbered(1))
	realtest.Eventually(t, "both count the refusal", func() bool {
		return a.counts.hellosRefused.Load() > 0 && b.counts.hellosRefused.Load() > 0
	})
	realtest.Eventually(t, "the node is told that it was refused", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.refusals) > 0 && a.refusals[0] == "2 store-2 "+refusal.Error()
	})
	hello := node.Hello{MinVersion: node.ProtocolVersion, MaxVersion: node.ProtocolVersion, Node: "n3", Store: "store-3", LayoutVersion: -1}
	wantRefusal(t, b, hello, refusal.Error())
	b.mu.Lock()
	b.refuse = nil
	b.mu.Unlock()

	future := hello
	future.MinVersion, future.MaxVersion = node.ProtocolVersion+1, node.ProtocolVersion+2
	wantRefusal(t, b, future, "a newer build")
	past := hello
	past.MinVersion, past.MaxVersion = 1, 1
	wantRefusal(t, b, past, "an older build")

	b.mu.Lock()
	b.ready = false
	b.mu.Unlock()
	wantRefusal(t, b, hello, "not ready")
	if len(b.received()) != 0 {
		t.Error("a frame of a refused peer arrived")
	}
}

func wantRefusal(t *testing.T, s *station, hello node.Hello, says string) {
	t.Helper()
	wantRefusalOn(t, dial(t, s), hello, says)
}

func wantRefusalOn(t *testing.T, conn net.Conn, hello node.Hello, says string) {
	t.Helper()
	if _, err := conn.Write(node.AppendHello(nil, hello)); err != nil {
		t.Fatal(err)
	}
	body, err := readFrame(bufio.NewReader(conn), node.MaxHelloBytes)
	if err != nil {
		t.Fatal(err)
	}
	var refusal node.HelloRefusal
	if _, err := node.DecodeHello(body); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, says) {
		t.Errorf("answer %v, want a refusal that says %q", err, says)
	}
	wantClosed(t, conn)
}

func dial(t *testing.T, s *station) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.peer.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	n, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	if n != 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection is still open: %d bytes, %v", n, err)
	}
}

// greet introduces a peer by hand.
func greet(t *testing.T, s *station, store node.StoreID) net.Conn {
	t.Helper()
	conn := dial(t, s)
	hello := node.Hello{MinVersion: node.ProtocolVersion, MaxVersion: node.ProtocolVersion, Node: "x", Store: store, To: s.peer.Store, LayoutVersion: -1}
	if _, err := conn.Write(node.AppendHello(nil, hello)); err != nil {
		t.Fatal(err)
	}
	body, err := readFrame(bufio.NewReader(conn), node.MaxHelloBytes)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := node.DecodeHello(body); err != nil || answer.Store != s.peer.Store {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	return conn
}

func TestInvalidFramesCloseTheConnection(t *testing.T) {
	whole := node.AppendFrame(nil, &node.Envelope{From: 9, FromStore: "store-9", ToStore: "store-2", Body: numbered(1)})
	changed := func(at int, to byte) []byte {
		frame := append([]byte(nil), whole...)
		frame[at] = to
		return frame
	}
	tests := map[string][]byte{
		"empty":                {0, 0, 0, 0},
		"short":                {0, 0, 0, 3, 1, 2, 3},
		"long":                 binary.BigEndian.AppendUint32(nil, node.MaxFrameBytes+1),
		"longest":              {0xff, 0xff, 0xff, 0xff},
		"unknown kind":         node.AppendHello(nil, node.Hello{}),
		"corrupt":              changed(10, 0xee),
		"corrupt hash":         changed(len(whole)-1, whole[len(whole)-1]^1),
		"one good, then short": append(append([]byte(nil), whole...), 0, 0, 0, 1, 7),
	}
	s := newStation(t, 2)
	refused := uint64(0)
	for name, bytes := range tests {
		t.Run(name, func(t *testing.T) {
			conn := greet(t, s, "store-9")
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, conn)
			refused++
			if got := s.counts.framesRefused.Load(); got != refused {
				t.Errorf("%d frames are counted as refused, want %d", got, refused)
			}
		})
	}
	// A frame that is truncated by the end of the connection is not counted.
	conn := greet(t, s, "store-9")
	_, _ = conn.Write(whole[:len(whole)-3])
	_ = conn.Close()
	// The node is still working.
	a := newStation(t, 1)
	a.send(s.peer, numbered(42))
	realtest.Eventually(t, "frames arrive after all that", func() bool {
		got := s.received()
		return len(got) > 0 && number(got[len(got)-1]) == 42
	})
	if got := s.counts.framesRefused.Load(); got != refused {
		t.Errorf("%d frames are counted as refused, want %d", got, refused)
	}
}

func TestInvalidHellosCloseTheConnection(t *testing.T) {
	tests := map[string][]byte{
		"nonsense":     []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"long":         binary.BigEndian.AppendUint32(nil, node.MaxHelloBytes+1),
		"not a hello":  node.AppendFrame(nil, &node.Envelope{Body: numbered(1)}),
		"a refusal":    node.AppendRefusal(nil, node.HelloRefusal{Reason: "no"}),
		"empty":        {0, 0, 0, 0},
		"cut and gone": {0, 0, 0, 50, 0x80},
	}
	s := newStation(t, 2)
	counted := uint64(0)
	for name, bytes := range tests {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, s)
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			if name == "cut and gone" {
				_ = conn.Close()
			} else {
				wantClosed(t, conn)
			}
			counted++
			realtest.Eventually(t, "it is counted", func() bool { return s.counts.hellosRefused.Load() == counted })
		})
	}
}

func TestDifferentDiskAnswers(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	to := b.peer
	to.Store = "store-of-the-disk-before"
	a.send(to, numbered(1))
	realtest.Eventually(t, "the dialer refuses", func() bool { return a.counts.hellosRefused.Load() > 0 })
	if len(b.received()) != 0 {
		t.Error("a frame for another store arrived")
	}
}

// A peer that dials again has given up its previous connection.
func TestNewConnectionReplacesThePrevious(t *testing.T) {
	s := newStation(t, 2)
	former := greet(t, s, "store-9")
	s.Network.mu.Lock()
	if s.current["store-9"] == nil {
		t.Error("a Hello was answered before its connection was on record")
	}
	s.Network.mu.Unlock()
	latter := greet(t, s, "store-9")
	wantClosed(t, former)
	if _, err := latter.Write(node.AppendFrame(nil, &node.Envelope{Body: numbered(5)})); err != nil {
		t.Fatal(err)
	}
	realtest.Eventually(t, "the frame of the new connection arrives", func() bool { return len(s.received()) == 1 })
	// The end of the former connection leaves the latter on record.
	realtest.Eventually(t, "the former connection is forgotten", func() bool {
		s.Network.mu.Lock()
		defer s.Network.mu.Unlock()
		return len(s.inbound) == 1
	})
	greet(t, s, "store-9")
	wantClosed(t, latter)
}

// A connection that the peer gave up long ago may be the last to be read.
func TestStaleHelloReplacesNoLaterConnection(t *testing.T) {
	s := newStation(t, 2)
	stale := dial(t, s)
	realtest.Eventually(t, "the stale connection is accepted", func() bool {
		s.Network.mu.Lock()
		defer s.Network.mu.Unlock()
		return len(s.inbound) == 1
	})
	later := greet(t, s, "store-9")
	wantRefusalOn(t, stale, node.Hello{MinVersion: node.ProtocolVersion, MaxVersion: node.ProtocolVersion, Node: "x", Store: "store-9", LayoutVersion: -1}, "replaced")
	if _, err := later.Write(node.AppendFrame(nil, &node.Envelope{Body: numbered(5)})); err != nil {
		t.Fatal(err)
	}
	realtest.Eventually(t, "the frame of the later connection arrives", func() bool { return len(s.received()) == 1 })
	greet(t, s, "store-9")
	wantClosed(t, later)
}

// TestAWholeFrameDoesNotWaitForAPartOfTheNext: a frame that has arrived is handed over,
// however long the rest of the one behind it takes.
func TestAWholeFrameDoesNotWaitForAPartOfTheNext(t *testing.T) {
	s := newStation(t, 2)
	conn := greet(t, s, "store-9")
	frames := node.AppendFrame(nil, &node.Envelope{Body: numbered(1)})
	whole := len(frames)
	frames = node.AppendFrame(frames, &node.Envelope{Body: numbered(2)})
	if _, err := conn.Write(frames[:whole+5]); err != nil {
		t.Fatal(err)
	}
	realtest.Eventually(t, "the first frame arrives", func() bool { return len(s.received()) == 1 })
	if _, err := conn.Write(frames[whole+5:]); err != nil {
		t.Fatal(err)
	}
	realtest.Eventually(t, "the second frame arrives", func() bool { return len(s.received()) == 2 })
}

func TestInboundConnectionsAreBounded(t *testing.T) {
	s := newStation(t, 2)
	s.Network.mu.Lock()
	for range maxInbound {
		s.inbound[&net.TCPConn{}] = 0
	}
	s.Network.mu.Unlock()
	conn := dial(t, s)
	wantClosed(t, conn)
	if s.counts.inboundRefused.Load() != 1 {
		t.Errorf("%d connections are counted as refused", s.counts.inboundRefused.Load())
	}
	s.Network.mu.Lock()
	clear(s.inbound)
	s.Network.mu.Unlock()
}

// A length alone claims little memory.
func TestReadFrameGrowsWithWhatArrives(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, node.MaxFrameBytes)
	body, err := readFrame(bufio.NewReader(strings.NewReader(string(claim)+"abc")), node.MaxFrameBytes)
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(body) > trustedBytes {
		t.Errorf("%d bytes of memory, %v", cap(body), err)
	}
}

func TestNetworkClosesWhileBusy(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	a.send(b.peer, numbered(1))
	realtest.Eventually(t, "there is a connection", func() bool { return len(b.received()) == 1 })
	greet(t, b, "store-9")
	dial(t, b)
	for _, s := range []*station{a, b} {
		closed := make(chan struct{})
		go func() { s.Close(); close(closed) }()
		realtest.Within(t, closed, "the network does not close")
	}
	a.send(b.peer, numbered(2))
	a.send(door.Peer{Store: "store-3", Address: "127.0.0.1:1"}, numbered(2))
	a.loop.Call(func() {})
}
