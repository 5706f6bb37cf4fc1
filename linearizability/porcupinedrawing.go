package linearizability

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// Limits of Porcupine's drawing, whose size grows with the square of the number of
// operations.
const (
	maxDrawnOperations = 150
	maxDrawingBytes    = 2 << 20
	drawingStepBudget  = 100_000
)

// A PorcupineDrawing is a picture of one key that Porcupine draws.
type PorcupineDrawing struct {
	// HTML is a whole page, which loads nothing. It is empty if there is no drawing.
	HTML    string
	Omitted string // why there is no drawing
	// Verdict is the verdict of Porcupine on the operations drawn, in words.
	Verdict string
	// Operations is the number of operations drawn.
	Operations int
	// ContradictionOnly: too many operations of the key are left after pruning, so the
	// drawing shows only those of the contradiction.
	ContradictionOnly bool
}

// DrawWithPorcupine lets Porcupine draw the operations of one key that are left after
// pruning or, if they are too many, those of its contradiction, which may be nil. ops
// are the operations of the key, sorted by call.
func DrawWithPorcupine(m Model, ops []*Operation, c *Contradiction) PorcupineDrawing {
	var p PorcupineDrawing
	d := reduceTo(m, ops)
	drawn, closes := operationsToDraw(&d)
	if len(drawn) > maxDrawnOperations && c != nil {
		d = reduceTo(m, weakenedTo(m, ops, c.Core))
		drawn, closes = operationsToDraw(&d)
		p.ContradictionOnly = true
	}
	p.Operations = len(drawn)
	if len(drawn) == 0 || len(drawn) > maxDrawnOperations {
		p.Omitted = fmt.Sprintf("it would show %d operations; the limit is %d", len(drawn), maxDrawnOperations)
		return p
	}
	var err error
	if p.HTML, p.Verdict, err = drawPorcupine(m, drawn, closes); err != nil {
		p.Omitted = err.Error()
	}
	return p
}

func operationsToDraw(d *decision) ([]*Operation, []Stamp) {
	if d.kept != nil {
		return keptOperations(d), keptCloses(d)
	}
	return unprunedOperations(d.facts.ops)
}

// weakenedTo returns the history in which only the core has its answers, as the reduction
// leaves it.
func weakenedTo(model Model, ops, core []*Operation) []*Operation {
	strong := make(map[*Operation]bool, len(core))
	for _, op := range core {
		strong[op] = true
	}
	m := newReduction(model, ops, 0)
	for i, op := range ops {
		m.weak[i] = op.answered() && !strong[op]
	}
	weakened, _ := m.build()
	return weakened
}

func drawPorcupine(m Model, ops []*Operation, closes []Stamp) (page string, verdict string, err error) {
	history := make([]porcupine.Operation, len(ops))
	last := Stamp(0)
	for _, op := range ops {
		last = max(last, op.Call, op.Return)
	}
	for i, op := range ops {
		history[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: int64(op.Call), Return: int64(min(closes[i], last+1))}
	}
	spreadClients(history)
	steps := 0
	result, found := porcupine.CheckOperationsVerbose(porcupineModel(m, &steps, drawingStepBudget), history, 0)
	verdict = Illegal.String()
	switch {
	case result == porcupine.Ok:
		verdict = Linearizable.String()
	case steps > drawingStepBudget:
		verdict = "undecided within its step budget"
	}
	steps = 0 // drawing repeats the steps of the order found
	model := porcupineModel(m, &steps, 1<<62)
	model.DescribeOperation = func(input, _ any) string { return describeForPorcupine(input.(*Operation)) }
	model.DescribeState = func(s any) string { return s.(*state).describe() }
	var b bytes.Buffer
	if err := porcupine.Visualize(model, found, &b); err != nil {
		return "", verdict, err
	}
	if b.Len() > maxDrawingBytes {
		return "", verdict, fmt.Errorf("it has %d bytes; the limit is %d", b.Len(), maxDrawingBytes)
	}
	return b.String(), verdict, nil
}

// spreadClients gives operations that overlap with another of the same client, as those
// of unknown outcome do, rows of their own: Porcupine's drawing has one row for each
// client.
func spreadClients(history []porcupine.Operation) {
	free := make(map[int]int64) // by row: the end of its last operation
	spare := 0
	for i := range history {
		spare = max(spare, history[i].ClientId+1)
	}
	for i := range history { // by call
		op := &history[i]
		row := op.ClientId
		for ends, taken := free[row]; taken && ends >= op.Call; ends, taken = free[row] {
			if row < spare {
				row = spare
			} else {
				row++
			}
		}
		op.ClientId = row
		free[row] = op.Return
	}
}

func describeForPorcupine(op *Operation) string {
	s := fmt.Sprintf("client %d: %s", op.Client, op.Kind)
	if op.Writes() {
		s += " " + Quote(op.Value)
	}
	switch {
	case op.IfMatch != 0:
		s += fmt.Sprintf(" if v%d", op.IfMatch)
	case op.IfAbsent:
		s += " if absent"
	case op.HasIfValue:
		s += " if " + Quote(op.IfValue)
	}
	return s + rowAnswer(op)
}

// describe returns a short description of the state.
func (s state) describe() string {
	var words []string
	if s.present {
		words = append(words, Quote(s.value))
	} else {
		words = append(words, "absent")
	}
	if s.version != 0 {
		words = append(words, fmt.Sprintf("v%d", s.version))
	}
	return strings.Join(words, " ")
}
