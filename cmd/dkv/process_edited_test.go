//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// testEditedLayout promises one epoch to a second primary, as a layout does that was edited
// by hand or restored from a backup: rule "a promise names its primary". Every member keeps
// its own copy and raises an alarm, and clients are served by the first primary alone.
func testEditedLayout(t *testing.T, p programs) {
	t.Parallel()
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	nodes := startNodes(t, p, dir, 3, nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "1"})
	for i := range 10 {
		put(t, nodes[i%3], i)
	}
	conn := connect(t, zookeeper)
	data, stat, err := conn.Get("/dkv/c/layout")
	if err != nil {
		t.Fatal(err)
	}
	edited, second := withSecondPrimary(t, data, stat.Version)

	// The second primary learns of its epoch when it starts, and the others while they run.
	nodes[second-1].kill()
	if _, err := conn.Set("/dkv/c/layout", edited, stat.Version); err != nil {
		t.Fatal(err)
	}
	nodes[second-1].start()
	alarm := fmt.Sprintf("refusing layout version %d: for partition 0 it names epoch ", stat.Version+1)
	for _, n := range nodes {
		n.awaitOutput(alarm, patience)
	}
	for i := range 30 {
		put(t, nodes[i%3], i)
	}
	for i := range 30 {
		awaitValue(t, nodes[(i+1)%3], i)
	}
	leads := 0
	for _, n := range nodes {
		status, body := call(http.MethodGet, n.http+"/v1/partitions", "")
		var page struct {
			Partitions []struct{ Here struct{ Role string } }
		}
		if err := json.Unmarshal([]byte(body), &page); status != http.StatusOK || err != nil || len(page.Partitions) != 1 {
			t.Fatalf("/v1/partitions of %s: %d %s", n.id, status, body)
		}
		if page.Partitions[0].Here.Role == "primary" {
			leads++
		}
	}
	if leads != 1 {
		t.Errorf("%d nodes lead the partition", leads)
	}
	if now, _, err := conn.Get("/dkv/c/layout"); err != nil || string(now) != string(edited) {
		t.Errorf("the edited layout was overwritten with %s, %v", now, err)
	}
	for _, n := range nodes {
		n.terminate()
	}
}

// withSecondPrimary returns the layout of the next version, in which another replica leads the
// only partition in the same epoch, and that replica's number.
func withSecondPrimary(t *testing.T, data []byte, version int32) (edited []byte, second int) {
	t.Helper()
	var page struct{ Partitions []struct{ P int } }
	if err := json.Unmarshal(data, &page); err != nil || len(page.Partitions) != 1 {
		t.Fatalf("a layout of %d partitions, %v: %s", len(page.Partitions), err, data)
	}
	first := page.Partitions[0].P
	second = first%3 + 1
	text := string(data)
	for _, change := range []struct{ was, is string }{
		{fmt.Sprintf(`"version":%d,`, version), fmt.Sprintf(`"version":%d,`, version+1)},
		{`"p":` + strconv.Itoa(first), `"p":` + strconv.Itoa(second)},
	} {
		if strings.Count(text, change.was) != 1 {
			t.Fatalf("%q is not once in %s", change.was, text)
		}
		text = strings.Replace(text, change.was, change.is, 1)
	}
	return []byte(text), second
}
