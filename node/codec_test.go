package node

import (
	"bytes"
	"dkv/node/door"
	"dkv/node/layout"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// sampleMessages is one message of each kind, with no field at its zero value.
func sampleMessages() []Message {
	a := Assignment{Epoch: 9, Primary: 3, Replicas: []MemberNumber{3, 1, 2}, Next: []MemberNumber{3, 4, 5}}
	c := Counter{Boot: 4, Sent: 77}
	name := SnapshotName{Source: "disk-3", Boot: 4, Index: 41, Epoch: 8, Generation: 6}
	id := ForwardID{Store: "disk-2", Boot: 5, Number: 1000}
	entries := []Entry{
		{Index: 42, Epoch: 9, Kind: EntryNoop},
		{Index: 43, Epoch: 9, Kind: EntryPut, Key: []byte("k"), Value: []byte("value"), If: door.Condition{Absent: true}},
		{Index: 44, Epoch: 9, Kind: EntryDelete, Key: []byte("k"), If: door.Condition{Match: 43, Present: true}},
	}
	request := door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v"), If: door.Condition{Match: 7}, Timeout: time.Second}
	response := door.Response{Outcome: door.Refused, Reason: "not primary", Busy: true, Found: true, Failed: true, Version: 7, Value: []byte("v"), Index: 8}
	return []Message{
		&Forward{Partition: 5, Epoch: 9, ID: id, To: 3, Origin: 2, Hops: 1, Timeout: time.Second, Request: request},
		&ForwardReply{Partition: 5, ID: id, Origin: 2, Response: response, Known: a},
		&Prepare{Partition: 5, Assignment: a},
		&Promise{Partition: 5, Epoch: 9, LastEpoch: 8, LastIndex: 41},
		&Reject{Partition: 5, Epoch: 8, Promised: 9, Known: a},
		&CopyRequest{Partition: 5, Assignment: a, PrevIndex: 40, PrevEpoch: 7, LastIndex: 41, LastEpoch: 8},
		&CopyReply{Partition: 5, Epoch: 9, Result: CopyMismatch, PrevIndex: 41, PrevEpoch: 8, LastIndex: 44, LastEpoch: 10, Entries: entries},
		&Append{Partition: 5, Assignment: a, Counter: c, PrevIndex: 41, PrevEpoch: 8, Commit: 40, Entries: entries},
		&Appended{Partition: 5, Epoch: 9, Counter: c, OK: true, Match: 44, HintIndex: 40, HintEpoch: 7},
		&Beat{Kind: BeatConfirm, Counter: c, LayoutVersion: 12, Items: []BeatItem{{5, 9, 41}, {6, 2, 1}}},
		&BeatReply{Counter: c, LayoutVersion: -1, Items: []BeatReplyItem{{5, 9, 10, 41}, {6, 2, 0, 1}}},
		&PreVote{LayoutVersion: 12, Round: 3, Items: []PreVoteItem{{5, a}, {6, Assignment{Epoch: 1, Primary: 1, Replicas: []MemberNumber{1}}}}},
		&PreVoteReply{LayoutVersion: 12, Round: 3, Items: []PreVoteReplyItem{{5, 9, true, 8, 41, a}}},
		&SnapshotOffer{Partition: 5, Assignment: a, Counter: c, Name: name},
		&SnapshotPull{Partition: 5, Epoch: 9, Name: name, Started: true, After: []byte("kv/a")},
		&SnapshotChunk{Partition: 5, Epoch: 9, Name: name, Started: true, After: []byte("kv/a"), Last: true, Gone: true,
			Items: []SnapshotItem{{[]byte("kv/b"), 12, []byte("b")}, {[]byte("kv/c"), 13, nil}}},
		&LayoutRequest{},
		&LayoutCopy{Data: []byte(`{"version":12}`)},
		&RollCall{Members: []MemberNumber{4, 5}},
		&RollReply{Asked: []MemberNumber{4, 5}, Heard: []HeardMember{{5, 7}}},
	}
}

func sampleEnvelope(m Message) *Envelope {
	return &Envelope{From: 3, FromStore: "disk-3", ToStore: "disk-1", Stamp: Stamp{Line: 77, Count: 12}, Body: m}
}

// seal replaces a body's hash by the right one.
func seal(body []byte) []byte {
	fields := body[:len(body)-frameHashBytes]
	binary.BigEndian.PutUint64(body[len(fields):], xxhash.Sum64(fields))
	return body
}

func TestFrameOfEachKindComesBack(t *testing.T) {
	messages := sampleMessages()
	for i, m := range messages {
		if got := m.kind(); got != messageKind(i+1) {
			t.Fatalf("sample %d is of kind %d: a kind is missing or out of order", i+1, got)
		}
		frame := AppendFrame([]byte("before"), sampleEnvelope(m))
		frame = frame[len("before"):]
		if got := int(binary.BigEndian.Uint32(frame)); got != len(frame)-4 {
			t.Fatalf("%T: length says %d of %d bytes", m, got, len(frame)-4)
		}
		e, err := DecodeFrame(frame[4:])
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(e, sampleEnvelope(m)) {
			t.Fatalf("%T came back as %+v", m, e.Body)
		}
	}
	if n := len(messages); n != int(kindRollReply) {
		t.Fatalf("%d samples of %d kinds", n, kindRollReply)
	}
}

// TestWireFormatStands pins the bytes of each kind: nodes of different builds
// talk to one another, so a change here needs a new ProtocolVersion.
func TestWireFormatStands(t *testing.T) {
	want := []string{
		"c3b0de6bf2e0ae94 *node.Forward",
		"fc20df8fb43c9323 *node.ForwardReply",
		"18d82c3b70fb8f2d *node.Prepare",
		"038db7ec6eeccadd *node.Promise",
		"56781327bda1773c *node.Reject",
		"ae2a18df13b97afa *node.CopyRequest",
		"32539343c6d2bf17 *node.CopyReply",
		"96c71b597784de80 *node.Append",
		"e83bc138c56455d4 *node.Appended",
		"6739468d193dea70 *node.Beat",
		"76ee0987e129e049 *node.BeatReply",
		"a869da22ff248e06 *node.PreVote",
		"1c8f318d0b3e75a8 *node.PreVoteReply",
		"f2e56b161221741a *node.SnapshotOffer",
		"138b60795c1ca8ec *node.SnapshotPull",
		"3ee5c234c8226c3f *node.SnapshotChunk",
		"0fd904f41230ef80 *node.LayoutRequest",
		"a4c8bc846d074164 *node.LayoutCopy",
		"7c7f78666ec2923d *node.RollCall",
		"d6f383bd54a0fa55 *node.RollReply",
		"2c93604bd01aa1bd entry",
		"f48af486a5f746ea hello",
		"15f0fc62d9d1a4ad refusal",
	}
	var got []string
	for _, m := range sampleMessages() {
		got = append(got, fmt.Sprintf("%016x %T", xxhash.Sum64(AppendFrame(nil, sampleEnvelope(m))), m))
	}
	entry := appendEntry(nil, &Entry{Index: 44, Epoch: 9, Kind: EntryPut, Key: []byte("k"), Value: []byte("v"), If: door.Condition{Match: 43}})
	hello := AppendHello(nil, Hello{MinVersion: 2, MaxVersion: 2, Cluster: "c", Node: "n1", Member: 1, Store: "disk-1", To: "disk-2", Boot: 3, LayoutVersion: -1, Count: 7, Lineage: Lineage{{ID: 6, Began: 5}}})
	refusal := AppendRefusal(nil, HelloRefusal{Reason: "another cluster", Store: "disk-2", Known: Stamp{6, 7}, To: "disk-1"})
	got = append(got, fmt.Sprintf("%016x entry", xxhash.Sum64(entry)), fmt.Sprintf("%016x hello", xxhash.Sum64(hello)), fmt.Sprintf("%016x refusal", xxhash.Sum64(refusal)))
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the wire format changed; it is now\n%s", strings.Join(got, "\n"))
	}
}

func TestFramesRoundTrip(t *testing.T) {
	decoder := NewDecoder()
	rapid.Check(t, func(t *rapid.T) {
		e := &Envelope{From: genMember(t), FromStore: genStore(t), ToStore: genStore(t), Body: genMessage(t)}
		frame := AppendFrame(nil, e)
		got, err := decoder.Decode(frame[4:])
		if err != nil {
			t.Fatalf("decoding %+v: %v", e.Body, err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v came back as %+v", e.Body, got.Body)
		}
	})
}

func TestEntriesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEntry(t)
		value := appendEntry([]byte("x"), &e)[1:]
		got, err := decodeEntry(bytes.Clone(value))
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v came back as %+v, %v", e, got, err)
		}
		at := rapid.IntRange(0, len(value)-1).Draw(t, "at")
		value[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if got, err := decodeEntry(value); err == nil {
			t.Fatalf("a damaged entry decoded as %+v", got)
		}
	})
}

func TestDecodeEntryRefusesPartsOfAnEntry(t *testing.T) {
	value := appendEntry(nil, &Entry{Index: 4, Epoch: 2, Kind: EntryPut, Key: []byte("k"), Value: []byte("v")})
	for n := range value {
		part := bytes.Clone(value[:n])
		if _, err := decodeEntry(part); err == nil {
			t.Fatalf("%d of %d bytes decoded", n, len(value))
		}
		if n >= frameHashBytes {
			if _, err := decodeEntry(seal(part)); err == nil {
				t.Fatalf("%d of %d bytes decoded under a hash of their own", n, len(value))
			}
		}
	}
	longer := seal(append(bytes.Clone(value), 0))
	if _, err := decodeEntry(longer); !errors.Is(err, errTrailing) {
		t.Fatalf("a longer entry: %v", err)
	}
}

func TestDamagedFramesAreRefused(t *testing.T) {
	for _, m := range sampleMessages() {
		body := AppendFrame(nil, sampleEnvelope(m))[4:]
		for i := range body {
			damaged := bytes.Clone(body)
			damaged[i] ^= 0x10
			if _, err := DecodeFrame(damaged); !errors.Is(err, errHash) {
				t.Fatalf("%T with byte %d flipped: %v", m, i, err)
			}
		}
		for n := range body {
			if _, err := DecodeFrame(bytes.Clone(body[:n])); err == nil {
				t.Fatalf("%T: %d of %d bytes decoded", m, n, len(body))
			}
			if n < minFrameBytes {
				continue
			}
			if _, err := DecodeFrame(seal(bytes.Clone(body[:n]))); err == nil {
				t.Fatalf("%T: %d of %d bytes decoded under a hash of their own", m, n, len(body))
			}
		}
		if _, err := DecodeFrame(seal(append(bytes.Clone(body), 0))); !errors.Is(err, errTrailing) {
			t.Fatalf("%T with a byte after its end: %v", m, err)
		}
	}
}

func TestFrameErrors(t *testing.T) {
	samples := sampleMessages()
	sealed := func(m Message, change func(body []byte)) []byte {
		body := AppendFrame(nil, sampleEnvelope(m))[4:]
		change(body)
		return seal(body)
	}
	// The fields of the message follow kind, From, two store ids and the stamp.
	const fields = 1 + 4 + (4 + 6) + (4 + 6) + stampBytes
	cases := []struct {
		name string
		body []byte
		want error
	}{
		{"nothing", nil, errShort},
		{"no payload", seal(make([]byte, minFrameBytes)), errShort},
		{"too long", make([]byte, MaxFrameBytes+1), errLong},
		{"kind 0", sealed(&LayoutRequest{}, func(b []byte) { b[0] = 0 }), errKind},
		{"the kind after the last", sealed(&LayoutRequest{}, func(b []byte) { b[0] = byte(kindRollReply) + 1 }), errKind},
		{"a hello", AppendHello(nil, Hello{})[4:], errKind},
		{"beat of no kind", sealed(samples[kindBeat-1], func(b []byte) { b[fields] = 0 }), errValue},
		{"beat of an unknown kind", sealed(samples[kindBeat-1], func(b []byte) { b[fields] = 9 }), errValue},
		{"a bool of 2", sealed(samples[kindAppended-1], func(b []byte) { b[fields+4+8+16] = 2 }), errValue},
		{"eight replicas", sealed(samples[kindPrepare-1], func(b []byte) { b[fields+4+8+4] = 8 }), errValue},
		{"four billion beats", sealed(samples[kindBeat-1], func(b []byte) { binary.BigEndian.PutUint32(b[fields+1+16+4:], 1<<32-1) }), errCount},
		{"a beat more than there are", sealed(samples[kindBeat-1], func(b []byte) { b[fields+1+16+4+3]++ }), errCount},
		{"a store id of four billion bytes", sealed(&LayoutRequest{}, func(b []byte) { binary.BigEndian.PutUint32(b[5:], 1<<32-1) }), errCount},
	}
	for _, c := range cases {
		if _, err := DecodeFrame(c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", c.name, err, c.want)
		}
	}
}

// TestHostileCountsAllocateLittle puts a great count at every place of every
// frame. What is allocated stays within a few times the frame.
func TestHostileCountsAllocateLittle(t *testing.T) {
	for _, m := range sampleMessages() {
		body := AppendFrame(nil, sampleEnvelope(m))[4:]
		var before, after runtime.MemStats
		for at := 1; at+4 <= len(body)-frameHashBytes; at++ {
			hostile := bytes.Clone(body)
			binary.BigEndian.PutUint32(hostile[at:], 1<<31-1)
			seal(hostile)
			runtime.ReadMemStats(&before)
			DecodeFrame(hostile)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<16 {
				t.Fatalf("%T with a count at %d: %d bytes allocated for a frame of %d", m, at, n, len(body))
			}
		}
	}
}

func TestLargestFrame(t *testing.T) {
	overhead := len(AppendFrame(nil, sampleEnvelope(&LayoutCopy{}))) - 4
	frame := AppendFrame(nil, sampleEnvelope(&LayoutCopy{Data: make([]byte, MaxFrameBytes-overhead)}))
	if _, err := DecodeFrame(frame[4:]); err != nil {
		t.Fatalf("a frame of MaxFrameBytes: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Fatal("a frame above MaxFrameBytes was encoded")
		}
	}()
	AppendFrame(nil, sampleEnvelope(&LayoutCopy{Data: make([]byte, MaxFrameBytes-overhead+1)}))
}

func TestDecoderSharesStoreIDs(t *testing.T) {
	d := NewDecoder()
	body := AppendFrame(nil, sampleEnvelope(&LayoutRequest{}))[4:]
	if _, err := d.Decode(body); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() { d.Decode(body) })
	if allocs > 1 { // the envelope; LayoutRequest has no size
		t.Fatalf("%.0f allocations for a frame without fields", allocs)
	}
	for i := range 2 * maxInterned {
		e := &Envelope{FromStore: StoreID(fmt.Sprint("disk-", i)), Body: &LayoutRequest{}}
		if got, err := d.Decode(AppendFrame(nil, e)[4:]); err != nil || got.FromStore != e.FromStore {
			t.Fatalf("store %q came back as %q, %v", e.FromStore, got.FromStore, err)
		}
	}
	if len(d.stores) != maxInterned {
		t.Fatalf("%d store ids kept; the bound is %d", len(d.stores), maxInterned)
	}
}

func TestHello(t *testing.T) {
	h := Hello{MinVersion: 1, MaxVersion: ProtocolVersion + 1, Cluster: "5d1a", Node: "n1", Member: 4, Store: "disk-1", To: "disk-2", Boot: 7, LayoutVersion: -1, Count: 9, Lineage: Lineage{{ID: 3}, {ID: 2, Began: 8}}}
	body := AppendHello(nil, h)[4:]
	if got, err := DecodeHello(body); err != nil || !reflect.DeepEqual(got, h) {
		t.Fatalf("%+v came back as %+v, %v", h, got, err)
	}
	for n := range body {
		if _, err := DecodeHello(bytes.Clone(body[:n])); err == nil {
			t.Fatalf("%d of %d bytes decoded", n, len(body))
		}
	}

	later := seal(append(bytes.Clone(body), 1, 2, 3)) // h speaks a later version
	if got, err := DecodeHello(later); err != nil || !reflect.DeepEqual(got, h) {
		t.Fatalf("a hello with fields of a later version: %+v, %v", got, err)
	}
	h.MaxVersion = ProtocolVersion
	longer := seal(append(AppendHello(nil, h)[4:], 1, 2, 3))
	if _, err := DecodeHello(longer); !errors.Is(err, errTrailing) {
		t.Fatalf("a hello with bytes after its end: %v", err)
	}
	if _, err := DecodeHello(AppendHello(nil, Hello{Node: NodeID(strings.Repeat("n", 65))})[4:]); !errors.Is(err, errValue) {
		t.Fatalf("a hello with a long name: %v", err)
	}
	if _, err := DecodeHello(AppendFrame(nil, sampleEnvelope(&LayoutRequest{}))[4:]); err == nil {
		t.Fatal("a frame between members passed as a hello")
	}
	if _, err := DecodeHello(make([]byte, MaxHelloBytes+1)); !errors.Is(err, errLong) {
		t.Fatalf("a hello above MaxHelloBytes: %v", err)
	}
}

func TestRefusal(t *testing.T) {
	want := HelloRefusal{Reason: "this is cluster 5d1a, not 77b0"}
	body := AppendRefusal(nil, want)[4:]
	if got, err := DecodeRefusal(body); err != nil || got != want {
		t.Fatalf("%+v came back as %+v, %v", want, got, err)
	}
	_, err := DecodeHello(body)
	var refusal HelloRefusal
	if !errors.As(err, &refusal) || refusal != want {
		t.Fatalf("a refusal instead of a hello: %v", err)
	}
	if _, err := DecodeRefusal(AppendHello(nil, Hello{})[4:]); err == nil {
		t.Fatal("a hello passed as a refusal")
	}
	long := AppendRefusal(nil, HelloRefusal{Reason: strings.Repeat("x", MaxFrameBytes)})[4:]
	if got, err := DecodeRefusal(long); err != nil || len(got.Reason) != maxReasonBytes {
		t.Fatalf("a reason without end: %d bytes, %v", len(got.Reason), err)
	}
}

// FuzzDecodeFrame decodes any fields under a right hash. What is accepted is
// the one encoding of its message.
func FuzzDecodeFrame(f *testing.F) {
	for _, m := range sampleMessages() {
		body := AppendFrame(nil, sampleEnvelope(m))[4:]
		f.Add(body[:len(body)-frameHashBytes])
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		DecodeFrame(bytes.Clone(fields)) // as it is: must not panic
		body := seal(append(bytes.Clone(fields), make([]byte, frameHashBytes)...))
		e, err := DecodeFrame(bytes.Clone(body))
		if err != nil {
			return
		}
		if again := AppendFrame(nil, e)[4:]; !bytes.Equal(again, body) {
			t.Fatalf("two encodings of one message:\n%x\n%x", body, again)
		}
	})
}

// FuzzDecodeHello does the same for the frames that open a connection.
func FuzzDecodeHello(f *testing.F) {
	hello := AppendHello(nil, Hello{MinVersion: 2, MaxVersion: 2, Cluster: "c", Node: "n", Member: 1, Store: "s", To: "t", Boot: 2, Count: 3, Lineage: Lineage{{ID: 1}, {ID: 2, Began: 3}}})[4:]
	refusal := AppendRefusal(nil, HelloRefusal{Reason: "no"})[4:]
	f.Add(hello[:len(hello)-frameHashBytes])
	f.Add(refusal[:len(refusal)-frameHashBytes])
	f.Fuzz(func(t *testing.T, fields []byte) {
		body := seal(append(bytes.Clone(fields), make([]byte, frameHashBytes)...))
		h, err := DecodeHello(bytes.Clone(body))
		if err == nil && h.MaxVersion <= ProtocolVersion && !bytes.Equal(AppendHello(nil, h)[4:], body) {
			t.Fatalf("two encodings of %+v", h)
		}
	})
}

// FuzzDecodeEntry does the same for log entries.
func FuzzDecodeEntry(f *testing.F) {
	for _, e := range sampleMessages()[kindAppend-1].(*Append).Entries {
		value := appendEntry(nil, &e)
		f.Add(value[:len(value)-frameHashBytes])
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		value := seal(append(bytes.Clone(fields), make([]byte, frameHashBytes)...))
		e, err := decodeEntry(bytes.Clone(value))
		if err == nil && !bytes.Equal(appendEntry(nil, &e), value) {
			t.Fatalf("two encodings of %+v", e)
		}
	})
}

func genUint64[T ~uint64](t *rapid.T) T       { return T(rapid.Uint64().Draw(t, "uint64")) }
func genMember(t *rapid.T) MemberNumber       { return MemberNumber(rapid.Uint32().Draw(t, "member")) }
func genPartition(t *rapid.T) PartitionID     { return PartitionID(rapid.Uint32().Draw(t, "partition")) }
func genBool(t *rapid.T) bool                 { return rapid.Bool().Draw(t, "bool") }
func genStore(t *rapid.T) StoreID             { return StoreID(rapid.StringN(0, 40, 64).Draw(t, "store")) }
func genCounter(t *rapid.T) Counter           { return Counter{genUint64[uint64](t), genUint64[uint64](t)} }
func genLayoutVersion(t *rapid.T) int32       { return rapid.Int32().Draw(t, "layout version") }
func genTimeout(t *rapid.T) time.Duration     { return time.Duration(rapid.Int64().Draw(t, "timeout")) }
func genChoice[T ~uint8](t *rapid.T, n int) T { return T(rapid.IntRange(1, n).Draw(t, "choice")) }

// orNil makes an empty slice nil, as decoding does.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func genBytes(t *rapid.T) []byte {
	return orNil(rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "bytes"))
}

func genList[T any](t *rapid.T, greatest int, gen func(*rapid.T) T) []T {
	return orNil(rapid.SliceOfN(rapid.Custom(gen), 0, greatest).Draw(t, "list"))
}

// genAssignment makes one that a layout could hold, or the zero one.
func genAssignment(t *rapid.T) Assignment {
	if genBool(t) {
		return Assignment{}
	}
	distinct := func(least int) []MemberNumber {
		return orNil(rapid.SliceOfNDistinct(rapid.Custom(genMember), least, layout.MaxReplication, rapid.ID[MemberNumber]).Draw(t, "set"))
	}
	a := Assignment{Epoch: Epoch(rapid.Uint64Range(1, layout.MaxEpoch).Draw(t, "epoch")), Replicas: distinct(1), Next: distinct(0)}
	a.Primary = rapid.SampledFrom(a.Replicas).Draw(t, "primary")
	if a.Validate() != nil { // the same set twice
		a.Next = nil
	}
	return a
}

func genCondition(t *rapid.T) door.Condition {
	return door.Condition{Absent: genBool(t), Present: genBool(t), Match: genUint64[Version](t)}
}

func genEntry(t *rapid.T) Entry {
	return Entry{genUint64[Index](t), genUint64[Epoch](t), genChoice[EntryKind](t, 3), genBytes(t), genBytes(t), genCondition(t)}
}

func genForwardID(t *rapid.T) ForwardID {
	return ForwardID{genStore(t), genUint64[uint64](t), genUint64[uint64](t)}
}

func genRequest(t *rapid.T) door.Request {
	return door.Request{Kind: genChoice[door.RequestKind](t, 3), Key: genBytes(t), Value: genBytes(t), If: genCondition(t), Timeout: genTimeout(t)}
}

func genResponse(t *rapid.T) door.Response {
	return door.Response{
		Outcome: genChoice[door.Outcome](t, 3), Reason: rapid.String().Draw(t, "reason"),
		Busy: genBool(t), Found: genBool(t), Failed: genBool(t),
		Version: genUint64[Version](t), Value: genBytes(t), Index: genUint64[Index](t),
	}
}

func genSnapshotName(t *rapid.T) SnapshotName {
	return SnapshotName{genStore(t), genUint64[uint64](t), genUint64[Index](t), genUint64[Epoch](t), genUint64[uint64](t)}
}

func genSnapshotItem(t *rapid.T) SnapshotItem {
	return SnapshotItem{genBytes(t), genUint64[Version](t), genBytes(t)}
}

func genBeatItem(t *rapid.T) BeatItem {
	return BeatItem{genPartition(t), genUint64[Epoch](t), genUint64[Index](t)}
}

func genBeatReplyItem(t *rapid.T) BeatReplyItem {
	return BeatReplyItem{genPartition(t), genUint64[Epoch](t), genUint64[Epoch](t), genUint64[Index](t)}
}

func genPreVoteItem(t *rapid.T) PreVoteItem { return PreVoteItem{genPartition(t), genAssignment(t)} }

func genPreVoteReplyItem(t *rapid.T) PreVoteReplyItem {
	return PreVoteReplyItem{genPartition(t), genUint64[Epoch](t), genBool(t), genUint64[Epoch](t), genUint64[Index](t), genAssignment(t)}
}

// genMessage draws a message of any kind. Literals without field names fail
// to compile when a field is added that is not drawn.
func genMessage(t *rapid.T) Message {
	switch kind := genChoice[messageKind](t, int(kindRollReply)); kind {
	case kindForward:
		return &Forward{genPartition(t), genUint64[Epoch](t), genForwardID(t), genMember(t), genMember(t),
			rapid.Uint8().Draw(t, "hops"), genTimeout(t), genRequest(t)}
	case kindForwardReply:
		return &ForwardReply{genPartition(t), genForwardID(t), genMember(t), genResponse(t), genAssignment(t)}
	case kindPrepare:
		return &Prepare{genPartition(t), genAssignment(t)}
	case kindPromise:
		return &Promise{genPartition(t), genUint64[Epoch](t), genUint64[Epoch](t), genUint64[Index](t)}
	case kindReject:
		return &Reject{genPartition(t), genUint64[Epoch](t), genUint64[Epoch](t), genAssignment(t)}
	case kindCopyRequest:
		return &CopyRequest{genPartition(t), genAssignment(t), genUint64[Index](t), genUint64[Epoch](t), genUint64[Index](t), genUint64[Epoch](t)}
	case kindCopyReply:
		return &CopyReply{genPartition(t), genUint64[Epoch](t), genChoice[CopyResult](t, 3), genUint64[Index](t), genUint64[Epoch](t),
			genUint64[Index](t), genUint64[Epoch](t), genList(t, 5, genEntry)}
	case kindAppend:
		return &Append{genPartition(t), genAssignment(t), genCounter(t), genUint64[Index](t), genUint64[Epoch](t), genUint64[Index](t), genList(t, 5, genEntry)}
	case kindAppended:
		return &Appended{genPartition(t), genUint64[Epoch](t), genCounter(t), genBool(t), genUint64[Index](t), genUint64[Index](t), genUint64[Epoch](t)}
	case kindBeat:
		return &Beat{genChoice[BeatKind](t, 3), genCounter(t), genLayoutVersion(t), genList(t, 5, genBeatItem)}
	case kindBeatReply:
		return &BeatReply{genCounter(t), genLayoutVersion(t), genList(t, 5, genBeatReplyItem)}
	case kindPreVote:
		return &PreVote{genLayoutVersion(t), genUint64[uint64](t), genList(t, 5, genPreVoteItem)}
	case kindPreVoteReply:
		return &PreVoteReply{genLayoutVersion(t), genUint64[uint64](t), genList(t, 5, genPreVoteReplyItem)}
	case kindSnapshotOffer:
		return &SnapshotOffer{genPartition(t), genAssignment(t), genCounter(t), genSnapshotName(t)}
	case kindSnapshotPull:
		return &SnapshotPull{genPartition(t), genUint64[Epoch](t), genSnapshotName(t), genBool(t), genBytes(t)}
	case kindSnapshotChunk:
		return &SnapshotChunk{genPartition(t), genUint64[Epoch](t), genSnapshotName(t), genBool(t), genBytes(t),
			genList(t, 5, genSnapshotItem), genBool(t), genBool(t)}
	case kindLayoutRequest:
		return &LayoutRequest{}
	case kindLayoutCopy:
		return &LayoutCopy{genBytes(t)}
	case kindRollCall:
		return &RollCall{genList(t, 5, genMember)}
	case kindRollReply:
		return &RollReply{genList(t, 5, genMember), genList(t, 5, func(t *rapid.T) HeardMember {
			return HeardMember{genMember(t), time.Duration(rapid.Int64Min(0).Draw(t, "silent"))}
		})}
	default:
		panic(fmt.Sprintf("kind %d is not drawn", kind))
	}
}

func benchmarkFrame(b *testing.B, m Message) {
	e := sampleEnvelope(m)
	frame := AppendFrame(nil, e)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(frame)))
		b.ReportAllocs()
		buf := make([]byte, 0, len(frame))
		for b.Loop() {
			buf = AppendFrame(buf[:0], e)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(frame)))
		b.ReportAllocs()
		d := NewDecoder()
		for b.Loop() {
			if _, err := d.Decode(frame[4:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendFrame(b *testing.B) {
	a := Assignment{Epoch: 9, Primary: 3, Replicas: []MemberNumber{3, 1, 2}}
	entries := make([]Entry, 16)
	for i := range entries {
		entries[i] = Entry{Index: Index(i + 42), Epoch: 9, Kind: EntryPut, Key: make([]byte, 16), Value: make([]byte, 128)}
	}
	benchmarkFrame(b, &Append{Partition: 5, Assignment: a, Counter: Counter{4, 77}, PrevIndex: 41, PrevEpoch: 8, Commit: 40, Entries: entries})
}

func BenchmarkBeatFrame(b *testing.B) {
	items := make([]BeatItem, 256)
	for i := range items {
		items[i] = BeatItem{PartitionID(i), 9, 1 << 20}
	}
	benchmarkFrame(b, &Beat{Kind: BeatHeart, Counter: Counter{4, 77}, LayoutVersion: 12, Items: items})
}
