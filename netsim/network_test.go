package netsim

import (
	"container/heap"
	"fmt"
	"testing"
	"time"
)

// clock is a Scheduler: a heap ordered by time and sequence number.
type clock struct {
	now      time.Duration
	sequence int
	events   eventHeap
}

type event struct {
	at       time.Duration
	sequence int
	fn       func()
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].sequence < h[j].sequence
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(*event)) }
func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}

func (c *clock) Now() time.Duration { return c.now }

func (c *clock) After(d time.Duration, fn func()) func() {
	if d < 0 {
		panic("After with a negative duration")
	}
	c.sequence++
	e := &event{at: c.now + d, sequence: c.sequence, fn: fn}
	heap.Push(&c.events, e)
	return func() { e.fn = nil }
}

// run lets time pass and runs the events that are due.
func (c *clock) run(d time.Duration) {
	until := c.now + d
	for len(c.events) > 0 && c.events[0].at <= until {
		e := heap.Pop(&c.events).(*event)
		c.now = e.at
		if fn := e.fn; fn != nil {
			e.fn = nil
			fn()
		}
	}
	c.now = until
}

// keyed is a Random.
type keyed uint64

func (k keyed) Draw(purpose string, entity, sequence uint64) uint64 {
	x := uint64(k)
	for i := range len(purpose) {
		x = (x ^ uint64(purpose[i])) * 0x100000001b3
	}
	return mix(mix(x^entity) + sequence)
}

func mix(x uint64) uint64 { // splitmix64
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// A testNetwork is a network with hosts that record what they receive.
type testNetwork struct {
	t interface {
		Helper()
		Fatalf(string, ...any)
	}
	clock *clock
	net   *Network
	log   []string // everything that the hosts received, in order
	sent  int
	lost  []Cause
	drops uint64
}

type recorder struct {
	w        *testNetwork
	id       HostID
	received []string
	lost     []HostID
	onFrame  func(from HostID, frame []byte)
}

func (r *recorder) OnFrame(from HostID, frame []byte) {
	r.received = append(r.received, string(frame))
	r.w.log = append(r.w.log, fmt.Sprintf("%v %s→%s %s", r.w.clock.now, r.w.net.Name(from), r.w.net.Name(r.id), frame))
	if r.onFrame != nil {
		r.onFrame(from, frame)
	}
}

func (r *recorder) OnPeerLost(peer HostID) {
	r.lost = append(r.lost, peer)
	r.w.log = append(r.w.log, fmt.Sprintf("%v %s lost %s", r.w.clock.now, r.w.net.Name(r.id), r.w.net.Name(peer)))
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// newTestNetwork returns a network with the hosts h0, h1, …, all attached.
func newTestNetwork(t failer, seed uint64, cfg Config, hosts int) (*testNetwork, []*recorder) {
	t.Helper()
	w := &testNetwork{t: t, clock: &clock{}}
	cfg.Dropped = func(_, _ HostID, _ []byte, cause Cause) {
		w.drops++
		w.lost = append(w.lost, cause)
	}
	var err error
	if w.net, err = New(w.clock, keyed(seed), cfg); err != nil {
		t.Fatalf("New: %v", err)
	}
	recorders := make([]*recorder, hosts)
	for i := range recorders {
		recorders[i] = w.attach(w.net.Host(fmt.Sprintf("h%d", i)))
	}
	return w, recorders
}

func (w *testNetwork) attach(id HostID) *recorder {
	r := &recorder{w: w, id: id}
	w.net.Attach(id, r)
	return r
}

// send sends count frames, numbered across the network.
func (w *testNetwork) send(from, to HostID, count int) {
	for range count {
		w.sent++
		w.net.Send(from, to, fmt.Appendf(nil, "f%d", w.sent))
	}
}

// connected opens the connections of all pairs, and discards what was received.
func (w *testNetwork) connected(hosts []*recorder) {
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b {
				w.net.Send(a.id, b.id, []byte("hello"))
			}
		}
	}
	w.clock.run(time.Second)
	for _, h := range hosts {
		if len(h.received) != len(hosts)-1 {
			w.t.Fatalf("host %d received %v", h.id, h.received)
		}
		h.received = nil
	}
	w.log = nil
}

// wantCounts fails unless exactly the given faults took effect, as often as given. A count
// below zero means at least once.
func (w *testNetwork) wantCounts(want map[Cause]int) {
	w.t.Helper()
	for c := range Cause(numFaults) {
		got, want := w.net.Count(c), want[c]
		if want < 0 && got > 0 || want >= 0 && got == uint64(want) {
			continue
		}
		w.t.Fatalf("%v took effect %d times, want %d", c, got, want)
	}
}

func (w *testNetwork) wantConserved() {
	w.t.Helper()
	s := w.net.Stats()
	if s.Sent+s.Duplicated != s.Delivered+s.Lost+s.InFlight || s.Lost != w.drops {
		w.t.Fatalf("the totals do not balance: %+v, with %d frames reported as dropped", s, w.drops)
	}
}

func wantFrames(t testing.TB, r *recorder, first, last int) {
	t.Helper()
	var want []string
	for i := first; i <= last; i++ {
		want = append(want, fmt.Sprintf("f%d", i))
	}
	if fmt.Sprint(r.received) != fmt.Sprint(want) {
		t.Fatalf("host %d received %v, want f%d to f%d", r.id, r.received, first, last)
	}
}
