package world

import (
	"fmt"
	"math/bits"
	"time"

	"dkv/netsim"
)

// scheduler keeps virtual time: a heap of entries, ordered by (time, sequence).
// Time starts at 0 and moves only when an entry runs, to the time of that entry.
//
//   - (time, sequence) is a total order, since no two entries share a sequence
//     number. So the run does not depend on the shape of the heap.
//   - An entry is live while its slot has the entry's generation. Running and
//     stopping both release the slot, which raises the generation, so an entry runs
//     at most once and a timer never stops an entry that reused its slot.
//   - Entries are in the heap, or in order.ready if there is an order; dead counts
//     the stopped ones among them.
//   - changes grows with every entry that is added or stopped: an order may rely on
//     what it gathered for as long as changes is the same.
type scheduler struct {
	now      time.Duration
	sequence uint64 // of the last entry scheduled
	trace    *trace
	heap     []entry
	slots    []slot
	free     []uint32  // slots without an entry
	dead     int       // stopped entries in the heap or in order.ready
	changes  uint64    // how many entries were added or stopped
	order    *ordering // lets steps overtake each other; nil for FIFO
}

// entry is an element of the heap. It is dead if its slot has another generation.
type entry struct {
	at         time.Duration
	sequence   uint64
	slot       uint32
	generation uint32
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.sequence < o.sequence
}

// leastOf returns the index of the first of four entries. It has no branches: a
// processor can't predict which of two entries is first, and a wrong guess costs
// more than the comparisons.
func leastOf(four *[arity]entry) int {
	a := four[1].sooner(&four[0])
	b := 2 + four[3].sooner(&four[2])
	return int(a + (b-a)*four[b%arity].sooner(&four[a%arity]))
}

// sooner returns 1 if e comes before o, else 0: the borrow of their difference as
// 128-bit numbers. That is right because no time is below 0.
func (e *entry) sooner(o *entry) uint64 {
	_, borrow := bits.Sub64(e.sequence, o.sequence, 0)
	_, borrow = bits.Sub64(uint64(e.at), uint64(o.at), borrow)
	return borrow
}

// slot holds what an entry does. It is not part of the entry, so that sifting the
// heap moves little memory.
type slot struct {
	fn         func()
	generation uint32
	host       int32
	link       uint32 // of kindNetwork
	kind       stepKind
}

// maxPending bounds the entries of a scheduler. More of them mean that something in
// the simulated world grows without bound.
const maxPending = 1 << 24

// newScheduler makes a scheduler at time 0 that records its steps in the trace,
// which may be nil.
func newScheduler(trace *trace) *scheduler { return &scheduler{trace: trace} }

// Now returns the virtual time.
func (s *scheduler) Now() time.Duration { return s.now }

// Pending returns the number of entries that wait, without the stopped ones.
func (s *scheduler) Pending() int {
	if s.order != nil {
		return len(s.heap) + len(s.order.ready) - s.dead
	}
	return len(s.heap) - s.dead
}

// timer refers to an entry, so that it can be stopped. The zero value refers to no
// entry.
type timer struct {
	scheduler  *scheduler
	slot       uint32
	generation uint32
}

// Stop keeps the entry from running. It returns false if the entry has run or was
// stopped before.
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

// drop is Stop as a func().
func (t timer) drop() { t.Stop() }

// Schedule runs fn once, d from now, as a step of this kind at this host or at
// NoHost. It never runs fn inside the call, even if d is not above 0. Entries that
// are due at the same time run in the order in which they were scheduled, unless
// there is an order.
func (s *scheduler) Schedule(d time.Duration, host int, kind stepKind, fn func()) timer {
	if len(s.heap) >= maxPending {
		panic(fmt.Sprintf("world: %d steps wait: something in the simulated world grows without bound", len(s.heap)))
	}
	id := s.take()
	at := &s.slots[id]
	at.fn, at.host, at.link, at.kind = fn, int32(host), 0, kind
	s.sequence++
	s.changes++
	s.push(entry{s.now + max(0, d), s.sequence, id, at.generation})
	return timer{s, id, at.generation}
}

// schedulerPart is the scheduler as one part of the world sees it: all steps that
// the part schedules have the same kind.
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

// networkDoor is the scheduler as netsim sees it. Its steps belong to links, so that
// an order can keep each link's steps in sequence.
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

// linkNumber numbers the links between hosts; linkReceiver recovers the receiver.
func linkNumber(from, to netsim.HostID) uint32 { return uint32(from)*MaxHosts + uint32(to) }
func linkReceiver(link uint32) int             { return int(link % MaxHosts) }

// Step runs the next entry. It returns false if no entry waits.
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

// takeNext removes the entry that runs next; ok is false if no entry waits.
func (s *scheduler) takeNext() (e entry, ok bool) {
	if s.order != nil {
		return s.order.take(s)
	}
	if !s.settle() {
		return entry{}, false
	}
	return s.pop(), true
}

// next returns the time of the next entry; ok is false if no entry waits.
func (s *scheduler) next() (at time.Duration, ok bool) {
	if s.order != nil {
		return s.order.next(s)
	}
	if !s.settle() {
		return 0, false
	}
	return s.heap[0].at, true
}

// settle drops dead entries from the head of the heap. It returns false if the heap
// is then empty.
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

// compact drops all dead entries once they are the majority. It may rebuild the heap
// in any shape, because the order of the entries is total.
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

// arity is the number of children in the heap. Four of them take a cache line and a
// half, and the heap is half as deep as a binary one.
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

// down puts e into the free place at i, or below it.
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
