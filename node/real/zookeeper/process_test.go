package zookeeper

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// zooKeeperJar is the file that Debian's package zookeeper installs; its manifest
// lists the jars that it needs.
const zooKeeperJar = "/usr/share/java/zookeeper.jar"

// zooKeeperProcess is a single Apache ZooKeeper with session timeouts of 0.4 to 60 s.
type zooKeeperProcess struct {
	address string
	command *exec.Cmd
	output  bytes.Buffer
	ended   chan struct{}
}

// startZooKeeper starts a server that ends with the test. If ZooKeeper is not
// installed, it skips the test, or fails it with CI=true.
func startZooKeeper(t *testing.T) *zooKeeperProcess { return startTwice(t, tryZooKeeper) }

func startTwice[T any](t *testing.T, try func(*testing.T) (T, error)) (z T) {
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
	for range 2 { // another process may take the port before the server does
		if z, err = try(t); err == nil {
			return z
		}
	}
	t.Fatal(err)
	return z
}

func tryZooKeeper(t *testing.T) (*zooKeeperProcess, error) {
	dir := t.TempDir()
	port := portBelowEphemeral(t)
	config := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=200\nmaxSessionTimeout=60000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\n", dir, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	z, err := launchZooKeeper(t, port, "ZooKeeperServerMain", config)
	if err != nil {
		return nil, err
	}
	_, err = z.awaitServing()
	return z, err
}

// launchZooKeeper starts one process that runs a class of
// org.apache.zookeeper.server.
func launchZooKeeper(t *testing.T, port int, class, config string) (*zooKeeperProcess, error) {
	z := &zooKeeperProcess{address: fmt.Sprintf("127.0.0.1:%d", port)}
	z.command = exec.Command("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx128m", "-XX:-UsePerfData",
		"-Djava.net.preferIPv4Stack=true", "-Dzookeeper.forceSync=no", "-Dzookeeper.preAllocSize=1024", "-Dzookeeper.snapCount=1000000",
		"-cp", zooKeeperJar, "org.apache.zookeeper.server."+class, config)
	z.command.Stdout, z.command.Stderr = &z.output, &z.output
	ended, err := startTied(z.command)
	if err != nil {
		return nil, err
	}
	z.ended = ended
	t.Cleanup(func() {
		_ = z.command.Process.Kill()
		<-z.ended
	})
	return z, nil
}

// startTied starts a command that dies with this process at the latest. The channel
// is closed when it has exited.
func startTied(command *exec.Cmd) (ended chan struct{}, err error) {
	dieWithParent(command)
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the parent death signal is sent when this thread ends
		defer close(ended)
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // it is killed at the end
		}
	}()
	return ended, <-started
}

// awaitServing waits until the server reports its mode, which it has as soon as it
// accepts sessions, and returns the report.
func (z *zooKeeperProcess) awaitServing() (string, error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-z.ended:
			return "", fmt.Errorf("ZooKeeper exited: %s", z.output.String())
		default:
		}
		if text := z.ask("srvr"); strings.Contains(text, "Mode:") {
			return text, nil
		}
	}
	return "", fmt.Errorf("ZooKeeper is not serving after a minute")
}

func (z *zooKeeperProcess) ask(word string) string {
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

// portBelowEphemeral returns a free port that no outgoing connection can take.
func portBelowEphemeral(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 12_000 + rand.IntN(20_000)
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
