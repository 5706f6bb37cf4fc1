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
	stopPatience = 30 * time.Second // a node ends by itself within less
	maxLogBytes  = 16 << 20         // beyond it a log is set aside at the start
	logTail      = 5                // lines shown of a node that did not start
)

// fleet is the node processes of one launcher.
type fleet struct {
	processes []*process
	ended     chan *process // each once
	release   chan struct{} // closed when the starting thread may go
}

// process is one node's.
type process struct {
	spec    nodeSpec
	command *exec.Cmd
	pid     int
	done    chan struct{} // closed when it has ended
	status  string        // how, once it has
}

// launch starts all nodes. With an error, those started are in the fleet.
//
// One thread starts them and stays until stop: on Linux the signal that ends
// the nodes with their launcher is bound to the thread that started them.
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
	defer log.Close() // the process has its own
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

// openLog appends to a node's log. One that has grown is set aside.
func openLog(path string) (*os.File, error) {
	if old, err := os.Stat(path); err == nil && old.Size() > maxLogBytes {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// environmentWithout drops the launcher's own settings: a node gets its flags.
func environmentWithout(environment []string, prefix string) []string {
	var kept []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, prefix) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// pause waits for a moment, the end of ctx, or the end of a node, which is an
// error while the cluster starts.
func (f *fleet) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("stopped before the cluster was ready")
	case p := <-f.ended:
		return fmt.Errorf("node %s ended before the cluster was ready: %s; the end of %s:\n%s", p.spec.id, p.status, p.spec.log, tailOf(p.spec.log))
	}
}

// tailOf is the last lines of a file.
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

// watch tells of nodes that end, until ctx does.
func (f *fleet) watch(ctx context.Context, out io.Writer) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-f.ended:
			fmt.Fprintf(out, "\nnode %s (pid %d) ended: %s. To start it again:\n  %s\n", p.spec.id, p.pid, p.status, shellCommand(p.spec.command))
		}
	}
}

// stop ends all nodes, gracefully if they do so in time.
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
			patience.Reset(0) // for the others too
			fmt.Fprintf(out, "node %s did not stop within %v and is killed\n", p.spec.id, stopPatience)
			_ = p.command.Process.Kill()
			<-p.done
		}
	}
	close(f.release)
}
