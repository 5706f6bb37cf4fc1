package sim

import (
	"cmp"
	"slices"
	"time"

	"dkv/linearizability"
	"dkv/sim/schedule"
)

// evidence is what a verdict is based on.
type evidence struct {
	at    time.Duration // by then all of it had happened
	keys  []string
	calls []schedule.Call // only At, Client and Key are set
}

func (e *evidence) call(c *schedule.Call) bool {
	return slices.ContainsFunc(e.calls, func(named schedule.Call) bool {
		return named.At == c.At && named.Client == c.Client && named.Key == c.Key
	})
}

// namedBy returns the evidence for the first violation of a class.
func namedBy(r *Result, class Class) evidence {
	var e evidence
	if r.Check != nil {
		for _, v := range r.Check.Violations {
			if classOf(v.Class) != class || len(e.keys) > 0 {
				continue
			}
			e.keys = []string{v.Key}
			e.take(v.Operations)
		}
	}
	for _, v := range r.Violations {
		if e.at == 0 && v.Class == class {
			e.take(v.Operations) // only a System's Check sets them
			for _, call := range e.calls {
				e.keys = append(e.keys, call.Key)
			}
			e.at = cmp.Or(e.at, v.At)
		}
	}
	return e
}

func (e *evidence) take(operations []*linearizability.Operation) {
	for _, op := range operations {
		e.at = max(e.at, op.CallTime, op.ReturnTime)
		e.calls = append(e.calls, schedule.Call{At: op.CallTime, Client: op.Client, Key: op.Key})
	}
}
