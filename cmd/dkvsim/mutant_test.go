package main

import (
	"os"
	"path/filepath"
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
		{head + "nonsense\n", "neither story, oracles, tests nor file"},
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
// of what the mutants command checks.
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

func TestCampaignFlags(t *testing.T) {
	for _, c := range []struct {
		c    *campaign
		one  bool
		want string
	}{
		{&campaign{jobs: 1, shard: "1/1", profile: "default"}, false, "say which seeds"},
		{&campaign{jobs: 1, shard: "1/1", profile: "nonsense", seeds: "3"}, false, "profile"},
		{&campaign{jobs: 0, shard: "1/1", profile: "default", seeds: "3"}, false, "--jobs 0"},
		{&campaign{jobs: 1, shard: "3/2", profile: "default", seeds: "3"}, false, `--shard "3/2"`},
		{&campaign{jobs: 1, shard: "0/2", profile: "default", seeds: "3"}, false, `--shard "0/2"`},
		{&campaign{jobs: 1, shard: "x", profile: "default", seeds: "3"}, false, `--shard "x"`},
		{&campaign{jobs: 1, shard: "1/1", profile: "default", seeds: "9-3"}, false, "9 is above 3"},
		{&campaign{jobs: 1, shard: "1/1", profile: "default", seeds: "3", seed: 1}, true, "--seed runs one seed"},
	} {
		if err := c.c.plan(c.one); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestShardsDivideTheSeeds(t *testing.T) {
	taken := make(map[uint64]int)
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		c := campaign{jobs: 1, shard: shard, profile: "default", seeds: "10-20"}
		if err := c.plan(false); err != nil {
			t.Fatal(err)
		}
		for seed, ok := c.take(); ok; seed, ok = c.take() {
			taken[seed]++
		}
	}
	for seed := uint64(10); seed <= 20; seed++ {
		if taken[seed] != 1 {
			t.Errorf("seed %d was taken %d times", seed, taken[seed])
		}
	}
	if len(taken) != 11 {
		t.Errorf("%d seeds taken, want 11", len(taken))
	}
}

func TestExitStatusIsThatOfTheWorstClass(t *testing.T) {
	if err := statusOf(nil); err != nil {
		t.Errorf("no class: %v", err)
	}
	if err := statusOf([]sim.Class{sim.Progress, sim.Invariant}); err != exitStatus(14) {
		t.Errorf("V and I: %v, want 14", err)
	}
}
