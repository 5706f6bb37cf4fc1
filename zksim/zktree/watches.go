package zktree

import (
	"cmp"
	"slices"
)

// EventType is the number of a watch event's type on the wire.
type EventType int32

// The types of watch events.
const (
	EventCreated         EventType = 1
	EventDeleted         EventType = 2
	EventDataChanged     EventType = 3
	EventChildrenChanged EventType = 4
)

// Event is a notification to a watcher.
type Event struct {
	Type EventType
	Path string
}

// WatchKind is the kind of a watch. A DataWatch, set by get and exists, and a
// ChildWatch, set by children, fire once. The watches of addWatch stay: a
// PersistentWatch fires for what would fire either of the other two, and a
// RecursiveWatch for the node and everything below it, but never with
// ChildrenChanged.
type WatchKind uint8

// The kinds of watches.
const (
	DataWatch WatchKind = iota
	ChildWatch
	PersistentWatch
	RecursiveWatch

	watchTables = 2 // one of data watches, one of child watches; the other two kinds are in both
)

// Watches holds the watches of one server. A watcher is a connection, identified
// by a number that the caller chooses. As in ZooKeeper there are two tables, and a
// watcher has at most one watch for a path in each. The watch set last decides the
// kind: the watch of a get replaces the data half of a persistent one. Events of
// nodes that a watcher may not read are withheld from it: see Identify.
//
// These hold between calls:
//   - a list in tables is ascending by watcher and never empty;
//   - byWatcher has an entry for exactly the watches in tables;
//   - recursive counts the recursive watches of each table.
type Watches struct {
	tables    [watchTables]map[string][]watch // by path
	recursive [watchTables]int                // lets meet skip the walk to the root
	byWatcher map[int64]map[watchKey]struct{}
	auth      map[int64][]Identity

	heard, told []int64   // scratch of Fire
	spare       [][]watch // empty lists, for reuse
}

// Bounds of the empty lists kept for reuse.
const (
	maxSpare     = 1024
	maxSpareList = 8 // watchers
)

type watch struct {
	watcher int64
	kind    WatchKind // a DataWatch or ChildWatch is in its own table only
}

type watchKey struct {
	table WatchKind
	path  string
}

// NewWatches returns an empty set of watches.
func NewWatches() *Watches {
	w := &Watches{byWatcher: make(map[int64]map[watchKey]struct{}), auth: make(map[int64][]Identity)}
	for k := range w.tables {
		w.tables[k] = make(map[string][]watch)
	}
	return w
}

// Identify sets the identities of a watcher, until Drop. Without them it learns of
// what everyone may read.
func (w *Watches) Identify(watcher int64, auth []Identity) {
	w.auth[watcher] = slices.Clone(auth)
}

// Add sets one watch.
func (w *Watches) Add(kind WatchKind, path string, watcher int64) {
	first, last := kind.tables()
	for table := first; table <= last; table++ {
		w.arm(table, path, watch{watcher, kind})
	}
}

// tables returns the first and the last table that hold watches of a kind.
func (kind WatchKind) tables() (first, last WatchKind) {
	if kind < watchTables {
		return kind, kind
	}
	return 0, watchTables - 1
}

func (w *Watches) arm(table WatchKind, path string, armed watch) {
	list := w.tables[table][path]
	at, there := findWatch(list, armed.watcher)
	w.recursive[table] += count(armed)
	if there {
		w.recursive[table] -= count(list[at])
		list[at] = armed
		return
	}
	if list == nil && len(w.spare) > 0 {
		last := len(w.spare) - 1
		list, w.spare = w.spare[last], w.spare[:last]
	}
	w.tables[table][path] = slices.Insert(list, at, armed)
	mine := w.byWatcher[armed.watcher]
	if mine == nil {
		mine = make(map[watchKey]struct{})
		w.byWatcher[armed.watcher] = mine
	}
	mine[watchKey{table, path}] = struct{}{}
}

func findWatch(list []watch, watcher int64) (at int, there bool) {
	return slices.BinarySearchFunc(list, watcher, func(a watch, id int64) int { return cmp.Compare(a.watcher, id) })
}

// count returns what a watch adds to the number of recursive ones.
func count(a watch) int {
	if a.kind == RecursiveWatch {
		return 1
	}
	return 0
}

// Has reports whether a watcher has a watch: for DataWatch and ChildWatch, whether
// that table holds one of whatever kind; for the other two, whether both tables
// hold one of this kind.
func (w *Watches) Has(kind WatchKind, path string, watcher int64) bool {
	first, last := kind.tables()
	for table := first; table <= last; table++ {
		list := w.tables[table][path]
		at, there := findWatch(list, watcher)
		if !there || kind >= watchTables && list[at].kind != kind {
			return false
		}
	}
	return true
}

// Watched reports whether any watcher has a watch for path in the table of kind,
// DataWatch or ChildWatch. ZooKeeper 3.8 answers checkWatches with this, without
// regard to which client asks.
func (w *Watches) Watched(kind WatchKind, path string) bool {
	return len(w.tables[kind][path]) > 0
}

// Remove removes a watcher's watch and reports whether there was one: for
// DataWatch and ChildWatch the one in that table, of whatever kind; for the other
// two those in both tables.
func (w *Watches) Remove(kind WatchKind, path string, watcher int64) bool {
	removed := false
	first, last := kind.tables()
	for table := first; table <= last; table++ {
		key := watchKey{table, path}
		if w.disarm(key, watcher) {
			w.forget(watcher, key)
			removed = true
		}
	}
	return removed
}

// disarm removes a watch from its table, but not from byWatcher.
func (w *Watches) disarm(key watchKey, watcher int64) bool {
	list := w.tables[key.table][key.path]
	at, there := findWatch(list, watcher)
	if !there {
		return false
	}
	w.recursive[key.table] -= count(list[at])
	w.keep(key, slices.Delete(list, at, at+1))
	return true
}

// keep stores what is left of a list.
func (w *Watches) keep(key watchKey, list []watch) {
	if len(list) > 0 {
		w.tables[key.table][key.path] = list
		return
	}
	delete(w.tables[key.table], key.path)
	if len(w.spare) < maxSpare && cap(list) <= maxSpareList {
		w.spare = append(w.spare, list)
	}
}

// forget removes a watch from byWatcher. The watcher's set stays even when empty,
// since most watchers set another watch soon; Drop removes it.
func (w *Watches) forget(watcher int64, key watchKey) {
	delete(w.byWatcher[watcher], key)
}

// Drop removes all watches of a watcher, and its identities.
func (w *Watches) Drop(watcher int64) {
	for key := range w.byWatcher[watcher] { // order-free: each removes itself only
		w.disarm(key, watcher)
	}
	delete(w.byWatcher, watcher)
	delete(w.auth, watcher)
}

// Len returns the number of watches. Those of addWatch count twice, once for each
// table.
func (w *Watches) Len() int {
	total := 0
	// order-free: a sum has no order
	for _, mine := range w.byWatcher {
		total += len(mine)
	}
	return total
}

// Fire calls tell for every event that a transaction's changes cause: in the order
// of the changes, and for one event in ascending order of watchers. A create fires
// the node's watches, then the parent's; a delete fires the node's in both tables
// as one event, then the parent's. A watcher hears an event once, however many of
// its watches match. One-shot watches are used up even where the watcher may not
// read the node and hears nothing. tell must not call w.
func (w *Watches) Fire(changes []Change, tell func(watcher int64, e Event)) {
	for i := range changes {
		c := &changes[i]
		switch c.Kind {
		case Created:
			w.fire(DataWatch, Event{EventCreated, c.Path}, c.readers, tell)
			w.fireParent(c, tell)
		case DataSet:
			w.fire(DataWatch, Event{EventDataChanged, c.Path}, c.readers, tell)
		case Deleted:
			w.fire(DataWatch, Event{EventDeleted, c.Path}, c.readers, tell)
			w.heard, w.told = w.told, w.heard
			w.meet(ChildWatch, Event{EventDeleted, c.Path})
			w.tellHeard(Event{EventDeleted, c.Path}, c.readers, w.told, tell)
			w.fireParent(c, tell)
		}
	}
}

func (w *Watches) fireParent(c *Change, tell func(int64, Event)) {
	parent, _ := ParentOf(c.Path)
	w.fire(ChildWatch, Event{EventChildrenChanged, parent}, c.parentReaders, tell)
}

func (w *Watches) fire(table WatchKind, e Event, readers *accessList, tell func(int64, Event)) {
	w.meet(table, e)
	w.tellHeard(e, readers, nil, tell)
}

// meet puts into w.heard the watchers whose watches in a table match an event,
// ascending, and uses one-shot watches up.
func (w *Watches) meet(table WatchKind, e Event) {
	w.heard = w.heard[:0]
	if list := w.tables[table][e.Path]; len(list) > 0 {
		w.meetAt(watchKey{table, e.Path}, list, e.Type)
	}
	if w.recursive[table] == 0 || e.Type == EventChildrenChanged {
		return
	}
	direct := len(w.heard)
	for path := e.Path; path != "/"; {
		path, _ = ParentOf(path)
		for _, a := range w.tables[table][path] {
			if a.kind == RecursiveWatch {
				w.heard = append(w.heard, a.watcher)
			}
		}
	}
	if len(w.heard) > direct {
		slices.Sort(w.heard)
		w.heard = slices.Compact(w.heard)
	}
}

// meetAt is the part of meet for watches on the node itself.
func (w *Watches) meetAt(key watchKey, list []watch, t EventType) {
	left := list[:0]
	for _, a := range list {
		if a.kind != RecursiveWatch || t != EventChildrenChanged {
			w.heard = append(w.heard, a.watcher)
		}
		if a.kind >= watchTables {
			left = append(left, a)
		} else {
			w.forget(a.watcher, key)
		}
	}
	if len(left) < len(list) {
		w.keep(key, left)
	}
}

// tellHeard calls tell for the watchers in w.heard that may read the node, except
// those in told, which is ascending.
func (w *Watches) tellHeard(e Event, readers *accessList, told []int64, tell func(int64, Event)) {
	for _, watcher := range w.heard {
		if readers != nil && !readers.allows(PermRead, w.auth[watcher]) {
			continue
		}
		if _, already := slices.BinarySearch(told, watcher); !already {
			tell(watcher, e)
		}
	}
}

// WatchSet lists the watches that a reconnecting client wants restored. Exist holds
// the paths for which exists found no node, Persistent and Recursive those of
// addWatch.
type WatchSet struct {
	Data, Exist, Child    []string
	Persistent, Recursive []string
}

// Empty reports whether the set names no watch.
func (w *WatchSet) Empty() bool {
	return len(w.Data)+len(w.Exist)+len(w.Child)+len(w.Persistent)+len(w.Recursive) == 0
}

// Restore sets the watches of a reconnecting client, and calls tell at once for
// those that have fired since the zxid that the client saw last, as far as the
// present state shows it. So, as in ZooKeeper, a node deleted and created again is
// reported as changed, and one created and deleted again not at all. The watches
// of addWatch report nothing, and access lists withhold nothing.
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
	for _, path := range set.Persistent {
		w.Add(PersistentWatch, path, watcher)
	}
	for _, path := range set.Recursive {
		w.Add(RecursiveWatch, path, watcher)
	}
}
