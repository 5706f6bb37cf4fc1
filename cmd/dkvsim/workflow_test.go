package main

import (
	"os"
	"strings"
	"testing"
)

// TestNightlyCampaign checks the command line of the workflow, which otherwise
// fails first at night.
func TestNightlyCampaign(t *testing.T) {
	raw, err := os.ReadFile("../../.github/workflows/nightly.yml")
	if err != nil {
		t.Fatal(err)
	}
	commands := found(string(raw), `bin/dkvsim (run .*)`)
	lists := found(string(raw), `profile: \[(.*)\]`)
	if len(commands) != 1 || len(lists) != 1 {
		t.Fatalf("%d commands and %d lists of profiles, want one of each", len(commands), len(lists))
	}
	for profile := range strings.SplitSeq(lists[0], ", ") {
		line := strings.NewReplacer("${{ matrix.profile }}", profile, "$first-$((first + 999999))", "1-1000000", "$BUDGET", "3h").Replace(commands[0])
		args := strings.Fields(line)
		parsed(t, runCommand(), args)
		if _, _, err := planned(args[1:]); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
