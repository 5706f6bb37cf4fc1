//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// testZK runs dkv zk as a process, with go-zookeeper as its client.
func testZK(t *testing.T, p programs) {
	t.Parallel()
	tests := []struct {
		name string
		test func(*testing.T, programs)
	}{
		{"StopAndStart", testZKStopAndStart},
		{"KillsAmidWrites", testZKKillsAmidWrites},
		{"DirectoryInUse", testZKDirectoryInUse},
		{"LosesItsDirectory", testZKLosesItsDirectory},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.test(t, p)
		})
	}
}

// zkProcess is a dkv zk process that keeps its directory and port when it is
// restarted.
type zkProcess struct {
	*process
	address, data string
}

func newZK(t *testing.T, p programs) *zkProcess {
	dir := t.TempDir()
	z := &zkProcess{address: fmt.Sprintf("127.0.0.1:%d", freePorts(t)), data: filepath.Join(dir, "data")}
	z.process = newProcess(t, dir, "zk", p.dkv, "zk", "--listen", z.address, "--data", z.data, "--tick", "500ms")
	return z
}

// serve starts the process and waits until it is listening.
func (z *zkProcess) serve() {
	z.t.Helper()
	before := 0
	if z.command != nil {
		before = strings.Count(z.output(), z.listening())
	}
	z.start()
	await(z.t, patience, func() error {
		switch {
		case !z.running():
			return stop{fmt.Errorf("dkv zk exited: %v", z.command.ProcessState)}
		case strings.Count(z.output(), z.listening()) == before:
			return errors.New("dkv zk is not listening")
		}
		return nil
	})
}

func (z *zkProcess) listening() string { return "server on " + z.address + ": " }

// client opens a session that ends with the test.
func (z *zkProcess) client() *zk.Conn {
	z.t.Helper()
	return connect(z.t, z.address)
}

// connect opens a session that ends with the test.
func connect(t *testing.T, zookeeper string) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{zookeeper}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func testZKStopAndStart(t *testing.T, p programs) {
	z := newZK(t, p)
	z.serve()
	if !strings.Contains(z.output(), "State is kept in "+z.data) {
		t.Errorf("dkv zk did not print where it keeps its state:\n%s", z.output())
	}
	if _, err := z.client().Create("/kept", []byte("value"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		z.signal(signal)
		if code := z.wait(patience); code != 0 {
			t.Errorf("exit code %d after %v, want 0", code, signal)
		}
		z.serve()
		data, stat, err := z.client().Get("/kept")
		if err != nil || string(data) != "value" || stat.Version != 0 {
			t.Errorf("after %v and a restart: %q, %+v, %v", signal, data, stat, err)
		}
	}
}

// testZKKillsAmidWrites checks that every acknowledged write survives kill -9.
func testZKKillsAmidWrites(t *testing.T, p programs) {
	const writers, rounds = 4, 3
	z := newZK(t, p)
	z.serve()
	total := 0
	for round := range rounds {
		acked := make([]int, writers)
		var answered atomic.Int64
		var writing sync.WaitGroup
		for w := range writers {
			conn := z.client()
			writing.Go(func() {
				for {
					path := fmt.Sprintf("/%d-%d-%d", round, w, acked[w])
					if _, err := conn.Create(path, []byte(path), 0, zk.WorldACL(zk.PermAll)); err != nil {
						return
					}
					acked[w]++
					answered.Add(1)
				}
			})
		}
		await(t, patience, func() error {
			if n := answered.Load(); n < 50 {
				return fmt.Errorf("only %d writes were acknowledged, too few to prove anything", n)
			}
			return nil
		})
		z.kill()
		writing.Wait()
		z.serve()
		reader := z.client()
		for w, n := range acked {
			total += n
			for i := range n {
				path := fmt.Sprintf("/%d-%d-%d", round, w, i)
				if data, _, err := reader.Get(path); err != nil || string(data) != path {
					t.Fatalf("%s was acknowledged before kill -9, but reads as %q, %v", path, data, err)
				}
			}
		}
	}
	t.Logf("%d acknowledged writes survived %d kills", total, rounds)
}

func testZKDirectoryInUse(t *testing.T, p programs) {
	z := newZK(t, p)
	z.serve()
	second := newProcess(t, t.TempDir(), "second", p.dkv, "zk", "--listen", "127.0.0.1:0", "--data", z.data)
	second.start()
	if code := second.wait(patience); code != 1 {
		t.Errorf("exit code %d with a directory in use, want 1", code)
	}
	if last := tail(second.output(), 1); !strings.Contains(last, z.data) || !strings.Contains(last, "in use by another process") {
		t.Errorf("last line with a directory in use: %q", last)
	}
	z.kill()
	second.start() // the kill has released the directory
	second.awaitOutput("ZooKeeper-compatible server on", patience)
}

// testZKLosesItsDirectory checks that a server that can no longer write says why
// and exits.
func testZKLosesItsDirectory(t *testing.T, p programs) {
	z := newZK(t, p)
	z.serve()
	conn := z.client()
	if err := os.RemoveAll(z.data); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 1_000_000)
	for i := range 100 { // a new log file is created after 64 MiB
		if _, err := conn.Create(fmt.Sprintf("/%d", i), large, 0, zk.WorldACL(zk.PermAll)); err != nil {
			break
		}
	}
	if code := z.wait(patience); code != 1 {
		t.Errorf("exit code %d without a directory, want 1", code)
	}
	if last := tail(z.output(), 1); !strings.Contains(last, "dkv: ") || !strings.Contains(last, "no such file or directory") {
		t.Errorf("last line without a directory: %q", last)
	}
}
