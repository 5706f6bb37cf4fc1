package sim

import (
	"strconv"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// rollingClient is the number of the first client of the rolling restart.
const rollingClient = 1_000_000

// rolling is a rolling restart under a little load.
type rolling struct {
	*run
	sent, open int
	stopping   bool // a node stops just now
	over       bool
}

// rollPhase stops and starts all hosts one after the other, in a third of the runs that suit
// it, as an operator does for a new build: the next one when all are ready again (rule "hand
// over before leaving"). Not where the network, or an order that prefers some nodes, is so
// slow that a node may be taken for dead. No put may end unknown meanwhile, and one that was
// refused has to be done by another node at the first attempt.
func (r *run) rollPhase() {
	sound := r.system == nil && r.setup.Workload.Operations > 0 && !r.alone && len(r.verdict.violations) == 0
	suited := r.setup.Replication >= 3 && r.setup.Hosts() == r.setup.Nodes && r.setup.Partitions <= fewPartitions &&
		50*r.setup.LatencyMean <= r.setup.SuspectAfter && r.setup.Order.Window == 0 && r.setup.Uneven == ""
	if !sound || !suited || r.world.Random().Below(3, "run rolling", 0, 0) > 0 || !r.until(r.world.Now()+r.patience(), r.allReady) {
		return
	}
	r.note("all nodes are restarted, one after the other")
	r.options.timeline.event(r.world.Now(), bandPhase, "rolling restart")
	r.until(r.world.Now()+4*r.slowest(), nil) // connections that faults have broken are made again
	g := &rolling{run: r}
	g.keepPutting()
	for h := 0; h < r.setup.Nodes && !r.aborted && len(r.verdict.violations) == 0; h++ {
		g.restartInOrder(h)
	}
	g.over = true
	r.until(r.world.Now()+r.patience(), func() bool { return g.open == 0 })
}

// allReady reports whether every node is ready and registered: one that is not can't hand
// anything over.
func (r *run) allReady() bool {
	for h := range r.setup.Nodes {
		n := r.soundNode(h)
		if n == nil {
			return false
		}
		ready, _ := n.Ready()
		if own := r.world.SessionID(h); !ready || own == 0 || r.registeredBy(h) != own || n.Status(false).Session != "connected" {
			return false
		}
	}
	return true
}

func (g *rolling) restartInOrder(h int) {
	g.world.Stop(h)
	g.stopping = true
	stopped := g.until(g.world.Now()+g.patience(), func() bool { return g.world.State(h) == world.Down })
	g.stopping = false
	if !stopped {
		return // quietPhase and the unknown puts tell
	}
	g.world.Restart(h)
	g.until(g.world.Now()+g.patience(), g.allReady)
	g.until(g.world.Now()+2*g.slowest(), nil) // an operator is not as fast as a machine
}

// keepPutting puts one key of each partition in turn, each through the next running host; most
// of them while a node stops.
func (g *rolling) keepPutting() {
	if g.over || g.aborted {
		return
	}
	g.sent++
	g.put(g.sent, g.running(g.sent), false)
	pause := g.slowest() / 16
	if g.stopping {
		pause /= 8
	}
	g.world.After(max(pause, g.setup.Sync.Max, time.Millisecond/4), g.keepPutting) // a little load, also for slow disks
}

// running returns a host that serves: the given one, or one of those after it.
func (g *rolling) running(h int) int {
	for range g.setup.Nodes {
		if h %= g.setup.Nodes; g.soundNode(h) != nil {
			break
		}
		h++
	}
	return h
}

func (g *rolling) put(i, host int, again bool) {
	key := keyIn(node.PartitionID(i%g.setup.Partitions), g.setup.Partitions)
	client := rollingClient + 2*i
	if again {
		client++
	}
	op := linearizability.Operation{Client: client, Key: key, Kind: linearizability.Put, Value: "r" + strconv.Itoa(client)}
	request := door.Request{Kind: door.RequestPut, Key: []byte(key), Value: []byte(op.Value), Timeout: g.patientTimeout()}
	g.open++
	g.load.submit(host, op, request, func(resp door.Response, outcome linearizability.Outcome) {
		g.open--
		switch {
		case resp.Busy: // a bound of that node is drawn tight
		case outcome == linearizability.Refused && !again:
			g.put(i, g.running(host+1), true)
		case outcome != linearizability.OK:
			g.verdict.broken(Progress, "while the nodes were restarted one after the other, a put through %s ended as %v (%s)",
				schedule.HostName(host), outcome, resp.Reason)
		}
	})
}
