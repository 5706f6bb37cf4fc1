//go:build linux

package main_test

import (
	"fmt"
	"strconv"
	"time"

	"dkv/linearizability"
)

// clusterScene is what was done to a cluster and its ZooKeeper while a history
// was recorded, by the history's clock, so that dkvsim check --html shows it.
type clusterScene struct {
	scene linearizability.Annotations
	now   func() time.Duration
	names map[uint32]string // of members, as far as they are known
	open  map[string]int    // the band of a lane that is down or paused
}

const zooKeeperLane = "zookeeper"

func newClusterScene(w *workload, nodes []*node) *clusterScene {
	s := &clusterScene{now: w.now, names: map[uint32]string{}, open: map[string]int{}}
	for _, n := range nodes {
		s.span(linearizability.Span{Lane: n.id, State: linearizability.Up, Label: n.http})
	}
	s.span(linearizability.Span{Lane: zooKeeperLane, State: linearizability.Up})
	return s
}

func (s *clusterScene) span(x linearizability.Span) {
	x.From = s.now()
	s.scene.Spans = append(s.scene.Spans, x)
}

// struck begins a band as well.
func (s *clusterScene) struck(lane string, state linearizability.SpanState, how string) {
	s.up(lane) // a band that is open ends
	s.span(linearizability.Span{Lane: lane, State: state, Label: how})
	band := linearizability.Band{Kind: linearizability.BandFault, Label: lane + ": " + how, From: s.now()}
	if lane == zooKeeperLane {
		band.Kind = linearizability.BandZooKeeper
	}
	s.open[lane] = len(s.scene.Bands)
	s.scene.Bands = append(s.scene.Bands, band)
}

func (s *clusterScene) down(lane, how string) { s.struck(lane, linearizability.Down, how) }
func (s *clusterScene) paused(lane string)    { s.struck(lane, linearizability.Paused, "SIGSTOP") }

// up ends what a lane was struck by.
func (s *clusterScene) up(lane string) {
	band, struck := s.open[lane]
	if !struck {
		return
	}
	delete(s.open, lane)
	s.scene.Bands[band].To = max(s.now(), 1)
	s.span(linearizability.Span{Lane: lane, State: linearizability.Up})
}

// primary tells of a primary as it is seen; the one before is none any more.
func (s *clusterScene) primary(partition int, p epochLeader) {
	name, known := s.names[p.Primary]
	if !known {
		name = fmt.Sprintf("member %d", p.Primary)
	}
	now := max(s.now(), 1)
	for i := range s.scene.Spans {
		if x := &s.scene.Spans[i]; x.State == linearizability.Primary && x.Partition == strconv.Itoa(partition) && x.To == 0 {
			x.To = now
		}
	}
	s.span(linearizability.Span{Lane: name, State: linearizability.Primary, Partition: strconv.Itoa(partition), Epoch: p.Epoch, Label: "as seen"})
}
