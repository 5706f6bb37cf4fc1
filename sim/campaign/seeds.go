package campaign

import (
	"fmt"
	"slices"
)

// A Span is some seeds: from one to another, both included, at equal steps.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	Step uint64 `json:"step"`
}

func (s Span) count() uint64 { return (s.To-s.From)/s.Step + 1 }

// seedSet gives out the seeds of one shard in their order, and knows which of
// them are done.
type seedSet struct {
	all  Span // To need not be one of them
	next uint64
	over bool // all were given out
	// Done are so many from the first on, and those beyond that gap.
	straight uint64
	beyond   map[uint64]bool
}

func newSeedSet(all Span) *seedSet {
	return &seedSet{all: all, next: all.From, beyond: make(map[uint64]bool)}
}

// more reports whether a seed is left to give out.
func (s *seedSet) more() bool {
	for !s.over && s.holds(s.next) {
		s.step()
	}
	return !s.over && s.next <= s.all.To
}

// take gives out a seed; more must have said that there is one.
func (s *seedSet) take() uint64 {
	seed := s.next
	s.step()
	return seed
}

func (s *seedSet) step() {
	s.over = s.next > s.all.To || s.all.To-s.next < s.all.Step
	s.next += s.all.Step
}

func (s *seedSet) holds(seed uint64) bool {
	return s.beyond[seed] || (seed-s.all.From)/s.all.Step < s.straight
}

// done takes note that a seed is done.
func (s *seedSet) done(seed uint64) {
	s.beyond[seed] = true
	for {
		low := s.all.From + s.straight*s.all.Step
		if !s.beyond[low] {
			return
		}
		delete(s.beyond, low)
		s.straight++
	}
}

// spans are the seeds that are done, in their order.
func (s *seedSet) spans() []Span {
	var spans []Span
	if s.straight > 0 {
		spans = append(spans, Span{s.all.From, s.all.From + (s.straight-1)*s.all.Step, s.all.Step})
	}
	var seeds []uint64
	for seed := range s.beyond {
		seeds = append(seeds, seed)
	}
	slices.Sort(seeds)
	for _, seed := range seeds {
		spans = append(spans, Span{seed, seed, s.all.Step})
	}
	return spans
}

// restore takes note of seeds that were done before. An error says that they
// are not of this set, or not that many.
func (s *seedSet) restore(spans []Span, runs int) error {
	total := uint64(0)
	for i, r := range spans {
		if r.Step != s.all.Step || r.From < s.all.From || r.To > s.all.To || r.From > r.To ||
			(r.From-s.all.From)%s.all.Step != 0 || (r.To-r.From)%s.all.Step != 0 {
			return fmt.Errorf("seeds %d to %d at steps of %d are not of this campaign", r.From, r.To, r.Step)
		}
		if i > 0 && r.From <= spans[i-1].To {
			return fmt.Errorf("seed %d is there twice", r.From)
		}
		total += r.count()
	}
	if total != uint64(runs) {
		return fmt.Errorf("%d runs are counted, and %d seeds are done", runs, total)
	}
	for _, r := range spans {
		if r.From == s.all.From {
			s.straight = r.count()
			continue
		}
		for seed := r.From; ; seed += r.Step {
			s.done(seed)
			if seed == r.To {
				break
			}
		}
	}
	return nil
}
