package node

import (
	"dkv/node/door"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The scenes of this file pin what a review of the core found line by line.

// rot makes all keys of the state unreadable.
func (s *scene) rot() {
	s.rotten = func(key string) bool { return strings.Contains(key, "/kv/") }
}

// wantSilentFailure: the node told its owner, and nobody else.
func (s *scene) wantSilentFailure(c *client) {
	s.t.Helper()
	mustContain(s.t, s.failed, "can't be read")
	c.want(s.t)
	if n := len(s.doors.sent) - s.looked; n > 0 {
		s.t.Errorf("%d messages were sent after the disk failed", n)
	}
}

func TestAGetThatCannotBeReadIsNotAnswered(t *testing.T) {
	s := leader(t, Config{}, nil)
	get := s.get("k")
	s.rot()
	s.forget()
	s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
	s.wantSilentFailure(get)
}

// TestASoleReplicaThatCannotReadIsSilent: its reads are served at the end of a
// turn, when other messages wait to be sent.
func TestASoleReplicaThatCannotReadIsSilent(t *testing.T) {
	alone := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1}}
	s := newScene(t, disk{asg: alone, promised: 4, epochs: []Epoch{1, 1}, applied: 2})
	s.get("k").want(t, door.Done)
	s.rot()
	s.hand(2, &LayoutRequest{})
	s.wantSilentFailure(s.get("k"))
}

func TestAConditionThatCannotBeReadIsNotDecided(t *testing.T) {
	s := leader(t, Config{}, nil)
	put := s.ask(door.Request{Kind: door.RequestPut, Key: []byte("k"), If: door.Condition{Absent: true}})
	s.rot()
	s.forget()
	s.ack(2)
	s.wantSilentFailure(put)
	if s.replica().applied != 4 {
		t.Errorf("entry %d counts as applied", s.replica().applied)
	}
}

// TestNoForwardBeforeTheBootCounterIsDurable: a boot counter that a crash takes
// back would give another write the same number.
func TestNoForwardBeforeTheBootCounterIsDurable(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 5), promised: 5})
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

func (s *scene) forward(from MemberNumber, e Epoch, number uint64, r door.Request) {
	s.hand(from, &Forward{
		Epoch: e, ID: ForwardID{StoreID(fmt.Sprintf("disk-%d", from)), 1, number}, To: 1, Origin: from,
		Timeout: 5 * time.Second, Request: r,
	})
}

var putK = door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("x")}

// TestAForwardIsRefusedOnlyWhenItsEpochIsOverForGood: the promise that ends the
// epoch is durable before a forwarder hears that its write never will be done.
func TestAForwardIsRefusedOnlyWhenItsEpochIsOverForGood(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.forward(3, 5, 1, putK)
	s.settle()
	s.slowDisk = true
	s.hand(2, &Prepare{0, led(2, 6)})
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

// passWith2 lets time go by while member 2 answers and 3 does not.
func (s *scene) passWith2(d time.Duration) {
	for end := s.now + d; s.now < end; s.pass(suspect / 4) {
		s.ack(2)
	}
}

// snapshotFor3 leads with small bounds until the log of member 3, which is
// empty, can only be mended by a snapshot, and has 3 ask for it.
func snapshotFor3(t *testing.T) (s *scene, name SnapshotName) {
	s = leader(t, Config{RetainEntries: 4, ChunkBytes: 1}, nil)
	s.passWith2(2 * suspect)
	for i := range 20 {
		s.put(fmt.Sprintf("key-%02d", i), "x")
		s.ack(2)
	}
	if s.replica().log.baseIndex == 0 {
		t.Fatal("the log was not compacted")
	}
	return s, s.offered()
}

// offered has member 3 reject an Append, and returns the snapshot offered to it.
func (s *scene) offered() SnapshotName {
	s.t.Helper()
	s.pass(suspect / 4)
	s.forget()
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}})
	return one[*SnapshotOffer](s, 3).Name
}

// pull asks for the chunk after a key, as member 3.
func (s *scene) pull(name SnapshotName, after []byte) *SnapshotChunk {
	s.t.Helper()
	s.forget()
	s.from(3, &SnapshotPull{Epoch: 5, Name: name, Started: after != nil, After: after})
	return one[*SnapshotChunk](s, 3)
}

func TestATransferUnderWritesEndsWithTheLogGoingOn(t *testing.T) {
	s, name := snapshotFor3(t)
	var after []byte
	for chunk := s.pull(name, nil); !chunk.Last; chunk = s.pull(name, after) {
		if chunk.Gone {
			t.Fatal("the transfer must start anew")
		}
		after = chunk.Items[len(chunk.Items)-1].Key
		s.put("k", "y")
		s.ack(2)
		s.pass(10 * time.Millisecond)
	}
	s.forget()
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}, OK: true, Match: name.Index})
	none[*SnapshotOffer](s)
	next := name.Index
	for _, l := range sent[*Append](s) {
		if l.to != 3 || l.body.PrevIndex != next {
			t.Fatalf("sent member %d what follows %d, want 3 and what follows %d", l.to, l.body.PrevIndex, next)
		}
		next += Index(len(l.body.Entries))
	}
	if next != s.replica().log.lastIndex() {
		t.Errorf("sent up to %d of %d", next, s.replica().log.lastIndex())
	}
}

func TestATransferHoldsTheLogBackWithinAFactor(t *testing.T) {
	s, name := snapshotFor3(t)
	held := 0
	for range 3 * laggardFactor * 4 {
		s.pull(name, nil)
		s.put("k", "y")
		s.ack(2)
		held = max(held, int(s.replica().applied-s.replica().log.baseIndex))
	}
	if bound := laggardFactor * 4; held != bound {
		t.Errorf("up to %d applied entries were kept, want %d", held, bound)
	}
	if again := s.offered(); again != name {
		t.Errorf("offered %+v while %+v is under way", again, name)
	}
	s.passWith2(2 * suspect)
	if again := s.offered(); again.Index <= s.replica().log.baseIndex {
		t.Errorf("offered %+v, but the log begins after %d", again, s.replica().log.baseIndex)
	}
}

// TestAPrimaryMovedAwayForgets: the reign of one who is no replica any more
// does not keep its data; its promise outlives them.
func TestAPrimaryMovedAwayForgets(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.from(2, &PreVote{Items: []PreVoteItem{{0, Assignment{Epoch: 6, Primary: 2, Replicas: []MemberNumber{2, 3, 4}}}}})
	s.pass(9 * time.Second)
	if s.saw(EventForgotten) > 0 {
		t.Fatal("forgotten before the settle time")
	}
	s.pass(2 * time.Second)
	if s.saw(EventForgotten) != 1 || s.saw(EventReignEnded) != 1 {
		t.Fatalf("forgotten %d times, reigns ended %d, want one each", s.saw(EventForgotten), s.saw(EventReignEnded))
	}
	for key := range s.rows {
		if strings.HasPrefix(key, "p/") && key != string(promisedKey(0)) {
			t.Errorf("%q is left", key)
		}
	}
	s.restart()
	s.prepare(led(2, 5))
	if j := one[*Reject](s, 2); j.Promised != 6 {
		t.Errorf("rejected with %d, want 6", j.Promised)
	}
	none[*Promise](s)
}

// TestAFailedLookAtTheRegistrationIsRepeated: also when the node believes to be
// registered, and with a watch for the next time.
func TestAFailedLookAtTheRegistrationIsRepeated(t *testing.T) {
	for _, failing := range []string{"get /dkv/default/nodes/n1", "get /dkv/default/live/n1"} {
		t.Run(failing, func(t *testing.T) {
			s := newScene(t, disk{asg: led(2, 5), promised: 5, zk: newZookeeper()})
			s.pass(time.Second)
			if s.saw(EventRegistered) != 1 {
				t.Fatal("not registered")
			}
			s.zk.fault = func(what string) (bool, error) {
				if what == failing {
					return false, door.ErrUnknownOutcome
				}
				return false, nil
			}
			before := s.zk.count("get /dkv/default/live/n1")
			delete(s.zk.znodes, "/dkv/default/live/n1")
			s.zk.changed("/dkv/default/live/n1")
			s.settle()
			s.zk.fault = nil
			s.pass(time.Second)
			if z := s.zk.znodes["/dkv/default/live/n1"]; z.owner != s.zk.session.id {
				t.Errorf("live/n1 belongs to session %d", z.owner)
			}
			if s.zk.count("get /dkv/default/live/n1") == before || !s.zk.watches["/dkv/default/live/n1"] {
				t.Error("live/n1 is not watched any more")
			}
		})
	}
}

// TestBigValuesInFlightDoNotEmptyTheLog: only what is applied counts for the
// bound in bytes, and a follower that answers but lags is waited for.
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

func TestARelayThatKnowsBetterSaysSo(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 7), promised: 5})
	s.hand(3, &Forward{Epoch: 5, ID: ForwardID{"disk-3", 1, 1}, To: 2, Origin: 3, Request: putK})
	s.settle()
	none[*Forward](s)
	if j := one[*Reject](s, 3); j.Known.Epoch != 7 || j.Known.Primary != 2 {
		t.Errorf("told of %+v, want epoch 7", j.Known)
	}
}

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

func TestTheQueueOfAStartingReignIsBoundedInBytes(t *testing.T) {
	s := newScene(t, disk{asg: led(1, 5), promised: 4, config: Config{MaxUncommittedBytes: 1000}})
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

// TestALogChangedByAFailedCopyIsNotChosen: member 2 shows a part of its log
// and loses the rest; the own log is not the one that was promised any more.
func TestALogChangedByAFailedCopyIsNotChosen(t *testing.T) {
	s := newScene(t, disk{asg: led(1, 6), promised: 5, epochs: []Epoch{1, 1}, applied: 1})
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

// consent consents, as a member, to the last pre-vote.
func (s *scene) consent(member MemberNumber, lastEpoch Epoch, lastIndex Index) {
	item := PreVoteReplyItem{Epoch: s.replica().known().Epoch, Consent: true, LastEpoch: lastEpoch, LastIndex: lastIndex}
	s.from(member, &PreVoteReply{LayoutVersion: -1, Round: s.node.voteSeq, Items: []PreVoteReplyItem{item}})
}

const setLayout = "multi set /dkv/default/layout"

// TestAStepMadeWithoutAnAnswerIsBooked: its events are told, and the member
// from whom the partition was taken is not handed it back at once.
func TestAStepMadeWithoutAnAnswerIsBooked(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
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

// TestALateMemberFollowsItsPartitions: it had learned the assignment before it
// knew that it is one of those named.
func TestALateMemberFollowsItsPartitions(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 5), promised: 0})
	for key := range s.rows {
		if strings.HasPrefix(key, "p/") {
			delete(s.rows, key)
		}
	}
	s.rows[string(keyLayout)] = encoded(t, layoutOf(t, 0, Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{2, 3, 4}}, 2, 3, 4))
	s.restart()
	a := Assignment{Epoch: 7, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: three}
	s.from(2, &PreVote{Items: []PreVoteItem{{0, a}}})
	none[*Prepare](s)
	s.from(2, &LayoutCopy{encoded(t, layoutOf(t, 3, a))})
	if got := sent[*Prepare](s); len(got) != 3 || got[0].body.Assignment.Epoch != 7 {
		t.Errorf("sent %d Prepares, want one to each of 2, 3, 4", len(got))
	}
}

func TestAlarmsAreNotRepeatedAtOnce(t *testing.T) {
	s := followerOf2(t, 1, 1)
	for range 5 {
		s.from(2, &LayoutCopy{[]byte("not a layout")})
	}
	s.from(3, &LayoutCopy{[]byte("not a layout")})
	if s.saw(EventAlarm) != 2 {
		t.Fatalf("%d alarms, want one of each member", s.saw(EventAlarm))
	}
	s.now += 29 * time.Second
	s.from(2, &LayoutCopy{[]byte("not a layout")})
	if s.saw(EventAlarm) != 2 {
		t.Error("an alarm is repeated within 30 s")
	}
	s.now += 2 * time.Second
	s.from(2, &LayoutCopy{[]byte("not a layout")})
	if s.saw(EventAlarm) != 3 {
		t.Error("an alarm is not repeated after 30 s")
	}
}

// TestStopEndsWhatIsUnderWay: within a bound, though a write never commits.
func TestStopEndsWhatIsUnderWay(t *testing.T) {
	s := leader(t, Config{RetainEntries: 4}, newZookeeper())
	s.passWith2(2 * suspect)
	for range 20 {
		s.put("k", "x")
		s.ack(2)
	}
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}})
	put := s.put("k", "never committed")
	if s.views != 1 {
		t.Fatalf("%d Views are open, want the one of member 3", s.views)
	}
	stopped := 0
	s.node.Stop(func() { stopped++ })
	s.settle()
	s.put("k", "late").want(t, door.Refused)
	put.want(t)
	for range 20 { // 2.5 s; the node may take 2
		s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
		s.pass(suspect / 4)
	}
	put.want(t, door.Unknown)
	if stopped != 1 || s.views != 0 || !s.zk.session.closed {
		t.Errorf("done ran %d times, %d Views open, session closed %v", stopped, s.views, s.zk.session.closed)
	}
	s.forget()
	s.prepare(led(2, 9))
	s.pass(time.Minute)
	if len(s.doors.sent) > s.looked || stopped != 1 {
		t.Error("a stopped node goes on")
	}
}
