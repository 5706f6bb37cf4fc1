package ring

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// tokensPerWeight is the number of a member's tokens per unit of its weight.
const tokensPerWeight = 128

// The bounds of what Assign takes.
const (
	MaxPartitions = 4096
	MaxMembers    = 256
	MaxWeight     = 100
)

// Member is one that may own partitions.
type Member struct {
	Number uint64 // the caller's name for it, which has no influence
	ID     string // what its tokens are hashed from
	Weight int    // 1 to MaxWeight
	Zone   string // empty: a zone of its own
}

// Target is where one partition should be, in Numbers of members.
type Target struct {
	Replicas []uint64 // in the order in which they were chosen
	Primary  uint64   // one of Replicas, not always the first
}

// PartitionOf returns the partition, from 0 to q-1, that holds a key. q must be
// at least 1.
func PartitionOf(key []byte, q int) int {
	return PartitionOfHash(xxhash.Sum64(key), q)
}

// PartitionOfHash returns the partition that holds a hash.
func PartitionOfHash(hash uint64, q int) int {
	estimate, _ := bits.Mul64(hash, uint64(q)) // ⌊hash·q/2^64⌋: points are rounded down, so it may be one too low
	p := int(estimate)
	if p+1 < q && hash >= Point(p+1, q) {
		p++
	}
	return p
}

// Point is where partition p of q begins: ⌊p·2^64/q⌋, for p from 0 to q-1.
func Point(p, q int) uint64 {
	point, _ := bits.Div64(uint64(p), 0, uint64(q))
	return point
}

// Assign returns the target of each of q partitions. Each gets as many distinct
// replicas as replication says, or all members if they are fewer. It fails if
// an argument is out of bounds, or if two members share an ID or a Number.
func (rule Rule) Assign(q, replication int, members []Member) ([]Target, error) {
	if err := rule.check(q, replication, members); err != nil {
		return nil, fmt.Errorf("assigning partitions: %w", err)
	}
	members = sorted(members)
	replication = min(replication, len(members))

	r := newRing(members)
	var owners [][]int
	if rule.Version == 1 {
		owners = r.owners(q, replication)
	} else {
		owners = r.spread(q, r.plan(replication, rule.Zones))
	}
	primaries := r.primaries(owners)

	targets := make([]Target, q)
	numbers := make([]uint64, 0, q*replication)
	for p := range targets {
		for _, m := range owners[p] {
			numbers = append(numbers, members[m].Number)
		}
		targets[p] = Target{
			Replicas: numbers[p*replication : (p+1)*replication : (p+1)*replication],
			Primary:  members[primaries[p]].Number,
		}
	}
	return targets, nil
}

// sorted returns the members in the order of their ids.
func sorted(members []Member) []Member {
	return slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}

func (rule Rule) check(q, replication int, members []Member) error {
	if err := rule.Validate(); err != nil {
		return err
	}
	if q < 1 || q > MaxPartitions {
		return fmt.Errorf("%d partitions, want 1 to %d", q, MaxPartitions)
	}
	if replication < 1 {
		return fmt.Errorf("replication factor %d, want at least 1", replication)
	}
	if len(members) < 1 || len(members) > MaxMembers {
		return fmt.Errorf("%d members, want 1 to %d", len(members), MaxMembers)
	}
	ids := make(map[string]bool, len(members))
	numbers := make(map[uint64]bool, len(members))
	for _, m := range members {
		if m.Weight < 1 || m.Weight > MaxWeight {
			return fmt.Errorf("member %q has weight %d, want 1 to %d", m.ID, m.Weight, MaxWeight)
		}
		if ids[m.ID] {
			return fmt.Errorf("two members have id %q", m.ID)
		}
		if numbers[m.Number] {
			return fmt.Errorf("two members have number %d", m.Number)
		}
		ids[m.ID], numbers[m.Number] = true, true
	}
	return nil
}

// token is a place on the ring.
type token struct {
	hash   uint64
	member int
}

// ring is the members' places. A member is named by its index in the order of
// ids from here on.
type ring struct {
	members []Member
	tokens  []token // ascending by hash, then by member
	zone    []int   // of each member, as a number from 0
	zones   int
}

func newRing(members []Member) *ring {
	weight := 0
	for _, m := range members {
		weight += m.Weight
	}
	r := &ring{members: members, tokens: make([]token, 0, tokensPerWeight*weight), zone: make([]int, len(members))}
	byName := make(map[string]int)
	for i, m := range members {
		r.addTokens(i, m)
		zone, known := byName[m.Zone]
		if !known || m.Zone == "" {
			zone = r.zones
			byName[m.Zone] = zone
			r.zones++
		}
		r.zone[i] = zone
	}
	r.tokens = inOrder(r.tokens)
	return r
}

// inOrder sorts tokens. Hashes are uniform, so by its first bits each token is
// put about where it belongs, and few are left to be compared.
func inOrder(tokens []token) []token {
	width := bits.Len(uint(len(tokens)))
	place := func(t token) uint64 { return t.hash >> (64 - width) }
	ends := make([]int, 1<<width) // of each place's tokens; their begin, until they are there
	for _, t := range tokens {
		ends[place(t)]++
	}
	begin := 0
	for i, n := range ends {
		ends[i] = begin
		begin += n
	}
	sorted := make([]token, len(tokens))
	for _, t := range tokens {
		sorted[ends[place(t)]] = t
		ends[place(t)]++
	}
	begin = 0
	for _, end := range ends {
		if end-begin > 1 {
			slices.SortFunc(sorted[begin:end], token.compare)
		}
		begin = end
	}
	return sorted
}

func (t token) compare(o token) int {
	return cmp.Or(cmp.Compare(t.hash, o.hash), cmp.Compare(t.member, o.member))
}

func (r *ring) addTokens(i int, m Member) {
	name := append([]byte(m.ID), '#')
	stem := len(name)
	for t := range tokensPerWeight * m.Weight {
		name = strconv.AppendInt(name[:stem], int64(t), 10)
		r.tokens = append(r.tokens, token{xxhash.Sum64(name), i})
	}
}

// owners chooses the replicas of each partition.
func (r *ring) owners(q, replication int) [][]int {
	owners := make([][]int, q)
	m := newMatching(r.bounds(q, replication), func(p, _, to int) bool {
		return !slices.Contains(owners[p], to)
	})
	walk := r.newWalk()
	for p := range owners {
		owners[p] = walk.choose(Point(p, q), replication, m.hasRoom)
		for _, member := range owners[p] {
			m.take(p, member)
		}
	}
	for p := range owners {
		for len(owners[p]) < replication {
			if !m.complete(owners, p) {
				panic(fmt.Sprintf("ring: bounds %v leave no room for partition %d of %d", m.bound, p, q))
			}
		}
	}
	return owners
}

// complete gives the partition one more owner, if there is an augmenting path.
func (m *matching) complete(owners [][]int, p int) bool {
	added, path := m.augment(p)
	if added == noMember {
		return false
	}
	for _, s := range path {
		owners[s.partition][slices.Index(owners[s.partition], s.from)] = s.to
	}
	owners[p] = append(owners[p], added)
	return true
}

// primaries chooses one of the owners of each partition.
func (r *ring) primaries(owners [][]int) []int {
	m := newMatching(r.bounds(len(owners), 1), func(p, _, to int) bool {
		return slices.Contains(owners[p], to)
	})
	primaries := make([]int, len(owners))
	for p := range owners {
		if i := slices.IndexFunc(owners[p], m.hasRoom); i >= 0 {
			primaries[p] = owners[p][i]
			m.take(p, primaries[p])
			continue
		}
		added, path := m.augment(p)
		for _, s := range path {
			primaries[s.partition] = s.to
		}
		if added == noMember {
			added = owners[p][0] // over its bound, and no exchange could help
		}
		primaries[p] = added
	}
	return primaries
}

// bounds returns the most of q·replication replicas that each member may hold:
// max(⌈mean⌉, ⌊1.10·mean⌋), mean being its share by weight, and q at most. Who
// is due q or more holds every partition, and the others share what remains;
// so the bounds add up to q·replication at least.
func (r *ring) bounds(q, replication int) []int {
	heaviest := make([]int, len(r.members))
	rest := 0 // weight
	for i, m := range r.members {
		heaviest[i] = i
		rest += m.Weight
	}
	slices.SortStableFunc(heaviest, func(a, b int) int {
		return cmp.Compare(r.members[b].Weight, r.members[a].Weight)
	})
	bounds := make([]int, len(r.members))
	for _, i := range heaviest {
		weight := r.members[i].Weight
		if replication*weight >= rest {
			bounds[i] = q
			replication--
			rest -= weight
			continue
		}
		share := q * replication * weight // mean = share / rest
		bounds[i] = min(q, max((share+rest-1)/rest, 11*share/(10*rest)))
	}
	return bounds
}

// walk goes clockwise around the ring. It is reused, so that choosing for
// thousands of partitions allocates little.
type walk struct {
	ring       *ring
	seenMember []int // the number of the walk that saw it last
	seenZone   []int
	number     int
	spare      []int // seen, with room, in zones already chosen
}

func (r *ring) newWalk() *walk {
	return &walk{ring: r, seenMember: make([]int, len(r.members)), seenZone: make([]int, r.zones)}
}

// choose returns up to n members that have room, in the order that they are
// met from the point on, those of distinct zones first.
func (w *walk) choose(point uint64, n int, hasRoom func(member int) bool) []int {
	w.number++
	w.spare = w.spare[:0]
	chosen := make([]int, 0, n)
	tokens := w.ring.tokens
	start, _ := slices.BinarySearchFunc(tokens, point, func(t token, point uint64) int {
		return cmp.Compare(t.hash, point)
	})
	members := 0
	for i := range tokens {
		if members == len(w.ring.members) || len(chosen) == min(n, w.ring.zones) && len(chosen)+len(w.spare) >= n {
			break
		}
		member := tokens[(start+i)%len(tokens)].member
		if w.seenMember[member] == w.number {
			continue
		}
		w.seenMember[member] = w.number
		members++
		if !hasRoom(member) {
			continue
		}
		if zone := w.ring.zone[member]; w.seenZone[zone] != w.number {
			w.seenZone[zone] = w.number
			chosen = append(chosen, member)
		} else {
			w.spare = append(w.spare, member)
		}
	}
	return append(chosen, w.spare[:min(len(w.spare), n-len(chosen))]...)
}
