package world

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/sim/schedule"

	"github.com/cespare/xxhash/v2"
)

// maxTurn bounds the events of a turn.
const maxTurn = 256

// host is one machine: a disk, a clock, an end of the network, and at most one
// process.
type host struct {
	world *World
	index int
	name  string
	netID netsim.HostID
	disk  *disk
	clock clock

	state       HostState
	incarnation uint64
	process     Process // of life, nil without one
	life        *life
	failure     error
	boot        Timer // of a Restart under way

	slow      Range
	cutFromZK bool // by the schedule; a pause cuts too

	decoder *node.Decoder
	block   []byte // of which frames are cut

	recovery, turnSize, turnDelay, slowness, vanishes, rewatches, trapSends draws
}

func newHost(w *World, index int) *host {
	h := &host{world: w, index: index, name: schedule.HostName(index)}
	h.netID = w.network.Host(h.name)
	h.clock = newClock(w.random, index, w.cfg.DriftPPM)
	for _, d := range []struct {
		draws   *draws
		purpose string
	}{
		{&h.recovery, "host.recovery"}, {&h.turnSize, "host.turn-size"}, {&h.turnDelay, "host.turn-delay"},
		{&h.slowness, "host.slow"}, {&h.vanishes, "host.vanishes"},
		{&h.rewatches, "host.rewatches"}, {&h.trapSends, "host.trap-sends"},
	} {
		*d.draws = draws{random: w.random, purpose: d.purpose, entity: uint64(index)}
	}
	h.decoder = node.NewDecoder()
	h.newDisk()
	return h
}

func (h *host) newDisk() {
	if h.disk != nil {
		h.disk.medium.close()
	}
	h.disk = newDisk(h.world.scheduler, h.world.random, h.world.cfg.Disk, h.index)
	h.disk.post = func(fn func()) {
		if h.life != nil {
			h.life.post(dispatch{kind: KindDurable, fn: fn})
		}
	}
	h.disk.count = h.world.Count
}

// life is one process, from its start to its end. Whatever is to call it back
// holds the life and goes through post, so that nothing runs after the end.
type life struct {
	host   *host
	number uint64
	ended  bool
	failed error // told to Env.Fail, not yet acted on
	exits  bool  // the graceful end is done, not yet acted on

	queue   []dispatch // what waits for a turn
	head    int
	turning bool // a turn is scheduled or under way
	slowed  bool // the turn that is scheduled waits for a slow host
	onTurn  func()

	// A crash inside a turn that commits.
	trap      turnTrap
	committed bool // in this turn
	sends     int  // messages that still go out, once trapped

	session  *session
	calls    callList
	contacts []contact // by host
}

// dispatch is one event on its way to a process.
type dispatch struct {
	kind    Kind
	payload uint64 // for the trace
	fn      func()
	alarm   *alarm         // of KindTimer
	message *node.Envelope // of KindMessage, nil of a Hello
	sender  int            // of a message
}

func (l *life) world() *World { return l.host.world }

// post queues an event for the process. A process that has ended gets none.
func (l *life) post(d dispatch) {
	if l.ended {
		return
	}
	l.queue = append(l.queue, d)
	if !l.turning && l.host.state != Paused {
		l.scheduleTurn()
	}
}

func (l *life) scheduleTurn() {
	h := l.host
	l.turning = true
	delay := h.turnDelay.within(l.world().cfg.Turns.Delay)
	if extra := h.slowness.within(h.slow); extra > 0 {
		delay += extra
		l.slowed = true
	}
	l.world().scheduler.Schedule(delay, h.index, KindTurn, l.onTurn)
}

// turn runs events that wait, up to a drawn number, and ends the turn.
func (l *life) turn() {
	if l.ended {
		return
	}
	l.turning = false
	if l.host.state == Paused {
		return // resume schedules another
	}
	if l.slowed {
		l.slowed = false
		l.world().Count(faultSlowHost)
	}
	l.turning = true
	l.run(l.host.drawTurn())
	if l.ended {
		return
	}
	l.turning = false
	if l.head < len(l.queue) {
		l.scheduleTurn()
	}
}

// run is the inside of a turn.
func (l *life) run(bound int) {
	h, w := l.host, l.world()
	for bound > 0 && l.head < len(l.queue) {
		d := l.take()
		if d.alarm != nil && d.alarm.stopped || d.message != nil && l.contacts[d.sender].refused {
			continue
		}
		bound--
		w.doing = doing{h.index, d.kind}
		w.trace.step(w.Now(), l.number, h.index, d.kind, d.payload)
		if w.trace.printing() {
			w.trace.print(w.Now(), h.index, d.kind, d.words())
		}
		if d.message != nil {
			h.process.OnMessage(d.message)
		} else {
			d.fn()
		}
		if l.hasFailed() {
			return
		}
	}
	w.doing = doing{h.index, KindTurn}
	h.process.EndTurn()
	w.checkInvariants(h)
	if l.trap == sprung && !l.ended {
		w.Count(faultCrashInTurn)
		h.crash()
		return
	}
	l.committed = false
	if !l.hasFailed() && l.exits {
		h.exit()
	}
}

// hasFailed ends the life if the process has said in the step under way that
// it can't go on.
func (l *life) hasFailed() bool {
	if !l.ended && l.failed != nil {
		l.host.fail(l.failed)
	}
	return l.ended
}

func (l *life) take() dispatch {
	d := l.queue[l.head]
	l.queue[l.head] = dispatch{}
	l.head++
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	}
	return d
}

// drawTurn is the bound of a turn, on a log scale.
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

// restart starts a process, after a time of recovery. No process starts on a
// disk that was found to be damaged.
func (h *host) restart(after time.Duration) bool {
	if h.state != Down || h.disk.ruined {
		return false
	}
	h.state = Booting
	if after == 0 {
		h.start()
	} else {
		h.boot = h.world.scheduler.Schedule(after, h.index, KindWorld, h.start)
	}
	return true
}

// start begins a life, if the disk can be opened. A node that can't be made is a mistake in the
// configuration: it panics.
func (h *host) start() {
	w := h.world
	h.incarnation++
	h.failure = nil
	if err := h.disk.open(); err != nil {
		h.state, h.failure = Down, err
		w.tell(h, HostFailed)
		return
	}
	if h.disk.used {
		w.Count(faultRestart)
	}
	l := &life{host: h, number: h.incarnation, contacts: make([]contact, len(w.hosts))}
	l.onTurn = l.turn // one closure a life, not one a turn
	h.life = l
	cfg := w.cfg.Node
	cfg.ID = node.NodeID(h.name)
	cfg.PeerAddress, cfg.HTTPAddress = PeerAddress(h.index), httpAddress(h.index)
	if w.cfg.Configure != nil {
		w.cfg.Configure(h.index, &cfg)
	}
	process, err := w.cfg.NewProcess(h.index, cfg, l.env())
	if err != nil {
		panic(fmt.Sprintf("sim: starting %s: %v", h.name, err))
	}
	h.process, h.state = process, Up
	w.network.Attach(h.netID, l.handlerFor(process))
	w.tell(h, HostStarted)
	l.post(dispatch{kind: KindStart, payload: l.number, fn: process.Start})
}

// env is the process's doors.
func (l *life) env() node.Env {
	h := l.host
	return node.Env{
		Clock:       processClock{l},
		Network:     netDoor{l},
		Store:       turnStore{h.disk, l},
		Coordinator: zkDoor{l},
		Observer:    observer{l},
		Random: &draws{
			random: l.world().random, purpose: "node", entity: uint64(h.index)<<32 | l.number,
		},
		Fail: func(err error) {
			if l.failed == nil && err != nil {
				l.failed = err
			}
		},
	}
}

// end cuts a process off from everything at once. Nobody is told but those on
// the other ends.
func (h *host) end(silent bool) {
	l := h.life
	l.ended = true
	l.queue, l.head = nil, 0
	h.life, h.process, h.state = nil, nil, Down
	if silent {
		h.world.network.Vanish(h.netID)
	} else {
		h.world.network.Detach(h.netID)
	}
	if l.session != nil {
		l.session.abandon()
	}
	h.healZK()
	l.calls.breakAll()
}

func (h *host) crash() bool {
	if h.state == Booting {
		h.boot.Stop()
		h.state = Down
	}
	if h.life == nil {
		return false
	}
	h.end(h.vanishes.word()%4 == 0)
	h.disk.crash()
	h.world.Count(faultCrash)
	h.world.tell(h, HostCrashed)
	return true
}

// fail ends a process that can't go on, as a crash does.
func (h *host) fail(err error) {
	h.failure = err
	h.end(false)
	h.disk.crash()
	h.world.tell(h, HostFailed)
}

// exit is the graceful end of a process.
func (h *host) exit() {
	h.end(false)
	h.disk.shutDown()
	h.world.Count(faultStop)
	h.world.tell(h, HostStopped)
}

func (h *host) stop() bool {
	if h.state != Up {
		return false
	}
	h.state = Stopping
	l, process := h.life, h.process
	l.post(dispatch{kind: KindStop, fn: func() {
		process.Stop(func() { l.finish() })
	}})
	return true
}

// finish notes that the process is done. It may be called outside a turn by a
// process that keeps no rules; then an empty event carries it.
func (l *life) finish() {
	l.exits = true
	if !l.turning {
		l.post(dispatch{kind: KindStop, fn: func() {}})
	}
}

func (h *host) pause() bool {
	if h.state != Up {
		return false
	}
	h.state = Paused
	h.world.zookeeper.CutHost(h.name) // the client library is part of the process
	h.world.tell(h, HostPaused)
	return true
}

// hasMissedAlarm says whether an alarm has gone off while the process was
// paused.
func (h *host) hasMissedAlarm() bool {
	return h.state == Paused &&
		slices.ContainsFunc(h.life.queue[h.life.head:], func(d dispatch) bool { return d.alarm != nil })
}

func (h *host) resume() bool {
	if h.state != Paused {
		return false
	}
	h.state = Up
	h.healZK()
	h.world.tell(h, HostResumed)
	if l := h.life; l.head < len(l.queue) {
		h.world.Count(faultPause)
		if !l.turning {
			l.scheduleTurn()
		}
	}
	return true
}

// healZK opens the way to ZooKeeper unless something still cuts it.
func (h *host) healZK() {
	if !h.cutFromZK && h.state != Paused {
		h.world.zookeeper.HealHost(h.name)
	}
}

func (h *host) heal() {
	h.slow, h.cutFromZK = Range{}, false
	h.disarm()
	h.disk.heal()
	h.resume()
	h.healZK()
}

func (h *host) wipe() bool {
	if h.state != Down {
		return false
	}
	if h.disk.used {
		h.world.Count(faultWipe)
	}
	h.newDisk()
	return true
}

func (h *host) sessionID() int64 {
	if h.life == nil || h.life.session == nil {
		return 0
	}
	return h.life.session.ID()
}

// tell makes the lives of processes part of the trace.
func (w *World) tell(h *host, change HostChange) {
	w.trace.step(w.Now(), h.incarnation, h.index, KindLife, uint64(change))
	if w.trace.printing() {
		w.trace.print(w.Now(), h.index, KindLife, change.String())
	}
	if w.cfg.OnHost != nil {
		w.cfg.OnHost(h.index, change)
	}
}

// observer makes what a node tells part of the trace.
type observer struct{ life *life }

func (o observer) Observe(ev node.Event) {
	if o.life.ended {
		return
	}
	w, host := o.life.world(), o.life.host.index
	w.trace.step(w.Now(), o.life.number, host, KindNodeEvent, eventHash(&ev))
	if w.trace.printing() {
		w.trace.print(w.Now(), host, KindNodeEvent, EventWords(&ev))
	}
	if w.cfg.OnEvent != nil {
		w.cfg.OnEvent(host, ev)
	}
}

func eventHash(ev *node.Event) uint64 {
	h := mix(uint64(ev.Kind)<<32 | uint64(ev.Partition))
	h = mix(h ^ uint64(ev.Epoch))
	h = mix(h ^ uint64(ev.Index))
	h = mix(h ^ uint64(ev.Peer))
	h = mix(h ^ ev.Hash)
	if ev.Text != "" {
		h = mix(h ^ xxhash.Sum64String(ev.Text))
	}
	return h
}

func EventWords(ev *node.Event) string {
	return fmt.Sprintf("%v p=%d e=%d i=%d peer=%d %s", ev.Kind, ev.Partition, ev.Epoch, ev.Index, ev.Peer, ev.Text)
}

// away says whether a host's process does not run, or is about to end. One that
// boots is as good as back.
func (h *host) away() bool {
	if h.state == Down || h.state == Paused || h.state == Stopping {
		return true
	}
	return h.life != nil && h.life.trap == armed || h.disk.ails()
}
