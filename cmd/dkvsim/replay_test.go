package main

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"dkv/sim"
)

// played replays seed 42 with what a person types, and returns what it shows.
func played(t *testing.T, until uint64, typed string) (string, *sim.Result, *lookout) {
	t.Helper()
	s, err := sim.Draw(42, "default")
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	out := bufio.NewWriter(&shown)
	look := newLookout(strings.NewReader(typed), out, until, false)
	r, err := sim.Run(s, sim.RunOptions{Steps: look, Pause: look.pause})
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return shown.String(), r, look
}

var prompt = regexp.MustCompile(`\[step (\d+), [^\]]*\] `)

// prompts are the steps at which the person was asked.
func prompts(t *testing.T, shown string) []uint64 {
	t.Helper()
	var steps []uint64
	for _, found := range prompt.FindAllStringSubmatch(shown, -1) {
		var n uint64
		if _, err := fmt.Sscan(found[1], &n); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, n)
	}
	return steps
}

func TestReplayStopsAndGoesOn(t *testing.T) {
	shown, _, look := played(t, 5000, "\nn 100\ns 6000\nc n2\np n3\nwhat\nn\nq\n")
	at := prompts(t, shown)
	if len(at) != 8 || !look.left {
		t.Fatalf("asked at %v, want 8 times and then an end:\n%s", at, shown)
	}
	// A step of the scheduler may be several of the trace.
	const slack = 40
	for i, least := range []uint64{5000, at[0] + 1, at[1] + 100, 6000, at[3] + 1, at[4], at[4], at[4]} {
		if at[i] < least || i < 4 && at[i] > least+slack || i > 4 && at[i] != least {
			t.Errorf("question %d at step %d, want %d or a little more: all at %v", i+1, at[i], least, at)
		}
	}
	parts := prompt.Split(shown, -1)
	if !strings.HasPrefix(parts[0], "== step ") || !strings.Contains(parts[0], "\nn1 up, process") || !strings.Contains(parts[0], replayHelp) {
		t.Errorf("the first stop shows\n%s", parts[0])
	}
	onward := strings.Split(strings.TrimSpace(parts[4]), "\n")
	for i, line := range onward {
		if at2 := strings.Fields(line)[2] == "n2"; at2 && i < len(onward)-8 || !at2 && i == len(onward)-1 {
			t.Errorf("c n2 stops behind the first step of n2, not at line %d of\n%s", i+1, parts[4])
			break
		}
	}
	if !strings.HasPrefix(parts[5], "n3 ") || strings.Contains(parts[5], "\nn1 ") {
		t.Errorf("p n3 shows\n%s", parts[5])
	}
	if parts[6] != replayHelp || !strings.Contains(parts[7], "n needs a number of steps") {
		t.Errorf("mistakes are answered with %q and %q", parts[6], parts[7])
	}
}

func TestReplayThatRunsToTheEndIsTheSameRun(t *testing.T) {
	_, whole, _ := played(t, 1<<62, "")
	shown, r, look := played(t, 3000, "n 5\np\nr\n")
	if r.Trace != whole.Trace || r.Steps != whole.Steps || look.left {
		t.Errorf("trace %016x after looking, %016x without", r.Trace, whole.Trace)
	}
	if n := strings.Count(shown, "== step "); n != 2 {
		t.Errorf("%d dumps, want those of the stop and of p", n)
	}
	if tail := shown[strings.LastIndex(shown, "] "):]; strings.Count(tail, "\n") != 0 {
		t.Errorf("steps are printed after r, which does not ask for them:\n%.300s", tail)
	}
}

func TestReplayLeavesWhereTheInputEnds(t *testing.T) {
	shown, r, look := played(t, 3000, "")
	if !look.left || len(prompts(t, shown)) != 1 || r.Steps > 3100 {
		t.Errorf("left %t after %d steps", look.left, r.Steps)
	}
}
