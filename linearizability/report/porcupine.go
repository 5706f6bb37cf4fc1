package report

import (
	"dkv/linearizability"
	"fmt"
)

// porcupinesView is Porcupine's own picture of a key.
type porcupinesView struct {
	Note string `json:"note"` // what it shows
	HTML string `json:"html"` // a whole page, which loads nothing; "": none
}

// maxPorcupineViews bounds the keys of which a page shows Porcupine's picture.
const maxPorcupineViews = 4

func viewOfPorcupine(m linearizability.Model, ops []*linearizability.Operation, c *linearizability.Contradiction) *porcupinesView {
	d := linearizability.DrawWithPorcupine(m, ops, c)
	if d.Omitted != "" {
		return &porcupinesView{Note: "Porcupine's picture is left out: " + d.Omitted + "."}
	}
	what := fmt.Sprintf("the %s of the key that matter", counted(d.Operations, "operation"))
	if d.ContradictionOnly {
		what = fmt.Sprintf("the contradiction alone: %s, of which %d tell what they were answered", counted(d.Operations, "operation"), len(c.Core))
	}
	return &porcupinesView{Note: fmt.Sprintf("Porcupine about %s: %s.", what, d.Verdict), HTML: d.HTML}
}
