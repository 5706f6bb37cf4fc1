//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// testZones forms a cluster of five nodes in zones of two, two and one. No partition may have
// two of its replicas in one zone; so the loss of a zone stops none, and the node that is
// alone in its zone stores all of them. With zones=prefer the weights go first.
func testZones(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	var nodes []*node
	for i, zone := range []string{"a", "a", "b", "b", "c"} {
		flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "5", "partitions": "64", "zone": zone}
		nodes = append(nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), flags))
		nodes[i].start()
	}
	for _, n := range nodes {
		n.awaitReady(patience)
	}
	for i := range 100 {
		put(t, nodes[i%5], i)
	}
	const alone = "n5 stores 100 % of all partitions instead of 60 % by its weight, because zone c has too few members"
	statusSays(t, p, nodes[0], alone)
	if stopped := stoppedBy(t, nodes[0]); len(stopped) > 0 {
		t.Errorf("a new cluster has partitions that the loss of a zone stops: %v", stopped)
	}

	setting := func(what string) {
		out, err := exec.Command(p.dkv, "cluster", "set", what, "--server", strings.TrimPrefix(nodes[1].http, "http://")).CombinedOutput()
		if err != nil {
			t.Fatalf("dkv cluster set %s: %v, %s", what, err, out)
		}
	}
	setting("zones=prefer")
	awaitReplicas(t, nodes[0], "n5", func(replicas int) bool { return replicas < 50 })
	statusSays(t, p, nodes[0], "the loss of zone a would stop ")
	if stopped := stoppedBy(t, nodes[0]); len(stopped["a"]) == 0 || len(stopped["c"]) > 0 {
		t.Errorf("with zones=prefer the loss of a zone stops %v", stopped)
	}
	setting("zones=strict")
	awaitReplicas(t, nodes[0], "n5", func(replicas int) bool { return replicas == 64 })
	await(t, patience, func() error {
		if stopped := stoppedBy(t, nodes[0]); len(stopped) > 0 {
			return fmt.Errorf("with zones=strict the loss of a zone stops %v", stopped)
		}
		return nil
	})

	for _, n := range nodes[:2] { // zone a is lost
		n.kill()
	}
	for i := range 100 {
		awaitValue(t, nodes[2+i%3], i)
		put(t, nodes[2+i%3], i)
	}
	for _, n := range nodes[2:] {
		n.terminate()
	}
}

// stoppedBy returns, by zone, the partitions that would have no majority without it.
func stoppedBy(t *testing.T, n *node) map[string][]uint32 {
	t.Helper()
	var page struct{ StoppedBy map[string][]uint32 }
	status, body := call(http.MethodGet, n.http+"/v1/cluster", "")
	if err := json.Unmarshal([]byte(body), &page); status != http.StatusOK || err != nil {
		t.Fatalf("/v1/cluster of %s: %d %s", n.id, status, body)
	}
	return page.StoppedBy
}

// statusSays waits until dkv status prints a text.
func statusSays(t *testing.T, p programs, at *node, text string) {
	t.Helper()
	await(t, patience, func() error {
		out, _ := exec.Command(p.dkv, "status", "--server", strings.TrimPrefix(at.http, "http://")).CombinedOutput()
		if !strings.Contains(string(out), text) {
			return fmt.Errorf("dkv status does not say %q:\n%s", text, out)
		}
		return nil
	})
}
