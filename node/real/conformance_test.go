package real

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/envtest"
	"dkv/zksim/zkserver"
)

// world is an envtest.Loop on a real loop.
type world struct{ *loop }

func newWorld(t *testing.T) world {
	w := world{newLoop()}
	runLoop(t, w.loop)
	return w
}

func (w world) Do(fn func()) { w.call(fn) }

func (w world) RunUntil(cond func() bool) bool {
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		holds := false
		w.call(func() { holds = cond() })
		if holds {
			return true
		}
	}
	return false
}

func (w world) Settle() {
	time.Sleep(30 * time.Millisecond)
	w.call(func() {})
}

type clockWorld struct{ world }

func (w clockWorld) Clock() door.Clock { return clock{w.loop} }

func TestClockKeepsItsPromises(t *testing.T) {
	envtest.TestClock(t, func(t *testing.T) envtest.ClockHarness { return clockWorld{newWorld(t)} })
}

// networkWorld gives each node a loop of its own, as in a process, and tells
// the body what arrives on the body's loop.
type networkWorld struct {
	world
	t         *testing.T
	addresses [envtest.NetworkNodes]string
	nodes     [envtest.NetworkNodes]*remote
}

// remote is a node's network as the body's loop reaches it.
type remote struct {
	loop    *loop
	network *network
}

func (r *remote) Send(to door.Peer, m *node.Envelope) {
	sent := *m
	r.loop.post(func() { r.network.Send(to, &sent) })
}

func newNetworkWorld(t *testing.T) envtest.NetworkHarness {
	w := &networkWorld{world: newWorld(t), t: t}
	for n := range w.addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.addresses[n] = listener.Addr().String()
		_ = listener.Close()
	}
	t.Cleanup(func() {
		for n := range w.nodes {
			w.Stop(n)
		}
	})
	return w
}

func (w *networkWorld) Peer(n int) door.Peer {
	return door.Peer{Number: node.MemberNumber(n + 1), Store: node.StoreID(fmt.Sprintf("disk-%d", n)), Address: w.addresses[n]}
}

func (w *networkWorld) Start(n int, receive func(*node.Envelope)) door.Network[*node.Envelope] {
	w.t.Helper()
	listener, err := net.Listen("tcp", w.addresses[n])
	if err != nil {
		w.t.Fatal(err)
	}
	r := &remote{loop: newLoop()}
	r.network = newNetwork(r.loop, listener, quiet())
	r.loop.onFrame = func(m *node.Envelope) { w.post(func() { receive(m) }) }
	r.loop.endTurn = r.network.flush
	peer := w.Peer(n)
	r.network.start(peerProtocol{
		hello: func() (node.Hello, bool) {
			return node.Hello{Member: peer.Number, Store: peer.Store, LayoutVersion: -1}, true
		},
		judge: func(node.Hello) error { return nil },
		lost:  func(node.MemberNumber) {},
	})
	go r.loop.run()
	w.nodes[n] = r
	return r
}

func (w *networkWorld) Stop(n int) {
	if r := w.nodes[n]; r != nil {
		r.loop.stop()
		r.network.close()
		w.nodes[n] = nil
	}
}

func TestNetworkKeepsItsPromises(t *testing.T) {
	envtest.TestNetwork(t, newNetworkWorld)
}

// zkSession is the session timeout of tests: long enough for a busy machine.
const zkSession = 3 * time.Second

// zkWorld is one ZooKeeper and two processes, whose connections can be cut.
type zkWorld struct {
	world
	t      *testing.T
	root   string
	nodes  [2]*zooKeeper
	lines  [2]zkLine
	expire func(id int64) bool // nil: by a cut
}

// zkLine is a process's way to ZooKeeper.
type zkLine struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *zkLine) dial(network, address string, timeout time.Duration) (net.Conn, error) {
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

func (l *zkLine) set(cut bool) {
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

// newZKWorld connects process 0 to the first address and process 1 to the last.
func newZKWorld(t *testing.T, root string, expire func(int64) bool, addresses ...string) *zkWorld {
	t.Helper()
	w := &zkWorld{world: newWorld(t), t: t, root: root, expire: expire}
	for n, address := range []string{addresses[0], addresses[len(addresses)-1]} {
		w.nodes[n] = newZooKeeper(w.loop, []string{address}, zkSession, quiet())
		w.nodes[n].dial = w.lines[n].dial
	}
	conn, _, err := zk.Connect(addresses[:1], zkSession, zk.WithLogger(zkLogger{quiet()}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Create(root, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatalf("creating %s: %v", root, err)
	}
	return w
}

func (w *zkWorld) Coordinator(n int) door.Coordinator { return w.nodes[n] }
func (w *zkWorld) Root() string                       { return w.root }
func (w *zkWorld) Cut(n int)                          { w.lines[n].set(true) }
func (w *zkWorld) Heal(n int)                         { w.lines[n].set(false) }

// Expire keeps the process away until its session must have ended, and lets it
// back before its own watchdog gives up.
func (w *zkWorld) Expire(s door.Session) {
	id := s.ID()
	if w.expire != nil {
		if !w.expire(id) {
			w.t.Errorf("there is no session %#x", id)
		}
		return
	}
	for n := range w.nodes {
		if current := w.nodes[n].current.Load(); current != nil && current.ID() == id {
			w.Cut(n)
			time.AfterFunc(zkSession*3/2, func() { w.Heal(n) })
		}
	}
}

func TestCoordinatorKeepsItsPromisesOnTheEmbeddedServer(t *testing.T) {
	envtest.TestCoordinator(t, func(t *testing.T) envtest.CoordinatorHarness {
		server := zkserver.NewTestWith(t, zkserver.Options{Tick: 200 * time.Millisecond})
		return newZKWorld(t, "/test", server.ExpireSession, server.Address())
	})
}

func TestCoordinatorKeepsItsPromisesOnZooKeeper(t *testing.T) {
	t.Parallel()
	testCoordinatorAt(t, startZooKeeper(t).address)
}

// One process asks a follower, whose reads are stale, and one the leader.
func TestCoordinatorKeepsItsPromisesOnAnEnsemble(t *testing.T) {
	t.Parallel()
	e := startZooKeeperEnsemble(t)
	testCoordinatorAt(t, e.follower, e.leader)
}

func testCoordinatorAt(t *testing.T, addresses ...string) {
	bodies := 0
	envtest.TestCoordinator(t, func(t *testing.T) envtest.CoordinatorHarness {
		bodies++
		return newZKWorld(t, fmt.Sprintf("/test-%d", bodies), nil, addresses...)
	})
}
