package sim

import (
	"slices"

	"dkv/node"
	"dkv/node/layout"
	"dkv/sim/world"
)

// repeats counts what begins again before its first attempt has left every disk. It
// judges nothing: the counts say how often a campaign tested it.
type repeats struct {
	count   func(world.Fault)
	hostOf  func(node.MemberNumber) int
	last    []layout.Partition
	stopped [][]node.MemberNumber // by partition: N of its last move, if that was cancelled
	ended   []endedMove           // by rising version
	version []node.Index          // by host: of the layout that it adopted last, in any process
	holds   [][]bool              // by host and partition: something was logged there, and not forgotten
}

// endedMove is a change of a partition's replicas.
type endedMove struct {
	version   node.Index
	partition int
	before    []node.MemberNumber
}

func newRepeats(hosts, partitions int, count func(world.Fault), hostOf func(node.MemberNumber) int) *repeats {
	a := &repeats{
		count: count, hostOf: hostOf, last: make([]layout.Partition, partitions),
		stopped: make([][]node.MemberNumber, partitions), version: make([]node.Index, hosts), holds: make([][]bool, hosts),
	}
	for h := range a.holds {
		a.holds[h] = make([]bool, partitions)
	}
	return a
}

// onLayout compares a new layout with the one before.
func (a *repeats) onLayout(l *layout.Layout) {
	if l == nil {
		return // the first could not be read
	}
	for p, next := range l.Partitions() {
		if p >= len(a.last) {
			return
		}
		was := a.last[p]
		if was.Epoch != next.Epoch {
			a.last[p] = next
		}
		if was.Epoch != 0 && was.Epoch != next.Epoch {
			a.onChange(node.Index(l.Version()), p, was, next)
		}
	}
}

func (a *repeats) onChange(version node.Index, p int, was, next layout.Partition) {
	switch {
	case !was.Moving() && next.Moving():
		if a.stopped[p] != nil && sameMembers(a.stopped[p], next.Next) {
			a.count(world.FaultMoveAgain)
		}
		a.stopped[p] = nil
		for _, m := range next.Next {
			host := a.hostOf(m)
			if !slices.Contains(was.Replicas, m) && host != world.NoHost && a.holds[host][p] {
				a.count(world.FaultFormerData)
			}
		}
	case was.Moving() && !next.Moving() && sameMembers(was.Replicas, next.Replicas):
		a.stopped[p] = was.Next
	case !sameMembers(was.Replicas, next.Replicas):
		a.ended = append(a.ended, endedMove{version, p, was.Replicas})
	}
}

// onEvent takes what a host holds, and whether a layout that it adopts is the first one
// that it sees after two moves or more of a partition of which it was a replica.
func (a *repeats) onEvent(host int, ev *node.Event) {
	switch ev.Kind {
	case node.EventLogged, node.EventSnapshotInstalled, node.EventForgotten:
		if int(ev.Partition) < len(a.last) {
			a.holds[host][ev.Partition] = ev.Kind != node.EventForgotten
		}
	case node.EventLayout:
		from := a.version[host]
		a.version[host] = max(from, ev.Index)
		a.onAdopted(host, from, ev.Index)
	}
}

// onAdopted looks at the moves that ended after version from and not after version to.
func (a *repeats) onAdopted(host int, from, to node.Index) {
	begin := len(a.ended)
	for begin > 0 && a.ended[begin-1].version > from {
		begin--
	}
	missed := a.ended[begin:]
	for len(missed) > 0 && missed[len(missed)-1].version > to {
		missed = missed[:len(missed)-1]
	}
	for i, move := range missed {
		earlier := func(m endedMove) bool { return m.partition == move.partition }
		replica := func(m node.MemberNumber) bool { return a.hostOf(m) == host }
		if slices.ContainsFunc(missed[:i], earlier) || !slices.ContainsFunc(move.before, replica) {
			continue
		}
		if slices.ContainsFunc(missed[i+1:], earlier) {
			a.count(world.FaultAwayOverMoves)
		}
	}
}
