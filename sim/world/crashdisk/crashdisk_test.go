package crashdisk_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/sim/world/crashdisk"
)

// filled commits numbered batches to a disk, with occasional syncs. It returns how many
// are durable for certain, and how many there are.
func filled(t *testing.T, d *crashdisk.CrashDisk, random *rand.Rand, from, count int) (durable, made int) {
	t.Helper()
	for made = from; made < from+count; made++ {
		if err := d.Commit(numbered(made+1), random.IntN(3) > 0); err != nil {
			t.Fatal(err)
		}
		if random.IntN(6) == 0 {
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			durable = made + 1
		}
	}
	return durable, made
}

func numbered(n int) *door.Batch {
	b := oneKey("last", fmt.Sprint(n))
	b.Put(fmt.Appendf(nil, "batch%05d", n), fmt.Appendf(nil, "%d %s", n, strings.Repeat("v", 300)))
	return b
}

// leftOn returns how many batches a disk holds. They must be a prefix, and whole.
func leftOn(t *testing.T, d *crashdisk.CrashDisk) (last int, err error) {
	t.Helper()
	store, err := d.Store()
	if err != nil {
		return 0, err
	}
	value, ok, err := store.Get([]byte("last"))
	if err != nil {
		return 0, err
	}
	if ok {
		if _, err := fmt.Sscan(string(value), &last); err != nil {
			t.Fatalf("last=%q", value)
		}
	}
	seen := 0
	err = store.Scan([]byte("batch"), []byte("batch~"), func(key, value []byte) bool {
		seen++
		want := numbered(seen).Ops[1]
		if string(key) != string(want.Key) || string(value) != string(want.Value) {
			t.Fatalf("instead of key %s there is %s=%.20q", want.Key, key, value)
		}
		return true
	})
	if err == nil && seen != last {
		t.Fatalf("%d batches, but the last is %d", seen, last)
	}
	return last, err
}

// TestPowerLossKeepsAPrefix cuts the power many times, and keeps between nothing and all
// of what was not synced.
func TestPowerLossKeepsAPrefix(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	d := crashdisk.NewCrashDisk(true)
	defer d.Close()
	last, unsynced, lost := 0, 0, 0
	for round := range 60 {
		durable, made := filled(t, d, random, last, random.IntN(300))
		durable = max(durable, last)
		percent := []int{0, 30, 70, 100}[round%4]
		if d.PowerLoss(percent, random.Uint64()) {
			unsynced++
		}
		left, err := leftOn(t, d)
		if err != nil {
			t.Fatal(err)
		}
		if left < durable || left > made {
			t.Fatalf("round %d: %d batches are left; %d were durable, %d made", round, left, durable, made)
		}
		if left < made {
			lost++
		}
		last = left
	}
	if unsynced < 15 || lost < 15 {
		t.Errorf("in 60 losses of power, %d found something that was not synced, and %d lost something", unsynced, lost)
	}
}

// TestFlippedBitsAreNoticed damages a disk. A damaged log is never opened, and a damaged
// table is read as it was written or not at all.
func TestFlippedBitsAreNoticed(t *testing.T) {
	for _, damage := range []crashdisk.Damage{crashdisk.DamagedLog, crashdisk.DamagedTable} {
		flipped, noticed := 0, 0
		for seed := range uint64(40) {
			random := rand.New(rand.NewPCG(seed, 7))
			d := crashdisk.NewCrashDisk(true)
			last, found := 0, false
			for !found {
				_, last = filled(t, d, random, last, 50+random.IntN(300))
				if err := d.Sync(); err != nil {
					t.Fatal(err)
				}
				d.PowerLoss(0, 0)
				if found = d.Flip(damage, seed); found {
					break
				}
				if left, err := leftOn(t, d); err != nil || left != last {
					t.Fatalf("seed %d, before any damage: %d of %d, %v", seed, left, last, err)
				}
			}
			left, err := leftOn(t, d)
			switch {
			case err != nil:
				noticed++
			case damage == crashdisk.DamagedLog:
				t.Errorf("seed %d: a damaged log was opened, %d batches of %d are left", seed, left, last)
			case left != last:
				t.Errorf("seed %d: %d batches of %d are left, without an error", seed, left, last)
			}
			flipped++
			_ = d.Close()
		}
		if noticed < flipped/4 { // some tables are out of use
			t.Errorf("damage %d: %d of %d flipped bits were noticed", damage, noticed, flipped)
		}
	}
}

func TestFlipNeedsADiskWithoutPower(t *testing.T) {
	d := crashdisk.NewCrashDisk(true)
	defer d.Close()
	if d.Flip(crashdisk.DamagedTable, 1) {
		t.Error("a bit of a disk without files was flipped")
	}
	filled(t, d, rand.New(rand.NewPCG(1, 1)), 0, 200)
	if d.Flip(crashdisk.DamagedTable, 1) || d.Flip(crashdisk.DamagedLog, 1) {
		t.Error("a bit was flipped below an open store")
	}
}

// Without the bounds, Pebble would wait for a sync that is held back, and so would the
// goroutine that could let it end.
func TestCommitsBehindHeldSyncsAreBounded(t *testing.T) {
	returns(t, "committing much without Sync", func() {
		d := crashdisk.NewCrashDisk(true)
		defer d.Close()
		for i := range 6000 {
			if err := d.Commit(oneKey("k", fmt.Sprint(i)), true); err != nil {
				t.Error(err)
				return
			}
		}
		for range 6 {
			if err := d.Commit(oneKey("large", strings.Repeat("v", 1<<20)), true); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// An empty commit after one that was too large to be held back makes Pebble sync nothing,
// so the loss of power must not wait for a sync.
func TestPowerLossWaitsOnlyForRequestedSyncs(t *testing.T) {
	const large = 1 << 20
	d := crashdisk.NewCrashDisk(true)
	first := new(door.Batch)
	first.Put([]byte("k"), make([]byte, large))
	for _, b := range []*door.Batch{first, new(door.Batch)} {
		if err := d.Commit(b, true); err != nil {
			t.Fatal(err)
		}
	}
	over := make(chan struct{})
	go func() {
		d.PowerLoss(0, 1)
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Fatal("the loss of power waits for ever")
	}
	store, err := d.Store()
	if err != nil {
		t.Fatal(err)
	}
	if value, ok, err := store.Get([]byte("k")); !ok || err != nil || len(value) != large {
		t.Errorf("%d bytes of what was durable are left: %t, %v", len(value), ok, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func oneKey(key, value string) *door.Batch {
	var b door.Batch
	b.Put([]byte(key), []byte(value))
	return &b
}

// returns fails the test if fn does not return in time.
func returns(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not return", what)
	}
}
