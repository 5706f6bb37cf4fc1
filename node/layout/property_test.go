package layout

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawLayout draws a cluster that was just formed.
func drawLayout(t *rapid.T) *Layout {
	members := testMembers(rapid.IntRange(1, 9).Draw(t, "members"))
	placements := make([]Placement, rapid.IntRange(1, 5).Draw(t, "Q"))
	for i := range placements {
		replicas := drawSet(t, len(members), "replicas")
		placements[i] = Placement{rapid.SampledFrom(replicas).Draw(t, "primary"), replicas}
	}
	l, err := Form("c0ffee", rapid.IntRange(1, MaxReplication).Draw(t, "replication"), members, placements)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// drawSet draws one to MaxReplication numbers up to limit, none twice.
func drawSet(t *rapid.T, limit int, label string) []MemberNumber {
	numbers := rapid.SliceOfNDistinct(rapid.IntRange(1, limit), 1, min(limit, MaxReplication), rapid.ID).Draw(t, label)
	set := make([]MemberNumber, len(numbers))
	for i, n := range numbers {
		set[i] = MemberNumber(n)
	}
	return set
}

// drawStep draws a step that is legal now and then.
func drawStep(t *rapid.T, l *Layout) Step {
	anyMember := rapid.Custom(func(t *rapid.T) MemberNumber {
		return MemberNumber(rapid.IntRange(0, int(l.nextMember)).Draw(t, "anyMember"))
	})
	kinds := []StepKind{0, ChangePrimary, BeginMove, FinishMove, CancelMove, 5}
	s := Step{Partition: PartitionID(rapid.IntRange(0, l.Q()).Draw(t, "partition"))}
	p, ok := l.Partition(s.Partition)
	if p.Moving() {
		kinds = append(kinds, FinishMove, FinishMove, CancelMove, CancelMove)
	}
	s.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
	if ok {
		s.Epoch = p.Epoch
		s.Primary = rapid.OneOf(anyMember, rapid.SampledFrom(slices.Concat(p.Replicas, p.Next))).Draw(t, "primary")
	}
	if rapid.SampledFrom([]bool{true, false, false, false}).Draw(t, "stale") {
		s.Epoch += Epoch(rapid.SampledFrom([]int64{-1, 1, 2}).Draw(t, "epochs off"))
	}
	if s.Kind == BeginMove {
		s.Next = drawSet(t, int(l.nextMember)-1, "next")
		s.Primary = rapid.OneOf(anyMember, rapid.SampledFrom(s.Next)).Draw(t, "primary")
	}
	return s
}

func drawMemberChange(t *rapid.T, l *Layout) MemberChange {
	c := MemberChange{Kind: rapid.SampledFrom([]MemberChangeKind{0, Join, Update, Drop}).Draw(t, "change")}
	if c.Kind == Join {
		i := rapid.IntRange(1, 15).Draw(t, "newcomer")
		c.Member = testMembers(i)[i-1]
		c.Member.Store = StoreID(fmt.Sprintf("fresh-%d", rapid.IntRange(1, 30).Draw(t, "store")))
		return c
	}
	c.Member = rapid.SampledFrom(l.members).Draw(t, "member")
	if gone := slices.IndexFunc(l.members, func(m Member) bool { return m.State == Gone && !l.Names(m.Number) }); c.Kind == Drop && gone >= 0 {
		c.Member = l.members[gone]
	}
	c.Member.State = rapid.SampledFrom([]State{Active, Leaving, Replaced, Gone, Gone}).Draw(t, "state")
	c.Member.Weight = rapid.IntRange(0, 3).Draw(t, "weight")
	return c
}

// TestAnyHistoryIsLegal takes layouts through drawn steps and changes and
// checks every promise of Apply at each version.
func TestAnyHistoryIsLegal(t *testing.T) {
	taken := map[StepKind]int{}
	changed := map[MemberChangeKind]int{}
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		for range rapid.IntRange(20, 40).Draw(t, "compare-and-sets") {
			var steps []Step
			for range rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "steps") {
				steps = append(steps, drawStep(t, l))
			}
			var changes []MemberChange
			for range rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "changes") {
				changes = append(changes, drawMemberChange(t, l))
			}
			result := checkApply(t, l, steps, changes)
			for _, s := range result.Steps {
				taken[s.Kind]++
			}
			for _, c := range result.Changes {
				changed[c.Kind]++
			}
			l = result.Layout
		}
	})
	t.Logf("steps taken: %v; changes made: %v", taken, changed)
	for kind := ChangePrimary; kind <= CancelMove; kind++ {
		if taken[kind] == 0 {
			t.Errorf("never taken: %v", kind)
		}
	}
	for kind := Join; kind <= Drop; kind++ {
		if changed[kind] == 0 {
			t.Errorf("never made: %v", kind)
		}
	}
}

func checkApply(t *rapid.T, l *Layout, steps []Step, changes []MemberChange) Applied {
	before, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	result := l.Apply(steps, changes...)
	if after, _ := l.Encode(); !bytes.Equal(before, after) {
		t.Fatalf("Apply changed its receiver")
	}
	if len(result.Steps)+len(result.Rejected) != len(steps) {
		t.Fatalf("%d steps became %d applied, %d rejected", len(steps), len(result.Steps), len(result.Rejected))
	}
	if len(result.Steps)+len(result.Changes) == 0 {
		if result.Layout != l {
			t.Fatalf("nothing was applied and version %d became %d", l.version, result.Layout.version)
		}
		return result
	}
	next := result.Layout
	if err := next.validate(); err != nil {
		t.Fatalf("version %d: %v", next.version, err)
	}
	checkChanged(t, l, result)
	checkRoundTrip(t, next)
	return result
}

// checkChanged: the next version is legal, and differs by what was applied and
// nothing else. Two updates may undo each other; then Legal sees no change.
func checkChanged(t *rapid.T, l *Layout, result Applied) {
	next := result.Layout
	undone := len(result.Steps) == 0 && slices.Equal(l.members, next.members)
	if err := Legal(l, next); err != nil && !undone {
		t.Fatalf("after %v and %v: %v", result.Steps, result.Changes, err)
	}
	for id := range l.partitions {
		stepped := slices.ContainsFunc(result.Steps, func(s Step) bool { return int(s.Partition) == id })
		if stepped == l.partitions[id].Equal(next.partitions[id]) {
			t.Fatalf("partition %d: a step was taken: %v; it was %+v and is %+v", id, stepped, l.partitions[id], next.partitions[id])
		}
	}
}

func checkRoundTrip(t *rapid.T, l *Layout) {
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, l) {
		t.Fatalf("decoded as %+v, want %+v", decoded, l)
	}
}

// TestRefusedStepsAreIllegal forces what Apply refuses: then either the layout
// is invalid or Legal, which was written apart from Apply, refuses it too.
func TestRefusedStepsAreIllegal(t *testing.T) {
	forced := 0
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		for range 10 {
			s := drawStep(t, l)
			result := l.Apply([]Step{s})
			p, ok := l.Partition(s.Partition)
			known := ok && s.Kind >= ChangePrimary && s.Kind <= CancelMove
			looksLikeL1 := s.Kind == BeginMove && slices.Equal(s.Next, p.Next)
			if len(result.Rejected) == 1 && known && !looksLikeL1 {
				forced++
				next := force(l, s)
				if next.validate() == nil && Legal(l, next) == nil {
					t.Fatalf("refused (%v), yet legal from %+v", result.Rejected[0].Reason, p)
				}
			}
			l = result.Layout
		}
	})
	if forced < 10 {
		t.Errorf("only %d steps were forced", forced)
	}
}

// force takes the step without judging it.
func force(l *Layout, s Step) *Layout {
	next := *l
	next.version++
	next.partitions = slices.Clone(l.partitions)
	p := &next.partitions[s.Partition]
	p.Epoch, p.Primary = s.Epoch+1, s.Primary
	switch s.Kind {
	case BeginMove:
		p.Next = s.Next
	case FinishMove:
		p.Replicas, p.Next = p.Next, nil
	case CancelMove:
		if !p.Moving() {
			p.Replicas = nil // nothing to cancel: no such assignment
		}
		p.Next = nil
	}
	return &next
}

// violations each make an illegal successor of a legal one: of l, in which
// partition 0 moves from R to N, member 3 is gone and named, member 4 gone and
// not named, and next, its bumped successor.
var violations = map[string]func(l, next *Layout){
	"same version":             func(l, next *Layout) { next.version = l.version },
	"version skipped":          func(l, next *Layout) { next.version++ },
	"version falls":            func(l, next *Layout) { next.version = l.version - 1 },
	"last version wraps":       func(l, next *Layout) { l.version, next.version = math.MaxInt32, math.MinInt32 },
	"nothing changed":          func(l, next *Layout) { next.partitions = l.partitions },
	"other cluster":            func(l, next *Layout) { next.cluster = "other" },
	"other replication":        func(l, next *Layout) { next.replication++ },
	"partition added":          func(l, next *Layout) { next.partitions = append(next.partitions, next.partitions[0]) },
	"partition removed":        func(l, next *Layout) { next.partitions = next.partitions[:len(next.partitions)-1] },
	"epoch skipped":            func(l, next *Layout) { next.partitions[0].Epoch++ },
	"epoch stays":              func(l, next *Layout) { next.partitions[0].Epoch--; next.partitions[0].Primary = 5 },
	"epoch falls":              func(l, next *Layout) { next.partitions[0].Epoch -= 2 },
	"R replaced":               func(l, next *Layout) { next.partitions[0].Replicas = []MemberNumber{2, 5} },
	"R reordered":              func(l, next *Layout) { next.partitions[0].Replicas = []MemberNumber{3, 2, 1} },
	"R shrinks":                func(l, next *Layout) { next.partitions[0].Replicas = []MemberNumber{1, 2} },
	"N replaced":               func(l, next *Layout) { next.partitions[0].Next = []MemberNumber{2, 5} },
	"N grows":                  func(l, next *Layout) { next.partitions[0].Next = []MemberNumber{2, 5, 6} },
	"R and N exchanged":        func(l, next *Layout) { p := &next.partitions[0]; p.Replicas, p.Next = p.Next, p.Replicas },
	"primary a stranger":       func(l, next *Layout) { next.partitions[0].Primary = 4 },
	"finished with P in R":     func(l, next *Layout) { next.partitions[0] = Partition{3, 1, []MemberNumber{5, 6}, nil} },
	"cancelled with P in N":    func(l, next *Layout) { next.partitions[0] = Partition{3, 5, []MemberNumber{1, 2, 3}, nil} },
	"move without joint state": func(l, next *Layout) { next.partitions[1] = Partition{2, 1, []MemberNumber{1, 5}, nil} },
	"member renumbered":        func(l, next *Layout) { next.members[5].Number, next.nextMember = 7, 8 },
	"other node":               func(l, next *Layout) { next.members[0].Node = "n9" },
	"other store":              func(l, next *Layout) { next.members[0].Store = "s9" },
	"gone returns":             func(l, next *Layout) { next.members[3].State = Active },
	"active dropped":           func(l, next *Layout) { next.members = next.members[:5] },
	"named dropped":            func(l, next *Layout) { next.members = slices.Delete(next.members, 2, 3) },
	"number not used up":       func(l, next *Layout) { next.nextMember++ },
	"next member falls":        func(l, next *Layout) { next.nextMember-- },
	"joined with gap":          func(l, next *Layout) { join(next, 8, Active) },
	"joined as gone":           func(l, next *Layout) { join(next, 7, Gone) },
	"joined, number reused": func(l, next *Layout) {
		l.members = slices.Delete(slices.Clone(l.members), 3, 4)
	},
	"joined, next stays": func(l, next *Layout) { join(next, 7, Active); next.nextMember = 7 },
}

func join(l *Layout, n MemberNumber, s State) {
	m := testMembers(int(n))[n-1]
	m.Number, m.State = n, s
	l.members = append(l.members, m)
	l.nextMember = n + 1
}

// legalPair is described at violations. Each call makes values of its own.
func legalPair(t *testing.T) (l, next *Layout) {
	t.Helper()
	formed, err := Form("c0ffee", 3, testMembers(6), []Placement{
		{Primary: 2, Replicas: []MemberNumber{1, 2, 3}},
		{Primary: 1, Replicas: []MemberNumber{1, 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l = formed.Apply([]Step{{BeginMove, 0, 1, 2, []MemberNumber{5, 6}}},
		become(t, formed, 3, inState(Gone)), become(t, formed, 4, inState(Gone))).Layout
	next = l.Apply([]Step{{ChangePrimary, 0, 2, 2, nil}}).Layout
	for _, copied := range []*Layout{l, next} {
		copied.members = slices.Clone(copied.members)
		copied.partitions = slices.Clone(copied.partitions)
	}
	return l, next
}

func TestLegalRefusesEveryViolation(t *testing.T) {
	if l, next := legalPair(t); l.validate() != nil || next.validate() != nil || Legal(l, next) != nil {
		t.Fatalf("the pair to start from: %v, %v, %v", l.validate(), next.validate(), Legal(l, next))
	}
	for name, violate := range violations {
		l, next := legalPair(t)
		violate(l, next)
		if err := Legal(l, next); err == nil {
			t.Errorf("%s: found legal", name)
		}
	}
}

// TestLegalRefusesDrawnViolations does one violation beside any legal changes
// of other things.
func TestLegalRefusesDrawnViolations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		for range rapid.IntRange(0, 10).Draw(t, "compare-and-sets") {
			l = l.Apply([]Step{drawStep(t, l)}).Layout
		}
		next := l.Apply([]Step{drawStep(t, l), drawStep(t, l)}).Layout
		if next == l {
			t.Skip("nothing changed")
		}
		bad := *next
		bad.partitions = slices.Clone(next.partitions)
		id := rapid.IntRange(0, l.Q()-1).Draw(t, "violated")
		was, p := l.partitions[id], &bad.partitions[id]
		switch rapid.SampledFrom([]string{"epoch", "replicas", "next", "primary", "version"}).Draw(t, "violation") {
		case "epoch":
			off := rapid.IntRange(-3, 3).Filter(func(n int) bool { return n != 0 && (n != 1 || p.Epoch == was.Epoch+1) }).Draw(t, "off")
			if p.Epoch = Epoch(int64(p.Epoch) + int64(off)); p.Epoch == was.Epoch && p.Equal(was) {
				t.Skip("undoing a bump is not a step")
			}
		case "replicas":
			if p.Replicas = drawSet(t, 9, "R"); slices.Equal(p.Replicas, was.Replicas) || slices.Equal(p.Replicas, was.Next) {
				t.Skip("as before, or as after a move")
			}
		case "next":
			if p.Next = drawSet(t, 9, "N"); !was.Moving() && p.Epoch == was.Epoch+1 || slices.Equal(p.Next, was.Next) {
				t.Skip("may be a move's begin")
			}
		case "primary":
			p.Primary = l.nextMember
			p.Epoch = was.Epoch + 1
		case "version":
			bad.version += int32(rapid.SampledFrom([]int{-1, 1, 5}).Draw(t, "off"))
		}
		if err := Legal(l, &bad); err == nil {
			t.Fatalf("from %+v to %+v, version %d to %d: found legal", was, *p, l.version, bad.version)
		}
	})
}

// TestLegalAcceptsManyChangesAtOnce is the largest compare-and-set there is.
func TestLegalAcceptsManyChangesAtOnce(t *testing.T) {
	l, _ := legalPair(t)
	result := l.Apply(
		[]Step{{FinishMove, 0, 2, 5, nil}, {BeginMove, 1, 1, 7, []MemberNumber{7}}},
		MemberChange{Join, testMembers(7)[6]},
		become(t, l, 1, inState(Leaving)),
		MemberChange{Drop, Member{Number: 3}},
		MemberChange{Drop, Member{Number: 4}},
	)
	if len(result.Rejected)+len(result.RejectedChanges) > 0 {
		t.Fatalf("rejected: %v, %v", result.Rejected, result.RejectedChanges)
	}
	if err := Legal(l, result.Layout); err != nil {
		t.Error(err)
	}
}
