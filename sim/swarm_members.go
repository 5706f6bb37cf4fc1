package sim

import (
	"time"

	"dkv/sim/schedule"
	"dkv/sim/world"
)

// memberSources are faults of the members and what operators do about them.
var memberSources = []source{
	{"members wipe", 20, between(8*time.Second, 30*time.Second), oneNode(schedule.Wipe, between(500*time.Millisecond, 12*time.Second))},
	{"members drain", 12, between(8*time.Second, 30*time.Second), oneNode(schedule.Drain, between(2*time.Second, 16*time.Second))},
	{"members leave", 12, between(8*time.Second, 30*time.Second), oneNode(schedule.Leave, world.Range{})},
}

// manyForMembers is the number of partitions from which on members do not come and go: a
// node moves few at a time.
const manyForMembers = 64

// drawMembers lets members that are missing be replaced in a third of the runs, soon
// enough for the faults of a run to bring it about.
func (d *swarm) drawMembers() {
	if d.on("members replace") && d.setup.MoveRate > 0 && d.setup.Partitions <= manyForMembers && d.share(35, "replace after on") {
		s := &d.setup
		s.ReplaceAfter = d.span(8*s.SuspectAfter, 24*s.SuspectAfter, "replace after", 0)
	}
}
