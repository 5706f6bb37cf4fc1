package zktree

// creation is the kind of node that a create makes, as ZooKeeper derives it from
// the operation and its flags.
type creation struct {
	code       OpCode // of the answer
	owner      int64
	sequential bool
}

// creationOf derives the kind of node. In a create of its own, the operation says
// whether the node is a container, and the flags whether it is ephemeral or
// sequential. In a multi the flags say everything, except that a time to live
// comes with OpCreateTTL only.
func creationOf(txn *Txn, op *Op, inMulti bool) (c creation, code Code) {
	if op.Flags < 0 || op.Flags > SequentialWithTTL {
		return c, ErrBadArguments
	}
	c.code = op.Code
	isContainer := op.Code == OpContainer
	c.sequential = op.Flags == Sequential || op.Flags == Ephemeral|Sequential || op.Flags == SequentialWithTTL
	ttl := op.Flags >= WithTTL
	if inMulti {
		c.code = OpCreate
		switch {
		case ttl && op.Code != OpCreateTTL:
			return c, ErrMarshalling
		case ttl, op.Flags == Container:
			c.code = OpCreate2
		}
		isContainer = op.Flags == Container
	} else if ttl != (op.Code == OpCreateTTL) {
		return c, ErrBadArguments
	}
	if ttl && !validTTL(op.TTL) {
		return c, ErrBadArguments
	}
	switch {
	case ttl:
		c.owner = ttlOwner | op.TTL.Milliseconds()
	case isContainer:
		c.owner = containerOwner
	case op.Flags == Ephemeral || op.Flags == Ephemeral|Sequential:
		c.owner = txn.Session
		if txn.Session == 0 {
			return c, ErrSessionExpired // the service has no session to own it
		}
	}
	return c, OK
}

// create checks, in ZooKeeper's order: kind, slash, list, parent, CREATE on the
// parent, path (with its sequence number), existence, kind of the parent. When
// several are wrong, the order decides which code the client sees.
func (t *Tree) create(txn *Txn, op *Op, done *OpResult, log *undoLog) Code {
	c, code := creationOf(txn, op, log != nil)
	if code != OK {
		return code
	}
	parentPath, ok := ParentOf(op.Path)
	if !ok || hasNul(op.Path) {
		return ErrBadArguments
	}
	acl, code := listFor(txn, op)
	if code != OK {
		return code
	}
	parent := t.nodes[parentPath]
	if parent == nil {
		return ErrNoNode
	}
	if parent.denies(txn, PermCreate) {
		return ErrNoAuth
	}
	path := op.Path
	if c.sequential {
		path = sequenceName(path, parent.stat.Cversion)
	}
	if !ValidPath(path) {
		return ErrBadArguments
	}
	if t.nodes[path] != nil {
		return ErrNodeExists
	}
	if parent.kind() == isEphemeral {
		return ErrNoChildrenForEphemerals
	}
	n := &node{data: op.Data, acl: acl}
	n.stat = Stat{Czxid: txn.Zxid, Mzxid: txn.Zxid, Pzxid: txn.Zxid, Ctime: txn.Time, Mtime: txn.Time, EphemeralOwner: c.owner}
	log.created(path, parent)
	t.insert(path, n, parent)
	done.Code, done.Path, done.Stat = c.code, path, n.view()
	return OK
}

func (t *Tree) insert(path string, n, parent *node) {
	t.nodes[path] = n
	t.own(path, n)
	parent.children.add(nameOf(path))
	// The counter only grows: at its greatest value it sticks, and so does pzxid.
	if next := parent.stat.Cversion + 1; next > parent.stat.Cversion {
		parent.stat.Cversion = next
		parent.stat.Pzxid = n.stat.Czxid
	}
	t.changes = append(t.changes, Change{Created, path, n.acl.guard(), parent.acl.guard()})
}

// NextSequence returns the number that the next sequential node below a path
// would get, or -1 if the path does not exist.
func (t *Tree) NextSequence(path string) int32 {
	n := t.nodes[path]
	if n == nil {
		return -1
	}
	return n.stat.Cversion
}

// AgeSequence raises the number that the next sequential node below a path
// gets, as if that many nodes had been created there. Trees stay equal only if
// all of them are aged after the same transaction.
func (t *Tree) AgeSequence(path string, next int32) {
	if n := t.nodes[path]; n != nil {
		n.stat.Cversion = max(n.stat.Cversion, next)
	}
}

const sequenceDigits = 10

// sequenceName appends a counter, which is never negative, as Java's "%010d"
// does.
func sequenceName(path string, counter int32) string {
	name := make([]byte, len(path)+sequenceDigits)
	copy(name, path)
	for i := len(name) - 1; i >= len(path); i-- {
		name[i] = byte('0' + counter%10)
		counter /= 10
	}
	return string(name)
}
