package schedule

import (
	"regexp"
	"strings"
	"testing"
)

// The parser accepts every line of the reference once names replace the words in
// capitals, and the reference has a line for every action.
func TestReferenceIsWhatTheParserTakes(t *testing.T) {
	names := strings.NewReplacer("TIME", "2s", "NODE …", "n1 n2", "NODE<>NODE", "n1<>primary:0", "NODE>NODE", "n1>n2", "NODE NODE", "n1 n2",
		"NODE", "n1", "BYTES", "1000", "FAULT=CHANCE …", "loss=0.1 corrupt=0.2", "SERVER", "1", "KEY", "k1", "nN", "n3", "client N", "client 2")
	partition := regexp.MustCompile(` P\b`)
	steps := 0
	_, body, _ := strings.Cut(Reference(), "value:\n\n")
	header, rest, _ := strings.Cut(body, "\n\n")
	for _, line := range strings.Split(rest, "\n") {
		line, ok := strings.CutPrefix(line, "  at TIME ")
		if !ok {
			continue
		}
		line = "at TIME " + strings.Split(line, "   ")[0]
		text := partition.ReplaceAllString(names.Replace(line), " 0")
		for _, text := range []string{strings.NewReplacer("[", "", "|if-match]", "", "]", "").Replace(text), regexp.MustCompile(` \[.*\]`).ReplaceAllString(text, "")} {
			calls := strings.Replace(header, "calls=drawn", "calls=listed", 1)
			if _, err := Parse(strings.Replace(calls, "store model", "store pebble-raw", 1) + "\n" + text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		steps++
	}
	if want := len(Actions()) + 3; steps != want {
		t.Errorf("%d lines were tried, want %d", steps, want)
	}
	for _, a := range Actions() {
		if a.Word == "" || a.Does == "" {
			t.Errorf("action %q is not explained", a)
		}
	}
}
