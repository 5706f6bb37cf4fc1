package linearizability

import (
	"cmp"
	"slices"
)

// An indexed operation is one with the place in the log where it was decided.
// A get at an index follows the entry of that index.
type indexed struct {
	index  Index
	logged bool
	op     *Operation
}

// orderByIndexHolds says whether the operations of one key, sorted by the log
// index at which each was decided, are a linearization. If so the key is proven
// linearizable, whatever the log really was: the order itself is the witness.
// If not, nothing is proven.
//
// It needs the index of every answered operation. A put of unknown outcome
// takes its place by the version under which its value was read; the other
// unknown writes are placed after everything, where they contradict nothing.
func orderByIndexHolds(m Model, ops []*Operation) bool {
	entries, ok := indexEntries(ops)
	if !ok {
		return false
	}
	slices.SortFunc(entries, func(a, b indexed) int {
		if c := cmp.Compare(a.index, b.index); c != 0 {
			return c
		}
		if a.logged != b.logged {
			if a.logged {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.op.Call, b.op.Call)
	})
	s := m.initial()
	var latestCall Stamp
	for _, e := range entries {
		// No operation may return before one that precedes it here was called.
		if e.op.Outcome == OK && e.op.Return < latestCall {
			return false
		}
		latestCall = max(latestCall, e.op.Call)
		if s, ok = step(s, e.op); !ok {
			return false
		}
	}
	return true
}

// indexEntries returns the operations that have a place in the log, or false if
// an answered one does not tell its own.
func indexEntries(ops []*Operation) ([]indexed, bool) {
	var unread map[string]*Operation // unknown puts, by value
	entries := make([]indexed, 0, len(ops))
	for _, op := range ops {
		switch {
		case op.answered():
			if op.Answer.Index == 0 || !versionIsIndex(op) {
				return nil, false
			}
			entries = append(entries, indexed{op.Answer.Index, op.Kind != Get, op})
		case op.mayTakeEffect() && op.Kind == Put:
			if unread == nil {
				unread = make(map[string]*Operation)
			}
			unread[op.Value] = op
		}
	}
	if unread == nil {
		return entries, true
	}
	for _, op := range ops {
		a := &op.Answer
		if !op.Observes() || !a.HasValue || a.Version == 0 {
			continue
		}
		if put := unread[a.Value]; put != nil {
			delete(unread, a.Value)
			entries = append(entries, indexed{Index(a.Version), true, put})
		}
	}
	return entries, true
}

// versionIsIndex: a write's version is the index of its entry, or was not told.
func versionIsIndex(op *Operation) bool {
	if !op.Writes() || op.Answer.ConditionFailed || op.Answer.Version == 0 {
		return true
	}
	return op.Answer.Version == Version(op.Answer.Index)
}
