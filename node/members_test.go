package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

// Members: how nodes join, how a missing one is given up, and what an operator may do.

const (
	liveRoot   = "/dkv/default/live"
	layoutPath = "/dkv/default/layout"
)

// clusterOf sets member 1 up as a follower in a cluster of these members, of which those
// named are registered.
func clusterOf(t *testing.T, c Config, members []MemberNumber, registered ...MemberNumber) *setup {
	t.Helper()
	zk := newZookeeper()
	s := &setup{doors: &doors{rows: disk{asg: led(2, 5), promised: 5}.rows(t), zk: zk}, t: t, config: c}
	zk.plant()
	s.plantLayout(layoutOf(t, 0, led(2, 5), members...))
	s.rows[string(keyLayout)] = zk.znodes[layoutPath].data
	for _, m := range registered {
		s.register(fmt.Sprintf("n%d", m), liveRecord{Store: StoreID(fmt.Sprintf("disk-%d", m))})
	}
	s.start()
	s.pass(suspect)
	return s
}

func (s *setup) plantLayout(l *layout.Layout) { s.zk.put(layoutPath, encoded(s.t, l), l.Version()) }

// register makes a node's registration, and tells who watches.
func (s *setup) register(id string, live liveRecord) {
	live.Peer, live.HTTP, live.Weight, live.Incarnation = "127.0.0.1:77", "127.0.0.1:78", 1, 1
	s.zk.register(NodeID(id), live, 900)
	s.changed()
}

func (s *setup) unregister(id string) {
	delete(s.zk.znodes, liveRoot+"/"+id)
	s.changed()
}

func (s *setup) changed() {
	s.zk.changed(liveRoot)
	if s.node != nil {
		s.pass(suspect)
	}
}

// layoutNow is the layout in ZooKeeper.
func (s *setup) layoutNow() *layout.Layout {
	s.t.Helper()
	l, err := layout.Decode(s.zk.znodes[layoutPath].data)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// change changes the layout in ZooKeeper by an outside hand.
func (s *setup) change(changes ...layout.MemberChange) {
	s.t.Helper()
	result := s.layoutNow().Apply(nil, changes...)
	if len(result.RejectedChanges) > 0 {
		s.t.Fatal(result.RejectedChanges)
	}
	s.plantLayout(result.Layout)
	s.zk.changed(layoutPath)
	s.pass(suspect)
}

func (s *setup) become(n MemberNumber, state layout.State) layout.MemberChange {
	m, _ := s.layoutNow().Member(n)
	m.State = state
	return layout.MemberChange{Kind: layout.Update, Member: m}
}

// states lists the members in words: "1:active 2:leaving".
func (s *setup) states() string {
	var all []string
	for _, m := range s.layoutNow().Members() {
		all = append(all, fmt.Sprintf("%d:%s", m.Number, m.State))
	}
	return strings.Join(all, " ")
}

func (s *setup) wantStates(want string) {
	s.t.Helper()
	if got := s.states(); got != want {
		s.t.Fatalf("the members are %s, want %s", got, want)
	}
}

// TestANodeThatLeftDoesNotJoin: the set is conditional on its registration.
func TestANodeThatLeftDoesNotJoin(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	s.zk.fault = func(what string) (bool, error) {
		if strings.HasPrefix(what, setLayout) { // it leaves between the reading and the set
			delete(s.zk.znodes, liveRoot+"/n7")
		}
		return false, nil
	}
	s.register("n7", liveRecord{Store: "disk-7"})
	s.pass(10 * time.Second)
	if _, ok := s.layoutNow().MemberByNode("n7"); ok {
		t.Error("a node joined that is not registered any more")
	}
}

// TestARegisteredNodeJoins checks rule "members follow the registry": unless an operator
// has to approve it, or its disk is another cluster's or a member's.
func TestARegisteredNodeJoins(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		live   liveRecord
		joins  bool
	}{
		{"by itself", Config{}, liveRecord{Store: "disk-7"}, true},
		{"with this cluster's data", Config{}, liveRecord{Store: "disk-7", Cluster: "c0ffee"}, true},
		{"the member approves", Config{Join: JoinApprove}, liveRecord{Store: "disk-7"}, false},
		{"the node waits for approval", Config{}, liveRecord{Store: "disk-7", Join: JoinApprove}, false},
		{"with another cluster's data", Config{}, liveRecord{Store: "disk-7", Cluster: "beef"}, false},
		{"with a member's disk", Config{}, liveRecord{Store: "disk-3"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := clusterOf(t, c.config, three, 2, 3)
			s.register("n7", c.live)
			s.pass(10 * time.Second)
			m, ok := s.layoutNow().MemberByNode("n7")
			if ok != c.joins || ok && (m.Store != "disk-7" || m.State != layout.Active || m.Number != 7) {
				t.Fatalf("member %+v, joined %v, want %v", m, ok, c.joins)
			}
			if got := s.saw(EventJoined); (got == 1) != c.joins {
				t.Errorf("joined %d times", got)
			}
		})
	}
}

// TestANodeRegistersDuringAReading checks rule "read again" for the registry: the watch of a
// reading fires before its last call is answered. No other one would tell of the node.
func TestANodeRegistersDuringAReading(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	waits := func(id NodeID) { s.zk.register(id, liveRecord{Store: "disk-" + StoreID(id), Join: JoinApprove}, 901) }
	during := -1 // the readings that had ended when the watch fired
	s.zk.fault = func(what string) (bool, error) {
		if what == "get "+liveRoot+"/n7" {
			s.zk.fault = nil
			waits("n9")
			s.zk.changed(liveRoot) // told before the record of n8, which is read next
			during = int(s.node.roster.readings)
		}
		return false, nil
	}
	waits("n7")
	waits("n8")
	s.changed()
	if during < 0 {
		t.Fatal("nothing was read")
	}
	s.pass(10 * time.Second)
	if got := s.node.candidates(); len(got) != 3 || got[2].Node != "n9" {
		t.Errorf("after %d readings, %d of them before: %+v wait, want n7, n8 and n9", s.node.roster.readings, during, got)
	}
}

// TestAReplacedNamePassesToTheNewDisk checks rule "one disk one member": only then.
func TestAReplacedNamePassesToTheNewDisk(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2)
	s.register("n3", liveRecord{Store: "disk-8"})
	s.pass(10 * time.Second)
	s.wantStates("1:active 2:active 3:active")
	s.change(s.become(3, layout.Replaced))
	s.wantStates("1:active 2:active 3:gone 7:active")
	if m, _ := s.layoutNow().MemberByNode("n3"); m.Number != 7 || m.Store != "disk-8" {
		t.Errorf("n3 is %+v", m)
	}
}

// TestAnotherDiskWaitsForItsName checks rule "one disk one member": this node waits, and
// says why, until the member of its name was replaced or removed.
func TestAnotherDiskWaitsForItsName(t *testing.T) {
	for _, state := range []layout.State{layout.Replaced, layout.Gone} {
		zk := newZookeeper()
		rows := map[string][]byte{string(keyFormat): encodeNumber(StoreFormat), string(keyStore): []byte("disk-9"), string(keyBoot): encodeNumber(1)}
		s := &setup{doors: &doors{rows: rows, zk: zk}, t: t}
		zk.plant()
		zk.put("/dkv/default/nodes/n1", encodeRecord(nodeRecord{4, "disk-1"}), 4)
		s.plantLayout(layoutOf(t, 0, led(2, 5), three...))
		s.start()
		s.pass(time.Minute)
		if s.failed != nil || s.saw(EventRegistered) > 0 {
			t.Fatalf("failed with %v, registered %d times, want it to wait", s.failed, s.saw(EventRegistered))
		}
		_, why := s.node.Ready()
		for _, part := range []string{"member 1", "disk-1", "disk-9", "dkv member replace n1 n1"} {
			if !strings.Contains(why, part) {
				t.Errorf("it says %q, want %q in it", why, part)
			}
		}
		s.change(s.become(1, state))
		s.pass(time.Second)
		s.wantRegistered()
	}
}

// TestExpectMattersOnlyWhileForming checks rule "flags must agree".
func TestExpectMattersOnlyWhileForming(t *testing.T) {
	for _, formed := range []bool{true, false} {
		zk := newZookeeper()
		zk.plant()
		rows := map[string][]byte{string(keyFormat): encodeNumber(StoreFormat), string(keyStore): []byte("disk-1"), string(keyBoot): encodeNumber(1)}
		s := &setup{doors: &doors{rows: rows, zk: zk}, t: t}
		zk.put("/dkv/default/cluster", encodeRecord(clusterRecord{UUID: "c0ffee", Expect: 5, Partitions: 1, Replication: 3}), 0)
		if formed {
			s.plantLayout(layoutOf(t, 0, Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{2, 3, 4}}, 2, 3, 4))
		}
		s.start()
		if formed {
			s.wantRegistered()
		} else {
			mustContain(t, s.failed, "--expect 5")
		}
	}
}

// TestAMissingMemberIsReplaced checks rule "replace the silent": after replace-after, and
// only if no member hears it and every other one is there.
func TestAMissingMemberIsReplaced(t *testing.T) {
	members := []MemberNumber{1, 2, 3, 4}
	for _, c := range []struct {
		name     string
		config   Config
		each     func(s *setup) // every interval
		replaced bool
	}{
		{"no member hears it", Config{}, func(s *setup) { s.rollReply(2); s.rollReply(4) }, true},
		{"never", Config{ReplaceAfter: -1}, func(s *setup) { s.rollReply(2); s.rollReply(4) }, false},
		{"a member hears it", Config{}, func(s *setup) { s.rollReply(2); s.rollReply(4, 3) }, false},
		{"a member heard it since", Config{}, func(s *setup) {
			s.rollReply(2)
			s.from(4, &RollReply{Asked: []MemberNumber{3}, Heard: []HeardMember{{3, 7 * time.Second}}})
		}, false},
		{"a member heard it before", Config{}, func(s *setup) {
			s.rollReply(2)
			s.from(4, &RollReply{Asked: []MemberNumber{3}, Heard: []HeardMember{{3, time.Hour}}})
		}, true},
		{"this node hears it", Config{}, func(s *setup) { s.rollReply(2); s.rollReply(4); s.from(3, &RollReply{}) }, false},
		{"a member does not answer", Config{}, func(s *setup) { s.rollReply(2) }, false},
		{"a member answers something else", Config{}, func(s *setup) { s.rollReply(2); s.from(4, &RollReply{}) }, false},
		{"a second one is missing", Config{}, func(s *setup) {
			s.rollReply(2)
			s.rollReply(4)
			delete(s.zk.znodes, liveRoot+"/n4")
			s.zk.changed(liveRoot)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.ReplaceAfter == 0 {
				c.config.ReplaceAfter = 8 * time.Second
			}
			s := clusterOf(t, c.config, members, 2, 3, 4)
			s.unregister("n3")
			began := s.now
			for s.now < began+30*time.Second && s.saw(EventReplaced) == 0 {
				c.each(s)
				s.pass(suspect / 4)
			}
			if got := s.saw(EventReplaced) == 1; got != c.replaced {
				t.Fatalf("replaced: %v, want %v", got, c.replaced)
			}
			if c.replaced && (s.now < began+7*time.Second || s.now > began+10*time.Second) {
				t.Errorf("replaced after %v", s.now-began)
			}
			if c.replaced {
				s.wantStates("1:active 2:active 3:replaced 4:active")
			}
		})
	}
}

// rollReply answers as a member the roll call of 3, and heard these just now.
func (s *setup) rollReply(from MemberNumber, heard ...MemberNumber) {
	reply := &RollReply{Asked: []MemberNumber{3}}
	for _, m := range heard {
		reply.Heard = append(reply.Heard, HeardMember{m, 0})
	}
	s.from(from, reply)
}

// TestTheRollIsAnswered: by what was heard, and a member that was not heard is asked.
func TestTheRollIsAnswered(t *testing.T) {
	s := clusterOf(t, Config{}, []MemberNumber{1, 2, 3, 4}, 2, 3, 4)
	s.from(3, &RollReply{})
	s.pass(suspect)
	s.forget()
	s.from(2, &RollCall{Members: []MemberNumber{1, 3, 4}})
	if reply := one[*RollReply](s, 2); !slices.Equal(reply.Heard, []HeardMember{{3, suspect}}) || len(reply.Asked) != 3 {
		t.Errorf("answered %+v", reply)
	}
	if ask := one[*RollCall](s, 4); len(ask.Members) != 0 {
		t.Errorf("asked %+v", ask)
	}
}

// TestAReplacedMemberReturns: by itself, under its number.
func TestAReplacedMemberReturns(t *testing.T) {
	s := clusterOf(t, Config{}, three, 2, 3)
	s.change(s.become(1, layout.Replaced))
	s.wantStates("1:active 2:active 3:active")
	if s.saw(EventReturned) != 1 {
		t.Errorf("returned %d times", s.saw(EventReturned))
	}
}

// TestARemovedMemberIsForgotten: when no partition names it and its process is gone.
func TestARemovedMemberIsForgotten(t *testing.T) {
	s := clusterOf(t, Config{}, []MemberNumber{1, 2, 3, 4, 5}, 2, 3, 4, 5)
	s.change(s.become(4, layout.Gone))
	s.wantStates("1:active 2:active 3:active 4:gone 5:active")
	s.unregister("n4")
	s.wantStates("1:active 2:active 3:active 5:active")
	s.register("n4", liveRecord{Store: "disk-4"})
	s.wantStates("1:active 2:active 3:active 5:active 7:active")
}

// TestThisNodeIsRemoved: it is a stranger, and later a new member, on the same disk.
func TestThisNodeIsRemoved(t *testing.T) {
	s := clusterOf(t, Config{}, []MemberNumber{1, 2, 3, 4}, 2, 3, 4)
	s.change(s.become(1, layout.Gone))
	if ok, why := s.node.Ready(); s.node.self != 0 || ok || !s.zk.session.closed {
		t.Fatalf("member %d, ready %v: %s; session closed %v", s.node.self, ok, why, s.zk.session.closed)
	}
	delete(s.zk.znodes, liveN1)
	s.restart()
	s.pass(10 * time.Second)
	if s.node.self != 0 || s.node.registered() {
		t.Fatalf("member %d, registered %v, while its former member is listed", s.node.self, s.node.registered())
	}
	l := s.layoutNow()
	l = l.Apply([]layout.Step{{Kind: layout.BeginMove, Epoch: 5, Primary: 2, Next: []MemberNumber{2, 3, 4}}}).Layout
	l = l.Apply([]layout.Step{{Kind: layout.FinishMove, Epoch: 6, Primary: 2}}).Layout
	s.plantLayout(l)
	s.change(layout.MemberChange{Kind: layout.Drop, Member: layout.Member{Number: 1}})
	s.pass(10 * time.Second)
	s.wantRegistered()
	s.change(layout.MemberChange{Kind: layout.Join, Member: layout.Member{Node: "n1", Store: "disk-1", Peer: "127.0.0.1:1", HTTP: "127.0.0.1:2", Weight: 1}})
	if s.node.self != 7 {
		t.Errorf("member %d, want 7", s.node.self)
	}
}

// TestARestartedProcessLearnsThatItWasRemoved: from the layout, after it registered with
// what its disk said. It takes its registration back, so that it is forgotten, and joins.
func TestARestartedProcessLearnsThatItWasRemoved(t *testing.T) {
	s := &setup{doors: &doors{rows: disk{asg: led(2, 5), promised: 5}.rows(t), zk: newZookeeper()}, t: t}
	s.zk.plant()
	l := layoutOf(t, 0, led(2, 5), three...)
	m, _ := l.Member(1)
	m.State = layout.Gone
	s.plantLayout(l.Apply(nil, layout.MemberChange{Kind: layout.Update, Member: m}).Layout)
	s.start()
	s.pass(5 * time.Second)
	if _, ok := s.zk.znodes[liveN1]; ok || s.node.self != 0 || s.zk.session.closed {
		t.Fatalf("registered %v, member %d, session closed %v", ok, s.node.self, s.zk.session.closed)
	}
}

// TestAPartitionMovesToItsTarget checks rule "move to the target": after settle-time, when
// the new replicas were heard, and later again if the move was cancelled.
func TestAPartitionMovesToItsTarget(t *testing.T) {
	s := leader(t, Config{}, newZookeeper())
	var next []MemberNumber
	for _, m := range s.node.target(0) {
		next = append(next, MemberNumber(m))
	}
	if sameMembers(next, three) {
		t.Fatal("the ring wants the replicas that there are")
	}
	serve := func(d time.Duration, heard bool) {
		for end := s.now + d; s.now < end && !s.replica().known().Moving(); s.pass(suspect / 4) {
			if g := s.replica().reign; g != nil && g.phase == leading {
				s.ack(2, 3)
				for _, f := range g.learners.list {
					s.ack(f.member)
				}
			}
			for m := MemberNumber(4); heard && m <= 6; m++ {
				s.from(m, &RollReply{})
			}
		}
	}
	serve(12*time.Second, false)
	if s.saw(EventMoveBegun) > 0 || len(sent[*RollCall](s)) == 0 {
		t.Fatal("moved to members that were not heard, or did not ask them")
	}
	serve(time.Second, true)
	if a := s.replica().known(); s.saw(EventMoveBegun) != 1 || !slices.Equal(a.Next, next) {
		t.Fatalf("%d moves, the assignment is %+v, want a move to %v", s.saw(EventMoveBegun), a, next)
	}
	s.pass(suspect)
	s.promise(2, 5, 4)
	s.pass(11 * time.Second) // cancelled
	if s.saw(EventMoveCancelled) != 1 {
		t.Fatal("not cancelled")
	}
	s.promise(2, 6, s.replica().log.lastIndex())
	cancelled := s.now
	serve(time.Minute, true)
	if s.saw(EventMoveBegun) != 2 || s.now < cancelled+8*time.Second {
		t.Errorf("%d moves, the second %v after the first was cancelled", s.saw(EventMoveBegun), s.now-cancelled)
	}
	w := &s.replica().move
	w.failed(s.now, 10*time.Second)
	if wait := w.retryAt - s.now; wait != 20*time.Second {
		t.Errorf("after a second failure the move waits for %v", wait)
	}
}

// TestAnOperatorIsTold checks rule "an operator is told": what is refused, with the reason
// and the way out.
func TestAnOperatorIsTold(t *testing.T) {
	five := []MemberNumber{1, 2, 3, 4, 5}
	for _, c := range []struct {
		name    string
		prepare func(s *setup)
		command MemberCommand
		outcome door.Outcome
		says    string
		states  string
	}{
		{"drain", nil, MemberCommand{Verb: DrainMember, Node: "n4"}, door.Done, "", "1:active 2:active 3:active 4:leaving 5:active"},
		{"drain twice", func(s *setup) { s.change(s.become(4, layout.Leaving)) },
			MemberCommand{Verb: DrainMember, Node: "n4"}, door.Refused, "drained", "1:active 2:active 3:active 4:leaving 5:active"},
		{"drain below the replication", func(s *setup) { s.change(s.become(4, layout.Leaving), s.become(5, layout.Leaving)) },
			MemberCommand{Verb: DrainMember, Node: "n3"}, door.Refused, "2 members for 3 replicas", ""},
		{"an unknown id", nil, MemberCommand{Verb: DrainMember, Node: "n9"}, door.Refused, "members are n1 n2 n3 n4 n5", ""},
		{"no such verb", nil, MemberCommand{Verb: "paint", Node: "n3"}, door.Refused, "want approve, drain, remove or replace", ""},
		{"remove one that lives", nil, MemberCommand{Verb: RemoveMember, Node: "n3"}, door.Refused, "--force", ""},
		{"remove it all the same", nil, MemberCommand{Verb: RemoveMember, Node: "n3", Force: true}, door.Done, "", "1:active 2:active 3:gone 4:active 5:active"},
		{"remove one that is gone", func(s *setup) { s.unregister("n3"); s.pass(2 * suspect) },
			MemberCommand{Verb: RemoveMember, Node: "n3"}, door.Done, "", "1:active 2:active 3:gone 4:active 5:active"},
		{"remove one that holds no data", nil, MemberCommand{Verb: RemoveMember, Node: "n4"}, door.Done, "", "1:active 2:active 3:active 4:gone 5:active"},
		{"remove one of the last two", func(s *setup) { s.unregister("n2"); s.unregister("n3"); s.pass(2 * suspect) },
			MemberCommand{Verb: RemoveMember, Node: "n3", Force: true}, door.Refused, "partition 0 would have 1 of the 2 replicas", ""},
		{"remove one of the last two, when the name of a lost one is another disk's", func(s *setup) {
			s.unregister("n3")
			s.change(s.become(3, layout.Replaced))
			s.register("n3", liveRecord{Store: "disk-9", Join: JoinApprove})
		}, MemberCommand{Verb: RemoveMember, Node: "n2", Force: true}, door.Refused, "partition 0 would have 1 of the 2 replicas", ""},
		{"approve", func(s *setup) { s.register("n7", liveRecord{Store: "disk-7", Join: JoinApprove}) },
			MemberCommand{Verb: ApproveMember, Node: "n7"}, door.Done, "", "1:active 2:active 3:active 4:active 5:active 7:active"},
		{"approve a stranger that is not there", nil, MemberCommand{Verb: ApproveMember, Node: "n8"}, door.Refused, "no node \"n8\" is registered", ""},
		{"approve another cluster's", func(s *setup) { s.register("n7", liveRecord{Store: "disk-7", Cluster: "beef"}) },
			MemberCommand{Verb: ApproveMember, Node: "n7"}, door.Refused, "belongs to cluster beef", ""},
		{"let one stay", func(s *setup) { s.change(s.become(4, layout.Leaving)) },
			MemberCommand{Verb: ApproveMember, Node: "n4"}, door.Done, "", "1:active 2:active 3:active 4:active 5:active"},
		{"replace one that lives", func(s *setup) { s.register("n7", liveRecord{Store: "disk-7", Join: JoinApprove}) },
			MemberCommand{Verb: ReplaceMember, Node: "n3", New: "n7"}, door.Done, "", "1:active 2:active 3:leaving 4:active 5:active 7:active"},
		{"replace one by a node that joins by itself", func(s *setup) {
			s.unregister("n3")
			s.zk.register("n7", liveRecord{Store: "disk-7", Peer: "127.0.0.1:77", HTTP: "127.0.0.1:78", Weight: 1, Incarnation: 1}, 900)
		}, MemberCommand{Verb: ReplaceMember, Node: "n3", New: "n7"}, door.Done, "", "1:active 2:active 3:replaced 4:active 5:active 7:active"},
		{"replace one that is gone", func(s *setup) { s.unregister("n3"); s.pass(2 * suspect) },
			MemberCommand{Verb: ReplaceMember, Node: "n3", New: "n4"}, door.Done, "", "1:active 2:active 3:replaced 4:active 5:active"},
		{"replace its disk", func(s *setup) { s.unregister("n3"); s.pass(2 * suspect) },
			MemberCommand{Verb: ReplaceMember, Node: "n3", New: "n3"}, door.Done, "", "1:active 2:active 3:replaced 4:active 5:active"},
		{"replace its disk while it lives", nil, MemberCommand{Verb: ReplaceMember, Node: "n3", New: "n3"}, door.Refused, "stop it first", ""},
		{"replace by a node that is not there", nil, MemberCommand{Verb: ReplaceMember, Node: "n3", New: "n8"}, door.Refused, "no node \"n8\" is registered", ""},
		{"without ZooKeeper", func(s *setup) { s.slowZookeeper = true }, MemberCommand{Verb: DrainMember, Node: "n4"}, door.Refused, "ZooKeeper did not answer", ""},
		{"without its answer", func(s *setup) {
			s.zk.fault = func(what string) (bool, error) {
				return strings.Contains(what, "set "+layoutPath), map[bool]error{true: door.ErrUnknownOutcome}[strings.Contains(what, "set "+layoutPath)]
			}
		}, MemberCommand{Verb: DrainMember, Node: "n4"}, door.Done, "", "1:active 2:active 3:active 4:leaving 5:active"},
		{"after a conflict", func(s *setup) {
			s.zk.fault = func(what string) (bool, error) {
				if what == setLayout {
					s.zk.fault = nil
					s.plantLayout(s.layoutNow().Apply(nil, s.become(5, layout.Leaving)).Layout)
				}
				return false, nil
			}
		}, MemberCommand{Verb: DrainMember, Node: "n4"}, door.Done, "", "1:active 2:active 3:active 4:leaving 5:leaving"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := clusterOf(t, Config{}, five, 2, 3, 4, 5)
			if c.prepare != nil {
				c.prepare(s)
			}
			before := s.states()
			var answers []MemberAnswer
			s.node.OnMemberCommand(c.command, func(a MemberAnswer) { answers = append(answers, a) })
			s.settle()
			s.pass(6 * time.Second)
			if len(answers) != 1 || answers[0].Outcome != c.outcome || !strings.Contains(answers[0].Reason, c.says) {
				t.Fatalf("answered %+v, want outcome %v with %q", answers, c.outcome, c.says)
			}
			if want := c.states; want != "" {
				s.wantStates(want)
			} else {
				s.wantStates(before)
			}
		})
	}
}
