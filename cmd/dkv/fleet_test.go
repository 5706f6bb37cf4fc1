package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestShellCommand(t *testing.T) {
	words := []string{"/bin/dkv", "--data", "it's a dir", "", "a=b,c:1", "$HOME", "*"}
	text := shellCommand(words)
	if !strings.HasPrefix(text, "/bin/dkv --data 'it'") {
		t.Errorf("quoted %s", text)
	}
	out, err := exec.Command("sh", "-c", `printf '%s\n' `+text).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(string(out), "\n"); got != strings.Join(words, "\n") {
		t.Errorf("the shell read %q", got)
	}
}

func TestEnvironmentWithout(t *testing.T) {
	got := environmentWithout([]string{"PATH=/bin", "DKV_DATA=x", "DKV=y", "XDKV_A=z"}, "DKV_")
	if strings.Join(got, " ") != "PATH=/bin DKV=y XDKV_A=z" {
		t.Errorf("kept %v", got)
	}
}

func shellSpec(dir, id, script string) nodeSpec {
	return nodeSpec{id: id, command: []string{"sh", "-c", script}, log: filepath.Join(dir, id+".log")}
}

func TestFleet(t *testing.T) {
	dir := t.TempDir()
	f, err := launch([]nodeSpec{
		shellSpec(dir, "gentle", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"),
		shellSpec(dir, "short", "echo one; echo two >&2; exit 7"),
	})
	if err != nil {
		t.Fatal(err)
	}
	gentleLog := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "gentle.log"))
		return string(text)
	}
	for deadline := time.Now().Add(30 * time.Second); gentleLog() == "" && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // until its trap is set
	}
	var out bytes.Buffer
	err = f.pause(t.Context(), time.Minute)
	if err == nil || !strings.Contains(err.Error(), "short") || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "one\ntwo") {
		t.Errorf("a node that exited early: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.pause(ctx, time.Minute); err == nil {
		t.Error("pause did not stop with its context")
	}
	f.watch(ctx, &out)
	f.stop(&out)
	if log := gentleLog(); !strings.Contains(log, "bye") {
		t.Errorf("the node was not asked to stop: %q", log)
	}
	if out.Len() != 0 {
		t.Errorf("printed %q", out.String())
	}
}

func TestFleetReportsAKilledNode(t *testing.T) {
	f, err := launch([]nodeSpec{shellSpec(t.TempDir(), "n1", "sleep 60")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reader, writer := io.Pipe()
	go func() {
		f.watch(ctx, writer)
		_ = writer.Close()
	}()
	_ = f.processes[0].command.Process.Kill()
	<-f.processes[0].done
	text := ""
	for part := make([]byte, 1<<10); ; {
		n, err := reader.Read(part)
		if err != nil {
			break
		}
		if text += string(part[:n]); strings.Contains(text, "sh -c 'sleep 60'") {
			cancel()
		}
	}
	if !strings.Contains(text, "node n1") || !strings.Contains(text, "killed") || !strings.Contains(text, "sh -c 'sleep 60'") {
		t.Errorf("printed %q", text)
	}
	f.stop(&bytes.Buffer{})
}

func TestFleetThatCannotStart(t *testing.T) {
	dir := t.TempDir()
	missing := nodeSpec{id: "n2", command: []string{filepath.Join(dir, "missing")}, log: filepath.Join(dir, "n2.log")}
	f, err := launch([]nodeSpec{shellSpec(dir, "n1", "sleep 60"), missing})
	if err == nil || !strings.Contains(err.Error(), "n2") {
		t.Errorf("a missing program: %v", err)
	}
	f.stop(&bytes.Buffer{})
	select {
	case <-f.processes[0].done:
	default:
		t.Error("the node that was started is still running")
	}
}

func TestLongLogsAreRenamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n1.log")
	if err := os.WriteFile(path, make([]byte, maxLogBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		log, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = log.WriteString("line\n")
		_ = log.Close()
	}
	if now, _ := os.ReadFile(path); string(now) != "line\nline\n" {
		t.Errorf("the log holds %d bytes", len(now))
	}
	if old, err := os.Stat(path + ".old"); err != nil || old.Size() != maxLogBytes+1 {
		t.Errorf("the old log: %v", err)
	}
}
