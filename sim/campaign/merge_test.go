package campaign

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dkv/sim"
)

// shardFiles runs a sham campaign in so many shards, and returns their results.
func shardFiles(t *testing.T, seeds string, shards int, failing map[uint64]sim.Class) []string {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for i := range shards {
		c := sham(failing)
		c.Seeds, c.ShardFromZero, c.Report = seeds, fmt.Sprintf("%d/%d", i, shards), dir
		c.JSON = filepath.Join(dir, fmt.Sprintf("shard-%d.json", i))
		shown(t, c)
		files = append(files, c.JSON)
	}
	return files
}

func mergeStatus(t *testing.T, files ...string) (*merging, int) {
	t.Helper()
	m, err := mergeFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.doc.Exit.Status
}

func TestShardsAddUpToTheWhole(t *testing.T) {
	failing := map[uint64]sim.Class{2: sim.Progress, 6: sim.Durability}
	whole := sham(failing)
	whole.Report, whole.JSON = t.TempDir(), filepath.Join(t.TempDir(), "whole.JSON")
	_, want := shown(t, whole)
	files := shardFiles(t, "1-12", 3, failing)
	slices.Reverse(files)
	m, status := mergeStatus(t, files...)
	if status != want || status != 12 {
		t.Errorf("status %d, and of the whole %d", status, want)
	}
	if a, b := timed.ReplaceAllString(m.sum.Tables(), ""), timed.ReplaceAllString(whole.sum.Tables(), ""); a != b {
		t.Errorf("the shards add up to\n%s\nand the whole is\n%s", a, b)
	}
	a, b := untimed(&m.doc), untimed(results(t, whole.JSON))
	if want := []Span{{1, 10, 3}, {2, 11, 3}, {3, 12, 3}}; !slices.Equal(a.Ran, want) {
		t.Errorf("%v were run, want %v", a.Ran, want)
	}
	for _, d := range []*Document{&a, &b} { // what sharding changes
		d.Plan.Shards, d.Shards, d.Ran, d.Report = 0, nil, nil, ""
		for i := range d.Failures {
			d.Failures[i].Report = ""
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("the shards add up to\n%+v\nand the whole is\n%+v", a, b)
	}
}

// Zeros are judged over all shards, and over nothing less.
func TestZerosAreJudgedOverTheWhole(t *testing.T) {
	files := shardFiles(t, "1-1002", 3, nil)
	m, status := mergeStatus(t, files...)
	if status != int(TooCalm) || !slices.ContainsFunc(m.doc.Wrong, func(s string) bool { return strings.HasPrefix(s, "never: fault ") }) {
		t.Errorf("all shards: status %d, %q", status, m.doc.Wrong)
	}
	m, status = mergeStatus(t, files[0], files[2])
	if status != int(Unfinished) || len(m.doc.Wrong) > 0 || m.doc.Whole || !strings.Contains(strings.Join(m.lacking(), "\n"), "missing shards (of 3): 2\n") {
		t.Errorf("a shard is missing: status %d, %q, %q", status, m.doc.Wrong, m.lacking())
	}
	// A sum can be added to.
	part := filepath.Join(t.TempDir(), "part.json")
	if err := m.doc.write(part, nil); err != nil {
		t.Fatal(err)
	}
	if m, status := mergeStatus(t, files[1], part); status != int(TooCalm) || !m.doc.Whole {
		t.Errorf("the sum of two shards and the third: status %d, whole %v", status, m.doc.Whole)
	}
}

func TestUnfinishedShardIsNotTheWhole(t *testing.T) {
	for class, want := range map[sim.Class]int{"": 4, sim.Progress: 17} {
		failing := map[uint64]sim.Class{}
		if class != "" {
			failing[3] = class
		}
		files := shardFiles(t, "1-12", 2, failing)
		stopped := sham(failing)
		stopped.Shard, stopped.JSON, stopped.Report = "2/2", files[1], t.TempDir()
		run := stopped.simulate
		stopped.simulate = func(seed uint64) (*sim.Result, error) {
			stopped.interrupt()
			return run(seed)
		}
		shown(t, stopped)
		m, status := mergeStatus(t, files...)
		if status != want || m.doc.Complete || !strings.Contains(strings.Join(m.lacking(), "\n"), "shard 2 did not finish") {
			t.Errorf("class %q: status %d, want %d; %q", class, status, want, m.lacking())
		}
	}
}

func TestShardsThatDoNotFitAreRefused(t *testing.T) {
	files := shardFiles(t, "1-12", 3, nil)
	other := filepath.Join(t.TempDir(), "other.json")
	for _, c := range []struct {
		name   string
		change func(*Document)
		want   string
	}{
		{"the same shard", func(d *Document) { d.Shards = []uint64{1} }, "shard 1 is counted already"},
		{"another build", func(d *Document) { d.Build.Binary = "c0ffee" }, "SHA-256"},
		{"another profile", func(d *Document) { d.Plan.Profile = "rough" }, "--profile"},
		{"other seeds", func(d *Document) { d.Plan.To++ }, "last seed"},
		{"another cut", func(d *Document) { d.Plan.Shards = 4 }, "number of shards"},
		{"seeds of another shard", func(d *Document) { d.Ran[0].From++; d.Ran[0].To++ }, "not of its shards"},
		{"a seed twice", func(d *Document) { d.Ran = append(d.Ran, d.Ran[0]) }, "seed 2 twice"},
		{"seeds that are not counted", func(d *Document) { d.Ran[0].To -= 3 }, "counts 4 runs, and ran 3 seeds"},
		{"shards that do not exist", func(d *Document) { d.Shards = []uint64{4} }, "not shards of 3"},
		{"a newer version", func(d *Document) { d.Version++ }, "version is 2"},
		{"another kind", func(d *Document) { d.Kind = "invoice" }, `kind is "invoice"`},
		{"other probes", func(d *Document) { d.Tally.Probes[0].Name = "x" }, "probes"},
	} {
		d := results(t, files[1])
		c.change(d)
		if err := d.write(other, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := mergeFiles([]string{files[0], other, files[2]}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), other) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for name, text := range map[string]string{"nothing": "", "cut short": `{"version":1,`, "a field too many": `{"version":1,"kind":"dkvsim campaign","mood":"good"}`} {
		if err := os.WriteFile(other, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := mergeFiles([]string{files[0], other}); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

func TestMergeTakesDirectories(t *testing.T) {
	files := shardFiles(t, "1-12", 3, nil)
	dir := filepath.Dir(files[0])
	sum := filepath.Join(dir, "sum.json")
	for range 2 { // the second time the sum is there
		var out strings.Builder
		if err := Merge([]string{dir}, sum, &out, io.Discard); err != nil || !strings.Contains(out.String(), "runs                                         12   failed 0") {
			t.Fatalf("%v:\n%s", err, out.String())
		}
	}
	if d := results(t, sum); !d.Whole || d.Tally.Runs != 12 {
		t.Errorf("whole %v, %d runs", d.Whole, d.Tally.Runs)
	}
	if err := Merge([]string{t.TempDir()}, "", io.Discard, io.Discard); err == nil {
		t.Error("nothing was merged")
	}
}
