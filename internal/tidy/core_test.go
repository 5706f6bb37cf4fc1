package tidy

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
)

// corePackages run in the simulator: with one goroutine, in virtual time, and the
// same seed gives the same run. So do the examples of other systems. These rules
// do not apply to their tests and to node/envtest, which only tests import.
var corePackages = []string{"node", "node/door", "node/ring", "node/layout", "node/quorum", "sim", "sim/schedule", "sim/world", "netsim", "zksim", "zksim/zktree"}

// examples is the directory of the examples of other systems.
const examples = "sim/examples/"

// A ban is an import that no core package may have, except for one package.
type ban struct{ path, why, but string }

var coreBans = []ban{
	{"sync", "one goroutine owns all state", ""},
	{"sync/atomic", "one goroutine owns all state", ""},
	{"context", "it carries a clock and a channel", ""},
	{"net", "the network is a door", ""},
	{"os/exec", "nothing here starts a process", ""},
	{"os/signal", "nothing here handles signals", ""},
	{"os", "files are behind a door", "sim"}, // sim writes reports
	{"syscall", "the machine is behind the doors", ""},
	{"math/rand", "randomness is passed in", ""},
	{"math/rand/v2", "randomness is passed in", ""},
	{"crypto/rand", "randomness is passed in", ""},
	{"hash/maphash", "its seeds differ from run to run", ""},
	{"log", "the core observes, it does not log", ""},
	{"log/slog", "the core observes, it does not log", ""},
}

// coreModules are the third-party modules that the core may use: they have no
// goroutines, clocks and randomness of their own. The simulator may also run
// Pebble on its simulated disks.
var coreModules = []ban{
	{path: "github.com/cespare/xxhash/v2"},
}

// clockFuncs ask for the time of this machine, or wait for it.
var clockFuncs = []string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "Tick", "NewTicker", "AfterFunc"}

// mapWalks are functions that visit a map in its random order.
var mapWalks = map[string][]string{
	"maps":    {"Keys", "Values", "All", "DeleteFunc"},
	"reflect": {"MapKeys", "MapRange", "Seq", "Seq2"},
}

// orderFree marks a walk over a map whose order has no effect; the reason
// follows it. It stands on the line of the walk or on the line before.
const orderFree = "// order-free:"

// checkCore: the core has no goroutines, channels, locks, clocks or randomness
// of its own, and walks over a map only where a comment says why the order has no
// effect.
func checkCore(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		if !slices.Contains(corePackages, d.path) && !strings.HasPrefix(d.path, examples) {
			continue
		}
		c := &coreCheck{tree: tr, dir: d, excused: map[string]bool{}}
		for _, file := range d.code() {
			c.imports(file)
			c.constraints(file)
			c.readExcuses(file)
			ast.Inspect(file.ast, func(n ast.Node) bool { c.concurrency(n); return true })
		}
		c.types()
		c.unusedExcuses()
		problems = append(problems, c.problems...)
	}
	return problems
}

// A coreCheck checks one package.
type coreCheck struct {
	*tree
	dir      *directory
	info     types.Info
	excused  map[string]bool // by the place of an order-free comment: whether a walk needs it
	problems []string
}

func (c *coreCheck) addf(pos token.Pos, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("%s: %s: %s", c.at(pos), c.dir.path, fmt.Sprintf(format, args...)))
}

func (c *coreCheck) imports(file *source) {
	for _, spec := range file.ast.Imports {
		p := imported(spec)
		for _, b := range coreBans {
			if p == b.path && b.but != c.dir.path {
				c.addf(spec.Pos(), "the core does not import %s: %s", p, b.why)
			}
		}
		first, _, _ := strings.Cut(p, "/")
		if strings.Contains(first, ".") && !within(p, []string{c.module}) && !slices.ContainsFunc(coreModules, func(m ban) bool {
			return within(p, []string{m.path}) && (m.but == "" || m.but == c.dir.path)
		}) {
			c.addf(spec.Pos(), "the core does not import %s: its goroutines, clocks and randomness are beyond our control", p)
		}
	}
}

// machines differ in everything that a build constraint here could test.
var machines = []build.Context{
	{GOOS: "linux", GOARCH: "amd64", Compiler: "gc"},
	{GOOS: "darwin", GOARCH: "arm64", Compiler: "gc"},
	{GOOS: "windows", GOARCH: "386", Compiler: "gc"},
}

// constraints reports files that are not built on all machines: this test might
// not see them.
func (c *coreCheck) constraints(file *source) {
	name := path.Base(file.name)
	for _, m := range machines {
		m.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package p\n")), nil }
		if match, err := m.MatchFile("/", name); err != nil || !match {
			c.addf(file.ast.Package, "%s is built on some machines only: the core is the same on all of them", name)
			return
		}
	}
	for _, group := range file.ast.Comments {
		for _, comment := range group.List {
			if comment.Pos() < file.ast.Package && constraint.IsGoBuild(comment.Text) {
				c.addf(comment.Pos(), "a build constraint: the core is the same on all machines")
			}
		}
	}
}

func (c *coreCheck) concurrency(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.addf(n.Pos(), "a go statement: one goroutine owns all state")
	case *ast.SelectStmt:
		c.addf(n.Pos(), "a select: events come in as methods")
	case *ast.ChanType:
		c.addf(n.Pos(), "a channel type: events come in as methods")
	case *ast.SendStmt:
		c.addf(n.Pos(), "a send on a channel: events come in as methods")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.addf(n.Pos(), "a receive from a channel: events come in as methods")
		}
	}
}

func (c *coreCheck) readExcuses(file *source) {
	for _, group := range file.ast.Comments {
		for _, comment := range group.List {
			reason, ok := strings.CutPrefix(comment.Text, orderFree)
			if !ok {
				continue
			}
			if len(strings.Fields(reason)) < 2 {
				c.addf(comment.Pos(), "%q without a reason", orderFree)
			}
			c.excused[c.at(comment.Pos())] = false
		}
	}
}

func (c *coreCheck) unusedExcuses() {
	for place, used := range c.excused {
		if !used {
			c.problems = append(c.problems, fmt.Sprintf("%s: %s: %q without a walk over a map", place, c.dir.path, orderFree))
		}
	}
	slices.Sort(c.problems)
}

// excuse reports whether a comment says that the walk at pos is order-free.
func (c *coreCheck) excuse(pos token.Pos) bool {
	p := c.fset.Position(pos)
	for _, line := range []int{p.Line, p.Line - 1} {
		place := fmt.Sprintf("%s:%d", p.Filename, line)
		if _, ok := c.excused[place]; ok {
			c.excused[place] = true
			return true
		}
	}
	return false
}

// types finds what takes type information: walks over maps, ranges over
// channels, and uses of the clock under any name.
func (c *coreCheck) types() {
	imports, err := compiled()
	if err != nil {
		c.problems = append(c.problems, err.Error())
		return
	}
	c.info = types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{
		Importer: imports,
		Error: func(err error) {
			c.problems = append(c.problems, fmt.Sprintf("%s does not compile: %v", c.dir.path, err))
		},
	}
	var files []*ast.File
	for _, file := range c.dir.code() {
		files = append(files, file.ast)
	}
	_, _ = config.Check(c.module+"/"+c.dir.path, c.fset, files, &c.info) // its errors went to Error
	for _, file := range files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			switch n := n.(type) {
			case *ast.RangeStmt:
				c.rangeOver(n)
			case *ast.Ident:
				c.use(n, stack)
			}
			return true
		})
	}
}

func (c *coreCheck) rangeOver(loop *ast.RangeStmt) {
	t := c.info.TypeOf(loop.X)
	if t == nil {
		return // it does not compile, which was reported
	}
	switch {
	case is[*types.Map](t):
		if !c.excuse(loop.Pos()) {
			c.addf(loop.Pos(), "a range over a map: walk sorted keys, or say \"%s why\" on the line before", orderFree)
		}
	case is[*types.Chan](t):
		c.addf(loop.Pos(), "a range over a channel: events come in as methods")
	}
}

// is reports whether t, or a type that the type parameter t stands for, is a T.
func is[T types.Type](t types.Type) bool {
	if _, ok := types.Unalias(t).(*types.TypeParam); !ok {
		_, ok := t.Underlying().(T)
		return ok
	}
	bounds, ok := t.Underlying().(*types.Interface)
	if !ok {
		return false
	}
	for embedded := range bounds.EmbeddedTypes() {
		union, ok := embedded.(*types.Union)
		if !ok {
			if is[T](embedded) {
				return true
			}
			continue
		}
		for term := range union.Terms() {
			if is[T](term.Type()) {
				return true
			}
		}
	}
	return false
}

// use checks one use of a name that a package exports.
func (c *coreCheck) use(name *ast.Ident, stack []ast.Node) {
	f, ok := c.info.Uses[name].(*types.Func)
	if !ok || f.Pkg() == nil {
		return
	}
	pkg, method := f.Pkg().Path(), f.Signature().Recv() != nil
	if pkg == "time" && !method && slices.Contains(clockFuncs, f.Name()) {
		c.addf(name.Pos(), "time.%s: time is the Clock's, behind a door", f.Name())
	}
	if method == (pkg == "reflect") && slices.Contains(mapWalks[pkg], f.Name()) && !c.sorted(stack) && !c.excuse(name.Pos()) {
		c.addf(name.Pos(), "%s.%s walks a map: sort with slices.Sorted, or say \"%s why\" on the line before", pkg, f.Name(), orderFree)
	}
}

// sorted reports whether the name at the end of the stack is called and its
// result sorted at once: the stack ends in slices.Sorted*(maps.Keys(…)).
func (c *coreCheck) sorted(stack []ast.Node) bool {
	if n := len(stack); n >= 3 {
		outer, ok := stack[n-3].(*ast.CallExpr)
		if !ok {
			return false
		}
		fun, ok := ast.Unparen(outer.Fun).(*ast.SelectorExpr)
		if !ok {
			return false
		}
		f, ok := c.info.Uses[fun.Sel].(*types.Func)
		return ok && f.Pkg() != nil && f.Pkg().Path() == "slices" && strings.HasPrefix(f.Name(), "Sorted")
	}
	return false
}

// compiled returns an importer of what the core and the proofs import. It reads
// compiled packages, which the go command builds where they are missing.
var compiled = sync.OnceValues(func() (types.Importer, error) {
	args := []string{"list", "-e", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}",
		"maps", "reflect", "slices", "time", "github.com/cespare/xxhash/v2"}
	for _, b := range coreBans {
		args = append(args, b.path)
	}
	for _, pkg := range corePackages {
		args = append(args, "./"+pkg)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export: %w", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if pkg, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			files[pkg] = file
		}
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file := files[path]
		if file == "" {
			return nil, errors.New("it does not compile")
		}
		return os.Open(file)
	}), nil
})
