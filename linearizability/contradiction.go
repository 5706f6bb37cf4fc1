package linearizability

import "slices"

// A Contradiction is a small part of the history of one key that is illegal by itself.
type Contradiction struct {
	Key      string
	Sentence string
	// Core holds the operations that no order explains together, sorted by call. If any
	// of them is disregarded, the rest can be explained, unless the budget ran out
	// first or the contradiction was obvious.
	Core []*Operation
	// Context holds the puts whose values the core found, if they are not part of it,
	// and the writes of unknown outcome that may have taken effect meanwhile and do
	// not resolve the contradiction. They are sorted by call.
	Context []*Operation

	confirmed Verdict // by Porcupine, over core and context
	asked     bool
}

// confirmationBudget is the number of steps that Porcupine may take to confirm a
// contradiction. It needs a few hundred; with dozens of unknown writes no budget
// suffices.
const confirmationBudget = 20_000

// contradict finds the contradiction in an illegal key.
func contradict(k keyHistory, d *decision, budget budget) *Contradiction {
	c := &Contradiction{Key: k.key}
	if d.clash != nil {
		c.Core, c.Sentence = slices.Clone(d.clash.ops), clashSentence(d.clash)
		slices.SortFunc(c.Core, func(a, b *Operation) int { return int(a.Call - b.Call) })
		return c
	}
	m := newReduction(d.facts.model, d.facts.ops, min(mostReductionSteps, budget.steps))
	m.reduce()
	ops, origins := m.build()
	last := decide(d.facts.model, ops, budget)
	for i, op := range m.ops {
		if op.answered() && !m.weak[i] {
			c.Core = append(c.Core, op)
		}
	}
	originOf := make(map[*Operation]*Operation, len(ops))
	for i, op := range ops {
		originOf[op] = origins[i]
	}
	if last.clash == nil {
		for _, k := range last.kept {
			op := last.facts.ops[k.at]
			if origin := originOf[op]; !op.answered() && c.isContext(origin, k.closes) {
				c.Context = append(c.Context, origin)
			}
		}
		c.confirmed, _ = runPorcupine(d.facts.model, keptOperations(&last), keptCloses(&last), confirmationBudget)
		c.asked = true
	}
	c.Sentence = explain(c.Core, d.facts)
	return c
}

// isContext reports whether the core found the value of this write, or whether the write
// is of unknown outcome and was called before the core had returned.
func (c *Contradiction) isContext(op *Operation, closes Stamp) bool {
	if closes != never {
		return true
	}
	return !op.answered() && slices.ContainsFunc(c.Core, func(core *Operation) bool { return op.Call < core.Return })
}

// A reduction applies delta debugging to the operations of an illegal key.
//
// Leaving out a write would not be sound: the reads of its value would then contradict
// everything. Instead, a step *weakens* operations so that every order that explains
// the history still explains the weakened one: an acknowledged write becomes one of
// unknown outcome, and an answered operation without effect is left out. Hence a
// weakened history that is still illegal proves that the whole history is.
type reduction struct {
	model  Model
	ops    []*Operation
	weak   []bool
	budget int // steps left
}

// reductionStepBudget limits each decision of a reduction. Weakened histories can be
// harder to decide than the whole one; if the budget runs out, the step is undone.
const reductionStepBudget = 50_000

// mostReductionSteps limits a whole reduction to a fraction of a second.
const mostReductionSteps = 4_000_000

func newReduction(m Model, ops []*Operation, budget int) *reduction {
	return &reduction{model: m, ops: ops, weak: make([]bool, len(ops)), budget: budget}
}

// reduce weakens as many operations as it can, larger parts first, later parts first.
func (m *reduction) reduce() {
	for size := (len(m.ops) + 1) / 2; size > 0 && m.budget > 0; {
		changed := m.sweep(size)
		switch {
		case size > 1:
			size = (size + 1) / 2
		case !changed:
			return
		}
	}
}

func (m *reduction) sweep(size int) (changed bool) {
	var strong []int
	for i, op := range m.ops {
		if op.answered() && !m.weak[i] {
			strong = append(strong, i)
		}
	}
	for to := len(strong); to > 0 && m.budget > 0; to -= size {
		part := strong[max(0, to-size):to]
		m.set(part, true)
		if m.illegal() {
			changed = true
		} else {
			m.set(part, false)
		}
	}
	return changed
}

func (m *reduction) set(part []int, weak bool) {
	for _, i := range part {
		m.weak[i] = weak
	}
}

// illegal reports whether the weakened history is still proven to be illegal.
func (m *reduction) illegal() bool {
	ops, _ := m.build()
	d := decide(m.model, ops, budget{steps: min(reductionStepBudget, m.budget), memory: DefaultMemoryBudget})
	m.budget -= d.steps + len(ops)
	return d.verdict == Illegal
}

// build returns the weakened history and, for each of its operations, the original
// one.
func (m *reduction) build() (ops, origins []*Operation) {
	for i, op := range m.ops {
		switch {
		case !m.weak[i]:
			ops = append(ops, op)
		case op.effective():
			unknown := *op
			unknown.Outcome, unknown.Return, unknown.Answer = Unknown, 0, Answer{}
			ops = append(ops, &unknown)
		default:
			continue
		}
		origins = append(origins, op)
	}
	return ops, origins
}
