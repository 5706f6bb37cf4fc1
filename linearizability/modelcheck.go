package linearizability

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/anishathalye/porcupine"
)

// A ModelResult is the result of CheckModel.
type ModelResult struct {
	Verdict    Verdict
	Partitions []PartitionResult // in the order of the model's Partition
}

// A PartitionResult is the result for one part of a history.
type PartitionResult struct {
	Verdict    Verdict
	Operations []porcupine.Operation
	Steps      int
}

// CheckModel decides whether a history is linearizable by the caller's own Porcupine
// model, with Partition, Init, Step or StepContext, Equal and Hash as Porcupine
// documents them. Its functions may be called from several goroutines at once, as by
// Porcupine itself.
//
// Unlike Porcupine it counts steps and uses no clock, so that the verdict is a function
// of the history. Each partition is decided within stepBudget calls of Step and
// comparisons of states (0 means DefaultStepBudget), or is Undecided, which is a failure.
// Each search remembers up to DefaultMemoryBudget bytes, as Options.MemoryBudget
// describes. An operation of unknown outcome has a Return of math.MaxInt64, and a Step that allows
// for either outcome.
func CheckModel(model porcupine.Model, history []porcupine.Operation, stepBudget int) (*ModelResult, error) {
	if model.Init == nil || model.Step == nil && model.StepContext == nil {
		return nil, errors.New("the model needs Init, and Step or StepContext")
	}
	for i := range history {
		if op := &history[i]; op.Return < op.Call {
			return nil, fmt.Errorf("operation %d (client %d) returned at %d, before its call at %d", i, op.ClientId, op.Return, op.Call)
		}
	}
	if stepBudget <= 0 {
		stepBudget = DefaultStepBudget
	}
	parts := [][]porcupine.Operation{history}
	if model.Partition != nil {
		parts = model.Partition(history)
	}
	r := &ModelResult{Partitions: make([]PartitionResult, len(parts))}
	inParallel(len(parts), workersFor(len(history), runtime.GOMAXPROCS(0)), func(i int) {
		r.Partitions[i] = checkPartition(&model, parts[i], budget{steps: stepBudget, memory: DefaultMemoryBudget})
	})
	for i := range r.Partitions {
		r.Verdict = max(r.Verdict, r.Partitions[i].Verdict)
	}
	return r, nil
}

func checkPartition(model *porcupine.Model, ops []porcupine.Operation, budget budget) PartitionResult {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	calls, closes := make([]Stamp, len(ops)), make([]Stamp, len(ops))
	for i := range ops {
		calls[i], closes[i] = Stamp(ops[i].Call), Stamp(ops[i].Return)
	}
	s := &generalSearch[any]{
		eventList: newEventList(calls, closes), rules: &modelRules{model, ops}, ops: make([]generalOp, len(ops)),
		state: model.Init(), spending: spending{budget: budget},
	}
	return PartitionResult{Verdict: s.run(), Operations: ops, Steps: s.steps}
}

// modelRules apply a Porcupine model to the operations of one partition.
type modelRules struct {
	model *porcupine.Model
	ops   []porcupine.Operation
}

func (r *modelRules) step(s any, i int32) (any, bool) {
	op := &r.ops[i]
	if r.model.Step == nil {
		ok, after := r.model.StepContext(context.Background(), s, op.Input, op.Output)
		return after, ok
	}
	ok, after := r.model.Step(s, op.Input, op.Output)
	return after, ok
}

func (r *modelRules) equal(a, b any) bool {
	if r.model.Equal == nil {
		return a == b
	}
	return r.model.Equal(a, b)
}

func (r *modelRules) hash(s any) uint64 {
	if r.model.Hash == nil {
		return 0
	}
	return r.model.Hash(s)
}

func (r *modelRules) weight(any) int { return 0 }
