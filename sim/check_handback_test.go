package sim

import (
	"dkv/sim/schedule"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A node that took a partition over may keep it for a while, but its next process
// has no reason to. A settle time beyond the phase's bound makes it keep the
// partition all the same, which the check must find.
func TestPrimariesHaveToHandBack(t *testing.T) {
	for _, c := range []struct {
		settle time.Duration
		steps  string
		kept   bool
	}{
		{time.Second, "at 3s crash primary:0 for 3s\nat 8s power-loss for 10ms\n", false},
		{time.Hour, "", false},
		{time.Hour, "at 3s crash primary:0 for 3s\n", false},
		{time.Hour, "at 3s crash primary:0 for 3s\nat 8s power-loss for 10ms\n", true},
	} {
		s, err := schedule.Parse(fmt.Sprintf("seed 1\nnodes 3\npartitions 1\nworkload operations=0\nsettle-time %v\nphases faults=12s\n%s", c.settle, c.steps))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		kept := len(r.Violations) == 1 && r.Violations[0].Class == Progress && strings.Contains(r.Violations[0].What, "did not hand partition 0 over to")
		if kept != c.kept || !c.kept && len(r.Violations) > 0 {
			t.Errorf("settle time %v, steps %q: %v, want that it is kept: %v", c.settle, c.steps, r.Violations, c.kept)
		}
	}
}
