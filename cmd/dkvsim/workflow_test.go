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
		cmd := parsed(t, runCommand(), strings.Fields(line))
		c := sham(nil)
		c.seeds, c.profile = cmd.Flag("seeds").Value.String(), cmd.Flag("profile").Value.String()
		if c.budget, err = cmd.Flags().GetDuration("budget"); err != nil {
			t.Fatal(err)
		}
		if err := c.plan(false); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
