package sim

import (
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

// A profile restricts the faults that a seed may draw to those whose names begin
// with one of its families.
type profile struct {
	name     string
	families []string
	// intensity multiplies the rate at which faults come; 0: no faults.
	intensity float64
}

// majorityFamily is the family of the faults that take the majority away. A
// profile with this family sets no budget.
const majorityFamily = "majority"

// profiles by name; the first is the default.
var profiles = []profile{
	{"default", []string{""}, 1.4},
	{"calm", nil, 0},
	{"process", []string{"process"}, 1.3},
	{"network", []string{"network"}, 1.3},
	{"zookeeper", []string{"zookeeper", "process crash"}, 1.3},
	{"moves", []string{"layout", "process", "network"}, 1.2},
	{"members", []string{"members", "process crash", "process stop", "network isolate", "zookeeper expire"}, 1.5},
	{plannedFamily, []string{plannedFamily}, 0},
	{"elections", []string{"pattern", "process crash"}, 2},
	{"rough", []string{""}, 2.5},
	{"disk", []string{"disk", "process crash", "process power loss", "process disk"}, 1.6},
	{"majority-lost", []string{majorityFamily, "process crash"}, 1},
	{"day", []string{"", dayFamily}, 1},
}

// Profiles returns the names that Draw accepts. The first is the default.
func Profiles() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	return names
}

// Draw returns the schedule of a seed: the seed decides which faults are on, how
// often they come, and which cluster and clients they meet. Every draw has a key
// of its own, so that a change of one fault does not shift the draws of another.
func Draw(seed uint64, profileName string) (*schedule.Schedule, error) {
	return DrawOn(seed, profileName, schedule.ModelStore)
}

// DrawOn is like Draw, for a cluster on another store, and adds the faults that
// only this store has.
func DrawOn(seed uint64, profileName string, store schedule.Store) (*schedule.Schedule, error) {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == profileName })
	if i < 0 {
		return nil, fmt.Errorf("unknown profile %q (want one of %s)", profileName, strings.Join(Profiles(), ", "))
	}
	d := &swarm{random: world.NewRandom(seed), profile: profiles[i]}
	d.setup = schedule.DefaultSetup()
	d.setup.Seed, d.setup.Store = seed, store
	d.drawCluster()
	d.drawWorkload()
	d.drawWide()
	d.drawDay()
	d.drawStrangers()
	d.drawUneven()
	d.drawMembers()
	d.drawSpread()
	d.drawPlanned()
	if d.profile.intensity > 0 {
		d.lean = d.on("") && d.share(35, "lean")
		if !slices.Contains(d.profile.families, majorityFamily) {
			d.setup.Budget = schedule.KeepMajority
		}
		d.drawRates()
		d.drawOrder()
		d.drawSteps()
		d.drawSteady()
		d.endDay()
	}
	return &schedule.Schedule{Setup: d.setup, Steps: d.steps}, nil
}

// swarm draws one schedule.
type swarm struct {
	random  world.Random
	profile profile
	setup   schedule.Setup
	steps   []schedule.Step
	day     day
	// lean: few kinds of fault, mostly patterns, so that other faults do not cut
	// short what takes several steps.
	lean bool
}

// share returns true with the given probability, in percent.
func (d *swarm) share(percent int, purpose string) bool {
	return d.random.Below(100, "swarm "+purpose, 0, 0) < percent
}

func (d *swarm) below(n int, purpose string) int {
	return d.random.Below(n, "swarm "+purpose, 0, 0)
}

// span draws a duration on a log scale, rounded to be easy to read.
func (d *swarm) span(low, high time.Duration, purpose string, sequence uint64) time.Duration {
	return round(d.random.LogScale(float64(low), float64(high), "swarm "+purpose, 0, sequence))
}

// number draws an integer on a log scale, from low to high inclusive.
func (d *swarm) number(low, high int, purpose string) int {
	return int(d.random.LogScale(float64(low), float64(high+1), "swarm "+purpose, 0, 0))
}

// rate draws a probability on a log scale in the given percentage of the runs; in
// the others it returns 0.
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
	if d.share(d.profile.members(65), "moves on") {
		s.MoveRate = d.number(16<<10, 4<<20, "move rate")
		if d.share(40, "copy log on") {
			s.CopyLogBytes = d.number(128, 16<<10, "copy log")
		}
	}
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
	if d.share(25, "slow network") { // so that more happens between a request and its answer
		s.LatencyMean = s.LatencyMin + d.span(4*time.Millisecond, 25*time.Millisecond, "latency", 2)
	}
	s.Recovery = d.span(80*time.Millisecond, 2*time.Second, "recovery", 0)
	s.Sync.Min = d.span(20*time.Microsecond, time.Millisecond, "sync", 0)
	s.Sync.Max = s.Sync.Min + d.span(100*time.Microsecond, 30*time.Millisecond, "sync", 1)
	s.ZKServers = [5]int{1, 3, 3, 3, 5}[d.below(5, "zookeeper servers")]
	s.SessionTimeout = d.span(time.Second, 6*time.Second, "session timeout", 0)
	s.Drift = [4]int{0, 50, 200, 200}[d.below(4, "clock drift")]
	s.Turn = d.number(1, 64, "turn")
	d.drawLongTurns()
	s.Outside = [9]schedule.Outside{
		schedule.OutsideMixed, schedule.OutsideMixed, schedule.OutsideMixed, schedule.OutsideDown, schedule.OutsideIsolated, schedule.OutsideDeaf, schedule.OutsideMute, schedule.OutsideLate, schedule.OutsideAsTheyAre,
	}[d.below(9, "outside")]
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
	if d.share(50, "cold keys on") {
		w.Cold = d.number(64, 256, "cold keys")
	}
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

// drawDoor turns on each peculiarity of the real ZooKeeper adapter in most runs.
func (d *swarm) drawDoor() {
	d.setup.Door = schedule.DoorView{
		OneAtATime: d.share(70, "door one at a time"),
		Deadlines:  d.share(70, "door deadlines"),
		Coalesce:   d.share(70, "door coalesce"),
		Watchdog:   d.share(70, "door watchdog"),
		Rewatch:    d.rate(50, 0.05, 1, "door rewatch"),
	}
}

// drawOrder reorders, in some runs, steps that are due at about the same time.
// Hardly any two are due at the same instant, so there is always a window.
func (d *swarm) drawOrder() {
	if !d.share(30, "order on") {
		return
	}
	d.setup.Order = schedule.Order{
		Mode: schedule.PCT, Depth: 1 + d.below(5, "order depth"), Span: d.number(30, 10_000, "order span"),
		Window: d.span(20*time.Microsecond, 20*time.Millisecond, "order window", 0),
	}
}

// between returns a range of durations.
func between(low, high time.Duration) world.Range { return world.Range{Min: low, Max: high} }
