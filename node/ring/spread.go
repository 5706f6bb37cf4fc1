package ring

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// spreading is the work of rule 2: it chooses owners within a plan.
type spreading struct {
	*plan
	ring   *ring
	owners [][]int
	load   *matching
	extra  []int    // by zone: how many more partitions may have one replica more in it than is certain
	pace   []uint64 // by zone: what a distance is multiplied by, as a fraction of 2^64
	free   int      // replicas of a partition that are not certain for any zone

	places   [][]uint64 // by member: its tokens, ascending
	next     []int      // by member: the first of them that is not before the point
	distance []uint64   // by member: from the point to its next token
	near     [][]int    // by zone: the members with room, nearest first, as many as it may need
	asking   []int      // zones that may get a replica of those that are free, nearest first
}

// spread chooses the replicas of each partition by rule 2: first as the points
// come, then, for partitions left short, by augmenting paths within the limits.
func (r *ring) spread(q int, p *plan) [][]int {
	s := &spreading{
		plan: p, ring: r, owners: make([][]int, q),
		extra: make([]int, r.zones), pace: make([]uint64, r.zones), free: p.replication,
		places: make([][]uint64, len(r.members)), next: make([]int, len(r.members)),
		distance: make([]uint64, len(r.members)), near: make([][]int, r.zones),
	}
	bound := make([]int, len(r.members))
	for i, d := range p.due {
		bound[i] = d.bound(q)
	}
	for z, d := range p.zoneDue {
		s.free -= d.certain()
		s.extra[z] = d.rest().bound(q)
		s.pace[z] = d.rest().pace()
	}
	for _, t := range r.tokens {
		s.places[t.member] = append(s.places[t.member], t.hash)
	}
	s.load = newMatching(bound, s.withinLimits)
	for p := range s.owners {
		s.owners[p] = s.choose(Point(p, q))
		for _, member := range s.owners[p] {
			s.load.take(p, member)
		}
	}
	for p := range s.owners {
		for len(s.owners[p]) < s.replication {
			if !s.load.complete(s.owners, p) {
				panic(fmt.Sprintf("ring: bounds %v and limits %v leave no room for partition %d of %d", bound, s.limit, p, q))
			}
		}
	}
	return s.owners
}

// pace makes up for what a walk gets wrong about a zone that is due a replica of
// nearly every partition. By the order of tokens alone it would be left out by far
// more of them, since others are met before it; and as soon as it is due one of
// every partition, a tenth of all replicas would move. Where tokens are met at
// random, a zone that is due x of all partitions is met in time by as many if its
// tokens are -ln(1-x)/x times as dense. Up to four fifths the slack of the bounds
// absorbs the difference, and any correction would move more than it spares. From
// there to one, x runs from zero to one. pace returns the inverse of the density, as
// a fraction of 2^64.
func (d due) pace() uint64 {
	part, of := max(0, 5*d.part-4*d.of), d.of
	const one = 1 << 20
	density, power := uint64(0), uint64(one)
	for k := uint64(1); k <= 64; k++ { // the series 1 + x/2 + x²/3 + …, which has no bound at 1
		density += power / k
		power = power * uint64(part) / uint64(of)
	}
	return math.MaxUint64 / density * one
}

// withinLimits tells whether a member may own a partition, in the place of
// another one or besides those that do.
func (s *spreading) withinLimits(p, from, to int) bool {
	zone := s.ring.zone[to]
	left := s.limit[zone]
	for _, member := range s.owners[p] {
		if member == to {
			return false
		}
		if s.ring.zone[member] == zone && member != from {
			left--
		}
	}
	return left > 0
}

// choose returns the owners of a partition, in the order in which a clockwise
// walk from its point meets them: in each zone as many as are certain, and one
// more in as many zones as replicas are free. It takes those met first that are
// below their bounds, and too few if there are no more. Points have to ascend
// from call to call.
func (s *spreading) choose(point uint64) []int {
	s.measure(point)
	chosen := make([]int, 0, s.replication)
	s.asking = s.asking[:0]
	for z := range s.near {
		s.findNear(z)
		certain := min(s.zoneDue[z].certain(), len(s.near[z]))
		chosen = append(chosen, s.near[z][:certain]...)
		if certain < len(s.near[z]) && s.extra[z] > 0 {
			s.asking = insert(s.asking, s.free, z, s.sooner)
		}
	}
	for _, z := range s.asking {
		s.extra[z]--
		chosen = append(chosen, s.near[z][s.zoneDue[z].certain()])
	}
	slices.SortFunc(chosen, s.compare)
	return chosen
}

// measure finds the distance from a point to the next token of each member.
func (s *spreading) measure(point uint64) {
	for i, places := range s.places {
		for s.next[i] < len(places) && places[s.next[i]] < point {
			s.next[i]++
		}
		s.distance[i] = places[s.next[i]%len(places)] - point // wraps around, as the ring does
	}
}

// findNear finds the members of a zone that a partition may need: those due every
// partition, and then the nearest with room.
func (s *spreading) findNear(z int) {
	near := s.near[z][:0]
	need := s.zoneDue[z].certain()
	if s.zoneDue[z].rest().part > 0 {
		need++
	}
	for _, i := range s.members[z] {
		if s.load.hasRoom(i) {
			near = insert(near, need, i, s.first)
		}
	}
	s.near[z] = near
}

// first orders members by who is due every partition, and then by distance.
func (s *spreading) first(a, b int) bool {
	if x, y := s.due[a].every(), s.due[b].every(); x != y {
		return x
	}
	return s.compare(a, b) < 0
}

func (s *spreading) compare(a, b int) int {
	return cmp.Or(cmp.Compare(s.distance[a], s.distance[b]), cmp.Compare(a, b))
}

// sooner orders zones by the distance of the member that each would add, at the
// pace of the zone.
func (s *spreading) sooner(a, b int) bool {
	at := func(z int) uint64 {
		distance, _ := bits.Mul64(s.distance[s.near[z][s.zoneDue[z].certain()]], s.pace[z])
		return distance
	}
	return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a, b)) < 0
}

// insert keeps the first n of what it is given, in order.
func insert(kept []int, n, x int, before func(a, b int) bool) []int {
	if len(kept) == n {
		if n == 0 || !before(x, kept[n-1]) {
			return kept
		}
		kept = kept[:n-1]
	}
	at := len(kept)
	for at > 0 && before(x, kept[at-1]) {
		at--
	}
	return slices.Insert(kept, at, x)
}
