package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/node/layout"
	"dkv/node/ring"
)

// Learners: what a member gets before the layout names it, and what that may cost.

// learnerOf returns the member that the ring means for the partition and that is not one
// of its replicas 1, 2 and 3. The setup has six members.
func learnerOf(s *setup) (all []MemberNumber) {
	s.t.Helper()
	for _, m := range s.node.target(0) {
		if !contains(three, MemberNumber(m)) {
			all = append(all, MemberNumber(m))
		}
	}
	if len(all) == 0 {
		s.t.Fatal("the ring means the partition for its replicas")
	}
	return all
}

// passWith lets time pass while members acknowledge all. All others show that they live.
func (s *setup) passWith(d time.Duration, members ...MemberNumber) {
	for end := s.now + d; s.now < end; s.pass(suspect / 8) {
		s.ack(members...)
		for m := MemberNumber(4); m <= 6; m++ {
			s.from(m, &RollReply{})
		}
	}
}

// copies sets member 1 up as a primary that has begun to copy to learners.
func copies(t *testing.T, c Config) (s *setup, learners []MemberNumber) {
	t.Helper()
	s = leader(t, c, newZookeeper())
	learners = learnerOf(s)
	s.passWith(10*time.Second-suspect, 2, 3)
	if s.saw(EventCopyBegun) > 0 {
		t.Fatal("a copy began before settle-time")
	}
	s.forget()
	s.passWith(2*suspect, 2, 3)
	if s.saw(EventCopyBegun) != 1 {
		t.Fatal("no copy began after settle-time")
	}
	return s, learners
}

// TestCopiesBeginOneAfterAnother: as if this node had begun one for another partition.
func TestCopiesBeginOneAfterAnother(t *testing.T) {
	s := leader(t, Config{}, newZookeeper())
	s.node.copying.nextAt = s.now + 10*time.Second + 4*suspect
	s.passWith(10*time.Second+3*suspect, 2, 3)
	if s.saw(EventCopyBegun) > 0 {
		t.Fatal("a copy began at the same time as another one")
	}
	s.passWith(2*suspect, 2, 3)
	if next := s.node.copying.nextAt; s.saw(EventCopyBegun) != 1 || next < s.now || next > s.now+10*time.Second/20 {
		t.Errorf("%d copies began; now it is %v, and the next one begins at %v", s.saw(EventCopyBegun), s.now, next)
	}
}

// TestLearnersGetTheLogBeforeTheLayoutNamesThem checks rule "learners first".
func TestLearnersGetTheLogBeforeTheLayoutNamesThem(t *testing.T) {
	s, learners := copies(t, Config{})
	first := map[MemberNumber]*Append{}
	for _, l := range sent[*Append](s) {
		if contains(learners, l.to) && first[l.to] == nil {
			first[l.to] = l.body
		}
	}
	for _, m := range learners {
		a := first[m]
		if a == nil || len(a.Entries) > 0 || a.Assignment.Names(m) {
			t.Fatalf("member %d got %+v, want an empty Append of an epoch that does not name it", m, a)
		}
		s.forget()
		s.from(m, &Appended{Epoch: 5, Counter: a.Counter})
		if got := one[*Append](s, m); got.PrevIndex != 0 || len(got.Entries) != 4 {
			t.Errorf("member %d, which has nothing, got %d entries after %d, want 4 after 0", m, len(got.Entries), got.PrevIndex)
		}
	}
	s.passWith(suspect, 2, 3)
	if s.zk.count(setLayout) > 0 {
		t.Fatal("the move began before the learners had anything")
	}
	s.passWith(suspect, append([]MemberNumber{2, 3}, learners...)...)
	l, err := layout.Decode(s.zk.znodes["/dkv/default/layout"].data)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := l.Partition(0)
	if !p.Moving() || s.saw(EventMoveBegun) != 1 {
		t.Fatalf("the assignment is %+v, want a move", p)
	}
	for _, m := range learners {
		if !contains(p.Next, m) {
			t.Errorf("the move to %v leaves learner %d out", p.Next, m)
		}
	}
}

// TestLearnersCountForNothing checks rule "learners first": neither for a commit, nor for
// a read, nor for check-quorum.
func TestLearnersCountForNothing(t *testing.T) {
	s, learners := copies(t, Config{})
	s.put("a", "x")
	read := s.get("k")
	commit := s.replica().commit
	s.ack(learners...)
	for _, m := range learners {
		s.beatReply(m, BeatReplyItem{Epoch: 5, Promised: 5, Match: s.replica().log.lastIndex()})
	}
	s.wantCommit(commit)
	read.want(t)
	s.passWith(2*suspect, learners...)
	if s.saw(EventQuiet) != 1 {
		t.Error("a primary that only learners answer is not quiet")
	}
}

// TestNoMoveBeginsBeforeAllLearnersFollow checks rule "learners first".
func TestNoMoveBeginsBeforeAllLearnersFollow(t *testing.T) {
	s, learners := copies(t, Config{})
	if len(learners) < 2 {
		t.Fatal("the ring of this setup means the partition for one new member: choose other node ids")
	}
	s.passWith(2*suspect, append([]MemberNumber{2, 3}, learners[1:]...)...)
	if s.saw(EventMoveBegun) > 0 {
		t.Errorf("the move began though learner %d has answered nothing", learners[0])
	}
}

// TestAStuckCopyIsCancelledAndBeginsAgain checks rule "a copy has bounds": 10 s after
// move-timeout, then 20 s.
func TestAStuckCopyIsCancelledAndBeginsAgain(t *testing.T) {
	s, _ := copies(t, Config{})
	until := func(kind EventKind, count int) time.Duration {
		for s.saw(kind) < count && s.now < time.Hour {
			s.passWith(suspect/4, 2, 3)
		}
		return s.now
	}
	for i, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		cancelled := until(EventCopyCancelled, i+1)
		if waited := until(EventCopyBegun, i+2) - cancelled; waited < wait-suspect/4 || waited > wait+suspect {
			t.Errorf("the copy began again after %v, want %v", waited, wait)
		}
	}
}

// TestALearnerThatLostItsCopyGetsItAgain checks rule "learners first": a hint below what a
// learner acknowledged is taken at its word.
func TestALearnerThatLostItsCopyGetsItAgain(t *testing.T) {
	s, learners := copies(t, Config{})
	m := learners[0]
	s.ack(m)
	s.put("a", "x")
	s.forget()
	s.from(m, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}})
	all := sent[*Append](s)
	if len(all) == 0 || all[0].to != m || all[0].body.PrevIndex != 0 {
		t.Errorf("sent %+v, want the log from the beginning", all)
	}
	s.ack(m)
	s.from(m, &BeatReply{Counter: Counter{s.node.boot, s.node.sent}, Items: []BeatReplyItem{{Partition: 0, Epoch: 5, Promised: 5}}})
	if f := s.replica().reign.learner(m); f.match != 0 {
		t.Errorf("the learner still counts as having %d, though it lists nothing as acknowledged", f.match)
	}
}

// learns sets member 1 up as a learner of 2, which leads 2, 3 and another in epoch 5: one
// that the ring means the partition for, or one that it does not.
func learns(t *testing.T, meant bool, c Config) *setup {
	t.Helper()
	asg := Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{2, 3, 4}}
	s := newSetup(t, disk{asg: asg, config: c})
	if s.node.mayTarget(0) != meant {
		s.node.planner.targets[0].Replicas = []uint64{2, 3, map[bool]uint64{true: 1, false: 5}[meant]}
	}
	s.from(2, &Append{Assignment: asg, Counter: Counter{3, 1}, Entries: entries(0, 1, 1), Commit: 2})
	s.wantMatch(2)
	return s
}

// TestALearnerKeepsItsCopy checks rule "a learner keeps its copy": for as long as the ring
// means it, or the primary sends.
func TestALearnerKeepsItsCopy(t *testing.T) {
	next := Assignment{Epoch: 6, Primary: 3, Replicas: []MemberNumber{2, 3, 4}}
	learn := func(s *setup) { s.from(3, &PreVote{Items: []PreVoteItem{{0, next}}}) }
	t.Run("meant", func(t *testing.T) {
		s := learns(t, true, Config{})
		learn(s)
		s.pass(time.Minute)
		if s.saw(EventForgotten) > 0 || s.saw(EventLearnerKept) == 0 {
			t.Error("a copy that the ring means for this node was deleted")
		}
	})
	t.Run("by a rule that is not known", func(t *testing.T) {
		s := learns(t, false, Config{})
		s.node.rule = ring.Rule{}
		learn(s)
		s.pass(time.Minute)
		if s.saw(EventForgotten) > 0 {
			t.Error("a node that has not read the cluster's record deleted its copy")
		}
	})
	t.Run("not meant", func(t *testing.T) {
		s := learns(t, false, Config{})
		s.pass(9 * time.Second)
		s.from(2, &Append{Assignment: led2(), Counter: Counter{3, 2}, PrevIndex: 2, PrevEpoch: 1})
		s.pass(9 * time.Second)
		s.from(2, &Beat{Kind: BeatHeart, Counter: Counter{3, 3}, Items: []BeatItem{{0, 5, 2}}})
		s.pass(9 * time.Second)
		if s.saw(EventForgotten) > 0 {
			t.Fatal("deleted while the primary sends")
		}
		s.pass(2 * time.Second)
		if s.saw(EventForgotten) != 1 || s.replica().promised != 5 {
			t.Errorf("deleted %d times under promise %d, want once, in the epoch that was promised", s.saw(EventForgotten), s.replica().promised)
		}
	})
	t.Run("not acknowledged after it was deleted", func(t *testing.T) {
		s := learns(t, false, Config{})
		s.pass(11 * time.Second)
		s.slowDisk = true
		s.forget()
		s.from(2, &Append{Assignment: led2(), Counter: Counter{3, 4}, Entries: entries(0, 1, 1), Commit: 2})
		s.replica().forget(5)
		s.slowDisk = false
		s.settle()
		none[*Appended](s)
		if m := s.replica().ackMatch; m != 0 {
			t.Errorf("acknowledged %d, and holds nothing", m)
		}
	})
	t.Run("moves are off", func(t *testing.T) {
		s := learns(t, true, Config{MoveRate: -1})
		learn(s)
		s.pass(11 * time.Second)
		if s.saw(EventForgotten) != 1 {
			t.Error("a copy that no node will complete is kept")
		}
	})
}

func led2() Assignment {
	return Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{2, 3, 4}}
}

// TestASnapshotContinuesWhereItStopped checks rule "continue under the same name": after a
// restart, a new epoch of the same process, or a minute without an answer.
func TestASnapshotContinuesWhereItStopped(t *testing.T) {
	for _, c := range []struct {
		name      string
		interrupt func(s *setup)
		epoch     Epoch
	}{
		{"restart", func(s *setup) { s.restart() }, 5},
		{"new epoch", func(s *setup) { s.prepare(led(2, 6)) }, 6},
		{"silence", func(s *setup) { s.pass(50 * time.Second) }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := followerOf2(t, 1, 1)
			s.offer2(snapshot)
			s.chunk2("", "a", false)
			c.interrupt(s)
			s.forget()
			s.from(2, &SnapshotOffer{Assignment: led(2, c.epoch), Counter: Counter{3, 9}, Name: snapshot})
			s.pass(suspect)
			all := sent[*SnapshotPull](s)
			if len(all) == 0 || !all[0].body.Started || string(all[0].body.After) != "a" {
				t.Fatalf("asked for %+v, want what follows a", all)
			}
			s.from(2, &SnapshotChunk{Epoch: c.epoch, Name: snapshot, Started: true, After: []byte("a"), Items: []SnapshotItem{{[]byte("b"), 8, nil}}, Last: true})
			s.wantState("a", "b")
			s.restart()
			s.wantState("a", "b")
			s.wantCommit(9)
		})
	}
}

// TestAnInterruptedSnapshotIsNotKeptForEver checks rule "continue under the same name": it
// goes when no source can hold the View any more, with its record.
func TestAnInterruptedSnapshotIsNotKeptForEver(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.offer2(snapshot)
	s.chunk2("", "a", false)
	s.pass(61 * time.Second)
	s.wantState("k")
	if _, ok := s.rows[string(installKey(0))]; ok {
		t.Error("the record of how far it came is left")
	}
}

// TestACopyKeepsToItsRate checks rule "a copy has bounds": bytes a second, as sender.
func TestACopyKeepsToItsRate(t *testing.T) {
	const rate = 10_000
	s, learners := copies(t, Config{MoveRate: rate, ChunkBytes: 500, MaxUncommittedBytes: 1 << 20})
	for i := range 40 {
		s.put(fmt.Sprint("key-", i), strings.Repeat("x", 400))
		s.ack(2, 3)
	}
	s.forget()
	begun, size := s.now, 0
	s.from(learners[0], &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}})
	for s.now-begun < time.Second {
		s.pass(10 * time.Millisecond)
		s.ack(2, 3)
		match := Index(0)
		for _, l := range sent[*Append](s) {
			if l.to == learners[0] && len(l.body.Entries) > 0 {
				match = max(match, l.body.Entries[len(l.body.Entries)-1].Index)
				for i := range l.body.Entries {
					size += l.body.Entries[i].size()
				}
			}
		}
		s.forget()
		if match > 0 {
			s.ackTo(learners[0], match)
		}
	}
	if size < rate*7/10 || size > rate*13/10 {
		t.Errorf("sent %d bytes in a second at a rate of %d", size, rate)
	}
	if s.saw(EventCopyPaced) == 0 {
		t.Error("no copy was seen to wait")
	}
}

// TestTheLogThatACopyNeedsIsReadFromDisk checks rule "a copy's log is kept": beyond what
// memory holds, in pieces, until the copy has it.
func TestTheLogThatACopyNeedsIsReadFromDisk(t *testing.T) {
	s, learners := copies(t, Config{RetainEntries: 4, ChunkBytes: 300})
	m := learners[0]
	s.ack(m)
	match := s.replica().log.lastIndex()
	s.forget()
	for i := range 200 {
		s.put(fmt.Sprint("key-", i), "x")
		s.ack(2, 3)
	}
	r := s.replica()
	if r.log.baseIndex <= match || r.firstKept() > match {
		t.Fatalf("memory begins after %d, the disk after %d; want %d between them", r.log.baseIndex, r.firstKept(), match)
	}
	for tries := 0; match < r.log.lastIndex() && tries < 300; tries++ {
		for _, l := range sent[*Append](s) {
			if l.to == m && l.body.PrevIndex == match {
				match += Index(len(l.body.Entries))
			}
		}
		s.forget()
		s.ackTo(m, match)
		s.ack(2, 3)
		s.pass(suspect / 8)
	}
	if match != r.log.lastIndex() {
		t.Fatalf("nothing follows %d of %d", match, r.log.lastIndex())
	}
	s.pass(suspect)
	if r.firstKept() != r.log.baseIndex || s.node.copying.kept != 0 {
		t.Errorf("%d bytes are kept from %d on, though no copy needs them", s.node.copying.kept, r.firstKept())
	}
}

// TestBeyondItsBoundTheLogIsGivenUp checks rule "a copy's log is kept": and the copy with
// it, for a while.
func TestBeyondItsBoundTheLogIsGivenUp(t *testing.T) {
	s, learners := copies(t, Config{RetainEntries: 4, CopyLogBytes: 2000})
	s.ack(learners[0])
	for i := range 200 {
		s.put(fmt.Sprint("key-", i), "x")
		s.ack(2, 3)
	}
	s.pass(suspect)
	if s.saw(EventCopyLogBound) != 1 || s.saw(EventCopyCancelled) != 1 || s.node.copying.kept != 0 {
		t.Errorf("bound reached %d times, %d copies cancelled, %d bytes kept; want 1, 1 and 0", s.saw(EventCopyLogBound), s.saw(EventCopyCancelled), s.node.copying.kept)
	}
	logs := 0
	for key := range s.rows {
		if strings.HasPrefix(key, "p/\x00\x00\x00\x00/log/") {
			logs++
		}
	}
	if want := len(s.replica().log.entries); logs != want {
		t.Errorf("%d entries are on disk, want the %d of memory", logs, want)
	}
}

// TestALogKeptForCopiesDoesNotOutliveTheProcess checks that a start deletes it: the Views
// went with the process.
func TestALogKeptForCopiesDoesNotOutliveTheProcess(t *testing.T) {
	s, learners := copies(t, Config{RetainEntries: 4})
	s.ack(learners[0])
	for i := range 100 {
		s.put(fmt.Sprint("key-", i), "x")
		s.ack(2, 3)
	}
	base := s.replica().log.baseIndex
	if s.replica().firstKept() == base {
		t.Fatal("nothing is kept")
	}
	s.restart()
	for key := range s.rows {
		if i, ok := indexOfLogKey([]byte(key)); ok && strings.HasPrefix(key, "p/\x00\x00\x00\x00/log/") && i <= base {
			t.Errorf("entry %d is left", i)
		}
	}
}

// TestADebtOfTheRateIsBounded: a value that takes longer than a View is held must not end
// its transfer.
func TestADebtOfTheRateIsBounded(t *testing.T) {
	cfg := Config{MoveRate: 1 << 20, ViewTime: 16 * time.Second}
	var b bucket
	b.take(64<<20, cfg)
	if wait := b.wait(cfg.MoveRate); wait > cfg.ViewTime/16+time.Millisecond || wait < cfg.ViewTime/16-time.Millisecond {
		t.Errorf("the next chunk waits for %v, want a sixteenth of the %v for which the View is held", wait, cfg.ViewTime)
	}
}
