package node

import (
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

// The node's recipes in ZooKeeper: registration, the barrier, and the layout's
// versions.

const liveN1 = "/dkv/default/live/n1"

// fresh starts a node with an empty disk, where no cluster was formed.
func fresh(t *testing.T, zk *zookeeper) *setup {
	t.Helper()
	rows := map[string][]byte{string(keyFormat): encodeNumber(StoreFormat), string(keyStore): []byte("disk-1"), string(keyBoot): encodeNumber(1)}
	s := &setup{doors: &doors{rows: rows, zk: zk}, t: t}
	zk.plant()
	s.start()
	return s
}

// wantRegistered wants live/n1 to be the newest session's.
func (s *setup) wantRegistered() {
	s.t.Helper()
	if owner := s.zk.znodes[liveN1].owner; owner != s.zk.session.id || !s.node.registered() {
		s.t.Fatalf("live/n1 belongs to session %d, registered %v, want session %d", owner, s.node.registered(), s.zk.session.id)
	}
}

// TestAStaleRegistrationIsReplaced checks rule "own what your session owns": the
// registration of the same disk, of a session that has not ended yet, is replaced at
// one instant.
func TestAStaleRegistrationIsReplaced(t *testing.T) {
	zk := newZookeeper()
	zk.register("n1", liveRecord{Store: "disk-1", Peer: "127.0.0.1:1", Incarnation: 3}, 55)
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, zk: zk})
	s.wantRegistered()
	want := "multi set /dkv/default/nodes/n1 delete " + liveN1 + " create " + liveN1
	if zk.count(want) != 1 || s.saw(EventStaleReplaced) != 1 {
		t.Errorf("asked %q, want %q once", zk.answered, want)
	}
	var node nodeRecord
	if err := decodeRecord(zk.znodes["/dkv/default/nodes/n1"].data, &node); err != nil || node.Incarnation != 4 {
		t.Errorf("nodes/n1 is %+v, %v, want incarnation 4", node, err)
	}
}

// TestTheRegistrationOfAnotherDiskIsNotTouched checks rule "own what your
// session owns": the node waits, and says so.
func TestTheRegistrationOfAnotherDiskIsNotTouched(t *testing.T) {
	zk := newZookeeper()
	zk.register("n1", liveRecord{Store: "disk-9", Incarnation: 3}, 55)
	s := fresh(t, zk)
	s.pass(time.Minute)
	if zk.znodes[liveN1].owner != 55 || s.saw(EventRegistered) > 0 {
		t.Fatal("another disk's registration was replaced")
	}
	if _, why := s.node.Ready(); !strings.Contains(why, "disk-9") {
		t.Errorf("waits for %q, want it to name disk-9", why)
	}
	delete(zk.znodes, liveN1)
	s.pass(2 * suspect)
	s.wantRegistered()
}

// TestARegistrationWithoutAnAnswerIsLookedUp checks rule "read again": whether
// the registration was made or not.
func TestARegistrationWithoutAnAnswerIsLookedUp(t *testing.T) {
	for _, made := range []bool{true, false} {
		zk := newZookeeper()
		faults := 0
		zk.fault = func(what string) (bool, error) {
			if strings.HasSuffix(what, "create "+liveN1) && faults == 0 {
				faults++
				return made, door.ErrUnknownOutcome
			}
			return false, nil
		}
		s := newSetup(t, disk{asg: led(2, 5), promised: 5, zk: zk})
		if !made && s.saw(EventRegistered) > 0 {
			t.Fatal("counts as registered, but is not")
		}
		s.pass(suspect)
		s.wantRegistered()
		if got := s.saw(EventAppliedUnanswered); (got == 1) != made {
			t.Errorf("made %v: resolved %d times", made, got)
		}
		if v := zk.znodes["/dkv/default/nodes/n1"].version; v != 1 {
			t.Errorf("made %v: nodes/n1 was counted %d times, want once", made, v)
		}
	}
}

// TestALostSessionIsReplaced checks rule "serve without a session": the node serves
// meanwhile, and registers over what the old session left.
func TestALostSessionIsReplaced(t *testing.T) {
	s := leader(t, Config{}, newZookeeper())
	s.slowZookeeper = true
	s.zk.session.events(door.SessionEvent{Kind: door.EventExpired})
	put := s.put("k", "x")
	s.ack(2)
	put.want(t, door.Done)
	s.pass(suspect / 2)
	if s.node.registered() {
		t.Fatal("registered without a session")
	}
	s.slowZookeeper = false
	s.settle()
	s.wantRegistered()
	if s.zk.sessions != 102 || s.saw(EventStaleReplaced) != 1 {
		t.Errorf("session %d, replaced %d, want the second session and one", s.zk.sessions, s.saw(EventStaleReplaced))
	}
}

// others registers n2 and n3.
func others(zk *zookeeper) {
	for i, id := range []NodeID{"n2", "n3"} {
		zk.register(id, liveRecord{Peer: "127.0.0.1:3", HTTP: "127.0.0.1:4", Store: []StoreID{"disk-2", "disk-3"}[i], Incarnation: 1, Weight: 1}, int64(50+i))
	}
}

const formed = "multi check /dkv/default/nodes/n1 check /dkv/default/live/n1 " +
	"check /dkv/default/nodes/n2 check /dkv/default/live/n2 " +
	"check /dkv/default/nodes/n3 check /dkv/default/live/n3 create /dkv/default/layout"

// TestTheBarrierLiftsOverAllNodesAtOneInstant checks rule "form at one
// instant".
func TestTheBarrierLiftsOverAllNodesAtOneInstant(t *testing.T) {
	zk := newZookeeper()
	s := fresh(t, zk)
	s.pass(time.Second)
	if s.node.layout != nil {
		t.Fatal("formed alone")
	}
	others(zk)
	zk.changed("/dkv/default/live")
	s.settle()
	if zk.count(formed) != 1 || s.saw(EventFormed) != 1 {
		t.Fatalf("asked %q, want %q", zk.answered, formed)
	}
	if l := s.node.layout; l == nil || len(l.Members()) != 3 || l.Q() != 1 || l.Cluster() != "c0ffee" {
		t.Errorf("the layout is %+v, want three members", l)
	}
	if s.node.self == 0 || string(s.rows[string(keyCluster)]) != "c0ffee" {
		t.Errorf("member %d of cluster %q", s.node.self, s.rows[string(keyCluster)])
	}
}

// TestTheBarrierStaysWhileANodeComesAndGoes checks rule "form at one instant": n3
// leaves, or comes back as another process, after it was counted.
func TestTheBarrierStaysWhileANodeComesAndGoes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(zk *zookeeper)
	}{
		{"leaves", func(zk *zookeeper) { delete(zk.znodes, "/dkv/default/live/n3") }},
		{"comes back", func(zk *zookeeper) {
			zk.register("n3", liveRecord{Store: "disk-7", Incarnation: 2, Weight: 1}, 60)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			zk := newZookeeper()
			others(zk)
			zk.fault = func(what string) (bool, error) {
				if what == formed {
					zk.fault = nil
					c.change(zk)
				}
				return false, nil
			}
			s := fresh(t, zk)
			if s.node.layout != nil || s.saw(EventFormed) > 0 {
				t.Fatal("formed over a node that is not there")
			}
			others(zk)
			s.pass(2 * suspect)
			if s.saw(EventFormed) != 1 {
				t.Error("not formed when all are there")
			}
		})
	}
}

// TestANodeWithDataKeepsTheBarrierDown checks rule "data forbids forming": ZooKeeper
// was wiped, or is the wrong one.
func TestANodeWithDataKeepsTheBarrierDown(t *testing.T) {
	zk := newZookeeper()
	others(zk)
	zk.register("n3", liveRecord{Store: "disk-3", Cluster: "beef", Incarnation: 1, Weight: 1}, 51)
	s := fresh(t, zk)
	s.pass(2 * time.Second)
	if s.node.layout != nil || s.saw(EventAlarm) != 1 {
		t.Errorf("%d alarms, layout %v, want one alarm and no layout", s.saw(EventAlarm), s.node.layout)
	}
}

// TestALowerLayoutIsNeverAdopted checks rule "no lower layout": neither from a peer
// nor from ZooKeeper.
func TestALowerLayoutIsNeverAdopted(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
	s.from(2, &LayoutCopy{encoded(t, layoutOf(t, 7, led(3, 9)))})
	s.zk.put("/dkv/default/layout", encoded(t, layoutOf(t, 6, led(3, 9))), 6)
	s.zk.changed("/dkv/default/layout")
	s.settle()
	if s.node.layout.Version() != 8 || s.replica().known().Epoch != 5 {
		t.Fatalf("version %d, epoch %d, want 8 and 5", s.node.layout.Version(), s.replica().known().Epoch)
	}
	if s.zk.count("multi check /dkv/default/layout") != 1 || s.saw(EventAlarm) != 1 {
		t.Errorf("%d checks, %d alarms, want one each", s.zk.count("multi check /dkv/default/layout"), s.saw(EventAlarm))
	}
	s.restart()
	if s.node.layout.Version() != 8 {
		t.Errorf("version %d after a restart", s.node.layout.Version())
	}
}

// TestALayoutOfAnotherVersionIsNotUsed checks that a layout whose version is not its
// znode's is not used: no node wrote it.
func TestALayoutOfAnotherVersionIsNotUsed(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
	s.zk.put("/dkv/default/layout", encoded(t, layoutOf(t, 9, led(3, 9))), 10)
	s.zk.changed("/dkv/default/layout")
	s.settle()
	if s.node.layout.Version() != 8 || s.saw(EventAlarm) != 1 {
		t.Errorf("version %d, %d alarms, want 8 and one", s.node.layout.Version(), s.saw(EventAlarm))
	}
}

// TestAChangedLayoutIsFollowed checks rule "read again": by its watch, at each change.
func TestAChangedLayoutIsFollowed(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
	for v := int32(9); v < 12; v++ {
		s.zk.put("/dkv/default/layout", encoded(t, layoutOf(t, v, led(3, Epoch(v)))), v)
		s.zk.changed("/dkv/default/layout")
		s.settle()
		if s.node.layout.Version() != v {
			t.Fatalf("version %d, want %d", s.node.layout.Version(), v)
		}
	}
	if l, err := layout.Decode(s.rows[string(keyLayout)]); err != nil || l.Version() != 11 {
		t.Errorf("stored version %v, %v, want 11", l, err)
	}
}

// TestAFailedLookAtTheRegistrationIsRepeated checks rule "read again": also when the
// node believes that it is registered, and with a watch for the next time.
func TestAFailedLookAtTheRegistrationIsRepeated(t *testing.T) {
	for _, failing := range []string{"get /dkv/default/nodes/n1", "get /dkv/default/live/n1"} {
		t.Run(failing, func(t *testing.T) {
			s := newSetup(t, disk{asg: led(2, 5), promised: 5, zk: newZookeeper()})
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

// TestALateMemberFollowsItsPartitions: the node had learned the assignment before it
// knew that it is one of the members named.
func TestALateMemberFollowsItsPartitions(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 0})
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

// TestFlagsMustAgree checks rule "flags must agree": a node that never entered the
// cluster stops and says what differs; one that did raises an alarm and serves.
func TestFlagsMustAgree(t *testing.T) {
	zk := newZookeeper()
	rows := disk{asg: led(2, 5), promised: 5}.rows(t)
	s := &setup{doors: &doors{rows: rows, zk: zk}, t: t}
	zk.plant()
	zk.put("/dkv/default/cluster", encodeRecord(clusterRecord{UUID: "c0ffee", Expect: 3, Partitions: 64, Replication: 3}), 0)
	s.start()
	mustContain(t, s.failed, "--partitions 64")

	s = newSetup(t, disk{asg: led(2, 5), promised: 5, zk: newZookeeper()})
	s.wantRegistered()
	s.zk.put("/dkv/default/cluster", encodeRecord(clusterRecord{UUID: "beef", Expect: 3, Partitions: 1, Replication: 3}), 0)
	s.zk.session.events(door.SessionEvent{Kind: door.EventExpired})
	s.pass(suspect)
	if s.failed != nil || s.saw(EventAlarm) != 1 || s.node.registered() {
		t.Errorf("failed %v, %d alarms, registered %v, want one alarm alone", s.failed, s.saw(EventAlarm), s.node.registered())
	}
}

// TestTheSideWithTheOlderLayoutAsksForTheNewer checks rule "pass the layout on": once
// an interval, by beats as by pre-votes.
func TestTheSideWithTheOlderLayoutAsksForTheNewer(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8})
	s.pass(suspect / 8)
	s.from(2, &Beat{Kind: BeatHeart, LayoutVersion: 8, Items: []BeatItem{{0, 5, 0}}})
	none[*LayoutRequest](s)
	s.from(2, &Beat{Kind: BeatHeart, LayoutVersion: 9, Items: []BeatItem{{0, 5, 0}}})
	s.from(3, &PreVote{LayoutVersion: 9})
	one[*LayoutRequest](s, 2)
	s.from(2, &LayoutCopy{encoded(t, layoutOf(t, 9, led(3, 6)))})
	if s.node.layout.Version() != 9 || s.replica().known().Primary != 3 {
		t.Errorf("follows %d by version %d, want 3 by version 9", s.replica().known().Primary, s.node.layout.Version())
	}
}
