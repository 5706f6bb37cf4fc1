package node

import (
	"math"
	"slices"
	"time"

	"dkv/node/layout"
)

// How a member that is gone for long is given up. Each member that sees the registry notes
// whose registration is missing, and asks all members whether they hear that one:
//
//	noteMissing ─▶ RollCall ─▶ onRollCall (each member) ─▶ RollReply ─▶ onRollReply
//
// Any frame of the missing member that reaches any of them begins its time anew. So a
// member that has only lost ZooKeeper, or is cut off from some, is not given up (rule
// "replace the silent").

// absence is a member without a registration.
type absence struct {
	member MemberNumber
	since  time.Duration // the first look without it, or the last time that a member heard it
}

// rollCallTime returns how often the roll is called, and half of how recent an answer must
// be.
func (n *Node) rollCallTime() time.Duration {
	return max(n.cfg.SuspectAfter, min(n.replaceAfter()/8, 10*time.Second))
}

// replaceAfter returns how long a member may be missing; forever if the operator says so.
func (n *Node) replaceAfter() time.Duration {
	if n.cfg.ReplaceAfter < 0 {
		return math.MaxInt64 / 2
	}
	return max(n.cfg.ReplaceAfter, 4*n.cfg.SuspectAfter) // which may be the record's
}

// noteMissing compares the members with the roster.
func (n *Node) noteMissing(now time.Duration) {
	r := &n.roster
	var missing []absence
	for _, m := range n.layout.Members() {
		if m.Number == n.self || m.State == layout.Gone || m.State == layout.Replaced || r.has(m.Node) {
			continue
		}
		a := absence{m.Number, now}
		if i := slices.IndexFunc(r.missing, func(was absence) bool { return was.member == m.Number }); i >= 0 {
			a = r.missing[i]
		}
		a.since = max(a.since, n.heard[m.Number])
		missing = append(missing, a)
	}
	r.missing = missing
	if len(missing) > 0 && (n.rollCalledAt == 0 || now-n.rollCalledAt >= n.rollCallTime()) {
		n.rollCalledAt = now
		n.callRoll()
	}
}

// callRoll asks every member, the missing ones too: their answer is a frame like any other.
func (n *Node) callRoll() {
	var numbers []MemberNumber
	for _, a := range n.roster.missing {
		numbers = append(numbers, a.member)
	}
	for _, m := range n.layout.Members() {
		if m.Number != n.self && m.State != layout.Gone {
			n.send(m.Number, &RollCall{Members: numbers})
		}
	}
}

// onRollCall answers when the members were heard here. That may be long ago and still count:
// a member that was cut off itself could not say so before. Those not heard lately are
// asked, so that the next answer knows; members without a common partition exchange no
// other frames.
func (n *Node) onRollCall(m *Envelope, c *RollCall) {
	reply, now := &RollReply{Asked: c.Members}, n.now()
	for _, missing := range c.Members {
		if missing == n.self {
			continue
		}
		at, ok := n.heard[missing]
		if ok {
			reply.Heard = append(reply.Heard, HeardMember{missing, now - at})
		}
		if !ok || now-at > 2*n.rollCallTime() {
			n.ping(missing)
		}
	}
	n.send(m.From, reply)
}

// ping asks a member for a sign of life, once an interval.
func (n *Node) ping(m MemberNumber) {
	now := n.now()
	if at, ok := n.pinged[m]; ok && now-at < n.interval() {
		return
	}
	if _, ok := n.peer(m); !ok {
		return
	}
	n.pinged[m] = now
	n.send(m, &RollCall{})
}

func (n *Node) onRollReply(m *Envelope, c *RollReply) {
	r, now := &n.roster, n.now()
	if r.answered == nil {
		r.answered = make(map[MemberNumber]time.Duration)
	}
	if n.layout == nil {
		return
	}
	if _, ok := n.layout.Member(m.From); !ok {
		return
	}
	if len(c.Asked) > 0 {
		r.answered[m.From] = now
	}
	for i := range r.missing {
		for _, h := range c.Heard {
			if h.Member == r.missing[i].member && now-h.Silent > r.missing[i].since {
				n.observe(Event{Kind: EventMissingHeard, Peer: h.Member})
				r.missing[i].since = now - h.Silent
			}
		}
	}
}

// heardFrom notes a frame of a member.
func (n *Node) heardFrom(m MemberNumber) {
	if m != 0 && n.layout != nil {
		if _, ok := n.layout.Member(m); ok {
			n.heard[m] = n.now()
		}
	}
}

// hears reports whether a member was heard here within twice suspect-after.
func (n *Node) hears(m MemberNumber) bool {
	at, ok := n.heard[m]
	return m == n.self || ok && n.now()-at <= 2*n.cfg.SuspectAfter
}

// missingFor returns for how long no member has heard a member without a registration; 0
// if it is registered, or was heard.
func (n *Node) missingFor(m MemberNumber, now time.Duration) time.Duration {
	i := slices.IndexFunc(n.roster.missing, func(a absence) bool { return a.member == m })
	if i < 0 {
		return 0
	}
	return now - n.roster.missing[i].since
}

// givenUp reports whether a member has been missing for replace-after, and may be replaced:
// one at a time, and only while every other member is registered and says that it does not
// hear it. If a second one is missing, or a whole zone, the fault is more likely in the
// network or the power supply, and the disks come back.
func (n *Node) givenUp(m layout.Member, now time.Duration) bool {
	if n.missingFor(m.Number, now) < n.replaceAfter() {
		return false
	}
	active, inZone := 0, 0
	for _, o := range n.layout.Members() {
		switch {
		case o.Number == m.Number || o.State == layout.Gone:
			continue
		case o.State == layout.Replaced:
			if n.layout.Names(o.Number) {
				return false // the last one's data are not whole again yet
			}
			continue
		case o.Number != n.self && (!n.roster.has(o.Node) || !n.answeredLately(o.Number, now)):
			return false
		}
		if o.State == layout.Active {
			active++
			if o.Zone == m.Zone {
				inZone++
			}
		}
	}
	return active > 0 && (m.Zone == "" || inZone > 0)
}

func (n *Node) answeredLately(m MemberNumber, now time.Duration) bool {
	at, ok := n.roster.answered[m]
	return ok && now-at <= 2*n.rollCallTime()
}
