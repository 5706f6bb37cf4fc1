package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"dkv/netsim"
	"dkv/sim/schedule"
	"dkv/sim/world"
	"dkv/zksim"
)

// A profile narrows what a seed may draw. Faults whose name does not begin
// with one of its families stay off.
type profile struct {
	name     string
	families []string
	// intensity multiplies how often faults come; 1 is the ordinary rate.
	intensity float64
}

// majorityFamily is that of the faults that take the majority away. A profile
// with it keeps no budget.
const majorityFamily = "majority"

// profiles by name; the first is the default.
var profiles = []profile{
	{"default", []string{""}, 1.4},
	{"calm", nil, 0},
	{"process", []string{"process"}, 1.3},
	{"network", []string{"network"}, 1.3},
	{"zookeeper", []string{"zookeeper", "process crash"}, 1.3},
	{"moves", []string{"layout", "process", "network"}, 1.2},
	{"elections", []string{"pattern", "process crash"}, 2},
	{"rough", []string{""}, 2.5},
	{"disk", []string{"disk", "process crash", "process power loss", "process disk"}, 1.6},
	{"majority-lost", []string{majorityFamily, "process crash"}, 1},
}

// Profiles are the names that Draw takes.
func Profiles() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	return names
}

// Draw makes the schedule of a seed: the seed decides which faults are on at
// all, how often they come, and what cluster and clients they meet. Draws are
// keyed, so that one fault's do not move another's.
func Draw(seed uint64, profileName string) (*schedule.Schedule, error) {
	return DrawOn(seed, profileName, schedule.ModelStore)
}

// DrawOn is Draw for a cluster on another kind of disk, with the faults that
// only such disks have.
func DrawOn(seed uint64, profileName string, store schedule.Store) (*schedule.Schedule, error) {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == profileName })
	if i < 0 {
		return nil, fmt.Errorf("profile %q is none of %s", profileName, strings.Join(Profiles(), ", "))
	}
	d := &swarm{random: world.NewRandom(seed), profile: profiles[i]}
	d.setup = schedule.DefaultSetup()
	d.setup.Seed, d.setup.Store = seed, store
	d.drawCluster()
	d.drawWorkload()
	if d.profile.intensity > 0 {
		d.lean = d.on("") && d.share(35, "lean")
		if !slices.Contains(d.profile.families, majorityFamily) {
			d.setup.Budget = schedule.KeepMajority
		}
		d.drawRates()
		d.drawOrder()
		d.drawSteps()
	}
	return &schedule.Schedule{Setup: d.setup, Steps: d.steps}, nil
}

// swarm draws one schedule.
type swarm struct {
	random  world.Random
	profile profile
	setup   schedule.Setup
	steps   []schedule.Step
	// lean: few kinds of fault, and patterns mostly, so that what takes several
	// steps is not cut short by all that else goes on.
	lean bool
}

// share says yes so many times in a hundred.
func (d *swarm) share(percent int, purpose string) bool {
	return d.random.Below(100, "swarm "+purpose, 0, 0) < percent
}

func (d *swarm) below(n int, purpose string) int {
	return d.random.Below(n, "swarm "+purpose, 0, 0)
}

// span draws a duration on a log scale, rounded so that it reads well.
func (d *swarm) span(low, high time.Duration, purpose string, sequence uint64) time.Duration {
	return round(d.random.LogScale(float64(low), float64(high), "swarm "+purpose, 0, sequence))
}

// number draws a whole number on a log scale, both ends included.
func (d *swarm) number(low, high int, purpose string) int {
	return int(d.random.LogScale(float64(low), float64(high+1), "swarm "+purpose, 0, 0))
}

// rate draws a probability on a log scale, 0 in (100 - percent) of a hundred
// runs.
func (d *swarm) rate(percent int, low, high float64, purpose string) float64 {
	if !d.share(percent, purpose+" on") {
		return 0
	}
	f := d.random.LogScale(low, high, "swarm "+purpose, 0, 0)
	digits := math.Pow(10, 1-math.Floor(math.Log10(f)))
	return math.Round(f*digits) / digits
}

// round keeps about three digits.
func round(ns float64) time.Duration {
	unit := time.Duration(1)
	for d := time.Duration(ns); d >= 1000; d /= 10 {
		unit *= 10
	}
	return time.Duration(ns).Round(unit)
}

func (d *swarm) drawCluster() {
	s := &d.setup
	s.Nodes = [20]int{3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 7}[d.below(20, "nodes")]
	s.Partitions = d.number(1, 16, "partitions")
	if s.Nodes >= 5 && d.share(25, "replication") {
		s.Replication = 5
	}
	s.SuspectAfter = d.span(250*time.Millisecond, time.Second, "suspect after", 0)
	s.RequestTimeout = d.span(time.Second, 4*time.Second, "request timeout", 0)
	s.MoveTimeout = d.span(time.Second, 6*time.Second, "move timeout", 0)
	s.SettleTime = d.span(500*time.Millisecond, 4*time.Second, "settle time", 0)
	s.RetainEntries = d.number(4, 64, "retain entries")
	if d.share(20, "retain bytes on") {
		s.RetainBytes = d.number(256, 8<<10, "retain bytes")
	}
	s.ChunkBytes = d.number(32, 4<<10, "chunk bytes")
	s.ViewTime = d.span(time.Second, 10*time.Second, "view time", 0)
	if d.share(20, "uncommitted bytes on") {
		s.UncommittedBytes = d.number(400, 4<<10, "uncommitted bytes")
	}
	if d.share(50, "network") {
		s.Network = netsim.Datagram
	}
	if d.share(15, "queue on") {
		s.QueueFrames = d.number(16, 256, "queue")
	}
	s.LatencyMin = d.span(50*time.Microsecond, 2*time.Millisecond, "latency", 0)
	s.LatencyMean = s.LatencyMin + d.span(50*time.Microsecond, 5*time.Millisecond, "latency", 1)
	if d.share(25, "slow network") { // so that more happens between a question and its answer
		s.LatencyMean = s.LatencyMin + d.span(4*time.Millisecond, 25*time.Millisecond, "latency", 2)
	}
	s.Recovery = d.span(80*time.Millisecond, 2*time.Second, "recovery", 0)
	s.Sync.Min = d.span(20*time.Microsecond, time.Millisecond, "sync", 0)
	s.Sync.Max = s.Sync.Min + d.span(100*time.Microsecond, 30*time.Millisecond, "sync", 1)
	s.ZKServers = [5]int{1, 3, 3, 3, 5}[d.below(5, "zookeeper servers")]
	s.SessionTimeout = d.span(time.Second, 6*time.Second, "session timeout", 0)
	s.Drift = [4]int{0, 50, 200, 200}[d.below(4, "clock drift")]
	s.Turn = d.number(1, 64, "turn")
	s.Outside = [8]schedule.Outside{
		schedule.OutsideMixed, schedule.OutsideMixed, schedule.OutsideMixed, schedule.OutsideDown, schedule.OutsideIsolated, schedule.OutsideDeaf, schedule.OutsideMute, schedule.OutsideAsTheyAre,
	}[d.below(8, "outside")]
	s.Phases = schedule.Phases{Faults: 36 * time.Second, Core: 40 * time.Second, Converge: 40 * time.Second}
}

func (d *swarm) drawWorkload() {
	w := &d.setup.Workload
	w.Shape = [10]schedule.Shape{schedule.Uniform, schedule.Uniform, schedule.Uniform, schedule.Uniform, schedule.Hot, schedule.Hot, schedule.Hot, schedule.Boundary, schedule.Boundary, schedule.Boundary}[d.below(10, "shape")]
	mix := [6][4]int{ // get, put, delete, conditional
		{40, 40, 8, 12}, {40, 40, 8, 12}, {75, 18, 2, 5}, {25, 25, 10, 40}, {20, 70, 5, 5}, {50, 50, 0, 0},
	}[d.below(6, "mix")]
	w.Get, w.Put, w.Delete, w.Conditional = mix[0], mix[1], mix[2], mix[3]
	w.Clients = d.number(8, 16, "clients")
	w.Keys = d.number(2, 16, "keys")
	w.Operations = d.number(800, 1500, "operations")
	w.Timeout = d.span(400*time.Millisecond, 1600*time.Millisecond, "timeout", 0)
	w.ValueBytes = d.number(1, 256, "value bytes")
}

func (d *swarm) on(family string) bool {
	return slices.ContainsFunc(d.profile.families, func(f string) bool { return strings.HasPrefix(family, f) })
}

func (d *swarm) drawRates() {
	if d.on("network rates") && !d.lean {
		d.setup.Rates = netsim.Rates{
			Loss:      d.rate(40, 0.0005, 0.03, "loss"),
			Duplicate: d.rate(50, 0.001, 0.2, "duplicate"),
			Reorder:   d.rate(50, 0.001, 0.2, "reorder"),
			Delay:     d.rate(40, 0.0005, 0.02, "delay"),
			Corrupt:   d.rate(30, 0.0001, 0.005, "corrupt"),
			Reset:     d.rate(30, 0.0001, 0.002, "reset"),
			HalfOpen:  d.rate(20, 0.00005, 0.0005, "half open"),
			HintLoss:  d.rate(40, 0.05, 0.9, "hint loss"),
		}
	}
	if d.on("zookeeper rates") && !d.lean {
		d.setup.ZKRates = zksim.Rates{
			LoseBefore: d.rate(30, 0.01, 0.1, "zk lose before"),
			LoseAfter:  d.rate(30, 0.01, 0.1, "zk lose after"),
			ApplyLate:  d.rate(30, 0.01, 0.1, "zk apply late"),
			LoseWatch:  d.rate(30, 0.02, 0.5, "zk lose watch"),
			ReadFirst:  d.rate(30, 0.02, 0.5, "zk read first"),
			Stall:      d.rate(20, 0.02, 0.2, "zk stall"),
			LateZxid:   d.rate(30, 0.02, 0.5, "zk late zxid"),
		}
		d.setup.ZKPause = [4]float64{schedule.EvenPause, schedule.EvenPause, 0, 1}[d.below(4, "zk pause")]
	}
	if d.on("zookeeper scripts") {
		d.setup.ZKScripts = 1 + d.below(schedule.MaxZKScripts, "zk scripts")
	}
	d.drawDoor()
}

// drawDoor takes each habit of the real adapter in most runs.
func (d *swarm) drawDoor() {
	d.setup.Door = schedule.DoorView{
		OneAtATime: d.share(70, "door one at a time"),
		Deadlines:  d.share(70, "door deadlines"),
		Coalesce:   d.share(70, "door coalesce"),
		Watchdog:   d.share(70, "door watchdog"),
		Rewatch:    d.rate(50, 0.05, 1, "door rewatch"),
	}
}

// drawOrder lets steps that are due at about one time change places in some
// runs. Hardly any two are due at one instant, so there is always a window.
func (d *swarm) drawOrder() {
	if !d.share(30, "order on") {
		return
	}
	d.setup.Order = schedule.Order{
		Mode: schedule.PCT, Depth: 1 + d.below(5, "order depth"), Span: d.number(30, 10_000, "order span"),
		Window: d.span(20*time.Microsecond, 20*time.Millisecond, "order window", 0),
	}
}

// A source is one kind of fault that comes again and again.
type source struct {
	name    string // family first
	percent int    // of runs that have it
	// gap is the range of the mean time between two of it.
	gap  world.Range
	make func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step
}

// sources are all kinds of fault that a seed may draw.
var sources = []source{
	{"process crash", 60, between(3*time.Second, 20*time.Second), oneNode(schedule.Crash, between(100*time.Millisecond, 5*time.Second))},
	{"process crash loop", 15, between(12*time.Second, 40*time.Second), crashLoop},
	{"process crash together", 25, between(10*time.Second, 40*time.Second), crashTogether},
	{"process rolling restart", 10, between(15*time.Second, 50*time.Second), rollingRestart},
	{"process power loss", 25, between(10*time.Second, 50*time.Second), powerLoss},
	{"process stop", 30, between(4*time.Second, 30*time.Second), oneNode(schedule.Stop, between(500*time.Millisecond, 5*time.Second))},
	{"process slow", 20, between(5*time.Second, 30*time.Second), slowNode},
	{"process suspend", 20, between(6*time.Second, 40*time.Second), oneNode(schedule.Suspend, between(200*time.Millisecond, 10*time.Second))},
	{"process pause", 35, between(4*time.Second, 30*time.Second), oneNode(schedule.Pause, between(50*time.Millisecond, 6*time.Second))},
	{"process disk stall", 30, between(3*time.Second, 25*time.Second), oneNode(schedule.DiskStall, between(20*time.Millisecond, 3*time.Second))},
	{"network cut one way", 35, between(3*time.Second, 25*time.Second), cutNodes(schedule.CutOneWay)},
	{"network cut two ways", 35, between(3*time.Second, 25*time.Second), cutNodes(schedule.CutTwoWay)},
	{"network isolate", 45, between(4*time.Second, 25*time.Second), oneNode(schedule.Isolate, between(100*time.Millisecond, 6*time.Second))},
	{"network split", 30, between(5*time.Second, 30*time.Second), splitNodes},
	{"network bridge", 15, between(8*time.Second, 40*time.Second), oneNode(schedule.Bridge, between(500*time.Millisecond, 6*time.Second))},
	{"network throttle", 15, between(5*time.Second, 30*time.Second), throttle},
	{"network flapping", 15, between(10*time.Second, 40*time.Second), flapping},
	{"network rough", 25, between(5*time.Second, 30*time.Second), roughNetwork},
	{"zookeeper expire", 40, between(4*time.Second, 30*time.Second), oneNode(schedule.ZKExpire, world.Range{})},
	{"zookeeper cut", 35, between(5*time.Second, 30*time.Second), oneNode(schedule.ZKCut, between(200*time.Millisecond, 10*time.Second))},
	{"zookeeper down", 20, between(15*time.Second, 60*time.Second), zookeeperDown},
	{"zookeeper leader", 30, between(6*time.Second, 40*time.Second), plain(schedule.ZKLeader)},
	{"zookeeper lag", 40, between(4*time.Second, 30*time.Second), zookeeperLag},
	{"zookeeper lose before", 35, between(3*time.Second, 20*time.Second), oneNode(schedule.ZKLoseBefore, world.Range{})},
	{"zookeeper lose after", 35, between(3*time.Second, 20*time.Second), oneNode(schedule.ZKLoseAfter, world.Range{})},
	{"pattern leapfrog", 55, between(4*time.Second, 20*time.Second), leapfrog},
	{"pattern exile", 50, between(3*time.Second, 15*time.Second), exile},
	{"pattern bridge", 40, between(5*time.Second, 20*time.Second), bridge},
	{"layout move", 60, between(2*time.Second, 12*time.Second), movePartition},
	{"layout move and crash", 45, between(5*time.Second, 24*time.Second), moveAndCrash},
	{"layout move and crash of the new", 30, between(4*time.Second, 16*time.Second), crashWhileLoading},
	{"zookeeper late", 15, between(4*time.Second, 30*time.Second), oneNode(schedule.ZKLate, world.Range{})},
	{"zookeeper isolate", 20, between(6*time.Second, 40*time.Second), zookeeperServer(schedule.ZKIsolate, between(200*time.Millisecond, 8*time.Second))},
	{"zookeeper wipe", 15, between(8*time.Second, 40*time.Second), zookeeperServer(schedule.ZKWipe, between(200*time.Millisecond, 6*time.Second))},
	{"client large", 8, between(6*time.Second, 30*time.Second), putLarge},
	{"layout cancel", 30, between(4*time.Second, 30*time.Second), cancelMove},
	{"disk slow", 20, between(4*time.Second, 25*time.Second), slowDisk},
	{"disk fail sync", 30, between(5*time.Second, 30*time.Second), failSync},
	{"disk eio", 15, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskEIO, between(50*time.Millisecond, 3*time.Second))},
	{"disk full", 20, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskFull, between(200*time.Millisecond, 5*time.Second))},
	{"disk rot", 15, between(5*time.Second, 30*time.Second), rotAndCrash(schedule.DiskRot)},
	{"disk flip entry", 45, between(5*time.Second, 30*time.Second), rotAndCrash(schedule.DiskFlipEntry)},
}

// rawSources are what only disks with Pebble's own files on them have. A node
// whose disk was struck stays down, so it happens once or twice in a run.
var rawSources = []source{
	{"disk flip table", 50, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskFlipTable, between(100*time.Millisecond, 3*time.Second))},
	{"disk flip wal", 50, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskFlipWAL, between(100*time.Millisecond, 3*time.Second))},
}

// drawSteps lets each source that is on run through the fault phase.
func (d *swarm) drawSteps() {
	early := d.share(15, "early") // faults while the cluster forms
	all := slices.Concat(sources, patterns, registering)
	if d.setup.Store == schedule.PebbleRaw {
		all = append(all, rawSources...)
	}
	if slices.Contains(d.profile.families, majorityFamily) {
		all = append(all, majorityLost)
	}
	for i := range all {
		f := &all[i]
		percent := f.percent
		if d.lean && i < len(sources) && !strings.HasPrefix(f.name, "disk ") { // what strikes one disk cuts no story short
			percent = (percent + 4) / 5
		}
		if !d.on(f.name) || !d.share(percent, f.name+" on") {
			continue
		}
		mean := d.random.LogScale(float64(f.gap.Min), float64(f.gap.Max), "swarm "+f.name+" mean", 0, 0)
		at := 2500 * time.Millisecond
		if early {
			at = 50 * time.Millisecond
		}
		for n := uint64(0); len(d.steps) < schedule.MaxSteps/2; n++ {
			u := d.random.Float("swarm "+f.name+" gap", 0, n)
			at += time.Duration(-math.Log(1-u) * mean / d.profile.intensity)
			if at >= d.setup.Phases.Faults {
				break
			}
			d.steps = append(d.steps, f.make(f, d, n, at.Round(time.Millisecond))...)
		}
	}
	d.drawForming()
	slices.SortStableFunc(d.steps, func(a, b schedule.Step) int { return cmp.Compare(a.At, b.At) })
}

// draw is a number below n, the k-th that the n-th fault of this source needs.
func (f *source) draw(d *swarm, below int, n uint64, k int) int {
	return d.random.Below(below, "swarm "+f.name, uint64(k)+1, n)
}

func (f *source) lasting(d *swarm, span world.Range, n uint64) time.Duration {
	if span == (world.Range{}) {
		return 0
	}
	return d.span(span.Min, span.Max, f.name+" lasts", n)
}

// target is some node: by number, or one that matters to a partition now.
func (f *source) target(d *swarm, n uint64) schedule.Target {
	p := f.draw(d, d.setup.Partitions, n, 0)
	switch choice := f.draw(d, 10, n, 1); {
	case choice < 4:
		return schedule.Target{Role: schedule.Primary, Partition: p}
	case choice < 6 && d.setup.Replication > 1:
		return schedule.Target{Role: schedule.Backup, Partition: p}
	}
	return schedule.Target{Node: 1 + f.draw(d, d.setup.Nodes, n, 2)}
}

// some draws count different nodes.
func (f *source) some(d *swarm, count int, n uint64) []schedule.Target {
	left := make([]int, d.setup.Nodes)
	for i := range left {
		left[i] = i + 1
	}
	chosen := make([]schedule.Target, 0, count)
	for k := range count {
		i := f.draw(d, len(left), n, 10+k)
		chosen = append(chosen, schedule.Target{Node: left[i]})
		left = slices.Delete(left, i, i+1)
	}
	return chosen
}

type maker = func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step

func plain(do *schedule.Action) maker {
	return func(_ *source, _ *swarm, _ uint64, at time.Duration) []schedule.Step {
		return []schedule.Step{{At: at, Do: do}}
	}
}

func oneNode(do *schedule.Action, lasts world.Range) maker {
	return func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
		return []schedule.Step{{At: at, Do: do, Targets: []schedule.Target{f.target(d, n)}, For: f.lasting(d, lasts, n)}}
	}
}

// crashLoop crashes one node again and again, each time soon after its start.
func crashLoop(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	t := f.target(d, n)
	var steps []schedule.Step
	for k := range 2 + f.draw(d, 3, n, 3) {
		steps = append(steps, schedule.Step{At: at, Do: schedule.Crash, Targets: []schedule.Target{t}, For: 100 * time.Millisecond})
		at += time.Duration(300+f.draw(d, 3000, n, 20+k)) * time.Millisecond
	}
	return steps
}

func slowNode(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{
		At: at, Do: schedule.Slow, Targets: []schedule.Target{f.target(d, n)}, For: f.lasting(d, between(time.Second, 8*time.Second), n),
		Lag: time.Duration(2+f.draw(d, 150, n, 3)) * time.Millisecond,
	}}
}

// throttle leaves little room on a link: heartbeats alone take some thousand
// bytes a second.
func throttle(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	rate := d.random.LogScale(500, 200_000, "swarm "+f.name+" rate", 0, n)
	return []schedule.Step{{
		At: at, Do: schedule.Throttle, Targets: f.some(d, 2, n), Rate: int(rate),
		For: f.lasting(d, between(500*time.Millisecond, 8*time.Second), n),
	}}
}

// putLarge writes as much as a client may at once, and sometimes strikes the
// primary while that is on its way. A run has few of them: each is held by every
// replica, and by the history.
func putLarge(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	const few = 3
	if n >= few {
		return nil
	}
	d.setup.ChunkBytes = max(d.setup.ChunkBytes, 64<<10) // or its snapshots are thousands of frames
	p := f.draw(d, d.setup.Partitions, n, 0)
	primary := []schedule.Target{{Role: schedule.Primary, Partition: p}}
	steps := []schedule.Step{{At: at, Do: schedule.AskPutLarge, Targets: primary, Partition: p}}
	if f.draw(d, 2, n, 1) == 0 {
		steps = append(steps, schedule.Step{
			At: at, Do: [...]*schedule.Action{schedule.Crash, schedule.Isolate, schedule.Stop}[f.draw(d, 3, n, 2)], Targets: primary,
			After: time.Duration(1+f.draw(d, 100, n, 3)) * time.Millisecond,
			For:   f.lasting(d, between(200*time.Millisecond, 3*time.Second), n),
		})
	}
	return steps
}

func slowDisk(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{
		At: at, Do: schedule.DiskSlow, Targets: []schedule.Target{f.target(d, n)}, For: f.lasting(d, between(time.Second, 8*time.Second), n),
		Lag: time.Duration(5+f.draw(d, 200, n, 3)) * time.Millisecond,
	}}
}

// failSync lets a sync fail. A node that goes on all the same is found out when
// it crashes, so there mostly is such a crash.
func failSync(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	struck := []schedule.Target{f.target(d, n)}
	steps := []schedule.Step{{At: at, Do: schedule.DiskFailSync, Targets: struck}}
	if f.draw(d, 3, n, 3) > 0 {
		at += time.Duration(20+f.draw(d, 1000, n, 4)) * time.Millisecond
		steps = append(steps, schedule.Step{At: at, Do: schedule.Crash, Targets: struck, For: time.Duration(20+f.draw(d, 300, n, 5)) * time.Millisecond})
	}
	return steps
}

// rotAndCrash damages a disk for a while. What stands in a log is read by a
// process that starts, so there mostly is one.
func rotAndCrash(do *schedule.Action) maker {
	return func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
		struck := []schedule.Target{f.target(d, n)}
		steps := []schedule.Step{{At: at, Do: do, Targets: struck, For: f.lasting(d, between(time.Second, 6*time.Second), n)}}
		if f.draw(d, 4, n, 3) > 0 {
			down := time.Duration(20+f.draw(d, 300, n, 4)) * time.Millisecond
			steps = append(steps, schedule.Step{At: at, Do: schedule.Crash, Targets: struck, For: down})
		}
		return steps
	}
}

// crashTogether crashes a primary and one of its backups at one instant.
func crashTogether(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	lasts := f.lasting(d, between(100*time.Millisecond, 3*time.Second), n)
	return []schedule.Step{
		{At: at, Do: schedule.Crash, Targets: []schedule.Target{{Role: schedule.Backup, Partition: p}}, For: lasts},
		{At: at, Do: schedule.Crash, Targets: []schedule.Target{{Role: schedule.Primary, Partition: p}}, For: lasts + time.Duration(f.draw(d, 2000, n, 3))*time.Millisecond},
	}
}

// leapfrog deposes the primary of one partition, then the next one about when
// the first returns, and so on: elections in a row among logs that differ.
func leapfrog(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	var steps []schedule.Step
	for k := range 2 + f.draw(d, 4, n, 1) {
		do := [...]*schedule.Action{schedule.Isolate, schedule.Isolate, schedule.Crash, schedule.Pause}[f.draw(d, 4, n, 50+k)]
		// An election takes a little more than one suspect-after.
		lasts := d.setup.SuspectAfter * time.Duration(100+f.draw(d, 250, n, 60+k)) / 100
		deposed := []schedule.Target{{Role: schedule.Primary, Partition: p}}
		steps = append(steps, schedule.Step{At: at, Do: do, Targets: deposed, For: lasts.Round(time.Millisecond)})
		if do == schedule.Isolate && f.draw(d, 2, n, 80+k) == 0 {
			steps = append(steps, schedule.Step{At: at, Do: schedule.ZKCut, Targets: deposed, For: lasts.Round(time.Millisecond)})
		}
		at += lasts + time.Duration(f.draw(d, 300, n, 70+k)-100)*time.Millisecond
		at = at.Round(time.Millisecond)
	}
	return steps
}

// exile cuts a node off from the others and from ZooKeeper, so that a primary
// is deposed and nobody tells it, while clients still reach it.
func exile(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	lasts := (d.setup.SuspectAfter * time.Duration(100+f.draw(d, 300, n, 3)) / 100).Round(time.Millisecond)
	who := []schedule.Target{f.target(d, n)}
	return []schedule.Step{{At: at, Do: schedule.Isolate, Targets: who, For: lasts}, {At: at, Do: schedule.ZKCut, Targets: who, For: lasts}}
}

// bridge deposes a primary that does not hear of it: it is cut off from
// ZooKeeper and from all nodes but one, and from that one until it has promised
// to follow another. That one may crash meanwhile, after its disk stood still, or
// between its promise and the new primary's first entry, which is slow to come:
// has it kept its promise?
func bridge(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	deposed, next, middle := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Role: schedule.Backup, Partition: p}, schedule.Target{Role: schedule.Second, Partition: p}
	suspects := func(least, span, k int) time.Duration {
		return (d.setup.SuspectAfter * time.Duration(least+f.draw(d, span, n, k)) / 100).Round(time.Millisecond)
	}
	variant := f.draw(d, 4, n, 3)
	elected, lag := suspects(150, 200, 1), suspects(40, 50, 2)
	if variant >= 2 { // silence, the question and the answer, and the way of the Prepare
		elected = suspects(110, 40, 1) + 2*lag + lag*time.Duration(f.draw(d, 100, n, 4))/100
	}
	long := elected + 4*time.Second
	steps := []schedule.Step{
		{At: at, Do: schedule.Cordon, Targets: []schedule.Target{deposed, middle}, For: long},
		{At: at, Do: schedule.CutTwoWay, Targets: []schedule.Target{deposed, middle}, For: elected},
		{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{deposed}, For: long},
	}
	crash := schedule.Step{At: at, Do: schedule.Crash, Targets: []schedule.Target{middle}, After: elected, For: 20 * time.Millisecond}
	switch variant {
	case 0:
		return steps
	case 1:
		return append(steps, schedule.Step{At: at, Do: schedule.DiskStall, Targets: []schedule.Target{middle}, After: suspects(50, 50, 4), For: elected}, crash)
	}
	return append(steps,
		schedule.Step{At: at, Do: schedule.Delay, Targets: []schedule.Target{next, middle}, Lag: lag, For: long},
		schedule.Step{At: at, Do: schedule.ZKCut, Targets: []schedule.Target{middle}, For: elected},
		crash)
}

func rollingRestart(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	pace := f.lasting(d, between(500*time.Millisecond, 3*time.Second), n)
	do := [...]*schedule.Action{schedule.Crash, schedule.Stop}[f.draw(d, 2, n, 0)]
	var steps []schedule.Step
	for i := range d.setup.Nodes {
		steps = append(steps, schedule.Step{At: at, Do: do, Targets: []schedule.Target{{Node: i + 1}}, For: pace / 4})
		at += pace
	}
	return steps
}

func powerLoss(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{At: at, Do: schedule.PowerLoss, For: f.lasting(d, between(10*time.Millisecond, time.Second), n)}}
}

// cutNodes cuts a node from another one, or from a partition's primary.
func cutNodes(do *schedule.Action) maker {
	return func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
		pair := f.some(d, 2, n)
		switch p := f.draw(d, d.setup.Partitions, n, 0); f.draw(d, 4, n, 1) {
		case 0:
			pair = []schedule.Target{{Role: schedule.Primary, Partition: p}, {Role: schedule.Backup, Partition: p}}
		case 1:
			pair = []schedule.Target{{Role: schedule.Backup, Partition: p}, {Role: schedule.Primary, Partition: p}}
		}
		return []schedule.Step{{At: at, Do: do, Targets: pair, For: f.lasting(d, between(100*time.Millisecond, 8*time.Second), n)}}
	}
}

// splitNodes cuts a minority off from the others.
func splitNodes(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	count := 1 + f.draw(d, max(1, (d.setup.Nodes-1)/2), n, 0)
	return []schedule.Step{{At: at, Do: schedule.Split, Targets: f.some(d, count, n), For: f.lasting(d, between(200*time.Millisecond, 6*time.Second), n)}}
}

// flapping cuts one pair of nodes again and again.
func flapping(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	pair := f.some(d, 2, n)
	var steps []schedule.Step
	for k := range 3 + f.draw(d, 5, n, 0) {
		lasts := time.Duration(50+f.draw(d, 1000, n, 30+k)) * time.Millisecond
		steps = append(steps, schedule.Step{At: at, Do: schedule.CutTwoWay, Targets: pair, For: lasts})
		at += lasts + time.Duration(50+f.draw(d, 1000, n, 40+k))*time.Millisecond
	}
	return steps
}

// roughNetwork raises the rates for a while.
func roughNetwork(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	rates := d.setup.Rates
	rates.Loss = float64(1+f.draw(d, 30, n, 0)) / 100
	rates.Delay = float64(f.draw(d, 30, n, 1)) / 100
	rates.Duplicate = max(rates.Duplicate, float64(f.draw(d, 30, n, 2))/100)
	return []schedule.Step{{At: at, Do: schedule.SetRates, Rates: rates, For: f.lasting(d, between(200*time.Millisecond, 4*time.Second), n)}}
}

func zookeeperDown(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{At: at, Do: schedule.ZKDown, For: f.lasting(d, between(200*time.Millisecond, 8*time.Second), n)}}
}

func zookeeperLag(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{
		At: at, Do: schedule.ZKLag, Server: f.draw(d, d.setup.ZKServers, n, 0),
		Lag: f.lasting(d, between(20*time.Millisecond, 2*time.Second), n),
		For: time.Duration(1+f.draw(d, 6, n, 1)) * time.Second,
	}}
}

func zookeeperServer(do *schedule.Action, lasts world.Range) maker {
	return func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
		return []schedule.Step{{At: at, Do: do, Server: f.draw(d, d.setup.ZKServers, n, 0), For: f.lasting(d, lasts, n)}}
	}
}

// movePartition moves one partition to other nodes, as many as its replicas.
func movePartition(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{
		At: at, Do: schedule.Move, Partition: f.draw(d, d.setup.Partitions, n, 0),
		Targets: f.some(d, d.setup.Replication, n),
	}}
}

// moveAndCrash moves a partition and strikes its primary in the middle.
func moveAndCrash(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	steps := movePartition(f, d, n, at)
	do := [...]*schedule.Action{schedule.Crash, schedule.Isolate, schedule.Pause}[f.draw(d, 3, n, 1)]
	return append(steps, schedule.Step{
		At: at + time.Duration(f.draw(d, 300, n, 2))*time.Millisecond, Do: do,
		Targets: []schedule.Target{{Role: schedule.Primary, Partition: steps[0].Partition}},
		For:     f.lasting(d, between(100*time.Millisecond, 4*time.Second), n),
	})
}

// crashWhileLoading moves a partition and restarts its new replicas, once or
// twice each, while they load what it holds.
func crashWhileLoading(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	steps := movePartition(f, d, n, at)
	for i, target := range steps[0].Targets {
		later := at
		for k := range f.draw(d, 3, n, 20+i) {
			later += time.Duration(2+f.draw(d, 200, n, 30+2*i+k)) * time.Millisecond
			steps = append(steps, schedule.Step{At: later, Do: schedule.Crash, Targets: []schedule.Target{target}, For: 20 * time.Millisecond})
		}
	}
	return steps
}

func cancelMove(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{At: at, Do: schedule.Cancel, Partition: f.draw(d, d.setup.Partitions, n, 0)}}
}

// between makes a range of times.
func between(low, high time.Duration) world.Range { return world.Range{Min: low, Max: high} }
