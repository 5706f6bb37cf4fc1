package linearizability

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func randomConfig(rng *rand.Rand) storeConfig {
	return storeConfig{
		clients:    2 + rng.IntN(4),
		keys:       1 + rng.IntN(2),
		operations: 4 + rng.IntN(12),
		unknown:    []int{0, 20, 50}[rng.IntN(3)],
		refused:    []int{0, 10}[rng.IntN(2)],
		bare:       []int{0, 0, 30, 80}[rng.IntN(4)],
		indexed:    rng.IntN(2) == 0,
	}
}

// randomHistory returns the history of a seed, and whether it is unmutated.
func randomHistory(seed uint64) (history []Operation, pure bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	history = generate(rng, randomConfig(rng))
	pure = rng.IntN(8) == 0
	if !pure {
		mutate(rng, history)
	}
	return history, pure
}

func dump(t *testing.T, history []Operation) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, history); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Check agrees with Porcupine on histories of which about a third are illegal.
// Porcupine gets the whole histories, without pruning, log indices or facts.
func TestCheckAgreesWithPorcupine(t *testing.T) {
	const seeds = 20_000
	var illegal, byIndex, byIndexIllegal, pruned int
	for seed := range uint64(seeds) {
		history, pure := randomHistory(seed)
		want, err := CheckWithPorcupine(Register, history, 5_000_000)
		if err != nil || want == Undecided {
			t.Fatalf("seed %d: %v, %v", seed, want, err)
		}
		if pure && want != Linearizable {
			t.Fatalf("seed %d: the history is legal by construction, but Porcupine says %v:\n%s", seed, want, dump(t, history))
		}
		got, err := Check(history, Options{VerdictOnly: true, NoSecondOpinion: true})
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict != want {
			t.Fatalf("seed %d: %v, Porcupine says %v:\n%s", seed, got.Verdict, want, dump(t, history))
		}
		if want == Illegal {
			illegal++
		}
		for _, k := range byKey(history) {
			d := decide(Register, k.ops, budget{steps: DefaultStepBudget, memory: DefaultMemoryBudget})
			if d.clash == nil && len(d.kept) < len(d.facts.ops) {
				pruned++
			}
			if !orderByIndexHolds(Register, k.ops) {
				continue
			}
			byIndex++
			if d.verdict != Linearizable {
				byIndexIllegal++
			}
		}
	}
	t.Logf("%d histories, %d illegal; %d keys proven by index, %d pruned", seeds, illegal, byIndex, pruned)
	if byIndexIllegal > 0 {
		t.Errorf("the order by index proves %d keys that the search calls illegal", byIndexIllegal)
	}
	if illegal < seeds/4 || illegal > seeds/2 || byIndex < seeds/10 || pruned < seeds/20 {
		t.Errorf("the histories are not the mixture that this test needs")
	}
}

// ambiguousConfig returns a configuration in which values do not identify their
// writes.
func ambiguousConfig(rng *rand.Rand) storeConfig {
	c := randomConfig(rng)
	c.operations = 4 + rng.IntN(9)
	c.values = []int{0, 1, 2, 3}[rng.IntN(4)]
	c.appends = rng.IntN(2) == 0
	c.ifValues = rng.IntN(2) == 0
	c.model = Model(rng.IntN(2))
	c.unknown = []int{0, 20, 50}[rng.IntN(3)]
	if c.values > 0 && rng.IntN(2) == 0 {
		c.bare = 100 // versions would identify the writes
	}
	return c
}

// Check agrees with Porcupine also where values repeat, are appended to and compared
// with: the general search skips no order that counts, nor does the pruning.
func TestGeneralSearchAgreesWithPorcupine(t *testing.T) {
	const seeds = 20_000
	var illegal, searched, pruned, classes, withAppends, withConditions int
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 8))
		config := ambiguousConfig(rng)
		history := generate(rng, config)
		pure := rng.IntN(8) == 0
		if !pure {
			mutate(rng, history)
			misread(rng, history)
			if seed%2 == 0 {
				mutate(rng, history)
			}
		}
		want, err := CheckWithPorcupine(config.model, history, 5_000_000)
		if err != nil || want == Undecided || pure && want != Linearizable {
			t.Fatalf("seed %d: %v, %v (unmutated: %v):\n%s", seed, want, err, pure, dump(t, history))
		}
		got, err := Check(history, Options{Model: config.model, VerdictOnly: true, NoSecondOpinion: true})
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict != want {
			t.Fatalf("seed %d: %v, %v, Porcupine says %v:\n%s", seed, config.model, got.Verdict, want, dump(t, history))
		}
		if want == Illegal {
			illegal++
		}
		for _, k := range byKey(history) {
			d := decide(config.model, k.ops, budget{steps: DefaultStepBudget, memory: DefaultMemoryBudget})
			if d.clash != nil || d.method != ByGeneralSearch {
				continue
			}
			searched++
			if len(d.kept) < len(d.facts.ops) {
				pruned++
			}
			if s := newGeneralSearch(d.facts, d.kept, budget{steps: 1}); len(s.classes) > 0 {
				classes++
			}
			if d.facts.appends > 0 {
				withAppends++
			}
			for _, op := range d.facts.ops {
				if op.HasIfValue {
					withConditions++
					break
				}
			}
		}
	}
	t.Logf("%d histories, %d illegal; %d keys searched, %d pruned, %d with open writes, %d with appends, %d with conditions on values",
		seeds, illegal, searched, pruned, classes, withAppends, withConditions)
	if illegal < seeds/4 || illegal > seeds/2 || searched < seeds/2 || pruned < seeds/40 || classes < seeds/20 ||
		withAppends < seeds/10 || withConditions < seeds/20 {
		t.Errorf("the histories are not the mixture that this test needs")
	}
}

// On longer histories with more unknown operations, Check always decides, and agrees
// with Porcupine where that decides within its budget.
func TestLongerHistoriesAgreeWherePorcupineDecides(t *testing.T) {
	const seeds = 400
	var answered, illegal int
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 4))
		history := generate(rng, storeConfig{clients: 5, keys: 1, operations: 30 + rng.IntN(80), unknown: 5 + rng.IntN(35), bare: rng.IntN(60)})
		if seed%2 == 0 {
			mutate(rng, history)
		}
		r, err := Check(history, Options{VerdictOnly: true, NoSecondOpinion: true, StepBudget: 200_000})
		if err != nil || r.Verdict == Undecided {
			t.Fatalf("seed %d: %v, %v:\n%s", seed, r.Verdict, err, dump(t, history))
		}
		want, err := CheckWithPorcupine(Register, history, 50_000)
		if err != nil {
			t.Fatal(err)
		}
		if want == Undecided {
			continue
		}
		answered++
		if want == Illegal {
			illegal++
		}
		if r.Verdict != want {
			t.Fatalf("seed %d: %v, Porcupine says %v:\n%s", seed, r.Verdict, want, dump(t, history))
		}
	}
	t.Logf("Porcupine decided %d of %d, %d of them illegal", answered, seeds, illegal)
	if answered < seeds/2 || illegal < seeds/20 {
		t.Error("the histories are not the mixture that this test needs")
	}
}

// If every answer has its index, the order by index proves every key.
func TestOrderByIndexProvesIndexedHistories(t *testing.T) {
	for seed := range uint64(2_000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		history := generate(rng, storeConfig{clients: 4, keys: 2, operations: 30, refused: 10, bare: 20, indexed: true})
		for _, k := range byKey(history) {
			if !orderByIndexHolds(Register, k.ops) {
				t.Fatalf("seed %d: the order by index of %s does not hold:\n%s", seed, k.key, dump(t, history))
			}
		}
	}
}

// A contradiction is illegal by itself, whichever method found it.
func TestContradictionsAreConfirmedByGeneralSearch(t *testing.T) {
	found := 0
	for seed := range uint64(3_000) {
		history, _ := randomHistory(seed)
		r, err := Check(history, Options{NoSecondOpinion: seed%2 != 0})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict == Undecided {
			t.Fatalf("seed %d: the checkers disagree:\n%s", seed, dump(t, history))
		}
		for i := range r.Keys {
			k := &r.Keys[i]
			if k.Verdict != Illegal {
				continue
			}
			found++
			c := k.Contradiction
			if c == nil || len(c.Core) == 0 || c.Sentence == "" {
				t.Fatalf("seed %d: no contradiction for %s", seed, k.Key)
			}
			if c.asked && c.confirmed != Illegal {
				t.Fatalf("seed %d: Porcupine calls the contradiction %v: %s\n%s", seed, c.confirmed, c.Sentence, dump(t, history))
			}
		}
	}
	if found < 500 {
		t.Errorf("only %d contradictions", found)
	}
}

// LostWrites and RefusedValuesSeen report nothing about a legal history.
func TestViolationsAreIllegal(t *testing.T) {
	var lost, refused int
	for seed := range uint64(20_000) {
		history, _ := randomHistory(seed)
		d, r := LostWrites(history), RefusedValuesSeen(history)
		if len(d)+len(r) == 0 {
			continue
		}
		lost += len(d)
		refused += len(r)
		for _, v := range append(d, r...) {
			var ops []Operation
			for _, op := range history {
				if op.Key == v.Key {
					ops = append(ops, op)
				}
			}
			if verdict, _ := CheckWithPorcupine(Register, ops, 0); verdict != Illegal {
				t.Fatalf("seed %d: %v, but Porcupine says %v:\n%s", seed, v, verdict, dump(t, history))
			}
		}
	}
	if lost < 100 || refused < 100 {
		t.Errorf("only %d lost writes and %d refused values seen", lost, refused)
	}
}
