//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/zksim/zkserver"
)

// zooKeeperJar is the file that Debian's package zookeeper installs; its manifest
// lists the jars that it needs.
const zooKeeperJar = "/usr/share/java/zookeeper.jar"

// apacheZooKeeper is a single Apache ZooKeeper with session timeouts of 0.4 to
// 20 s. A kill loses nothing that it wrote, because the operating system survives.
type apacheZooKeeper struct {
	*process
	address string
}

// startApacheZooKeeper starts a server that ends with the test. If ZooKeeper is
// not installed, it skips the test, or fails it with CI=true.
func startApacheZooKeeper(t *testing.T) *apacheZooKeeper {
	t.Helper()
	_, err := os.Stat(zooKeeperJar)
	if err == nil {
		_, err = exec.LookPath("java")
	}
	if err != nil {
		const what = "NOT RUN against Apache ZooKeeper: %v (Debian: apt-get install zookeeper)"
		if os.Getenv("CI") == "true" {
			t.Fatalf(what, err)
		}
		t.Skipf(what, err)
	}
	dir := t.TempDir()
	port := freePorts(t)
	config := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=200\nmaxSessionTimeout=20000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"+
		"admin.enableServer=false\n4lw.commands.whitelist=srvr\nautopurge.purgeInterval=0\n", dir, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	z := &apacheZooKeeper{address: fmt.Sprintf("127.0.0.1:%d", port)}
	z.process = newProcess(t, dir, "zookeeper", "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx128m",
		"-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true", "-Dzookeeper.forceSync=no", "-Dzookeeper.preAllocSize=1024",
		"-Dzookeeper.snapCount=1000000", "-cp", zooKeeperJar, "org.apache.zookeeper.server.ZooKeeperServerMain", config)
	z.start()
	z.awaitServing()
	return z
}

// awaitServing waits until the server reports its mode, which it has as soon as it
// accepts sessions.
func (z *apacheZooKeeper) awaitServing() time.Duration {
	z.t.Helper()
	return await(z.t, patience, func() error {
		if !z.running() {
			return stop{errors.New("ZooKeeper exited")}
		}
		if answer := z.ask("srvr"); !strings.Contains(answer, "Mode:") {
			return fmt.Errorf("ZooKeeper is not serving: %q", answer)
		}
		return nil
	})
}

func (z *apacheZooKeeper) ask(word string) string {
	conn, err := net.DialTimeout("tcp", z.address, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(word)); err != nil {
		return ""
	}
	var answer bytes.Buffer
	_, _ = answer.ReadFrom(conn) // whatever arrives before the deadline
	return answer.String()
}

// serveZooKeeper runs the embedded ZooKeeper in this process, for tests that are
// not about ZooKeeper.
func serveZooKeeper(t *testing.T, port int) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	server, err := zkserver.Open(zkserver.Options{Tick: 200 * time.Millisecond, MaxSessionTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, zkserver.ErrClosed) {
			t.Errorf("the embedded ZooKeeper failed: %v", err)
		}
	})
	return listener.Addr().String()
}
