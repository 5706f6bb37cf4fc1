package node

import (
	"fmt"
	"slices"
	"testing"

	"dkv/node/door"
)

// What the status says of bad days: of ZooKeeper, of replicas and of moves.

// TestStatusNamesWhatIsWrongWithZooKeeper: each fault while it lasts, and not afterwards.
func TestStatusNamesWhatIsWrongWithZooKeeper(t *testing.T) {
	const record, held = "/dkv/default/cluster", "/dkv/default/layout"
	sound := encodeRecord(clusterRecord{UUID: "c0ffee", Expect: 3, Partitions: 1, Replication: 3})
	wrong := encodeRecord(clusterRecord{UUID: "beef", Expect: 3, Partitions: 1, Replication: 3})
	for _, c := range []struct {
		name string
		path string
		data func() []byte // nil: removed
		of   int32
		want FaultKind
	}{
		{"no cluster", record, nil, 0, FaultWiped},
		{"another cluster", record, func() []byte { return wrong }, 1, FaultOther},
		{"a damaged cluster", record, func() []byte { return sound[1:] }, 1, FaultUnreadable},
		{"no layout", held, nil, 0, FaultWiped},
		{"an older layout", held, func() []byte { return encoded(t, layoutOf(t, 7, led(2, 5))) }, 7, FaultRolledBack},
		{"a damaged layout", held, func() []byte { return []byte("{") }, 9, FaultUnreadable},
		{"a layout of another version than its znode's", held, func() []byte { return encoded(t, layoutOf(t, 9, led(3, 6))) }, 10, FaultUnreadable},
		{"an epoch with another primary", held, func() []byte { return encoded(t, layoutOf(t, 9, led(3, 5))) }, 9, FaultEdited},
		{"the same version with another epoch", held, func() []byte { return encoded(t, layoutOf(t, 8, led(3, 6))) }, 8, FaultEdited},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
			s.wantRegistered()
			if f := s.node.Status(false).Fault; f.Kind != "" {
				t.Fatalf("a fault at first: %+v", f)
			}
			if c.data == nil {
				delete(s.zk.znodes, c.path)
			} else {
				s.zk.put(c.path, c.data(), c.of)
			}
			s.zk.changed(c.path)
			s.settle()
			if f := s.node.Status(false).Fault; f.Kind != c.want || f.Why == "" || s.saw(EventAlarm) != 1 {
				t.Errorf("%+v, %d alarms, want %q and one alarm", f, s.saw(EventAlarm), c.want)
			}
			s.pass(2 * suspect)
			if f := s.node.Status(false).Fault; f.Kind != c.want {
				t.Errorf("%+v later, want %q", f, c.want)
			}
			s.zk.session.events(door.SessionEvent{Kind: door.EventDisconnected})
			if f := s.node.Status(false).Fault; f.Kind != FaultAway {
				t.Errorf("%+v without a connection", f)
			}
			s.zk.put(record, sound, 2)
			s.zk.put(held, encoded(t, layoutOf(t, 11, led(3, 9))), 11)
			s.zk.session.events(door.SessionEvent{Kind: door.EventConnected})
			s.pass(12 * suspect)
			if f := s.node.Status(false).Fault; f.Kind != "" || s.node.layout.Version() != 11 {
				t.Errorf("%+v, layout version %d, after it was put right", f, s.node.layout.Version())
			}
		})
	}
}

// TestNoStepIsTakenOverAnEditedLayout: a set would be conditional on the version, which is
// the one that this node knows, and would replace what it has not followed.
func TestNoStepIsTakenOverAnEditedLayout(t *testing.T) {
	for _, edited := range []bool{false, true} {
		s := newSetup(t, disk{asg: led(2, 5), promised: 5, version: 8, zk: newZookeeper()})
		if edited {
			s.zk.put("/dkv/default/layout", encoded(t, layoutOf(t, 8, led(3, 40))), 8)
			s.zk.changed("/dkv/default/layout")
			s.settle()
		}
		s.pass(2 * suspect)
		s.consent(3, 0, 0)
		s.pass(suspect / 2)
		if sets := s.zk.count(setLayout); (sets == 0) != edited {
			t.Errorf("edited: %v: %d sets", edited, sets)
		}
	}
}

// TestStatusNamesReplicasThatAreBehind: those that do not answer, and those that lack much.
func TestStatusNamesReplicasThatAreBehind(t *testing.T) {
	s := leader(t, Config{}, nil)
	behind := func(want ...MemberNumber) {
		t.Helper()
		if got := s.node.Status(true).Partitions[0].Behind; !slices.Equal(got, want) {
			t.Errorf("behind: %v, want %v", got, want)
		}
	}
	s.ack(2, 3)
	behind()
	for i := range 3 * copyLag {
		s.put("k", fmt.Sprint(i))
		if i%16 == 0 {
			s.ack(2)
		}
	}
	s.ack(2)
	behind(3)
	s.ack(3)
	behind()
	for range 20 {
		s.pass(suspect / 8)
		s.ack(3)
	}
	behind(2)
}

// TestStatusCountsMoves: from when there was one more.
func TestStatusCountsMoves(t *testing.T) {
	s, learners := copies(t, Config{})
	m := s.node.Status(false).Moves
	if m.Total != len(learners) || m.Left != m.Total || m.Elapsed <= 0 {
		t.Errorf("%+v, want %d to do", m, len(learners))
	}
	a := Assignment{Epoch: s.replica().known().Epoch + 1}
	for _, m := range s.node.target(0) {
		a.Replicas = append(a.Replicas, MemberNumber(m))
	}
	slices.Sort(a.Replicas)
	a.Primary = a.Replicas[0]
	v := s.node.layout.Version() + 1
	s.zk.put("/dkv/default/layout", encoded(t, layoutOf(t, v, a)), v)
	s.zk.changed("/dkv/default/layout")
	s.settle()
	if m := s.node.Status(false).Moves; m != (Moves{}) {
		t.Errorf("%+v after the move", m)
	}
}
