package linearizability

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// porcupinesView is Porcupine's own picture of a key.
type porcupinesView struct {
	Note string `json:"note"` // what it shows
	HTML string `json:"html"` // a whole page, which loads nothing; "": none
}

// Bounds of Porcupine's picture, whose size grows with the square of the
// operations.
const (
	maxPorcupineViews      = 4
	maxPorcupineOperations = 150
	maxPorcupineBytes      = 2 << 20
	porcupineViewBudget    = 100_000
)

// viewOfPorcupine draws what matters of the key, or, where that is too much,
// what its contradiction needs.
func viewOfPorcupine(m Model, k keyHistory, c *Contradiction) *porcupinesView {
	d := reduceTo(m, k.ops)
	ops, closes := operationsToView(&d)
	what := fmt.Sprintf("the %s of the key that matter", counted(len(ops), "operation"))
	if len(ops) > maxPorcupineOperations && c != nil {
		d = reduceTo(m, weakenedTo(m, k.ops, c.Core))
		ops, closes = operationsToView(&d)
		what = fmt.Sprintf("the contradiction alone: %s, of which %d tell what they were answered", counted(len(ops), "operation"), len(c.Core))
	}
	if len(ops) == 0 || len(ops) > maxPorcupineOperations {
		return &porcupinesView{Note: fmt.Sprintf("Porcupine's picture is left out: it would show %s, %d are its bound.", counted(len(ops), "operation"), maxPorcupineOperations)}
	}
	page, verdict, err := drawPorcupine(m, ops, closes)
	if err != nil {
		return &porcupinesView{Note: "Porcupine's picture is left out: " + err.Error() + "."}
	}
	return &porcupinesView{Note: fmt.Sprintf("Porcupine about %s: %s.", what, verdict), HTML: page}
}

func operationsToView(d *decision) ([]*Operation, []Stamp) {
	if d.kept != nil {
		return keptOperations(d), keptCloses(d)
	}
	return plainOperations(d.facts.ops)
}

// weakenedTo is the history in which only the core tells what it was answered,
// as the reduction leaves it.
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
	result, found := porcupine.CheckOperationsVerbose(porcupineModel(m, &steps, porcupineViewBudget), history, 0)
	verdict = Illegal.String()
	switch {
	case result == porcupine.Ok:
		verdict = Linearizable.String()
	case steps > porcupineViewBudget:
		verdict = "no answer within its budget"
	}
	steps = 0 // the picture plays again what was found
	model := porcupineModel(m, &steps, 1<<62)
	model.DescribeOperation = func(input, _ any) string { return describeForPorcupine(input.(*Operation)) }
	model.DescribeState = func(s any) string { return s.(*state).describe() }
	var b bytes.Buffer
	if err := porcupine.Visualize(model, found, &b); err != nil {
		return "", verdict, err
	}
	if b.Len() > maxPorcupineBytes {
		return "", verdict, fmt.Errorf("it has %d bytes, %d are its bound", b.Len(), maxPorcupineBytes)
	}
	return b.String(), verdict, nil
}

// spreadClients gives operations that overlap with one of the same client, as
// those of unknown outcome do, rows of their own: Porcupine's picture has one
// row a client.
func spreadClients(history []porcupine.Operation) {
	free := make(map[int]int64) // when a row's last operation ends
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
	if op.writes() {
		s += " " + quoted(op.Value)
	}
	switch {
	case op.IfMatch != 0:
		s += fmt.Sprintf(" if v%d", op.IfMatch)
	case op.IfAbsent:
		s += " if absent"
	case op.HasIfValue:
		s += " if " + quoted(op.IfValue)
	}
	return s + rowAnswer(op)
}

// describe is the state in a few words.
func (s state) describe() string {
	var words []string
	if s.present {
		words = append(words, quoted(s.value))
	} else {
		words = append(words, "absent")
	}
	if s.version != 0 {
		words = append(words, fmt.Sprintf("v%d", s.version))
	}
	return strings.Join(words, " ")
}
