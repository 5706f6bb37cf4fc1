package zktree

import (
	"fmt"
	"testing"
	"time"
)

// benchTree is a tree like that of a simulated run: some directories with their
// children. The paths are built beforehand, so that benchmarks do not measure it.
type benchTree struct {
	*treeTest
	txn     Txn
	watches *Watches
	told    int
	paths   []string // of directories, then of their children
	fresh   []string // of children that are not there
	at      int
}

const (
	benchDirs     = 64
	benchChildren = 32 // of each
)

func newBenchTree(tb testing.TB) *benchTree {
	y := &benchTree{treeTest: newTreeTest(tb), watches: NewWatches()}
	y.txn.Session = alice
	for d := range benchDirs {
		y.paths = append(y.paths, fmt.Sprintf("/run/members-%02d", d))
	}
	for d := range benchDirs {
		for c := range benchChildren {
			y.paths = append(y.paths, fmt.Sprintf("%s/node-%04d", y.paths[d], c))
			y.fresh = append(y.fresh, fmt.Sprintf("%s/fresh-%04d", y.paths[d], c))
		}
	}
	y.must(create("/run"))
	for _, path := range y.paths {
		y.must(create(path))
	}
	return y
}

// next returns a path of the list, a different one each time.
func (y *benchTree) next(list []string) string {
	y.at++
	return list[uint(y.at)*2654435761%uint(len(list))]
}

var benchData = []byte("127.0.0.1:7000 epoch 12 incarnation 3")

// step applies one operation and tells the watches.
func (y *benchTree) step(code OpCode, path string, flags CreateFlags) Code {
	y.zxid++
	y.txn.Zxid, y.txn.Time = y.zxid, y.zxid
	y.txn.Op = Op{Code: code, Path: path, Data: benchData, Flags: flags, Version: -1}
	r := y.tree.Apply(&y.txn)
	y.watches.Fire(r.Changes, y.hear)
	return r.Err
}

func (y *benchTree) hear(int64, Event) { y.told++ }

func (y *benchTree) want(got, want Code) {
	if got != want {
		y.t.Fatalf("%v, want %v", got, want)
	}
}

// turn does what a client of a simulated run does: it reads with watches, sets,
// and creates and deletes a node. It returns the number of operations.
func (y *benchTree) turn() int {
	for range 2 {
		path := y.next(y.paths)
		y.want(y.get(path), OK)
		y.watches.Add(DataWatch, path, 1+int64(y.at%5))
		_, code := y.tree.Exists(y.next(y.paths))
		y.want(code, OK)
		y.want(y.step(OpSetData, path, 0), OK)
	}
	dir := y.next(y.paths[:benchDirs])
	_, _, code := y.tree.Children(dir)
	y.want(code, OK)
	y.watches.Add(ChildWatch, dir, 1+int64(y.at%5))
	path := y.next(y.fresh)
	y.want(y.step(OpCreate, path, Ephemeral), OK)
	y.want(y.step(OpCheck, path, 0), OK)
	y.want(y.get(path), OK)
	y.want(y.step(OpDelete, path, 0), OK)
	_, code = y.tree.Exists(path)
	y.want(code, ErrNoNode)
	return 12
}

func (y *benchTree) get(path string) Code {
	_, _, code := y.tree.Get(path)
	return code
}

// BenchmarkTree measures the operations per second that a tree with its watches
// does on one core: for a mix of operations and for each kind.
func BenchmarkTree(b *testing.B) {
	kinds := []struct {
		name string
		do   func(y *benchTree) int
	}{
		{"mix", (*benchTree).turn},
		{"get", func(y *benchTree) int { y.want(y.get(y.next(y.paths)), OK); return 1 }},
		{"exists", func(y *benchTree) int { _, code := y.tree.Exists(y.next(y.paths)); y.want(code, OK); return 1 }},
		{"children", func(y *benchTree) int {
			_, _, code := y.tree.Children(y.next(y.paths[:benchDirs]))
			y.want(code, OK)
			return 1
		}},
		{"set", func(y *benchTree) int { y.want(y.step(OpSetData, y.next(y.paths), 0), OK); return 1 }},
		{"set watched", func(y *benchTree) int {
			path := y.next(y.paths)
			y.watches.Add(DataWatch, path, 1)
			y.want(y.step(OpSetData, path, 0), OK)
			return 1
		}},
		{"set below a recursive watch", func(y *benchTree) int {
			y.watches.Add(RecursiveWatch, "/run", 1)
			y.want(y.step(OpSetData, y.next(y.paths), 0), OK)
			return 1
		}},
		{"check", func(y *benchTree) int { y.want(y.step(OpCheck, y.next(y.paths), 0), OK); return 1 }},
		{"create and delete", func(y *benchTree) int {
			path := y.next(y.fresh)
			y.want(y.step(OpCreate, path, 0), OK)
			y.want(y.step(OpDelete, path, 0), OK)
			return 2
		}},
		{"ephemeral and delete", func(y *benchTree) int {
			path := y.next(y.fresh)
			y.want(y.step(OpCreate, path, Ephemeral), OK)
			y.want(y.step(OpDelete, path, 0), OK)
			return 2
		}},
		{"sequential", func(y *benchTree) int {
			if y.tree.Len() > 100_000 {
				*y = *newBenchTree(y.t)
			}
			y.want(y.step(OpCreate, "/run/members-00/q-", Sequential), OK)
			return 1
		}},
		{"refused create", func(y *benchTree) int { y.want(y.step(OpCreate, y.next(y.paths), 0), ErrNodeExists); return 1 }},
		{"multi of 4", func(y *benchTree) int {
			path := y.next(y.fresh)
			y.zxid++
			txn := Txn{Zxid: y.zxid, Session: alice, Op: Op{Code: OpMulti}}
			txn.Ops = []Op{create(path), {Code: OpSetData, Path: path, Version: 0}, {Code: OpCheck, Path: path, Version: 1}, remove(path)}
			y.tree.Apply(&txn)
			return 4
		}},
	}
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			y := newBenchTree(b)
			ops := 0
			b.ReportAllocs()
			for b.Loop() {
				ops += k.do(y)
			}
			b.ReportMetric(float64(ops)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

// BenchmarkCrowd measures one node with a hundred thousand children.
func BenchmarkCrowd(b *testing.B) {
	const crowd = 100_000
	y := newBenchTree(b)
	y.must(create("/crowd"))
	paths := make([]string, crowd)
	for i := range paths {
		paths[i] = fmt.Sprintf("/crowd/%08x", uint32(i)*2654435761)
		y.must(ephemeral(paths[i]))
	}
	b.Run("delete and create", func(b *testing.B) {
		for b.Loop() {
			path := y.next(paths)
			y.want(y.step(OpDelete, path, 0), OK)
			y.want(y.step(OpCreate, path, Ephemeral), OK)
		}
	})
	b.Run("children", func(b *testing.B) {
		for b.Loop() {
			if names, _, _ := y.tree.Children("/crowd"); len(names) != crowd {
				b.Fatal(len(names))
			}
		}
	})
	b.Run("end of the owner", func(b *testing.B) {
		img := y.tree.Export()
		for b.Loop() {
			b.StopTimer()
			tree, err := Import(img)
			if err != nil {
				b.Fatal(err)
			}
			txn := Txn{Zxid: img.Zxid + 1, Session: alice, Op: Op{Code: OpCloseSession}, Timeout: time.Second}
			b.StartTimer()
			if r := tree.Apply(&txn); len(r.Changes) != crowd {
				b.Fatal(len(r.Changes))
			}
		}
	})
}
