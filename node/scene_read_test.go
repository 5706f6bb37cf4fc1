package node

import (
	"dkv/node/door"
	"testing"
)

// The scenes of this file are rule 9.1 of DESIGN section 6, reads, and 11a, the
// one fate of a forward.

// TestAReadIsConfirmedByWhatWasSentAfterIt: answers to what was sent before it
// arrived, or by another boot, or with a higher promise, say nothing about it.
func TestAReadIsConfirmedByWhatWasSentAfterIt(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.pass(suspect / 4) // a heartbeat
	before := Counter{s.node.boot, s.node.sent}
	get := s.get("k")
	b := sent[*Beat](s)
	asked := b[len(b)-1].body
	if asked.Kind != BeatConfirm || asked.Counter.Sent <= before.Sent {
		t.Fatalf("asked with %+v, want a confirmation after %d", *asked, before.Sent)
	}
	yes := BeatReplyItem{Epoch: 5, Promised: 5, Match: 4}
	for _, c := range []struct {
		name    string
		from    MemberNumber
		counter Counter
		item    BeatReplyItem
	}{
		{"sent before", 2, before, yes},
		{"another boot", 2, Counter{before.Boot - 1, before.Sent + 100}, yes},
		{"a higher promise", 2, asked.Counter, BeatReplyItem{Epoch: 5, Promised: 6}},
		{"another epoch", 2, asked.Counter, BeatReplyItem{Epoch: 4, Promised: 4}},
		{"a stranger", 4, asked.Counter, yes},
	} {
		s.from(c.from, &BeatReply{Counter: c.counter, Items: []BeatReplyItem{c.item}})
		if len(get.answers) > 0 {
			t.Fatalf("%s: the read was answered %+v", c.name, get.answers)
		}
	}
	s.from(3, &BeatReply{Counter: Counter{before.Boot, before.Sent + 1}, Items: []BeatReplyItem{yes}})
	get.want(t, door.Done)
	if a := get.answers[0]; !a.Found || string(a.Value) != "3" || a.Version != 3 || a.Index != 4 {
		t.Errorf("answered %+v, want 3 of version 3 at 4", a)
	}
}

// TestAReadWaitsForTheNoop: before it is committed, the state may lack what an
// earlier primary acknowledged.
func TestAReadWaitsForTheNoop(t *testing.T) {
	s := newScene(t, disk{asg: led(1, 5), promised: 4, epochs: []Epoch{1, 1, 4}, applied: 2})
	s.promise(2, 4, 3)
	get := s.get("k")
	s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5})
	get.want(t)
	s.ack(2)
	get.want(t, door.Done)
	if string(get.answers[0].Value) != "3" {
		t.Errorf("read %q, want what epoch 4 wrote", get.answers[0].Value)
	}
}

// TestAJointReadNeedsBothMajorities: N might have a primary of its own.
func TestAJointReadNeedsBothMajorities(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: three, Next: []MemberNumber{4, 5, 6}}
	s := newScene(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2})
	s.promise(2, 1, 2)
	s.ack(2, 4, 5)
	get := s.get("k")
	yes := BeatReplyItem{Epoch: 5, Promised: 5, Match: 3}
	s.beatReply(2, yes)
	s.beatReply(3, yes)
	s.beatReply(4, yes)
	get.want(t)
	s.beatReply(6, yes)
	get.want(t, door.Done)
}

// TestABeatIsAnsweredWithPromiseAndMatch: the match of this epoch only.
func TestABeatIsAnsweredWithPromiseAndMatch(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	beat := func(e Epoch) BeatReplyItem {
		s.forget()
		s.from(2, &Beat{Kind: BeatConfirm, Counter: Counter{3, 8}, Items: []BeatItem{{0, e, 2}}})
		reply := one[*BeatReply](s, 2)
		if reply.Counter != (Counter{3, 8}) || len(reply.Items) != 1 {
			t.Fatalf("answered %+v, want the counter echoed and one item", *reply)
		}
		return reply.Items[0]
	}
	if got, want := beat(5), (BeatReplyItem{Epoch: 5, Promised: 5}); got != want {
		t.Errorf("answered %+v before any Append, want %+v", got, want)
	}
	s.append2(2, 1, 2, 4)
	if got, want := beat(5), (BeatReplyItem{Epoch: 5, Promised: 5, Match: 3}); got != want {
		t.Errorf("answered %+v, want %+v", got, want)
	}
	if got, want := beat(4), (BeatReplyItem{Epoch: 4, Promised: 5}); got != want {
		t.Errorf("answered %+v to a lower epoch, want %+v", got, want)
	}
	if got, want := beat(6), (BeatReplyItem{Epoch: 6, Promised: 5}); got != want {
		t.Errorf("answered %+v to a higher epoch, want %+v: a beat raises no promise", got, want)
	}
}

// TestAForwardHasOneFate: a copy gets the first one's answer and changes
// nothing; one that was refused stays refused.
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

// TestAForgottenForwardIsUnknown: below the window, or of an epoch in which
// another process may have done it.
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

// TestAForwardOfALaterEpochIsNotRefused: this node may yet lead it.
func TestAForwardOfALaterEpochIsNotRefused(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 6, 1, putK)
	s.settle()
	none[*ForwardReply](s)
	s.wantLog(1, 1, 4, 5)
}

// TestAForwarderThatHearsNothingAnswersUnknown: it repeats the number, also
// through the other replica, and never makes up an answer.
func TestAForwarderThatHearsNothingAnswersUnknown(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 5), promised: 5})
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
