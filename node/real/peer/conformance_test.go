package peer

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/envtest"
	"dkv/node/real/loop"
	"dkv/node/real/realtest"
)

// networkWorld gives each node a loop of its own, as in a process, and reports what
// arrives on the loop of the test.
type networkWorld struct {
	realtest.World
	t         *testing.T
	addresses [envtest.NetworkNodes]string
	nodes     [envtest.NetworkNodes]*remote
}

// remote is the network of a node, to be used from the loop of the test.
type remote struct {
	loop    *loop.Loop
	network *Network
}

func (r *remote) Send(to door.Peer, m *node.Envelope) {
	sent := *m
	r.loop.Post(func() { r.network.Send(to, &sent) })
}

func newNetworkWorld(t *testing.T) envtest.NetworkHarness {
	w := &networkWorld{World: realtest.NewWorld(t, loop.New()), t: t}
	for n := range w.addresses {
		w.addresses[n] = realtest.Address(t)
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
	r := &remote{loop: loop.New()}
	r.network = New(r.loop, listener, slog.New(slog.DiscardHandler))
	r.network.dialWithin, r.network.greetWithin = time.Minute, time.Minute
	r.loop.OnFrame = func(m *node.Envelope) { w.Post(func() { receive(m) }) }
	r.loop.EndTurn = r.network.Flush
	peer := w.Peer(n)
	r.network.Start(Protocol{
		Hello: func(node.StoreID) (node.Hello, bool) {
			return node.Hello{Member: peer.Number, Store: peer.Store, LayoutVersion: -1}, true
		},
		Judge:   func(node.Hello) error { return nil },
		Refuse:  func(node.Hello, error) node.HelloRefusal { return node.HelloRefusal{} },
		Refused: func(node.MemberNumber, node.HelloRefusal) {},
		Lost:    func(node.MemberNumber) {},
	})
	go r.loop.Run()
	w.nodes[n] = r
	return r
}

func (w *networkWorld) Stop(n int) {
	if r := w.nodes[n]; r != nil {
		r.loop.Stop()
		r.network.Close()
		w.nodes[n] = nil
	}
}

func TestNetworkKeepsItsPromises(t *testing.T) {
	envtest.TestNetwork(t, newNetworkWorld)
}
