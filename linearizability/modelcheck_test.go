package linearizability

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// added is an addition to a counter. It returns the previous value.
type added struct{ n int }

func counterModel(hash bool) porcupine.Model {
	m := porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			return output == nil || output == state, state.(int) + input.(added).n
		},
	}
	if hash {
		m.Hash = func(state any) uint64 { return uint64(state.(int)) }
		m.Equal = func(a, b any) bool { return a.(int) == b.(int) }
	}
	return m
}

// CheckModel agrees with Porcupine.
func TestCheckModelAgreesWithPorcupine(t *testing.T) {
	illegal := 0
	const seeds = 5_000
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 11))
		var history []porcupine.Operation
		sum := 0
		for i := range 3 + rng.IntN(8) {
			call := int64(rng.IntN(20))
			op := porcupine.Operation{ClientId: i, Input: added{1 + rng.IntN(2)}, Output: sum, Call: int64(10*i) - call, Return: int64(10*i) + int64(rng.IntN(20))}
			sum += op.Input.(added).n
			switch rng.IntN(8) {
			case 0:
				op.Output, op.Return = nil, math.MaxInt64
			case 1:
				op.Output = rng.IntN(sum + 1)
			}
			history = append(history, op)
		}
		model := counterModel(seed%2 == 0)
		want := Illegal
		if porcupine.CheckOperations(model, history) {
			want = Linearizable
		} else {
			illegal++
		}
		rng.Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
		got, err := CheckModel(model, history, 0)
		if err != nil || got.Verdict != want {
			t.Fatalf("seed %d: %v, %v; Porcupine says %v: %+v", seed, got, err, want, history)
		}
	}
	if illegal < seeds/4 || illegal > seeds*3/4 {
		t.Errorf("%d of %d are illegal, which is not the mixture that this test needs", illegal, seeds)
	}
}

func TestCheckModelHasABudgetAndDecidesPartitions(t *testing.T) {
	var history []porcupine.Operation
	for i := range 12 {
		history = append(history, porcupine.Operation{ClientId: i, Input: added{1 << i}, Output: nil, Call: 0, Return: 1000})
	}
	history = append(history, porcupine.Operation{ClientId: 12, Input: added{1}, Output: 5, Call: 2000, Return: 2001})
	model := counterModel(true)
	for budget, want := range map[int]Verdict{100: Undecided, 0: Illegal} {
		r, err := CheckModel(model, history, budget)
		if err != nil || r.Verdict != want || budget > 0 && r.Partitions[0].Steps > budget+100 {
			t.Errorf("budget %d: %+v, %v, want %v", budget, r, err, want)
		}
	}
	model.Partition = func(all []porcupine.Operation) [][]porcupine.Operation {
		return [][]porcupine.Operation{all[:12], {}, all[12:]}
	}
	r, err := CheckModel(model, history, 0)
	if err != nil || len(r.Partitions) != 3 || r.Partitions[0].Verdict != Linearizable || r.Partitions[1].Verdict != Linearizable ||
		r.Partitions[2].Verdict != Illegal || r.Verdict != Illegal {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCheckModelRejectsInvalidInput(t *testing.T) {
	if _, err := CheckModel(porcupine.Model{}, nil, 0); err == nil || !strings.Contains(err.Error(), "needs Init") {
		t.Errorf("no functions: %v", err)
	}
	reversed := []porcupine.Operation{{ClientId: 3, Input: added{1}, Call: 7, Return: 5}}
	if _, err := CheckModel(counterModel(true), reversed, 0); err == nil || !strings.Contains(err.Error(), "operation 0 (client 3) returned at 5, before its call at 7") {
		t.Errorf("reversed: %v", err)
	}
}
