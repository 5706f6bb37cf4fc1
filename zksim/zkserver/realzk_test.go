package zkserver

import (
	"bytes"
	"errors"
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

// zookeeperJar is installed by Debian's package zookeeper. Its manifest names all its
// dependencies, so it is the whole class path.
const zookeeperJar = "/usr/share/java/zookeeper.jar"

// realTick is a real server's tick in these tests: session timeouts are from 1 s, which
// a busy machine rarely takes between two steps of a test, to longest.
const (
	realTick = 500 * time.Millisecond
	longest  = 20 * realTick
)

// realZK is a running process of Apache ZooKeeper.
type realZK struct {
	addr string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// Intervals between sweeps of containers and TTL nodes: short enough for a test to wait
// for, or longer than any test.
const (
	sweepsOften = 200 * time.Millisecond
	sweepsNever = 24 * time.Hour
)

// realOrSkip skips the test if Java or the jar is missing; with CI=true it fails it.
func realOrSkip(t *testing.T) {
	t.Helper()
	_, jarErr := os.Stat(zookeeperJar)
	_, javaErr := exec.LookPath("java")
	if err := errors.Join(jarErr, javaErr); err != nil {
		const what = "NOT COMPARED with a real ZooKeeper: install Debian's package zookeeper (apt-get install zookeeper) to run this half: %v"
		if os.Getenv("CI") == "true" {
			t.Fatalf(what, err)
		}
		t.Skipf(what, err)
	}
}

// twice tries again to start something that can fail on a busy machine.
func twice[T any](t *testing.T, start func(*testing.T) (T, error)) T {
	t.Helper()
	realOrSkip(t)
	first, err := start(t)
	if err == nil {
		return first
	}
	t.Logf("starting again: %v", err)
	second, err := start(t)
	if err != nil {
		t.Fatal(err)
	}
	return second
}

// startRealZK starts a standalone server, which is stopped at the end of the test.
func startRealZK(t *testing.T) *realZK { return startSweepingZK(t, sweepsNever) }

func startSweepingZK(t *testing.T, sweeps time.Duration) *realZK {
	t.Helper()
	return startZK(t, realTick, sweeps)
}

func startZK(t *testing.T, tick, sweeps time.Duration) *realZK {
	t.Helper()
	return twice(t, func(t *testing.T) (*realZK, error) {
		z, err := launchZK(t, t.TempDir(), freeLowPort(t), tick, sweeps, "")
		if err == nil {
			_, err = z.awaitServing()
		}
		return z, err
	})
}

// realEnsemble is three servers with a leader.
type realEnsemble struct {
	leader, follower string // addresses
}

// startRealEnsemble starts three servers, which are stopped at the end of the test.
func startRealEnsemble(t *testing.T) realEnsemble {
	t.Helper()
	return twice(t, tryRealEnsemble)
}

func tryRealEnsemble(t *testing.T) (realEnsemble, error) {
	var e realEnsemble
	members := "standaloneEnabled=false\n"
	for n := 1; n <= 3; n++ {
		members += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", n, freeLowPort(t), freeLowPort(t))
	}
	var servers []*realZK
	for n := 1; n <= 3; n++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "myid"), fmt.Append(nil, n), 0o600); err != nil {
			return e, err
		}
		z, err := launchZK(t, dir, freeLowPort(t), realTick, sweepsOften, members)
		if err != nil {
			return e, err
		}
		servers = append(servers, z)
	}
	for _, z := range servers {
		text, err := z.awaitServing()
		switch {
		case err != nil:
			return e, err
		case strings.Contains(text, "Mode: leader"):
			e.leader = z.addr
		default:
			e.follower = z.addr
		}
	}
	if e.leader == "" || e.follower == "" {
		return e, fmt.Errorf("the ensemble has no leader or no follower: %+v", e)
	}
	return e, nil
}

// launchZK starts one process. members is the part of the configuration that makes it a
// member of an ensemble.
func launchZK(t *testing.T, dir string, port int, tick, sweeps time.Duration, members string) (*realZK, error) {
	config := fmt.Sprintf("tickTime=%d\ninitLimit=50\nsyncLimit=25\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n%s",
		tick.Milliseconds(), dir, port, members)
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	program := "org.apache.zookeeper.server.ZooKeeperServerMain"
	if members != "" {
		program = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
	}
	z := &realZK{addr: fmt.Sprintf("127.0.0.1:%d", port), done: make(chan struct{})}
	z.cmd = exec.Command("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx128m",
		"-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true", "-Dzookeeper.forceSync=no",
		"-Dzookeeper.preAllocSize=1024", "-Dzookeeper.snapCount=1000000", "-Dzookeeper.extendedTypesEnabled=true",
		fmt.Sprintf("-Dznode.container.checkIntervalMs=%d", sweeps.Milliseconds()), "-cp", zookeeperJar, program, file)
	z.cmd.Stdout, z.cmd.Stderr = &z.out, &z.out
	z.cmd.SysProcAttr = diesWithParent()
	started := make(chan error)
	go z.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	t.Cleanup(z.stop)
	return z, nil
}

// run keeps the thread that started the process until the process ends, because the
// signal at the parent's death is bound to that thread.
func (z *realZK) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(z.done)
	err := z.cmd.Start()
	started <- err
	if err == nil {
		_ = z.cmd.Wait() // it is killed at the end
	}
}

func (z *realZK) stop() {
	_ = z.cmd.Process.Kill()
	<-z.done
}

// awaitServing polls srvr until it shows a mode, and returns its text. (ruok is answered
// before sessions work.)
func (z *realZK) awaitServing() (string, error) {
	for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-z.done:
			return "", fmt.Errorf("ZooKeeper ended: %s", z.out.String())
		default:
		}
		if text := quickWord(z.addr, "srvr"); strings.Contains(text, "Mode:") {
			return text, nil
		}
	}
	z.stop()
	return "", fmt.Errorf("ZooKeeper does not serve after %v: %s", 2*patience, z.out.String())
}

func quickWord(addr, word string) string {
	const patience = time.Second
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return ""
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write([]byte(word)); err != nil {
		return ""
	}
	var b bytes.Buffer
	_, _ = b.ReadFrom(nc) // what came before the deadline
	return b.String()
}

// freeLowPort returns a free port below the range of outgoing connections.
func freeLowPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("found no free port below 32768")
	return 0
}
