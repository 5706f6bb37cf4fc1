//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Both take about a second on a quiet machine.
	readyWithin  = 45 * time.Second // from the start of a cluster
	servedWithin = 45 * time.Second // every key, from the loss of a node
	localKeys    = 40
)

// testLocal follows a user's first day: start a cluster, use it, stop it, restart
// it, kill the launcher, kill each node.
func testLocal(t *testing.T, p programs) {
	t.Parallel()
	l := newLauncher(t, p)
	ready := l.start()
	t.Logf("ready %v after the start", ready.Round(time.Millisecond))
	l.checkFirstCalls()
	kept := newContents(t, localKeys)
	kept.write(l.bases)
	l.interrupt()

	l.start()
	kept.check(l.bases)
	l.loseLauncher()

	l.start()
	kept.check(l.bases)
	l.loseEachNode(kept)
	l.interrupt()
}

// testLocalLosesAll kills the launcher with its embedded ZooKeeper and all nodes
// at the same time, in the middle of writes. The cluster that comes back must be
// the same one, with the whole history of its layout and with every key.
func testLocalLosesAll(t *testing.T, p programs) {
	t.Parallel()
	l := newLauncher(t, p)
	l.start()
	kept := newContents(t, localKeys)
	kept.write(l.bases)
	for round := range 2 {
		before := l.layout()
		first, busy := kept.writeUntilLoss(l.bases)
		select {
		case <-first:
		case <-busy:
			t.Fatal("a write failed before the kill")
		}
		time.Sleep(time.Duration(100+50*round) * time.Millisecond)
		l.loseAll()
		<-busy
		l.start()
		after := l.layout()
		if after.Cluster != before.Cluster || after.Version < before.Version {
			t.Errorf("before the kill: cluster %s, layout %d; after it: cluster %s, layout %d",
				before.Cluster, before.Version, after.Cluster, after.Version)
		}
		if !slices.Equal(before.Members, after.Members) {
			t.Errorf("members before the kill: %+v; after it: %+v", before.Members, after.Members)
		}
		kept.check(l.bases)
		kept.write(l.bases)
	}
	l.interrupt()
}

// layoutPage is the part of /v1/cluster that describes the layout.
type layoutPage struct {
	Cluster string
	Version int
	Members []struct {
		Number            int
		Node, Store, Peer string
		HTTP, Zone, State string
		Weight, Replicas  int
	}
}

// layout returns the newest layout that any node knows. All nodes must belong to
// the same cluster.
func (l *launcher) layout() layoutPage {
	l.t.Helper()
	var newest layoutPage
	for i, base := range l.bases {
		var page layoutPage
		status, body := call(http.MethodGet, base+"/v1/cluster", "")
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
			l.t.Fatalf("/v1/cluster of node %d: %d %s", i+1, status, body)
		}
		if page.Cluster == "" || len(page.Members) != 5 || i > 0 && page.Cluster != newest.Cluster {
			l.t.Fatalf("/v1/cluster of node %d: %s; the other nodes belong to cluster %q", i+1, body, newest.Cluster)
		}
		if i == 0 || page.Version > newest.Version {
			newest = page
		}
	}
	return newest
}

// loseAll kills the launcher and all nodes. It stops them all first, so that none
// of them can react to the death of another.
func (l *launcher) loseAll() {
	l.t.Helper()
	pids := append([]int{l.pid()}, l.pids...)
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range pids {
			if err := syscall.Kill(pid, signal); err != nil && signal == syscall.SIGSTOP {
				l.t.Fatalf("%v to %d: %v", signal, pid, err)
			}
		}
	}
	l.loseLauncher() // waits until all are gone
}

// testLocalOnApacheZooKeeper uses a ZooKeeper that outlives the launcher, and with
// it the sessions of the nodes.
func testLocalOnApacheZooKeeper(t *testing.T, p programs) {
	t.Parallel()
	z := startApacheZooKeeper(t)
	l := newLauncher(t, p, "--zookeeper", z.address)
	l.start()
	l.checkFirstCalls()
	kept := newContents(t, localKeys)
	kept.write(l.bases)
	l.loseLauncher()

	l.start()
	kept.check(l.bases)
	l.loseNode(0, kept)
	l.interrupt()

	l.start()
	kept.check(l.bases)
	l.interrupt()
}

// launcher is a dkv local process, with what it printed about its nodes.
type launcher struct {
	*process
	nodes  int
	data   string
	port   int
	bases  []string   // the nodes' base URLs
	pids   []int      // of the nodes that are the launcher's children
	again  []string   // the shell commands that restart them
	strays []*process // nodes that the test restarted
}

func newLauncher(t *testing.T, p programs, args ...string) *launcher {
	t.Helper()
	return newLauncherOf(t, p, 5, args...)
}

// newLauncherOf prepares a launcher of at most five nodes.
func newLauncherOf(t *testing.T, p programs, nodes int, args ...string) *launcher {
	t.Helper()
	dir := t.TempDir()
	ports := []int{1, 2} // next to the first: ZooKeeper, and its own for peers
	for i := 1; i < 5; i++ {
		ports = append(ports, 10*i, 10*i+2)
	}
	data := filepath.Join(dir, "data")
	l := &launcher{nodes: nodes, data: data, port: freePorts(t, ports...)}
	args = append([]string{p.dkv, "local", "--nodes", strconv.Itoa(nodes), "--data", data, "--base-port", strconv.Itoa(l.port)}, args...)
	t.Cleanup(func() {
		for i := 1; t.Failed() && i <= 5; i++ {
			text, err := os.ReadFile(filepath.Join(data, fmt.Sprintf("n%d.log", i)))
			t.Logf("last lines of n%d.log (%v):\n%s", i, err, tail(string(text), 15))
		}
	})
	l.process = newProcess(t, dir, "local", args...)
	return l
}

var (
	nodeLine  = regexp.MustCompile(`(?m)^  n\d +clients (http://\S+) +peers \S+ +pid (\d+)$`)
	againLine = regexp.MustCompile(`(?m)^  (\S+ node --id n\d .*)$`)
)

// start starts the cluster, waits until every node is ready, and parses what the
// launcher printed. The test fails if that takes longer than readyWithin.
func (l *launcher) start() time.Duration {
	l.t.Helper()
	before := len(l.processOutputIfAny())
	began := time.Now()
	l.process.start()
	await(l.t, patience, func() error {
		if !l.running() {
			return stop{fmt.Errorf("dkv local exited: %v", l.command.ProcessState)}
		}
		if !strings.Contains(l.output()[before:], "Press Ctrl-C to stop the cluster.") {
			return fmt.Errorf("dkv local has not printed that the cluster is ready")
		}
		return nil
	})
	took := time.Since(began)
	if took > readyWithin {
		l.t.Errorf("the cluster was ready after %v, want at most %v", took, readyWithin)
	}
	l.bases, l.pids, l.again = nil, nil, nil
	said := l.output()[before:]
	for i, m := range nodeLine.FindAllStringSubmatch(said, -1) {
		pid, _ := strconv.Atoi(m[2])
		l.bases, l.pids = append(l.bases, m[1]), append(l.pids, pid)
		if want := fmt.Sprintf("http://127.0.0.1:%d", l.port+10*i); m[1] != want {
			l.t.Errorf("node %d serves at %s, want %s", i+1, m[1], want)
		}
		// After a restart, partitions go back to the nodes that the ring prefers.
		if err := readiness(m[1]); err != nil && !strings.Contains(err.Error(), "starting as primary of partition") {
			l.t.Errorf("dkv local printed that the cluster is ready, but: %v", err)
		}
	}
	for _, m := range againLine.FindAllStringSubmatch(said, -1) {
		l.again = append(l.again, m[1])
	}
	if len(l.bases) != l.nodes || len(l.again) != l.nodes {
		l.t.Fatalf("dkv local printed %d nodes and %d commands to restart them, want %d of each:\n%s", len(l.bases), len(l.again), l.nodes, said)
	}
	return took
}

func (l *launcher) processOutputIfAny() string {
	if l.command == nil {
		return ""
	}
	return l.output()
}

// checkFirstCalls makes the calls of the README, through three nodes.
func (l *launcher) checkFirstCalls() {
	l.t.Helper()
	var put struct{ Version uint64 }
	_, body := l.expect(http.MethodPost, 0, "/put", `{"key":"hello","value":"world"}`, http.StatusOK, "")
	if err := json.Unmarshal([]byte(body), &put); err != nil || put.Version == 0 {
		l.t.Fatalf("POST /put answered %s", body)
	}
	if want := fmt.Sprintf(`{"status":"Success","key":"hello","version":%d}`+"\n", put.Version); body != want {
		l.t.Errorf("POST /put answered %q, want %q", body, want)
	}
	l.expect(http.MethodGet, 1, "/get?key=hello", "", http.StatusOK, fmt.Sprintf(`{"key":"hello","value":"world","version":%d}`+"\n", put.Version))
	l.expect(http.MethodDelete, 2, "/delete?key=hello", "", http.StatusOK, `{"status":"Success","key":"hello"}`+"\n")
	l.expect(http.MethodGet, 1, "/get?key=hello", "", http.StatusNotFound, `{"status":"Failed","key":"hello"}`+"\n")
	l.expect(http.MethodDelete, 0, "/delete?key=hello", "", http.StatusNotFound, `{"status":"Failed","key":"hello"}`+"\n")
}

// expect makes a call to a node and checks the answer. An empty wantBody accepts
// any body.
func (l *launcher) expect(method string, node int, path, body string, wantStatus int, wantBody string) (status int, answer string) {
	l.t.Helper()
	status, answer = call(method, l.bases[node]+path, body)
	if status != wantStatus || wantBody != "" && answer != wantBody {
		l.t.Errorf("%s %s to node %d: %d %q, want %d %q", method, path, node+1, status, answer, wantStatus, wantBody)
	}
	return status, answer
}

// interrupt sends SIGINT, as Ctrl-C does: the launcher must stop its nodes and
// exit with code 0.
func (l *launcher) interrupt() {
	l.t.Helper()
	for _, s := range l.strays {
		s.signal(syscall.SIGTERM)
		if code := s.wait(patience); code != 0 {
			l.t.Errorf("%s: exit code %d after SIGTERM, want 0", s.name, code)
		}
	}
	l.strays = nil
	began := time.Now()
	l.signal(os.Interrupt)
	if code := l.wait(patience); code != 0 {
		l.t.Errorf("dkv local: exit code %d after SIGINT, want 0", code)
	}
	for i, pid := range l.pids {
		if !gone(pid) {
			l.t.Errorf("node %d (pid %d) is still running after SIGINT to dkv local", i+1, pid)
		}
	}
	if strings.Contains(l.output(), "killing it") {
		l.t.Errorf("dkv local had to kill a node")
	}
	l.t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
}

// loseLauncher kills the launcher with SIGKILL, which must take the nodes with it.
func (l *launcher) loseLauncher() {
	l.t.Helper()
	l.kill()
	await(l.t, patience, func() error {
		for i, pid := range l.pids {
			if !gone(pid) {
				return fmt.Errorf("node %d (pid %d) is still running after kill -9 of dkv local", i+1, pid)
			}
		}
		return nil
	})
}

// loseEachNode kills one node after the other, and restarts each with the command
// that was printed.
func (l *launcher) loseEachNode(kept *contents) {
	l.t.Helper()
	var slowest time.Duration
	for i := range l.bases {
		slowest = max(slowest, l.loseNode(i, kept))
		l.restart(i)
	}
	l.t.Logf("every key could be read and written at most %v after the loss of a node", slowest.Round(time.Millisecond))
}

// loseNode kills a node with SIGKILL and checks that every key can soon be read
// and written through the others.
func (l *launcher) loseNode(i int, kept *contents) time.Duration {
	l.t.Helper()
	if err := syscall.Kill(l.pids[i], syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	began := time.Now()
	others := slices.Delete(slices.Clone(l.bases), i, i+1)
	kept.check(others)
	kept.write(others)
	took := time.Since(began)
	if took > servedWithin {
		l.t.Errorf("every key could be read and written %v after the loss of node %d, want at most %v", took, i+1, servedWithin)
	}
	l.process.awaitOutput(fmt.Sprintf("node n%d (pid %d) exited: signal: killed", i+1, l.pids[i]), patience)
	return took
}

// restart runs the command that the launcher printed in a shell.
func (l *launcher) restart(i int) {
	l.t.Helper()
	name := fmt.Sprintf("n%d-again", i+1)
	s := newProcess(l.t, filepath.Dir(l.log), name, "sh", "-c", "exec "+l.again[i])
	s.start()
	l.strays = append(l.strays, s)
	await(l.t, patience, func() error {
		if !s.running() {
			return stop{fmt.Errorf("%s exited: %v", name, s.command.ProcessState)}
		}
		return readiness(l.bases[i])
	})
}

// contents is what a cluster should hold: for each key the value of its last
// acknowledged write, or that of any write whose outcome is unknown.
type contents struct {
	t     *testing.T
	keys  []string
	value map[string]string
	maybe map[string][]string
	wrote int
}

func newContents(t *testing.T, keys int) *contents {
	c := &contents{t: t, value: map[string]string{}, maybe: map[string][]string{}}
	for i := range keys {
		c.keys = append(c.keys, fmt.Sprintf("local/%d é", i))
	}
	return c
}

// write gives every key a new value, going through the nodes in turn.
func (c *contents) write(bases []string) {
	c.t.Helper()
	for i, key := range c.keys {
		tries := 0
		await(c.t, 2*servedWithin, func() error {
			c.wrote++
			value := fmt.Sprintf("value %d", c.wrote)
			body, _ := json.Marshal(map[string]string{"key": key, "value": value})
			tries++
			status, answer := call(http.MethodPost, bases[(i+tries)%len(bases)]+"/put", string(body))
			if status != http.StatusOK {
				c.maybe[key] = append(c.maybe[key], value)
				return fmt.Errorf("writing %s: %d %s", key, status, answer)
			}
			c.value[key] = value
			return nil
		})
	}
}

// writeUntilLoss overwrites one key after the other until a write fails. It closes
// first when one has succeeded, and done at the end.
func (c *contents) writeUntilLoss(bases []string) (first, done chan struct{}) {
	first, done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			key := c.keys[n%len(c.keys)]
			c.wrote++
			value := fmt.Sprintf("value %d", c.wrote)
			body, _ := json.Marshal(map[string]string{"key": key, "value": value})
			if status, _ := call(http.MethodPost, bases[n%len(bases)]+"/put", string(body)); status != http.StatusOK {
				c.maybe[key] = append(c.maybe[key], value)
				return
			}
			c.value[key] = value
			if n == 0 {
				close(first)
			}
		}
	}()
	return first, done
}

// check reads every key, going through the nodes in turn.
func (c *contents) check(bases []string) {
	c.t.Helper()
	for i, key := range c.keys {
		tries := 0
		await(c.t, 2*servedWithin, func() error {
			tries++
			status, answer := call(http.MethodGet, bases[(i+tries)%len(bases)]+"/get?key="+url.QueryEscape(key), "")
			var got struct{ Key, Value string }
			switch err := json.Unmarshal([]byte(answer), &got); {
			case status == 0 || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
				return fmt.Errorf("reading %s: %d %s", key, status, answer)
			case status != http.StatusOK || err != nil || got.Key != key || got.Value != c.value[key] && !slices.Contains(c.maybe[key], got.Value):
				return stop{fmt.Errorf("reading %s: %d %s, want %q", key, status, answer, c.value[key])}
			}
			return nil
		})
	}
}
