package main

import (
	"bytes"
	"strings"
	"testing"

	"dkv/sim"
	"dkv/sim/schedule"
)

func TestScheduleCommand(t *testing.T) {
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := scheduleCommand()
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		err := cmd.Execute()
		return out.String(), err
	}
	text, err := run("--seed", "42", "--profile", "rough")
	if err != nil {
		t.Fatal(err)
	}
	read, err := schedule.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if drawn, _ := sim.Draw(42, "rough"); drawn.String() != read.String() {
		t.Errorf("printed\n%s\nwant\n%s", text, drawn)
	}
	if text, err := run(); err != nil || !strings.Contains(text, "at TIME crash NODE [for TIME]") {
		t.Errorf("without a seed: %v\n%s", err, text)
	}
	if _, err := run("--seed", "42", "--profile", "nonsense"); err == nil || !strings.Contains(err.Error(), "default") {
		t.Errorf("an unknown profile: %v", err)
	}
}
