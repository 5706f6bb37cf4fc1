package linearizability

import (
	"fmt"
	"math/rand/v2"
)

// A storeConfig configures random histories.
type storeConfig struct {
	clients    int
	keys       int
	operations int
	// Out of 100 operations:
	unknown int // have no answer; half of those take effect, some of them late
	refused int
	bare    int // have answers that leave out version, value or both
	indexed bool
	// These make values ambiguous.
	model    Model
	values   int // number of different values; 0: each put writes its own
	appends  bool
	ifValues bool
}

// A simulatedStore is linearizable by construction: every operation takes effect at
// one step between its call and its return, and operations of unknown outcome at any
// step after their call, or never.
type simulatedStore struct {
	storeConfig
	rng     *rand.Rand
	stamp   Stamp
	index   Index
	written int // number of values, if each put writes its own
	store   map[string]storedValue
	running []*pendingOperation
	history []Operation
	seen    map[string][]Version // versions that a client may use in a condition
}

type storedValue struct {
	value   string
	version Version
}

type pendingOperation struct {
	at          int // in history
	applied     bool
	ineffective bool // never takes effect
	unknown     bool
	refused     bool
	answer      Answer
	late        bool // may take effect after its client has given up
}

// generate returns a legal history.
func generate(rng *rand.Rand, c storeConfig) []Operation {
	w := &simulatedStore{storeConfig: c, rng: rng, store: map[string]storedValue{}, seen: map[string][]Version{}, index: Index(1 + rng.IntN(3))}
	for len(w.history) < c.operations || len(w.running) > 0 {
		started := len(w.history) < c.operations && w.active() < c.clients
		if started && (w.active() == 0 || rng.IntN(3) == 0) {
			w.call()
			continue
		}
		if len(w.running) == 0 {
			continue
		}
		i := rng.IntN(len(w.running))
		if o := w.running[i]; !o.applied && !o.ineffective {
			w.apply(o)
		} else {
			w.finish(i)
		}
		if len(w.history) == c.operations && w.active() == 0 {
			break
		}
	}
	return w.history
}

// active returns the number of operations whose client still waits.
func (w *simulatedStore) active() int {
	n := 0
	for _, o := range w.running {
		if !o.late {
			n++
		}
	}
	return n
}

func (w *simulatedStore) percent(p int) bool { return w.rng.IntN(100) < p }

func (w *simulatedStore) call() {
	w.stamp++
	op := Operation{Client: w.rng.IntN(w.clients), Key: fmt.Sprintf("k%d", w.rng.IntN(w.keys)), Call: w.stamp}
	switch w.rng.IntN(10) {
	case 0, 1, 2, 3:
		op.Kind = Get
	case 4, 5, 6, 7:
		op.Kind = Put
		op.Value = w.drawValue()
	default:
		op.Kind = Delete
		if w.model == Text {
			op.Kind, op.Value = Put, w.drawValue()
		}
	}
	if w.appends && op.Kind == Put && w.rng.IntN(3) > 0 {
		op.Kind = Append
	}
	if op.Kind != Get {
		w.drawCondition(&op)
	}
	o := &pendingOperation{at: len(w.history)}
	o.unknown = w.percent(w.unknown)
	o.refused = !o.unknown && w.percent(w.refused)
	o.ineffective = o.refused || o.unknown && w.rng.IntN(2) == 0
	o.late = o.unknown && w.rng.IntN(2) == 0
	w.history = append(w.history, op)
	w.running = append(w.running, o)
}

func (w *simulatedStore) drawValue() string {
	if w.values > 0 {
		return "abcdefgh"[w.rng.IntN(w.values):][:1]
	}
	w.written++
	return fmt.Sprintf("v%d", w.written)
}

func (w *simulatedStore) drawCondition(op *Operation) {
	switch w.rng.IntN(5) {
	case 0:
		op.IfAbsent = w.model == Register && (op.Kind != Delete || w.rng.IntN(4) == 0)
	case 1:
		if w.ifValues && w.rng.IntN(4) > 0 {
			op.HasIfValue, op.IfValue = true, w.store[op.Key].value
			if w.rng.IntN(2) == 0 && len(w.history) > 0 {
				op.IfValue = w.history[w.rng.IntN(len(w.history))].Value
			}
			return
		}
		op.IfMatch = Version(1 + w.rng.IntN(int(w.index)+2))
		if seen := w.seen[op.Key]; len(seen) > 0 && w.rng.IntN(4) > 0 {
			op.IfMatch = seen[w.rng.IntN(len(seen))]
		}
	}
}

func (w *simulatedStore) apply(o *pendingOperation) {
	o.applied = true
	op := &w.history[o.at]
	have, present := w.store[op.Key]
	present = present || w.model == Text
	if op.Kind != Get {
		w.index++
	}
	a := Answer{Index: w.index}
	holds := !op.conditional() || op.IfAbsent && !present || op.IfMatch != 0 && present && have.version == op.IfMatch ||
		op.HasIfValue && present && have.value == op.IfValue
	switch {
	case op.Writes() && holds:
		a.Version = Version(w.index)
		value := op.Value
		if op.Kind == Append {
			value = have.value + value
		}
		w.store[op.Key] = storedValue{value, a.Version}
	case op.Kind != Get && !holds && (present || op.IfMatch != 0 || op.HasIfValue):
		a.ConditionFailed = true
		fallthrough
	default:
		a.Found = present
		if present {
			a.Version, a.Value, a.HasValue = have.version, have.value, op.Kind == Get || w.rng.IntN(3) == 0
			if w.model == Text && a.Value == "" && w.rng.IntN(2) == 0 {
				a.Found, a.Version, a.HasValue = false, 0, false // an equivalent answer
			}
			if op.Kind == Delete && holds {
				delete(w.store, op.Key)
			}
		}
	}
	if a.Version != 0 {
		w.seen[op.Key] = append(w.seen[op.Key], a.Version)
	}
	o.answer = a
}

func (w *simulatedStore) finish(i int) {
	o := w.running[i]
	w.running = append(w.running[:i], w.running[i+1:]...)
	op := &w.history[o.at]
	switch {
	case o.unknown:
		if w.rng.IntN(2) == 0 && !o.late {
			w.stamp++
			op.Return = w.stamp
		}
		return
	case o.refused:
		op.Outcome = Refused
	default:
		op.Outcome, op.Answer = OK, w.leaveOut(op, o.answer)
	}
	w.stamp++
	op.Return = w.stamp
}

// leaveOut removes parts of an answer.
func (w *simulatedStore) leaveOut(op *Operation, a Answer) Answer {
	if !w.indexed {
		a.Index = 0
	}
	if a.ConditionFailed && w.percent(w.bare) && w.rng.IntN(2) == 0 {
		return Answer{ConditionFailed: true, Unreported: true, Index: a.Index}
	}
	if w.percent(w.bare) {
		a.Version = 0
	}
	if w.percent(w.bare) && a.HasValue && (op.Kind != Get || a.Version != 0) {
		a.HasValue = false
	}
	if !a.HasValue {
		a.Value = ""
	}
	return a
}

// mutate changes a few answers. The result is a valid history, legal or not.
func mutate(rng *rand.Rand, history []Operation) {
	for n := 2 + rng.IntN(6); n > 0; n-- {
		op := &history[rng.IntN(len(history))]
		before := *op
		mutateOne(rng, history, op)
		if op.validateCall() != nil || op.validateReturn() != nil {
			*op = before
		}
	}
}

func mutateOne(rng *rand.Rand, history []Operation, op *Operation) {
	a := &op.Answer
	switch rng.IntN(8) {
	case 0: // another version
		if op.Outcome == OK && a.Version != 0 {
			a.Version = Version(1 + rng.IntN(len(history)))
		}
	case 1: // the answer of another operation of this kind
		other := &history[rng.IntN(len(history))]
		if op.Outcome == OK && other.Outcome == OK && other.Kind == op.Kind {
			index := a.Index
			*a = other.Answer
			a.Index = index
		}
	case 2: // found inverted
		if op.Observes() {
			*a = Answer{Found: !a.Found && !a.Unreported, ConditionFailed: a.ConditionFailed, Index: a.Index}
		}
	case 3: // refused, although it may have been seen
		if op.Return != 0 {
			op.Outcome, op.Answer = Refused, Answer{}
		}
	case 4: // never answered
		op.Outcome, op.Answer = Unknown, Answer{}
	case 5: // an old or a future value
		other := &history[rng.IntN(len(history))]
		if op.Observes() && other.Kind == Put {
			*a = Answer{Found: true, ConditionFailed: a.ConditionFailed, HasValue: true, Value: other.Value, Version: other.Answer.Version, Index: a.Index}
			if other.Answer.ConditionFailed {
				a.Version = 0
			}
		}
	case 6: // the result of a condition inverted
		if op.Outcome == OK && op.conditional() {
			*a = Answer{ConditionFailed: !a.ConditionFailed, Found: a.ConditionFailed && op.Kind == Delete || !a.ConditionFailed && rng.IntN(2) == 0, Index: a.Index}
		}
	case 7: // the indices of two answers swapped
		other := &history[rng.IntN(len(history))]
		if op.Outcome == OK && other.Outcome == OK {
			a.Index, other.Answer.Index = other.Answer.Index, a.Index
		}
	}
}

// misread truncates or swaps the value in reads of appended values.
func misread(rng *rand.Rand, history []Operation) {
	for range 3 {
		a := &history[rng.IntN(len(history))].Answer
		switch {
		case !a.HasValue || len(a.Value) < 2:
		case rng.IntN(2) == 0:
			a.Value = a.Value[:len(a.Value)-1]
		default:
			half := len(a.Value) / 2
			a.Value = a.Value[half:] + a.Value[:half]
		}
	}
}
