package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// hunt is one mutants command.
type hunt struct {
	dir    string
	seeds  int
	ranges int
	jobs   int
	limit  time.Duration
	only   string
	shrink bool

	root string // of the module
	work string // temporary
	base [sha256.Size]byte
}

func mutantsCommand() *cobra.Command {
	h := &hunt{}
	cmd := &cobra.Command{
		Use:   "mutants",
		Short: "Plant bugs one at a time, and see the campaign catch each",
		Long: `mutants builds the simulation once for each planted bug, with the bug laid over
the source, and runs seeds until one of the bug's oracles is among the classes
that fired. It fails if a bug survives, if its lines do not occur exactly once,
if it does not compile, or if it changes nothing in the program. It needs the
module's source, and the go command.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return h.run() },
	}
	f := cmd.Flags()
	f.StringVar(&h.dir, "dir", "sim/mutants", "where the mutants stand, from the module's root")
	f.IntVar(&h.seeds, "seeds", 2000, "how many seeds a mutant may survive in each range")
	f.IntVar(&h.ranges, "ranges", 1, "try so many disjoint ranges of seeds")
	f.IntVar(&h.jobs, "jobs", runtime.NumCPU(), "how many seeds to run at once")
	f.DurationVar(&h.limit, "limit", 10*time.Minute, "give a range so much time")
	f.BoolVar(&h.shrink, "shrink", false, "minimise the first run that catches each mutant, and say what is left of it")
	f.StringVar(&h.only, "only", "", "only the mutants whose names contain one of these words, divided by commas")
	return cmd
}

func (h *hunt) run() error {
	var err error
	if h.root, err = moduleRoot(); err != nil {
		return err
	}
	all, err := loadMutants(filepath.Join(h.root, h.dir))
	if err != nil {
		return err
	}
	if h.work, err = os.MkdirTemp("", "dkv-mutants-"); err != nil {
		return err
	}
	defer os.RemoveAll(h.work)
	clean := filepath.Join(h.work, "clean.test")
	if err := h.build(clean, ""); err != nil {
		return fmt.Errorf("the unmutated build: %w", err)
	}
	if h.base, err = hashFile(clean); err != nil {
		return err
	}
	return h.hunt(all)
}

func (h *hunt) hunt(all []mutant) error {
	fmt.Printf("%-34s %-8s %-10s %8s %8s %8s%s\n", "mutant", "oracles", "fired", "median", "worst", "time", h.shrunkHead())
	var survivors, broken []string
	for i := range all {
		m := &all[i]
		if !h.wanted(m.name) {
			continue
		}
		caught, err := h.catch(m)
		if err != nil {
			fmt.Printf("%-34s %v\n", m.name, err)
			broken = append(broken, m.name)
			continue
		}
		fmt.Printf("%-34s %-8s %s %8s%s\n", m.name, classWords(m), caught.columns(), caught.took.Round(100*time.Millisecond), caught.shrunk)
		if caught.survived() {
			survivors = append(survivors, m.name)
			fmt.Printf("  survives: %s\n", m.story)
		}
	}
	var failures []error
	if len(survivors) > 0 {
		failures = append(failures, fmt.Errorf("%d mutants survive: %s", len(survivors), strings.Join(survivors, ", ")))
	}
	if len(broken) > 0 {
		failures = append(failures, fmt.Errorf("%d mutants could not be planted: %s", len(broken), strings.Join(broken, ", ")))
	}
	return errors.Join(failures...)
}

func (h *hunt) wanted(name string) bool {
	return h.only == "" || slices.ContainsFunc(strings.Split(h.only, ","), func(word string) bool {
		return strings.Contains(name, word)
	})
}

func classWords(m *mutant) string {
	words := make([]string, len(m.oracles))
	for i, c := range m.oracles {
		words[i] = string(c)
	}
	return strings.Join(words, ",")
}

// catches are the ranges in which a mutant was hunted.
type catches struct {
	fired string // classes of the first seed that caught it
	seeds []int  // to detect, in each range; 0: it survived
	took  time.Duration

	first  int    // the first seed that caught it, 0: none
	shrunk string // what its minimisation left, as columns
}

func (c *catches) survived() bool { return slices.Contains(c.seeds, 0) }

func (c *catches) columns() string {
	sorted := slices.Sorted(slices.Values(c.seeds))
	if c.survived() {
		return fmt.Sprintf("%-10s %8s %8s", c.fired, "-", "survives")
	}
	return fmt.Sprintf("%-10s %8d %8d", c.fired, sorted[len(sorted)/2], sorted[len(sorted)-1])
}

// catch builds a mutant and runs seeds until it is caught, in every range.
func (h *hunt) catch(m *mutant) (*catches, error) {
	overlay, err := h.overlay(m)
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(h.work, m.name+".test")
	defer os.Remove(binary)
	if err := h.build(binary, overlay); err != nil {
		return nil, err
	}
	hash, err := hashFile(binary)
	if err != nil {
		return nil, err
	}
	if hash == h.base {
		return nil, errors.New("the program is the same as without it")
	}
	caught, begun := &catches{}, time.Now()
	for k := range h.ranges {
		from := 1 + k*h.seeds
		seed, fired, err := h.hunted(binary, m, from)
		if err != nil {
			return nil, err
		}
		if caught.fired == "" {
			caught.fired = fired
		}
		if seed == 0 {
			caught.seeds = append(caught.seeds, 0)
			continue
		}
		caught.seeds = append(caught.seeds, seed-from+1)
		if caught.first == 0 {
			caught.first = seed
		}
	}
	caught.took = time.Since(begun)
	if h.shrink && caught.first > 0 {
		caught.shrunk, err = h.minimised(binary, caught.first)
	}
	return caught, err
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
	path := filepath.Join(h.work, m.name+".json")
	return path, os.WriteFile(path, raw, 0o644)
}

// build compiles the tests of package sim, with an overlay if one is named.
func (h *hunt) build(to, overlay string) error {
	args := []string{"test", "-c", "-trimpath", "-ldflags=-buildid=", "-o", to}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "./sim")...)
	cmd.Dir = h.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return nil
}

var stopped = regexp.MustCompile(`(?m)^stopped-at seed=(\d+) runs=\d+ class=(\S*)`)

var shrunk = regexp.MustCompile(`(?m)^shrunk seed=\d+ class=(\S*) faults=(\d+) operations=(\d+) from-faults=(\d+) from-operations=(\d+) runs=(\d+) wall=(\S+)$`)

func (h *hunt) shrunkHead() string {
	if !h.shrink {
		return ""
	}
	return fmt.Sprintf(" %8s %8s %6s %6s %8s %s", "faults", "calls", "runs", "left", "shrunk", "class")
}

// minimised shrinks the run of a seed: the columns say faults and operations
// before and after.
func (h *hunt) minimised(binary string, seed int) (string, error) {
	cmd := exec.Command(binary, "-test.run=^TestCampaign$", "-test.timeout=0",
		fmt.Sprintf("-seed=%d", seed), "-shrink", "-report="+filepath.Join(h.work, "report"))
	cmd.Dir = filepath.Join(h.root, "sim")
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(h.jobs))
	out, err := cmd.CombinedOutput()
	found := shrunk.FindStringSubmatch(string(out))
	if found == nil {
		return "", fmt.Errorf("minimising seed %d: %w\n%s", seed, err, tail(string(out)))
	}
	return fmt.Sprintf(" %8s %8s %6s %6s %8s %s", found[4], found[5], found[6], found[2]+"+"+found[3], found[7], found[1]), nil
}

// hunted runs seeds from one on; seed 0 means that the mutant survived.
func (h *hunt) hunted(binary string, m *mutant, from int) (seed int, fired string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), h.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestCampaign$", "-test.timeout=0",
		fmt.Sprintf("-seeds=%d-%d", from, from+h.seeds-1), "-stop-at="+classWords(m))
	cmd.Dir = filepath.Join(h.root, "sim")
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(h.jobs))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if found := stopped.FindStringSubmatch(out.String()); found != nil {
		seed, _ := strconv.Atoi(found[1])
		return seed, found[2], nil
	}
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Sprintf("none in %v", h.limit), nil
	case err != nil:
		return 0, "", fmt.Errorf("the harness broke: %w\n%s", err, tail(out.String()))
	}
	return 0, "none", nil
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

func hashFile(path string) ([sha256.Size]byte, error) {
	raw, err := os.ReadFile(path)
	return sha256.Sum256(raw), err
}

// moduleRoot is the directory above this one that holds the module's go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if raw, err := os.ReadFile(filepath.Join(at, "go.mod")); err == nil && strings.HasPrefix(string(raw), "module dkv\n") {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside the source of module dkv", dir)
		}
	}
}
