package sim

import (
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
	"dkv/zksim/zktree"
)

func (r *run) onEvent(host int, ev node.Event) {
	r.invariants.onEvent(host, r.world.ProcessNumber(host), &ev)
	r.repeats.onEvent(host, &ev)
	r.onLearnerEvent(host, &ev)
	switch ev.Kind {
	case node.EventBooted:
		r.desk.stores[host] = node.StoreID(ev.Text)
	case node.EventApplied, node.EventSnapshotInstalled:
		r.onStateEvent(host, &ev)
	case node.EventRegistered:
		r.checkRegistration(host)
	case node.EventClaimRefused:
		r.onClaimRefused(host, &ev)
	case node.EventAlarm:
		r.onAlarm(&ev)
	case node.EventReignStarted:
		r.onRival(host, &ev)
	case node.EventAnswerTooOld:
		if r.invariants.deposed(ev.Partition, ev.Epoch) {
			r.world.Count(world.FaultStaleAnswer)
		}
	case node.EventReplaced:
		r.judgeReplaced(host, ev.Peer)
	case node.EventTakeOver:
		r.handBacks.onTakeOver(host, r.world.ProcessNumber(host), ev.Partition)
	}
	if r.options.Note != nil {
		r.note("%s: %s", schedule.HostName(host), world.EventWords(&ev))
	}
	r.options.timeline.onEvent(r.world.Now(), host, &ev)
	r.faults.onEvent(host, &ev)
}

// onHost records a host's change of state. A node may fail only because of a fault
// of its disk; it is restarted in any case.
func (r *run) onHost(host int, change world.HostChange) {
	r.note("%s %v", schedule.HostName(host), change)
	r.options.timeline.onHost(r.world.Now(), host, change)
	if change == world.HostCrashed && r.invariants.promiseUnsynced(host, r.world.ProcessNumber(host)) {
		r.world.Count(world.FaultCrashBeforePromise)
	}
	if change == world.HostStopped && r.faults.over {
		r.restartSoon(host) // the step that would have restarted it is no longer in force
	}
	if change != world.HostFailed {
		return
	}
	if !r.world.Excused(host) {
		r.verdict.broken(Assertion, "%s failed: %v", schedule.HostName(host), r.world.Failure(host))
	}
	r.restartSoon(host)
}

func (r *run) restartSoon(host int) {
	r.world.After(500*time.Millisecond, func() { r.world.Restart(host) })
}

// onZKCommit passes every change of the layout's znode to the invariants.
func (r *run) onZKCommit(txn *zktree.Txn, result *zktree.Result) {
	if result.Failed || result.Err != zktree.OK {
		return
	}
	if txn.Code != zktree.OpMulti {
		r.onZKOp(&txn.Op, result.Stat.Version)
	} else {
		for i := range txn.Ops {
			r.onZKOp(&txn.Ops[i], result.Ops[i].Stat.Version)
		}
	}
	r.onMoves(txn.Session)
	if r.steady != nil {
		r.onSteadyLayout(txn.Session)
	}
}

func (r *run) onZKOp(op *zktree.Op, version int32) {
	if op.Path == "/dkv/"+clusterName+"/cluster" {
		r.onRecord(op)
	}
	if op.Path != "/dkv/"+clusterName+"/layout" {
		return
	}
	switch op.Code {
	case zktree.OpCreate, zktree.OpCreate2, zktree.OpSetData:
		r.note("layout %d: %s", version, op.Data)
		edit, edited := r.world.EditOf(op.Data)
		if edited {
			r.invariants.onEdit(edit.Partition, edit.Epoch, edit.Primary)
		}
		r.invariants.onLayout(op.Data, version, edited, func(id node.NodeID) int { return r.world.HostNamed(string(id)) })
		r.repeats.onLayout(r.invariants.layouts.latest)
		if op.Code != zktree.OpSetData {
			r.checkFormed()
		}
	case zktree.OpDelete:
		r.invariants.onLayoutGone()
	}
}

// onRecord follows the cluster's record, as the nodes have to.
func (r *run) onRecord(op *zktree.Op) {
	if op.Code == zktree.OpDelete {
		return
	}
	rule, err := ruleOf(op.Data)
	if err != nil {
		r.verdict.broken(Invariant, "cannot read the cluster's record: %v", err)
		return
	}
	if op.Code == zktree.OpSetData && rule != r.invariants.rule {
		r.world.Count(world.FaultRingSet)
		r.invariants.formerRules = append(r.invariants.formerRules, r.invariants.rule)
	}
	r.note("record: %s", op.Data)
	r.invariants.rule = rule
}

func (r *run) onOperation(op linearizability.Operation, outcome linearizability.Outcome) {
	r.traffic.onAsked(r.world.HostNamed(op.Node), len(op.Key)+len(op.Value), r.world.Now()-op.CallTime)
	if op.CallTime >= r.setup.Phases.Faults {
		return
	}
	r.judgePlanned(op, outcome)
	if host := r.world.HostNamed(op.Node); r.isStranger(host) || r.desk.outside(host) {
		return // a node that is not a member has to refuse; how much the cluster serves does not show there
	}
	r.called++
	switch outcome {
	case linearizability.OK:
		r.done++
	case linearizability.Refused:
		r.refused++
	default:
		r.unknown++
	}
}
