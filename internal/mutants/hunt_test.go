package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/sim"
)

// A small module that a hunt takes for this one: its campaign fires I, then L,
// where Add is wrong, A where Name is, and I at seed 29 in any case.
var smallModule = map[string]string{
	"go.mod": "module small\n\ngo 1.25\n",
	"sim/sum.go": `package sim

// Add adds.
func Add(a, b int) int {
	return a + b
}

// Name names it.
func Name() string {
	return "sum"
}

// Twin names it as well.
func Twin() string {
	return "sum"
}
`,
	"cmd/dkvsim/main.go": `package main

import (
	"encoding/json"
	"flag"
	"os"
	"fmt"
	"strings"

	"small/sim"
)

func classes(seed int) []string {
	switch {
	case sim.Add(seed, 1) != seed+1:
		return []string{"L", "I"}
	case seed == 29:
		return []string{"I"}
	case sim.Name() != "sum":
		return []string{"A"}
	}
	return nil
}

type failure struct {
	Seed    int
	Classes []string
	First   string
}

func main() {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	seeds, stopAt := flags.String("seeds", "", ""), flags.String("stop-at", "", "")
	flags.String("json", "", "")
	flags.Int("jobs", 0, "")
	flags.Parse(os.Args[2:])
	var from, to int
	fmt.Sscanf(*seeds, "%d-%d", &from, &to)
	if log, err := os.OpenFile("ran.txt", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
		fmt.Fprintln(log, sim.Twin(), *seeds)
		log.Close()
	}
	runs, byClass := 0, map[string]int{}
	var stopped *failure
	for seed := from; seed <= to && stopped == nil; seed++ {
		runs++
		fired := classes(seed)
		for _, class := range fired {
			byClass[class]++
			if strings.Contains(*stopAt, class) {
				stopped = &failure{seed, fired, fired[len(fired)-1]}
			}
		}
	}
	hits := runs
	if sim.Twin() != "sum" {
		hits = 0
	}
	faults := []any{map[string]any{"name": "cut", "times": runs, "runs": runs}, map[string]any{"name": "rare", "times": 0, "runs": 0}}
	probes := []any{map[string]any{"name": "hit", "times": hits, "runs": hits}}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"stopped_at": stopped,
		"tally": map[string]any{"runs": runs, "failed_by_class": byClass, "faults": faults, "probes": probes}})
	if stopped != nil {
		os.Exit(11)
	}
}
`,
	"cmd/dkvsim/main_test.go": `package main

import "testing"

func TestClasses(t *testing.T) {
	if fired := classes(1); fired != nil {
		t.Error(fired)
	}
}
`,
	"sim/sum_test.go": `package sim

import "testing"

var linked = []any{Add, Name}

func TestAdd(t *testing.T) {
	if a, b := len(linked), 5; Add(a, b) != 7 {
		t.Error("wrong")
	}
}

func TestSkips(t *testing.T) { t.Skip("always") }

func TestNever(t *testing.T) { t.Error("always") }
`,
}

// text returns a mutant's text, with one change of sum.go.
func text(judge, old, instead string) string {
	return "story: It is wrong. And so on.\n" + judge + "\nfile: sim/sum.go\n--- as it is\n" + old + "\n--- instead\n" + instead + "\n--- end\n"
}

const sumLine, wrongSum = "\treturn a + b", "\treturn a + b - max(0, a%7-5)"

// runHunt hunts these mutants in the small module.
func runHunt(t *testing.T, h *hunt, mutants map[string]string) (out string, err error) {
	t.Helper()
	return huntIn(t, t.TempDir(), h, mutants)
}

func huntIn(t *testing.T, root string, h *hunt, mutants map[string]string) (out string, err error) {
	t.Helper()
	files := maps.Clone(smallModule)
	for name, text := range mutants {
		files["sim/mutants/"+name+".mutant"] = text
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	h.root, h.dir, h.out, h.jobs, h.limit = root, "sim/mutants", &b, max(1, h.jobs), time.Minute
	err = h.run()
	return b.String(), err
}

// caughtAndSeen are one mutant and one breakage as they should be: 6, 13 and 20
// are the first of three ranges of nine seeds in which the sum is wrong.
func caughtAndSeen() map[string]string {
	return map[string]string{
		"1-wrong-sum":   text("oracles: L", sumLine, wrongSum),
		"harness/wrong": text("tests: sim TestAdd", sumLine, "\treturn a - b"),
	}
}

func TestMutantsAreCaughtAndBreakagesSeen(t *testing.T) {
	h := &hunt{seeds: 9, ranges: 3, unmutated: 9}
	mutants := caughtAndSeen() // and the tests of the command that runs campaigns, not the command
	mutants["harness/wrong-in-the-command"] = text("tests: cmd/dkvsim TestClasses", sumLine, "\treturn a - b")
	out, err := runHunt(t, h, mutants)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`(?m)3 disjoint ranges \(1-9, 10-18, 19-27\)`,
		`(?m)^1-wrong-sum +L +L,I +I +4 +6 +\S+$`,
		`(?m)^harness/wrong +sim TestAdd +\S+$`,
		`(?m)^harness/wrong-in-the-command +cmd/dkvsim TestClasses +\S+$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("nothing matches %s in\n%s", want, out)
		}
	}
}

// With --markdown, the page's tables have the rows of what was hunted, keep the
// others and lose those of mutants that are gone.
func TestMarkdownUpdatesThePage(t *testing.T) {
	root := t.TempDir()
	before := "# Mutants\n\n" +
		"<!-- bugs: written by make mutants ARGS=--markdown -->\n| planted |\n| --- |\n" +
		"| [0-kept](../sim/mutants/0-kept.mutant) | as it was |\n" +
		"| [1-wrong-sum](../sim/mutants/1-wrong-sum.mutant) | old |\n" +
		"| [2-gone](../sim/mutants/2-gone.mutant) | old |\n<!-- end -->\nBetween.\n" +
		"<!-- breakages: written by make mutants ARGS=--markdown -->\n| broken |\n| --- |\n<!-- end -->\nAfter.\n"
	want := "# Mutants\n\n" +
		"<!-- bugs: written by make mutants ARGS=--markdown -->\n| planted |\n| --- |\n" +
		"| [0-kept](../sim/mutants/0-kept.mutant) | as it was |\n" +
		"| [1-wrong-sum](../sim/mutants/1-wrong-sum.mutant) | It is wrong | L | L I | I | 6 | 6 |\n<!-- end -->\nBetween.\n" +
		"<!-- breakages: written by make mutants ARGS=--markdown -->\n| broken |\n| --- |\n" +
		"| [wrong](../sim/mutants/harness/wrong.mutant) | It is wrong | sim TestAdd |\n<!-- end -->\nAfter.\n"
	path := filepath.Join(root, filepath.FromSlash(page))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	mutants := caughtAndSeen()
	mutants["0-kept"] = text("oracles: L", sumLine, wrongSum)
	if out, err := huntIn(t, root, &hunt{seeds: 9, ranges: 1, only: "wrong", markdown: true}, mutants); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != want {
		t.Errorf("%v; the page has become\n%s\nwant\n%s", err, after, want)
	}
}

// The tables of docs/mutants.md name every mutant, in the order of the files.
func TestThePageNamesEveryMutant(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	bugs, breakages, err := loadAll(filepath.Join(root, "sim", "mutants"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range append(bugs, breakages...) {
		want = append(want, m.name)
		if !strings.Contains(string(text), "/"+m.name+".mutant) | "+m.firstSentence()+" | ") {
			t.Errorf("%s does not say of %s: %s", page, m.name, m.firstSentence())
		}
	}
	if got := pageRows(string(text)); !slices.Equal(got, want) {
		t.Errorf("%s has the rows\n%q\nand these are the mutants:\n%q\nRun make mutants ARGS='--markdown --only NAME' for those that are missing.", page, got, want)
	}
	for _, name := range []string{"bugs", "breakages"} {
		if _, err := new(hunt).updateTable(string(text), name, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestMutantsTablesAsMarkdown(t *testing.T) {
	bug, err := parseMutant(text("oracles: L D", sumLine, wrongSum))
	if err != nil {
		t.Fatal(err)
	}
	breakage, err := parseMutant(text("tests: sim TestAdd", sumLine, wrongSum))
	if err != nil {
		t.Fatal(err)
	}
	bug.name, breakage.name = "1-wrong-sum", "harness/wrong"
	var b bytes.Buffer
	h := hunt{dir: "sim/mutants", markdown: true, seeds: 9, ranges: 5, out: &b, rows: map[string]string{}}
	h.printBugsHead()
	h.printBug(&bug, &catches{fired: sim.Classes[:2], first: sim.Classes[1:2], seeds: []int{7, 3, 9, 1, 4}})
	h.printBug(&bug, &catches{seeds: []int{7, 0}})
	h.printBreakagesHead()
	h.printBreakage(&breakage, true, time.Second)
	h.printBreakage(&breakage, false, time.Second)
	for _, want := range []string{
		"(1-9, 10-18, …, 37-45)",
		"| --- | --- | --- | --- | --- | --- | --- |\n" +
			"| [1-wrong-sum](../sim/mutants/1-wrong-sum.mutant) | It is wrong | L D | L D | D | 4 | 9 |\n" +
			"| [1-wrong-sum](../sim/mutants/1-wrong-sum.mutant) | It is wrong | L D | none | none | - | survives |\n",
		"| --- | --- | --- |\n" +
			"| [wrong](../sim/mutants/harness/wrong.mutant) | It is wrong | sim TestAdd |\n" +
			"| [wrong](../sim/mutants/harness/wrong.mutant) | It is wrong | unseen by sim TestAdd |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Whatever keeps a mutant from being caught, or a breakage from being seen,
// fails the hunt, which continues with the next.
func TestMutantsCommandFails(t *testing.T) {
	mutants := map[string]string{
		"1-survives":         text("oracles: L D", "// Name names it.\nfunc Name() string {\n\treturn \"sum\"", "// Name names it.\nfunc Name() string {\n\treturn \"no\""),
		"2-does-not-compile": text("oracles: L", sumLine, "\treturn a + c"),
		"3-changes-nothing":  text("oracles: L", "// Add adds.", "// Add sums."),
		"4-occurs-twice":     text("oracles: L", "\treturn \"sum\"", "\treturn \"no\""),
		"5-is-gone":          text("oracles: L", "\treturn a * b", "\treturn a"),
		"harness/1-unseen":   text("tests: sim TestAdd", "// Name names it.\nfunc Name() string {\n\treturn \"sum\"", "// Name names it.\nfunc Name() string {\n\treturn \"no\""),
		"harness/2-no-test":  text("tests: sim TestGone", sumLine, wrongSum),
		"harness/3-skipped":  text("tests: sim TestSkips", sumLine, wrongSum),
		"harness/4-fails":    text("tests: sim TestNever", sumLine, wrongSum),
		"harness/5-nothing":  text("tests: sim TestAdd", "// Add adds.", "// Add sums."),
	}
	out, err := runHunt(t, &hunt{seeds: 9, ranges: 3, unmutated: 9}, mutants)
	if err == nil {
		t.Fatalf("no error\n%s", out)
	}
	for _, want := range []string{
		"1 mutants survive: 1-survives",
		"4 mutants could not be judged: 2-does-not-compile, 3-changes-nothing, 4-occurs-twice, 5-is-gone",
		"1 breakages of the harness go unseen: harness/1-unseen",
		"4 breakages of the harness could not be judged: harness/2-no-test, harness/3-skipped, harness/4-fails, harness/5-nothing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in the error:\n%v", want, err)
		}
	}
	for _, want := range []string{
		`(?m)^1-survives +L,D +none +none +- +survives `,
		`survives range 1 \(what fired in it: A\)`,
		`(?m)^2-does-not-compile +building: .*\n(?s:.*)undefined: c`,
		`(?m)^3-changes-nothing +the program is the same as without it$`,
		`(?m)^4-occurs-twice +the lines .* occur 2 times in sim/sum.go, want once$`,
		`(?m)^5-is-gone +the lines .* occur 0 times in sim/sum.go, want once$`,
		`(?m)^harness/1-unseen +unseen by sim TestAdd `,
		`(?m)^harness/2-no-test +TestGone in sim neither passed nor failed`,
		`(?m)^harness/3-skipped +TestSkips in sim neither passed nor failed`,
		`(?m)^harness/4-fails +TestNever fails without it$`,
		`(?m)^harness/5-nothing +the program is the same as without it$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("nothing matches %s in\n%s", want, out)
		}
	}
}

func TestMutantsCommandNeedsASoundProgram(t *testing.T) {
	out, err := runHunt(t, &hunt{seeds: 40, ranges: 1, unmutated: 30}, caughtAndSeen())
	if err == nil || !strings.Contains(err.Error(), "the unmutated program fails seed 29: I") {
		t.Errorf("%v, want that the unmutated program fails\n%s", err, out)
	}
	mutants := caughtAndSeen()
	mutants["2-blamed"] = text("oracles: I", "// Name names it.\nfunc Name() string {\n\treturn \"sum\"", "// Name names it.\nfunc Name() string {\n\treturn \"no\"")
	out, err = runHunt(t, &hunt{seeds: 40, ranges: 1, unmutated: 9}, mutants)
	if err == nil || !strings.Contains(err.Error(), "could not be judged: 2-blamed") || !strings.Contains(out, "the unmutated program fails seed 29 too: I") {
		t.Errorf("%v, want that seed 29 proves nothing\n%s", err, out)
	}
}

func TestMutantsCommandNeedsItsTexts(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"2-no-oracle", text("# none", sumLine, wrongSum), "no oracles"},
		{"2-no-such-oracle", text("oracles: L Q", sumLine, wrongSum), `class "Q"`},
		{"2-a-test", text("tests: sim TestAdd", sumLine, wrongSum), "it belongs in harness"},
		{"harness/2-an-oracle", text("oracles: L", sumLine, wrongSum), "it does not belong there"},
		{"harness/2-both", text("oracles: L\ntests: sim TestAdd", sumLine, wrongSum), "both oracles and a test"},
	} {
		mutants := caughtAndSeen()
		mutants[c.name] = c.text
		if out, err := runHunt(t, &hunt{seeds: 9, ranges: 1, unmutated: 9}, mutants); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q\n%s", c.name, err, c.want, out)
		}
	}
	if _, err := runHunt(t, &hunt{seeds: 9, ranges: 1, only: "nonsense"}, caughtAndSeen()); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("%v, want that no mutant has such a name", err)
	}
	if _, err := runHunt(t, &hunt{seeds: 9}, caughtAndSeen()); err == nil || !strings.Contains(err.Error(), "--ranges 0") {
		t.Errorf("%v, want that there is no range", err)
	}
}
