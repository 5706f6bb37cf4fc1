package sim

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/layout"
	"dkv/node/quorum"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// severed holds, for each host, the hosts with which it cannot talk because of a cut
// inside the core, as bits. It is symmetric: a link that is cut in one direction
// carries no answers.
type severed [schedule.MaxNodes]uint

func (s *severed) cut(a, b int) {
	s[a] |= 1 << b
	s[b] |= 1 << a
}

func (s *severed) join(a, b int) {
	s[a] &^= 1 << b
	s[b] &^= 1 << a
}

// reached returns the hosts of a set with which a host can talk, itself included.
func (s *severed) reached(host int, set uint) uint { return set &^ s[host] }

// cutInside cuts links between hosts of the core, in one or both directions, for as
// long as the core phase lasts. It leaves each partition of the core a replica that
// reaches majorities of R and N, and each host of the core a way to it (see servable).
// What the protocol promises then is service and rest: replicas that cannot see each
// other must not depose each other, nor a primary that a majority hears.
func (r *run) cutInside(c *core) {
	l := r.world.Layout()
	if r.setup.Steady.Cuts == 0 || l == nil || r.system != nil {
		return
	}
	var pairs [][2]int
	for i, a := range c.hosts {
		for _, b := range c.hosts[i+1:] {
			pairs = append(pairs, [2]int{a, b})
		}
	}
	random, network := r.world.Random(), r.world.Network()
	var words []string
	for k := uint64(0); len(pairs) > 0 && len(words) < r.setup.Steady.Cuts; k++ {
		i := random.Below(len(pairs), "run core cut", k, 0)
		a, b := pairs[i][0], pairs[i][1]
		pairs = slices.Delete(pairs, i, i+1)
		r.severed.cut(a, b)
		if !r.allServable(c, l) {
			r.severed.join(a, b)
			continue
		}
		from, to := r.world.NetID(a), r.world.NetID(b)
		var fault *netsim.Fault
		switch random.Below(4, "run core cut direction", k, 0) {
		case 0:
			fault = network.CutOneWay(from, to)
			words = append(words, fmt.Sprintf("%s to %s", schedule.HostName(a), schedule.HostName(b)))
		case 1:
			fault = network.CutOneWay(to, from)
			words = append(words, fmt.Sprintf("%s to %s", schedule.HostName(b), schedule.HostName(a)))
		default:
			fault = network.CutTwoWay(from, to)
			words = append(words, fmt.Sprintf("%s and %s", schedule.HostName(a), schedule.HostName(b)))
		}
		c.cuts = append(c.cuts, fault)
	}
	if len(words) > 0 {
		r.note("links inside the core are cut: %s", strings.Join(words, ", "))
		r.options.timeline.event(r.world.Now(), bandPhase, "links inside the core are cut: %s", strings.Join(words, ", "))
	}
}

// allServable reports whether every partition that the core would cover without cuts
// can be served in it despite them. A move that is under way may be finished meanwhile,
// so what it leads to counts too.
func (r *run) allServable(c *core, l *layout.Layout) bool {
	for _, part := range l.Partitions() {
		for _, part := range []layout.Partition{part, {Replicas: part.Next}} {
			inside := bits.OnesCount(r.hostsOf(part.Replicas) & c.set)
			if inside > 0 && inside >= quorum.Majority(len(part.Replicas)) && !r.servable(c, part.Replicas, nil) {
				return false
			}
		}
	}
	return true
}

// servable reports whether the core can serve a partition with these replicas and next
// replicas: a replica reaches a majority of both, and from every host of the core each
// replica that does is reached directly or through another one.
func (r *run) servable(c *core, replicas, next []node.MemberNumber) bool {
	all := (r.hostsOf(replicas) | r.hostsOf(next)) & c.set
	leaders := r.leaders(c.set, replicas) & all
	if len(next) > 0 {
		leaders = (leaders | r.leaders(c.set, next)) & all
	}
	if (r.hostsOf(replicas)|r.hostsOf(next))&r.untouched != 0 {
		// It may lead, and some replica of the core may be the only way to it.
		for _, h := range c.hosts {
			if r.severed.reached(h, all) != all {
				return false
			}
		}
	}
	able := false
	for leader := range r.setup.Nodes {
		if leaders>>leader&1 == 0 {
			continue
		}
		able = able || r.reaches(leader, c.set, replicas) && (len(next) == 0 || r.reaches(leader, c.set, next))
		through := r.severed.reached(leader, all) | 1<<leader
		for _, h := range c.hosts {
			if r.severed.reached(h, through) == 0 {
				return false
			}
		}
	}
	return able
}

// serves reports whether the core still owes its clients a partition.
func (r *run) serves(c *core, part layout.Partition) bool {
	return r.covers(c.set, part) && (len(c.cuts) == 0 || r.servable(c, part.Replicas, nil))
}

// leaders returns the hosts among these members that reach a majority of them within
// the set, as bits.
func (r *run) leaders(set uint, members []node.MemberNumber) uint {
	leaders := uint(0)
	hosts := r.hostsOf(members) & set
	for h := range r.setup.Nodes {
		if hosts>>h&1 != 0 && r.reaches(h, set, members) {
			leaders |= 1 << h
		}
	}
	return leaders
}

// reaches reports whether a host can talk with a majority of the members within the set.
func (r *run) reaches(host int, set uint, members []node.MemberNumber) bool {
	return bits.OnesCount(r.severed.reached(host, r.hostsOf(members)&set)) >= quorum.Majority(len(members))
}

// hostsOf returns the hosts that have the members' disks and may serve, as bits.
func (r *run) hostsOf(members []node.MemberNumber) uint {
	set := uint(0)
	for _, m := range members {
		if h := r.invariants.layouts.host(m); h != world.NoHost && r.desk.serves(h, m) {
			set |= 1 << h
		}
	}
	return set
}
