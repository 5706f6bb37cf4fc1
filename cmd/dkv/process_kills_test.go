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

// Fewer than these, and the test has shown nothing.
const (
	minKills        = 3
	minAcknowledged = 1000
	minTakeOvers    = 1
	minDuration     = 10 * time.Second

	killsDuration = 12 * time.Second // unless the environment says otherwise
	killsVariable = "DKV_TEST_DURATION"
	pageVariable  = "DKV_TEST_SHOTS" // a directory that gets the history's page
)

// testKills is the promise of the whole: while nodes are killed -9 and started
// again in turn, or stopped for longer than the others wait for them, and
// ZooKeeper is killed once, 16 clients see one register per key; and after all
// nodes are killed at once, every acknowledged write is there.
// DKV_TEST_DURATION=30s makes it longer.
func testKills(t *testing.T, p programs) {
	duration := killsDuration
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil || duration < minDuration {
			t.Fatalf("%s=%q: give a duration of at least %v", killsVariable, text, minDuration)
		}
	}
	k := startKillsCluster(t, p)
	file := filepath.Join(t.TempDir(), "history.jsonl")
	w := newWorkload(t, file, k.bases(), 40)
	k.scene = newClusterScene(w, k.nodes)
	k.observeTakeOvers()
	w.start(16)
	k.killInTurn(w, duration)
	faulted := time.Since(k.began)
	k.killAll()
	w.end()
	k.recover()
	reader := w.client(16)
	for _, key := range w.keys {
		reader.read(key, 10*time.Second)
	}
	w.close(&k.scene.scene)
	k.judge(w, p, faulted)
}

// killsCluster is five nodes and Apache ZooKeeper, and what was done to them.
type killsCluster struct {
	t         *testing.T
	zookeeper *apacheZooKeeper
	nodes     []*node
	began     time.Time // when all were ready
	kills     int       // of one node, while the others ran
	pauses    int
	takeOvers int                 // seen; there may have been more
	primaries map[int]epochLeader // by partition, as seen last
	scene     *clusterScene
	slowest   time.Duration // a restarted node took to be ready
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
		n.awaitReady(20 * time.Second)
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

// killInTurn kills node after node for a while, and ZooKeeper once, together
// with a node, so that both are needed and away. A slow machine gets up to
// three times as long to reach what the test asks.
func (k *killsCluster) killInTurn(w *workload, duration time.Duration) {
	const withZooKeeper = 1 // the kill that ZooKeeper shares
	for i := 0; ; i++ {
		passed := time.Since(k.began)
		enough := k.missed(w) == "" && i > withZooKeeper
		if passed >= duration && enough || passed >= 3*duration || k.t.Failed() {
			return
		}
		if i == withZooKeeper {
			k.zookeeper.kill()
			k.scene.down(zooKeeperLane, "kill -9")
		}
		n := k.nodes[i%len(k.nodes)]
		n.kill()
		k.scene.down(n.id, "kill -9")
		k.kills++
		time.Sleep(300 * time.Millisecond)
		if i == withZooKeeper {
			k.zookeeper.start()
			k.zookeeper.awaitServing()
			k.scene.up(zooKeeperLane)
		}
		time.Sleep(700 * time.Millisecond) // others take over meanwhile
		n.start()
		k.slowest = max(k.slowest, n.awaitReady(20*time.Second))
		k.scene.up(n.id)
		time.Sleep(300 * time.Millisecond)
		if i%2 == 0 {
			k.pause(k.nodes[(i+2)%len(k.nodes)])
		}
		k.observeTakeOvers()
	}
}

// pause stops a node until others have taken over. When it goes on it believes
// for a moment to be the primary that it was, and clients have been asking.
func (k *killsCluster) pause(n *node) {
	n.signal(syscall.SIGSTOP)
	k.scene.paused(n.id)
	time.Sleep(1200 * time.Millisecond)
	n.signal(syscall.SIGCONT)
	k.scene.up(n.id)
	k.pauses++
}

// killAll kills every node at once, while clients wait for answers.
func (k *killsCluster) killAll() {
	for _, n := range k.nodes {
		n.signal(os.Kill)
	}
	for _, n := range k.nodes {
		n.kill()
		k.scene.down(n.id, "kill -9 of all")
	}
}

func (k *killsCluster) recover() {
	for _, n := range k.nodes {
		n.start()
	}
	for _, n := range k.nodes {
		k.slowest = max(k.slowest, n.awaitReady(20*time.Second))
		k.scene.up(n.id)
	}
}

// observeTakeOvers counts the partitions that have another primary than when
// it was last called, by what the nodes know.
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
			continue // others will know
		}
		k.scene.names[page.Member] = n.id
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
			k.scene.primary(id, now)
		}
		k.primaries[id] = now
	}
}

// missed names what the test has not reached yet.
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

// judge checks the history, here and with dkvsim check.
func (k *killsCluster) judge(w *workload, p programs, faulted time.Duration) {
	t := k.t
	if missed := k.missed(w); missed != "" {
		t.Errorf("too little happened in %v for this test to mean anything: %s", faulted.Round(time.Millisecond), missed)
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
		t.Errorf("%s\nthe history is kept: %s", report.String(), keep(t, w.file.Name()))
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

// checkWithPage has dkvsim judge the file, and write its page.
func (k *killsCluster) checkWithPage(w *workload, p programs) {
	t := k.t
	page := filepath.Join(t.TempDir(), "report.html")
	if output, err := exec.Command(p.dkvsim, "check", "--html", page, w.file.Name()).CombinedOutput(); err != nil {
		t.Errorf("dkvsim check: %v\n%s", err, output)
	}
	recording, err := linearizability.ReadRecordingFile(w.file.Name(), linearizability.ReadOptions{})
	if err != nil || recording.Annotations == nil {
		t.Fatalf("the history's file has no annotations: %v", err)
	}
	if downs := len(recording.Annotations.Bands); downs < k.kills+k.pauses+1 {
		t.Errorf("the history's file tells of %d faults, of %d kills, %d pauses and one of ZooKeeper", downs, k.kills, k.pauses)
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

// keep copies a file to where it outlives the test.
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
