package world

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dkv/node/door"
	"dkv/sim/schedule"
)

// TestPebbleDiskEqualsTheModel gives two disks the same commits, crashes and shutdowns,
// and expects to read the same from both, and from their Views, at every step.
func TestPebbleDiskEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		var disks [2]*disk
		var schedulers [2]*scheduler
		for i, store := range []schedule.Store{schedule.ModelStore, schedule.PebbleStore} {
			schedulers[i] = newScheduler(nil)
			disks[i] = newDisk(schedulers[i], NewRandom(seed), DiskProfile{Store: store}, 0)
			defer disks[i].medium.close()
		}
		both := func(fn func(d *disk)) { fn(disks[0]); fn(disks[1]) }
		var views [2]door.View
		for step := range rapid.IntRange(1, 50).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				both((*disk).crash)
				views = [2]door.View{}
			case 1:
				both((*disk).shutDown)
				views = [2]door.View{}
			case 2, 3:
				schedulers[0].Step()
				schedulers[1].Step()
			case 4:
				for i, d := range disks {
					if views[i] != nil {
						views[i].Close()
					}
					var err error
					if views[i], err = d.View(); err != nil {
						t.Fatal(err)
					}
				}
			default:
				done := func(err error) {
					if err != nil {
						t.Fatal(err)
					}
				}
				if rapid.IntRange(0, 2).Draw(t, "unsynced") == 0 {
					done = nil
				}
				batch := randomBatch(t, step)
				both(func(d *disk) { d.Commit(&door.Batch{Ops: slices.Clone(batch.Ops)}, done) })
			}
			from := fmt.Sprintf("k%02d", rapid.IntRange(0, 20).Draw(t, "from"))
			to := []string{"k05", "k15", "~"}[rapid.IntRange(0, 2).Draw(t, "to")]
			stop := rapid.IntRange(0, 4).Draw(t, "stop")
			if model, pebble := read(t, disks[0], from, to, stop), read(t, disks[1], from, to, stop); model != pebble {
				t.Fatalf("step %d, [%s, %s): the model has %s, Pebble %s", step, from, to, model, pebble)
			}
			if views[0] == nil {
				continue
			}
			if model, pebble := read(t, views[0], from, to, stop), read(t, views[1], from, to, stop); model != pebble {
				t.Fatalf("step %d, [%s, %s): the model's View has %s, Pebble's %s", step, from, to, model, pebble)
			}
		}
	})
}

// randomBatch puts keys, and deletes keys and ranges.
func randomBatch(t *rapid.T, step int) *door.Batch {
	b := new(door.Batch)
	key := func() []byte { return fmt.Appendf(nil, "k%02d", rapid.IntRange(0, 20).Draw(t, "key")) }
	for i := range rapid.IntRange(0, 4).Draw(t, "operations") {
		switch rapid.IntRange(0, 5).Draw(t, "operation") {
		case 0:
			b.Delete(key())
		case 1:
			b.DeleteRange(key(), key())
		default:
			b.Put(key(), fmt.Appendf(nil, "%d.%d", step, i))
		}
	}
	return b
}

// read returns what a reader has in a range of keys, by Scan and by Get.
func read(t *rapid.T, r reader, from, to string, stopAfter int) string {
	var b strings.Builder
	left := stopAfter
	err := r.Scan([]byte(from), []byte(to), func(key, value []byte) bool {
		fmt.Fprintf(&b, "%s=%s ", key, value)
		left--
		return left != 0
	})
	value, ok, getErr := r.Get([]byte(from))
	if err != nil || getErr != nil {
		t.Fatalf("reading: %v, %v", err, getErr)
	}
	fmt.Fprintf(&b, "get %s: %s %t", from, value, ok)
	return b.String()
}
