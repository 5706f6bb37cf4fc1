package world

import (
	"dkv/node/door"
	"fmt"
	"slices"
	"testing"
)

// The model applies hardened batches late, or replaces the durable tree instead. A crash
// must leave the same as if each batch had been applied at once, after few batches and
// after many, whether or not there are later ones that are not durable.
func TestAModelStoreKeepsWhatWasHardened(t *testing.T) {
	random := NewRandom(1)
	m, plain := newTreeMedium(), newTree()
	var waiting []pending
	for i := range uint64(20_000) {
		b := &door.Batch{}
		key := fmt.Appendf(nil, "%03d", random.Below(300, "key", 0, i))
		switch random.Below(8, "kind", 0, i) {
		case 0:
			b.DeleteRange(key, fmt.Appendf(nil, "%s~", key[:2]))
		case 1:
			b.Delete(key)
		default:
			b.Put(key, fmt.Appendf(nil, "%d", i))
		}
		_ = m.apply(b, true)
		waiting = append(waiting, pending{batch: b})
		crowded := i%8000 > 4000 // some batches are never durable, so the tree can't be replaced
		if !crowded || len(waiting) > 5 {
			n := 1 + random.Below(len(waiting), "hardened", 0, i)
			if crowded {
				n = 1
			}
			_ = m.harden(waiting[:n], waiting[n:])
			for _, p := range waiting[:n] {
				plain.apply(p.batch)
			}
			waiting = waiting[n:]
		}
		settled := len(m.hardened) == 0 && len(waiting) > 1 // just now, mostly by a picture
		if random.Below(3000, "crash", 0, i) != 0 && !(settled && random.Below(8, "crash", 1, i) == 0) {
			continue
		}
		kept := random.Below(len(waiting)+1, "kept", 0, i)
		m.crash(waiting[:kept], waiting[kept:])
		for _, p := range waiting[:kept] {
			plain.apply(p.batch)
		}
		waiting = nil
		got, want := contents(m.now.root, nil, []byte{0xff}), contents(plain.root, nil, []byte{0xff})
		if !slices.Equal(got, want) {
			t.Fatalf("after the crash at batch %d: have %v, want %v", i, got, want)
		}
	}
}
