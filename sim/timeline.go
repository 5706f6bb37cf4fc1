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

// bandOperator is the kind of band of what an outside hand asks, bandPhase that
// of the moments at which a run goes on to its next phase.
const (
	bandOperator = "operator"
	bandPhase    = "phase"
)

// sceneRecorder gathers what a report shows around a history. Only the second
// run of a failed schedule has one; its methods do nothing on nil.
type sceneRecorder struct {
	scene  linearizability.Annotations
	reigns map[reign]int // those that have begun and not ended, in scene.Spans
	faults []int         // bands that nothing has taken back yet
}

type reign struct {
	host      int
	partition node.PartitionID
}

func newSceneRecorder(s *schedule.Setup) *sceneRecorder {
	r := &sceneRecorder{reigns: map[reign]int{}}
	r.scene.Partitions = map[string]string{}
	for host := range s.Nodes {
		r.span(linearizability.Span{Lane: schedule.HostName(host), State: linearizability.Down, Label: "not started yet"})
	}
	return r
}

// place tells of which partition the keys of a history are.
func (r *sceneRecorder) place(history []linearizability.Operation, partitions int) {
	for i := range history {
		key := history[i].Key
		if _, known := r.scene.Partitions[key]; !known {
			r.scene.Partitions[key] = strconv.Itoa(ring.PartitionOf([]byte(key), partitions))
		}
	}
}

func (r *sceneRecorder) span(s linearizability.Span) int {
	r.scene.Spans = append(r.scene.Spans, s)
	return len(r.scene.Spans) - 1
}

// moment is a band of no length.
func (r *sceneRecorder) moment(at time.Duration, kind, format string, args ...any) {
	if r != nil {
		r.scene.Bands = append(r.scene.Bands, linearizability.Band{Kind: kind, Label: fmt.Sprintf(format, args...), From: at, To: max(at, 1)})
	}
}

func (r *sceneRecorder) onHost(at time.Duration, host int, change world.HostChange) {
	if r == nil {
		return
	}
	s := linearizability.Span{Lane: schedule.HostName(host), State: linearizability.Up, From: at}
	switch change {
	case world.HostPaused:
		s.State = linearizability.Paused
	case world.HostCrashed, world.HostStopped, world.HostFailed:
		s.State, s.Label = linearizability.Down, change.String()
		for which := range r.reigns { // order-free: which of them go does not depend on it
			if which.host == host {
				delete(r.reigns, which) // the span ends with its lane's going down
			}
		}
	}
	r.span(s)
}

// onEvent follows the reigns: from when a node acts as primary to when it knows
// that it is none any more.
func (r *sceneRecorder) onEvent(at time.Duration, host int, ev *node.Event) {
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
			r.scene.Spans[i].Label = fmt.Sprintf("active from %v", at)
		}
	case node.EventReignEnded:
		if i, begun := r.reigns[which]; begun {
			span := &r.scene.Spans[i]
			span.To, span.Label = max(at, 1), span.Label+"; over: "+ev.Text
			delete(r.reigns, which)
		}
	case node.EventSessionExpired:
		r.moment(at, linearizability.BandZooKeeper, "%s: session expired", schedule.HostName(host))
	}
}

// began tells of a fault as it takes place, and returns its band, for its end. A
// fault that nothing takes back is a moment.
func (r *sceneRecorder) began(at time.Duration, s *schedule.Step, hosts []int, lasts bool) (band int) {
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
	r.moment(at, kind, "%s", words)
	band = len(r.scene.Bands) - 1
	if lasts {
		r.scene.Bands[band].To = 0
		r.faults = append(r.faults, band)
	}
	return band
}

func (r *sceneRecorder) ended(at time.Duration, band int) {
	if r != nil && r.scene.Bands[band].To == 0 {
		r.scene.Bands[band].To = max(at, 1)
	}
}

// outside tells of a node that the healed core has to do without.
func (r *sceneRecorder) outside(at time.Duration, host int, what schedule.Outside) {
	if r == nil {
		return
	}
	r.moment(at, linearizability.BandFault, "outside: %s %v", schedule.HostName(host), what)
	band := len(r.scene.Bands) - 1
	r.scene.Bands[band].To = 0
	r.faults = append(r.faults, band)
}

// healed ends every fault that is still there.
func (r *sceneRecorder) healed(at time.Duration) {
	if r == nil {
		return
	}
	r.moment(at, bandPhase, "all healed")
	for _, band := range r.faults {
		r.ended(at, band)
	}
}
