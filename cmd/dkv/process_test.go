//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestProcesses runs the program as its users do: built, started, killed with
// kill -9 and restarted. It is a single test so that the program is built once. Those of its
// parts that judge times have the machine to themselves; the others follow, together, since
// they wait more than they work.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes for about a minute")
	}
	p := buildPrograms(t)
	t.Run("Kills", func(t *testing.T) { testKills(t, p) })
	t.Run("RollingRestart", func(t *testing.T) { testRollingRestart(t, p) })
	t.Run("Members", func(t *testing.T) { testMembers(t, p) })
	t.Run("PausedCopy", func(t *testing.T) { testPausedCopy(t, p) })
	t.Run("Zones", func(t *testing.T) { testZones(t, p) })
	t.Run("MissingMember", func(t *testing.T) { testMissingMember(t, p) })
	t.Run("Local", func(t *testing.T) { testLocal(t, p) })
	t.Run("EditedLayout", func(t *testing.T) { testEditedLayout(t, p) })
	t.Run("Node", func(t *testing.T) { testNode(t, p) })
	t.Run("LocalOnApacheZooKeeper", func(t *testing.T) { testLocalOnApacheZooKeeper(t, p) })
	t.Run("Status", func(t *testing.T) { testStatus(t, p) })
	t.Run("EmptyDisks", func(t *testing.T) { testEmptyDisks(t, p) })
	t.Run("Strangers", func(t *testing.T) { testStrangers(t, p) })
	t.Run("NewerVersion", func(t *testing.T) { testNewerVersion(t, p) })
	t.Run("LocalLosesAll", func(t *testing.T) { testLocalLosesAll(t, p) })
	t.Run("EarlierFormats", func(t *testing.T) { testEarlierFormats(t, p) })
	t.Run("ZK", func(t *testing.T) { testZK(t, p) })
}

// programs holds the paths of the binaries.
type programs struct{ dkv, dkvsim string }

func buildPrograms(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	began := time.Now()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../dkvsim")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building dkv and dkvsim: %v\n%s", err, output)
	}
	t.Logf("built dkv and dkvsim in %v", time.Since(began).Round(time.Millisecond))
	return programs{filepath.Join(dir, "dkv"), filepath.Join(dir, "dkvsim")}
}

// patience limits every wait for what has to happen. Only a failing test waits that
// long, so it allows for a machine that is busy with other work.
const patience = time.Minute

// process is a command that can be killed and restarted. Its output is appended
// to one file, whose last lines are shown if the test fails.
type process struct {
	t       *testing.T
	name    string
	args    []string
	log     string
	command *exec.Cmd     // of the latest start
	ended   chan struct{} // closed when that process has exited
}

func newProcess(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, args: args, log: filepath.Join(dir, name+".log")}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("last lines of the output of %s (%s):\n%s", p.name, strings.Join(p.args, " "), tail(p.output(), 25))
		}
	})
	return p
}

// start starts the process in an environment without the settings of this one. It
// dies with this test at the latest, however the test ends.
func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close() // the process has its own descriptor
	c := exec.Command(p.args[0], p.args[1:]...)
	c.Stdout, c.Stderr = log, log
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(p.log)}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended, started := make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread() // the parent death signal is sent when this thread ends
		defer close(ended)
		forking.Lock()
		err := c.Start()
		forking.Unlock()
		started <- err
		if err == nil {
			_ = c.Wait() // ProcessState tells how it exited
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatalf("starting %s: %v", p.name, err)
	}
	p.command, p.ended = c, ended
}

func (p *process) pid() int { return p.command.Process.Pid }

// signal sends a signal to the process, if it is still running.
func (p *process) signal(s os.Signal) { _ = p.command.Process.Signal(s) }

// kill kills the process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	if p.command != nil {
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits for the process to exit and returns its exit code, or -1 if a signal
// ended it.
func (p *process) wait(patience time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s (pid %d) did not exit within %v", p.name, p.pid(), patience)
		return 0
	}
}

// output returns everything written since the first start.
func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// awaitOutput waits until the output contains a text.
func (p *process) awaitOutput(text string, patience time.Duration) {
	p.t.Helper()
	await(p.t, patience, func() error {
		switch written := strings.Contains(p.output(), text); {
		case written:
			return nil
		case !p.running():
			return stop{fmt.Errorf("%s exited without printing %q", p.name, text)}
		default:
			return fmt.Errorf("%s has not printed %q", p.name, text)
		}
	})
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// stop is an error that ends the waiting.
type stop struct{ error }

// await calls ask until it returns nil, and returns how long that took.
func await(t *testing.T, patience time.Duration, ask func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := ask()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if _, final := err.(stop); final || took > patience {
			t.Fatalf("after %v: %v", took.Round(time.Millisecond), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// gone reports whether the process has exited. A zombie has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z") || strings.HasPrefix(after, "X")
}

// forking is held while a process starts and while freePorts holds its listeners:
// until a child has replaced its program, it holds a copy of every descriptor of
// its parent, so that a port which the parent closed is still in use.
var forking sync.Mutex

// handedOut holds the ports that tests of this package have received. forking
// guards it.
var handedOut = map[int]bool{}

// freePorts returns a port that is free, as are those at the given distances from
// it. They are below the range for outgoing connections, so that a restarted
// process finds its port still free.
func freePorts(t *testing.T, distances ...int) int {
	t.Helper()
	forking.Lock()
	defer forking.Unlock()
	for range 100 {
		first := 12_000 + rand.IntN(20_000)
		if all := append([]int{0}, distances...); free(first, all) {
			for _, d := range all {
				handedOut[first+d] = true
			}
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func free(first int, distances []int) bool {
	for _, d := range distances {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+d))
		if err != nil || handedOut[first+d] {
			return false
		}
		defer l.Close()
	}
	return true
}

// node is a dkv node process.
type node struct {
	*process
	id   string
	http string // its base URL
}

// nodeFlags are the flags of dkv node that tests set, without the dashes.
type nodeFlags map[string]string

// newNode prepares a node with ports and a data directory of its own, unless the
// flags set others.
func newNode(t *testing.T, p programs, dir, id string, flags nodeFlags) *node {
	t.Helper()
	port := freePorts(t, 2)
	all := nodeFlags{
		"id": id, "data": filepath.Join(dir, id),
		"listen": fmt.Sprintf("127.0.0.1:%d", port), "peer-listen": fmt.Sprintf("127.0.0.1:%d", port+2),
	}
	for name, value := range flags {
		all[name] = value
	}
	args := []string{p.dkv, "node"}
	for name, value := range all {
		args = append(args, "--"+name+"="+value)
	}
	return &node{newProcess(t, dir, id, args...), id, "http://" + all["listen"]}
}

// awaitReady waits for /readyz.
func (n *node) awaitReady(patience time.Duration) time.Duration {
	n.t.Helper()
	return await(n.t, patience, func() error {
		if !n.running() {
			return stop{fmt.Errorf("node %s exited: %v", n.id, n.command.ProcessState)}
		}
		return readiness(n.http)
	})
}

// unready waits until /readyz answers 503 with a reason that contains the text.
func (n *node) unready(text string, patience time.Duration) {
	n.t.Helper()
	await(n.t, patience, func() error {
		status, body := call(http.MethodGet, n.http+"/readyz", "")
		var page struct {
			Ready bool
			Why   string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			return fmt.Errorf("/readyz of %s: %d %s", n.id, status, body)
		}
		if status != http.StatusServiceUnavailable || page.Ready || !strings.Contains(page.Why, text) {
			return fmt.Errorf("/readyz of %s: %d %s, want 503 and %q", n.id, status, strings.TrimSpace(body), text)
		}
		return nil
	})
}

// terminate sends SIGTERM and checks that the node exits with code 0.
func (n *node) terminate() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	if code := n.wait(patience); code != 0 {
		n.t.Errorf("node %s: exit code %d after SIGTERM, want 0", n.id, code)
	}
}

// refusal waits for the node to exit by itself and checks the reason in its last
// line.
func (n *node) refusal(words ...string) {
	n.t.Helper()
	if code := n.wait(patience); code != 1 {
		n.t.Errorf("node %s: exit code %d, want 1", n.id, code)
	}
	last := tail(n.output(), 1)
	for _, text := range words {
		if !strings.Contains(last, text) {
			n.t.Errorf("last line of node %s: %q, which lacks %q", n.id, last, text)
		}
	}
}

func readiness(base string) error {
	status, body := call(http.MethodGet, base+"/readyz", "")
	if status != http.StatusOK {
		return fmt.Errorf("%s/readyz: %d %s", base, status, strings.TrimSpace(body))
	}
	return nil
}

// caller makes the calls that no history records.
var caller = &http.Client{Timeout: 20 * time.Second}

// call makes one call with a request timeout of ten seconds, and with a JSON body
// unless it is empty. Status 0 means that there was no answer; the returned text
// then says why.
func call(method, url, body string) (status int, answer string) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Request-Timeout", "10")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	p, err := caller.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer p.Body.Close()
	text, err := io.ReadAll(p.Body)
	if err != nil {
		return 0, err.Error()
	}
	return p.StatusCode, string(text)
}
