package zookeeper

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
	"dkv/node/envtest"
	"dkv/node/real/loop"
	"dkv/node/real/realtest"
	"dkv/zksim/zkserver"
)

// sessionTimeout is long enough for tests on a busy machine, and short enough to
// wait for its end.
const sessionTimeout = 6 * time.Second

// lasting is the timeout of sessions that no test lets expire, however busy the
// machine is.
const lasting = 30 * time.Second

// lastingServer starts a server that allows such sessions.
func lastingServer(t *testing.T) *zkserver.TestServer {
	t.Helper()
	return zkserver.NewTestWith(t, zkserver.Options{Tick: faultTick, MaxSessionTimeout: time.Minute})
}

// world is one ZooKeeper and two processes whose connections can be cut.
type world struct {
	realtest.World
	t      *testing.T
	root   string
	nodes  [2]*Coordinator
	lines  [2]line
	expire func(id int64) bool // nil to expire sessions by a cut
}

// line is the path from a process to ZooKeeper.
type line struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *line) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("cut by the test")}
	}
	conn, err := net.DialTimeout(network, address, timeout)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for _, conn := range l.conns {
			_ = conn.Close()
		}
		l.conns = nil
	}
}

// newWorld connects process 0 to the first address and process 1 to the last.
func newWorld(t *testing.T, root string, expire func(int64) bool, addresses ...string) *world {
	t.Helper()
	w := &world{World: realtest.NewWorld(t, loop.New()), t: t, root: root, expire: expire}
	for n, address := range []string{addresses[0], addresses[len(addresses)-1]} {
		w.nodes[n] = New(w.Post, []string{address}, sessionTimeout, slog.New(slog.DiscardHandler))
		w.nodes[n].dial = w.lines[n].dial
	}
	conn, _, err := zk.Connect(addresses[:1], sessionTimeout, zk.WithLogger(libraryLog{slog.New(slog.DiscardHandler)}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Create(root, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatalf("creating %s: %v", root, err)
	}
	return w
}

func (w *world) Coordinator(n int) door.Coordinator { return w.nodes[n] }
func (w *world) Root() string                       { return w.root }
func (w *world) Cut(n int)                          { w.lines[n].set(true) }
func (w *world) Heal(n int)                         { w.lines[n].set(false) }

// Expire cuts the process off until its session must have ended, and heals the cut
// before the watchdog of the process gives up.
func (w *world) Expire(s door.Session) {
	id := s.ID()
	if w.expire != nil {
		if !w.expire(id) {
			w.t.Errorf("session %#x does not exist", id)
		}
		return
	}
	for n := range w.nodes {
		if current := w.nodes[n].current.Load(); current != nil && current.ID() == id {
			w.Cut(n)
			time.AfterFunc(sessionTimeout*3/2, func() { w.Heal(n) })
		}
	}
}

func TestCoordinatorKeepsItsPromisesOnTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	envtest.TestCoordinator(t, func(t *testing.T) envtest.CoordinatorHarness {
		server := lastingServer(t)
		return newWorld(t, "/test", server.ExpireSession, server.Address())
	})
}

func TestCoordinatorKeepsItsPromisesOnZooKeeper(t *testing.T) {
	t.Parallel()
	testCoordinatorAt(t, startZooKeeper(t).address)
}

// One process is connected to a follower, whose reads may be stale, and one to the
// leader.
func TestCoordinatorKeepsItsPromisesOnAnEnsemble(t *testing.T) {
	t.Parallel()
	e := startZooKeeperEnsemble(t)
	testCoordinatorAt(t, e.follower, e.leader)
}

func testCoordinatorAt(t *testing.T, addresses ...string) {
	bodies := 0
	envtest.TestCoordinator(t, func(t *testing.T) envtest.CoordinatorHarness {
		bodies++
		return newWorld(t, fmt.Sprintf("/test-%d", bodies), nil, addresses...)
	})
}
