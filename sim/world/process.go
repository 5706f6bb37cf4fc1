package world

import (
	"math/bits"

	"dkv/node"
)

// hostProcess is the host's side of one process, from its start to its end.
// Everything that calls the process back, such as an alarm, a sync or an answer of
// ZooKeeper, holds the hostProcess and goes through post. That is why nothing of a
// process runs after its end, even if a new one has started by then.
//
//   - ended never becomes false again, and an ended process has an empty queue.
//   - queue[:head] is done, queue[head:] waits for a turn, in order of arrival.
//   - At most one turn is scheduled or under way (turning). While events wait, one
//     is, unless the host is paused; resume schedules it then.
//   - trap is sprung only inside a turn, and the process ends with that turn.
type hostProcess struct {
	host   *host
	number uint64
	ended  bool
	failed error // passed to Env.Fail; the process ends after the event under way
	exits  bool  // Stop is done; the process ends after the turn under way

	queue   []dispatch
	head    int
	turning bool // a turn is scheduled or under way
	slowed  bool // the scheduled turn comes late because the host is slow
	onTurn  func()

	// CrashInTurn.
	trap      turnTrap
	committed bool // something, in this turn
	sends     int  // messages that still go out before the trap springs

	session  *session
	calls    callList
	contacts []contact // by host
}

// dispatch is one event on its way to a process.
type dispatch struct {
	kind    stepKind
	payload uint64         // goes into the trace hash
	fn      func()         // handles the event; unused if there is a message
	alarm   *alarm         // of a kindTimer, so that a stopped one is skipped
	message *node.Envelope // of a kindMessage that is neither a Hello nor a Program's frame
	sender  int            // of the message
}

func (p *hostProcess) world() *World { return p.host.world }

// post queues an event for the process, unless it has ended.
func (p *hostProcess) post(d dispatch) {
	if p.ended {
		return
	}
	p.queue = append(p.queue, d)
	if !p.turning && p.host.state != Paused {
		p.scheduleTurn()
	}
}

func (p *hostProcess) scheduleTurn() {
	h := p.host
	p.turning = true
	delay := h.turnDelay.within(p.world().cfg.Turns.Delay)
	if extra := h.slowness.within(h.slow); extra > 0 {
		delay += extra
		p.slowed = true
	}
	p.world().scheduler.Schedule(delay, h.index, kindTurn, p.onTurn)
}

// turn handles waiting events, up to a drawn number, and schedules the next turn
// if some are left.
func (p *hostProcess) turn() {
	if p.ended {
		return
	}
	p.turning = false
	if p.host.state == Paused {
		return // resume schedules another turn
	}
	if p.slowed {
		p.slowed = false
		p.world().Count(faultSlowHost)
	}
	p.turning = true
	p.run(p.host.drawTurn())
	if p.ended {
		return
	}
	p.turning = false
	if p.head < len(p.queue) {
		p.scheduleTurn()
	}
}

// run handles up to bound events and then ends the turn. A stopped alarm and a
// message of a sender that is not welcome do not count.
func (p *hostProcess) run(bound int) {
	h, w := p.host, p.world()
	most := bound
	for bound > 0 && p.head < len(p.queue) {
		d := p.take()
		if d.alarm != nil && d.alarm.stopped || d.message != nil && !p.welcomes(&d) {
			continue
		}
		bound--
		w.activity = activity{h.index, d.kind}
		w.trace.step(w.Now(), p.number, h.index, d.kind, d.payload)
		if w.trace.printing() {
			w.trace.print(w.Now(), h.index, d.kind, d.words())
		}
		if d.message != nil {
			h.process.OnMessage(d.message)
		} else {
			d.fn()
		}
		if p.hasFailed() {
			return
		}
	}
	w.activity = activity{h.index, kindTurn}
	w.turns.add(most - bound)
	h.process.EndTurn()
	h.checkInvariants()
	if p.trap == sprung && !p.ended {
		w.Count(faultCrashInTurn)
		h.crash()
		return
	}
	p.committed = false
	if !p.hasFailed() && p.exits {
		h.exit()
	}
}

// checkInvariants checks the process's own invariants, if it has a method for that.
func (h *host) checkInvariants() {
	if c, ok := h.process.(interface{ CheckInvariants() error }); ok {
		if err := c.CheckInvariants(); err != nil && h.world.cfg.OnBroken != nil {
			h.world.cfg.OnBroken(h.index, err)
		}
	}
}

// hasFailed ends the process if it has called Env.Fail, and reports whether it
// has ended for any reason.
func (p *hostProcess) hasFailed() bool {
	if !p.ended && p.failed != nil {
		p.host.fail(p.failed)
	}
	return p.ended
}

func (p *hostProcess) take() dispatch {
	d := p.queue[p.head]
	p.queue[p.head] = dispatch{}
	p.head++
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
	}
	return d
}

// drawTurn draws the bound of a turn, on a log scale.
func (h *host) drawTurn() int {
	most := h.world.cfg.Turns.Most
	if most == 1 {
		return 1
	}
	word := h.turnSize.word()
	magnitude := word % uint64(bits.Len(uint(most)))
	return min(most, 1<<magnitude+int(word>>32%(1<<magnitude)))
}

func (d *dispatch) words() string {
	if d.message == nil {
		return ""
	}
	return messageWords(d.message)
}

// env returns the process's doors.
func (p *hostProcess) env() node.Env {
	h := p.host
	return node.Env{
		Clock:       processClock{p},
		Network:     netDoor{p},
		Store:       turnStore{h.disk, p},
		Coordinator: zkDoor{p},
		Observer:    observer{p},
		Random: &draws{
			random: p.world().random, purpose: "node", entity: uint64(h.index)<<32 | p.number,
		},
		Fail: func(err error) {
			if p.failed == nil && err != nil {
				p.failed = err
			}
		},
	}
}

// finish records that the process's Stop is done; the process ends with the turn
// under way. A process that breaks the rules may call it outside a turn; then an
// empty event makes one.
func (p *hostProcess) finish() {
	p.exits = true
	if !p.turning {
		p.post(dispatch{kind: kindStop, fn: func() {}})
	}
}
