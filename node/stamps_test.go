package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

const recordOf1 = "/dkv/default/stores/disk-1"

// recordShows returns the stamp of store disk-1 in ZooKeeper.
func (z *zookeeper) recordOf(t *testing.T, path string) Stamp {
	t.Helper()
	var record storeRecord
	if err := decodeRecord(z.znodes[path].data, &record); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return Stamp(record)
}

// stampless is a member that was never told of in ZooKeeper, with one that answers.
func stampless(t *testing.T) *setup {
	t.Helper()
	return newSetup(t, disk{asg: led(2, 5), promised: 5, epochs: []Epoch{1}, applied: 1, zk: newZookeeper()})
}

// restore puts rows on the disk of a node that has crashed, and starts it.
func (s *setup) restore(rows map[string][]byte) {
	s.t.Helper()
	s.rows, s.failed = rows, nil
	s.restart()
}

func clone(rows map[string][]byte) map[string][]byte {
	copied := make(map[string][]byte)
	for k, v := range rows {
		copied[k] = slices.Clone(v)
	}
	return copied
}

// hello is the one that member 2 would send with this lineage.
func hello(count uint64, lines ...Line) Hello {
	return Hello{Cluster: "c0ffee", Node: "n2", Member: 2, Store: "disk-2", To: "disk-1", Count: count, Lineage: lines}
}

// commits makes the node promise ever higher epochs to member 2, one synced commit each.
func (s *setup) commits(from, to Epoch) {
	for e := from; e <= to; e++ {
		s.prepare(led(2, e))
	}
}

// A stamp is told only when it is durable: a crash would take it back, and make an honest
// disk look like one that was rolled back.
func TestOnlyDurableCountsAreTold(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	s.prepare(led(2, 6))
	before := s.doors.sent[len(s.doors.sent)-1].Stamp
	s.slowDisk = true
	s.deliver(2, &Prepare{0, led(2, 7)})
	s.from(2, &LayoutRequest{})
	if got := s.doors.sent[len(s.doors.sent)-1].Stamp; got != before || got.Line != s.node.stamps.lines.Running() {
		t.Fatalf("told %+v while a commit is under way, before it %+v", got, before)
	}
	s.slowDisk = false
	s.settle()
	s.from(2, &LayoutRequest{})
	if got := s.doors.sent[len(s.doors.sent)-1].Stamp; got.Count != before.Count+1 {
		t.Fatalf("told %+v after the sync, want count %d", got, before.Count+1)
	}
}

func TestEachStartExtendsTheLineage(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	s.commits(6, 9)
	first, kept := s.node.stamps.lines, s.node.stamps.kept
	s.restart()
	second := s.node.stamps.lines
	if len(first) != 1 || len(second) != 2 || second[0] != first[0] || second[1].Began != kept || s.node.stamps.kept != kept+1 {
		t.Fatalf("%+v and then %+v, kept %d after %d", first, second, s.node.stamps.kept, kept)
	}
}

// Rule "a disk proves that it was not rolled back", at a peer.
func TestAPeerRefusesARolledBackDisk(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	accept := func(h Hello) {
		t.Helper()
		if err := s.node.OnHello(h); err != nil {
			t.Fatal(err)
		}
		s.settle()
	}
	accept(hello(20, Line{ID: 8, Began: 3}))
	ask := func(line LineID, count uint64) bool {
		s.forget()
		s.node.OnMessage(&Envelope{From: 2, FromStore: "disk-2", ToStore: "disk-1", Stamp: Stamp{line, count}, Body: &LayoutRequest{}})
		s.settle()
		return len(sent[*LayoutCopy](s)) > 0
	}
	if !ask(8, 31) || ask(9, 31) {
		t.Fatal("frames count without the hello of their line, or not with it")
	}
	accept(hello(32, Line{ID: 8, Began: 3}, Line{ID: 9, Began: 31}))
	if ask(8, 31) || !ask(9, 32) {
		t.Fatal("frames of a line count after that of the next one was accepted")
	}
	// A hello of the process before comes late, and raises no alarm.
	mustContain(t, s.node.OnHello(hello(20, Line{ID: 8, Began: 3})), "a later process")
	// Restored to count 20, and started.
	back := hello(21, Line{ID: 8, Began: 3}, Line{ID: 10, Began: 20})
	err := s.node.OnHello(back)
	mustContain(t, err, "count 32", "restored")
	if refusal := s.node.Refuse(back, err); refusal.Known != (Stamp{9, 32}) || refusal.Store != "disk-1" {
		t.Fatalf("%+v", refusal)
	}
	s.settle()
	if ask(10, 22) || s.saw(EventStampRefused) != 1 || s.saw(EventAlarm) != 1 {
		t.Fatalf("a frame counts, or the operator was not told: %d, %d", s.saw(EventStampRefused), s.saw(EventAlarm))
	}
	// Running on does not hide it, and this node's crash does not forget it.
	s.restart()
	mustContain(t, s.node.OnHello(hello(900, Line{ID: 8, Began: 3}, Line{ID: 10, Began: 20}, Line{ID: 11, Began: 700})), "count 32")
	mustContain(t, s.node.OnHello(Hello{Store: "disk-2", Node: "n2", MaxVersion: 1}), "protocol 1")
}

// What peers tell is durable after settle-time.
func TestStampsOfPeersAreKept(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	if err := s.node.OnHello(hello(20, Line{ID: 8, Began: 3})); err != nil {
		t.Fatal(err)
	}
	s.pass(11 * time.Second)
	s.restart()
	if p := s.node.stamps.peers["disk-2"]; p == nil || p.told != (Stamp{8, 20}) || p.line != 0 {
		t.Fatalf("kept %+v", p)
	}
}

// Rule "a disk proves that it was not rolled back", at the node that a peer accuses: it
// waits, and continues when the peer takes it back.
func TestAnAccusedNodeWaits(t *testing.T) {
	s := leader(t, Config{}, nil)
	refusal := HelloRefusal{Reason: "rolled back", Store: "disk-3", Known: Stamp{99, 50}, To: "disk-1"}
	for _, harmless := range []struct {
		by MemberNumber
		r  HelloRefusal
	}{
		{3, HelloRefusal{Store: "disk-3", To: "disk-1", Known: s.node.stamp()}}, // what it really told
		{3, HelloRefusal{Store: "disk-3", To: "disk-1"}},                        // it knows nothing
		{3, HelloRefusal{Store: "disk-2", To: "disk-1", Known: refusal.Known}},  // another store answers there
		{9, HelloRefusal{Store: "disk-9", To: "disk-1", Known: refusal.Known}},  // no member
		{3, HelloRefusal{Store: "disk-3", To: "disk-7", Known: refusal.Known}},  // a process that ran here with another disk
	} {
		s.node.OnRefused(harmless.by, harmless.r)
	}
	if s.node.stamps.accused() {
		t.Fatal("the node waits because of a harmless refusal")
	}
	put := s.put("k", "v")
	s.node.OnRefused(3, refusal)
	s.settle()
	put.want(t, door.Unknown)
	refused := s.put("k", "v")
	refused.want(t, door.Refused)
	if ready, why := s.node.Ready(); ready || !strings.Contains(why, "member 3") || s.replica().reign != nil {
		t.Fatalf("ready %v: %q; it leads: %v", ready, why, s.replica().reign != nil)
	}
	s.forget()
	s.prepare(led(2, 6))
	s.pass(3 * suspect)
	none[*Promise](s)
	none[*PreVote](s)
	s.restart()
	s.prepare(led(2, 6))
	s.pass(3 * suspect)
	none[*Promise](s)
	none[*PreVote](s)
	if !s.node.stamps.accused() || len(sent[*LayoutRequest](s)) == 0 {
		t.Fatal("after a restart the node waits no longer, or does not ask the member that accuses it")
	}
	s.from(3, &LayoutCopy{Data: encoded(t, layoutOf(t, 0, led(1, 5)))})
	s.pass(suspect)
	if s.node.stamps.accused() || len(sent[*PreVote](s)) == 0 {
		t.Fatal("the node does not continue")
	}
	if s.restart(); s.node.stamps.accused() {
		t.Fatal("after a restart the node waits again")
	}
}

// rolledBack is a refusal by which member 3 accuses the node under test.
var rolledBack = HelloRefusal{Reason: "rolled back", Store: "disk-3", Known: Stamp{99, 50}, To: "disk-1"}

// The removal of a member does not take its word back: it may have been the only one left
// that knew.
func TestARemovedAccuserTakesNothingBack(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.node.OnRefused(3, rolledBack)
	s.settle()
	l := layoutOf(t, 9, led(1, 5))
	m, _ := l.Member(3)
	m.State = layout.Gone
	l = l.Apply(nil, layout.MemberChange{Kind: layout.Update, Member: m}).Layout
	s.from(2, &LayoutCopy{encoded(t, l)})
	s.pass(20 * time.Second)
	if s.node.layoutVersion() != 10 || !s.node.stamps.accused() {
		t.Fatalf("layout %d; waits: %v", s.node.layoutVersion(), s.node.stamps.accused())
	}
}

// What is known of a roll-back is synced, though nothing else is: at the node that is accused,
// and at the one that refuses.
func TestProofsOfARollBackAreSynced(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.slowDisk = true
	s.node.OnRefused(3, rolledBack)
	if s.endTurn(); len(s.dones) != 1 {
		t.Errorf("%d syncs for the accusation, want 1", len(s.dones))
	}
	s = followerOf2(t, 1, 1, 4)
	if err := s.node.OnHello(hello(20, Line{ID: 8, Began: 3})); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.slowDisk = true
	mustContain(t, s.node.OnHello(hello(12, Line{ID: 8, Began: 3}, Line{ID: 10, Began: 10})), "count 20")
	if s.endTurn(); len(s.dones) != 1 {
		t.Errorf("%d syncs for the stamp that proves it, want 1", len(s.dones))
	}
}

// What was on its way to the disk when the node was accused is not acknowledged.
func TestNothingIsAcknowledgedOnceAccused(t *testing.T) {
	for name, ask := range map[string]func(s *setup){
		"a promise": func(s *setup) { s.deliver(2, &Prepare{0, led(2, 6)}) },
		"entries": func(s *setup) {
			s.deliver(2, &Append{Assignment: led(2, 5), Counter: Counter{1, 9}, PrevIndex: 2, PrevEpoch: 1, Entries: entries(2, 5)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := followerOf2(t, 1, 1)
			s.slowDisk = true
			s.forget()
			ask(s)
			s.endTurn()
			s.node.OnRefused(3, rolledBack)
			s.slowDisk = false
			s.settle()
			none[*Promise](s)
			none[*Appended](s)
		})
	}
}

// A start that could not ask ZooKeeper greets every member, so that each can compare.
func TestAStartWithoutZooKeeperGreetsAll(t *testing.T) {
	s := followerOf2(t, 1, 1)
	s.restart()
	s.node.stamps.greets, s.node.stamps.proved = false, false
	s.forget()
	s.pass(3 * suspect)
	greeted := map[MemberNumber]bool{}
	for _, l := range sent[*RollCall](s) {
		greeted[l.to] = true
	}
	if len(greeted) != 5 {
		t.Errorf("greeted %v, want 2 to 6", greeted)
	}
}

// The record of ZooKeeper decides at the start, whatever was durable before.
func TestARestoredDiskEndsByTheRecord(t *testing.T) {
	for name, ends := range map[string]func(s *setup, old map[string][]byte){
		"at once": func(s *setup, old map[string][]byte) { s.restore(old) },
		"after starts without ZooKeeper": func(s *setup, old map[string][]byte) {
			zk := s.zk
			s.zk = nil
			s.restore(old)
			s.commits(20, 60) // past the old count
			s.restart()
			s.zk = zk
			s.restart()
		},
		// A start that compared what it had raised, and not what it found, would miss this.
		"after a start that crashed before it compared": func(s *setup, old map[string][]byte) {
			s.slowZookeeper = true
			s.restore(old)
			s.slowZookeeper = false
			s.zk.waiting = nil
			s.restart()
		},
		// The same is seen by the second of two twins, of which the first was stopped.
		"from before its last start": func(s *setup, old map[string][]byte) {
			s.restart()
			s.restore(old)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stampless(t)
			if !s.node.registered() || s.node.stamps.told.Count == 0 || !s.node.stamps.proved {
				t.Fatalf("registered %v, %+v", s.node.registered(), s.node.stamps)
			}
			old := clone(s.rows)
			s.commits(6, 12)
			s.pass(11 * time.Second)
			if got := s.zk.recordOf(t, recordOf1); got != s.node.stamp() {
				t.Fatalf("the record shows %+v, want %+v", got, s.node.stamp())
			}
			ends(s, old)
			mustContain(t, s.failed, "disk-1", "restored", "dkv member replace")
			// Its word is final, also when it is away.
			s.zk, s.failed = nil, nil
			s.restart()
			mustContain(t, s.failed, "must not be used")
		})
	}
}

// An honest disk is never ended: not by crashes, nor by answers that are lost.
func TestAnHonestDiskIsNeverContradicted(t *testing.T) {
	s := stampless(t)
	lost := 0
	s.zk.fault = func(what string) (bool, error) {
		if strings.Contains(what, recordOf1) && strings.HasPrefix(what, "multi") {
			lost++
			return lost%2 == 0, door.ErrUnknownOutcome
		}
		return false, nil
	}
	for round := range 5 {
		s.restart()
		s.commits(Epoch(10*round+6), Epoch(10*round+9))
		s.pass(3 * suspect)
	}
	s.zk.fault = nil
	s.restart()
	s.pass(11 * time.Second)
	if s.failed != nil || lost < 5 || s.zk.recordOf(t, recordOf1) != s.node.stamp() {
		t.Fatalf("failed: %v; %d answers were lost", s.failed, lost)
	}
}

// A copy that runs writes its line into the record; the original ends when it looks.
func TestTheOriginalOfARunningCopyStops(t *testing.T) {
	s := stampless(t)
	s.zk.put(recordOf1, encodeRecord(storeRecord{Line: 4711, Count: 900}), 7)
	s.pass(11 * time.Second)
	mustContain(t, s.failed, "must not be used")
}

// A record that was lost with ZooKeeper is a loss of ZooKeeper, and ends no node.
func TestARecordThatWentBackIsWrittenAnew(t *testing.T) {
	for name, lose := range map[string]func(z *zookeeper, old znode){
		"restored from a backup": func(z *zookeeper, old znode) { z.znodes[recordOf1] = old },
		"wiped":                  func(z *zookeeper, _ znode) { delete(z.znodes, recordOf1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := stampless(t)
			old := s.zk.znodes[recordOf1]
			s.commits(6, 12)
			s.pass(11 * time.Second)
			lose(s.zk, old)
			s.pass(11 * time.Second)
			s.restart()
			if s.failed != nil || s.saw(EventAlarm) > 0 || s.zk.recordOf(t, recordOf1) != s.node.stamp() {
				t.Fatalf("failed: %v, %d alarms", s.failed, s.saw(EventAlarm))
			}
			lose(s.zk, old)
			s.restart()
			if s.failed != nil || s.saw(EventAlarm) == 0 || s.node.stamps.proved {
				t.Fatalf("failed: %v, %d alarms, proved: %v", s.failed, s.saw(EventAlarm), s.node.stamps.proved)
			}
		})
	}
}

// A reading of the record may be stale; ZooKeeper has lost nothing then.
func TestAStaleReadingOfTheRecordIsNoLoss(t *testing.T) {
	s := stampless(t)
	old := s.zk.znodes[recordOf1]
	s.commits(6, 12)
	s.pass(11 * time.Second)
	s.pass(11 * time.Second)
	now, stale := s.zk.znodes[recordOf1], true
	s.zk.znodes[recordOf1] = old
	s.zk.fault = func(what string) (bool, error) {
		if stale && strings.HasPrefix(what, "multi") && strings.Contains(what, recordOf1) {
			s.zk.znodes[recordOf1], stale = now, false // the server catches up
		}
		return false, nil
	}
	s.restart()
	if stale || s.failed != nil || s.saw(EventAlarm) > 0 || !s.node.stamps.proved {
		t.Fatalf("stale: %v, failed: %v, %d alarms, proved: %v", stale, s.failed, s.saw(EventAlarm), s.node.stamps.proved)
	}
}

// A copy beside the original finds the original registered, and changes nothing.
func TestACopyBesideTheOriginalEnds(t *testing.T) {
	s := stampless(t)
	owner := s.zk.znodes[liveN1]
	live := liveRecord{}
	if err := decodeRecord(owner.data, &live); err != nil {
		t.Fatal(err)
	}
	live.Peer = "127.0.0.1:99"
	s.zk.znodes[liveN1] = znode{data: encodeRecord(live), owner: 55}
	before := s.zk.znodes[recordOf1]
	s.restart()
	if len(s.doors.sent) == 0 || s.zk.znodes[recordOf1].version != before.version {
		t.Fatal("the process at the address of the registration was not asked, or the record was changed")
	}
	if _, ok := s.node.Hello("disk-2"); ok {
		t.Fatal("a peer is greeted before the question is answered")
	}
	if _, ok := s.node.Hello("disk-1"); !ok {
		t.Fatal("the original can't be greeted")
	}
	t.Run("the original answers", func(t *testing.T) {
		s.node.OnRefused(0, HelloRefusal{Reason: "it runs here", Store: "disk-1"})
		mustContain(t, s.failed, "another process", "nothing was changed")
	})
	t.Run("it is this process, at its former address", func(t *testing.T) {
		s.failed = nil
		s.restart()
		h, _ := s.node.Hello("disk-1")
		if err := s.node.OnHello(h); err != nil {
			t.Fatalf("the process refuses itself: %v", err)
		}
	})
	t.Run("the original refuses", func(t *testing.T) {
		s.restart()
		h, _ := s.node.Hello("disk-1")
		h.Lineage = append(slices.Clone(h.Lineage), Line{ID: 4})
		mustContain(t, s.node.OnHello(h), "copy")
	})
	t.Run("no process answers", func(t *testing.T) {
		s.failed = nil
		s.restart()
		s.node.OnPeerLost(0)
		s.settle()
		if s.failed != nil || !s.node.registered() {
			t.Fatalf("failed: %v, registered: %v", s.failed, s.node.registered())
		}
	})
}

// While ZooKeeper is away a start waits for it, but not for long.
func TestAStartGivesZooKeeperItsTime(t *testing.T) {
	s := stampless(t)
	s.slowZookeeper = true
	s.restart()
	if _, ok := s.node.Hello("disk-2"); ok || s.node.OnHello(hello(1, Line{ID: 1})) == nil {
		t.Fatal("peers are greeted before ZooKeeper had its time")
	}
	s.pass(3 * suspect)
	if _, ok := s.node.Hello("disk-2"); !ok || s.node.OnHello(hello(1, Line{ID: 1})) != nil {
		t.Fatal("peers are not greeted though ZooKeeper is away")
	}
}

// A partition whose only replica is here needs no other consent, so ZooKeeper has to have
// agreed.
func TestAPartitionOfOneWaitsForZooKeeper(t *testing.T) {
	alone := Assignment{Epoch: 5, Primary: 1, Replicas: []MemberNumber{1}}
	s := newSetup(t, disk{asg: alone, promised: 4, zk: newZookeeper()})
	if r := s.replica(); r.reign == nil || !r.reign.active {
		t.Fatal("it is not led though ZooKeeper agreed")
	}
	s.slowZookeeper = true
	s.zk.waiting = nil
	s.rows[string(promisedKey(0))] = encodePromise(4, 2)
	s.restart()
	s.pass(3 * suspect)
	if s.replica().reign != nil {
		t.Fatal("it is led while ZooKeeper is away")
	}
	s.slowZookeeper = false
	s.settle()
	s.pass(2 * suspect)
	if r := s.replica(); r.reign == nil || !r.reign.active {
		t.Fatal("it is not led when ZooKeeper is back")
	}
}

// What a store told while ZooKeeper was away reaches its record by its peers.
func TestPeersRaiseTheRecord(t *testing.T) {
	const recordOf2 = "/dkv/default/stores/disk-2"
	s := stampless(t)
	s.zk.put(recordOf2, encodeRecord(storeRecord{Line: 8, Count: 5}), 3)
	if err := s.node.OnHello(hello(20, Line{ID: 8, Began: 3})); err != nil {
		t.Fatal(err)
	}
	_ = s.node.OnHello(hello(6, Line{ID: 8, Began: 3}, Line{ID: 9, Began: 5}))
	s.settle()
	if got := s.zk.recordOf(t, recordOf2); got != (Stamp{8, 20}) || s.saw(EventRecordRaised) != 1 {
		t.Fatalf("the record shows %+v, %d raised", got, s.saw(EventRecordRaised))
	}
	// It is never lowered, and a new session looks again.
	s.zk.put(recordOf2, encodeRecord(storeRecord{Line: 9, Count: 30}), 4)
	s.restart()
	if got := s.zk.recordOf(t, recordOf2); got != (Stamp{9, 30}) {
		t.Fatalf("the record shows %+v", got)
	}
	s.zk.put(recordOf2, encodeRecord(storeRecord{Line: 8, Count: 4}), 5)
	s.restart()
	if got := s.zk.recordOf(t, recordOf2); got != (Stamp{8, 20}) {
		t.Fatalf("the record shows %+v after a new session", got)
	}
}

// A store that was started too often without ZooKeeper waits for it, and then drops its
// old lines.
func TestAFullLineageWaitsForTheRecord(t *testing.T) {
	s := stampless(t)
	l := slices.Clone(s.node.stamps.lines)
	for len(l) < maxLines {
		l = append(l, Line{ID: LineID(100000 + len(l)), Began: s.node.stamps.kept})
	}
	s.rows[string(keyLines)] = encodeLineage(0, l)
	s.slowZookeeper = true
	s.zk.waiting = nil
	s.restart()
	s.pass(3 * suspect)
	if _, ok := s.node.Hello("disk-2"); ok || s.node.begun {
		t.Fatal("a node without a line of its own is seen")
	}
	s.slowZookeeper = false
	s.settle()
	s.pass(suspect)
	if !s.node.registered() || len(s.node.stamps.lines) != keptLines || s.failed != nil {
		t.Fatalf("registered %v, %d lines, failed: %v", s.node.registered(), len(s.node.stamps.lines), s.failed)
	}
}

// An orderly stop tells the record how far the store has come.
func TestAnOrderlyStopTellsTheRecord(t *testing.T) {
	s := stampless(t)
	s.commits(6, 9)
	stopped := false
	s.node.Stop(func() { stopped = true })
	s.settle()
	s.pass(5 * time.Second)
	if got := s.zk.recordOf(t, recordOf1); got != s.node.stamp() {
		t.Fatalf("the record shows %+v, want %+v; stopped: %v", got, s.node.stamp(), stopped)
	}
}
