package sim

import (
	"fmt"
	"strings"

	"dkv/linearizability"
)

// Outcomes counts the operations of one kind by what became of them. The history of a
// run has those of all phases, also the harness's own requests.
type Outcomes struct {
	Kind    string `json:"kind"` // get, put or delete; conditional ones count here too
	Done    int    `json:"done"` // answered, and the condition, if any, was met
	Unmet   int    `json:"unmet"`
	Refused int    `json:"refused"`
	Unknown int    `json:"unknown"` // also those without an answer
}

// OutcomesOf counts the operations of a history, by kind.
func OutcomesOf(history []linearizability.Operation) []Outcomes {
	kinds := []linearizability.Kind{linearizability.Get, linearizability.Put, linearizability.Delete}
	all := make([]Outcomes, len(kinds))
	for i, kind := range kinds {
		all[i].Kind = kind.String()
		for k := range history {
			op := &history[k]
			switch {
			case op.Kind != kind:
			case op.Outcome == linearizability.OK && op.Answer.ConditionFailed:
				all[i].Unmet++
			case op.Outcome == linearizability.OK:
				all[i].Done++
			case op.Outcome == linearizability.Refused:
				all[i].Refused++
			default:
				all[i].Unknown++
			}
		}
	}
	return all
}

// outcomesTable returns the counts as lines of text.
func outcomesTable(all []Outcomes) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %8s %8s %8s %8s\n", "", "done", "unmet", "refused", "unknown")
	for _, o := range all {
		fmt.Fprintf(&b, "%-8s %8d %8d %8d %8d\n", o.Kind, o.Done, o.Unmet, o.Refused, o.Unknown)
	}
	return b.String()
}
