package node

import (
	"strings"
	"testing"
	"time"

	"dkv/node/door"
)

// Starting an epoch: promising, choosing the log, and copying it.

// TestAnEpochIsStartedOnce checks rule "never resume an epoch": a process that finds its
// epoch promised when it starts asks for the next one.
func TestAnEpochIsStartedOnce(t *testing.T) {
	s := newSetup(t, disk{asg: led(1, 5), promised: 5, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
	s.pass(suspect / 4)
	none[*Prepare](s)
	if got := sent[*PreVote](s); len(got) != 2 || s.replica().reign != nil {
		t.Fatalf("%d pre-votes, reign %v, want two and none", len(got), s.replica().reign)
	}
	s.consent(2, 1, 2)
	s.pass(suspect / 2)
	if s.saw(EventBump) != 1 || s.replica().reign == nil || s.replica().reign.epoch != 6 {
		t.Fatalf("%d bumps, reign %v, want epoch 6 begun", s.saw(EventBump), s.replica().reign)
	}
	if got := sent[*Prepare](s); len(got) == 0 || got[0].body.Assignment.Epoch != 6 {
		t.Errorf("%d Prepares sent, want some for epoch 6", len(got))
	}
}

// TestNothingIsSentBeforeTheOwnPromiseIsDurable checks rule "promise yourself first".
func TestNothingIsSentBeforeTheOwnPromiseIsDurable(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.slowDisk = true
	s.from(2, &PreVote{Items: []PreVoteItem{{0, led(1, 6)}}})
	s.pass(suspect / 2)
	s.promise(2, 1, 2)
	none[*Prepare](s)
	none[*Append](s)
	none[*Beat](s)
	s.slowDisk = false
	s.settle()
	if len(sent[*Prepare](s)) == 0 {
		t.Error("no Prepare after the promise is durable")
	}
}

// TestAPromiseIsDurableBeforeItIsGiven checks rule "persist before promise": the
// promise is given again in the same words, and keeps lower epochs away.
func TestAPromiseIsDurableBeforeItIsGiven(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	s.slowDisk = true
	s.prepare(led(3, 6))
	none[*Promise](s)
	s.slowDisk = false
	s.settle()
	want := Promise{0, 6, 4, 3}
	if p := one[*Promise](s, 3); *p != want {
		t.Errorf("promised %+v, want %+v", *p, want)
	}
	s.forget()
	s.prepare(led(3, 6))
	if p := one[*Promise](s, 3); *p != want {
		t.Errorf("promised %+v the second time, want %+v", *p, want)
	}
	s.forget()
	s.prepare(led(2, 5))
	none[*Promise](s)
	if j := one[*Reject](s, 2); j.Promised != 6 || j.Epoch != 5 {
		t.Errorf("rejected with %+v, want promised 6", *j)
	}
	s.forget()
	s.restart()
	s.prepare(led(2, 5))
	none[*Promise](s)
}

// TestAPromiseCoversTheLog checks rule "persist before promise": entries that came just
// before are durable with it.
func TestAPromiseCoversTheLog(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.slowDisk = true
	s.from(2, &Append{Assignment: led(2, 5), PrevIndex: 2, PrevEpoch: 1, Entries: entries(2, 5)})
	s.prepare(led(3, 6))
	none[*Promise](s)
	none[*Appended](s)
	s.slowDisk = false
	s.settle()
	none[*Appended](s) // the promise for 5 does not stand any more
	if p := one[*Promise](s, 3); p.LastEpoch != 5 || p.LastIndex != 3 {
		t.Errorf("promised a log that ends at %d of epoch %d, want 3 of 5", p.LastIndex, p.LastEpoch)
	}
}

// TestAMinorityOfPromisesStartsNothing checks rule "promises from a majority":
// neither do promises of members outside R count, nor that of a primary outside R.
func TestAMinorityOfPromisesStartsNothing(t *testing.T) {
	joint := Assignment{Epoch: 6, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: []MemberNumber{1, 5, 6}}
	s := newSetup(t, disk{asg: joint, promised: 5, epochs: []Epoch{1, 1}, applied: 2})
	for _, l := range sent[*Prepare](s) {
		if !contains(joint.Replicas, l.to) {
			t.Errorf("Prepare sent to member %d, which is not in R", l.to)
		}
	}
	s.promise(5, 1, 2)
	s.promise(6, 1, 2)
	s.promise(2, 1, 2)
	s.promise(2, 1, 2)
	s.wantLog(1, 1)
	s.promise(3, 1, 2)
	s.wantLog(1, 1, 6)
}

// TestTheBestLogIsThatOfTheLastEpoch checks rules "the best log wins" and "no-op
// first": the best log is not the longest one. The own log is cut only to what the
// two share, and an Append is sent only when it ends as promised.
func TestTheBestLogIsThatOfTheLastEpoch(t *testing.T) {
	s := newSetup(t, disk{asg: led(1, 6), promised: 5, epochs: []Epoch{1, 1, 3, 3, 3, 3, 3}, applied: 2})
	s.promise(2, 4, 4)
	q := one[*CopyRequest](s, 2)
	if q.LastEpoch != 4 || q.LastIndex != 4 {
		t.Fatalf("asked for a log that ends at %d of %d, want 4 of 4", q.LastIndex, q.LastEpoch)
	}
	s.forget()
	s.from(2, &CopyReply{Epoch: 6, Result: CopyMismatch, PrevIndex: 3, PrevEpoch: 1, LastIndex: 4, LastEpoch: 4})
	s.wantLog(1, 1, 3, 3, 3, 3, 3) // a mismatch cuts nothing
	if q = one[*CopyRequest](s, 2); q.PrevIndex != 2 || q.PrevEpoch != 1 {
		t.Fatalf("asked again after %d of %d, want 2 of 1", q.PrevIndex, q.PrevEpoch)
	}
	none[*Append](s)
	s.forget()
	s.from(2, &CopyReply{Epoch: 6, Result: CopyEntries, PrevIndex: 2, PrevEpoch: 1, LastIndex: 4, LastEpoch: 4, Entries: entries(2, 1, 4)})
	s.wantLog(1, 1, 1, 4, 6)
	if a := sent[*Append](s); len(a) != 2 || a[0].body.Entries[0].Kind != EntryNoop {
		t.Errorf("%d Appends, want the no-op to both", len(a))
	}
}

// TestALongerOwnLogIsCutToThePromise checks rule "end where the source
// promised": the own log shares all that was promised, and what it has beyond goes.
func TestALongerOwnLogIsCutToThePromise(t *testing.T) {
	s := newSetup(t, disk{asg: Assignment{Epoch: 6, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: three}, promised: 5, epochs: []Epoch{1, 1, 4, 4}, applied: 2})
	s.promise(2, 4, 3)
	s.promise(3, 1, 2)
	s.wantLog(1, 1, 4, 6)
}

// TestASourceThatLostItsLogIsReplaced checks rule "end where the source promised".
func TestASourceThatLostItsLogIsReplaced(t *testing.T) {
	s := newSetup(t, disk{
		asg: Assignment{Epoch: 6, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: three}, promised: 5,
		epochs: []Epoch{1, 1}, applied: 2,
	})
	s.promise(2, 4, 3)
	s.promise(3, 4, 3)
	first := sent[*CopyRequest](s)[0].to
	other := 5 - first
	s.forget()
	s.from(first, &CopyReply{Epoch: 6, Result: CopyGone, LastIndex: 3, LastEpoch: 4})
	one[*CopyRequest](s, other)
	s.forget()
	s.from(other, &CopyReply{Epoch: 6, Result: CopyGone, LastIndex: 3, LastEpoch: 4})
	none[*CopyRequest](s)
	s.wantLog(1, 1)
	if len(sent[*PreVote](s)) == 0 {
		t.Error("no source is left, and no bump is asked for")
	}
}

// TestASourceShowsOnlyWhatItPromised checks rule "end where the source promised" at
// the source.
func TestASourceShowsOnlyWhatItPromised(t *testing.T) {
	s := followerOf2(t, 1, 1, 4, 4)
	ask := CopyRequest{Assignment: led(2, 5), PrevIndex: 2, PrevEpoch: 1, LastIndex: 4, LastEpoch: 4}
	for _, c := range []struct {
		name   string
		change func(*CopyRequest)
		want   CopyReply
	}{
		{"as promised", func(*CopyRequest) {}, CopyReply{Result: CopyEntries, PrevIndex: 2, PrevEpoch: 1, Entries: make([]Entry, 2)}},
		{"not to the log's end", func(q *CopyRequest) { q.LastIndex = 3 }, CopyReply{Result: CopyEntries, PrevIndex: 2, PrevEpoch: 1, Entries: make([]Entry, 1)}},
		{"an end of another epoch", func(q *CopyRequest) { q.LastEpoch = 3 }, CopyReply{Result: CopyGone, PrevIndex: 2, PrevEpoch: 1}},
		{"beyond the log's end", func(q *CopyRequest) { q.LastIndex = 5 }, CopyReply{Result: CopyGone, PrevIndex: 2, PrevEpoch: 1}},
		{"another past", func(q *CopyRequest) { q.PrevIndex, q.PrevEpoch = 3, 2 }, CopyReply{Result: CopyMismatch, PrevIndex: 2, PrevEpoch: 1}},
	} {
		q := ask
		c.change(&q)
		s.forget()
		s.from(2, &q)
		got := one[*CopyReply](s, 2)
		if got.Result != c.want.Result || got.PrevIndex != c.want.PrevIndex || got.PrevEpoch != c.want.PrevEpoch || len(got.Entries) != len(c.want.Entries) {
			t.Errorf("%s: answered %+v, want %+v", c.name, *got, c.want)
		}
	}
}

// TestARiseOfThePromiseEndsTheReign checks rule "a higher promise ends the reign":
// nothing is acknowledged, committed or read in it any more.
func TestARiseOfThePromiseEndsTheReign(t *testing.T) {
	s := leader(t, Config{}, nil)
	put, get := s.put("k", "x"), s.get("k")
	s.slowDisk = true
	s.prepare(led(2, 6))
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}, OK: true, Match: 5})
	s.beatReply(3, BeatReplyItem{Epoch: 5, Promised: 5, Match: 5})
	put.want(t, door.Unknown)
	get.want(t) // refused for now; it waits for the next primary
	s.wantCommit(4)
	if s.replica().reign != nil {
		t.Error("the reign stands")
	}
	s.now += 10 * time.Second
	s.pass(suspect)
	get.want(t, door.Refused)
}

// TestTheQueueOfAStartingReignIsBoundedInBytes: one request always fits,
// however large.
func TestTheQueueOfAStartingReignIsBoundedInBytes(t *testing.T) {
	s := newSetup(t, disk{asg: led(1, 5), promised: 4, config: Config{MaxUncommittedBytes: 1000}})
	big := strings.Repeat("x", 2000)
	first, second := s.put("a", big), s.put("b", "x")
	first.want(t)
	second.want(t, door.Refused)
	if !second.answers[0].Busy {
		t.Errorf("answered %+v, want busy", second.answers[0])
	}
	s.promise(2, 0, 0)
	s.ack(2)
	first.want(t, door.Done)
}

// TestALogChangedByAFailedCopyIsNotChosen checks rule "end where the source
// promised": member 2 shows a part of its log and loses the rest, so the own log is
// not the one that was promised any more.
func TestALogChangedByAFailedCopyIsNotChosen(t *testing.T) {
	s := newSetup(t, disk{asg: led(1, 6), promised: 5, epochs: []Epoch{1, 1}, applied: 1})
	s.promise(2, 4, 9)
	s.from(2, &CopyReply{
		Epoch: 6, Result: CopyEntries, PrevIndex: 2, PrevEpoch: 1, LastIndex: 9, LastEpoch: 4, Entries: entries(2, 3, 3),
	})
	s.wantLog(1, 1, 3, 3)
	s.promise(3, 1, 1)
	s.forget()
	s.from(2, &CopyReply{Epoch: 6, Result: CopyGone, LastIndex: 9, LastEpoch: 4})
	s.wantLog(1, 1, 3, 3)
	none[*Append](s)
	if len(sent[*PreVote](s)) == 0 {
		t.Error("no bump is asked for")
	}
}

// TestAFrameIsJudgedByTheAssignmentItCarries checks rule "frames carry their
// assignment": the layout that the node has read, in which 2 leads epoch 5, does not
// decide whether 3 may lead epoch 6.
func TestAFrameIsJudgedByTheAssignmentItCarries(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.from(2, &Prepare{0, led(3, 6)}) // not its primary
	s.from(2, &Append{Assignment: led(3, 6), PrevIndex: 2, PrevEpoch: 1, Entries: entries(2, 6)})
	if s.replica().promised != 5 || s.replica().known().Epoch != 5 {
		t.Fatalf("promised %d, knows epoch %d, want 5: 2 does not lead epoch 6", s.replica().promised, s.replica().known().Epoch)
	}
	s.from(3, &Append{Assignment: led(3, 6), PrevIndex: 2, PrevEpoch: 1, Entries: entries(2, 6)})
	s.wantLog(1, 1, 6)
	if s.node.layout.Version() != 0 || s.replica().known().Primary != 3 {
		t.Errorf("follows %d by layout version %d, want 3 by the frame alone", s.replica().known().Primary, s.node.layout.Version())
	}
}
