package linearizability

// noWrite stands for no put in particular.
const noWrite int32 = -1

// facts are what the answers about one key say of its writes: which put wrote
// each value, and which version it was given. They hold in every linearization,
// because no two puts write the same value.
type facts struct {
	ops     []*Operation // by call; without refused operations and unanswered gets
	putOf   map[string]int32
	version []Version         // of ops[i], if it is a known put; else 0
	teller  []int32           // the operation that told version[i]
	known   map[Version]int32 // the put that has it
	shared  bool              // two puts write one value: putOf names but one
}

// A clash is a contradiction in plain sight: operations that cannot all be true
// in any order.
type clash struct {
	class  Class
	ops    []*Operation
	reason string
}

// gatherFacts reads the operations of one key, sorted by call. It returns the
// first clash it sees, or nil; one over a refused value before any other. With
// shared values it looks for no other, and the facts are of no further use.
func gatherFacts(all []*Operation) (*facts, *clash) {
	f := &facts{
		ops:   make([]*Operation, 0, len(all)),
		putOf: make(map[string]int32, len(all)/2),
		known: make(map[Version]int32, len(all)/2),
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
	if c := f.refusedSeen(refused); c != nil || f.shared {
		return f, c
	}
	f.version = make([]Version, len(f.ops))
	f.teller = make([]int32, len(f.ops))
	return f, f.learn()
}

func (f *facts) add(op *Operation) {
	if op.Kind == Put && !op.Answer.ConditionFailed {
		if _, twice := f.putOf[op.Value]; twice {
			f.shared = true
		}
		f.putOf[op.Value] = int32(len(f.ops))
	}
	f.ops = append(f.ops, op)
}

// refusedSeen finds an answer with a value that only a refused put can have written.
func (f *facts) refusedSeen(refused map[string]*Operation) *clash {
	if len(refused) == 0 {
		return nil
	}
	for _, op := range f.ops {
		if !op.observes() || !op.Answer.HasValue {
			continue
		}
		put := refused[op.Answer.Value]
		if _, written := f.putOf[op.Answer.Value]; put != nil && !written {
			return &clash{RefusedSeen, []*Operation{put, op}, "a refused write must never be seen"}
		}
	}
	return nil
}

// learn collects the known versions: of acknowledged puts first, then of puts
// whose value was read together with its version.
func (f *facts) learn() *clash {
	for i, op := range f.ops {
		if c := selfClash(op); c != nil {
			return c
		}
		if op.effective() && op.Kind == Put {
			if c := f.tell(int32(i), op.Answer.Version, int32(i)); c != nil {
				return c
			}
		}
	}
	for i, op := range f.ops {
		a := &op.Answer
		if !op.observes() || !a.HasValue {
			continue
		}
		put, written := f.putOf[a.Value]
		if !written {
			return &clash{NotLinearizable, []*Operation{op}, "no put of this key wrote that value"}
		}
		if op.Return < f.ops[put].Call {
			return &clash{NotLinearizable, []*Operation{op, f.ops[put]}, "the value was seen before its put was called"}
		}
		if c := f.tell(put, a.Version, int32(i)); c != nil {
			return c
		}
	}
	return nil
}

// tell notes that operation by says put has this version.
func (f *facts) tell(put int32, version Version, by int32) *clash {
	if version == 0 || f.version[put] == version {
		return nil
	}
	if f.version[put] != 0 {
		return &clash{NotLinearizable, f.distinct(f.teller[put], by), "one value cannot have two versions"}
	}
	if other, taken := f.known[version]; taken {
		return &clash{NotLinearizable, f.distinct(f.teller[other], by), "two writes cannot have one version"}
	}
	f.version[put], f.teller[put], f.known[version] = version, by, put
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
	case a.ConditionFailed && op.IfAbsent && !a.Found:
		return alone("the condition that the key be absent failed, though it was absent")
	case a.ConditionFailed && op.IfMatch != 0 && a.Version == op.IfMatch:
		return alone("the condition failed, though the version met is the one asked for")
	case a.ConditionFailed:
		return nil
	case op.Kind == Put && op.IfMatch != 0 && a.Version != 0 && a.Version <= op.IfMatch:
		return alone("a write cannot have a version that is not greater than the one it replaced")
	case op.Kind == Delete && op.IfAbsent && a.Found:
		return alone("the key was removed under the condition that it be absent")
	case op.Kind == Delete && op.IfMatch != 0 && a.Version != 0 && a.Version != op.IfMatch:
		return alone("the condition held, though the version removed is not the one asked for")
	}
	return nil
}
