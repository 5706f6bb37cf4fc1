package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrDiffers is what RunTwice's error wraps if two runs of one schedule were
// not the same.
var ErrDiffers = errors.New("two runs of one schedule differ")

// RunTwice runs a schedule twice and returns the first result. Runs that differ
// are an error, which names the first step in which they do, with both lines.
func RunTwice(s *Schedule) (*Result, error) { return runTwice(s, Run) }

func runTwice(s *Schedule, run runner) (*Result, error) {
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
		recorded := &stepRecord{}
		if _, err := run(recorded); err != nil {
			return err
		}
		compared := &stepRecord{like: recorded}
		if _, err := run(compared); err != nil {
			return err
		}
		if difference := compared.difference(); difference != "" {
			return fmt.Errorf("%w: traces %016x and %016x; %s", ErrDiffers, first, second, difference)
		}
	}
	return fmt.Errorf("%w: traces %016x and %016x; %d further pairs did not", ErrDiffers, first, second, comparedPairs)
}

// A stepSink gets steps as they go into the hash, beside their lines.
type stepSink interface {
	io.Writer
	onStep(step uint64, s stepFacts)
}

// stepFacts is all of a step that goes into the hash.
type stepFacts struct {
	at                time.Duration
	sequence, payload uint64
	host              int
	kind              Kind
}

func (f stepFacts) String() string {
	who := "-"
	if f.host != NoHost {
		who = HostName(f.host)
	}
	return fmt.Sprintf("%v %s %v sequence=%d content=%016x", f.at, who, f.kind, f.sequence, f.payload)
}

// stepRecord keeps the steps of one run, or compares another run with them:
// then it keeps only the first step that differs.
type stepRecord struct {
	like  *stepRecord
	facts []stepFacts
	lines [][]byte // by step; nil of one that printed none

	step    uint64 // under way, from 1
	differs uint64 // the first that does; 0: none
	other   stepFacts
	words   []byte
}

func (r *stepRecord) onStep(step uint64, s stepFacts) {
	r.step = step
	if r.like == nil {
		r.facts = append(r.facts, s)
		r.lines = append(r.lines, nil)
		return
	}
	if r.differs == 0 && (step > uint64(len(r.like.facts)) || r.like.facts[step-1] != s) {
		r.differs, r.other = step, s
	}
}

// Write takes the line of the step under way.
func (r *stepRecord) Write(line []byte) (int, error) {
	switch {
	case r.step == 0:
	case r.like == nil:
		r.lines[r.step-1] = bytes.Clone(line)
	case r.step == r.differs && r.words == nil:
		r.words = bytes.Clone(line)
	}
	return len(line), nil
}

// difference says in words where the two runs part; "" if they do not.
func (r *stepRecord) difference() string {
	was := r.like
	if r.differs == 0 {
		if r.step == uint64(len(was.facts)) {
			return ""
		}
		next := was.facts[r.step]
		return fmt.Sprintf("the first difference is step %d:\n  first:  %v%s\n  second: the run is over", r.step+1, next, wordsOf(was.lines[r.step]))
	}
	first := "the run is over"
	if r.differs <= uint64(len(was.facts)) {
		first = was.facts[r.differs-1].String() + wordsOf(was.lines[r.differs-1])
	}
	return fmt.Sprintf("the first difference is step %d:\n  first:  %s\n  second: %v%s", r.differs, first, r.other, wordsOf(r.words))
}

// wordsOf is what a step's line says behind the columns that stepFacts has.
func wordsOf(line []byte) string {
	fields := bytes.Fields(line)
	if len(fields) <= 4 {
		return ""
	}
	return " " + string(bytes.Join(fields[4:], []byte(" ")))
}
