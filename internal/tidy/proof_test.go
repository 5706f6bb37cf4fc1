package tidy

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// A proof is a small module together with the problems that a rule must report
// for it, and no others. Each is given by a part of its message.
type proof struct {
	story string
	files map[string]string
	want  []string
}

func prove(t *testing.T, check func(*tree) []string, proofs []proof) {
	t.Helper()
	for _, p := range proofs {
		t.Run(p.story, func(t *testing.T) {
			fsys := fstest.MapFS{}
			fsys["go.mod"] = &fstest.MapFile{Data: []byte("module our\n")}
			for name, text := range p.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			tr, err := readTree(fsys)
			if err != nil {
				t.Fatal(err)
			}
			got := check(tr)
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

// one returns a module of one file.
func one(name, text string) map[string]string { return map[string]string{name: text} }

// importing returns a file of package p that imports each path.
func importing(paths ...string) string {
	var b strings.Builder
	b.WriteString("package p\n")
	for _, path := range paths {
		fmt.Fprintf(&b, "import _ %q\n", path)
	}
	return b.String()
}

func TestImportsCanFail(t *testing.T) {
	prove(t, checkImports, []proof{
		{"every import is allowed", map[string]string{
			"node/x.go":               importing("our/node/ring", "our/node/layout", "time"),
			"node/x_test.go":          importing("our/node", "our/node/envtest"),
			"node/real/x.go":          importing("our/node", "our/node/pebblestore", "our/node/real/loop"),
			"node/real/x_test.go":     importing("our/zksim/zkserver", "our/node/envtest"),
			"node/client/x_test.go":   importing("our/zksim/zkserver"),
			"sim/x.go":                importing("our/node", "our/node/ring", "our/node/layout", "our/sim/world", "our/sim/schedule", "our/netsim", "our/zksim", "our/zksim/zktree", "our/linearizability"),
			"cmd/dkvsim/main.go":      importing("our/sim", "our/linearizability"),
			"internal/tidy/x_test.go": importing("testing"),
		}, nil},
		{"the core knows no world", one("node/x.go", importing("our/node/real")),
			[]string{"node/x.go:2: node imports node/real, which is not allowed: the core meets the world only through its doors; it may import node/door, node/ring, node/layout"}},
		{"not even in its tests", one("node/x_test.go", importing("our/sim")), []string{"a test of node imports sim"}},
		{"envtest is for tests only", one("sim/x.go", importing("our/node/envtest")), []string{"sim imports node/envtest"}},
		{"zkserver is for the tests of two packages", map[string]string{
			"node/client/x.go": importing("our/zksim/zkserver"),
			"sim/x_test.go":    importing("our/zksim/zkserver"),
		}, []string{"node/client imports zksim/zkserver", "a test of sim imports zksim/zkserver"}},
		{"netsim stands alone", one("netsim/x.go", importing("our/node/layout")), []string{"it may import nothing of this module"}},
		{"an import has one direction", one("node/ring/x.go", importing("our/node")), []string{"node/ring imports node, which"}},
		{"an unknown package", one("node/cache/x.go", importing()), []string{"node/cache: no rule for this package"}},
		{"code in the root", one("x.go", importing()), []string{"the root: no rule for this package"}},
		{"a forbidden import on another machine", one("cmd/dkv/x_windows.go", importing("our/sim")), []string{"cmd/dkv imports sim"}},
	})
}

func TestProductionCanFail(t *testing.T) {
	prove(t, checkProduction, []proof{
		{"the tree without its simulator, and a simulator in a test", map[string]string{
			"cmd/dkv/main.go":     importing("our/zksim/zkserver"),
			"cmd/dkv/x_test.go":   importing("our/sim"),
			"zksim/zkserver/x.go": importing("our/zksim/zktree"),
			"zksim/zktree/x.go":   importing("time"),
			"zksim/x.go":          importing("our/zksim/zktree"),
		}, nil},
		{"through another package", map[string]string{
			"cmd/dkv/main.go":     importing("our/zksim/zkserver"),
			"zksim/zkserver/x.go": importing("our/zksim"),
			"zksim/x.go":          importing("our/netsim"),
		}, []string{
			"zksim/zkserver/x.go:2: cmd/dkv must not carry a simulator, but reaches cmd/dkv -> zksim/zkserver -> zksim",
			"zksim/x.go:2: cmd/dkv must not carry a simulator, but reaches cmd/dkv -> zksim/zkserver -> zksim -> netsim",
		}},
		{"a package below one", map[string]string{
			"cmd/dkv/main.go": importing("our/sim/world"),
		}, []string{"cmd/dkv -> sim/world"}},
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
		{"no other package listens", one("sim/x.go", importing("net")), []string{"sim/x.go:2: sim imports net: only node/real, "}},
		{"in no test", one("zksim/x_test.go", importing("net/http/httptest")), []string{"zksim imports net/http/httptest"}},
		{"nor ZooKeeper's client", one("node/x.go", importing("github.com/go-zookeeper/zk")), []string{"node imports github.com/go-zookeeper/zk"}},
		{"no cgo", one("node/real/x.go", importing("C")), []string{"CGO_ENABLED=0"}},
	})
}

func TestRaceCanFail(t *testing.T) {
	script, concurrent := "scripts/test.sh", "x=1\nconcurrent=(./zksim/zkserver ./cmd/...)\n"
	prove(t, checkRace, []proof{
		{"all are tested", map[string]string{
			script:                concurrent,
			"zksim/zkserver/x.go": "package p\n\nfunc f() { go f() }\n",
			"cmd/dkv/x_test.go":   "package p\n\nfunc f() { go f() }\n",
			"sim/x.go":            "package p\n\nfunc f() { f() }\n",
		}, nil},
		{"one is missing", map[string]string{script: concurrent, "zksim/x.go": "package p\n\nfunc f() { go f() }\n"},
			[]string{"zksim/x.go:3: zksim starts a goroutine"}},
		{"one is missing, by its tests", map[string]string{script: concurrent, "zksim/zkserver/y/x_test.go": "package p\n\nfunc f() { go f() }\n"},
			[]string{"zksim/zkserver/y/x_test.go:3: zksim/zkserver/y starts a goroutine"}},
		{"no list", one(script, "x=1\n"), []string{"no line concurrent"}},
	})
}

func TestDocCanFail(t *testing.T) {
	prove(t, checkDoc, []proof{
		{"all have one", map[string]string{
			"node/doc.go":     "// Package node is the core.\npackage node\n",
			"node/x.go":       "package node\n",
			"cmd/dkv/main.go": "// Dkv is the command.\npackage main\n",
			"cmd/x_test.go":   "package cmd\n",
		}, nil},
		{"no doc.go", one("node/x.go", "// Package node is the core.\npackage node\n"), []string{`node: no package comment in doc.go that begins "Package node "`}},
		{"an empty doc.go", one("node/doc.go", "package node\n"), []string{"node: no package comment"}},
		{"a comment that is not the package's", one("node/doc.go", "// Package node is.\n\npackage node\n"), []string{"node: no package comment"}},
		{"a command without a comment", one("cmd/dkv/main.go", "package main\n"), []string{"doc.go or main.go"}},
	})
}

func TestFormCanFail(t *testing.T) {
	later := "TO" + "DO"
	prove(t, checkForm, []proof{
		{"fine", map[string]string{"sim/x.go": "package sim\n\nvar X = 1\n", "a.md": "mastodon, " + later + "s\n"}, nil},
		{"not formatted", one("sim/x.go", "package sim\nvar  X = 1\n"), []string{"sim/x.go: not formatted"}},
		{"unfinished code", one("sim/x.go", "package sim\n\n// "+later+": all of it\n"), []string{"sim/x.go:3: " + later}},
		{"unfinished text", map[string]string{"README.md": "FIX" + "ME\n", ".ci/run": "# XX" + "X\n", "scripts/a.sh": "# " + later + "\n"},
			[]string{".ci/run:1", "README.md:1", "scripts/a.sh:1"}},
	})
}

func TestLengthCanFail(t *testing.T) {
	body := func(lines int) string { return strings.Repeat("\t_ = 1\n", lines) }
	prove(t, checkLength, []proof{
		{"at the limit", one("sim/x.go", "package sim\n\n// A\n// long\n// comment.\nfunc f() {\n"+body(68)+"}\n"), nil},
		{"over the limit", one("sim/x.go", "package sim\n\nfunc f() {\n"+body(69)+"}\n"), []string{"sim/x.go:3: f has 71 lines"}},
		{"a method", one("sim/x.go", "package sim\n\ntype t int\n\nfunc (t) m() {\n"+body(69)+"}\n"), []string{"sim/x.go:5: m has 71 lines"}},
		{"a literal", one("sim/x.go", "package sim\n\nvar f = func() {\n"+body(69)+"}\n"), []string{"sim/x.go:3: a function literal has 71 lines"}},
		{"tests may be long", one("sim/x_test.go", "package sim\n\nfunc f() {\n"+body(100)+"}\n"), nil},
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
	check := func(tr *tree) []string {
		return checkDependencies(tr, []dependency{{"example.com/a", "work"}, {"example.com/b/v2", "more work"}})
	}
	mod := func(lines ...string) string { return "module our\n\ngo 1.26\n\n" + strings.Join(lines, "\n") + "\n" }
	a, b := "require example.com/a v1.0.0", "require example.com/b/v2 v2.0.0"
	uses := importing("example.com/a/x", "example.com/b/v2")
	prove(t, check, []proof{
		{"as listed", map[string]string{"go.mod": mod(a, b, "require example.com/c v1.0.0 // indirect"), "sim/x.go": uses}, nil},
		{"one too many", map[string]string{"go.mod": mod(a, b, "require example.com/c v1.0.0"), "sim/x.go": uses}, []string{"example.com/c is required directly"}},
		{"one missing", map[string]string{"go.mod": mod(a), "sim/x.go": uses}, []string{"example.com/b/v2 is not required"}},
		{"one unused", map[string]string{"go.mod": mod(a, b), "sim/x.go": importing("example.com/a")}, []string{"example.com/b/v2 is required, but no package imports it"}},
		{"a fork", map[string]string{"go.mod": mod(a, b, "replace example.com/a => ../a"), "sim/x.go": uses}, []string{"example.com/a is replaced"}},
		{"none", map[string]string{"go.mod": mod(), "sim/x.go": uses}, []string{"example.com/a is not required", "example.com/b/v2 is not required"}},
		{"an invalid go.mod", map[string]string{"go.mod": "module our\n\nrequires x\n", "sim/x.go": uses}, []string{"go mod edit"}},
	})
	unexplained := func(tr *tree) []string { return checkDependencies(tr, []dependency{{"example.com/a", ""}}) }
	prove(t, unexplained, []proof{
		{"no reason", map[string]string{"go.mod": mod(a), "sim/x.go": importing("example.com/a")}, []string{"without the work that it saves"}},
	})
}

func TestCoreImportsCanFail(t *testing.T) {
	proofs := []proof{
		{"tests may", one("node/x_test.go", importing("sync", "os", "math/rand/v2")), nil},
		{"envtest may", one("node/envtest/x.go", importing("math/rand/v2", "sync")), nil},
		{"others may", one("linearizability/x.go", importing("sync", "os")), nil},
		{"a specified hash", one("netsim/x.go", importing("github.com/cespare/xxhash/v2")), nil},
		{"sim writes reports", one("sim/x.go", importing("os")), nil},
		{"our own packages, wherever the module is hosted", map[string]string{"go.mod": "module example.com/our\n", "sim/x.go": importing("example.com/our/netsim")},
			[]string{"sim does not compile"}},
		{"a third-party package", one("sim/x.go", importing("pgregory.net/rapid")), []string{"sim does not compile", "sim/x.go:2: sim: the core does not import pgregory.net/rapid"}},
		{"Pebble beside the door", one("node/x.go", importing("github.com/cockroachdb/pebble/v2/vfs")), []string{"the core does not import github.com/cockroachdb/pebble/v2/vfs"}},
	}
	for _, pkg := range corePackages {
		for _, b := range coreBans {
			if b.but != pkg {
				proofs = append(proofs, proof{pkg + " and " + b.path, one(pkg+"/x.go", importing(b.path)), []string{
					fmt.Sprintf("%s/x.go:2: %[1]s: the core does not import %s: %s", pkg, b.path, b.why)}})
			}
		}
	}
	prove(t, checkCore, proofs)
}

// core returns a module of one file, in a package of the core.
func core(lines ...string) map[string]string {
	return one("node/x.go", "package node\n"+strings.Join(lines, "\n")+"\n")
}

func TestExamplesCanFail(t *testing.T) {
	lines := func(n int) string { return "package x\n" + strings.Repeat("\n", n-1) }
	prove(t, checkExamples, []proof{
		{"at the limit", map[string]string{"sim/examples/x/x.go": lines(200), "sim/examples/x/x_test.go": lines(99)}, nil},
		{"too long", map[string]string{"sim/examples/x/x.go": lines(200), "sim/examples/x/x_test.go": lines(121)}, []string{"sim/examples/x: has 321 lines"}},
		{"not an example", one("sim/x.go", lines(1000)), nil},
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
		{"code that does not compile", core("var x = y"), []string{"node does not compile"}},
	})
}

func TestCoreClockCanFail(t *testing.T) {
	proofs := []proof{
		{"durations", core("import \"time\"", "var x = time.Second.Round(time.Minute)", "func f(t, u time.Time) bool { return t.After(u) }"), nil},
		{"another After", core("type clock int", "func (clock) After() {}", "func f(c clock) { c.After() }"), nil},
		{"under another name", core("import t \"time\"", "var now = t.Now"), []string{"node/x.go:3: node: time.Now"}},
		{"without a name", core("import . \"time\"", "var x = Now()"), []string{"node/x.go:3: node: time.Now"}},
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
		{"marked order-free on the line before", core("func f(m map[int]int) (n int) {", "// order-free: a sum has no order", "for _, x := range m {", "n += x", "}", "return n", "}"), nil},
		{"marked order-free on the same line", core("func f(m map[int]int) {", "for k := range m { // order-free: each deletes only itself", "delete(m, k)", "}", "}"), nil},
		{"marked without a reason", core("func f(m map[int]int) {", "// order-free:", "for range m {", "}", "}"), []string{"without a reason"}},
		{"marked too far away", core("func f(m map[int]int) {", "// order-free: it is far away", "_ = m", "for range m {", "}", "}"),
			[]string{"without a walk over a map", "node/x.go:5: node: a range over a map"}},
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
