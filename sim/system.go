package sim

import (
	"fmt"
	"os"
	"strings"

	"dkv/linearizability"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// A System is a program other than DKV on the same stage: the same hosts, disks,
// clocks, network and ZooKeeper, the same schedules of faults, the same clients,
// and the same traces, so that a seed is a run here too, and a failing run can be
// made small. Package sim/examples/counter is one.
type System struct {
	// Boot makes what runs on a host, each time a process starts there. What one
	// process leaves to the next stands in its store.
	Boot func(world.Doors) world.Program
	// Check judges what the clients asked and were told: every violation has its
	// class, its sentence, and the operations that show it. The harness itself
	// sees panics (A), calls of Fail that no disk explains (A), and clients
	// whom nobody answers (V).
	Check func(history []linearizability.Operation) []Violation
	// Adapt, if not nil, changes what a seed draws to what the system is made for.
	Adapt func(*schedule.Setup)
	// Command is the go test command that takes -schedule=FILE.
	Command string
}

// Run is as the function of this name, without what it asks of DKV alone. The
// phases are those of every run: faults; a majority of the hosts has to answer,
// each a put and a get a partition, while the rest stays broken; all healed,
// every host runs and every key can be read. A system that does not promise one
// of them leaves it out by the setup.
func (s *System) Run(chosen *schedule.Schedule, o RunOptions) (*Result, error) {
	r := newRun(chosen, o)
	r.system, r.newProcess = s, world.Programs(s.Boot)
	return r.play()
}

// Draw is as the function of this name. A schedule of which no text can be made
// and read again, since Adapt took away what its steps name, is an error.
func (s *System) Draw(seed uint64, profile string) (*schedule.Schedule, error) {
	drawn, err := Draw(seed, profile)
	if err != nil || s.Adapt == nil {
		return drawn, err
	}
	s.Adapt(&drawn.Setup)
	return schedule.Parse(drawn.String())
}

// Search runs seeds, each twice, until one fails, and returns that or, if none
// does, the last.
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

// RunTwice is as the function of this name.
func (s *System) RunTwice(chosen *schedule.Schedule) (*Result, error) {
	return runTwice(chosen, s.Run)
}

// RunFile runs the schedule in a file, twice.
func (s *System) RunFile(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a schedule: %w", err)
	}
	parsed, err := schedule.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s.RunTwice(parsed)
}

// Shrink is as the function of this name.
func (s *System) Shrink(failed *Result, o ShrinkOptions) *Result {
	if o.RunAll == nil {
		o.RunAll = func(all []*schedule.Schedule) []*Result { return runInTurn(all, s.Run) }
	}
	return Shrink(failed, o)
}

// Report writes the files of a failed run below dir, and returns what the run
// has to say for itself.
func (s *System) Report(dir string, r *Result) (string, error) {
	rep, err := writeReport(dir, r, s.Run)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	writeFailure(&b, r, "")
	fmt.Fprintf(&b, "  the run's files: %s\n", rep.Dir)
	fmt.Fprintf(&b, "  the run again:   %s -schedule=%s\n", s.Command, rep.Schedule)
	return b.String(), nil
}

// judge lets the system judge a history.
func (s *System) judge(v *verdict, history []linearizability.Operation) {
	if s.Check == nil {
		return
	}
	for _, found := range s.Check(history) {
		v.add(found)
	}
}
