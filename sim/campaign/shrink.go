package campaign

import (
	"fmt"
	"io"
	"sync"
	"time"

	"dkv/sim"
	"dkv/sim/schedule"
)

// Shrunk counts what a minimisation gave: faults and operations before and after
// it, and the runs that it took.
type Shrunk struct {
	Seed           uint64        `json:"seed"`
	Classes        []sim.Class   `json:"classes"`
	FromFaults     int           `json:"from_faults"`
	FromOperations int           `json:"from_operations"`
	Faults         int           `json:"faults"`
	Operations     int           `json:"operations"`
	Runs           int           `json:"runs"`
	Wall           time.Duration `json:"wall_ns"`
}

func (s Shrunk) String() string {
	return fmt.Sprintf("seed=%d class=%s faults=%d operations=%d from-faults=%d from-operations=%d runs=%d wall=%v",
		s.Seed, joined(s.Classes), s.Faults, s.Operations, s.FromFaults, s.FromOperations, s.Runs, s.Wall.Round(100*time.Millisecond))
}

// Minimise shrinks a failed run for as long as the budget lasts, with several runs
// at once, and prints its progress.
func Minimise(r *sim.Result, jobs int, budget time.Duration, progress io.Writer) (*sim.Result, Shrunk) {
	begun, said, runs := time.Now(), time.Now(), 0
	small := sim.Shrink(r, sim.ShrinkOptions{
		Jobs: jobs, RunAll: runAll,
		More: func(p sim.ShrinkProgress) bool {
			runs = p.Runs
			if time.Since(said) > 2*time.Second {
				said = time.Now()
				fmt.Fprintf(progress, "%4v: %d runs, now %d faults and %d operations; trying %s\n",
					time.Since(begun).Round(time.Second), p.Runs, p.Faults, p.Calls, p.Doing)
			}
			return time.Since(begun) < budget
		},
	})
	return small, Shrunk{
		Seed: r.Schedule.Setup.Seed, Classes: small.Classes,
		FromFaults: len(r.Schedule.Steps), FromOperations: len(sim.Freeze(r).Calls),
		Faults: len(small.Schedule.Steps), Operations: len(sim.Freeze(small).Calls),
		Runs: runs, Wall: time.Since(begun),
	}
}

// runAll runs schedules at once. A schedule that no world can be made of has no
// result, and so fails in no class.
func runAll(all []*schedule.Schedule) []*sim.Result {
	results := make([]*sim.Result, len(all))
	var done sync.WaitGroup
	for i, s := range all {
		done.Go(func() { results[i], _ = sim.Run(s, sim.RunOptions{}) })
	}
	done.Wait()
	return results
}
