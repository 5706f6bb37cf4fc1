package sim

import (
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// waitingRun returns a run with a node that waits in vain for others, so that requests wait
// there until their time is over.
func waitingRun(t *testing.T) *run {
	t.Helper()
	setup := schedule.DefaultSetup()
	setup.Nodes = 3
	r := newRun(&schedule.Schedule{Setup: setup}, RunOptions{})
	w, err := world.New(world.Config{Hosts: 3, Node: node.Config{Expect: 3}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	r.world = w
	r.snapshots = newSnapshots(setup.Partitions)
	w.Start(1)
	w.RunUntil(5 * time.Second)
	return r
}

func (r *run) askWaiting(timeout time.Duration) {
	r.world.Submit(1, door.Request{Kind: door.RequestPut, Key: []byte("k"), Timeout: timeout}, func(door.Response, bool) {})
}

// The quiet phase lasts until the last request has ended, and one that does not end is a
// violation.
func TestQuietPhaseWaitsForRequests(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // a request comes
		says  string
	}{
		{"one request", 0, ""},
		{"requests without end", 10 * time.Second, "after the last request was sent, n2 counts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := waitingRun(t)
			begun := r.world.Now()
			var ask func()
			ask = func() {
				r.askWaiting(15 * time.Second)
				if c.every > 0 {
					r.world.After(c.every, ask)
				}
			}
			ask()
			r.world.RunUntil(begun + time.Millisecond)
			r.quietPhase()
			if checkFires(t, r, c.says != "", c.says); r.world.Now()-begun < 15*time.Second {
				t.Fatalf("the phase ends after %v, and the request after 15 s", r.world.Now()-begun)
			}
		})
	}
}

func TestWhatIsUnderWay(t *testing.T) {
	for says, a := range map[string]node.Accounts{
		"":                                {Transfers: 1, Tables: 3},
		"counts 2 requests that have not": {Requests: 2, Forwards: 1},
		"counts 1 forwards under way":     {Forwards: 1},
		"counts forwards to 2 members":    {Counted: 2},
		"counts 65 bytes as uncommitted":  {Uncommitted: 65},
	} {
		if got := underWay(a); !strings.HasPrefix(got, says) || (got == "") != (says == "") {
			t.Errorf("%+v: %q, want %q", a, got, says)
		}
	}
}

// A few runs come near to every bound: no check is left out. Each run ends with the quiet
// phase, in which nothing may be left to wait for.
func TestRunsUseTheirBounds(t *testing.T) {
	all := newUses()
	for seed := range uint64(8) {
		drawn, err := Draw(seed+1, "default")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(drawn, RunOptions{})
		if err != nil || len(r.Violations) > 0 {
			t.Fatal(err, r.Violations)
		}
		if r.Uses[boundQuiet].Bound == 0 {
			t.Errorf("seed %d: no quiet phase ended the run", seed+1)
		}
		for b, use := range r.Uses {
			all.add(bound(b), use)
		}
	}
	for b, use := range all {
		if use.Worst < 1 && bound(b) != boundQuiet || use.Bound < 1 || use.Bound < use.Worst {
			t.Errorf("%s: %d of %d", use.Name, use.Worst, use.Bound)
		}
	}
}

// Sums over runs keep the greatest share of each bound, not the greatest number.
func TestGreatestShareOfABound(t *testing.T) {
	u := newUses()
	for _, c := range []struct{ value, most int }{{0, 9}, {3, 10}, {50, 1000}, {4, 12}} {
		if !u.within(boundFrames, c.value, c.most) {
			t.Errorf("%d of %d is said to be above the bound", c.value, c.most)
		}
	}
	if got := u[boundFrames]; got != (Use{"frames", 4, 12}) {
		t.Errorf("the greatest share is %+v, want 4 of 12", got)
	}
	if u.within(boundFrames, 13, 12) {
		t.Error("13 of 12 is said to be within the bound")
	}
	if u.add(boundFrames, Use{}); u[boundFrames].Worst != 13 {
		t.Errorf("a run that did not look takes the worst away: %+v", u[boundFrames])
	}
}
