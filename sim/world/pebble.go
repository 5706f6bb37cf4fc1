package world

import (
	"bytes"
	"slices"

	"dkv/node/door"
	"dkv/sim/world/crashdisk"
)

// pebbleMedium is Pebble, with the batches that are not durable kept in memory above
// it. Pebble gets a batch only when the batch is durable, and syncs it before the
// next loss of power. So a crash leaves exactly what the disk has drawn, however fast
// Pebble's goroutines are.
type pebbleMedium struct {
	disk  *crashdisk.CrashDisk
	above delta // of the batches that are not durable
}

func newPebbleMedium() *pebbleMedium {
	return &pebbleMedium{disk: crashdisk.NewCrashDisk(false), above: newDelta()}
}

func (m *pebbleMedium) get(key []byte) ([]byte, bool, error) {
	store, err := m.disk.Store()
	if err != nil {
		return nil, false, err
	}
	return m.above.picture().get(store, key)
}

func (m *pebbleMedium) scan(from, to []byte, fn func(key, value []byte) bool) error {
	store, err := m.disk.Store()
	if err != nil {
		return err
	}
	return m.above.picture().scan(store, from, to, fn)
}

func (m *pebbleMedium) view() (door.View, error) {
	store, err := m.disk.Store()
	if err != nil {
		return nil, err
	}
	below, err := store.View()
	if err != nil {
		return nil, err
	}
	return pebbleView{below, m.above.picture()}, nil
}

func (m *pebbleMedium) apply(b *door.Batch, _ bool) error {
	m.above.apply(b)
	return nil
}

func (m *pebbleMedium) harden(first, rest []pending) error {
	for i := range first {
		if err := m.disk.Commit(first[i].batch, false); err != nil {
			return err
		}
	}
	m.above = newDelta()
	for i := range rest {
		m.above.apply(rest[i].batch)
	}
	return nil
}

func (m *pebbleMedium) crash(kept, lost []pending) bool {
	m.settle(kept)
	m.disk.PowerLoss(0, 0)
	return anyWrites(lost)
}

// settle makes the kept batches durable and drops the others. There are no faults
// below this medium, so an error is a bug of the simulator or the store.
func (m *pebbleMedium) settle(kept []pending) {
	err := m.harden(kept, nil)
	if err == nil {
		err = m.disk.Sync()
	}
	if err != nil {
		panic("world: Pebble failed on a sound disk: " + err.Error())
	}
}

func (m *pebbleMedium) shutDown(all []pending) {
	m.settle(all)
	if err := m.disk.Close(); err != nil {
		panic("world: closing Pebble on a sound disk: " + err.Error())
	}
}

func (m *pebbleMedium) open() error {
	_, err := m.disk.Store()
	return err
}

func (m *pebbleMedium) flip(Fault, uint64) bool { return false }
func (m *pebbleMedium) close()                  { _ = m.disk.Close() }

// pebbleView is a View of Pebble, below a picture of what was not durable.
type pebbleView struct {
	below door.View
	above deltaPicture
}

func (v pebbleView) Get(key []byte) ([]byte, bool, error) { return v.above.get(v.below, key) }

func (v pebbleView) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	return v.above.scan(v.below, from, to, fn)
}

func (v pebbleView) Close() { v.below.Close() }

// delta is the effect of some batches on the store below: ranges that are deleted
// there, and keys that are put. A key that is put hides a deletion that covers it.
type delta struct {
	puts tree
	cuts []keyRange // sorted, apart from each other; never changed in place, as pictures share it
}

// keyRange is the keys in [from, to).
type keyRange struct{ from, to []byte }

func newDelta() delta { return delta{puts: newTree()} }

func (d *delta) apply(b *door.Batch) {
	d.puts.apply(b)
	for i := range b.Ops {
		switch op := &b.Ops[i]; op.Kind {
		case door.BatchDelete:
			d.cut(keyRange{op.Key, append(bytes.Clone(op.Key), 0)})
		case door.BatchDeleteRange:
			if bytes.Compare(op.Key, op.To) < 0 {
				d.cut(keyRange{op.Key, op.To})
			}
		}
	}
}

// cut adds a deleted range and joins it with those that it meets.
func (d *delta) cut(s keyRange) {
	first, _ := slices.BinarySearchFunc(d.cuts, s.from, func(c keyRange, from []byte) int { return bytes.Compare(c.to, from) })
	last := first
	for last < len(d.cuts) && bytes.Compare(d.cuts[last].from, s.to) <= 0 {
		if bytes.Compare(d.cuts[last].from, s.from) < 0 {
			s.from = d.cuts[last].from
		}
		if bytes.Compare(d.cuts[last].to, s.to) > 0 {
			s.to = d.cuts[last].to
		}
		last++
	}
	joined := make([]keyRange, 0, len(d.cuts)+1)
	joined = append(append(joined, d.cuts[:first]...), s)
	d.cuts = append(joined, d.cuts[last:]...)
}

func (d *delta) picture() deltaPicture { return deltaPicture{d.puts.picture(), d.cuts} }

// deltaPicture is a picture of a delta.
type deltaPicture struct {
	puts *page
	cuts []keyRange
}

// reader is the part that a Store and a View share.
type reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

func (d deltaPicture) isCut(key []byte) bool {
	i, found := slices.BinarySearchFunc(d.cuts, key, func(c keyRange, key []byte) int { return bytes.Compare(c.from, key) })
	return found || i > 0 && bytes.Compare(key, d.cuts[i-1].to) < 0
}

func (d deltaPicture) get(below reader, key []byte) ([]byte, bool, error) {
	if value, ok, err := get(d.puts, key); ok {
		return value, ok, err
	}
	if d.isCut(key) {
		return nil, false, nil
	}
	return below.Get(key)
}

// scan merges the keys that were put with those below that are not deleted.
func (d deltaPicture) scan(below reader, from, to []byte, fn func(key, value []byte) bool) error {
	type pair struct{ key, value []byte }
	var puts []pair
	d.puts.scan(from, to, func(key, value []byte) bool {
		puts = append(puts, pair{key, value})
		return true
	})
	more := true
	// upTo passes to fn the puts that are less than key; nil is greater than all.
	upTo := func(key []byte) {
		for more && len(puts) > 0 && (key == nil || bytes.Compare(puts[0].key, key) < 0) {
			more = fn(puts[0].key, puts[0].value)
			puts = puts[1:]
		}
	}
	err := below.Scan(from, to, func(key, value []byte) bool {
		upTo(key)
		if more && !(len(puts) > 0 && bytes.Equal(puts[0].key, key)) && !d.isCut(key) {
			more = fn(key, value)
		}
		return more
	})
	if err == nil {
		upTo(nil)
	}
	return err
}
