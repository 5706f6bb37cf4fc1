package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	stopPatience = 30 * time.Second // longer than a node takes to stop
	maxLogBytes  = 16 << 20         // a longer log is renamed when its node starts
	logTail      = 5                // lines shown of a node that failed to start
)

// fleet is the node processes of one dkv local.
type fleet struct {
	processes []*process
	ended     chan *process // receives each process once
	release   chan struct{} // closed when the starting thread may end
}

// process is the process of one node.
type process struct {
	spec    nodeSpec
	command *exec.Cmd
	pid     int
	done    chan struct{} // closed when it has exited
	status  string        // how it exited; set before done is closed
}

// launch starts all nodes. If it fails, the fleet holds the nodes started so far.
//
// One thread starts them and lives until stop: on Linux a node gets its parent
// death signal when the thread that started it ends.
func launch(specs []nodeSpec) (*fleet, error) {
	f := &fleet{ended: make(chan *process, len(specs)), release: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		for _, spec := range specs {
			if err := f.start(spec); err != nil {
				started <- fmt.Errorf("starting node %s: %w", spec.id, err)
				break
			}
		}
		close(started)
		<-f.release
	}()
	return f, <-started
}

func (f *fleet) start(spec nodeSpec) error {
	log, err := openLog(spec.log)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own descriptor
	command := exec.Command(spec.command[0], spec.command[1:]...)
	command.Stdout, command.Stderr = log, log
	command.Env = environmentWithout(os.Environ(), "DKV_")
	command.SysProcAttr = detached()
	if err := command.Start(); err != nil {
		return err
	}
	p := &process{spec: spec, command: command, pid: command.Process.Pid, done: make(chan struct{})}
	f.processes = append(f.processes, p)
	go func() {
		_ = command.Wait()
		p.status = command.ProcessState.String()
		close(p.done)
		f.ended <- p
	}()
	return nil
}

// openLog opens a node's log for appending. A log that has grown too long is
// renamed first.
func openLog(path string) (*os.File, error) {
	if old, err := os.Stat(path); err == nil && old.Size() > maxLogBytes {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// environmentWithout drops the settings of dkv local itself, because a node gets
// all of its settings as flags.
func environmentWithout(environment []string, prefix string) []string {
	var kept []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, prefix) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// pause waits for d. It fails if ctx ends or a node exits meanwhile: the cluster
// is still starting.
func (f *fleet) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted before the cluster was ready")
	case p := <-f.ended:
		return fmt.Errorf("node %s exited before the cluster was ready: %s; last lines of %s:\n%s", p.spec.id, p.status, p.spec.log, tailOf(p.spec.log))
	}
}

// tailOf returns the last lines of a file.
func tailOf(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	const bytes = 8 << 10
	if size, err := file.Seek(0, io.SeekEnd); err == nil {
		_, _ = file.Seek(max(0, size-bytes), io.SeekStart)
	}
	text, _ := io.ReadAll(io.LimitReader(file, bytes))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-logTail):], "\n")
}

// watch reports nodes that exit, until ctx ends.
func (f *fleet) watch(ctx context.Context, out io.Writer) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-f.ended:
			fmt.Fprintf(out, "\nnode %s (pid %d) exited: %s. To restart it:\n  %s\n", p.spec.id, p.pid, p.status, shellCommand(p.spec.command))
		}
	}
}

// stop ends all nodes: gracefully, or by force if they take too long.
func (f *fleet) stop(out io.Writer) {
	for _, p := range f.processes {
		_ = p.command.Process.Signal(syscall.SIGTERM)
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	for _, p := range f.processes {
		select {
		case <-p.done:
		case <-patience.C:
			patience.Reset(0) // do not wait for the others either
			fmt.Fprintf(out, "node %s did not stop within %v: killing it\n", p.spec.id, stopPatience)
			_ = p.command.Process.Kill()
			<-p.done
		}
	}
	close(f.release)
}
