package world

import (
	"fmt"
	"slices"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/sim/schedule"
)

// host is a machine: a clock, a disk, a network interface, and at most one
// process.
//
// Between two steps:
//   - current and process are both nil in the states Down and Booting, and both
//     set in the other three.
//   - boot is pending only in the state Booting.
//   - ZooKeeper is cut off from the host in the state Paused and while cutFromZK
//     is set; healZK opens the way only when neither holds.
//   - processNumber only grows. It is part of the key of the process's draws, so
//     a process that follows a crash does not repeat its predecessor's draws.
//   - A host whose disk is ruined starts no further process.
type host struct {
	world *World
	index int
	name  string
	netID netsim.HostID
	disk  *disk
	clock clock

	state         HostState
	processNumber uint64
	process       Process // of current
	current       *hostProcess
	failure       error
	boot          timer // starts the process, after a Restart

	slow      Range
	cutFromZK bool // by CutZooKeeper

	saved      []*savedDisk // by SaveDisk, oldest first
	rolledBack bool         // the disk lacks what it once acknowledged
	back       *savedDisk   // to which it was rolled back
	// While the host runs a copy, plays is the host whose node it runs, and aside its
	// own disk; otherwise they are NoHost and nil.
	plays int
	aside *disk

	decoder *node.Decoder
	block   []byte // encode cuts frames off it

	recovery, turnSize, turnDelay, slowness, vanishes, rewatches, trapSends draws
}

func newHost(w *World, index int) *host {
	h := &host{world: w, index: index, name: schedule.HostName(index), plays: NoHost}
	h.netID = w.network.Host(h.name)
	h.clock = newClock(w.random, index, w.cfg.DriftPPM)
	if w.cfg.ClockPPM != nil {
		h.clock.ppm += w.cfg.ClockPPM(index)
	}
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
		if h.current != nil {
			h.current.post(dispatch{kind: kindDurable, fn: fn})
		}
	}
	h.disk.count = h.world.Count
}

// restart starts a process after a recovery time. No process starts on a disk
// that was found to be damaged: an operator would replace it.
func (h *host) restart(after time.Duration) bool {
	if h.state != Down || h.disk.ruined {
		return false
	}
	h.state = Booting
	if after == 0 {
		h.start()
	} else {
		h.boot = h.world.scheduler.Schedule(after, h.index, kindWorld, h.start)
	}
	return true
}

// start starts a process, unless its disk can't be opened. It panics if the
// process can't be made, which is a mistake in the configuration.
func (h *host) start() {
	w := h.world
	h.processNumber++
	h.failure = nil
	if err := h.disk.open(); err != nil {
		h.state, h.failure = Down, err
		w.tell(h, HostFailed)
		return
	}
	if h.disk.used {
		w.Count(faultRestart)
	}
	p := &hostProcess{host: h, number: h.processNumber, contacts: make([]contact, len(w.hosts))}
	p.onTurn = p.turn // one closure per process, not one per turn
	h.current = p
	cfg := w.cfg.Node
	cfg.ID = node.NodeID(h.name)
	if h.plays != NoHost {
		cfg.ID = node.NodeID(schedule.HostName(h.plays))
		w.Count(faultCopy)
	}
	cfg.PeerAddress, cfg.HTTPAddress = PeerAddress(h.index), httpAddress(h.index)
	if w.cfg.Configure != nil {
		w.cfg.Configure(h.index, &cfg)
	}
	process, err := w.cfg.NewProcess(h.index, cfg, p.env())
	if err != nil {
		panic(fmt.Sprintf("world: starting %s: %v", h.name, err))
	}
	h.process, h.state = process, Up
	w.network.Attach(h.netID, p.handlerFor(process))
	w.tell(h, HostStarted)
	p.post(dispatch{kind: kindStart, payload: p.number, fn: process.Start})
}

// end cuts the current process off from everything at once. Its peers learn of
// it, unless silent, as does ZooKeeper when the session expires; the process
// itself never does.
func (h *host) end(silent bool) {
	p := h.current
	p.ended = true
	p.queue, p.head = nil, 0
	h.current, h.process, h.state = nil, nil, Down
	if silent {
		h.world.network.Vanish(h.netID)
	} else {
		h.world.network.Detach(h.netID)
	}
	if p.session != nil {
		p.session.abandon()
	}
	h.healZK()
	p.calls.breakAll()
}

func (h *host) crash() bool {
	if h.state == Booting {
		h.boot.Stop()
		h.state = Down
	}
	if h.current == nil {
		return false
	}
	h.end(h.vanishes.word()%4 == 0)
	h.disk.crash()
	h.world.Count(faultCrash)
	h.world.tell(h, HostCrashed)
	return true
}

// fail ends a process that has called Env.Fail, as a crash would.
func (h *host) fail(err error) {
	h.failure = err
	h.end(false)
	h.disk.crash()
	h.world.tell(h, HostFailed)
}

// exit ends a process gracefully, after its Stop is done.
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
	p, process := h.current, h.process
	p.post(dispatch{kind: kindStop, fn: func() {
		process.Stop(func() { p.finish() })
	}})
	return true
}

func (h *host) pause() bool {
	if h.state != Up {
		return false
	}
	h.state = Paused
	h.world.zookeeper.CutHost(h.name) // the client library is paused with the process
	h.world.tell(h, HostPaused)
	return true
}

// hasMissedAlarm reports whether an alarm has gone off while the process was
// paused.
func (h *host) hasMissedAlarm() bool {
	return h.state == Paused &&
		slices.ContainsFunc(h.current.queue[h.current.head:], func(d dispatch) bool { return d.alarm != nil })
}

func (h *host) resume() bool {
	if h.state != Paused {
		return false
	}
	h.state = Up
	h.healZK()
	h.world.tell(h, HostResumed)
	if p := h.current; p.head < len(p.queue) {
		h.world.Count(faultPause)
		if !p.turning {
			p.scheduleTurn()
		}
	}
	return true
}

// healZK reconnects the host to ZooKeeper, unless a cut or a pause still forbids
// it.
func (h *host) healZK() {
	if !h.cutFromZK && h.state != Paused {
		h.world.zookeeper.HealHost(h.name)
	}
}

func (h *host) heal() {
	h.endCopy()
	h.slow, h.cutFromZK = Range{}, false
	h.disarm()
	h.disk.heal()
	if h.disk.failed != nil && h.process != nil {
		h.fail(h.disk.failed) // the process would learn of it only at its next commit, long after the fault
	}
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
	h.rolledBack = false
	return true
}

func (h *host) sessionID() int64 {
	if h.current == nil || h.current.session == nil {
		return 0
	}
	return h.current.session.ID()
}

// away reports whether a host's process does not run, or may end at any time
// because of a fault. A process that is booting counts as back.
func (h *host) away() bool {
	if h.rolledBack || h.plays != NoHost {
		return true
	}
	if h.state == Down || h.state == Paused || h.state == Stopping {
		return true
	}
	return h.current != nil && h.current.trap == armed || h.disk.mayFail()
}
