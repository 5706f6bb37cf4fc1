package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dkv/node"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// learnerFacts is what members hold before the layout names them, as far as it can be seen
// from outside. Two promises are judged by it, in class I:
//
//   - A primary makes the joint state only when each member that it adds lacks little of
//     what is committed (rule "learners first"). What a learner holds is taken from its own
//     log, and what is committed from what the primary has applied.
//   - A member does not delete what the ring means for it (rule "a learner keeps its copy").
type learnerFacts struct {
	ends     [][]node.Index // by host and partition: of its log, since it last deleted it
	caughtUp []caughtUp     // by partition: those of the last L2 that was asked for
	last     *layout.Layout
	copier   []process  // by partition: which copied last
	passed   []passedOn // by partition: what the copy under way follows
	pulls    [][]uint64 // by host and partition: process that last pulled a snapshot
}

type caughtUp struct {
	epoch   node.Epoch
	members []node.MemberNumber
}

// process is one process of a host; number 0: none.
type process struct {
	host   int
	number uint64
}

type passedOn uint8

const (
	firstCopy passedOn = iota
	afterAnother
	afterRestart
)

// mostLag is how many entries of what is committed a learner may lack.
const mostLag = 64

func newLearnerFacts(hosts, partitions int) *learnerFacts {
	f := &learnerFacts{
		ends: make([][]node.Index, hosts), pulls: make([][]uint64, hosts),
		caughtUp: make([]caughtUp, partitions), copier: make([]process, partitions), passed: make([]passedOn, partitions),
	}
	for h := range hosts {
		f.ends[h], f.pulls[h] = make([]node.Index, partitions), make([]uint64, partitions)
	}
	return f
}

// onLearnerEvent follows what each host holds, and what is copied.
func (r *run) onLearnerEvent(host int, ev *node.Event) {
	f, p := r.learners, int(ev.Partition)
	if p >= len(f.copier) {
		return
	}
	now := process{host, r.world.ProcessNumber(host)}
	switch ev.Kind {
	case node.EventLogged:
		f.ends[host][p] = max(f.ends[host][p], ev.Index)
	case node.EventCut, node.EventSnapshotInstalled:
		f.ends[host][p] = ev.Index
	case node.EventForgotten:
		f.ends[host][p] = 0
		r.judgeForgotten(host, ev)
	case node.EventLearnerCaughtUp:
		r.judgeCaughtUp(host, ev)
	case node.EventCopyBegun:
		before := f.copier[p]
		f.copier[p], f.passed[p] = now, firstCopy
		switch {
		case before.number != 0 && before.host != host:
			f.passed[p] = afterAnother
		case before.number != 0 && before.number != now.number:
			f.passed[p] = afterRestart
		}
	case node.EventCopyContinued:
		if count := [...]world.Fault{afterAnother: world.FaultCopyPassedOn, afterRestart: world.FaultCopySenderRestarted}[f.passed[p]]; f.passed[p] != firstCopy {
			r.world.Count(count)
		}
	case node.EventSnapshotContinued:
		if pulled := f.pulls[host][p]; pulled != 0 && pulled != now.number {
			r.world.Count(world.FaultSnapshotAfterRestart)
		}
	}
}

// onPull notes which process asks for a snapshot.
func (r *run) onPull(host int, p node.PartitionID) {
	if int(p) < len(r.learners.copier) {
		r.learners.pulls[host][p] = r.world.ProcessNumber(host)
	}
}

// judgeCaughtUp judges what a primary says of a learner when it asks for L2.
func (r *run) judgeCaughtUp(host int, ev *node.Event) {
	f := r.learners
	c := &f.caughtUp[ev.Partition]
	if c.epoch != ev.Epoch {
		*c = caughtUp{epoch: ev.Epoch}
	}
	c.members = append(c.members, ev.Peer)
	learner := r.invariants.layouts.host(ev.Peer)
	l := r.invariants.layouts.latest
	if learner == world.NoHost || l == nil || r.repeats.version[host] != node.Index(l.Version()) {
		return // a step against an older layout fails
	}
	holds, committed := f.ends[learner][ev.Partition], r.invariants.hosts[host].partitions[ev.Partition].applied
	if holds == 0 || holds+mostLag < committed || holds < ev.Index {
		r.verdict.broken(Invariant, "%s moves partition %d to %s, whose log ends at %d, not at %d as it believes; up to %d all is committed",
			schedule.HostName(host), ev.Partition, schedule.HostName(learner), holds, ev.Index, committed)
	}
}

// judgeForgotten judges a deletion by a host that knows the newest layout.
func (r *run) judgeForgotten(host int, ev *node.Event) {
	l := r.invariants.layouts.latest
	if r.setup.MoveRate == 0 || l == nil || r.repeats.version[host] != node.Index(l.Version()) || r.handBacks.prefer(l, r.invariants.rule) != nil {
		return
	}
	if n := r.world.Node(host); n != nil && n.Status(false).Settings.Rule() != r.invariants.rule {
		return // it has not heard of a change
	}
	for _, m := range r.handBacks.owners[ev.Partition] {
		if r.invariants.layouts.host(m) == host {
			r.verdict.broken(Invariant, "%s deleted its copy of partition %d, which the ring means for it", schedule.HostName(host), ev.Partition)
		}
	}
}

// onMoves judges the moves that a layout begins, if a node made it: all that it adds were
// said to have caught up.
func (r *run) onMoves(session int64) {
	f, next := r.learners, r.invariants.layouts.latest
	was := f.last
	f.last = next
	if was == nil || next == was || r.system != nil {
		return
	}
	by := world.NoHost
	for h := range r.setup.Nodes {
		if r.world.SessionID(h) == session {
			by = h
		}
	}
	if by == world.NoHost {
		return // the administrator, who may move at any time, or a session that is over
	}
	for p, now := range next.Partitions() {
		before, ok := was.Partition(node.PartitionID(p))
		if !ok || before.Moving() || !now.Moving() {
			continue
		}
		for _, m := range now.Next {
			c := f.caughtUp[p]
			if !layout.Contains(before.Replicas, m) && (c.epoch != before.Epoch || !slices.Contains(c.members, m)) {
				r.verdict.broken(Invariant, "%s began to move partition %d to %v without a word of whether member %d has caught up",
					schedule.HostName(by), p, now.Next, m)
			}
		}
	}
}

// notMoved names a partition that is not where the ring means it to be, though the disks
// are sound and the nodes begin moves.
func (r *run) notMoved() error {
	l := r.world.Layout()
	if r.setup.MoveRate == 0 || r.system != nil || l == nil {
		return nil
	}
	if err := r.handBacks.prefer(l, r.invariants.rule); err != nil {
		return err
	}
	ruined := func(m node.MemberNumber) bool {
		h := r.world.HostOf(m)
		return h != world.NoHost && r.world.Ruined(h)
	}
	for p, part := range l.Partitions() {
		target := r.handBacks.owners[p]
		if slices.ContainsFunc(target, ruined) || slices.ContainsFunc(part.Replicas, ruined) {
			continue
		}
		if part.Moving() || !sameMembers(part.Replicas, target) {
			return fmt.Errorf("partition %d has replicas %v, next %v, and the ring means it for %v", p, part.Replicas, part.Next, target)
		}
	}
	return nil
}

// mostBackoff bounds how long after the last fault a primary may wait before it moves a
// partition.
const mostBackoff = 5 * time.Minute

// movePhase demands, in some runs while clients are at work, that the hosts are members
// again, and that partitions get to where the ring means them to be. It returns false if
// clients wrote so fast that the log which a copy needs exceeded its bound: then it can be
// demanded only without them.
func (r *run) movePhase() bool {
	kept := cmp.Or(r.desk.astray(), r.notMoved())
	if r.system != nil || kept == nil {
		return true
	}
	bound, given := mostBackoff+8*r.setup.MoveTimeout, r.invariants.counts[node.EventCopyLogBound]
	moved := r.until(r.world.Now()+bound, func() bool {
		r.faults.restartAll()
		r.desk.reinstate()
		kept = cmp.Or(r.desk.astray(), r.notMoved())
		return kept == nil
	})
	switch {
	case moved || r.aborted:
	case !r.load.stopped && r.invariants.counts[node.EventCopyLogBound] > given:
		return false
	default:
		r.verdict.broken(Progress, "%v after all faults were healed: %v", bound, kept)
	}
	return true
}
