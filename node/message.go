package node

import (
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

// Assignment is what one epoch of a partition says: which member leads, and which
// replicate. It is decided once, by a compare-and-set of the layout, so any copy of it
// is as good as any other. Frames that start or extend an epoch carry it (rule "frames
// carry their assignment").
type Assignment = layout.Partition

// Envelope is one frame between two members. A frame for another store than
// the receiver's is dropped.
type Envelope struct {
	From      MemberNumber
	FromStore StoreID
	ToStore   StoreID
	Stamp     Stamp // of the sender's store: durable before the frame left
	Body      Message
}

// Message is one of the structs of this file.
type Message interface{ kind() messageKind }

type messageKind uint8

const (
	kindForward messageKind = iota + 1
	kindForwardReply
	kindPrepare
	kindPromise
	kindReject
	kindCopyRequest
	kindCopyReply
	kindAppend
	kindAppended
	kindBeat
	kindBeatReply
	kindPreVote
	kindPreVoteReply
	kindSnapshotOffer
	kindSnapshotPull
	kindSnapshotChunk
	kindLayoutRequest
	kindLayoutCopy
	kindRollCall
	kindRollReply
)

// Counter orders the transmissions of one node: its boot, then the number of the
// transmission since. An answer echoes it, so that the sender knows what was answered
// (rule "confirm after arrival").
type Counter struct {
	Boot uint64
	Sent uint64
}

// ForwardID names a forwarded request at its receiver, whatever way it came.
type ForwardID struct {
	Store  StoreID // the forwarder's
	Boot   uint64
	Number uint64
}

// Forward asks the primary To of the epoch to do a client's request.
type Forward struct {
	Partition PartitionID
	Epoch     Epoch
	ID        ForwardID
	To        MemberNumber
	Origin    MemberNumber
	Hops      uint8 // 1 when relayed by a replica
	Timeout   time.Duration
	Request   door.Request
}

// ForwardReply ends a Forward. It goes back the way the Forward came.
type ForwardReply struct {
	Partition PartitionID
	ID        ForwardID
	Origin    MemberNumber
	Response  door.Response
	Known     Assignment // the newest that the replier knows
}

// Prepare asks a replica to promise the epoch. It is sent to R until the log is chosen.
type Prepare struct {
	Partition  PartitionID
	Assignment Assignment
}

// Promise answers Prepare: durable, with the end of the promiser's log.
type Promise struct {
	Partition PartitionID
	Epoch     Epoch
	LastEpoch Epoch
	LastIndex Index
}

// Reject says that a frame came for an epoch below Promised.
type Reject struct {
	Partition PartitionID
	Epoch     Epoch // of the frame rejected
	Promised  Epoch
	Known     Assignment
}

// CopyRequest asks the source of the log for what follows Prev. Last is the
// end that the source promised and must still be able to show.
type CopyRequest struct {
	Partition  PartitionID
	Assignment Assignment
	PrevIndex  Index
	PrevEpoch  Epoch
	LastIndex  Index
	LastEpoch  Epoch
}

// CopyReply carries entries after Prev, or says why there are none.
type CopyReply struct {
	Partition PartitionID
	Epoch     Epoch
	Result    CopyResult
	PrevIndex Index // of CopyEntries: they follow it; of CopyMismatch: a hint
	PrevEpoch Epoch
	LastIndex Index // as asked
	LastEpoch Epoch
	Entries   []Entry
}

// CopyResult says what became of a CopyRequest.
type CopyResult uint8

const (
	// CopyEntries: Prev matched; entries follow, perhaps none.
	CopyEntries CopyResult = iota + 1
	// CopyMismatch: the source has another entry at Prev; try the hint.
	CopyMismatch
	// CopyGone: the source can't show the end that it promised.
	CopyGone
)

// Append replicates entries after Prev in an epoch. It may be empty: then it compares
// the logs at Prev and tells the commit index.
type Append struct {
	Partition  PartitionID
	Assignment Assignment
	Counter    Counter
	PrevIndex  Index
	PrevEpoch  Epoch
	Commit     Index
	Entries    []Entry
}

// Appended answers Append once all up to Match is durable, or (Match 0) that
// the entry at Prev differs, with a hint where the logs may agree.
type Appended struct {
	Partition PartitionID
	Epoch     Epoch
	Counter   Counter // echoed
	OK        bool
	Match     Index
	HintIndex Index
	HintEpoch Epoch
}

// BeatKind says what a Beat is for.
type BeatKind uint8

const (
	// BeatHeart: the primary leads, and this is what it committed.
	BeatHeart BeatKind = iota + 1
	// BeatPing: a quiet primary asks whether it is answered again. It does not
	// count as having heard the primary.
	BeatPing
	// BeatConfirm: reads wait for a majority that promised nothing higher.
	BeatConfirm
)

// Beat lists partitions that the sender leads, one frame a peer.
type Beat struct {
	Kind          BeatKind
	Counter       Counter
	LayoutVersion int32
	Items         []BeatItem
}

// BeatItem is one partition of a Beat.
type BeatItem struct {
	Partition PartitionID
	Epoch     Epoch
	Commit    Index
}

// BeatReply answers a Beat, item by item.
type BeatReply struct {
	Counter       Counter // echoed
	LayoutVersion int32
	Items         []BeatReplyItem
}

// BeatReplyItem says how far the replier acknowledged in the epoch, or that it
// promised a higher one.
type BeatReplyItem struct {
	Partition PartitionID
	Epoch     Epoch
	Promised  Epoch // above Epoch: rejected
	Match     Index
}

// PreVote asks whether the primaries of these partitions are silent for the
// receiver too.
type PreVote struct {
	LayoutVersion int32
	Round         uint64 // grows with each PreVote of a boot
	Items         []PreVoteItem
}

// PreVoteItem is one partition of a PreVote.
type PreVoteItem struct {
	Partition  PartitionID
	Assignment Assignment
}

// PreVoteReply answers, item by item.
type PreVoteReply struct {
	LayoutVersion int32
	Round         uint64
	Items         []PreVoteReplyItem
}

// PreVoteReplyItem consents or not. Known is set if it is of a higher epoch.
type PreVoteReplyItem struct {
	Partition PartitionID
	Epoch     Epoch
	Consent   bool
	LastEpoch Epoch
	LastIndex Index
	Known     Assignment
}

// SnapshotName names a transfer: which View of which process of which store. Another
// boot, or another View of the same boot, has another name, and a transfer continues
// only under its own (rule "a transfer has one name").
type SnapshotName struct {
	Source     StoreID
	Boot       uint64
	Index      Index
	Epoch      Epoch // of the entry at Index
	Generation uint64
}

// SnapshotOffer tells a replica whose log ends too early what it can load.
type SnapshotOffer struct {
	Partition  PartitionID
	Assignment Assignment
	Counter    Counter
	Name       SnapshotName
}

// SnapshotPull asks for the chunk after a key; Started is false for the first.
type SnapshotPull struct {
	Partition PartitionID
	Epoch     Epoch
	Name      SnapshotName
	Started   bool
	After     []byte
}

// SnapshotChunk carries keys in order. Gone: the transfer must start anew.
type SnapshotChunk struct {
	Partition PartitionID
	Epoch     Epoch
	Name      SnapshotName
	Started   bool
	After     []byte
	Items     []SnapshotItem
	Last      bool
	Gone      bool
}

// SnapshotItem is one key of the state.
type SnapshotItem struct {
	Key     []byte
	Version Version
	Value   []byte
}

// LayoutRequest asks for the sender's copy of the layout.
type LayoutRequest struct{}

// LayoutCopy carries a layout, encoded.
type LayoutCopy struct{ Data []byte }

// RollCall asks for a sign of life, and whether these members were heard.
type RollCall struct{ Members []MemberNumber }

// RollReply answers a RollCall: when those of Asked were heard that were heard at all.
type RollReply struct {
	Asked []MemberNumber
	Heard []HeardMember
}

// HeardMember says for how long a member had not been heard when this was sent. It is a
// duration, because the clocks of two nodes have nothing in common.
type HeardMember struct {
	Member MemberNumber
	Silent time.Duration
}

func (*Forward) kind() messageKind       { return kindForward }
func (*ForwardReply) kind() messageKind  { return kindForwardReply }
func (*Prepare) kind() messageKind       { return kindPrepare }
func (*Promise) kind() messageKind       { return kindPromise }
func (*Reject) kind() messageKind        { return kindReject }
func (*CopyRequest) kind() messageKind   { return kindCopyRequest }
func (*CopyReply) kind() messageKind     { return kindCopyReply }
func (*Append) kind() messageKind        { return kindAppend }
func (*Appended) kind() messageKind      { return kindAppended }
func (*Beat) kind() messageKind          { return kindBeat }
func (*BeatReply) kind() messageKind     { return kindBeatReply }
func (*PreVote) kind() messageKind       { return kindPreVote }
func (*PreVoteReply) kind() messageKind  { return kindPreVoteReply }
func (*SnapshotOffer) kind() messageKind { return kindSnapshotOffer }
func (*SnapshotPull) kind() messageKind  { return kindSnapshotPull }
func (*SnapshotChunk) kind() messageKind { return kindSnapshotChunk }
func (*LayoutRequest) kind() messageKind { return kindLayoutRequest }
func (*LayoutCopy) kind() messageKind    { return kindLayoutCopy }
func (*RollCall) kind() messageKind      { return kindRollCall }
func (*RollReply) kind() messageKind     { return kindRollReply }
