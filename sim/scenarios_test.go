package sim

import (
	goflag "flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

var flagUpdate = goflag.Bool("update", false, "rewrite the expected output of the scenarios")

// TestScenarios runs classic fault scenarios, each a schedule with its story, and
// compares the notable events with the golden file beside it. -update rewrites the
// golden files; explain every difference in the commit.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := schedule.Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			checkScenario(t, s, strings.TrimSuffix(file, ".txt")+".golden")
		})
	}
}

func checkScenario(t *testing.T, s *schedule.Schedule, golden string) {
	var b strings.Builder
	r, err := Run(s, RunOptions{Note: func(at time.Duration, what string) {
		if notable(what) {
			fmt.Fprintf(&b, "%12v  %s\n", at.Round(time.Microsecond), what)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) > 0 {
		t.Fatalf("%v\n%s", r.Violations, b.String())
	}
	if *flagUpdate {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("%s\nThis differs from %s (go test ./sim -run TestScenarios -update rewrites it).", firstUnequal(string(want), got), golden)
	}
}

// firstUnequal shows the first line in which two texts differ.
func firstUnequal(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: want %s\nline %d: got  %s", i+1, a[i], i+1, b[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(a), len(b))
}

// notableEvents are the node events that a scenario's output shows: changes of
// primary, of logs and of moves, and answers of ZooKeeper.
var notableEvents = []node.EventKind{
	node.EventReignStarted, node.EventReignActive, node.EventReignEnded, node.EventQuiet, node.EventResumed,
	node.EventCut, node.EventLogCopied, node.EventSnapshotSent, node.EventSnapshotInstalled, node.EventSnapshotSkipped, node.EventJointActive,
	node.EventMoveFinished, node.EventMoveCancelled, node.EventBump, node.EventTakeOver, node.EventHandOver,
	node.EventReadRefused, node.EventLayoutConflict, node.EventLayoutUnknown, node.EventAppliedUnanswered,
	node.EventStaleReplaced, node.EventSessionExpired, node.EventPromiseRejected, node.EventFailed,
}

// notable reports whether a note belongs to a scenario's output: steps, starts and
// crashes of processes, the schedule's clients, and notable events.
func notable(what string) bool {
	_, event, found := strings.Cut(what, ": ")
	if !found || strings.HasPrefix(what, "at ") && !strings.Contains(what, " put ") && !strings.Contains(what, " get ") || strings.HasPrefix(what, "over") || strings.HasPrefix(what, "client ") {
		return true
	}
	word, _, _ := strings.Cut(event, " ")
	return strings.HasPrefix(what, "n") && slices.ContainsFunc(notableEvents, func(k node.EventKind) bool { return k.String() == word })
}
