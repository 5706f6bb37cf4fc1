package linearizability

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Verdict is the result of checking a key or a history. Verdicts are ordered: that
// of a history is the greatest of its keys.
type Verdict uint8

const (
	// Linearizable: some order of the operations explains every answer.
	Linearizable Verdict = iota
	// Undecided: the step budget ran out before an order was found or ruled out.
	// This is a failure, never a pass.
	Undecided
	// Illegal: no order of the operations explains every answer.
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
	// BySearch: the search went through the possible orders after pruning.
	BySearch
	// ByGeneralSearch: values do not identify their writes (two puts write the same
	// value, or there are appends or conditions on values). Less can be pruned, and
	// a search that assumes nothing about values went through the possible orders.
	ByGeneralSearch
)

var methodNames = [...]string{ByIndex: "log index order", BySearch: "pruned search", ByGeneralSearch: "general search"}

func (m Method) String() string {
	if m <= ByGeneralSearch {
		return methodNames[m]
	}
	return fmt.Sprintf("Method(%d)", uint8(m))
}

// StepsPerSecond is about how many steps a search takes in a second on one core. It is
// rounded down: on an otherwise idle server 11 to 12 million were measured, and a budget
// that is given as a time should not be exceeded.
const StepsPerSecond = 10_000_000

// DefaultStepBudget is the default number of steps that the search may take on one
// key: about half a minute. Histories of the size of a simulated run need a few
// thousand.
const DefaultStepBudget = 30 * StepsPerSecond

// DefaultMemoryBudget is the default size in bytes of a search's memory.
const DefaultMemoryBudget = 512 << 20

// secondOpinionBudget returns the number of steps that Porcupine may take on a key.
// Usually it needs about two steps for each operation; with dozens of unknown writes
// no budget suffices. Porcupine stores a bit for each operation at each step: if that
// would exceed 256 MiB before it can finish, it is not asked.
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

// Options configure a check. The zero value means the defaults.
type Options struct {
	// Model is the sequential machine that each key is compared with.
	Model Model
	// StepBudget limits the search on each key. 0 means DefaultStepBudget.
	StepBudget int
	// MemoryBudget limits, in bytes and approximately, what the search on each key
	// remembers of the configurations it has seen; as many keys as there are Workers
	// are searched at once. A search whose memory is full continues, but may go
	// through the same configurations again. 0 means DefaultMemoryBudget.
	MemoryBudget int
	// Searched, if set, is called about every million steps of a search with the
	// number of its steps since the last call. It may be called from several
	// goroutines at once.
	Searched func(steps int)
	// VerdictOnly skips finding the contradictions of illegal keys.
	VerdictOnly bool
	// NoSecondOpinion skips Porcupine. Otherwise Porcupine checks every key as well,
	// after pruning and within a step budget of its own. A key on which the two
	// checkers disagree is Undecided; one that Porcupine could not decide is reported
	// as such.
	NoSecondOpinion bool
	// Progress, if set, is called after each key with its number of operations. It
	// may be called from several goroutines at once.
	Progress func(operations int)
	// Workers is the number of keys that are checked at once; 0 means GOMAXPROCS.
	// The result does not depend on it.
	Workers int
}

// A Result is the result of Check.
type Result struct {
	Model      Model
	Verdict    Verdict
	Operations int
	Keys       []KeyResult // sorted by key
	// Violations holds those of all keys, sorted by key and class.
	Violations []Violation
}

// A KeyResult is the result for one key.
type KeyResult struct {
	Key        string
	Verdict    Verdict
	Method     Method
	Operations int
	Kept       int // operations left after pruning
	Steps      int // of the search
	// StepBudget and MemoryBudget (in bytes) are those that the search had; 0 if there
	// was no search.
	StepBudget   int
	MemoryBudget int
	// MemoryFull: the search could not remember all configurations that it saw.
	MemoryFull bool
	// SecondOpinion is the verdict of Porcupine if Asked is set: on the key, or, if
	// Porcupine could not decide that, on the contradiction. Undecided means that
	// its step budget ran out.
	SecondOpinion Verdict
	Asked         bool
	// Disagree: Porcupine came to the opposite verdict. One of the two checkers has a
	// bug, so Verdict is Undecided.
	Disagree bool
	// Contradiction is set if Verdict is Illegal, unless VerdictOnly is set.
	Contradiction *Contradiction
}

// Check decides whether a history is linearizable, one key at a time. It does not
// change the history; the result points into it. It returns an error if the history
// is invalid, or has operations that the model does not have.
//
// Linearizability is a local property: a history is linearizable if and only if
// each key's is. For each key Check tries the cheapest proof first: it verifies the
// order of the log indices in O(n log n). If that fails it prunes and searches, with
// the general search if values do not identify their writes. Porcupine gives a
// second opinion on each key.
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
	if o.MemoryBudget <= 0 {
		o.MemoryBudget = DefaultMemoryBudget
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

// workersFor keeps small histories on the caller's goroutine, since checking them
// takes less time than starting others.
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

// A keyHistory holds the operations on one key, sorted by call.
type keyHistory struct {
	key string
	ops []*Operation
}

// byKey splits a history by key, sorted by key and by call.
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

// A decision is a verdict on one key with the intermediate results that a
// contradiction needs.
type decision struct {
	verdict Verdict
	method  Method
	steps   int
	full    bool // the search's memory was
	facts   *facts
	kept    []keptOp
	clash   *clash
}

// reduceTo gathers the facts of one key and drops the operations that cannot change
// the verdict. An obvious contradiction decides the key at once.
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

// decide decides one key without using log indices.
func decide(m Model, ops []*Operation, budget budget) decision {
	d := reduceTo(m, ops)
	switch {
	case d.clash != nil:
	case d.method == ByGeneralSearch:
		s := newGeneralSearch(d.facts, d.kept, budget)
		d.verdict, d.steps, d.full = s.run(), s.steps, s.full()
	default:
		s := newSearch(d.facts, d.kept, budget)
		d.verdict, d.steps, d.full = s.run(), s.steps, s.full()
	}
	return d
}

// budget returns that of the search on one key.
func (o *Options) budget() budget {
	return budget{steps: o.StepBudget, memory: o.MemoryBudget, searched: o.Searched}
}

func checkKey(k keyHistory, o Options) (KeyResult, []Violation) {
	r := KeyResult{Key: k.key, Method: ByIndex, Operations: len(k.ops), Kept: len(k.ops)}
	var d decision
	switch holds := orderByIndexHolds(o.Model, k.ops); {
	case holds && o.NoSecondOpinion:
		return r, nil
	case holds && !slices.ContainsFunc(k.ops, (*Operation).mayTakeEffect):
		ops, closes := unprunedOperations(k.ops) // there is nothing to prune
		r.askAbout(o.Model, ops, closes)
		return r, nil
	case holds:
		d = reduceTo(o.Model, k.ops)
		r.ask(&d)
		return r, nil
	default:
		d = decide(o.Model, k.ops, o.budget())
		r.Method, r.Verdict, r.Steps = d.method, d.verdict, d.steps
		r.StepBudget, r.MemoryBudget, r.MemoryFull = o.StepBudget, o.MemoryBudget, d.full
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
		r.Contradiction = contradict(k, &d, o.budget())
		r.askAboutContradiction()
	}
	if r.Verdict != Illegal {
		return r, nil
	}
	return r, violationsOf(k, &d, r.Contradiction)
}

// ask asks Porcupine about the kept operations. If it comes to the opposite verdict,
// one of the checkers has a bug, and neither verdict can be trusted.
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

// askAboutContradiction asks Porcupine about the few operations of the
// contradiction, so that an illegal verdict does not rest on one search alone.
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
