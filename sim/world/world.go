package world

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// Config describes a world. The zero value of a field means its default.
type Config struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Hosts is how many machines there are, joiners included. Default 3, at
	// most 64. None runs a node before Start.
	Hosts int

	// Node is what every node is configured with. Its ID and addresses are the
	// host's: HostName.
	Node node.Config
	// Configure, if not nil, has the last word on one host's configuration. It
	// is called at each start of a process.
	Configure func(host int, cfg *node.Config)
	// NewProcess makes what runs on a host. Default node.New.
	NewProcess func(host int, cfg node.Config, env node.Env) (Process, error)

	Net netsim.Config
	// ZooKeeper is the service. Its OnCommit is the world's: use OnZKCommit.
	ZooKeeper zksim.Config
	// SessionTimeout that nodes ask for. Default 10 s.
	SessionTimeout time.Duration
	// Door is how much of the real adapter the nodes' sessions show.
	Door schedule.DoorView

	Disk  DiskProfile
	Turns TurnProfile
	// Order of the steps that are due at about one time.
	Order schedule.Order

	// DriftPPM bounds how far a host's clock runs from true time, in parts per
	// million either way; a host's rate is drawn within it. Default 0.
	DriftPPM int
	// Recovery is the time from Restart to the start of the process. Default
	// 50 ms to 2 s.
	Recovery Range
	// ClientLatency is the way between a client and its host, one way.
	// Default 50 to 500 µs.
	ClientLatency Range

	// The hooks are called inside the step in which the thing happens. They
	// may ask the world anything and change nothing; Interrupt is allowed.

	// OnEvent hears what nodes tell their Observers.
	OnEvent func(host int, ev node.Event)
	// OnBroken hears of a process that says, after a turn, that its own state
	// breaks one of its invariants.
	OnBroken func(host int, err error)
	// OnHost hears of the lives of processes.
	OnHost func(host int, change HostChange)
	// OnZKCommit hears of every transaction that ZooKeeper's leader commits.
	OnZKCommit func(txn *zktree.Txn, r *zktree.Result)

	// Steps, if not nil, gets a line for each step.
	Steps io.Writer
}

// TurnProfile shapes the turns of the processes: how many events one takes,
// and how long it lets them gather.
type TurnProfile struct {
	// Most events a turn takes; each turn's bound is drawn from 1 to it, on a
	// log scale. Default 1, at most 256.
	Most int
	// Delay from the first event that waits to the turn. Default 0.
	Delay Range
}

// Process is what runs on a host: a *node.Node, or a test's own.
type Process interface {
	Start()
	OnMessage(m *node.Envelope)
	OnPeerLost(peer node.MemberNumber)
	OnRequest(r door.Request, done func(door.Response))
	EndTurn()
	Stop(done func())
}

// checkInvariants asks a process for its invariants, if it has any.
func (w *World) checkInvariants(h *host) {
	if p, ok := h.process.(interface{ CheckInvariants() error }); ok {
		if err := p.CheckInvariants(); err != nil && w.cfg.OnBroken != nil {
			w.cfg.OnBroken(h.index, err)
		}
	}
}

// HostChange is one event in the lives of a host's processes.
type HostChange uint8

const (
	HostStarted HostChange = iota + 1
	HostCrashed            // with its process, and what its disk had not synced
	HostPaused
	HostResumed
	HostStopped // after a graceful end
	HostFailed  // the process called Env.Fail; Failure says why
)

var hostChangeNames = [...]string{
	HostStarted: "started", HostCrashed: "crashed", HostPaused: "paused",
	HostResumed: "resumed", HostStopped: "stopped", HostFailed: "failed",
}

func (c HostChange) String() string {
	if int(c) < len(hostChangeNames) && hostChangeNames[c] != "" {
		return hostChangeNames[c]
	}
	return fmt.Sprintf("HostChange(%d)", uint8(c))
}

// HostState is what a host's process is doing.
type HostState uint8

const (
	Down     HostState = iota // no process
	Booting                   // Restart was asked for
	Up                        // runs
	Paused                    // exists and does not run
	Stopping                  // Stop was asked for and is not done
)

var hostStateNames = [...]string{Down: "down", Booting: "booting", Up: "up", Paused: "paused", Stopping: "stopping"}

func (s HostState) String() string {
	if int(s) < len(hostStateNames) {
		return hostStateNames[s]
	}
	return fmt.Sprintf("HostState(%d)", uint8(s))
}

// Counter says how often one kind of fault took effect.
type Counter struct {
	Name  string
	Count uint64
}

// World is a whole cluster: machines with disks and clocks, the network among
// them, a ZooKeeper, and their time. Everything in it happens inside Step or
// RunUntil, or inside a call of its methods. It is not safe for concurrent use.
type World struct {
	cfg       Config
	random    Random
	trace     *Trace
	scheduler *Scheduler
	network   *netsim.Network
	zookeeper *zksim.Service
	hosts     []*host
	addresses map[string]int // of peers, to their hosts
	operator  *operator
	counts    [faults]uint64

	interrupted bool
	requests    uint64 // of clients, so far
	doing       doing
}

// doing is what a process is at, for whoever has to explain a panic.
type doing struct {
	host int
	kind Kind
}

// Fault is a kind of fault that the world itself counts.
type Fault uint8

const (
	faultCrash Fault = iota
	faultLostSuffix
	faultRestart
	faultPause
	faultSuspend
	faultPowerLoss
	faultStop
	faultWipe
	faultSlowHost
	faultSlowDisk
	faultStallDisk
	faultFailSync
	faultIO
	faultFull
	faultRot
	faultFlipEntry
	faultTorn
	faultFlipTable
	faultFlipLog
	faultMove
	faultCancel
	faultCutZooKeeper
	faultDoorQueued
	faultDoorUnsent
	faultDoorLate
	faultDoorCoalesced
	faultDoorWatchdog
	faultDoorHeld
	faultOrder
	faultCrashInTurn
	FaultMoment
	FaultSpared

	faults
)

var faultNames = [faults]string{
	faultCrash:      "crash",             // a process died with its callbacks
	faultLostSuffix: "crash-lost-suffix", // a crash lost batches that were not durable
	faultRestart:    "restart",           // a process started over a disk used before
	faultPause:      "pause",             // an event came late because its process was paused
	faultSuspend:    "suspend",           // a process met a clock that had leapt over an alarm while its machine stood still
	faultPowerLoss:  "power-loss",        // all processes died at once, two or more
	faultStop:       "stop",              // a process ended gracefully
	faultWipe:       "wipe-disk",         // a disk that had been used was replaced
	faultSlowHost:   "slow-host",         // a turn came late because its host was slow
	faultSlowDisk:   "disk-slow",         // a sync came late because its disk was slow
	faultStallDisk:  "disk-stall",        // a sync came late because its disk stood still
	faultFailSync:   "disk-fail-sync",    // a sync failed
	faultIO:         "disk-eio",          // a read or a write failed
	faultFull:       "disk-full",         // a write found no room
	faultRot:        "disk-rot",          // a key could not be read
	faultFlipEntry:  "disk-flip-entry",   // an entry of a log was read with a flipped bit
	faultTorn:       "disk-torn",         // a crash kept some blocks of what Pebble had not synced
	faultFlipTable:  "disk-flip-table",   // Pebble met a flipped bit in a table
	faultFlipLog:    "disk-flip-wal",     // Pebble met a flipped bit in its log
	faultMove:       "move",              // an outside hand began a move
	faultCancel:     "cancel",            // an outside hand cancelled one

	faultCutZooKeeper: "cut-zookeeper", // a session lost its connection to CutZooKeeper

	faultDoorQueued:    "door-call-queued",     // a call waited for the answer of the one before
	faultDoorUnsent:    "door-call-unsent",     // a call ended unknown since there was no connection
	faultDoorLate:      "door-call-late",       // a call ended unknown since its answer took too long
	faultDoorCoalesced: "door-event-coalesced", // a change was not told since one of its path was on its way
	faultDoorWatchdog:  "door-watchdog",        // a session counted as over that nobody had said was
	faultDoorHeld:      "door-call-held",       // a call waited for the watches to be set again

	faultOrder:       "order-overtaken", // a step ran before one that was due earlier
	faultCrashInTurn: "crash-in-turn",   // a process died between a turn's commit and its last message
	FaultMoment:      "step-at-moment",  // a step came at the moment that it waited for
	FaultSpared:      "step-spared",     // a step did not come since it would have left no majority
}

// MaxHosts bounds Config.Hosts.
const MaxHosts = 64

func (c Config) withDefaults() Config {
	if c.Hosts == 0 {
		c.Hosts = 3
	}
	if c.NewProcess == nil {
		c.NewProcess = NewNode
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 10 * time.Second
	}
	if c.Turns.Most == 0 {
		c.Turns.Most = 1
	}
	setRange(&c.Recovery, 50*time.Millisecond, 2*time.Second)
	setRange(&c.ClientLatency, 50*time.Microsecond, 500*time.Microsecond)
	c.Disk = c.Disk.withDefaults()
	return c
}

func setRange(r *Range, low, high time.Duration) {
	if *r == (Range{}) {
		*r = Range{low, high}
	}
}

// NewNode is the default of Config.NewProcess: it makes a *node.Node.
func NewNode(_ int, cfg node.Config, env node.Env) (Process, error) {
	n, err := node.New(cfg, env)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Validate names the first field that makes no sense, and why.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, err := schedule.ParseStore(string(c.Disk.Store)); err != nil {
		return fmt.Errorf("sim: Disk.Store: %w", err)
	}
	switch {
	case c.Hosts < 1 || c.Hosts > MaxHosts:
		return fmt.Errorf("sim: Hosts is %d; want 1 to %d", c.Hosts, MaxHosts)
	case c.Turns.Most < 1 || c.Turns.Most > maxTurn:
		return fmt.Errorf("sim: Turns.Most is %d; want 1 to %d", c.Turns.Most, maxTurn)
	case c.DriftPPM < 0 || c.DriftPPM > schedule.MaxDriftPPM:
		return fmt.Errorf("sim: DriftPPM is %d; want 0 to %d", c.DriftPPM, schedule.MaxDriftPPM)
	case c.SessionTimeout < 0:
		return fmt.Errorf("sim: SessionTimeout is %v; want above 0", c.SessionTimeout)
	}
	for _, f := range []struct {
		name string
		span Range
	}{
		{"Turns.Delay", c.Turns.Delay}, {"Recovery", c.Recovery}, {"ClientLatency", c.ClientLatency},
		{"Disk.Sync", c.Disk.Sync},
	} {
		if f.span.Min < 0 || f.span.Max < f.span.Min {
			return fmt.Errorf("sim: %s: want 0 <= Min <= Max, have %v and %v", f.name, f.span.Min, f.span.Max)
		}
	}
	return c.Order.Validate()
}

// New makes a world at time 0 in which no process runs yet.
func New(cfg Config) (*World, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	trace := NewTrace(cfg.Steps)
	w := &World{cfg: cfg, addresses: make(map[string]int), random: NewRandom(cfg.Seed), trace: trace, scheduler: NewScheduler(trace)}
	w.scheduler.order = newOrdering(cfg.Order, w.random, func() { w.Count(faultOrder) })
	var err error
	if w.network, err = netsim.New(networkDoor{schedulerPart{w.scheduler, KindNetwork}}, w.random, cfg.Net); err != nil {
		return nil, err
	}
	zk := cfg.ZooKeeper
	zk.OnCommit = func(txn *zktree.Txn, r *zktree.Result) {
		w.operator.onCommit(txn, r)
		if cfg.OnZKCommit != nil {
			cfg.OnZKCommit(txn, r)
		}
	}
	w.zookeeper = zksim.NewService(schedulerPart{w.scheduler, KindZooKeeper}, w.random, zk)
	for i := range cfg.Hosts {
		w.hosts = append(w.hosts, newHost(w, i))
		w.addresses[PeerAddress(i)] = i
	}
	w.operator = newOperator(w)
	return w, nil
}

// Time, steps, draws.

// Now is the virtual time.
func (w *World) Now() time.Duration { return w.scheduler.Now() }

// Random is the world's keyed randomness.
func (w *World) Random() Random { return w.random }

// After runs fn once, d from now, as a step of its own. It is how a schedule
// and a workload act.
func (w *World) After(d time.Duration, fn func()) (stop func()) {
	// So small a function becomes part of its callers, and most drop the result
	// there, which then costs nothing.
	return w.scheduler.Schedule(d, NoHost, KindWorld, fn).drop
}

// Step takes the next step. It is false if nothing waits.
func (w *World) Step() bool {
	w.doing = doing{host: NoHost}
	return w.scheduler.Step()
}

// RunUntil takes all steps up to this virtual time, which it then is, unless
// Interrupt was called. It reports whether it got there.
func (w *World) RunUntil(t time.Duration) bool {
	w.interrupted = false
	for !w.interrupted {
		if at, ok := w.scheduler.next(); !ok || at > t {
			w.scheduler.now = max(w.scheduler.now, t)
			return true
		}
		w.Step()
	}
	return false
}

// NextStep returns the earliest time of the next step; ok is false if nothing
// waits.
func (w *World) NextStep() (at time.Duration, ok bool) { return w.scheduler.next() }

// Steer makes the world follow Config.Order.Picks and Order.Crash, and records
// in t, which may be nil, what there was to choose from. It is called before the
// first step.
func (w *World) Steer(t *Trail) { w.scheduler.order = newSteered(w, w.cfg.Order, t) }

// Interrupt makes RunUntil return after the step under way.
func (w *World) Interrupt() { w.interrupted = true }

// Steps is how many steps there were, those inside turns included.
func (w *World) Steps() uint64 { return w.trace.Steps() }

// Events is how many of the steps were dispatches to a node, a ZooKeeper
// server, a disk or a client.
func (w *World) Events() uint64 { return w.trace.Events() }

// TraceHash is the hash of all steps so far.
func (w *World) TraceHash() uint64 { return w.trace.Hash() }

// Doing says at which host, and in what, the step under way is: words for
// whoever has caught a panic.
func (w *World) Doing() string {
	if w.doing.host == NoHost {
		return fmt.Sprintf("step %d at %v", w.Steps(), w.Now())
	}
	return fmt.Sprintf("step %d at %v: %v at %s", w.Steps(), w.Now(), w.doing.kind, schedule.HostName(w.doing.host))
}

// DoingHost returns the host of the step under way; NoHost if it has none.
func (w *World) DoingHost() int { return w.doing.host }

// Hosts and their processes.

// Hosts is how many machines there are.
func (w *World) Hosts() int { return len(w.hosts) }

// State is what a host's process is doing.
func (w *World) State(host int) HostState { return w.hosts[host].state }

// Running says whether a host has a process that is not paused or stopping.
func (w *World) Running(host int) bool { return w.hosts[host].state == Up }

// Incarnation counts the processes of a host, from 1; 0 before the first.
func (w *World) Incarnation(host int) uint64 { return w.hosts[host].incarnation }

// Failure is what the host's last process said when it failed, nil if it did
// not.
func (w *World) Failure(host int) error { return w.hosts[host].failure }

// Excused says whether a fault of its disk explains that a host's process
// failed.
func (w *World) Excused(host int) bool { return w.hosts[host].disk.faulted() }

// Node is the node that runs on a host, paused or stopping ones included; nil
// if there is none.
func (w *World) Node(host int) *node.Node {
	n, _ := w.hosts[host].process.(*node.Node)
	return n
}

// SessionID returns the ZooKeeper session of a host's process; 0 if it has none.
func (w *World) SessionID(host int) int64 { return w.hosts[host].sessionID() }

// Away reports whether a host's process does not run or is about to end. One
// that is starting counts as back.
func (w *World) Away(host int) bool { return w.hosts[host].away() }

// Disarm cancels a CrashInTurn that has not happened yet.
func (w *World) Disarm(host int) { w.hosts[host].disarm() }

// Drift returns how fast a host's clock runs against true time, in millionths.
func (w *World) Drift(host int) int { return int(w.hosts[host].clock.ppm) }

// Process is what runs on a host; nil if nothing does.
func (w *World) Process(host int) Process { return w.hosts[host].process }

// Store is the host's disk, for reading: what the process has written, durable
// or not. It is there also while no process is.
func (w *World) Store(host int) door.Store { return w.hosts[host].disk }

// Start starts a process on a host that is down, now.
func (w *World) Start(host int) bool { return w.hosts[host].restart(0) }

// Restart starts a process on a host that is down, after a drawn time of
// recovery.
func (w *World) Restart(host int) bool {
	h := w.hosts[host]
	return h.restart(h.recovery.within(w.cfg.Recovery))
}

// Crash kills the host's process and everything that would call it back; of
// what its disk has not synced a seeded prefix survives, batches whole. A
// restart under way is called off. It is false if there was nothing to kill.
func (w *World) Crash(host int) bool { return w.hosts[host].crash() }

// CrashInTurn lets the host's process die in the next turn in which it commits
// something and has messages to send: a drawn number of them, from 0 to 2, goes
// out, no other, and the commit is one that no sync covers yet. A heal takes it
// back while it has not come. It is false if no process is there to die so.
func (w *World) CrashInTurn(host int) bool { return w.hosts[host].crashInTurn() }

// PowerLoss crashes all hosts at one instant and says how many had a process.
func (w *World) PowerLoss() int {
	n := 0
	for _, h := range w.hosts {
		if h.crash() {
			n++
		}
	}
	if n > 1 {
		w.Count(faultPowerLoss)
	}
	return n
}

// Stop asks the host's process to end gracefully. It is down when it has.
func (w *World) Stop(host int) bool { return w.hosts[host].stop() }

// Pause stops the host's process from running, as SIGSTOP does: what comes for
// it waits. Its clock goes on.
func (w *World) Pause(host int) bool { return w.hosts[host].pause() }

// Resume lets a paused process run again; all that waited comes at once.
func (w *World) Resume(host int) bool { return w.hosts[host].resume() }

// Suspend lets a whole machine stand still, as a hypervisor does: its process,
// its end of the network, and for at least d its disk. What is sent to it
// meanwhile is lost or held as by Isolate. wake lets it go on; its clock has
// gone on all the time.
func (w *World) Suspend(host int, d time.Duration) (wake func()) {
	h := w.hosts[host]
	cut := w.network.Isolate(h.netID)
	w.StallDisk(host, d)
	paused := h.pause()
	return func() {
		cut.Heal()
		if paused && h.hasMissedAlarm() {
			w.Count(faultSuspend)
		}
		h.resume()
	}
}

// SlowHost makes each turn of the host's processes wait for a drawn time more,
// until it is called with the zero Range.
func (w *World) SlowHost(host int, by Range) { w.hosts[host].slow = by }

// Wipe replaces the disk of a host that is down by an empty one.
func (w *World) Wipe(host int) bool { return w.hosts[host].wipe() }

// SlowDisk makes each sync of the host's disk take a time drawn from here more,
// until it is called with the zero Range.
func (w *World) SlowDisk(host int, by Range) { w.hosts[host].disk.slow = by }

// StallDisk lets no sync of the host's disk end before d from now.
func (w *World) StallDisk(host int, d time.Duration) {
	w.hosts[host].disk.stallUntil = max(w.hosts[host].disk.stallUntil, w.Now()+d)
}

// FailSync makes the next sync of the host's disk fail, and all after it until
// the process is gone.
func (w *World) FailSync(host int) { w.hosts[host].disk.failNext = true }

// BreakDisk makes every operation on the host's disk fail, until it is called
// with false.
func (w *World) BreakDisk(host int, broken bool) { w.hosts[host].disk.broken = broken }

// FillDisk makes every write to the host's disk fail for want of room, until it
// is called with false.
func (w *World) FillDisk(host int, full bool) { w.hosts[host].disk.full = full }

// RotDisk damages one key of the host's disk, so that reading it is an error;
// or, if silent, one entry of a log, which is read with one bit flipped. repair
// takes it back; nil if the disk holds nothing of the kind.
func (w *World) RotDisk(host int, silent bool) (repair func()) {
	d := w.hosts[host].disk
	if !d.beginRot(silent) {
		return nil
	}
	damage := d.rot
	return func() {
		if d.rot == damage {
			d.rot = nil
		}
	}
}

// FlipTable crashes the host's process and flips a bit in one of Pebble's
// tables on its disk; FlipLog does so in Pebble's log. It is false if nothing
// was flipped: the store is not PebbleRaw, the cluster is not formed, there is
// nothing to flip, or one replica more on a damaged disk might be a majority of
// a partition's. No process starts on a disk whose damage was found.
func (w *World) FlipTable(host int) bool { return w.flip(host, faultFlipTable) }

// FlipLog is as FlipTable says.
func (w *World) FlipLog(host int) bool { return w.flip(host, faultFlipLog) }

func (w *World) flip(host int, what Fault) bool {
	h, l := w.hosts[host], w.Layout()
	h.crash()
	if l == nil || h.disk.flipped != 0 || w.damaged() >= (l.Replication()-1)/2 {
		return false
	}
	if !h.disk.medium.flip(what, h.disk.rots.word()) {
		return false
	}
	h.disk.flipped = what
	return true
}

// damaged is how many disks have a flipped bit.
func (w *World) damaged() int {
	n := 0
	for host := range w.hosts {
		if w.Damaged(host) {
			n++
		}
	}
	return n
}

// Damaged says whether a bit of the host's disk was flipped below its store,
// which may be met at any time, or never.
func (w *World) Damaged(host int) bool { return w.hosts[host].disk.flipped != 0 }

// Ruined says whether the damage of the host's disk was found: it stays down.
func (w *World) Ruined(host int) bool { return w.hosts[host].disk.ruined }

// Close lets go of what the world's stores hold; the world is over. Only worlds
// with a Disk.Store other than ModelStore need it.
func (w *World) Close() {
	for _, h := range w.hosts {
		h.disk.medium.close()
	}
}

// The network and ZooKeeper.

// Network is the network among the hosts, to make and heal faults in it.
func (w *World) Network() *netsim.Network { return w.network }

// NetID is a host's number in the network.
func (w *World) NetID(host int) netsim.HostID { return w.hosts[host].netID }

// ZooKeeper is the service, to make faults in it. Hosts go by HostName there.
// Cuts of hosts are the world's: CutZooKeeper and HealZooKeeper.
func (w *World) ZooKeeper() *zksim.Service { return w.zookeeper }

// CutZooKeeper stops everything between a host and ZooKeeper.
func (w *World) CutZooKeeper(host int) {
	w.hosts[host].cutFromZK = true
	w.zookeeper.CutHost(schedule.HostName(host))
}

// HealZooKeeper takes CutZooKeeper back.
func (w *World) HealZooKeeper(host int) {
	w.hosts[host].cutFromZK = false
	w.hosts[host].healZK()
}

// ExpireSession makes ZooKeeper end the session of the host's process. It is
// false if there is none, or ZooKeeper can't now.
func (w *World) ExpireSession(host int) bool {
	id := w.hosts[host].sessionID()
	return id != 0 && w.zookeeper.ExpireSession(id)
}

// HealCore ends all that ails these hosts, the links among them and
// ZooKeeper; the rest stays as it is. Processes that are down stay down.
func (w *World) HealCore(core ...int) {
	ids := make([]netsim.HostID, 0, len(core))
	for _, host := range core {
		ids = append(ids, w.hosts[host].netID)
		w.hosts[host].heal()
	}
	w.network.HealAmong(ids...)
	w.zookeeper.Heal()
	for i, h := range w.hosts {
		if !slices.Contains(core, i) && (h.cutFromZK || h.state == Paused) {
			w.zookeeper.CutHost(schedule.HostName(i))
		}
	}
}

// HealAll ends every fault there is. Processes that are down stay down.
func (w *World) HealAll() {
	for _, h := range w.hosts {
		h.heal()
	}
	w.network.HealAll()
	w.zookeeper.Heal()
}

// The layout, as ZooKeeper has it.

// Layout is the layout as ZooKeeper's leader has it now; nil before it is
// formed, or if it can't be read.
func (w *World) Layout() *layout.Layout { return w.operator.peek() }

// MemberOf is the number of the member that is this host's node and not gone;
// 0 if there is none.
func (w *World) MemberOf(host int) node.MemberNumber {
	l := w.Layout()
	if l == nil {
		return 0
	}
	m, _ := l.MemberByNode(node.NodeID(schedule.HostName(host)))
	return m.Number
}

// HostOf is the host of a member; NoHost if it is unknown.
func (w *World) HostOf(member node.MemberNumber) int {
	l := w.Layout()
	if l == nil {
		return NoHost
	}
	m, ok := l.Member(member)
	if !ok {
		return NoHost
	}
	return w.HostNamed(string(m.Node))
}

// HostNamed returns the host of a node id; NoHost if there is none.
func (w *World) HostNamed(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || n < 1 || n > len(w.hosts) {
		return NoHost
	}
	return n - 1
}

// Move is an outside hand that begins a move of a partition (L2), its primary
// unchanged. It reads the layout through a ZooKeeper session of its own,
// compares and sets, tries again after conflicts, and gives up after a bound of
// time. done, which may be nil, hears whether the step was surely taken.
func (w *World) Move(p node.PartitionID, replicas []node.MemberNumber, done func(taken bool)) {
	w.operator.ask(wish{kind: layout.BeginMove, partition: p, next: slices.Clone(replicas), done: done})
}

// Cancel is an outside hand that cancels the move of a partition (L4), as Move
// does.
func (w *World) Cancel(p node.PartitionID, done func(taken bool)) {
	w.operator.ask(wish{kind: layout.CancelMove, partition: p, done: done})
}

// Counters are how often each kind of fault took effect, zeros included,
// sorted by name. Those of the network begin with "net-", those of ZooKeeper
// with "zk-".
func (w *World) Counters() []Counter {
	var all []Counter
	for f, name := range faultNames {
		all = append(all, Counter{name, w.counts[f]})
	}
	for _, c := range w.network.Counters() {
		all = append(all, Counter{"net-" + c.Name, c.Count})
	}
	for _, c := range w.zookeeper.Counters() {
		all = append(all, Counter{"zk-" + c.Name, c.Count})
	}
	slices.SortFunc(all, func(a, b Counter) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Count counts that a fault took effect.
func (w *World) Count(f Fault) { w.counts[f]++ }
