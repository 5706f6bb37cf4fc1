package sim

import (
	"fmt"
	"testing"
	"time"
)

// shrinkFailure minimises a failed run, with progress, for at most a minute.
func shrinkFailure(t *testing.T, r *Result) *Result {
	until := time.Now().Add(time.Minute)
	said := time.Now()
	small := Shrink(r, func(runs int) bool {
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Printf("shrinking: %d runs so far\n", runs)
		}
		return time.Now().Before(until)
	})
	fmt.Printf("shrunk from %d steps and %d operations to %d and %d\n",
		len(r.Schedule.Steps), len(r.History), len(small.Schedule.Steps), len(small.History))
	return small
}
