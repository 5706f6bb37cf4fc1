package ring

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

var strict, prefer = Rule{2, Strict}, Rule{2, Prefer}

// drawUneven draws 3 to 50 members with weights, in up to seven zones of very
// different sizes; some have no zone.
func drawUneven(t *rapid.T) []Member {
	members := make([]Member, rapid.IntRange(3, 50).Draw(t, "members"))
	salt := rapid.IntRange(0, 1_000_000).Draw(t, "salt")
	zones := rapid.IntRange(1, 7).Draw(t, "zones")
	weights := rapid.SampledFrom([]int{1, 3, 16}).Draw(t, "greatest weight")
	skew := rapid.Bool().Draw(t, "skewed")
	unzoned := rapid.IntRange(0, 3).Draw(t, "members without a zone")
	for i := range members {
		most := zones - 1
		if skew {
			most = rapid.IntRange(0, most).Draw(t, "zone at most")
		}
		members[i] = Member{
			Number: uint64(i + 1), ID: fmt.Sprintf("node-%d-%d", salt, i),
			Weight: rapid.IntRange(1, weights).Draw(t, "weight"),
		}
		if i >= unzoned {
			members[i].Zone = string(rune('a' + rapid.IntRange(0, most).Draw(t, "zone")))
		}
	}
	return members
}

// domain names what fails together: a zone, or a member that has none.
func domain(m Member) string {
	if m.Zone == "" {
		return "member " + m.ID
	}
	return m.Zone
}

// limitsOf computes the limit of each zone by the words of the package's doc.
func limitsOf(replication int, members []Member) map[string]int {
	size := map[string]int{}
	for _, m := range members {
		size[domain(m)]++
	}
	for most := int(math.Ceil(float64(replication) / float64(len(size)))); ; most++ {
		limits, room := map[string]int{}, 0
		for z, n := range size {
			limits[z] = min(n, most)
			room += limits[z]
		}
		if room >= replication {
			return limits
		}
	}
}

// sharesOf computes by bisection what each member is due of a partition: a level,
// the same for all, times its weight, but one at most, and within a zone so much
// less that the zone is due its limit at most.
func sharesOf(replication int, members []Member, limits map[string]int) map[uint64]float64 {
	level := func(total float64, members []Member, of func(level float64) float64) float64 {
		low, high := 0.0, 1e6
		for range 60 {
			if middle := (low + high) / 2; of(middle) < total {
				low = middle
			} else {
				high = middle
			}
		}
		return high
	}
	zones := map[string][]Member{}
	for _, m := range members {
		zones[domain(m)] = append(zones[domain(m)], m)
	}
	inZone := func(z string, level float64) float64 {
		sum := 0.0
		for _, m := range zones[z] {
			sum += min(1, level*float64(m.Weight))
		}
		return sum
	}
	limit := func(z string) float64 {
		if limits == nil {
			return math.Inf(1)
		}
		return float64(limits[z])
	}
	all := level(float64(replication), members, func(l float64) float64 {
		sum := 0.0
		for z := range zones {
			sum += min(limit(z), inZone(z, l))
		}
		return sum - 1e-12
	})
	shares := map[uint64]float64{}
	for z, members := range zones {
		l := all
		if inZone(z, all) > limit(z) {
			l = level(limit(z), members, func(l float64) float64 { return inZone(z, l) })
		}
		for _, m := range members {
			shares[m.Number] = min(1, l*float64(m.Weight))
		}
	}
	return shares
}

// most returns max(⌈mean⌉, ⌊1.10·mean⌋) of q partitions, but for errors of the
// bisection.
func most(q int, share float64) int {
	mean := float64(q) * share
	return min(q, max(int(math.Ceil(mean-1e-6)), int(math.Floor(1.1*mean+1e-6))))
}

// TestZonesAndBoundsHold checks rule "zones before weights" and what Prefer promises in its
// place, for 3 to 50 members with weights and uneven zones.
func TestZonesAndBoundsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, q := drawUneven(t), rapid.SampledFrom([]int{1, 2, 5, 16, 64, 256}).Draw(t, "q")
		wanted := rapid.IntRange(1, 7).Draw(t, "replication")
		rule := rapid.SampledFrom([]Rule{strict, prefer}).Draw(t, "rule")
		targets, err := rule.Assign(q, wanted, members)
		if err != nil {
			t.Fatal(err)
		}
		replication := min(wanted, len(members))
		limits := limitsOf(replication, members)
		var shares map[uint64]float64
		if rule == strict {
			shares = sharesOf(replication, members, limits)
		} else {
			shares = sharesOf(replication, members, nil)
			due := map[string]float64{}
			for _, m := range members {
				due[domain(m)] += shares[m.Number]
			}
			for z := range limits {
				limits[z] = max(limits[z], int(math.Ceil(due[z]-1e-6)))
			}
		}
		zone := map[uint64]string{}
		for _, m := range members {
			zone[m.Number] = domain(m)
		}
		for p, target := range targets {
			in := map[string]int{}
			for i, n := range target.Replicas {
				if slices.Contains(target.Replicas[:i], n) {
					t.Fatalf("partition %d has replicas %v", p, target.Replicas)
				}
				if in[zone[n]]++; in[zone[n]] > limits[zone[n]] {
					t.Fatalf("partition %d has replicas %v, of which zone %q may hold %d", p, target.Replicas, zone[n], limits[zone[n]])
				}
			}
			if len(target.Replicas) != replication || !slices.Contains(target.Replicas, target.Primary) {
				t.Fatalf("partition %d has replicas %v and primary %d, want %d replicas", p, target.Replicas, target.Primary, replication)
			}
		}
		replicas, _ := load(targets)
		for _, m := range members {
			if got, want := replicas[m.Number], most(q, shares[m.Number]); got > want {
				t.Fatalf("%s is due %.3f of each partition and holds %d replicas of %d partitions, want at most %d", m.ID, shares[m.Number], got, q, want)
			}
		}
	})
}

func TestFiveMembersInThreeZones(t *testing.T) {
	members := []Member{{1, "n1", 1, "a"}, {2, "n2", 1, "a"}, {3, "n3", 1, "b"}, {4, "n4", 1, "b"}, {5, "n5", 1, "c"}}
	targets, err := strict.Assign(256, 3, members)
	if err != nil {
		t.Fatal(err)
	}
	replicas, primaries := load(targets)
	if replicas[5] != 256 || replicas[1] > 141 || replicas[3] > 141 {
		t.Errorf("replicas %v, want all 256 at n5, and 141 at most at the others", replicas)
	}
	for n, got := range primaries {
		if got > 56 {
			t.Errorf("member %d is primary %d times, want at most 56", n, got)
		}
	}
	burdens, err := strict.Burdens(3, members)
	if err != nil || len(burdens) != 1 || burdens[0] != (Burden{5, 1, 0.6}) {
		t.Errorf("burdens %v (%v), want member 5 alone with 1 instead of 0.6", burdens, err)
	}
	for _, rule := range []Rule{{Version: 1}, prefer} {
		if burdens, err := rule.Burdens(3, members); err != nil || burdens != nil {
			t.Errorf("burdens %v (%v) under rule %v, which places by weight", burdens, err, rule)
		}
	}
}

func TestPlans(t *testing.T) {
	for _, c := range []struct {
		name        string
		replication int
		members     string // zone and weight of each
		strict      string // due of each
		prefer      string
	}{
		{"no zones", 3, "-1 -1 -1 -1 -1 -1", "3/6 3/6 3/6 3/6 3/6 3/6", "3/6 3/6 3/6 3/6 3/6 3/6"},
		{"a small zone holds all", 3, "a1 a1 b1 b1 c1", "1/2 1/2 1/2 1/2 1/1", "3/5 3/5 3/5 3/5 3/5"},
		{"more zones than replicas", 3, "a1 a1 b1 c1 d1", "1/2 1/2 2/3 2/3 2/3", "3/5 3/5 3/5 3/5 3/5"},
		{"one zone full, and then another", 3, "a6 a6 b3 b1 c1 d1", "6/12 6/12 3/4 1/4 1/2 1/2", "1/1 1/1 3/6 1/6 1/6 1/6"},
		{"more replicas than zones", 5, "a1 a1 a1 a1 b1 b1", "3/4 3/4 3/4 3/4 1/1 1/1", "5/6 5/6 5/6 5/6 5/6 5/6"},
		{"zones too small for the even limit", 5, "a1 a1 a1 a1 b1", "1/1 1/1 1/1 1/1 1/1", "1/1 1/1 1/1 1/1 1/1"},
		{"a heavy member", 2, "a8 b1 b1 c1", "1/1 1/3 1/3 1/3", "1/1 1/3 1/3 1/3"},
	} {
		var members []Member
		for i, word := range strings.Fields(c.members) {
			m := Member{Number: uint64(i), ID: fmt.Sprintf("m%d", i), Weight: int(word[1] - '0'), Zone: word[:1]}
			if m.Zone == "-" {
				m.Zone = ""
			}
			members = append(members, m)
		}
		r := newRing(members)
		for _, d := range []struct {
			zones Zones
			want  string
		}{{Strict, c.strict}, {Prefer, c.prefer}} {
			var got []string
			for _, due := range r.plan(c.replication, d.zones).due {
				got = append(got, fmt.Sprintf("%d/%d", due.part, due.of))
			}
			if strings.Join(got, " ") != d.want {
				t.Errorf("%s, %s: due %v, want %s", c.name, d.zones, got, d.want)
			}
		}
	}
}

// TestWithoutZonesNothingMovesToVersionTwo: where no zone limits anything and all
// weigh the same, the two rules agree.
func TestWithoutZonesNothingMovesToVersionTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, replication := drawQ(t), rapid.IntRange(1, 5).Draw(t, "replication")
		members := drawMembers(t, 1, 50, false, false)
		zone := rapid.SampledFrom([]string{"", "a"}).Draw(t, "zone of all")
		for i := range members {
			members[i].Zone = zone
		}
		for _, rule := range []Rule{strict, prefer} {
			targets, err := rule.Assign(q, replication, members)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(targets, assign(t, q, replication, members), equal) {
				t.Fatalf("rule %v gives other targets than version 1", rule)
			}
		}
	})
}

func TestOrderOfMembersHasNoInfluenceOnVersionTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := drawUneven(t)
		shuffled := rapid.Permutation(members).Draw(t, "shuffled")
		rule := rapid.SampledFrom([]Rule{strict, prefer}).Draw(t, "rule")
		a, err := rule.Assign(64, 3, members)
		b, err2 := rule.Assign(64, 3, shuffled)
		if err != nil || err2 != nil || !slices.EqualFunc(a, b, equal) {
			t.Fatalf("another order of members gives other targets (%v, %v)", err, err2)
		}
	})
}

// movement is what a join and a leave moved, as multiples of what is unavoidable.
type movement struct{ join, worstJoin, leave, worstLeave float64 }

func measure(t *testing.T, rule Rule, clusters uint64, zone func(i int, rng *rand.Rand) string, weights int) movement {
	var m movement
	for seed := range clusters {
		rng := rand.New(rand.NewPCG(seed, 7))
		n := 3 + rng.IntN(48)
		q := 256
		for q < 16*(n+1) {
			q *= 2
		}
		members := make([]Member, n+1)
		for i := range members {
			members[i] = Member{Number: uint64(i), ID: fmt.Sprintf("node-%d", rng.Uint32()), Weight: 1 + rng.IntN(weights), Zone: zone(i, rng)}
		}
		without, err := rule.Assign(q, 3, members[:n])
		with, err2 := rule.Assign(q, 3, members)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		// Whose share grows has to be given what it grows by: the one that joins its
		// own, and others if the zones' limits fall with the join.
		limits := func(members []Member) map[string]int {
			if rule.Zones == Strict {
				return limitsOf(3, members)
			}
			return nil
		}
		before, after := sharesOf(3, members[:n], limits(members[:n])), sharesOf(3, members, limits(members))
		grown, shrunk := 0.0, 0.0
		for _, m := range members {
			grown += float64(q) * max(0, after[m.Number]-before[m.Number])
			shrunk += float64(q) * max(0, before[m.Number]-after[m.Number])
		}
		held, _ := load(with)
		j := float64(moved(without, with)) / grown
		l := float64(moved(with, without)) / max(shrunk, float64(held[uint64(n)]))
		m.join, m.worstJoin = m.join+j/float64(clusters), max(m.worstJoin, j)
		m.leave, m.worstLeave = m.leave+l/float64(clusters), max(m.worstLeave, l)
	}
	return m
}

// TestAJoinOrALeaveMovesLittleUnderVersionTwo keeps the bounds that doc.go states. Where
// zones do not limit the choice, or leave none, it is as good as version 1 is without zones.
func TestAJoinOrALeaveMovesLittleUnderVersionTwo(t *testing.T) {
	inTurn := func(zones int) func(int, *rand.Rand) string {
		return func(i int, _ *rand.Rand) string { return string(rune('a' + i%zones)) }
	}
	atRandom := func(zones int) func(int, *rand.Rand) string {
		return func(i int, rng *rand.Rand) string { return string(rune('a' + rng.IntN(zones))) }
	}
	uneven := func(zones int) func(int, *rand.Rand) string {
		return func(i int, rng *rand.Rand) string { return string(rune('a' + rng.IntN(1+rng.IntN(zones)))) }
	}
	for _, c := range []struct {
		name        string
		zone        func(i int, rng *rand.Rand) string
		weights     int
		mean, worst float64
	}{
		{"no zones", func(int, *rand.Rand) string { return "" }, 1, 1.15, 1.5},
		{"no zones, weights to 16", func(int, *rand.Rand) string { return "" }, 16, 1.15, 2},
		{"two equal zones", inTurn(2), 1, 1.15, 1.5},
		{"three equal zones", inTurn(3), 1, 1.15, 1.5},
		{"three random zones, weights to 16", atRandom(3), 16, 1.15, 2},
		{"four equal zones", inTurn(4), 1, 1.3, 1.8},
		{"four random zones, weights to 16", atRandom(4), 16, 1.6, 3},
		{"seven uneven zones, weights to 16", uneven(7), 16, 1.6, 3},
	} {
		m := measure(t, strict, 40, c.zone, c.weights)
		t.Logf("%-34s join %.3f in the mean, %.3f at worst; leave %.3f and %.3f", c.name, m.join, m.worstJoin, m.leave, m.worstLeave)
		if m.join > c.mean || m.leave > c.mean || m.worstJoin > c.worst || m.worstLeave > c.worst {
			t.Errorf("%s: want at most %.2f in the mean and %.1f at worst", c.name, c.mean, c.worst)
		}
	}
}

// TestTargetsOfVersionTwoStay: see TestTargetsStayThroughVersions.
func TestTargetsOfVersionTwoStay(t *testing.T) {
	members := []Member{{1, "a", 1, "x"}, {2, "b", 2, "y"}, {3, "c", 1, "z"}, {4, "d", 3, "x"}, {5, "e", 1, ""}, {6, "f", 9, "y"}}
	for _, c := range []struct {
		rule        Rule
		replication int
		hash        uint64
	}{{strict, 3, 0xebb41fa6cb71ccf7}, {prefer, 3, 0x5e235042822fb50e}, {strict, 5, 0x27b7e867477ff5b9}} {
		targets, err := c.rule.Assign(256, c.replication, members)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, target := range targets {
			for _, n := range append(target.Replicas, target.Primary) {
				b = binary.BigEndian.AppendUint64(b, n)
			}
		}
		if got := xxhash.Sum64(b); got != c.hash {
			t.Errorf("targets under rule %v hash to %#x, want %#x", c.rule, got, c.hash)
		}
	}
}

func TestBadRules(t *testing.T) {
	for rule, want := range map[Rule]string{
		{}:             "version 0 of the ring's rule, this build knows 1 and 2",
		{3, Strict}:    "version 3 of the ring's rule",
		{2, ""}:        `zones mode ""`,
		{2, "strict "}: `zones mode "strict "`,
	} {
		if _, err := rule.Assign(1, 1, []Member{{1, "a", 1, ""}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rule %v: %v, want %q", rule, err, want)
		}
	}
	if err := Latest.Validate(); err != nil {
		t.Error(err)
	}
}
