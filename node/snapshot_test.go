package node

import (
	"fmt"
	"testing"
	"time"
)

// Snapshots, at their source and at their receiver.

// snapshot is one of member 2, at index 9 of epoch 4.
var snapshot = SnapshotName{Source: "disk-2", Boot: 1, Index: 9, Epoch: 4, Generation: 2}

// offer2 offers the node a snapshot as the primary of epoch 5.
func (s *setup) offer2(name SnapshotName) {
	s.from(2, &SnapshotOffer{Assignment: led(2, 5), Counter: Counter{3, 1}, Name: name})
}

// chunk2 sends the chunk after a key, which holds one key.
func (s *setup) chunk2(after, key string, last bool) {
	c := &SnapshotChunk{Epoch: 5, Name: snapshot, Started: after != "", Last: last}
	if after != "" {
		c.After = []byte(after)
	}
	c.Items = []SnapshotItem{{[]byte(key), 7, []byte("new")}}
	s.from(2, c)
}

// wantState wants the state to hold exactly these keys, in one generation.
func (s *setup) wantState(keys ...string) {
	s.t.Helper()
	r := s.replica()
	var got []string
	for key := range s.rows {
		if len(key) > 7 && key[:2] == "p/" && key[7:10] == "gen" {
			got = append(got, key)
		}
	}
	if len(got) != len(keys) {
		s.t.Fatalf("%d keys in all generations: %q, want %q", len(got), got, keys)
	}
	for _, key := range keys {
		if _, ok := s.rows[string(kvKey(0, r.generation, []byte(key)))]; !ok {
			s.t.Errorf("key %q is missing in generation %d", key, r.generation)
		}
	}
}

// TestASnapshotThatTheLogReachesIsSkipped checks rule "keep the suffix".
func TestASnapshotThatTheLogReachesIsSkipped(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 4, epochs: []Epoch{1, 1, 4, 4}, applied: 2})
	s.slowDisk = true
	s.offer2(SnapshotName{Source: "disk-2", Boot: 1, Index: 3, Epoch: 4})
	none[*SnapshotPull](s)
	s.wantLog(1, 1, 4, 4) // the suffix stays
	s.wantCommit(3)       // a snapshot is of what is committed
	s.slowDisk = false
	s.settle()
	s.wantMatch(3)
	s.offer2(SnapshotName{Source: "disk-2", Boot: 1, Index: 1, Epoch: 1})
	s.wantMatch(1)
	s.wantCommit(3)
}

// TestASnapshotReplacesLogAndStateAtOnce checks rule "switch in one batch": the old
// log and state answer until the switch, which is acknowledged when it is durable.
func TestASnapshotReplacesLogAndStateAtOnce(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 3, epochs: []Epoch{1, 1, 3}, applied: 2})
	s.offer2(snapshot)
	one[*SnapshotPull](s, 2)
	s.chunk2("", "a", false)
	s.chunk2("x", "b", true) // not the next one
	s.wantLog(1, 1, 3)
	s.slowDisk = true
	before := s.made
	s.chunk2("a", "b", true)
	none[*Appended](s)
	if s.made != before+1 {
		t.Fatalf("%d commits, want one", s.made-before)
	}
	s.slowDisk = false
	s.settle()
	s.wantMatch(9)
	s.wantState("a", "b")
	s.restart()
	s.wantState("a", "b")
	s.wantCommit(9)
	if e, i := s.replica().last(); e != 4 || i != 9 || s.replica().promised != 5 {
		t.Errorf("the log ends at %d of %d, promised %d, want 9 of 4 and 5", i, e, s.replica().promised)
	}
}

// TestASnapshotIsGivenUpWhenThePromiseRises checks rule "switch in one batch":
// the promise speaks of the old log.
func TestASnapshotIsGivenUpWhenThePromiseRises(t *testing.T) {
	s := followerOf2(t, 1, 1, 3)
	s.offer2(snapshot)
	s.chunk2("", "a", false)
	s.prepare(led(3, 6))
	if p := one[*Promise](s, 3); p.LastEpoch != 3 || p.LastIndex != 3 {
		t.Errorf("promised a log that ends at %d of %d, want 3 of 3", p.LastIndex, p.LastEpoch)
	}
	s.chunk2("a", "b", true)
	none[*Appended](s)
	s.wantLog(1, 1, 3)
	s.pass(s.node.cfg.ViewTime + suspect)
	s.wantState("k")
}

// TestASnapshotContinuesOnlyUnderItsName checks rule "a transfer has one name":
// another name starts anew, in another generation.
func TestASnapshotContinuesOnlyUnderItsName(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.offer2(snapshot)
	s.chunk2("", "a", false)
	other := snapshot
	other.Boot = 2
	s.forget()
	s.offer2(other)
	if p := one[*SnapshotPull](s, 2); p.Started || p.Name != other {
		t.Errorf("asked for %+v, want the first chunk of the other", *p)
	}
	s.chunk2("", "a", true) // a late copy of the first one's
	s.wantLog(1, 1)
	s.from(2, &SnapshotChunk{Epoch: 5, Name: other, Items: []SnapshotItem{{[]byte("c"), 8, nil}}, Last: true})
	s.wantState("c")
}

// TestTheSourceSendsItsViewInChunks checks rule "a snapshot is an applied prefix":
// what is written meanwhile is not in it.
func TestTheSourceSendsItsViewInChunks(t *testing.T) {
	s, name := snapshotFor3(t)
	other := name
	other.Index++
	if chunk := s.pull(other, nil); !chunk.Gone {
		t.Error("a transfer of another name continues")
	}
	var got []string
	var after []byte
	for {
		chunk := s.pull(name, after)
		for _, item := range chunk.Items {
			after = item.Key
			got = append(got, string(item.Key))
		}
		if chunk.Last {
			break
		}
		s.put(fmt.Sprintf("late-%02d", len(got)), "x")
		s.ack(2)
	}
	if len(got) != 21 || got[0] != "k" && got[20] != "k" {
		t.Errorf("%d keys were sent: %q, want k and 20 others", len(got), got)
	}
	for _, key := range got {
		if key[:1] == "l" {
			t.Errorf("%s was written after the snapshot", key)
		}
	}
}

// TestNothingIsLeftOfASnapshotThatACrashCutShort checks rule "switch in one
// batch", also where the store holds nothing else of the partition. Keys that were
// deleted meanwhile would be back.
func TestNothingIsLeftOfASnapshotThatACrashCutShort(t *testing.T) {
	whole := func(s *setup) {
		s.from(2, &SnapshotChunk{Epoch: 5, Name: snapshot, Items: []SnapshotItem{{[]byte("b"), 8, nil}}, Last: true})
		s.wantState("b")
	}
	s := newSetup(t, disk{asg: led(2, 5)})
	delete(s.rows, string(promisedKey(0)))
	s.restart()
	s.offer2(snapshot)
	s.chunk2("", "a", false)
	if len(s.rows) == 0 || s.replica().promised != 0 {
		t.Fatalf("promised %d before the snapshot is whole", s.replica().promised)
	}
	s.restart()
	other := snapshot
	other.Boot = 2
	s.offer2(other)
	s.wantNoState()
	s.restart()
	s.offer2(snapshot)
	whole(s)

	// What recovery has not seen is cleared before a generation is loaded.
	s = newSetup(t, disk{asg: led(2, 5)})
	s.rows[string(kvKey(0, 1, []byte("a")))] = encodeValue(7, nil)
	s.offer2(snapshot)
	whole(s)
}

// wantNoState wants no key in any generation.
func (s *setup) wantNoState() {
	s.t.Helper()
	for key := range s.rows {
		if len(key) > 10 && key[:2] == "p/" && key[7:10] == "gen" {
			s.t.Fatalf("%q is left", key)
		}
	}
}

// passWith2 lets time pass while member 2 answers and 3 does not.
func (s *setup) passWith2(d time.Duration) {
	for end := s.now + d; s.now < end; s.pass(suspect / 4) {
		s.ack(2)
	}
}

// snapshotFor3 leads with small bounds until only a snapshot can help the log of
// member 3, which is empty, and has 3 ask for it.
func snapshotFor3(t *testing.T) (s *setup, name SnapshotName) {
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
func (s *setup) offered() SnapshotName {
	s.t.Helper()
	s.pass(suspect / 4)
	s.forget()
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}})
	return one[*SnapshotOffer](s, 3).Name
}

// pull asks for the chunk after a key, as member 3.
func (s *setup) pull(name SnapshotName, after []byte) *SnapshotChunk {
	s.t.Helper()
	s.forget()
	s.from(3, &SnapshotPull{Epoch: 5, Name: name, Started: after != nil, After: after})
	return one[*SnapshotChunk](s, 3)
}

// TestAfterATransferUnderWritesTheLogContinues checks rule "a snapshot is an
// applied prefix": the log that is kept continues from it.
func TestAfterATransferUnderWritesTheLogContinues(t *testing.T) {
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

// TestATransferHoldsTheLogBackWithinAFactor checks rule "a snapshot is an applied
// prefix": a transfer under way holds compaction back, within a bound.
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
	// What memory does not hold, the disk does for as long as the View is held.
	s.passWith2(2 * suspect)
	if again := s.offered(); again != name {
		t.Errorf("offered %+v while %+v is still held", again, name)
	}
	s.passWith2(s.node.cfg.ViewTime)
	if again := s.offered(); again.Index <= s.replica().log.baseIndex {
		t.Errorf("offered %+v, but the log begins after %d", again, s.replica().log.baseIndex)
	}
}
