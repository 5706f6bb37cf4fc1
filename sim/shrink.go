package sim

import (
	"cmp"
	"slices"
	"time"

	"dkv/linearizability"
	"dkv/sim/schedule"
)

// ShrinkOptions say how Shrink may work, and who hears of it.
type ShrinkOptions struct {
	// More is asked before each lot of runs. Shrink ends when it says no, or
	// when nothing can be taken away. nil: it always says yes.
	More func(ShrinkProgress) bool
	// RunAll runs schedules that do not depend on one another, and returns a
	// result for each, in their order. nil: they are run here, one after another.
	RunAll func([]*schedule.Schedule) []*Result
	// Jobs is how many schedules RunAll gets at most. It changes how long Shrink
	// takes, never what it finds in so many steps. Default 1.
	Jobs int
}

// ShrinkProgress is how far a minimisation is.
type ShrinkProgress struct {
	Runs   int
	Doing  string // in a word or two
	Faults int    // steps of the smallest failing schedule so far
	Calls  int    // and its clients' operations
}

// Shrink looks for a smaller schedule that breaks the same promise: the worst
// class that fired in the failing run. It writes the clients' operations down
// as calls, ends the run where the promise is broken, and takes away calls,
// faults and all that is unusual in the setup, by delta debugging. What is left
// is moved to readable times. Draws are keyed, so that the rest of the run stays
// as it was; only at the end, where nothing more can go, other seeds are tried
// with less. The result is a run that failed, at worst the one it was given.
func Shrink(failed *Result, o ShrinkOptions) *Result {
	s := &shrinker{best: failed, class: failed.Classes[0], options: o}
	if s.options.Jobs < 1 || s.options.RunAll == nil {
		s.options.Jobs = 1
	}
	if s.options.RunAll == nil {
		s.options.RunAll = func(all []*schedule.Schedule) []*Result { return runInTurn(all, Run) }
	}
	s.freeze()
	s.focus()
	s.passes()
	s.gaps() // shorter runs are faster ones
	for tries := fewSeeds; tries <= manySeeds && (tries == fewSeeds || !s.short()); tries *= 4 {
		for s.sizes(tries) || s.reseed(tries) {
			s.passes()
		}
	}
	s.tidy()
	if s.best != failed {
		s.best.Origin = failed.Schedule
	}
	return s.best
}

// What a schedule should come down to, and how many other seeds are tried for
// each line less: some always, more while it is longer than that.
const (
	shortFaults, shortCalls = 4, 10
	fewSeeds, manySeeds     = 12, 12 * 4 * 4 * 4
)

func (s *shrinker) short() bool {
	best := s.best.Schedule
	return len(best.Steps) <= shortFaults && len(best.Calls) <= shortCalls
}

func runInTurn(all []*schedule.Schedule, run runner) []*Result {
	results := make([]*Result, len(all))
	for i, s := range all {
		// A schedule of which no world can be made fails in no class.
		results[i], _ = run(s, RunOptions{})
	}
	return results
}

// shrinker is one minimisation under way.
type shrinker struct {
	best    *Result
	class   Class
	options ShrinkOptions
	doing   string
	runs    int
	over    bool
}

func (s *shrinker) passes() {
	for s.pass() {
		s.freeze() // what could not be written down at first may be now
	}
}

// pass tries to take away everything once; it says whether anything went.
func (s *shrinker) pass() bool {
	gained := s.ends()
	gained = s.calls() || gained
	gained = s.steps() || gained
	gained = s.sizes(0) || gained
	return s.settings() || gained
}

func (s *shrinker) copy() *schedule.Schedule {
	was := s.best.Schedule
	return &schedule.Schedule{Setup: was.Setup, Steps: slices.Clone(was.Steps), Calls: slices.Clone(was.Calls)}
}

// first runs candidate(0), candidate(1) and so on, some of them at once, until
// one fails in the class that counts: it becomes the best, and its number is
// returned. It is -1 if there is none before candidate returns nil.
func (s *shrinker) first(candidate func(i int) *schedule.Schedule) int {
	for from, more := 0, true; more && s.goOn(); from += s.options.Jobs {
		var lot []*schedule.Schedule
		var numbers []int
		for i := from; i < from+s.options.Jobs && more; i++ {
			c := candidate(i)
			if c == nil {
				more = false
				continue
			}
			// The text is what a person runs, so it is what is tried.
			if read, err := schedule.Parse(c.Brief()); err == nil {
				lot, numbers = append(lot, read), append(numbers, i)
			}
		}
		if len(lot) == 0 {
			continue
		}
		s.runs += len(lot)
		for k, r := range s.options.RunAll(lot) {
			if r != nil && slices.Contains(r.Classes, s.class) {
				s.best = r
				return numbers[k]
			}
		}
	}
	return -1
}

// goOn asks whether there is time for more runs.
func (s *shrinker) goOn() bool {
	if !s.over && s.options.More != nil {
		best := s.best.Schedule
		s.over = !s.options.More(ShrinkProgress{s.runs, s.doing, len(best.Steps), len(best.Calls)})
	}
	return !s.over
}

// try runs one candidate, and says whether it failed as it has to.
func (s *shrinker) try(c *schedule.Schedule) bool {
	return s.first(func(i int) *schedule.Schedule {
		if i > 0 {
			return nil
		}
		return c
	}) == 0
}

// anyOf tries candidates in their order, until one fails.
func (s *shrinker) anyOf(candidates ...*schedule.Schedule) bool {
	return s.first(func(i int) *schedule.Schedule {
		if i >= len(candidates) {
			return nil
		}
		return candidates[i]
	}) >= 0
}

// sweep takes away items from a list, long runs of them first: without makes a
// candidate that lacks the items from, from+1, … to-1 of those there are now.
func (s *shrinker) sweep(count func() int, without func(from, to int) *schedule.Schedule) bool {
	gained := false
	for size := count(); size >= 1 && !s.over; size /= 2 {
		for at := 0; at < count() && !s.over; {
			n := count()
			i := s.first(func(i int) *schedule.Schedule {
				if at+i*size >= n {
					return nil
				}
				return without(at+i*size, min(at+(i+1)*size, n))
			})
			if i < 0 {
				break
			}
			gained = true
			at += i * size
		}
	}
	return gained
}

func (s *shrinker) calls() bool {
	s.doing = "operations"
	return s.sweep(func() int { return len(s.best.Schedule.Calls) }, func(from, to int) *schedule.Schedule {
		c := s.copy()
		c.Calls = slices.Delete(c.Calls, from, to)
		return c
	})
}

func (s *shrinker) steps() bool {
	s.doing = "faults"
	return s.sweep(func() int { return len(s.best.Schedule.Steps) }, func(from, to int) *schedule.Schedule {
		c := s.copy()
		c.Steps = slices.Delete(c.Steps, from, to)
		return c
	})
}

// reseed takes away lines under other seeds: what a fault did is often what
// another draw would have done too.
func (s *shrinker) reseed(tries int) bool {
	s.doing = "other seeds"
	steps, calls := len(s.best.Schedule.Steps), len(s.best.Schedule.Calls)
	if s.reseedWithout(steps, tries, func(c *schedule.Schedule, from, to int) { c.Steps = slices.Delete(c.Steps, from, to) }) {
		return true
	}
	return calls > shortCalls &&
		s.reseedWithout(calls, tries, func(c *schedule.Schedule, from, to int) { c.Calls = slices.Delete(c.Calls, from, to) })
}

// reseedWithout tries so many seeds for each lot of lines, large lots first,
// until one fails.
func (s *shrinker) reseedWithout(count, tries int, drop func(c *schedule.Schedule, from, to int)) bool {
	for size := (count + 1) / 2; size >= 1; size /= 2 {
		for at := 0; at < count && s.goOn(); at += size {
			found := s.first(func(k int) *schedule.Schedule {
				if k == tries {
					return nil
				}
				c := s.copy()
				drop(c, at, min(at+size, count))
				c.Setup.Seed += uint64(k) + 1
				return c
			})
			if found >= 0 {
				return true
			}
		}
	}
	return false
}

// freeze writes the operations down, if the promise is broken then too.
func (s *shrinker) freeze() {
	s.doing = "writing down the operations"
	if s.best.Schedule.Setup.Workload.Source == schedule.Listed {
		return
	}
	if !s.try(Freeze(s.best)) {
		s.drawn()
	}
}

// drawn makes a workload smaller that could not be written down.
func (s *shrinker) drawn() {
	for _, reduce := range []func(*schedule.Workload) bool{
		func(w *schedule.Workload) bool { return halve(&w.Operations, 1) },
		func(w *schedule.Workload) bool { return halve(&w.Clients, 1) },
		func(w *schedule.Workload) bool { return halve(&w.Keys, 1) },
	} {
		for c := s.copy(); reduce(&c.Setup.Workload) && s.try(c); c = s.copy() {
		}
	}
}

func halve(n *int, least int) bool {
	if *n/2 < least {
		return false
	}
	*n /= 2
	return true
}

// focus takes the great steps first: it ends the run where the promise is
// broken, and keeps only the operations of which the verdict speaks, or those
// of their keys.
func (s *shrinker) focus() {
	s.ends()
	s.doing = "operations"
	named := namedBy(s.best, s.class)
	if len(named.keys) == 0 {
		return
	}
	only := func(keep func(*schedule.Call) bool) *schedule.Schedule {
		c := s.copy()
		c.Calls = slices.DeleteFunc(c.Calls, func(call schedule.Call) bool { return !keep(&call) })
		return c
	}
	s.anyOf(
		only(named.call),
		only(func(call *schedule.Call) bool { return slices.Contains(named.keys, call.Key) }))
}

// evidence is what a verdict speaks of.
type evidence struct {
	at    time.Duration // when all of it had happened
	keys  []string
	calls []schedule.Call // of which only At, Client and Key count
}

func (e *evidence) call(c *schedule.Call) bool {
	return slices.ContainsFunc(e.calls, func(named schedule.Call) bool {
		return named.At == c.At && named.Client == c.Client && named.Key == c.Key
	})
}

// namedBy gathers the evidence for the first violation of a class.
func namedBy(r *Result, class Class) evidence {
	var e evidence
	if r.Check != nil {
		for _, v := range r.Check.Violations {
			if classOf(v.Class) != class || len(e.keys) > 0 {
				continue
			}
			e.keys = []string{v.Key}
			e.take(v.Operations)
		}
	}
	for _, v := range r.Violations {
		if e.at == 0 && v.Class == class {
			e.take(v.Operations) // of a System
			for _, call := range e.calls {
				e.keys = append(e.keys, call.Key)
			}
			e.at = cmp.Or(e.at, v.At)
		}
	}
	return e
}

func (e *evidence) take(operations []*linearizability.Operation) {
	for _, op := range operations {
		e.at = max(e.at, op.CallTime, op.ReturnTime)
		e.calls = append(e.calls, schedule.Call{At: op.CallTime, Client: op.Client, Key: op.Key})
	}
}

// ends cuts what comes after the broken promise, or as much of it as can go.
func (s *shrinker) ends() bool {
	s.doing = "the end"
	was := s.best.Schedule.Setup.Phases
	at := namedBy(s.best, s.class).at.Truncate(10*time.Millisecond) + 20*time.Millisecond
	var candidates []*schedule.Schedule
	offer := func(p schedule.Phases) {
		if p != was {
			c := s.copy()
			c.Setup.Phases = p
			c.Cut()
			candidates = append(candidates, c)
		}
	}
	calm := schedule.DefaultSetup().Phases
	if at < was.Faults {
		offer(schedule.Phases{Faults: at})
	}
	if at <= was.Faults {
		offer(schedule.Phases{Faults: was.Faults})
	}
	last := s.lastEvent()
	for _, faults := range []time.Duration{last + 100*time.Millisecond, last + time.Second, was.Faults * 3 / 4, was.Faults} {
		faults = faults.Round(10 * time.Millisecond)
		if faults <= was.Faults && (was.Core > 0 || was.Converge > 0) {
			offer(schedule.Phases{Faults: faults, Converge: min(was.Converge, calm.Converge)})
			offer(schedule.Phases{Faults: faults, Core: min(was.Core, calm.Core), Converge: min(was.Converge, calm.Converge)})
			offer(schedule.Phases{Faults: faults, Core: min(was.Core, calm.Core)})
		}
	}
	return s.anyOf(candidates...)
}

// lastEvent is when the last of the schedule's lines is over.
func (s *shrinker) lastEvent() time.Duration {
	last := time.Duration(0)
	for i := range s.best.Schedule.Steps {
		step := &s.best.Schedule.Steps[i]
		last = max(last, step.At+step.After+step.For)
	}
	for i := range s.best.Schedule.Calls {
		last = max(last, s.best.Schedule.Calls[i].At)
	}
	return last
}
