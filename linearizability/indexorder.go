package linearizability

import (
	"cmp"
	"slices"
)

// An indexed operation is one with its position in the log. A get at an index comes after
// the entry of that index.
type indexed struct {
	index  Index
	logged bool
	op     *Operation
}

// orderByIndexHolds reports whether the operations of one key, sorted by the log index at
// which each was decided, are a linearization. If so, the key is linearizable whatever
// the log really was: the order itself is the proof. If not, nothing is proven.
//
// It needs the index of every answered operation. A put of unknown outcome is placed by
// the version under which its value was read. The other unknown writes are placed after
// everything else, where they contradict nothing.
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
		// An operation must not return before one that precedes it here is called.
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

// indexEntries returns the operations that have a position in the log, or false if an
// answered one does not report its own.
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

// versionIsIndex reports whether the version of a write is the index of its entry, or
// unknown.
func versionIsIndex(op *Operation) bool {
	if !op.Writes() || op.Answer.ConditionFailed || op.Answer.Version == 0 {
		return true
	}
	return op.Answer.Version == Version(op.Answer.Index)
}
