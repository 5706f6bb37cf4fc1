package main

import (
	"fmt"
	"strings"

	"dkv/sim"
)

// reached is in how many runs each fault took effect and each probe was hit.
type reached struct {
	Runs   int
	Faults []sim.Reach
	Probes []sim.Reach
}

func reachedIn(t *sim.Tally) reached { return reached{t.Runs, t.Faults, t.Probes} }

// add adds other runs of the same build's kinds of faults and probes.
func (r *reached) add(other *reached) {
	r.Runs += other.Runs
	r.Faults, r.Probes = addReaches(r.Faults, other.Faults), addReaches(r.Probes, other.Probes)
}

func addReaches(to, other []sim.Reach) []sim.Reach {
	sums := append([]sim.Reach(nil), to...)
	at := make(map[string]int)
	for i := range sums {
		at[sums[i].Name] = i
	}
	for _, o := range other {
		if i, ok := at[o.Name]; ok {
			sums[i].Times += o.Times
			sums[i].Runs += o.Runs
		} else {
			sums = append(sums, o)
		}
	}
	return sums
}

// expectedRuns is the number of runs in which the unmutated program would have
// reached something, from which on chance does not explain that a mutant did not: by
// chance a zero comes about less often than once in 20,000 (exp -10).
const expectedRuns = 10

// zeros names, with the share of unmutated runs that reach them, the faults and
// probes that no run with a mutant reached though the unmutated program would
// have reached them many times in as many runs.
func (r *reached) zeros(unmutated *reached) []string {
	var words []string
	for _, kind := range []struct {
		word      string
		got, want []sim.Reach
	}{{"fault", r.Faults, unmutated.Faults}, {"probe", r.Probes, unmutated.Probes}} {
		times := make(map[string]uint64)
		for _, g := range kind.got {
			times[g.Name] += g.Times
		}
		for _, w := range kind.want {
			if times[w.Name] == 0 && w.Runs*r.Runs >= expectedRuns*unmutated.Runs && unmutated.Runs > 0 {
				words = append(words, fmt.Sprintf("%s %s (%d %%)", kind.word, w.Name, 100*w.Runs/unmutated.Runs))
			}
		}
	}
	return words
}

// printZeros says what a mutant kept the runs from.
func (h *hunt) printZeros(m *mutant, c *catches) {
	zeros := c.reached.zeros(&h.normal)
	if h.markdown || m.profile != "" || len(zeros) == 0 { // normal is of the default profile
		return
	}
	h.printf("  never in %d runs with it (in brackets: in how many without it): %s\n", c.reached.Runs, strings.Join(zeros, ", "))
}
