package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/ring"
)

// How a node enters the cluster, once per session:
//
//	openSession ─▶ onSession(connected) ─▶ reconcile ─▶ checkCluster
//	            ─▶ findTwin (stamps.go) ─▶ proveStamp (records.go) ─▶ register
//	            ─▶ wantLayout (planner.go) ─▶ formCluster (barrier.go)
//
// Everything is level-triggered: a watch, a reconnect or a lost answer leads to
// reading again what is there, never to acting on what was expected.

// membership is the node's side of its ZooKeeper session.
//
// Without a session nothing is up or standing: an ephemeral goes with the session
// that made it (rule "own what your session owns"). A node is standing only in a
// cluster whose znode it has compared with its flags (rule "flags must agree").
// What this node knows of ZooKeeper never decides whether it may serve (rule
// "serve without a session"); it only decides whether it may change the layout.
type membership struct {
	session    door.Session // nil between two sessions
	up         bool         // connected, as far as is known
	since      time.Duration
	saidAt     time.Duration // when the operator was last told of an outage
	everJoined bool          // registered once in this process
	wasMember  bool          // of a layout that this process read from ZooKeeper
	removed    bool          // and later ones do not list this node: no session is opened any more

	// At most one chain of reads and writes is under way; its end looks at
	// everything again, so that a watch that fires meanwhile needs no queue.
	busy     bool
	checked  bool // the cluster's znode agrees; then uuid is known
	standing bool // live/<id> is this session's
	verify   bool // look whether it still is
	recheck  bool // the cluster's znode changed: follow it

	settings  Settings // of the cluster's znode, as followed
	following bool
	tried     bool // a registration got no answer
	uuid      string

	waitingFor string // for pages: what keeps the node from being ready
	fault      Fault  // in the cluster's znode, as read last
	forming    bool
	told       string // the last notice, so that it is not repeated
}

// check asserts what the comment of membership says.
func (m *membership) check() error {
	switch {
	case m.session == nil && (m.up || m.standing):
		return broken("without a session: connected %v, registered %v", m.up, m.standing)
	case m.standing && (!m.checked || !m.everJoined):
		return broken("registered in a cluster that was compared: %v, ever joined: %v", m.checked, m.everJoined)
	case m.checked && m.uuid == "":
		return broken("the cluster's znode was compared and has no UUID")
	}
	return nil
}

// clusterRecord is the znode cluster. But for its settings it never changes: where a key
// belongs depends on it.
type clusterRecord struct {
	UUID        string `json:"uuid"`
	Expect      int    `json:"expect"`
	Partitions  int    `json:"partitions"`
	Replication int    `json:"replication"`
	Settings
}

// nodeRecord is the znode nodes/<id>. It outlives sessions, and its version is what a
// registration is conditional on.
type nodeRecord struct {
	Incarnation uint64  `json:"incarnation"`
	Store       StoreID `json:"store"`
}

// liveRecord is the ephemeral live/<id>. Its data tells others where the node is; whose
// it is, only its ephemeralOwner tells.
type liveRecord struct {
	Peer        string  `json:"peer"`
	HTTP        string  `json:"http"`
	Store       StoreID `json:"store"`
	Incarnation uint64  `json:"incarnation"`
	Cluster     string  `json:"cluster,omitempty"` // UUID, if the store has one
	Zone        string  `json:"zone,omitempty"`
	Weight      int     `json:"weight"`
	Join        string  `json:"join,omitempty"` // JoinApprove, or empty
}

func (n *Node) root() string                 { return "/dkv/" + n.cfg.Cluster }
func (n *Node) clusterPath() string          { return n.root() + "/cluster" }
func (n *Node) nodePath(id NodeID) string    { return n.root() + "/nodes/" + string(id) }
func (n *Node) livePath(id NodeID) string    { return n.root() + "/live/" + string(id) }
func (n *Node) registered() bool             { return n.member.session != nil && n.member.up && n.member.standing }
func encodeRecord(record any) []byte         { data, _ := json.Marshal(record); return data }
func decodeRecord(data []byte, to any) error { return json.Unmarshal(data, to) }

// openSession begins a new session; nothing of an earlier one is used again. Callbacks of
// the earlier one see that the session was replaced, and do nothing.
func (n *Node) openSession() {
	m := &n.member
	m.up, m.busy, m.checked, m.standing, m.forming = false, false, false, false, false
	m.recheck = false
	m.since = n.now()
	n.planner.newSession()
	n.roster.reset()
	n.stamps.newSession()
	var session door.Session
	session = n.env.Coordinator.Open(func(e door.SessionEvent) {
		if !n.dead && n.member.session == session {
			n.onSession(e)
		}
	})
	m.session = session
}

// newSession forgets what was under way; a set without an answer must be looked up, since
// it may have been made by a server that this client no longer talks to.
func (p *planner) newSession() {
	if p.setting {
		p.tried = p.pending
	}
	p.setting, p.reading, p.again = false, false, false
}

// onSession follows what becomes of the session. A connection that breaks changes nothing
// but what the node may ask: the session may still stand, and reigns do not depend on it.
// Only an expired session is replaced; its ephemerals are gone, or will be.
func (n *Node) onSession(e door.SessionEvent) {
	m := &n.member
	switch e.Kind {
	case door.EventConnected:
		m.up, m.verify, m.recheck, m.since, m.told = true, true, m.checked, n.now(), ""
		n.roster.known = false
		n.reconcile()
	case door.EventDisconnected:
		m.up, m.since = false, n.now()
	case door.EventExpired:
		n.observe(Event{Kind: EventSessionExpired})
		m.session, m.up, m.standing, m.since = nil, false, false, n.now()
		n.after(n.jitter(n.interval()), n.openSession)
	case door.EventChanged:
		n.onChanged(e.Path)
	}
}

// onChanged reads again what a watch told of. The watch says that something happened, not
// what, and it may fire for nothing.
func (n *Node) onChanged(path string) {
	switch path {
	case n.root() + "/live":
		n.roster.changed()
		if n.registered() && n.layout == nil {
			n.wantLayout()
		}
	case n.layoutPath():
		if n.registered() {
			n.wantLayout()
		}
	case n.clusterPath():
		n.member.recheck = true
		n.reconcile()
	case n.livePath(n.cfg.ID):
		n.member.verify = true
		n.reconcile()
	}
}

// tickMembership tells the operator of an outage, every few seconds.
func (n *Node) tickMembership(now time.Duration) {
	m := &n.member
	if m.up || m.removed || now-m.since < 3*time.Second || m.saidAt != 0 && now-m.saidAt < 5*time.Second {
		return
	}
	m.saidAt = now
	n.notice("ZooKeeper has not answered for %v: still trying; partitions whose primary lives are served meanwhile", (now - m.since).Round(time.Second))
}

// inSession returns a guard for callbacks: whether the session under which the call was
// made is still the node's. An answer of an earlier session describes a past that the
// present session may have changed.
func (n *Node) inSession() func() bool {
	session := n.member.session
	return func() bool { return !n.dead && n.member.session == session }
}

// reconcile does the next thing that is missing, by what is there and not by what happened:
// compare the cluster, register, read the layout. Everything that may have changed leads
// here.
func (n *Node) reconcile() {
	m := &n.member
	if m.session == nil || !m.up || n.stopping {
		return
	}
	if m.busy {
		return // the chain's end looks at everything again
	}
	if !n.begun && !n.stamps.full {
		return // the own line is not durable yet; begin looks
	}
	switch {
	case !m.checked || m.recheck:
		m.busy, m.recheck = true, false
		n.checkCluster()
	case !m.standing || m.verify:
		m.busy, m.verify = true, false
		n.findTwin(func() { n.proveStamp(n.register) })
	default:
		n.wantLayout()
	}
}

// proceed ends a chain and does the next thing at once.
func (n *Node) proceed() {
	n.member.busy = false
	n.reconcile()
}

// lookAgain ends a chain that could not do its work; it begins anew later.
func (n *Node) lookAgain(after time.Duration) {
	n.member.busy, n.member.verify = false, true
	current := n.inSession()
	n.after(after+n.jitter(after), func() {
		if current() {
			n.reconcile()
		}
	})
}

// say tells the operator once, and the status pages for as long as it is so.
func (n *Node) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	n.member.waitingFor = text
	if text != n.member.told {
		n.member.told = text
		n.notice("%s", text)
	}
}

// checkCluster compares the cluster's znode with the flags and with the store: rule "flags
// must agree". The reading sets the watch for a change of the settings.
func (n *Node) checkCluster() {
	current := n.inSession()
	n.member.session.Get(n.clusterPath(), true, func(data []byte, _ door.Stat, err error) {
		if !current() {
			return
		}
		switch {
		case err == nil:
			n.onCluster(data)
		case errors.Is(err, door.ErrNoNode) && n.cluster != "":
			n.faulty(&n.member.fault, FaultWiped, "ZooKeeper has no cluster %q, but this store belongs to cluster %s: ZooKeeper was wiped, or is the wrong one; check --zookeeper and --cluster, or restore it", n.cfg.Cluster, n.cluster)
			n.member.recheck = n.member.checked
			n.lookAgain(n.cfg.SettleTime / 2)
		case errors.Is(err, door.ErrNoNode):
			n.createCluster(n.member.session, 0)
		default:
			n.member.recheck = n.member.checked
			n.lookAgain(n.interval())
		}
	})
}

// createCluster makes the znodes that everything hangs from, one after the other. Another
// node may make them at the same time; what it made is read afterwards, and is as good.
func (n *Node) createCluster(session door.Session, step int) {
	record := clusterRecord{n.newUUID(), n.cfg.Expect, n.cfg.Partitions, n.cfg.Replication, n.flags.ofRecord()}
	root := n.root()
	ops := []door.Op{
		{Kind: door.OpCreate, Path: "/dkv"},
		{Kind: door.OpCreate, Path: root},
		{Kind: door.OpCreate, Path: root + "/nodes"},
		{Kind: door.OpCreate, Path: root + "/live"},
		{Kind: door.OpCreate, Path: root + "/stores"},
		{Kind: door.OpCreate, Path: root + "/cluster", Data: encodeRecord(record)},
	}
	if step == len(ops) {
		n.checkCluster()
		return
	}
	current := n.inSession()
	session.Multi(ops[step:step+1], func(err error) {
		switch {
		case !current():
		case err == nil || errors.Is(err, door.ErrNodeExists):
			n.createCluster(session, step+1)
		default:
			n.lookAgain(n.interval())
		}
	})
}

// onCluster refuses to enter a cluster other than the one meant. A node that never entered
// stops, because its operator is still looking. One that did serves clients, so it raises
// an alarm and does not register.
func (n *Node) onCluster(data []byte) {
	var c clusterRecord
	if err := decodeRecord(data, &c); err != nil {
		n.faulty(&n.member.fault, FaultUnreadable, "%s/cluster in ZooKeeper can't be read: %v", n.root(), err)
		n.lookAgain(n.cfg.SettleTime / 2)
		return
	}
	if err := n.differs(c); err != nil {
		n.rule, n.planner.targets = ring.Rule{}, nil // place nothing by a rule that may not be the cluster's
		n.member.following = false
		n.refuseCluster(err)
		return
	}
	if c.Expect != n.cfg.Expect && n.layout == nil {
		n.checkFormed(c)
		return
	}
	n.agreed(c)
}

func (n *Node) refuseCluster(err error) {
	if n.member.everJoined {
		n.faulty(&n.member.fault, FaultOther, "%v", err)
		n.lookAgain(n.cfg.SettleTime / 2)
		return
	}
	n.fail(err)
}

func (n *Node) agreed(c clusterRecord) {
	n.follow(c.Settings)
	n.member.uuid, n.member.checked, n.member.fault = c.UUID, true, Fault{}
	n.proceed()
}

// checkFormed compares how many nodes are expected, unless the cluster has formed: then the
// number means nothing any more.
func (n *Node) checkFormed(c clusterRecord) {
	current := n.inSession()
	n.member.session.Get(n.layoutPath(), false, func(_ []byte, _ door.Stat, err error) {
		switch {
		case !current():
		case err == nil:
			n.agreed(c)
		case errors.Is(err, door.ErrNoNode):
			n.refuseCluster(fmt.Errorf("cluster %q was created with --expect %d, this node has %d: start it with --expect %d", n.cfg.Cluster, c.Expect, n.cfg.Expect, c.Expect))
		default:
			n.lookAgain(n.interval())
		}
	})
}

// differs returns an error that says how the flags differ from the cluster, if they do.
func (n *Node) differs(c clusterRecord) error {
	switch {
	case n.cluster != "" && c.UUID != n.cluster:
		return fmt.Errorf("the data directory belongs to cluster %s, but ZooKeeper's %q is %s: start the node with the data directory of that cluster, or an empty one, or with another --zookeeper", n.cluster, n.cfg.Cluster, c.UUID)
	case c.Partitions != n.cfg.Partitions:
		return fmt.Errorf("cluster %q was created with --partitions %d, this node has %d: start it with --partitions %d", n.cfg.Cluster, c.Partitions, n.cfg.Partitions, c.Partitions)
	case c.Replication != n.cfg.Replication:
		return fmt.Errorf("cluster %q was created with --replication %d, this node has %d: start it with --replication %d", n.cfg.Cluster, c.Replication, n.cfg.Replication, c.Replication)
	}
	return c.Settings.check()
}

// registration is what register has read when it decides what to write.
type registration struct {
	node    nodeRecord
	version int32 // of nodes/<id>
	live    *liveRecord
	owner   int64
	// layout is the version of the layout by which another disk's name is free; -1 if
	// that was not asked.
	layout int32
}

// register makes live/<id> this session's. The counter nodes/<id> decides between two
// processes of one name: exactly one wins. Ownership is the znode's ephemeralOwner, never
// its name or its data: the znode of a former session looks the same and vanishes later,
// when that session expires (rule "own what your session owns"; compare CURATOR-696).
func (n *Node) register() {
	current, session := n.inSession(), n.member.session
	id := n.cfg.ID
	session.Get(n.nodePath(id), false, func(data []byte, stat door.Stat, err error) {
		g := registration{layout: -1}
		switch {
		case !current():
		case errors.Is(err, door.ErrNoNode):
			n.createNode(session)
		case err != nil:
			n.lookAgain(n.interval())
		default:
			g.version = stat.Version
			if err := decodeRecord(data, &g.node); err != nil {
				n.alarm("%s in ZooKeeper can't be read: %v", n.nodePath(id), err)
			}
			n.readLive(session, g)
		}
	})
}

// createNode makes the counter of a node id that was never seen before.
func (n *Node) createNode(session door.Session) {
	current := n.inSession()
	ops := []door.Op{{Kind: door.OpCreate, Path: n.nodePath(n.cfg.ID), Data: encodeRecord(nodeRecord{0, n.store})}}
	session.Multi(ops, func(err error) {
		switch {
		case !current():
		case err == nil || errors.Is(err, door.ErrNodeExists):
			n.register()
		default:
			n.lookAgain(n.interval())
		}
	})
}

// readLive looks which session holds live/<id>, and watches it.
func (n *Node) readLive(session door.Session, g registration) {
	current := n.inSession()
	session.Get(n.livePath(n.cfg.ID), true, func(data []byte, stat door.Stat, err error) {
		if !current() {
			return
		}
		if err != nil && !errors.Is(err, door.ErrNoNode) {
			n.lookAgain(n.interval())
			return
		}
		if err == nil {
			g.live, g.owner = &liveRecord{}, stat.EphemeralOwner
			if err := decodeRecord(data, g.live); err != nil {
				n.alarm("%s in ZooKeeper can't be read: %v", n.livePath(n.cfg.ID), err)
			}
		}
		n.onRegistration(session, g)
	})
}

// onRegistration decides from what was read: the registration stands; another disk has
// the name, and is waited for; the name was another disk's before; or live/<id> is missing
// or a former session's, and is written.
func (n *Node) onRegistration(session door.Session, g registration) {
	m := &n.member
	switch {
	case g.live != nil && g.owner == session.ID() && n.listedGone():
		m.standing = false
		n.unregister(session)
	case g.live != nil && g.owner == session.ID():
		if m.tried {
			n.observe(Event{Kind: EventAppliedUnanswered, Index: Index(g.node.Incarnation)})
		}
		n.onRegistered(g.node.Incarnation)
	case g.live != nil && g.live.Store != n.store:
		// Not stale, however old: only that disk's process, or the end of its session,
		// may take it away.
		m.standing = false
		n.say("waiting: node %s is registered by another process with store %s, this one has %s; stop one of them, or give this one another --id", n.cfg.ID, g.live.Store, n.store)
		n.lookAgain(n.cfg.SuspectAfter)
	case g.node.Store != n.store:
		m.standing = false
		n.checkForeign(session, g)
	case n.listedGone():
		m.standing = false
		n.checkForeign(session, g)
	default:
		m.standing = false
		n.writeRegistration(session, g)
	}
}

// checkForeign decides for a node id that was used with another disk. Nothing is lost by
// that before the cluster is formed, or after that disk's member was removed or replaced.
// As long as it is a member, this disk under its name would be that member without its
// data, so it waits (rule "one disk one member").
func (n *Node) checkForeign(session door.Session, g registration) {
	current := n.inSession()
	session.Get(n.layoutPath(), false, func(data []byte, stat door.Stat, err error) {
		switch {
		case !current():
		case errors.Is(err, door.ErrNoNode):
			n.writeRegistration(session, g)
		case err != nil:
			n.lookAgain(n.interval())
		default:
			g.layout = stat.Version
			n.onForeign(session, g, data)
		}
	})
}

// onForeign judges the name by the layout. The registration is made on the condition that it
// is still that one: the reading may be stale.
func (n *Node) onForeign(session door.Session, g registration, data []byte) {
	l, err := layout.Decode(data)
	if err != nil {
		n.alarm("the layout in ZooKeeper can't be used: %v", err)
		n.lookAgain(n.cfg.SettleTime / 2)
		return
	}
	if own, ok := l.MemberByStore(n.store); ok && own.State == layout.Gone {
		n.say("waiting: this data directory is that of member %d, which was removed; it joins as a new member when the cluster has forgotten that one", own.Number)
		n.takeLayout(data, g.layout)
		n.lookAgain(n.cfg.SuspectAfter)
		return
	}
	n.takeLayout(data, g.layout)
	m, ok := l.MemberByNode(n.cfg.ID)
	if !ok || m.Store == n.store || m.State == layout.Replaced {
		n.writeRegistration(session, g)
		return
	}
	n.observe(Event{Kind: EventNameTaken, Peer: m.Number})
	n.say("waiting: node %s is member %d with store %s, but this data directory holds store %s: start it with its own data directory; or, if that is lost, wait until the member is replaced, or run 'dkv member replace %s %s'; or start this one with another --id", n.cfg.ID, m.Number, m.Store, n.store, n.cfg.ID, n.cfg.ID)
	n.lookAgain(n.cfg.SuspectAfter)
}

// listedGone reports whether the layout held here says that this disk's member is gone. It
// does not register then, or it would not be forgotten (rule "members follow the registry").
func (n *Node) listedGone() bool {
	if n.layout == nil {
		return false
	}
	m, ok := n.layout.MemberByStore(n.store)
	return ok && m.State == layout.Gone
}

// unregister takes the own registration back.
func (n *Node) unregister(session door.Session) {
	current := n.inSession()
	session.Multi([]door.Op{{Kind: door.OpDelete, Path: n.livePath(n.cfg.ID), Version: door.AnyVersion}}, func(error) {
		if current() {
			n.lookAgain(n.interval())
		}
	})
}

// becomeStranger leaves the list of members. A process that was a member leaves the registry
// for good: its operator wanted it out, and under --join=auto it would be a member again at
// once. One that only now learns what became of its disk waits to join anew.
func (n *Node) becomeStranger(was MemberNumber) {
	m := &n.member
	if !m.wasMember {
		m.verify = true
		n.reconcile()
		return
	}
	n.notice("this node was member %d, and was removed from the cluster: stop it; if it is started again it joins as a new member", was)
	m.removed = true
	if m.session != nil {
		m.session.Close(func() {})
	}
	m.session, m.up, m.busy, m.standing = nil, false, false, false
	m.waitingFor = "this node was removed from the cluster: stop it, or start it again to join as a new member"
}

// Removed reports whether this process was a member and was removed. It stays a stranger
// until it ends.
func (n *Node) Removed() bool { return n.member.removed }

// writeRegistration counts the incarnation and puts this session's live/<id> in the place of
// a former one's, at one instant. It is conditional on the counter's version, so of two
// processes that read the same, one finds its set refused and reads again.
func (n *Node) writeRegistration(session door.Session, g registration) {
	incarnation := g.node.Incarnation + 1
	live := liveRecord{
		Peer: n.cfg.PeerAddress, HTTP: n.cfg.HTTPAddress, Store: n.store, Incarnation: incarnation,
		Cluster: n.cluster, Zone: n.cfg.Zone, Weight: n.cfg.Weight,
	}
	if n.cfg.Join == JoinApprove {
		live.Join = JoinApprove
	}
	ops := []door.Op{{Kind: door.OpSet, Path: n.nodePath(n.cfg.ID), Data: encodeRecord(nodeRecord{incarnation, n.store}), Version: g.version}}
	if g.layout >= 0 {
		ops = append(ops, door.Op{Kind: door.OpCheck, Path: n.layoutPath(), Version: g.layout})
	}
	if g.live != nil {
		ops = append(ops, door.Op{Kind: door.OpDelete, Path: n.livePath(n.cfg.ID), Version: door.AnyVersion})
	}
	ops = append(ops, door.Op{Kind: door.OpCreateEphemeral, Path: n.livePath(n.cfg.ID), Data: encodeRecord(live)})
	current := n.inSession()
	session.Multi(ops, func(err error) {
		var refusal *door.OpError
		switch {
		case !current():
		case err == nil:
			if g.live != nil {
				n.observe(Event{Kind: EventStaleReplaced, Index: Index(incarnation)})
			}
			n.onRegistered(incarnation)
		case errors.As(err, &refusal):
			n.lookAgain(n.interval() / 4) // something changed since it was read: certain, so soon
		default:
			n.member.tried = true
			n.lookAgain(n.interval())
		}
	})
}

// onRegistered notes that live/<id> is this session's, as of now.
func (n *Node) onRegistered(incarnation uint64) {
	m := &n.member
	m.tried = false
	if !m.standing {
		m.standing, m.everJoined, m.waitingFor = true, true, ""
		n.observe(Event{Kind: EventRegistered, Index: Index(incarnation)})
		n.raiseRecords()
	}
	n.proceed()
}
