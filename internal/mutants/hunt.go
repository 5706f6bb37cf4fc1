package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/sim"
	"dkv/sim/campaign"
)

// hunt is one run of this program.
type hunt struct {
	dir       string
	seeds     int
	ranges    int
	unmutated int
	jobs      int
	limit     time.Duration
	only      string
	shrink    bool
	markdown  bool

	out    io.Writer
	root   string            // of the module
	work   string            // temporary
	cache  *cache            // of the unmutated program
	normal reached           // by its first seeds
	rows   map[string]string // of the Markdown tables, by the mutant's name

	building sync.Mutex              // of what follows
	builds   map[program]*cleanBuild // unmutated
}

func (h *hunt) run() error {
	if h.seeds < 1 || h.ranges < 1 || h.jobs < 1 {
		return fmt.Errorf("--seeds %d, --ranges %d, --jobs %d: want at least 1 of each", h.seeds, h.ranges, h.jobs)
	}
	var err error
	if h.root == "" {
		if h.root, err = moduleRoot(); err != nil {
			return err
		}
	}
	bugs, breakages, err := loadAll(filepath.Join(h.root, h.dir))
	if err != nil {
		return err
	}
	unwanted := func(m mutant) bool { return !h.wanted(m.name) }
	bugs, breakages = slices.DeleteFunc(bugs, unwanted), slices.DeleteFunc(breakages, unwanted)
	if len(bugs)+len(breakages) == 0 {
		return fmt.Errorf("no mutant's name contains one of %q", h.only)
	}
	if h.work, err = os.MkdirTemp("", "dkv-mutants-"); err != nil {
		return err
	}
	defer os.RemoveAll(h.work)
	h.builds, h.rows = make(map[program]*cleanBuild), make(map[string]string)
	h.cache = openCache(h.root, h.dir)
	if len(bugs) > 0 {
		if err := h.passUnmutated(); err != nil {
			return err
		}
		err = h.huntBugs(bugs)
	}
	if len(breakages) > 0 {
		err = errors.Join(err, h.huntBreakages(breakages))
	}
	if h.markdown && err == nil {
		err = h.updatePage()
	}
	return err
}

func (h *hunt) wanted(name string) bool {
	return h.only == "" || slices.ContainsFunc(strings.Split(h.only, ","), func(word string) bool {
		return strings.Contains(name, word)
	})
}

// passUnmutated runs the first seeds on the program without any mutant: a seed
// that already fails would count as catching every mutant.
func (h *hunt) passUnmutated() error {
	clean, err := h.clean(campaigner)
	if err != nil {
		return err
	}
	if h.unmutated == 0 {
		return nil
	}
	if r, ok := h.cache.first(h.unmutated); ok {
		h.normal = r
		return nil
	}
	met, err := h.hunted(clean.path, "", sim.Classes, 1, h.unmutated)
	switch {
	case err != nil:
		return err
	case met.seed != 0:
		return fmt.Errorf("the unmutated program fails seed %d: %s", met.seed, joined(met.fired, ","))
	case met.late:
		return fmt.Errorf("the unmutated program did not run %d seeds within %v", h.unmutated, h.limit)
	}
	h.normal = met.reached
	h.cache.addFirst(h.unmutated, met.reached)
	return nil
}

func (h *hunt) huntBugs(bugs []mutant) error {
	h.printBugsHead()
	var survivors, broken []string
	k := &pack{h: h, print: func(p *pursuit) {
		if p.err != nil {
			h.printBroken(p.m, p.err)
			broken = append(broken, p.m.name)
			return
		}
		h.printBug(p.m, &p.caught)
		if p.caught.survived() {
			survivors = append(survivors, p.m.name)
		}
	}}
	for i := range bugs {
		p := &pursuit{m: &bugs[i]}
		for n := range h.ranges {
			p.ranges = append(p.ranges, stretch{from: 1 + n*h.seeds, to: (n + 1) * h.seeds})
		}
		k.pursuits = append(k.pursuits, p)
	}
	k.hunt()
	return errors.Join(listed(survivors, "mutants survive"), listed(broken, "mutants could not be judged"))
}

// listed is an error that names some mutants, nil if there are none.
func listed(names []string, what string) error {
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d %s: %s", len(names), what, strings.Join(names, ", "))
}

// catches are the ranges in which a mutant was hunted.
type catches struct {
	fired []sim.Class   // in the runs that caught it
	first []sim.Class   // that fired first in one of them
	seeds []int         // to detect, in each range; 0: it survived
	left  string        // of a survivor: what fired all the same
	took  time.Duration // of one core, to build and to run it

	reached reached // in all runs that count

	at     []int  // the seeds that caught it
	shrunk string // what minimising the first left, as columns
}

func (c *catches) survived() bool { return slices.Contains(c.seeds, 0) }

// median and worst are of seeds to detect.
func (c *catches) median() int {
	sorted := slices.Sorted(slices.Values(c.seeds))
	return sorted[len(sorted)/2]
}

func (c *catches) worst() int { return slices.Max(c.seeds) }

func (c *catches) add(met meeting, from int) {
	c.reached.add(&met.reached)
	if met.seed == 0 {
		c.seeds, c.left = append(c.seeds, 0), joined(met.fired, ",")
		if met.late {
			c.left = "out of time"
		}
		return
	}
	c.fired, c.first = union(c.fired, met.fired), union(c.first, []sim.Class{met.first})
	c.seeds, c.at = append(c.seeds, met.seed-from+1), append(c.at, met.seed)
}

// union returns the classes of both, in the order of sim.Classes.
func union(a, b []sim.Class) []sim.Class {
	var all []sim.Class
	for _, c := range sim.Classes {
		if slices.Contains(a, c) || slices.Contains(b, c) {
			all = append(all, c)
		}
	}
	return all
}

// passUnplanted runs the seeds that caught a mutant without it.
func (h *hunt) passUnplanted(profile string, seeds []int) error {
	clean, err := h.clean(campaigner)
	if err != nil {
		return err
	}
	for _, seed := range seeds {
		if seed <= h.unmutated && profile == "" || h.cache.passes(profile, seed) {
			continue
		}
		met, err := h.hunted(clean.path, profile, sim.Classes, seed, seed)
		if err == nil && met.seed != 0 {
			err = fmt.Errorf("the unmutated program fails seed %d too: %s", seed, joined(met.fired, ","))
		}
		if err == nil && met.late {
			err = fmt.Errorf("the unmutated program did not run seed %d within %v", seed, h.limit)
		}
		if err != nil {
			return err
		}
		h.cache.addSeed(profile, seed)
	}
	return nil
}

// A meeting is what became of a range of seeds.
type meeting struct {
	seed  int         // in which an awaited class fired; 0: there was no such seed
	fired []sim.Class // in that seed, or in all if there was no such seed
	first sim.Class   // that fired first in it
	late  bool        // time was over before the seeds were

	reached reached // in these runs
}

// campaign runs a range of seeds of a profile ("": the default one) within a time
// limit, until a class fires that is awaited.
func (h *hunt) campaign(limit time.Duration, jobs int, binary, profile string, awaited []sim.Class, from, to int) (meeting, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var d campaign.Document
	err := h.dkvsim(ctx, jobs, &d, binary, withProfile(profile, "run", fmt.Sprintf("--seeds=%d-%d", from, to), "--stop-at="+joined(awaited, ","))...)
	switch {
	case ctx.Err() != nil:
		return meeting{late: true}, nil
	case err != nil:
		return meeting{}, err
	case d.StoppedAt != nil:
		return meeting{seed: int(d.StoppedAt.Seed), fired: d.StoppedAt.Classes, first: d.StoppedAt.First, reached: reachedIn(&d.Tally)}, nil
	case d.Tally.Runs != to-from+1:
		return meeting{}, fmt.Errorf("dkvsim ran %d of seeds %d to %d", d.Tally.Runs, from, to)
	}
	fired := slices.DeleteFunc(slices.Clone(sim.Classes), func(c sim.Class) bool { return d.Tally.ByClass[c] == 0 })
	return meeting{fired: fired, reached: reachedIn(&d.Tally)}, nil
}

// dkvsim runs a command of dkvsim, and reads the JSON that it writes. How the
// command ends does not matter: a run that fails has a status of its own.
func (h *hunt) dkvsim(ctx context.Context, jobs int, to any, binary string, args ...string) error {
	cmd := exec.CommandContext(ctx, binary, append(args, "--json=-", "--jobs="+strconv.Itoa(jobs))...)
	cmd.Dir = h.root
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(jobs))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	ended := cmd.Run()
	if err := json.Unmarshal(out.Bytes(), to); err != nil {
		return fmt.Errorf("dkvsim %s wrote no results: %w\n%s", args[0], errors.Join(ended, err), tail(said.String()))
	}
	return nil
}

// minimised shrinks the run of a seed, and returns the columns of the table:
// faults and operations before, the runs that it took, and what is left.
func (h *hunt) minimised(binary, profile string, seed int) (string, error) {
	var small campaign.Shrunk
	err := h.dkvsim(context.Background(), 1, &small, binary, withProfile(profile, "shrink", fmt.Sprintf("--seed=%d", seed), "--report="+filepath.Join(h.work, "report"))...)
	if err != nil {
		return "", fmt.Errorf("minimising seed %d: %w", seed, err)
	}
	return fmt.Sprintf(" %8d %8d %6d %6s %8s %s", small.FromFaults, small.FromOperations, small.Runs,
		fmt.Sprintf("%d+%d", small.Faults, small.Operations), small.Wall.Round(100*time.Millisecond), joined(small.Classes, ",")), nil
}

// withProfile adds the flag of a profile to a command of dkvsim.
func withProfile(profile string, args ...string) []string {
	if profile != "" {
		args = append(args, "--profile="+profile)
	}
	return args
}

// A program is a command of the module, or the tests of a package.
type program struct {
	dir   string
	tests bool
}

// campaigner is the command that runs campaigns.
var campaigner = program{dir: "cmd/dkvsim"}

// cleanBuild is a program as it is.
type cleanBuild struct {
	path string
	hash [sha256.Size]byte

	testing sync.Mutex
	tested  map[testName]bool // whether it passes
}

// clean builds a program without any mutant, once. The campaign's comes from the
// cache if the tree is one that it knows.
func (h *hunt) clean(p program) (*cleanBuild, error) {
	h.building.Lock()
	defer h.building.Unlock()
	if b := h.builds[p]; b != nil {
		return b, nil
	}
	b := &cleanBuild{tested: make(map[testName]bool)}
	cached := false
	if p == campaigner {
		b.path, cached = h.cache.binary()
	}
	if !cached {
		b.path = filepath.Join(h.work, strings.ReplaceAll(p.dir, "/", "-")+".clean")
		if p.tests {
			b.path += ".test"
		}
		if err := h.build(p, b.path, ""); err != nil {
			return nil, fmt.Errorf("the unmutated program: %w", err)
		}
		if p == campaigner && openCache(h.root, h.dir).dir == h.cache.dir { // the source has not changed meanwhile
			b.path = h.cache.keep(b.path)
		}
	}
	var err error
	if b.hash, err = hashFile(b.path); err != nil {
		return nil, fmt.Errorf("the unmutated program: %w", err)
	}
	if p == campaigner {
		h.cache.load(b.hash)
	}
	h.builds[p] = b
	return b, nil
}

// plant builds a program with a mutant laid over the source.
func (h *hunt) plant(m *mutant, p program) (binary string, err error) {
	clean, err := h.clean(p)
	if err != nil {
		return "", err
	}
	overlay, err := h.overlay(m)
	if err != nil {
		return "", err
	}
	binary = filepath.Join(h.work, filepath.FromSlash(m.name)+".test")
	if err := h.build(p, binary, overlay); err != nil {
		return "", err
	}
	hash, err := hashFile(binary)
	if err == nil && hash == clean.hash {
		err = errors.New("the program is the same as without it")
	}
	return binary, err
}

// overlay writes the mutant's files, and the JSON by which the go command finds
// them.
func (h *hunt) overlay(m *mutant) (string, error) {
	texts, err := m.apply(h.root)
	if err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for file, text := range texts {
		planted := filepath.Join(h.work, m.name, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(planted), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(planted, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(h.root, filepath.FromSlash(file))] = planted
	}
	raw, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.work, filepath.FromSlash(m.name)+".json")
	return path, os.WriteFile(path, raw, 0o644)
}

// build compiles a program, with an overlay if one is named.
func (h *hunt) build(p program, to, overlay string) error {
	args := []string{"build"}
	if p.tests {
		args = []string{"test", "-c"}
	}
	args = append(args, "-trimpath", "-buildvcs=false", "-ldflags=-buildid= -s -w", "-o", to)
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "./"+p.dir)...)
	cmd.Dir = h.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, tail(string(out)))
	}
	return nil
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

func hashFile(path string) ([sha256.Size]byte, error) {
	raw, err := os.ReadFile(path)
	return sha256.Sum256(raw), err
}

// moduleRoot returns the root of the module that contains the current directory.
// It must be the module that this program was built from.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module's source with go list -m: %w", err)
	}
	module, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if about, ok := debug.ReadBuildInfo(); ok && (about.Main.Path != module || dir == "") {
		return "", fmt.Errorf("the current directory is not in the source of module %q: run this command there", about.Main.Path)
	}
	return dir, nil
}
