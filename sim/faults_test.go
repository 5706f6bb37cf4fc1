package sim

import (
	"slices"
	"testing"

	"dkv/linearizability"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// twice gives the epoch of a primary's successor to the primary too, before it has heard of
// its successor.
const twice = `nodes 3
partitions 1
at 3s isolate primary:0 for 2.5s
at 3s zk-cut primary:0 for 1.5s
at 3s edit-layout former:0 0 once started:0 after 20ms for 5s
at 6s put primary:0 0
at 6s put former:0 0
`

// Of two members that an edited layout made primaries of one epoch one leads. The frames of
// the other one are refused, and no process ends.
func TestAnEpochThatIsGivenOutTwiceHasOnePrimary(t *testing.T) {
	s, err := schedule.Parse("seed 5\nphases faults=9s core=0s\nworkload operations=0\n" + twice)
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, RunOptions{})
	result, err := r.execute()
	if err != nil || len(result.Classes) > 0 {
		t.Fatal(err, result.Violations)
	}
	if result.Probes[node.EventClaimRefused] == 0 || result.Probes[node.EventAlarm] == 0 {
		t.Error("no claim was refused, or no alarm was raised")
	}
	for h := range s.Setup.Nodes {
		if n := r.world.ProcessNumber(h); n != 1 {
			t.Errorf("%s was started %d times", schedule.HostName(h), n)
		}
	}
}

// Each of these steps and header lines, as the only fault of a calm run, takes
// effect and is counted.
func TestStepsTakeEffect(t *testing.T) {
	for text, counter := range map[string]string{
		"at 4s stop primary:0 for 2s":           "stop",
		"at 4s slow primary:0 20ms for 3s":      "slow-host",
		"at 4s suspend primary:0 for 2s":        "suspend",
		"at 4s bridge n2 for 2s":                "net-bridge",
		"at 4s throttle n1>n2 1000 for 3s":      "net-slow",
		"at 4s rates corrupt=0.05 for 3s":       "net-corrupt",
		"rates corrupt=0.01":                    "net-corrupt",
		"network queue=2\nat 4s clog n1 for 2s": "net-queue-full",
		twice:                                   "epoch-given-twice",
		twice + "#":                             "edited-layout-refused",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Parse("seed 5\nphases faults=9s\n" + text)
			if err != nil {
				t.Fatal(err)
			}
			if count(t, s, counter) == 0 {
				t.Errorf("%s is 0", counter)
			}
		})
	}
}

// A stopped node comes back at the end of the step, and also if the fault phase
// ends first, whether or not the node has finished stopping.
func TestStoppedNodeComesBack(t *testing.T) {
	for _, step := range []string{
		"phases faults=8s core=0s converge=0s\nat 3s stop n1 for 2s", "phases faults=8s core=0s converge=0s\nat 3s stop n1 for 1ms",
		"phases faults=6s\nat 5.9s stop n1 for 1h", "phases faults=6s\nat 5.999s stop n1",
	} {
		s, err := schedule.Parse("nodes 3\nreplication 3\n" + step)
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(s, RunOptions{})
		result, err := r.execute()
		if err != nil || len(result.Classes) > 0 {
			t.Fatalf("%s: %v, %v", step, err, result.Violations)
		}
		if r.world.ProcessNumber(0) < 2 {
			t.Errorf("%s: n1 was started %d times", step, r.world.ProcessNumber(0))
		}
	}
}

// The longest value under the longest key is written, copied to a replica that
// comes late, and read at the end.
func TestLargeValuesAreKept(t *testing.T) {
	s, err := schedule.Parse("nodes 3\npartitions 1\nretain entries=2\nsnapshot chunk=65536\nphases faults=12s\n" +
		"at 3s crash backup:0 for 4s\nat 4s put-large primary:0 0\nat 5s put-large primary:0 0\nat 8s stop primary:0 for 1s\n")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil || len(r.Classes) > 0 {
		t.Fatal(err, r.Violations)
	}
	written, read := "", ""
	for _, op := range r.History {
		if len(op.Key) != node.MaxKeyBytes {
			continue
		}
		switch {
		case op.Kind == linearizability.Put && op.Outcome == linearizability.OK && len(op.Value) == node.MaxValueBytes:
			written = op.Value
		case op.Kind == linearizability.Get && op.Outcome == linearizability.OK:
			read = op.Answer.Value
		}
	}
	if written == "" || read != written {
		t.Errorf("%d bytes were written last, and %d read", len(written), len(read))
	}
}

// If a node has come back before the end of its stop, that end does not kill the
// new process.
func TestEndOfAStopSparesALaterProcess(t *testing.T) {
	s, err := schedule.Parse("nodes 3\nrecovery 50ms\nphases faults=9s core=0s converge=0s\nat 3s stop n1 for 4s\nat 5s restart n1\n")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, RunOptions{})
	if result, err := r.execute(); err != nil || len(result.Classes) > 0 || r.world.ProcessNumber(0) != 2 {
		t.Errorf("%v, %v; n1 was started %d times, want 2", err, result.Violations, r.world.ProcessNumber(0))
	}
}

// The header's clock-drift and recovery take effect.
func TestHeaderSetsDriftAndRecovery(t *testing.T) {
	for _, c := range []struct {
		text         string
		drifts, fast bool // all nodes are back within two seconds
	}{
		{"clock-drift 0\nrecovery 60ms", false, true},
		{"clock-drift 500\nrecovery 24h", true, false},
	} {
		s, err := schedule.Parse("nodes 5\nphases faults=6s core=0s converge=0s\n" + c.text + "\nat 3s power-loss for 1s")
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(s, RunOptions{})
		if _, err := r.execute(); err != nil {
			t.Fatal(err)
		}
		drifts, fast := false, true
		for h := range s.Setup.Nodes {
			drifts = drifts || r.world.Drift(h) != 0
			fast = fast && r.world.ProcessNumber(h) == 2
		}
		if drifts != c.drifts || fast != c.fast {
			t.Errorf("%q: clocks drift is %t, all were back in 2 s is %t", c.text, drifts, fast)
		}
	}
}

// Every row of the table of actions has a function that carries it out, and every
// counter that a row names exists in a world.
func TestEveryActionIsCarriedOutAndCounted(t *testing.T) {
	w, err := world.New(world.Config{})
	if err != nil {
		t.Fatal(err)
	}
	counters := w.Counters()
	for _, a := range schedule.Actions() {
		if carriers[a] == nil {
			t.Errorf("package sim has no function for the action %q of family %s", a, a.Family)
		}
		for _, name := range a.Counters {
			if !slices.ContainsFunc(counters, func(c world.Counter) bool { return c.Name == name }) {
				t.Errorf("%q names the counter %q, which no world has", a, name)
			}
		}
	}
	if len(carriers) != len(schedule.Actions()) {
		t.Errorf("%d functions for %d actions", len(carriers), len(schedule.Actions()))
	}
}
