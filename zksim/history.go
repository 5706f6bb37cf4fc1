package zksim

import "dkv/zksim/zktree"

const (
	// maxStates bounds the states remembered for one path, maxDeleted the deleted
	// paths that are remembered.
	maxStates  = 32
	maxDeleted = 4096
)

// history is what the log says about each path: its latest states, each with the
// zxid from which it held. It is derived from the changes that transactions
// report, not from a tree, so that trees can be compared with it.
type history struct {
	paths         map[string]*pathHistory
	deleted       []string // a ring of deleted paths; the oldest is at oldestDeleted
	oldestDeleted int
}

// pathHistory holds the latest states of one path, ascending by zxid.
type pathHistory struct {
	states     []pathState
	cut        bool // earlier states are no longer known
	ringPlaces int  // how often the path is in the ring
}

// pathState is the state of a path from a zxid on. While no node exists, czxid and
// version are those of the last node at the path.
type pathState struct {
	zxid     int64
	exists   bool
	czxid    int64
	mzxid    int64
	childAt  int64 // the zxid of the last change of the number of children
	version  int32
	children int32
	owner    int64 // the session of an ephemeral
}

func newHistory() *history {
	c := &history{paths: make(map[string]*pathHistory)}
	c.paths["/"] = &pathHistory{states: []pathState{{exists: true, children: 1}}}
	return c
}

// latest returns the newest state of a path.
func (c *history) latest(path string) (pathState, bool) {
	st := c.paths[path]
	if st == nil {
		return pathState{}, false
	}
	return st.states[len(st.states)-1], true
}

// at returns the state of a path at a zxid, and whether it is known.
func (c *history) at(path string, zxid int64) (pathState, bool) {
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

// record adds the changes of a transaction.
func (c *history) record(txn *zktree.Txn, r *zktree.Result) {
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
			c.noteDeleted(change.Path)
		}
	}
}

func (c *history) child(path string, zxid int64, more int32) {
	parent, _ := zktree.ParentOf(path)
	if now, known := c.latest(parent); known {
		now.children += more
		now.childAt = zxid
		c.push(parent, zxid, now)
	}
}

func (c *history) push(path string, zxid int64, now pathState) {
	now.zxid = zxid
	st := c.paths[path]
	if st == nil {
		st = new(pathHistory)
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

// noteDeleted puts a deleted path into the ring. The path that it displaces is
// forgotten, unless it is elsewhere in the ring or exists again.
func (c *history) noteDeleted(path string) {
	c.paths[path].ringPlaces++
	if len(c.deleted) < maxDeleted {
		c.deleted = append(c.deleted, path)
		return
	}
	old := c.deleted[c.oldestDeleted]
	c.deleted[c.oldestDeleted] = path
	c.oldestDeleted = (c.oldestDeleted + 1) % maxDeleted
	st := c.paths[old]
	st.ringPlaces--
	if st.ringPlaces == 0 && !st.states[len(st.states)-1].exists {
		delete(c.paths, old)
	}
}

// ownerOf returns the session that owns the node that a transaction created at
// path, 0 unless the node is ephemeral.
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

// eachOp calls do for each operation of a transaction and its result. The
// transactions that begin and end sessions have no operation.
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
