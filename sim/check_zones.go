package sim

import (
	"encoding/json"
	"fmt"
	"math"

	"dkv/node/layout"
	"dkv/node/ring"
)

// ruleOf returns the ring's rule in a cluster's record. A record without one is an older
// build's.
func ruleOf(record []byte) (ring.Rule, error) {
	var r struct {
		Ring  int
		Zones ring.Zones
	}
	if err := json.Unmarshal(record, &r); err != nil {
		return ring.Rule{}, err
	}
	switch {
	case r.Ring <= 1:
		return ring.Rule{Version: 1}, nil
	case r.Zones == "":
		r.Zones = ring.Strict
	}
	return ring.Rule{Version: r.Ring, Zones: r.Zones}, nil
}

// spread is what a rule allows members, computed a second time in the plainest way.
type spread struct {
	zone  []int     // of each member; one without a name is a zone of its own
	limit []int     // by zone: replicas of a partition, at most
	share []float64 // by member: replicas of a partition, in the mean
}

func spreadOf(rule ring.Rule, members []layout.Member, replicas int) *spread {
	s := &spread{zone: make([]int, len(members))}
	var size []int
	for i, m := range members {
		s.zone[i] = len(size)
		for j := range i {
			if m.Zone != "" && members[j].Zone == m.Zone {
				s.zone[i] = s.zone[j]
			}
		}
		if s.zone[i] == len(size) {
			size = append(size, 0)
		}
		size[s.zone[i]]++
	}
	s.limit = make([]int, len(size))
	for most, room := (replicas+len(size)-1)/len(size), 0; room < replicas; most++ {
		room = 0
		for z := range size {
			s.limit[z] = min(size[z], most)
			room += s.limit[z]
		}
	}
	strict := rule.Version == 2 && rule.Zones == ring.Strict
	s.divide(members, replicas, strict)
	switch {
	case rule.Version == 1:
		copy(s.limit, size)
	case !strict:
		for z := range s.limit {
			s.limit[z] = max(s.limit[z], int(math.Ceil(s.inZone(z)-1e-6)))
		}
	}
	return s
}

func (s *spread) inZone(z int) (sum float64) {
	for i := range s.zone {
		if s.zone[i] == z {
			sum += s.share[i]
		}
	}
	return sum
}

// divide finds the shares: a level, the same for all, times the weight, one at most; in a
// zone that would exceed its limit a lower level.
func (s *spread) divide(members []layout.Member, replicas int, strict bool) {
	s.share = make([]float64, len(members))
	fill := func(z int, level float64) float64 {
		for i, m := range members {
			if s.zone[i] == z {
				s.share[i] = min(1, level*float64(m.Weight))
			}
		}
		return s.inZone(z)
	}
	highest := func(total float64, at func(level float64) float64) (level float64) {
		low, high := 0.0, 1e4
		for range 60 {
			if middle := (low + high) / 2; at(middle) < total-1e-9 {
				low = middle
			} else {
				high = middle
			}
		}
		return high
	}
	all := highest(float64(replicas), func(level float64) (sum float64) {
		for z := range s.limit {
			in := fill(z, level)
			if strict {
				in = min(in, float64(s.limit[z]))
			}
			sum += in
		}
		return sum
	})
	for z := range s.limit {
		if limit := float64(s.limit[z]); fill(z, all) > limit && strict {
			fill(z, highest(limit, func(level float64) float64 { return fill(z, level) }))
		}
	}
}

// checkSpread judges the replicas of all partitions: distinct members, as many as there
// should be, within the limits of zones and the bounds of loads. It returns the first
// fault, or "".
func checkSpread(rule ring.Rule, members []layout.Member, replicas int, sets [][]layout.MemberNumber) string {
	s := spreadOf(rule, members, replicas)
	load := make([]int, len(members))
	for p, set := range sets {
		in := make([]int, len(s.limit))
		for i, m := range set {
			at := memberIndex(members, m)
			switch {
			case layout.Contains(set[:i], m):
				return fmt.Sprintf("partition %d lists member %d twice in %v", p, m, set)
			case at < 0:
				return fmt.Sprintf("partition %d has replicas %v, of which %d is not an active member", p, set, m)
			}
			load[at]++
			if z := s.zone[at]; in[z] == s.limit[z] {
				return fmt.Sprintf("partition %d has replicas %v, more than %d in zone %q", p, set, s.limit[z], members[at].Zone)
			}
			in[s.zone[at]]++
		}
		if len(set) != replicas {
			return fmt.Sprintf("partition %d has replicas %v, want %d of them", p, set, replicas)
		}
	}
	for i, m := range members {
		mean := float64(len(sets)) * s.share[i]
		most := min(len(sets), max(int(math.Ceil(mean-1e-5)), int(math.Floor(1.1*mean+1e-5))))
		if load[i] > most {
			return fmt.Sprintf("member %d has %d replicas, want at most %d", m.Number, load[i], most)
		}
	}
	return ""
}

// alike reports whether members have no zones and equal weights: only then the plain walk
// is the whole rule, of either version.
func alike(members []layout.Member) bool {
	for _, m := range members {
		if m.Zone != "" || m.Weight != members[0].Weight || m.Weight != 1 {
			return false
		}
	}
	return true
}
