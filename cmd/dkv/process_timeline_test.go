//go:build linux

package main_test

import (
	"fmt"
	"strconv"
	"time"

	"dkv/linearizability"
)

// clusterTimeline records what was done to a cluster and its ZooKeeper while a
// history was recorded, by the history's clock, so that dkvsim check --html can
// show it.
type clusterTimeline struct {
	annotations linearizability.Annotations
	now         func() time.Duration
	names       map[uint32]string // of the members known so far
	open        map[string]int    // by lane, if it is down or paused: its band
}

const zooKeeperLane = "zookeeper"

func newClusterTimeline(w *workload, nodes []*node) *clusterTimeline {
	s := &clusterTimeline{now: w.now, names: map[uint32]string{}, open: map[string]int{}}
	for _, n := range nodes {
		s.span(linearizability.Span{Lane: n.id, State: linearizability.Up, Label: n.http})
	}
	s.span(linearizability.Span{Lane: zooKeeperLane, State: linearizability.Up})
	return s
}

func (s *clusterTimeline) span(x linearizability.Span) {
	x.From = s.now()
	s.annotations.Spans = append(s.annotations.Spans, x)
}

// fault begins a span and a band for a fault of a lane.
func (s *clusterTimeline) fault(lane string, state linearizability.SpanState, how string) {
	s.up(lane) // ends a band that is open
	s.span(linearizability.Span{Lane: lane, State: state, Label: how})
	band := linearizability.Band{Kind: linearizability.BandFault, Label: lane + ": " + how, From: s.now()}
	if lane == zooKeeperLane {
		band.Kind = linearizability.BandZooKeeper
	}
	s.open[lane] = len(s.annotations.Bands)
	s.annotations.Bands = append(s.annotations.Bands, band)
}

func (s *clusterTimeline) down(lane, how string) { s.fault(lane, linearizability.Down, how) }
func (s *clusterTimeline) paused(lane string)    { s.fault(lane, linearizability.Paused, "SIGSTOP") }

// up ends the fault of a lane, if it has one.
func (s *clusterTimeline) up(lane string) {
	band, open := s.open[lane]
	if !open {
		return
	}
	delete(s.open, lane)
	s.annotations.Bands[band].To = max(s.now(), 1)
	s.span(linearizability.Span{Lane: lane, State: linearizability.Up})
}

// primary records the primary of a partition when it is first seen, and ends the
// span of the primary before it.
func (s *clusterTimeline) primary(partition int, p epochLeader) {
	name, known := s.names[p.Primary]
	if !known {
		name = fmt.Sprintf("member %d", p.Primary)
	}
	now := max(s.now(), 1)
	for i := range s.annotations.Spans {
		if x := &s.annotations.Spans[i]; x.State == linearizability.Primary && x.Partition == strconv.Itoa(partition) && x.To == 0 {
			x.To = now
		}
	}
	s.span(linearizability.Span{Lane: name, State: linearizability.Primary, Partition: strconv.Itoa(partition), Epoch: p.Epoch, Label: "as seen"})
}
