package layout

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// StepKind is one of the four steps an assignment may take. P, R and N are the
// partition's primary, replicas and next replicas in the epoch the step is
// conditional on; P' and N' are the step's.
type StepKind uint8

const (
	// ChangePrimary is L1: (P, R, N) becomes (P', R, N), P' in R∪N. P' = P is a
	// bump: the same primary begins a new epoch.
	ChangePrimary StepKind = iota + 1
	// BeginMove is L2: (P, R, ∅) becomes (P', R, N'), N' another set than R and
	// P' in R∪N'.
	BeginMove
	// FinishMove is L3: (P, R, N) becomes (P', N, ∅), N not empty and P' in N.
	//
	// It is safe only for a node that knows the fact F: some epoch e' ≤ e has
	// committed its own no-op under the joint quorum of (R, N), and N has stood
	// without interruption from e' to e. F is not in the layout, so neither
	// Apply nor Legal can judge it: the node that takes the step must know F (rule
	// "finish only what you committed").
	FinishMove
	// CancelMove is L4: (P, R, N) becomes (P', R, ∅), N not empty and P' in R.
	CancelMove
)

func (k StepKind) String() string {
	switch k {
	case ChangePrimary:
		return "change primary"
	case BeginMove:
		return "begin move"
	case FinishMove:
		return "finish move"
	case CancelMove:
		return "cancel move"
	default:
		return fmt.Sprintf("step kind %d", uint8(k))
	}
}

// Step is one requested step of one partition.
type Step struct {
	Kind      StepKind
	Partition PartitionID
	Epoch     Epoch          // the epoch it is conditional on
	Primary   MemberNumber   // P'
	Next      []MemberNumber // N' of BeginMove, nil for the others
}

func (s Step) String() string {
	if s.Kind == BeginMove {
		return fmt.Sprintf("%v of partition %d in epoch %d to %v, primary %d", s.Kind, s.Partition, s.Epoch, s.Next, s.Primary)
	}
	return fmt.Sprintf("%v of partition %d in epoch %d, primary %d", s.Kind, s.Partition, s.Epoch, s.Primary)
}

// Why a step or a change of members was rejected; Rejection.Reason wraps one.
var (
	ErrStale   = errors.New("stale")   // the partition's epoch is another one, or takes another step now
	ErrIllegal = errors.New("illegal") // can not be applied to this layout
)

// Rejection is a step that Apply did not take.
type Rejection struct {
	Step   Step
	Reason error
}

// Applied is the result of an Apply.
type Applied struct {
	From     *Layout // the receiver
	Layout   *Layout // the next version; the receiver itself if nothing changed
	Steps    []Step  // the steps taken, in the order given
	Rejected []Rejection

	Changes         []MemberChange // those made; a join carries its member's number
	RejectedChanges []ChangeRejection
}

// Apply makes the layout that follows l by one compare-and-set. Each step is
// judged against its own partition's epoch in l and raises it by one, so a
// partition takes at most one step; changes of members are made in their
// order, before the steps, except that drops come after them. What is rejected
// hinders nothing else. The version rises by one exactly if anything changed.
func (l *Layout) Apply(steps []Step, changes ...MemberChange) Applied {
	if l.version == math.MaxInt32 {
		return l.rejectAll(steps, changes)
	}
	next := *l
	next.version++
	result := Applied{From: l, Layout: l}
	next.changeMembers(l, changes, false, &result)
	next.takeSteps(l, steps, &result)
	next.changeMembers(l, changes, true, &result)
	if len(result.Steps)+len(result.Changes) > 0 {
		result.Layout = &next
	}
	return result
}

// rejectAll is Apply for a layout whose znode cannot have another version.
func (l *Layout) rejectAll(steps []Step, changes []MemberChange) Applied {
	result := Applied{From: l, Layout: l}
	reason := fmt.Errorf("%w: version %d is the last", ErrIllegal, l.version)
	for _, s := range steps {
		result.Rejected = append(result.Rejected, Rejection{s, reason})
	}
	for _, c := range changes {
		result.RejectedChanges = append(result.RejectedChanges, ChangeRejection{c, reason})
	}
	return result
}

// takeSteps takes the steps that are legal in l, the layout next grew from.
func (next *Layout) takeSteps(l *Layout, steps []Step, result *Applied) {
	for _, s := range steps {
		p, err := next.judge(l, s)
		if err != nil {
			result.Rejected = append(result.Rejected, Rejection{s, err})
			continue
		}
		if len(result.Steps) == 0 {
			next.partitions = slices.Clone(l.partitions)
		}
		next.partitions[s.Partition] = p
		result.Steps = append(result.Steps, s)
	}
}

// judge returns the assignment that the step leads to.
func (next *Layout) judge(l *Layout, s Step) (Partition, error) {
	p, ok := next.Partition(s.Partition)
	switch {
	case !ok:
		return p, fmt.Errorf("%w: there are only %d partitions", ErrIllegal, next.Q())
	case s.Epoch != l.partitions[s.Partition].Epoch:
		return p, fmt.Errorf("%w: partition %d is in epoch %d, not %d", ErrStale, s.Partition, l.partitions[s.Partition].Epoch, s.Epoch)
	case p.Epoch != s.Epoch:
		return p, fmt.Errorf("%w: partition %d takes another step at the same time", ErrStale, s.Partition)
	case p.Epoch == MaxEpoch:
		return p, fmt.Errorf("%w: epoch %d is the last", ErrIllegal, p.Epoch)
	case s.Kind != BeginMove && len(s.Next) > 0:
		return p, fmt.Errorf("%w: %v names next replicas %v", ErrIllegal, s.Kind, s.Next)
	}
	p, err := p.after(s)
	if err == nil {
		err = next.validatePartition(p)
	}
	if err != nil {
		return p, fmt.Errorf("%w: %v: %w", ErrIllegal, s, err)
	}
	return p, nil
}

// after is the assignment that the step leads to. What holds of every
// assignment (P' in R∪N', N' not R, no duplicates) is left to the validation.
func (p Partition) after(s Step) (Partition, error) {
	if s.Kind == BeginMove && p.Moving() {
		return p, fmt.Errorf("already moves to %v", p.Next)
	}
	if (s.Kind == FinishMove || s.Kind == CancelMove) && !p.Moving() {
		return p, fmt.Errorf("does not move")
	}
	p.Epoch++
	p.Primary = s.Primary
	switch s.Kind {
	case ChangePrimary:
	case BeginMove:
		if len(s.Next) == 0 {
			return p, fmt.Errorf("no next replicas")
		}
		p.Next = slices.Clone(s.Next)
	case FinishMove:
		p.Replicas, p.Next = p.Next, nil
	case CancelMove:
		p.Next = nil
	default:
		return p, fmt.Errorf("no such step")
	}
	return p, nil
}
