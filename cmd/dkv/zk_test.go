package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/zksim/zkserver"
)

// lockedBuffer lets a test read what a command prints while it is running.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var zkAddress = regexp.MustCompile(`server on (127\.0\.0\.1:\d+): `)

// runZK runs dkv zk, calls meanwhile with its address, stops it, and returns what
// it printed.
func runZK(t *testing.T, args []string, meanwhile func(address string)) (out, logged string) {
	t.Helper()
	var stdout, stderr lockedBuffer
	root := newRoot()
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- execRoot(ctx, root, append([]string{"zk"}, args...)) }()
	var found []string
	for deadline := time.Now().Add(30 * time.Second); found == nil; time.Sleep(time.Millisecond) {
		if found = zkAddress.FindStringSubmatch(stdout.String()); time.Now().After(deadline) {
			t.Fatalf("dkv zk did not print its address: %q, %q", stdout.String(), stderr.String())
		}
	}
	meanwhile(found[1])
	stop()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("code %d after being stopped: %q", code, stderr.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("dkv zk did not stop")
	}
	return stdout.String(), stderr.String()
}

func TestZKServes(t *testing.T) {
	out, _ := runZK(t, []string{"--listen", "127.0.0.1:0", "--tick", "100ms"}, func(address string) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("ruok")) // the read reports a failure
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(conn); err != nil || answer.String() != "imok" {
			t.Errorf("answer to ruok: %q, %v", answer.String(), err)
		}
	})
	for _, says := range []string{"in memory only", "session timeouts from 200ms to 2s", "stopped"} {
		if !strings.Contains(out, says) {
			t.Errorf("dkv zk did not print %q: %q", says, out)
		}
	}
}

// An error about a directory or an address says what to do.
func TestZKErrors(t *testing.T) {
	used, damaged, file := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "file")
	server, err := zkserver.Open(zkserver.Options{Dir: used})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, path := range []string{filepath.Join(damaged, "snapshot-0000000000000001"), file} {
		if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--data", used}, "in use by another process"},
		{[]string{"--data", damaged}, "snapshot-0000000000000001"},
		{[]string{"--data", file}, "not a directory"},
		{[]string{"--listen", taken.Addr().String()}, "choose another with --listen"},
		{[]string{"--listen", "nowhere"}, "nowhere"},
		{[]string{"--tick", "0"}, "invalid --tick 0s (want 10ms to 1h"},
		{[]string{"--tick", "-2s"}, "--tick -2s"},
		{[]string{"--tick", "2h"}, "--tick 2h"},
		{[]string{"--tick", "2"}, "--tick"},
		{[]string{"--log-level", "loud"}, "loud"},
		{[]string{"directory"}, "unknown command"},
	} {
		args := append([]string{"zk", "--listen", "127.0.0.1:0"}, test.args...)
		code, out, errors := execute(t, "", args...)
		if code != exitError || !strings.Contains(errors, test.says) || out != "" {
			t.Errorf("%v: code %d, out %q, errors %q; want %q", args, code, out, errors, test.says)
		}
	}
	t.Setenv("DKV_TICK", "1ms")
	if code, _, errors := execute(t, "", "zk"); code != exitError || !strings.Contains(errors, "--tick 1ms") {
		t.Errorf("DKV_TICK=1ms: code %d, errors %q", code, errors)
	}
}
