package linearizability

import "slices"

// A Contradiction is a small part of one key's history that is illegal by
// itself.
type Contradiction struct {
	Key      string
	Sentence string
	// Core are the operations that cannot all be true, by call: with any one of
	// them disregarded, what is left can be explained (unless the budget ended
	// before that was reached, or the contradiction was in plain sight).
	Core []*Operation
	// Context are the puts whose values the core met, if they are not part of it,
	// and the writes of unknown outcome that may have taken effect beside it and
	// do not help. By call.
	Context []*Operation

	confirmed Verdict // by Porcupine, over core and context
	asked     bool
}

// confirmationBudget bounds what Porcupine may take to confirm a contradiction.
// It needs a few hundred steps, or, beside dozens of unknown writes, too many.
const confirmationBudget = 20_000

// contradict finds the contradiction in an illegal key.
func contradict(k keyHistory, d *decision, budget int) *Contradiction {
	c := &Contradiction{Key: k.key}
	if d.clash != nil {
		c.Core, c.Sentence = slices.Clone(d.clash.ops), clashSentence(d.clash)
		slices.SortFunc(c.Core, func(a, b *Operation) int { return int(a.Call - b.Call) })
		return c
	}
	m := newReduction(d.facts.model, d.facts.ops, budget)
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

// helpsOrMayHelp: the core met the value of this write, or it is of unknown
// outcome and was called before the core had returned.
func (c *Contradiction) isContext(op *Operation, closes Stamp) bool {
	if closes != never {
		return true
	}
	return !op.answered() && slices.ContainsFunc(c.Core, func(core *Operation) bool { return op.Call < core.Return })
}

// A reduction is delta debugging on the operations of an illegal key.
//
// Leaving a write out is no sound step: the reads of its value would then
// contradict everything. So a step *weakens* operations, and every order that
// explains a history explains the weakened one as well: a write that was
// acknowledged becomes one of unknown outcome, and an answered operation without
// effect is left out. Hence what is still illegal after a step contradicts
// itself in the whole history too.
type reduction struct {
	model  Model
	ops    []*Operation
	weak   []bool
	budget int // steps left
}

// reductionStepBudget bounds one decision of a reduction. Weakened histories can
// be harder than the whole; what is not decided within it stays as it was.
const reductionStepBudget = 50_000

func newReduction(m Model, ops []*Operation, budget int) *reduction {
	return &reduction{model: m, ops: ops, weak: make([]bool, len(ops)), budget: budget}
}

// reduce weakens as much as it can, larger parts first, later parts first.
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

// illegal: what is left is still proven to be illegal.
func (m *reduction) illegal() bool {
	ops, _ := m.build()
	d := decide(m.model, ops, min(reductionStepBudget, m.budget))
	m.budget -= d.steps + len(ops)
	return d.verdict == Illegal
}

// build returns the weakened history and, for each of its operations, the one
// that it stands for.
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
