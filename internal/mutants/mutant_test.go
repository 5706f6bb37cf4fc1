package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dkv/sim"
)

const planted = `# A comment.
story: Two lines
that belong together.
oracles: D L
file: a/b.go
--- as it is
	one
--- instead
	uno
	dos
--- end
--- as it is
	three
--- instead
--- end
`

func TestParseMutant(t *testing.T) {
	m, err := parseMutant(planted)
	if err != nil {
		t.Fatal(err)
	}
	if m.story != "Two lines that belong together." {
		t.Errorf("story %q", m.story)
	}
	if len(m.oracles) != 2 || m.oracles[0] != sim.Durability || m.oracles[1] != sim.Linearizability {
		t.Errorf("oracles %v", m.oracles)
	}
	want := []change{{"a/b.go", "\tone", "\tuno\n\tdos"}, {"a/b.go", "\tthree", ""}}
	if len(m.changes) != 2 || m.changes[0] != want[0] || m.changes[1] != want[1] {
		t.Errorf("changes %q, want %q", m.changes, want)
	}
}

func TestMutantErrors(t *testing.T) {
	head := "story: s\noracles: L\nfile: a.go\n"
	body := "--- as it is\nx\n--- instead\ny\n--- end\n"
	for _, c := range []struct{ text, want string }{
		{"oracles: L\nfile: a.go\n" + body, "no story"},
		{"story: s\nfile: a.go\n" + body, "no oracles"},
		{"story: s\noracles: L\nfile: a.go\n", "no change"},
		{"story: s\noracles: Z\n", `class "Z"`},
		{"story: s\ntests: sim\n", "the name of one test"},
		{"story: s\ntests: sim A\n", "the name of one test"},
		{"story: s\ntests: ../sim TestA\n", "the directory of a package"},
		{"story: s\noracles: L\ntests: sim TestA\nfile: a.go\n" + body, "both"},
		{"story: s\noracles: L\n" + body, "no file named"},
		{"file: ../a.go\n", "from the module's root"},
		{"file: /a.go\n", "from the module's root"},
		{head + "nonsense\n", "neither story, oracles, profile, tests nor file"},
		{head + "--- instead\n", "does not belong here"},
		{head + "--- as it is\nx\n--- end\n", "does not belong here"},
		{head + "--- as it is\nx\n", `no "--- end"`},
		{head + "--- as it is\n--- instead\ny\n--- end\n", "no lines to replace"},
		{head + "--- as it is\nx\n--- instead\nx\n--- end\n", "changes nothing"},
	} {
		if _, err := parseMutant(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestMutantLinesMustOccurExactlyOnce(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := parseMutant(planted)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ source, want, wrong string }{
		{"zero\n\tone\ntwo\n\tthree\nfour\n", "zero\n\tuno\n\tdos\ntwo\nfour\n", ""},
		{"\tone\n\tthree\n", "\tuno\n\tdos\n", ""},
		{"\tone\n\tone\n\tthree\n", "", `begin with "one" occur 2 times in a/b.go`},
		{"\ttwo\n\tthree\n", "", `begin with "one" occur 0 times`},
		{"\tone more\n\tthree\n", "", "occur 0 times"},
	} {
		if err := os.WriteFile(filepath.Join(root, "a", "b.go"), []byte(c.source), 0o644); err != nil {
			t.Fatal(err)
		}
		texts, err := m.apply(root)
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: %v, want %q", c.source, err, c.wrong)
			}
		case err != nil:
			t.Errorf("%q: %v", c.source, err)
		case texts["a/b.go"] != c.want:
			t.Errorf("%q became %q, want %q", c.source, texts["a/b.go"], c.want)
		}
	}
}

// Every mutant has to apply to the source as it stands: this is the cheap half
// of what make mutants checks.
func TestMutantsApplyToTheSource(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	bugs, breakages, err := loadAll(filepath.Join(root, "sim", "mutants"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range bugs {
		if len(m.oracles) == 1 && m.oracles[0] == sim.Assertion {
			t.Errorf("%s names the core's own assertion alone", m.name)
		}
	}
	if len(bugs) < 32 || len(breakages) < 11 {
		t.Errorf("only %d mutants and %d breakages of the harness", len(bugs), len(breakages))
	}
	for _, m := range append(bugs, breakages...) {
		if _, err := m.apply(root); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

func TestMutantNamesItsProfile(t *testing.T) {
	text := "story: s\noracles: L\nprofile: %s\nfile: f\n--- as it is\na\n--- instead\nb\n--- end\n"
	m, err := parseMutant(fmt.Sprintf(text, "day"))
	if err != nil || m.profile != "day" {
		t.Errorf("profile %q, %v", m.profile, err)
	}
	if _, err := parseMutant(fmt.Sprintf(text, "night")); err == nil || !strings.Contains(err.Error(), "day") {
		t.Errorf("an unknown profile gives %v, want an error that lists the profiles", err)
	}
	if got := withProfile(m.profile, "run"); !slices.Equal(got, []string{"run", "--profile=day"}) {
		t.Errorf("the arguments are %q", got)
	}
	if got := withProfile("", "run"); !slices.Equal(got, []string{"run"}) {
		t.Errorf("the arguments are %q", got)
	}
}
