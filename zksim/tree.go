package zksim

import (
	"fmt"
	"slices"
	"time"
)

// Tree is ZooKeeper's state: nodes and sessions. It is a pure state machine:
// two trees that applied the same transactions are equal. It is not safe for
// use by several goroutines.
type Tree struct {
	zxid     int64
	nodes    map[string]*node
	sessions map[int64]*session
	changes  []Change // of the transaction being applied
}

type node struct {
	data     []byte
	stat     Stat // Cversion counts creates; DataLength and NumChildren are filled in by view
	children map[string]struct{}
	acl      []ACL
}

type session struct {
	timeout    time.Duration
	password   [16]byte
	ephemerals map[string]struct{}
}

// NewTree is a fresh ZooKeeper's state, its own nodes included.
func NewTree() *Tree {
	t := &Tree{nodes: make(map[string]*node), sessions: make(map[int64]*session)}
	t.nodes["/"] = &node{acl: OpenACL}
	t.graft("/zookeeper")
	t.graft("/zookeeper/quota")
	t.graft("/zookeeper/config")
	return t
}

// graft puts a built-in node in place without a trace in its parent's stat.
func (t *Tree) graft(path string) {
	parent, _ := parentOf(path)
	t.nodes[path] = &node{data: []byte{}, acl: OpenACL}
	t.nodes[parent].adopt(nameOf(path))
}

func builtIn(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}

// Zxid is that of the last applied transaction, 0 at first.
func (t *Tree) Zxid() int64 { return t.zxid }

// Len is the number of nodes, the built-in ones included.
func (t *Tree) Len() int { return len(t.nodes) }

// Apply takes one step. The transaction's zxid must be greater than any before
// (anything else is a fault of the caller, and panics). The tree keeps the
// data slices it is given: the caller never changes them afterwards. A
// transaction that fails changes nothing but the zxid.
func (t *Tree) Apply(txn *Txn) Result {
	if txn.Zxid <= t.zxid {
		panic(fmt.Sprintf("zksim: transaction %#x applied after %#x", txn.Zxid, t.zxid))
	}
	t.zxid = txn.Zxid
	t.changes = t.changes[:0]
	r := Result{Zxid: txn.Zxid}
	switch {
	case txn.Code == OpCreateSession:
		r.Err = t.createSession(txn)
	case txn.Session != 0 && t.sessions[txn.Session] == nil:
		r.Err = ErrSessionExpired
	case txn.Code == OpCloseSession:
		t.closeSession(txn)
	case txn.Code == OpMulti:
		t.multi(txn, &r)
	default:
		var done OpResult
		done.Err = t.applyOp(txn, &txn.Op, &done, nil)
		r.Err, r.Path, r.Stat = done.Err, done.Path, done.Stat
	}
	r.Failed = r.Failed || r.Err != OK
	r.Changes = t.changes
	return r
}

func (t *Tree) createSession(txn *Txn) Code {
	if txn.Session == 0 || t.sessions[txn.Session] != nil {
		return ErrBadArguments
	}
	t.sessions[txn.Session] = &session{timeout: txn.Timeout, password: txn.Password}
	return OK
}

// closeSession ends a session and removes its ephemerals, all at this zxid.
func (t *Tree) closeSession(txn *Txn) {
	s := t.sessions[txn.Session]
	if s == nil {
		return // the service's own transaction named no session
	}
	for _, path := range sortedKeys(s.ephemerals) {
		t.remove(path, txn.Zxid)
	}
	delete(t.sessions, txn.Session)
}

// applyOp does one operation of txn; log, when not nil, is told how to take it
// back.
func (t *Tree) applyOp(txn *Txn, op *Op, done *OpResult, log *undoLog) Code {
	done.Code = op.Code
	switch op.Code {
	case OpCreate, OpCreate2:
		return t.create(txn, op, done, log)
	case OpDelete:
		return t.delete(txn, op, log)
	case OpSetData:
		return t.set(txn, op, done, log)
	case OpCheck:
		return t.check(op)
	}
	return ErrUnimplemented
}

// create's checks stand in ZooKeeper's order: kind, slash, ACL, parent, path
// (with its sequence number), existence, parent's kind.
func (t *Tree) create(txn *Txn, op *Op, done *OpResult, log *undoLog) Code {
	if op.Flags < 0 || op.Flags > maxKnownFlags {
		return ErrBadArguments
	}
	parentPath, ok := parentOf(op.Path)
	if !ok || hasNul(op.Path) {
		return ErrBadArguments
	}
	acl, code := checkACL(op.ACL)
	if code != OK {
		return code
	}
	parent := t.nodes[parentPath]
	if parent == nil {
		return ErrNoNode
	}
	path := op.Path
	if op.Flags <= Ephemeral|Sequential && op.Flags&Sequential != 0 {
		path += sequenceName(parent.stat.Cversion)
	}
	if !ValidPath(path) {
		return ErrBadArguments
	}
	if t.nodes[path] != nil {
		return ErrNodeExists
	}
	if parent.stat.EphemeralOwner != 0 {
		return ErrNoChildrenForEphemerals
	}
	if op.Flags > Ephemeral|Sequential {
		return ErrUnimplemented
	}
	return t.insert(txn, op, path, parentPath, parent, acl, done, log)
}

func (t *Tree) insert(txn *Txn, op *Op, path, parentPath string, parent *node, acl []ACL, done *OpResult, log *undoLog) Code {
	n := &node{data: op.Data, acl: acl}
	n.stat = Stat{Czxid: txn.Zxid, Mzxid: txn.Zxid, Pzxid: txn.Zxid, Ctime: txn.Time, Mtime: txn.Time}
	if op.Flags&Ephemeral != 0 {
		owner := t.sessions[txn.Session]
		if owner == nil {
			return ErrSessionExpired // the service itself owns nothing
		}
		n.stat.EphemeralOwner = txn.Session
		owner.own(path)
	}
	log.created(path, parent)
	t.nodes[path] = n
	parent.adopt(nameOf(path))
	// The counter only grows: past its greatest value it sticks, and so does pzxid.
	if next := parent.stat.Cversion + 1; next > parent.stat.Cversion {
		parent.stat.Cversion = next
		parent.stat.Pzxid = txn.Zxid
	}
	done.Path, done.Stat = path, n.view()
	t.changes = append(t.changes, Change{Created, path})
	return OK
}

// delete's checks: built-in nodes, parent, node, version, children.
func (t *Tree) delete(txn *Txn, op *Op, log *undoLog) Code {
	parentPath, ok := parentOf(op.Path)
	if !ok || builtIn(op.Path) || hasNul(op.Path) {
		return ErrBadArguments
	}
	parent, n := t.nodes[parentPath], t.nodes[op.Path]
	if parent == nil || n == nil {
		return ErrNoNode
	}
	if op.Version != -1 && op.Version != n.stat.Version {
		return ErrBadVersion
	}
	if len(n.children) > 0 {
		return ErrNotEmpty
	}
	log.deleted(op.Path, n, parent)
	t.remove(op.Path, txn.Zxid)
	return OK
}

func (t *Tree) remove(path string, zxid int64) {
	n := t.nodes[path]
	parentPath, _ := parentOf(path)
	parent := t.nodes[parentPath]
	delete(t.nodes, path)
	delete(parent.children, nameOf(path))
	parent.stat.Pzxid = zxid
	if owner := t.sessions[n.stat.EphemeralOwner]; owner != nil {
		delete(owner.ephemerals, path)
	}
	t.changes = append(t.changes, Change{Deleted, path})
}

func (t *Tree) set(txn *Txn, op *Op, done *OpResult, log *undoLog) Code {
	if code := t.check(op); code != OK {
		return code
	}
	n := t.nodes[op.Path]
	log.changed(op.Path, n)
	n.data = op.Data
	n.stat.Version++
	n.stat.Mzxid, n.stat.Mtime = txn.Zxid, txn.Time
	done.Stat = n.view()
	t.changes = append(t.changes, Change{DataSet, op.Path})
	return OK
}

// check is path, node, version, in this order.
func (t *Tree) check(op *Op) Code {
	n := t.nodes[op.Path]
	if n == nil {
		if !ValidPath(op.Path) {
			return ErrBadArguments
		}
		return ErrNoNode
	}
	if op.Version != -1 && op.Version != n.stat.Version {
		return ErrBadVersion
	}
	return OK
}

// Get reads a node. The slice is the tree's own: do not change it.
func (t *Tree) Get(path string) ([]byte, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return n.data, n.view(), OK
}

// Exists is a node's stat.
func (t *Tree) Exists(path string) (Stat, Code) {
	n := t.nodes[path]
	switch {
	case n != nil:
		return n.view(), OK
	case hasNul(path):
		return Stat{}, ErrBadArguments
	}
	return Stat{}, ErrNoNode
}

// Children are the names below a node, sorted. (A real server's order is
// unspecified; Service shuffles them.)
func (t *Tree) Children(path string) ([]string, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return sortedKeys(n.children), n.view(), OK
}

// ACLOf is a node's access list. The slice is the tree's own: do not change it.
func (t *Tree) ACLOf(path string) ([]ACL, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return n.acl, n.view(), OK
}

// Session is what the tree knows of a live session.
func (t *Tree) Session(id int64) (timeout time.Duration, password [16]byte, ok bool) {
	s := t.sessions[id]
	if s == nil {
		return 0, password, false
	}
	return s.timeout, s.password, true
}

// Sessions are the ids of the live sessions, ascending.
func (t *Tree) Sessions() []int64 {
	return sortedKeys(t.sessions)
}

// Ephemerals are the paths a session owns, sorted.
func (t *Tree) Ephemerals(id int64) []string {
	if s := t.sessions[id]; s != nil {
		return sortedKeys(s.ephemerals)
	}
	return nil
}

// EphemeralCount is the number of ephemeral nodes of all sessions.
func (t *Tree) EphemeralCount() int {
	count := 0
	// order-free: a sum has no order
	for _, s := range t.sessions {
		count += len(s.ephemerals)
	}
	return count
}

// view is the stat as shown: cversion counts creates and deletes both.
func (n *node) view() Stat {
	s := n.stat
	s.DataLength = int32(len(n.data))
	s.NumChildren = int32(len(n.children))
	s.Cversion = 2*n.stat.Cversion - s.NumChildren
	return s
}

func (n *node) adopt(name string) {
	if n.children == nil {
		n.children = make(map[string]struct{})
	}
	n.children[name] = struct{}{}
}

func (s *session) own(path string) {
	if s.ephemerals == nil {
		s.ephemerals = make(map[string]struct{})
	}
	s.ephemerals[path] = struct{}{}
}

// checkACL takes only what this tree can honour: everything to everybody. A
// narrower list is refused rather than kept and not enforced.
func checkACL(acl []ACL) ([]ACL, Code) {
	if acl == nil {
		return OpenACL, OK
	}
	if len(acl) != 1 || acl[0] != OpenACL[0] {
		return nil, ErrInvalidACL
	}
	return OpenACL, OK
}

func hasNul(path string) bool {
	for i := 0; i < len(path); i++ {
		if path[i] == 0 {
			return true
		}
	}
	return false
}

// sequenceName is Java's "%010d".
func sequenceName(counter int32) string {
	return fmt.Sprintf("%010d", counter)
}

func sortedKeys[K int64 | string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	// order-free: sorted below
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
