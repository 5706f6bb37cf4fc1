package ring

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// exactPoint is ⌊p·2^64/q⌋ in numbers that cannot overflow.
func exactPoint(p, q int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(int64(p)), 64)
	return n.Quo(n, big.NewInt(int64(q)))
}

func TestPartitionAtTheEdgesOfSlices(t *testing.T) {
	for _, q := range []int{1, 2, 3, 5, 7, 16, 100, 255, 256, 1000, 4095, 4096} {
		for p := range q {
			point := Point(p, q)
			if exact := exactPoint(p, q); !exact.IsUint64() || exact.Uint64() != point {
				t.Fatalf("Point(%d, %d) = %d, want %v", p, q, point, exact)
			}
			if got := PartitionOfHash(point, q); got != p {
				t.Fatalf("first hash of partition %d of %d is in %d", p, q, got)
			}
			if got := PartitionOfHash(point-1, q); got != (p+q-1)%q {
				t.Fatalf("hash before partition %d of %d is in %d", p, q, got)
			}
		}
	}
}

func TestPartitionHoldsItsHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := rapid.IntRange(1, MaxPartitions).Draw(t, "q")
		hash := rapid.Uint64().Draw(t, "hash")
		p := PartitionOfHash(hash, q)
		exact := new(big.Int).SetUint64(hash)
		if exact.Cmp(exactPoint(p, q)) < 0 || exact.Cmp(exactPoint(p+1, q)) >= 0 {
			t.Fatalf("hash %d is not in partition %d of %d", hash, p, q)
		}
	})
}

func TestPartitionOfKey(t *testing.T) {
	// The first eight bytes of a key's xxhash64, as published for these inputs.
	for key, hash := range map[string]uint64{"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b} {
		if got, want := PartitionOf([]byte(key), 256), int(hash>>56); got != want {
			t.Errorf("PartitionOf(%q, 256) = %d, want %d", key, got, want)
		}
	}
}

// drawMembers draws a cluster; weights and zones are drawn only if asked for.
func drawMembers(t *rapid.T, least, most int, weights, zones bool) []Member {
	members := make([]Member, rapid.IntRange(least, most).Draw(t, "members"))
	salt := rapid.IntRange(0, 1_000_000).Draw(t, "salt")
	for i := range members {
		members[i] = Member{Number: uint64(i + 1), ID: fmt.Sprintf("node-%d-%d", salt, i), Weight: 1}
		if weights {
			members[i].Weight = rapid.IntRange(1, 8).Draw(t, "weight")
		}
		if zones {
			members[i].Zone = rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "zone")
		}
	}
	return members
}

func drawQ(t *rapid.T) int {
	return rapid.OneOf(rapid.IntRange(1, 64), rapid.SampledFrom([]int{128, 256, 1000})).Draw(t, "q")
}

func assign(t interface{ Fatal(...any) }, q, replication int, members []Member) []Target {
	targets, err := Rule{Version: 1}.Assign(q, replication, members)
	if err != nil {
		t.Fatal(err)
	}
	return targets
}

// TestTargetsAreDistinctMembersAndThePrimaryOneOfThem checks rule "owners follow the
// ring".
func TestTargetsAreDistinctMembersAndThePrimaryOneOfThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, replication := drawQ(t), rapid.IntRange(1, 7).Draw(t, "replication")
		members := drawMembers(t, 1, 12, true, true)
		targets := assign(t, q, replication, members)
		if len(targets) != q {
			t.Fatalf("%d targets, want %d", len(targets), q)
		}
		for p, target := range targets {
			if want := min(replication, len(members)); len(target.Replicas) != want {
				t.Fatalf("partition %d has replicas %v, want %d", p, target.Replicas, want)
			}
			for i, n := range target.Replicas {
				if n < 1 || n > uint64(len(members)) || slices.Contains(target.Replicas[:i], n) {
					t.Fatalf("partition %d has replicas %v", p, target.Replicas)
				}
			}
			if !slices.Contains(target.Replicas, target.Primary) {
				t.Fatalf("partition %d has primary %d outside %v", p, target.Primary, target.Replicas)
			}
		}
	})
}

// load counts what every number holds.
func load(targets []Target) (replicas, primaries map[uint64]int) {
	replicas, primaries = map[uint64]int{}, map[uint64]int{}
	for _, target := range targets {
		for _, n := range target.Replicas {
			replicas[n]++
		}
		primaries[target.Primary]++
	}
	return replicas, primaries
}

// bound is max(⌈mean⌉, ⌊1.10·mean⌋) of total things shared by n.
func bound(total, n int) int { return max((total+n-1)/n, 11*total/(10*n)) }

func TestBoundsHoldForThreeToFiftyMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, replication := drawQ(t), rapid.IntRange(1, 5).Draw(t, "replication")
		members := drawMembers(t, 3, 50, false, rapid.Bool().Draw(t, "zones"))
		replicas, primaries := load(assign(t, q, replication, members))
		n := len(members)
		for _, m := range members {
			if got, most := replicas[m.Number], bound(q*min(replication, n), n); got > most {
				t.Fatalf("%s holds %d replicas, want at most %d", m.ID, got, most)
			}
			if got, most := primaries[m.Number], bound(q, n); got > most {
				t.Fatalf("%s is primary %d times, want at most %d", m.ID, got, most)
			}
		}
	})
}

func TestBoundsHoldByWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQ(t)
		members := drawMembers(t, 4, 20, true, false)
		replication := rapid.IntRange(1, 4).Draw(t, "replication")
		total := 0
		for _, m := range members {
			total += m.Weight
		}
		for _, m := range members {
			if replication*m.Weight > total {
				t.Skip("a member is due more than every partition")
			}
		}
		replicas, _ := load(assign(t, q, replication, members))
		for _, m := range members {
			if got, most := replicas[m.Number], bound(q*replication*m.Weight, total); got > most {
				t.Fatalf("%s of weight %d of %d holds %d replicas, want at most %d", m.ID, m.Weight, total, got, most)
			}
		}
	})
}

func TestTheHeaviestHoldsNoMoreThanEveryPartition(t *testing.T) {
	members := []Member{{1, "a", 90, ""}, {2, "b", 1, ""}, {3, "c", 1, ""}, {4, "d", 1, ""}}
	replicas, _ := load(assign(t, 300, 2, members))
	// The heavy one is due 580 of 600 replicas and can hold 300; 100 remain for each other.
	for _, m := range members[1:] {
		if replicas[m.Number] > 110 {
			t.Errorf("%s holds %d replicas, want at most 110", m.ID, replicas[m.Number])
		}
	}
}

func TestOrderOfMembersHasNoInfluence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, replication := drawQ(t), rapid.IntRange(1, 4).Draw(t, "replication")
		members := drawMembers(t, 1, 20, true, true)
		shuffled := rapid.Permutation(members).Draw(t, "shuffled")
		before := slices.Clone(shuffled)
		a, b := assign(t, q, replication, members), assign(t, q, replication, shuffled)
		if !slices.EqualFunc(a, b, equal) {
			t.Fatalf("another order of members gives other targets")
		}
		if !slices.Equal(before, shuffled) {
			t.Fatalf("Assign reordered its argument")
		}
	})
}

func equal(a, b Target) bool {
	return a.Primary == b.Primary && slices.Equal(a.Replicas, b.Replicas)
}

func TestNumbersHaveNoInfluence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, members := drawQ(t), drawMembers(t, 1, 20, true, true)
		renumbered := slices.Clone(members)
		for i := range renumbered {
			renumbered[i].Number = 1_000_000 - members[i].Number
		}
		a, b := assign(t, q, 3, members), assign(t, q, 3, renumbered)
		for p := range a {
			for i := range a[p].Replicas {
				if a[p].Replicas[i] != 1_000_000-b[p].Replicas[i] {
					t.Fatalf("partition %d depends on the numbers", p)
				}
			}
		}
	})
}

// nearestFirst lists the members by the clockwise distance from a point to
// their nearest token: the walk, without a ring that could be walked wrongly.
func nearestFirst(members []Member, point uint64) []Member {
	type place struct {
		distance uint64
		member   Member
	}
	places := make([]place, len(members))
	for i, m := range members {
		places[i] = place{math.MaxUint64, m}
		for k := range 128 * m.Weight {
			distance := xxhash.Sum64String(fmt.Sprintf("%s#%d", m.ID, k)) - point
			places[i].distance = min(places[i].distance, distance)
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.member.ID, b.member.ID))
	})
	sorted := make([]Member, len(places))
	for i := range places {
		sorted[i] = places[i].member
	}
	return sorted
}

// chooseByDistance chooses owners by the words of the package's doc; ok is
// false once a partition finds too few below their bound.
func chooseByDistance(q, replication int, members []Member) (owners [][]uint64, ok bool) {
	total := 0
	for _, m := range members {
		total += m.Weight
	}
	replicas := map[uint64]int{}
	for p := range q {
		var chosen, sameZone []uint64
		zones := map[string]bool{}
		for _, m := range nearestFirst(members, Point(p, q)) {
			switch {
			case replicas[m.Number] >= bound(q*replication*m.Weight, total):
			case m.Zone != "" && zones[m.Zone]:
				sameZone = append(sameZone, m.Number)
			default:
				zones[m.Zone] = true
				chosen = append(chosen, m.Number)
			}
		}
		chosen = append(chosen[:min(len(chosen), replication)], sameZone...)
		if len(chosen) < replication {
			return nil, false
		}
		for _, n := range chosen[:replication] {
			replicas[n]++
		}
		owners = append(owners, chosen[:replication])
	}
	return owners, true
}

// TestOwnersAgainstDistances checks rule "owners follow the ring" against its definition,
// by the distances of all tokens.
func TestOwnersAgainstDistances(t *testing.T) {
	compared := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		members := make([]Member, 4+rng.IntN(6))
		for i := range members {
			members[i] = Member{Number: uint64(i), ID: fmt.Sprintf("n%d", rng.Uint32()), Weight: 1 + int(seed%2)*rng.IntN(2)}
			if seed%3 == 0 {
				members[i].Zone = []string{"", "a", "b", "c"}[rng.IntN(4)]
			}
		}
		q, replication := 1+rng.IntN(100), 1+rng.IntN(2)
		want, ok := chooseByDistance(q, replication, members)
		if !ok {
			continue
		}
		compared++
		for p, target := range assign(t, q, replication, members) {
			if !slices.Equal(target.Replicas, want[p]) {
				t.Fatalf("seed %d: partition %d of %d has replicas %v, want %v", seed, p, q, target.Replicas, want[p])
			}
		}
	}
	if compared < 30 {
		t.Fatalf("only %d clusters could be compared", compared)
	}
}

// TestWalkWrapsAround checks rule "owners follow the ring" behind the last token.
func TestWalkWrapsAround(t *testing.T) {
	r := newRing([]Member{{Number: 1, ID: "a", Weight: 1}, {Number: 2, ID: "b", Weight: 1}, {Number: 3, ID: "c", Weight: 1}})
	always := func(int) bool { return true }
	last := r.tokens[len(r.tokens)-1]
	if last.hash == math.MaxUint64 {
		t.Fatal("these ids leave no room after the last token")
	}
	onLast := r.newWalk().choose(last.hash, 1, always)
	if onLast[0] != last.member {
		t.Errorf("at the last token: member %d, want %d", onLast[0], last.member)
	}
	for _, point := range []uint64{last.hash + 1, math.MaxUint64} {
		after, atZero := r.newWalk().choose(point, 3, always), r.newWalk().choose(0, 3, always)
		if !slices.Equal(after, atZero) {
			t.Errorf("from %d: members %v, from 0: %v", point, after, atZero)
		}
		if after[0] != r.tokens[0].member {
			t.Errorf("from %d: first member %d, want that of the first token, %d", point, after[0], r.tokens[0].member)
		}
	}
}

func TestPrimariesChangeHandsToKeepTheBound(t *testing.T) {
	r := newRing([]Member{{Number: 1, ID: "a", Weight: 1}, {Number: 2, ID: "b", Weight: 1}, {Number: 3, ID: "c", Weight: 1}})
	for _, c := range []struct {
		name   string
		owners [][]int
		want   []int
	}{
		{"one step", [][]int{{0, 1}, {1, 2}, {0, 1}}, []int{0, 2, 1}},
		{"two steps", [][]int{{0, 1}, {1, 2}, {0}}, []int{1, 2, 0}},
		{"no way", [][]int{{0}, {0}, {0, 1}}, []int{0, 0, 1}},
	} {
		if got := r.primaries(c.owners); !slices.Equal(got, c.want) {
			t.Errorf("%s: primaries %v of owners %v, want %v", c.name, got, c.owners, c.want)
		}
	}
}

func TestReplicasStandInDistinctZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perZone := rapid.IntRange(1, 5).Draw(t, "members per zone")
		salt := rapid.IntRange(0, 1_000_000).Draw(t, "salt")
		zone := map[uint64]string{}
		var members []Member
		for i := range 3 * perZone {
			m := Member{Number: uint64(i), ID: fmt.Sprintf("%d-%d", salt, i), Weight: 1, Zone: string(rune('a' + i%3))}
			members = append(members, m)
			zone[m.Number] = m.Zone
		}
		// Three equal zones can always hold one replica each, except where the
		// last partitions find one zone full to its bound.
		doubled := 0
		for _, target := range assign(t, 256, 3, members) {
			if zone[target.Replicas[0]] == zone[target.Replicas[1]] || zone[target.Replicas[1]] == zone[target.Replicas[2]] || zone[target.Replicas[0]] == zone[target.Replicas[2]] {
				doubled++
			}
		}
		if doubled > 0 {
			t.Fatalf("%d of 256 partitions have two replicas in one zone", doubled)
		}
	})
}

func TestBadArguments(t *testing.T) {
	good := []Member{{1, "a", 1, ""}, {2, "b", 1, ""}}
	for _, c := range []struct {
		q, replication int
		members        []Member
		want           string
	}{
		{0, 1, good, "0 partitions"},
		{4097, 1, good, "4097 partitions"},
		{1, 0, good, "replication factor 0"},
		{1, 1, nil, "0 members"},
		{1, 1, make([]Member, 257), "257 members"},
		{1, 1, []Member{{1, "a", 0, ""}}, `"a" has weight 0`},
		{1, 1, []Member{{1, "a", 101, ""}}, `"a" has weight 101`},
		{1, 1, []Member{{1, "a", 1, ""}, {2, "a", 1, ""}}, `have id "a"`},
		{1, 1, []Member{{1, "a", 1, ""}, {1, "b", 1, ""}}, "have number 1"},
	} {
		if _, err := (Rule{Version: 1}).Assign(c.q, c.replication, c.members); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Assign(%d, %d, %d members) = %v, want %q", c.q, c.replication, len(c.members), err, c.want)
		}
	}
}

// moved counts the replicas of after that are not where before has them.
func moved(before, after []Target) int {
	n := 0
	for p := range after {
		for _, m := range after[p].Replicas {
			if !slices.Contains(before[p].Replicas, m) {
				n++
			}
		}
	}
	return n
}

// TestAJoinOrALeaveMovesLittle takes 200 clusters with at least 16 partitions a
// member. A join has to move the share of the newcomer, a leave what the
// leaving member held.
func TestAJoinOrALeaveMovesLittle(t *testing.T) {
	const clusters, replication = 200, 3
	var join, leave, worstJoin, worstLeave float64
	for seed := range uint64(clusters) {
		rng := rand.New(rand.NewPCG(seed, 7))
		n := 3 + rng.IntN(48)
		q := []int{256, 512, 1024, 1000}[rng.IntN(4)]
		for q < 16*(n+1) {
			q *= 2
		}
		members := make([]Member, n+1)
		for i := range members {
			members[i] = Member{Number: uint64(i), ID: fmt.Sprintf("node-%d", rng.Uint32()), Weight: 1}
		}
		without, with := assign(t, q, replication, members[:n]), assign(t, q, replication, members)
		held, _ := load(with)

		share := float64(q*replication) / float64(n+1)
		j := float64(moved(without, with)) / share
		l := float64(moved(with, without)) / float64(held[uint64(n)])
		join, worstJoin = join+j/clusters, max(worstJoin, j)
		leave, worstLeave = leave+l/clusters, max(worstLeave, l)
	}
	t.Logf("moved, as a multiple of the unavoidable: join %.3f in the mean, %.3f at worst; leave %.3f and %.3f",
		join, worstJoin, leave, worstLeave)
	if join > 1.15 || leave > 1.15 || worstJoin > 1.5 || worstLeave > 1.5 {
		t.Errorf("want at most 1.15 in the mean and 1.5 at worst")
	}
}

// TestTargetsStayThroughVersions: another target for the same members would
// move data in every cluster that is upgraded.
func TestTargetsStayThroughVersions(t *testing.T) {
	for _, c := range []struct {
		q       int
		members []Member
		hash    uint64
	}{
		{16, []Member{{1, "n1", 1, ""}, {2, "n2", 1, ""}, {3, "n3", 1, ""}, {4, "n4", 1, ""}, {5, "n5", 1, ""}}, 0x1bcbc982a6db7b71},
		{256, []Member{{1, "a", 1, "x"}, {2, "b", 2, "y"}, {3, "c", 1, "z"}, {4, "d", 3, "x"}, {5, "e", 1, ""}}, 0xa537eb2acd0ad166},
	} {
		var b []byte
		for _, target := range assign(t, c.q, 3, c.members) {
			for _, n := range append(target.Replicas, target.Primary) {
				b = binary.BigEndian.AppendUint64(b, n)
			}
		}
		if got := xxhash.Sum64(b); got != c.hash {
			t.Errorf("targets of %d partitions hash to %#x, want %#x", c.q, got, c.hash)
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	for _, c := range []struct{ q, members int }{{16, 5}, {256, 5}, {4096, 50}, {4096, 256}} {
		members := make([]Member, c.members)
		for i := range members {
			members[i] = Member{Number: uint64(i), ID: fmt.Sprintf("n%d", i), Weight: 1, Zone: string(rune('a' + i%3))}
		}
		for _, rule := range []Rule{{Version: 1}, {2, Strict}} {
			b.Run(fmt.Sprintf("q=%d/members=%d/version=%d", c.q, c.members, rule.Version), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := rule.Assign(c.q, 3, members); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
