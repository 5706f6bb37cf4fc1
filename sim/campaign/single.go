package campaign

import (
	"errors"
	"fmt"
	"time"

	"dkv/sim"
)

// SingleRun is what the document of a single seed says of its run, also if it passed.
type SingleRun struct {
	Seed       uint64        `json:"seed"`
	Classes    []sim.Class   `json:"classes"`    // empty: it passed
	Violations []string      `json:"violations"` // in the order found
	Trace      string        `json:"trace"`      // its hash
	Steps      uint64        `json:"steps"`
	Events     uint64        `json:"events"`
	Virtual    time.Duration `json:"virtual_ns"`
	// Outcomes are those of all operations, by kind.
	Outcomes []sim.Outcomes `json:"outcomes"`
	// Schedule is the text that repeats the run with dkvsim replay.
	Schedule string `json:"schedule"`
	// Files is the directory of the run's files; "" without --report, if it passed.
	Files string `json:"files"`
}

func singleRun(r *sim.Result) *SingleRun {
	s := &SingleRun{
		Seed: r.Schedule.Setup.Seed, Classes: append([]sim.Class{}, r.Classes...), Violations: []string{},
		Trace: fmt.Sprintf("%016x", r.Trace), Steps: r.Steps, Events: r.Events, Virtual: r.Virtual,
		Outcomes: sim.OutcomesOf(r.History), Schedule: r.Schedule.String(),
	}
	for _, v := range r.Violations {
		s.Violations = append(s.Violations, v.String())
	}
	return s
}

// keepTraces writes the files of a single run that passed, if a directory is named.
func (c *campaign) keepTraces(r *sim.Result) {
	if !c.One || c.Options.Report == "" {
		return
	}
	files, err := sim.WriteReport(c.Options.Report, r)
	if err != nil {
		c.firstError = errors.Join(c.firstError, err)
		return
	}
	c.doc.Run.Files = files.Dir
	fmt.Fprint(c.out, sim.Passed(r, files))
}
