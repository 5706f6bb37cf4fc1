package sim

import (
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

// drawWide draws, each in a small share of the runs, what a cluster may also be: of
// up to 20 nodes, with up to 512 partitions, from one to seven replicas, patient
// clients, many operations, and values up to the store's limit. The shares are
// smaller where a run is expensive.
func (d *swarm) drawWide() {
	s, w := &d.setup, &d.setup.Workload
	if d.share(2, "many nodes") {
		s.Nodes = d.number(8, schedule.MaxNodes, "many nodes number")
	}
	switch kind := d.below(100, "replicas"); {
	case kind < 4:
		s.Replication = 1
	case kind < 8:
		s.Replication = 2
	case kind < 14 && s.Nodes >= 4:
		s.Replication = 4
	case kind < 26 && s.Nodes >= 7:
		s.Replication = 7
	}
	if d.share(3, "many partitions") {
		d.drawManyPartitions()
	}
	if d.share(20, "patience on") {
		w.Patience = d.span(2*time.Second, 20*time.Second, "patience", 0)
	}
	if d.share(2, "many operations") {
		w.Operations = d.number(2000, 5000, "many operations number")
	}
	if d.share(4, "large values") {
		d.drawLargeValues()
	}
}

// drawManyPartitions makes the cluster smaller and the run shorter: every change of
// the layout costs each node a walk through all partitions. It lets turns have many events:
// they may be 20 ms apart, and a node that handles ten in that time can't start the epochs
// of 240 partitions before the others suspect it (see docs/known-limits.md on overload). So may
// the network have many frames on their way: where twenty of the frames that hundreds of
// partitions send at once arrive, and the next ones 20 ms later, starting all of them takes
// longer than a phase.
func (d *swarm) drawManyPartitions() {
	s := &d.setup
	s.Turn = max(s.Turn, 128)
	s.Partitions = d.number(240, schedule.MaxPartitions, "many partitions number")
	s.QueueFrames = max(s.QueueFrames, s.Partitions/2)
	s.Nodes = min(s.Nodes, 4)
	s.Replication = min(s.Replication, 3)
	s.Phases.Faults = 10 * time.Second
	s.Workload.Keys = d.number(16, 64, "many partitions keys")
	s.Workload.Operations = min(s.Workload.Operations, 600)
}

// drawLargeValues makes some or all values large. The chunks of a snapshot grow
// with them: otherwise it would take thousands of frames.
func (d *swarm) drawLargeValues() {
	s, w := &d.setup, &d.setup.Workload
	if d.share(50, "large values all") {
		w.ValueBytes = d.number(1<<10, 8<<10, "large values bytes")
		s.ChunkBytes = max(s.ChunkBytes, 4<<10)
	} else {
		w.Large = d.number(2, 16, "large values rate")
		s.ChunkBytes = max(s.ChunkBytes, 64<<10)
	}
	s.UncommittedBytes = max(s.UncommittedBytes, 2*node.MaxValueBytes)
}

// drawUneven gives, in some runs, about half of the hosts a clock by which suspect-after
// passes in 70 to 140 percent of its time. The ratio of two of them stays at 2, so a host that suspects early still
// hears at least two heartbeats of a slow one in its time.
func (d *swarm) drawUneven() {
	if !d.share(15, "uneven") {
		return
	}
	s := &d.setup
	for h := range s.Nodes {
		if d.random.Below(2, "swarm uneven host", uint64(h), 0) == 0 {
			percent := 70 + d.random.Below(71, "swarm uneven percent", uint64(h), 0)
			s.Uneven = s.Uneven.With(h, (s.SuspectAfter * time.Duration(percent) / 100).Round(time.Millisecond))
		}
	}
}

// drawSpread draws the version of the ring's rule by which the cluster is formed, and in
// some runs zones, of which the first may have most of the hosts, and weights.
func (d *swarm) drawSpread() {
	s := &d.setup
	zones := 35
	if d.share(35, "ring of an older build") {
		s.Ring, zones = 1, 70 // without zones or weights both versions name the same members
	}
	if d.share(zones, "zones on") {
		count := d.number(2, 4, "zones")
		for h := range s.Nodes {
			most := 1 + d.random.Below(count, "swarm zones below", uint64(h), 0)
			s.Zones += schedule.PerHost('a' + rune(d.random.Below(most, "swarm zone", uint64(h), 0)))
		}
	}
	if d.share(20, "weights on") {
		for h := range s.Nodes {
			s.Weights += schedule.PerHost('1' + rune(d.random.Below(4, "swarm weight", uint64(h), 0)))
		}
	}
}
