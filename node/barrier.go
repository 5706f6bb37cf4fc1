package node

import (
	"errors"
	"strings"

	"dkv/node/door"
	"dkv/node/layout"
)

// How a cluster is formed:
//
//	formCluster ─▶ gather (each registered node) ─▶ form
//
// Any node that sees enough registered nodes makes the layout over all of them, on
// the condition that all are registered at that instant (rule "form at one instant").
// Counting children would not do: the nodes counted may have been there at different
// times. Several nodes may try; one creates the layout, and the others find it.

// candidate is a registered node, as read for forming. version is what makes the
// condition: it changes with every registration of that node.
type candidate struct {
	id      NodeID
	version int32 // of nodes/<id>
	live    liveRecord
}

// formCluster runs while there is no layout: when this node has registered, and whenever
// the children of live change. The watch is set by the read that counts them, so that no
// change between the two is missed (rule "read again").
func (n *Node) formCluster() {
	m := &n.member
	if m.forming {
		return
	}
	m.forming = true
	current, session := n.inSession(), m.session
	session.Children(n.root()+"/live", true, func(names []string, err error) {
		switch {
		case !current():
		case err != nil:
			n.formLater()
		case len(names) < n.cfg.Expect:
			m.forming = false
			n.say("waiting for %d more of %d nodes to form cluster %q; registered so far: %s", n.cfg.Expect-len(names), n.cfg.Expect, n.cfg.Cluster, strings.Join(names, " "))
		default:
			n.gather(session, names, nil)
		}
	})
}

// formLater looks for a layout later, and forms one if it is still missing.
func (n *Node) formLater() {
	n.member.forming = false
	current := n.inSession()
	n.after(n.interval()+n.jitter(n.interval()), func() {
		if current() && n.layout == nil {
			n.wantLayout()
		}
	})
}

// gather reads the candidates one by one: first the counter nodes/<id>, then the ephemeral
// that it guards. A node that registers anew in between counts the incarnation, so the
// check of its version fails and the forming with it.
func (n *Node) gather(session door.Session, names []string, all []candidate) {
	if len(all) == len(names) {
		n.form(session, all)
		return
	}
	current := n.inSession()
	c := candidate{id: NodeID(names[len(all)])}
	session.Get(n.nodePath(c.id), false, func(_ []byte, stat door.Stat, err error) {
		if !current() {
			return
		}
		if err != nil {
			n.formLater()
			return
		}
		c.version = stat.Version
		session.Get(n.livePath(c.id), false, func(data []byte, _ door.Stat, err error) {
			if !current() {
				return
			}
			if err != nil || decodeRecord(data, &c.live) != nil {
				n.formLater()
				return
			}
			n.gather(session, names, append(all, c))
		})
	})
}

// form makes the layout, on the condition that all candidates are registered at that
// instant. If one of them has data of a cluster, ZooKeeper has lost that cluster's layout
// or is another ZooKeeper, and forming would give out its epochs a second time (rule "data
// forbids forming").
func (n *Node) form(session door.Session, all []candidate) {
	for _, c := range all {
		if c.live.Cluster != "" {
			n.alarm("not forming cluster %q: node %s has data of cluster %s, of which ZooKeeper has no layout: ZooKeeper was wiped, or is the wrong one; restore it, or start all nodes with empty data directories", n.cfg.Cluster, c.id, c.live.Cluster)
			n.formLater()
			return
		}
	}
	l, err := n.firstLayout(all)
	var data []byte
	if err == nil {
		data, err = l.Encode()
	}
	if err != nil {
		n.alarm("cluster %q can't be formed: %v", n.cfg.Cluster, err)
		n.formLater()
		return
	}
	// At one instant: each candidate's counter as it was read, and its ephemeral there.
	var ops []door.Op
	for _, c := range all {
		ops = append(ops,
			door.Op{Kind: door.OpCheck, Path: n.nodePath(c.id), Version: c.version},
			door.Op{Kind: door.OpCheck, Path: n.livePath(c.id), Version: door.AnyVersion})
	}
	ops = append(ops, door.Op{Kind: door.OpCreate, Path: n.layoutPath(), Data: data})
	current := n.inSession()
	session.Multi(ops, func(err error) {
		if !current() {
			return
		}
		if err == nil {
			n.member.forming = false
			n.observe(Event{Kind: EventFormed, Index: Index(len(all))})
			n.adopt(l, data)
		}
		if err != nil && !errors.Is(err, door.ErrNodeExists) {
			n.formLater()
			return
		}
		n.member.forming = false
		n.wantLayout() // also if this node made it: reading sets the watch
	})
}

// firstLayout places the partitions on the candidates as the ring says. They are sorted by
// their names, so all nodes that form at the same time propose the same.
func (n *Node) firstLayout(all []candidate) (*layout.Layout, error) {
	var members []layout.Member
	for i, c := range all {
		members = append(members, layout.Member{
			Number: MemberNumber(i + 1), Node: c.id, Store: c.live.Store,
			Peer: c.live.Peer, HTTP: c.live.HTTP, Zone: c.live.Zone, Weight: c.live.Weight,
			State: layout.Active,
		})
	}
	targets, err := n.rule.Assign(n.cfg.Partitions, n.cfg.Replication, ringMembers(members))
	if err != nil {
		return nil, err
	}
	placements := make([]layout.Placement, len(targets))
	for p, t := range targets {
		placements[p].Primary = MemberNumber(t.Primary)
		for _, m := range t.Replicas {
			placements[p].Replicas = append(placements[p].Replicas, MemberNumber(m))
		}
	}
	return layout.Form(n.member.uuid, n.cfg.Replication, members, placements)
}
