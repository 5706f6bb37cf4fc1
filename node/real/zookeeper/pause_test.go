package zookeeper

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/real/loop"
	"dkv/node/real/realtest"
)

// pausedChild is the environment variable that gives the child the server and the
// znode to write under. The child runs this test binary.
const pausedChild = "DKV_TEST_PAUSED_CHILD"

// pausedTimeout is long enough for the child to keep its session on a busy machine.
const pausedTimeout = 5 * time.Second

// A process is stopped in the middle of its calls until its session has expired.
// When it continues, it learns of the expiry, nothing more takes effect in the old
// session, and a new session works.
func testPausedUntilExpired(t *testing.T, z *target) {
	root := z.root(t)
	child := exec.Command(os.Args[0], "-test.run=^TestPausedChild$", "-test.timeout=180s")
	child.Env = append(os.Environ(), pausedChild+"="+z.address+" "+root)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	ended, err := startTied(child)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // SIGKILL also ends a stopped process
		_ = child.Process.Kill()
		<-ended
	})
	said := make(chan string, 100_000)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	awaitSaid(t, said, "done 1-5")
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	alive := func() bool { return slices.Contains(z.names(t, root), "alive-1") }
	if !alive() {
		t.Fatal("the ephemeral znode of the child does not exist")
	}
	realtest.Eventually(t, "the session ends at the server", func() bool { return !alive() })
	old := func() []string {
		return slices.DeleteFunc(z.names(t, root), func(name string) bool { return !strings.HasPrefix(name, "1-") })
	}
	before := old()
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	awaitSaid(t, said, "expired 1")
	later := awaitSaid(t, said, "done 2-5")
	if now := old(); !slices.Equal(now, before) {
		t.Errorf("the old session had created %d znodes when it ended, and %d later", len(before), len(now))
	}
	for _, line := range later {
		if strings.HasPrefix(line, "done 1-") {
			t.Errorf("after the end of its session the child printed %q", line)
		}
	}
}

// awaitSaid reads the output of the child up to the given line.
func awaitSaid(t *testing.T, said <-chan string, want string) (before []string) {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		select {
		case line, ok := <-said:
			if !ok {
				t.Fatalf("the child exited without printing %q; it printed %q", want, before)
			}
			if line == want {
				return before
			}
			before = append(before, line)
		case <-late:
			t.Fatalf("the child did not print %q; it printed %q", want, before)
		}
	}
}

// TestPausedChild is the child of the test above. It creates an ephemeral znode and
// then one znode after the other, numbered by session and call, and prints the
// answers. After the end of a session it continues in the next.
func TestPausedChild(t *testing.T) {
	address, root, ok := strings.Cut(os.Getenv(pausedChild), " ")
	if !ok {
		t.Skip("it is part of TestZooKeeperFaults")
	}
	w := realtest.NewWorld(t, loop.New())
	z := New(w.Post, []string{address}, pausedTimeout, slog.New(slog.DiscardHandler))
	var over atomic.Bool
	for number := 1; ; number++ {
		connected, expired := make(chan struct{}, 100), make(chan struct{})
		var s door.Session
		w.Do(func() {
			s = z.Open(func(e door.SessionEvent) {
				switch e.Kind {
				case door.EventConnected:
					connected <- struct{}{}
				case door.EventExpired:
					over.Store(true)
					fmt.Println("expired", number)
					close(expired)
				}
			})
		})
		over.Store(false)
		<-connected // a call does not wait for long until there is a connection
		alive := fmt.Sprintf("%s/alive-%d", root, number)
		if err := create(w, s, door.Op{Kind: door.OpCreateEphemeral, Path: alive}); err != nil {
			fmt.Println("failed", alive, err)
		}
		for call := 1; !over.Load(); call++ {
			name := fmt.Sprintf("%d-%d", number, call)
			if err := create(w, s, createOp(root+"/"+name)); err != nil {
				fmt.Println("failed", name, err)
			} else {
				fmt.Println("done", name)
			}
			time.Sleep(time.Millisecond)
		}
		<-expired
	}
}

func create(w realtest.World, s door.Session, op door.Op) error {
	answer := make(chan error, 1)
	w.Do(func() { s.Multi([]door.Op{op}, func(err error) { answer <- err }) })
	return <-answer
}
