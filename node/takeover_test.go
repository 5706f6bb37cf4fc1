package node

import (
	"testing"
	"time"

	"dkv/node/door"
)

// Take-over: check-quorum, consent, and the step that follows.

// TestAQuietPrimaryResumesWhenAnswered checks rule "go quiet without a quorum": in the
// same reign; until then it only pings.
func TestAQuietPrimaryResumesWhenAnswered(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.pass(suspect)
	put := s.put("k", "before")
	s.pass(suspect / 2)
	put.want(t, door.Unknown)
	s.forget()
	s.forward(3, 5, 1, putK)
	s.pass(suspect)
	if p := one[*ForwardReply](s, 3); p.Response.Outcome != door.Refused {
		t.Errorf("a quiet primary answered %+v", *p)
	}
	for _, l := range sent[*Beat](s) {
		if l.body.Kind != BeatPing {
			t.Fatalf("a quiet primary sent a beat of kind %d", l.body.Kind)
		}
	}
	if len(sent[*Beat](s)) == 0 || s.saw(EventQuiet) != 1 {
		t.Fatalf("%d probes, quiet %d times", len(sent[*Beat](s)), s.saw(EventQuiet))
	}
	put = s.put("k", "after")
	s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
	s.ack(2)
	put.want(t, door.Done)
	none[*Prepare](s)
	if s.saw(EventResumed) != 1 || s.saw(EventReignEnded) != 0 {
		t.Errorf("resumed %d times, %d reigns ended", s.saw(EventResumed), s.saw(EventReignEnded))
	}
}

// TestAnsweredByHalfOfAJointSetIsQuiet checks rules "go quiet without a quorum" and
// "both majorities while moving".
func TestAnsweredByHalfOfAJointSetIsQuiet(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 1, Replicas: three, Next: []MemberNumber{4, 5, 6}}
	s := newSetup(t, disk{asg: a, promised: 4, epochs: []Epoch{1, 1}, applied: 2})
	s.promise(2, 1, 2)
	s.ack(2, 4, 5)
	for range 8 {
		s.pass(suspect / 4)
		s.ack(2, 3, 4)
	}
	if !s.replica().reign.quiet {
		t.Error("N does not answer, and the reign is not quiet")
	}
}

// vote asks the node for its consent, as a member, to a step from a.
func (s *setup) vote(member MemberNumber, a Assignment) PreVoteReplyItem {
	s.t.Helper()
	s.forget()
	s.from(member, &PreVote{LayoutVersion: -1, Round: 7, Items: []PreVoteItem{{0, a}}})
	reply := one[*PreVoteReply](s, member)
	if reply.Round != 7 || len(reply.Items) != 1 || reply.Items[0].Epoch != a.Epoch {
		s.t.Fatalf("answered %+v, want the round echoed and one item of epoch %d", *reply, a.Epoch)
	}
	return reply.Items[0]
}

// heart is a heartbeat of member 2 in an epoch.
func (s *setup) heart(kind BeatKind, e Epoch) {
	s.from(2, &Beat{Kind: kind, LayoutVersion: -1, Items: []BeatItem{{0, e, 0}}})
}

// TestAReplicaThatHearsThePrimaryDoesNotConsent checks rules "ask before taking
// over" and "heard is per epoch".
func TestAReplicaThatHearsThePrimaryDoesNotConsent(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	if s.vote(3, led(2, 5)).Consent {
		t.Error("consented at its own start")
	}
	s.pass(suspect)
	if v := s.vote(3, led(2, 5)); !v.Consent || v.LastEpoch != 4 || v.LastIndex != 3 {
		t.Errorf("answered %+v to a silent primary's pre-vote, want consent and the log's end", v)
	}
	s.heart(BeatPing, 5)
	if !s.vote(3, led(2, 5)).Consent {
		t.Error("a probe counts as having heard the primary")
	}
	s.heart(BeatHeart, 5)
	if s.vote(3, led(2, 5)).Consent {
		t.Error("consented though the primary was just heard")
	}
	s.node.OnPeerLost(2)
	if !s.vote(3, led(2, 5)).Consent {
		t.Error("a closed connection does not count as silence")
	}
	s.pass(suspect)
	if s.vote(4, led(2, 5)).Consent {
		t.Error("consented to a member that is not a replica")
	}
	s.from(2, &PreVote{LayoutVersion: -1, Items: []PreVoteItem{{0, led(2, 6)}}})
	if v := s.vote(3, led(2, 5)); v.Consent || v.Known.Epoch != 6 {
		t.Errorf("answered %+v to a pre-vote of an old epoch, want no consent and epoch 6", v)
	}
}

// TestAPrimaryConsentsToItsOwnEndOnlyWhenQuiet checks rule "ask before taking over": a
// primary does not hear itself, and leads all the same. One that is quiet leads no longer,
// and may be one of the only majority that another replica reaches.
func TestAPrimaryConsentsToItsOwnEndOnlyWhenQuiet(t *testing.T) {
	s := leader(t, Config{}, nil)
	for range 8 {
		s.pass(suspect / 4)
		s.ack(2)
	}
	if s.vote(3, led(1, 5)).Consent {
		t.Error("a primary consented to its own replacement")
	}
	s.pass(2 * suspect)
	if !s.replica().reign.quiet || !s.vote(3, led(1, 5)).Consent {
		t.Error("a quiet primary did not consent to its own replacement")
	}
}

// TestARestartedPrimaryGetsConsentOnceInAWhile checks rule "ask before taking
// over": a crash loop does not hold a partition.
func TestARestartedPrimaryGetsConsentOnceInAWhile(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.heart(BeatHeart, 5)
	for range 2 { // it may ask again
		if !s.vote(2, led(2, 5)).Consent {
			t.Fatal("no consent to the bump of the primary")
		}
	}
	if s.vote(2, led(2, 6)).Consent {
		t.Error("consented to a second bump at once")
	}
	s.now += 9 * time.Second
	s.heart(BeatHeart, 6)
	if s.vote(2, led(2, 6)).Consent {
		t.Error("consented to a second bump within 10 s")
	}
	s.now += 2 * time.Second
	s.heart(BeatHeart, 6)
	if !s.vote(2, led(2, 6)).Consent {
		t.Error("no consent to a bump after 10 s")
	}
}

// TestTheBestLogTakesOverFirst checks rule "the best log goes first": then the order of
// the assignment, and a node that failed before waits longer.
func TestTheBestLogTakesOverFirst(t *testing.T) {
	interval := suspect / 4
	for _, c := range []struct {
		name    string
		epoch   Epoch // of 3's log
		index   Index
		failed  int // reigns of this node that came to nothing
		from    time.Duration
		through time.Duration
	}{
		{"3 has less", 1, 3, 0, 0, interval / 2},
		{"3 has as much, but comes later", 4, 3, 0, 0, interval / 2},
		{"3 has more", 4, 4, 0, interval, interval * 3 / 2},
		{"after a failure", 4, 3, 1, suspect / 2, suspect/2 + interval/2},
		{"after two", 4, 3, 2, suspect, suspect + interval/2},
		{"after many", 4, 3, 12, 10 * time.Second, 10*time.Second + interval/2},
	} {
		s := followerOf2(t, 1, 1, 4)
		e := Epoch(5)
		for range c.failed {
			s.from(2, &PreVote{LayoutVersion: -1, Items: []PreVoteItem{{0, led(1, e+1)}}})
			s.prepare(led(2, e+2))
			e += 2
		}
		s.pass(2 * suspect)
		s.consent(3, c.epoch, c.index)
		if wait := s.replica().taker.goAt - s.now; wait < c.from || wait >= c.through {
			t.Errorf("%s: waits %v, want %v to %v", c.name, wait, c.from, c.through)
		}
	}
}

// TestAMinorityOfConsentsTakesNothing checks rule "ask before taking over".
func TestAMinorityOfConsentsTakesNothing(t *testing.T) {
	five := Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{1, 2, 3, 4, 5}}
	s := newSetup(t, disk{asg: five, promised: 5, zk: newZookeeper()})
	s.pass(2 * suspect)
	s.consent(3, 0, 0)
	s.consent(6, 0, 0) // no replica
	s.pass(suspect / 2)
	if s.zk.count(setLayout) > 0 {
		t.Fatal("took over with two of five")
	}
	s.consent(3, 0, 0)
	s.consent(4, 0, 0)
	s.pass(suspect / 2)
	if s.zk.count(setLayout) != 1 || s.saw(EventTakeOver) != 1 {
		t.Errorf("%d steps, want a take-over", s.zk.count(setLayout))
	}
}

// TestAStepIsJudgedAnewAfterAConflict checks rule "compare and set": another node
// was faster, and leads.
func TestAStepIsJudgedAnewAfterAConflict(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, zk: newZookeeper()})
	s.pass(2 * suspect)
	s.zk.put("/dkv/default/layout", encoded(t, layoutOf(t, 1, led(3, 6))), 1) // the watch is late
	s.consent(3, 0, 0)
	s.pass(suspect / 2)
	if s.saw(EventLayoutConflict) != 1 || s.zk.count(setLayout) != 1 {
		t.Errorf("%d conflicts of %d steps, want one of one", s.saw(EventLayoutConflict), s.zk.count(setLayout))
	}
	if a := s.replica().known(); a.Epoch != 6 || a.Primary != 3 {
		t.Errorf("follows %+v, want epoch 6 of member 3", *a)
	}
}

// TestAJointTakeOver checks rule "cancel a stuck move": with N's answers the take-over keeps
// the move; without them it cancels it.
func TestAJointTakeOver(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 2, Replicas: three, Next: []MemberNumber{4, 5, 6}}
	for _, c := range []struct {
		name   string
		answer []MemberNumber // of N
		moving bool
	}{
		{"N answers", []MemberNumber{4, 5}, true},
		{"N is silent", []MemberNumber{4}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSetup(t, disk{asg: a, promised: 5, zk: newZookeeper()})
			for range 16 {
				s.pass(suspect / 4)
				if s.replica().known().Epoch == 5 && s.replica().taker.since > 0 {
					s.consent(3, 0, 0)
					for _, m := range c.answer {
						s.consent(m, 0, 0)
					}
				}
			}
			got := s.replica().known()
			if got.Epoch != 6 || got.Primary != 1 || got.Moving() != c.moving {
				t.Errorf("the assignment is %+v, want epoch 6 of member 1, moving %v", *got, c.moving)
			}
		})
	}
}

// TestOnlyAMemberOfRCancelsForASilentN checks rule "cancel a stuck move".
func TestOnlyAMemberOfRCancelsForASilentN(t *testing.T) {
	a := Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{2, 3, 4}, Next: []MemberNumber{1, 5, 6}}
	s := newSetup(t, disk{asg: a, promised: 5, zk: newZookeeper()})
	for range 16 {
		s.pass(suspect / 4)
		s.consent(3, 0, 0)
		s.consent(4, 0, 0)
	}
	if s.zk.count(setLayout) > 0 || s.replica().taker.goAt != 0 {
		t.Errorf("wants a step at %v; the assignment is %+v", s.replica().taker.goAt, *s.replica().known())
	}
}

// TestLateAnswersDoNotKeepAPrimary checks rule "late answers do not count": a node
// that is behind with what it is told hears answers all the time, to what it sent
// long ago. It is quiet, as if there were none, until it has caught up.
func TestLateAnswersDoNotKeepAPrimary(t *testing.T) {
	for behind, quiet := range map[time.Duration]bool{suspect: false, 3 * suspect: true} {
		s := leader(t, Config{}, nil)
		var counters []Counter
		for range 32 {
			s.pass(suspect / 4)
			counters = append(counters, Counter{s.node.boot, s.node.sent})
			echoed := counters[max(0, len(counters)-1-int(behind/(suspect/4)))]
			s.from(2, &BeatReply{Counter: echoed, Items: []BeatReplyItem{{Epoch: 5, Promised: 5, Match: 4}}})
			s.from(3, &Appended{Epoch: 5, Counter: echoed, OK: true, Match: 4})
		}
		if s.replica().reign.quiet != quiet {
			t.Errorf("%v behind, quiet is %t", behind, !quiet)
		}
		if len(s.node.marks) > 8*answersCount+2 {
			t.Errorf("it remembers %d turns", len(s.node.marks))
		}
		s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
		if s.replica().reign.quiet {
			t.Errorf("%v behind, it stays quiet once it has caught up", behind)
		}
	}
}

// TestAConsentOfAnEarlierRoundDoesNotCount checks rule "ask before taking over": a
// consent counts only for the asking that it answers.
func TestAConsentOfAnEarlierRoundDoesNotCount(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.pass(2 * suspect)
	old := sent[*PreVote](s)[0].body.Round
	s.from(2, &Beat{Kind: BeatHeart, Counter: Counter{1, 1}, Items: []BeatItem{{0, 5, 2}}})
	s.pass(2 * suspect)
	yes := PreVoteReplyItem{Epoch: 5, Consent: true, LastEpoch: 1, LastIndex: 2}
	s.from(3, &PreVoteReply{Round: old, Items: []PreVoteReplyItem{yes}})
	if s.replica().taker.goAt != 0 {
		t.Error("a consent from before the primary was heard counts")
	}
	s.from(3, &PreVoteReply{Round: s.node.voteSeq, Items: []PreVoteReplyItem{yes}})
	if s.replica().taker.goAt == 0 {
		t.Error("a consent to the last round does not count")
	}
}

// TestALateConsentDoesNotCount checks rule "ask before taking over": a consent says
// what was heard when the question came, which is long ago if either was under way for long.
func TestALateConsentDoesNotCount(t *testing.T) {
	s := followerOf2(t, 1, 1)
	yes := PreVoteReplyItem{Epoch: 5, Consent: true, LastEpoch: 1, LastIndex: 2}
	s.pass(2 * suspect)
	old := s.node.voteSeq
	s.pass(3 * suspect)
	s.from(3, &PreVoteReply{Round: old, Items: []PreVoteReplyItem{yes}})
	if s.replica().taker.goAt != 0 {
		t.Error("a consent to a question of three suspect-afters ago counts")
	}
	late := s.node.voteSeq
	s.pass(suspect * 3 / 2)
	s.from(3, &PreVoteReply{Round: late, Items: []PreVoteReplyItem{yes}})
	if s.replica().taker.goAt == 0 {
		t.Error("a consent to a question of one and a half suspect-afters ago does not count")
	}
	s.pass(suspect)
	if s.replica().count(s.now).consented {
		t.Error("it counts still when the question is two and a half suspect-afters old")
	}
	s.pass(100 * suspect)
	if n := len(s.node.askings); n > 10 {
		t.Errorf("it remembers %d questions", n)
	}
	s.from(3, &PreVoteReply{Round: s.node.voteSeq + 1, Items: []PreVoteReplyItem{yes}})
	if s.replica().taker.goAt != 0 {
		t.Error("a consent to a question that was not asked counts")
	}
}

// consent consents, as a member, to the last pre-vote.
func (s *setup) consent(member MemberNumber, lastEpoch Epoch, lastIndex Index) {
	item := PreVoteReplyItem{Epoch: s.replica().known().Epoch, Consent: true, LastEpoch: lastEpoch, LastIndex: lastIndex}
	s.from(member, &PreVoteReply{LayoutVersion: -1, Round: s.node.voteSeq, Items: []PreVoteReplyItem{item}})
}

const setLayout = "multi set /dkv/default/layout"

// TestAStepMadeWithoutAnAnswerIsRecorded checks rules "read again" and "hand over to
// the fit": the events of the step are told, and the member that lost the partition is
// not handed it back at once.
func TestAStepMadeWithoutAnAnswerIsRecorded(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
	s.zk.fault = func(what string) (bool, error) {
		if what == setLayout {
			return true, door.ErrUnknownOutcome
		}
		return false, nil
	}
	s.pass(2 * suspect)
	s.consent(3, 0, 0)
	s.pass(suspect / 2)
	if s.saw(EventLayoutUnknown) != 1 || s.saw(EventAppliedUnanswered) != 1 || s.saw(EventTakeOver) != 1 {
		t.Fatalf("unknown %d, resolved %d, taken over %d, want one each", s.saw(EventLayoutUnknown), s.saw(EventAppliedUnanswered), s.saw(EventTakeOver))
	}
	if f := s.replica().move.failures; len(f) != 1 || f[0].member != 2 {
		t.Errorf("failures are %+v, want member 2's", f)
	}
	if g := s.replica().reign; g == nil || g.epoch != 6 {
		t.Error("epoch 6 is not begun")
	}
}

// TestAnEarlierEpochsHeartbeatsAreNotHeard checks rule "heard is per epoch": the
// deposed primary of epoch 5 lives, and that of epoch 6 is silent.
func TestAnEarlierEpochsHeartbeatsAreNotHeard(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.from(2, &PreVote{LayoutVersion: -1, Items: []PreVoteItem{{0, led(3, 6)}}})
	for range 5 {
		s.heart(BeatHeart, 5)
		if s.vote(2, led(3, 6)).Consent {
			t.Fatal("consented before the primary of epoch 6 was silent for long enough")
		}
		s.pass(suspect / 5)
	}
	s.heart(BeatHeart, 5)
	if !s.vote(2, led(3, 6)).Consent {
		t.Error("a heartbeat of epoch 5 counts as one of epoch 6")
	}
}

// TestAStepLearnedFromAPeerIsRecorded checks rule "hand over to the fit" when a peer sends
// the layout that a take-over made before ZooKeeper answers the node that made it.
func TestAStepLearnedFromAPeerIsRecorded(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
	s.pass(2 * suspect)
	s.slowZookeeper = true
	s.consent(3, 0, 0)
	s.pass(suspect / 2)
	s.from(3, &LayoutCopy{encoded(t, s.node.planner.pending.Layout)})
	if a := s.replica().known(); a.Epoch != 6 || a.Primary != 1 {
		t.Fatalf("follows %+v, want epoch 6 of this node", *a)
	}
	s.slowZookeeper = false
	s.settle()
	if s.saw(EventTakeOver) != 1 || s.saw(EventBump) != 0 {
		t.Errorf("told %d take-overs and %d new epochs of its own, want one take-over", s.saw(EventTakeOver), s.saw(EventBump))
	}
	if f := s.replica().move.failures; len(f) != 1 || f[0].member != 2 {
		t.Errorf("failures are %+v, want member 2's", f)
	}
}
