package door

// Store is an ordered map of bytes on one disk.
//
// Commits take effect in the order in which they are made. Get, Scan and View
// see every Commit made before them, durable or not. When done(nil) runs, its
// batch and every earlier one are durable; that holds for an empty batch too.
// After a crash the store holds the effects of a prefix of the commits, each
// batch whole, and the prefix reaches at least to the last batch whose done(nil)
// ran. After an error nothing later becomes durable: every later done gets an
// error, and the node stops.
type Store interface {
	// Get returns a copy of the value.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for the keys in [from, to), in order, until fn returns
	// false. The slices are valid only inside fn.
	Scan(from, to []byte, fn func(key, value []byte) bool) error
	// View returns the store as of this instant. The caller closes it.
	View() (View, error)
	// Commit applies the batch, which belongs to the store from then on. done
	// runs later, as an event of its own; nil means that the caller asks for no
	// sync.
	Commit(b *Batch, done func(error))
}

// View is an immutable snapshot of a Store.
type View interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
	Close()
}

// Batch is a list of changes that a Store applies atomically.
type Batch struct {
	Ops []BatchOp
}

// BatchOpKind says what a BatchOp does.
type BatchOpKind uint8

const (
	BatchPut BatchOpKind = iota + 1
	BatchDelete
	BatchDeleteRange
)

// BatchOp is one change. To is the end (exclusive) of a BatchDeleteRange,
// which begins at Key.
type BatchOp struct {
	Kind       BatchOpKind
	Key, Value []byte
	To         []byte
}

// Put sets a key. The batch keeps the slices.
func (b *Batch) Put(key, value []byte) {
	b.Ops = append(b.Ops, BatchOp{Kind: BatchPut, Key: key, Value: value})
}

// Delete removes a key, present or not.
func (b *Batch) Delete(key []byte) {
	b.Ops = append(b.Ops, BatchOp{Kind: BatchDelete, Key: key})
}

// DeleteRange removes the keys in [from, to).
func (b *Batch) DeleteRange(from, to []byte) {
	b.Ops = append(b.Ops, BatchOp{Kind: BatchDeleteRange, Key: from, To: to})
}

// Empty says that nothing would change.
func (b *Batch) Empty() bool { return len(b.Ops) == 0 }
