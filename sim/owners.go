package sim

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"dkv/node/layout"

	"github.com/cespare/xxhash/v2"
)

// checkOwners compares a newly formed layout with the owners that the rule of
// the ring gives, computed a second time in the plainest way: the distance of
// every token of every member to every partition's point. It says what differs,
// or nothing. It knows neither zones nor weights, which no simulated cluster
// has.
//
// Where the walk along the ring finds a partition too few members under the
// bound, the ring makes room by moving others, and the plain rule has no
// answer; then only distinctness and bounds are judged.
func checkOwners(l *layout.Layout) string {
	members, q := l.Members(), l.Q()
	replicas := min(l.Replication(), len(members))
	load := make([]int, len(members))
	for p, part := range l.Partitions() {
		for i, m := range part.Replicas {
			if slices.Contains(part.Replicas[:i], m) {
				return fmt.Sprintf("partition %d has member %d twice in %v", p, m, part.Replicas)
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

// loadBound is max(⌈mean⌉, ⌊1.10·mean⌋).
func loadBound(total, members int) int {
	return max((total+members-1)/members, 11*total/(10*members))
}

// plainOwners is who owns each partition, or nil if the plain rule has no
// answer.
func plainOwners(members []layout.Member, q, replicas int) [][]layout.MemberNumber {
	load := make([]int, len(members))
	bound := loadBound(q*replicas, len(members))
	owners := make([][]layout.MemberNumber, q)
	for p := range owners {
		for _, i := range byDistance(members, point(p, q)) {
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

// point is ⌊p·2^64/q⌋.
func point(p, q int) uint64 {
	n := new(big.Int).Lsh(big.NewInt(int64(p)), 64)
	return n.Div(n, big.NewInt(int64(q))).Uint64()
}

// byDistance lists members, as indices, in the order in which one meets their
// first tokens clockwise from the point.
func byDistance(members []layout.Member, point uint64) []int {
	distance := make([]uint64, len(members))
	order := make([]int, len(members))
	for i, m := range members {
		order[i] = i
		distance[i] = ^uint64(0)
		for t := range 128 {
			hash := xxhash.Sum64String(string(m.Node) + "#" + strconv.Itoa(t))
			distance[i] = min(distance[i], hash-point) // wraps around, as the ring does
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if distance[a] != distance[b] {
			if distance[a] < distance[b] {
				return -1
			}
			return 1
		}
		if members[a].Node < members[b].Node {
			return -1
		}
		return 1
	})
	return order
}
