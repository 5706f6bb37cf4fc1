//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/pebblestore"
)

const notMember = "this node is not a member of the cluster"

// testStrangers checks rule "no answer to strangers" on two kinds of strangers: with
// --expect 3 five nodes start together, so that chance decides which of them form the
// cluster; and a sixth node starts once it has formed. No operator approves them.
func testStrangers(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "4", "join": "approve"}
	var nodes []*node
	for i := range 5 {
		nodes = append(nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), flags))
		nodes[i].start()
	}
	members := awaitFormed(t, nodes)
	sixth := newNode(t, p, dir, "n6", flags)
	sixth.start()
	nodes = append(nodes, sixth)
	var member *node
	strangers := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return slices.Contains(members, n.id) })
	for _, n := range nodes {
		if !slices.Contains(strangers, n) {
			n.awaitReady(30 * time.Second)
			member = n
		}
	}
	t.Logf("members %v", members)
	for _, n := range strangers {
		n.unready(notMember, patience)
		turnedAway(t, n, member)
	}
	for _, n := range nodes {
		n.terminate()
	}
}

// awaitFormed waits until each of the nodes knows a layout, and returns the ids of its
// members.
func awaitFormed(t *testing.T, nodes []*node) (members []string) {
	t.Helper()
	for _, n := range nodes {
		await(t, patience, func() error {
			status, body := call(http.MethodGet, n.http+"/v1/cluster", "")
			var page struct{ Members []struct{ Node string } }
			if err := json.Unmarshal([]byte(body), &page); status != http.StatusOK || err != nil || len(page.Members) < 3 {
				return fmt.Errorf("/v1/cluster of %s: %d %s", n.id, status, body)
			}
			members = nil
			for _, m := range page.Members {
				members = append(members, m.Node)
			}
			return nil
		})
	}
	return members
}

// turnedAway checks that a stranger refuses a put and a get at once, that the put was not
// applied, and that dkv status shows the stranger as what it is.
func turnedAway(t *testing.T, stranger, member *node) {
	t.Helper()
	key := "at-" + stranger.id
	for _, ask := range []struct{ method, path, body string }{
		{http.MethodPost, "/put", `{"key":"` + key + `","value":"v"}`}, {http.MethodGet, "/get?key=" + key, ""},
	} {
		began := time.Now()
		status, body := call(ask.method, stranger.http+ask.path, ask.body)
		if took := time.Since(began); status != http.StatusServiceUnavailable || took > 2*time.Second ||
			!strings.Contains(body, notMember) || !strings.Contains(body, `"outcome":"refused"`) {
			t.Errorf("%s at the stranger %s: %d %s after %v, want 503 refused at once", ask.path, stranger.id, status, body, took)
		}
	}
	time.Sleep(time.Second) // a forward would have been applied by now
	if status, body := call(http.MethodGet, member.http+"/get?key="+key, ""); status != http.StatusNotFound {
		t.Errorf("the put that %s refused is there: %d %s", stranger.id, status, body)
	}
	for _, ask := range []struct {
		server *node
		why    string
	}{{stranger, notMember}, {member, "it waits for 'dkv member approve " + stranger.id + "'"}} {
		server := strings.TrimPrefix(ask.server.http, "http://")
		line := regexp.MustCompile(`(?m)^- +` + stranger.id + ` +not a member .*no: ` + ask.why)
		await(t, patience, func() error {
			out, _ := exec.Command(stranger.args[0], "status", "--server", server).CombinedOutput()
			if !line.Match(out) {
				return fmt.Errorf("dkv status of %s does not show that %s is not a member, because %s:\n%s", ask.server.id, stranger.id, ask.why, out)
			}
			return nil
		})
	}
}

// testNewerVersion checks that what a newer build wrote is named as newer, and stays as it
// is: a layout in ZooKeeper, and a layout and a format in a data directory.
func testNewerVersion(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	n := newNode(t, p, dir, "n", alone(zookeeper, "c"))
	n.start()
	n.awaitReady(30 * time.Second)

	conn := connect(t, zookeeper)
	data, stat, err := conn.Get("/dkv/c/layout")
	if err != nil {
		t.Fatal(err)
	}
	newer := newerLayout(t, data)
	if _, err := conn.Set("/dkv/c/layout", newer, stat.Version); err != nil {
		t.Fatal(err)
	}
	const says = "it has format 900, and this build reads format"
	n.awaitOutput(says, patience)
	if err := readiness(n.http); err != nil {
		t.Errorf("a member with a layout of its own stopped serving: %v", err)
	}
	late := newNode(t, p, dir, "late", alone(zookeeper, "c"))
	late.start()
	late.unready(says, patience)
	late.terminate()
	n.terminate()
	if now, _, err := conn.Get("/dkv/c/layout"); err != nil || !bytes.Equal(now, newer) {
		t.Errorf("the newer layout was changed to %s, %v", now, err)
	}
	for _, fact := range []struct {
		key   string
		value func([]byte) []byte
		says  []string
	}{
		{"m/layout", func(data []byte) []byte { return newerLayout(t, data) }, []string{says, "a newer version of dkv wrote it", "nothing was changed"}},
		{"m/format", func([]byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 3, 132} }, []string{"has format 900", "a newer version of dkv wrote it", "nothing was changed"}},
	} {
		was := rewrite(t, filepath.Join(dir, "n"), fact.key, fact.value)
		n.start()
		n.refusal(fact.says...)
		if last := tail(n.output(), 1); strings.Contains(last, "damage") {
			t.Errorf("a newer %s is taken for damage: %s", fact.key, last)
		}
		rewrite(t, filepath.Join(dir, "n"), fact.key, func([]byte) []byte { return was })
	}
}

// newerLayout returns the layout as a build might write it that knows format 900.
func newerLayout(t *testing.T, data []byte) []byte {
	t.Helper()
	_, rest, found := bytes.Cut(data, []byte(`,"version":`))
	if !found {
		t.Fatalf("no layout: %.40s", data)
	}
	return append([]byte(`{"format":900,"added":{},"version":`), rest...)
}

// rewrite changes one key of a data directory that no process uses, and returns what it was.
func rewrite(t *testing.T, dir, key string, change func([]byte) []byte) (was []byte) {
	t.Helper()
	events := make(chan func(), 16)
	store, err := pebblestore.Open(pebblestore.Options{Dir: dir, Post: func(fn func()) { events <- fn }})
	if err != nil {
		t.Fatal(err)
	}
	was, ok, err := store.Get([]byte(key))
	if err != nil || !ok {
		t.Fatalf("%s has no %s: %v", dir, key, err)
	}
	was = bytes.Clone(was)
	var b door.Batch
	b.Put([]byte(key), change(was))
	durable := false
	store.Commit(&b, func(err error) {
		if durable = true; err != nil {
			t.Fatal(err)
		}
	})
	for !durable {
		(<-events)()
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return was
}
