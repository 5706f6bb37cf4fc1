package schedule

import (
	"slices"
	"time"
)

// Generate makes a valid step at a time out of numbers that draw chooses, each
// from low to high, both included. It is for property tests and fuzzers: every
// step that a schedule with this setup may have can come of it.
func Generate(s *Setup, at time.Duration, draw func(what string, low, high int) int) Step {
	g := generator{s, draw}
	step := Step{At: at, Do: Verb(draw("verb", 1, int(NumVerbs)-1))}
	form := verbForms[step.Do]
	g.arguments(&step, form.args)
	if draw("once", 0, 1) == 1 {
		step.Once = Moment(draw("moment", 1, int(moments)-1))
		step.Of = g.partition("of")
	}
	if draw("later", 0, 1) == 1 {
		step.After = g.duration("after")
	}
	if form.lasts && draw("lasts", 0, 1) == 1 {
		step.For = g.duration("for")
	}
	return step
}

type generator struct {
	setup *Setup
	draw  func(what string, low, high int) int
}

func (g generator) arguments(step *Step, args arguments) {
	switch args {
	case oneTarget, targetAndLag, targetAndPartition:
		step.Targets = []Target{g.target()}
	case manyTargets:
		step.Targets = g.targets(4)
	case arrow, twoTargets:
		step.Targets = []Target{{Role: Primary}, {Node: g.setup.Nodes}}
	case arrowAndLag, arrowAndRate:
		step.Targets = []Target{{Node: 1}, {Role: Backup}}
	case partitionAndTargets:
		step.Targets = g.targets(7)
	case rateList:
		for _, f := range rateFields(&step.Rates) {
			*f.rate = float64(g.draw(f.key, 0, 1_000_000)) / 1_000_000
		}
	case serverAndLag, serverOnly:
		step.Server = g.draw("server", 0, g.setup.ZKServers-1)
	}
	switch args {
	case arrowAndLag, targetAndLag, serverAndLag:
		step.Lag = g.duration("lag")
	case arrowAndRate:
		step.Rate = g.draw("rate", 1, maxLinkRate)
	case partitionOnly, partitionAndTargets, targetAndPartition:
		step.Partition = g.partition("partition")
	}
}

func (g generator) partition(what string) int { return g.draw(what, 0, g.setup.Partitions-1) }

// duration is from a nanosecond to a minute.
func (g generator) duration(what string) time.Duration {
	return time.Duration(g.draw(what, 1, int(time.Minute)))
}

func (g generator) target() Target {
	if role := Role(g.draw("role", 0, int(roles)-1)); role != ByNumber {
		return Target{Role: role, Partition: g.partition("partition")}
	}
	return Target{Node: g.draw("node", 1, g.setup.Nodes)}
}

// targets are one to most of them, each once.
func (g generator) targets(most int) []Target {
	var targets []Target
	for range g.draw("targets", 1, most) {
		if target := g.target(); !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets
}
