package sim

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
	"dkv/zksim"
)

// RunOptions configures how a run is observed; it never affects the trace.
type RunOptions struct {
	// Steps, if not nil, gets a line for each step.
	Steps io.Writer
	// Note, if not nil, is called with a line of text for each notable event of the
	// run and of its nodes.
	Note func(at time.Duration, what string)
	// Pause, if not nil, is called before each step. It may inspect the world but
	// must not change it. If it returns false, the run ends there.
	Pause func(w *world.World) (proceed bool)

	timeline *timelineRecorder // if not nil, records the timeline for a report
	trail    *world.Trail      // if not nil, records the choices of a steered run
}

// Run runs a schedule and judges it. Two runs of one schedule are equal to the last
// step. Run returns an error if no simulated world can be made from the schedule.
//
// A run has phases. First the schedule's faults strike while clients send
// requests. Then a viable core of the nodes is healed, the others stay broken, and
// the core must answer all requests; in some runs the faults then stand still for a
// while. Then everything is healed and the replicas must become identical. In some
// runs ZooKeeper is then stopped, in others the nodes are restarted one after the
// other. Then every key is read. At the end no request is left, and the nodes must
// count none.
func Run(s *schedule.Schedule, o RunOptions) (*Result, error) {
	return runProcesses(s, o, nil)
}

// runProcesses runs a schedule with the processes that newProcess makes, or with
// nodes if it is nil.
func runProcesses(s *schedule.Schedule, o RunOptions, newProcess func(int, node.Config, node.Env) (world.Process, error)) (*Result, error) {
	r := newRun(s, o)
	r.newProcess = newProcess
	return r.execute()
}

// runner is Run or the Run method of a System.
type runner func(s *schedule.Schedule, o RunOptions) (*Result, error)

func newRun(s *schedule.Schedule, o RunOptions) *run {
	r := &run{schedule: s, setup: &s.Setup, options: o, uses: newUses()}
	r.verdict = &verdict{where: r.where}
	r.planned = allPlanned(s)
	return r
}

func (r *run) execute() (*Result, error) {
	s, o := r.schedule, r.options
	r.invariants = newInvariants(r.verdict, s.Setup.Hosts(), s.Setup.Partitions)
	r.repeats = newRepeats(s.Setup.Hosts(), s.Setup.Partitions, func(f world.Fault) { r.world.Count(f) }, r.invariants.layouts.host)
	r.handBacks = newHandBacks(s.Setup.Hosts(), s.Setup.Partitions)
	r.hearing = newHearing(&s.Setup)
	r.learners = newLearnerFacts(s.Setup.Hosts(), s.Setup.Partitions)
	r.snapshots = newSnapshots(s.Setup.Partitions)
	r.traffic = newTraffic(&s.Setup)
	r.strangers = make([]turnedAway, s.Setup.Strangers)
	if random := world.NewRandom(s.Setup.Seed); random.Below(8, "run ring", 0, 0) == 0 {
		r.invariants.ringPartitions = 1 << (6 + random.Below(6, "run ring size", 0, 0))
	}
	w, err := world.New(r.config())
	if err != nil {
		return nil, err
	}
	defer w.Close()
	r.world = w
	if s.Setup.Order.Mode == schedule.Steered {
		w.Steer(o.trail)
	}
	r.load = newWorkload(w, r.setup)
	r.load.ended, r.load.answered = r.onOperation, r.onAnswer
	r.scripts = world.NewZKScripts(w, s.Setup.ZKScripts, r.note)
	r.desk = newDesk(w, r.setup, r.pace(), r.isStranger)
	r.begin()
	for _, phase := range r.phases() {
		if phase(); r.aborted {
			break
		}
		r.checkAccounts()
	}
	r.checkTraffic()
	r.load.stopped = true
	r.auditZooKeeper()
	return r.result(), nil
}

// phases returns the phases that the setup does not leave out.
func (r *run) phases() []func() {
	phases := []func(){r.faultPhase}
	if r.setup.Phases.Core > 0 {
		phases = append(phases, r.corePhase)
		if r.setup.Steady.Time > 0 {
			phases = append(phases, r.steadyPhase)
		}
	}
	if r.setup.Phases.Converge > 0 {
		phases = append(phases, r.convergePhase, r.alonePhase, r.rollPhase, r.readPhase, r.quietPhase)
	}
	return phases
}

// run is one run in progress.
type run struct {
	schedule   *schedule.Schedule
	setup      *schedule.Setup
	options    RunOptions
	newProcess func(int, node.Config, node.Env) (world.Process, error)
	system     *System // nil: DKV
	world      *world.World
	verdict    *verdict
	invariants *invariants
	repeats    *repeats
	handBacks  *handBacks
	learners   *learnerFacts
	hearing    *hearing
	snapshots  *snapshots
	traffic    *traffic
	uses       *uses
	load       *workload
	faults     *injector
	scripts    *world.ZKScripts
	desk       *desk

	lateOutside bool // a node outside the core hears ever older news
	core        *core
	severed     severed // links that are cut inside the core
	untouched   uint    // hosts outside the core that stay as they are, as bits
	steady      *steady // nil: faults do not stand still
	alone       bool    // ZooKeeper is stopped for good
	strangers   []turnedAway

	panics  int
	aborted bool // by a panic of the harness, by Pause, or because the run does not end

	planned     bool   // members come and go, and nothing fails
	lastUnknown string // why the last answer was unknown

	called, done, refused, unknown int
}

func (r *run) where() (time.Duration, uint64) {
	if r.world == nil {
		return 0, 0
	}
	return r.world.Now(), r.world.Steps()
}

func (r *run) note(format string, args ...any) {
	if r.options.Note != nil {
		r.options.Note(r.world.Now(), fmt.Sprintf(format, args...))
	}
}

const clusterName = "sim"

// moveRate translates a schedule's rate, in which 0 means that no moves are begun.
func moveRate(rate int) int {
	if rate == 0 {
		return -1
	}
	return rate
}

func (r *run) config() world.Config {
	s := r.setup
	return world.Config{
		Seed:  s.Seed,
		Hosts: s.Hosts(),
		Node: node.Config{
			Cluster: clusterName, Expect: s.Nodes, Partitions: s.Partitions, Replication: s.Replication, Ring: s.Ring,
			SuspectAfter: s.SuspectAfter, RequestTimeout: s.RequestTimeout, MoveTimeout: s.MoveTimeout,
			SettleTime: s.SettleTime, RetainEntries: s.RetainEntries, RetainBytes: s.RetainBytes,
			ChunkBytes: s.ChunkBytes, ViewTime: s.ViewTime, ReplaceAfter: replaceAfter(s.ReplaceAfter),
			MoveRate: moveRate(s.MoveRate), CopyLogBytes: s.CopyLogBytes,
			MaxUncommittedBytes: s.UncommittedBytes, MaxNodeUncommittedBytes: 4 * s.UncommittedBytes,
		},
		Net: netsim.Config{
			Mode: s.Network, Latency: netsim.Latency{Min: s.LatencyMin, Mean: s.LatencyMean}, Rates: s.Rates,
			QueueFrames: s.QueueFrames,
		},
		ZooKeeper: zksim.Config{
			Servers: s.ZKServers, Rates: s.ZKRates,
			Tick:              s.SessionTimeout / 4,
			MinSessionTimeout: s.SessionTimeout, MaxSessionTimeout: s.SessionTimeout,
			PauseRate: pauseRate(s.ZKPause), Sweep: 4 * time.Second,
			Checker: zksim.NewChecker(func(v zksim.Violation) {
				r.verdict.broken(Invariant, "ZooKeeper: %s: %s", v.Rule, v.What)
			}),
		},
		Configure: func(host int, cfg *node.Config) {
			cfg.Zone, cfg.Weight = s.Zones.Zone(host), s.Weights.Weight(host)
			if host >= s.Nodes {
				cfg.Join = node.JoinApprove // which the step join does
			}
		},
		ClockPPM:       s.ClockPPM,
		Door:           s.Door,
		NewProcess:     r.newProcess,
		SessionTimeout: s.SessionTimeout,
		Recovery:       between(schedule.LeastRecovery, s.Recovery),
		Disk:           world.DiskProfile{Sync: between(s.Sync.Min, s.Sync.Max), Store: s.Store},
		Turns:          world.TurnProfile{Most: s.Turn, Delay: between(s.TurnMin, s.TurnMax)},
		Order:          s.Order,
		DriftPPM:       s.Drift,
		OnEvent:        r.onEvent,
		OnSend:         r.onSend,
		OnReceive:      r.onReceive,
		OnBroken:       func(host int, err error) { r.verdict.broken(Assertion, "%s: %v", schedule.HostName(host), err) },
		OnHost:         r.onHost,
		OnDisk:         r.invariants.onDisk,
		OnZKCommit:     r.onZKCommit,
		Steps:          r.options.Steps,
	}
}

// replaceAfter converts a schedule's time, in which 0 means never.
func replaceAfter(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// pauseRate converts a probability for zksim, where 0 means the default.
func pauseRate(chance float64) float64 {
	switch chance {
	case schedule.EvenPause:
		return 0
	case 0:
		return -1
	}
	return chance
}

// patience returns how long a check of the last phases waits: 20 s, or longer if
// the nodes take longer to suspect one another.
func (r *run) patience() time.Duration {
	return max(20*time.Second, 20*r.slowest())
}

// pace returns how often a phase asks whether it is over, and its clients repeat
// their requests: every 100 ms, or less often if nodes take longer to suspect one
// another.
func (r *run) pace() time.Duration { return max(100*time.Millisecond, r.slowest()/10) }

// slowest returns how long suspect-after lasts on the node with the slowest clock.
func (r *run) slowest() time.Duration { return slices.Max(r.setup.SuspectAfters()) }

// longest returns how long a time by the slowest node's clock lasts.
func (r *run) longest(d time.Duration) (most time.Duration) {
	for h := range r.setup.Hosts() {
		most = max(most, r.setup.Lasts(h, d))
	}
	return most
}

// shortest returns how long a time by the fastest node's clock lasts.
func (r *run) shortest(d time.Duration) time.Duration {
	least := d
	for h := range r.setup.Hosts() {
		least = min(least, r.setup.Lasts(h, d))
	}
	return least
}

// auditZooKeeper checks the guarantees of the simulated ZooKeeper over the whole
// run, so that a bug of the simulator is not mistaken for one of DKV.
func (r *run) auditZooKeeper() {
	if r.aborted {
		return
	}
	r.world.ZooKeeper().Audit()
	for _, what := range r.scripts.Audit() {
		r.verdict.broken(Invariant, "ZooKeeper: %s", what)
	}
}

// begin schedules the starts of the nodes, within a short while of one another,
// and sets up the clients and the faults.
func (r *run) begin() {
	for host := range r.setup.Nodes {
		r.world.After(starting(r.world.Random(), host), func() {
			if r.world.State(host) == world.Down {
				r.world.Start(host)
			}
		})
	}
	for host := r.setup.Nodes; host < r.setup.Hosts(); host++ {
		r.startStranger(host)
	}
	if r.setup.Workload.Source == schedule.Listed {
		r.load.list(r.schedule.Calls)
	} else {
		r.world.After(time.Second, r.load.start)
	}
	r.scripts.Begin()
	r.faults = newInjector(r.world, r.schedule)
	r.faults.note = r.note
	r.faults.timeline = r.options.timeline
	r.faults.ask = r.ask
	r.faults.desk = r.desk
}

func (r *run) faultPhase() {
	r.until(r.setup.Phases.Faults, nil)
	r.faults.over = true
	r.scripts.End()
}

// until runs to a point of virtual time, or until finished, which it calls at
// the run's pace, returns true.
func (r *run) until(t time.Duration, finished func() bool) bool {
	pace := r.pace()
	for !r.aborted {
		if finished != nil && finished() {
			return true
		}
		next := t
		if finished != nil {
			next = min(t, r.world.Now()+pace)
		}
		for !r.aborted && !r.advance(next) {
		}
		if r.world.Now() >= t {
			return finished != nil && !r.aborted && finished()
		}
	}
	return false
}

// advance runs to a point of virtual time. A panic ends only the simulated process
// in which it happens, as it would in reality; advance then returns false, and the
// caller continues.
func (r *run) advance(t time.Duration) (arrived bool) {
	defer func() {
		if what := recover(); what != nil {
			r.onPanic(what)
		}
	}()
	for {
		at, ok := r.world.NextStep()
		if !ok || at > t {
			return r.world.RunUntil(t)
		}
		if r.world.Steps() > schedule.MaxRunSteps {
			r.verdict.broken(Progress, "the run does not end: it has taken %d steps", r.world.Steps())
			r.aborted = true
			return true
		}
		if r.options.Pause != nil && !r.options.Pause(r.world) {
			r.aborted = true
			return true
		}
		r.world.Step()
		if len(r.snapshots.pending) > 0 {
			r.checkInstalled()
		}
	}
}

func (r *run) onPanic(what any) {
	host := r.world.DoingHost()
	if host == world.NoHost || r.panics == maxRunPanics {
		r.verdict.broken(Assertion, "panic outside the nodes, at %s: %v\n%s", r.world.Doing(), what, debug.Stack())
		r.aborted = true
		return
	}
	r.panics++
	r.verdict.broken(Assertion, "panic at %s: %v%s", r.world.Doing(), what, panicPlace(what))
	r.note("%s panics: %v", schedule.HostName(host), what)
	r.options.timeline.event(r.world.Now(), linearizability.BandFault, "%s panics: %v", schedule.HostName(host), what)
	r.world.Crash(host)
	r.restartSoon(host)
}

// panicPlace returns the stack of a panic, or "" for an assertion, whose text says
// enough.
func panicPlace(what any) string {
	if _, ours := what.(node.Assertion); ours {
		return ""
	}
	return "\n" + string(debug.Stack())
}

// maxRunPanics bounds the number of panics that a run survives.
const maxRunPanics = 16
