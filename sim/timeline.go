package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/ring"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// The kinds of bands that package linearizability does not define: actions of an
// administrator, and beginnings of a run's phases.
const (
	bandOperator = "operator"
	bandPhase    = "phase"
)

// timelineRecorder records what a report shows beside a history: the states of the
// hosts, reigns, faults and phases. Only the run for a report has one; the methods
// do nothing on a nil receiver.
type timelineRecorder struct {
	annotations linearizability.Annotations
	reigns      map[reign]int // current reigns, as indices of annotations.Spans
	faults      []int         // faults still in force, as indices of annotations.Bands
}

type reign struct {
	host      int
	partition node.PartitionID
}

func newTimelineRecorder(s *schedule.Setup) *timelineRecorder {
	r := &timelineRecorder{reigns: map[reign]int{}}
	r.annotations.Partitions = map[string]string{}
	for host := range s.Hosts() {
		r.span(linearizability.Span{Lane: schedule.HostName(host), State: linearizability.Down, Label: "not started yet"})
	}
	return r
}

// place records the partition of each key of a history.
func (r *timelineRecorder) place(history []linearizability.Operation, partitions int) {
	for i := range history {
		key := history[i].Key
		if _, known := r.annotations.Partitions[key]; !known {
			r.annotations.Partitions[key] = strconv.Itoa(ring.PartitionOf([]byte(key), partitions))
		}
	}
}

func (r *timelineRecorder) span(s linearizability.Span) int {
	r.annotations.Spans = append(r.annotations.Spans, s)
	return len(r.annotations.Spans) - 1
}

// event adds a band without a length.
func (r *timelineRecorder) event(at time.Duration, kind, format string, args ...any) {
	if r != nil {
		r.annotations.Bands = append(r.annotations.Bands, linearizability.Band{Kind: kind, Label: fmt.Sprintf(format, args...), From: at, To: max(at, 1)})
	}
}

func (r *timelineRecorder) onHost(at time.Duration, host int, change world.HostChange) {
	if r == nil {
		return
	}
	s := linearizability.Span{Lane: schedule.HostName(host), State: linearizability.Up, From: at}
	switch change {
	case world.HostPaused:
		s.State = linearizability.Paused
	case world.HostCrashed, world.HostStopped, world.HostFailed:
		s.State, s.Label = linearizability.Down, change.String()
		for which := range r.reigns { // order-free: the order of deletions does not matter
			if which.host == host {
				delete(r.reigns, which) // its span ends when the lane goes down
			}
		}
	}
	r.span(s)
}

// onEvent follows each reign from the time at which a node acts as primary to the
// time at which it knows that it is primary no longer.
func (r *timelineRecorder) onEvent(at time.Duration, host int, ev *node.Event) {
	if r == nil {
		return
	}
	which := reign{host, ev.Partition}
	switch ev.Kind {
	case node.EventReignStarted:
		r.reigns[which] = r.span(linearizability.Span{
			Lane: schedule.HostName(host), State: linearizability.Primary,
			Partition: strconv.Itoa(int(ev.Partition)), Epoch: uint64(ev.Epoch), From: at, Label: "never active",
		})
	case node.EventReignActive:
		if i, begun := r.reigns[which]; begun {
			r.annotations.Spans[i].Label = fmt.Sprintf("active from %v", at)
		}
	case node.EventReignEnded:
		if i, begun := r.reigns[which]; begun {
			span := &r.annotations.Spans[i]
			span.To, span.Label = max(at, 1), span.Label+"; over: "+ev.Text
			delete(r.reigns, which)
		}
	case node.EventSessionExpired:
		r.event(at, linearizability.BandZooKeeper, "%s: session expired", schedule.HostName(host))
	}
}

// began adds a band for a fault that begins and returns its index, for ended. A
// fault that does not last is an event.
func (r *timelineRecorder) began(at time.Duration, s *schedule.Step, hosts []int, lasts bool) (band int) {
	if r == nil {
		return 0
	}
	kind := linearizability.BandFault
	switch {
	case s.Do.Family == schedule.FamilyAdministrator:
		kind = bandOperator
	case s.Do.Family == schedule.FamilyZooKeeper:
		kind = linearizability.BandZooKeeper
	}
	_, words, _ := strings.Cut(strings.TrimPrefix(s.String(), "at "), " ") // without the time
	if len(hosts) > 0 {
		words += " (" + strings.Join(hostNames(hosts), ", ") + ")"
	}
	r.event(at, kind, "%s", words)
	band = len(r.annotations.Bands) - 1
	if lasts {
		r.annotations.Bands[band].To = 0
		r.faults = append(r.faults, band)
	}
	return band
}

func (r *timelineRecorder) ended(at time.Duration, band int) {
	if r != nil && r.annotations.Bands[band].To == 0 {
		r.annotations.Bands[band].To = max(at, 1)
	}
}

// outside adds a band for a node that stays outside the healed core.
func (r *timelineRecorder) outside(at time.Duration, host int, what schedule.Outside) {
	if r == nil {
		return
	}
	r.event(at, linearizability.BandFault, "outside: %s %v", schedule.HostName(host), what)
	band := len(r.annotations.Bands) - 1
	r.annotations.Bands[band].To = 0
	r.faults = append(r.faults, band)
}

// healed ends every fault that is still in force.
func (r *timelineRecorder) healed(at time.Duration) {
	if r == nil {
		return
	}
	r.event(at, bandPhase, "all healed")
	for _, band := range r.faults {
		r.ended(at, band)
	}
}
