package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/node/door"
)

// Forwarding: requests that reach the primary through another node.

// TestAForwardHasOneFate checks rule "one fate per forward": a copy gets the first one's
// answer and changes nothing.
func TestAForwardHasOneFate(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 5, 1, putK)
	s.forward(3, 5, 1, putK)
	s.settle()
	s.wantLog(1, 1, 4, 5, 5)
	none[*ForwardReply](s)
	s.ack(2)
	first := *one[*ForwardReply](s, 3)
	if first.Response.Outcome != door.Done || first.Response.Version != 5 {
		t.Fatalf("answered %+v, want version 5", first)
	}
	s.forget()
	s.forward(3, 5, 1, putK)
	s.settle()
	if again := one[*ForwardReply](s, 3); again.Response.Version != 5 || again.ID != first.ID {
		t.Errorf("a copy is answered %+v, want %+v", *again, first)
	}
	s.wantLog(1, 1, 4, 5, 5)
}

// TestARefusedForwardStaysRefused checks rule "refuse only for good": also
// when the primary could accept the write by now.
func TestARefusedForwardStaysRefused(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.pass(2 * suspect)
	s.forward(3, 5, 1, putK) // a quiet primary
	s.settle()
	s.ack(2)
	s.forget()
	s.forward(3, 5, 1, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused {
		t.Errorf("a copy of a refused forward is answered %+v", *p)
	}
	s.wantLog(1, 1, 4, 5)
	s.forget()
	s.forward(3, 5, 2, putK)
	s.settle()
	s.wantLog(1, 1, 4, 5, 5)
}

// TestAForgottenForwardIsUnknown checks rule "refuse only for good": below the window, and in
// an epoch before this process, the write may have been done.
func TestAForgottenForwardIsUnknown(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 5, 2*forwardWindow, putK)
	s.settle()
	s.ack(2)
	s.forget()
	s.forward(3, 5, forwardWindow, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Unknown {
		t.Errorf("a number below the window is answered %+v", *p)
	}
	s.restart()
	s.forward(3, 5, 2*forwardWindow, putK)
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Unknown {
		t.Errorf("a forward of an epoch before the restart is answered %+v", *p)
	}
	s.wantLog(1, 1, 4, 5, 5)
}

// TestAForwardWhoseRecordIsOutOfDateIsUnknown checks rule "refuse only for good": the
// record of a former reign is dropped after a while, and what it said with it. Until
// then a copy is answered by it.
func TestAForwardWhoseRecordIsOutOfDateIsUnknown(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 5, 1, putK)
	s.settle()
	s.ack(2)
	s.prepare(led(2, 6))
	s.settle()
	copied := func() door.Outcome {
		s.forget()
		s.forward(3, 5, 1, putK)
		s.settle()
		return one[*ForwardReply](s, 3).Response.Outcome
	}
	if o := copied(); o != door.Done {
		t.Fatalf("a copy is answered %v after the reign; want done", o)
	}
	s.pass(FatesKept + suspect)
	if n := len(s.replica().ended); n != 0 {
		t.Fatalf("%d records are kept after their time", n)
	}
	if o := copied(); o != door.Unknown {
		t.Errorf("a copy is answered %v after the record's time; want unknown", o)
	}
	s.forget()
	s.forward(3, 5, 2, putK) // a number that it never had: nothing says so any more
	s.settle()
	if o := one[*ForwardReply](s, 3).Response.Outcome; o != door.Unknown {
		t.Errorf("another number is answered %v after the record's time; want unknown", o)
	}
}

// TestAForwardOfALaterEpochIsNotRefused checks rule "refuse only for good": this
// node may yet lead that epoch.
func TestAForwardOfALaterEpochIsNotRefused(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 6, 1, putK)
	s.settle()
	none[*ForwardReply](s)
	s.wantLog(1, 1, 4, 5)
}

// TestAForwarderThatHearsNothingAnswersUnknown checks rule "unknown is
// final": the forwarder repeats the number, also through the other replica, and never
// makes up an answer.
func TestAForwarderThatHearsNothingAnswersUnknown(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5})
	put := s.put("k", "x")
	id := one[*Forward](s, 2).ID
	s.forget()
	s.pass(suspect)
	seen := map[MemberNumber]bool{}
	for _, l := range sent[*Forward](s) {
		if l.body.ID != id || l.body.To != 2 {
			t.Fatalf("sent %+v, want a copy of %+v", *l.body, id)
		}
		seen[l.to] = true
	}
	if !seen[2] || !seen[3] {
		t.Errorf("repeated to %v, want 2 and 3", seen)
	}
	s.pass(5 * suspect * 2)
	put.want(t, door.Unknown)
}

// TestAForwardWhoseEpochEndsIsAskedForAtOnce checks rule "hand over before leaving": the
// former primary is asked in the turn in which its successor becomes known, since it may be
// about to leave.
func TestAForwardWhoseEpochEndsIsAskedForAtOnce(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5})
	s.pass(suspect / 8)
	put := s.put("k", "x")
	first := *one[*Forward](s, 2)
	s.forget()
	s.deliver(3, &LayoutCopy{encoded(t, layoutOf(t, 9, led(3, 6), 1, 2, 3))})
	s.settle()
	if again := one[*Forward](s, 2); again.ID != first.ID || again.Epoch != 5 {
		t.Fatalf("sent %+v, want a copy of %+v", *again, first)
	}
	s.forget()
	for range 2 { // it is about to leave, and that may have been lost
		s.from(2, &LayoutRequest{})
		one[*Forward](s, 2)
		s.forget()
		s.from(2, &LayoutRequest{})
		none[*Forward](s) // it was asked just now
		s.pass(suspect / 5)
	}
	s.from(2, &ForwardReply{Partition: 0, ID: first.ID, Origin: 1, Response: refused("the epoch is over"), Known: led(3, 6)})
	s.pass(suspect / 4)
	if f := one[*Forward](s, 3); f.Epoch != 6 {
		t.Errorf("forwarded %+v, want epoch 6", *f)
	}
	put.want(t)
}

// TestNoForwardBeforePeersMayKnow: the network would drop it, and the primary may be gone
// before it is repeated.
func TestNoForwardBeforePeersMayKnow(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5})
	s.node.stamps.greets = false
	put := s.put("k", "x")
	s.settle()
	none[*Forward](s)
	put.want(t)
	if ok, why := s.node.Ready(); ok {
		t.Errorf("ready (%s), though no peer may know of this process", why)
	}
	s.node.stamps.greets = true
	s.pass(suspect / 4)
	one[*Forward](s, 2)
}

// TestAForwardIsRepeatedEverMoreRarely checks rule "send again what was lost": copies that
// keep their pace keep a primary that is behind from ever catching up.
func TestAForwardIsRepeatedEverMoreRarely(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5})
	s.ask(door.Request{Kind: door.RequestPut, Key: []byte("k"), Timeout: 20 * suspect})
	var at []time.Duration // of the copies to the primary, in ticks
	for tick := range 80 {
		s.forget()
		s.pass(suspect / 4)
		for _, l := range sent[*Forward](s) {
			if l.to == 2 {
				at = append(at, time.Duration(tick+1))
			}
		}
	}
	if want := []time.Duration{2, 6, 14, 30, 46, 62, 78}; !slices.Equal(at, want) {
		t.Errorf("repeated after %d ticks, want %d", at, want)
	}
}

// TestNoForwardBeforeTheBootCounterIsDurable checks rule "one disk one member": a
// boot counter that a crash takes back would give another write the same number.
func TestNoForwardBeforeTheBootCounterIsDurable(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5})
	s.slowDisk = true
	s.restart()
	put := s.put("k", "x")
	s.pass(suspect)
	none[*Forward](s)
	s.slowDisk = false
	s.settle()
	s.pass(suspect / 4)
	put.want(t)
	if f := one[*Forward](s, 2); f.ID != (ForwardID{"disk-1", 9, 1}) {
		t.Errorf("forwarded as %+v, want boot 9", f.ID)
	}
}

func (s *setup) forward(from MemberNumber, e Epoch, number uint64, r door.Request) {
	s.deliver(from, &Forward{
		Epoch: e, ID: ForwardID{StoreID(fmt.Sprintf("disk-%d", from)), 1, number}, To: 1, Origin: from,
		Timeout: 5 * time.Second, Request: r,
	})
}

var putK = door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("x")}

// TestAForwardIsRefusedOnlyWhenItsEpochIsOverForGood checks rule "refuse only
// for good": the promise that ends the epoch is durable before a forwarder hears that
// its write will never be done.
func TestAForwardIsRefusedOnlyWhenItsEpochIsOverForGood(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 5, 1, putK)
	s.settle()
	s.slowDisk = true
	s.deliver(2, &Prepare{0, led(2, 6)})
	s.forward(3, 5, 2, putK)
	s.forget()
	s.settle()
	for _, l := range sent[*ForwardReply](s) {
		if l.body.Response.Outcome == door.Refused {
			t.Fatalf("refused before promise 6 is durable: %+v", l.body)
		}
	}
	s.forget()
	s.slowDisk = false
	s.settle()
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused || p.ID.Number != 2 {
		t.Errorf("answered %+v, want a refusal of number 2", p)
	}
}

// TestARelayThatKnowsBetterSaysSo checks rule "pass the layout on".
func TestARelayThatKnowsBetterSaysSo(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 7), promised: 5})
	s.deliver(3, &Forward{Epoch: 5, ID: ForwardID{"disk-3", 1, 1}, To: 2, Origin: 3, Request: putK})
	s.settle()
	none[*Forward](s)
	if j := one[*Reject](s, 3); j.Known.Epoch != 7 || j.Known.Primary != 2 {
		t.Errorf("told of %+v, want epoch 7", j.Known)
	}
}
