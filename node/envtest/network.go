package envtest

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"dkv/node"
	"dkv/node/door"
)

// NetworkNodes is how many nodes a NetworkHarness offers, numbered from 0.
const NetworkNodes = 3

// NetworkHarness is a world with the network of some nodes, without faults of
// its own. All nodes run on the one Loop: a Send is made in an event of it,
// and what arrives is an event of it.
type NetworkHarness interface {
	Loop
	// Peer is where messages for a node go. It stays the same all the time.
	Peer(n int) door.Peer
	// Start lets a node take part, for the first time or again. What arrives
	// at it is given to receive. It fails the test if it can't.
	Start(n int, receive func(*node.Envelope)) door.Network[*node.Envelope]
	// Stop ends a node's process. Its Network is not used any more.
	Stop(n int)
}

// TestNetwork checks a Network against its promises, in a world where nothing
// is lost but what a stopped process loses.
func TestNetwork(t *testing.T, harness func(t *testing.T) NetworkHarness) {
	tests := []struct {
		name string
		body func(*networkBody)
	}{
		{"AllKindsArrive", (*networkBody).allKindsArrive},
		{"EachAtItsReceiver", (*networkBody).eachAtItsReceiver},
		{"ManyAtOnce", (*networkBody).manyAtOnce},
		{"LargeFramesArriveWhole", (*networkBody).largeFrames},
		{"SendIntoTheVoid", (*networkBody).sendIntoTheVoid},
		{"AnotherStoreIsNotMistaken", (*networkBody).anotherStore},
		{"ResumesAfterARestart", (*networkBody).resumesAfterRestart},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := harness(t)
			b := &networkBody{stage: stage{t: t, loop: h}, harness: h}
			for n := range NetworkNodes {
				b.numbers[n] = make(map[door.Index]bool)
				b.start(n)
			}
			test.body(b)
		})
	}
}

type networkBody struct {
	stage
	harness  NetworkHarness
	networks [NetworkNodes]door.Network[*node.Envelope]
	received [NetworkNodes][]*node.Envelope
	numbers  [NetworkNodes]map[door.Index]bool // of the numbered messages received
}

func (b *networkBody) start(n int) {
	b.networks[n] = b.harness.Start(n, func(e *node.Envelope) {
		b.event("a message", func() { b.receive(n, e) })()
	})
}

func (b *networkBody) receive(n int, e *node.Envelope) {
	b.received[n] = append(b.received[n], e)
	if m, ok := e.Body.(*node.Promise); ok {
		b.numbers[n][m.LastIndex] = true
	}
}

// send runs in an event.
func (b *networkBody) send(from, to int, body node.Message) *node.Envelope {
	e := b.envelope(from, to, body)
	used := *e
	b.networks[from].Send(b.harness.Peer(to), &used)
	used = node.Envelope{} // it is ours again
	return e
}

func (b *networkBody) envelope(from, to int, body node.Message) *node.Envelope {
	sender, receiver := b.harness.Peer(from), b.harness.Peer(to)
	return &node.Envelope{From: sender.Number, FromStore: sender.Store, ToStore: receiver.Store, Body: body}
}

// arrived says whether a message equal to e is at a node.
func (b *networkBody) arrived(n int, e *node.Envelope) bool {
	for _, got := range b.received[n] {
		if reflect.DeepEqual(got, e) {
			return true
		}
	}
	return false
}

// numbered is a small message that no other equals.
func numbered(n int) *node.Promise {
	return &node.Promise{Partition: 1, Epoch: 2, LastEpoch: 1, LastIndex: door.Index(n)}
}

func (b *networkBody) allKindsArrive() {
	var sent []*node.Envelope
	b.do(func() {
		for _, m := range everyMessage() {
			sent = append(sent, b.send(0, 1, m))
		}
		if len(b.received[1]) > 0 {
			b.t.Error("messages arrived inside Send")
		}
	})
	b.wait("all kinds of messages", func() bool {
		for _, e := range sent {
			if !b.arrived(1, e) {
				return false
			}
		}
		return true
	})
	b.do(func() {
		for _, got := range b.received[1] {
			for _, e := range sent {
				if got == e || got.Body == e.Body && reflect.TypeOf(e.Body).Elem().Size() > 0 {
					b.t.Errorf("%T arrived without having been encoded", e.Body)
				}
			}
		}
	})
}

func (b *networkBody) eachAtItsReceiver() {
	var sent [NetworkNodes][]*node.Envelope
	number := 0
	b.do(func() {
		for range 10 {
			for from := range NetworkNodes {
				for to := range NetworkNodes {
					if from != to {
						number++
						sent[to] = append(sent[to], b.send(from, to, numbered(number)))
					}
				}
			}
		}
	})
	b.wait("messages of each node at each other", func() bool {
		for to := range sent {
			for _, e := range sent[to] {
				if !b.arrived(to, e) {
					return false
				}
			}
		}
		return true
	})
	b.loop.Settle()
	b.do(func() {
		for to := range b.received {
			for _, got := range b.received[to] {
				if want := b.harness.Peer(to).Store; got.ToStore != want {
					b.t.Errorf("a message for store %q arrived at %q", got.ToStore, want)
				}
			}
		}
	})
}

// manyAtOnce sends in waves, since a queue may be full; what arrives stands
// for what was sent, and nothing else arrives.
func (b *networkBody) manyAtOnce() {
	const waves, wave = 10, 100
	for w := range waves {
		b.do(func() {
			for i := range wave {
				b.send(0, 1, numbered(w*wave+i))
				b.send(1, 0, numbered(w*wave+i))
			}
		})
		b.wait("a wave of 100 messages each way", func() bool {
			return b.distinct(0) == (w+1)*wave && b.distinct(1) == (w+1)*wave
		})
	}
}

// distinct counts the numbered messages at a node, each once.
func (b *networkBody) distinct(n int) int { return len(b.numbers[n]) }

func (b *networkBody) largeFrames() {
	for _, size := range []int{64 << 10, 1 << 20, 4 << 20} {
		value := bytes.Repeat([]byte(fmt.Sprintf("%07d ", size)), size/8)
		var e *node.Envelope
		b.do(func() {
			e = b.send(0, 1, &node.LayoutCopy{Data: value})
			b.send(0, 1, numbered(size))
		})
		b.wait("a large frame", func() bool { return b.arrived(1, e) })
		b.wait("the frame after it", func() bool { return b.arrived(1, b.envelope(0, 1, numbered(size))) })
	}
}

// sendIntoTheVoid sends to an address where no peer listens. Nothing happens, and
// the other peers are served as before.
func (b *networkBody) sendIntoTheVoid() {
	nowhere := b.harness.Peer(2)
	b.harness.Stop(2)
	b.do(func() {
		for i := range 50 {
			b.networks[0].Send(nowhere, b.envelope(0, 2, numbered(i)))
		}
		b.send(0, 1, numbered(1))
	})
	b.wait("a message past a peer that is gone", func() bool { return b.distinct(1) == 1 })
	b.do(func() { b.send(1, 0, numbered(2)) })
	b.wait("an answer", func() bool { return b.distinct(0) == 1 })
}

// anotherStore sends to an address whose disk is not the one that is meant. If
// the message arrives at all, it says so.
func (b *networkBody) anotherStore() {
	var wrong *node.Envelope
	b.do(func() {
		to := b.harness.Peer(1)
		to.Store = "another-disk"
		wrong = b.envelope(0, 1, numbered(1))
		wrong.ToStore = to.Store
		b.networks[0].Send(to, wrong)
	})
	b.loop.Settle()
	b.do(func() { b.send(0, 1, numbered(2)) })
	b.wait("a message for the right store", func() bool { return b.arrived(1, b.envelope(0, 1, numbered(2))) })
	b.do(func() {
		for _, got := range b.received[1] {
			m, _ := got.Body.(*node.Promise)
			if m != nil && m.LastIndex == 1 && !reflect.DeepEqual(got, wrong) {
				b.t.Errorf("a message for another store arrived as %+v", got)
			}
		}
	})
}

// resumesAfterRestart stops and starts a peer. What is sent meanwhile may be
// lost; a sender that repeats itself gets through, both ways.
func (b *networkBody) resumesAfterRestart() {
	number := 0
	for range 3 {
		b.exchange(&number)
		b.harness.Stop(1)
		b.do(func() {
			for range 5 {
				number++
				b.send(0, 1, numbered(number))
			}
		})
		b.start(1)
		b.exchange(&number)
	}
}

// exchange repeats messages between nodes 0 and 1 until one of each arrived
// that was sent after the call.
func (b *networkBody) exchange(number *int) {
	b.t.Helper()
	first := *number + 1
	since := func(n int) bool {
		for _, e := range b.received[n] {
			if m, ok := e.Body.(*node.Promise); ok && int(m.LastIndex) >= first {
				return true
			}
		}
		return false
	}
	for range 200 {
		var both bool
		b.do(func() {
			if both = since(0) && since(1); both {
				return
			}
			*number++
			b.send(0, 1, numbered(*number))
			b.send(1, 0, numbered(*number))
		})
		if both {
			return
		}
		b.loop.Settle()
	}
	b.t.Fatal("two nodes did not hear each other again")
}

// everyMessage is one message of each kind of message.go.
func everyMessage() []node.Message {
	a := node.Assignment{Epoch: 9, Primary: 3, Replicas: []node.MemberNumber{3, 1, 2}, Next: []node.MemberNumber{3, 4}}
	c := node.Counter{Boot: 4, Sent: 77}
	id := node.ForwardID{Store: "disk", Boot: 5, Number: 1000}
	name := node.SnapshotName{Source: "disk", Boot: 4, Index: 41, Epoch: 8, Generation: 6}
	entries := []node.Entry{
		{Index: 42, Epoch: 9, Kind: node.EntryNoop},
		{Index: 43, Epoch: 9, Kind: node.EntryPut, Key: []byte("k"), Value: []byte("v"), If: door.Condition{Match: 7}},
	}
	return []node.Message{
		&node.Forward{Partition: 5, Epoch: 9, ID: id, To: 3, Origin: 2, Hops: 1, Timeout: 1e9,
			Request: door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v")}},
		&node.ForwardReply{Partition: 5, ID: id, Origin: 2, Response: door.Response{Outcome: door.Done, Version: 7, Index: 7}, Known: a},
		&node.Prepare{Partition: 5, Assignment: a},
		&node.Promise{Partition: 5, Epoch: 9, LastEpoch: 8, LastIndex: 41},
		&node.Reject{Partition: 5, Epoch: 8, Promised: 9, Known: a},
		&node.CopyRequest{Partition: 5, Assignment: a, PrevIndex: 40, PrevEpoch: 7, LastIndex: 41, LastEpoch: 8},
		&node.CopyReply{Partition: 5, Epoch: 9, Result: node.CopyEntries, PrevIndex: 41, PrevEpoch: 8, LastIndex: 43, LastEpoch: 9, Entries: entries},
		&node.Append{Partition: 5, Assignment: a, Counter: c, PrevIndex: 41, PrevEpoch: 8, Commit: 40, Entries: entries},
		&node.Appended{Partition: 5, Epoch: 9, Counter: c, OK: true, Match: 43},
		&node.Beat{Kind: node.BeatHeart, Counter: c, LayoutVersion: 12, Items: []node.BeatItem{{Partition: 5, Epoch: 9, Commit: 41}}},
		&node.BeatReply{Counter: c, LayoutVersion: 12, Items: []node.BeatReplyItem{{Partition: 5, Epoch: 9, Match: 41}}},
		&node.PreVote{LayoutVersion: 12, Round: 3, Items: []node.PreVoteItem{{Partition: 5, Assignment: a}}},
		&node.PreVoteReply{LayoutVersion: 12, Round: 3, Items: []node.PreVoteReplyItem{{Partition: 5, Epoch: 9, Consent: true, Known: a}}},
		&node.SnapshotOffer{Partition: 5, Assignment: a, Counter: c, Name: name},
		&node.SnapshotPull{Partition: 5, Epoch: 9, Name: name, Started: true, After: []byte("kv/a")},
		&node.SnapshotChunk{Partition: 5, Epoch: 9, Name: name, Items: []node.SnapshotItem{{Key: []byte("kv/b"), Version: 12, Value: []byte("b")}}},
		&node.LayoutRequest{},
		&node.LayoutCopy{Data: []byte("{}")},
		&node.RollCall{Members: []node.MemberNumber{4, 5}},
		&node.RollReply{Asked: []node.MemberNumber{4, 5}, Heard: []node.HeardMember{{Member: 5, Silent: 7}}},
	}
}
