package quorum

import (
	"testing"

	"pgregory.net/rapid"

	"dkv/node/layout"
)

// subset draws a set of up to layout.MaxReplication of the members 1 to 12.
func subset(t *rapid.T, least int, what string) Set {
	member := rapid.Uint32Range(1, 12)
	var s Set
	for _, m := range rapid.SliceOfNDistinct(member, least, layout.MaxReplication, rapid.ID).Draw(t, what) {
		s = append(s, layout.MemberNumber(m))
	}
	return s
}

// joint draws R, and half the time an N, which may overlap with R.
func joint(t *rapid.T) Joint {
	j := Joint{R: subset(t, 1, "R")}
	if rapid.Bool().Draw(t, "moving") {
		j.N = subset(t, 1, "N")
	}
	return j
}

// reached is the definition, by counting the other way round: fewer than half of
// the set, rounded up, are missing.
func (s Set) reached(holders map[layout.MemberNumber]bool) bool {
	missing := 0
	for _, m := range s {
		if !holders[m] {
			missing++
		}
	}
	return 2*missing < len(s)
}

func (j Joint) reached(holders map[layout.MemberNumber]bool) bool {
	return j.R.reached(holders) && (len(j.N) == 0 || j.N.reached(holders))
}

// TestReachedIsItsDefinition checks rule "both majorities while moving".
func TestReachedIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := joint(t)
		holders := map[layout.MemberNumber]bool{}
		for _, m := range subset(t, 0, "holders") {
			holders[m] = true
		}
		satisfies := func(m layout.MemberNumber) bool { return holders[m] }
		if got, want := j.Reached(satisfies), j.reached(holders); got != want {
			t.Fatalf("Reached of %v by %v is %v, want %v", j, holders, got, want)
		}
	})
}

// TestQuorumsIntersect checks the one property for which majorities are used:
// two quorums of one joint set share a member of R, and of N if there is one.
func TestQuorumsIntersect(t *testing.T) {
	share := func(s Set, a, b map[layout.MemberNumber]bool) bool {
		for _, m := range s {
			if a[m] && b[m] {
				return true
			}
		}
		return false
	}
	rapid.Check(t, func(t *rapid.T) {
		j := joint(t)
		draw := func(what string) map[layout.MemberNumber]bool {
			holders := map[layout.MemberNumber]bool{}
			for _, m := range append(append(Set{}, j.R...), j.N...) {
				holders[m] = holders[m] || rapid.Bool().Draw(t, what)
			}
			return holders
		}
		a, b := draw("a"), draw("b")
		if !j.Reached(func(m layout.MemberNumber) bool { return a[m] }) || !j.Reached(func(m layout.MemberNumber) bool { return b[m] }) {
			t.Skip("not two quorums")
		}
		if !share(j.R, a, b) || len(j.N) > 0 && !share(j.N, a, b) {
			t.Fatalf("%v and %v are quorums of %v and share no member", a, b, j)
		}
	})
}

// TestGreatestIsItsDefinition checks rule "commit by majority" against every
// value that any member has: the greatest one that quorums have reached.
func TestGreatestIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := joint(t)
		values := map[layout.MemberNumber]uint64{}
		for m := layout.MemberNumber(1); m <= 12; m++ {
			values[m] = rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Just(^uint64(0))).Draw(t, "value")
		}
		want := uint64(0)
		for _, v := range values {
			holders := map[layout.MemberNumber]bool{}
			for m := range values {
				holders[m] = values[m] >= v
			}
			if j.reached(holders) {
				want = max(want, v)
			}
		}
		if got := Greatest(j, func(m layout.MemberNumber) uint64 { return values[m] }); got != want {
			t.Fatalf("Greatest of %v by %v is %d, want %d", j, values, got, want)
		}
	})
}

func TestMajority(t *testing.T) {
	for n, want := range []int{1, 1, 2, 2, 3, 3, 4, 4} {
		if got := Majority(n); got != want {
			t.Errorf("Majority(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestTheEmptySetHasNoMajority(t *testing.T) {
	if (Set{}).Reached(func(layout.MemberNumber) bool { return true }) {
		t.Error("the empty set reached a majority")
	}
}

func TestOfIsTheAssignmentsSets(t *testing.T) {
	a := layout.Partition{Replicas: []layout.MemberNumber{1, 2}, Next: []layout.MemberNumber{3}}
	if j := Of(a); len(j.R) != 2 || len(j.N) != 1 || j.R[1] != 2 || j.N[0] != 3 {
		t.Errorf("Of(%v) = %v", a, j)
	}
}

// TestNothingIsAllocated: a primary counts at every acknowledgement.
func TestNothingIsAllocated(t *testing.T) {
	r := []layout.MemberNumber{1, 2, 3, 4, 5, 6, 7}
	values := [8]uint64{0, 7, 3, 5, 1, 2, 6, 4}
	j := Joint{R: r, N: r[:3]}
	value := func(m layout.MemberNumber) uint64 { return values[m] }
	enough := func(m layout.MemberNumber) bool { return values[m] > 3 }
	var sum uint64
	if allocs := testing.AllocsPerRun(100, func() {
		sum += Greatest(j, value)
		if j.Reached(enough) {
			sum++
		}
	}); allocs != 0 {
		t.Errorf("%v allocations a call, want none", allocs)
	}
}
