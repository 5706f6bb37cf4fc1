package zktree

import (
	"math"
	"slices"
	"time"
)

// MaxTTL is the longest time to live of a node.
const MaxTTL = maxTTLMillis * time.Millisecond

// Containers and TTL nodes are removed without a client asking. As in ZooKeeper,
// the field that holds an ephemeral's owner marks them; clients see 0 there.
const (
	containerOwner int64 = math.MinInt64
	ttlOwner       int64 = -1 << 56 // with the milliseconds below these bits
	maxTTLMillis         = 1<<40 - 1
)

// nodeKind says what, other than a delete, can remove a node.
type nodeKind uint8

const (
	isPersistent nodeKind = iota
	isEphemeral
	isContainer
	isTTL
)

func kindOf(owner int64) nodeKind {
	switch {
	case owner == 0:
		return isPersistent
	case owner == containerOwner:
		return isContainer
	case owner&ttlOwner == ttlOwner:
		return isTTL
	}
	return isEphemeral
}

func (n *node) kind() nodeKind { return kindOf(n.stat.EphemeralOwner) }

func validTTL(ttl time.Duration) bool {
	return ttl > 0 && ttl <= MaxTTL && ttl%time.Millisecond == 0
}

// due reports whether a node is to be removed: a container once it has had
// children and lost the last one, a TTL node once it has had neither children
// nor a change of data for longer than its time to live.
func (n *node) due(now int64) bool {
	if n.children.len() > 0 {
		return false
	}
	switch n.kind() {
	case isContainer:
		return n.stat.Cversion > 0
	case isTTL:
		return now-n.stat.Mtime > n.stat.EphemeralOwner&^ttlOwner
	}
	return false
}

// Due returns the paths, sorted, of the containers and TTL nodes that are to be
// removed at now, in milliseconds since the Unix epoch. A service asks from time
// to time and removes each with OpDelContainer.
func (t *Tree) Due(now int64) []string {
	var due []string
	// order-free: sorted below
	for path, n := range t.transient {
		if n.due(now) {
			due = append(due, path)
		}
	}
	slices.Sort(due)
	return due
}

// HasTransient reports whether the tree holds any container or TTL node.
func (t *Tree) HasTransient() bool { return len(t.transient) > 0 }

// delContainer removes a node that is due. Only the service may ask for it. The
// node is checked again, because it may have changed since Due listed it.
func (t *Tree) delContainer(txn *Txn, op *Op) Code {
	if txn.Session != 0 && !txn.Trusted {
		return ErrUnimplemented
	}
	if _, ok := ParentOf(op.Path); !ok || builtIn(op.Path) || hasNul(op.Path) {
		return ErrBadArguments
	}
	n := t.nodes[op.Path]
	switch {
	case n == nil:
		return ErrNoNode
	case n.children.len() > 0:
		return ErrNotEmpty
	case !n.due(txn.Time):
		return ErrBadVersion
	}
	t.removeFound(op.Path, n, txn.Zxid)
	return OK
}
