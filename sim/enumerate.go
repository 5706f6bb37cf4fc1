package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Enumeration runs every execution of a small cluster within bounds, and checks
// each as any run is checked. It is stateless model checking: an execution is
// named by its choices, a prefix of choices is played again from the beginning,
// and depth first the last one is changed. What is bounded:
//
//   - Choices are counted from a point of virtual time on, up to Choices of
//     them. One arises where a delivery is due next and others, on other links,
//     are due within Window of it; frames of one link never change places.
//   - An execution may deviate from the order of arrival by Deviations in all: to
//     take the i-th candidate costs i (Emmi, Qadeer and Rakamarić, Delay-Bounded
//     Scheduling, POPL 2011).
//   - At most one node crashes, after one of its first CrashSteps steps from that
//     time on, and restarts after one of Restarts. Its disk keeps of what was not
//     synced what the seed's draws say; TinySchedule has a seed by which that is
//     nothing. With a crash up to CrashDeviations are allowed.
//
// A delivery that overtakes only deliveries to other nodes is left out: the two
// orders differ in nothing that a node sees, but by a shift in time below the
// window. Timing is otherwise that of the seed.
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

// Enumerated is what an enumeration found.
type Enumerated struct {
	Runs     int // executions
	Traces   int // different ones among them
	LeftOut  int // deviations that differ in nothing that a node sees
	Most     int // choices of an execution, those beyond the bound included
	Complete bool
	Failed   *Result // the first execution that broke a promise; it ends the search
}

// TinySchedule is what Enumerate explores unless it is told otherwise: three
// nodes, one partition, a put that reaches one replica only at first, a get
// meanwhile. The replica that got it can't reach ZooKeeper for a while, so that,
// if the primary crashes, the other one takes over.
const TinySchedule = `nodes 3
partitions 1
suspect-after 250ms
network mode=stream min=2ms mean=2ms
sync min=1ms max=1ms
zk servers=1 session=1s
turn 1
workload operations=0 timeout=700ms
phases faults=3s
outside as-they-are
at 1.49s cut primary:0>backup:0 for 60ms
at 1.49s zk-cut second:0 for 400ms
at 1.5s put primary:0 0
at 1.501s get backup:0 0
`

// Tiny is an enumeration of TinySchedule.
func Tiny() *Enumeration {
	s, err := schedule.Parse(TinySchedule)
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

// losesAll says whether the first crash of each disk that has something to lose
// loses all of it.
func losesAll(s *schedule.Schedule) bool {
	for host := range s.Setup.Nodes {
		if !world.FirstCrashLosesAll(s.Setup.Seed, host) {
			return false
		}
	}
	return true
}

// execution names one of an enumeration's.
type execution struct {
	picks schedule.Picks
	last  int // choice of the last pick; -1 without one
	spent int // deviations
	crash schedule.CrashPoint
}

// Run explores. It asks more before each execution, if that is not nil, with the
// number of those so far, and ends when it says no.
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

// schedule is an execution as a schedule, to run and to keep.
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

// strike adds the executions in which one node crashes.
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

// String is the bounds in one line.
func (e *Enumeration) String() string {
	return fmt.Sprintf("%d nodes, %d choices of deliveries within %v from %v on, at most %d deviations; one crash after any of %d steps of each node (0: none), %d deviations with it, restart after %v",
		e.Base.Setup.Nodes, e.Choices, e.Window, e.From, e.Deviations, e.CrashSteps, e.CrashDeviations, e.Restarts)
}

// String is what was found, in one line.
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

// EnumerationFailure is what a failed execution has to say for itself: the
// classes, the contradictions, the order it ran in, and the command to run it
// again. No seed leads to it.
func EnumerationFailure(r *Result, rep Report) string {
	var b strings.Builder
	o := &r.Schedule.Setup.Order
	fmt.Fprintf(&b, "FAIL class %s, %s, trace %016x\n", joinClasses(r.Classes), o.Steering(), r.Trace)
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "  %v\n", v)
	}
	fmt.Fprintf(&b, "  the run's files: %s\n", rep.Dir)
	fmt.Fprintf(&b, "  the run again:   go test ./sim -v -schedule=%s\n", rep.Schedule)
	return b.String()
}
