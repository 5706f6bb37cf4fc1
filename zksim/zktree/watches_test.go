package zktree

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// told applies ops, fires their changes and returns what each watcher heard.
func (b *treeTest) told(w *Watches, ops ...Op) (got []string) {
	b.t.Helper()
	for _, op := range ops {
		r := b.do(op)
		if r.Err != OK {
			b.t.Fatalf("%+v: %v", op, r.Err)
		}
		w.Fire(r.Changes, func(id int64, e Event) { got = append(got, fmt.Sprintf("%d: %d %s", id, e.Type, e.Path)) })
	}
	return got
}

func TestWatchesThatStay(t *testing.T) {
	type armed struct {
		kind WatchKind
		path string
	}
	both := []Op{set("/p", "x"), create("/p/n"), set("/p/n", "x"), remove("/p/n"), remove("/p/c"), remove("/p"), create("/p")}
	persistent := []string{"1: 3 /p", "1: 4 /p", "1: 4 /p", "1: 4 /p", "1: 2 /p", "1: 1 /p"}
	recursive := []string{"1: 3 /p", "1: 1 /p/n", "1: 3 /p/n", "1: 2 /p/n", "1: 2 /p/c", "1: 2 /p", "1: 1 /p"}
	cases := []struct {
		name string
		left []armed
		ops  []Op
		want []string
	}{
		{"persistent", []armed{{PersistentWatch, "/p"}}, both, persistent},
		{"recursive", []armed{{RecursiveWatch, "/p"}}, both, recursive},
		{"recursive at the root", []armed{{RecursiveWatch, "/"}}, both, recursive},
		{"recursive twice", []armed{{RecursiveWatch, "/"}, {RecursiveWatch, "/p"}}, both, recursive},
		{"not below a name that only begins alike", []armed{{RecursiveWatch, "/p/c"}}, []Op{create("/p/cc"), create("/p/c/d")}, []string{"1: 1 /p/c/d"}},
		{"the last one decides: persistent", []armed{{RecursiveWatch, "/p"}, {PersistentWatch, "/p"}}, both, persistent},
		{"the last one decides: recursive", []armed{{PersistentWatch, "/p"}, {RecursiveWatch, "/p"}}, both, recursive},
		{"persistent over one-shot", []armed{{DataWatch, "/p"}, {ChildWatch, "/p"}, {PersistentWatch, "/p"}}, both, persistent},
		{"a get replaces the data half", []armed{{PersistentWatch, "/p"}, {DataWatch, "/p"}},
			[]Op{set("/p", "x"), set("/p", "y"), create("/p/n")}, []string{"1: 3 /p", "1: 4 /p"}},
		{"children replaces the child half", []armed{{PersistentWatch, "/p"}, {ChildWatch, "/p"}},
			[]Op{create("/p/n"), create("/p/m"), set("/p", "y")}, []string{"1: 4 /p", "1: 3 /p"}},
		{"one-shot below a recursive one is heard once", []armed{{RecursiveWatch, "/"}, {DataWatch, "/p"}, {ChildWatch, "/p/c"}},
			[]Op{set("/p", "x"), set("/p", "y"), remove("/p/c")}, []string{"1: 3 /p", "1: 3 /p", "1: 2 /p/c"}},
		{"a recursive watch does not fire for children", []armed{{RecursiveWatch, "/"}, {ChildWatch, "/p"}},
			[]Op{create("/p/n")}, []string{"1: 1 /p/n", "1: 4 /p"}},
	}
	for _, c := range cases {
		b := newTreeTest(t)
		b.must(create("/p"), create("/p/c"))
		w := NewWatches()
		for _, a := range c.left {
			w.Add(a.kind, a.path, 1)
		}
		if got := b.told(w, c.ops...); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		w.Drop(1)
		if w.Len() != 0 || w.recursive != [watchTables]int{} || len(w.tables[0])+len(w.tables[1]) != 0 {
			t.Errorf("%s: watches left behind", c.name)
		}
	}
}

func TestRemoveAndHas(t *testing.T) {
	kinds := []WatchKind{DataWatch, ChildWatch, PersistentWatch, RecursiveWatch}
	// Indexed by the kind of the watch that is set and the kind asked for.
	has := [4][4]bool{{true, false, false, false}, {false, true, false, false}, {true, true, true, false}, {true, true, false, true}}
	removes := [4][4]bool{{true, false, true, true}, {false, true, true, true}, {true, true, true, true}, {true, true, true, true}}
	leaves := [4][4]int{{0, 1, 0, 0}, {1, 0, 0, 0}, {1, 1, 0, 0}, {1, 1, 0, 0}}
	for _, left := range kinds {
		for _, asked := range kinds {
			w := NewWatches()
			w.Add(left, "/a", 7)
			if got := w.Has(asked, "/a", 7); got != has[left][asked] {
				t.Errorf("a watch of kind %d: Has of kind %d is %v", left, asked, got)
			}
			if w.Has(asked, "/a", 8) || w.Has(asked, "/", 7) || w.Remove(asked, "/a", 8) || w.Remove(asked, "/", 7) {
				t.Errorf("a watch of kind %d: another watcher has it too", left)
			}
			if asked < watchTables && w.Watched(asked, "/a") != has[left][asked] {
				t.Errorf("a watch of kind %d: Watched is wrong for kind %d", left, asked)
			}
			if got := w.Remove(asked, "/a", 7); got != removes[left][asked] || w.Len() != leaves[left][asked] {
				t.Errorf("a watch of kind %d: Remove of kind %d is %v, %d watches are left", left, asked, got, w.Len())
			}
		}
	}
}

func TestRestoreOfWatchesThatStayTellsNothing(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/p"), set("/p", "x"))
	w := NewWatches()
	w.Restore(b.tree, 0, WatchSet{Persistent: []string{"/p"}, Recursive: []string{"/no"}}, 1, func(e Event) { t.Errorf("restoring reported %+v", e) })
	got := b.told(w, set("/p", "y"), create("/no"), create("/no/x"))
	if want := []string{"1: 3 /p", "1: 1 /no", "1: 1 /no/x"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// watchModel does what Watches does in the plainest way: one list, searched for
// every event.
type watchModel struct {
	armed map[wordyKey]WatchKind
}

type wordyKey struct {
	child   bool
	path    string
	watcher int64
}

func (m *watchModel) fire(child bool, e Event, told map[int64]bool) []int64 {
	heard := make(map[int64]bool)
	for key, kind := range m.armed {
		here := key.path == e.Path
		below := here || key.path == "/" || strings.HasPrefix(e.Path, key.path+"/")
		switch {
		case key.child != child:
		case kind == RecursiveWatch:
			if below && e.Type != EventChildrenChanged {
				heard[key.watcher] = true
			}
		case here:
			heard[key.watcher] = true
			if kind != PersistentWatch {
				delete(m.armed, key)
			}
		}
	}
	var list []int64
	for watcher := range heard {
		if !told[watcher] {
			list = append(list, watcher)
		}
		told[watcher] = true
	}
	slices.Sort(list)
	return list
}

func (m *watchModel) fireAll(changes []Change) (all []string) {
	one := func(child bool, e Event, told map[int64]bool) {
		for _, id := range m.fire(child, e, told) {
			all = append(all, fmt.Sprintf("%d: %d %s", id, e.Type, e.Path))
		}
	}
	for _, c := range changes {
		told := make(map[int64]bool)
		parent, _ := ParentOf(c.Path)
		switch c.Kind {
		case DataSet:
			one(false, Event{EventDataChanged, c.Path}, told)
			continue
		case Created:
			one(false, Event{EventCreated, c.Path}, told)
		case Deleted:
			one(false, Event{EventDeleted, c.Path}, told)
			one(true, Event{EventDeleted, c.Path}, told)
		}
		one(true, Event{EventChildrenChanged, parent}, make(map[int64]bool))
	}
	return all
}

func TestWatchesAreWhatTheyShouldBe(t *testing.T) {
	paths := []string{"/", "/a", "/a/x", "/a/x/deep", "/ab", "/b"}
	rapid.Check(t, func(t *rapid.T) {
		w, m := NewWatches(), &watchModel{make(map[wordyKey]WatchKind)}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			id := rapid.Int64Range(1, 4).Draw(t, "watcher")
			kind := WatchKind(rapid.IntRange(0, 3).Draw(t, "kind"))
			data, child := wordyKey{false, path, id}, wordyKey{true, path, id}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				w.Add(kind, path, id)
				if kind != ChildWatch {
					m.armed[data] = kind
				}
				if kind != DataWatch {
					m.armed[child] = kind
				}
			case 2:
				w.Remove(kind, path, id)
				if kind != ChildWatch {
					delete(m.armed, data)
				}
				if kind != DataWatch {
					delete(m.armed, child)
				}
			case 3:
				w.Drop(id)
				for key := range m.armed {
					if key.watcher == id {
						delete(m.armed, key)
					}
				}
			default:
				change := Change{Kind: ChangeKind(rapid.IntRange(1, 3).Draw(t, "change")), Path: path}
				var got []string
				w.Fire([]Change{change}, func(id int64, e Event) { got = append(got, fmt.Sprintf("%d: %d %s", id, e.Type, e.Path)) })
				if want := m.fireAll([]Change{change}); !slices.Equal(got, want) {
					t.Fatalf("%v: %q, want %q", change, got, want)
				}
			}
			if w.Len() != len(m.armed) {
				t.Fatalf("%d armed, want %d", w.Len(), len(m.armed))
			}
		}
	})
}
