package node

import (
	"encoding/binary"
	"fmt"

	"dkv/node/layout"
)

// StoreFormat is the version of the store's layout. A node opens a store of its own
// format or of an earlier one, which it raises in the first batch it writes; a newer
// one it refuses and leaves as it is. Format 1 had promises without a primary, and no
// stamps. The keys and values (numbers are big-endian, so that they sort):
//
//	m/format m/store m/cluster m/boot m/layout        facts of the node
//	m/count                                           synced commits ever made, u64
//	m/lines                                           last line shown u64, lineage
//	m/told                                            stamp that ZooKeeper's record was given
//	m/barred                                          why this store must not be used any more
//	m/known/<store id>                                stamp that a peer's store told
//	m/accused/<member u32>                            stamp that a member says is lacking here
//	p/<partition u32>/promised                        epoch u64, primary u64
//	p/<partition>/state                               see stateRecord
//	p/<partition>/install                             see partial
//	p/<partition>/log/<index u64>                     entry with checksum
//	p/<partition>/gen/<generation u64>/kv/<key>       version u64, value
const StoreFormat = 2

var (
	keyFormat  = []byte("m/format")
	keyStore   = []byte("m/store")
	keyCluster = []byte("m/cluster")
	keyBoot    = []byte("m/boot")
	keyLayout  = []byte("m/layout")
	keyCount   = []byte("m/count")
	keyLines   = []byte("m/lines")
	keyTold    = []byte("m/told")
	keyBarred  = []byte("m/barred")
)

// knownKey keeps the last stamp that a peer's store told. '0' follows '/'.
func knownKey(s StoreID) []byte { return append([]byte(knownPrefix), s...) }

const knownPrefix, knownEnd = "m/known/", "m/known0"

// accusedKey keeps an accusation.
func accusedKey(by MemberNumber) []byte {
	return binary.BigEndian.AppendUint32([]byte(accusedPrefix), uint32(by))
}

const accusedPrefix, accusedEnd = "m/accused/", "m/accused0"

// accuserOfKey is the inverse of accusedKey.
func accuserOfKey(key []byte) (MemberNumber, error) {
	number := key[len(accusedPrefix):]
	if len(number) != 4 {
		return 0, wrapKey(key, fmt.Errorf("%d bytes where the number of a member has 4", len(number)))
	}
	return MemberNumber(binary.BigEndian.Uint32(number)), nil
}

func partitionKey(p PartitionID, tail string) []byte {
	k := make([]byte, 0, 7+len(tail))
	k = append(k, "p/"...)
	k = binary.BigEndian.AppendUint32(k, uint32(p))
	k = append(k, '/')
	return append(k, tail...)
}

func promisedKey(p PartitionID) []byte { return partitionKey(p, "promised") }
func stateKey(p PartitionID) []byte    { return partitionKey(p, "state") }
func installKey(p PartitionID) []byte  { return partitionKey(p, "install") }

func logKey(p PartitionID, i Index) []byte {
	k := make([]byte, 0, 19)
	k = append(k, "p/"...)
	k = binary.BigEndian.AppendUint32(k, uint32(p))
	k = append(k, "/log/"...)
	return binary.BigEndian.AppendUint64(k, uint64(i))
}

// logRange bounds the log's keys from index i on.
func logRange(p PartitionID, i Index) (from, to []byte) {
	return logKey(p, i), partitionKey(p, "log0")
}

// indexOfLogKey is the inverse of logKey; ok is false for a foreign key.
func indexOfLogKey(key []byte) (i Index, ok bool) {
	if len(key) != 19 {
		return 0, false
	}
	return Index(binary.BigEndian.Uint64(key[11:])), true
}

// generationKey begins the keys of a generation. '0' follows '/', so
// generationsEnd ends those of all generations.
func generationKey(p PartitionID, gen uint64) []byte {
	k := partitionKey(p, "gen/")
	return binary.BigEndian.AppendUint64(k, gen)
}

func generationsEnd(p PartitionID) []byte { return partitionKey(p, "gen0") }

func kvPrefix(p PartitionID, gen uint64) []byte {
	return append(generationKey(p, gen), "/kv/"...)
}

// kvRange bounds the keys of a generation's state: '0' follows '/'.
func kvRange(p PartitionID, gen uint64) (from, to []byte) {
	return kvPrefix(p, gen), append(generationKey(p, gen), "/kv0"...)
}

func kvKey(p PartitionID, gen uint64, key []byte) []byte {
	k := make([]byte, 0, 23+len(key))
	k = append(k, "p/"...)
	k = binary.BigEndian.AppendUint32(k, uint32(p))
	k = append(k, "/gen/"...)
	k = binary.BigEndian.AppendUint64(k, gen)
	k = append(k, "/kv/"...)
	return append(k, key...)
}

func encodeNumber(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func decodeNumber(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%d bytes where a number has 8", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// encodePromise is the durable promise: no lower epoch is followed, and the promised one
// only under this primary (rule "a promise names its primary").
func encodePromise(e Epoch, primary MemberNumber) []byte {
	return binary.BigEndian.AppendUint64(encodeNumber(uint64(e)), uint64(primary))
}

// decodePromise also reads the promise of format 1, whose primary is unknown: 0.
func decodePromise(b []byte) (Epoch, MemberNumber, error) {
	if len(b) == 8 {
		return Epoch(binary.BigEndian.Uint64(b)), 0, nil
	}
	if len(b) != 16 {
		return 0, 0, fmt.Errorf("%d bytes where a promise has 16", len(b))
	}
	primary := binary.BigEndian.Uint64(b[8:])
	if primary > uint64(layout.MaxMemberNumber) {
		return 0, 0, fmt.Errorf("a promise to member %d, numbers end at %d", primary, layout.MaxMemberNumber)
	}
	return Epoch(binary.BigEndian.Uint64(b)), MemberNumber(primary), nil
}

// encodeValue puts the version before the value, so that a condition can be decided
// without knowing what kind of value it is.
func encodeValue(v Version, value []byte) []byte {
	b := make([]byte, 0, 8+len(value))
	b = binary.BigEndian.AppendUint64(b, uint64(v))
	return append(b, value...)
}

func decodeValue(b []byte) (Version, []byte, error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("%d bytes where a value has at least 8", len(b))
	}
	return Version(binary.BigEndian.Uint64(b)), b[8:], nil
}

// stateRecord says what the state of a partition is: which generation of keys
// is the valid one, up to which entry it was applied, and where the log
// begins.
type stateRecord struct {
	generation   uint64
	appliedIndex Index
	appliedEpoch Epoch
	baseIndex    Index
	baseEpoch    Epoch
}

func (s stateRecord) encode() []byte {
	b := make([]byte, 0, 40)
	b = binary.BigEndian.AppendUint64(b, s.generation)
	b = binary.BigEndian.AppendUint64(b, uint64(s.appliedIndex))
	b = binary.BigEndian.AppendUint64(b, uint64(s.appliedEpoch))
	b = binary.BigEndian.AppendUint64(b, uint64(s.baseIndex))
	return binary.BigEndian.AppendUint64(b, uint64(s.baseEpoch))
}

func decodeState(b []byte) (stateRecord, error) {
	if len(b) != 40 {
		return stateRecord{}, fmt.Errorf("%d bytes where a state has 40", len(b))
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return stateRecord{at(0), Index(at(1)), Epoch(at(2)), Index(at(3)), Epoch(at(4))}, nil
}
