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
	"time"
)

// testMembers lets members come and go: a fourth node joins three, a disk is lost and its
// node takes its own place with an empty one, and a member is drained and removed.
// Meanwhile operators make mistakes.
func testMembers(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "8"}
	nodes := startNodes(t, p, dir, 3, flags)
	for i := range 100 {
		put(t, nodes[i%3], i)
	}

	// A fourth node becomes a member, with the default of --expect, and gets its share.
	fourth := newNode(t, p, dir, "n4", nodeFlags{"zookeeper": zookeeper, "cluster": "c", "partitions": "8", "zone": "annex"})
	fourth.start()
	fourth.awaitReady(patience)
	nodes = append(nodes, fourth)
	awaitMembers(t, nodes[0], "n1 active, n2 active, n3 active, n4 active")
	awaitReplicas(t, nodes[0], "n4", func(replicas int) bool { return replicas >= 5 })

	testMistakes(t, p, nodes[0])

	// A disk is lost: its node waits under its own name until an operator lets it in.
	lost := nodes[2]
	lost.wipe(filepath.Join(dir, "n3"))
	lost.start()
	lost.unready("node n3 is member 3 with store", patience)
	awaitMembers(t, nodes[0], "n1 active, n2 active, n3 active, n4 active")
	lost.awaitOutput("dkv member replace n3 n3", patience)
	member(t, p, nodes[0], "replace", "n3", "n3")
	lost.awaitReady(patience)
	awaitReplicas(t, nodes[0], "n3", func(replicas int) bool { return replicas >= 5 })

	// Two operators drain one member each, at the same time. Three replicas need three
	// members, so one of them is refused; the other's member is then stopped and removed.
	left, stays := drainOneOf(t, p, nodes)
	awaitReplicas(t, nodes[3], left.id, func(replicas int) bool { return replicas == 0 })
	left.terminate()
	member(t, p, nodes[3], "remove", left.id)
	awaitMembers(t, nodes[3], stays.id+" active, n3 active, n4 active")

	for i := range 100 {
		awaitValue(t, nodes[3], i)
	}
	if status, body := call(http.MethodPost, nodes[3].http+"/v1/members", `{"do":"drain","node":"n3"}`); status != http.StatusConflict || !strings.Contains(body, "2 members for 3 replicas") {
		t.Errorf("draining one of three members: %d %s, want 409", status, body)
	}
	for _, n := range []*node{stays, nodes[2], nodes[3]} {
		n.terminate()
	}
}

// wipe kills the node and deletes its data directory.
func (n *node) wipe(data string) {
	n.t.Helper()
	n.kill()
	if err := os.RemoveAll(data); err != nil {
		n.t.Fatal(err)
	}
}

// testMistakes checks what dkv member answers to commands that make no sense in a cluster of
// n1 to n4, of which n4 is in a zone of its own: the reason, and the way out.
func testMistakes(t *testing.T, p programs, at *node) {
	t.Helper()
	for _, c := range []struct {
		words, says string
		exit        int
	}{
		{"drain n9", `no member has node id "n9"; the members are n1 n2 n3 n4`, 4},
		{"drain n4", `n4 is the last member of zone "annex": let another node of that zone join first`, 4},
		{"remove n1", "n1 lives and has data: drain it first ('dkv member drain n1'), or remove it with --force", 4},
		{"replace n1 n1", "n1 lives with its own disk: stop it first, and start it with the new one", 4},
		{"replace n1 n9", `no node "n9" is registered: start it with the --zookeeper and --cluster of this cluster`, 4},
		{"approve n9", `no node "n9" is registered and waits: start it`, 4},
		{"drain", "accepts 1 arg(s), received 0", 1},
		{"replace n1", "accepts 2 arg(s), received 1", 1},
	} {
		code, output := memberOnce(p, at, strings.Fields(c.words)...)
		if code != c.exit || !strings.Contains(output, c.says) {
			t.Errorf("dkv member %s: exit status %d, %s; want %d and %q", c.words, code, output, c.exit, c.says)
		}
	}
	awaitMembers(t, at, "n1 active, n2 active, n3 active, n4 active")
}

// drainOneOf drains n1 and n2 at the same time, and returns the one that leaves and the one
// that stays.
func drainOneOf(t *testing.T, p programs, nodes []*node) (left, stays *node) {
	t.Helper()
	type outcome struct {
		code int
		text string
	}
	results := make([]chan outcome, 2)
	for i := range results {
		results[i] = make(chan outcome, 1)
		go func() {
			code, output := memberOnce(p, nodes[2+i], "drain", nodes[i].id)
			results[i] <- outcome{code, output}
		}()
	}
	first, second := <-results[0], <-results[1]
	left, stays = nodes[0], nodes[1]
	refused := second
	if first.code != 0 {
		left, stays, refused = nodes[1], nodes[0], first
	}
	if first.code+second.code != 4 || !strings.Contains(refused.text, "there would be 2 members for 3 replicas") {
		t.Fatalf("draining two of four members at once: %+v and %+v, want one of them refused", first, second)
	}
	return left, stays
}

// startNodes starts n1, n2, …, and waits until all are ready.
func startNodes(t *testing.T, p programs, dir string, count int, flags nodeFlags) []*node {
	t.Helper()
	var nodes []*node
	for i := range count {
		nodes = append(nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), flags))
		nodes[i].start()
	}
	for _, n := range nodes {
		n.awaitReady(patience)
	}
	return nodes
}

// testEmptyDisks restarts a node again and again, each time with an empty disk and after its
// session has expired, like a container without a volume. It becomes no new member, until an
// operator lets it in.
func testEmptyDisks(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "8", "session-timeout": "1s"}
	nodes := startNodes(t, p, dir, 3, flags)
	put(t, nodes[0], 1)
	conn, lost := connect(t, zookeeper), nodes[2]
	for range 4 {
		lost.wipe(filepath.Join(dir, "n3"))
		await(t, patience, func() error {
			if there, _, err := conn.Exists("/dkv/c/live/n3"); err != nil || there {
				return fmt.Errorf("n3 is registered: %v, %v", there, err)
			}
			return nil
		})
		lost.start()
		lost.unready("node n3 is member 3 with store", patience)
		time.Sleep(time.Second) // a change of the members would be made by now
		awaitMembers(t, nodes[0], "n1 active, n2 active, n3 active")
		if all, err := listMembers(nodes[0]); err != nil || len(all) != 3 {
			t.Fatalf("%d members: %+v, %v; want the three that formed the cluster", len(all), all, err)
		}
	}
	member(t, p, nodes[0], "replace", "n3", "n3")
	lost.awaitReady(patience)
	awaitValue(t, lost, 1)
	for _, n := range nodes {
		n.terminate()
	}
}

// testMissingMember loses a disk for good: after --replace-after the node that runs under the
// same name with an empty one takes its place, without an operator.
func testMissingMember(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "4", "partitions": "8", "replace-after": "4s"}
	nodes := startNodes(t, p, dir, 4, flags)
	for i := range 20 {
		put(t, nodes[i%4], i)
	}
	nodes[3].wipe(filepath.Join(dir, "n4"))
	nodes[3].start()
	nodes[3].unready("node n4 is member 4 with store", patience)
	nodes[3].awaitReady(2 * patience)
	awaitMembers(t, nodes[0], "n1 active, n2 active, n3 active, n4 active")
	awaitReplicas(t, nodes[0], "n4", func(replicas int) bool { return replicas >= 4 })
	for i := range 20 {
		awaitValue(t, nodes[3], i)
	}
	for _, n := range nodes {
		n.terminate()
	}
}

func awaitValue(t *testing.T, n *node, i int) {
	t.Helper()
	await(t, patience, func() error {
		status, body := call(http.MethodGet, fmt.Sprintf("%s/get?key=k%d", n.http, i), "")
		switch want := fmt.Sprintf(`"value":"v%d"`, i); {
		case status == http.StatusServiceUnavailable:
			return fmt.Errorf("key k%d: %d %s", i, status, body)
		case status != http.StatusOK || !strings.Contains(body, want):
			return stop{fmt.Errorf("key k%d: %d %s, want %s", i, status, body, want)}
		}
		return nil
	})
}

// memberOnce runs dkv member and returns its exit status and what it printed.
func memberOnce(p programs, at *node, words ...string) (code int, output string) {
	args := append([]string{"member"}, words...)
	command := exec.Command(p.dkv, append(args, "--server", strings.TrimPrefix(at.http, "http://"))...)
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		return -1, err.Error()
	}
	return command.ProcessState.ExitCode(), string(text)
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
		if code, output := memberOnce(p, at, words...); code != 0 {
			return fmt.Errorf("dkv member %s: exit status %d, %s", strings.Join(words, " "), code, output)
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
