package zksim

import "dkv/zksim/zktree"

const (
	// maxStates bounds what is remembered of one path, and maxBuried the
	// deleted paths of which anything is.
	maxStates = 32
	maxBuried = 4096
)

// chronicle is what the log says of each path: its latest states, each with
// the zxid from which on it held. It is made from the changes that
// transactions tell, not from a tree, so that trees can be held against it.
type chronicle struct {
	paths  map[string]*story
	buried []string // a ring of deleted paths, the oldest at grave
	grave  int
}

// story is the latest states of one path, ascending.
type story struct {
	states []pathState
	cut    bool // earlier states are forgotten
	graves int  // places in the ring
}

// pathState is what a path was from a zxid on. Of a node that does not exist
// czxid and version are those of the last one there.
type pathState struct {
	zxid     int64
	exists   bool
	czxid    int64
	mzxid    int64
	childAt  int64 // the last change of its children's number
	version  int32
	children int32
	owner    int64 // the session of an ephemeral
}

func newChronicle() *chronicle {
	c := &chronicle{paths: make(map[string]*story)}
	c.paths["/"] = &story{states: []pathState{{exists: true, children: 1}}}
	return c
}

// latest is the newest state of a path.
func (c *chronicle) latest(path string) (pathState, bool) {
	st := c.paths[path]
	if st == nil {
		return pathState{}, false
	}
	return st.states[len(st.states)-1], true
}

// at is the state of a path at a zxid, if it is still known.
func (c *chronicle) at(path string, zxid int64) (pathState, bool) {
	st := c.paths[path]
	if st == nil {
		return pathState{}, false
	}
	for i := len(st.states) - 1; i >= 0; i-- {
		if st.states[i].zxid <= zxid {
			return st.states[i], true
		}
	}
	return pathState{}, !st.cut
}

// record takes note of what a transaction changed.
func (c *chronicle) record(txn *zktree.Txn, r *zktree.Result) {
	for _, change := range r.Changes {
		now, _ := c.latest(change.Path)
		switch change.Kind {
		case zktree.Created:
			now.exists, now.czxid, now.mzxid, now.childAt = true, txn.Zxid, txn.Zxid, txn.Zxid
			now.version, now.children = 0, 0
			now.owner = ownerOf(change.Path, txn, r)
			c.child(change.Path, txn.Zxid, 1)
		case zktree.Deleted:
			now.exists, now.owner = false, 0
			c.child(change.Path, txn.Zxid, -1)
		case zktree.DataSet:
			now.mzxid = txn.Zxid
			now.version++
		}
		c.push(change.Path, txn.Zxid, now)
		if change.Kind == zktree.Deleted {
			c.bury(change.Path)
		}
	}
}

func (c *chronicle) child(path string, zxid int64, more int32) {
	parent, _ := zktree.ParentOf(path)
	if now, known := c.latest(parent); known {
		now.children += more
		now.childAt = zxid
		c.push(parent, zxid, now)
	}
}

func (c *chronicle) push(path string, zxid int64, now pathState) {
	now.zxid = zxid
	st := c.paths[path]
	if st == nil {
		st = new(story)
		c.paths[path] = st
	}
	n := len(st.states)
	switch {
	case n > 0 && st.states[n-1].zxid == zxid:
		st.states[n-1] = now
	case n == maxStates:
		copy(st.states, st.states[1:])
		st.states[n-1] = now
		st.cut = true
	default:
		st.states = append(st.states, now)
	}
}

// bury puts a deleted path into the ring; the one that falls out of it is
// forgotten unless it lives again.
func (c *chronicle) bury(path string) {
	c.paths[path].graves++
	if len(c.buried) < maxBuried {
		c.buried = append(c.buried, path)
		return
	}
	old := c.buried[c.grave]
	c.buried[c.grave] = path
	c.grave = (c.grave + 1) % maxBuried
	st := c.paths[old]
	st.graves--
	if st.graves == 0 && !st.states[len(st.states)-1].exists {
		delete(c.paths, old)
	}
}

// ownerOf is the session that a transaction made a node for, 0 unless the node
// is ephemeral.
func ownerOf(path string, txn *zktree.Txn, r *zktree.Result) int64 {
	owner := int64(0)
	eachOp(txn, r, func(op *zktree.Op, done *zktree.OpResult) {
		if done.Path == path && op.Code.Creates() {
			owner = 0
			if op.IsEphemeral() {
				owner = txn.Session
			}
		}
	})
	return owner
}

// eachOp goes through the operations of a transaction, of which a multi has
// several, and what came of each. Sessions that begin or end have none.
func eachOp(txn *zktree.Txn, r *zktree.Result, do func(op *zktree.Op, done *zktree.OpResult)) {
	switch txn.Code {
	case zktree.OpCreateSession, zktree.OpCloseSession:
	case zktree.OpMulti:
		for i := range min(len(txn.Ops), len(r.Ops)) {
			do(&txn.Ops[i], &r.Ops[i])
		}
	default:
		do(&txn.Op, &zktree.OpResult{Code: txn.Code, Err: r.Err, Path: r.Path, Stat: r.Stat})
	}
}
