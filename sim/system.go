package sim

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"dkv/linearizability"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// A System is a program other than DKV in the same simulated world: the same hosts,
// disks, clocks, network and ZooKeeper, the same schedules of faults, and the same
// clients. Its runs are reproducible and can be minimised in the same way. Package
// sim/examples/counter is an example.
type System struct {
	// Boot returns the program for a host each time that a process starts there.
	// Only what is in its store survives from one process to the next.
	Boot func(world.Doors) world.Program
	// Check judges the clients' operations and answers. Each violation that it
	// returns has a class, a sentence, and the operations that show it. The harness
	// itself detects panics (A), calls of Fail that no disk fault explains (A), and
	// requests that get no answer (V).
	Check func(history []linearizability.Operation) []Violation
	// Adapt, if not nil, adjusts a drawn setup to what the system supports.
	Adapt func(*schedule.Setup)
	// Command is the go test command that accepts -schedule=FILE.
	Command string
}

// Run is like the package-level Run, without the DKV-specific checks. The phases
// are the same: faults strike; each host of a healed majority must answer a put and
// a get for every partition while the others stay broken; after everything is
// healed, every host must run and every key must be readable. A system that does
// not promise one of these leaves out its phase in the setup.
func (s *System) Run(chosen *schedule.Schedule, o RunOptions) (*Result, error) {
	if chosen.Setup.Strangers > 0 {
		return nil, errors.New("the schedule has strangers: only DKV has a layout that does not list them")
	}
	r := newRun(chosen, o)
	r.system, r.newProcess = s, world.Programs(s.Boot)
	return r.execute()
}

// Draw is like the package-level Draw, without strangers and with Adapt applied. It
// returns an error if the steps name something, such as a partition, that Adapt removed.
func (s *System) Draw(seed uint64, profile string) (*schedule.Schedule, error) {
	drawn, err := Draw(seed, profile)
	if err != nil {
		return nil, err
	}
	drawn.DropStrangers()
	if s.Adapt == nil {
		return drawn, nil
	}
	s.Adapt(&drawn.Setup)
	return schedule.Parse(drawn.String())
}

// Search runs each seed twice until one fails. It returns the result of that seed,
// or of the last one if none fails.
func (s *System) Search(seeds Seeds, profile string) (r *Result, err error) {
	for seed := seeds.From; seed <= seeds.To && (r == nil || len(r.Classes) == 0); seed++ {
		drawn, err := s.Draw(seed, profile)
		if err != nil {
			return nil, err
		}
		if r, err = s.RunTwice(drawn); err != nil {
			return r, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return r, nil
}

// RunTwice is like the package-level RunTwice.
func (s *System) RunTwice(chosen *schedule.Schedule) (*Result, error) {
	return runTwice(chosen, s.Run)
}

// RunFile runs the schedule in a file, twice.
func (s *System) RunFile(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the schedule: %w", err)
	}
	parsed, err := schedule.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s.RunTwice(parsed)
}

// Shrink is like the package-level Shrink.
func (s *System) Shrink(failed *Result, o ShrinkOptions) *Result {
	if o.RunAll == nil {
		o.RunAll = func(all []*schedule.Schedule) []*Result { return runInTurn(all, s.Run) }
	}
	return Shrink(failed, o)
}

// Report writes the files of a failed run below dir and returns a description of
// the failure.
func (s *System) Report(dir string, r *Result) (string, error) {
	rep, err := writeReport(dir, r, s.Run)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	writeFailure(&b, r, "")
	fmt.Fprintf(&b, "  files:     %s\n", rep.Dir)
	fmt.Fprintf(&b, "  run again: %s -schedule=%s\n", s.Command, rep.Schedule)
	return b.String(), nil
}

// judge adds the violations that the system's Check finds in a history.
func (s *System) judge(v *verdict, history []linearizability.Operation) {
	if s.Check == nil {
		return
	}
	for _, found := range s.Check(history) {
		v.add(found)
	}
}
