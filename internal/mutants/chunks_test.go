package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/sim"
)

// What the chunks of a range tell in any order is what one campaign from its first
// seed on would have told.
func TestChunksTellWhatOneCampaignWould(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 2000 {
		from := 1 + rng.IntN(3)*1000
		to := from + rng.IntN(5*chunkSeeds)
		catches := make(map[int]bool) // by seed
		for range rng.IntN(4) {
			catches[from+rng.IntN(5*chunkSeeds)] = true
		}
		campaign := func(from, to int) meeting {
			for seed := from; seed <= to; seed++ {
				if catches[seed] {
					return meeting{seed: seed, fired: sim.Classes[:1], reached: reached{Runs: seed - from + 1}}
				}
			}
			return meeting{fired: sim.Classes[1:2], reached: reached{Runs: to - from + 1}}
		}
		want := campaign(from, to)
		s := stretch{from: from, to: to}
		var order []int
		for s.more() {
			order = append(order, len(s.chunks))
			s.chunks = append(s.chunks, chunk{})
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			begin := from + i*chunkSeeds
			s.chunks[i] = chunk{campaign(begin, min(begin+chunkSeeds-1, to)), true}
			if got, known := s.verdict(); known && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("case %d, seeds %d-%d, after chunk %d of order %v: %v, want %v", n, from, to, i, order, got, want)
			}
		}
		if _, known := s.verdict(); !known {
			t.Fatalf("case %d: all chunks have ended, and the verdict is not known", n)
		}
	}
}

// A late chunk ends a range only if no chunk before it caught the mutant.
func TestALateChunkEndsTheRangeInItsTurn(t *testing.T) {
	late, caught := chunk{meeting{late: true}, true}, chunk{meeting{seed: 50}, true}
	for _, c := range []struct {
		chunks []chunk
		late   bool
		known  bool
	}{
		{[]chunk{late, caught}, true, true},
		{[]chunk{caught, late}, false, true},
		{[]chunk{{}, late}, false, false},
		{[]chunk{late, {}}, true, true},
	} {
		s := stretch{from: 1, to: 10 * chunkSeeds, chunks: c.chunks}
		if met, known := s.verdict(); known != c.known || met.late != c.late {
			t.Errorf("%v: late %t, known %t", c.chunks, met.late, known)
		}
	}
}

// table returns the rows of mutants without their times and temporary directories.
func table(out string) string {
	out = regexp.MustCompile(`dkv-mutants-\d+`).ReplaceAllString(out, "dir")
	return regexp.MustCompile(`(?m) +\d[\d.m]*m?s$`).ReplaceAllString(out, "")
}

// With one worker or several, the hunt prints the same.
func TestTheHuntIsTheSameOnAnyNumberOfCores(t *testing.T) {
	mutants := map[string]string{
		"1-from-95":  text("oracles: L", sumLine, "\treturn a + b - a/95"),
		"2-survives": text("oracles: L", sumLine, "\treturn a + b - a/400"),
		"3-early":    text("oracles: I", sumLine, wrongSum),
		"4-broken":   text("oracles: L", sumLine, "\treturn a + c"),
		"harness/x":  text("tests: sim TestAdd", sumLine, "\treturn a - b"),
		"5-blind":    text("oracles: L", "// Twin names it as well.\nfunc Twin() string {\n\treturn \"sum\"", "// Twin names it as well.\nfunc Twin() string {\n\treturn \"twin\""),
	}
	var outs []string
	root := t.TempDir()
	for _, jobs := range []int{1, 2, 5} {
		out, err := huntIn(t, root, &hunt{seeds: 150, ranges: 3, unmutated: 20, jobs: jobs, only: "1-,2-,3-,4-,5-"}, mutants)
		if err == nil {
			t.Fatalf("%d jobs: no error\n%s", jobs, out)
		}
		outs = append(outs, table(out))
	}
	for _, want := range []string{
		`(?m)^1-from-95 +L +L,I +I +1 +95$`,
		`(?m)^2-survives +L +none +none +- +survives$`,
		`(?m)^  survives range 1 \(what fired in it: I\)`,
		`(?m)^3-early +I +L,I +I +6 +7$`,
		`(?m)^5-blind +L +none +none +- +survives$`,
		`(?m)^  never in 150 runs with it \(in brackets: in how many without it\): probe hit \(100 %\)$`,
	} {
		if !regexp.MustCompile(want).MatchString(outs[0]) {
			t.Errorf("nothing matches %s in\n%s", want, outs[0])
		}
	}
	for i, out := range outs[1:] {
		if out != outs[0] {
			t.Errorf("otherwise with more workers (%d):\n%s\nand with one:\n%s", i, out, outs[0])
		}
	}
}

// Only a zero that chance does not explain is told.
func TestZerosAreNotChance(t *testing.T) {
	reach := func(name string, runs int) sim.Reach { return sim.Reach{Name: name, Times: uint64(runs), Runs: runs} }
	unmutated := reached{200, []sim.Reach{reach("often", 100), reach("seldom", 4), reach("never", 0)}, []sim.Reach{reach("probe", 200)}}
	for _, c := range []struct {
		runs int
		got  []sim.Reach
		want string
	}{
		{9, nil, ""},
		{10, nil, "probe probe (100 %)"},
		{20, nil, "fault often (50 %) probe probe (100 %)"},
		{20, []sim.Reach{reach("often", 1)}, "probe probe (100 %)"},
		{499, nil, "fault often (50 %) probe probe (100 %)"},
		{500, nil, "fault often (50 %) fault seldom (2 %) probe probe (100 %)"},
	} {
		r := reached{Runs: c.runs, Faults: c.got}
		if got := strings.Join(r.zeros(&unmutated), " "); got != c.want {
			t.Errorf("%d runs with %v: %q, want %q", c.runs, c.got, got, c.want)
		}
	}
	if got := (&reached{Runs: 1000}).zeros(&reached{}); got != nil {
		t.Errorf("without unmutated runs: %q", got)
	}
}

// ranIn returns what the small module's campaigns ran, and forgets it.
func ranIn(t *testing.T, root string) string {
	t.Helper()
	path := filepath.Join(root, "ran.txt")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A second hunt of the same tree does not run the unmutated program again. Any
// change of the source, or of how it is built, lets it run again.
func TestTheUnmutatedProgramRunsOnceForEachTree(t *testing.T) {
	root := t.TempDir()
	mutants := caughtAndSeen()
	hunted := func(unmutated int) string {
		t.Helper()
		out, err := huntIn(t, root, &hunt{seeds: 9, ranges: 2, unmutated: unmutated, only: "1-"}, mutants)
		if err != nil || !regexp.MustCompile(`(?m)^1-wrong-sum +L +L,I +I +6 +6 `).MatchString(out) {
			t.Fatalf("%v\n%s", err, out)
		}
		return ranIn(t, root)
	}
	const all = "sum 1-5\nsum 1-9\nsum 10-18\nsum 6-6\nsum 13-13\n"
	if ran := hunted(5); ran != all {
		t.Errorf("at first it ran\n%s", ran)
	}
	if ran := hunted(5); ran != "sum 1-9\nsum 10-18\n" {
		t.Errorf("then it ran\n%s", ran)
	}
	if ran := hunted(4); ran != "sum 1-4\nsum 1-9\nsum 10-18\n" {
		t.Errorf("with another number of seeds it ran\n%s", ran)
	}
	smallTwin := strings.Replace(smallModule["sim/sum.go"], "func Twin() string {\n\treturn \"sum\"", "func Twin() string {\n\treturn \"two\"", 1)
	defer func(text string) { smallModule["sim/sum.go"] = text }(smallModule["sim/sum.go"])
	smallModule["sim/sum.go"] = smallTwin
	if ran := hunted(5); ran != strings.ReplaceAll(all, "sum", "two") {
		t.Errorf("with other source it ran\n%s", ran)
	}
	t.Setenv("GOFLAGS", "-gcflags=-N")
	if ran := hunted(5); ran != strings.ReplaceAll(all, "sum", "two") {
		t.Errorf("built otherwise it ran\n%s", ran)
	}
}

// The cache of a tree that cannot pass keeps nothing that lets it pass later.
func TestTheCacheKeepsNoFailure(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		if out, err := huntIn(t, root, &hunt{seeds: 9, ranges: 1, unmutated: 30}, caughtAndSeen()); err == nil || !strings.Contains(err.Error(), "fails seed 29: I") {
			t.Errorf("%v, want that the unmutated program fails\n%s", err, out)
		}
	}
}

func TestTheCacheKeepsTheNewestTrees(t *testing.T) {
	root := t.TempDir()
	built := filepath.Join(root, "built")
	for i := range keptTrees + 3 {
		if err := os.WriteFile(built, []byte{byte(i)}, 0o755); err != nil {
			t.Fatal(err)
		}
		c := &cache{dir: filepath.Join(root, "trees", fmt.Sprint(i))}
		if path := c.keep(built); path != filepath.Join(c.dir, "dkvsim") {
			t.Errorf("it was kept as %s", path)
		}
		old := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(c.dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	trees, err := os.ReadDir(filepath.Join(root, "trees"))
	if err != nil || len(trees) != keptTrees || trees[0].Name() != "3" {
		t.Errorf("%v, %v: want the newest %d", trees, err, keptTrees)
	}
	// Where nothing can be kept, the program stays where it is.
	if path := (&cache{dir: filepath.Join(built, "no")}).keep(built); path != built {
		t.Errorf("it was kept as %s", path)
	}
}

// Every file and every setting of the go command counts, but not the mutants
// themselves and what make builds.
func TestTheSourceHashCoversTheTree(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		hash, err := sourceHash(root, "sim/mutants")
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	hashes := []string{write("go.mod", "module x\n"), write("a.go", "package a\n"), write("a.go", "package b\n"), write("b/a.go", "package b\n"), write("testdata/x.txt", "")}
	t.Setenv("GOFLAGS", "-tags=x")
	hashes = append(hashes, write("a.go", "package b\n"))
	if same := slices.Compact(slices.Sorted(slices.Values(hashes))); len(same) != len(hashes) {
		t.Errorf("some hashes are equal: %q", hashes)
	}
	last := hashes[len(hashes)-1]
	if write("sim/mutants/1.mutant", "story") != last || write("bin/x", "y") != last || write(".git/x", "y") != last {
		t.Error("the hash covers what does not decide how the program runs")
	}
}

// Results are those of one binary: what is written for another is not read.
func TestTheCacheKnowsItsBinary(t *testing.T) {
	dir := t.TempDir()
	c := &cache{dir: dir}
	c.load([32]byte{1})
	c.addSeed("", 7)
	c.addFirst(20, reached{Runs: 20})
	again, other := &cache{dir: dir}, &cache{dir: dir}
	again.load([32]byte{1})
	other.load([32]byte{2})
	if r, ok := again.first(20); !ok || r.Runs != 20 || !again.passes("", 7) || again.passes("", 8) || again.passes("day", 7) {
		t.Errorf("the same binary: %v", again.passed)
	}
	if _, ok := other.first(20); ok || other.passes("", 7) {
		t.Errorf("another binary: %v", other.passed)
	}
	// A file that is not whole counts as none.
	raw, err := json.Marshal(again.passed)
	if err == nil {
		err = os.WriteFile(again.path, raw[:len(raw)/2], 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	again.load([32]byte{1})
	if again.passes("", 7) || again.passed.Reached == nil {
		t.Errorf("half a file: %v", again.passed)
	}
}

// While one mutant is slow, the other core takes its further ranges and chunks.
func TestNoCoreIsIdleForASlowMutant(t *testing.T) {
	k := &pack{h: &hunt{jobs: 2, limit: time.Minute, out: &bytes.Buffer{}}}
	k.changed = sync.NewCond(&k.mu)
	p := &pursuit{m: &mutant{}, binary: "built", begun: true, workers: 1}
	p.ranges = []stretch{{from: 1, to: 3 * chunkSeeds}, {from: 1001, to: 1000 + chunkSeeds}}
	k.pursuits = []*pursuit{p}
	for want := range 4 {
		if got, do := k.take(); got != p || do == nil {
			t.Fatalf("chunk %d: there is nothing to do", want)
		}
	}
	if _, do := k.take(); do != nil {
		t.Error("there was more to do than four chunks")
	}
	if len(p.ranges[0].chunks) != 3 || len(p.ranges[1].chunks) != 1 {
		t.Errorf("%d chunks of the first range, %d of the second", len(p.ranges[0].chunks), len(p.ranges[1].chunks))
	}
}
