package node

import (
	"errors"
	"slices"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

// How the list of members follows the nodes that are registered:
//
//	readRoster ─▶ readRecords ─▶ plannedChanges ─▶ takeSteps (planner.go)
//
// Every member reads who is registered, and knows so what is to be done. The one with the
// lowest number does it; each of the others waits its turn, in case the ones before it
// can't (rule "members follow the registry"). Two that act at once meet in the
// compare-and-set.

// roster is who is registered, as this node read it in its present session, and who of
// the members is not. It is kept only while this node is connected and registered itself,
// and empty otherwise: a node that can't see the registry takes no one for missing.
type roster struct {
	known    bool     // names and records are those of the last reading
	names    []NodeID // registered, sorted
	records  []registered
	reading  bool
	again    bool
	readings uint64 // that ended
	attempt  uint64 // names the reading under way; the callbacks of an earlier one do nothing
	retryAt  time.Duration

	needs    []need
	missing  []absence
	answered map[MemberNumber]time.Duration // when a member last answered a roll call
}

// registered is a registration whose name is not a member's, or is that of a member that
// was replaced.
type registered struct {
	id   NodeID
	live liveRecord
}

// need is a change of the members that this node would make, and since when.
type need struct {
	change layout.MemberChange
	since  time.Duration
}

// turnToPlan returns how long this node leaves a need to the members before it.
func (n *Node) turnToPlan() time.Duration {
	before := 0
	for _, m := range n.layout.Members() {
		if m.State == layout.Active && m.Number < n.self && n.roster.has(m.Node) {
			before++
		}
	}
	return time.Duration(before) * 2 * n.cfg.SuspectAfter
}

func (r *roster) has(id NodeID) bool {
	_, ok := slices.BinarySearch(r.names, id)
	return ok
}

// hasMember reports whether a member is known to be registered.
func (r *roster) hasMember(l *layout.Layout, number MemberNumber) bool {
	m, ok := l.Member(number)
	return ok && r.known && r.has(m.Node)
}

// reset forgets what was read, and a reading under way.
func (r *roster) reset() { *r = roster{readings: r.readings, attempt: r.attempt} }

// changed takes the watch, which a reading sets with its first call. If it fires before the
// last call has answered, that reading ends with what is over, and no watch is left.
func (r *roster) changed() {
	r.known = false // the next tick reads it
	r.again = r.reading
}

// record returns what was read of a registration.
func (r *roster) record(id NodeID) (liveRecord, bool) {
	i := slices.IndexFunc(r.records, func(g registered) bool { return g.id == id })
	if i < 0 {
		return liveRecord{}, false
	}
	return r.records[i].live, true
}

// tickRoster keeps the roster fresh, and calls the roll of the members that are missing. A node
// that stops has no part in those, but waits for the registered (peersKnow).
func (n *Node) tickRoster(now time.Duration) {
	r := &n.roster
	if n.layout == nil || n.self == 0 || !n.registered() {
		r.reset()
		return
	}
	if !r.known && !r.reading && now >= r.retryAt {
		n.readRoster()
	}
	if r.known && !n.stopping {
		n.noteMissing(now)
	}
}

// readRoster reads who is registered, and watches it. What is wanted while a reading is
// under way is read afterwards (rule "read again").
func (n *Node) readRoster() {
	r := &n.roster
	if r.reading {
		r.again = true
		return
	}
	r.reading = true
	r.attempt++
	current := n.inReading()
	n.member.session.Children(n.root()+"/live", true, func(names []string, err error) {
		switch {
		case !current():
		case err != nil:
			n.rosterFailed()
		default:
			ids := make([]NodeID, len(names))
			for i, name := range names {
				ids[i] = NodeID(name)
			}
			slices.Sort(ids)
			n.readRecords(ids, nil, 0)
		}
	})
}

// inReading returns a guard for the callbacks of the reading under way.
func (n *Node) inReading() func() bool {
	current, attempt := n.inSession(), n.roster.attempt
	return func() bool { return current() && n.roster.reading && n.roster.attempt == attempt }
}

func (n *Node) rosterFailed() {
	n.roster.reading, n.roster.known, n.roster.again = false, false, false
	n.roster.retryAt = n.now() + n.interval()
}

// readRecords reads the registrations that the layout does not explain, one by one.
func (n *Node) readRecords(names []NodeID, records []registered, at int) {
	for at < len(names) && n.explained(names[at]) {
		at++
	}
	if at == len(names) {
		n.onRoster(names, records)
		return
	}
	current, id := n.inReading(), names[at]
	n.member.session.Get(n.livePath(id), false, func(data []byte, _ door.Stat, err error) {
		var live liveRecord
		switch {
		case !current():
		case errors.Is(err, door.ErrNoNode):
			n.readRecords(slices.Delete(names, at, at+1), records, at)
		case err != nil:
			n.rosterFailed()
		default:
			if err := decodeRecord(data, &live); err != nil {
				n.alarm("%s in ZooKeeper can't be read: %v", n.livePath(id), err)
				n.readRecords(names, records, at+1)
				return
			}
			n.readRecords(names, append(records, registered{id, live}), at+1)
		}
	})
}

// explained reports whether a name is that of a member which no other disk may register
// (rule "own what your session owns").
func (n *Node) explained(id NodeID) bool {
	m, ok := n.layout.MemberByNode(id)
	return ok && m.State != layout.Replaced
}

func (n *Node) onRoster(names []NodeID, records []registered) {
	r := &n.roster
	r.reading, r.known = false, true
	r.names, r.records = names, records
	r.readings++
	if r.again {
		r.again = false
		n.readRoster()
	}
	n.takeSteps()
}

// plannedChanges returns the changes of the members that it is this node's turn to make.
func (n *Node) plannedChanges(now time.Duration) []layout.MemberChange {
	r := &n.roster
	if m, ok := n.layout.Member(n.self); !ok || m.State == layout.Gone || !r.known {
		r.needs = nil
		return nil
	}
	var needs []need
	var due []layout.MemberChange
	turn := n.turnToPlan()
	for _, c := range n.wantedChanges(now) {
		since := now
		if i := slices.IndexFunc(r.needs, func(was need) bool { return was.change == c }); i >= 0 {
			since = r.needs[i].since
		}
		needs = append(needs, need{c, since})
		if now-since >= turn {
			due = append(due, c)
		}
	}
	r.needs = needs
	return due
}

// wantedChanges returns what the roster asks for: registered nodes join,
// what has left is forgotten, and one member that is missing for too long is given up.
func (n *Node) wantedChanges(now time.Duration) []layout.MemberChange {
	var changes []layout.MemberChange
	for _, m := range n.layout.Members() {
		if change, ok := n.leavingChange(m, now); ok {
			changes = append(changes, change)
		}
	}
	for _, g := range n.roster.records {
		if g.live.Join != JoinApprove && n.cfg.Join != JoinApprove {
			changes = append(changes, n.joinChanges(g)...)
		}
	}
	return changes
}

// joinChanges returns what makes a registered node a member. A name whose former disk was
// replaced passes to the new disk in the same step (rule "one disk one member").
func (n *Node) joinChanges(g registered) []layout.MemberChange {
	if g.live.Cluster != "" && g.live.Cluster != n.cluster || g.live.Store == "" {
		return nil
	}
	if _, ok := n.layout.MemberByStore(g.live.Store); ok {
		return nil // it returns by itself, or was removed and still runs
	}
	var changes []layout.MemberChange
	if former, ok := n.layout.MemberByNode(g.id); ok {
		if former.State != layout.Replaced {
			return nil
		}
		former.State = layout.Gone
		changes = append(changes, layout.MemberChange{Kind: layout.Update, Member: former})
	}
	return append(changes, layout.MemberChange{Kind: layout.Join, Member: layout.Member{
		Node: g.id, Store: g.live.Store, Peer: g.live.Peer, HTTP: g.live.HTTP, Zone: g.live.Zone, Weight: g.live.Weight,
	}})
}

// leavingChange returns the next step of a member on its way out, if it is due.
func (n *Node) leavingChange(m layout.Member, now time.Duration) (layout.MemberChange, bool) {
	switch m.State {
	case layout.Gone:
		// As long as its process is registered it stays listed: forgotten, it would
		// join again.
		return layout.MemberChange{Kind: layout.Drop, Member: m}, !n.layout.Names(m.Number) && !n.storeRegistered(m.Store)
	case layout.Leaving:
		m.State = layout.Gone
		return layout.MemberChange{Kind: layout.Update, Member: m}, !n.layout.Names(m.Number) && n.missingFor(m.Number, now) > n.replaceAfter()
	case layout.Active:
		m.State = layout.Replaced
		return layout.MemberChange{Kind: layout.Update, Member: m}, n.givenUp(m, now)
	}
	return layout.MemberChange{}, false
}

// storeRegistered reports whether a disk is registered under a name that is not a member's.
func (n *Node) storeRegistered(store StoreID) bool {
	return slices.ContainsFunc(n.roster.records, func(g registered) bool { return g.live.Store == store })
}
