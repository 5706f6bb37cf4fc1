package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// engine is the package that runs campaigns, for every front end.
const engine = "sim/campaign"

// frontEnds are the packages that start campaigns. Files of package sim itself are
// not among them, but its external tests are: go test ./sim.
var frontEnds = []string{"cmd/dkvsim", "internal/mutants", "sim"}

// campaignFlags are flags that only a campaign has.
var campaignFlags = []string{"seeds", "shard", "shard-from-zero", "state", "state-every", "stop-at", "twice"}

var definesFlag = regexp.MustCompile(`^(Bool|Duration|Func|Int|Int64|String|Text|Uint|Uint64)(Var)?P?$`)

// checkFrontEnd: one engine runs campaigns. No other package than the engine adds
// up runs, which needs sim.NewCampaign; a front end defines no flag of a campaign
// and, outside tests, runs no seeds in a loop.
func checkFrontEnd(tr *tree) (problems []string) {
	report := func(pos token.Pos, what string) {
		problems = append(problems, fmt.Sprintf("%s: %s: this belongs in %s, the engine of all front ends", tr.at(pos), what, engine))
	}
	for _, d := range tr.directories {
		for _, file := range d.files {
			if d.path == engine || file.ast.Name.Name == "sim" {
				continue
			}
			simulator := file.importName(tr.module + "/sim")
			ast.Inspect(file.ast, func(n ast.Node) bool {
				if selects(n, simulator, "NewCampaign") {
					report(n.Pos(), "sim.NewCampaign adds up runs")
				}
				if call, ok := n.(*ast.CallExpr); ok && slices.Contains(frontEnds, d.path) && d.path != "internal/mutants" {
					if flag := flagDefined(call); slices.Contains(campaignFlags, flag) {
						report(n.Pos(), "the flag -"+flag+" is that of a campaign")
					}
				}
				if body := loopBody(n); body != nil && !file.test && slices.Contains(frontEnds, d.path) {
					ast.Inspect(body, func(n ast.Node) bool {
						if selects(n, simulator, "Run", "RunTwice", "Draw", "DrawOn") {
							report(n.Pos(), "a loop that runs seeds")
						}
						return true
					})
				}
				return true
			})
		}
	}
	return problems
}

// importName returns the name by which a file knows a package, or "".
func (s *source) importName(path string) string {
	for _, spec := range s.ast.Imports {
		if imported(spec) != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[len(path)-len("sim"):]
	}
	return ""
}

// selects reports whether a node is pkg.NAME with one of the names.
func selects(n ast.Node, pkg string, names ...string) bool {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok || pkg == "" {
		return false
	}
	x, ok := selector.X.(*ast.Ident)
	return ok && x.Name == pkg && slices.Contains(names, selector.Sel.Name)
}

// flagDefined returns the name of the flag that a call defines, or "".
func flagDefined(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !definesFlag.MatchString(selector.Sel.Name) {
		return ""
	}
	for _, argument := range call.Args {
		if literal, ok := argument.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			name, _ := strconv.Unquote(literal.Value)
			return name
		}
	}
	return ""
}

func loopBody(n ast.Node) *ast.BlockStmt {
	switch loop := n.(type) {
	case *ast.ForStmt:
		return loop.Body
	case *ast.RangeStmt:
		return loop.Body
	}
	return nil
}

func TestFrontEndCanFail(t *testing.T) {
	const use = "package main\nimport \"our/sim\"\n"
	prove(t, checkFrontEnd, []proof{
		{"a single run", one("cmd/dkvsim/x.go", use+"var x, _ = sim.Run(nil, sim.RunOptions{})\n"), nil},
		{"the engine", one("sim/campaign/x.go", "package campaign\nimport \"our/sim\"\nvar x = sim.NewCampaign(\"\")\nfunc f() { for { sim.Run() } }\n"), nil},
		{"package sim's own tests", one("sim/x_test.go", "package sim\nvar x = NewCampaign(\"\")\n"), nil},
		{"another flag", one("cmd/dkvsim/x.go", "package main\nfunc f() { f.StringVar(&x, \"report\", \"\", \"seeds\") }\n"), nil},
		{"a second sum", one("cmd/dkvsim/x.go", use+"var x = sim.NewCampaign(\"\")\n"), []string{"cmd/dkvsim/x.go:3: sim.NewCampaign adds up runs"}},
		{"a second sum in go test ./sim", one("sim/x_test.go", "package sim_test\nimport \"our/sim\"\nvar x = sim.NewCampaign(\"\")\n"), []string{"sim/x_test.go:3: sim.NewCampaign adds up runs"}},
		{"under another name", one("cmd/dkvsim/x.go", "package main\nimport s \"our/sim\"\nvar x = s.NewCampaign(\"\")\n"), []string{"cmd/dkvsim/x.go:3: sim.NewCampaign adds up runs"}},
		{"a second loop", one("cmd/dkvsim/x.go", use+"func f() {\nfor range 3 {\nsim.RunTwice(nil)\n}\n}\n"), []string{"cmd/dkvsim/x.go:5: a loop that runs seeds"}},
		{"a second flag", one("sim/x_test.go", "package sim_test\nvar x = flag.String(\"seeds\", \"\", \"\")\n"), []string{"sim/x_test.go:2: the flag -seeds"}},
	})
}
