package world

import (
	"dkv/node/door"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func put(pairs ...string) *door.Batch {
	b := new(door.Batch)
	for i := 0; i < len(pairs); i += 2 {
		b.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return b
}

func storeContents(t interface{ Fatalf(string, ...any) }, s interface {
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}) []string {
	var list []string
	err := s.Scan([]byte{0}, []byte{0xff}, func(key, value []byte) bool {
		list = append(list, string(key)+"="+string(value))
		return true
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return list
}

// TestDiskKeepsAPrefix commits, lets some time pass, and crashes. What is left is the
// effect of a prefix of the batches, which includes every batch whose done has run.
func TestDiskKeepsAPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScheduler(nil)
		d := newDisk(s, NewRandom(rapid.Uint64().Draw(t, "seed")), DiskProfile{}, 0)
		now := model{}
		after := [][]string{nil} // contents after each batch
		durable, told := 0, 0
		floor := 0 // batches of former processes, which are durable
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				d.crash()
				got := contents(d.medium.(*treeMedium).now.root, nil, nil) // Scan would take a picture
				survived := -1
				for i := len(after) - 1; i >= 0; i-- {
					if slices.Equal(after[i], got) {
						survived = i
						break
					}
				}
				if survived < max(durable, floor) {
					t.Fatalf("after the crash: %v, the effect of %d batches; %d were durable of %v", got, survived, durable, after)
				}
				after = after[:survived+1]
				now = model{}
				for _, word := range got {
					key, value, _ := strings.Cut(word, "=")
					now[key] = value
				}
				floor, durable = survived, survived
			case 1, 2, 3:
				s.Step()
			default:
				key := fmt.Sprint("k", rapid.IntRange(0, 9).Draw(t, "key"))
				b := put(key, fmt.Sprint("v", step), "step", fmt.Sprint(step))
				now[key], now["step"] = fmt.Sprint("v", step), fmt.Sprint(step)
				if rapid.IntRange(0, 4).Draw(t, "also") == 0 {
					b.DeleteRange([]byte("k2"), []byte("k5"))
					for _, k := range now.inRange("k2", "k5") {
						delete(now, k)
					}
				}
				n := len(after)
				var done func(error)
				if rapid.Bool().Draw(t, "sync") {
					told++
					done = func(err error) {
						if err != nil {
							t.Fatalf("done: %v", err)
						}
						if n < durable {
							t.Fatalf("done of batch %d after that of %d", n, durable)
						}
						durable = n
					}
				}
				d.Commit(b, done)
				after = append(after, now.contents("", "~"))
			}
		}
		for s.Step() {
		}
		if d.syncing != 0 || d.Views() != 0 {
			t.Fatalf("at rest: %d batches syncing, %d views", d.syncing, d.Views())
		}
	})
}

func TestDiskTellsInOrderAndAlsoOfEmptyBatches(t *testing.T) {
	s := newScheduler(nil)
	d := newDisk(s, NewRandom(1), DiskProfile{}, 0)
	var order []int
	for i := range 20 {
		b := put("k", fmt.Sprint(i))
		if i%3 == 0 {
			b = new(door.Batch)
		}
		if i%5 == 4 {
			d.Commit(b, nil)
			continue
		}
		d.Commit(b, func(err error) {
			if err != nil {
				t.Error(err)
			}
			order = append(order, i)
		})
		if len(order) != 0 && i == 0 {
			t.Error("done ran inside Commit")
		}
		if i == 7 {
			s.Step()
		}
	}
	for s.Step() {
	}
	if want := []int{0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18}; !slices.Equal(order, want) {
		t.Errorf("dones ran as %v, want %v", order, want)
	}
	if s.Now() > 3*2*time.Millisecond {
		t.Errorf("three syncs took %v", s.Now())
	}
	d.Commit(put("k", "20"), nil)
	for s.Step() {
	}
	if got := len(d.suffix); got != 1 {
		t.Errorf("%d batches are not durable, want the one that asked for no sync", got)
	}
}

func TestDiskViewStaysUntilClosed(t *testing.T) {
	s := newScheduler(nil)
	d := newDisk(s, NewRandom(1), DiskProfile{}, 0)
	d.Commit(put("a", "1", "b", "1"), nil)
	v, err := d.View()
	if err != nil {
		t.Fatal(err)
	}
	b := put("a", "2")
	b.Delete([]byte("b"))
	d.Commit(b, nil)
	if got := storeContents(t, v); !slices.Equal(got, []string{"a=1", "b=1"}) {
		t.Errorf("the view has %v", got)
	}
	if got := storeContents(t, d); !slices.Equal(got, []string{"a=2"}) {
		t.Errorf("the store has %v", got)
	}
	if d.Views() != 1 {
		t.Errorf("%d views", d.Views())
	}
	v.Close()
	if d.Views() != 0 {
		t.Errorf("%d views", d.Views())
	}
	defer func() {
		if recover() == nil {
			t.Error("a closed view can be read")
		}
	}()
	v.Get([]byte("a"))
}

func TestDiskLimitsViews(t *testing.T) {
	d := newDisk(newScheduler(nil), NewRandom(1), DiskProfile{}, 0)
	for range maxOpenViews {
		if _, err := d.View(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.View(); !errors.Is(err, errViews) {
		t.Errorf("one view too many: %v", err)
	}
}

func TestDiskScanLendsItsSlices(t *testing.T) {
	d := newDisk(newScheduler(nil), NewRandom(1), DiskProfile{}, 0)
	d.Commit(put("a", "1", "b", "2"), nil)
	var kept [][]byte
	d.Scan([]byte("a"), []byte("z"), func(key, _ []byte) bool {
		kept = append(kept, key)
		return true
	})
	if string(kept[0]) == "a" {
		t.Error("a slice that was kept after the scan was not overwritten")
	}
	value, ok, _ := d.Get([]byte("a"))
	value[0] = 'x'
	if again, _, _ := d.Get([]byte("a")); !ok || string(again) != "1" {
		t.Errorf("get gave out the store's own bytes: now %q", again)
	}
}

// What fn does with the disk during a scan changes nothing of what the scan gives: neither
// a commit in the middle, nor another scan, which needs a scratch of its own.
func TestDiskScanGivesWhatWasThereWhenItBegan(t *testing.T) {
	d := newDisk(newScheduler(nil), NewRandom(1), DiskProfile{}, 0)
	d.Commit(put("a", "1", "b", "2", "c", "3"), nil)
	_ = d.Scan(nil, []byte{0xff}, func(_, _ []byte) bool { return true }) // leaves a scratch
	var seen []string
	_ = d.Scan(nil, []byte{0xff}, func(key, value []byte) bool {
		if len(seen) == 0 {
			d.Commit(put("b", "changed", "bb", "new"), nil)
			_ = d.Scan(nil, []byte{0xff}, func(_, _ []byte) bool { return true })
		}
		seen = append(seen, string(key)+"="+string(value))
		return true
	})
	if want := []string{"a=1", "b=2", "c=3"}; !slices.Equal(seen, want) {
		t.Errorf("the scan gives %q, want %q", seen, want)
	}
	if value, _, _ := d.Get([]byte("b")); string(value) != "changed" {
		t.Errorf("b is %q after the commit", value)
	}
}

func TestDiskFaults(t *testing.T) {
	s := newScheduler(nil)
	d := newDisk(s, NewRandom(1), DiskProfile{Sync: Range{time.Millisecond, time.Millisecond}}, 0)
	var counted []Fault
	d.count = func(f Fault) { counted = append(counted, f) }
	sync := func(b *door.Batch) (at time.Duration, err error) {
		began := s.Now()
		d.Commit(b, func(e error) { at, err = s.Now()-began, e })
		for s.Step() {
		}
		return at, err
	}
	d.slow = Range{time.Second, time.Second}
	if at, err := sync(put("a", "1")); at != 1001*time.Millisecond || err != nil {
		t.Errorf("slow: %v, %v", at, err)
	}
	d.slow = Range{}
	d.stallUntil = s.Now() + time.Minute
	if at, err := sync(put("a", "2")); at != time.Minute || err != nil {
		t.Errorf("stalled: %v, %v", at, err)
	}
	d.failNext = true
	if _, err := sync(put("a", "3")); err == nil {
		t.Error("the sync did not fail")
	}
	if _, err := sync(put("a", "4")); err == nil || !d.faulted() {
		t.Errorf("a sync after a failed one: %v; faulted: %t", err, d.faulted())
	}
	m := d.medium.(*treeMedium)
	m.settle()
	if v, _ := m.durable.root.get([]byte("a")); string(v) != "2" {
		t.Errorf("after failed syncs a=%s is durable", v)
	}
	if want := []Fault{faultSlowDisk, faultStallDisk, faultFailSync}; !slices.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
	d.crash()
	if _, err := sync(put("b", "5")); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if got := storeContents(t, d); !slices.Contains([]string{"2", "3", "4"}, got[0][2:]) {
		t.Errorf("left: %v", got)
	}
}

// sickDisk returns a disk with one key and one log entry, and the faults that it counts.
func sickDisk() (d *disk, sync func(*door.Batch) error, counted *[]Fault) {
	s := newScheduler(nil)
	d = newDisk(s, NewRandom(1), DiskProfile{}, 0)
	counted = new([]Fault)
	d.count = func(f Fault) { *counted = append(*counted, f) }
	return d, func(b *door.Batch) (err error) {
		d.Commit(b, func(e error) { err = e })
		for s.Step() {
		}
		return err
	}, counted
}

// readAll reads in every possible way.
func readAll(d *disk, v door.View, key string) []error {
	_, _, get := d.Get([]byte(key))
	_, _, viewGet := v.Get([]byte(key))
	all := func(_, _ []byte) bool { return true }
	return []error{get, viewGet, d.Scan(nil, []byte("~"), all), v.Scan(nil, []byte("~"), all)}
}

func TestDiskThatFailedKeepsNothingUntilTheProcessIsGone(t *testing.T) {
	for _, c := range []struct {
		name  string
		Fault Fault
		begin func(*disk)
		want  error
	}{
		{"eio", faultIO, func(d *disk) { d.broken = true }, errIO},
		{"full", faultFull, func(d *disk) { d.full = true }, errFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, sync, counted := sickDisk()
			if err := sync(put("a", "1")); err != nil {
				t.Fatal(err)
			}
			v, err := d.View()
			if err != nil {
				t.Fatal(err)
			}
			c.begin(d)
			if err := sync(put("a", "2")); err != c.want {
				t.Errorf("a commit: %v", err)
			}
			for i, err := range readAll(d, v, "a") {
				if d.broken && err != c.want || !d.broken && err != nil {
					t.Errorf("read %d: %v", i, err)
				}
			}
			d.heal()
			if err := sync(put("a", "3")); err != c.want {
				t.Errorf("a commit after an error, on a healed disk: %v", err)
			}
			if (*counted)[0] != c.Fault || !d.faulted() {
				t.Errorf("counted %v, faulted %t", *counted, d.faulted())
			}
			d.crash()
			if got := storeContents(t, d); !slices.Equal(got, []string{"a=1"}) {
				t.Errorf("after the restart: %v", got)
			}
			if err := sync(put("a", "4")); err != nil {
				t.Errorf("a commit after the restart: %v", err)
			}
		})
	}
}

func TestDiskFullCanBeRead(t *testing.T) {
	d, sync, counted := sickDisk()
	if err := sync(put("a", "1")); err != nil {
		t.Fatal(err)
	}
	d.full = true
	if err := sync(new(door.Batch)); err != nil {
		t.Errorf("a barrier: %v", err)
	}
	if got := storeContents(t, d); !slices.Equal(got, []string{"a=1"}) || len(*counted) != 0 {
		t.Errorf("got %v, counted %v", got, *counted)
	}
}

func TestDiskRotIsAnErrorAtItsKeyAlone(t *testing.T) {
	const log = "p/\x00\x00\x00\x01/log/\x00\x00\x00\x00\x00\x00\x00\x07"
	for _, silent := range []bool{false, true} {
		d, sync, counted := sickDisk()
		if err := sync(put("k", "1", log, "entry")); err != nil {
			t.Fatal(err)
		}
		for !d.beginRot(silent) || string(d.rot.key) != log {
		}
		if v, ok, err := d.Get([]byte("k")); string(v) != "1" || !ok || err != nil {
			t.Errorf("another key: %q, %t, %v", v, ok, err)
		}
		value, _, err := d.Get([]byte(log))
		if silent && (err != nil || string(value) == "entry" || len(value) != 5) ||
			!silent && (err == nil || !strings.Contains(err.Error(), "/log/")) {
			t.Errorf("silent %t: %q, %v", silent, value, err)
		}
		d.crash()
		seen := ""
		err = d.Scan(nil, []byte("~"), func(key, value []byte) bool {
			seen += string(value)
			return true
		})
		if silent && (err != nil || seen == "1entry" || len(seen) != 6) || !silent && (err == nil || seen != "1") {
			t.Errorf("silent %t: a scan saw %q, %v", silent, seen, err)
		}
		if len(*counted) != 2 || !d.faulted() {
			t.Errorf("silent %t: counted %v, faulted %t", silent, *counted, d.faulted())
		}
		d.crash()
		if err := sync(put(log, "anew")); err != nil {
			t.Fatal(err)
		}
		if value, _, err := d.Get([]byte(log)); err != nil || string(value) != "anew" {
			t.Errorf("silent %t: written over: %q, %v", silent, value, err)
		}
	}
}

func TestDiskCountsALostSuffixOnlyIfSomethingIsLost(t *testing.T) {
	lost := 0
	for seed := range uint64(40) {
		s := newScheduler(nil)
		d := newDisk(s, NewRandom(seed), DiskProfile{}, 0)
		counted := 0
		d.count = func(f Fault) { counted++ }
		d.Commit(put("a", "1"), nil)
		d.crash()
		_, there, _ := d.Get([]byte("a"))
		if there == (counted == 1) {
			t.Errorf("seed %d: the batch survived: %t; counted %d", seed, there, counted)
		}
		lost += counted
		d.Commit(new(door.Batch), nil)
		counted = 0
		d.crash()
		if counted != 0 {
			t.Errorf("seed %d: an empty batch counted as lost", seed)
		}
	}
	if lost < 5 || lost > 35 {
		t.Errorf("lost %d of 40", lost)
	}
}

func TestDiskShutDownKeepsAll(t *testing.T) {
	d := newDisk(newScheduler(nil), NewRandom(3), DiskProfile{}, 0)
	d.Commit(put("a", "1"), func(error) { t.Error("a done ran after the end") })
	d.shutDown()
	for d.scheduler.Step() {
	}
	d.crash()
	if _, ok, _ := d.Get([]byte("a")); !ok {
		t.Error("a batch is gone")
	}
}

func TestDiskSyncsAnewAfterACrash(t *testing.T) {
	s := newScheduler(nil)
	d := newDisk(s, NewRandom(1), DiskProfile{Sync: Range{time.Second, time.Second}}, 0)
	d.Commit(put("a", "1"), func(error) { t.Error("a done ran after the crash") })
	s.Schedule(900*time.Millisecond, NoHost, kindWorld, func() {
		d.crash()
		d.Commit(put("a", "2"), func(error) {
			if s.Now() != 1900*time.Millisecond {
				t.Errorf("durable at %v", s.Now())
			}
		})
	})
	for s.Step() {
	}
	if len(d.suffix) != 0 {
		t.Error("the batch is not durable")
	}
}

// BenchmarkDiskCommit makes the commits of a node that replicates: a log entry, a key,
// the state, and sometimes the removal of the front of the log.
func BenchmarkDiskCommit(b *testing.B) {
	s := newScheduler(nil)
	d := newDisk(s, NewRandom(1), DiskProfile{}, 0)
	done := func(error) {}
	value := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		batch := &door.Batch{Ops: make([]door.BatchOp, 0, 4)}
		batch.Put(fmt.Appendf(nil, "p/0001/log/%016x", i), value)
		batch.Put(fmt.Appendf(nil, "p/0001/00000001/kv/%04d", i*7919%1000), value)
		batch.Put([]byte("p/0001/state"), value)
		if i%64 == 63 {
			batch.DeleteRange([]byte("p/0001/log/"), fmt.Appendf(nil, "p/0001/log/%016x", max(0, i-256)))
		}
		d.Commit(batch, done)
		if i%4 == 3 {
			s.Step()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
