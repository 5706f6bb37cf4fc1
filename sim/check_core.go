package sim

import (
	"math/bits"
	"slices"
	"strconv"
	"time"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/quorum"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// core is the part of the cluster that is healed first, and what it owes.
type core struct {
	hosts   []int
	set     uint               // the hosts as bits
	covered []node.PartitionID // partitions whose majorities are in the core
	probes  []*probe
}

// probe is one client at one node of the core who asks one partition until it
// is done.
type probe struct {
	host      int
	partition node.PartitionID
	key       string
	wrote     bool
	over      bool
	last      string // why it is not over
}

// corePhase heals a viable core and keeps it; the rest stays broken, some of it
// in other ways than before. Everything that clients at the core's nodes ask of
// partitions whose majorities are in the core has to be done within the bound.
func (r *run) corePhase() {
	c := r.chooseCore()
	r.world.HealCore(c.hosts...)
	r.faults.setRates(netsim.Rates{})
	r.breakOutside(c.hosts)
	for _, h := range c.hosts {
		r.world.Restart(h)
	}
	r.note("core %v answers for %d of %d partitions", hostNames(c.hosts), len(c.covered), r.setup.Partitions)
	r.options.scene.moment(r.world.Now(), bandPhase, "core %v healed", hostNames(c.hosts))
	r.load.hosts = c.hosts
	for _, h := range c.hosts {
		for _, p := range c.covered {
			b := &probe{host: h, partition: p, key: keyIn(p, r.setup.Partitions), last: "it was not asked yet"}
			c.probes = append(c.probes, b)
			r.probe(b)
		}
	}
	deadline := r.world.Now() + r.setup.Phases.Core
	answered := func() bool {
		return len(r.owed(c)) == 0 && r.load.calls >= r.enough() && len(r.unregistered(c)) == 0
	}
	if r.until(deadline, answered) || r.aborted {
		return
	}
	for _, b := range r.owed(c) {
		r.verdict.broken(Progress, "%s did not get partition %d served within %v, though a majority of its replicas is in the healed core %v: %s",
			schedule.HostName(b.host), b.partition, r.setup.Phases.Core, hostNames(c.hosts), b.last)
	}
	for _, h := range r.unregistered(c) {
		r.verdict.broken(Progress, "%s did not register in ZooKeeper within %v, though nothing in the healed core %v keeps it from it",
			schedule.HostName(h), r.setup.Phases.Core, hostNames(c.hosts))
	}
}

// unregistered are the core's hosts whose session does not hold live/<id> just
// now. A node serves without, but can make no step of the layout. Of what never
// formed a cluster, the probes tell.
func (r *run) unregistered(c *core) []int {
	if r.world.Layout() == nil {
		return nil
	}
	var missing []int
	for _, h := range c.hosts {
		if own := r.world.SessionID(h); own == 0 || r.registeredBy(h) != own {
			missing = append(missing, h)
		}
	}
	return missing
}

// enough is how many operations a run should have at least, if the faults kept
// its clients waiting: they go on asking the core.
func (r *run) enough() uint64 {
	if r.setup.Workload.Source == schedule.Listed {
		return 0
	}
	return uint64(min(320, r.setup.Workload.Operations*3/8))
}

// owed are the probes that are not over, and whose partitions still have their
// majorities in the core: a move that was under way may have taken one out.
func (r *run) owed(c *core) []*probe {
	var owed []*probe
	l := r.world.Layout()
	for _, b := range unanswered(c.probes) {
		if l != nil {
			if part, ok := l.Partition(b.partition); ok && !r.covers(c.set, part) {
				continue
			}
		}
		owed = append(owed, b)
	}
	return owed
}

// unanswered are the probes that are not over.
func unanswered(probes []*probe) []*probe {
	return slices.DeleteFunc(slices.Clone(probes), func(b *probe) bool { return b.over })
}

func hostNames(hosts []int) []string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = schedule.HostName(h)
	}
	return names
}

// chooseCore finds the smallest majority of nodes in which most partitions keep
// a majority of their replicas; among equals a drawn one.
func (r *run) chooseCore() *core {
	n := r.setup.Nodes
	l := r.world.Layout()
	if l == nil && r.system == nil { // never formed: everybody is needed
		return r.newCore(1<<n-1, nil)
	}
	best, most := []uint{}, -1
	for set := range uint(1) << n {
		if bits.OnesCount(set) != n/2+1 || set&r.damaged() != 0 {
			continue
		}
		switch covered := len(r.covered(l, set)); {
		case covered > most:
			best, most = []uint{set}, covered
		case covered == most:
			best = append(best, set)
		}
	}
	return r.newCore(best[r.world.Random().Below(len(best), "run core", 0, 0)], l)
}

// damaged are the hosts whose disks are, as bits.
func (r *run) damaged() uint {
	set := uint(0)
	for h := range r.setup.Nodes {
		if r.world.Damaged(h) {
			set |= 1 << h
		}
	}
	return set
}

func (r *run) newCore(set uint, l *layout.Layout) *core {
	c := &core{set: set}
	for h := range r.setup.Nodes {
		if set>>h&1 != 0 {
			c.hosts = append(c.hosts, h)
		}
	}
	c.covered = r.covered(l, set)
	return c
}

// covered lists the partitions with a majority of R in the set, or all if there
// is no layout. A majority of N is not needed: without it the move is cancelled.
func (r *run) covered(l *layout.Layout, set uint) []node.PartitionID {
	var covered []node.PartitionID
	if l == nil {
		for p := range r.setup.Partitions {
			covered = append(covered, node.PartitionID(p))
		}
		return covered
	}
	for p, part := range l.Partitions() {
		if r.covers(set, part) {
			covered = append(covered, node.PartitionID(p))
		}
	}
	return covered
}

func (r *run) covers(set uint, part layout.Partition) bool {
	inside := 0
	for _, m := range part.Replicas {
		if h := r.world.HostOf(m); h != world.NoHost && set>>h&1 != 0 {
			inside++
		}
	}
	return inside >= quorum.Majority(len(part.Replicas))
}

// breakOutside does to the nodes outside the core what the setup says.
func (r *run) breakOutside(core []int) {
	for h := range r.setup.Nodes {
		if slices.Contains(core, h) {
			continue
		}
		what := r.setup.Outside
		if what == schedule.OutsideMixed {
			choices := []schedule.Outside{schedule.OutsideAsTheyAre, schedule.OutsideDown, schedule.OutsideIsolated, schedule.OutsideDeaf, schedule.OutsideMute}
			what = choices[r.world.Random().Below(len(choices), "run outside", uint64(h), 0)]
		}
		r.note("%s stays outside: %s", schedule.HostName(h), what)
		r.options.scene.outside(r.world.Now(), h, what)
		r.breakHost(h, what, core)
	}
}

func (r *run) breakHost(h int, what schedule.Outside, core []int) {
	network, id := r.world.Network(), r.world.NetID(h)
	switch what {
	case schedule.OutsideDown:
		r.world.Crash(h)
	case schedule.OutsideIsolated:
		network.Isolate(id)
	case schedule.OutsideDeaf:
		for _, c := range core {
			network.CutOneWay(r.world.NetID(c), id)
		}
	case schedule.OutsideMute:
		for _, c := range core {
			network.CutOneWay(id, r.world.NetID(c))
		}
	}
}

// probe asks: first a put, then a get, each until it is done.
func (r *run) probe(b *probe) {
	op := linearizability.Operation{Client: probeClient + b.host, Key: b.key, Kind: linearizability.Get}
	request := door.Request{Kind: door.RequestGet, Key: []byte(b.key), Timeout: r.patientTimeout()}
	if !b.wrote {
		op.Kind, request.Kind = linearizability.Put, door.RequestPut
		op.Value = "probe-" + strconv.FormatUint(r.load.calls, 10)
		request.Value = []byte(op.Value)
	}
	r.load.submit(b.host, op, request, func(resp door.Response, outcome linearizability.Outcome) {
		switch {
		case outcome != linearizability.OK:
			b.last = "the last answer was " + outcome.String() + " (" + resp.Reason + ")"
			if !r.load.stopped {
				r.world.After(100*time.Millisecond, func() { r.probe(b) })
			}
		case !b.wrote:
			b.wrote = true
			r.probe(b)
		default:
			b.over = true
		}
	})
}

// patientTimeout is that of a client who leaves the cluster the time to find
// another way to a primary: no promise holds for one that asks for less.
func (r *run) patientTimeout() time.Duration {
	return max(r.setup.Workload.Timeout, time.Second+4*r.setup.SuspectAfter)
}

// The clients of the later phases have numbers above those of the workload.
const (
	probeClient = schedule.MaxClients
	finalClient = 200
)
