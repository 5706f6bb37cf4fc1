package node

import (
	"slices"
	"strings"
	"testing"

	"dkv/node/door"
)

// Append and commit: how entries reach the followers, and when they are committed.

// append2 gives the node an Append of member 2, primary of epoch 5.
func (s *setup) append2(prev Index, prevEpoch Epoch, commit Index, epochs ...Epoch) {
	s.from(2, &Append{
		Assignment: led(2, 5), Counter: Counter{3, 1}, PrevIndex: prev, PrevEpoch: prevEpoch, Commit: commit,
		Entries: entries(prev, epochs...),
	})
}

// wantMatch wants one acknowledgement, of this match.
func (s *setup) wantMatch(match Index) {
	s.t.Helper()
	if a := one[*Appended](s, 2); !a.OK || a.Match != match || a.Counter != (Counter{3, 1}) {
		s.t.Fatalf("answered %+v, want match %d and the counter echoed", *a, match)
	}
	s.forget()
}

// TestAnAppendOfALowerEpochIsRejected checks rule "reject below the promise":
// without exception, also when the Append would change nothing.
func TestAnAppendOfALowerEpochIsRejected(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	s.prepare(led(3, 6))
	s.append2(2, 1, 3, 4)
	none[*Appended](s)
	if j := one[*Reject](s, 2); j.Promised != 6 {
		t.Errorf("rejected with %d, want 6", j.Promised)
	}
	s.wantCommit(2)
}

// TestAnAppendWithAnotherPastChangesNothing checks rule "the past must match".
func TestAnAppendWithAnotherPastChangesNothing(t *testing.T) {
	s := followerOf2(t, 1, 1, 3, 3)
	for _, c := range []struct {
		name      string
		prev      Index
		prevEpoch Epoch
		hint      Index
	}{
		{"a gap", 6, 4, 4},
		{"a higher epoch", 4, 4, 4},
		{"a lower epoch", 4, 2, 2},
	} {
		s.forget()
		s.append2(c.prev, c.prevEpoch, 9, 5)
		if a := one[*Appended](s, 2); a.OK || a.HintIndex != c.hint {
			t.Errorf("%s: answered %+v, want the hint %d", c.name, *a, c.hint)
		}
		s.wantLog(1, 1, 3, 3)
		s.wantCommit(2)
	}
}

// TestAnAppendCutsFromTheFirstDifference checks rule "cut only at a difference": a
// late copy of a short Append cuts nothing.
func TestAnAppendCutsFromTheFirstDifference(t *testing.T) {
	s := followerOf2(t, 1, 1, 3, 3, 3)
	s.append2(2, 1, 2, 3)
	s.wantLog(1, 1, 3, 3, 3)
	s.append2(2, 1, 2)
	s.wantLog(1, 1, 3, 3, 3)
	s.append2(2, 1, 2, 3, 4)
	s.wantLog(1, 1, 3, 4)
	if s.saw(EventCut) != 1 {
		t.Errorf("cut %d times, want once", s.saw(EventCut))
	}
	s.restart()
	s.wantLog(1, 1, 3, 4)
}

// TestAnAppendOfAHigherEpochPromisesIt checks rule "durable before acknowledged":
// the promise is in the same batch as the entries.
func TestAnAppendOfAHigherEpochPromisesIt(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 3, epochs: []Epoch{1, 1}, applied: 2})
	s.slowDisk = true
	before := s.made
	s.append2(2, 1, 2, 5)
	if s.made != before+1 {
		t.Fatalf("%d commits, want one for promise and entry", s.made-before)
	}
	s.slowDisk = false
	s.settle()
	s.wantMatch(3)
	s.restart()
	s.prepare(led(3, 4))
	one[*Reject](s, 3)
}

// TestAnAcknowledgementIsOfWhatIsDurableAndShared checks rules "durable before acknowledged"
// and "match is what was shown": the match is never the length of the log, and an
// Append that wrote nothing waits like any other.
func TestAnAcknowledgementIsOfWhatIsDurableAndShared(t *testing.T) {
	s := followerOf2(t, 1, 1, 4, 4)
	s.append2(2, 1, 2, 4)
	s.wantMatch(3)
	s.append2(2, 1, 2)
	s.wantMatch(2)
	s.slowDisk = true
	s.append2(4, 4, 2, 5)
	s.append2(4, 4, 2, 5)
	s.append2(5, 5, 2)
	none[*Appended](s)
	s.slowDisk = false
	s.settle()
	for _, l := range sent[*Appended](s) {
		if l.body.Match != 5 {
			t.Errorf("acknowledged %d, want 5", l.body.Match)
		}
	}
	if n := len(sent[*Appended](s)); n != 3 {
		t.Errorf("%d acknowledgements, want 3", n)
	}
}

// TestAFollowersCommitIsWhatItShares checks rule "commit only what matches": not
// what the follower has beyond, and never lower than before.
func TestAFollowersCommitIsWhatItShares(t *testing.T) {
	s := followerOf2(t, 1, 1, 3, 3)
	s.append2(2, 1, 9)
	s.wantCommit(2) // 3 and 4 may yet be cut
	s.append2(2, 1, 9, 3)
	s.wantCommit(3)
	s.append2(3, 3, 1)
	s.wantCommit(3)
	s.from(2, &Beat{Kind: BeatHeart, Items: []BeatItem{{0, 5, 9}}})
	s.wantCommit(3) // a heartbeat moves it up to what was acknowledged
	s.append2(3, 3, 3, 4)
	s.from(2, &Beat{Kind: BeatHeart, Items: []BeatItem{{0, 5, 9}}})
	s.wantCommit(4)
}

// TestAPrimaryCountsItselfAfterItsSync checks rule "count yourself after your sync":
// the Appends are sent before.
func TestAPrimaryCountsItselfAfterItsSync(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.slowDisk = true
	put := s.put("k", "x")
	if n := len(sent[*Append](s)); n != 2 {
		t.Fatalf("%d Appends while the own sync is under way, want 2", n)
	}
	s.ack(2)
	put.want(t)
	s.wantCommit(4)
	s.slowDisk = false
	s.settle()
	put.want(t, door.Done)
	s.wantCommit(5)
}

// TestAStrangersAcknowledgementDoesNotCount checks rule "commit by majority": a member
// outside the assignment does not count.
func TestAStrangersAcknowledgementDoesNotCount(t *testing.T) {
	s := leader(t, Config{}, nil)
	put := s.put("k", "x")
	s.ack(4, 5, 6)
	put.want(t)
	s.ack(3)
	put.want(t, door.Done)
}

// TestAnOlderEntryIsNotCommittedByCounting checks rule "commit your own epoch" (Raft,
// figure 8): a majority has the entry of epoch 4, but only one of epoch 6 commits it.
func TestAnOlderEntryIsNotCommittedByCounting(t *testing.T) {
	s := newSetup(t, disk{asg: led(1, 6), promised: 5, epochs: []Epoch{1, 1, 4}, applied: 2})
	s.promise(2, 4, 3)
	put := s.put("k", "x")
	s.ackTo(2, 3)
	s.ackTo(3, 3)
	s.wantCommit(2)
	s.ackTo(2, 4)
	s.wantCommit(4)
	if s.saw(EventReignActive) != 1 {
		t.Error("not active with its no-op committed")
	}
	put.want(t)
	s.ackTo(3, 5)
	put.want(t, door.Done)
}

// TestAJointCommitNeedsBothMajorities checks rule "both majorities while moving":
// the primary counts only in the sets it is in.
func TestAJointCommitNeedsBothMajorities(t *testing.T) {
	for _, c := range []struct {
		name      string
		r, n      []MemberNumber
		promises  []MemberNumber // of R; the last one makes the majority
		acks      []MemberNumber // the last one makes both majorities
		committed Index
	}{
		{"primary in R only", three, []MemberNumber{4, 5, 6}, []MemberNumber{2}, []MemberNumber{2, 3, 4, 5}, 3},
		{"primary in N only", []MemberNumber{2, 3, 4}, []MemberNumber{1, 5, 6}, []MemberNumber{2, 3}, []MemberNumber{2, 5, 6, 3}, 3},
		{"primary in both", three, []MemberNumber{1, 4, 5}, []MemberNumber{3}, []MemberNumber{2, 3, 5}, 3},
		{"N alone is not enough", three, []MemberNumber{1, 2, 4}, []MemberNumber{2}, []MemberNumber{4, 3}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Assignment{Epoch: 6, Primary: 1, Replicas: c.r, Next: c.n}
			s := newSetup(t, disk{asg: a, promised: 5, epochs: []Epoch{1, 1}, applied: 2})
			for i, m := range c.promises {
				s.wantLog(1, 1)
				s.promise(m, 1, 2)
				if i < len(c.promises)-1 {
					continue
				}
				s.wantLog(1, 1, 6)
			}
			for _, m := range c.acks {
				s.wantCommit(2)
				s.ack(m)
			}
			s.wantCommit(c.committed)
			if s.saw(EventJointActive) != 1 {
				t.Error("the joint no-op is not told of")
			}
		})
	}
}

// TestAFollowerIsBroughtBackFromItsHint checks that the primary steps back to where
// the logs agree, and sends what follows.
func TestAFollowerIsBroughtBackFromItsHint(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}, HintIndex: 2, HintEpoch: 1})
	a := one[*Append](s, 3)
	var got []Index
	for _, e := range a.Entries {
		got = append(got, e.Index)
	}
	if a.PrevIndex != 2 || a.PrevEpoch != 1 || !slices.Equal(got, []Index{3, 4}) {
		t.Errorf("sent %v after %d of %d, want 3 and 4 after 2 of 1", got, a.PrevIndex, a.PrevEpoch)
	}
}

// TestALostAppendIsSentAgain checks rule "send again what was lost": the answer to a
// heartbeat lists too little.
func TestALostAppendIsSentAgain(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.put("k", "x")
	s.pass(suspect / 4)
	s.forget()
	s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
	if a := one[*Append](s, 2); a.PrevIndex != 4 || len(a.Entries) != 1 {
		t.Errorf("sent %d entries after %d, want the one after 4", len(a.Entries), a.PrevIndex)
	}
}

// TestAFollowerThatDiffersAtTheBaseGetsASnapshot has the primary's log begin just
// after the entry that the follower has another one of. The log can't tell how far
// below they agree, and must not offer the same place again.
func TestAFollowerThatDiffersAtTheBaseGetsASnapshot(t *testing.T) {
	s := leader(t, Config{RetainEntries: 2}, nil)
	s.pass(2 * suspect) // follower 3 answers nothing, so the log is not held back for it
	s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
	s.put("k", "x")
	s.ack(2)
	if log := &s.replica().log; log.baseIndex != 3 || log.baseEpoch != 4 {
		t.Fatalf("the log begins after %d of epoch %d, want 3 of epoch 4", log.baseIndex, log.baseEpoch)
	}
	s.forget()
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}, HintIndex: 3, HintEpoch: 1})
	if name := one[*SnapshotOffer](s, 3).Name; name.Index < 3 {
		t.Errorf("offered a snapshot at %d, the log begins after 3", name.Index)
	}
	none[*Append](s)
}

// TestAConditionThatCannotBeReadIsNotDecided checks rule "stop on damage": the
// condition is neither met nor failed, and the entry does not count as applied.
func TestAConditionThatCannotBeReadIsNotDecided(t *testing.T) {
	s := leader(t, Config{}, nil)
	put := s.ask(door.Request{Kind: door.RequestPut, Key: []byte("k"), If: door.Condition{Absent: true}})
	s.rot()
	s.forget()
	s.ack(2)
	s.wantSilence(put)
	if s.replica().applied != 4 {
		t.Errorf("entry %d counts as applied", s.replica().applied)
	}
}

// TestBigValuesInFlightDoNotEmptyTheLog: only what is applied counts for the bound in
// bytes, and a follower that answers but lags is waited for.
func TestBigValuesInFlightDoNotEmptyTheLog(t *testing.T) {
	s := leader(t, Config{RetainBytes: 1000}, nil)
	s.passWith2(2 * suspect)
	s.put("big", strings.Repeat("x", 10_000))
	if s.saw(EventCompacted) > 0 {
		t.Fatal("compacted for the sake of entries in flight")
	}
	s.ackTo(3, 3)
	s.ack(2)
	for range 3 {
		s.put("k", "x")
		s.ack(2)
	}
	if base := s.replica().log.baseIndex; base > 3 {
		t.Errorf("the log begins after %d, but member 3 has only 3", base)
	}
	s.pass(2 * suspect) // 3 is silent: no reason to wait for it
	s.ack(2)
	s.put("k", "x")
	s.ack(2)
	if base := s.replica().log.baseIndex; base <= 3 {
		t.Errorf("the log begins after %d for a follower that is gone", base)
	}
}

// TestUncommittedBytesAreReturned checks that the bytes of a write are counted off when
// its entry is applied or its reign ends, and not when its client is answered.
func TestUncommittedBytesAreReturned(t *testing.T) {
	s := leader(t, Config{}, nil)
	put := s.put("k", "x")
	s.pass(2 * suspect)
	put.want(t, door.Unknown)
	if !s.replica().reign.quiet || s.node.uncommitted == 0 {
		t.Fatalf("quiet %v, uncommitted %d: the entry still stands in the log", s.replica().reign.quiet, s.node.uncommitted)
	}
	s.ack(2)
	if s.replica().reign.quiet || s.node.uncommitted != 0 {
		t.Fatalf("quiet %v, uncommitted %d after the entry was committed", s.replica().reign.quiet, s.node.uncommitted)
	}
	put = s.put("k", "y")
	s.prepare(led(2, 6))
	put.want(t, door.Unknown)
	if s.node.uncommitted != 0 {
		t.Errorf("uncommitted %d after the reign ended", s.node.uncommitted)
	}
}

// TestAConditionIsDecidedWhenItIsApplied checks rule "decide at apply": both writes
// ask for the version that stands when they arrive, and the first takes it away.
func TestAConditionIsDecidedWhenItIsApplied(t *testing.T) {
	s := leader(t, Config{}, nil)
	ifMatch3 := door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("x"), If: door.Condition{Match: 3}}
	first, second := s.ask(ifMatch3), s.ask(ifMatch3)
	s.ack(2)
	first.want(t, door.Done)
	second.want(t, door.Done)
	if a := first.answers[0]; a.Failed || a.Version != 5 {
		t.Errorf("the first write was answered %+v, want version 5", a)
	}
	if a := second.answers[0]; !a.Failed || a.Version != 5 || string(a.Value) != "x" {
		t.Errorf("the second write was answered %+v, want a failed condition that met version 5", a)
	}
}
