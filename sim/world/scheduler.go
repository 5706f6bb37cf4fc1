package world

import (
	"fmt"
	"math/bits"
	"time"

	"dkv/netsim"
)

// Scheduler is virtual time: a heap of what is due, ordered by (time, sequence).
// It starts at 0 and moves only by Step, to the time of the next entry.
type scheduler struct {
	now      time.Duration
	sequence uint64 // of the last entry asked for
	trace    *trace
	heap     []entry
	slots    []slot
	free     []uint32 // slots without an entry
	dead     int      // entries in the heap, or ready, that were stopped
	changes  uint64   // entries that came or were stopped
	// order, if not nil, takes steps out of turn.
	order *ordering
}

// entry is one place in the heap. It is dead if its slot has moved on to
// another generation.
type entry struct {
	at         time.Duration
	sequence   uint64
	slot       uint32
	generation uint32
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.sequence < o.sequence
}

// leastOf is which of four entries comes first. It has no branches: which of two
// it is can't be foreseen, and a processor that guesses wrong loses more time
// than the comparisons take.
func leastOf(four *[arity]entry) int {
	a := four[1].sooner(&four[0])
	b := 2 + four[3].sooner(&four[2])
	return int(a + (b-a)*four[b%arity].sooner(&four[a%arity]))
}

// sooner is 1 if e comes before o, else 0: the borrow of their difference as
// numbers of 128 bits. No time is below 0.
func (e *entry) sooner(o *entry) uint64 {
	_, borrow := bits.Sub64(e.sequence, o.sequence, 0)
	_, borrow = bits.Sub64(uint64(e.at), uint64(o.at), borrow)
	return borrow
}

// slot is what an entry does, apart from the heap so that sifting moves little.
type slot struct {
	fn         func()
	generation uint32
	host       int32
	link       uint32 // of KindNetwork: on which it happens
	kind       stepKind
}

// maxPending bounds the entries of a scheduler: beyond it something in the
// simulated world grows without a bound.
const maxPending = 1 << 24

// NewScheduler makes a scheduler at time 0. What it dispatches is told to the
// trace, which may be nil.
func newScheduler(trace *trace) *scheduler { return &scheduler{trace: trace} }

// Now is the virtual time.
func (s *scheduler) Now() time.Duration { return s.now }

// Pending is the number of entries that wait, without the stopped ones.
func (s *scheduler) Pending() int {
	if s.order != nil {
		return len(s.heap) + len(s.order.ready) - s.dead
	}
	return len(s.heap) - s.dead
}

// Timer names an entry, so that it can be stopped. The zero value names none.
type timer struct {
	scheduler  *scheduler
	slot       uint32
	generation uint32
}

// Stop keeps the entry from running, unless it has run or was stopped before;
// it says whether it did.
func (t timer) Stop() bool {
	s := t.scheduler
	if s == nil || s.slots[t.slot].generation != t.generation {
		return false
	}
	s.release(t.slot)
	s.dead++
	s.changes++
	s.compact()
	return true
}

// drop is Stop for who does not ask.
func (t timer) drop() { t.Stop() }

// Schedule runs fn once, d from now (at once, but never inside the call, if d
// is not above 0), as an event of this kind at this host; NoHost if it is
// nobody's. Entries due at one time run in the order in which they were asked
// for, unless an Order says otherwise.
func (s *scheduler) Schedule(d time.Duration, host int, kind stepKind, fn func()) timer {
	if len(s.heap) >= maxPending {
		panic(fmt.Sprintf("sim: %d events wait: something grows without a bound", len(s.heap)))
	}
	id := s.take()
	at := &s.slots[id]
	at.fn, at.host, at.link, at.kind = fn, int32(host), 0, kind
	s.sequence++
	s.changes++
	s.push(entry{s.now + max(0, d), s.sequence, id, at.generation})
	return timer{s, id, at.generation}
}

// door is the scheduler as one part of the world sees it: what it asks for is
// of its kind.
type schedulerPart struct {
	scheduler *scheduler
	kind      stepKind
}

func (d schedulerPart) Now() time.Duration { return d.scheduler.now }

func (d schedulerPart) After(delay time.Duration, fn func()) (stop func()) {
	t := d.scheduler.Schedule(delay, NoHost, d.kind, fn)
	return func() { t.Stop() }
}

func (d schedulerPart) Post(delay time.Duration, fn func()) {
	d.scheduler.Schedule(delay, NoHost, d.kind, fn)
}

// networkDoor is the scheduler as the network sees it: it also says on which
// link something happens.
type networkDoor struct{ schedulerPart }

func (d networkDoor) AfterOn(from, to netsim.HostID, delay time.Duration, fn func()) (ticket uint64) {
	t := d.on(from, to, delay, fn)
	return uint64(t.generation)<<32 | uint64(t.slot)
}

func (d networkDoor) Stop(ticket uint64) {
	timer{d.scheduler, uint32(ticket), uint32(ticket >> 32)}.Stop()
}

func (d networkDoor) PostOn(from, to netsim.HostID, delay time.Duration, fn func()) {
	d.on(from, to, delay, fn)
}

func (d networkDoor) on(from, to netsim.HostID, delay time.Duration, fn func()) timer {
	t := d.scheduler.Schedule(delay, NoHost, d.kind, fn)
	d.scheduler.slots[t.slot].link = linkNumber(from, to)
	return t
}

// linkNumber numbers the links among hosts; linkReceiver takes it apart again.
func linkNumber(from, to netsim.HostID) uint32 { return uint32(from)*MaxHosts + uint32(to) }
func linkReceiver(link uint32) int             { return int(link % MaxHosts) }

// Step runs the next entry. It is false if there is none.
func (s *scheduler) Step() bool {
	e, ok := s.takeNext()
	if !ok {
		return false
	}
	at := &s.slots[e.slot]
	fn, host, kind := at.fn, at.host, at.kind
	s.release(e.slot)
	s.now = max(s.now, e.at)
	if s.trace != nil {
		s.trace.step(s.now, e.sequence, int(host), kind, 0)
	}
	fn()
	return true
}

// takeNext removes the entry that is to run; ok is false if there is none.
func (s *scheduler) takeNext() (e entry, ok bool) {
	if s.order != nil {
		return s.order.take(s)
	}
	if !s.settle() {
		return entry{}, false
	}
	return s.pop(), true
}

// next is the time of the next entry; ok is false if there is none.
func (s *scheduler) next() (at time.Duration, ok bool) {
	if s.order != nil {
		return s.order.next(s)
	}
	if !s.settle() {
		return 0, false
	}
	return s.heap[0].at, true
}

// settle drops dead entries from the head of the heap, and says whether a live
// one stands there.
func (s *scheduler) settle() bool {
	for len(s.heap) > 0 {
		head := &s.heap[0]
		if s.slots[head.slot].generation == head.generation {
			return true
		}
		s.pop()
		s.dead--
	}
	return false
}

func (s *scheduler) take() uint32 {
	if n := len(s.free); n > 0 {
		id := s.free[n-1]
		s.free = s.free[:n-1]
		return id
	}
	s.slots = append(s.slots, slot{generation: 1})
	return uint32(len(s.slots) - 1)
}

func (s *scheduler) release(id uint32) {
	at := &s.slots[id]
	at.fn = nil
	at.generation++
	s.free = append(s.free, id)
}

// compact drops all dead entries once they are the greater part. The order of
// what remains is total, so it does not depend on how the heap lay before.
func (s *scheduler) compact() {
	if s.dead < 1024 || s.dead*2 < len(s.heap) {
		return
	}
	if s.order != nil {
		s.order.drop(s)
	}
	live := s.heap[:0]
	for _, e := range s.heap {
		if s.slots[e.slot].generation == e.generation {
			live = append(live, e)
		}
	}
	s.heap, s.dead = live, 0
	for i := (len(live) - 2) / arity; i >= 0 && len(live) > 1; i-- {
		s.down(i, live[i])
	}
}

// arity of the heap: four children share a cache line and a half, and the heap
// is half as deep as a binary one.
const arity = 4

func (s *scheduler) push(e entry) {
	s.heap = append(s.heap, e)
	i := len(s.heap) - 1
	for i > 0 {
		parent := (i - 1) / arity
		if !e.before(&s.heap[parent]) {
			break
		}
		s.heap[i] = s.heap[parent]
		i = parent
	}
	s.heap[i] = e
}

func (s *scheduler) pop() entry {
	head := s.heap[0]
	n := len(s.heap) - 1
	last := s.heap[n]
	s.heap = s.heap[:n]
	if n > 0 {
		s.down(0, last)
	}
	return head
}

// down puts e into the hole at i or below it.
func (s *scheduler) down(i int, e entry) {
	h := s.heap
	for {
		child := i*arity + 1
		if child >= len(h) {
			break
		}
		least := child
		if child+arity <= len(h) {
			least += leastOf((*[arity]entry)(h[child:]))
		} else {
			for c := child + 1; c < len(h); c++ {
				if h[c].before(&h[least]) {
					least = c
				}
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}
