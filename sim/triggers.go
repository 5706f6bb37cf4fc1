package sim

import (
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// await keeps a step until its trigger.
func (f *injector) await(s *schedule.Step) {
	f.note("waits: %v", s)
	f.waiting = append(f.waiting, s)
}

// onEvent starts the steps that waited for this event of a node. They take place
// after the event, not within the node's turn.
func (f *injector) onEvent(host int, ev *node.Event) {
	if ev.Kind == node.EventReignStarted {
		if last := &f.starters[ev.Partition]; last[0] != host {
			last[0], last[1] = host, last[0]
		}
	}
	if len(f.waiting) == 0 || f.over {
		return
	}
	left := f.waiting[:0]
	for _, s := range f.waiting {
		if triggerEvents[s.Once] != ev.Kind || s.Of != int(ev.Partition) {
			left = append(left, s)
			continue
		}
		f.world.After(0, func() {
			if !f.over {
				f.world.Count(world.FaultTrigger)
				f.aim(s)
			}
		})
	}
	f.waiting = left
}

// triggerEvents maps each trigger to the node event that fires it.
var triggerEvents = map[schedule.Trigger]node.EventKind{
	schedule.Started:   node.EventReignStarted,
	schedule.Copied:    node.EventLogCopied,
	schedule.Active:    node.EventReignActive,
	schedule.Joint:     node.EventJointActive,
	schedule.Quiet:     node.EventQuiet,
	schedule.Ended:     node.EventReignEnded,
	schedule.Installed: node.EventSnapshotInstalled,
}
