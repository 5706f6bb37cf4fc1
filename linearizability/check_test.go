package linearizability

import (
	"strings"
	"testing"
)

// If the checkers disagree, one of them has a bug, and the verdict is Undecided.
func TestCheckersThatDisagreeDecideNothing(t *testing.T) {
	legal := []Operation{put(1, 1, 2, "a", 4), get(2, 3, 4, "a", 4)}
	illegal := []Operation{put(1, 1, 2, "a", 4), getAbsent(2, 3, 4)}
	tests := []struct {
		name    string
		history []Operation
		claimed Verdict
		want    Verdict
		differ  bool
		says    Verdict // Porcupine
	}{
		{"both say linearizable", legal, Linearizable, Linearizable, false, Linearizable},
		{"both say illegal", illegal, Illegal, Illegal, false, Illegal},
		{"only the search says illegal", legal, Illegal, Undecided, true, Linearizable},
		{"only the search or the index says linearizable", illegal, Linearizable, Undecided, true, Illegal},
		{"the search has no answer", legal, Undecided, Undecided, false, Linearizable},
	}
	for _, test := range tests {
		d := reduceTo(Register, byKey(test.history)[0].ops)
		r := KeyResult{Verdict: test.claimed}
		r.ask(&d)
		if r.Verdict != test.want || r.Disagree != test.differ || !r.Asked || r.SecondOpinion != test.says {
			t.Errorf("%s: %v (disagree: %v, Porcupine: %v), want %v", test.name, r.Verdict, r.Disagree, r.SecondOpinion, test.want)
		}
	}

	r := KeyResult{Verdict: Illegal, Contradiction: &Contradiction{confirmed: Linearizable, asked: true}}
	if r.askAboutContradiction(); r.Verdict != Undecided {
		t.Errorf("a contradiction that Porcupine can explain: %v, want %v", r.Verdict, Undecided)
	}
	r = KeyResult{Verdict: Illegal, Contradiction: &Contradiction{confirmed: Undecided, asked: true}}
	if r.askAboutContradiction(); r.Verdict != Illegal {
		t.Errorf("a contradiction that Porcupine cannot decide: %v, want %v", r.Verdict, Illegal)
	}
}

// The verdict of a history is the worst verdict of its keys; each key is judged by itself.
func TestKeysAreJudgedOneByOne(t *testing.T) {
	var history []Operation
	for i, a := range anomalies {
		for _, op := range a.history {
			op.Key = a.name
			op.Call += Stamp(100 * i)
			if op.Return != 0 {
				op.Return += Stamp(100 * i)
			}
			history = append(history, op)
		}
	}
	r, err := Check(history, Options{})
	if err != nil || r.Verdict != Illegal {
		t.Fatalf("%v, %v", r.Verdict, err)
	}
	byName := map[string]Verdict{}
	for i, k := range r.Keys {
		byName[k.Key] = k.Verdict
		if i > 0 && r.Keys[i-1].Key >= k.Key {
			t.Errorf("keys are not sorted: %q before %q", r.Keys[i-1].Key, k.Key)
		}
	}
	for _, a := range anomalies {
		if got := byName[a.name]; len(a.history) > 0 && got != a.verdict {
			t.Errorf("%s: %v, want %v", a.name, got, a.verdict)
		}
	}
}

// unbalanced returns a register that is 0, and operations at the same time that set
// it from 0 to 1, and back, where the first are two more than can be: only a search
// through all configurations rules that out.
func unbalanced(back int) []Operation {
	history := []Operation{put(99, 1, 2, "0", 0)}
	n := 2*back + 2
	for i := range n {
		op := Operation{Client: i, Key: history[0].Key, Kind: Put, HasIfValue: true, IfValue: "0", Value: "1", Call: Stamp(i + 3), Return: Stamp(n + i + 3), Outcome: OK}
		if i%2 == 1 && i < 2*back {
			op.IfValue, op.Value = "1", "0"
		}
		history = append(history, op)
	}
	return history
}

// TestMemoryIsBounded checks that a search whose memory is full says so, still comes
// to the right verdict if it has the steps, and tells of its steps.
func TestMemoryIsBounded(t *testing.T) {
	history := unbalanced(4)
	all, err := Check(history, Options{NoSecondOpinion: true, VerdictOnly: true})
	if err != nil || all.Verdict != Illegal || all.Keys[0].MemoryFull {
		t.Fatalf("%+v, %v", all, err)
	}
	told := 0
	few, err := Check(history, Options{NoSecondOpinion: true, VerdictOnly: true, MemoryBudget: 8 * entryBytes, Searched: func(n int) { told += n }})
	if err != nil || few.Verdict != Illegal || !few.Keys[0].MemoryFull {
		t.Fatalf("%+v, %v", few, err)
	}
	if few.Keys[0].Steps <= 4*all.Keys[0].Steps {
		t.Errorf("%d steps with all memory, %d with hardly any: the bound does nothing", all.Keys[0].Steps, few.Keys[0].Steps)
	}
	if few.Keys[0].Steps-told > 1<<20+1000 {
		t.Errorf("told of %d of %d steps", told, few.Keys[0].Steps)
	}
	r, err := Check(history, Options{NoSecondOpinion: true, VerdictOnly: true, MemoryBudget: 8 * entryBytes, StepBudget: 1000})
	if err != nil || r.Verdict != Undecided || r.Keys[0].OutOfBudget() != "the memory of 1024 bytes was full, so the search repeated work until the step budget of 1000 ran out; more memory may decide this key (dkvsim check --memory), or more steps (--steps or --budget)" {
		t.Errorf("%+v, %v: %s", r, err, r.Keys[0].OutOfBudget())
	}
	large := KeyResult{Verdict: Undecided, StepBudget: 7, MemoryBudget: DefaultMemoryBudget, MemoryFull: true}
	if said := large.OutOfBudget(); !strings.Contains(said, "the memory of 512 MiB was full") || !strings.Contains(said, "--memory") {
		t.Error(said)
	}
}

// The operations on a mutex have no key, and the report does not speak of one.
func TestReportOfAnObjectWithoutAName(t *testing.T) {
	lock := func(client int, call, ret Stamp) Operation {
		return Operation{Client: client, Kind: Put, IfAbsent: true, Value: "held", Call: call, Return: ret, Outcome: OK}
	}
	history := []Operation{lock(1, 1, 3), lock(2, 2, 4)}
	text := func(history []Operation) string {
		r, err := Check(history, Options{})
		if err != nil || r.Verdict != Illegal {
			t.Fatalf("%+v, %v", r, err)
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String() + r.Violations[0].String()
	}
	for _, word := range []string{`key ""`, "1 key"} {
		if said := text(history); strings.Contains(said, word) {
			t.Errorf("the report says %s:\n%s", word, said)
		}
	}
	other := put(3, 5, 6, "x", 0)
	other.Key = "k"
	if said := text(append(history, other)); !strings.Contains(said, `key ""`) || !strings.Contains(said, "2 keys") {
		t.Errorf("among other keys the empty one has to be told apart:\n%s", said)
	}
}
