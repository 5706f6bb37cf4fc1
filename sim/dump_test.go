package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"fmt"
	"strings"
	"testing"
)

// A run with many dumps takes the same steps as one without, and the dumps
// describe every part of the world.
func TestDumpChangesNothing(t *testing.T) {
	for _, seed := range []uint64{3, 11, 42} {
		s, err := Draw(seed, Profiles()[0])
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		dumps, calls, seen := 0, 0, map[string]int{}
		dumped, err := Run(s, RunOptions{Pause: func(w *world.World) bool {
			if calls++; calls%97 != 0 {
				return true
			}
			var text strings.Builder
			if err := w.Dump(&text); err != nil {
				t.Fatal(err)
			}
			dumps++
			checkDump(t, w, text.String(), seen)
			return true
		}})
		if err != nil {
			t.Fatal(err)
		}
		if dumped.Trace != plain.Trace || dumped.Steps != plain.Steps {
			t.Errorf("seed %d: %d dumps change the run: trace %016x after %d steps, without them %016x after %d",
				seed, dumps, dumped.Trace, dumped.Steps, plain.Trace, plain.Steps)
		}
		for _, part := range []string{
			"layout version", "  session ", "  server 0: zxid", "frames in flight", " replica: knows epoch", " primary: knows epoch",
			"     follower n", "     in flight: writes", "  request ", "  queue: ", "commits not durable", "log ends: ", " down, process",
		} {
			if seen[part] == 0 {
				t.Errorf("seed %d: no dump of %d says %q", seed, dumps, part)
			}
		}
	}
}

// checkDump checks that the first line names the step and the time, and that each
// host has a paragraph.
func checkDump(t *testing.T, w *world.World, text string, seen map[string]int) {
	t.Helper()
	if want := fmt.Sprintf("== step %d at %v\n", w.Steps(), w.Now()); !strings.HasPrefix(text, want) {
		t.Fatalf("a dump at %q begins with %.80q", want, text)
	}
	for host := range w.Hosts() {
		if !strings.Contains(text, fmt.Sprintf("\n%s %v, process %d", schedule.HostName(host), w.State(host), w.ProcessNumber(host))) {
			t.Fatalf("nothing about %s in\n%s", schedule.HostName(host), text)
		}
	}
	for _, part := range []string{
		"layout version", "  session ", "  server 0: zxid", "frames in flight", " replica: knows epoch", " primary: knows epoch",
		"     follower n", "     in flight: writes", "  request ", "  queue: ", "commits not durable", "log ends: ", " down, process",
	} {
		if strings.Contains(text, part) {
			seen[part]++
		}
	}
}

func TestPauseEndsARun(t *testing.T) {
	s, err := Draw(42, Profiles()[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{Pause: func(w *world.World) bool { return w.Steps() < 500 }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Steps < 500 || r.Steps > 600 || len(r.Classes) > 0 {
		t.Errorf("the run was stopped after step 500 and took %d steps, classes %v", r.Steps, r.Classes)
	}
}
