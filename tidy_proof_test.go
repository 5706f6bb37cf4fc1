package dkv

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// A proof is a small module, and what a rule says about it: each problem once,
// told by a part of its sentence, and no other.
type proof struct {
	story string
	files map[string]string
	want  []string
}

func prove(t *testing.T, check func(*house) []string, proofs []proof) {
	t.Helper()
	for _, p := range proofs {
		t.Run(p.story, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range p.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			h, err := readHouse(fsys)
			if err != nil {
				t.Fatal(err)
			}
			got := check(h)
			if len(got) != len(p.want) {
				t.Errorf("%d problems, want %d", len(got), len(p.want))
			}
			for i := range max(len(got), len(p.want)) {
				switch {
				case i >= len(got):
					t.Errorf("missing: %s", p.want[i])
				case i >= len(p.want):
					t.Errorf("unwanted: %s", got[i])
				case !strings.Contains(got[i], p.want[i]):
					t.Errorf("got  %s\nwant … %s …", got[i], p.want[i])
				}
			}
		})
	}
}

// one is a module of one file.
func one(name, text string) map[string]string { return map[string]string{name: text} }

// importing is a file of package p that imports each path.
func importing(paths ...string) string {
	var b strings.Builder
	b.WriteString("package p\n")
	for _, path := range paths {
		fmt.Fprintf(&b, "import _ %q\n", path)
	}
	return b.String()
}

func TestArrowsCanFail(t *testing.T) {
	prove(t, checkArrows, []proof{
		{"every arrow is allowed", map[string]string{
			"node/x.go":             importing("dkv/node/ring", "dkv/node/layout", "time"),
			"node/x_test.go":        importing("dkv/node", "dkv/node/envtest"),
			"node/real/x.go":        importing("dkv/node", "dkv/node/layout", "dkv/node/pebblestore"),
			"node/real/x_test.go":   importing("dkv/zksim/zkserver", "dkv/node/envtest"),
			"node/client/x_test.go": importing("dkv/zksim/zkserver"),
			"sim/x.go":              importing("dkv/node", "dkv/node/ring", "dkv/node/layout", "dkv/node/pebblestore", "dkv/netsim", "dkv/zksim", "dkv/linearizability"),
			"cmd/dkvsim/main.go":    importing("dkv/sim", "dkv/linearizability"),
			"tidy_test.go":          importing("testing"),
		}, nil},
		{"the core knows no world", one("node/x.go", importing("dkv/node/real")),
			[]string{"node/x.go:2: node imports node/real, which no arrow allows: the core meets the world only through the doors that it declares; it may import of ours only node/ring, node/layout"}},
		{"not even in its tests", one("node/x_test.go", importing("dkv/sim")), []string{"a test of node imports sim"}},
		{"envtest is for tests only", one("sim/x.go", importing("dkv/node/envtest")), []string{"sim imports node/envtest"}},
		{"zkserver is for the tests of two rooms", map[string]string{
			"node/client/x.go": importing("dkv/zksim/zkserver"),
			"sim/x_test.go":    importing("dkv/zksim/zkserver"),
		}, []string{"node/client imports zksim/zkserver", "a test of sim imports zksim/zkserver"}},
		{"netsim stands alone", one("netsim/x.go", importing("dkv/node/layout")), []string{"it may import nothing of ours"}},
		{"an arrow has one direction", one("node/ring/x.go", importing("dkv/node")), []string{"node/ring imports node, which"}},
		{"an unknown room", one("node/cache/x.go", importing()), []string{"node/cache: there is no such room"}},
		{"a forbidden import on another machine", one("cmd/dkv/x_windows.go", importing("dkv/sim")), []string{"cmd/dkv imports sim"}},
	})
}

func TestNetworkCanFail(t *testing.T) {
	prove(t, checkNetwork, []proof{
		{"where it is allowed", map[string]string{
			"node/real/x.go":      importing("net", "net/http", "github.com/go-zookeeper/zk"),
			"cmd/dkv/x.go":        importing("net/http"),
			"zksim/zkserver/x.go": importing("net"),
			"sim/x.go":            importing("net/url", "net/netip", "network"),
		}, nil},
		{"nobody else listens", one("sim/x.go", importing("net")), []string{"sim/x.go:2: sim imports net: only node/real, "}},
		{"in no test", one("zksim/x_test.go", importing("net/http/httptest")), []string{"zksim imports net/http/httptest"}},
		{"nor by ZooKeeper's client", one("node/x.go", importing("github.com/go-zookeeper/zk")), []string{"node imports github.com/go-zookeeper/zk"}},
		{"no cgo", one("node/real/x.go", importing("C")), []string{"CGO_ENABLED=0"}},
	})
}

func TestDocCanFail(t *testing.T) {
	prove(t, checkDoc, []proof{
		{"all is told", map[string]string{
			"node/doc.go":     "// Package node is the core.\npackage node\n",
			"node/x.go":       "package node\n",
			"cmd/dkv/main.go": "// Dkv is the command.\npackage main\n",
			"x_test.go":       "package dkv\n",
		}, nil},
		{"no doc.go", one("node/x.go", "// Package node is the core.\npackage node\n"), []string{`node: no package comment in doc.go that begins "Package node "`}},
		{"an empty doc.go", one("node/doc.go", "package node\n"), []string{"node: no package comment"}},
		{"a comment that is not the package's", one("node/doc.go", "// Package node is.\n\npackage node\n"), []string{"node: no package comment"}},
		{"a silent command", one("cmd/dkv/main.go", "package main\n"), []string{"doc.go or main.go"}},
	})
}

func TestFormCanFail(t *testing.T) {
	later := "TO" + "DO"
	prove(t, checkForm, []proof{
		{"fine", map[string]string{"sim/x.go": "package sim\n\nvar X = 1\n", "a.md": "mastodon, " + later + "s\n"}, nil},
		{"not gofmt's", one("sim/x.go", "package sim\nvar  X = 1\n"), []string{"sim/x.go: not as gofmt writes it"}},
		{"code put off", one("sim/x.go", "package sim\n\n// "+later+": all of it\n"), []string{"sim/x.go:3: " + later}},
		{"text put off", map[string]string{"README.md": "FIX" + "ME\n", ".ci/run": "# XX" + "X\n", "scripts/a.sh": "# " + later + "\n"},
			[]string{".ci/run:1", "README.md:1", "scripts/a.sh:1"}},
	})
}

func TestLengthCanFail(t *testing.T) {
	body := func(lines int) string { return strings.Repeat("\t_ = 1\n", lines) }
	prove(t, checkLength, []proof{
		{"at the wall", one("sim/x.go", "package sim\n\n// A\n// long\n// comment.\nfunc f() {\n"+body(68)+"}\n"), nil},
		{"over the wall", one("sim/x.go", "package sim\n\nfunc f() {\n"+body(69)+"}\n"), []string{"sim/x.go:3: f has 71 lines"}},
		{"a method", one("sim/x.go", "package sim\n\ntype t int\n\nfunc (t) m() {\n"+body(69)+"}\n"), []string{"sim/x.go:5: m has 71 lines"}},
		{"a literal", one("sim/x.go", "package sim\n\nvar f = func() {\n"+body(69)+"}\n"), []string{"sim/x.go:3: a function literal has 71 lines"}},
		{"tests may tell long stories", one("sim/x_test.go", "package sim\n\nfunc f() {\n"+body(100)+"}\n"), nil},
	})
}

func TestNamesCanFail(t *testing.T) {
	prove(t, checkNames, []proof{
		{"names of the domain", one("node/ring/commonly.go", "package ring\n"), nil},
		{"a package", one("node/x.go", "package util\n"), []string{"a package named util"}},
		{"its test", one("node/x_test.go", "package helpers_test\n"), []string{"a package named helpers"}},
		{"a longer name", one("node/x.go", "package netutil\n"), []string{"a package named netutil"}},
		{"a directory", one("node/shared/x.go", "package node\n"), []string{"node/shared: a directory named shared"}},
		{"a file", one("node/ring_helper_test.go", "package node\n"), []string{"node/ring_helper_test.go: a file named helper"}},
	})
}

func TestDependenciesCanFail(t *testing.T) {
	check := func(h *house) []string {
		return checkDependencies(h, []dependency{{"example.com/a", "work"}, {"example.com/b/v2", "more work"}})
	}
	mod := func(lines ...string) string { return "module dkv\n\ngo 1.26\n\n" + strings.Join(lines, "\n") + "\n" }
	a, b := "require example.com/a v1.0.0", "require example.com/b/v2 v2.0.0"
	uses := importing("example.com/a/x", "example.com/b/v2")
	prove(t, check, []proof{
		{"as listed", map[string]string{"go.mod": mod(a, b, "require example.com/c v1.0.0 // indirect"), "sim/x.go": uses}, nil},
		{"one more", map[string]string{"go.mod": mod(a, b, "require example.com/c v1.0.0"), "sim/x.go": uses}, []string{"example.com/c is required directly"}},
		{"one less", map[string]string{"go.mod": mod(a), "sim/x.go": uses}, []string{"example.com/b/v2 is not required"}},
		{"one unused", map[string]string{"go.mod": mod(a, b), "sim/x.go": importing("example.com/a")}, []string{"example.com/b/v2 is required, and nobody imports it"}},
		{"a fork", map[string]string{"go.mod": mod(a, b, "replace example.com/a => ../a"), "sim/x.go": uses}, []string{"example.com/a is replaced"}},
		{"none", map[string]string{"go.mod": mod(), "sim/x.go": uses}, []string{"example.com/a is not required", "example.com/b/v2 is not required"}},
		{"a go.mod that is none", map[string]string{"go.mod": "requires x\n", "sim/x.go": uses}, []string{"go mod edit"}},
	})
	unexplained := func(h *house) []string { return checkDependencies(h, []dependency{{"example.com/a", ""}}) }
	prove(t, unexplained, []proof{
		{"no reason", map[string]string{"go.mod": mod(a), "sim/x.go": importing("example.com/a")}, []string{"without a word"}},
	})
}

func TestCoreImportsCanFail(t *testing.T) {
	proofs := []proof{
		{"tests may", one("node/x_test.go", importing("sync", "os", "math/rand/v2")), nil},
		{"envtest may", one("node/envtest/x.go", importing("math/rand/v2", "sync")), nil},
		{"others may", one("linearizability/x.go", importing("sync", "os")), nil},
		{"a hash that is specified", one("netsim/x.go", importing("github.com/cespare/xxhash/v2")), nil},
		{"sim writes reports", one("sim/x.go", importing("os")), nil},
		{"anybody's package", one("sim/x.go", importing("pgregory.net/rapid")), []string{"sim does not compile", "sim/x.go:2: sim: the core does not import pgregory.net/rapid"}},
		{"Pebble beside the door", one("node/x.go", importing("github.com/cockroachdb/pebble/v2/vfs")), []string{"the core does not import github.com/cockroachdb/pebble/v2/vfs"}},
	}
	for _, room := range coreRooms {
		for _, b := range coreBans {
			if b.but != room {
				proofs = append(proofs, proof{room + " and " + b.path, one(room+"/x.go", importing(b.path)), []string{
					fmt.Sprintf("%s/x.go:2: %[1]s: the core does not import %s: %s", room, b.path, b.why)}})
			}
		}
	}
	prove(t, checkCore, proofs)
}

// core is a module of one file, in a room of the core.
func core(lines ...string) map[string]string {
	return one("node/x.go", "package node\n"+strings.Join(lines, "\n")+"\n")
}

func TestExamplesCanFail(t *testing.T) {
	lines := func(n int) string { return "package x\n" + strings.Repeat("\n", n-1) }
	prove(t, checkExamples, []proof{
		{"as long as may be", map[string]string{"sim/examples/x/x.go": lines(200), "sim/examples/x/x_test.go": lines(99)}, nil},
		{"too long", map[string]string{"sim/examples/x/x.go": lines(200), "sim/examples/x/x_test.go": lines(100)}, []string{"sim/examples/x: has 300 lines"}},
		{"what is no example", one("sim/x.go", lines(1000)), nil},
	})
}

func TestCoreConcurrencyCanFail(t *testing.T) {
	prove(t, checkCore, []proof{
		{"calls", core("func f() { g(); defer g() }", "func g() { for range 3 { } }"), nil},
		{"a goroutine", core("func f() {", "go g()", "}", "func g() {}"), []string{"node/x.go:3: node: a go statement"}},
		{"a channel", core("type T struct{ c chan int }"), []string{"node/x.go:2: node: a channel type"}},
		{"a channel of one direction", core("func f(c <-chan int) {}"), []string{"a channel type"}},
		{"a send", core("import . \"time\"", "func f(t Timer) {", "t.C <- Time{}", "}"), []string{"node does not compile", "node/x.go:4: node: a send"}},
		{"a receive", core("import \"time\"", "func f(t time.Timer) {", "<-t.C", "}"), []string{"node/x.go:4: node: a receive"}},
		{"a range over a channel", core("import \"time\"", "func f(t time.Timer) {", "for range t.C {", "}", "}"), []string{"node/x.go:4: node: a range over a channel"}},
		{"a select", core("func f() {", "select {}", "}"), []string{"node/x.go:3: node: a select"}},
		{"an example", one("sim/examples/x/x.go", "package x\nfunc f() { go f() }\n"), []string{"sim/examples/x/x.go:2: sim/examples/x: a go statement"}},
		{"what the test does not understand", core("var x = y"), []string{"node does not compile"}},
	})
}

func TestCoreClockCanFail(t *testing.T) {
	proofs := []proof{
		{"durations", core("import \"time\"", "var x = time.Second.Round(time.Minute)", "func f(t, u time.Time) bool { return t.After(u) }"), nil},
		{"another After", core("type clock int", "func (clock) After() {}", "func f(c clock) { c.After() }"), nil},
		{"under another name", core("import t \"time\"", "var now = t.Now"), []string{"node/x.go:3: node: time.Now"}},
		{"under no name", core("import . \"time\"", "var x = Now()"), []string{"node/x.go:3: node: time.Now"}},
	}
	for _, name := range clockFuncs {
		proofs = append(proofs, proof{name, core("import \"time\"", "var x = time."+name), []string{"node/x.go:3: node: time." + name + ": time is the Clock's"}})
	}
	prove(t, checkCore, proofs)
}

func TestCoreMapWalksCanFail(t *testing.T) {
	prove(t, checkCore, []proof{
		{"slices and numbers", core("func f(a []int, s string) {", "for range a {", "}", "for range s {", "}", "}"), nil},
		{"a map", core("func f(m map[int]int) {", "for range m {", "}", "}"), []string{"node/x.go:3: node: a range over a map"}},
		{"a named map", core("type M map[int]int", "func f(m M) {", "for range m {", "}", "}"), []string{"node/x.go:4"}},
		{"a map by another name", core("type A = map[int]int", "func f(m A) {", "for range m {", "}", "}"), []string{"node/x.go:4"}},
		{"a map of any kind", core("func f[K comparable, M ~map[K]int](m M) {", "for range m {", "}", "}"), []string{"node/x.go:3"}},
		{"a map that a function returns", core("func f() map[int]int { return nil }", "func g() {", "for range f() {", "}", "}"), []string{"node/x.go:4"}},
		{"said to be free of order before", core("func f(m map[int]int) (n int) {", "// order-free: a sum has no order", "for _, x := range m {", "n += x", "}", "return n", "}"), nil},
		{"said to be free of order behind", core("func f(m map[int]int) {", "for k := range m { // order-free: each deletes only itself", "delete(m, k)", "}", "}"), nil},
		{"said without a reason", core("func f(m map[int]int) {", "// order-free:", "for range m {", "}", "}"), []string{"without a reason"}},
		{"said of another line", core("func f(m map[int]int) {", "// order-free: it is far away", "_ = m", "for range m {", "}", "}"),
			[]string{"where no map is walked", "node/x.go:5: node: a range over a map"}},
		{"keys unsorted", core("import \"maps\"", "func f(m map[int]int) {", "for range maps.Keys(m) {", "}", "}"), []string{"node/x.go:4: node: maps.Keys walks a map"}},
		{"keys sorted", core("import (\"maps\"; \"slices\")", "func f(m map[int]int) {", "for range slices.Sorted(maps.Keys(m)) {", "}", "}"), nil},
		{"keys collected", core("import (\"maps\"; \"slices\")", "var m map[int]int", "var x = slices.Collect(maps.Values(m))"), []string{"maps.Values"}},
		{"through reflection", core("import \"reflect\"", "var x = reflect.ValueOf(1).MapKeys()"), []string{"reflect.MapKeys"}},
	})
}

func TestCoreConstraintsCanFail(t *testing.T) {
	prove(t, checkCore, []proof{
		{"by name", one("node/x_linux.go", "package node\n"), []string{"node/x_linux.go:1: node: x_linux.go is built on some machines only"}},
		{"by a line", one("node/x.go", "//go:build race\n\npackage node\n"), []string{"node/x.go:1: node: a build constraint"}},
		{"tests may", one("node/x_linux_test.go", "package node\n"), nil},
	})
}
