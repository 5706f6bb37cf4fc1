package world

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"dkv/node"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/zksim/zktree"
)

// Layout returns the layout as ZooKeeper's leader has it now; nil before it is
// formed, or if it can't be decoded.
func (w *World) Layout() *layout.Layout { return w.operator.peek() }

// MemberOf returns the number of the member that a host's node is; 0 if it is
// not a member, or no longer one.
func (w *World) MemberOf(host int) node.MemberNumber {
	l := w.Layout()
	if l == nil {
		return 0
	}
	m, _ := l.MemberByNode(node.NodeID(schedule.HostName(host)))
	return m.Number
}

// HostOf returns the host of a member, or NoHost if the layout does not name it.
func (w *World) HostOf(member node.MemberNumber) int {
	l := w.Layout()
	if l == nil {
		return NoHost
	}
	m, ok := l.Member(member)
	if !ok || m.State == layout.Gone { // its name may be another member's by now
		return NoHost
	}
	return w.HostNamed(string(m.Node))
}

// HostNamed returns the host of a node id, or NoHost.
func (w *World) HostNamed(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || n < 1 || n > len(w.hosts) {
		return NoHost
	}
	return n - 1
}

// Move makes the administrator begin a move of a partition (layout step L2), with
// its primary unchanged. The administrator has a ZooKeeper session of its own. It
// reads the layout, compares and sets, retries after conflicts, and gives up after
// ten tries or ten seconds. done, which may be nil, is told whether the step was
// surely taken.
func (w *World) Move(p node.PartitionID, replicas []node.MemberNumber, done func(taken bool)) {
	w.operator.ask(layoutRequest{kind: layout.BeginMove, partition: p, next: slices.Clone(replicas), done: done})
}

// Cancel is like Move, but cancels the move of a partition (layout step L4).
func (w *World) Cancel(p node.PartitionID, done func(taken bool)) {
	w.operator.ask(layoutRequest{kind: layout.CancelMove, partition: p, done: done})
}

// peek returns the layout as ZooKeeper's leader has it. It decodes each version once.
func (o *operator) peek() *layout.Layout {
	data, stat, code := o.world.zookeeper.Peek(o.path)
	if code != zktree.OK {
		return nil
	}
	if o.copy == nil || stat.Version != o.copyVersion || stat.Czxid != o.copyCzxid {
		l, err := layout.Decode(data)
		if err != nil {
			return nil
		}
		o.copy, o.copyVersion, o.copyCzxid = l, stat.Version, stat.Czxid
	}
	return o.copy
}

// recorded returns the count of a store that ZooKeeper's record of it shows; 0 without
// a record.
func (w *World) recorded(store node.StoreID) uint64 {
	data, _, code := w.zookeeper.Peek("/dkv/" + w.cfg.Node.Cluster + "/stores/" + string(store))
	var record struct {
		Count uint64 `json:"count"`
	}
	if code != zktree.OK || json.Unmarshal(data, &record) != nil {
		return 0
	}
	return record.Count
}
