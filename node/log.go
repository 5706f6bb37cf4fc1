package node

// EntryKind says what an entry does when it is applied.
type EntryKind uint8

const (
	// EntryNoop begins a reign.
	EntryNoop EntryKind = iota + 1
	EntryPut
	EntryDelete
)

// Entry is one position of a partition's log. Two entries with the same index
// and epoch are the same.
type Entry struct {
	Index Index
	Epoch Epoch
	Kind  EntryKind
	Key   []byte
	Value []byte
	If    Condition
}
