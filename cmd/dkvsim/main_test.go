package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"dkv/internal/version"
	"dkv/sim/campaign"
)

// asProgram makes the test binary run dkvsim with its arguments.
const asProgram = "DKVSIM_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func TestVersion(t *testing.T) {
	want := version.Read().Text("dkvsim")
	for _, argument := range []string{"version", "--version"} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{argument})
		if err := root.Execute(); err != nil || out.String() != want {
			t.Errorf("dkvsim %s: %v, %q; want %q", argument, err, out.String(), want)
		}
	}
}

func TestWrongArgumentsHaveTheirStatus(t *testing.T) {
	for _, args := range [][]string{
		{"run"},
		{"run", "--seeds", "2", "--jobs", "0"},
		{"run", "--seed", "1", "--seeds", "2"},
		{"run", "--shard", "1/2", "--shard-from-zero", "0/2", "--seeds", "2"},
		{"merge", "no-such-file"},
	} {
		cmd := program(t, args...)
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != int(campaign.Mistaken) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestResultsOnTheStandardOutputStandAlone(t *testing.T) {
	cmd := program(t, "run", "--seeds", "2", "--profile", "calm", "--json", "-")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var d campaign.Document
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatalf("%v:\n%s", err, out.Bytes())
	}
	if d.Tally.Runs != 2 || !d.Whole || !reflect.DeepEqual(d.Flags, map[string]string{"seeds": "2", "profile": "calm", "json": "-"}) {
		t.Errorf("%d runs, whole %v, flags %v", d.Tally.Runs, d.Whole, d.Flags)
	}
	if !strings.Contains(errs.String(), "seed=1 ") || !strings.Contains(errs.String(), "probes hit") {
		t.Errorf("the standard error lacks lines or tables:\n%s", errs.String())
	}
}
