package sim

import (
	"slices"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

// dayFamily is the family of a profile whose runs last a day of virtual time.
const dayFamily = "day"

// A day is an ordinary run in slow motion: it is drawn like any other, but with
// faults for longer, and then stretched. What the nodes wait for and what a fault
// lasts grow in the same proportion, by which suspect-after comes to 20 s to 2 min;
// the time between faults grows more. What does not grow are the times that the
// code fixes: there they expire while something is still under way.
type day struct {
	pace time.Duration // durations grow by this factor
	gaps time.Duration // times between faults grow by this factor
}

const (
	// dayFaults is the length of the fault phase; the other phases fill up the day.
	dayFaults = 23 * time.Hour
	// dayDrawn is the length of the fault phase before it is stretched.
	dayDrawn = 90 * time.Second
)

// drawDay shortens what makes a long run expensive, and draws the pace.
func (d *swarm) drawDay() {
	if !slices.Contains(d.profile.families, dayFamily) {
		d.day = day{pace: 1, gaps: 1}
		return
	}
	s := &d.setup
	s.Nodes = min(s.Nodes, 5)
	s.Replication = min(s.Replication, s.Nodes)
	s.Partitions = min(s.Partitions, 8)
	s.Phases.Faults = dayDrawn
	suspectAfter := d.span(20*time.Second, 2*time.Minute, "day suspect after", 0)
	d.day = day{pace: max(1, suspectAfter/s.SuspectAfter), gaps: dayFaults / dayDrawn}
}

// stretch brings the steps of one fault, drawn for a time, to the day's pace.
func (d *swarm) stretch(steps []schedule.Step, at time.Duration) []schedule.Step {
	if d.day.pace == 1 {
		return steps
	}
	for i := range steps {
		s := &steps[i]
		s.At = min(at*d.day.gaps+(s.At-at)*d.day.pace, dayFaults)
		s.For *= d.day.pace
		s.After *= d.day.pace
		s.Lag *= d.day.pace
	}
	return steps
}

// endDay brings the setup to the day's pace.
func (d *swarm) endDay() {
	if d.day.pace == 1 {
		return
	}
	s, w := &d.setup, &d.setup.Workload
	for _, t := range []*time.Duration{&s.SuspectAfter, &s.MoveTimeout, &s.SettleTime, &s.ViewTime, &s.ReplaceAfter, &s.Phases.Core, &s.Phases.Converge, &s.Steady.Time} {
		*t *= d.day.pace
	}
	s.RequestTimeout = min(s.RequestTimeout*d.day.pace, node.MaxRequestTimeout)
	w.Timeout, w.Patience = d.span(45*time.Second, node.MaxRequestTimeout, "day timeout", 0), 0
	list, _ := s.Uneven.List() // it was drawn here
	s.Uneven = ""
	for _, h := range list {
		s.Uneven = s.Uneven.With(h.Host, h.SuspectAfter*d.day.pace)
	}
	s.Phases.Faults = dayFaults
	s.SessionTimeout = d.span(10*time.Second, time.Minute, "day session timeout", 0)
	s.ZKScripts = 0 // their pace is that of an ordinary run
}
