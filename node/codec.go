package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"dkv/node/door"
	"dkv/node/layout"
)

// The wire, in one picture. All numbers are big-endian.
//
//	frame   = length u32 | kind u8 | payload | hash u64
//	length  = bytes that follow it; at most MaxFrameBytes
//	hash    = xxhash64 of kind and payload
//	payload = from u32 | from store | to store | stamp | fields of the message
//	          in the order of message.go, an index before its epoch
//	bytes, strings, lists = count u32 | items;  members of an assignment: count u8
//
// Every accepted frame is the only encoding of its message: what is decoded and
// encoded again gives the same bytes. That makes the codec easy to test by fuzzing, and
// leaves no field whose meaning two versions could read differently. An empty slice
// decodes as nil.
//
// The hash is for links that damage what TCP's checksum does not see; it does not defend
// against an attacker. A frame that does not decode closes its connection, since where
// the next one begins can't be trusted either.

const (
	// ProtocolVersion is the peer protocol that this package speaks. A hello names a
	// range, and the connection speaks the greatest version that both sides know. Version
	// 1 had no stamps.
	ProtocolVersion uint16 = 2
	// MaxFrameBytes bounds what follows a frame's length: the largest batch of entries
	// or chunk that Config allows, one value more than that, and what is around it.
	MaxFrameBytes = 4<<20 + 64<<10
	// MaxHelloBytes bounds what follows the length of a connection's first
	// frame, which comes from a peer that is not known yet. The longest lineage fits.
	MaxHelloBytes = 4<<10 + maxLines*lineBytes

	frameLengthBytes = 4
	frameHashBytes   = 8
	minFrameBytes    = 1 + frameHashBytes
	maxReasonBytes   = 1 << 10
)

// The frames that open a connection. They are no messages between members, so
// their numbers stand apart.
const (
	kindHello messageKind = 0x80 + iota
	kindRefusal
)

// HelloRefusal answers a Hello that does not fit, and ends the connection.
type HelloRefusal struct {
	Reason string
	Store  StoreID // of the node that refuses
	Known  Stamp   // the last that the refused store is known to have told
	To     StoreID // the refused store
}

func (r HelloRefusal) Error() string { return "the peer refused the connection: " + r.Reason }

// AppendFrame appends the whole frame of an envelope, its length included. A frame above
// MaxFrameBytes is a bug of the caller and panics: the bounds of Config keep every message
// below it.
func AppendFrame(buf []byte, e *Envelope) []byte {
	start := len(buf)
	w := beginFrame(buf, e.Body.kind())
	w.u32(uint32(e.From))
	w.string(string(e.FromStore))
	w.string(string(e.ToStore))
	w.stamp(e.Stamp)
	w.message(e.Body)
	return w.endFrame(start, MaxFrameBytes)
}

// DecodeFrame decodes what follows a frame's length. The envelope's keys and
// values point into body, which the caller gives up. The error says what is
// wrong with the frame; the connection it came from can't be trusted then.
func DecodeFrame(body []byte) (*Envelope, error) {
	var d Decoder
	return d.Decode(body)
}

const (
	maxInterned       = 1024 // bounds the store ids that a Decoder keeps
	rememberedSenders = 64
)

// Decoder is DecodeFrame with a memory of store ids, so that frames that name
// the same stores share their strings. The zero value remembers nothing; make
// one with NewDecoder. It is not safe for concurrent use.
type Decoder struct {
	stores map[string]StoreID
	to     StoreID   // the last frame's receiver: nearly always the same
	from   []StoreID // the last of each sender, by its number's remainder: the same again
}

// NewDecoder makes a Decoder that remembers up to 1024 store ids.
func NewDecoder() *Decoder {
	return &Decoder{stores: make(map[string]StoreID), from: make([]StoreID, rememberedSenders)}
}

// Decode does what DecodeFrame says.
func (d *Decoder) Decode(body []byte) (*Envelope, error) {
	kind, r, err := openFrame(body, MaxFrameBytes)
	if err != nil {
		return nil, err
	}
	r.stores = d.stores
	e := &Envelope{From: MemberNumber(r.u32())}
	if d.from == nil {
		e.FromStore, e.ToStore = r.storeID(), r.storeID()
	} else {
		sender := &d.from[e.From%rememberedSenders]
		e.FromStore = r.sameStoreID(*sender)
		e.ToStore = r.sameStoreID(d.to)
		*sender, d.to = e.FromStore, e.ToStore
	}
	e.Stamp = r.stamp()
	e.Body = r.message(kind)
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("frame of kind %d: %w", kind, err)
	}
	return e, nil
}

// stampVersion is the first protocol whose hellos carry a lineage. A hello of an earlier
// one decodes all the same, so that its sender can be told that it is older.
const stampVersion = 2

// AppendHello appends the frame that opens a connection.
func AppendHello(buf []byte, h Hello) []byte {
	start := len(buf)
	w := beginFrame(buf, kindHello)
	w.u16(h.MinVersion)
	w.u16(h.MaxVersion)
	w.string(h.Cluster)
	w.string(string(h.Node))
	w.u32(uint32(h.Member))
	w.string(string(h.Store))
	w.string(string(h.To))
	w.u64(h.Boot)
	w.u32(uint32(h.LayoutVersion))
	if h.MaxVersion >= stampVersion {
		w.u64(h.Count)
		w.lineage(h.Lineage)
	}
	return w.endFrame(start, MaxHelloBytes)
}

// DecodeHello decodes what follows the length of a connection's first frame.
// If the peer sent a refusal instead, the error is its HelloRefusal. Fields
// that a later version of the protocol adds at the end are skipped.
func DecodeHello(body []byte) (Hello, error) {
	kind, r, err := openFrame(body, MaxHelloBytes)
	if err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	if kind == kindRefusal {
		refusal, err := DecodeRefusal(body)
		if err != nil {
			return Hello{}, err
		}
		return Hello{}, refusal
	}
	if kind != kindHello {
		return Hello{}, fmt.Errorf("hello: the first frame is of kind %d", kind)
	}
	h := Hello{MinVersion: r.u16(), MaxVersion: r.u16()}
	h.Cluster = r.name()
	h.Node = NodeID(r.name())
	h.Member = MemberNumber(r.u32())
	h.Store = StoreID(r.name())
	h.To = StoreID(r.name())
	h.Boot = r.u64()
	h.LayoutVersion = int32(r.u32())
	if h.MaxVersion >= stampVersion {
		h.Count, h.Lineage = r.u64(), r.lineage()
	}
	if h.MaxVersion > ProtocolVersion {
		r.rest = nil
	}
	if err := r.end(); err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	return h, nil
}

// AppendRefusal appends the frame that says why a connection is closed. The
// reason is cut after 1 KiB.
func AppendRefusal(buf []byte, refusal HelloRefusal) []byte {
	start := len(buf)
	w := beginFrame(buf, kindRefusal)
	w.string(refusal.Reason[:min(len(refusal.Reason), maxReasonBytes)])
	w.string(string(refusal.Store))
	w.stamp(refusal.Known)
	w.string(string(refusal.To))
	return w.endFrame(start, MaxHelloBytes)
}

// DecodeRefusal decodes what follows the length of a refusal's frame.
func DecodeRefusal(body []byte) (HelloRefusal, error) {
	kind, r, err := openFrame(body, MaxHelloBytes)
	if err != nil {
		return HelloRefusal{}, fmt.Errorf("refusal: %w", err)
	}
	if kind != kindRefusal {
		return HelloRefusal{}, fmt.Errorf("refusal: the frame is of kind %d", kind)
	}
	refusal := HelloRefusal{Reason: r.string()}
	if len(r.rest) > 0 { // a refusal of protocol 1 ends here
		refusal.Store, refusal.Known, refusal.To = StoreID(r.name()), r.stamp(), StoreID(r.name())
	}
	if err := r.end(); err != nil {
		return HelloRefusal{}, fmt.Errorf("refusal: %w", err)
	}
	return refusal, nil
}

// appendEntry appends an entry as the store keeps it: its fields, index and
// epoch included, and their xxhash64.
func appendEntry(buf []byte, e *Entry) []byte {
	w := wireWriter{buf: slices.Grow(buf, entryBytes+len(e.Key)+len(e.Value)+frameHashBytes)}
	w.entry(e)
	return binary.BigEndian.AppendUint64(w.buf, xxhash.Sum64(w.buf[len(buf):]))
}

// decodeEntry decodes what appendEntry appended, and nothing else. The entry points into
// value, which the caller gives up. The hash stands in the store, and not only on the wire,
// because a disk can rot for years before an entry is read (rule "stop on damage").
func decodeEntry(value []byte) (Entry, error) {
	if len(value) < frameHashBytes {
		return Entry{}, errShort
	}
	fields, hash := value[:len(value)-frameHashBytes], value[len(value)-frameHashBytes:]
	if xxhash.Sum64(fields) != binary.BigEndian.Uint64(hash) {
		return Entry{}, errHash
	}
	r := wireReader{rest: fields}
	e := r.entry()
	if err := r.end(); err != nil {
		return Entry{}, err
	}
	return e, nil
}

var (
	errShort    = errors.New("it is too short")
	errLong     = errors.New("it is too long")
	errHash     = errors.New("its hash is wrong: it was damaged on its way")
	errKind     = errors.New("its kind is unknown")
	errTrailing = errors.New("it has bytes after its end")
	errCount    = errors.New("it counts more than it holds")
	errValue    = errors.New("it has a field with an impossible value")
)

// beginFrame leaves room for the length and starts a frame. The length is known only when
// all is written, and a second buffer for the payload would cost a copy of every value.
func beginFrame(buf []byte, kind messageKind) wireWriter {
	w := wireWriter{buf: buf}
	w.u32(0)
	w.u8(uint8(kind))
	return w
}

// endFrame appends the hash and fills in the length of the frame that began at
// start.
func (w *wireWriter) endFrame(start, limit int) []byte {
	w.u64(xxhash.Sum64(w.buf[start+frameLengthBytes:]))
	length := len(w.buf) - start - frameLengthBytes
	if length > limit {
		panic(fmt.Sprintf("frame of kind %d: %d bytes, more than %d", w.buf[start+frameLengthBytes], length, limit))
	}
	binary.BigEndian.PutUint32(w.buf[start:], uint32(length))
	return w.buf
}

// openFrame checks size and hash, and returns a reader of the payload.
func openFrame(body []byte, limit int) (messageKind, wireReader, error) {
	if len(body) < minFrameBytes {
		return 0, wireReader{}, fmt.Errorf("frame of %d bytes: %w", len(body), errShort)
	}
	if len(body) > limit {
		return 0, wireReader{}, fmt.Errorf("frame of %d bytes: %w", len(body), errLong)
	}
	fields, hash := body[:len(body)-frameHashBytes], body[len(body)-frameHashBytes:]
	if xxhash.Sum64(fields) != binary.BigEndian.Uint64(hash) {
		return 0, wireReader{}, fmt.Errorf("frame of %d bytes: %w", len(body), errHash)
	}
	return messageKind(fields[0]), wireReader{rest: fields[1:]}, nil
}

// wireWriter appends fields.
type wireWriter struct{ buf []byte }

// u8 and the methods after it append one field each.
func (w *wireWriter) u8(v uint8)   { w.buf = append(w.buf, v) }
func (w *wireWriter) u16(v uint16) { w.buf = binary.BigEndian.AppendUint16(w.buf, v) }
func (w *wireWriter) u32(v uint32) { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }
func (w *wireWriter) u64(v uint64) { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }

func (w *wireWriter) bool(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

// count reads how many items follow, of at least itemBytes each. More than the rest can hold
// is an error, so that what is made for them is bounded by the bytes that really came: a
// few bytes of garbage can't claim four billion entries.
func (w *wireWriter) count(n int) { w.u32(uint32(n)) }

// bytes makes room for the fields behind a large value too, which would otherwise be moved
// when they are appended.
func (w *wireWriter) bytes(v []byte) {
	w.count(len(v))
	if len(v) > cap(w.buf)-len(w.buf) {
		w.buf = slices.Grow(w.buf, len(v)+afterValueBytes)
	}
	w.buf = append(w.buf, v...)
}

const afterValueBytes = 256

func (w *wireWriter) string(v string) {
	w.count(len(v))
	w.buf = append(w.buf, v...)
}

func (w *wireWriter) counter(c Counter) {
	w.u64(c.Boot)
	w.u64(c.Sent)
}

func (w *wireWriter) position(i Index, e Epoch) {
	w.u64(uint64(i))
	w.u64(uint64(e))
}

func (w *wireWriter) assignment(a *Assignment) {
	w.u64(uint64(a.Epoch))
	w.u32(uint32(a.Primary))
	w.members(a.Replicas)
	w.members(a.Next)
}

// members panics where a caller breaks the bound of the layout: the count has one byte, and
// a truncated one would decode as another assignment.
func (w *wireWriter) members(list []MemberNumber) {
	if len(list) > layout.MaxReplication {
		panic(fmt.Sprintf("assignment of %d members, more than %d", len(list), layout.MaxReplication))
	}
	w.u8(uint8(len(list)))
	for _, m := range list {
		w.u32(uint32(m))
	}
}

func (w *wireWriter) condition(c door.Condition) {
	w.bool(c.Absent)
	w.bool(c.Present)
	w.u64(uint64(c.Match))
}

func (w *wireWriter) entry(e *Entry) {
	w.position(e.Index, e.Epoch)
	w.u8(uint8(e.Kind))
	w.condition(e.If)
	w.bytes(e.Key)
	w.bytes(e.Value)
}

func (w *wireWriter) entries(list []Entry) {
	w.count(len(list))
	for i := range list {
		w.entry(&list[i])
	}
}

func (w *wireWriter) forwardID(id ForwardID) {
	w.string(string(id.Store))
	w.u64(id.Boot)
	w.u64(id.Number)
}

func (w *wireWriter) request(q *door.Request) {
	w.u8(uint8(q.Kind))
	w.condition(q.If)
	w.u64(uint64(q.Timeout))
	w.bytes(q.Key)
	w.bytes(q.Value)
}

func (w *wireWriter) response(p *door.Response) {
	w.u8(uint8(p.Outcome))
	w.string(p.Reason)
	w.bool(p.Busy)
	w.bool(p.Found)
	w.bool(p.Failed)
	w.u64(uint64(p.Version))
	w.bytes(p.Value)
	w.u64(uint64(p.Index))
}

func (w *wireWriter) snapshotName(n *SnapshotName) {
	w.string(string(n.Source))
	w.u64(n.Boot)
	w.position(n.Index, n.Epoch)
	w.u64(n.Generation)
}

// message appends the fields of a message.
func (w *wireWriter) message(body Message) {
	switch m := body.(type) {
	case *Forward:
		w.forward(m)
	case *ForwardReply:
		w.forwardReply(m)
	case *Prepare:
		w.prepare(m)
	case *Promise:
		w.promise(m)
	case *Reject:
		w.reject(m)
	case *CopyRequest:
		w.copyRequest(m)
	case *CopyReply:
		w.copyReply(m)
	case *Append:
		w.append(m)
	case *Appended:
		w.appended(m)
	case *Beat:
		w.beat(m)
	case *BeatReply:
		w.beatReply(m)
	case *PreVote:
		w.preVote(m)
	case *PreVoteReply:
		w.preVoteReply(m)
	case *SnapshotOffer:
		w.snapshotOffer(m)
	case *SnapshotPull:
		w.snapshotPull(m)
	case *SnapshotChunk:
		w.snapshotChunk(m)
	case *LayoutRequest:
	case *LayoutCopy:
		w.bytes(m.Data)
	case *RollCall:
		w.numbers(m.Members)
	case *RollReply:
		w.numbers(m.Asked)
		w.heard(m.Heard)
	default:
		panic(fmt.Sprintf("message %T has no encoding", body))
	}
}

// numbers writes a list of members that does not belong to an assignment.
func (w *wireWriter) numbers(list []MemberNumber) {
	w.count(len(list))
	for _, m := range list {
		w.u32(uint32(m))
	}
}

func (r *wireReader) numbers() []MemberNumber {
	n := r.count(4)
	if n > layout.MaxMembers {
		r.fail(errValue)
		return nil
	}
	var list []MemberNumber
	for range n {
		list = append(list, MemberNumber(r.u32()))
	}
	return list
}

func (w *wireWriter) heard(list []HeardMember) {
	w.count(len(list))
	for _, h := range list {
		w.u32(uint32(h.Member))
		w.u64(uint64(h.Silent))
	}
}

func (r *wireReader) heard() []HeardMember {
	n := r.count(12)
	if n > layout.MaxMembers {
		r.fail(errValue)
		return nil
	}
	var list []HeardMember
	for range n {
		h := HeardMember{Member: MemberNumber(r.u32()), Silent: time.Duration(r.u64())}
		if h.Silent < 0 {
			r.fail(errValue)
			return nil
		}
		list = append(list, h)
	}
	return list
}

// wireReader takes fields off the front of rest. After its first error every
// field reads as zero.
type wireReader struct {
	rest   []byte
	err    error
	stores map[string]StoreID
}

// fail keeps the first error and leaves nothing to read.
func (r *wireReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// end returns the first error, or one if something is left.
func (r *wireReader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		return errTrailing
	}
	return r.err
}

// take returns the next n bytes, or nil if there are not so many. Their capacity ends with
// them, so that an append to a key can't write into the value behind it.
func (r *wireReader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail(errShort)
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *wireReader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *wireReader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *wireReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *wireReader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *wireReader) bool() bool { return r.choice(0, 1) == 1 }

// choice reads one of the values from least to greatest. Anything else is refused here, so
// that no handler meets a kind or an outcome that it does not know.
func (r *wireReader) choice(least, greatest uint8) uint8 {
	v := r.u8()
	if r.err == nil && (v < least || v > greatest) {
		r.fail(errValue)
		return 0
	}
	return v
}

// count reads how many items follow, of at least itemBytes each. More than the
// rest can hold is an error, so that what is made for them is bounded by it.
func (r *wireReader) count(itemBytes int) int {
	n := r.u32()
	if uint64(n)*uint64(itemBytes) > uint64(len(r.rest)) {
		r.fail(errCount)
		return 0
	}
	return int(n)
}

func (r *wireReader) bytes() []byte {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	return r.take(n)
}

func (r *wireReader) string() string { return string(r.bytes()) }

// name reads an identity of a hello, which ends up in reports. It is bounded because the
// sender is not known yet.
func (r *wireReader) name() string {
	b := r.bytes()
	if len(b) > layout.MaxNameBytes {
		r.fail(errValue)
		return ""
	}
	return string(b)
}

func (r *wireReader) storeID() StoreID { return r.intern(r.bytes()) }

// sameStoreID is storeID where it is likely to be this one.
func (r *wireReader) sameStoreID(likely StoreID) StoreID {
	b := r.bytes()
	if string(b) == string(likely) {
		return likely
	}
	return r.intern(b)
}

// intern returns the one string that is kept for a store id. Every frame names two, and
// there are few, so nearly none is allocated. The bounds are for frames that are not what
// they seem: neither long names nor many of them are kept.
func (r *wireReader) intern(b []byte) StoreID {
	if id, ok := r.stores[string(b)]; ok {
		return id
	}
	id := StoreID(b)
	if r.stores != nil && len(r.stores) < maxInterned && len(b) <= layout.MaxNameBytes {
		r.stores[string(id)] = id
	}
	return id
}

func (r *wireReader) index() Index           { return Index(r.u64()) }
func (r *wireReader) epoch() Epoch           { return Epoch(r.u64()) }
func (r *wireReader) partition() PartitionID { return PartitionID(r.u32()) }
func (r *wireReader) member() MemberNumber   { return MemberNumber(r.u32()) }

func (r *wireReader) counter() Counter { return Counter{Boot: r.u64(), Sent: r.u64()} }

func (r *wireReader) position() (Index, Epoch) { return r.index(), r.epoch() }

// assignment reads one that a layout could hold, or the zero one, which tells nothing. A
// frame with any other is refused here, so that no handler meets an empty set of replicas.
func (r *wireReader) assignment() Assignment {
	a := Assignment{Epoch: r.epoch(), Primary: r.member(), Replicas: r.members(), Next: r.members()}
	told := a.Epoch != 0 || a.Primary != 0 || len(a.Replicas) > 0 || len(a.Next) > 0
	if told && r.err == nil && a.Validate() != nil {
		r.fail(errValue)
	}
	return a
}

func (r *wireReader) members() []MemberNumber {
	n := int(r.choice(0, layout.MaxReplication))
	list := r.take(4 * n)
	if len(list) == 0 {
		return nil
	}
	members := make([]MemberNumber, n)
	for i := range members {
		members[i] = MemberNumber(binary.BigEndian.Uint32(list[4*i:]))
	}
	return members
}

func (r *wireReader) condition() door.Condition {
	return door.Condition{Absent: r.bool(), Present: r.bool(), Match: r.index()}
}

// The least bytes that an item of a list takes.
const (
	entryBytes        = 8 + 8 + 1 + 1 + 1 + 8 + 4 + 4
	beatItemBytes     = 4 + 8 + 8
	beatReplyBytes    = 4 + 8 + 8 + 8
	assignmentBytes   = 8 + 4 + 1 + 1
	preVoteItemBytes  = 4 + assignmentBytes
	preVoteReplyBytes = 4 + 8 + 1 + 8 + 8 + assignmentBytes
	snapshotItemBytes = 4 + 8 + 4
)

func (r *wireReader) entry() Entry {
	var e Entry
	e.Index, e.Epoch = r.position()
	e.Kind = EntryKind(r.choice(uint8(EntryNoop), uint8(EntryDelete)))
	e.If = r.condition()
	e.Key = r.bytes()
	e.Value = r.bytes()
	return e
}

func (r *wireReader) entries() []Entry {
	list := makeList[Entry](r, entryBytes)
	for i := range list {
		list[i] = r.entry()
	}
	return list
}

// makeList reads the count of a list of items of at least itemBytes each, and
// makes room for them.
func makeList[T any](r *wireReader, itemBytes int) []T {
	n := r.count(itemBytes)
	if n == 0 {
		return nil
	}
	return make([]T, n)
}

func (r *wireReader) forwardID() ForwardID {
	return ForwardID{Store: r.storeID(), Boot: r.u64(), Number: r.u64()}
}

func (r *wireReader) request() door.Request {
	var q door.Request
	q.Kind = door.RequestKind(r.choice(uint8(door.RequestGet), uint8(door.RequestDelete)))
	q.If = r.condition()
	q.Timeout = time.Duration(r.u64())
	q.Key = r.bytes()
	q.Value = r.bytes()
	return q
}

func (r *wireReader) response() door.Response {
	var p door.Response
	p.Outcome = door.Outcome(r.choice(uint8(door.Done), uint8(door.Unknown)))
	p.Reason = r.string()
	p.Busy = r.bool()
	p.Found = r.bool()
	p.Failed = r.bool()
	p.Version = r.index()
	p.Value = r.bytes()
	p.Index = r.index()
	return p
}

func (r *wireReader) snapshotName() SnapshotName {
	var n SnapshotName
	n.Source = r.storeID()
	n.Boot = r.u64()
	n.Index, n.Epoch = r.position()
	n.Generation = r.u64()
	return n
}

// message reads the fields of a message.
func (r *wireReader) message(kind messageKind) Message {
	switch kind {
	case kindForward:
		return r.forward()
	case kindForwardReply:
		return r.forwardReply()
	case kindPrepare:
		return &Prepare{Partition: r.partition(), Assignment: r.assignment()}
	case kindPromise:
		return r.promise()
	case kindReject:
		return &Reject{Partition: r.partition(), Epoch: r.epoch(), Promised: r.epoch(), Known: r.assignment()}
	case kindCopyRequest:
		return r.copyRequest()
	case kindCopyReply:
		return r.copyReply()
	case kindAppend:
		return r.append()
	case kindAppended:
		return r.appended()
	case kindBeat:
		return r.beat()
	case kindBeatReply:
		return r.beatReply()
	case kindPreVote:
		return r.preVote()
	case kindPreVoteReply:
		return r.preVoteReply()
	case kindSnapshotOffer:
		return r.snapshotOffer()
	case kindSnapshotPull:
		return r.snapshotPull()
	case kindSnapshotChunk:
		return r.snapshotChunk()
	case kindLayoutRequest:
		return &LayoutRequest{}
	case kindLayoutCopy:
		return &LayoutCopy{Data: r.bytes()}
	case kindRollCall:
		return &RollCall{Members: r.numbers()}
	case kindRollReply:
		return &RollReply{Asked: r.numbers(), Heard: r.heard()}
	}
	r.fail(errKind)
	return nil
}

// The messages, each as it is written and as it is read. The two methods of a message
// stand together and list the fields in one order, which is the format. Where a struct
// is read by one literal, Go evaluates its fields from left to right; where the order on
// the wire is not that of the struct, the fields are read one by one.

func (w *wireWriter) forward(m *Forward) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.forwardID(m.ID)
	w.u32(uint32(m.To))
	w.u32(uint32(m.Origin))
	w.u8(m.Hops)
	w.u64(uint64(m.Timeout))
	w.request(&m.Request)
}

func (r *wireReader) forward() *Forward {
	m := &Forward{Partition: r.partition(), Epoch: r.epoch(), ID: r.forwardID()}
	m.To = r.member()
	m.Origin = r.member()
	m.Hops = r.u8()
	m.Timeout = time.Duration(r.u64())
	m.Request = r.request()
	return m
}

func (w *wireWriter) forwardReply(m *ForwardReply) {
	w.u32(uint32(m.Partition))
	w.forwardID(m.ID)
	w.u32(uint32(m.Origin))
	w.response(&m.Response)
	w.assignment(&m.Known)
}

func (r *wireReader) forwardReply() *ForwardReply {
	m := &ForwardReply{Partition: r.partition(), ID: r.forwardID(), Origin: r.member()}
	m.Response = r.response()
	m.Known = r.assignment()
	return m
}

func (w *wireWriter) prepare(m *Prepare) {
	w.u32(uint32(m.Partition))
	w.assignment(&m.Assignment)
}

func (w *wireWriter) promise(m *Promise) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.position(m.LastIndex, m.LastEpoch)
}

func (r *wireReader) promise() *Promise {
	m := &Promise{Partition: r.partition(), Epoch: r.epoch()}
	m.LastIndex, m.LastEpoch = r.position()
	return m
}

func (w *wireWriter) reject(m *Reject) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.u64(uint64(m.Promised))
	w.assignment(&m.Known)
}

func (w *wireWriter) copyRequest(m *CopyRequest) {
	w.u32(uint32(m.Partition))
	w.assignment(&m.Assignment)
	w.position(m.PrevIndex, m.PrevEpoch)
	w.position(m.LastIndex, m.LastEpoch)
}

func (r *wireReader) copyRequest() *CopyRequest {
	m := &CopyRequest{Partition: r.partition(), Assignment: r.assignment()}
	m.PrevIndex, m.PrevEpoch = r.position()
	m.LastIndex, m.LastEpoch = r.position()
	return m
}

func (w *wireWriter) copyReply(m *CopyReply) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.u8(uint8(m.Result))
	w.position(m.PrevIndex, m.PrevEpoch)
	w.position(m.LastIndex, m.LastEpoch)
	w.entries(m.Entries)
}

func (r *wireReader) copyReply() *CopyReply {
	m := &CopyReply{Partition: r.partition(), Epoch: r.epoch()}
	m.Result = CopyResult(r.choice(uint8(CopyEntries), uint8(CopyGone)))
	m.PrevIndex, m.PrevEpoch = r.position()
	m.LastIndex, m.LastEpoch = r.position()
	m.Entries = r.entries()
	return m
}

func (w *wireWriter) append(m *Append) {
	w.u32(uint32(m.Partition))
	w.assignment(&m.Assignment)
	w.counter(m.Counter)
	w.position(m.PrevIndex, m.PrevEpoch)
	w.u64(uint64(m.Commit))
	w.entries(m.Entries)
}

func (r *wireReader) append() *Append {
	m := &Append{Partition: r.partition(), Assignment: r.assignment(), Counter: r.counter()}
	m.PrevIndex, m.PrevEpoch = r.position()
	m.Commit = r.index()
	m.Entries = r.entries()
	return m
}

func (w *wireWriter) appended(m *Appended) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.counter(m.Counter)
	w.bool(m.OK)
	w.u64(uint64(m.Match))
	w.position(m.HintIndex, m.HintEpoch)
}

func (r *wireReader) appended() *Appended {
	m := &Appended{Partition: r.partition(), Epoch: r.epoch(), Counter: r.counter()}
	m.OK = r.bool()
	m.Match = r.index()
	m.HintIndex, m.HintEpoch = r.position()
	return m
}

func (w *wireWriter) beat(m *Beat) {
	w.u8(uint8(m.Kind))
	w.counter(m.Counter)
	w.u32(uint32(m.LayoutVersion))
	w.count(len(m.Items))
	for i := range m.Items {
		item := &m.Items[i]
		w.u32(uint32(item.Partition))
		w.u64(uint64(item.Epoch))
		w.u64(uint64(item.Commit))
	}
}

func (r *wireReader) beat() *Beat {
	m := &Beat{Kind: BeatKind(r.choice(uint8(BeatHeart), uint8(BeatConfirm)))}
	m.Counter = r.counter()
	m.LayoutVersion = int32(r.u32())
	m.Items = makeList[BeatItem](r, beatItemBytes)
	for i := range m.Items {
		m.Items[i] = BeatItem{Partition: r.partition(), Epoch: r.epoch(), Commit: r.index()}
	}
	return m
}

func (w *wireWriter) beatReply(m *BeatReply) {
	w.counter(m.Counter)
	w.u32(uint32(m.LayoutVersion))
	w.count(len(m.Items))
	for i := range m.Items {
		item := &m.Items[i]
		w.u32(uint32(item.Partition))
		w.u64(uint64(item.Epoch))
		w.u64(uint64(item.Promised))
		w.u64(uint64(item.Match))
	}
}

func (r *wireReader) beatReply() *BeatReply {
	m := &BeatReply{Counter: r.counter(), LayoutVersion: int32(r.u32())}
	m.Items = makeList[BeatReplyItem](r, beatReplyBytes)
	for i := range m.Items {
		m.Items[i] = BeatReplyItem{Partition: r.partition(), Epoch: r.epoch(), Promised: r.epoch(), Match: r.index()}
	}
	return m
}

func (w *wireWriter) preVote(m *PreVote) {
	w.u32(uint32(m.LayoutVersion))
	w.u64(m.Round)
	w.count(len(m.Items))
	for i := range m.Items {
		w.u32(uint32(m.Items[i].Partition))
		w.assignment(&m.Items[i].Assignment)
	}
}

func (r *wireReader) preVote() *PreVote {
	m := &PreVote{LayoutVersion: int32(r.u32()), Round: r.u64()}
	m.Items = makeList[PreVoteItem](r, preVoteItemBytes)
	for i := range m.Items {
		m.Items[i] = PreVoteItem{Partition: r.partition(), Assignment: r.assignment()}
	}
	return m
}

func (w *wireWriter) preVoteReply(m *PreVoteReply) {
	w.u32(uint32(m.LayoutVersion))
	w.u64(m.Round)
	w.count(len(m.Items))
	for i := range m.Items {
		item := &m.Items[i]
		w.u32(uint32(item.Partition))
		w.u64(uint64(item.Epoch))
		w.bool(item.Consent)
		w.position(item.LastIndex, item.LastEpoch)
		w.assignment(&item.Known)
	}
}

func (r *wireReader) preVoteReply() *PreVoteReply {
	m := &PreVoteReply{LayoutVersion: int32(r.u32()), Round: r.u64()}
	m.Items = makeList[PreVoteReplyItem](r, preVoteReplyBytes)
	for i := range m.Items {
		item := &m.Items[i]
		item.Partition = r.partition()
		item.Epoch = r.epoch()
		item.Consent = r.bool()
		item.LastIndex, item.LastEpoch = r.position()
		item.Known = r.assignment()
	}
	return m
}

func (w *wireWriter) snapshotOffer(m *SnapshotOffer) {
	w.u32(uint32(m.Partition))
	w.assignment(&m.Assignment)
	w.counter(m.Counter)
	w.snapshotName(&m.Name)
}

func (r *wireReader) snapshotOffer() *SnapshotOffer {
	m := &SnapshotOffer{Partition: r.partition(), Assignment: r.assignment()}
	m.Counter = r.counter()
	m.Name = r.snapshotName()
	return m
}

func (w *wireWriter) snapshotPull(m *SnapshotPull) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.snapshotName(&m.Name)
	w.bool(m.Started)
	w.bytes(m.After)
}

func (r *wireReader) snapshotPull() *SnapshotPull {
	m := &SnapshotPull{Partition: r.partition(), Epoch: r.epoch(), Name: r.snapshotName()}
	m.Started = r.bool()
	m.After = r.bytes()
	return m
}

func (w *wireWriter) snapshotChunk(m *SnapshotChunk) {
	w.u32(uint32(m.Partition))
	w.u64(uint64(m.Epoch))
	w.snapshotName(&m.Name)
	w.bool(m.Started)
	w.bytes(m.After)
	w.count(len(m.Items))
	for i := range m.Items {
		w.bytes(m.Items[i].Key)
		w.u64(uint64(m.Items[i].Version))
		w.bytes(m.Items[i].Value)
	}
	w.bool(m.Last)
	w.bool(m.Gone)
}

func (r *wireReader) snapshotChunk() *SnapshotChunk {
	m := &SnapshotChunk{Partition: r.partition(), Epoch: r.epoch(), Name: r.snapshotName()}
	m.Started = r.bool()
	m.After = r.bytes()
	m.Items = makeList[SnapshotItem](r, snapshotItemBytes)
	for i := range m.Items {
		m.Items[i] = SnapshotItem{Key: r.bytes(), Version: r.index(), Value: r.bytes()}
	}
	m.Last = r.bool()
	m.Gone = r.bool()
	return m
}
