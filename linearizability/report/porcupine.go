package report

import (
	"dkv/linearizability"
	"fmt"
)

// A porcupineView is Porcupine's own drawing of a key.
type porcupineView struct {
	Note string `json:"note"` // what the drawing shows, or why there is no drawing
	HTML string `json:"html"` // a whole page, which loads nothing; "": no drawing
}

// maxPorcupineViews limits the keys for which a page has Porcupine's drawing.
const maxPorcupineViews = 4

func viewOfPorcupine(m linearizability.Model, ops []*linearizability.Operation, c *linearizability.Contradiction) *porcupineView {
	d := linearizability.DrawWithPorcupine(m, ops, c)
	if d.Omitted != "" {
		return &porcupineView{Note: "Porcupine's drawing is left out: " + d.Omitted + "."}
	}
	what := "the key after pruning, " + counted(d.Operations, "operation")
	if d.ContradictionOnly {
		what = fmt.Sprintf("the contradiction alone, %s, of which %d have an answer", counted(d.Operations, "operation"), len(c.Core))
	}
	return &porcupineView{Note: fmt.Sprintf("Porcupine's verdict on %s: %s.", what, d.Verdict), HTML: d.HTML}
}
