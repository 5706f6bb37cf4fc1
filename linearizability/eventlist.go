package linearizability

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// An eventList holds what a search has not placed yet: the calls and returns of closed
// operations, linked in stamp order. Taking an operation out and putting it back, in
// reverse order, costs a few assignments.
//
// Operations are numbered by call. Event 0 is the head, event 2i+1 the call of operation
// i, event 2i+2 its return.
type eventList struct {
	next, prev []int32
	stamp      []Stamp  // of events
	reach      []int32  // by operation: how many were called before it returned
	done       []uint64 // a bit for each placed operation
}

const end int32 = -1

func isCall(event int32) bool { return event&1 == 1 }
func opOf(event int32) int32  { return (event - 1) / 2 }

// newEventList links operations with these calls, in ascending order, and closing stamps.
// Of equal stamps calls come first, since such operations overlap.
func newEventList(calls, closes []Stamp) eventList {
	l := eventList{
		next:  make([]int32, 2*len(calls)+1),
		prev:  make([]int32, 2*len(calls)+1),
		stamp: make([]Stamp, 2*len(calls)+1),
		reach: make([]int32, len(calls)),
		done:  make([]uint64, len(calls)/64+1),
	}
	order := make([]int32, 0, 2*len(calls))
	for i := range calls {
		call, ret := int32(2*i+1), int32(2*i+2)
		l.stamp[call], l.stamp[ret] = calls[i], closes[i]
		order = append(order, call, ret)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(l.stamp[a], l.stamp[b]); c != 0 {
			return c
		}
		if isCall(a) != isCall(b) {
			return int(b&1 - a&1)
		}
		return int(a - b)
	})
	last, called := int32(0), int32(0)
	for _, event := range order {
		l.next[last], l.prev[event] = event, last
		last = event
		if isCall(event) {
			called++
		} else {
			l.reach[opOf(event)] = called
		}
	}
	l.next[last] = end
	return l
}

// empty reports whether every operation is placed.
func (l *eventList) empty() bool { return l.next[0] == end }

func (l *eventList) take(i int32) {
	l.unlink(2*i + 1)
	l.unlink(2*i + 2)
	l.done[i/64] |= 1 << (i % 64)
}

func (l *eventList) putBack(i int32) {
	l.relink(2*i + 2)
	l.relink(2*i + 1)
	l.done[i/64] &^= 1 << (i % 64)
}

func (l *eventList) unlink(event int32) {
	prev, next := l.prev[event], l.next[event]
	l.next[prev] = next
	if next != end {
		l.prev[next] = prev
	}
}

func (l *eventList) relink(event int32) {
	prev, next := l.prev[event], l.next[event]
	l.next[prev] = event
	if next != end {
		l.prev[next] = event
	}
}

// appendPlaced appends to key an encoding of which operations are placed. At least one is
// not. All operations before the first such one are placed, and none that was called
// after that one returned, so the words between suffice.
func (l *eventList) appendPlaced(key []byte) []byte {
	first := opOf(l.next[0])
	key = binary.AppendUvarint(key, uint64(first))
	for w := first / 64; w <= (l.reach[first]-1)/64; w++ {
		key = binary.LittleEndian.AppendUint64(key, l.done[w])
	}
	return key
}
