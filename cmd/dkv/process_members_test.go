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
	"testing"
)

// testMembers lets members come and go: a fourth node joins three, a disk is lost and its
// node takes its own place with an empty one, and a member is drained and removed.
func testMembers(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "8"}
	var nodes []*node
	for i := range 3 {
		nodes = append(nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), flags))
		nodes[i].start()
	}
	for _, n := range nodes {
		n.awaitReady(patience)
	}
	for i := range 100 {
		put(t, nodes[i%3], i)
	}

	// A fourth node becomes a member, with the default of --expect, and gets its share.
	fourth := newNode(t, p, dir, "n4", nodeFlags{"zookeeper": zookeeper, "cluster": "c", "partitions": "8"})
	fourth.start()
	fourth.awaitReady(patience)
	nodes = append(nodes, fourth)
	awaitMembers(t, nodes[0], "n1 active, n2 active, n3 active, n4 active")
	awaitReplicas(t, nodes[0], "n4", func(replicas int) bool { return replicas >= 5 })

	// A disk is lost: its node waits under its own name until an operator lets it in.
	lost := nodes[2]
	lost.kill()
	if err := os.RemoveAll(filepath.Join(dir, "n3")); err != nil {
		t.Fatal(err)
	}
	lost.start()
	lost.unready("node n3 is member 3 with store", patience)
	member(t, p, nodes[0], "replace", "n3", "n3")
	lost.awaitReady(patience)
	awaitReplicas(t, nodes[0], "n3", func(replicas int) bool { return replicas >= 5 })

	// One leaves: it is drained, stopped and removed.
	member(t, p, nodes[0], "drain", "n2")
	awaitReplicas(t, nodes[0], "n2", func(replicas int) bool { return replicas == 0 })
	nodes[1].terminate()
	member(t, p, nodes[0], "remove", "n2")
	awaitMembers(t, nodes[0], "n1 active, n3 active, n4 active")

	for i := range 100 {
		status, body := call(http.MethodGet, fmt.Sprintf("%s/get?key=k%d", nodes[3].http, i), "")
		if want := fmt.Sprintf(`"value":"v%d"`, i); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("key k%d after all that: %d %s, want %s", i, status, body, want)
		}
	}
	if status, body := call(http.MethodPost, nodes[0].http+"/v1/members", `{"do":"drain","node":"n4"}`); status != http.StatusConflict || !strings.Contains(body, "2 members for 3 replicas") {
		t.Errorf("draining one of three members: %d %s, want 409", status, body)
	}
	for _, n := range []*node{nodes[0], nodes[2], nodes[3]} {
		n.terminate()
	}
}

func put(t *testing.T, n *node, i int) {
	t.Helper()
	await(t, patience, func() error {
		status, body := call(http.MethodPost, n.http+"/put", fmt.Sprintf(`{"key":"k%d","value":"v%d"}`, i, i))
		if status != http.StatusOK {
			return fmt.Errorf("put k%d: %d %s", i, status, body)
		}
		return nil
	})
}

// member runs dkv member until it succeeds.
func member(t *testing.T, p programs, at *node, words ...string) {
	t.Helper()
	await(t, patience, func() error {
		args := append([]string{"member"}, words...)
		output, err := exec.Command(p.dkv, append(args, "--server", strings.TrimPrefix(at.http, "http://"))...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("dkv member %s: %v: %s", strings.Join(words, " "), err, output)
		}
		return nil
	})
}

// listed is one member of /v1/members.
type listed struct {
	Node     string
	State    string
	Replicas int
}

func listMembers(n *node) ([]listed, error) {
	status, body := call(http.MethodGet, n.http+"/v1/members", "")
	var page struct{ Members []listed }
	if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("/v1/members of %s: %d %s", n.id, status, body)
	}
	return page.Members, nil
}

// awaitMembers waits for the members to be these, in the order of their node ids.
func awaitMembers(t *testing.T, n *node, want string) {
	t.Helper()
	await(t, patience, func() error {
		all, err := listMembers(n)
		if err != nil {
			return err
		}
		states := map[string]string{}
		for _, m := range all {
			states[m.Node] = m.State
		}
		var got []string
		for i := 1; i < 9; i++ {
			if id := fmt.Sprintf("n%d", i); states[id] != "" {
				got = append(got, id+" "+states[id])
			}
		}
		if text := strings.Join(got, ", "); text != want {
			return fmt.Errorf("the members are %s, want %s", text, want)
		}
		return nil
	})
}

// awaitReplicas waits for the partitions that count on a member to be as many as wanted.
func awaitReplicas(t *testing.T, n *node, id string, enough func(int) bool) {
	t.Helper()
	await(t, 3*patience, func() error {
		all, err := listMembers(n)
		if err != nil {
			return err
		}
		for i := range all {
			if m := &all[len(all)-1-i]; m.Node == id {
				if !enough(m.Replicas) {
					return fmt.Errorf("%s has %d replicas", id, m.Replicas)
				}
				return nil
			}
		}
		return fmt.Errorf("%s is not listed", id)
	})
}
