package world

import (
	"bytes"
	"fmt"
)

// A StepRecord keeps the steps of the run whose Config.Steps it is. With Like set,
// it compares its run with that of Like and keeps only the first step that differs.
type StepRecord struct {
	Like  *StepRecord
	facts []stepFacts // by step
	lines [][]byte    // by step; nil for a step without a line

	step    uint64    // number of the step under way
	differs uint64    // number of the first step that differs from Like's; or 0
	other   stepFacts // of that step
	words   []byte    // its line
}

func (r *StepRecord) onStep(step uint64, s stepFacts) {
	r.step = step
	if r.Like == nil {
		r.facts = append(r.facts, s)
		r.lines = append(r.lines, nil)
		return
	}
	if r.differs == 0 && (step > uint64(len(r.Like.facts)) || r.Like.facts[step-1] != s) {
		r.differs, r.other = step, s
	}
}

// Write keeps the line of the step under way.
func (r *StepRecord) Write(line []byte) (int, error) {
	switch {
	case r.step == 0:
	case r.Like == nil:
		r.lines[r.step-1] = bytes.Clone(line)
	case r.step == r.differs && r.words == nil:
		r.words = bytes.Clone(line)
	}
	return len(line), nil
}

// Difference describes the first step in which the two runs differ. It returns "" if
// they do not differ.
func (r *StepRecord) Difference() string {
	was := r.Like
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

// wordsOf returns the details of a step's line, without the columns that stepFacts
// holds too.
func wordsOf(line []byte) string {
	fields := bytes.Fields(line)
	if len(fields) <= 4 {
		return ""
	}
	return " " + string(bytes.Join(fields[4:], []byte(" ")))
}
