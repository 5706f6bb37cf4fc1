package node

import (
	"dkv/node/door"
	"testing"
	"time"
)

// The scenes of this file are rules 3 to 5 of DESIGN section 6: starting an
// epoch, promising, and choosing the log.

// TestAnEpochIsStartedOnce (rule 3): who promised e before it restarted never
// acts in e again. It asks for the next epoch.
func TestAnEpochIsStartedOnce(t *testing.T) {
	s := newScene(t, disk{asg: led(1, 5), promised: 5, epochs: []Epoch{1, 1}, applied: 2, zk: newZookeeper()})
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

// TestNothingIsSentBeforeTheOwnPromiseIsDurable (rule 3).
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

// TestAPromiseIsDurableBeforeItIsGiven (rule 4), is given again in the same
// words, and keeps lower epochs away.
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

// TestAPromiseCoversTheLog (rule 4): entries that came just before are durable
// with it.
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

// TestAMinorityOfPromisesStartsNothing (rule 5): neither do the promises of
// members that are not in R, nor the own one of a primary that is not.
func TestAMinorityOfPromisesStartsNothing(t *testing.T) {
	joint := Assignment{Epoch: 6, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: []MemberNumber{1, 5, 6}}
	s := newScene(t, disk{asg: joint, promised: 5, epochs: []Epoch{1, 1}, applied: 2})
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

// TestTheBestLogIsThatOfTheLastEpoch (rule 5): not the longest one. The own log
// is cut only to what the two share, and only when it ends as promised may an
// Append be sent.
func TestTheBestLogIsThatOfTheLastEpoch(t *testing.T) {
	s := newScene(t, disk{asg: led(1, 6), promised: 5, epochs: []Epoch{1, 1, 3, 3, 3, 3, 3}, applied: 2})
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

// TestALongerOwnLogIsCutToThePromise (rule 5.3): the own log shares all
// that was promised, and what it has beyond goes.
func TestALongerOwnLogIsCutToThePromise(t *testing.T) {
	s := newScene(t, disk{asg: Assignment{Epoch: 6, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: three}, promised: 5, epochs: []Epoch{1, 1, 4, 4}, applied: 2})
	s.promise(2, 4, 3)
	s.promise(3, 1, 2)
	s.wantLog(1, 1, 4, 6)
}

// TestASourceThatLostItsLogIsReplaced (rule 5.3).
func TestASourceThatLostItsLogIsReplaced(t *testing.T) {
	s := newScene(t, disk{
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
		t.Error("nobody is left to copy from, and no bump is asked for")
	}
}

// TestASourceShowsOnlyWhatItPromised (rule 5.3, the other end).
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

// TestARiseOfThePromiseEndsTheReign (rule 3): nothing is acknowledged,
// committed or read in it any more.
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
