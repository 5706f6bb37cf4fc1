//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testPausedCopy freezes a node that is being sent a snapshot. For a few seconds no chunk
// comes; then the transfer continues where it stopped, since the source holds its View for
// a minute (rule "continue under the same name"). What was sent shows that nothing was sent
// twice.
func testPausedCopy(t *testing.T, p programs) {
	t.Parallel()
	const values, valueBytes = 48, 256 << 10
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "1", "move-rate": "3MiB"}
	nodes := startNodes(t, p, dir, 3, flags)
	text := strings.Repeat("v", valueBytes)
	for i := range values {
		await(t, patience, func() error {
			status, body := call(http.MethodPost, nodes[0].http+"/put", fmt.Sprintf(`{"key":"k%d","value":"%s"}`, i, text))
			if status != http.StatusOK {
				return fmt.Errorf("put k%d: %d %s", i, status, body)
			}
			return nil
		})
	}
	copied := func() (sum float64) {
		for _, n := range nodes {
			sum += copiedBy(n)
		}
		return sum
	}
	awaitCopied := func(least float64) {
		await(t, patience, func() error {
			if sum := copied(); sum < least {
				return fmt.Errorf("%.0f bytes were copied, want %.0f", sum, least)
			}
			return nil
		})
	}

	// The loss of a member leaves one set of three for the partition: with the fourth.
	fourth := newNode(t, p, dir, "n4", flags)
	fourth.start()
	fourth.awaitReady(patience)
	member(t, p, nodes[0], "drain", "n3")
	awaitCopied(values * valueBytes / 2)
	fourth.signal(syscall.SIGSTOP)
	time.Sleep(3 * time.Second)
	fourth.signal(syscall.SIGCONT)
	awaitReplicas(t, nodes[0], "n3", func(replicas int) bool { return replicas == 0 })
	awaitReplicas(t, nodes[0], "n4", func(replicas int) bool { return replicas == 1 })
	if sum, needed := copied(), float64(values*valueBytes); sum < needed || sum > 1.2*needed {
		t.Errorf("%.0f bytes were sent for %.0f: the transfer began anew, or nothing was sent", sum, needed)
	}
	for i := range values {
		if status, body := call(http.MethodGet, fmt.Sprintf("%s/get?key=k%d", fourth.http, i), ""); status != http.StatusOK || !strings.Contains(body, text) {
			t.Fatalf("key k%d: %d %.80s", i, status, body)
		}
	}
	for _, n := range append(nodes, fourth) {
		n.terminate()
	}
}
