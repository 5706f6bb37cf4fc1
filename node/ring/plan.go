package ring

import (
	"cmp"
	"slices"
)

// plan is what rule 2 lets each zone and each member have of a partition.
type plan struct {
	replication int
	members     [][]int // by zone
	limit       []int   // by zone: the most replicas of one partition
	due         []due   // by member
	zoneDue     []due   // by zone: the sum over its members
}

// due is a share of the replicas of one partition, in the mean over all
// partitions: part/of replicas.
type due struct{ part, of int }

// every reports whether a member is due a replica of every partition.
func (d due) every() bool { return d.part == d.of }

// certain returns how many whole replicas of every partition are due.
func (d due) certain() int { return d.part / d.of }

// rest returns what is due beyond those.
func (d due) rest() due { return due{d.part % d.of, d.of} }

// bound returns the most of q partitions that may come to a share:
// max(⌈mean⌉, ⌊1.10·mean⌋), and q at most.
func (d due) bound(q int) int {
	return min(q, max((q*d.part+d.of-1)/d.of, 11*q*d.part/(10*d.of)))
}

// plan shares the replicas of a partition, of which there are as many as members
// at most.
//
// The shares are by weight, but no member is due more than one replica of a
// partition, and under Strict no zone more than its limit; what they are not due
// is shared by the others. Under Prefer a zone's limit gives way to its share.
//
// A part of every partition for each member, as large as its share, keeps all
// limits. So by the integrality of flows there are whole assignments that keep
// them too, and in which each member has its share, rounded up or down.
func (r *ring) plan(replication int, zones Zones) *plan {
	p := &plan{
		replication: replication,
		members:     make([][]int, r.zones),
		due:         make([]due, len(r.members)),
		zoneDue:     make([]due, r.zones),
	}
	for i, z := range r.zone {
		p.members[z] = append(p.members[z], i)
	}
	p.limit = p.limits()
	full := make([]bool, r.zones)
	for {
		rest, open := replication, []int(nil)
		for z, members := range p.members {
			if full[z] {
				rest -= p.limit[z]
			} else {
				open = append(open, members...)
			}
		}
		r.share(rest, open, p.due)
		p.sum()
		if zones == Prefer || !p.fill(full) {
			break
		}
	}
	for z, members := range p.members {
		if full[z] {
			r.share(p.limit[z], members, p.due)
			p.zoneDue[z] = due{p.limit[z], 1}
		}
		p.limit[z] = max(p.limit[z], (p.zoneDue[z].part+p.zoneDue[z].of-1)/p.zoneDue[z].of)
	}
	return p
}

// limits returns the limit of each zone: the least number, at least
// ⌈replication/zones⌉, with which the zones together can hold all replicas; or
// the members of a zone that has fewer.
func (p *plan) limits() []int {
	limits := make([]int, len(p.members))
	for most := (p.replication + len(limits) - 1) / len(limits); ; most++ {
		room := 0
		for z, members := range p.members {
			limits[z] = min(len(members), most)
			room += limits[z]
		}
		if room >= p.replication {
			return limits
		}
	}
}

// share divides the replicas among members by weight, one at most for each.
func (r *ring) share(replicas int, members []int, to []due) {
	heaviest := slices.Clone(members)
	slices.SortStableFunc(heaviest, func(a, b int) int {
		return cmp.Compare(r.members[b].Weight, r.members[a].Weight)
	})
	rest := 0 // weight
	for _, i := range members {
		rest += r.members[i].Weight
	}
	for _, i := range heaviest {
		weight := r.members[i].Weight
		if replicas*weight >= rest {
			to[i] = due{1, 1}
			replicas--
			rest -= weight
			continue
		}
		to[i] = due{replicas * weight, rest}
	}
}

// sum adds the members' shares up for each zone.
func (p *plan) sum() {
	for z, members := range p.members {
		whole, part, of := 0, 0, 1
		for _, i := range members {
			if d := p.due[i]; d.every() {
				whole++
			} else {
				part, of = part+d.part, d.of // the same for all members that share
			}
		}
		p.zoneDue[z] = due{whole*of + part, of}
	}
}

// fill marks the zones that are due their limit, and reports whether it found
// any. The others are due more then, since nothing that is full was due less.
func (p *plan) fill(full []bool) bool {
	found := false
	for z, d := range p.zoneDue {
		if !full[z] && d.part >= p.limit[z]*d.of {
			full[z], found = true, true
		}
	}
	return found
}
