package sim

import (
	"dkv/sim/schedule"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// shrinkTime bounds a minimisation asked for by -shrink.
const shrinkTime = time.Minute

// shrinkFailure minimises a failed run on all cores, with progress.
func shrinkFailure(t *testing.T, r *Result) *Result {
	begun, said, runs := time.Now(), time.Now(), 0
	small := Shrink(r, ShrinkOptions{
		Jobs: runtime.GOMAXPROCS(0), RunAll: runAtOnce,
		More: func(p ShrinkProgress) bool {
			runs = p.Runs
			if time.Since(said) > 2*time.Second {
				said = time.Now()
				fmt.Printf("shrinking: %d runs, now %d faults and %d operations; trying %s\n", p.Runs, p.Faults, p.Calls, p.Doing)
			}
			return time.Since(begun) < shrinkTime
		},
	})
	fmt.Printf("shrunk seed=%d class=%s faults=%d operations=%d from-faults=%d from-operations=%d runs=%d wall=%v\n",
		r.Schedule.Setup.Seed, joinClasses(small.Classes), len(small.Schedule.Steps), len(Freeze(small).Calls),
		len(r.Schedule.Steps), len(Freeze(r).Calls), runs, time.Since(begun).Round(100*time.Millisecond))
	return small
}

func runAtOnce(all []*schedule.Schedule) []*Result {
	results := make([]*Result, len(all))
	var done sync.WaitGroup
	for i, s := range all {
		done.Go(func() { results[i], _ = Run(s, RunOptions{}) })
	}
	done.Wait()
	return results
}
