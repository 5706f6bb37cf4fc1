package world

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// doorman is a process that sends Hellos and accepts or refuses those of others.
type doorman struct {
	puppet
	host   int
	ready  bool
	judge  func(node.Hello) error
	hellos []node.Hello
}

func (d *doorman) Hello(node.StoreID) (node.Hello, bool) {
	return node.Hello{Node: node.NodeID(schedule.HostName(d.host)), Member: node.MemberNumber(d.host + 1), Store: "disk"}, d.ready
}

func (d *doorman) Refuse(_ node.Hello, why error) node.HelloRefusal {
	return node.HelloRefusal{Reason: why.Error()}
}

func (d *doorman) OnRefused(node.MemberNumber, node.HelloRefusal) {}

func (d *doorman) OnHello(h node.Hello) error {
	d.hellos = append(d.hellos, h)
	return d.judge(h)
}

// doormen returns a world with two doormen, and the messages that the second received.
func doormen(t *testing.T, mode netsim.Mode) (w *World, a, b *doorman, received *[]uint64) {
	list := make([]*doorman, 2)
	received = new([]uint64)
	w, err := New(Config{Hosts: 2, Net: netsim.Config{Mode: mode}, NewProcess: func(host int, _ node.Config, env node.Env) (Process, error) {
		list[host] = &doorman{host: host, ready: true, judge: func(node.Hello) error { return nil }}
		list[host].env = env
		return list[host], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	startAll(w)
	w.RunUntil(time.Second)
	list[1].receive = func(m *node.Envelope) { *received = append(*received, m.Body.(*node.Beat).Counter.Sent) }
	return w, list[0], list[1], received
}

func (d *doorman) send(to int, store node.StoreID, number uint64) {
	d.env.Network.Send(
		door.Peer{Number: node.MemberNumber(to + 1), Store: store, Address: PeerAddress(to)},
		&node.Envelope{From: node.MemberNumber(d.host + 1), FromStore: "disk", ToStore: store,
			Body: &node.Beat{Kind: node.BeatHeart, Counter: node.Counter{Sent: number}}},
	)
}

func TestConnectionsBeginWithHello(t *testing.T) {
	w, a, b, received := doormen(t, netsim.Stream)
	a.ready = false
	a.send(1, "disk", 1)
	w.RunUntil(w.Now() + time.Second)
	if len(b.hellos) != 0 || len(*received) != 0 {
		t.Error("a process without a Hello reached its peer")
	}
	a.ready = true
	a.send(1, "disk", 2)
	a.send(1, "disk", 3)
	w.RunUntil(w.Now() + time.Second)
	if len(b.hellos) != 1 || !slices.Equal(*received, []uint64{2, 3}) {
		t.Fatalf("%d hellos, messages %v", len(b.hellos), *received)
	}
	h := b.hellos[0]
	if h.Node != "n1" || h.To != "disk" || h.MinVersion != node.ProtocolVersion || h.MaxVersion != node.ProtocolVersion {
		t.Errorf("hello %+v", h)
	}
	w.Network().Reset(w.NetID(0), w.NetID(1))
	w.RunUntil(w.Now() + time.Second)
	a.send(1, "disk", 4)
	a.send(1, "another", 5)
	w.RunUntil(w.Now() + time.Second)
	if len(b.hellos) != 3 || b.hellos[2].To != "another" {
		t.Errorf("after a reset and for another store: hellos %+v", b.hellos)
	}
}

func TestRefusedConnectionCarriesNothing(t *testing.T) {
	for _, mode := range []netsim.Mode{netsim.Stream, netsim.Datagram} {
		w, a, b, received := doormen(t, mode)
		b.judge = func(node.Hello) error { return errors.New("not now") }
		a.send(1, "disk", 1)
		w.RunUntil(w.Now() + time.Second)
		a.send(1, "disk", 2)
		w.RunUntil(w.Now() + 50*time.Millisecond)
		b.judge = func(node.Hello) error { return nil }
		a.send(1, "disk", 3) // too soon for another connection
		w.RunUntil(w.Now() + time.Second)
		if len(b.hellos) != 2 {
			t.Errorf("%v: %d hellos", mode, len(b.hellos))
		}
		a.send(1, "disk", 4)
		w.RunUntil(w.Now() + time.Second)
		if got := (*received)[len(*received)-1]; got != 4 || slices.Contains(*received, 3) || slices.Contains(*received, 2) && mode == netsim.Stream {
			t.Errorf("%v: messages %v", mode, *received)
		}
	}
}

// OnSend is told of each frame that the network gets, with its size, and of none that is
// kept because there is no connection.
func TestOnlyWhatIsSentIsTold(t *testing.T) {
	w, a, b, received := doormen(t, netsim.Stream)
	var told []uint64
	w.cfg.OnSend = func(from, to int, m *node.Envelope, size int) {
		if want := len(node.AppendFrame(nil, m)); from != 0 || to != 1 || size != want {
			t.Errorf("told of %d bytes from host %d to host %d, want %d from 0 to 1", size, from, to, want)
		}
		told = append(told, m.Body.(*node.Beat).Counter.Sent)
	}
	a.ready = false
	a.send(1, "disk", 1) // without a Hello there is no connection
	a.ready = true
	b.judge = func(node.Hello) error { return errors.New("not now") }
	for number := uint64(2); number < 4; number++ {
		a.send(1, "disk", number) // it leaves before the refusal comes
		w.RunUntil(w.Now() + time.Second)
	}
	a.send(1, "disk", 4)
	w.RunUntil(w.Now() + 50*time.Millisecond)
	b.judge = func(node.Hello) error { return nil }
	a.send(1, "disk", 5) // too soon for another connection
	w.RunUntil(w.Now() + time.Second)
	a.send(1, "disk", 6)
	w.RunUntil(w.Now() + time.Second)
	if !slices.Equal(told, []uint64{2, 3, 4, 6}) || !slices.Equal(*received, []uint64{6}) {
		t.Errorf("told of %v, received %v; want 2, 3, 4 and 6, and 6", told, *received)
	}
}

func TestDamagedFramesAreDropped(t *testing.T) {
	w, a, b, received := doormen(t, netsim.Stream)
	if err := w.Network().SetRates(netsim.Rates{Corrupt: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(200) {
		a.send(1, "disk", i)
		w.RunUntil(w.Now() + 50*time.Millisecond)
	}
	if len(*received) != 0 || len(b.hellos) != 0 || !w.Running(1) {
		t.Errorf("%d messages and %d hellos arrived in damaged frames", len(*received), len(b.hellos))
	}
	if counters(w)["net-corrupt"] < 10 || counters(w)["net-reset"] == 0 {
		t.Errorf("damaged: %d, connections broken: %d", counters(w)["net-corrupt"], counters(w)["net-reset"])
	}
	w.Network().HealAll()
	w.RunUntil(w.Now() + 5*time.Second)
	a.send(1, "disk", 1000)
	w.RunUntil(w.Now() + time.Second)
	if fmt.Sprint(*received) != "[1000]" {
		t.Errorf("after the heal: %v", *received)
	}
}

func TestMessagesToUnknownAddressesAreDropped(t *testing.T) {
	w, a, _, received := doormen(t, netsim.Stream)
	for _, address := range []string{"", "n2", "n9:8002", "n0:8002", "x:8002", "n2:8003"} {
		a.env.Network.Send(door.Peer{Address: address}, &node.Envelope{Body: &node.LayoutRequest{}})
	}
	w.RunUntil(w.Now() + time.Second)
	if len(*received) != 0 {
		t.Errorf("received %v", *received)
	}
}
