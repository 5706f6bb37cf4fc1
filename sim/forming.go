package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"time"
)

// registering are faults around the registration of a node in ZooKeeper.
var registering = []source{
	{"zookeeper lost registration", 20, between(8*time.Second, 30*time.Second), lostRegistration},
}

// lostRegistration ends a node's session and loses the reply to the node's next
// write, which is its registration in a new session.
func lostRegistration(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	targets := []schedule.Target{f.target(d, n)}
	return []schedule.Step{
		{At: at, Do: schedule.ZKExpire, Targets: targets},
		{At: at, Do: schedule.ZKLoseAfter, Targets: targets},
	}
}

// starting draws the time at which a run starts a host, shortly before or after
// the others.
func starting(random world.Random, host int) time.Duration {
	return random.Between(between(0, 300*time.Millisecond), "run start", uint64(host), 0)
}

// drawForming aims at the instant at which the cluster forms: when the last node
// starts, so that the others soon see enough registered nodes, it ends the session
// of one of them and, in half of the runs, also crashes its process.
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
