package sim

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"dkv/node/layout"
	"dkv/node/ring"

	"github.com/cespare/xxhash/v2"
)

// checkOwners compares a newly formed layout with what the ring's rule allows and, where
// members have no zones and equal weights, with the owners that the rule gives, computed
// a second time in the plainest way: from the distance of every token of every member to
// every partition's point. It returns the first difference, or "".
//
// Where the walk along the ring finds too few members under the bound for a
// partition, the ring makes room by moving others, and the plain rule has no
// answer. Then checkOwners judges only what checkSpread does.
func checkOwners(l *layout.Layout, rule ring.Rule) string {
	members, q := l.Members(), l.Q()
	replicas := min(l.Replication(), len(members))
	sets := make([][]layout.MemberNumber, q)
	for p, part := range l.Partitions() {
		sets[p] = part.Replicas
	}
	if what := checkSpread(rule, members, replicas, sets); what != "" || !alike(members) {
		return what
	}
	want := plainOwners(members, q, replicas)
	for p, set := range sets {
		if want != nil && !sameMembers(set, want[p]) {
			return fmt.Sprintf("partition %d has replicas %v, want %v", p, set, want[p])
		}
	}
	return ""
}

func memberIndex(members []layout.Member, n layout.MemberNumber) int {
	return slices.IndexFunc(members, func(m layout.Member) bool { return m.Number == n })
}

// loadBound returns max(⌈mean⌉, ⌊1.10·mean⌋).
func loadBound(total, members int) int {
	return max((total+members-1)/members, 11*total/(10*members))
}

// plainOwners returns the owners of each partition, or nil if the plain rule has
// no answer.
func plainOwners(members []layout.Member, q, replicas int) [][]layout.MemberNumber {
	load := make([]int, len(members))
	bound := loadBound(q*replicas, len(members))
	tokens := tokensOf(members)
	owners := make([][]layout.MemberNumber, q)
	for p := range owners {
		for _, i := range byDistance(members, tokens, point(p, q)) {
			if load[i] < bound && len(owners[p]) < replicas {
				owners[p] = append(owners[p], members[i].Number)
				load[i]++
			}
		}
		if len(owners[p]) < replicas {
			return nil
		}
	}
	return owners
}

// checkRing judges the owners that package ring chooses for these members and q
// partitions as checkOwners does. With a q greater than a simulated cluster's own,
// partitions lie close to the point at which the ring wraps around.
func checkRing(l *layout.Layout, rule ring.Rule, q int) string {
	members, replicas := l.Members(), min(l.Replication(), len(l.Members()))
	targets, err := rule.Assign(q, replicas, ringMembers(members))
	if err != nil {
		return err.Error()
	}
	sets := replicaSets(targets)
	if what := checkSpread(rule, members, replicas, sets); what != "" || !alike(members) {
		return what
	}
	for p, want := range plainOwners(members, q, replicas) {
		if !sameMembers(sets[p], want) {
			return fmt.Sprintf("with %d partitions, partition %d would have replicas %v, want %v", q, p, sets[p], want)
		}
	}
	return ""
}

func ringMembers(members []layout.Member) []ring.Member {
	var of []ring.Member
	for _, m := range members {
		of = append(of, ring.Member{Number: uint64(m.Number), ID: string(m.Node), Weight: m.Weight, Zone: m.Zone})
	}
	return of
}

func replicaSets(targets []ring.Target) [][]layout.MemberNumber {
	sets := make([][]layout.MemberNumber, len(targets))
	for p, t := range targets {
		for _, m := range t.Replicas {
			sets[p] = append(sets[p], layout.MemberNumber(m))
		}
	}
	return sets
}

// point returns ⌊p·2^64/q⌋.
func point(p, q int) uint64 {
	n := new(big.Int).Lsh(big.NewInt(int64(p)), 64)
	return n.Div(n, big.NewInt(int64(q))).Uint64()
}

// tokensOf returns the tokens of each member.
func tokensOf(members []layout.Member) [][]uint64 {
	tokens := make([][]uint64, len(members))
	for i, m := range members {
		for t := range 128 {
			tokens[i] = append(tokens[i], xxhash.Sum64String(string(m.Node)+"#"+strconv.Itoa(t)))
		}
	}
	return tokens
}

// byDistance returns the members' indices in the order in which a clockwise walk
// from the point meets their first tokens.
func byDistance(members []layout.Member, tokens [][]uint64, point uint64) []int {
	distance := make([]uint64, len(members))
	order := make([]int, len(members))
	for i := range members {
		order[i] = i
		distance[i] = ^uint64(0)
		for _, hash := range tokens[i] {
			distance[i] = min(distance[i], hash-point) // wraps around, as the ring does
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(distance[a], distance[b]), cmp.Compare(members[a].Node, members[b].Node))
	})
	return order
}
