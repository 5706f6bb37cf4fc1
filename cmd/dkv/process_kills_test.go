//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dkv/linearizability"
)

// With fewer than these, the test proves nothing.
const (
	minKills        = 3
	minAcknowledged = 1000
	minTakeOvers    = 1
	minDuration     = 10 * time.Second

	killsDuration = 12 * time.Second // unless the variable sets another
	killsVariable = "DKV_TEST_DURATION"
	pageVariable  = "DKV_TEST_SHOTS" // a directory to write the history's page to
)

// testKills tests the promise of the whole system. Nodes are killed with kill -9
// and restarted one after the other, or paused for longer than the failover
// timeout, and ZooKeeper is killed once; meanwhile 16 clients must see one
// register per key, also without ZooKeeper (rule "serve without a session"). Then
// all nodes are killed at once, and every acknowledged write must still be there
// (rule "durable before acknowledged"). DKV_TEST_DURATION=30s makes the test longer.
func testKills(t *testing.T, p programs) {
	duration := killsDuration
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil || duration < minDuration {
			t.Fatalf("invalid %s=%q (want a duration of at least %v)", killsVariable, text, minDuration)
		}
	}
	k := startKillsCluster(t, p)
	file := filepath.Join(t.TempDir(), "history.jsonl")
	w := newWorkload(t, file, k.bases(), 40)
	k.timeline = newClusterTimeline(w, k.nodes)
	k.observeTakeOvers()
	w.start(16)
	k.killInTurn(w, duration)
	faulted := time.Since(k.began)
	k.killAll()
	w.end()
	k.recover()
	reader := w.client(16)
	for _, key := range w.keys {
		reader.read(key, patience)
	}
	w.close(&k.timeline.annotations)
	k.judge(w, p, faulted)
}

// killsCluster is five nodes with Apache ZooKeeper, and counts of the faults.
type killsCluster struct {
	t         *testing.T
	zookeeper *apacheZooKeeper
	nodes     []*node
	began     time.Time // when all nodes were ready
	kills     int       // of a single node, while the others were running
	pauses    int
	takeOvers int                 // seen here; there may have been more
	primaries map[int]epochLeader // latest seen, by partition
	timeline  *clusterTimeline
	slowest   time.Duration // longest time from a restart to ready
}

// epochLeader is the primary of one epoch of a partition.
type epochLeader struct {
	Epoch   uint64
	Primary uint32
}

func startKillsCluster(t *testing.T, p programs) *killsCluster {
	k := &killsCluster{t: t, zookeeper: startApacheZooKeeper(t), primaries: map[int]epochLeader{}}
	dir := t.TempDir()
	for i := range 5 {
		k.nodes = append(k.nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), nodeFlags{
			"cluster": "kills", "zookeeper": k.zookeeper.address, "partitions": "32",
		}))
	}
	for _, n := range k.nodes {
		n.start()
	}
	for _, n := range k.nodes {
		n.awaitReady(30 * time.Second)
	}
	k.began = time.Now()
	return k
}

func (k *killsCluster) bases() []string {
	var bases []string
	for _, n := range k.nodes {
		bases = append(bases, n.http)
	}
	return bases
}

// killInTurn kills one node after the other for the given time. Once it kills
// ZooKeeper together with a node, so that both are missing when a failover needs
// them. A slow machine gets up to three times as long to reach the minimums.
func (k *killsCluster) killInTurn(w *workload, duration time.Duration) {
	const withZooKeeper = 1 // the kill of a node that takes ZooKeeper with it
	for i := 0; ; i++ {
		passed := time.Since(k.began)
		enough := k.missed(w) == "" && i > withZooKeeper
		if passed >= duration && enough || passed >= 3*duration || k.t.Failed() {
			return
		}
		if i == withZooKeeper {
			k.zookeeper.kill()
			k.timeline.down(zooKeeperLane, "kill -9")
		}
		n := k.nodes[i%len(k.nodes)]
		n.kill()
		k.timeline.down(n.id, "kill -9")
		k.kills++
		time.Sleep(300 * time.Millisecond)
		if i == withZooKeeper {
			k.zookeeper.start()
			k.zookeeper.awaitServing()
			k.timeline.up(zooKeeperLane)
		}
		time.Sleep(700 * time.Millisecond) // meanwhile others take over
		n.start()
		k.slowest = max(k.slowest, n.awaitReady(patience))
		k.timeline.up(n.id)
		time.Sleep(300 * time.Millisecond)
		if i%2 == 0 {
			k.pause(k.nodes[(i+2)%len(k.nodes)])
		}
		k.observeTakeOvers()
	}
}

// pause stops a node until others have taken over. When it continues it believes
// for a moment that it is still a primary, while clients' calls are waiting for
// it.
func (k *killsCluster) pause(n *node) {
	n.signal(syscall.SIGSTOP)
	k.timeline.paused(n.id)
	time.Sleep(1200 * time.Millisecond)
	n.signal(syscall.SIGCONT)
	k.timeline.up(n.id)
	k.pauses++
}

// killAll kills every node at once, while clients wait for answers.
func (k *killsCluster) killAll() {
	for _, n := range k.nodes {
		n.signal(os.Kill)
	}
	for _, n := range k.nodes {
		n.kill()
		k.timeline.down(n.id, "kill -9 of all")
	}
}

func (k *killsCluster) recover() {
	for _, n := range k.nodes {
		n.start()
	}
	for _, n := range k.nodes {
		k.slowest = max(k.slowest, n.awaitReady(patience))
		k.timeline.up(n.id)
	}
}

// observeTakeOvers asks the nodes for the primaries, and counts the partitions
// whose primary has changed since its last call.
func (k *killsCluster) observeTakeOvers() {
	newest := map[int]epochLeader{}
	for _, n := range k.nodes {
		_, body := call(http.MethodGet, n.http+"/v1/partitions", "")
		var page struct {
			Member     uint32
			Partitions []struct {
				ID int
				epochLeader
			}
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			continue // another node will answer
		}
		k.timeline.names[page.Member] = n.id
		for _, p := range page.Partitions {
			if p.Epoch > newest[p.ID].Epoch {
				newest[p.ID] = p.epochLeader
			}
		}
	}
	for id, now := range newest {
		if before, known := k.primaries[id]; known && before.Primary != now.Primary {
			k.takeOvers++
		}
		if before := k.primaries[id]; before != now {
			k.timeline.primary(id, now)
		}
		k.primaries[id] = now
	}
}

// missed lists the minimums that the test has not reached yet.
func (k *killsCluster) missed(w *workload) string {
	var missed []string
	if k.kills < minKills {
		missed = append(missed, fmt.Sprintf("%d of %d kills", k.kills, minKills))
	}
	if n := w.acknowledged.Load(); n < minAcknowledged {
		missed = append(missed, fmt.Sprintf("%d of %d acknowledged writes", n, minAcknowledged))
	}
	if k.takeOvers < minTakeOvers {
		missed = append(missed, fmt.Sprintf("%d of %d changes of primary", k.takeOvers, minTakeOvers))
	}
	return strings.Join(missed, ", ")
}

// judge checks the history, in this process and with dkvsim check.
func (k *killsCluster) judge(w *workload, p programs, faulted time.Duration) {
	t := k.t
	if missed := k.missed(w); missed != "" {
		t.Errorf("this test proves nothing after %v of faults: only %s", faulted.Round(time.Millisecond), missed)
	}
	history := w.recorder.History()
	began := time.Now()
	result, err := linearizability.Check(history, linearizability.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checked := time.Since(began)
	if result.Verdict != linearizability.Linearizable {
		var report strings.Builder
		_ = result.WriteText(&report)
		t.Errorf("%s\nhistory saved in %s", report.String(), keep(t, w.file.Name()))
	}
	for _, v := range append(linearizability.LostWrites(history), linearizability.RefusedValuesSeen(history)...) {
		t.Error(v)
	}
	checkFinalReads(t, history, w.keys)
	k.checkWithPage(w, p)
	c := count(history, faulted)
	t.Logf("%v of faults: %d kills in turn, %d pauses, ZooKeeper killed once, then all five at once; %d acknowledged writes, %d changes of primary seen; %d operations: %d ok, %d refused, %d unknown; "+
		"longest gap without a success %v, of one key %v; slowest restart to ready %v; checked in %v", faulted.Round(time.Millisecond), k.kills, k.pauses,
		w.acknowledged.Load(), k.takeOvers, c.operations, c.ok, c.refused, c.unknown, c.gap.Round(time.Millisecond), c.keyGap.Round(time.Millisecond),
		k.slowest.Round(time.Millisecond), checked.Round(time.Millisecond))
}

// checkWithPage runs dkvsim check on the file and checks the page it writes.
func (k *killsCluster) checkWithPage(w *workload, p programs) {
	t := k.t
	page := filepath.Join(t.TempDir(), "report.html")
	if output, err := exec.Command(p.dkvsim, "check", "--html", page, w.file.Name()).CombinedOutput(); err != nil {
		t.Errorf("dkvsim check: %v\n%s", err, output)
	}
	recording, err := linearizability.ReadRecordingFile(w.file.Name(), linearizability.ReadOptions{})
	if err != nil || recording.Annotations == nil {
		t.Fatalf("the file of the history has no annotations: %v", err)
	}
	if downs := len(recording.Annotations.Bands); downs < k.kills+k.pauses+1 {
		t.Errorf("the file of the history shows %d faults, want those of %d kills, %d pauses and one kill of ZooKeeper", downs, k.kills, k.pauses)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"kill -9 of all", "SIGSTOP", zooKeeperLane, `"primary"`} {
		if !strings.Contains(string(text), word) {
			t.Errorf("the page of the history lacks %q", word)
		}
	}
	if dir := os.Getenv(pageVariable); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "real-cluster.html"), text, 0o644); err != nil {
			t.Error(err)
		}
	}
}

// keep copies a file to a place that outlives the test.
func keep(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.CreateTemp("", "dkv-*-"+filepath.Base(file))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if _, err := kept.Write(text); err != nil {
		t.Fatal(err)
	}
	return kept.Name()
}
