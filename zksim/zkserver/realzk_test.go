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

// realZK is a running Apache ZooKeeper.
type realZK struct {
	addr string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// startRealZK starts a standalone server that ends with the test. Without Java
// or the jar the test is skipped, or fails where CI=true.
func startRealZK(t *testing.T) *realZK {
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
	var lastErr error
	for range 2 { // under load a start fails now and then
		z, err := tryRealZK(t)
		if err == nil {
			return z
		}
		lastErr = err
	}
	t.Fatal(lastErr)
	return nil
}

func tryRealZK(t *testing.T) (*realZK, error) {
	dir := t.TempDir()
	port := freeLowPort(t)
	config := fmt.Sprintf("tickTime=%d\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
		realTick.Milliseconds(), dir, port)
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	z := &realZK{addr: fmt.Sprintf("127.0.0.1:%d", port), done: make(chan struct{})}
	z.cmd = exec.Command("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx128m",
		"-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true", "-Dzookeeper.forceSync=no",
		"-Dzookeeper.preAllocSize=1024", "-Dzookeeper.snapCount=1000000",
		"-cp", zookeeperJar, "org.apache.zookeeper.server.ZooKeeperServerMain", file)
	z.cmd.Stdout, z.cmd.Stderr = &z.out, &z.out
	z.cmd.SysProcAttr = diesWithParent()
	started := make(chan error)
	go z.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	t.Cleanup(z.stop)
	return z, z.awaitServing()
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

// awaitServing polls srvr for the mode: imok comes before sessions work.
func (z *realZK) awaitServing() error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-z.done:
			return fmt.Errorf("ZooKeeper ended: %s", z.out.String())
		default:
		}
		if strings.Contains(quickWord(z.addr, "srvr"), "Mode:") {
			return nil
		}
	}
	z.stop()
	return fmt.Errorf("ZooKeeper does not serve after 30 s: %s", z.out.String())
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
