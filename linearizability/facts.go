package linearizability

// noWrite stands for the absence of a put.
const noWrite int32 = -1

// facts hold what the answers about one key reveal about its writes: which put wrote
// each value, and which version it was assigned. If no two puts write the same value,
// they are true in every linearization.
type facts struct {
	model   Model
	ops     []*Operation // sorted by call, without refused operations and unanswered gets
	putOf   map[string]int32
	version []Version         // of ops[i] if it is a put with a known version, else 0
	witness []int32           // the operation whose answer revealed version[i]
	known   map[Version]int32 // the put that has the version

	// plain: a value does not identify its write, because two puts write the same
	// value, or there are appends, or the key has a value at first. In that case
	// version, witness and known are empty, and putOf has one put of each value.
	ambiguous bool
	appends   int
	writers   map[string]int // number of puts of each value; only if plain
}

// A clash is an obvious contradiction: operations that no order can explain
// together.
type clash struct {
	class  Class
	ops    []*Operation
	reason string
}

// gatherFacts reads the operations of one key, sorted by call. It returns the first
// clash that it finds, or nil. A clash about a refused value takes precedence.
func gatherFacts(m Model, all []*Operation) (*facts, *clash) {
	f := &facts{
		model:     m,
		ambiguous: m == Text,
		ops:       make([]*Operation, 0, len(all)),
		putOf:     make(map[string]int32, len(all)/2),
		known:     make(map[Version]int32, len(all)/2),
	}
	var refused map[string]*Operation
	for _, op := range all {
		switch {
		case op.Outcome == Refused:
			if op.Kind == Put {
				if refused == nil {
					refused = make(map[string]*Operation)
				}
				refused[op.Value] = op
			}
		case op.answered() || op.mayTakeEffect():
			f.add(op)
		}
	}
	if c := f.refusedSeen(refused); c != nil {
		return f, c
	}
	if f.ambiguous {
		return f, f.ambiguousClash()
	}
	f.version = make([]Version, len(f.ops))
	f.witness = make([]int32, len(f.ops))
	return f, f.learnVersions()
}

func (f *facts) add(op *Operation) {
	switch {
	case op.Answer.ConditionFailed:
	case op.Kind == Put:
		if _, twice := f.putOf[op.Value]; twice {
			f.ambiguous = true
		}
		f.putOf[op.Value] = int32(len(f.ops))
	case op.Kind == Append:
		f.ambiguous = true
		f.appends++
	}
	if op.HasIfValue {
		f.ambiguous = true
	}
	f.ops = append(f.ops, op)
}

// refusedSeen finds an answer with a value that only a refused put can have written.
func (f *facts) refusedSeen(refused map[string]*Operation) *clash {
	if len(refused) == 0 || f.appends > 0 {
		return nil
	}
	for _, op := range f.ops {
		if !op.Observes() || !op.Answer.HasValue {
			continue
		}
		put := refused[op.Answer.Value]
		if _, written := f.putOf[op.Answer.Value]; put != nil && !written && !f.initially(op.Answer.Value) {
			return &clash{RefusedSeen, []*Operation{put, op}, "the value of a refused write must never be seen"}
		}
	}
	return nil
}

// initially reports whether a key has this value before the first write.
func (f *facts) initially(value string) bool { return f.model == Text && value == "" }

// ambiguousClash counts the writers of each value. It finds an answer that is wrong in
// every state, or that has a value that no put can have written by then.
func (f *facts) ambiguousClash() *clash {
	f.writers = make(map[string]int, len(f.putOf))
	first := make(map[string]*Operation, len(f.putOf)) // by value: its first put
	for _, op := range f.ops {
		if op.Kind == Put && !op.Answer.ConditionFailed {
			if f.writers[op.Value]++; f.writers[op.Value] == 1 {
				first[op.Value] = op
			}
		}
	}
	for _, op := range f.ops {
		if c := selfClash(op); c != nil {
			return c
		}
		value, met := op.Answer.Value, op.Observes() && op.Answer.HasValue
		if op.effective() && op.HasIfValue {
			value, met = op.IfValue, true
		}
		if !met || f.appends > 0 || f.initially(value) {
			continue
		}
		put := first[value]
		if put == nil {
			return &clash{NotLinearizable, []*Operation{op}, "no put of this key wrote that value"}
		}
		if op.Return < put.Call {
			return &clash{NotLinearizable, []*Operation{op, put}, "the value was seen before any put of it was called"}
		}
	}
	return nil
}

// learnVersions collects the known versions: first those of acknowledged puts, then
// those of puts whose value was read together with its version.
func (f *facts) learnVersions() *clash {
	for i, op := range f.ops {
		if c := selfClash(op); c != nil {
			return c
		}
		if op.effective() && op.Kind == Put {
			if c := f.recordVersion(int32(i), op.Answer.Version, int32(i)); c != nil {
				return c
			}
		}
	}
	for i, op := range f.ops {
		a := &op.Answer
		if !op.Observes() || !a.HasValue {
			continue
		}
		put, written := f.putOf[a.Value]
		if !written {
			return &clash{NotLinearizable, []*Operation{op}, "no put of this key wrote that value"}
		}
		if op.Return < f.ops[put].Call {
			return &clash{NotLinearizable, []*Operation{op, f.ops[put]}, "the value was seen before its put was called"}
		}
		if c := f.recordVersion(put, a.Version, int32(i)); c != nil {
			return c
		}
	}
	return nil
}

// recordVersion records that, according to operation by, put has this version.
func (f *facts) recordVersion(put int32, version Version, by int32) *clash {
	if version == 0 || f.version[put] == version {
		return nil
	}
	if f.version[put] != 0 {
		return &clash{NotLinearizable, f.distinct(f.witness[put], by), "one value cannot have two versions"}
	}
	if other, taken := f.known[version]; taken {
		return &clash{NotLinearizable, f.distinct(f.witness[other], by), "two writes cannot have one version"}
	}
	f.version[put], f.witness[put], f.known[version] = version, by, put
	return nil
}

func (f *facts) distinct(a, b int32) []*Operation {
	if a == b {
		return []*Operation{f.ops[a]}
	}
	return []*Operation{f.ops[a], f.ops[b]}
}

// selfClash finds an answer that is wrong in every state of the key.
func selfClash(op *Operation) *clash {
	if !op.answered() || !op.conditional() {
		return nil
	}
	a := &op.Answer
	alone := func(reason string) *clash { return &clash{NotLinearizable, []*Operation{op}, reason} }
	switch {
	case op.IfAbsent && a.ConditionFailed && op.foundAbsent():
		return alone("the condition that the key is absent failed, although the key was absent")
	case a.ConditionFailed && op.IfMatch != 0 && a.Version == op.IfMatch:
		return alone("the condition failed, although the version found is the expected one")
	case a.ConditionFailed && op.HasIfValue && a.HasValue && a.Value == op.IfValue:
		return alone("the condition failed, although the value found is the expected one")
	case a.ConditionFailed:
		return nil
	case op.Writes() && op.IfMatch != 0 && a.Version != 0 && a.Version <= op.IfMatch:
		return alone("the version of a write must be greater than the version that it replaced")
	case op.Kind == Delete && op.IfAbsent && a.Found:
		return alone("a delete on the condition that the key is absent cannot remove a value")
	case op.Kind == Delete && op.IfMatch != 0 && a.Version != 0 && a.Version != op.IfMatch:
		return alone("the condition held, although the version removed is not the expected one")
	case op.Kind == Delete && op.HasIfValue && a.HasValue && a.Value != op.IfValue:
		return alone("the condition held, although the value removed is not the expected one")
	}
	return nil
}
