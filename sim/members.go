package sim

import (
	"fmt"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/quorum"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Members that come and go: disks that are lost, members that an operator drains, and those
// that are stopped once they hold nothing.

// desk is the operator who changes the members, by commands to the nodes. A command is
// repeated, at another node, until one answers that it is done; a drain is given up when a
// node refuses it. Where there is no desk, the members never change.
type desk struct {
	world    *world.World
	stranger func(host int) bool // no layout has ever listed it
	stores   []node.StoreID      // of each host's disk, as its last process said; "" after a wipe
	open     []bool              // by host: a command about it is under way
	named    []time.Duration     // by host: when a command about it was last given
	pace     time.Duration
	moves    bool // the nodes move partitions to where the ring means them to be
}

func newDesk(w *world.World, s *schedule.Setup, pace time.Duration, stranger func(int) bool) *desk {
	return &desk{world: w, stranger: stranger, moves: s.MoveRate > 0, stores: make([]node.StoreID, w.Hosts()), open: make([]bool, w.Hosts()), named: make([]time.Duration, w.Hosts()), pace: pace}
}

// member returns the member whose name the host's node has.
func (d *desk) member(host int) (layout.Member, bool) {
	l := d.world.Layout()
	if l == nil {
		return layout.Member{}, false
	}
	return l.MemberByNode(node.NodeID(schedule.HostName(host)))
}

// outside reports whether the layout does not list a host's disk, though there is one.
func (d *desk) outside(host int) bool {
	if d == nil {
		return false
	}
	m, ok := d.member(host)
	return d.world.Layout() != nil && (!ok || m.Store != d.stores[host])
}

// has reports whether a host has the disk of a member. One of the same name may have had it,
// and lost it; then the layout still counts on it until its partitions are moved.
func (d *desk) has(host int, number node.MemberNumber) bool {
	if d == nil || d.world.Layout() == nil {
		return true
	}
	m, ok := d.world.Layout().Member(number)
	return !ok || m.Store == d.stores[host]
}

// serves reports whether a host has the disk of a member that may serve: one that was removed
// serves no more, though its partitions count on it until they are moved.
func (d *desk) serves(host int, number node.MemberNumber) bool {
	if d != nil && d.world.Layout() != nil {
		if m, ok := d.world.Layout().Member(number); ok && m.State == layout.Gone {
			return false
		}
	}
	return d.has(host, number)
}

// command gives a command about a host to one node after another, and runs then once it is
// done, if then is not nil. It does nothing while another one is under way.
func (d *desk) command(host int, c node.MemberCommand, then func()) {
	if d.open[host] {
		return
	}
	d.open[host] = true
	d.try(host, c, then, 0)
}

func (d *desk) try(host int, c node.MemberCommand, then func(), tries int) {
	const most = 40
	asked, ended := false, false
	end := func(done, again bool) {
		switch {
		case ended:
			return
		case done || !again || tries == most:
			d.open[host] = false
			if done && then != nil {
				then()
			}
		default:
			d.world.After(d.pace, func() { d.try(host, c, then, tries+1) })
		}
		ended = true
	}
	for i := range d.world.Hosts() {
		at := (host + 1 + tries + i) % d.world.Hosts()
		if at == host || d.outside(at) {
			continue
		}
		d.named[host] = d.world.Now()
		asked = d.world.Command(at, c, func(a node.MemberAnswer) {
			refused := a.Outcome == door.Refused && !a.Away
			end(a.Outcome == door.Done, !refused || c.Verb != node.DrainMember)
		})
		if asked {
			break
		}
	}
	wait := d.pace
	if asked {
		wait += 5 * time.Second // the process may end before it answers
	}
	d.world.After(wait, func() { end(false, true) })
}

// mayWipe reports whether every partition that counts on a host's disk survives its loss,
// whatever the others have acknowledged: it has three replicas or more, and no other one of
// them is lost or without its data. More is not promised. Without moves it would not get its
// data back.
func (d *desk) mayWipe(host int) bool {
	l := d.world.Layout()
	m, ok := d.member(host)
	if !ok || !d.moves {
		return false
	}
	for h := range d.world.Hosts() {
		if h != host && !d.stranger(h) && (d.outside(h) || d.world.Damaged(h)) {
			return false
		}
	}
	for _, part := range l.Partitions() {
		if !part.Names(m.Number) {
			continue
		}
		if len(part.Replicas) < 3 || quorum.Majority(len(part.Replicas)) > len(part.Replicas)-1 {
			return false
		}
		for _, set := range [][]node.MemberNumber{part.Replicas, part.Next} {
			for _, number := range set {
				if o, ok := l.Member(number); !ok || number != m.Number && (o.State == layout.Gone || o.State == layout.Replaced) {
					return false
				}
			}
		}
	}
	return true
}

// endRemoved ends a process whose member was removed: only a new one joins again.
func (d *desk) endRemoved(host int) {
	if n := d.world.Node(host); n != nil && n.Removed() {
		d.world.Crash(host)
	}
}

// replaceable reports whether an empty disk may take the place of one that is damaged for
// good: nothing is lost by that, but it helps only where others hold majorities.
func (d *desk) replaceable(host int) bool {
	m, ok := d.member(host)
	return d.moves && d.world.Ruined(host) && ok && !d.world.WouldLack(m.Number)
}

// reinstate brings back, when all faults are over, what the operator has not brought back
// yet: disks that are damaged for good, or were rolled back, give way to empty ones; lost
// disks join under their names, hosts that were members are members again, and members that
// are leaving stay.
func (d *desk) reinstate() {
	for host := range d.world.Hosts() {
		if d.stranger(host) {
			continue
		}
		if !d.open[host] && d.replaceable(host) {
			d.stores[host] = ""
			d.world.Wipe(host)
			d.world.Restart(host)
		}
		name := node.NodeID(schedule.HostName(host))
		m, ok := d.member(host)
		d.endRemoved(host)
		switch {
		case !ok || m.State == layout.Gone || m.State == layout.Replaced && m.Store != d.stores[host]:
			d.command(host, node.MemberCommand{Verb: node.ApproveMember, Node: name}, nil)
		case m.Store != d.stores[host] && d.stores[host] != "":
			d.command(host, node.MemberCommand{Verb: node.ReplaceMember, Node: name, New: name}, nil)
		case m.Store == d.stores[host] && m.State == layout.Leaving:
			d.command(host, node.MemberCommand{Verb: node.ApproveMember, Node: name}, nil)
		}
	}
}

var memberCarriers = map[*schedule.Action]carrier{
	schedule.Wipe: func(f *injector, _ *schedule.Step, hosts []int) func() {
		host, d := hosts[0], f.desk
		if m, ok := d.member(host); !ok || m.State != layout.Active || d.outside(host) || d.world.Damaged(host) || !d.mayWipe(host) {
			f.note("spared, because the disk's data might be the last: %s", schedule.HostName(host))
			f.world.Count(world.FaultSpared)
			return nil
		}
		d.stores[host] = ""
		f.world.Wipe(host)
		f.world.Restart(host)
		return func() {
			if d.outside(host) {
				name := node.NodeID(schedule.HostName(host))
				d.command(host, node.MemberCommand{Verb: node.ReplaceMember, Node: name, New: name}, nil)
			}
		}
	},
	schedule.Join: func(f *injector, _ *schedule.Step, hosts []int) func() {
		host, d := hosts[0], f.desk
		if d.stranger(host) {
			d.command(host, node.MemberCommand{Verb: node.ApproveMember, Node: node.NodeID(schedule.HostName(host))}, func() { f.world.Count(world.FaultJoin) })
		}
		return nil
	},
	schedule.Drain: func(f *injector, _ *schedule.Step, hosts []int) func() {
		host, d := hosts[0], f.desk
		if d.stranger(host) {
			return nil
		}
		name := node.NodeID(schedule.HostName(host))
		d.command(host, node.MemberCommand{Verb: node.DrainMember, Node: name}, func() { f.world.Count(world.FaultDrain) })
		return func() { d.command(host, node.MemberCommand{Verb: node.ApproveMember, Node: name}, nil) }
	},
	schedule.Leave: func(f *injector, _ *schedule.Step, hosts []int) func() {
		host := hosts[0]
		if f.desk.stranger(host) {
			return nil
		}
		f.desk.command(host, node.MemberCommand{Verb: node.DrainMember, Node: node.NodeID(schedule.HostName(host))}, func() { f.leave(host) })
		return nil
	},
}

// leave waits until a member that was drained holds nothing, stops it, and removes it. Its
// node starts again later, on the same disk, and joins as a new member.
func (f *injector) leave(host int) {
	m, ok := f.desk.member(host)
	switch l := f.world.Layout(); {
	case f.over || !ok || m.State != layout.Leaving:
		return
	case l.Names(m.Number) || f.desk.open[host] || f.world.State(host) != world.Up || !f.ledger.leads(1<<host|f.away()):
		f.world.After(f.desk.pace, func() { f.leave(host) })
		return
	}
	f.world.Count(world.FaultDrained)
	f.world.Stop(host)
	f.desk.command(host, node.MemberCommand{Verb: node.RemoveMember, Node: m.Node, Force: true}, func() {
		f.world.Count(world.FaultLeave)
		f.world.After(2*f.schedule.Setup.SessionTimeout, func() {
			f.desk.endRemoved(host) // it was started before it was removed
			f.world.Restart(host)
		})
	})
}

// astray returns the first thing that keeps the members from being the hosts that there are:
// a host whose disk is not a member's, or a member on its way out. Without moves no member
// gets away from its data.
func (d *desk) astray() error {
	l := d.world.Layout()
	if l == nil {
		return nil
	}
	for host := range d.world.Hosts() {
		if m, ok := d.member(host); d.stranger(host) || d.world.Ruined(host) && !d.replaceable(host) || ok && m.State == layout.Active && m.Store == d.stores[host] {
			continue
		}
		return fmt.Errorf("%s is not an active member with the disk that it has", schedule.HostName(host))
	}
	for _, m := range l.Members() {
		host := d.world.HostOf(m.Number)
		if d.moves && (m.State == layout.Leaving || m.State == layout.Replaced) && (host == world.NoHost || !d.world.Ruined(host)) {
			return fmt.Errorf("member %d is %s", m.Number, m.State)
		}
	}
	return nil
}
