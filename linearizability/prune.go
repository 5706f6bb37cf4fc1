package linearizability

// never is the return stamp of an open operation.
const never = Stamp(1<<63 - 1)

// A keptOp is an operation that the search must place. It closes when it returned if
// it was answered; an unknown one closes at the return of the first answer with its
// value, or stays open.
type keptOp struct {
	at     int32 // in facts.ops
	call   Stamp
	closes Stamp
}

// prune drops the unknown writes that cannot change the verdict. That is sound: if the
// kept operations have a linearization, the dropped ones can be placed after all of
// them; and every linearization of the whole history remains one without them, since
// no answer in it depends on what was dropped. The argument:
//
// Evidence is every answered operation and every kept unknown one. Evidence says
// *absent* if it is a get or delete that found nothing, a failed condition that found
// no version, or a success with If-None-Match; a kept unknown says it with its
// If-None-Match. Evidence says *other* if it reports only that a value exists, or has a
// version that no known write has, or succeeded with If-Match of such a version; a kept
// unknown says it with its If-Match of such a version. A failed condition that does not
// report what it found says both. A write is known if it was acknowledged with its
// version, or if its value was read together with its version.
//
// An unknown put is kept if some answer has its value, and it closes at the earliest
// return of those answers. Then, until nothing changes, an unknown put is kept if
// evidence that returns after its call says other, and an unknown delete is kept if
// evidence that returns after its call says absent. Open unknown operations count as
// returning at the end.
func prune(f *facts) []keptOp {
	closes := f.earliestReads()
	return f.kept(f.matters(closes), closes)
}

// kept lists the operations to keep, each with its end: its return if it was answered,
// else its entry in closes.
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

// matters returns which operations to keep.
func (f *facts) matters(closes []Stamp) (keep []bool) {
	keep = make([]bool, len(f.ops))
	var absent, other Stamp // the latest return of evidence that says it
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

// earliestReads returns for each operation the earliest return of an answer with the
// value that it writes, or never.
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
		return false // its condition did not hold, so it says nothing about the value
	}
	return f.unheardOf(op.IfMatch)
}

// unheardOf reports whether no known write has this version.
func (f *facts) unheardOf(version Version) bool {
	if version == 0 {
		return false
	}
	_, known := f.known[version]
	return !known
}
