package quorum

import (
	"slices"

	"dkv/node/layout"
)

// Majority returns the size of a strict majority of n members.
func Majority(n int) int { return n/2 + 1 }

// Set is a set of members, each listed once. It has at most
// layout.MaxReplication members, as every valid layout ensures.
type Set []layout.MemberNumber

// Reached reports whether a majority of the set satisfies the condition. The
// empty set has no majority.
func (s Set) Reached(satisfies func(layout.MemberNumber) bool) bool {
	count := 0
	for _, m := range s {
		if satisfies(m) {
			count++
		}
	}
	return count >= Majority(len(s))
}

// Joint is the pair of sets that a decision needs while a partition moves from
// R to N: a majority of each. With an empty N it is R alone. A member that is in
// both counts in both.
type Joint struct{ R, N Set }

// Of returns the sets of an assignment.
func Of(a layout.Partition) Joint { return Joint{a.Replicas, a.Next} }

// Reached reports whether majorities of R, and of N unless it is empty, satisfy
// the condition. It may ask twice about a member of both.
func (j Joint) Reached(satisfies func(layout.MemberNumber) bool) bool {
	return j.R.Reached(satisfies) && (len(j.N) == 0 || j.N.Reached(satisfies))
}

// Greatest returns the greatest value that quorums have reached: the greatest v
// for which the members with value(m) >= v are a majority of R, and of N unless
// it is empty. R must not be empty.
func Greatest[T ~uint64](j Joint, value func(layout.MemberNumber) T) T {
	v := greatest(j.R, value)
	if len(j.N) > 0 {
		v = min(v, greatest(j.N, value))
	}
	return v
}

// greatest sorts the members' values. The one that stands Majority places from
// the end has been reached by itself and all after it, which are a majority; the
// next greater one has not.
func greatest[T ~uint64](s Set, value func(layout.MemberNumber) T) T {
	var room [layout.MaxReplication]T // on the stack: no set is larger
	values := room[:0]
	for _, m := range s {
		values = append(values, value(m))
	}
	slices.Sort(values)
	return values[len(values)-Majority(len(values))]
}
