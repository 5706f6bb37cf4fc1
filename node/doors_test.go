package node

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
)

// doors are all of a node's doors at once: a clock that stands until a test
// moves it, a disk that syncs when it is told to, a network that keeps what is
// sent, a coordinator that never answers unless there is a zookeeper, and an
// observer that keeps the events.
type doors struct {
	node   *Node
	now    time.Duration
	timers []*timer
	rows   map[string][]byte
	rotten func(key string) bool // whether a Get of the key fails
	dones  []func(error)
	made   int // commits
	views  int // open
	sent   []*Envelope
	events []Event
	chance uint64
	failed error
	zk     *zookeeper
}

// timer is a callback that the clock owes.
type timer struct {
	at time.Duration
	fn func()
}

// newDoors starts a node over a store with these rows and does not sync yet.
func newDoors(t *testing.T, rows map[string][]byte) *doors {
	t.Helper()
	d := &doors{rows: maps.Clone(rows)}
	d.start(t, Config{})
	return d
}

// start begins the node, over what the rows hold, and does not sync yet.
func (d *doors) start(t *testing.T, c Config) {
	t.Helper()
	if d.rows == nil {
		d.rows = make(map[string][]byte)
	}
	c.ID, c.PeerAddress, c.HTTPAddress = "n1", "127.0.0.1:1", "127.0.0.1:2"
	n, err := New(c, Env{
		Clock: d, Network: d, Store: d, Coordinator: d, Observer: d, Random: d,
		Fail: func(err error) { d.failed = err },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.node = n
	n.Start()
	n.EndTurn()
	if d.zk == nil { // without ZooKeeper a start greets its peers after a time, which no test here waits for
		n.stamps.greets, n.stamps.proved = true, true
	}
}

// frame is a message of a process that the node has accepted.
func (d *doors) frame(from MemberNumber, m Message) *Envelope {
	store := StoreID(fmt.Sprintf("disk-%d", from))
	if err := d.node.judgeStamp(&Hello{Store: store, Lineage: Lineage{{ID: LineID(from) + 1}}}); err != nil {
		panic(err)
	}
	return &Envelope{From: from, FromStore: store, ToStore: "disk-1", Stamp: Stamp{Line: LineID(from) + 1}, Body: m}
}

// sync makes all commits durable and lets the node go on.
func (d *doors) sync() {
	for len(d.dones) > 0 {
		done := d.dones[0]
		d.dones = d.dones[1:]
		done(nil)
		d.node.EndTurn()
	}
}

func (d *doors) Now() time.Duration { return d.now }
func (d *doors) Send(_ door.Peer, m *Envelope) {
	sent := *m
	d.sent = append(d.sent, &sent)
}
func (d *doors) Observe(e Event) { d.events = append(d.events, e) }
func (d *doors) Uint64() uint64  { d.chance += 0x9e3779b97f4a7c15; return d.chance }

func (d *doors) After(wait time.Duration, fn func()) (stop func()) {
	t := &timer{d.now + wait, fn}
	d.timers = append(d.timers, t)
	return func() { t.fn = func() {} }
}

func (d *doors) Open(events func(door.SessionEvent)) door.Session {
	if d.zk == nil {
		return silent{}
	}
	return d.zk.open(events)
}

func (d *doors) View() (door.View, error) {
	d.views++
	return &frozenView{doors: doors{rows: maps.Clone(d.rows)}, of: d}, nil
}

// frozenView is a View; it counts how many are open.
type frozenView struct {
	doors
	of *doors
}

func (p *frozenView) Close() { p.of.views-- }

func (d *doors) Get(key []byte) (value []byte, ok bool, err error) {
	if d.rotten != nil && d.rotten(string(key)) {
		return nil, false, fmt.Errorf("the sector of %q can't be read", key)
	}
	value, ok = d.rows[string(key)]
	return bytes.Clone(value), ok, nil
}

func (d *doors) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	for _, key := range slices.Sorted(maps.Keys(d.rows)) {
		if key >= string(from) && key < string(to) && !fn([]byte(key), d.rows[key]) {
			return nil
		}
	}
	return nil
}

func (d *doors) Commit(b *door.Batch, done func(error)) {
	d.made++
	for _, op := range b.Ops {
		switch op.Kind {
		case door.BatchPut:
			d.rows[string(op.Key)] = op.Value
		case door.BatchDelete:
			delete(d.rows, string(op.Key))
		case door.BatchDeleteRange:
			maps.DeleteFunc(d.rows, func(key string, _ []byte) bool {
				return key >= string(op.Key) && key < string(op.To)
			})
		}
	}
	if done != nil {
		d.dones = append(d.dones, done)
	}
}

// silent is a session that never stands.
type silent struct{}

func (silent) ID() int64                                        { return 0 }
func (silent) Get(string, bool, func([]byte, door.Stat, error)) {}
func (silent) Children(string, bool, func([]string, error))     {}
func (silent) Multi([]door.Op, func(error))                     {}
func (silent) Close(done func())                                {}

// mustContain wants an error that says all of the words.
func mustContain(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}
