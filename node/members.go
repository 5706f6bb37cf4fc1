package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/quorum"
)

// How an operator changes the members. The node that was asked reads the registry and the
// layout, judges the command by them, and makes the change by compare-and-set; after a
// conflict it reads and judges again. A command ends when a layout shows what it asked
// for, or is refused with the reason.

// MemberVerb is what an operator wants of a member.
type MemberVerb string

const (
	ApproveMember MemberVerb = "approve" // a registered node joins, or one that is leaving stays
	DrainMember   MemberVerb = "drain"   // its partitions move away
	RemoveMember  MemberVerb = "remove"  // it is gone for good
	ReplaceMember MemberVerb = "replace" // another node takes its place
)

// MemberCommand names the member by its node id. New is for ReplaceMember: the node that
// takes the place, which may have the same id and another disk. Force lets RemoveMember
// take a member that lives and still has data.
type MemberCommand struct {
	Verb  MemberVerb
	Node  NodeID
	New   NodeID
	Force bool
}

// MemberAnswer ends a command. Refused: the layout was not changed by it. Unknown: it may
// have been, or may still be.
type MemberAnswer struct {
	Outcome door.Outcome
	// Missing: the refusal is because no such node is known. Away: because ZooKeeper
	// does not answer, so it may succeed later, or at another node.
	Missing, Away bool
	Reason        string // why it was refused, or what was done
}

// command is a MemberCommand under way.
type command struct {
	MemberCommand
	done     func(MemberAnswer)
	deadline time.Duration
	layouts  uint64 // judged only by readings after these
	rosters  uint64
	tried    bool
	changes  []layout.MemberChange // judged last
}

// maxCommands bounds the commands under way.
const maxCommands = 16

// OnMemberCommand takes an operator's command and ends it exactly once through done, within
// the request timeout and one interval, unless the node fails. done must not call the node.
func (n *Node) OnMemberCommand(c MemberCommand, done func(MemberAnswer)) {
	refuse := func(why string) { done(MemberAnswer{Outcome: door.Refused, Away: true, Reason: why}) }
	switch {
	case n.dead || n.stopping:
		refuse("the node is stopping")
	case n.layout == nil || n.self == 0:
		_, why := n.Ready()
		refuse(why + "; ask a member")
	case len(n.commands) >= maxCommands:
		refuse("too many commands wait at this node")
	default:
		p, r := &n.planner, &n.roster
		o := &command{MemberCommand: c, done: done, deadline: n.now() + n.cfg.RequestTimeout, layouts: p.readings, rosters: r.readings}
		// A reading under way may have been answered before the command came.
		if p.reading {
			o.layouts++
		}
		if r.reading {
			o.rosters++
		}
		n.commands = append(n.commands, o)
		n.wantLayout()
		if n.registered() {
			n.readRoster()
		}
	}
}

// tickCommands ends the commands whose time has passed.
func (n *Node) tickCommands(now time.Duration) {
	n.commands = slices.DeleteFunc(n.commands, func(c *command) bool {
		if now < c.deadline {
			return false
		}
		if c.tried {
			c.done(MemberAnswer{Outcome: door.Unknown, Reason: "ZooKeeper did not say in time whether the layout was changed; see 'dkv member list'"})
		} else {
			c.done(MemberAnswer{Outcome: door.Refused, Away: true, Reason: "ZooKeeper did not answer in time"})
		}
		return true
	})
}

// commandedChanges judges the commands by what was read after they came, and returns the
// changes that they ask for.
func (n *Node) commandedChanges() []layout.MemberChange {
	var changes []layout.MemberChange
	n.commands = slices.DeleteFunc(n.commands, func(c *command) bool {
		if n.planner.readings <= c.layouts || n.roster.readings <= c.rosters || !n.roster.known || len(changes) > 0 {
			return false // one at a time: the next is judged by what this one leads to
		}
		v := n.judge(c)
		switch {
		case v.reached && c.tried:
			c.done(MemberAnswer{Outcome: door.Done, Reason: v.text})
		case v.reached || len(v.changes) == 0:
			c.done(MemberAnswer{Outcome: door.Refused, Missing: v.missing, Reason: v.text})
		default:
			// All of them or none: the answer speaks of the whole command.
			if rejected := n.layout.Apply(nil, v.changes...).RejectedChanges; len(rejected) > 0 {
				c.done(MemberAnswer{Outcome: door.Refused, Reason: rejected[0].Reason.Error()})
				return true
			}
			c.tried, c.changes = true, v.changes
			changes = v.changes
			return false
		}
		return true
	})
	return changes
}

// commandsRejected ends the commands whose changes no layout can hold.
func (n *Node) commandsRejected(rejected []layout.ChangeRejection) {
	for _, r := range rejected {
		n.commands = slices.DeleteFunc(n.commands, func(c *command) bool {
			if !slices.Contains(c.changes, r.Change) {
				return false
			}
			c.done(MemberAnswer{Outcome: door.Refused, Reason: r.Reason.Error()})
			return true
		})
	}
}

// endCommands ends all commands, because the node stops.
func (n *Node) endCommands() {
	for _, c := range n.commands {
		answer := MemberAnswer{Outcome: door.Refused, Away: true, Reason: "the node is stopping"}
		if c.tried {
			answer.Outcome = door.Unknown
		}
		c.done(answer)
	}
	n.commands = nil
}

// verdict is what a command comes to by the layout and the roster of now: changes to make,
// or reached because the layout shows them already, or neither and the reason.
type verdict struct {
	changes []layout.MemberChange
	reached bool
	missing bool
	text    string
}

func refusal(format string, args ...any) verdict { return verdict{text: fmt.Sprintf(format, args...)} }

// judge applies rule "an operator is told".
func (n *Node) judge(c *command) verdict {
	m, ok := n.layout.MemberByNode(c.Node)
	if !ok && c.Verb != ApproveMember {
		if c.tried {
			return verdict{reached: true, text: fmt.Sprintf("%s is not a member any more", c.Node)}
		}
		return verdict{missing: true, text: fmt.Sprintf("no member has node id %q; the members are %s", c.Node, n.memberNames())}
	}
	switch c.Verb {
	case ApproveMember:
		return n.judgeApprove(c, m, ok)
	case DrainMember:
		return n.judgeDrain(m)
	case RemoveMember:
		return n.judgeRemove(c, m)
	case ReplaceMember:
		return n.judgeReplace(c, m)
	}
	return refusal("%q can't be done to a member: want approve, drain, remove or replace", c.Verb)
}

func (n *Node) judgeApprove(c *command, m layout.Member, member bool) verdict {
	switch {
	case member && m.State == layout.Active:
		return verdict{reached: true, text: fmt.Sprintf("%s is member %d", c.Node, m.Number)}
	case member && m.State == layout.Leaving:
		m.State = layout.Active
		return verdict{changes: []layout.MemberChange{{Kind: layout.Update, Member: m}}}
	}
	live, ok := n.roster.record(c.Node)
	if !ok {
		return verdict{missing: true, text: fmt.Sprintf("no node %q is registered and waits: start it with the --zookeeper and --cluster of this cluster; registered are %s", c.Node, joined(n.roster.names))}
	}
	changes := n.joinChanges(registered{c.Node, live})
	if len(changes) == 0 {
		return refusal("%s can't join: %s", c.Node, n.whyNotJoin(live))
	}
	return verdict{changes: changes}
}

// whyNotJoin says why joinChanges refuses a registration.
func (n *Node) whyNotJoin(live liveRecord) string {
	if m, ok := n.layout.MemberByStore(live.Store); ok {
		return fmt.Sprintf("its data directory is that of member %d, which is %s; stop it, and start it again when 'dkv member list' does not show that member any more", m.Number, m.State)
	}
	return fmt.Sprintf("its data directory belongs to cluster %s, and this is cluster %s: start it with an empty one", live.Cluster, n.cluster)
}

func (n *Node) judgeDrain(m layout.Member) verdict {
	if m.State != layout.Active {
		return verdict{reached: m.State == layout.Leaving, text: fmt.Sprintf("%s is %s", m.Node, n.stateOf(m))}
	}
	others, inZone := 0, 0
	for _, o := range n.layout.Members() {
		if o.State == layout.Active && o.Number != m.Number {
			others++
			if o.Zone == m.Zone {
				inZone++
			}
		}
	}
	switch {
	case others < n.layout.Replication():
		return refusal("without %s there would be %d members for %d replicas of each partition: let another node join first", m.Node, others, n.layout.Replication())
	case m.Zone != "" && inZone == 0 && others > 0:
		return refusal("%s is the last member of zone %q: let another node of that zone join first, or stop it and remove it", m.Node, m.Zone)
	}
	m.State = layout.Leaving
	return verdict{changes: []layout.MemberChange{{Kind: layout.Update, Member: m}}}
}

func (n *Node) judgeRemove(c *command, m layout.Member) verdict {
	named := n.layout.Names(m.Number)
	if lives := n.registeredWithItsDisk(m) || n.hears(m.Number); lives && named && !c.Force {
		return refusal("%s lives and has data: drain it first ('dkv member drain %s'), or remove it with --force", m.Node, m.Node)
	}
	if why := n.lacksWithout(m); why != "" {
		return refusal("%s", why)
	}
	m.State = layout.Gone
	return verdict{changes: []layout.MemberChange{{Kind: layout.Update, Member: m}}}
}

// lacksWithout says which partition would have no majority of registered members without m.
func (n *Node) lacksWithout(m layout.Member) string {
	for p, part := range n.layout.Partitions() {
		if !contains(part.Replicas, m.Number) {
			continue
		}
		left := 0
		for _, r := range part.Replicas {
			if o, ok := n.layout.Member(r); ok && r != m.Number && n.registeredWithItsDisk(o) {
				left++
			}
		}
		if need := quorum.Majority(len(part.Replicas)); left < need {
			return fmt.Sprintf("without %s partition %d would have %d of the %d replicas that it needs to be served: start its other replicas (members %v) first", m.Node, p, left, need, part.Replicas)
		}
	}
	return ""
}

// registeredWithItsDisk reports whether a member is registered. The name of one that was
// replaced may be another disk's by now, which holds nothing of its partitions.
func (n *Node) registeredWithItsDisk(m layout.Member) bool {
	switch m.State {
	case layout.Gone:
		return false
	case layout.Replaced:
		live, ok := n.roster.record(m.Node)
		return ok && live.Store == m.Store
	}
	return n.roster.has(m.Node)
}

// judgeReplace gives the place of m to another node. If m lives it hands its data over; if
// not, the others do.
func (n *Node) judgeReplace(c *command, m layout.Member) verdict {
	if m.State != layout.Active && m.State != layout.Leaving {
		return verdict{reached: true, text: fmt.Sprintf("%s is %s", m.Node, n.stateOf(m))}
	}
	lives := n.roster.has(m.Node) || n.hears(m.Number)
	if c.New == c.Node {
		if lives {
			return refusal("%s lives with its own disk: stop it first, and start it with the new one", m.Node)
		}
		m.State = layout.Replaced
		return verdict{changes: []layout.MemberChange{{Kind: layout.Update, Member: m}}}
	}
	var changes []layout.MemberChange
	if was := m.State; lives && was == layout.Active {
		m.State = layout.Leaving
	} else if !lives {
		m.State = layout.Replaced
	}
	changes = append(changes, layout.MemberChange{Kind: layout.Update, Member: m})
	if successor, ok := n.layout.MemberByNode(c.New); ok {
		if successor.State != layout.Active {
			return refusal("%s is %s, and can't take the place of %s", c.New, n.stateOf(successor), m.Node)
		}
		if lives && c.tried {
			return verdict{reached: m.State == layout.Leaving, text: fmt.Sprintf("%s takes the place of %s, which is leaving", c.New, m.Node), changes: changes}
		}
		return verdict{changes: changes}
	}
	live, ok := n.roster.record(c.New)
	if !ok {
		return verdict{missing: true, text: fmt.Sprintf("no node %q is registered: start it with the --zookeeper and --cluster of this cluster; registered are %s", c.New, joined(n.roster.names))}
	}
	joining := n.joinChanges(registered{c.New, live})
	if len(joining) == 0 {
		return refusal("%s can't join: %s", c.New, n.whyNotJoin(live))
	}
	return verdict{changes: append(changes, joining...)}
}

// stateOf describes a member's state in words for an operator.
func (n *Node) stateOf(m layout.Member) string {
	switch {
	case m.State == layout.Leaving && n.layout.Names(m.Number):
		return "leaving already"
	case m.State == layout.Leaving:
		return "drained: stop it, or remove it"
	case m.State == layout.Replaced:
		return "replaced already"
	}
	return string(m.State)
}

func (n *Node) memberNames() string {
	var names []NodeID
	for _, m := range n.layout.Members() {
		if m.State != layout.Gone {
			names = append(names, m.Node)
		}
	}
	return joined(names)
}

func joined(names []NodeID) string {
	var list []string
	for _, name := range names {
		list = append(list, string(name))
	}
	return strings.Join(list, " ")
}

// changesMade observes what this node's changes of the members were.
func (n *Node) changesMade(result layout.Applied) {
	for _, c := range result.Changes {
		was, _ := result.From.Member(c.Member.Number)
		e := Event{Peer: c.Member.Number}
		switch {
		case c.Kind == layout.Join:
			e.Kind = EventJoined
		case c.Kind == layout.Drop, c.Member.State == layout.Gone:
			e.Kind = EventRemoved
		case c.Member.State == layout.Replaced:
			e.Kind = EventReplaced
		case was.State == layout.Replaced:
			e.Kind = EventReturned
		default:
			continue
		}
		n.observe(e)
	}
}

// Candidate is a registered node that is not a member.
type Candidate struct {
	Node  NodeID
	Store StoreID
	HTTP  string
	Why   string // it is not a member yet
}

// candidates lists the nodes that could join, or say why they can't.
func (n *Node) candidates() []Candidate {
	var all []Candidate
	for _, g := range n.roster.records {
		c := Candidate{Node: g.id, Store: g.live.Store, HTTP: g.live.HTTP, Why: "it is about to join"}
		switch {
		case len(n.joinChanges(g)) == 0:
			c.Why = n.whyNotJoin(g.live)
		case g.live.Join == JoinApprove || n.cfg.Join == JoinApprove:
			c.Why = fmt.Sprintf("it waits for 'dkv member approve %s'", g.id)
		}
		all = append(all, c)
	}
	return all
}
