package sim

import (
	"time"

	"dkv/sim/schedule"
	"dkv/sim/world"
)

// memberSources are faults of the members and what operators do about them.
var memberSources = []source{
	{"members join", 40, between(4*time.Second, 20*time.Second), joining},
	{"members unseen", 30, between(10*time.Second, 40*time.Second), unseen},
	{"members wipe", 20, between(8*time.Second, 30*time.Second), oneNode(schedule.Wipe, between(500*time.Millisecond, 12*time.Second))},
	{"members drain", 12, between(8*time.Second, 30*time.Second), oneNode(schedule.Drain, between(2*time.Second, 16*time.Second))},
	{"members leave", 12, between(8*time.Second, 30*time.Second), oneNode(schedule.Leave, world.Range{})},
}

// joining approves a host that is not a member, in runs that have any.
func joining(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	if d.setup.Strangers == 0 {
		return nil
	}
	t := schedule.Target{Node: d.setup.Nodes + 1 + f.draw(d, d.setup.Strangers, n, 0)}
	return []schedule.Step{{At: at, Do: schedule.Join, Targets: []schedule.Target{t}}}
}

// unseen cuts a node off from ZooKeeper and from all other nodes but one, for longer than
// after which members are given up: what that one hears is what keeps it.
func unseen(f *source, d *swarm, n uint64, at time.Duration) []schedule.Step {
	if d.setup.ReplaceAfter == 0 || d.setup.Nodes < 3 {
		return nil
	}
	lasts := (d.setup.ReplaceAfter * time.Duration(120+f.draw(d, 80, n, 0)) / 100).Round(time.Millisecond)
	nodes := f.some(d, d.setup.Nodes, n)
	steps := []schedule.Step{{At: at, Do: schedule.ZKCut, Targets: nodes[:1], For: lasts}}
	for _, other := range nodes[2:] {
		steps = append(steps, schedule.Step{At: at, Do: schedule.CutTwoWay, Targets: []schedule.Target{nodes[0], other}, For: lasts})
	}
	return steps
}

// manyForMembers is the number of partitions from which on members do not come and go: a
// node moves few at a time.
const manyForMembers = 64

// members returns with which chance, in percent, members change in a run. In the profile of
// that name they do in nearly all.
func (p *profile) members(percent int) int {
	if p.name == "members" {
		return min(100, 2*percent+20)
	}
	return percent
}

// drawMembers lets members that are missing be replaced in a third of the runs, soon
// enough for the faults of a run to bring it about.
func (d *swarm) drawMembers() {
	if d.on("members replace") && d.setup.MoveRate > 0 && d.setup.Partitions <= manyForMembers && d.share(d.profile.members(35), "replace after on") {
		s := &d.setup
		s.ReplaceAfter = d.span(8*s.SuspectAfter, 24*s.SuspectAfter, "replace after", 0)
	}
}
