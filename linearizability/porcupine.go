package linearizability

import (
	"math"

	"github.com/anishathalye/porcupine"
)

// porcupineModel returns step as a Porcupine model. Porcupine can only be stopped by a
// clock, so the model counts: once the budget is used up no step is possible, which ends
// the search within (operations × concurrency) further steps. If *steps > budget, a
// negative answer of Porcupine means nothing.
//
// A state is held by a pointer: that is cheap to pass around, and stays equal as long as
// the state does not change.
func porcupineModel(m Model, steps *int, budget int) porcupine.Model {
	return porcupine.Model{
		Init: func() any {
			s := m.initial()
			return &s
		},
		Step: func(s, input, _ any) (bool, any) {
			*steps++
			if *steps > budget {
				return false, s
			}
			before := s.(*state)
			after, ok := step(*before, input.(*Operation))
			if !ok || after == *before {
				return ok, s
			}
			return true, &after
		},
		Equal: func(a, b any) bool { return a == b || *a.(*state) == *b.(*state) },
		Hash:  func(s any) uint64 { return s.(*state).hash() },
	}
}

// runPorcupine decides one key with Porcupine. closes[i] is the return of ops[i].
func runPorcupine(m Model, ops []*Operation, closes []Stamp, budget int) (Verdict, int) {
	steps := 0
	history := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		history[i] = porcupine.Operation{ClientId: i, Input: op, Call: int64(op.Call), Return: int64(closes[i])}
	}
	ok := porcupine.CheckOperations(porcupineModel(m, &steps, budget), history)
	switch {
	case ok:
		return Linearizable, steps // an order is a proof, even if the budget ran out
	case steps > budget:
		return Undecided, steps
	}
	return Illegal, steps
}

// runPorcupineUnpruned decides one key with Porcupine without pruning: every unknown
// write stays open and may come anywhere after its call.
func runPorcupineUnpruned(m Model, all []*Operation, budget int) (Verdict, int) {
	ops, closes := unprunedOperations(all)
	return runPorcupine(m, ops, closes, budget)
}

func unprunedOperations(all []*Operation) (ops []*Operation, closes []Stamp) {
	ops, closes = make([]*Operation, 0, len(all)), make([]Stamp, 0, len(all))
	for _, op := range all {
		switch {
		case op.answered():
			ops, closes = append(ops, op), append(closes, op.Return)
		case op.mayTakeEffect():
			ops, closes = append(ops, op), append(closes, math.MaxInt64)
		}
	}
	return ops, closes
}

// CheckWithPorcupine decides a history with Porcupine alone, one key after another,
// without pruning and without using log indices. Check is measured against it: they
// agree wherever Porcupine decides, but with many writes of unknown outcome no budget
// suffices for Porcupine. stepBudget is per key; 0 means DefaultStepBudget.
func CheckWithPorcupine(m Model, history []Operation, stepBudget int) (Verdict, error) {
	if err := Validate(history); err != nil {
		return Undecided, err
	}
	if stepBudget <= 0 {
		stepBudget = DefaultStepBudget
	}
	worst := Linearizable
	for _, key := range byKey(history) {
		v, _ := runPorcupineUnpruned(m, key.ops, stepBudget)
		worst = max(worst, v)
	}
	return worst, nil
}
