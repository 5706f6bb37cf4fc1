package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
	"dkv/node/ring"
)

// setup is one node, member 1, with peers that the test plays. After everything that
// is told to the node its disk syncs and its ZooKeeper answers, unless they are held;
// peers answer only when told to.
type setup struct {
	*doors
	t      *testing.T
	config Config
	// slowDisk and slowZookeeper hold what the doors owe.
	slowDisk, slowZookeeper bool
	looked                  int // messages before this one were looked at
}

// disk is what the node finds when it starts: the layout's only partition with
// this assignment, a promise, and entries of these epochs, from index 1 on.
type disk struct {
	asg      Assignment
	promised Epoch
	epochs   []Epoch
	applied  int
	version  int32 // of the layout
	config   Config
	zk       *zookeeper // nil: it never answers
}

var three = []MemberNumber{1, 2, 3}

// led is the assignment of an epoch in which a member leads 1, 2 and 3.
func led(by MemberNumber, e Epoch) Assignment {
	return Assignment{Epoch: e, Primary: by, Replicas: three}
}

// layoutOf is a layout of six members, or of those named, and one partition.
func layoutOf(t *testing.T, version int32, a Assignment, numbers ...MemberNumber) *layout.Layout {
	t.Helper()
	if numbers == nil {
		numbers = []MemberNumber{1, 2, 3, 4, 5, 6}
	}
	var members []string
	for _, i := range numbers {
		members = append(members, fmt.Sprintf(
			`{"number":%d,"node":"n%d","store":"disk-%d","peer":"127.0.0.1:%d","http":"127.0.0.1:%d","zone":"","weight":1,"state":"active"}`, i, i, i, 2*i-1, 2*i))
	}
	list := func(set []MemberNumber) string { return strings.ReplaceAll(fmt.Sprint(set), " ", ",") }
	partition := fmt.Sprintf(`{"e":%d,"p":%d,"r":%s`, a.Epoch, a.Primary, list(a.Replicas))
	if a.Moving() {
		partition += `,"n":` + list(a.Next)
	}
	l, err := layout.Decode([]byte(fmt.Sprintf(
		`{"format":1,"version":%d,"cluster":"c0ffee","replication":3,"nextMember":7,"members":[%s],"partitions":[%s}]}`,
		version, strings.Join(members, ","), partition)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func encoded(t *testing.T, l *layout.Layout) []byte {
	t.Helper()
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (k disk) rows(t *testing.T) map[string][]byte {
	t.Helper()
	rows := map[string][]byte{
		string(keyFormat): encodeNumber(StoreFormat), string(keyStore): []byte("disk-1"), string(keyBoot): encodeNumber(7),
		string(keyCluster): []byte("c0ffee"), string(keyLayout): encoded(t, layoutOf(t, k.version, k.asg)),
		string(promisedKey(0)): encodeNumber(uint64(k.promised)),
	}
	for i, epoch := range k.epochs {
		e := entry(Index(i+1), epoch)
		rows[string(logKey(0, e.Index))] = appendEntry(nil, &e)
	}
	if k.applied > 0 {
		rows[string(stateKey(0))] = stateRecord{appliedIndex: Index(k.applied), appliedEpoch: k.epochs[k.applied-1]}.encode()
		rows[string(kvKey(0, 0, []byte("k")))] = encodeValue(Version(k.applied), []byte(fmt.Sprint(k.applied)))
	}
	return rows
}

// entry puts its own index under "k".
func entry(i Index, e Epoch) Entry {
	return Entry{Index: i, Epoch: e, Kind: EntryPut, Key: []byte("k"), Value: []byte(fmt.Sprint(i))}
}

// entries of these epochs that follow an index.
func entries(after Index, epochs ...Epoch) (all []Entry) {
	for i, e := range epochs {
		all = append(all, entry(after+Index(i)+1, e))
	}
	return all
}

func newSetup(t *testing.T, k disk) *setup {
	t.Helper()
	s := &setup{doors: &doors{rows: k.rows(t), zk: k.zk}, t: t, config: k.config}
	if s.zk != nil {
		s.zk.plant()
		s.zk.put("/dkv/default/layout", s.rows[string(keyLayout)], k.version)
		for m := 2; m <= 6; m++ {
			s.zk.register(NodeID(fmt.Sprintf("n%d", m)), liveRecord{Store: StoreID(fmt.Sprintf("disk-%d", m)), Incarnation: 1}, 900)
		}
	}
	s.start()
	return s
}

// start starts the node on the disk as it is.
func (s *setup) start() {
	s.t.Helper()
	s.config.Partitions, s.config.Expect = 1, 3
	s.doors.start(s.t, s.config)
	if s.zk == nil {
		s.node.rule = ring.Latest // as if the cluster's record had been read
	}
	s.settle()
}

// restart crashes the node and starts it on what its disk holds.
func (s *setup) restart() {
	s.t.Helper()
	s.timers, s.dones, s.sent, s.events, s.looked = nil, nil, nil, nil, 0
	s.start()
}

// settle ends the turn, and lets the doors do what they owe.
func (s *setup) settle() {
	s.t.Helper()
	s.endTurn()
	for {
		switch {
		case !s.slowDisk && len(s.dones) > 0:
			done := s.dones[0]
			s.dones = s.dones[1:]
			done(nil)
		case s.zk != nil && !s.slowZookeeper && s.zk.answer():
		default:
			return
		}
		s.endTurn()
	}
}

// endTurn ends the turn, and wants the state between two turns to be sound.
func (s *setup) endTurn() {
	s.t.Helper()
	s.node.EndTurn()
	if err := s.node.CheckInvariants(); err != nil {
		s.t.Fatal(err)
	}
}

// pass lets time pass.
func (s *setup) pass(d time.Duration) {
	end := s.now + d
	for {
		next := -1
		for i, t := range s.timers {
			if t.at <= end && (next < 0 || t.at < s.timers[next].at) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		t := s.timers[next]
		s.timers = slices.Delete(s.timers, next, next+1)
		s.now = max(s.now, t.at)
		t.fn()
		s.settle()
	}
	s.now = end
}

// deliver gives the node a message without ending the turn.
func (s *setup) deliver(from MemberNumber, m Message) {
	s.node.OnMessage(s.frame(from, m))
}

// from gives the node a message, and lets it do what follows.
func (s *setup) from(member MemberNumber, m Message) {
	s.deliver(member, m)
	s.settle()
}

// client asked the node for something.
type client struct{ answers []door.Response }

func (s *setup) ask(r door.Request) *client {
	c := &client{}
	s.node.OnRequest(r, func(answer door.Response) { c.answers = append(c.answers, answer) })
	s.settle()
	return c
}

func (s *setup) put(key, value string) *client {
	return s.ask(door.Request{Kind: door.RequestPut, Key: []byte(key), Value: []byte(value)})
}

func (s *setup) get(key string) *client {
	return s.ask(door.Request{Kind: door.RequestGet, Key: []byte(key)})
}

// want wants exactly these outcomes.
func (c *client) want(t *testing.T, outcomes ...door.Outcome) {
	t.Helper()
	var got []door.Outcome
	for _, a := range c.answers {
		got = append(got, a.Outcome)
	}
	if !slices.Equal(got, outcomes) {
		t.Fatalf("the client was answered %v (%+v), want %v", got, c.answers, outcomes)
	}
}

// letter is a message that the node sent.
type letter[M Message] struct {
	to   MemberNumber
	body M
}

// sent lists the messages of one type since forget was last called.
func sent[M Message](s *setup) (all []letter[M]) {
	for _, m := range s.doors.sent[s.looked:] {
		if body, ok := m.Body.(M); ok {
			var to MemberNumber
			fmt.Sscanf(string(m.ToStore), "disk-%d", &to)
			all = append(all, letter[M]{to, body})
		}
	}
	return all
}

// forget looks away from what was sent up to now.
func (s *setup) forget() { s.looked = len(s.doors.sent) }

// one wants exactly one message of a type, to this member.
func one[M Message](s *setup, to MemberNumber) M {
	s.t.Helper()
	all := sent[M](s)
	if len(all) != 1 || all[0].to != to {
		s.t.Fatalf("sent %d messages %T: %+v, want one, to member %d", len(all), *new(M), all, to)
	}
	return all[0].body
}

// none wants no message of a type.
func none[M Message](s *setup) {
	s.t.Helper()
	if all := sent[M](s); len(all) > 0 {
		s.t.Fatalf("sent %T to member %d: %+v, want none", all[0].body, all[0].to, all[0].body)
	}
}

// saw counts the events of a kind.
func (s *setup) saw(kind EventKind) (count int) {
	for _, e := range s.events {
		if e.Kind == kind {
			count++
		}
	}
	return count
}

func (s *setup) replica() *replica { return s.node.replicas[0] }

// wantLog wants the log's entries to have these epochs, from index 1 on.
func (s *setup) wantLog(epochs ...Epoch) {
	s.t.Helper()
	var got []Epoch
	for _, e := range s.replica().log.entries {
		got = append(got, e.Epoch)
	}
	if s.replica().log.baseIndex != 0 || !slices.Equal(got, epochs) {
		s.t.Fatalf("the log has epochs %v after %d, want %v after 0", got, s.replica().log.baseIndex, epochs)
	}
}

// wantCommit wants a commit index.
func (s *setup) wantCommit(i Index) {
	s.t.Helper()
	if r := s.replica(); r.commit != i || r.applied != i {
		s.t.Fatalf("commit %d, applied %d, want %d", r.commit, r.applied, i)
	}
}

// ack answers, as a member, all that it got of the reign up to now.
func (s *setup) ack(members ...MemberNumber) {
	for _, m := range members {
		s.ackTo(m, s.replica().log.lastIndex())
	}
}

// ackTo acknowledges up to an index, echoing the newest transmission.
func (s *setup) ackTo(member MemberNumber, match Index) {
	n := s.node
	s.from(member, &Appended{Partition: 0, Epoch: s.replica().reign.epoch, Counter: Counter{n.boot, n.sent}, OK: true, Match: match})
}

// promise promises, as a member, the reign's epoch.
func (s *setup) promise(member MemberNumber, lastEpoch Epoch, lastIndex Index) {
	s.from(member, &Promise{0, s.replica().reign.epoch, lastEpoch, lastIndex})
}

// prepare asks the node, as the primary of a, to promise.
func (s *setup) prepare(a Assignment) { s.from(a.Primary, &Prepare{0, a}) }

// leader sets member 1 up as active in epoch 5 over a log of epochs 1, 1, 4 and its
// no-op, all committed; member 3 has said nothing.
func leader(t *testing.T, c Config, zk *zookeeper) *setup {
	t.Helper()
	s := newSetup(t, disk{asg: led(1, 5), promised: 4, epochs: []Epoch{1, 1, 4}, applied: 2, config: c, zk: zk})
	s.promise(2, 4, 3)
	s.ack(2)
	s.wantLog(1, 1, 4, 5)
	s.wantCommit(4)
	if !s.replica().reign.active {
		t.Fatal("member 1 is not active")
	}
	s.forget()
	return s
}

// followerOf2 sets member 1 up as a follower of 2, which leads epoch 5, with a log of
// these epochs of which the first two are applied.
func followerOf2(t *testing.T, epochs ...Epoch) *setup {
	t.Helper()
	return newSetup(t, disk{asg: led(2, 5), promised: 5, epochs: epochs, applied: 2})
}

// beatReply answers, as a member, all transmissions up to now.
func (s *setup) beatReply(member MemberNumber, item BeatReplyItem) {
	s.from(member, &BeatReply{Counter: Counter{s.node.boot, s.node.sent}, Items: []BeatReplyItem{item}})
}

const suspect = 500 * time.Millisecond // the default of SuspectAfter
