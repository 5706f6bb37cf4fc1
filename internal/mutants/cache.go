package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// cacheDir keeps, below the module's root, what unmutated trees were seen to do:
// for each tree a directory named by the hash of its source, with the program, and
// with the results named by the hash of that program. What does not have exactly
// the same source never meets another's program or results.
const cacheDir = "bin/mutants"

// keptTrees is the number of trees that the cache keeps, the newest.
const keptTrees = 4

// cache is what is known of one unmutated program. Its methods are safe for
// concurrent use.
type cache struct {
	dir string // of the tree; "": nothing is kept

	mu     sync.Mutex
	path   string // of the program's results; "": nothing is kept
	passed passed
}

// passed are seeds that the unmutated program passes.
type passed struct {
	Reached map[string]reached `json:"reached_in_seeds"` // by the last of the seeds 1, 2, …
	Seeds   []string           `json:"seeds"`            // with their profile
}

// openCache finds the directory of the tree.
func openCache(root, mutants string) *cache {
	hash, err := sourceHash(root, mutants)
	if err != nil {
		return &cache{}
	}
	return &cache{dir: filepath.Join(root, filepath.FromSlash(cacheDir), hash)}
}

// sourceHash is the hash of every file below root, but for what git and make keep
// there and the mutants themselves, and of what the go command is told to do.
func sourceHash(root, mutants string) (string, error) {
	h := sha256.New()
	if err := hashGoEnvironment(h, root); err != nil {
		return "", err
	}
	skipped := []string{".git", "bin", filepath.FromSlash(mutants)}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case slices.Contains(skipped, name) && d.IsDir():
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		sum, err := hashFile(path)
		fmt.Fprintf(h, "%q %x\n", filepath.ToSlash(name), sum)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// hashGoEnvironment writes the go command's settings, but for GOGCCFLAGS, which
// names a directory of that call alone.
func hashGoEnvironment(h io.Writer, root string) error {
	cmd := exec.Command("go", "env")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("asking go env for its settings: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case name == "GOGCCFLAGS":
			continue
		case name == "GOWORK" && strings.Trim(value, "'\"") != "" && strings.Trim(value, "'\"") != "off":
			return errors.New("a workspace has source elsewhere")
		}
		fmt.Fprintln(h, strings.TrimSpace(line))
	}
	return nil
}

// binary returns the program of the tree, if the cache has it.
func (c *cache) binary() (path string, ok bool) {
	if c.dir == "" {
		return "", false
	}
	path = filepath.Join(c.dir, "dkvsim")
	_, err := os.Stat(path)
	return path, err == nil
}

// keep puts a program into the cache that was built from the tree, and drops the
// oldest trees. It returns where the program is from now on. The cache saves time
// only: if it cannot be written, the program stays where it was built.
func (c *cache) keep(built string) string {
	if c.dir == "" || os.MkdirAll(c.dir, 0o755) != nil {
		return built
	}
	path := filepath.Join(c.dir, "dkvsim")
	raw, err := os.ReadFile(built)
	if err != nil || writeWhole(path, raw, 0o755) != nil {
		return built
	}
	c.dropOldTrees()
	return path
}

func (c *cache) dropOldTrees() {
	trees, err := os.ReadDir(filepath.Dir(c.dir))
	if err != nil {
		return
	}
	age := func(d os.DirEntry) int64 {
		info, err := d.Info()
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(trees, func(a, b os.DirEntry) int { return int(min(1, max(-1, age(b)-age(a)))) })
	for _, d := range trees[min(keptTrees, len(trees)):] {
		if path := filepath.Join(filepath.Dir(c.dir), d.Name()); path != c.dir {
			os.RemoveAll(path)
		}
	}
}

// load reads what is known of the program with this hash.
func (c *cache) load(hash [sha256.Size]byte) {
	c.passed = passed{Reached: make(map[string]reached)}
	if c.dir == "" {
		return
	}
	c.path = filepath.Join(c.dir, hex.EncodeToString(hash[:])+".json")
	var known passed
	raw, err := os.ReadFile(c.path)
	if err == nil && json.Unmarshal(raw, &known) == nil && known.Reached != nil {
		c.passed = known
	}
}

// passes reports whether the unmutated program was seen to pass a seed.
func (c *cache) passes(profile string, seed int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.passed.Seeds, seedName(profile, seed))
}

func seedName(profile string, seed int) string { return fmt.Sprintf("%s %d", profile, seed) }

// first returns what the first seeds reached, if they were all seen to pass.
func (c *cache) first(seeds int) (reached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.passed.Reached[strconv.Itoa(seeds)]
	return r, ok
}

func (c *cache) addSeed(profile string, seed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed.Seeds = append(c.passed.Seeds, seedName(profile, seed))
	c.save()
}

func (c *cache) addFirst(seeds int, r reached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed.Reached[strconv.Itoa(seeds)] = r
	c.save()
}

func (c *cache) save() {
	if raw, err := json.Marshal(c.passed); err == nil && c.path != "" {
		_ = writeWhole(c.path, raw, 0o644) // it is run again next time
	}
}

// writeWhole writes a file so that others see all of it or nothing.
func writeWhole(path string, raw []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
