package sim

import (
	"dkv/node/door"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// comparedSeeds are run on the model and on Pebble by a plain go test.
const comparedSeeds = 20

// TestPebbleTakesTheStepsOfTheModel: what a run shows does not depend on
// whether its disks are the model or Pebble.
func TestPebbleTakesTheStepsOfTheModel(t *testing.T) {
	for seed := uint64(1); seed <= comparedSeeds; seed++ {
		profile := [...]string{"default", "disk"}[seed%2]
		t.Run(fmt.Sprintf("seed=%d profile=%s", seed, profile), func(t *testing.T) {
			t.Parallel()
			var results [2]*Result
			for i, store := range []Store{ModelStore, PebbleStore} {
				s, err := DrawOn(seed, profile, store)
				if err != nil {
					t.Fatal(err)
				}
				if results[i], err = Run(s, RunOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			model, pebble := results[0], results[1]
			if model.Trace != pebble.Trace || model.Steps != pebble.Steps {
				t.Errorf("traces %016x of %d steps and, on Pebble, %016x of %d", model.Trace, model.Steps, pebble.Trace, pebble.Steps)
			}
			if !reflect.DeepEqual(model.History, pebble.History) || !reflect.DeepEqual(model.Counters, pebble.Counters) {
				t.Error("histories or counters differ")
			}
			if len(model.Classes)+len(pebble.Classes) > 0 {
				t.Errorf("classes %v and %v", model.Classes, pebble.Classes)
			}
		})
	}
}

// TestRawPebbleIsSafe runs a few seeds over torn and damaged files.
func TestRawPebbleIsSafe(t *testing.T) {
	sum := NewCampaign("disk")
	for seed := uint64(1); seed <= 12; seed++ {
		s, err := DrawOn(seed, "disk", PebbleRaw)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Violations {
			t.Errorf("seed %d: %v", seed, v)
		}
		sum.Add(r, 0)
	}
	for _, k := range sum.counters {
		if slices.Contains([]string{"disk-torn", "disk-flip-table"}, k.Name) && k.Count == 0 {
			t.Errorf("%s never took effect", k.Name)
		}
	}
}

// TestDamageNeverTakesAMajority strikes all disks of a cluster: the second and
// the third are spared, and the cluster serves on.
func TestDamageNeverTakesAMajority(t *testing.T) {
	s, err := ParseSchedule("seed 1\nnodes 3\nreplication 3\nstore pebble-raw\n" +
		"at 6s crash n1 for 100ms\nat 9s crash n2 for 100ms\nat 12s crash n3 for 100ms\n" + // tables are made of the logs
		"at 15s disk-flip-table n1 for 1s\nat 19s disk-flip-table n2 for 1s\nat 23s disk-flip-table n3 for 1s")
	if err != nil {
		t.Fatal(err)
	}
	spared := 0
	r, err := Run(s, RunOptions{Note: func(_ time.Duration, what string) {
		if strings.HasPrefix(what, "no bit was flipped") {
			spared++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if spared != 2 || len(r.Violations) > 0 {
		t.Errorf("%d of 3 disks were spared; %v", spared, r.Violations)
	}
}

// randomBatch puts and deletes keys, and ranges of them.
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

// read is all that a reader holds in a stretch of keys, by Scan and by Get.
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

// TestPebbleDiskEqualsTheModel gives two disks the same commits, crashes and
// ends, and reads the same from both, and from their Views, at every step.
func TestPebbleDiskEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		var disks [2]*disk
		var schedulers [2]*Scheduler
		for i, store := range []Store{ModelStore, PebbleStore} {
			schedulers[i] = NewScheduler(nil)
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
