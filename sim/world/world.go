package world

import (
	"fmt"
	"time"

	"dkv/netsim"
	"dkv/sim/schedule"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// World is a simulated cluster: hosts with disks and clocks, the network between
// them, ZooKeeper, and virtual time. Everything happens inside Step, RunUntil or
// another method call, on the caller's goroutine: that is what makes a run a
// function of its Config and of the calls. A World is not safe for concurrent
// use.
type World struct {
	cfg       Config
	random    Random
	trace     *trace
	scheduler *scheduler
	network   *netsim.Network
	zookeeper *zksim.Service
	hosts     []*host
	addresses map[string]int // hosts by peer address
	operator  *operator
	turns     TurnSizes
	counts    [faults]uint64

	interrupted bool
	requests    uint64 // number of the last client request
	activity    activity
}

// activity names the host and the kind of the step under way, so that a panic
// can be attributed.
type activity struct {
	host int
	kind stepKind
}

// New makes a world at virtual time 0. No process runs yet.
func New(cfg Config) (*World, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	trace := newTrace(cfg.Steps)
	w := &World{cfg: cfg, addresses: make(map[string]int), random: NewRandom(cfg.Seed), trace: trace, scheduler: newScheduler(trace)}
	w.scheduler.order = newOrdering(cfg.Order, w.random, func() { w.Count(faultOrder) })
	var err error
	if w.network, err = netsim.New(networkDoor{schedulerPart{w.scheduler, kindNetwork}}, w.random, cfg.Net); err != nil {
		return nil, err
	}
	zk := cfg.ZooKeeper
	zk.OnCommit = func(txn *zktree.Txn, r *zktree.Result) {
		w.operator.onCommit(txn, r)
		if cfg.OnZKCommit != nil {
			cfg.OnZKCommit(txn, r)
		}
	}
	w.zookeeper = zksim.NewService(schedulerPart{w.scheduler, kindZooKeeper}, w.random, zk)
	for i := range cfg.Hosts {
		w.hosts = append(w.hosts, newHost(w, i))
		w.addresses[PeerAddress(i)] = i
	}
	w.operator = newOperator(w)
	return w, nil
}

// Time and steps.

// Now returns the virtual time.
func (w *World) Now() time.Duration { return w.scheduler.Now() }

// Random returns the world's source of keyed draws.
func (w *World) Random() Random { return w.random }

// After runs fn once, d from now, as a step of its own. Schedules and workloads
// act through it.
func (w *World) After(d time.Duration, fn func()) (stop func()) {
	// This function is small enough to be inlined. Most callers drop stop, and
	// then the method value is never allocated.
	return w.scheduler.Schedule(d, NoHost, kindWorld, fn).drop
}

// Step runs the next step. It returns false if nothing waits.
func (w *World) Step() bool {
	w.activity = activity{host: NoHost}
	return w.scheduler.Step()
}

// RunUntil runs all steps that are due up to virtual time t, and advances the
// time to t. It returns false if Interrupt ended it early.
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
// in t, which may be nil, the choices that there were. Call it before the first
// step.
func (w *World) Steer(t *Trail) { w.scheduler.order = newSteered(w, w.cfg.Order, t) }

// Interrupt makes RunUntil return after the step under way.
func (w *World) Interrupt() { w.interrupted = true }

// Steps returns the number of steps so far, including those inside turns.
func (w *World) Steps() uint64 { return w.trace.Steps() }

// Events returns how many of the steps were dispatches to a node, a ZooKeeper
// server, a disk or a client.
func (w *World) Events() uint64 { return w.trace.Events() }

// TraceHash returns the hash of all steps so far.
func (w *World) TraceHash() uint64 { return w.trace.Hash() }

// Doing describes the step under way, for the report of a panic.
func (w *World) Doing() string {
	if w.activity.host == NoHost {
		return fmt.Sprintf("step %d at %v", w.Steps(), w.Now())
	}
	return fmt.Sprintf("step %d at %v: %v at %s", w.Steps(), w.Now(), w.activity.kind, schedule.HostName(w.activity.host))
}

// DoingHost returns the host of the step under way, or NoHost.
func (w *World) DoingHost() int { return w.activity.host }

// Close releases what the world's stores hold. Do not use the world afterwards.
// Only worlds with a Disk.Store other than ModelStore need it.
func (w *World) Close() {
	for _, h := range w.hosts {
		h.disk.medium.close()
		if h.aside != nil {
			h.aside.medium.close()
		}
	}
}

// The network and ZooKeeper.

// Network returns the network between the hosts, to begin and heal faults in it.
func (w *World) Network() *netsim.Network { return w.network }

// NetID returns a host's number in the network.
func (w *World) NetID(host int) netsim.HostID { return w.hosts[host].netID }

// ZooKeeper returns the service, to begin faults in it. Hosts have their
// schedule.HostName there. Do not cut hosts off with it: a pause cuts a host off
// too, and only CutZooKeeper and HealZooKeeper combine the two.
func (w *World) ZooKeeper() *zksim.Service { return w.zookeeper }
