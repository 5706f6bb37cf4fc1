package sim

import (
	"dkv/sim/schedule"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A step with a trigger happens at the first such event after its own time and
// strikes the nodes that have the roles then. Without the event it does not happen.
func TestStepsWaitForTheirTriggers(t *testing.T) {
	const setup = "seed 5\nnodes 3\npartitions 2\nworkload operations=0\nphases faults=12s\n"
	s, err := schedule.Parse(setup + `
at 4s pause primary:1 for 4s
at 4s get primary:1 1 once started:1
at 4s get former:1 1 once started:1 after 10ms
at 4s get other:1 1 once active:1
at 4s get second:1 1 once joint:1
at 4s get n1 1 once ended:0
at 11s get n1 1 once started:1
`)
	if err != nil {
		t.Fatal(err)
	}
	var paused, started, active string
	var startedAt time.Duration
	asked := make(map[string]string)
	r, err := Run(s, RunOptions{Note: func(at time.Duration, what string) {
		host, _, _ := strings.Cut(what, ":")
		switch {
		case at < 4*time.Second || at > 12*time.Second:
		case strings.HasSuffix(what, "paused"):
			paused, _, _ = strings.Cut(what, " ")
		case strings.Contains(what, "reign-started p=1") && started == "":
			started, startedAt = host, at
		case strings.Contains(what, "reign-active p=1") && active == "":
			active = host
		case strings.Contains(what, "]") && strings.Contains(what, " get "):
			words := strings.Fields(what) // at 4s get primary:1 1 once started:1: [n2]
			asked[words[3]+" "+strings.TrimSuffix(words[6], ":")] = fmt.Sprint(at-startedAt, what[strings.LastIndex(what, "["):])
		}
	}})
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
	if paused == "" || started == "" || started == paused || active != started {
		t.Fatalf("%q was paused, %q started, %q was active: this test is blind", paused, started, active)
	}
	others := strings.NewReplacer(paused, "", started, "").Replace("n1n2n3")
	for step, want := range map[string]string{
		"primary:1 started:1": "0s[" + started + "]",
		"former:1 started:1":  "10ms[" + paused + "]",
	} {
		if asked[step] != want {
			t.Errorf("%s came %s after the reign's start, want %s", step, asked[step], want)
		}
	}
	if got := asked["other:1 active:1"]; !strings.HasSuffix(got, "["+others+"]") || strings.HasPrefix(got, "0s") {
		t.Errorf("other:1 was %q, want %s, after the start", got, others)
	}
	if len(asked) != 3 {
		t.Errorf("%d steps came, want 3: %v", len(asked), asked)
	}
	for _, c := range r.Counters {
		if c.Name == "step-at-moment" && c.Count != 3 {
			t.Errorf("%d steps are counted at their moments, want 3", c.Count)
		}
	}
}

// A put-new step uses a key of its own, and that key is read at the end like all
// others.
func TestNewKeysAreReadAtTheEnd(t *testing.T) {
	s, err := schedule.Parse("seed 6\nnodes 3\npartitions 2\nworkload operations=0\nphases faults=5s\n" +
		"at 4s put-new n1 1\nat 4s put-new n2 1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
	put, read := make(map[string]string), 0
	for _, op := range r.History {
		if op.Client >= scriptClient {
			put[op.Key] = op.Value
		} else if value := put[op.Key]; value != "" && op.Answer.Value == value {
			read++
		}
	}
	if len(put) != 2 || read != 2 {
		t.Fatalf("%v were put, and %d of them read at the end, want 2 and 2", put, read)
	}
}
