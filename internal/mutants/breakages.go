package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// huntBreakages breaks the harness, one thing at a time, and runs the test that
// should see it. It prints them in their order.
func (h *hunt) huntBreakages(breakages []mutant) error {
	h.printBreakagesHead()
	type verdict struct {
		seen bool
		took time.Duration
		err  error
	}
	verdicts := make([]chan verdict, len(breakages))
	slots := make(chan struct{}, h.jobs)
	for i := range breakages {
		verdicts[i] = make(chan verdict, 1)
	}
	go func() {
		for i := range breakages {
			slots <- struct{}{}
			go func() {
				begun := time.Now()
				seen, err := h.seen(&breakages[i])
				verdicts[i] <- verdict{seen, time.Since(begun), err}
				<-slots
			}()
		}
	}()
	var unseen, broken []string
	for i := range breakages {
		m, v := &breakages[i], <-verdicts[i]
		if v.err != nil {
			h.printBroken(m, v.err)
			broken = append(broken, m.name)
			continue
		}
		h.printBreakage(m, v.seen, v.took)
		if !v.seen {
			unseen = append(unseen, m.name)
		}
	}
	return errors.Join(listed(unseen, "breakages of the harness go unseen"), listed(broken, "breakages of the harness could not be judged"))
}

// seen says whether a breakage's test fails with it. Without it, it has to pass.
func (h *hunt) seen(m *mutant) (bool, error) {
	tests := program{m.test.dir, true}
	binary, err := h.plant(m, tests)
	if err != nil {
		return false, err
	}
	defer os.Remove(binary)
	clean, err := h.clean(tests)
	if err != nil {
		return false, err
	}
	switch passes, err := clean.passes(h, m.test); {
	case err != nil:
		return false, err
	case !passes:
		return false, fmt.Errorf("%s fails without it", m.test.name)
	}
	passes, err := h.passes(binary, m.test)
	return !passes, err
}

// passes runs a test of the unmutated program, once.
func (b *cleanBuild) passes(h *hunt, test testName) (bool, error) {
	b.testing.Lock()
	defer b.testing.Unlock()
	passes, known := b.tested[test]
	if !known {
		var err error
		if passes, err = h.passes(b.path, test); err != nil {
			return false, err
		}
		b.tested[test] = passes
	}
	return passes, nil
}

// passes runs one test. A test that is not there, is skipped or does not end is
// an error.
func (h *hunt) passes(binary string, test testName) (bool, error) {
	cmd := exec.Command("go", "tool", "test2json", binary, "-test.v=test2json", "-test.run=^"+test.name+"$", "-test.timeout="+h.limit.String())
	cmd.Dir = filepath.Join(h.root, filepath.FromSlash(test.dir))
	out, ended := cmd.Output()
	var said strings.Builder
	for events := json.NewDecoder(bytes.NewReader(out)); ; {
		var event struct{ Action, Test, Output string }
		if err := events.Decode(&event); err != nil {
			break // after the last event, or where the program broke off
		}
		said.WriteString(event.Output)
		if verdict := event.Action == "pass"; event.Test == test.name && (verdict || event.Action == "fail") && verdict == (ended == nil) {
			return verdict, nil
		}
	}
	return false, fmt.Errorf("%s in %s neither passed nor failed: %v\n%s", test.name, test.dir, ended, tail(said.String()))
}
