package schedule

import (
	"slices"
	"time"
)

// Cut removes the lines that lie after the end of the run.
func (s *Schedule) Cut() {
	end := s.Setup.Phases.Faults
	s.Steps = slices.DeleteFunc(s.Steps, func(step Step) bool { return step.At >= end })
	if s.Setup.Phases.Core == 0 && s.Setup.Phases.Converge == 0 {
		s.Calls = slices.DeleteFunc(s.Calls, func(call Call) bool { return call.At >= end })
	}
}

// FitMoves shortens moves to as many nodes as a partition has replicas: a move to
// more nodes would fail because of the schedule, not because of a bug.
func (s *Schedule) FitMoves() {
	for i := range s.Steps {
		if step := &s.Steps[i]; step.Do == Move && len(step.Targets) > s.Setup.Replication {
			step.Targets = slices.Clone(step.Targets[:s.Setup.Replication])
		}
	}
}

// Fold reduces a schedule to so many partitions and nodes, and maps the numbers in
// its lines to them. It removes steps that would then name too few distinct nodes.
func (s *Schedule) Fold(partitions, nodes int) {
	was := s.Setup.Nodes
	fold := func(host int) int {
		if host >= was {
			return nodes + host - was // a stranger stays one
		}
		return host % nodes
	}
	s.Setup.Partitions, s.Setup.Nodes = partitions, nodes
	s.Setup.Uneven = s.Setup.Uneven.below(nodes)
	s.Setup.Zones, s.Setup.Weights = s.Setup.Zones.below(nodes), s.Setup.Weights.below(nodes)
	for i := range s.Calls {
		s.Calls[i].Host = fold(s.Calls[i].Host)
	}
	for i := range s.Steps {
		step := &s.Steps[i]
		step.Partition %= partitions
		step.Of %= partitions
		var targets []Target
		for _, t := range step.Targets {
			t.Partition %= partitions
			if t.Role == ByNumber {
				t.Node = 1 + fold(t.Node-1)
			}
			if !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
		step.Targets = targets
	}
	s.Steps = slices.DeleteFunc(s.Steps, func(step Step) bool {
		pair := slices.Contains([]*arguments{link, linkBothWays, linkAndTime, linkAndRate, twoNodes}, step.Do.arguments)
		return pair && len(step.Targets) < 2 || step.Do == Move && len(step.Targets) < s.Setup.Replication
	})
}

// DropStrangers removes the hosts that do not form the cluster, and the lines that name them.
func (s *Schedule) DropStrangers() {
	s.Setup.Strangers = 0
	s.Calls = slices.DeleteFunc(s.Calls, func(call Call) bool { return call.Host >= s.Setup.Nodes })
	s.Steps = slices.DeleteFunc(s.Steps, func(step Step) bool {
		return slices.ContainsFunc(step.Targets, func(t Target) bool { return t.Role == ByNumber && t.Node > s.Setup.Nodes })
	})
}

// Times returns the distinct times of the schedule's lines, in order.
func (s *Schedule) Times() []time.Duration {
	var times []time.Duration
	for i := range s.Steps {
		times = append(times, s.Steps[i].At)
	}
	for i := range s.Calls {
		times = append(times, s.Calls[i].At)
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// Durations returns pointers to the end of the fault phase and to every duration
// in the lines, so that the caller can change them.
func (s *Schedule) Durations() []*time.Duration {
	all := []*time.Duration{&s.Setup.Phases.Faults}
	for i := range s.Steps {
		step := &s.Steps[i]
		for _, d := range []*time.Duration{&step.At, &step.After, &step.For, &step.Lag} {
			if *d > 0 {
				all = append(all, d)
			}
		}
	}
	for i := range s.Calls {
		all = append(all, &s.Calls[i].At)
	}
	return all
}
