package netsim

import "time"

// A datagram is a packet with an event of its own. Records and their closures are reused,
// so that an ordinary frame allocates nothing.
type datagram struct {
	packet
	link     *link
	onArrive func()
	next     *datagram // in the free list
}

func (n *Network) takeDatagram() *datagram {
	d := n.idle
	if d == nil {
		d = &datagram{}
		d.onArrive = func() { n.arrive(d) }
		return d
	}
	n.idle, d.next = d.next, nil
	return d
}

func (n *Network) freeDatagram(d *datagram) {
	d.packet, d.link, d.next = packet{}, nil, n.idle
	n.idle = d
}

func (l *link) sendDatagram(frame []byte) {
	n := l.net
	if cause, lost := l.lostOnSend(frame); lost {
		n.lose(l, frame, cause)
		return
	}
	now := n.scheduler.Now()
	d := n.takeDatagram()
	d.link, d.frame, d.sequence = l, frame, l.sent
	l.route(&d.packet, now)
	l.post(d.due-now, d.onArrive)
}

// lostOnSend decides whether a frame is lost before it leaves, and counts that. Otherwise
// the frame is in flight.
func (l *link) lostOnSend(frame []byte) (Cause, bool) {
	n := l.net
	if l.cut != nil {
		l.cut.tookEffect()
		return l.cut.cause, true
	}
	if l.hit(l.rates.loss, drawLoss, l.sent) {
		if l.to.handler == nil {
			return CauseDown, true // it would be lost in any case
		}
		n.counts[CauseLoss]++
		return CauseLoss, true
	}
	if l.slow != nil && l.freeAt > n.scheduler.Now()+longestDatagramBacklog {
		l.slow.tookEffect()
		return CauseSlow, true
	}
	if !l.admit(len(frame)) {
		n.counts[CauseQueueFull]++
		return CauseQueueFull, true
	}
	return 0, false
}

// holdBack returns when a packet arrives after the faults that hold it back.
func (l *link) holdBack(p *packet, due time.Duration) time.Duration {
	r := l.rates
	if r.none {
		return due
	}
	if l.hit(r.reorder, drawReorder, p.sequence) {
		due += l.within(l.net.cfg.Reorder, drawReorderBy, p.sequence)
		p.marks |= markHeldBack
	}
	if l.hit(r.delay, drawDelay, p.sequence) {
		due += l.within(l.net.cfg.Spike, drawSpike, p.sequence)
		p.marks |= markSpiked
	}
	return due
}

// arrive completes a datagram. It calls the handler last, because that may call the
// network.
func (n *Network) arrive(d *datagram) {
	l := d.link
	if l.clog != nil {
		l.held = append(l.held, d)
		return
	}
	p := d.packet
	l.release(len(p.frame))
	if l.cut != nil || l.to.handler == nil {
		n.freeDatagram(d)
		if l.cut == nil {
			n.lose(l, p.frame, CauseDown)
			return
		}
		l.cut.tookEffect()
		n.lose(l, p.frame, l.cut.cause)
		return
	}
	if p.sequence > l.newest {
		l.newest = p.sequence
	} else if p.marks&markHeldBack != 0 && p.marks&markDuplicate == 0 {
		n.counts[CauseReorder]++
	}
	if p.marks&markDuplicate == 0 && l.hit(l.rates.duplicate, drawDuplicate, p.sequence) && l.admit(len(p.frame)) {
		n.stats.Duplicated++
		d.marks |= markDuplicate
		l.post(l.within(n.cfg.Duplicate, drawDuplicateAfter, p.sequence), d.onArrive)
	} else {
		n.freeDatagram(d)
	}
	l.deliver(&p)
}

// onUnclogged releases the datagrams that arrived at a clogged link, in the order of their
// arrival.
func (l *link) onUnclogged(ended *Fault) {
	held := l.held
	l.held = nil
	for _, d := range held {
		ended.tookEffect()
		l.post(0, d.onArrive)
	}
}
