package sim

import (
	"strings"

	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// An epoch that was given out twice has two members that may start it, each by a layout
// that ZooKeeper had. One may find a majority, since a promise names its primary; the other
// one finds itself refused, and the operator is told.

// onEdit allows a second primary to start an epoch, and the layout that says so.
func (c *invariants) onEdit(p node.PartitionID, e node.Epoch, primary node.MemberNumber) {
	if facts := c.layouts.epoch(p, e); facts != nil {
		facts.second = primary
		if first := c.reign(p, e).host; first != 0 {
			facts.starters = 1 << (first - 1)
		}
	}
	c.layouts.edited = true
}

// givenTwice reports whether some epoch of a partition was given out twice.
func (f *layoutFacts) givenTwice(p node.PartitionID) bool {
	if int(p) >= len(f.history) {
		return false
	}
	for i := range f.history[p] {
		if f.history[p][i].second != 0 {
			return true
		}
	}
	return false
}

func (f *layoutFacts) epoch(p node.PartitionID, e node.Epoch) *epochFacts {
	if int(p) >= len(f.history) || int(e) >= len(f.history[p]) {
		return nil
	}
	return &f.history[p][e]
}

// second returns the member to which an epoch was given out for the second time, or 0.
func (f *layoutFacts) second(p node.PartitionID, e node.Epoch) node.MemberNumber {
	if facts := f.epoch(p, e); facts != nil {
		return facts.second
	}
	return 0
}

// onClaimRefused judges a frame that contradicts what a node promised, committed or sent.
// The simulator forges none: only an epoch that was given out twice explains it.
func (r *run) onClaimRefused(host int, ev *node.Event) {
	if !r.invariants.layouts.givenTwice(ev.Partition) {
		r.verdict.broken(Assertion, "%s refused what member %d says of partition %d: %s", schedule.HostName(host), ev.Peer, ev.Partition, ev.Text)
	}
}

// onRival counts the second member that starts an epoch.
func (r *run) onRival(host int, ev *node.Event) {
	facts := r.invariants.layouts.epoch(ev.Partition, ev.Epoch)
	if facts == nil || facts.second == 0 {
		return
	}
	facts.starters |= 1 << host
	if facts.starters&(facts.starters-1) != 0 && !facts.counted {
		facts.counted = true
		r.world.Count(world.FaultEpochTwice)
	}
}

// onAlarm counts the alarms about an edited layout.
func (r *run) onAlarm(ev *node.Event) {
	if r.invariants.layouts.edited && strings.HasPrefix(ev.Text, "refusing layout version") {
		r.world.Count(world.FaultEditRefused)
	}
}
