package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// huntBreakages breaks the harness, one thing at a time, and runs the test that
// should see it.
func (h *hunt) huntBreakages(breakages []mutant) error {
	h.printBreakagesHead()
	var unseen, broken []string
	for i := range breakages {
		m := &breakages[i]
		begun := time.Now()
		seen, err := h.seen(m)
		if err != nil {
			h.printBroken(m, err)
			broken = append(broken, m.name)
			continue
		}
		h.printBreakage(m, seen, time.Since(begun))
		if !seen {
			unseen = append(unseen, m.name)
		}
	}
	return errors.Join(listed(unseen, "breakages of the harness go unseen"), listed(broken, "breakages of the harness could not be judged"))
}

// seen says whether a breakage's test fails with it. Without it, it has to pass.
func (h *hunt) seen(m *mutant) (bool, error) {
	binary, err := h.plant(m, m.test.dir)
	if err != nil {
		return false, err
	}
	defer os.Remove(binary)
	clean, err := h.clean(m.test.dir)
	if err != nil {
		return false, err
	}
	switch passes, err := h.passes(clean.path, m.test); {
	case err != nil:
		return false, err
	case !passes:
		return false, fmt.Errorf("%s fails without it", m.test.name)
	}
	passes, err := h.passes(binary, m.test)
	return !passes, err
}

var testEnd = regexp.MustCompile(`(?m)^--- (PASS|FAIL): (\w+) `)

// passes runs one test. That it was not there, was skipped or did not end is an
// error.
func (h *hunt) passes(binary string, test testName) (bool, error) {
	cmd := exec.Command(binary, "-test.v", "-test.run=^"+test.name+"$", "-test.timeout="+h.limit.String())
	cmd.Dir = filepath.Join(h.root, filepath.FromSlash(test.dir))
	out, err := cmd.CombinedOutput()
	for _, end := range testEnd.FindAllStringSubmatch(string(out), -1) {
		if end[2] == test.name && (end[1] == "PASS") == (err == nil) {
			return err == nil, nil
		}
	}
	return false, fmt.Errorf("no word of how %s in %s ended: %v\n%s", test.name, test.dir, err, tail(string(out)))
}
