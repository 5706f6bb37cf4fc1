package sim

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// RunOptions are what does not change a run.
type RunOptions struct {
	// Steps, if not nil, gets a line for each step.
	Steps io.Writer
	// Note, if not nil, hears in words what the run does, and what of note the
	// nodes say.
	Note func(at time.Duration, what string)
	// Pause, if not nil, is asked before each step that the scheduler takes. It
	// may look at the world and must not change it; if it says no, the run ends
	// there.
	Pause func(w *world.World) (goOn bool)

	scene *sceneRecorder // of a report; nil: nobody wants one
	trail *world.Trail   // of a steered run; nil: nobody wants it
}

// Result is what a run was and what it showed.
type Result struct {
	Schedule *schedule.Schedule
	// Origin is the schedule that Shrink made this one of; nil of a run that
	// nobody minimised.
	Origin     *schedule.Schedule
	Violations []Violation // in the order found
	Classes    []Class     // that fired; empty: the run passed

	Steps   uint64
	Events  uint64
	Virtual time.Duration
	Trace   uint64 // hash of every step

	Counters []world.Counter         // how often faults took effect
	Spared   []int                   // steps, by their places in the schedule, that its budget forbade
	Probes   [node.EventKinds]uint64 // events of the nodes, by kind
	// UnknownSeen is how many writes of unknown outcome were read later.
	UnknownSeen    uint64
	PrimaryChanges int
	// Called in the fault phase, and how those ended.
	Called, Done, Refused, Unknown int

	History []linearizability.Operation
	Check   *linearizability.Result
}

// Run runs a schedule from its beginning to its verdict. Two runs of one
// schedule are equal to the last step. The error is that of a schedule that no
// world can be made of.
//
// A run has four phases. The schedule's faults come while clients ask. Then a
// viable core of nodes is healed, the rest stays broken, and the core has to
// answer everything. Then all is healed and the replicas have to become
// identical. Then ZooKeeper goes away in some runs, and every key is read.
func Run(s *schedule.Schedule, o RunOptions) (*Result, error) {
	return runProcesses(s, o, nil)
}

// runProcesses runs a schedule over processes of another kind than nodes, if
// newProcess is not nil.
func runProcesses(s *schedule.Schedule, o RunOptions, newProcess func(int, node.Config, node.Env) (world.Process, error)) (*Result, error) {
	r := newRun(s, o)
	r.newProcess = newProcess
	return r.play()
}

// runner is Run, or that of a System.
type runner func(s *schedule.Schedule, o RunOptions) (*Result, error)

func newRun(s *schedule.Schedule, o RunOptions) *run {
	r := &run{schedule: s, setup: &s.Setup, options: o}
	r.verdict = &verdict{where: r.where}
	return r
}

func (r *run) play() (*Result, error) {
	s, o := r.schedule, r.options
	r.invariants = newInvariants(r.verdict, s.Setup.Nodes, s.Setup.Partitions)
	r.handBacks = newHandBacks(s.Setup.Nodes, s.Setup.Partitions)
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
	r.load.ended = r.onOperation
	r.scripts = world.NewZKScripts(w, s.Setup.ZKScripts, r.note)
	r.begin()
	for _, phase := range r.phases() {
		if phase(); r.aborted {
			break
		}
	}
	r.load.stopped = true
	r.auditZooKeeper()
	return r.result(), nil
}

// phases are those that the setup does not leave out.
func (r *run) phases() []func() {
	phases := []func(){r.faultPhase}
	if r.setup.Phases.Core > 0 {
		phases = append(phases, r.corePhase)
	}
	if r.setup.Phases.Converge > 0 {
		phases = append(phases, r.convergePhase, r.alonePhase, r.readPhase)
	}
	return phases
}

// run is one run under way.
type run struct {
	schedule   *schedule.Schedule
	setup      *schedule.Setup
	options    RunOptions
	newProcess func(int, node.Config, node.Env) (world.Process, error)
	system     *System // nil: DKV
	world      *world.World
	verdict    *verdict
	invariants *invariants
	handBacks  *handBacks
	load       *workload
	faults     *faultPlayer
	scripts    *world.ZKScripts

	panics  int
	aborted bool // by a panic of the harness, or because it does not end

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

func (r *run) config() world.Config {
	s := r.setup
	return world.Config{
		Seed:  s.Seed,
		Hosts: s.Nodes,
		Node: node.Config{
			Cluster: clusterName, Expect: s.Nodes, Partitions: s.Partitions, Replication: s.Replication,
			SuspectAfter: s.SuspectAfter, RequestTimeout: s.RequestTimeout, MoveTimeout: s.MoveTimeout,
			SettleTime: s.SettleTime, RetainEntries: s.RetainEntries, RetainBytes: s.RetainBytes,
			ChunkBytes: s.ChunkBytes, ViewTime: s.ViewTime,
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
		Door:           s.Door,
		NewProcess:     r.newProcess,
		SessionTimeout: s.SessionTimeout,
		Recovery:       between(schedule.LeastRecovery, s.Recovery),
		Disk:           world.DiskProfile{Sync: between(s.Sync.Min, s.Sync.Max), Store: s.Store},
		Turns:          world.TurnProfile{Most: s.Turn, Delay: between(0, 200*time.Microsecond)},
		Order:          s.Order,
		DriftPPM:       s.Drift,
		OnEvent:        r.onEvent,
		OnBroken:       func(host int, err error) { r.verdict.broken(Assertion, "%s: %v", schedule.HostName(host), err) },
		OnHost:         r.onHost,
		OnZKCommit:     r.onZKCommit,
		Steps:          r.options.Steps,
	}
}

// pauseRate is zksim's word for a chance, in which 0 stands for the default.
func pauseRate(chance float64) float64 {
	switch chance {
	case schedule.EvenPause:
		return 0
	case 0:
		return -1
	}
	return chance
}

// auditZooKeeper holds the simulated ZooKeeper to its promises once more, as a
// whole.
func (r *run) auditZooKeeper() {
	if r.aborted {
		return
	}
	r.world.ZooKeeper().Audit()
	for _, what := range r.scripts.Audit() {
		r.verdict.broken(Invariant, "ZooKeeper: %s", what)
	}
}

func (r *run) onEvent(host int, ev node.Event) {
	r.invariants.onEvent(host, r.world.ProcessNumber(host), &ev)
	switch ev.Kind {
	case node.EventRegistered:
		r.checkRegistration(host)
	case node.EventTakeOver:
		r.handBacks.onTakeOver(host, r.world.ProcessNumber(host), ev.Partition)
	}
	if r.options.Note != nil {
		r.note("%s: %s", schedule.HostName(host), world.EventWords(&ev))
	}
	r.options.scene.onEvent(r.world.Now(), host, &ev)
	r.faults.onEvent(host, &ev)
}

// checkRegistration: a node that says it is registered owns live/<id>, unless
// that has gone meanwhile.
func (r *run) checkRegistration(host int) {
	own, holder := r.world.SessionID(host), r.registeredBy(host)
	if holder != 0 && holder != own {
		r.verdict.broken(Invariant, "%s takes itself for registered by session %x, but live/%s belongs to session %x",
			schedule.HostName(host), own, schedule.HostName(host), holder)
	}
}

func livePath(name string) string { return "/dkv/" + clusterName + "/live/" + name }

// registeredBy is the session that holds a host's live/<id>; 0: there is none.
func (r *run) registeredBy(host int) int64 {
	_, stat, code := r.world.ZooKeeper().Peek(livePath(schedule.HostName(host)))
	if code != zktree.OK {
		return 0
	}
	return stat.EphemeralOwner
}

// checkFormed: at the instant at which the layout is created, all its members are
// registered, each with the disk that the layout names.
func (r *run) checkFormed() {
	l := r.world.Layout()
	if l == nil {
		return // which the invariants have seen
	}
	for _, m := range l.Members() {
		data, _, code := r.world.ZooKeeper().Peek(livePath(string(m.Node)))
		switch {
		case code != zktree.OK:
			r.verdict.broken(Invariant, "the cluster was formed with %s, which was not registered at that instant", m.Node)
		case !bytes.Contains(data, []byte(m.Store)):
			r.verdict.broken(Invariant, "the cluster was formed with disk %s of %s, which had registered with another one", m.Store, m.Node)
		}
	}
}

// onHost: a node fails only because its disk did, and comes back.
func (r *run) onHost(host int, change world.HostChange) {
	r.note("%s %v", schedule.HostName(host), change)
	r.options.scene.onHost(r.world.Now(), host, change)
	if change == world.HostStopped && r.faults.over {
		r.restartSoon(host) // the step that was to start it again is not in force any more
	}
	if change != world.HostFailed {
		return
	}
	if !r.world.Excused(host) {
		r.verdict.broken(Assertion, "%s failed: %v", schedule.HostName(host), r.world.Failure(host))
	}
	r.restartSoon(host)
}

func (r *run) restartSoon(host int) {
	r.world.After(500*time.Millisecond, func() { r.world.Restart(host) })
}

// onZKCommit hands every change of the layout's znode to the invariants.
func (r *run) onZKCommit(txn *zktree.Txn, result *zktree.Result) {
	if result.Failed || result.Err != zktree.OK {
		return
	}
	if txn.Code != zktree.OpMulti {
		r.onZKOp(&txn.Op, result.Stat.Version)
		return
	}
	for i := range txn.Ops {
		r.onZKOp(&txn.Ops[i], result.Ops[i].Stat.Version)
	}
}

func (r *run) onZKOp(op *zktree.Op, version int32) {
	if op.Path != "/dkv/"+clusterName+"/layout" {
		return
	}
	switch op.Code {
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpSetData:
		r.note("layout %d: %s", version, op.Data)
		r.invariants.onLayout(op.Data, version, func(id node.NodeID) int { return r.world.HostNamed(string(id)) })
		if op.Code != zktree.OpSetData {
			r.checkFormed()
		}
	case zktree.OpDelete:
		r.invariants.onLayoutGone()
	}
}

func (r *run) onOperation(op linearizability.Operation, outcome linearizability.Outcome) {
	if op.CallTime >= r.setup.Phases.Faults {
		return
	}
	r.called++
	switch outcome {
	case linearizability.OK:
		r.done++
	case linearizability.Refused:
		r.refused++
	default:
		r.unknown++
	}
}

// begin lets the nodes start within a short while of one another.
func (r *run) begin() {
	for host := range r.setup.Nodes {
		r.world.After(starting(r.world.Random(), host), func() {
			if r.world.State(host) == world.Down {
				r.world.Start(host)
			}
		})
	}
	if r.setup.Workload.Source == schedule.Listed {
		r.load.list(r.schedule.Calls)
	} else {
		r.world.After(time.Second, r.load.start)
	}
	r.scripts.Begin()
	r.faults = newFaultPlayer(r.world, r.schedule)
	r.faults.note = r.note
	r.faults.scene = r.options.scene
	r.faults.ask = r.ask
}

func (r *run) faultPhase() {
	r.until(r.setup.Phases.Faults, nil)
	r.faults.over = true
	r.scripts.End()
}

// until runs to a point of virtual time, or until finished says so, which is
// asked now and then.
func (r *run) until(t time.Duration, finished func() bool) bool {
	const pace = 100 * time.Millisecond
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

// advance runs to a point of virtual time. A panic ends the process in which it
// happened, as it does in reality; it is false then, and time goes on after.
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
			r.verdict.broken(Progress, "the run does not end: %d steps", r.world.Steps())
			r.aborted = true
			return true
		}
		if r.options.Pause != nil && !r.options.Pause(r.world) {
			r.aborted = true
			return true
		}
		r.world.Step()
	}
}

func (r *run) onPanic(what any) {
	host := r.world.DoingHost()
	if host == world.NoHost || r.panics == maxRunPanics {
		r.verdict.broken(Assertion, "panic outside the nodes at %s: %v\n%s", r.world.Doing(), what, debug.Stack())
		r.aborted = true
		return
	}
	r.panics++
	r.verdict.broken(Assertion, "panic at %s: %v%s", r.world.Doing(), what, panicPlace(what))
	r.note("%s panics: %v", schedule.HostName(host), what)
	r.options.scene.moment(r.world.Now(), linearizability.BandFault, "%s panics: %v", schedule.HostName(host), what)
	r.world.Crash(host)
	r.restartSoon(host)
}

// panicPlace is where a panic that is no assertion came from.
func panicPlace(what any) string {
	if _, ours := what.(node.Assertion); ours {
		return ""
	}
	return "\n" + string(debug.Stack())
}

// result judges the history and gathers what the run showed.
func (r *run) result() *Result {
	w := r.world
	res := &Result{
		Schedule: r.schedule, Steps: w.Steps(), Events: w.Events(), Virtual: w.Now(), Trace: w.TraceHash(),
		Counters: w.Counters(), Probes: r.invariants.counts, PrimaryChanges: r.invariants.layouts.changes,
		Called: r.called, Done: r.done, Refused: r.refused, Unknown: r.unknown,
		History: r.load.recorder.History(), Spared: r.faults.spared,
	}
	res.UnknownSeen = unknownSeen(res.History)
	if r.system != nil {
		r.system.judge(r.verdict, res.History)
	} else {
		check, err := linearizability.Check(res.History, linearizability.Options{Workers: 1})
		r.judge(check, err)
		res.Check = check
	}
	res.Violations, res.Classes = r.verdict.violations, r.verdict.classes()
	return res
}

// judge takes the verdict on the history. One that could not be reached is a
// failure as well: nobody knows what it hides.
func (r *run) judge(check *linearizability.Result, err error) {
	switch {
	case err != nil:
		r.verdict.broken(Assertion, "the history is none: %v", err)
	case check.Verdict == linearizability.Undecided:
		r.verdict.broken(Linearizability, "the history could not be decided within the budget of steps")
	case check.Verdict == linearizability.Illegal:
		for _, v := range check.Violations {
			r.verdict.broken(classOf(v.Class), "key %s: %s", v.Key, v.Sentence)
		}
	}
}

func classOf(c linearizability.Class) Class {
	switch c {
	case linearizability.RefusedSeen:
		return RefusedSeen
	case linearizability.WriteLost:
		return Durability
	}
	return Linearizability
}

// unknownSeen counts the puts of unknown outcome whose value was read.
func unknownSeen(history []linearizability.Operation) uint64 {
	unknown := make(map[string]bool)
	for i := range history {
		op := &history[i]
		if op.Kind == linearizability.Put && op.Outcome == linearizability.Unknown {
			unknown[op.Value] = true
		}
	}
	seen := uint64(0)
	for i := range history {
		a := &history[i].Answer
		if a.HasValue && unknown[a.Value] {
			delete(unknown, a.Value)
			seen++
		}
	}
	return seen
}

// Line is the run's one line. Wall time is the caller's to know.
func (r *Result) Line(wall time.Duration) string {
	word := "ok"
	if len(r.Classes) > 0 {
		word = "fail"
	}
	return fmt.Sprintf("seed=%d result=%s class=%s events=%d virtual=%v wall=%v trace=%016x",
		r.Schedule.Setup.Seed, word, joinClasses(r.Classes), r.Events, r.Virtual.Round(time.Millisecond),
		wall.Round(time.Millisecond), r.Trace)
}

// maxRunPanics bounds how many panics a run survives.
const maxRunPanics = 16
