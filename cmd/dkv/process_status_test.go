//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testStatus checks that dkv status and /v1/health tell the truth on bad days: members that
// hang, a majority that hangs, and a ZooKeeper that lost the layout.
func testStatus(t *testing.T, p programs) {
	t.Parallel()
	zookeeper := serveZooKeeper(t, freePorts(t))
	nodes := startNodes(t, p, t.TempDir(), 3, nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "16"})
	server := func(n *node) string { return strings.TrimPrefix(n.http, "http://") }
	all := server(nodes[2]) + "," + server(nodes[1]) + "," + server(nodes[0])
	// says waits until dkv status exits with a code and prints texts, each time in time.
	says := func(code int, texts ...string) {
		t.Helper()
		await(t, patience, func() error {
			began := time.Now()
			out, err := exec.Command(p.dkv, "status", "--server", all, "--timeout", "3s").CombinedOutput()
			if took := time.Since(began); took > 4*time.Second {
				return stop{fmt.Errorf("dkv status took %v", took)}
			}
			got := 0
			if exit, ok := err.(*exec.ExitError); ok {
				got = exit.ExitCode()
			}
			for _, text := range texts {
				if got != code || !strings.Contains(string(out), text) {
					return fmt.Errorf("dkv status exits with %d and does not say %q, want %d:\n%s", got, text, code, out)
				}
			}
			return nil
		})
	}
	// page waits until /v1/health of the first node says a state, with a status.
	page := func(status int, state string) {
		t.Helper()
		await(t, patience, func() error {
			got, body := call(http.MethodGet, nodes[0].http+"/v1/health", "")
			var h struct{ State string }
			if err := json.Unmarshal([]byte(body), &h); err != nil || got != status || h.State != state {
				return fmt.Errorf("/v1/health: %d %s; want %d %s", got, body, status, state)
			}
			return nil
		})
	}
	says(0, "16 of 16 led, 0 without a majority, 0 under-replicated")
	page(http.StatusOK, "healthy")

	nodes[2].signal(syscall.SIGSTOP)
	says(6, "16 of 16 led, 0 without a majority, 16 under-replicated", "n3 (member 3) does not answer")
	page(http.StatusOK, "degraded")
	nodes[1].signal(syscall.SIGSTOP)
	says(7, "16 partitions have no majority of their replicas", "start n2, n3 again")
	page(http.StatusServiceUnavailable, "unavailable")
	nodes[1].signal(syscall.SIGCONT)
	nodes[2].signal(syscall.SIGCONT)
	says(0, "16 of 16 led, 0 without a majority, 0 under-replicated")

	if err := connect(t, zookeeper).Delete("/dkv/c/layout", -1); err != nil {
		t.Fatal(err)
	}
	says(6, "no failover: ZooKeeper is wiped, say n1, n2, n3: ZooKeeper has no layout of cluster", "16 of 16 led")
	page(http.StatusOK, "degraded")
	await(t, patience, func() error {
		_, body := call(http.MethodGet, nodes[0].http+"/metrics", "")
		for _, line := range []string{`dkv_zookeeper_fault{kind="wiped"} 1`, `dkv_zookeeper_fault{kind="away"} 0`, "dkv_cluster_partitions 16", "dkv_partitions_under_replicated 0"} {
			if !strings.Contains(body, line+"\n") {
				return fmt.Errorf("the metrics do not show %s", line)
			}
		}
		return nil
	})
	for _, n := range nodes {
		n.kill()
	}
}
