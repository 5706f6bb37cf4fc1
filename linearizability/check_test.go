package linearizability

import "testing"

// If the checkers differ, the verdict is Undecided: one of them is wrong, and
// nobody knows which.
func TestCheckersThatDifferDecideNothing(t *testing.T) {
	legal := []Operation{put(1, 1, 2, "a", 4), get(2, 3, 4, "a", 4)}
	d := decide(byKey(legal)[0].ops, DefaultStepBudget)
	tests := []struct {
		name    string
		claimed Verdict
		holds   bool // the order by index
		want    Verdict
	}{
		{"both say linearizable", Linearizable, false, Linearizable},
		{"the search says illegal", Illegal, false, Undecided},
		{"the search says illegal, the index is a proof", Illegal, true, Undecided},
		{"the search has no answer", Undecided, false, Undecided},
	}
	for _, test := range tests {
		d.verdict = test.claimed
		r := KeyResult{Verdict: test.claimed}
		r.ask(&d, test.holds)
		if r.Verdict != test.want || !r.Asked || r.SecondOpinion != Linearizable {
			t.Errorf("%s: %v (Porcupine %v), want %v", test.name, r.Verdict, r.SecondOpinion, test.want)
		}
	}

	r := KeyResult{Verdict: Illegal, Contradiction: &Contradiction{confirmed: Linearizable, asked: true}}
	if r.askAboutContradiction(); r.Verdict != Undecided {
		t.Errorf("a contradiction that Porcupine can explain: %v, want %v", r.Verdict, Undecided)
	}
	r = KeyResult{Verdict: Illegal, Contradiction: &Contradiction{confirmed: Undecided, asked: true}}
	if r.askAboutContradiction(); r.Verdict != Illegal {
		t.Errorf("a contradiction on which Porcupine has no answer: %v, want %v", r.Verdict, Illegal)
	}
}

// The verdict of a history is the worst of its keys'; each key is judged by itself.
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
