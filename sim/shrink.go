package sim

import (
	"slices"
	"time"

	"dkv/sim/schedule"
)

// ShrinkOptions bounds the work of Shrink and reports its progress.
type ShrinkOptions struct {
	// More is called before each batch of runs. Shrink ends when it returns false,
	// or when nothing more can be removed. nil: continue without limit.
	More func(ShrinkProgress) bool
	// RunAll runs independent schedules, possibly in parallel, and returns a result
	// for each, in their order. nil: run them one after another.
	RunAll func([]*schedule.Schedule) []*Result
	// Jobs is the greatest number of schedules that RunAll gets. It changes the time
	// that Shrink takes, but not its result. Default 1.
	Jobs int
}

// ShrinkProgress describes how far a minimisation has come.
type ShrinkProgress struct {
	Runs   int
	Doing  string // what is being reduced, in a word or two
	Faults int    // steps of the smallest failing schedule so far
	Calls  int    // and its clients' operations
}

// Shrink looks for a smaller schedule that fails in the same class as the given
// run, in its worst class if there are several. It lists the drawn operations as
// calls, ends the run soon after the violation, and removes calls, faults and
// non-default settings by delta debugging. What remains moves to round times.
// Draws are keyed, so removing one line leaves the rest of the run as it was; only
// when nothing more can be removed does Shrink try other seeds with fewer lines.
// The result is always a run that failed, at worst the one that was given.
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

// A schedule with at most shortFaults steps and shortCalls calls is short enough.
// To remove one more line, Shrink tries fewSeeds other seeds, and up to manySeeds
// while the schedule is longer than that.
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
		// A schedule that cannot be run counts as one that does not fail.
		results[i], _ = run(s, RunOptions{})
	}
	return results
}

// shrinker is one minimisation in progress.
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
		s.freeze() // a workload that could not be listed at first may be now
	}
}

// pass tries to remove everything once. It reports whether anything was removed.
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

// first runs candidate(0), candidate(1) and so on, in batches, until one fails in
// the class that counts. That one becomes the best, and first returns its number;
// it returns -1 if candidate returns nil before one fails.
func (s *shrinker) first(candidate func(i int) *schedule.Schedule) int {
	for from, more := 0, true; more && s.hasTime(); from += s.options.Jobs {
		var batch []*schedule.Schedule
		var numbers []int
		for i := from; i < from+s.options.Jobs && more; i++ {
			c := candidate(i)
			if c == nil {
				more = false
				continue
			}
			// People run the text, so Shrink tries exactly what the text says.
			if read, err := schedule.Parse(c.Brief()); err == nil {
				batch, numbers = append(batch, read), append(numbers, i)
			}
		}
		if len(batch) == 0 {
			continue
		}
		s.runs += len(batch)
		for k, r := range s.options.RunAll(batch) {
			if r != nil && slices.Contains(r.Classes, s.class) {
				s.best = r
				return numbers[k]
			}
		}
	}
	return -1
}

// hasTime reports whether More allows further runs.
func (s *shrinker) hasTime() bool {
	if !s.over && s.options.More != nil {
		best := s.best.Schedule
		s.over = !s.options.More(ShrinkProgress{s.runs, s.doing, len(best.Steps), len(best.Calls)})
	}
	return !s.over
}

// try runs one candidate and reports whether it failed in the class that counts.
func (s *shrinker) try(c *schedule.Schedule) bool {
	return s.first(func(i int) *schedule.Schedule {
		if i > 0 {
			return nil
		}
		return c
	}) == 0
}

// anyOf tries candidates in order until one fails.
func (s *shrinker) anyOf(candidates ...*schedule.Schedule) bool {
	return s.first(func(i int) *schedule.Schedule {
		if i >= len(candidates) {
			return nil
		}
		return candidates[i]
	}) >= 0
}

// sweep removes items from a list, long ranges first. without returns a candidate
// that lacks the items from, from+1, …, to-1 of the current list.
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

// reseed removes lines and tries other seeds: often another draw does what the
// removed fault did.
func (s *shrinker) reseed(tries int) bool {
	s.doing = "other seeds"
	steps, calls := len(s.best.Schedule.Steps), len(s.best.Schedule.Calls)
	if s.reseedWithout(steps, tries, func(c *schedule.Schedule, from, to int) { c.Steps = slices.Delete(c.Steps, from, to) }) {
		return true
	}
	return calls > shortCalls &&
		s.reseedWithout(calls, tries, func(c *schedule.Schedule, from, to int) { c.Calls = slices.Delete(c.Calls, from, to) })
}

// reseedWithout tries so many seeds for each range of lines, long ranges first,
// until a run fails.
func (s *shrinker) reseedWithout(count, tries int, drop func(c *schedule.Schedule, from, to int)) bool {
	for size := (count + 1) / 2; size >= 1; size /= 2 {
		for at := 0; at < count && s.hasTime(); at += size {
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

// freeze lists the drawn operations as calls, if the run still fails then.
func (s *shrinker) freeze() {
	s.doing = "listing the operations"
	if s.best.Schedule.Setup.Workload.Source == schedule.Listed {
		return
	}
	if !s.try(Freeze(s.best)) {
		s.drawn()
	}
}

// drawn reduces a workload that could not be listed.
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

// focus takes the largest steps first: it ends the run soon after the violation,
// and keeps only the operations that the verdict names, or those of their keys.
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

// ends cuts off what follows the violation, or as much of it as possible.
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

// lastEvent returns the time at which the schedule's last line is over.
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
