package sim

import (
	"dkv/sim/schedule"
	"dkv/sim/world"
	"strings"
	"testing"
	"time"
)

// scriptSchedule is a short run in which the scripts use every operation.
const scriptSchedule = `seed 7
nodes 3
partitions 2
zk servers=3 session=1s
zk-scripts 3
zk-rates lose-before=0.02 lose-after=0.02 apply-late=0.02 lose-watch=0.1 read-first=0.1 stall=0.02 late-zxid=0.2
zk-door one-at-a-time=on deadlines=on coalesce=on watchdog=on rewatch=0.5
workload operations=100
phases faults=90s
at 5s zk-isolate 0 for 4s
at 12s zk-wipe 1 for 3s
at 20s zk-leader
at 25s zk-late n1
at 30s zk-lag 2 1s for 5s
`

func TestScriptsUseWhatNodesDoNot(t *testing.T) {
	s, err := schedule.Parse(scriptSchedule)
	if err != nil {
		t.Fatal(err)
	}
	acts := make(map[string]int)
	r, err := Run(s, RunOptions{Note: noteScripts(acts)})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) > 0 {
		t.Errorf("%v", r.Violations)
	}
	for _, name := range world.ZKActs() {
		if acts[name] == 0 {
			t.Errorf("no script %s", name)
		}
	}
	counted := make(map[string]uint64)
	for _, c := range r.Counters {
		counted[c.Name] = c.Count
	}
	for _, name := range []string{
		"zk-sequence-gap", "zk-sequence-stuck", "zk-superseded-connection-read", "zk-session-moved", "zk-oversized-request",
		"zk-children-unordered", "zk-node-swept", "zk-foreign-ephemeral", "zk-version-reset", "zk-multi-failed",
	} {
		if counted[name] == 0 {
			t.Errorf("%s never took effect", name)
		}
	}
}

// A cluster whose ZooKeeper has forgotten everything continues to serve with what
// it knows.
func TestLostZooKeeperIsSurvived(t *testing.T) {
	s, err := schedule.Parse(`seed 3
nodes 3
partitions 2
zk servers=3 session=1s
phases faults=6s core=0s converge=0s
at 4s zk-lose-all
`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		if v.Class != Convergence && v.Class != Progress { // these are not promised without ZooKeeper's data
			t.Errorf("%v", v)
		}
	}
}

func noteScripts(acts map[string]int) func(time.Duration, string) {
	return func(_ time.Duration, what string) {
		if words, found := strings.CutPrefix(what, "script s"); found {
			acts[words[2:]]++
		}
	}
}
