package sim

import "slices"

// Shrink looks for a smaller schedule that breaks the same promise: one of the
// classes that fired in the failing run. It takes away steps, by delta
// debugging, then clients, operations and keys, then rates, and keeps what
// still fails. Draws are keyed, so the rest of the run stays as it was. more is
// asked before each run, with the number of runs so far; Shrink ends when it
// says no, or when nothing can be taken away.
func Shrink(failed *Result, more func(runs int) bool) *Result {
	s := &shrinker{best: failed, classes: failed.Classes, more: more}
	for s.pass() {
	}
	return s.best
}

type shrinker struct {
	best    *Result
	classes []Class
	more    func(runs int) bool
	runs    int
	over    bool
}

// pass tries everything once; it says whether anything was gained.
func (s *shrinker) pass() bool {
	gained := s.steps()
	for _, reduce := range reductions {
		for !s.over {
			candidate := s.copy()
			if !reduce(&candidate.Setup) || !s.try(candidate) {
				break
			}
			gained = true
		}
	}
	return s.lengths() || gained
}

func (s *shrinker) copy() *Schedule {
	return &Schedule{Setup: s.best.Schedule.Setup, Steps: slices.Clone(s.best.Schedule.Steps)}
}

// try runs a candidate, and keeps it if it fails in one of the same classes.
func (s *shrinker) try(candidate *Schedule) bool {
	if s.over || !s.more(s.runs) {
		s.over = true
		return false
	}
	s.runs++
	if candidate.Setup.validate() != nil {
		return false
	}
	r, err := Run(candidate, RunOptions{})
	if err != nil || !slices.ContainsFunc(r.Classes, func(c Class) bool { return slices.Contains(s.classes, c) }) {
		return false
	}
	s.best = r
	return true
}

// steps takes away runs of steps, long ones first.
func (s *shrinker) steps() bool {
	gained := false
	for size := len(s.best.Schedule.Steps); size >= 1 && !s.over; size /= 2 {
		for at := 0; at < len(s.best.Schedule.Steps) && !s.over; {
			candidate := s.copy()
			candidate.Steps = slices.Delete(candidate.Steps, at, min(at+size, len(candidate.Steps)))
			if s.try(candidate) {
				gained = true
			} else {
				at += size
			}
		}
	}
	return gained
}

// lengths ends the faults soon after the last step, and lets faults last
// shorter.
func (s *shrinker) lengths() bool {
	gained := false
	for !s.over {
		candidate := s.copy()
		half := candidate.Setup.Phases.Faults * 3 / 4
		if n := len(candidate.Steps); half < minFaultPhase || n > 0 && candidate.Steps[n-1].At >= half {
			break
		}
		// The pace of the clients stays as it is.
		candidate.Setup.Workload.Operations = candidate.Setup.Workload.Operations * 3 / 4
		candidate.Setup.Phases.Faults = half
		if !s.try(candidate) {
			break
		}
		gained = true
	}
	return gained
}

// minFaultPhase leaves the cluster time to form.
const minFaultPhase = 3e9

// reductions make a setup simpler by one notch, or say that they cannot.
var reductions = []func(*Setup) bool{
	func(s *Setup) bool { return zero(&s.Rates.Loss) },
	func(s *Setup) bool { return zero(&s.Rates.Duplicate) },
	func(s *Setup) bool { return zero(&s.Rates.Reorder) },
	func(s *Setup) bool { return zero(&s.Rates.Delay) },
	func(s *Setup) bool { return zero(&s.Rates.Reset) },
	func(s *Setup) bool { return zero(&s.Rates.HalfOpen) },
	func(s *Setup) bool { return zero(&s.Rates.HintLoss) },
	func(s *Setup) bool { return zero(&s.ZKRates.LoseBefore) },
	func(s *Setup) bool { return zero(&s.ZKRates.LoseAfter) },
	func(s *Setup) bool { return zero(&s.ZKRates.ApplyLate) },
	func(s *Setup) bool { return zero(&s.ZKRates.LoseWatch) },
	func(s *Setup) bool { return zero(&s.ZKRates.ReadFirst) },
	func(s *Setup) bool { return zero(&s.ZKRates.Stall) },
	func(s *Setup) bool { return halve(&s.Workload.Clients, 1) },
	func(s *Setup) bool { return halve(&s.Workload.Operations, 1) },
	func(s *Setup) bool { return halve(&s.Workload.Keys, 1) },
	func(s *Setup) bool {
		return s.Turn > 1 && halve(&s.Turn, 1)
	},
}

func zero(rate *float64) bool {
	changed := *rate != 0
	*rate = 0
	return changed
}

func halve(n *int, least int) bool {
	if *n/2 < least {
		return false
	}
	*n /= 2
	return true
}
