package sim

import (
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/sim/schedule"
)

// TestNothingIsUnknownWhileMembersComeAndGo runs a seed of the profile planned: partitions
// move, writes are held for it, and none is left without an answer.
func TestNothingIsUnknownWhileMembersComeAndGo(t *testing.T) {
	var probes [node.EventKinds]uint64
	for seed := range uint64(3) {
		s, err := Draw(seed+1, "planned")
		if err != nil {
			t.Fatal(err)
		}
		if !allPlanned(s) {
			t.Fatal("the oracle does not judge it")
		}
		s.Setup.Phases.Core, s.Setup.Phases.Converge = 0, 0
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Classes) > 0 || r.Unknown > 0 || r.Done < 1000 {
			t.Errorf("seed %d: %v, %d done, %d unknown", seed+1, r.Classes, r.Done, r.Unknown)
		}
		for kind, count := range r.Probes {
			probes[kind] += count
		}
	}
	for _, kind := range []node.EventKind{node.EventMoveBegun, node.EventMoveFinished, node.EventHandOver, node.EventHeldForStep, node.EventDrained} {
		if probes[kind] == 0 {
			t.Errorf("%v never happened", kind)
		}
	}
}

// TestAnUnknownEndWithoutAFaultIsFound asks hosts that do not answer.
func TestAnUnknownEndWithoutAFaultIsFound(t *testing.T) {
	for _, planned := range []bool{true, false} {
		s, err := Draw(1, "planned")
		if err != nil {
			t.Fatal(err)
		}
		if !planned {
			s.Steps = append(s.Steps, schedule.Step{At: time.Second, Do: schedule.ZKLeader})
		}
		r := steadyRun(t)
		r.planned, r.setup = allPlanned(s), &s.Setup
		op := linearizability.Operation{Kind: linearizability.Put, Key: "k", Node: "n1"}
		r.judgePlanned(op, linearizability.OK)
		r.judgePlanned(op, linearizability.Refused)
		wanted(t, r, "")
		r.judgePlanned(op, linearizability.Unknown)
		if planned {
			wanted(t, r, "though nothing failed")
		} else {
			wanted(t, r, "")
		}
	}
}
