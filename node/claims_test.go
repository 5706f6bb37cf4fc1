package node

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"dkv/node/layout"
)

// wantClaimRefused wants one frame to have been refused, the operator to be told in these
// words, and the node to live.
func (s *setup) wantClaimRefused(words ...string) {
	s.t.Helper()
	if n := s.saw(EventClaimRefused); n != 1 {
		s.t.Fatalf("%d claims were refused, want 1", n)
	}
	mustContain(s.t, errors.New(s.lastAlarm()), words...)
	if s.failed != nil {
		s.t.Fatalf("the node ended: %v", s.failed)
	}
}

// lastAlarm is what the operator was told last; "" if nothing.
func (s *setup) lastAlarm() (text string) {
	for _, e := range s.events {
		if e.Kind == EventAlarm {
			text = e.Text
		}
	}
	return text
}

// TestAPromiseNamesItsPrimary checks rule "a promise names its primary": frames of the
// promised epoch from another primary change nothing and are answered by nothing, also
// after a restart.
func TestAPromiseNamesItsPrimary(t *testing.T) {
	frames := map[string]Message{
		"Prepare": &Prepare{0, led(3, 6)},
		"Append": &Append{
			Assignment: led(3, 6), Counter: Counter{3, 1}, PrevIndex: 3, PrevEpoch: 4, Entries: entries(3, 6),
		},
		"offer": &SnapshotOffer{0, led(3, 6), Counter{3, 1}, SnapshotName{"disk-3", 3, 9, 6, 1}},
		"beat":  &Beat{Counter: Counter{3, 1}, LayoutVersion: -1, Items: []BeatItem{{0, 6, 3}}},
	}
	for name, frame := range frames {
		for _, restarts := range []bool{false, true} {
			s := followerOf2(t, 1, 1, 4)
			s.prepare(led(2, 6))
			one[*Promise](s, 2)
			if restarts {
				s.restart()
			}
			s.forget()
			s.from(3, frame)
			none[*Promise](s)
			none[*Appended](s)
			none[*SnapshotPull](s)
			for _, reply := range sent[*BeatReply](s) {
				if len(reply.body.Items) > 0 {
					t.Errorf("%s: the beat was answered with %+v, which would confirm a read", name, reply.body.Items)
				}
			}
			s.wantLog(1, 1, 4)
			s.wantCommit(2)
			s.wantClaimRefused("member 3 is the primary of epoch 6", "promised to member 2")
		}
	}
}

// TestAPromiseOfFormat1IsNamedByTheNextPrepare checks that a promise without a primary
// takes the one that is named first, durably.
func TestAPromiseOfFormat1IsNamedByTheNextPrepare(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 6, epochs: []Epoch{1, 1}, applied: 2})
	s.prepare(led(3, 6))
	one[*Promise](s, 3)
	s.restart()
	s.prepare(led(2, 6))
	none[*Promise](s)
	s.wantClaimRefused("promised to member 3")
}

// TestALayoutThatGivesOutAnEpochTwiceIsRefused checks rule "no lower layout".
func TestALayoutThatGivesOutAnEpochTwiceIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		asg  Assignment
		says string
	}{
		{"an epoch fell", led(2, 4), "has epoch 5"},
		{"another assignment of a known epoch", led(3, 5), "was known as led by member 2"},
		{"another primary than the promise", led(2, 6), "promised to member 3"},
	} {
		s := newSetup(t, disk{asg: led(2, 5), promised: 5, epochs: []Epoch{1, 1}, applied: 2})
		s.replica().raise(6, 3)
		s.endTurn()
		data := encoded(t, layoutOf(t, 1, c.asg))
		s.from(2, &LayoutCopy{data})
		if v := s.node.layout.Version(); v != 0 {
			t.Errorf("%s: layout version %d was adopted", c.name, v)
		}
		if !strings.Contains(s.lastAlarm(), c.says) {
			t.Errorf("%s: the alarm is %q, which does not say %q", c.name, s.lastAlarm(), c.says)
		}
	}
}

// TestClaimsThatDenyWhatIsCommittedAreRefused checks rule "a claim ends no process": a log
// that lacks what is committed here can't have been chosen by a majority's promises.
func TestClaimsThatDenyWhatIsCommittedAreRefused(t *testing.T) {
	t.Run("Append", func(t *testing.T) {
		s := followerOf2(t, 1, 1, 4)
		s.append2(1, 1, 0, 5)
		none[*Appended](s)
		s.wantLog(1, 1, 4)
		s.wantClaimRefused("differs from what is committed here up to 2")
	})
	t.Run("promise of a shorter log", func(t *testing.T) {
		outside := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{2, 3, 4}, Next: []MemberNumber{1, 2, 3}}
		s := newSetup(t, disk{asg: outside, promised: 4, epochs: []Epoch{1, 1, 1}, applied: 2})
		s.promise(2, 1, 1)
		s.promise(3, 1, 1)
		s.wantLog(1, 1, 1)
		if n := s.saw(EventClaimRefused); n != 2 {
			t.Errorf("%d claims were refused, want one of each source", n)
		}
		mustContain(t, errors.New(s.lastAlarm()), "its log ended at 1 when it promised, while 2 is committed here")
		if !s.replica().reign.abandoned {
			t.Error("the reign was not abandoned")
		}
	})
	t.Run("acknowledgement beyond the end", func(t *testing.T) {
		s := leader(t, Config{}, nil)
		s.ackTo(3, 99)
		s.wantClaimRefused("acknowledged 99 in epoch 5, whose log ends at 4")
		if f := s.replica().reign.follower(3); f.match != 0 {
			t.Errorf("match is %d", f.match)
		}
	})
}

// TestFramesThatNoLogHolds: entries that do not follow one another, or whose epochs fall,
// are dropped.
func TestFramesThatNoLogHolds(t *testing.T) {
	for name, list := range map[string][]Entry{
		"a gap":           {entry(4, 5), entry(6, 5)},
		"a falling epoch": {entry(4, 5), entry(5, 4)},
		"a later epoch":   {entry(4, 6)},
		"before the past": {entry(4, 3)},
	} {
		s := followerOf2(t, 1, 1, 4)
		s.from(2, &Append{Assignment: led(2, 5), Counter: Counter{3, 1}, PrevIndex: 3, PrevEpoch: 4, Entries: list})
		none[*Appended](s)
		s.wantLog(1, 1, 4)
		if s.failed != nil {
			t.Errorf("%s: the node ended: %v", name, s.failed)
		}
	}
}

// TestANewerStoreIsNamedAsNewer: what a newer build wrote is not damage, and stays as it is.
func TestANewerStoreIsNamedAsNewer(t *testing.T) {
	newer := strings.Replace(string(storeOfMember(t)[string(keyLayout)]), `{"format":1,`, `{"format":7,`, 1)
	for _, c := range []struct {
		name string
		key  []byte
		data []byte
		says []string
	}{
		{"store", keyFormat, encodeNumber(99), []string{"format 99", "reads formats up to 2", "newer version of dkv", "nothing was changed"}},
		{"layout", keyLayout, []byte(newer), []string{"format 7", "this build reads format 2", "newer version of dkv", "nothing was changed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := storeOfMember(t)
			rows[string(c.key)] = c.data
			before := maps.Clone(rows)
			d := newDoors(t, rows)
			d.sync()
			mustContain(t, d.failed, c.says...)
			if strings.Contains(d.failed.Error(), "damage") {
				t.Errorf("%v speaks of damage", d.failed)
			}
			for key, value := range before {
				if string(d.rows[key]) != string(value) {
					t.Errorf("%q was changed", key)
				}
			}
		})
	}
}

// TestAnOlderStoreIsRaised: format 1 is opened, and format 2 written before anything that
// format 1 does not know.
func TestAnOlderStoreIsRaised(t *testing.T) {
	rows := storeOfMember(t)
	rows[string(keyFormat)] = encodeNumber(1)
	d := newDoors(t, rows)
	d.sync()
	if d.failed != nil {
		t.Fatal(d.failed)
	}
	if got := d.rows[string(keyFormat)]; string(got) != string(encodeNumber(StoreFormat)) {
		t.Errorf("the format is %x", got)
	}
	if r := d.node.replicas[0]; r.promised != 4 || r.promisedTo != layout.MemberNumber(0) {
		t.Errorf("promised %d to member %d, want 4 to none", r.promised, r.promisedTo)
	}
}
