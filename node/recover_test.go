package node

import (
	"fmt"
	"maps"
	"reflect"
	"testing"

	"dkv/node/layout"
)

// storeOfMember is what member 1 of three finds on its disk after a crash: one
// partition in which 2 leads, promised 4, entries 1 to 5 of epochs 1 1 2 4 4,
// the first two applied.
func storeOfMember(t *testing.T) map[string][]byte {
	t.Helper()
	members := []layout.Member{
		{Node: "n1", Store: "disk-1", Peer: "127.0.0.1:1", HTTP: "127.0.0.1:2", Weight: 1},
		{Node: "n2", Store: "disk-2", Peer: "127.0.0.1:3", HTTP: "127.0.0.1:4", Weight: 1},
		{Node: "n3", Store: "disk-3", Peer: "127.0.0.1:5", HTTP: "127.0.0.1:6", Weight: 1},
	}
	l, err := layout.Form("c0ffee", 3, members, []layout.Placement{{Primary: 2, Replicas: []MemberNumber{1, 2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]byte{
		string(keyFormat): encodeNumber(StoreFormat), string(keyStore): []byte("disk-1"), string(keyBoot): encodeNumber(7),
		string(keyCluster): []byte("c0ffee"), string(keyLayout): data,
		string(promisedKey(0)):           encodeNumber(4),
		string(stateKey(0)):              stateRecord{generation: 3, appliedIndex: 2, appliedEpoch: 1}.encode(),
		string(kvKey(0, 3, []byte("k"))): encodeValue(2, []byte("v")),
	}
	for i, epoch := range []Epoch{1, 1, 2, 4, 4} {
		e := Entry{Index: Index(i + 1), Epoch: epoch, Kind: EntryPut, Key: []byte("k"), Value: []byte(fmt.Sprint(i))}
		rows[string(logKey(0, e.Index))] = appendEntry(nil, &e)
	}
	return rows
}

// TestANewStoreGetsItsIdentityBeforeItIsSeen checks rule "one disk one member".
func TestANewStoreGetsItsIdentityBeforeItIsSeen(t *testing.T) {
	d := newDoors(t, nil)
	if _, ok := d.node.Hello(""); ok {
		t.Error("the node introduces itself before its identity is durable")
	}
	d.sync()
	h, ok := d.node.Hello("")
	if !ok || len(h.Store) != 36 || h.Boot != 1 || h.Member != 0 || h.LayoutVersion != -1 {
		t.Errorf("hello is %+v, %v", h, ok)
	}
	again := newDoors(t, d.rows)
	again.sync()
	if next, _ := again.node.Hello(""); next.Store != h.Store || next.Boot != 2 {
		t.Errorf("after a restart store %s, boot %d, want %s and 2", next.Store, next.Boot, h.Store)
	}
}

func TestRecoveryFindsWhatWasDurable(t *testing.T) {
	d := newDoors(t, storeOfMember(t))
	d.sync()
	if d.failed != nil {
		t.Fatal(d.failed)
	}
	h, _ := d.node.Hello("")
	want := Hello{Cluster: "c0ffee", Node: "n1", Member: 1, Store: "disk-1", Boot: 8, LayoutVersion: 0, Count: 1, Lineage: h.Lineage}
	if !reflect.DeepEqual(h, want) || len(h.Lineage) != 1 {
		t.Errorf("hello is %+v, want %+v", h, want)
	}
	r := d.node.replicas[0]
	e, i := r.last()
	if e != 4 || i != 5 || r.promised != 4 || r.applied != 2 || r.commit != 2 || r.appliedEpoch != 1 || r.generation != 3 {
		t.Errorf("last %d of %d, promised %d, applied %d of %d, commit %d, generation %d", i, e, r.promised, r.applied, r.appliedEpoch, r.commit, r.generation)
	}
	if version, value := d.node.readKV(kvKey(0, 3, []byte("k"))); version != 2 || string(value) != "v" {
		t.Errorf("k is %q of version %d", value, version)
	}
}

// TestPromisedIsAtLeastTheLogs checks rule "the log is a promise".
func TestPromisedIsAtLeastTheLogs(t *testing.T) {
	rows := storeOfMember(t)
	rows[string(promisedKey(0))] = encodeNumber(3)
	d := newDoors(t, rows)
	d.sync()
	if r := d.node.replicas[0]; r.promised != 4 {
		t.Errorf("promised %d after recovery, the log ends in epoch 4", r.promised)
	}
}

// TestUnfinishedTransfersAreCleared checks rule "switch in one batch".
func TestUnfinishedTransfersAreCleared(t *testing.T) {
	rows := storeOfMember(t)
	left := []string{string(kvKey(0, 2, []byte("old"))), string(kvKey(0, 4, []byte("new")))}
	for _, key := range left {
		rows[key] = encodeValue(1, nil)
	}
	d := newDoors(t, rows)
	d.sync()
	for _, key := range left {
		if _, ok := d.rows[key]; ok {
			t.Errorf("%q is left of another generation", key)
		}
	}
	if _, ok := d.rows[string(kvKey(0, 3, []byte("k")))]; !ok {
		t.Error("the state's own generation is gone")
	}
}

// TestDamageStopsTheNode checks rule "stop on damage": the error names the key that is
// damaged, and nothing is served.
func TestDamageStopsTheNode(t *testing.T) {
	entry := func(i Index) string { return string(logKey(0, i)) }
	for _, c := range []struct {
		name   string
		damage func(rows map[string][]byte)
		says   []string
	}{
		{"a gap", func(rows map[string][]byte) { delete(rows, entry(4)) },
			[]string{fmt.Sprintf("%q", entry(5)), "entry 5 where 4 belongs"}},
		{"a log without its beginning", func(rows map[string][]byte) { delete(rows, entry(1)) },
			[]string{fmt.Sprintf("%q", entry(2)), "entry 2 where 1 belongs"}},
		{"a flipped bit", func(rows map[string][]byte) { rows[entry(3)][9] ^= 1 },
			[]string{fmt.Sprintf("%q", entry(3)), errHash.Error()}},
		{"a torn entry", func(rows map[string][]byte) { rows[entry(5)] = rows[entry(5)][:5] },
			[]string{fmt.Sprintf("%q", entry(5)), errShort.Error()}},
		{"an entry in another's place", func(rows map[string][]byte) { rows[entry(4)] = rows[entry(3)] },
			[]string{fmt.Sprintf("%q", entry(4)), "it holds entry 3"}},
		{"applied beyond the log", func(rows map[string][]byte) {
			rows[string(stateKey(0))] = stateRecord{appliedIndex: 6, appliedEpoch: 4}.encode()
		}, []string{fmt.Sprintf("%q", stateKey(0)), "6 is applied, but the log ends at 5"}},
		{"a state of another length", func(rows map[string][]byte) { rows[string(stateKey(0))] = []byte("short") },
			[]string{fmt.Sprintf("%q", stateKey(0)), "5 bytes where a state has 40"}},
		{"a promise of another length", func(rows map[string][]byte) { rows[string(promisedKey(0))] = nil },
			[]string{fmt.Sprintf("%q", promisedKey(0)), "0 bytes where a promise has 16"}},
		{"a promise to a number that no member has", func(rows map[string][]byte) {
			rows[string(promisedKey(0))] = encodePromise(4, layout.MaxMemberNumber+1)
		}, []string{fmt.Sprintf("%q", promisedKey(0)), "a promise to member 10000000"}},
		{"a boot counter of another length", func(rows map[string][]byte) { rows[string(keyBoot)] = []byte("1") },
			[]string{fmt.Sprintf("%q", keyBoot), "1 bytes where a number has 8"}},
		{"a layout that can't be decoded", func(rows map[string][]byte) { rows[string(keyLayout)] = []byte("{}") },
			[]string{fmt.Sprintf("%q", keyLayout), "decoding layout"}},
		{"no format", func(rows map[string][]byte) { delete(rows, string(keyFormat)) },
			[]string{fmt.Sprintf("%q", keyFormat), "0 bytes where a number has 8"}},
		{"format 0", func(rows map[string][]byte) { rows[string(keyFormat)] = encodeNumber(0) },
			[]string{fmt.Sprintf("%q", keyFormat), "format 0 was never written"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := maps.Clone(storeOfMember(t))
			c.damage(rows)
			d := newDoors(t, rows)
			d.sync()
			mustContain(t, d.failed, c.says...)
			if _, ok := d.node.Hello(""); ok {
				t.Error("the node does not stop")
			}
		})
	}
}
