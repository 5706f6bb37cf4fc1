package node

import (
	"fmt"
	"testing"
)

// The scenes of this file are rule 8 of DESIGN section 6: snapshots.

// snapshot is one of member 2, at index 9 of epoch 4.
var snapshot = SnapshotName{Source: "disk-2", Boot: 1, Index: 9, Epoch: 4, Generation: 2}

// offer2 offers the node a snapshot as the primary of epoch 5.
func (s *scene) offer2(name SnapshotName) {
	s.from(2, &SnapshotOffer{Assignment: led(2, 5), Counter: Counter{3, 1}, Name: name})
}

// chunk2 sends the chunk after a key, which holds one key.
func (s *scene) chunk2(after, key string, last bool) {
	c := &SnapshotChunk{Epoch: 5, Name: snapshot, Started: after != "", Last: last}
	if after != "" {
		c.After = []byte(after)
	}
	c.Items = []SnapshotItem{{[]byte(key), 7, []byte("new")}}
	s.from(2, c)
}

// wantState wants the state to hold exactly these keys, in one generation.
func (s *scene) wantState(keys ...string) {
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

func TestASnapshotThatTheLogReachesIsSkipped(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 5), promised: 4, epochs: []Epoch{1, 1, 4, 4}, applied: 2})
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

// TestASnapshotReplacesLogAndStateAtOnce: the old ones answer until the switch,
// which is one batch, and is acknowledged when that is durable.
func TestASnapshotReplacesLogAndStateAtOnce(t *testing.T) {
	s := newScene(t, disk{asg: led(2, 5), promised: 3, epochs: []Epoch{1, 1, 3}, applied: 2})
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

// TestASnapshotIsGivenUpWhenThePromiseRises: the promise is of the old log.
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
	s.wantState("k")
}

// TestASnapshotGoesOnOnlyUnderItsName: another name starts anew, in another
// generation.
func TestASnapshotGoesOnOnlyUnderItsName(t *testing.T) {
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

// TestTheSourceSendsItsViewInChunks: what is written meanwhile is not in it.
func TestTheSourceSendsItsViewInChunks(t *testing.T) {
	s, name := snapshotFor3(t)
	other := name
	other.Index++
	if chunk := s.pull(other, nil); !chunk.Gone {
		t.Error("a transfer of another name goes on")
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

// TestNothingIsLeftOfASnapshotThatACrashCutShort: also where there was nothing
// else of the partition. Keys that were deleted meanwhile would be back.
func TestNothingIsLeftOfASnapshotThatACrashCutShort(t *testing.T) {
	whole := func(s *scene) {
		s.from(2, &SnapshotChunk{Epoch: 5, Name: snapshot, Items: []SnapshotItem{{[]byte("b"), 8, nil}}, Last: true})
		s.wantState("b")
	}
	s := newScene(t, disk{asg: led(2, 5)})
	delete(s.rows, string(promisedKey(0)))
	s.restart()
	s.offer2(snapshot)
	s.chunk2("", "a", false)
	if len(s.rows) == 0 || s.replica().promised != 0 {
		t.Fatalf("promised %d before the snapshot is whole", s.replica().promised)
	}
	s.restart()
	s.wantNoState()
	s.offer2(snapshot)
	whole(s)

	// What recovery has not seen is cleared before a generation is loaded.
	s = newScene(t, disk{asg: led(2, 5)})
	s.rows[string(kvKey(0, 1, []byte("a")))] = encodeValue(7, nil)
	s.offer2(snapshot)
	whole(s)
}

// wantNoState wants no key in any generation, of a replica or of nobody.
func (s *scene) wantNoState() {
	s.t.Helper()
	for key := range s.rows {
		if len(key) > 10 && key[:2] == "p/" && key[7:10] == "gen" {
			s.t.Fatalf("%q is left", key)
		}
	}
}
