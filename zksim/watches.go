package zksim

import "slices"

// EventType is a watch event's number on the wire.
type EventType int32

// What a watch event tells.
const (
	EventCreated         EventType = 1
	EventDeleted         EventType = 2
	EventDataChanged     EventType = 3
	EventChildrenChanged EventType = 4
)

// Event is what a watcher is told.
type Event struct {
	Type EventType
	Path string
}

// WatchKind tells the two tables of watches apart: data watches are left by
// get and exists, child watches by children.
type WatchKind uint8

// The tables.
const (
	DataWatch WatchKind = iota
	ChildWatch
	watchKinds
)

// Watches are the one-shot watches of one server. A watcher is a connection,
// named by a number of the caller's choice; several watches of one watcher on
// one path and table are one.
type Watches struct {
	tables    [watchKinds]map[string][]int64 // watchers ascending
	byWatcher map[int64]map[watchKey]struct{}
}

type watchKey struct {
	kind WatchKind
	path string
}

// NewWatches is an empty table.
func NewWatches() *Watches {
	w := &Watches{byWatcher: make(map[int64]map[watchKey]struct{})}
	for k := range w.tables {
		w.tables[k] = make(map[string][]int64)
	}
	return w
}

// Add arms one watch.
func (w *Watches) Add(kind WatchKind, path string, watcher int64) {
	key := watchKey{kind, path}
	mine := w.byWatcher[watcher]
	if mine == nil {
		mine = make(map[watchKey]struct{})
		w.byWatcher[watcher] = mine
	}
	if _, armed := mine[key]; armed {
		return
	}
	mine[key] = struct{}{}
	list := w.tables[kind][path]
	at, _ := slices.BinarySearch(list, watcher)
	w.tables[kind][path] = slices.Insert(list, at, watcher)
}

// Drop disarms everything of one watcher.
func (w *Watches) Drop(watcher int64) {
	for key := range w.byWatcher[watcher] { // order-free: each removes itself only
		list := w.tables[key.kind][key.path]
		if at, ok := slices.BinarySearch(list, watcher); ok {
			list = slices.Delete(list, at, at+1)
		}
		if len(list) == 0 {
			delete(w.tables[key.kind], key.path)
		} else {
			w.tables[key.kind][key.path] = list
		}
	}
	delete(w.byWatcher, watcher)
}

// Len is the number of armed watches.
func (w *Watches) Len() int {
	total := 0
	// order-free: a sum has no order
	for _, mine := range w.byWatcher {
		total += len(mine)
	}
	return total
}

// Fire tells every watcher of a transaction's changes, in their order; each
// watch that tells is used up. A create tells the node, then its parent; a
// delete tells one Deleted to a watcher of both tables, then the parent.
func (w *Watches) Fire(changes []Change, tell func(watcher int64, e Event)) {
	for _, c := range changes {
		switch c.Kind {
		case Created:
			w.fireOne(DataWatch, c.Path, EventCreated, nil, tell)
			w.fireParent(c.Path, tell)
		case DataSet:
			w.fireOne(DataWatch, c.Path, EventDataChanged, nil, tell)
		case Deleted:
			told := w.fireOne(DataWatch, c.Path, EventDeleted, nil, tell)
			w.fireOne(ChildWatch, c.Path, EventDeleted, told, tell)
			w.fireParent(c.Path, tell)
		}
	}
}

func (w *Watches) fireParent(path string, tell func(int64, Event)) {
	parent, _ := parentOf(path)
	w.fireOne(ChildWatch, parent, EventChildrenChanged, nil, tell)
}

func (w *Watches) fireOne(kind WatchKind, path string, t EventType, told []int64, tell func(int64, Event)) []int64 {
	list := w.tables[kind][path]
	if len(list) == 0 {
		return nil
	}
	delete(w.tables[kind], path)
	for _, watcher := range list {
		w.forget(watcher, watchKey{kind, path})
		if _, already := slices.BinarySearch(told, watcher); !already {
			tell(watcher, Event{t, path})
		}
	}
	return list
}

func (w *Watches) forget(watcher int64, key watchKey) {
	mine := w.byWatcher[watcher]
	delete(mine, key)
	if len(mine) == 0 {
		delete(w.byWatcher, watcher)
	}
}

// WatchSet is what a client that comes back wants watched again: Exist paths
// are those whose exists found no node.
type WatchSet struct {
	Data, Exist, Child []string
}

// Restore arms what a reconnecting client names and tells at once what it can
// know to have changed since the zxid the client last saw. As in ZooKeeper,
// a node deleted and created again is told as a change, and one created and
// deleted again is not told at all.
func (w *Watches) Restore(t *Tree, since int64, set WatchSet, watcher int64, tell func(Event)) {
	for _, path := range set.Data {
		switch s, code := t.Exists(path); {
		case code != OK:
			tell(Event{EventDeleted, path})
		case s.Mzxid > since:
			tell(Event{EventDataChanged, path})
		default:
			w.Add(DataWatch, path, watcher)
		}
	}
	for _, path := range set.Exist {
		if _, code := t.Exists(path); code == OK {
			tell(Event{EventCreated, path})
		} else {
			w.Add(DataWatch, path, watcher)
		}
	}
	for _, path := range set.Child {
		switch s, code := t.Exists(path); {
		case code != OK:
			tell(Event{EventDeleted, path})
		case s.Pzxid > since:
			tell(Event{EventChildrenChanged, path})
		default:
			w.Add(ChildWatch, path, watcher)
		}
	}
}
