package zktree

// multi applies all operations or none. When one fails, those before it are
// undone, newest first, so that each undo finds the state that its operation
// left.
func (t *Tree) multi(txn *Txn, r *Result) {
	log := &t.undo
	log.clear()
	r.Ops = make([]OpResult, len(txn.Ops))
	for i := range txn.Ops {
		code := t.applyOp(txn, &txn.Ops[i], &r.Ops[i], log)
		if code == OK {
			continue
		}
		t.undoAll(log)
		t.changes = t.changes[:0]
		r.Failed = true
		if code == ErrMarshalling {
			r.Err, r.Ops = code, nil
			return
		}
		for j := range r.Ops {
			r.Ops[j] = OpResult{Code: txn.Ops[j].Code}
			if j > i {
				r.Ops[j].Err = ErrRuntimeInconsistency
			}
		}
		r.Ops[i].Err = code
		return
	}
}

// undoLog records how to undo operations. A nil log records nothing: an operation
// outside a multi has nothing to undo, since it changes nothing when it fails.
type undoLog struct {
	steps []undo
}

// maxUndoKept bounds, in steps, the memory kept from one multi to the next.
const maxUndoKept = 64

// clear drops the steps of the last multi, and with them the deleted nodes that
// they would otherwise keep in memory.
func (l *undoLog) clear() {
	clear(l.steps)
	if cap(l.steps) > maxUndoKept {
		l.steps = nil
	}
	l.steps = l.steps[:0]
}

type undo struct {
	kind       ChangeKind
	path       string
	node       *node // the one deleted or changed
	before     node  // a copy of it from before the change
	parent     *node
	parentStat Stat
}

func (l *undoLog) created(path string, parent *node) {
	if l != nil {
		l.steps = append(l.steps, undo{kind: Created, path: path, parent: parent, parentStat: parent.stat})
	}
}

func (l *undoLog) deleted(path string, n, parent *node) {
	if l != nil {
		l.steps = append(l.steps, undo{kind: Deleted, path: path, node: n, parent: parent, parentStat: parent.stat})
	}
}

func (l *undoLog) changed(path string, n *node) {
	if l != nil {
		l.steps = append(l.steps, undo{kind: DataSet, path: path, node: n, before: *n})
	}
}

func (t *Tree) undoAll(l *undoLog) {
	for i := len(l.steps) - 1; i >= 0; i-- {
		u := &l.steps[i]
		switch u.kind {
		case Created:
			n := t.nodes[u.path]
			delete(t.nodes, u.path)
			t.disown(u.path, n)
			u.parent.children.remove(nameOf(u.path))
			u.parent.stat = u.parentStat
		case Deleted:
			t.nodes[u.path] = u.node
			t.own(u.path, u.node)
			u.parent.children.add(nameOf(u.path))
			u.parent.stat = u.parentStat
		case DataSet:
			u.node.data, u.node.stat = u.before.data, u.before.stat
		}
	}
}
