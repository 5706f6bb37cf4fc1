package zkserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// The benchmarks compare this server in memory with a real one that does not sync
// either: one go-zookeeper client each, one call at a time, both in turns so that a
// busy machine slows both. The metric ratio says how many times as fast this server
// is. Without Java only this server is measured.

// callsInRow is how many calls one server gets before the other's turn.
const callsInRow = 50

type benchCall func(c *zk.Conn) error

func BenchmarkSet(b *testing.B) {
	data := make([]byte, 100)
	benchmarkSideBySide(b, func(c *zk.Conn) error { _, err := c.Set("/bench", data, -1); return err })
}

func BenchmarkGet(b *testing.B) {
	benchmarkSideBySide(b, func(c *zk.Conn) error { _, _, err := c.Get("/bench"); return err })
}

// BenchmarkSetDurable measures the disk above all: each call waits for its sync.
func BenchmarkSetDurable(b *testing.B) {
	c := benchmarkClient(b, NewTestWith(b, Options{Tick: time.Second, Dir: b.TempDir()}).Address())
	data := make([]byte, 100)
	for b.Loop() {
		if _, err := c.Set("/bench", data, -1); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkSideBySide(b *testing.B, call benchCall) {
	ours := benchmarkClient(b, NewTestWith(b, Options{Tick: time.Second}).Address())
	var theirs *zk.Conn
	if addr := benchmarkZK(b); addr != "" {
		theirs = benchmarkClient(b, addr)
		row(b, theirs, 200*callsInRow, call) // until its hot paths are compiled
	}
	var tookOurs, tookTheirs time.Duration
	rows := 0
	for b.Loop() {
		tookOurs += row(b, ours, callsInRow, call)
		if theirs != nil {
			tookTheirs += row(b, theirs, callsInRow, call)
		}
		rows++
	}
	perSecond := func(took time.Duration) float64 { return float64(rows*callsInRow) / took.Seconds() }
	b.ReportMetric(0, "ns/op") // of a row of both: says nothing
	b.ReportMetric(perSecond(tookOurs), "zkserver-calls/s")
	if theirs != nil {
		b.ReportMetric(perSecond(tookTheirs), "real-calls/s")
		b.ReportMetric(tookTheirs.Seconds()/tookOurs.Seconds(), "ratio")
	}
}

func row(b *testing.B, c *zk.Conn, calls int, call benchCall) time.Duration {
	began := time.Now()
	for range calls {
		if err := call(c); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

func benchmarkClient(b *testing.B, addr string) *zk.Conn {
	b.Helper()
	c, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	if _, err := c.Create("/bench", []byte("x"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		b.Fatal(err)
	}
	return c
}

// benchmarkZK returns the address of a real server that does not sync, with Java's
// best compiler; "" without Java or ZooKeeper.
func benchmarkZK(b *testing.B) string {
	b.Helper()
	java, err := exec.LookPath("java")
	if _, jarErr := os.Stat(zookeeperJar); err != nil || jarErr != nil {
		return ""
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := b.TempDir()
	config := fmt.Sprintf("tickTime=1000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n", dir, port)
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(java, "-Xmx256m", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true", "-Dzookeeper.forceSync=no",
		"-cp", zookeeperJar, "org.apache.zookeeper.server.ZooKeeperServerMain", file)
	cmd.SysProcAttr = diesWithParent()
	runtime.LockOSThread() // the signal at the parent's death is bound to the thread
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		runtime.UnlockOSThread()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for end := time.Now().Add(30 * time.Second); !strings.Contains(quickWord(addr, "srvr"), "Mode:"); {
		if time.Now().After(end) {
			b.Fatal("ZooKeeper does not serve after 30 s")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return addr
}
