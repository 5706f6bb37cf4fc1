package netsim

import (
	"math"
	"slices"
	"time"
)

// A purpose says what a draw is for. Together with a link and a sequence number it
// identifies one draw.
type purpose uint8

const (
	drawLatency purpose = iota
	drawLoss
	drawDelay
	drawSpike
	drawReorder
	drawReorderBy
	drawDuplicate
	drawDuplicateAfter
	drawCorrupt
	drawCorruptCopy
	drawCorruptBit
	drawReset
	drawHalfOpen
	drawConnect
	drawPrefix
	drawGiveUp
	drawLearn
	drawResume
	drawFarewell
	drawSenderHint
	drawReceiverHint

	purposes = iota
)

var purposeNames = [purposes]string{
	drawLatency:        "netsim.latency",
	drawLoss:           "netsim.loss",
	drawDelay:          "netsim.delay",
	drawSpike:          "netsim.spike",
	drawReorder:        "netsim.reorder",
	drawReorderBy:      "netsim.reorder-by",
	drawDuplicate:      "netsim.duplicate",
	drawDuplicateAfter: "netsim.duplicate-after",
	drawCorrupt:        "netsim.corrupt",
	drawCorruptCopy:    "netsim.corrupt-copy",
	drawCorruptBit:     "netsim.corrupt-bit",
	drawReset:          "netsim.reset",
	drawHalfOpen:       "netsim.half-open",
	drawConnect:        "netsim.connect",
	drawPrefix:         "netsim.prefix",
	drawGiveUp:         "netsim.give-up",
	drawLearn:          "netsim.learn",
	drawResume:         "netsim.resume",
	drawFarewell:       "netsim.farewell",
	drawSenderHint:     "netsim.sender-hint",
	drawReceiverHint:   "netsim.receiver-hint",
}

const (
	// longestBacklog limits how long a frame waits for a slow link.
	longestBacklog = 24 * time.Hour
	// longestDatagramBacklog is the backlog beyond which a slow link drops datagrams.
	longestDatagramBacklog = 10 * time.Second
)

// A packet is a frame in flight.
type packet struct {
	frame    []byte
	due      time.Duration
	ordinary time.Duration // when it would be due without the faults that make it late
	sequence uint64        // number of the frame on its link
	slowed   *Fault        // a slow link that made it late
	delayed  *Fault        // a delayed or late link that made it late
	marks    marks
}

type marks uint8

const (
	markFarewell  marks = 1 << iota // not a frame, but the end of a connection, as its receiver sees it
	markSpiked                      // delayed by Rates.Delay
	markResent                      // delayed by Rates.Loss, in a stream
	markHeldBack                    // held back by Rates.Reorder
	markDuplicate                   // a second copy
)

// A link is one direction between two hosts. The two modes share its faults, its latency
// and its limits; each uses one of its last two groups of fields.
type link struct {
	net      *Network
	from, to *host
	key      uint64 // the entity of its draws
	sent     uint64 // number of frames sent: the sequence of their draws

	rates *chances // points to the rates of the network, or to own
	own   chances

	// All faults in the order in which they began, and those in force, which may be nil.
	faults []*Fault
	cut    *Fault // the oldest
	clog   *Fault // the oldest
	slow   *Fault // the slowest
	delay  *Fault // the longest
	late   *Fault // the one that grows longest

	frames, bytes int           // in flight
	lastDue       time.Duration // when the last frame that was not held back is due
	lastOrdinary  time.Duration // when it would be due without the faults that make frames late
	freeAt        time.Duration // when a slow link will have sent all of its frames

	stream

	keys [purposes]uint64 // of its draws, by purpose, from a KeyedRandom; 0: not computed yet

	held   []*datagram // arrived while clogged
	newest uint64      // sequence number of the newest datagram delivered
}

// newLink creates a link. The isolations of its two hosts apply to it.
func (n *Network) newLink(from, to *host) *link {
	l := &link{net: n, from: from, to: to, key: pairKey(from.name, to.name), rates: &n.rates}
	l.onDue, l.onTimer = l.deliverHead, l.timerFired
	if missing := len(n.hosts) - len(from.out); missing > 0 {
		from.out = append(from.out, make([]*link, missing)...)
	}
	from.out[to.id] = l
	if from == to {
		return l
	}
	for _, h := range [2]*host{from, to} {
		for _, f := range h.isolations {
			l.addFault(f)
		}
	}
	return l
}

// pairKey hashes two names with FNV-1a. Unlike the numbers of the hosts, the hash does not
// depend on which hosts were created before.
func pairKey(from, to string) uint64 {
	key := uint64(14695981039346656037)
	for _, s := range [2]string{from, to} {
		for i := 0; i < len(s); i++ {
			key = (key ^ uint64(s[i])) * 1099511628211
		}
		key = (key ^ 0x100) * 1099511628211 // not the value of a byte, so it separates the names
	}
	return key
}

func (l *link) setRates(r Rates) {
	l.own = newChances(r)
	l.rates = &l.own
}

func (l *link) draw(purpose purpose, sequence uint64) uint64 {
	n := l.net
	if n.byKey == nil {
		return n.random.Draw(purposeNames[purpose], l.key, sequence)
	}
	if l.keys[purpose] == 0 {
		l.keys[purpose] = n.byKey.Key(purposeNames[purpose], l.key)
	}
	return n.byKey.DrawOf(l.keys[purpose], sequence)
}

// hit draws whether an event of probability c happens.
func (l *link) hit(c chance, purpose purpose, sequence uint64) bool {
	if c == 0 || c == certain {
		return c == certain
	}
	return chance(l.draw(purpose, sequence)) < c
}

func (l *link) within(s Range, purpose purpose, sequence uint64) time.Duration {
	if s.Min == s.Max {
		return s.Min
	}
	return s.Min + time.Duration(l.draw(purpose, sequence)%uint64(s.Max-s.Min+1))
}

func (l *link) latency(purpose purpose, sequence uint64) time.Duration {
	c := &l.net.cfg.Latency
	spread := c.Mean - c.Min
	if spread == 0 {
		return c.Min
	}
	if c.Shape == Uniform {
		return l.within(Range{c.Min, c.Mean + spread}, purpose, sequence)
	}
	u := float64(l.draw(purpose, sequence)>>11+1) / (1 << 53) // (0, 1]
	return c.Min + time.Duration(-math.Log(u)*float64(spread))
}

// admit takes a frame of this size into flight, unless the limits are reached.
func (l *link) admit(size int) bool {
	if l.frames >= l.net.cfg.QueueFrames || size > l.net.cfg.QueueBytes-l.bytes {
		return false
	}
	l.frames++
	l.bytes += size
	l.net.stats.InFlight++
	return true
}

func (l *link) release(size int) {
	l.frames--
	l.bytes -= size
	l.net.stats.InFlight--
}

// route sets the time at which a packet that leaves at start is due, and records what makes
// it later than without faults.
func (l *link) route(p *packet, start time.Duration) {
	arrival := start + l.latency(drawLatency, p.sequence)
	p.ordinary = max(arrival, l.lastOrdinary)
	l.lastOrdinary = p.ordinary
	if l.slow != nil {
		if wait := l.transmit(len(p.frame), start); wait > 0 {
			arrival += wait
			p.slowed = l.slow
		}
	}
	if l.delay != nil || l.late != nil {
		arrival += l.delayOf(p, start)
	}
	if l.net.cfg.Mode == Stream {
		p.due = max(l.holdUp(p, arrival), l.lastDue)
		l.lastDue = p.due // later frames wait for it
	} else {
		p.due = max(arrival, l.lastDue)
		l.lastDue = p.due
		p.due = l.holdBack(p, p.due) // later frames may overtake it
	}
}

// delayOf returns by how much the faults of the link delay a packet that leaves at start,
// and records the fault.
func (l *link) delayOf(p *packet, start time.Duration) (extra time.Duration) {
	if l.delay != nil {
		extra, p.delayed = l.delay.extra, l.delay
	}
	if l.late != nil && l.late.grown(start) > extra {
		extra, p.delayed = l.late.grown(start), l.late
	}
	return extra
}

// transmit returns how long a slow link takes to send a frame given to it at start,
// including the wait for earlier frames.
func (l *link) transmit(size int, start time.Duration) time.Duration {
	l.freeAt = min(max(l.freeAt, start)+l.slow.transmission(size), start+longestBacklog)
	return l.freeAt - start
}

// expedite makes packets that were delayed by a fault, now healed, due as if they had been
// sent just now.
func (l *link) expedite() {
	now := l.net.scheduler.Now()
	l.freeAt = now
	soon := max(now, l.openAt) + l.net.cfg.Latency.Mean
	l.lastDue = min(l.lastDue, soon)
	if l.queue.count == 0 {
		return
	}
	l.disarm()
	for i := range l.queue.count {
		p := l.queue.at(i)
		p.due = min(p.due, soon)
	}
	l.arm()
}

// deliver counts the effects of faults on a packet, and delivers it.
func (l *link) deliver(p *packet) {
	n := l.net
	n.stats.Delivered++
	n.stats.Bytes += uint64(len(p.frame))
	frame := p.frame
	if p.marks != 0 || p.slowed != nil || p.delayed != nil {
		l.countEffects(p)
	}
	if l.rates.corrupt != 0 {
		frame = l.corrupt(p)
	}
	l.to.handler.OnFrame(l.from.id, frame)
}

func (l *link) countEffects(p *packet) {
	n := l.net
	if p.marks&markDuplicate != 0 {
		n.counts[CauseDuplicate]++
		return
	}
	if n.scheduler.Now() <= p.ordinary {
		return // the fault was healed early enough
	}
	if p.slowed != nil {
		p.slowed.tookEffect()
	}
	switch {
	case p.delayed != nil:
		p.delayed.tookEffect()
	case p.marks&markSpiked != 0:
		n.counts[CauseDelay]++
	}
	if p.marks&markResent != 0 {
		n.counts[CauseLoss]++
	}
}

// corrupt flips one bit in a copy of the frame, if the draw says so and there is a bit.
func (l *link) corrupt(p *packet) []byte {
	purpose := drawCorrupt
	if p.marks&markDuplicate != 0 {
		purpose = drawCorruptCopy
	}
	if len(p.frame) == 0 || !l.hit(l.rates.corrupt, purpose, p.sequence) {
		return p.frame
	}
	frame := slices.Clone(p.frame)
	bit := l.draw(drawCorruptBit, p.sequence) % uint64(len(frame)*8)
	frame[bit/8] ^= 1 << (bit % 8)
	l.net.counts[CauseCorrupt]++
	return frame
}
