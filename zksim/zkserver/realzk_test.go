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

// zookeeperJar is where Debian's package zookeeper puts it. Its manifest names
// all it needs, so that it is the whole class path.
const zookeeperJar = "/usr/share/java/zookeeper.jar"

// realTick is a real server's tick in these tests: sessions live 0.4 to 4 s.
const realTick = 200 * time.Millisecond

// realZK is a running process of Apache ZooKeeper.
type realZK struct {
	addr string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// Sweeps of containers and TTL nodes: as often as a test can wait for them, or
// never in the time of a test.
const (
	sweepsOften = 200 * time.Millisecond
	sweepsNever = 24 * time.Hour
)

// realOrSkip skips the test without Java or the jar, or fails it where CI=true.
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

// twice starts something that fails now and then on a busy machine.
func twice[T any](t *testing.T, start func(*testing.T) (T, error)) T {
	t.Helper()
	realOrSkip(t)
	first, err := start(t)
	if err == nil {
		return first
	}
	t.Logf("starting once more: %v", err)
	second, err := start(t)
	if err != nil {
		t.Fatal(err)
	}
	return second
}

// startRealZK starts a standalone server that ends with the test.
func startRealZK(t *testing.T) *realZK { return startSweepingZK(t, sweepsNever) }

func startSweepingZK(t *testing.T, sweeps time.Duration) *realZK {
	t.Helper()
	return twice(t, func(t *testing.T) (*realZK, error) {
		z, err := launchZK(t, t.TempDir(), freeLowPort(t), sweeps, "")
		if err == nil {
			_, err = z.awaitServing()
		}
		return z, err
	})
}

// realEnsemble is three servers that elected a leader.
type realEnsemble struct {
	leader, follower string // addresses
}

// startRealEnsemble starts three servers that end with the test.
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
		z, err := launchZK(t, dir, freeLowPort(t), sweepsOften, members)
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
		return e, fmt.Errorf("an ensemble without a leader or a follower: %+v", e)
	}
	return e, nil
}

// launchZK starts one process; members is the part of the configuration that
// makes it one of an ensemble.
func launchZK(t *testing.T, dir string, port int, sweeps time.Duration, members string) (*realZK, error) {
	config := fmt.Sprintf("tickTime=%d\ninitLimit=50\nsyncLimit=25\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n%s",
		realTick.Milliseconds(), dir, port, members)
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

// run holds the thread that started the process for as long as it lives: the
// signal at the parent's death is bound to the thread.
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

// awaitServing polls srvr for the mode (imok comes before sessions work) and
// returns its text.
func (z *realZK) awaitServing() (string, error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
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
	return "", fmt.Errorf("ZooKeeper does not serve after 30 s: %s", z.out.String())
}

func quickWord(addr, word string) string {
	const patience = 60 * time.Millisecond
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

// freeLowPort is below the range from which outgoing connections take theirs.
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
	t.Fatal("no free port below 32768")
	return 0
}
