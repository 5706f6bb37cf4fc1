package zktree

import (
	"fmt"
	"slices"
	"time"
)

// Tree is ZooKeeper's state: nodes and sessions. It is a pure state machine: two
// trees that applied the same transactions are equal. It is not safe for
// concurrent use.
//
// Between calls of Apply these hold:
//   - the parent of every node but the root is a node that lists it as a child;
//   - an ephemeral has no children, and its session exists and lists it;
//   - transient holds exactly the containers and TTL nodes;
//   - no zxid in a stat is greater than the tree's.
type Tree struct {
	zxid      int64
	nodes     map[string]*node
	sessions  map[int64]*session
	transient map[string]*node // containers and TTL nodes
	changes   []Change         // of the last transaction; the next one reuses the memory
	undo      undoLog          // of the last multi; the next one reuses the memory
}

type node struct {
	data     []byte
	stat     Stat // the stored form: see NodeImage
	children names
	acl      *accessList
}

type session struct {
	timeout    time.Duration
	password   [16]byte
	ephemerals map[string]struct{}
}

// NewTree returns the state of a new ZooKeeper, with the nodes that it comes with.
func NewTree() *Tree {
	t := emptyTree(0)
	t.nodes["/"] = &node{data: []byte{}, acl: openList}
	t.graft("/zookeeper")
	t.graft("/zookeeper/quota")
	t.graft("/zookeeper/config")
	config := t.nodes["/zookeeper/config"]
	config.acl, config.stat.Aversion = readList, -1
	return t
}

func emptyTree(size int) *Tree {
	return &Tree{
		nodes:     make(map[string]*node, size),
		sessions:  make(map[int64]*session),
		transient: make(map[string]*node),
	}
}

// graft adds a built-in node without counting it in its parent's stat: as in
// ZooKeeper, a new root has a child, and a cversion that no create explains.
func (t *Tree) graft(path string) {
	parent, _ := ParentOf(path)
	t.nodes[path] = &node{data: []byte{}, acl: openList}
	t.nodes[parent].children.add(nameOf(path))
}

func builtIn(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}

// Zxid returns the zxid of the last transaction applied, 0 before the first.
func (t *Tree) Zxid() int64 { return t.zxid }

// Len returns the number of nodes, including the built-in ones.
func (t *Tree) Len() int { return len(t.nodes) }

// Apply applies one transaction. A transaction that fails changes nothing but the
// zxid. Apply panics unless the zxid is greater than the last one. The tree keeps
// the data slices of the transaction: the caller must not change them afterwards.
func (t *Tree) Apply(txn *Txn) Result {
	if txn.Zxid <= t.zxid {
		panic(fmt.Sprintf("zktree: transaction %#x applied after %#x", txn.Zxid, t.zxid))
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
	// A number that marks containers or TTL nodes cannot own an ephemeral.
	if kindOf(txn.Session) != isEphemeral || t.sessions[txn.Session] != nil {
		return ErrBadArguments
	}
	t.sessions[txn.Session] = &session{timeout: txn.Timeout, password: txn.Password}
	return OK
}

// closeSession ends a session and removes its ephemerals, all at one zxid.
func (t *Tree) closeSession(txn *Txn) {
	s := t.sessions[txn.Session]
	if s == nil {
		return // a transaction of the service that names no session
	}
	for _, path := range sortedKeys(s.ephemerals) {
		t.removeFound(path, t.nodes[path], txn.Zxid)
	}
	delete(t.sessions, txn.Session)
}

// applyOp applies one operation of txn. log is nil outside a multi; inside, it
// records how to undo the operation.
func (t *Tree) applyOp(txn *Txn, op *Op, done *OpResult, log *undoLog) Code {
	done.Code = op.Code
	switch op.Code {
	case OpCreate, OpCreate2, OpContainer, OpCreateTTL:
		return t.create(txn, op, done, log)
	case OpDelete:
		return t.delete(txn, op, log)
	case OpSetData:
		return t.set(txn, op, done, log)
	case OpCheck:
		_, code := t.check(txn, op, PermRead)
		return code
	}
	if log != nil {
		return ErrUnimplemented // ZooKeeper allows no other operation in a multi
	}
	switch op.Code {
	case OpSetACL:
		return t.setACL(txn, op, done)
	case OpDelContainer:
		return t.delContainer(txn, op)
	}
	return ErrUnimplemented
}

// delete checks, in ZooKeeper's order: built-in nodes, parent, DELETE on the
// parent, node, version, children.
func (t *Tree) delete(txn *Txn, op *Op, log *undoLog) Code {
	parentPath, ok := ParentOf(op.Path)
	if !ok || builtIn(op.Path) || hasNul(op.Path) {
		return ErrBadArguments
	}
	parent, n := t.nodes[parentPath], t.nodes[op.Path]
	switch {
	case parent == nil:
		return ErrNoNode
	case parent.denies(txn, PermDelete):
		return ErrNoAuth
	case n == nil:
		return ErrNoNode
	case op.Version != -1 && op.Version != n.stat.Version:
		return ErrBadVersion
	case n.children.len() > 0:
		return ErrNotEmpty
	}
	log.deleted(op.Path, n, parent)
	t.remove(op.Path, n, parent, txn.Zxid)
	return OK
}

// removeFound is like remove, but looks the parent up.
func (t *Tree) removeFound(path string, n *node, zxid int64) {
	parentPath, _ := ParentOf(path)
	t.remove(path, n, t.nodes[parentPath], zxid)
}

// remove removes a node, which must have no children.
func (t *Tree) remove(path string, n, parent *node, zxid int64) {
	delete(t.nodes, path)
	t.disown(path, n)
	parent.children.remove(nameOf(path))
	parent.stat.Pzxid = zxid
	t.changes = append(t.changes, Change{Deleted, path, n.acl.guard(), parent.acl.guard()})
}

// own enters a node in the set by which it will be found and removed: its
// session's for an ephemeral, transient for containers and TTL nodes.
func (t *Tree) own(path string, n *node) {
	switch n.kind() {
	case isEphemeral:
		t.sessions[n.stat.EphemeralOwner].own(path)
	case isContainer, isTTL:
		t.transient[path] = n
	}
}

func (t *Tree) disown(path string, n *node) {
	switch n.kind() {
	case isEphemeral:
		delete(t.sessions[n.stat.EphemeralOwner].ephemerals, path)
	case isContainer, isTTL:
		delete(t.transient, path)
	}
}

func (t *Tree) set(txn *Txn, op *Op, done *OpResult, log *undoLog) Code {
	n, code := t.check(txn, op, PermWrite)
	if code != OK {
		return code
	}
	log.changed(op.Path, n)
	n.data = op.Data
	n.stat.Version++
	n.stat.Mzxid, n.stat.Mtime = txn.Zxid, txn.Time
	done.Stat = n.view()
	t.changes = append(t.changes, Change{DataSet, op.Path, n.acl.guard(), nil})
	return OK
}

// check checks, in ZooKeeper's order: path, node, permission, version.
func (t *Tree) check(txn *Txn, op *Op, perm int32) (*node, Code) {
	n := t.nodes[op.Path]
	switch {
	case n == nil && !ValidPath(op.Path):
		return nil, ErrBadArguments
	case n == nil:
		return nil, ErrNoNode
	case n.denies(txn, perm):
		return nil, ErrNoAuth
	case op.Version != -1 && op.Version != n.stat.Version:
		return nil, ErrBadVersion
	}
	return n, OK
}

// Get returns a node's data and stat. The slice is the tree's own: do not change
// it.
func (t *Tree) Get(path string) ([]byte, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return n.data, n.view(), OK
}

// Exists returns a node's stat.
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

// Children returns the names below a node, sorted. (ZooKeeper specifies no order,
// so clients must not rely on this one.)
func (t *Tree) Children(path string) ([]string, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return n.children.list(), n.view(), OK
}

// AllChildrenNumber returns the number of nodes below a node, at any depth.
func (t *Tree) AllChildrenNumber(path string) (int32, Code) {
	n := t.nodes[path]
	switch {
	case n == nil:
		return 0, ErrNoNode
	case path == "/":
		return int32(len(t.nodes) - 1), OK
	}
	return t.countBelow(path, n), OK
}

func (t *Tree) countBelow(path string, n *node) int32 {
	total := int32(n.children.len())
	for _, chunk := range n.children.chunks {
		for _, name := range chunk {
			below := path + "/" + name
			total += t.countBelow(below, t.nodes[below])
		}
	}
	return total
}

// Session returns the timeout and the password of a live session.
func (t *Tree) Session(id int64) (timeout time.Duration, password [16]byte, ok bool) {
	s := t.sessions[id]
	if s == nil {
		return 0, password, false
	}
	return s.timeout, s.password, true
}

// Sessions returns the ids of the live sessions, ascending.
func (t *Tree) Sessions() []int64 {
	return sortedKeys(t.sessions)
}

// Ephemerals returns the paths that a session owns, sorted.
func (t *Tree) Ephemerals(id int64) []string {
	if s := t.sessions[id]; s != nil {
		return sortedKeys(s.ephemerals)
	}
	return nil
}

// EphemeralCount returns the number of ephemeral nodes of all sessions.
func (t *Tree) EphemeralCount() int {
	count := 0
	// order-free: a sum has no order
	for _, s := range t.sessions {
		count += len(s.ephemerals)
	}
	return count
}

// view returns the stat as clients see it. Only an ephemeral shows an owner, and
// cversion counts deletes as well as creates: each of the stored creates has been
// deleted again unless its child is still there.
func (n *node) view() Stat {
	s := n.stat
	s.DataLength = int32(len(n.data))
	s.NumChildren = int32(n.children.len())
	s.Cversion = 2*n.stat.Cversion - s.NumChildren
	if n.kind() != isEphemeral {
		s.EphemeralOwner = 0
	}
	return s
}

func (s *session) own(path string) {
	if s.ephemerals == nil {
		s.ephemerals = make(map[string]struct{})
	}
	s.ephemerals[path] = struct{}{}
}

func hasNul(path string) bool {
	for i := 0; i < len(path); i++ {
		if path[i] == 0 {
			return true
		}
	}
	return false
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
