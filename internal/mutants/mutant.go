package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dkv/sim"
)

// mutant is a planted bug: of the store, which the campaign's oracles have to
// see, or of the harness itself, which one of its own tests has to see. Its text:
//
//	story: what is wrong, and how it would come to light;
//	as many lines as it takes
//	oracles: D L
//	file: node/write.go
//	--- as it is
//	lines of the file, which must occur in it exactly once
//	--- instead
//	other lines
//	--- end
//
// A bug that the default profile cannot reach names the profile that can:
//
//	profile: day
//
// A breakage of the harness has, instead of oracles, the package and the test:
//
//	tests: netsim TestEachFaultCountsWhatItStruck
//
// '#' begins a comment above the first change. A text may have several changes,
// in one file or in several; a later one sees what an earlier one made.
type mutant struct {
	name    string // the file's, without its ending; of a breakage with its directory
	story   string
	oracles []sim.Class // none of a breakage
	profile string      // that its seeds are drawn from; "": the default
	test    testName    // none of a bug of the store
	changes []change
}

// testName is a test, and the directory of its package.
type testName struct{ dir, name string }

// breaksHarness says which of the two kinds it is.
func (m *mutant) breaksHarness() bool { return m.test != testName{} }

// change replaces some lines of one file.
type change struct {
	file    string // from the module's root, with slashes
	asItIs  string
	instead string
}

const (
	fenceOld = "--- as it is"
	fenceNew = "--- instead"
	fenceEnd = "--- end"
)

// loadAll reads the mutants of a directory, and the breakages of the harness in
// the directory harness below it.
func loadAll(dir string) (bugs, breakages []mutant, err error) {
	if bugs, err = loadMutants(dir); err != nil {
		return nil, nil, err
	}
	if breakages, err = loadMutants(filepath.Join(dir, harnessDir)); err != nil {
		return nil, nil, err
	}
	for i := range bugs {
		if bugs[i].breaksHarness() {
			return nil, nil, fmt.Errorf("%s names a test and no oracles: it belongs in %s", bugs[i].name, harnessDir)
		}
	}
	for i := range breakages {
		if !breakages[i].breaksHarness() {
			return nil, nil, fmt.Errorf("%s/%s names oracles and no test: it does not belong there", harnessDir, breakages[i].name)
		}
		breakages[i].name = harnessDir + "/" + breakages[i].name
	}
	return bugs, breakages, nil
}

const harnessDir = "harness"

// loadMutants reads the mutants of a directory, by name.
func loadMutants(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.mutant"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no *.mutant in %s", dir)
	}
	var all []mutant
	for _, file := range files { // Glob sorts
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		m.name = strings.TrimSuffix(filepath.Base(file), ".mutant")
		all = append(all, m)
	}
	return all, nil
}

// mutantParser goes through a mutant's lines.
type mutantParser struct {
	m     mutant
	file  string
	fence string   // "" outside a change
	lines []string // since the fence
	old   string
	story bool // lines go on with the story
}

func parseMutant(text string) (mutant, error) {
	p := &mutantParser{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := p.line(line); err != nil {
			return mutant{}, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	switch {
	case p.fence != "":
		return mutant{}, fmt.Errorf("no %q at the end", fenceEnd)
	case p.m.story == "":
		return mutant{}, errors.New("no story")
	case len(p.m.oracles) == 0 && !p.m.breaksHarness():
		return mutant{}, errors.New("no oracles, and no test that should see it")
	case len(p.m.oracles) > 0 && p.m.breaksHarness():
		return mutant{}, errors.New("both oracles and a test")
	case len(p.m.changes) == 0:
		return mutant{}, errors.New("no change")
	}
	return p.m, nil
}

func (p *mutantParser) line(line string) error {
	switch {
	case line == fenceOld || line == fenceNew || line == fenceEnd:
		return p.onFence(line)
	case p.fence != "":
		p.lines = append(p.lines, line)
		return nil
	case strings.HasPrefix(line, "#"):
		return nil
	case strings.TrimSpace(line) == "":
		p.story = false
		return nil
	}
	return p.head(line)
}

// onFence takes the fences in their order: old, new, end.
func (p *mutantParser) onFence(line string) error {
	after := map[string]string{fenceOld: "", fenceNew: fenceOld, fenceEnd: fenceNew}
	if p.fence != after[line] {
		return fmt.Errorf("%q does not belong here", line)
	}
	block := strings.Join(p.lines, "\n")
	p.lines, p.story = nil, false
	switch line {
	case fenceOld:
		if p.file == "" {
			return errors.New("no file named before the change")
		}
		p.fence = fenceOld
	case fenceNew:
		if strings.TrimSpace(block) == "" {
			return errors.New("no lines to replace")
		}
		p.old, p.fence = block, fenceNew
	case fenceEnd:
		if block == p.old {
			return errors.New("the change changes nothing")
		}
		p.m.changes = append(p.m.changes, change{p.file, p.old, block})
		p.fence = ""
	}
	return nil
}

func (p *mutantParser) head(line string) error {
	key, value, found := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case found && key == "story":
		p.m.story, p.story = value, true
	case found && key == "oracles":
		oracles, err := sim.ParseClasses(value)
		if err != nil {
			return err
		}
		p.m.oracles, p.story = oracles, false
	case found && key == "profile":
		if !slices.Contains(sim.Profiles(), value) {
			return fmt.Errorf("unknown profile %q (want one of %s)", value, strings.Join(sim.Profiles(), ", "))
		}
		p.m.profile, p.story = value, false
	case found && key == "tests":
		words := strings.Fields(value)
		if len(words) != 2 || !filepath.IsLocal(words[0]) || !strings.HasPrefix(words[1], "Test") {
			return fmt.Errorf("tests %q: want the directory of a package and the name of one test", value)
		}
		p.m.test, p.story = testName{words[0], words[1]}, false
	case found && key == "file":
		if !filepath.IsLocal(value) {
			return fmt.Errorf("file %q: want a path from the module's root", value)
		}
		p.file, p.story = value, false
	case p.story:
		p.m.story += " " + strings.TrimSpace(line)
	default:
		return fmt.Errorf("%q is neither story, oracles, profile, tests nor file", line)
	}
	return nil
}

// apply makes the mutant's changes to the files below root, and returns the
// files' new texts by path from the root.
func (m *mutant) apply(root string) (map[string]string, error) {
	texts := make(map[string]string)
	for _, c := range m.changes {
		text, seen := texts[c.file]
		if !seen {
			raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(c.file)))
			if err != nil {
				return nil, err
			}
			text = string(raw)
		}
		changed, err := replaceOnce(text, c)
		if err != nil {
			return nil, err
		}
		texts[c.file] = changed
	}
	return texts, nil
}

// replaceOnce replaces whole lines that must occur exactly once.
func replaceOnce(text string, c change) (string, error) {
	old, instead := "\n"+c.asItIs+"\n", "\n"+c.instead+"\n"
	if c.instead == "" {
		instead = "\n"
	}
	padded := "\n" + text
	switch n := countOverlapping(padded, old); n {
	case 1:
		return strings.Replace(padded, old, instead, 1)[1:], nil
	default:
		first, _, _ := strings.Cut(strings.TrimSpace(c.asItIs), "\n")
		return "", fmt.Errorf("the lines that begin with %q occur %d times in %s, want once", first, n, c.file)
	}
}

// countOverlapping counts occurrences that may share the line's end between
// them.
func countOverlapping(text, part string) int {
	n := 0
	for i := strings.Index(text, part); i >= 0; {
		n++
		next := strings.Index(text[i+1:], part)
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return n
}
