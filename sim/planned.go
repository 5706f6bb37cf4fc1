package sim

import (
	"slices"
	"time"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/sim/schedule"
	"dkv/zksim"
)

// Members that come and go are no fault: while nothing else happens, every change of a
// partition's epoch is planned, and no request may end unknown (rule "drain before a
// planned step").

// plannedFamily is of the profile in which members come and go, and nothing fails.
const plannedFamily = "planned"

// drawPlanned adds two hosts to a small cluster, one soon after the other, and drains two
// of the first members, under load and on a network and disks that are never slow for long.
func (d *swarm) drawPlanned() {
	if !slices.Contains(d.profile.families, plannedFamily) {
		return
	}
	s, w := &d.setup, &d.setup.Workload
	s.Nodes, s.Strangers, s.Replication = 3+d.below(2, "planned nodes"), 2, 3
	s.Partitions = d.number(4, 16, "planned partitions")
	s.SuspectAfter = d.span(500*time.Millisecond, time.Second, "planned suspect after", 0)
	s.SettleTime = d.span(s.SuspectAfter, 2*s.SuspectAfter, "planned settle time", 0)
	s.SessionTimeout, s.MoveTimeout = 6*time.Second, 6*time.Second
	s.MoveRate, s.ReplaceAfter, s.QueueFrames = d.number(256<<10, 4<<20, "planned move rate"), 0, schedule.DefaultSetup().QueueFrames
	s.Network, s.Uneven, s.Zones, s.Weights = netsim.Stream, "", "", ""
	s.LatencyMean = min(s.LatencyMean, s.LatencyMin+5*time.Millisecond)
	s.Turn, s.TurnMin, s.TurnMax = max(s.Turn, 16), min(s.TurnMin, time.Millisecond), min(s.TurnMax, 2*time.Millisecond)
	s.Sync.Max = min(s.Sync.Max, s.Sync.Min+10*time.Millisecond)
	w.Clients, w.Keys, w.Operations = d.number(16, 48, "planned clients"), 64, d.number(2000, 4000, "planned operations")
	w.Timeout, w.Patience, w.Large = 3*time.Second, 0, 0
	if w.Put < 40 {
		w.Get, w.Put, w.Delete, w.Conditional = 20, 70, 5, 5
	}
	for i := range 2 {
		joins := d.span(4*time.Second, 8*time.Second, "planned join", uint64(i))
		drains := joins + d.span(6*time.Second, 14*time.Second, "planned drain", uint64(i))
		d.steps = append(d.steps,
			schedule.Step{At: joins, Do: schedule.Join, Targets: []schedule.Target{{Node: s.Nodes + 1 + i}}},
			schedule.Step{At: drains, Do: schedule.Drain, Targets: []schedule.Target{{Node: 1 + i}}, For: d.span(4*time.Second, 10*time.Second, "planned drained", uint64(i))})
	}
	slices.SortStableFunc(d.steps, func(a, b schedule.Step) int { return int(a.At - b.At) })
}

// allPlanned reports whether members come and go in a schedule, and nothing else happens.
func allPlanned(s *schedule.Schedule) bool {
	faulty := func(step schedule.Step) bool { return step.Do != schedule.Join && step.Do != schedule.Drain }
	return len(s.Steps) > 0 && !slices.ContainsFunc(s.Steps, faulty) &&
		s.Setup.Rates == (netsim.Rates{}) && s.Setup.ZKRates == (zksim.Rates{}) && s.Setup.QueueFrames >= schedule.DefaultSetup().QueueFrames &&
		s.Setup.Uneven == "" && s.Setup.Workload.Timeout >= 3*s.Setup.SuspectAfter
}

// judgePlanned judges an operation that ended before anything failed.
func (r *run) judgePlanned(op linearizability.Operation, outcome linearizability.Outcome) {
	if outcome != linearizability.Unknown || !r.planned || r.world.Now() >= r.setup.Phases.Faults {
		return
	}
	r.verdict.broken(Progress, "the %s of %s that %s took at %v ended unknown, though nothing failed: %s", op.Kind, op.Key, op.Node, op.CallTime, r.lastUnknown)
}
