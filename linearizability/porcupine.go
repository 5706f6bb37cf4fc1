package linearizability

import (
	"math"

	"github.com/anishathalye/porcupine"
)

// porcupineModel is step as Porcupine wants it. Porcupine can only be stopped
// by a clock, so the model counts: when the budget is spent no step is possible
// any more, which ends the search within (operations × concurrency) further
// steps, and *steps > budget tells that its answer is none.
func porcupineModel(steps *int, budget int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, input, _ any) (bool, any) {
			*steps++
			if *steps > budget {
				return false, s
			}
			next, ok := step(s.(state), input.(*Operation))
			return ok, next
		},
		Hash: func(s any) uint64 {
			st := s.(state)
			h := uint64(st.version)*0x9e3779b97f4a7c15 ^ uint64(st.floor)<<32
			for i := 0; i < len(st.value); i++ {
				h = (h ^ uint64(st.value[i])) * 0x100000001b3
			}
			return h
		},
	}
}

// askPorcupine decides one key by Porcupine. closes[i] is when ops[i] returns.
func askPorcupine(ops []*Operation, closes []Stamp, budget int) (Verdict, int) {
	steps := 0
	history := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		history[i] = porcupine.Operation{ClientId: i, Input: op, Call: int64(op.Call), Return: int64(closes[i])}
	}
	ok := porcupine.CheckOperations(porcupineModel(&steps, budget), history)
	switch {
	case ok:
		return Linearizable, steps // reached although steps ran out: still an order
	case steps > budget:
		return Undecided, steps
	}
	return Illegal, steps
}

// askPorcupinePlain decides one key by Porcupine without pruning: every unknown
// write is open, and may come anywhere after its call.
func askPorcupinePlain(all []*Operation, budget int) (Verdict, int) {
	ops := make([]*Operation, 0, len(all))
	closes := make([]Stamp, 0, len(all))
	for _, op := range all {
		switch {
		case op.answered():
			ops, closes = append(ops, op), append(closes, op.Return)
		case op.mayTakeEffect():
			ops, closes = append(ops, op), append(closes, math.MaxInt64)
		}
	}
	return askPorcupine(ops, closes, budget)
}

// CheckPlain decides a history by Porcupine alone, one key after another,
// without pruning and without looking at log indices. It is what Check is
// measured against: equal where it answers, but with many writes of unknown
// outcome it does not answer within any budget. stepBudget is per key; 0 means
// DefaultStepBudget.
func CheckPlain(history []Operation, stepBudget int) (Verdict, error) {
	if err := Validate(history); err != nil {
		return Undecided, err
	}
	if stepBudget <= 0 {
		stepBudget = DefaultStepBudget
	}
	worst := Linearizable
	for _, key := range byKey(history) {
		v, _ := askPorcupinePlain(key.ops, stepBudget)
		worst = max(worst, v)
	}
	return worst, nil
}
