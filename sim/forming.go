package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"time"
)

// registering are faults around the moment at which a node makes itself known
// to the others.
var registering = []source{
	{"zookeeper lost registration", 20, between(8*time.Second, 30*time.Second), lostRegistration},
}

// lostRegistration ends a node's session, and loses the reply to the next thing
// it writes, which is its registration in another one.
func lostRegistration(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	targets := []schedule.Target{f.target(d, n)}
	return []schedule.Step{
		{At: at, Do: schedule.ZKExpire, Targets: targets},
		{At: at, Do: schedule.ZKLoseAfter, Targets: targets},
	}
}

// starting is when a run starts a host: within a short while of the others.
func starting(random world.Random, host int) time.Duration {
	return random.Between(between(0, 300*time.Millisecond), "run start", uint64(host), 0)
}

// drawForming aims at the one moment at which the cluster forms. When the last
// node starts, and so the others soon see enough of them, one of these goes: its
// session ends, and in half of the runs its process with it.
func (d *swarm) drawForming() {
	if !d.on("zookeeper forming") || !d.share(25, "zookeeper forming on") {
		return
	}
	last := 0
	for h := range d.setup.Nodes {
		if starting(d.random, h) > starting(d.random, last) {
			last = h
		}
	}
	victim := d.below(d.setup.Nodes-1, "zookeeper forming node")
	if victim >= last {
		victim++
	}
	target := []schedule.Target{{Node: victim + 1}}
	at := (starting(d.random, last) + d.span(5*time.Millisecond, 100*time.Millisecond, "zookeeper forming", 0)).Round(time.Millisecond)
	d.steps = append(d.steps, schedule.Step{At: at, Do: schedule.ZKExpire, Targets: target})
	if d.share(50, "zookeeper forming crash") {
		d.steps = append(d.steps, schedule.Step{
			At: at, Do: schedule.Crash, Targets: target,
			For: d.span(100*time.Millisecond, 4*time.Second, "zookeeper forming", 1),
		})
	}
}
