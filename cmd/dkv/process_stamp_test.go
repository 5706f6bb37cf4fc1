//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// threeNodes starts a cluster, and stops its first node once so that its data directory can
// be copied. It returns the nodes, which run, and two copies of that directory.
func threeNodes(t *testing.T, p programs) (nodes []*node, flags nodeFlags, copies [2]string) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags = nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "4"}
	for i := range 3 {
		nodes = append(nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), flags))
		nodes[i].start()
	}
	for _, n := range nodes {
		n.awaitReady(30 * time.Second)
	}
	nodes[0].terminate()
	for i := range copies {
		copies[i] = filepath.Join(dir, fmt.Sprintf("copy-%d", i))
		if err := os.CopyFS(copies[i], os.DirFS(filepath.Join(dir, "n1"))); err != nil {
			t.Fatal(err)
		}
	}
	nodes[0].start()
	nodes[0].awaitReady(30 * time.Second)
	return nodes, flags, copies
}

// testRestoredDataDirectory checks rule "a disk proves that it was not rolled back": a node
// on an earlier state of its own disk ends, also under another id, and nothing is lost.
func testRestoredDataDirectory(t *testing.T, p programs) {
	nodes, flags, copies := threeNodes(t, p)
	for i := range 20 {
		await(t, patience, func() error {
			status, body := call(http.MethodPut, nodes[0].http+fmt.Sprintf("/v1/kv/k%d", i), "v")
			if status >= 300 {
				return fmt.Errorf("PUT answers %d %s", status, body)
			}
			return nil
		})
	}
	nodes[0].terminate()
	for i, id := range []string{"n1", "another"} {
		restored := newNode(t, p, t.TempDir(), id, flags.with("data", copies[i]))
		restored.start()
		restored.refusal("must not be used any more", "dkv member replace")
		restored.start() // its word is final
		restored.refusal("must not be used any more")
	}
	for i := range 20 {
		await(t, patience, func() error {
			status, body := call(http.MethodGet, nodes[1].http+fmt.Sprintf("/v1/kv/k%d", i), "")
			if status != http.StatusOK || body != "v" {
				return fmt.Errorf("GET answers %d %s", status, body)
			}
			return nil
		})
	}
	nodes[1].terminate()
	nodes[2].terminate()
}

// testCopiedDataDirectory checks the same rule for a copy beside the original: the copy ends
// and the original does not notice.
func testCopiedDataDirectory(t *testing.T, p programs) {
	nodes, flags, copies := threeNodes(t, p)
	for i, id := range []string{"n1", "another"} {
		twin := newNode(t, p, t.TempDir(), id, flags.with("data", copies[i]))
		twin.start()
		twin.refusal("another process runs with this data directory's store", "nothing was changed")
	}
	if err := readiness(nodes[0].http); err != nil {
		t.Errorf("the original is not ready any more: %v", err)
	}
	for _, n := range nodes {
		n.terminate()
	}
}
