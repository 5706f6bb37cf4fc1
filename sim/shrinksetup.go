package sim

import (
	"dkv/sim/schedule"
	"slices"
	"strconv"
	"time"
)

// settings resets non-default fields of the setup, many fields at once at first. A
// brief text leaves out the defaults.
func (s *shrinker) settings() bool {
	s.doing = "settings"
	return s.sweep(func() int { return len(unusual(&s.best.Schedule.Setup)) }, func(from, to int) *schedule.Schedule {
		c := s.copy()
		for _, f := range unusual(&c.Setup)[from:to] {
			f.Reset(&c.Setup)
		}
		c.FitMoves()
		return c
	})
}

// unusual lists the non-default fields, except those that have reductions of their
// own.
func unusual(s *schedule.Setup) []schedule.Field {
	var list []schedule.Field
	for _, f := range schedule.Fields() {
		switch {
		case f.Line == "seed", f.Line == "nodes", f.Line == "strangers", f.Line == "partitions", f.Line == "phases", f.Key == "calls":
		case s.Workload.Source == schedule.Drawn && (f.Line == "workload" || f.Line == "mix"):
		case f.Unusual(s):
			list = append(list, f)
		}
	}
	return list
}

// sizes makes the cluster smaller, under this seed or one of the next seeds.
func (s *shrinker) sizes(seeds int) bool {
	s.doing = "the cluster's size"
	if s.best.Schedule.Setup.Strangers > 0 {
		c := s.copy()
		c.DropStrangers()
		s.anyOf(c)
	}
	was := s.best.Schedule.Setup
	nodes := max(3, was.Replication)
	gained := was.Partitions > 1 && was.Nodes > nodes && s.shrunkTo(1, nodes, seeds)
	for q := 1; q < s.best.Schedule.Setup.Partitions && !gained; q *= 2 {
		gained = s.shrunkTo(q, was.Nodes, seeds)
	}
	for n := nodes; n < s.best.Schedule.Setup.Nodes; n++ {
		if s.shrunkTo(s.best.Schedule.Setup.Partitions, n, seeds) {
			return true
		}
	}
	return gained
}

// shrunkTo tries a cluster with these numbers of partitions and nodes.
func (s *shrinker) shrunkTo(partitions, nodes, seeds int) bool {
	return s.first(func(k int) *schedule.Schedule {
		if k > seeds {
			return nil
		}
		c := s.copy()
		c.Fold(partitions, nodes)
		c.Setup.Seed += uint64(k)
		return c
	}) >= 0
}

// tidy makes the result easy to read: lines start early and at round times, and
// clients and keys are renumbered.
func (s *shrinker) tidy() {
	s.doing = "names and times"
	s.names()
	s.gaps()
	s.rounding()
	s.ends()
}

// names renumbers clients and keys.
func (s *shrinker) names() {
	clients, keys := s.copy(), s.copy()
	var known []int
	for i := range clients.Calls {
		call := &clients.Calls[i]
		at := slices.Index(known, call.Client)
		if at < 0 {
			at = len(known)
			known = append(known, call.Client)
		}
		call.Client = at
	}
	names := callKeys(keys.Calls)
	for i := range clients.Calls {
		k, _ := slices.BinarySearch(names, keys.Calls[i].Key)
		keys.Calls[i].Client = clients.Calls[i].Client
		keys.Calls[i].Key = "k" + strconv.Itoa(k+1)
	}
	s.anyOf(keys, clients)
}

// gaps moves the first line close to the time at which the cluster has formed, and
// every other line close to the one before it.
func (s *shrinker) gaps() {
	for i := 0; !s.over; i++ {
		times := s.best.Schedule.Times()
		if i >= len(times) {
			return
		}
		var candidates []*schedule.Schedule
		before := time.Duration(0)
		if i > 0 {
			before = times[i-1]
		}
		for _, gap := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second} {
			if early := times[i] - before - gap; early > gap/4 && (i > 0 || gap >= 2*time.Second) {
				candidates = append(candidates, s.earlier(times[i], early))
			}
		}
		s.anyOf(candidates...)
	}
}

// earlier moves all lines at or after a time.
func (s *shrinker) earlier(from, by time.Duration) *schedule.Schedule {
	c := s.copy()
	for i := range c.Steps {
		if c.Steps[i].At >= from {
			c.Steps[i].At -= by
		}
	}
	for i := range c.Calls {
		if c.Calls[i].At >= from {
			c.Calls[i].At -= by
		}
	}
	if c.Setup.Phases.Faults > by {
		c.Setup.Phases.Faults -= by
	}
	return c
}

var roundTo = []time.Duration{time.Second, 500 * time.Millisecond, 100 * time.Millisecond, 10 * time.Millisecond, time.Millisecond}

// rounding rounds all durations together as far as possible, and then each one
// further.
func (s *shrinker) rounding() {
	s.first(func(i int) *schedule.Schedule {
		if i >= len(roundTo) {
			return nil
		}
		c := s.copy()
		for _, d := range c.Durations() {
			*d = roundUp(*d, roundTo[i])
		}
		return c
	})
	n := len(s.copy().Durations())
	for k := 0; k < n && !s.over; k++ {
		var candidates []*schedule.Schedule
		for _, unit := range roundTo {
			c := s.copy()
			d := c.Durations()[k]
			if *d%unit == 0 {
				break
			}
			*d = roundUp(*d, unit)
			candidates = append(candidates, c)
		}
		s.anyOf(candidates...)
	}
}

// roundUp rounds a duration to a multiple of the unit, but never to zero.
func roundUp(d, unit time.Duration) time.Duration {
	return max(d.Round(unit), unit)
}
