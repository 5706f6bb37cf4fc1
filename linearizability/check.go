package linearizability

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Verdict is what a check says of a key or of a history. They are ordered: the
// verdict of a history is the greatest of its keys'.
type Verdict uint8

const (
	// Linearizable: an order was found that explains every answer.
	Linearizable Verdict = iota
	// Undecided: the budget was spent before an order, or the proof that there
	// is none, was found. A failure, never a pass.
	Undecided
	// Illegal: no order explains the answers.
	Illegal
)

var verdictNames = [...]string{Linearizable: "linearizable", Undecided: "undecided", Illegal: "not linearizable"}

func (v Verdict) String() string {
	if v <= Illegal {
		return verdictNames[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// A Method is the way in which a key was decided.
type Method uint8

const (
	// ByIndex: the order of the log indices was verified.
	ByIndex Method = iota
	// BySearch: the pruned search went through the possible orders.
	BySearch
	// ByPlainSearch: values do not name their writes (two puts share one, or
	// there are appends or conditions on values), so that less can be pruned, and
	// a search that supposes nothing of them went through the possible orders.
	ByGeneralSearch
)

var methodNames = [...]string{ByIndex: "log index order", BySearch: "pruned search", ByGeneralSearch: "general search"}

func (m Method) String() string {
	if m <= ByGeneralSearch {
		return methodNames[m]
	}
	return fmt.Sprintf("Method(%d)", uint8(m))
}

// DefaultStepBudget is the number of steps a search may take on one key. It is
// reached after about a second; histories of the size of a simulated run take
// a few thousand.
const DefaultStepBudget = 4_000_000

// secondOpinionBudget is the number of steps that Porcupine may take on a key of
// so many operations. It needs about two an operation, or, beside dozens of
// unknown writes, too many. It remembers a bit for each operation at each step;
// where that would be more than 256 MiB it gets none, and has no answer.
func secondOpinionBudget(operations int) int {
	const mostBits = 256 << 23
	steps := 20_000 + 20*operations
	if operations > 0 {
		steps = min(steps, mostBits/operations)
	}
	if steps < 2*operations {
		return 0
	}
	return steps
}

// Options of a check. The zero value means the defaults.
type Options struct {
	// Model is what a key is held against.
	Model Model
	// StepBudget bounds the search on each key. 0 means DefaultStepBudget.
	StepBudget int
	// VerdictOnly leaves out the contradictions: no sub-history is minimised.
	VerdictOnly bool
	// NoSecondOpinion leaves Porcupine out. Otherwise it is asked about every key
	// as well, over the pruned operations and within a budget of its own; a key on
	// which the two differ is Undecided, and one on which Porcupine has no answer
	// is reported as such.
	NoSecondOpinion bool
	// Progress, if set, is told how many operations have been decided on since the
	// last call, key by key. It may be called from several goroutines at once.
	Progress func(operations int)
	// Workers is how many keys are decided at once; 0 means GOMAXPROCS. The
	// result does not depend on it.
	Workers int
}

// A Result is what Check found.
type Result struct {
	Model      Model
	Verdict    Verdict
	Operations int
	Keys       []KeyResult // by key
	// Violations of all keys, by key and class. Empty unless a key is Illegal.
	Violations []Violation
}

// A KeyResult is what Check found about one key.
type KeyResult struct {
	Key        string
	Verdict    Verdict
	Method     Method
	Operations int
	Kept       int // of them, after pruning; all of them ByIndex and where a clash was in plain sight
	Steps      int // taken by the search
	// SecondOpinion is Porcupine's verdict, if it was asked: of the whole key, or,
	// where it had none or was not to be asked, of the contradiction. Undecided:
	// it did not answer within its budget. Asked says whether.
	SecondOpinion Verdict
	Asked         bool
	// Differ: Porcupine said the opposite of the other check. One of them is
	// wrong, and the verdict is Undecided.
	Disagree bool
	// Contradiction is there if the verdict is Illegal, unless VerdictOnly.
	Contradiction *Contradiction
}

// Check decides whether a history is linearizable, one key at a time. It does
// not change the history, and the result points into it. The error is that of
// Validate: the history is none.
//
// For each key the cheapest proof comes first: an order by log index that holds
// (O(n log n)); else the pruned search, or the plain one where values do not name
// their writes. Porcupine gives a second opinion on each.
func Check(history []Operation, o Options) (*Result, error) {
	if err := Validate(history); err != nil {
		return nil, err
	}
	for i := range history {
		if err := o.Model.admits(&history[i]); err != nil {
			return nil, fmt.Errorf("operation %d (client %d, called at stamp %d): %w", i, history[i].Client, history[i].Call, err)
		}
	}
	if o.StepBudget <= 0 {
		o.StepBudget = DefaultStepBudget
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	keys := byKey(history)
	r := &Result{Model: o.Model, Operations: len(history), Keys: make([]KeyResult, len(keys))}
	violations := make([][]Violation, len(keys))
	inParallel(len(keys), workersFor(len(history), o.Workers), func(i int) {
		r.Keys[i], violations[i] = checkKey(keys[i], o)
		if o.Progress != nil {
			o.Progress(len(keys[i].ops))
		}
	})
	for i := range r.Keys {
		r.Verdict = max(r.Verdict, r.Keys[i].Verdict)
		r.Violations = append(r.Violations, violations[i]...)
	}
	return r, nil
}

// workersFor keeps small histories on the caller's goroutine: they are decided
// in less time than it takes to start others.
func workersFor(operations, workers int) int {
	const worthIt = 4096
	if operations < worthIt {
		return 1
	}
	return workers
}

func inParallel(n, workers int, work func(i int)) {
	if workers <= 1 || n <= 1 {
		for i := range n {
			work(i)
		}
		return
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(workers, n) {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	done.Wait()
}

// keyHistory is what was done to one key, by call.
type keyHistory struct {
	key string
	ops []*Operation
}

// byKey divides a history by key, keys and calls ascending.
func byKey(history []Operation) []keyHistory {
	number := make(map[string]int)
	var keys []keyHistory
	var counts []int
	of := make([]int, len(history))
	for i := range history {
		n, seen := number[history[i].Key]
		if !seen {
			n = len(keys)
			number[history[i].Key] = n
			keys = append(keys, keyHistory{key: history[i].Key})
			counts = append(counts, 0)
		}
		of[i] = n
		counts[n]++
	}
	all := make([]*Operation, len(history))
	for n, from := 0, 0; n < len(keys); n++ {
		keys[n].ops = all[from : from : from+counts[n]]
		from += counts[n]
	}
	for i := range history {
		k := &keys[of[i]]
		k.ops = append(k.ops, &history[i])
	}
	byCall := func(a, b *Operation) int { return int(a.Call - b.Call) }
	for n := range keys {
		if !slices.IsSortedFunc(keys[n].ops, byCall) {
			slices.SortFunc(keys[n].ops, byCall)
		}
	}
	slices.SortFunc(keys, func(a, b keyHistory) int { return strings.Compare(a.key, b.key) })
	return keys
}

// decision is a verdict on one key, with what a report needs of the way to it.
type decision struct {
	verdict Verdict
	method  Method
	steps   int
	facts   *facts
	kept    []keptOp
	clash   *clash
}

// reduceTo gathers the facts of one key and drops what cannot matter. With a
// clash in plain sight nothing is left to decide.
func reduceTo(m Model, ops []*Operation) decision {
	f, c := gatherFacts(m, ops)
	d := decision{method: BySearch, facts: f, clash: c}
	if f.ambiguous {
		d.method = ByGeneralSearch
	}
	switch {
	case c != nil:
		d.verdict = Illegal
	case f.ambiguous:
		d.kept = pruneAmbiguous(f)
	default:
		d.kept = prune(f)
	}
	return d
}

// decide decides one key without looking at log indices.
func decide(m Model, ops []*Operation, budget int) decision {
	d := reduceTo(m, ops)
	switch {
	case d.clash != nil:
	case d.method == ByGeneralSearch:
		s := newGeneralSearch(d.facts, d.kept, budget)
		d.verdict, d.steps = s.run(), s.steps
	default:
		s := newSearch(d.facts, d.kept, budget)
		d.verdict, d.steps = s.run(), s.steps
	}
	return d
}

func checkKey(k keyHistory, o Options) (KeyResult, []Violation) {
	r := KeyResult{Key: k.key, Method: ByIndex, Operations: len(k.ops), Kept: len(k.ops)}
	var d decision
	switch holds := orderByIndexHolds(o.Model, k.ops); {
	case holds && o.NoSecondOpinion:
		return r, nil
	case holds && !slices.ContainsFunc(k.ops, (*Operation).mayTakeEffect):
		ops, closes := unprunedOperations(k.ops) // nothing can be pruned
		r.askAbout(o.Model, ops, closes)
		return r, nil
	case holds:
		d = reduceTo(o.Model, k.ops)
		r.ask(&d)
		return r, nil
	default:
		d = decide(o.Model, k.ops, o.StepBudget)
		r.Method, r.Verdict, r.Steps = d.method, d.verdict, d.steps
	}
	if d.kept != nil {
		r.Kept = len(d.kept)
	}
	if !o.NoSecondOpinion {
		r.ask(&d)
	}
	if r.Verdict != Illegal {
		return r, nil
	}
	if !o.VerdictOnly {
		r.Contradiction = contradict(k, &d, o.StepBudget)
		r.askAboutContradiction()
	}
	if r.Verdict != Illegal {
		return r, nil
	}
	return r, violationsOf(k, &d, r.Contradiction)
}

// ask puts the kept operations to Porcupine. Where it says the opposite one of
// the checkers is wrong, and nobody knows which.
func (r *KeyResult) ask(d *decision) {
	ops, closes := d.facts.ops, []Stamp(nil)
	if d.clash == nil {
		ops, closes = keptOperations(d), keptCloses(d)
	} else {
		ops, closes = unprunedOperations(ops)
	}
	r.askAbout(d.facts.model, ops, closes)
}

func (r *KeyResult) askAbout(m Model, ops []*Operation, closes []Stamp) {
	r.Asked, r.SecondOpinion = true, Undecided
	if budget := secondOpinionBudget(len(ops)); budget > 0 {
		r.SecondOpinion, _ = runPorcupine(m, ops, closes, budget)
	}
	if r.SecondOpinion != Undecided && r.Verdict != Undecided && r.SecondOpinion != r.Verdict {
		r.Verdict, r.Disagree = Undecided, true
	}
}

// askAboutContradiction has Porcupine confirm the few operations of the
// contradiction: nobody should have to believe the search alone.
func (r *KeyResult) askAboutContradiction() {
	if r.SecondOpinion == Illegal || r.Contradiction == nil || !r.Contradiction.asked {
		return
	}
	r.SecondOpinion, r.Asked = r.Contradiction.confirmed, true
	if r.SecondOpinion == Linearizable {
		r.Verdict, r.Disagree = Undecided, true
	}
}

func keptOperations(d *decision) []*Operation {
	ops := make([]*Operation, len(d.kept))
	for i, k := range d.kept {
		ops[i] = d.facts.ops[k.at]
	}
	return ops
}

func keptCloses(d *decision) []Stamp {
	closes := make([]Stamp, len(d.kept))
	for i, k := range d.kept {
		closes[i] = k.closes
	}
	return closes
}
