package linearizability

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// blindHistory returns a legal history without indices, so that a search must decide
// it.
func blindHistory(operations int) []Operation {
	return generate(rand.New(rand.NewPCG(1, 3)), storeConfig{clients: 3, keys: 1, operations: operations})
}

// load returns a history like that of a simulated run, with eight clients.
func load(operations, keys int, indexed bool) []Operation {
	return generate(rand.New(rand.NewPCG(9, uint64(operations))), storeConfig{clients: 8, keys: keys, operations: operations, indexed: indexed})
}

// stalePlanted returns a history of one key with unknown writes and one stale read: a
// get in the second half returns a value that an acknowledged put had overwritten.
func stalePlanted(operations, unknown int, indexed bool) (history []Operation, planted int) {
	rng := rand.New(rand.NewPCG(5, uint64(operations)))
	history = generate(rng, storeConfig{clients: 8, keys: 1, operations: operations, indexed: indexed})
	for n := 0; n < unknown; {
		op := &history[rng.IntN(len(history))]
		if op.Kind != Get && op.Outcome == OK {
			op.Outcome, op.Return, op.Answer = Unknown, 0, Answer{}
			n++
		}
	}
	for planted = operations * 3 / 4; history[planted].Kind != Get || !history[planted].Answer.Found; planted++ {
	}
	stale := &history[planted]
	var old, newer *Operation // the put whose value is returned, and one that overwrote it in time
	for i := range history {
		op := &history[i]
		if op.Kind != Put || !op.effective() || op.Return >= stale.Call {
			continue
		}
		old, newer = newer, op
	}
	if old.Answer.Version > newer.Answer.Version {
		old, newer = newer, old
	}
	stale.Answer.Value, stale.Answer.Version = old.Value, old.Answer.Version
	return history, planted
}

func TestPlantedStaleReadIsFound(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		history, planted := stalePlanted(400, 30, indexed)
		r, err := Check(history, Options{})
		if err != nil || r.Verdict != Illegal {
			t.Fatalf("%v, %v", r.Verdict, err)
		}
		c := r.Keys[0].Contradiction
		named := false
		for _, op := range c.Core {
			named = named || op == &history[planted]
		}
		if !named || len(c.Core) > 3 {
			t.Errorf("the planted read (stamp %d) is not the contradiction: %s\n%s", history[planted].Call, c.Sentence, c.Timeline())
		}
		if r.Keys[0].Steps > 100_000 {
			t.Errorf("%d steps", r.Keys[0].Steps)
		}
	}
}

// Without the pruning and the facts, Porcupine alone does not decide this history.
func TestPorcupineAloneDoesNotDecide(t *testing.T) {
	history, _ := stalePlanted(400, 30, false)
	if v, err := CheckWithPorcupine(Register, history, 200_000); v != Undecided || err != nil {
		t.Errorf("%v, %v: the comparison in README.md is no longer true", v, err)
	}
}

func TestBudgetLimitsTheSearch(t *testing.T) {
	history := blindHistory(200)
	r, err := Check(history, Options{StepBudget: 50})
	if err != nil || r.Verdict != Undecided || r.ExitStatus() != ExitUndecided || r.Keys[0].Contradiction != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "undecided") {
		t.Errorf("%v, %s", err, &b)
	}
	if r, _ = Check(history, Options{}); r.Verdict != Linearizable || r.Keys[0].Method != BySearch {
		t.Errorf("with the default budget: %v", r.Verdict)
	}
}

// The result depends on the history and the budget, not on the number of workers.
func TestWorkersDoNotMatter(t *testing.T) {
	history := load(6_000, 40, false)
	mutateMany := rand.New(rand.NewPCG(3, 3))
	for range 5 {
		mutate(mutateMany, history)
	}
	var texts []string
	for _, workers := range []int{1, 4} {
		r, err := Check(history, Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, fmt.Sprintf("%v %d\n%s", r.Verdict, len(r.Violations), &b))
	}
	if texts[0] != texts[1] || !strings.HasPrefix(texts[0], "not linearizable") {
		t.Errorf("one worker:\n%s\nfour:\n%s", texts[0], texts[1])
	}
}

func benchmarkCheck(b *testing.B, history []Operation, want Verdict, o Options) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		r, err := Check(history, o)
		if err != nil || r.Verdict != want {
			b.Fatalf("%v, %v", r.Verdict, err)
		}
	}
	b.ReportMetric(float64(len(history))*float64(b.N)/b.Elapsed().Seconds(), "operations/s")
}

// BenchmarkSimulatedRun checks the history of one simulated run: 500 operations, all
// with their index.
func BenchmarkSimulatedRun(b *testing.B) {
	benchmarkCheck(b, load(500, 8, true), Linearizable, Options{})
}

func BenchmarkSimulatedRunWithoutIndex(b *testing.B) {
	benchmarkCheck(b, load(500, 8, false), Linearizable, Options{})
}

func BenchmarkTenThousandByIndexAlone(b *testing.B) {
	benchmarkCheck(b, load(10_000, 100, true), Linearizable, Options{NoSecondOpinion: true})
}

func BenchmarkTenThousandBySearchAlone(b *testing.B) {
	benchmarkCheck(b, load(10_000, 100, false), Linearizable, Options{NoSecondOpinion: true})
}

func BenchmarkTenThousandOfOneKey(b *testing.B) {
	benchmarkCheck(b, load(10_000, 1, false), Linearizable, Options{})
}

func BenchmarkTenThousandByIndexAndPorcupine(b *testing.B) {
	benchmarkCheck(b, load(10_000, 100, true), Linearizable, Options{})
}

func BenchmarkTenThousandBySearchAndPorcupine(b *testing.B) {
	benchmarkCheck(b, load(10_000, 100, false), Linearizable, Options{})
}

func BenchmarkPlantedStaleRead(b *testing.B) {
	history, _ := stalePlanted(400, 30, false)
	b.Run("verdict", func(b *testing.B) { benchmarkCheck(b, history, Illegal, Options{VerdictOnly: true}) })
	b.Run("contradiction", func(b *testing.B) { benchmarkCheck(b, history, Illegal, Options{}) })
}

// BenchmarkMillion reads and checks a million operations from a file in memory.
func BenchmarkMillion(b *testing.B) {
	text := millionLines(b)
	b.ResetTimer()
	for b.Loop() {
		history, err := Read(strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		r, err := Check(history, Options{})
		if err != nil || r.Verdict != Linearizable {
			b.Fatal(r.Verdict, err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys-uint64(len(text)))/(1<<20), "MiB")
	}
}

func millionLines(b *testing.B) string {
	b.Helper()
	var s strings.Builder
	if err := Write(&s, load(1_000_000, 10_000, false)); err != nil {
		b.Fatal(err)
	}
	return s.String()
}
