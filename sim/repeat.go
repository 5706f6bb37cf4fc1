package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"errors"
	"fmt"
	"io"
)

// ErrDiffers is what RunTwice's error wraps if two runs of one schedule were
// not the same.
var ErrDiffers = errors.New("two runs of one schedule differ")

// RunTwice runs a schedule twice and returns the first result. Runs that differ
// are an error, which names the first step in which they do, with both lines.
func RunTwice(s *schedule.Schedule) (*Result, error) { return runTwice(s, Run) }

func runTwice(s *schedule.Schedule, run runner) (*Result, error) {
	var first *Result
	err := compareTwo(func(steps io.Writer) (uint64, error) {
		r, err := run(s, RunOptions{Steps: steps})
		if err != nil {
			return 0, err
		}
		if first == nil {
			first = r
		}
		return r.Trace, nil
	})
	return first, err
}

// comparedPairs is how many pairs of runs are compared step by step before the
// comparison gives up: what made two runs differ may not come again at once.
const comparedPairs = 8

// compareTwo runs something twice that returns its trace hash. If the hashes
// differ it runs it in pairs, with all steps recorded, until it finds the first
// step that differs.
func compareTwo(run func(steps io.Writer) (trace uint64, err error)) error {
	first, err := run(nil)
	if err != nil {
		return err
	}
	second, err := run(nil)
	if err != nil || first == second {
		return err
	}
	for range comparedPairs {
		recorded := &world.StepRecord{}
		if _, err := run(recorded); err != nil {
			return err
		}
		compared := &world.StepRecord{Like: recorded}
		if _, err := run(compared); err != nil {
			return err
		}
		if difference := compared.Difference(); difference != "" {
			return fmt.Errorf("%w: traces %016x and %016x; %s", ErrDiffers, first, second, difference)
		}
	}
	return fmt.Errorf("%w: traces %016x and %016x; %d further pairs did not", ErrDiffers, first, second, comparedPairs)
}
