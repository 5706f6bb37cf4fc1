package sim

import (
	"fmt"
	"slices"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Strangers are hosts that start once the cluster has formed, and wait for an operator's
// approval; until then no layout lists them. They register, clients ask them like any other
// host, and faults strike them. Rule "no answer to strangers": whatever they are asked, they
// refuse, and at once.

// drawStrangers adds strangers in one run of five.
func (d *swarm) drawStrangers() {
	if s := &d.setup; d.share(d.profile.members(20), "strangers on") {
		s.Strangers = min(1+d.below(2, "strangers"), schedule.MaxNodes-s.Nodes)
	}
}

// stranger draws a stranger as a target in one case of ten, in runs that have any.
func (f *source) stranger(d *swarm, n uint64) (t schedule.Target, ok bool) {
	s := &d.setup
	if s.Strangers == 0 || f.draw(d, 10, n, 90) > 0 {
		return t, false
	}
	return schedule.Target{Node: s.Nodes + 1 + f.draw(d, s.Strangers, n, 91)}, true
}

// orStranger sends one request of eight to a stranger, in runs that have any.
func (c *client) orStranger(host int) int {
	s := c.work.setup
	if s.Strangers == 0 || c.work.hosts != nil || c.below(8, "stranger") > 0 {
		return host
	}
	return s.Nodes + c.below(s.Strangers, "stranger host")
}

// startStranger starts a host a drawn time after the cluster has formed: before that it
// could become one of the nodes that form it.
func (r *run) startStranger(host int) {
	var look func()
	look = func() {
		if r.world.Layout() == nil {
			r.world.After(r.pace(), look)
			return
		}
		wait := r.world.Random().Between(between(0, 3*time.Second), "run stranger", uint64(host), 0)
		r.world.After(wait, func() {
			if r.world.ProcessNumber(host) == 0 {
				r.world.Start(host)
			}
		})
	}
	r.world.After(r.pace(), look)
}

// isStranger reports whether no layout has ever listed a host.
func (r *run) isStranger(host int) bool {
	return host >= r.setup.Nodes && !slices.Contains(r.invariants.layouts.hosts, host+1)
}

// anyJoined reports whether a host that did not form the cluster has become a member.
func (r *run) anyJoined() bool {
	for host := r.setup.Nodes; host < r.setup.Hosts(); host++ {
		if !r.isStranger(host) {
			return true
		}
	}
	return false
}

// onAnswer judges the answer of a stranger. Its clients may lose the connection, or be
// refused; they are never left with a request that may take effect.
func (r *run) onAnswer(host int, request *door.Request, resp *door.Response) {
	if resp.Outcome == door.Unknown {
		r.lastUnknown = resp.Reason
	}
	if resp.Outcome == door.Refused || !r.isStranger(host) {
		return
	}
	class, what := Invariant, "as if it were done"
	if resp.Outcome == door.Unknown {
		class, what = Progress, "with unknown instead of refusing it at once: "+resp.Reason
	}
	kind := "get"
	if request.Kind.Writes() {
		kind = "write"
	}
	r.verdict.broken(class, "%s, which no layout lists, answered a client's %s %s", schedule.HostName(host), kind, what)
}

// turnedAway is what became of the write that a stranger is asked for once all is healed.
type turnedAway struct {
	asked, refused bool
	last           string
}

// notTurnedAway asks each stranger for a write, until all have refused one within the
// time after which nodes suspect one another. It returns an error while one has not.
func (r *run) notTurnedAway() error {
	var first error
	for host := r.setup.Nodes; host < r.setup.Hosts(); host++ {
		if !r.isStranger(host) || r.world.Ruined(host) || r.strangers[host-r.setup.Nodes].refused {
			continue
		}
		s := &r.strangers[host-r.setup.Nodes]
		if !s.asked {
			s.asked = true
			r.askStranger(host, s)
		}
		if first == nil {
			first = fmt.Errorf("the stranger %s did not refuse a write within %v: %s", schedule.HostName(host), r.slowest(), s.last)
		}
	}
	return first
}

func (r *run) askStranger(host int, s *turnedAway) {
	key := keyIn(node.PartitionID(host%r.setup.Partitions), r.setup.Partitions)
	op := linearizability.Operation{Client: checkClient + host, Key: key, Kind: linearizability.Put, Value: fmt.Sprintf("stranger-%d", r.load.calls)}
	request := door.Request{Kind: door.RequestPut, Key: []byte(key), Value: []byte(op.Value), Timeout: r.patientTimeout()}
	began := r.world.Now()
	r.load.submit(host, op, request, func(resp door.Response, outcome linearizability.Outcome) {
		took := r.world.Now() - began
		s.asked, s.last = false, fmt.Sprintf("%v after %v (%s)", outcome, took, resp.Reason)
		if outcome == linearizability.Refused && took <= r.slowest() && r.world.State(host) == world.Up {
			s.refused = true
			r.world.Count(world.StrangerRefused)
		}
	})
}
