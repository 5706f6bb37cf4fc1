package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"errors"
	"fmt"
	"io"
)

// ErrDiffers is wrapped by RunTwice's error if two runs of one schedule differ.
var ErrDiffers = errors.New("two runs of one schedule differ")

// RunTwice runs a schedule twice and returns the first result. If the runs differ,
// it returns an error with the first differing step, as a line of each run.
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

// comparedPairs is the number of pairs of runs that are compared step by step
// before the comparison gives up: what made two runs differ need not recur in the
// next pair.
const comparedPairs = 8

// compareTwo calls run twice and compares the trace hashes. If they differ, it
// calls run in pairs that record all steps, until it finds the first step that
// differs.
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
	return fmt.Errorf("%w: traces %016x and %016x; the difference did not recur in %d further pairs of runs", ErrDiffers, first, second, comparedPairs)
}
