package world

import (
	"bytes"
	"dkv/node"
	"dkv/node/door"
	"fmt"
)

// rot is damage at one key of a disk, until it is repaired or overwritten.
type rot struct {
	key []byte
	// Silent rot returns the value with a bit flipped, as a disk without checksums
	// does. Other rot makes reading the key an error.
	silent bool
	bit    uint64
}

// isWritten reports whether a batch overwrites the damage.
func (r *rot) isWritten(b *door.Batch) bool {
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.Kind == door.BatchDeleteRange {
			if bytes.Compare(op.Key, r.key) <= 0 && bytes.Compare(r.key, op.To) < 0 {
				return true
			}
		} else if bytes.Equal(op.Key, r.key) {
			return true
		}
	}
	return false
}

// beginRot damages a drawn key. It returns false if there is no key to damage. Silent
// rot damages only log entries: they alone carry a checksum of the core. Of all other
// keys a Store promises that it returns what was put.
func (d *disk) beginRot(silent bool) bool {
	var keys [][]byte
	err := d.medium.scan(nil, []byte{0xff}, func(key, value []byte) bool {
		if !silent || isLogKey(key) && len(value) > 0 {
			keys = append(keys, bytes.Clone(key))
		}
		return true
	})
	if err != nil || len(keys) == 0 {
		return false
	}
	word := d.rots.word()
	d.rot = &rot{key: keys[word%uint64(len(keys))], silent: silent, bit: word >> 16}
	return true
}

// isLogKey reports whether a key holds a log entry (see keys.go of package node).
func isLogKey(key []byte) bool {
	return len(key) == 19 && bytes.HasPrefix(key, []byte("p/")) && bytes.Equal(key[6:11], []byte("/log/"))
}

// met returns what reading the damaged key gives.
func (d *disk) met(value []byte) ([]byte, error) {
	r := d.rot
	if !r.silent {
		return nil, d.strike(faultRot, fmt.Errorf("reading key %q: checksum mismatch", r.key))
	}
	d.hasFault = true
	d.count(faultFlipEntry)
	flipped := bytes.Clone(value)
	flipped[r.bit/8%uint64(len(flipped))] ^= 1 << (r.bit % 8)
	return flipped, nil
}

// get reads a key through the faults of the disk.
func (d *disk) get(read func(key []byte) ([]byte, bool, error), key []byte) ([]byte, bool, error) {
	value, ok, err := read(key)
	if err != nil {
		return nil, false, d.fail(err)
	}
	if ok && d.rot != nil && bytes.Equal(key, d.rot.key) {
		value, err = d.met(value)
	}
	return value, ok && err == nil, err
}

// mostScratch bounds what a disk keeps for its next scan: a key and a value fit.
const mostScratch = node.MaxValueBytes + 64<<10

// spoiled is what a process finds in a slice that it kept against the promise of Store.
var spoiled = bytes.Repeat([]byte{0xdb}, 1<<10)

// scan reads a range through the faults of the disk. It overwrites the slices that fn
// gets when fn returns.
func (d *disk) scan(read func(from, to []byte, fn func(key, value []byte) bool) error, from, to []byte, fn func(key, value []byte) bool) error {
	scratch := d.scratch
	d.scratch = nil // fn may scan as well
	var damage error
	err := read(from, to, func(key, value []byte) bool {
		if d.rot != nil && bytes.Equal(key, d.rot.key) {
			if value, damage = d.met(value); damage != nil {
				return false
			}
		}
		scratch = append(append(scratch[:0], key...), value...)
		more := fn(scratch[:len(key):len(key)], scratch[len(key):len(scratch):len(scratch)])
		for rest := scratch; len(rest) > 0; {
			rest = rest[copy(rest, spoiled):]
		}
		return more
	})
	if cap(scratch) <= mostScratch {
		d.scratch = scratch
	}
	if err != nil {
		return d.fail(err)
	}
	return damage
}

// ruin records an error of the medium. If a bit was flipped there and no other fault
// explains the error, the store has found that bit.
func (d *disk) ruin() {
	if d.flipped != 0 && !d.hasFault && !d.ruined {
		d.ruined = true
		d.count(d.flipped)
	}
}
