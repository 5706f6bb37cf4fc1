package sim

import (
	"fmt"
	"slices"

	"dkv/node"
	"dkv/node/layout"
	"dkv/node/ring"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// handBacks records which primaries have a reason to keep a partition that the
// ring prefers elsewhere: a node that took a partition over hands it back only
// after a delay, which grows each time.
type handBacks struct {
	took [][]uint64 // by host and partition: incarnation of the process that took it over, or 0
	// preferred is the ring's choice of a primary, by partition. It is valid for
	// members only.
	preferred []node.MemberNumber
	owners    [][]node.MemberNumber // the ring's choice of replicas, likewise
	members   []layout.Member
	rule      ring.Rule
}

func newHandBacks(hosts, partitions int) *handBacks {
	h := &handBacks{took: make([][]uint64, hosts)}
	for i := range h.took {
		h.took[i] = make([]uint64, partitions)
	}
	return h
}

// onTakeOver records that a process took a partition over.
func (h *handBacks) onTakeOver(host int, incarnation uint64, p node.PartitionID) {
	if int(p) < len(h.took[host]) {
		h.took[host][p] = incarnation
	}
}

// notHandedBack returns an error that names a partition whose primary is not the
// one that the ring prefers, though the preferred node is a replica with an intact
// disk and the primary's process did not take the partition over. Without a layout
// there is nothing to hand back.
func (r *run) notHandedBack() error {
	l := r.world.Layout()
	if l == nil {
		return nil
	}
	if err := r.handBacks.prefer(l, r.invariants.rule); err != nil {
		return err
	}
	for p, part := range l.Partitions() {
		preferred := r.handBacks.preferred[p]
		leads, waits := r.world.HostOf(part.Primary), r.world.HostOf(preferred)
		switch {
		case part.Primary == preferred, !layout.Contains(part.Replicas, preferred):
		case leads == world.NoHost, waits == world.NoHost, r.world.Ruined(waits):
		case r.handBacks.took[leads][p] == r.world.ProcessNumber(leads):
		default:
			return fmt.Errorf("%s did not hand partition %d over to %s, which the ring prefers", schedule.HostName(leads), p, schedule.HostName(waits))
		}
	}
	return nil
}

// prefer recomputes the preferred primaries if the members or the rule have changed, and
// checks that the ring keeps its rule.
func (h *handBacks) prefer(l *layout.Layout, rule ring.Rule) error {
	if slices.Equal(h.members, l.Members()) && h.rule == rule {
		return nil
	}
	var active []layout.Member
	for _, m := range l.Members() {
		if m.State == layout.Active {
			active = append(active, m)
		}
	}
	targets, err := rule.Assign(l.Q(), l.Replication(), ringMembers(active))
	if err != nil {
		return err
	}
	if what := checkSpread(rule, active, min(l.Replication(), len(active)), replicaSets(targets)); what != "" {
		return fmt.Errorf("the ring's target breaks its rule: %s", what)
	}
	h.rule = rule
	h.members, h.preferred = l.Members(), make([]node.MemberNumber, len(targets))
	h.owners = make([][]node.MemberNumber, len(targets))
	for p := range targets {
		h.preferred[p] = node.MemberNumber(targets[p].Primary)
		for _, m := range targets[p].Replicas {
			h.owners[p] = append(h.owners[p], node.MemberNumber(m))
		}
	}
	return nil
}
