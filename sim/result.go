package sim

import (
	"fmt"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Result is the outcome of a run.
type Result struct {
	Schedule *schedule.Schedule
	// Origin is the schedule from which Shrink made this one; nil if the run is not
	// the result of Shrink.
	Origin     *schedule.Schedule
	Violations []Violation // in the order found
	Classes    []Class     // the classes of the violations; empty: the run passed

	Steps   uint64
	Events  uint64
	Virtual time.Duration
	Trace   uint64 // hash of every step

	Counters []world.Counter         // how often faults took effect
	Turns    world.TurnSizes         // of all processes
	Spared   []int                   // indices of the steps that the budget forbade
	Probes   [node.EventKinds]uint64 // events of the nodes, by kind
	// UnknownSeen is the number of writes of unknown outcome that were read later.
	UnknownSeen uint64
	// Compared is the number of installed snapshots whose state was compared.
	Compared       uint64
	Uses           [bounds]Use // how near the run came to the bounds of class B
	PrimaryChanges int
	// Called counts the operations that began in the fault phase; the others count
	// their outcomes.
	Called, Done, Refused, Unknown int

	History []linearizability.Operation
	Check   *linearizability.Result
}

// result judges the history and collects the run's outcome.
func (r *run) result() *Result {
	w := r.world
	res := &Result{
		Schedule: r.schedule, Steps: w.Steps(), Events: w.Events(), Virtual: w.Now(), Trace: w.TraceHash(),
		Counters: w.Counters(), Probes: r.invariants.counts, PrimaryChanges: r.invariants.layouts.changes,
		Turns:  w.Turns(),
		Called: r.called, Done: r.done, Refused: r.refused, Unknown: r.unknown,
		Compared: uint64(r.snapshots.compared), Uses: *r.uses,
		History: r.load.recorder.History(), Spared: r.faults.spared,
	}
	res.UnknownSeen = unknownSeen(res.History)
	if r.system != nil {
		r.system.judge(r.verdict, res.History)
	} else {
		check, err := linearizability.Check(res.History, linearizability.Options{Workers: 1, StepBudget: checkSteps})
		r.judge(check, err)
		res.Check = check
	}
	res.Violations, res.Classes = r.verdict.violations, r.verdict.classes()
	return res
}

// checkSteps is the step budget of a run's history: a run that is hard to check is a
// failure, and is to be seen soon.
const checkSteps = 4_000_000

// judge records the checker's verdict on the history. An undecided history is a
// failure too: it may hide a violation.
func (r *run) judge(check *linearizability.Result, err error) {
	switch {
	case err != nil:
		r.verdict.broken(Assertion, "invalid history: %v", err)
	case check.Verdict == linearizability.Undecided:
		r.verdict.broken(Linearizability, "the history could not be decided within the budget of steps")
	case check.Verdict == linearizability.Illegal:
		for _, v := range check.Violations {
			r.verdict.broken(classOf(v.Class), "key %s: %s", v.Key, v.Sentence)
		}
	}
}

func classOf(c linearizability.Class) Class {
	switch c {
	case linearizability.RefusedSeen:
		return RefusedSeen
	case linearizability.WriteLost:
		return Durability
	}
	return Linearizability
}

// unknownSeen counts the puts of unknown outcome whose values were read.
func unknownSeen(history []linearizability.Operation) uint64 {
	unknown := make(map[string]bool)
	for i := range history {
		op := &history[i]
		if op.Kind == linearizability.Put && op.Outcome == linearizability.Unknown {
			unknown[op.Value] = true
		}
	}
	seen := uint64(0)
	for i := range history {
		a := &history[i].Answer
		if a.HasValue && unknown[a.Value] {
			delete(unknown, a.Value)
			seen++
		}
	}
	return seen
}

// Line describes the run in one line. The caller measures the wall time.
func (r *Result) Line(wall time.Duration) string {
	word := "ok"
	if len(r.Classes) > 0 {
		word = "fail"
	}
	return fmt.Sprintf("seed=%d result=%s class=%s events=%d virtual=%v wall=%v trace=%016x",
		r.Schedule.Setup.Seed, word, joinClasses(r.Classes), r.Events, r.Virtual.Round(time.Millisecond),
		wall.Round(time.Millisecond), r.Trace)
}
