package layout

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// moving is testLayout with partition 0 moving to 3, 4 in epoch 2.
func moving(t *testing.T) *Layout {
	t.Helper()
	result := testLayout(t).Apply([]Step{{BeginMove, 0, 1, 2, []MemberNumber{3, 4}}})
	if len(result.Rejected) > 0 {
		t.Fatal(result.Rejected)
	}
	return result.Layout
}

// TestSteps checks rule "four legal steps": what each of them makes of an assignment.
func TestSteps(t *testing.T) {
	r, n := []MemberNumber{1, 2, 3}, []MemberNumber{3, 4}
	for _, c := range []struct {
		name   string
		moving bool // from (2, r, n) in epoch 2; else from (2, r, ∅) in epoch 1
		step   Step
		want   Partition
	}{
		{"L1", false, Step{ChangePrimary, 0, 1, 3, nil}, Partition{2, 3, r, nil}},
		{"L1 to the same: a bump", false, Step{ChangePrimary, 0, 1, 2, nil}, Partition{2, 2, r, nil}},
		{"L1 while moving", true, Step{ChangePrimary, 0, 2, 1, nil}, Partition{3, 1, r, n}},
		{"L1 into N", true, Step{ChangePrimary, 0, 2, 4, nil}, Partition{3, 4, r, n}},
		{"L2", false, Step{BeginMove, 0, 1, 1, n}, Partition{2, 1, r, n}},
		{"L2 with primary in N", false, Step{BeginMove, 0, 1, 4, n}, Partition{2, 4, r, n}},
		{"L2 to a part of R", false, Step{BeginMove, 0, 1, 3, r[:2]}, Partition{2, 3, r, r[:2]}},
		{"L3", true, Step{FinishMove, 0, 2, 4, nil}, Partition{3, 4, n, nil}},
		{"L4", true, Step{CancelMove, 0, 2, 1, nil}, Partition{3, 1, r, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testLayout(t)
			if c.moving {
				l = moving(t)
			}
			result := l.Apply([]Step{c.step})
			if len(result.Steps) != 1 || len(result.Rejected) != 0 {
				t.Fatalf("rejected: %v", result.Rejected)
			}
			if got := result.Layout.Partitions()[0]; !got.Equal(c.want) {
				t.Errorf("became %+v, want %+v", got, c.want)
			}
			if got := result.Layout.Version(); got != l.Version()+1 {
				t.Errorf("version %d follows %d", got, l.Version())
			}
			if err := Legal(l, result.Layout); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStepsRefused checks rules "four legal steps" and "compare and set".
func TestStepsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		moving bool
		step   Step
		reason error
		want   string
	}{
		{"older epoch", true, Step{ChangePrimary, 0, 1, 3, nil}, ErrStale, "partition 0 is in epoch 2, not 1"},
		{"later epoch", false, Step{ChangePrimary, 0, 2, 3, nil}, ErrStale, "partition 0 is in epoch 1, not 2"},
		{"no such partition", false, Step{ChangePrimary, 2, 1, 3, nil}, ErrIllegal, "only 2 partitions"},
		{"no such step", false, Step{9, 0, 1, 3, nil}, ErrIllegal, "step kind 9"},
		{"L1 out of R", false, Step{ChangePrimary, 0, 1, 4, nil}, ErrIllegal, "primary 4 is in neither"},
		{"L1 to an unknown member", false, Step{ChangePrimary, 0, 1, 9, nil}, ErrIllegal, "primary 9 is in neither"},
		{"L1 with N", false, Step{ChangePrimary, 0, 1, 3, []MemberNumber{4}}, ErrIllegal, "names next replicas [4]"},
		{"L2 while moving", true, Step{BeginMove, 0, 2, 2, []MemberNumber{4}}, ErrIllegal, "already moves to [3 4]"},
		{"L2 to nothing", false, Step{BeginMove, 0, 1, 2, nil}, ErrIllegal, "no next replicas"},
		{"L2 to R in another order", false, Step{BeginMove, 0, 1, 2, []MemberNumber{3, 1, 2}}, ErrIllegal, "to the same replicas"},
		{"L2 to a stranger", false, Step{BeginMove, 0, 1, 2, []MemberNumber{3, 5}}, ErrIllegal, "no member has number 5"},
		{"L2 to one twice", false, Step{BeginMove, 0, 1, 2, []MemberNumber{4, 4}}, ErrIllegal, "member 4 twice"},
		{"L2 with primary outside", false, Step{BeginMove, 1, 1, 1, []MemberNumber{2, 3}}, ErrIllegal, "primary 1 is in neither"},
		{"L3 at rest", false, Step{FinishMove, 0, 1, 3, nil}, ErrIllegal, "does not move"},
		{"L3 with primary in R only", true, Step{FinishMove, 0, 2, 2, nil}, ErrIllegal, "primary 2 is in neither"},
		{"L4 at rest", false, Step{CancelMove, 0, 1, 2, nil}, ErrIllegal, "does not move"},
		{"L4 with primary in N only", true, Step{CancelMove, 0, 2, 4, nil}, ErrIllegal, "primary 4 is in neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testLayout(t)
			if c.moving {
				l = moving(t)
			}
			result := l.Apply([]Step{c.step})
			if result.Layout != l || len(result.Steps) != 0 || len(result.Rejected) != 1 {
				t.Fatalf("applied: %+v", result)
			}
			if err := result.Rejected[0].Reason; !errors.Is(err, c.reason) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("reason %q, want %q, %q", err, c.reason, c.want)
			}
		})
	}
}

func TestStepsAreJudgedOneByOne(t *testing.T) {
	l := testLayout(t)
	before := l.Partitions()[0]
	result := l.Apply([]Step{
		{ChangePrimary, 0, 7, 1, nil}, // stale
		{ChangePrimary, 0, 1, 1, nil},
		{ChangePrimary, 0, 1, 3, nil}, // second step of partition 0
		{ChangePrimary, 0, 2, 3, nil}, // neither after the first
		{ChangePrimary, 1, 1, 2, nil},
	})
	if len(result.Steps) != 2 || result.Steps[0].Primary != 1 || result.Steps[1].Partition != 1 {
		t.Errorf("applied %v", result.Steps)
	}
	if len(result.Rejected) != 3 {
		t.Errorf("rejected %v", result.Rejected)
	}
	for _, rejection := range result.Rejected {
		if !errors.Is(rejection.Reason, ErrStale) {
			t.Errorf("%v: reason %v, want stale", rejection.Step, rejection.Reason)
		}
	}
	if result.Layout.Version() != 1 {
		t.Errorf("version %d after one compare-and-set", result.Layout.Version())
	}
	if !l.Partitions()[0].Equal(before) || l.Version() != 0 {
		t.Error("Apply changed its receiver")
	}
}

func TestApplyKeepsItsOwnCopyOfNext(t *testing.T) {
	next := []MemberNumber{3, 4}
	l := testLayout(t).Apply([]Step{{BeginMove, 0, 1, 2, next}}).Layout
	next[0] = 1
	if got := l.Partitions()[0].Next; !slices.Equal(got, []MemberNumber{3, 4}) {
		t.Errorf("next replicas became %v by the caller's hand", got)
	}
}

func TestTheLastVersionAndTheLastEpoch(t *testing.T) {
	l := testLayout(t)
	l.partitions[0].Epoch = MaxEpoch
	result := l.Apply([]Step{{ChangePrimary, 0, MaxEpoch, 1, nil}})
	if result.Layout != l || !errors.Is(result.Rejected[0].Reason, ErrIllegal) {
		t.Errorf("a step from the last epoch: %+v", result)
	}
	l.version = math.MaxInt32
	join := testMembers(5)[4]
	result = l.Apply([]Step{{ChangePrimary, 1, 1, 2, nil}}, MemberChange{Join, join})
	if result.Layout != l || len(result.Rejected) != 1 || len(result.RejectedChanges) != 1 {
		t.Errorf("a change of the last version: %+v", result)
	}
}

func TestStepsSayWhatTheyAre(t *testing.T) {
	for want, step := range map[string]Step{
		"change primary of partition 7 in epoch 3, primary 1":      {ChangePrimary, 7, 3, 1, nil},
		"begin move of partition 7 in epoch 3 to [1 2], primary 1": {BeginMove, 7, 3, 1, []MemberNumber{1, 2}},
		"finish move of partition 7 in epoch 3, primary 1":         {FinishMove, 7, 3, 1, nil},
		"cancel move of partition 7 in epoch 3, primary 1":         {CancelMove, 7, 3, 1, nil},
		"step kind 0 of partition 7 in epoch 3, primary 1":         {0, 7, 3, 1, nil},
	} {
		if got := step.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
