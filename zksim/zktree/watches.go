package zktree

import (
	"cmp"
	"slices"
)

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

// WatchKind is how a watch was left. Those of get and exists (DataWatch) and of
// children (ChildWatch) tell one event. Those of addWatch stay: a
// PersistentWatch tells what both of the others would, and a RecursiveWatch
// tells of the node and everything below it, but never ChildrenChanged.
type WatchKind uint8

// The kinds.
const (
	DataWatch WatchKind = iota
	ChildWatch
	PersistentWatch
	RecursiveWatch

	watchTables = 2 // data and child watches; the other two kinds stand in both
)

// Watches are the watches of one server. A watcher is a connection, named by a
// number of the caller's choice. As in ZooKeeper there are two tables, in which
// a watcher has at most one watch for a path; the last one left there decides
// its kind, so that a get's watch takes the place of the data half of a
// persistent one. Events of nodes that only some may read are withheld from
// those who may not: see Identify.
type Watches struct {
	tables    [watchTables]map[string][]watch // by watcher, ascending
	recursive [watchTables]int                // how many of them are
	byWatcher map[int64]map[watchKey]struct{}
	auth      map[int64][]Identity

	heard, told []int64   // of the change being told
	spare       [][]watch // lists that emptied, for those to come
}

// What is kept for lists to come.
const (
	maxSpare     = 1024
	maxSpareList = 8 // watchers
)

type watch struct {
	watcher int64
	kind    WatchKind // DataWatch and ChildWatch only in the table of this name
}

type watchKey struct {
	table WatchKind
	path  string
}

// NewWatches is without any watch.
func NewWatches() *Watches {
	w := &Watches{byWatcher: make(map[int64]map[watchKey]struct{}), auth: make(map[int64][]Identity)}
	for k := range w.tables {
		w.tables[k] = make(map[string][]watch)
	}
	return w
}

// Identify says who a watcher is. Without it, it is anybody. Drop forgets it.
func (w *Watches) Identify(watcher int64, auth []Identity) {
	w.auth[watcher] = slices.Clone(auth)
}

// Add arms one watch.
func (w *Watches) Add(kind WatchKind, path string, watcher int64) {
	first, last := kind.tables()
	for table := first; table <= last; table++ {
		w.arm(table, path, watch{watcher, kind})
	}
}

// tables are the first and the last table in which watches of a kind stand.
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

// count is what a watch adds to the number of recursive ones.
func count(a watch) int {
	if a.kind == RecursiveWatch {
		return 1
	}
	return 0
}

// Has says whether a watcher has a watch: of DataWatch and ChildWatch whether
// the table of this name holds one, of the other two whether both tables hold
// one of this kind.
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

// Watched says whether anybody has a watch for path in the table of kind,
// DataWatch or ChildWatch. ZooKeeper 3.8 answers its checkWatches with this,
// whoever asks.
func (w *Watches) Watched(kind WatchKind, path string) bool {
	return len(w.tables[kind][path]) > 0
}

// Remove disarms a watcher's watch, if it has one: with DataWatch and ChildWatch
// what stands in the table of this name, of whatever kind, with the others what
// stands in either.
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

// disarm takes a watch out of its table only.
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

// keep puts back what is left of a list.
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

// forget leaves the watcher's set, were it empty, for the watches it will leave
// again: Drop removes it.
func (w *Watches) forget(watcher int64, key watchKey) {
	delete(w.byWatcher[watcher], key)
}

// Drop disarms everything of one watcher, and forgets who it is.
func (w *Watches) Drop(watcher int64) {
	for key := range w.byWatcher[watcher] { // order-free: each removes itself only
		w.disarm(key, watcher)
	}
	delete(w.byWatcher, watcher)
	delete(w.auth, watcher)
}

// Len is the number of armed watches. Those of addWatch count twice, once a
// table.
func (w *Watches) Len() int {
	total := 0
	// order-free: a sum has no order
	for _, mine := range w.byWatcher {
		total += len(mine)
	}
	return total
}

// Fire tells every watcher of a transaction's changes, in their order, the
// watchers of one event in ascending order; a watch that does not stay is used
// up, whether or not its watcher may hear the event. A create tells the node,
// then its parent; a delete tells one Deleted to a watcher in both tables, then
// the parent. A watcher hears each event once, however many of its watches meet
// it. tell must not call w.
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

// meet finds whose watches in a table an event meets, and uses them up.
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

// meetAt is meet for the node itself.
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

// tellHeard tells those of heard who may read and are not among told, which is
// ascending.
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

// WatchSet is what a client that comes back wants watched again: Exist paths
// are those whose exists found no node, Persistent and Recursive those of
// addWatch.
type WatchSet struct {
	Data, Exist, Child    []string
	Persistent, Recursive []string
}

// Empty reports whether the set names no watch.
func (w *WatchSet) Empty() bool {
	return len(w.Data)+len(w.Exist)+len(w.Child)+len(w.Persistent)+len(w.Recursive) == 0
}

// Restore arms what a reconnecting client names and tells at once what it can
// know to have changed since the zxid the client last saw. As in ZooKeeper,
// a node deleted and created again is told as a change, one created and deleted
// again is not told at all, nothing is told for the watches of addWatch, and
// nothing is withheld.
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
