package report

import (
	"dkv/linearizability"
	"fmt"
	"math/rand/v2"
)

// A historyShape says what a random history is made of.
type historyShape struct {
	clients, keys, operations int
	// Out of 100 operations:
	unknown int // take effect and are never answered
	refused int
	bare    int // have answers that leave something out

	indexed bool // answers tell their log index
}

// storedValue is the current value of a key; version 0 means that there is no value.
type storedValue struct {
	value   string
	version linearizability.Version
}

// drawHistory returns a history that is linearizable by construction: each
// operation takes effect when it returns.
func drawHistory(rng *rand.Rand, shape historyShape) []linearizability.Operation {
	var history []linearizability.Operation
	store := map[string]storedValue{}
	running := map[int]int{} // by client: the place in history
	var stamp linearizability.Stamp
	for len(history) < shape.operations || len(running) > 0 {
		stamp++
		client := rng.IntN(shape.clients)
		at, busy := running[client]
		if !busy {
			if len(history) < shape.operations {
				running[client] = len(history)
				history = append(history, drawCall(rng, shape, client, stamp, store))
			}
			continue
		}
		delete(running, client)
		op := &history[at]
		a := takeEffect(op, store, linearizability.Index(stamp))
		if !shape.indexed {
			a.Index = 0
		}
		if rng.IntN(100) < shape.bare {
			a = sayLess(rng, a)
		}
		switch n := rng.IntN(100); {
		case n < shape.unknown:
			continue
		case n < shape.unknown+shape.refused && op.Kind == linearizability.Get:
			op.Outcome = linearizability.Refused
		default:
			op.Outcome, op.Answer = linearizability.OK, a
		}
		op.Return = stamp
	}
	return history
}

// sayLess removes from an answer what a store need not report.
func sayLess(rng *rand.Rand, a linearizability.Answer) linearizability.Answer {
	switch {
	case a.ConditionFailed && rng.IntN(2) == 0:
		return linearizability.Answer{ConditionFailed: true, Unreported: true, Index: a.Index}
	case a.ConditionFailed && rng.IntN(2) == 0:
		a.HasValue, a.Value = false, ""
	default:
		a.Version = 0
	}
	return a
}

func drawCall(rng *rand.Rand, shape historyShape, client int, stamp linearizability.Stamp, store map[string]storedValue) linearizability.Operation {
	op := linearizability.Operation{Client: client, Key: fmt.Sprintf("k%d", rng.IntN(shape.keys)), Kind: linearizability.Get, Call: stamp}
	switch rng.IntN(10) {
	case 0, 1, 2, 3:
		return op
	case 4:
		op.Kind = linearizability.Delete
	default:
		op.Kind, op.Value = linearizability.Put, fmt.Sprintf("v%d", stamp)
	}
	current := store[op.Key]
	switch rng.IntN(12) {
	case 0:
		op.IfAbsent = op.Kind == linearizability.Put
	case 1, 2:
		op.IfMatch = current.version + linearizability.Version(rng.IntN(2))
	case 3:
		op.HasIfValue, op.IfValue = true, current.value
	}
	return op
}

// takeEffect changes the store as the operation says, and returns the answer.
func takeEffect(op *linearizability.Operation, store map[string]storedValue, index linearizability.Index) linearizability.Answer {
	current := store[op.Key]
	present := current.version != 0
	met := linearizability.Answer{Found: present, HasValue: present, Value: current.value, Version: current.version, Index: index}
	conditional := op.IfAbsent || op.IfMatch != 0 || op.HasIfValue
	holds := !conditional || op.IfAbsent && !present || op.IfMatch != 0 && op.IfMatch == current.version ||
		op.HasIfValue && present && op.IfValue == current.value
	switch {
	case op.Kind == linearizability.Get:
	case !holds && (present || op.Kind == linearizability.Put):
		met.ConditionFailed = true
	case op.Kind == linearizability.Put:
		store[op.Key] = storedValue{op.Value, linearizability.Version(index)}
		return linearizability.Answer{Version: linearizability.Version(index), Index: index}
	default:
		delete(store, op.Key)
	}
	return met
}
