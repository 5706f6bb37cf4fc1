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

// checkOwners compares a newly formed layout with the owners that the ring's rule
// gives, computed a second time in the plainest way: from the distance of every
// token of every member to every partition's point. It returns the first
// difference, or "". It ignores zones and weights, which no simulated cluster has.
//
// Where the walk along the ring finds too few members under the bound for a
// partition, the ring makes room by moving others, and the plain rule has no
// answer. Then checkOwners judges only distinctness and bounds.
func checkOwners(l *layout.Layout) string {
	members, q := l.Members(), l.Q()
	replicas := min(l.Replication(), len(members))
	load := make([]int, len(members))
	for p, part := range l.Partitions() {
		for i, m := range part.Replicas {
			if slices.Contains(part.Replicas[:i], m) {
				return fmt.Sprintf("partition %d lists member %d twice in %v", p, m, part.Replicas)
			}
			if at := memberIndex(members, m); at >= 0 {
				load[at]++
			}
		}
		if len(part.Replicas) != replicas {
			return fmt.Sprintf("partition %d has replicas %v, want %d of them", p, part.Replicas, replicas)
		}
	}
	for i, m := range members {
		if most := loadBound(q*replicas, len(members)); load[i] > most {
			return fmt.Sprintf("member %d has %d replicas, want at most %d", m.Number, load[i], most)
		}
	}
	want := plainOwners(members, q, replicas)
	for p, part := range l.Partitions() {
		if want != nil && !sameMembers(part.Replicas, want[p]) {
			return fmt.Sprintf("partition %d has replicas %v, want %v", p, part.Replicas, want[p])
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

// checkRing compares the owners that package ring chooses for these members and q
// partitions with the plain rule. With a q greater than a simulated cluster's own,
// partitions lie close to the point at which the ring wraps around.
func checkRing(l *layout.Layout, q int) string {
	members, replicas := l.Members(), min(l.Replication(), len(l.Members()))
	var of []ring.Member
	for _, m := range members {
		of = append(of, ring.Member{Number: uint64(m.Number), ID: string(m.Node), Weight: 1})
	}
	targets, err := ring.Rule{Version: 1}.Assign(q, replicas, of)
	if err != nil {
		return err.Error()
	}
	want := plainOwners(members, q, replicas)
	for p := range want {
		got := make([]layout.MemberNumber, len(targets[p].Replicas))
		for i, m := range targets[p].Replicas {
			got[i] = layout.MemberNumber(m)
		}
		if !sameMembers(got, want[p]) {
			return fmt.Sprintf("with %d partitions, partition %d would have replicas %v, want %v", q, p, got, want[p])
		}
	}
	return ""
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
