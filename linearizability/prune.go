package linearizability

// never is the stamp at which an open operation returns.
const never = Stamp(1<<63 - 1)

// A keptOp is an operation that the search has to place. An answered one
// returns when it did; an unknown one is closed at the return of the first
// answer that carries its value, or stays open.
type keptOp struct {
	at     int32 // in facts.ops
	call   Stamp
	closes Stamp
}

// prune drops the unknown writes that cannot matter, and keeps the rest. What
// it drops can be placed after everything else; and without it every
// linearization of the whole is still one, since nothing in it can be explained
// by what was dropped:
//
// Evidence is every answered operation and every kept unknown one. It says
// *absent*: a get or delete that found nothing, a failed condition that met no
// version, success with If-None-Match; for a kept unknown its If-None-Match.
// It says *other*: an answer that says merely "exists", a version that no known
// write has, success with If-Match of such a version; for a kept unknown its
// If-Match of such a version. A failed condition that did not tell what it met
// says both. A known write was acknowledged with its version, or its value was
// read together with it.
//
// An unknown put whose value some answer carries is kept, closed at the
// earliest return of those answers. Then, until nothing changes: an unknown put
// is kept if evidence returning after its call says other; an unknown delete is
// kept if evidence returning after its call says absent, an open unknown
// returning at the end.
func prune(f *facts) []keptOp {
	closes := f.earliestReads()
	return f.kept(f.matters(closes), closes)
}

// kept lists the operations to keep, each with its end: its return if it was
// answered, else where closes puts it.
func (f *facts) kept(keep []bool, closes []Stamp) []keptOp {
	kept := make([]keptOp, 0, len(f.ops))
	for i, op := range f.ops {
		if !keep[i] {
			continue
		}
		end := op.Return
		if !op.answered() {
			end = closes[i]
		}
		kept = append(kept, keptOp{int32(i), op.Call, end})
	}
	return kept
}

// matters says which operations are kept.
func (f *facts) matters(closes []Stamp) (keep []bool) {
	keep = make([]bool, len(f.ops))
	var absent, other Stamp // the latest return of evidence that says so
	add := func(i int, until Stamp) {
		keep[i] = true
		if f.saysAbsent(f.ops[i]) {
			absent = max(absent, until)
		}
		if f.saysOther(f.ops[i]) {
			other = max(other, until)
		}
	}
	for i, op := range f.ops {
		switch {
		case op.answered():
			add(i, op.Return)
		case closes[i] != never:
			add(i, closes[i])
		}
	}
	for changed := true; changed; {
		changed = false
		for i, op := range f.ops {
			if !keep[i] && (op.Kind == Put && other > op.Call || op.Kind == Delete && absent > op.Call) {
				add(i, never)
				changed = true
			}
		}
	}
	return keep
}

// earliestReads returns for each operation the earliest return of an answer
// that carries the value it writes, or never.
func (f *facts) earliestReads() []Stamp {
	closes := make([]Stamp, len(f.ops))
	for i := range closes {
		closes[i] = never
	}
	for _, op := range f.ops {
		if op.Observes() && op.Answer.HasValue {
			put := f.putOf[op.Answer.Value]
			closes[put] = min(closes[put], op.Return)
		}
	}
	return closes
}

func (f *facts) saysAbsent(op *Operation) bool {
	if !op.answered() {
		return op.IfAbsent
	}
	return op.foundAbsent() || op.Answer.Unreported || op.IfAbsent && !op.Answer.ConditionFailed
}

func (f *facts) saysOther(op *Operation) bool {
	a := &op.Answer
	if a.Unreported {
		return true
	}
	if op.Observes() && a.Found {
		if a.Version == 0 && !a.HasValue || f.unheardOf(a.Version) {
			return true
		}
	}
	if op.answered() && a.ConditionFailed {
		return false // its condition says nothing about what it met
	}
	return f.unheardOf(op.IfMatch)
}

// unheardOf: a version that no known write has.
func (f *facts) unheardOf(version Version) bool {
	if version == 0 {
		return false
	}
	_, known := f.known[version]
	return !known
}
