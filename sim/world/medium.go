package world

import (
	"fmt"
	"slices"

	"dkv/node/door"
	"dkv/sim/schedule"
)

// medium is what holds a disk's contents. The disk says what becomes durable
// when, and what goes wrong; a medium does as it is told.
type medium interface {
	get(key []byte) (value []byte, ok bool, err error)
	scan(from, to []byte, fn func(key, value []byte) bool) error
	// view is a picture of this instant.
	view() (door.View, error)
	// apply makes a batch seen. synced says that somebody waits for it to be
	// durable.
	apply(b *door.Batch, synced bool) error
	// harden makes the first of the batches that were applied durable; the rest
	// is not.
	harden(first, rest []pending) error
	// crash is a loss of power: all that was hardened is left, and as the disk
	// has drawn it the first batches of the others. It reports whether
	// something may be lost.
	crash(kept, lost []pending) bool
	// shutDown keeps all batches; those are what is not hardened.
	shutDown(all []pending)
	// open is the beginning of a process. Reading opens, too.
	open() error
	// flip flips a bit below a medium that crashed, and says whether it could.
	flip(what Fault, word uint64) bool
	// close lets go of everything; the medium is of no use then.
	close()
}

func newMedium(store schedule.Store, d *disk) medium {
	switch store {
	case schedule.PebbleStore:
		return newPebbleMedium()
	case schedule.PebbleRaw:
		return newRawMedium(d)
	}
	return newTreeMedium()
}

// treeMedium is the model: persistent trees in memory.
type treeMedium struct {
	now      tree          // what is seen
	durable  tree          // what every crash leaves, once
	hardened []*door.Batch // these are applied to it
	bytes    int           // of their values
}

// What a crash leaves is what was seen before, mostly, and nobody looks at it
// until then. So a batch that was hardened is not applied a second time at once:
// now and then the durable tree becomes a picture of the one that is seen, at an
// instant at which all of it is durable. Pictures cost copies of the pages that
// are written after them, so they are few.
const (
	fewHardened  = 256  // are kept before such an instant is waited for,
	mostHardened = 1024 // and waited for no longer;
	fewBytes     = 256 << 10
	mostBytes    = 1 << 20 // so too with their values
)

func newTreeMedium() *treeMedium {
	m := &treeMedium{now: newTree()}
	m.durable = m.now.fork()
	return m
}

func (m *treeMedium) get(key []byte) ([]byte, bool, error) { return get(m.now.root, key) }

func (m *treeMedium) scan(from, to []byte, fn func(key, value []byte) bool) error {
	m.now.picture().scan(from, to, fn)
	return nil
}

func (m *treeMedium) view() (door.View, error) { return picture{m.now.picture()}, nil }

func (m *treeMedium) apply(b *door.Batch, _ bool) error {
	m.now.apply(b)
	return nil
}

func (m *treeMedium) harden(first, rest []pending) error {
	m.keep(first)
	switch {
	case len(m.hardened) < fewHardened && m.bytes < fewBytes:
	case len(rest) == 0:
		m.durable = m.now.fork()
		m.forget()
	case len(m.hardened) >= mostHardened || m.bytes >= mostBytes:
		m.settle()
	}
	return nil
}

func (m *treeMedium) keep(list []pending) {
	for i := range list {
		batch := list[i].batch
		m.hardened = append(m.hardened, batch)
		for k := range batch.Ops {
			m.bytes += len(batch.Ops[k].Value)
		}
	}
}

// settle applies what was hardened to the durable tree.
func (m *treeMedium) settle() {
	for _, b := range m.hardened {
		m.durable.apply(b)
	}
	m.forget()
}

func (m *treeMedium) forget() {
	clear(m.hardened)
	m.hardened, m.bytes = m.hardened[:0], 0
}

func (m *treeMedium) crash(kept, lost []pending) bool {
	m.shutDown(kept)
	return anyWrites(lost)
}

func (m *treeMedium) shutDown(all []pending) {
	m.keep(all)
	m.settle()
	m.now = m.durable.fork()
}

func (m *treeMedium) open() error             { return nil }
func (m *treeMedium) flip(Fault, uint64) bool { return false }
func (m *treeMedium) close()                  {}

func anyWrites(list []pending) bool {
	return slices.ContainsFunc(list, func(p pending) bool { return !p.batch.Empty() })
}

// apply makes the changes of a batch.
func (t *tree) apply(b *door.Batch) {
	for i := range b.Ops {
		switch op := &b.Ops[i]; op.Kind {
		case door.BatchPut:
			t.put(op.Key, op.Value)
		case door.BatchDelete:
			t.delete(op.Key)
		case door.BatchDeleteRange:
			t.deleteRange(op.Key, op.To)
		default:
			panic(fmt.Sprintf("sim: a batch with an operation of kind %d", op.Kind))
		}
	}
}

// picture is a View of a tree.
type picture struct{ root *page }

func (p picture) Get(key []byte) ([]byte, bool, error) { return get(p.root, key) }

func (p picture) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	p.root.scan(from, to, fn)
	return nil
}

func (p picture) Close() {}

func get(root *page, key []byte) ([]byte, bool, error) {
	value, ok := root.get(key)
	if !ok {
		return nil, false, nil
	}
	return append(make([]byte, 0, len(value)), value...), true, nil
}
