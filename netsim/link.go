package netsim

import (
	"math"
	"slices"
	"time"
)

// purpose is what a draw is for. Together with a link and a sequence number it
// names one draw for good.
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
	// longestBacklog bounds how long a frame waits for a slow link.
	longestBacklog = 24 * time.Hour
	// longestDatagramBacklog is beyond which a slow link drops datagrams.
	longestDatagramBacklog = 10 * time.Second
)

// A packet is a frame on its way.
type packet struct {
	frame    []byte
	due      time.Duration
	ordinary time.Duration // when it would be due but for the faults that made it late
	sequence uint64        // of the frame on its link
	slowed   *Fault        // a slow link that made it late
	delayed  *Fault        // a delayed link that made it late
	marks    marks
}

type marks uint8

const (
	markFarewell  marks = 1 << iota // no frame: the end of a connection, as its receiver sees it
	markSpiked                      // later than ordinary by Rates.Delay
	markResent                      // later than ordinary by Rates.Loss, in a stream
	markHeldBack                    // held back by Rates.Reorder
	markDuplicate                   // a second copy
)

// link is the way from one host to another. The two modes share its faults, its
// latency and its bound; each uses one of its last two groups of fields.
type link struct {
	net      *Network
	from, to *host
	key      uint64 // entity of its draws
	sent     uint64 // frames sent on it: the sequence of their draws

	rates *chances // the network's, or its own
	own   chances

	// Faults in the order in which they began, and those in force, nil if none.
	faults []*Fault
	cut    *Fault // the oldest
	clog   *Fault // the oldest
	slow   *Fault // the slowest
	delay  *Fault // the longest

	frames, bytes int           // in flight
	lastDue       time.Duration // when the last frame that kept its place is due
	lastOrdinary  time.Duration // when it would be due but for the faults that make frames late
	freeAt        time.Duration // when a slow link has sent all it was given

	stream

	keys [purposes]uint64 // of its draws, by purpose, if the source tells; 0: not yet asked for

	held   []*datagram // arrived while clogged
	newest uint64      // sequence of the newest datagram delivered
}

// newLink also brings the link under the isolations of its two hosts.
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

// pairKey hashes two names (FNV-1a): it does not depend on which hosts were
// made before, as their numbers do.
func pairKey(from, to string) uint64 {
	key := uint64(14695981039346656037)
	for _, s := range [2]string{from, to} {
		for i := 0; i < len(s); i++ {
			key = (key ^ uint64(s[i])) * 1099511628211
		}
		key = (key ^ 0x100) * 1099511628211 // no byte: ends the name
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

// hit draws whether something of probability c happens.
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

// admit takes a frame of this size into flight if there is room for it.
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

// route sets when a packet that leaves at start is due, and marks what makes it
// later than it would ordinarily have been.
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
	if l.delay != nil {
		arrival += l.delay.extra
		p.delayed = l.delay
	}
	if l.net.cfg.Mode == Stream {
		p.due = max(l.holdUp(p, arrival), l.lastDue)
		l.lastDue = p.due // all that follow wait for it
	} else {
		p.due = max(arrival, l.lastDue)
		l.lastDue = p.due
		p.due = l.holdBack(p, p.due) // and those that follow may overtake it
	}
}

// transmit returns how long a frame given to a slow link at start takes to have
// been sent, its wait for those before it included.
func (l *link) transmit(size int, start time.Duration) time.Duration {
	l.freeAt = min(max(l.freeAt, start)+l.slow.transmission(size), start+longestBacklog)
	return l.freeAt - start
}

// hasten makes packets that were late because of a fault, now healed, come as
// if they had been sent just now.
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

// hand counts what happened to a packet on its way, and delivers it.
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
		return // healed so soon that it came in time after all
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

// corrupt flips one bit in a copy, if the draw says so and there is a bit.
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
