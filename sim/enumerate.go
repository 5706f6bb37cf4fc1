package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Enumeration runs every execution of a small cluster within bounds, and applies
// all checks of a run to each. It is stateless model checking: an execution is
// identified by its choices, and the search, depth first, runs it again from the
// beginning with the last choice changed. The bounds:
//
//   - Choices are counted from the time From on, up to Choices of them. A choice
//     arises where a delivery is due next and others, on other links, are due
//     within Window of it. Frames of one link are never reordered.
//   - An execution may deviate from the order of arrival by Deviations in total:
//     taking the i-th candidate costs i (Emmi, Qadeer and Rakamarić, Delay-Bounded
//     Scheduling, POPL 2011).
//   - At most one node crashes, after one of its first CrashSteps steps since
//     From, and restarts after one of Restarts. The seed's draws decide which
//     unsynced writes survive on its disk; Tiny chooses a seed by which none do.
//     With a crash, up to CrashDeviations are allowed.
//
// A delivery that overtakes only deliveries to other nodes is left out: no node
// can tell the two orders apart, except by a shift in time below the window.
// All other timing is that of the seed.
type Enumeration struct {
	Base            *schedule.Schedule
	From            time.Duration
	Window          time.Duration
	Choices         int
	Deviations      int
	CrashSteps      int // 0: no crash
	CrashDeviations int
	Restarts        []time.Duration
	// MaxRuns ends the enumeration before its bounds do.
	MaxRuns int
}

// Enumerated is the result of an enumeration.
type Enumerated struct {
	Runs     int // executions
	Traces   int // different ones among them
	LeftOut  int // deviations that no node could have noticed
	Most     int // most choices of an execution, including those beyond the bound
	Complete bool
	Failed   *Result // the first execution that broke a promise; it ends the search
}

// enumeratedSetup has few events at once, so that an enumeration ends.
const enumeratedSetup = `partitions 1
suspect-after 250ms
network mode=stream min=2ms mean=2ms
sync min=1ms max=1ms
zk servers=1 session=1s
turn 1
workload operations=0 timeout=700ms
phases faults=3s
outside as-they-are
`

// TinySchedule is the schedule that Tiny explores: three nodes, one partition, a
// put that at first reaches one replica only, and a get meanwhile. The replica that
// got the put cannot reach ZooKeeper for a while, so that the other one takes over
// if the primary crashes.
const TinySchedule = `nodes 3
` + enumeratedSetup + `at 1.49s cut primary:0>backup:0 for 60ms
at 1.49s zk-cut second:0 for 400ms
at 1.5s put primary:0 0
at 1.501s get backup:0 0
`

// MovingSchedule is the schedule that Moving explores: four nodes and a partition
// that moves away from its primary, n4, to the one node that does not hold it, n1.
// A put comes before the move and another one during it, and a get at the end.
const MovingSchedule = `nodes 4
` + enumeratedSetup + `at 1.495s put primary:0 0
at 1.5s move 0 n1 n2 n3
at 1.51s put n2 0
at 1.8s get n1 0
`

// Tiny returns an enumeration of TinySchedule.
func Tiny() *Enumeration { return enumerationOf(TinySchedule) }

// Moving returns an enumeration of MovingSchedule.
func Moving() *Enumeration { return enumerationOf(MovingSchedule) }

func enumerationOf(text string) *Enumeration {
	s, err := schedule.Parse(text)
	if err != nil {
		panic("sim: " + err.Error())
	}
	for !losesAll(s) {
		s.Setup.Seed++
	}
	return &Enumeration{
		Base: s, From: 1500 * time.Millisecond, Window: 3 * time.Millisecond, Choices: 20, Deviations: 1,
		CrashSteps: 40, Restarts: []time.Duration{time.Millisecond, 1500 * time.Millisecond}, MaxRuns: 100_000,
	}
}

// losesAll reports whether the first crash of each host loses everything that its
// disk has not synced.
func losesAll(s *schedule.Schedule) bool {
	for host := range s.Setup.Nodes {
		if !world.FirstCrashLosesAll(s.Setup.Seed, host) {
			return false
		}
	}
	return true
}

// execution identifies one execution of an enumeration.
type execution struct {
	picks schedule.Picks
	last  int // choice of the last pick; -1 without one
	spent int // deviations
	crash schedule.CrashPoint
}

// Run explores the executions. Before each one it calls more, if that is not nil,
// with the number of executions so far, and ends when more returns false.
func (e *Enumeration) Run(more func(runs int) bool) (*Enumerated, error) {
	found := &Enumerated{}
	traces := make(map[uint64]struct{})
	stack := []execution{{last: -1}}
	for len(stack) > 0 {
		if found.Runs == e.MaxRuns || more != nil && !more(found.Runs) {
			return found, nil
		}
		x := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		t := &world.Trail{}
		r, err := Run(e.schedule(x), RunOptions{trail: t})
		if err != nil {
			return nil, err
		}
		found.Runs++
		traces[r.Trace] = struct{}{}
		found.Traces = len(traces)
		found.Most = max(found.Most, len(t.Choices))
		if len(r.Classes) > 0 {
			found.Failed = r
			return found, nil
		}
		stack = e.deviate(stack, x, t, found)
		if x.crash.Step == 0 && x.picks == "" {
			stack = e.strike(stack, x, t)
		}
	}
	found.Complete = true
	return found, nil
}

// schedule returns an execution as a schedule, which can be run and kept.
func (e *Enumeration) schedule(x execution) *schedule.Schedule {
	s := &schedule.Schedule{Setup: e.Base.Setup, Steps: slices.Clone(e.Base.Steps)}
	s.Setup.Order = schedule.Order{
		Mode: schedule.Steered, Depth: s.Setup.Order.Depth, Span: s.Setup.Order.Span,
		Window: e.Window, From: e.From, Picks: x.picks, Crash: x.crash,
	}
	return s
}

// deviate adds the executions that differ from x in one more choice after its
// last pick.
func (e *Enumeration) deviate(stack []execution, x execution, t *world.Trail, found *Enumerated) []execution {
	budget := e.Deviations
	if x.crash.Step > 0 {
		budget = e.CrashDeviations
	}
	for choice := x.last + 1; choice < min(e.Choices, len(t.Choices)); choice++ {
		receivers := t.Choices[choice]
		for i := 1; i < len(receivers) && x.spent+i <= budget; i++ {
			if !slices.Contains(receivers[:i], receivers[i]) {
				found.LeftOut++
				continue
			}
			stack = append(stack, execution{x.picks.With(choice, i), choice, x.spent + i, x.crash})
		}
	}
	return stack
}

// strike adds the executions that differ in that one node crashes.
func (e *Enumeration) strike(stack []execution, x execution, t *world.Trail) []execution {
	for host, steps := range t.Steps {
		for step := 1; step <= min(e.CrashSteps, steps); step++ {
			for _, restart := range e.Restarts {
				stack = append(stack, execution{last: -1, crash: schedule.CrashPoint{Host: host, Step: step, Restart: restart}})
			}
		}
	}
	return stack
}

// String describes the bounds in one line.
func (e *Enumeration) String() string {
	return fmt.Sprintf("%d nodes; %d choices among deliveries within %v of each other, from %v on; at most %d deviations; at most one crash, after any of %d steps of each node (0: no crash), with at most %d deviations and a restart after %v",
		e.Base.Setup.Nodes, e.Choices, e.Window, e.From, e.Deviations, e.CrashSteps, e.CrashDeviations, e.Restarts)
}

// String describes the result in one line.
func (f *Enumerated) String() string {
	word := "complete"
	switch {
	case f.Failed != nil:
		word = "failed class=" + joinClasses(f.Failed.Classes)
	case !f.Complete:
		word = "not complete"
	}
	return fmt.Sprintf("result=%q executions=%d traces=%d left-out=%d choices<=%d", word, f.Runs, f.Traces, f.LeftOut, f.Most)
}

// EnumerationFailure describes a failed execution: the classes, the
// contradictions, its order of deliveries, and the command that runs it again. It
// names no seed, because no seed leads to this order.
func EnumerationFailure(r *Result, rep Report) string {
	var b strings.Builder
	o := &r.Schedule.Setup.Order
	fmt.Fprintf(&b, "FAIL class %s, %s, trace %016x\n", joinClasses(r.Classes), o.Steering(), r.Trace)
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "  %v\n", v)
	}
	fmt.Fprintf(&b, "  files:     %s\n", rep.Dir)
	fmt.Fprintf(&b, "  run again: go test ./sim -v -schedule=%s\n", rep.Schedule)
	return b.String()
}
