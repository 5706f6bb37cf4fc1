package netsim

import "time"

// The states of a connection:
//
//	idle ── Send ──▶ dialing ── Config.Connect later ──▶ open
//	open ── reset, half-open, peer gone ──▶ severed ── the sender learns ──▶ idle
//	open ── cut for longer than Config.GiveUp ──▶ idle
//
// The queue of a link holds what is in flight on its connection. What remains of the
// previous connection is at its front, so that frames keep their order across
// connections, too.

type connectionState uint8

const (
	idle    connectionState = iota // no connection; the next frame opens one
	dialing                        // frames wait for it to open
	open
	severed // broken, but the sender does not know: what it sends is lost
)

// stream is the part of a link that only stream mode uses.
type stream struct {
	state     connectionState
	severedBy Cause         // why it is severed
	patient   bool          // its sender learns of the break only when it gives up
	openAt    time.Duration // when it opens or opened
	dials     uint64        // sequence of the draws of a connection
	breaks    uint64        // sequence of the draws of a break
	holds     uint64        // sequence of the draws of a cut that held frames
	queue     packetQueue
	delivery  alarm // of the head
	timer     alarm // the end of dialing, of waiting, or of not knowing of the break

	onDue, onTimer func() // created once, for the scheduler
}

func (l *link) sendStream(frame []byte) {
	if l.state == severed {
		l.sendSevered(frame)
		return
	}
	n := l.net
	if !l.admit(len(frame)) {
		n.counts[CauseQueueFull]++
		n.lose(l, frame, CauseQueueFull)
		return
	}
	if l.state == idle {
		l.dial()
	}
	p := l.queue.push()
	p.frame, p.sequence = frame, l.sent
	l.route(p, max(n.scheduler.Now(), l.openAt))
	l.arm()
	if r := l.rates; !r.none && l.state == open {
		switch {
		case l.hit(r.reset, drawReset, p.sequence):
			l.reset()
		case l.hit(r.halfOpen, drawHalfOpen, p.sequence):
			l.halfOpen()
		}
	}
}

// holdUp returns when a packet arrives after the faults that delay it.
func (l *link) holdUp(p *packet, arrival time.Duration) time.Duration {
	r := l.rates
	if r.none {
		return arrival
	}
	if l.hit(r.loss, drawLoss, p.sequence) {
		arrival += l.net.cfg.Retransmit
		p.marks |= markResent
	}
	if l.hit(r.delay, drawDelay, p.sequence) {
		arrival += l.within(l.net.cfg.Spike, drawSpike, p.sequence)
		p.marks |= markSpiked
	}
	return arrival
}

func (l *link) dial() {
	l.enter(dialing)
	l.dials++
	wait := l.within(l.net.cfg.Connect, drawConnect, l.dials)
	l.openAt = l.net.scheduler.Now() + wait
	l.startTimer(wait)
}

func (l *link) onDialed() {
	switch {
	case l.cut != nil:
		l.enter(idle)
		l.dropQueue(l.cut.cause, l.cut)
	case l.to.handler == nil:
		l.enter(idle)
		l.dropQueue(CauseDown, nil)
	default:
		l.enter(open)
		l.net.stats.Connections++
		l.arm()
	}
}

// arm waits until the head of the queue is due, or, while the link is cut, until the sender
// gives up. It does nothing if it waits already.
func (l *link) arm() {
	if l.delivery.set || l.queue.count == 0 {
		return
	}
	if l.cut != nil {
		if l.state == open && !l.timer.set {
			l.holds++
			l.startTimer(l.within(l.net.cfg.GiveUp, drawGiveUp, l.holds))
		}
		return
	}
	if l.clog != nil {
		return
	}
	s := l.net.scheduler
	l.delivery = l.after(max(0, l.queue.at(0).due-s.Now()), l.onDue)
}

func (l *link) disarm() {
	l.stop(&l.delivery)
}

// deliverHead delivers the packet that is due. It calls the handler last, because that may
// call the network.
func (l *link) deliverHead() {
	l.delivery = alarm{}
	if l.cut != nil || l.clog != nil {
		panic("netsim: delivery on a link that is cut or clogged")
	}
	p := l.queue.pop()
	if p.marks&markFarewell != 0 {
		l.arm()
		l.notify(l.to, l.from.id)
		return
	}
	l.release(len(p.frame))
	l.arm()
	l.deliver(&p)
}

// onCut stops delivery. The rest of a broken connection is not sent again.
func (l *link) onCut() {
	l.disarm()
	if l.state == idle || l.state == severed {
		l.dropQueue(l.cut.cause, l.cut)
		return
	}
	l.arm()
}

// onCutHealed lets a held stream flow again, after the pause that retransmission with
// backoff causes.
func (l *link) onCutHealed(ended *Fault) {
	if l.state == open {
		l.stopTheTimer()
	}
	l.holds++
	l.resume(ended, l.within(Range{0, l.net.cfg.Retransmit}, drawResume, l.holds))
}

// resume counts the frames that a fault held beyond their due time, and delivers them after
// a pause.
func (l *link) resume(ended *Fault, pause time.Duration) {
	l.disarm()
	now := l.net.scheduler.Now()
	from := now + pause
	for i := range l.queue.count {
		p := l.queue.at(i)
		if p.due < now && p.marks&markFarewell == 0 {
			ended.tookEffect()
		}
		p.due = max(p.due, from)
	}
	if l.queue.count > 0 {
		l.lastDue, l.lastOrdinary = max(l.lastDue, from), max(l.lastOrdinary, from)
	}
	l.arm()
}

// onGaveUp breaks a connection that was cut for so long that the sender considers it lost.
// The receiver is not told.
func (l *link) onGaveUp() {
	l.enter(idle)
	l.dropQueue(l.cut.cause, l.cut)
	l.notifySender()
}

// reset breaks an open connection and tells both ends, if it can.
func (l *link) reset() {
	l.net.counts[CauseReset]++
	l.breakOff(CauseReset, true)
	l.enter(severed)
	l.severedBy = CauseReset
	l.learn(true)
}

// halfOpen makes the receiver forget an open connection. Neither end is told.
func (l *link) halfOpen() {
	l.breakOff(CauseHalfOpen, false)
	l.enter(severed)
	l.severedBy = CauseHalfOpen
}

// breakOff keeps an unknown prefix of what is in flight and loses the rest. If announce is
// set and the link is not cut, the receiver is told after the prefix.
func (l *link) breakOff(cause Cause, announce bool) {
	l.breaks++
	keep := 0
	if l.cut == nil {
		keep = int(l.draw(drawPrefix, l.breaks) % uint64(l.queue.count+1))
	}
	l.disarm()
	l.truncateQueue(keep, cause, nil)
	if announce && l.cut == nil && !l.hintLost(drawReceiverHint) {
		due := max(l.lastDue, l.net.scheduler.Now()+l.latency(drawFarewell, l.breaks))
		*l.queue.push() = packet{due: due, marks: markFarewell}
		l.lastDue = due
	}
	l.arm()
}

// sendSevered loses a frame in a broken connection. By sending, a sender finds out that the
// connection is broken.
func (l *link) sendSevered(frame []byte) {
	if l.severedBy == CauseHalfOpen {
		l.net.counts[CauseHalfOpen]++
	}
	l.net.lose(l, frame, l.severedBy)
	if !l.timer.set {
		// A peer that has restarted answers with a reset.
		l.learn(l.severedBy == CauseDown && l.to.handler != nil)
	}
}

// learn lets the sender of a broken connection find out: soon, if a peer is there to reset
// the connection and can reach it, otherwise when it gives up.
func (l *link) learn(soon bool) {
	l.patient = !soon || l.cut != nil
	if !l.patient {
		l.startTimer(l.latency(drawLearn, l.breaks))
	} else {
		l.startTimer(l.within(l.net.cfg.GiveUp, drawLearn, l.breaks))
	}
}

func (l *link) onLearned() {
	l.enter(idle)
	l.notifySender()
}

// learnNow tells the sender of a broken connection, as part of a heal.
func (l *link) learnNow() {
	if l.state != severed {
		return
	}
	l.enter(idle)
	incarnation := l.from.incarnation
	l.post(0, func() {
		if l.from.incarnation == incarnation {
			l.notifySender()
		}
	})
}

// onReceiverDown breaks the connection to a host that has ended.
func (l *link) onReceiverDown(silent bool) {
	l.dropQueue(CauseDown, nil)
	switch l.state {
	case dialing:
		l.enter(idle)
	case open:
		l.breaks++
		l.enter(severed)
		l.severedBy = CauseDown
		if !silent {
			l.learn(true)
		}
	}
}

// onSenderDown breaks the connection from a host that has ended. When the host is attached
// again, it does not know the connection.
func (l *link) onSenderDown(silent bool) {
	switch l.state {
	case dialing:
		l.dropQueue(CauseDown, nil)
	case open:
		l.breakOff(CauseDown, !silent)
	}
	l.enter(idle)
}

// onPeerUp cancels the wait of a sender for a host that vanished and is attached again. The
// next frame makes the sender learn of the break from the host.
func (l *link) onPeerUp() {
	if l.state == severed && l.severedBy == CauseDown && l.patient {
		l.stopTheTimer()
	}
}

func (l *link) notifySender() {
	if !l.hintLost(drawSenderHint) {
		l.notify(l.from, l.to.id)
	}
}

func (l *link) notify(h *host, peer HostID) {
	if h.handler != nil {
		h.handler.OnPeerLost(peer)
	}
}

func (l *link) hintLost(purpose purpose) bool {
	if !l.hit(l.rates.hintLoss, purpose, l.breaks+l.holds) {
		return false
	}
	l.net.counts[CauseHintLoss]++
	return true
}

// enter changes the state and stops the timer of the old one.
func (l *link) enter(s connectionState) {
	l.stopTheTimer()
	l.state = s
}

func (l *link) startTimer(d time.Duration) {
	l.timer = l.after(d, l.onTimer)
}

func (l *link) stopTheTimer() { l.stop(&l.timer) }

func (l *link) timerFired() {
	l.timer = alarm{}
	switch l.state {
	case dialing:
		l.onDialed()
	case open:
		l.onGaveUp()
	case severed:
		l.onLearned()
	}
}

// dropQueue loses all that is in flight. If blame is not nil, it counts as effects of that
// fault.
func (l *link) dropQueue(cause Cause, blame *Fault) {
	l.disarm()
	l.truncateQueue(0, cause, blame)
}

// truncateQueue loses all but the first packets in flight. The queue must not be armed.
func (l *link) truncateQueue(keep int, cause Cause, blame *Fault) {
	for i := keep; i < l.queue.count; i++ {
		p := l.queue.at(i)
		if p.marks&markFarewell != 0 {
			continue
		}
		l.release(len(p.frame))
		if blame != nil {
			blame.tookEffect()
		} else if cause == CauseHalfOpen {
			l.net.counts[CauseHalfOpen]++
		}
		l.net.lose(l, p.frame, cause)
	}
	l.queue.truncate(keep)
	l.lastDue = l.net.scheduler.Now()
	if keep > 0 {
		l.lastDue = max(l.lastDue, l.queue.at(keep-1).due)
	}
	l.lastOrdinary = min(l.lastOrdinary, l.lastDue)
}
