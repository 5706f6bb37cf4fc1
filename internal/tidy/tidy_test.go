package tidy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// root is the module's root as seen from this package.
const root = "../.."

// An importRule lists the packages of this module that a package may import,
// and says why it may import no others. Paths are relative to the module.
type importRule struct {
	pkg string
	may []string
	why string
}

// mayImport is the table of ARCHITECTURE.md. A package that is not listed here
// may not exist.
var mayImport = []importRule{
	{"node", []string{"node/door", "node/ring", "node/layout", "node/quorum"}, "the core meets the world only through its doors"},
	{"node/door", []string{"node/layout"}, "a door is an interface: its users and implementations do not need the core"},
	{"node/ring", nil, "the ring is pure arithmetic"},
	{"node/layout", nil, "the layout and its steps are pure"},
	{"node/quorum", []string{"node/layout"}, "majorities are arithmetic over sets of members"},
	{"node/envtest", []string{"node", "node/door"}, "a conformance test knows the door, never what implements it"},
	{"node/pebblestore", []string{"node/door"}, "a store serves the core's door and decides nothing"},
	{"node/real", []string{"node", "node/client", "node/door", "node/pebblestore", "node/real/httpapi", "node/real/loop", "node/real/metrics", "node/real/peer", "node/real/zookeeper"},
		"the real world is wired here, and no simulated one"},
	{"node/real/loop", []string{"node", "node/door", "node/real/metrics"}, "the loop runs a node and knows no adapter"},
	{"node/real/peer", []string{"node", "node/door", "node/real/loop", "node/real/metrics"}, "an adapter knows its own door, the loop and no other adapter"},
	{"node/real/httpapi", []string{"node", "node/door", "node/layout", "node/real/metrics"}, "an adapter knows its own door and no other adapter"},
	{"node/real/zookeeper", []string{"node/door", "node/real/metrics"}, "an adapter knows its own door and no other adapter"},
	{"node/real/metrics", []string{"internal/version"}, "the packages register what they count"},
	{"node/real/realtest", nil, "the loop's own tests use it"},
	{"node/client", nil, "a client knows the HTTP API, not the nodes' insides"},
	{"netsim", nil, "other projects can use it alone"},
	{"zksim", []string{"zksim/zktree"}, "other projects can use it together with its tree"},
	{"zksim/zktree", nil, "the tree is pure: transactions in, changes out"},
	{"zksim/zkserver", []string{"zksim/zktree"}, "it serves the tree over the wire and carries no simulator"},
	{"linearizability", nil, "it judges histories of any program"},
	{"linearizability/jepsen", []string{"linearizability"}, "a reader produces histories and does not judge them"},
	{"linearizability/etcd", []string{"linearizability"}, "a reader produces histories and does not judge them"},
	{"linearizability/report", []string{"linearizability"}, "a page shows what the checker found"},
	{"sim/schedule", []string{"netsim", "zksim", "linearizability"}, "a schedule is data: the language knows no world that runs it"},
	{"sim/world", []string{"node", "node/door", "node/layout", "netsim", "zksim", "zksim/zktree", "sim/schedule", "sim/world/crashdisk"},
		"the simulated machines know the faults that may strike them, not who decides or judges"},
	{"sim/world/crashdisk", []string{"node/door", "node/pebblestore"}, "it runs the production store over files that can lose power"},
	{"sim", []string{"internal/version", "node", "node/door", "node/ring", "node/layout", "node/quorum", "sim/schedule", "sim/world", "netsim", "zksim", "zksim/zktree", "linearizability", "linearizability/report"},
		"the simulator runs the core itself, and nothing of the real world"},
	{"sim/campaign", []string{"internal/version", "sim", "sim/schedule"}, "the one engine of campaigns: it runs seeds in parallel and knows no world"},
	{"sim/examples/counter", []string{"sim", "sim/schedule", "sim/world", "node/door", "linearizability"}, "an example shows how little another system needs"},
	{"cmd/dkv", []string{"internal/version", "node/real", "node/client", "linearizability", "zksim/zkserver"}, "the production binary carries no simulator"},
	{"cmd/dkvsim", []string{"internal/version", "sim", "sim/campaign", "sim/schedule", "sim/world", "linearizability", "linearizability/etcd", "linearizability/jepsen", "linearizability/report"}, "the simulator's binary carries nothing of the real world"},
	{"internal/mutants", []string{"sim", "sim/campaign"}, "it drives the go command and dkvsim from outside, and knows the classes of failures"},
	{"internal/docs", nil, "it runs the programs as users do, by commands"},
	{"internal/tidy", nil, "it reads the sources and runs none of them"},
	{"internal/version", []string{"node"}, "it knows the versions that the core declares, and nothing that runs"},
}

// testsMayImport lists what test files may import in addition to the rule of
// their package. The package "" stands for every package.
var testsMayImport = []importRule{
	{pkg: "", may: []string{"node/envtest"}},
	{pkg: "sim", may: []string{"sim/campaign"}},
	{pkg: "sim/campaign", may: []string{"sim/world"}},
	{pkg: "sim/world", may: []string{"node/quorum"}},
	{pkg: "node/real", may: []string{"node/real/realtest", "zksim/zkserver"}},
	{pkg: "node/real/loop", may: []string{"node/real/realtest"}},
	{pkg: "node/real/peer", may: []string{"node/real/realtest"}},
	{pkg: "node/real/httpapi", may: []string{"node/real/realtest"}},
	{pkg: "node/real/zookeeper", may: []string{"node/real/loop", "node/real/realtest", "zksim/zkserver"}},
	{pkg: "node/client", may: []string{"zksim/zkserver"}},
	{pkg: "cmd/dkv", may: []string{"node/door", "node/pebblestore"}}, // a data directory of another version is made there
}

// networkPackages may import net and ZooKeeper's client, as may the packages
// below them.
var networkPackages = []string{"node/real", "node/client", "zksim/zkserver", "cmd"}

// A dependency is a module that go.mod requires directly.
type dependency struct{ path, saves string }

// dependencies lists all of them, each with the work that it saves. Adding one
// takes a line here and a reason in the commit message.
var dependencies = []dependency{
	{"github.com/anishathalye/porcupine", "the full search of the linearizability checker, and its picture of a failing key"},
	{"github.com/cespare/xxhash/v2", "a fast hash that is specified: ring, frames, checksums and traces"},
	{"github.com/cockroachdb/pebble/v2", "the store on disk: log, tables, compaction, and a file system that can crash"},
	{"github.com/go-zookeeper/zk", "ZooKeeper's wire protocol on the client's side"},
	{"github.com/prometheus/client_golang", "metrics in the format that is scraped everywhere"},
	{"github.com/spf13/cobra", "commands, flags and their help"},
	{"github.com/spf13/pflag", "cobra's flags, where a function takes a set of them"},
	{"golang.org/x/sys", "CLOCK_BOOTTIME, locks on directories, the signal at the parent's death"},
	{"github.com/klauspost/compress", "histories compressed with Zstandard; Pebble brings it anyway"},
	{"pgregory.net/rapid", "property tests that shrink what they find"},
}

// maxFunctionLines limits a function, from func to the closing brace.
const maxFunctionLines = 70

// vagueNames do not tell what is inside.
var vagueNames = []string{"util", "utils", "common", "shared", "manager", "managers", "helper", "helpers"}

// A tree is the module as the rules see it.
type tree struct {
	module      string // its path in go.mod
	fset        *token.FileSet
	directories []*directory
	texts       map[string][]byte // every text file by path
}

// A directory is one with Go files.
type directory struct {
	path  string // in the module; "" is the root
	files []*source
}

// A source is one Go file, whatever machine it is built for.
type source struct {
	name string // path in the module
	src  []byte
	ast  *ast.File
	test bool
}

// A rule reports what is wrong in a tree: one sentence for each problem, with
// its place.
type rule struct {
	name  string
	check func(*tree) []string
}

var rules = []rule{
	{"imports", checkImports},
	{"network", checkNetwork},
	{"core", checkCore},
	{"doc", checkDoc},
	{"form", checkForm},
	{"length", checkLength},
	{"examples", checkExamples},
	{"names", checkNames},
	{"race", checkRace},
	{"words", checkWords},
	{"design", checkDesign},
	{"rules", func(tr *tree) []string { return checkRules(tr, true) }},
	{"production", checkProduction},
	{"front end", checkFrontEnd},
	{"dependencies", func(tr *tree) []string { return checkDependencies(tr, dependencies) }},
}

// TestTidy checks the module against every rule.
func TestTidy(t *testing.T) {
	tr, err := readTree(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.directories) < 2 || tr.directory("node") == nil {
		t.Fatalf("found %d directories with Go files and no core below %s", len(tr.directories), root)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, problem := range r.check(tr) {
				t.Error(problem)
			}
		})
	}
}

// readTree reads the module at the root of fsys. It leaves out other modules
// below it and what the go tool ignores.
func readTree(fsys fs.FS) (*tree, error) {
	tr := &tree{fset: token.NewFileSet(), texts: map[string][]byte{}}
	gomod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	if tr.module, err = modulePath(gomod); err != nil {
		return nil, err
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(fsys, name)
		}
		return tr.read(fsys, name, d)
	})
	slices.SortFunc(tr.directories, func(a, b *directory) int { return cmp.Compare(a.path, b.path) })
	return tr, err
}

// modulePath returns the path that a go.mod declares.
func modulePath(gomod []byte) (string, error) {
	m := regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)"?`).FindSubmatch(gomod)
	if m == nil {
		return "", errors.New("go.mod: no module line")
	}
	return string(m[1]), nil
}

// skipDir returns fs.SkipDir for directories that hold no code of this module.
func skipDir(fsys fs.FS, name string) error {
	base := path.Base(name)
	switch {
	case name == ".", name == ".ci", name == ".github":
		return nil
	case base == "node_modules", strings.HasSuffix(name, "testdata/fuzz"), strings.HasPrefix(base, "."), strings.HasPrefix(base, "_"), name == "bin", name == "dkv-data":
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (tr *tree) read(fsys fs.FS, name string, d fs.DirEntry) error {
	if !d.Type().IsRegular() || strings.HasSuffix(name, ".test") {
		return nil
	}
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if !utf8.Valid(src) || bytes.IndexByte(src, 0) >= 0 {
		return nil
	}
	tr.texts[name] = src
	if !strings.HasSuffix(name, ".go") || strings.Contains("/"+name, "/testdata/") {
		return nil
	}
	parsed, err := parser.ParseFile(tr.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	in := path.Dir(name)
	if in == "." {
		in = ""
	}
	dir := tr.directory(in)
	if dir == nil {
		dir = &directory{path: in}
		tr.directories = append(tr.directories, dir)
	}
	dir.files = append(dir.files, &source{name, src, parsed, strings.HasSuffix(name, "_test.go")})
	return nil
}

// directory returns the directory of that path, or nil if it has no Go files.
func (tr *tree) directory(path string) *directory {
	for _, d := range tr.directories {
		if d.path == path {
			return d
		}
	}
	return nil
}

func (tr *tree) at(pos token.Pos) string {
	p := tr.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// code returns the files that are not tests.
func (d *directory) code() []*source {
	return slices.DeleteFunc(slices.Clone(d.files), func(s *source) bool { return s.test })
}

// imported returns the path that an import names.
func imported(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser took it
	}
	return p
}

// within reports whether path is one of roots or below one of them.
func within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// checkImports: a package imports of this module only what mayImport lists, and
// its test files also what testsMayImport adds.
func checkImports(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		i := slices.IndexFunc(mayImport, func(r importRule) bool { return r.pkg == d.path })
		if i < 0 {
			problems = append(problems, fmt.Sprintf("%s: no rule for this package: add it to mayImport in internal/tidy and to ARCHITECTURE.md, or move its files into a package that is listed", cmp.Or(d.path, "the root")))
			continue
		}
		for _, file := range d.files {
			for _, spec := range file.ast.Imports {
				target, ours := strings.CutPrefix(imported(spec), tr.module+"/")
				if ours && !mayImport[i].allows(target, file.test) {
					problems = append(problems, fmt.Sprintf("%s: %s", tr.at(spec.Pos()), mayImport[i].refusal(target, file.test)))
				}
			}
		}
	}
	return problems
}

func (r importRule) allows(target string, test bool) bool {
	if slices.Contains(r.may, target) {
		return true
	}
	if !test {
		return false
	}
	return target == r.pkg || slices.ContainsFunc(testsMayImport, func(extra importRule) bool {
		return (extra.pkg == "" || extra.pkg == r.pkg) && slices.Contains(extra.may, target)
	})
}

func (r importRule) refusal(target string, test bool) string {
	may := "nothing of this module"
	if len(r.may) > 0 {
		may = strings.Join(r.may, ", ")
	}
	importer := r.pkg
	if test {
		importer = "a test of " + r.pkg
		may += ", and what testsMayImport adds"
	}
	return fmt.Sprintf("%s imports %s, which is not allowed: %s; it may import %s", importer, target, r.why, may)
}

// production is the command that serves real data; simulators are what it must
// not carry, with the packages below each directory of "/...".
var (
	production = "cmd/dkv"
	simulators = []string{"netsim", "sim", "sim/...", "zksim"}
)

// checkProduction: no chain of imports leads from the production command to a
// simulator. Its tests may use one.
func checkProduction(tr *tree) (problems []string) {
	from := map[string]string{production: ""} // each package reached, with the one that imports it
	for queue := []string{production}; len(queue) > 0; queue = queue[1:] {
		i := slices.IndexFunc(tr.directories, func(d *directory) bool { return d.path == queue[0] })
		if i < 0 {
			continue
		}
		for _, file := range tr.directories[i].files {
			for _, spec := range file.ast.Imports {
				target, ours := strings.CutPrefix(imported(spec), tr.module+"/")
				if _, known := from[target]; !ours || known || file.test {
					continue
				}
				from[target] = queue[0]
				queue = append(queue, target)
				if isSimulator(target) {
					problems = append(problems, fmt.Sprintf("%s: %s must not carry a simulator, but reaches %s", tr.at(spec.Pos()), production, chain(from, target)))
				}
			}
		}
	}
	return problems
}

func isSimulator(pkg string) bool {
	return slices.ContainsFunc(simulators, func(s string) bool {
		below, all := strings.CutSuffix(s, "...")
		return pkg == s || all && strings.HasPrefix(pkg, below)
	})
}

// chain spells the imports that lead to a package, from the production command
// on.
func chain(from map[string]string, target string) string {
	if from[target] == "" {
		return target
	}
	return chain(from, from[target]) + " -> " + target
}

// checkNetwork: few packages use the network and ZooKeeper, and no package uses
// cgo.
func checkNetwork(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		for _, file := range d.files {
			for _, spec := range file.ast.Imports {
				p := imported(spec)
				if p == "C" {
					problems = append(problems, fmt.Sprintf("%s: import \"C\": everything has to build with CGO_ENABLED=0", tr.at(spec.Pos())))
				}
				if opensSockets(p) && !within(d.path, networkPackages) {
					problems = append(problems, fmt.Sprintf("%s: %s imports %s: only %s use the network, so that everything else runs in the simulator",
						tr.at(spec.Pos()), cmp.Or(d.path, "the root"), p, strings.Join(networkPackages, ", ")))
				}
			}
		}
	}
	return problems
}

// opensSockets leaves out the two packages below net that only parse text.
func opensSockets(path string) bool {
	if path == "net/url" || path == "net/netip" {
		return false
	}
	return within(path, []string{"net", "crypto/tls", "golang.org/x/net", "github.com/go-zookeeper"})
}

// raced finds the packages that scripts/test.sh tests with the race detector.
var raced = regexp.MustCompile(`(?m)^concurrent=\((.*)\)$`)

// checkRace: every package with a go statement, also in its tests, is tested with
// the race detector.
func checkRace(tr *tree) (problems []string) {
	const script = "scripts/test.sh"
	list := raced.FindSubmatch(tr.texts[script])
	if list == nil {
		return []string{script + ": no line concurrent=(…)"}
	}
	patterns := strings.Fields(string(list[1]))
	for _, d := range tr.directories {
		if slices.ContainsFunc(patterns, func(pattern string) bool {
			pattern = strings.TrimPrefix(pattern, "./")
			below, all := strings.CutSuffix(pattern, "/...")
			return d.path == pattern || all && within(d.path, []string{below})
		}) {
			continue
		}
		if at, ok := goStatement(d); ok {
			problems = append(problems, fmt.Sprintf("%s: %s starts a goroutine, but is not one of the packages that %s tests with the race detector",
				tr.at(at), d.path, script))
		}
	}
	return problems
}

// goStatement returns the place of the first go statement in the directory.
func goStatement(d *directory) (at token.Pos, ok bool) {
	for _, file := range d.files {
		for n := range ast.Preorder(file.ast) {
			if s, is := n.(*ast.GoStmt); is {
				return s.Pos(), true
			}
		}
	}
	return 0, false
}

// checkDoc: each package has a package comment in doc.go; a command may have it
// in main.go.
func checkDoc(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		code := d.code()
		if len(code) == 0 {
			continue
		}
		name, opening, places := code[0].ast.Name.Name, "Package ", []string{"doc.go"}
		if name == "main" {
			opening, places = "", append(places, "main.go")
		} else {
			opening += name + " "
		}
		if !slices.ContainsFunc(code, func(s *source) bool {
			return slices.Contains(places, path.Base(s.name)) && s.ast.Doc != nil && strings.HasPrefix(s.ast.Doc.Text(), opening)
		}) {
			problems = append(problems, fmt.Sprintf("%s: no package comment in %s that begins %q: say what the package is, what it never does, and where to start reading",
				d.path, strings.Join(places, " or "), opening))
		}
	}
	return problems
}

// unfinished is written in pieces so that it does not match itself.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

// checkForm: Go files are formatted by gofmt, and no text says that work is left
// to do.
func checkForm(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		for _, file := range d.files {
			formatted, err := format.Source(file.src)
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", file.name, err))
			} else if !bytes.Equal(formatted, file.src) {
				problems = append(problems, fmt.Sprintf("%s: not formatted: run gofmt -w %[1]s", file.name))
			}
		}
	}
	for name, text := range tr.texts {
		for i, line := range strings.Split(string(text), "\n") {
			if word := unfinished.FindString(line); word != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s: finish it, or file an issue", name, i+1, word))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// checkLength: no function outside tests is longer than maxFunctionLines.
func checkLength(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		for _, file := range d.code() {
			ast.Inspect(file.ast, func(n ast.Node) bool {
				name := "a function literal"
				switch f := n.(type) {
				case *ast.FuncDecl:
					name = f.Name.Name
					n = &ast.FuncDecl{Recv: f.Recv, Name: f.Name, Type: f.Type, Body: f.Body} // without its comment
				case *ast.FuncLit:
				default:
					return true
				}
				lines := tr.fset.Position(n.End()).Line - tr.fset.Position(n.Pos()).Line + 1
				if lines > maxFunctionLines {
					problems = append(problems, fmt.Sprintf("%s: %s has %d lines; the limit is %d", tr.at(n.Pos()), name, lines, maxFunctionLines))
					return false
				}
				return true
			})
		}
	}
	return problems
}

// maxExampleLines limits an example, including its test and its comments.
const maxExampleLines = 320

// checkExamples: an example of another system can be read in one sitting.
func checkExamples(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		lines := 0
		for _, file := range d.files {
			lines += bytes.Count(file.src, []byte("\n"))
		}
		if strings.HasPrefix(d.path, examples) && lines > maxExampleLines {
			problems = append(problems, fmt.Sprintf("%s: has %d lines, and docs/own-system.md promises at most %d", d.path, lines, maxExampleLines))
		}
	}
	return problems
}

// checkNames: the names of packages, directories and files tell what is inside.
func checkNames(tr *tree) (problems []string) {
	for _, d := range tr.directories {
		for _, element := range strings.Split(d.path, "/") {
			if slices.Contains(vagueNames, element) {
				problems = append(problems, fmt.Sprintf("%s: a directory named %s does not tell what is inside", d.path, element))
			}
		}
		for _, file := range d.files {
			if name := strings.TrimSuffix(file.ast.Name.Name, "_test"); isVague(name) {
				problems = append(problems, fmt.Sprintf("%s: a package named %s does not tell what is inside", file.name, name))
			}
			stem := strings.TrimSuffix(path.Base(file.name), ".go")
			for _, word := range strings.Split(stem, "_") {
				if slices.Contains(vagueNames, word) {
					problems = append(problems, fmt.Sprintf("%s: a file named %s does not tell what is inside", file.name, word))
				}
			}
		}
	}
	return problems
}

// isVague also catches a vague word at the end of another, such as netutil.
func isVague(name string) bool {
	return slices.ContainsFunc(vagueNames, func(word string) bool { return strings.HasSuffix(name, word) })
}

// checkDependencies: go.mod requires directly exactly what is allowed, replaces
// nothing, and everything that is allowed is in use.
func checkDependencies(tr *tree, allowed []dependency) (problems []string) {
	direct, replaced, err := requirements(tr.texts["go.mod"])
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range replaced {
		problems = append(problems, fmt.Sprintf("go.mod: %s is replaced: that is an undeclared fork", p))
	}
	for _, p := range direct {
		if !slices.ContainsFunc(allowed, func(d dependency) bool { return d.path == p }) {
			problems = append(problems, fmt.Sprintf("go.mod: %s is required directly, and internal/tidy does not say what work it saves", p))
		}
	}
	for _, d := range allowed {
		if d.saves == "" {
			problems = append(problems, fmt.Sprintf("internal/tidy: %s is listed without the work that it saves", d.path))
		}
		if !slices.Contains(direct, d.path) {
			problems = append(problems, fmt.Sprintf("go.mod: %s is not required directly, but internal/tidy lists it", d.path))
		} else if !tr.imports(d.path) {
			problems = append(problems, fmt.Sprintf("go.mod: %s is required, but no package imports it", d.path))
		}
	}
	return problems
}

// requirements reads a go.mod with the go command.
func requirements(mod []byte) (direct, replaced []string, err error) {
	dir, err := os.MkdirTemp("", "dkv-tidy-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "go.mod")
	if err := os.WriteFile(file, mod, 0o600); err != nil {
		return nil, nil, err
	}
	out, err := exec.Command("go", "mod", "edit", "-json", file).CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("go mod edit -json: %w: %s", err, out)
	}
	var parsed struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &parsed); err != nil {
		return nil, nil, fmt.Errorf("go mod edit -json: %w", err)
	}
	for _, r := range parsed.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	for _, r := range parsed.Replace {
		replaced = append(replaced, r.Old.Path)
	}
	return direct, replaced, nil
}

// imports reports whether any file imports a package of the module.
func (tr *tree) imports(module string) bool {
	for _, d := range tr.directories {
		for _, file := range d.files {
			if slices.ContainsFunc(file.ast.Imports, func(s *ast.ImportSpec) bool { return within(imported(s), []string{module}) }) {
				return true
			}
		}
	}
	return false
}
