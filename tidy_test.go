// Package dkv has no code at the module's root, only these tests: they keep the
// house in order. tidy_test.go reads the tree and holds the rules about its
// shape, tidy_core_test.go the rules about what the core may do, and
// tidy_proof_test.go shows of each rule that it fails where it is broken.
package dkv

import (
	"bytes"
	"cmp"
	"encoding/json"
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

// module is the path of go.mod; rooms are named without it.
const module = "dkv"

// An arrow is all that a room may import of ours, and why it is not more.
type arrow struct {
	room string
	may  []string
	why  string
}

// arrows are those of ARCHITECTURE.md. A room that is not here may not exist.
var arrows = []arrow{
	{"node", []string{"node/ring", "node/layout"}, "the core meets the world only through the doors that it declares"},
	{"node/ring", nil, "the ring is pure arithmetic"},
	{"node/layout", nil, "the layout and its steps are pure"},
	{"node/envtest", []string{"node"}, "a conformance body knows the door, never who stands behind it"},
	{"node/pebblestore", []string{"node"}, "a store serves the core's door and decides nothing"},
	{"node/real", []string{"node", "node/layout", "node/pebblestore"}, "the real world is wired here, and no simulated one"},
	{"node/client", nil, "a client knows the HTTP API, not the nodes' insides"},
	{"netsim", nil, "other projects can use it alone"},
	{"zksim", nil, "other projects can use it alone"},
	{"zksim/zkserver", []string{"zksim"}, "it puts a wire before the tree of zksim and knows nobody else"},
	{"linearizability", nil, "it judges histories of any program"},
	{"sim", []string{"node", "node/ring", "node/layout", "node/pebblestore", "netsim", "zksim", "linearizability"},
		"the stage runs the core itself, and nothing of the real world"},
	{"sim/examples/counter", []string{"sim", "node", "linearizability"}, "an example shows how little another system needs"},
	{"cmd/dkv", []string{"node/real", "node/client", "linearizability", "zksim/zkserver"}, "the production binary carries no simulator"},
	{"cmd/dkvsim", []string{"sim", "linearizability"}, "the simulator's binary carries nothing of the real world"},
}

// testArrows are what test files may import beyond their room's arrow; the room
// "" stands for every room.
var testArrows = []arrow{
	{room: "", may: []string{"node/envtest"}},
	{room: "node/real", may: []string{"zksim/zkserver"}},
	{room: "node/client", may: []string{"zksim/zkserver"}},
}

// networkRooms may import net and ZooKeeper's client, below cmd too.
var networkRooms = []string{"node/real", "node/client", "zksim/zkserver", "cmd"}

// A dependency is a module that go.mod requires directly.
type dependency struct{ path, spares string }

// dependencies are all, each with what it spares us. One more is a line here
// and a reason in its commit.
var dependencies = []dependency{
	{"github.com/anishathalye/porcupine", "the full search of the linearizability checker, and its picture of a failing key"},
	{"github.com/cespare/xxhash/v2", "a fast hash that is specified: ring, frames, checksums and traces"},
	{"github.com/cockroachdb/pebble/v2", "the store on disk: log, tables, compaction, and a file system that can crash"},
	{"github.com/go-zookeeper/zk", "ZooKeeper's wire protocol on the client's side"},
	{"github.com/prometheus/client_golang", "metrics in the format that is scraped everywhere"},
	{"github.com/spf13/cobra", "commands, flags and their help"},
	{"golang.org/x/sys", "CLOCK_BOOTTIME, locks on directories, the signal at the parent's death"},
	{"pgregory.net/rapid", "property tests that shrink what they find"},
}

// maxFunctionLines is the wall, from func to the closing brace.
const maxFunctionLines = 70

// vagueNames say nothing about what is inside.
var vagueNames = []string{"util", "utils", "common", "shared", "manager", "managers", "helper", "helpers"}

// A house is the module as the rules see it.
type house struct {
	fset  *token.FileSet
	rooms []*room
	texts map[string][]byte // every file of text by path, testdata left out
}

// A room is one directory with Go files.
type room struct {
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

// A rule says what is wrong in a house, one sentence each with its place.
type rule struct {
	name  string
	check func(*house) []string
}

var rules = []rule{
	{"arrows", checkArrows},
	{"network", checkNetwork},
	{"core", checkCore},
	{"doc", checkDoc},
	{"form", checkForm},
	{"length", checkLength},
	{"examples", checkExamples},
	{"names", checkNames},
	{"dependencies", func(h *house) []string { return checkDependencies(h, dependencies) }},
}

// TestTidy holds the tree against every rule.
func TestTidy(t *testing.T) {
	h, err := readHouse(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.rooms) < 2 || h.room("node") == nil {
		t.Fatalf("found %d rooms and no core: this test has to run in the module's root", len(h.rooms))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, problem := range r.check(h) {
				t.Error(problem)
			}
		})
	}
}

// readHouse reads the module that begins at the root of fsys. Other modules
// below it, and what the go tool ignores, are left out.
func readHouse(fsys fs.FS) (*house, error) {
	h := &house{fset: token.NewFileSet(), texts: map[string][]byte{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(fsys, name)
		}
		return h.read(fsys, name, d)
	})
	slices.SortFunc(h.rooms, func(a, b *room) int { return cmp.Compare(a.path, b.path) })
	return h, err
}

// skipDir answers fs.SkipDir for directories that are not of this module's code.
func skipDir(fsys fs.FS, name string) error {
	base := path.Base(name)
	switch {
	case name == "." || name == ".ci":
		return nil
	case base == "testdata", strings.HasPrefix(base, "."), strings.HasPrefix(base, "_"), name == "bin", name == "dkv-data":
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (h *house) read(fsys fs.FS, name string, d fs.DirEntry) error {
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
	h.texts[name] = src
	if !strings.HasSuffix(name, ".go") {
		return nil
	}
	parsed, err := parser.ParseFile(h.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	r := h.room(dir)
	if r == nil {
		r = &room{path: dir}
		h.rooms = append(h.rooms, r)
	}
	r.files = append(r.files, &source{name, src, parsed, strings.HasSuffix(name, "_test.go")})
	return nil
}

// room is nil if there is none of that path.
func (h *house) room(path string) *room {
	for _, r := range h.rooms {
		if r.path == path {
			return r
		}
	}
	return nil
}

func (h *house) at(pos token.Pos) string {
	p := h.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// code is the room's files but its tests.
func (r *room) code() []*source {
	return slices.DeleteFunc(slices.Clone(r.files), func(s *source) bool { return s.test })
}

// imported is the path that an import names.
func imported(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser took it
	}
	return p
}

// within reports whether path is one of roots or below one.
func within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// checkArrows: a room imports of ours what its arrow names, and test files what
// the arrows for tests add.
func checkArrows(h *house) (problems []string) {
	for _, r := range h.rooms {
		if r.path == "" {
			continue // only these tests
		}
		i := slices.IndexFunc(arrows, func(a arrow) bool { return a.room == r.path })
		if i < 0 {
			problems = append(problems, fmt.Sprintf("%s: there is no such room in ARCHITECTURE.md: move it into one, or draw it there and in tidy_test.go", r.path))
			continue
		}
		for _, file := range r.files {
			for _, spec := range file.ast.Imports {
				target, ours := strings.CutPrefix(imported(spec), module+"/")
				if ours && !arrows[i].allows(target, file.test) {
					problems = append(problems, fmt.Sprintf("%s: %s", h.at(spec.Pos()), arrows[i].refusal(target, file.test)))
				}
			}
		}
	}
	return problems
}

func (a arrow) allows(target string, test bool) bool {
	if slices.Contains(a.may, target) {
		return true
	}
	if !test {
		return false
	}
	return target == a.room || slices.ContainsFunc(testArrows, func(extra arrow) bool {
		return (extra.room == "" || extra.room == a.room) && slices.Contains(extra.may, target)
	})
}

func (a arrow) refusal(target string, test bool) string {
	may := "nothing of ours"
	if len(a.may) > 0 {
		may = "of ours only " + strings.Join(a.may, ", ")
	}
	who := a.room
	if test {
		who = "a test of " + a.room
		may += ", and what tidy_test.go grants to tests"
	}
	return fmt.Sprintf("%s imports %s, which no arrow allows: %s; it may import %s", who, target, a.why, may)
}

// checkNetwork: the network and ZooKeeper are met in few rooms, and cgo nowhere.
func checkNetwork(h *house) (problems []string) {
	for _, r := range h.rooms {
		for _, file := range r.files {
			for _, spec := range file.ast.Imports {
				p := imported(spec)
				if p == "C" {
					problems = append(problems, fmt.Sprintf("%s: import \"C\": CGO_ENABLED=0 has to build everything", h.at(spec.Pos())))
				}
				if opensSockets(p) && !within(r.path, networkRooms) {
					problems = append(problems, fmt.Sprintf("%s: %s imports %s: only %s meet the network, so that everything else runs in the simulator",
						h.at(spec.Pos()), cmp.Or(r.path, "the root"), p, strings.Join(networkRooms, ", ")))
				}
			}
		}
	}
	return problems
}

// opensSockets leaves out the two packages below net that only read text.
func opensSockets(path string) bool {
	if path == "net/url" || path == "net/netip" {
		return false
	}
	return within(path, []string{"net", "crypto/tls", "golang.org/x/net", "github.com/go-zookeeper"})
}

// checkDoc: each package has a doc.go that says what it is; a command may say
// it in main.go.
func checkDoc(h *house) (problems []string) {
	for _, r := range h.rooms {
		code := r.code()
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
			problems = append(problems, fmt.Sprintf("%s: no package comment in %s that begins %q: say what it is, what it never does, where to read on",
				r.path, strings.Join(places, " or "), opening))
		}
	}
	return problems
}

// unfinished is written in pieces, so that it does not find itself.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

// checkForm: Go files are as gofmt writes them, and nothing is put off.
func checkForm(h *house) (problems []string) {
	for _, r := range h.rooms {
		for _, file := range r.files {
			formatted, err := format.Source(file.src)
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", file.name, err))
			} else if !bytes.Equal(formatted, file.src) {
				problems = append(problems, fmt.Sprintf("%s: not as gofmt writes it: gofmt -w %[1]s", file.name))
			}
		}
	}
	for name, text := range h.texts {
		for i, line := range strings.Split(string(text), "\n") {
			if word := unfinished.FindString(line); word != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s: finish it, or file an issue", name, i+1, word))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// checkLength: no function outside tests is longer than the wall.
func checkLength(h *house) (problems []string) {
	for _, r := range h.rooms {
		for _, file := range r.code() {
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
				lines := h.fset.Position(n.End()).Line - h.fset.Position(n.Pos()).Line + 1
				if lines > maxFunctionLines {
					problems = append(problems, fmt.Sprintf("%s: %s has %d lines, %d are the wall", h.at(n.Pos()), name, lines, maxFunctionLines))
					return false
				}
				return true
			})
		}
	}
	return problems
}

// maxExampleLines bounds an example, its test and its comments included.
const maxExampleLines = 299

// checkExamples: an example of another system is one that is read in a sitting.
func checkExamples(h *house) (problems []string) {
	for _, r := range h.rooms {
		lines := 0
		for _, file := range r.files {
			lines += bytes.Count(file.src, []byte("\n"))
		}
		if strings.HasPrefix(r.path, examples) && lines > maxExampleLines {
			problems = append(problems, fmt.Sprintf("%s: has %d lines, and README.md says that an example has less than %d", r.path, lines, maxExampleLines+1))
		}
	}
	return problems
}

// checkNames: packages, their directories and their files say what is inside.
func checkNames(h *house) (problems []string) {
	for _, r := range h.rooms {
		for _, element := range strings.Split(r.path, "/") {
			if slices.Contains(vagueNames, element) {
				problems = append(problems, fmt.Sprintf("%s: a directory named %s says nothing about what is inside", r.path, element))
			}
		}
		for _, file := range r.files {
			if name := strings.TrimSuffix(file.ast.Name.Name, "_test"); isVague(name) {
				problems = append(problems, fmt.Sprintf("%s: a package named %s says nothing about what is inside", file.name, name))
			}
			stem := strings.TrimSuffix(path.Base(file.name), ".go")
			for _, word := range strings.Split(stem, "_") {
				if slices.Contains(vagueNames, word) {
					problems = append(problems, fmt.Sprintf("%s: a file named %s says nothing about what is inside", file.name, word))
				}
			}
		}
	}
	return problems
}

// isVague also catches a vague word behind another, such as netutil.
func isVague(name string) bool {
	return slices.ContainsFunc(vagueNames, func(word string) bool { return strings.HasSuffix(name, word) })
}

// checkDependencies: go.mod requires directly what is allowed, no more, no
// less, replaces nothing, and everything that is allowed is in use.
func checkDependencies(h *house, allowed []dependency) (problems []string) {
	direct, replaced, err := requirements(h.texts["go.mod"])
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range replaced {
		problems = append(problems, fmt.Sprintf("go.mod: %s is replaced: a fork by the back door", p))
	}
	for _, p := range direct {
		if !slices.ContainsFunc(allowed, func(d dependency) bool { return d.path == p }) {
			problems = append(problems, fmt.Sprintf("go.mod: %s is required directly, and tidy_test.go does not say what it spares us", p))
		}
	}
	for _, d := range allowed {
		if d.spares == "" {
			problems = append(problems, fmt.Sprintf("tidy_test.go: %s without a word on what it spares us", d.path))
		}
		if !slices.Contains(direct, d.path) {
			problems = append(problems, fmt.Sprintf("go.mod: %s is not required directly, but tidy_test.go lists it", d.path))
		} else if !h.imports(d.path) {
			problems = append(problems, fmt.Sprintf("go.mod: %s is required, and nobody imports it", d.path))
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
func (h *house) imports(module string) bool {
	for _, r := range h.rooms {
		for _, file := range r.files {
			if slices.ContainsFunc(file.ast.Imports, func(s *ast.ImportSpec) bool { return within(imported(s), []string{module}) }) {
				return true
			}
		}
	}
	return false
}
