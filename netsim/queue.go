package netsim

// A packetQueue is a first-in-first-out queue in a ring buffer, whose length is a power of
// two.
type packetQueue struct {
	ring  []packet
	head  int
	count int
}

func (q *packetQueue) at(i int) *packet {
	return &q.ring[(q.head+i)&(len(q.ring)-1)]
}

// push appends a zero packet and returns it. The pointer is valid until the next push.
func (q *packetQueue) push() *packet {
	if q.count == len(q.ring) {
		q.grow()
	}
	q.count++
	return q.at(q.count - 1)
}

func (q *packetQueue) grow() {
	ring := make([]packet, max(8, 2*len(q.ring)))
	for i := range q.count {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

func (q *packetQueue) pop() packet {
	slot := q.at(0)
	p := *slot
	*slot = packet{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.count--
	return p
}

func (q *packetQueue) truncate(keep int) {
	for i := keep; i < q.count; i++ {
		*q.at(i) = packet{}
	}
	q.count = keep
}
