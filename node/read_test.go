package node

import (
	"strings"
	"testing"

	"dkv/node/door"
)

// Reads, and the beats that confirm them.

// TestAReadIsConfirmedByWhatWasSentAfterIt checks rule "confirm after arrival":
// answers to what was sent before the read arrived, or by another boot, or with a
// higher promise, say nothing about it.
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

// TestAReadWaitsForTheNoop checks rule "active before reading": before the no-op is
// committed, the state may lack what an earlier primary acknowledged.
func TestAReadWaitsForTheNoop(t *testing.T) {
	s := newSetup(t, disk{asg: led(1, 5), promised: 4, epochs: []Epoch{1, 1, 4}, applied: 2})
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

// TestAJointReadNeedsBothMajorities checks rule "both majorities while moving":
// N might have a primary of its own.
func TestAJointReadNeedsBothMajorities(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: three, Next: []MemberNumber{4, 5, 6}}
	s := newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2})
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

// TestABeatIsAnsweredWithPromiseAndMatch checks rule "a heartbeat changes no log":
// it is answered with the match of its epoch only, and raises no promise.
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

// rot makes all keys of the state unreadable.
func (s *setup) rot() {
	s.rotten = func(key string) bool { return strings.Contains(key, "/kv/") }
}

// wantSilence wants the node to have told its owner of the failure, and no one else.
func (s *setup) wantSilence(c *client) {
	s.t.Helper()
	mustContain(s.t, s.failed, "can't be read")
	c.want(s.t)
	if n := len(s.doors.sent) - s.looked; n > 0 {
		s.t.Errorf("%d messages were sent after the disk failed", n)
	}
}

// TestAGetThatCannotBeReadIsNotAnswered checks rule "stop on damage".
func TestAGetThatCannotBeReadIsNotAnswered(t *testing.T) {
	s := leader(t, Config{}, nil)
	get := s.get("k")
	s.rot()
	s.forget()
	s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
	s.wantSilence(get)
}

// TestASoleReplicaThatCannotReadIsSilent checks rule "stop on damage" where reads are
// served at the end of a turn, while other messages wait to be sent.
func TestASoleReplicaThatCannotReadIsSilent(t *testing.T) {
	alone := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1}}
	s := newSetup(t, disk{asg: alone, promised: 4, epochs: []Epoch{1, 1}, applied: 2})
	s.get("k").want(t, door.Done)
	s.rot()
	s.deliver(2, &LayoutRequest{})
	s.wantSilence(s.get("k"))
}

// TestAReadDoesNotSeeWhatIsNotCommitted checks rule "answer only what is applied".
func TestAReadDoesNotSeeWhatIsNotCommitted(t *testing.T) {
	s := leader(t, Config{}, nil)
	put, get := s.put("k", "not committed"), s.get("k")
	s.beatReply(3, BeatReplyItem{Epoch: 5, Promised: 5})
	put.want(t)
	get.want(t, door.Done)
	if a := get.answers[0]; string(a.Value) != "3" || a.Version != 3 {
		t.Errorf("read %q of version %d, want what version 3 wrote", a.Value, a.Version)
	}
}
