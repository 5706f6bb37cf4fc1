//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// testNode starts nodes with a data directory, a ZooKeeper or a cluster that is
// not the right one.
func testNode(t *testing.T, p programs) {
	t.Parallel()
	tests := []struct {
		name string
		test func(*testing.T, programs)
	}{
		{"DataDirectoryInUse", testDataDirectoryInUse},
		{"DataDirectoryOfAnotherCluster", testDataDirectoryOfAnotherCluster},
		{"AnotherDataDirectory", testAnotherDataDirectory},
		{"RestoredDataDirectory", testRestoredDataDirectory},
		{"CopiedDataDirectory", testCopiedDataDirectory},
		{"OtherFlags", testOtherFlags},
		{"ZooKeeperUnreachable", testZooKeeperUnreachable},
		{"FewerThanExpected", testFewerThanExpected},
		{"ImpossibleAddress", testImpossibleAddress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.test(t, p)
		})
	}
}

// alone returns the flags of a node that forms a cluster by itself.
func alone(zookeeper, cluster string) nodeFlags {
	return nodeFlags{"zookeeper": zookeeper, "cluster": cluster, "expect": "1", "replication": "1", "partitions": "4"}
}

// with returns a copy of the flags in which one is set to a value.
func (f nodeFlags) with(name, value string) nodeFlags {
	all := nodeFlags{name: value}
	for n, v := range f {
		if n != name {
			all[n] = v
		}
	}
	return all
}

// testDataDirectoryInUse checks that only one process uses a data directory.
func testDataDirectoryInUse(t *testing.T, p programs) {
	dir, nowhere := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePorts(t))
	flags := alone(nowhere, "c").with("data", filepath.Join(dir, "data"))
	first := newNode(t, p, dir, "first", flags)
	first.start()
	first.unready("ZooKeeper does not answer", patience)
	second := newNode(t, p, dir, "second", flags)
	second.start()
	second.refusal("data directory", "is in use by a running node", "stop that node, or give this one a directory of its own")
	if !first.running() {
		t.Error("the first node of the data directory has exited")
	}
	first.terminate()
	second.start() // the data directory is free now
	second.unready("ZooKeeper does not answer", patience)
	second.terminate()
}

// testDataDirectoryOfAnotherCluster checks rule "flags must agree" for the UUID of
// the cluster, and rule "data forbids forming".
func testDataDirectoryOfAnotherCluster(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	one := newNode(t, p, dir, "one", alone(zookeeper, "one"))
	one.start()
	one.awaitReady(30 * time.Second)
	one.terminate()
	two := newNode(t, p, dir, "two", alone(zookeeper, "two"))
	two.start()
	two.awaitReady(30 * time.Second)

	moved := newNode(t, p, dir, "moved", alone(zookeeper, "two").with("data", filepath.Join(dir, "one")))
	moved.start()
	moved.refusal("the data directory belongs to cluster", `but ZooKeeper's "two" is`, "start the node with the data directory of that cluster, or an empty one")

	// A ZooKeeper that does not know the cluster may still be restored from a backup:
	// the node creates nothing there and keeps trying.
	lost := newNode(t, p, dir, "lost", alone(zookeeper, "three").with("data", filepath.Join(dir, "one")))
	lost.start()
	lost.awaitOutput(`ZooKeeper has no cluster \"three\"`, patience)
	lost.terminate()
	two.terminate()
}

// testAnotherDataDirectory checks rule "one disk one member".
func testAnotherDataDirectory(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	n := newNode(t, p, dir, "n", alone(zookeeper, "c"))
	n.start()
	n.awaitReady(30 * time.Second)
	n.terminate()
	emptied := newNode(t, p, dir, "n", alone(zookeeper, "c").with("data", filepath.Join(dir, "empty")))
	emptied.start()
	emptied.unready("node n is member 1 with store", patience)
	emptied.awaitOutput("dkv member replace n n", patience)
	emptied.terminate()
	n.start()
	n.awaitReady(30 * time.Second)
	n.terminate()
}

// testOtherFlags checks rule "flags must agree".
func testOtherFlags(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	n := newNode(t, p, dir, "n", alone(zookeeper, "c"))
	n.start()
	n.awaitReady(30 * time.Second)
	other := newNode(t, p, dir, "other", alone(zookeeper, "c").with("partitions", "8"))
	other.start()
	other.refusal("was created with --partitions 4, this node has 8", "start it with --partitions 4")
	copies := newNode(t, p, dir, "copies", alone(zookeeper, "c").with("replication", "3").with("expect", "3"))
	copies.start()
	copies.refusal("was created with --replication 1, this node has 3", "start it with --replication 1")
	n.terminate()
}

// testZooKeeperUnreachable checks that a node waits for ZooKeeper and says so.
func testZooKeeperUnreachable(t *testing.T, p programs) {
	dir, port := t.TempDir(), freePorts(t)
	n := newNode(t, p, dir, "n", alone(fmt.Sprintf("127.0.0.1:%d", port), "c"))
	n.start()
	n.unready("ZooKeeper does not answer", patience)
	n.awaitOutput("ZooKeeper has not answered for", patience)
	if status, body := call(http.MethodGet, n.http+"/healthz", ""); status != http.StatusOK {
		t.Errorf("/healthz of a node waiting for ZooKeeper: %d %s, want 200", status, body)
	}
	if status, body := call(http.MethodGet, n.http+"/get?key=k", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a read before the cluster forms: %d %s, want 503", status, body)
	}
	if !n.running() {
		t.Fatal("the node gave up")
	}
	serveZooKeeper(t, port)
	n.awaitReady(30 * time.Second)
	n.terminate()
}

// testFewerThanExpected checks that a cluster forms only once all expected nodes
// are registered (rule "form at one instant").
func testFewerThanExpected(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "3", "partitions": "4"}
	var nodes []*node
	for i := range 3 {
		nodes = append(nodes, newNode(t, p, dir, fmt.Sprintf("n%d", i+1), flags))
	}
	nodes[0].start()
	nodes[0].unready(`waiting for 2 more of 3 nodes to form cluster "c"; registered so far: n1`, patience)
	nodes[1].start()
	for _, n := range nodes[:2] {
		n.unready(`waiting for 1 more of 3 nodes to form cluster "c"; registered so far: n1 n2`, patience)
	}
	nodes[0].terminate() // a node that is waiting must unregister
	nodes[1].unready("waiting for 2 more of 3 nodes", patience)
	nodes[0].start()
	nodes[2].start()
	for _, n := range nodes {
		n.awaitReady(30 * time.Second)
	}
	for _, n := range nodes {
		n.terminate()
	}
}

// testImpossibleAddress checks that an address that the layout can't hold is refused by the
// node that brings it: in ZooKeeper it would keep the whole cluster from forming.
func testImpossibleAddress(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	for i, bad := range []struct{ flag, address string }{
		{"advertise", `host".example:8000`},
		{"peer-advertise", `host\.example:8002`},
		{"advertise", "höst.example:8000"},
	} {
		id := fmt.Sprintf("bad%d", i)
		n := newNode(t, p, dir, id, alone(zookeeper, "c").with(bad.flag, bad.address))
		n.start()
		n.refusal("--"+bad.flag, "want printable ASCII without spaces, quotes and backslashes")
		if _, err := os.Stat(filepath.Join(dir, id)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("node %s left a data directory behind: %v", id, err)
		}
	}
	good := newNode(t, p, dir, "good", alone(zookeeper, "c"))
	good.start()
	good.awaitReady(30 * time.Second)
	good.terminate()
}
