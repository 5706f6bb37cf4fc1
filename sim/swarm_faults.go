package sim

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"dkv/sim/schedule"
	"dkv/sim/world"
)

// A source is one kind of fault that recurs during a run.
type source struct {
	name    string // family first
	percent int    // share of runs that have it
	// gap is the range from which a run draws the mean time between two such faults.
	gap  world.Range
	make func(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step
}

// sources are the simple kinds of fault that a seed may draw; see also patterns,
// registering and rawSources.
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
	{"network late", 15, between(5*time.Second, 30*time.Second), lateFrames},
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
	{"layout ring", 80, between(8*time.Second, 30*time.Second), setRing},
	{"disk slow", 20, between(4*time.Second, 25*time.Second), slowDisk},
	{"disk fail sync", 30, between(5*time.Second, 30*time.Second), failSync},
	{"disk eio", 15, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskEIO, between(50*time.Millisecond, 3*time.Second))},
	{"disk full", 20, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskFull, between(200*time.Millisecond, 5*time.Second))},
	{"disk rot", 15, between(5*time.Second, 30*time.Second), rotAndCrash(schedule.DiskRot)},
	{"disk roll back", 30, between(3*time.Second, 14*time.Second), rollBack},
	{"disk copy", 25, between(4*time.Second, 20*time.Second), copyDisk},
	{"disk flip entry", 45, between(5*time.Second, 30*time.Second), rotAndCrash(schedule.DiskFlipEntry)},
}

// rawSources are the faults of disks that hold Pebble's own files. A node whose
// disk was damaged stays down, so they take effect only once or twice in a run.
var rawSources = []source{
	{"disk flip table", 50, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskFlipTable, between(100*time.Millisecond, 3*time.Second))},
	{"disk flip wal", 50, between(8*time.Second, 40*time.Second), oneNode(schedule.DiskFlipWAL, between(100*time.Millisecond, 3*time.Second))},
}

// drawSteps draws, for each source that is on, its faults throughout the fault
// phase.
func (d *swarm) drawSteps() {
	early := d.share(15, "early") // faults while the cluster forms
	all := slices.Concat(sources, againSources, patterns, registering, lateSources, editSources, memberSources)
	if d.setup.Store == schedule.PebbleRaw {
		all = append(all, rawSources...)
	}
	if slices.Contains(d.profile.families, majorityFamily) {
		all = append(all, majorityLost)
	}
	if d.day.pace > 1 {
		all = append(all, dayPatterns...)
	}
	solo := d.drawSolo()
	for i := range all {
		f := &all[i]
		percent := f.percent
		members := strings.HasPrefix(f.name, "members ")
		switch {
		case slices.Contains(solo, f.name):
			percent = 100
		case solo != nil:
			continue
		}
		if d.lean && (members || i < len(sources)) && !strings.HasPrefix(f.name, "disk ") { // faults of one disk do not cut a pattern short
			percent = (percent + 4) / 5
		}
		if members {
			percent = d.profile.members(percent)
		}
		if members && (d.setup.Partitions > manyForMembers || d.setup.MoveRate == 0) {
			continue
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
			drawn := at.Round(time.Millisecond)
			d.steps = append(d.steps, d.stretch(f.make(f, d, n, drawn), drawn)...)
		}
	}
	d.drawForming()
	slices.SortStableFunc(d.steps, func(a, b schedule.Step) int { return cmp.Compare(a.At, b.At) })
}

// draw returns a number below the bound: the k-th draw for the n-th fault of this
// source.
func (f *source) draw(d *swarm, below int, n uint64, k int) int {
	return d.random.Below(below, "swarm "+f.name, uint64(k)+1, n)
}

func (f *source) lasting(d *swarm, span world.Range, n uint64) time.Duration {
	if span == (world.Range{}) {
		return 0
	}
	return d.span(span.Min, span.Max, f.name+" lasts", n)
}

// target draws a node: by its number, or by its role for a partition.
func (f *source) target(d *swarm, n uint64) schedule.Target {
	if stranger, ok := f.stranger(d, n); ok {
		return stranger
	}
	p := f.draw(d, d.setup.Partitions, n, 0)
	switch choice := f.draw(d, 10, n, 1); {
	case choice < 4:
		return schedule.Target{Role: schedule.Primary, Partition: p}
	case choice < 6 && d.setup.Replication > 1:
		return schedule.Target{Role: schedule.Backup, Partition: p}
	}
	return schedule.Target{Node: 1 + f.draw(d, d.setup.Nodes, n, 2)}
}

// some draws count distinct nodes.
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

// throttle leaves little capacity on a link: heartbeats alone need some thousand
// bytes per second.
func throttle(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	rate := d.random.LogScale(500, 200_000, "swarm "+f.name+" rate", 0, n)
	return []schedule.Step{{
		At: at, Do: schedule.Throttle, Targets: f.some(d, 2, n), Rate: int(rate),
		For: f.lasting(d, between(500*time.Millisecond, 8*time.Second), n),
	}}
}

// putLarge writes the largest possible value, and sometimes strikes the primary
// while the write is in flight. A run has only a few, because every replica and
// the history keep a copy of each.
func putLarge(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	const few = 3
	if n >= few {
		return nil
	}
	d.setup.ChunkBytes = max(d.setup.ChunkBytes, 64<<10) // otherwise a snapshot would take thousands of frames
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

// failSync makes a sync fail. Only a crash reveals a node that ignored the
// failure, so in most cases one follows.
func failSync(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	struck := []schedule.Target{f.target(d, n)}
	steps := []schedule.Step{{At: at, Do: schedule.DiskFailSync, Targets: struck}}
	if f.draw(d, 3, n, 3) > 0 {
		at += time.Duration(20+f.draw(d, 1000, n, 4)) * time.Millisecond
		steps = append(steps, schedule.Step{At: at, Do: schedule.Crash, Targets: struck, For: time.Duration(20+f.draw(d, 300, n, 5)) * time.Millisecond})
	}
	return steps
}

// rotAndCrash damages a disk for a while. A process reads its log when it starts,
// so in most cases a crash and a restart follow.
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

// crashTogether crashes a primary and one of its backups at the same instant.
func crashTogether(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	lasts := f.lasting(d, between(100*time.Millisecond, 3*time.Second), n)
	return []schedule.Step{
		{At: at, Do: schedule.Crash, Targets: []schedule.Target{{Role: schedule.Backup, Partition: p}}, For: lasts},
		{At: at, Do: schedule.Crash, Targets: []schedule.Target{{Role: schedule.Primary, Partition: p}}, For: lasts + time.Duration(f.draw(d, 2000, n, 3))*time.Millisecond},
	}
}

// leapfrog deposes the primary of one partition, then the next one about when the
// first returns, and so on: successive elections among diverging logs.
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

// exile cuts a node off from the others and from ZooKeeper, so that a primary is
// deposed without learning of it, while clients still reach it.
func exile(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	lasts := (d.setup.SuspectAfter * time.Duration(100+f.draw(d, 300, n, 3)) / 100).Round(time.Millisecond)
	exiled := []schedule.Target{f.target(d, n)}
	return []schedule.Step{{At: at, Do: schedule.Isolate, Targets: exiled, For: lasts}, {At: at, Do: schedule.ZKCut, Targets: exiled, For: lasts}}
}

// bridge deposes a primary without its learning of it: the primary is cut off from
// ZooKeeper and from all nodes but one, and from that one too until it has promised
// to follow another primary. In some variants that node crashes, after its disk
// was stalled, or between its promise and the new primary's first entry, which is
// delayed: this tests whether it kept its promise.
func bridge(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	p := f.draw(d, d.setup.Partitions, n, 0)
	deposed, next, middle := schedule.Target{Role: schedule.Primary, Partition: p}, schedule.Target{Role: schedule.Backup, Partition: p}, schedule.Target{Role: schedule.Second, Partition: p}
	suspects := func(least, span, k int) time.Duration {
		return (d.setup.SuspectAfter * time.Duration(least+f.draw(d, span, n, k)) / 100).Round(time.Millisecond)
	}
	variant := f.draw(d, 4, n, 3)
	elected, lag := suspects(150, 200, 1), suspects(40, 50, 2)
	if variant >= 2 { // the time of silence, of the question and its answer, and of the Prepare
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

// cutNodes cuts the link between two nodes, or between a primary and a backup.
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

// flapping repeatedly cuts the link between two nodes.
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

// roughNetwork raises the network's fault rates for a while.
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

// movePartition moves one partition to drawn nodes, as many as it has replicas.
func movePartition(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{
		At: at, Do: schedule.Move, Partition: f.draw(d, d.setup.Partitions, n, 0),
		Targets: f.some(d, d.setup.Replication, n),
	}}
}

// moveAndCrash moves a partition and strikes its primary during the move.
func moveAndCrash(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	steps := movePartition(f, d, n, at)
	do := [...]*schedule.Action{schedule.Crash, schedule.Isolate, schedule.Pause}[f.draw(d, 3, n, 1)]
	return append(steps, schedule.Step{
		At: at + time.Duration(f.draw(d, 300, n, 2))*time.Millisecond, Do: do,
		Targets: []schedule.Target{{Role: schedule.Primary, Partition: steps[0].Partition}},
		For:     f.lasting(d, between(100*time.Millisecond, 4*time.Second), n),
	})
}

// crashWhileLoading moves a partition and restarts each of its new replicas up to
// twice while they load its contents.
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

// setRing has the administrator set version 2 of the ring's rule, in a cluster that was
// formed by version 1.
func setRing(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	if d.setup.Ring == 2 {
		return nil
	}
	return []schedule.Step{{At: at, Do: schedule.SetRing, Targets: []schedule.Target{{Node: 1 + f.draw(d, d.setup.Nodes, n, 0)}}}}
}

func cancelMove(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	return []schedule.Step{{At: at, Do: schedule.Cancel, Partition: f.draw(d, d.setup.Partitions, n, 0)}}
}
