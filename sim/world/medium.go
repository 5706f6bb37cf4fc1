package world

import (
	"fmt"
	"slices"

	"dkv/node/door"
	"dkv/sim/schedule"
)

// medium holds the contents of a disk. The disk decides what becomes durable and
// which faults there are; a medium carries that out.
type medium interface {
	get(key []byte) (value []byte, ok bool, err error)
	scan(from, to []byte, fn func(key, value []byte) bool) error
	// view returns a picture of the contents as they are now.
	view() (door.View, error)
	// apply makes a batch visible. synced says that the process waits until it is
	// durable.
	apply(b *door.Batch, synced bool) error
	// harden makes the batches in first durable. first and rest together are all
	// batches that were applied and not hardened, in order.
	harden(first, rest []pending) error
	// crash loses power. What was hardened survives, and of the other batches
	// those in kept, as far as the medium follows the disk's draw. It reports
	// whether something may be lost.
	crash(kept, lost []pending) bool
	// shutDown makes everything durable; all are the batches that were not
	// hardened.
	shutDown(all []pending)
	// open prepares for a new process. Reading does so as well.
	open() error
	// flip flips a bit of a medium that has crashed. It returns false if it could
	// not.
	flip(what Fault, word uint64) bool
	// close releases everything. The medium can't be used afterwards.
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

// treeMedium is the model store: persistent trees in memory. What survives every
// crash is durable with the batches in hardened applied to it.
type treeMedium struct {
	now      tree          // the visible contents
	durable  tree          // the durable contents, without hardened
	hardened []*door.Batch // durable batches that are not applied to durable yet
	bytes    int           // size of their values
	scans    int           // of now, under way
}

// Only a crash reads the durable tree, so a hardened batch need not be applied to it
// at once. It is cheaper to replace the tree, now and then, with a picture of the
// visible one, at an instant at which that is durable as a whole. Such a picture
// costs copies of the pages that are written after it, so there should be few.
const (
	fewHardened  = 256  // with this many hardened batches, wait for such an instant
	mostHardened = 1024 // with this many, apply them instead
	fewBytes     = 256 << 10
	mostBytes    = 1 << 20
)

func newTreeMedium() *treeMedium {
	m := &treeMedium{now: newTree()}
	m.durable = m.now.fork()
	return m
}

func (m *treeMedium) get(key []byte) ([]byte, bool, error) { return get(m.now.root, key) }

func (m *treeMedium) scan(from, to []byte, fn func(key, value []byte) bool) error {
	m.scans++
	defer func() { m.scans-- }()
	m.now.root.scan(from, to, fn)
	return nil
}

func (m *treeMedium) view() (door.View, error) { return picture{m.now.picture()}, nil }

func (m *treeMedium) apply(b *door.Batch, _ bool) error {
	if m.scans > 0 {
		m.now.renew() // a scan sees the pages as they are
	}
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

// settle applies the hardened batches to the durable tree.
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
			panic(fmt.Sprintf("world: a batch has an operation of unknown kind %d", op.Kind))
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
