package sim

import (
	"slices"
	"strconv"
	"time"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/sim/schedule"
)

// core is the viable core: a majority of the nodes, or more, that is healed first, and
// what it must then answer.
type core struct {
	hosts    []int
	set      uint               // the hosts as bits
	covered  []node.PartitionID // partitions whose majorities are in the core
	requests []*checkRequest
	cuts     []*netsim.Fault // inside the core
}

// checkRequest is a client of one core node that repeats a put and then a get of
// one partition until both succeed.
type checkRequest struct {
	host      int
	partition node.PartitionID
	key       string
	wrote     bool
	over      bool
	last      string // the reason why it is not over yet
}

// corePhase heals a viable core and leaves the other nodes broken, some of them in
// new ways. Within the bound, clients of the core's nodes must be served by every
// partition that has a majority of its replicas in the core. This is what tells a
// cluster that waits for all nodes from one that needs only a majority.
func (r *run) corePhase() {
	c := r.chooseCore()
	r.world.HealCore(c.hosts...)
	r.faults.setRates(netsim.Rates{})
	r.world.EndEdits()
	r.breakOutside(c.hosts)
	r.cutInside(c)
	for _, h := range c.hosts {
		r.world.Restart(h)
	}
	r.note("the healed core %v must serve %d of %d partitions", hostNames(c.hosts), len(c.covered), r.setup.Partitions)
	r.options.timeline.event(r.world.Now(), bandPhase, "core %v healed", hostNames(c.hosts))
	r.load.hosts = c.hosts
	if r.lateOutside { // only when what they hear is old does it matter what they make of it
		r.until(r.world.Now()+4*r.slowest(), nil)
	}
	for i, h := range c.hosts {
		for k, p := range c.covered {
			if len(c.covered) > fewPartitions && k%len(c.hosts) != i {
				continue
			}
			b := &checkRequest{host: h, partition: p, key: keyIn(p, r.setup.Partitions), last: "no request was sent yet"}
			c.requests = append(c.requests, b)
			r.sendCheck(b)
		}
	}
	deadline := r.world.Now() + r.setup.Phases.Core
	answered := func() bool {
		return len(r.owed(c)) == 0 && r.load.calls >= r.enough() && len(r.unregistered(c)) == 0
	}
	if r.until(deadline, answered) || r.aborted {
		r.core = c
		return
	}
	for _, b := range r.owed(c) {
		r.verdict.broken(Progress, "a client of %s got no service from partition %d within %v, though a majority of its replicas is in the healed core %v: %s",
			schedule.HostName(b.host), b.partition, r.setup.Phases.Core, hostNames(c.hosts), b.last)
	}
	for _, h := range r.unregistered(c) {
		r.verdict.broken(Progress, "%s did not register in ZooKeeper within %v, though it is in the healed core %v",
			schedule.HostName(h), r.setup.Phases.Core, hostNames(c.hosts))
	}
}

// fewPartitions is the number of partitions up to which every host of the core is
// asked for each partition. Of more partitions each is asked for at one host.
const fewPartitions = 64

// enough returns the number of operations below which a history is too short to
// show much. If faults kept the clients waiting, they continue against the core
// until the run has that many.
func (r *run) enough() uint64 {
	if r.setup.Workload.Source == schedule.Listed {
		return 0
	}
	return uint64(min(320, r.setup.Workload.Operations*3/8))
}

// owed returns the pending requests whose partitions still have a majority in the
// core: a move that was under way may have moved a partition out of it. A host that left the
// members refuses its clients.
func (r *run) owed(c *core) []*checkRequest {
	var owed []*checkRequest
	l := r.world.Layout()
	for _, b := range pending(c.requests) {
		if l != nil {
			if part, ok := l.Partition(b.partition); ok && !r.serves(c, part) || r.hasLeft(b.host) {
				continue
			}
		}
		owed = append(owed, b)
	}
	return owed
}

// pending returns the requests that are not over.
func pending(requests []*checkRequest) []*checkRequest {
	return slices.DeleteFunc(slices.Clone(requests), func(b *checkRequest) bool { return b.over })
}

func hostNames(hosts []int) []string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = schedule.HostName(h)
	}
	return names
}

// damaged returns the hosts with a damaged disk, or one that is not a member's, as bits.
func (r *run) damaged() uint {
	set := uint(0)
	for h := range r.setup.Nodes {
		if r.world.Damaged(h) || r.desk.outside(h) {
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

// covered lists the partitions that the set covers, or all partitions
// if there is no layout. A majority of N is not needed: without one, the move is
// cancelled.
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

// covers reports whether a host of the set reaches a majority of R within the set.
func (r *run) covers(set uint, part layout.Partition) bool {
	return r.leaders(set, part.Replicas) != 0
}

// breakOutside breaks the nodes outside the core in the way that the setup names. Those that
// did not form the cluster stay as they are, and some of them have become members.
func (r *run) breakOutside(core []int) {
	for h := r.setup.Nodes; h < r.setup.Hosts(); h++ {
		r.untouched |= 1 << h
	}
	for h := range r.setup.Nodes {
		if slices.Contains(core, h) {
			continue
		}
		what := r.setup.Outside
		if what == schedule.OutsideMixed {
			choices := []schedule.Outside{schedule.OutsideAsTheyAre, schedule.OutsideDown, schedule.OutsideIsolated, schedule.OutsideDeaf, schedule.OutsideMute, schedule.OutsideLate}
			what = choices[r.world.Random().Below(len(choices), "run outside", uint64(h), 0)]
		}
		r.note("%s is outside the core: %s", schedule.HostName(h), what)
		r.options.timeline.outside(r.world.Now(), h, what)
		if what == schedule.OutsideAsTheyAre {
			r.untouched |= 1 << h
		}
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
	case schedule.OutsideLate:
		network.Late(id, r.setup.Phases.Core)
		r.lateOutside = true
	case schedule.OutsideMute:
		for _, c := range core {
			network.CutOneWay(id, r.world.NetID(c))
		}
	}
}

// sendCheck sends the put, or once that has succeeded the get, and repeats it
// until it succeeds.
func (r *run) sendCheck(b *checkRequest) {
	op := linearizability.Operation{Client: checkClient + b.host, Key: b.key, Kind: linearizability.Get}
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
				r.world.After(r.pace(), func() { r.sendCheck(b) })
			}
		case !b.wrote:
			b.wrote = true
			r.sendCheck(b)
		default:
			b.over = true
		}
	})
}

// patientTimeout leaves the cluster enough time to find another way to a primary.
// No promise of progress holds for a shorter timeout.
func (r *run) patientTimeout() time.Duration {
	return min(max(r.setup.Workload.Timeout, time.Second+4*r.slowest()), node.MaxRequestTimeout)
}

// The clients of the later phases have numbers above the workload's.
const (
	checkClient = schedule.MaxClients
	finalClient = 1000
)
