package sim

import (
	"bytes"
	"slices"

	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/zksim/zktree"
)

// checkRegistration checks that a node that reports its registration owns
// live/<id>, unless that znode is gone by now.
func (r *run) checkRegistration(host int) {
	if r.world.RunsCopy(host) {
		return // it registers under the name of another host
	}
	own, holder := r.world.SessionID(host), r.registeredBy(host)
	if holder != 0 && holder != own {
		r.verdict.broken(Invariant, "%s believes that its session %x registered it, but live/%s belongs to session %x",
			schedule.HostName(host), own, schedule.HostName(host), holder)
	}
}

func livePath(name string) string { return "/dkv/" + clusterName + "/live/" + name }

// registeredBy returns the session that owns a host's live/<id>, or 0.
func (r *run) registeredBy(host int) int64 {
	_, stat, code := r.world.ZooKeeper().Peek(livePath(schedule.HostName(host)))
	if code != zktree.OK {
		return 0
	}
	return stat.EphemeralOwner
}

// checkFormed checks that at the instant at which the layout is created, its members are as
// many as were expected, and all registered, each with the disk that the layout names.
func (r *run) checkFormed() {
	l := r.world.Layout()
	if l == nil {
		return // an unreadable layout; the invariants have reported it
	}
	if formed := len(l.Members()); formed < r.setup.Nodes {
		r.verdict.broken(Invariant, "the cluster formed with %d members, though it was to wait for %d", formed, r.setup.Nodes)
	}
	for _, m := range l.Members() {
		data, _, code := r.world.ZooKeeper().Peek(livePath(string(m.Node)))
		switch {
		case code != zktree.OK:
			r.verdict.broken(Invariant, "the cluster formed with member %s, which was not registered at that instant", m.Node)
		case !bytes.Contains(data, []byte(m.Store)):
			r.verdict.broken(Invariant, "the cluster formed with disk %s of %s, but that node had registered with another disk", m.Store, m.Node)
		}
	}
}

// unregistered returns the core's hosts whose session does not own live/<id> now.
// Such a node serves clients, but cannot change the layout. If the cluster never
// formed, the check requests show that already. What a member that left waits for may not
// come in the core; the convergence after it wants the registration.
func (r *run) unregistered(c *core) []int {
	if r.world.Layout() == nil {
		return nil
	}
	var missing []int
	for _, h := range c.hosts {
		if r.hasLeft(h) {
			continue
		}
		if own := r.world.SessionID(h); own == 0 || r.registeredBy(h) != own {
			missing = append(missing, h)
		}
	}
	return missing
}

// hasLeft reports whether a host's member left: its process stays a stranger until it is
// restarted, and after that, until no partition counts on that member.
func (r *run) hasLeft(host int) bool {
	if n := r.world.Node(host); n != nil && n.Removed() {
		return true
	}
	l := r.world.Layout()
	return slices.ContainsFunc(l.Members(), func(m layout.Member) bool {
		return m.State == layout.Gone && string(m.Node) == schedule.HostName(host) && l.Names(m.Number)
	})
}
