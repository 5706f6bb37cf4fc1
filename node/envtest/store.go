package envtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dkv/node"
	"dkv/node/door"
)

// StoreHarness is a world with one disk.
type StoreHarness interface {
	Loop
	// Open opens the store on the disk, or opens it again after Crash. It
	// fails the test if it can't.
	Open() door.Store
	// Crash ends the open store as a loss of power does. What must survive,
	// survives; of the rest the harness loses what it likes. No done of the
	// store runs any more.
	Crash()
}

// SyncFailer is a StoreHarness that can break its disk.
type SyncFailer interface {
	// FailSyncs lets every sync from now on fail, until Crash.
	FailSyncs()
}

// TestStore checks a Store against its promises. If the harness is a
// SyncFailer, it checks what happens after an error too.
func TestStore(t *testing.T, harness func(t *testing.T) StoreHarness) {
	tests := []struct {
		name string
		body func(*storeBody)
	}{
		{"ReadsSeeCommits", (*storeBody).readsSeeCommits},
		{"BatchesApplyInOrder", (*storeBody).batchesApplyInOrder},
		{"DeleteRangeBounds", (*storeBody).deleteRangeBounds},
		{"ScanBounds", (*storeBody).scanBounds},
		{"ViewsStandStill", (*storeBody).viewsStandStill},
		{"ReadsEqualAModel", (*storeBody).readsEqualAModel},
		{"DoneInOrder", (*storeBody).doneInOrder},
		{"DoneMeansDurable", (*storeBody).doneMeansDurable},
		{"EmptyBatchIsABarrier", (*storeBody).emptyBatchIsABarrier},
		{"LargeBatches", (*storeBody).largeBatches},
		{"CrashKeepsAPrefix", (*storeBody).crashKeepsAPrefix},
		{"NothingIsDurableAfterAnError", (*storeBody).nothingAfterError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := harness(t)
			b := &storeBody{stage: stage{t: t, loop: h}, harness: h}
			b.open()
			test.body(b)
		})
	}
}

type storeBody struct {
	stage
	harness StoreHarness
	store   door.Store
	opened  int // times
	made    int // commits with a done
	ended   int // dones that ran
	failed  int // of them with an error
}

func (b *storeBody) open() {
	b.t.Helper()
	b.store = b.harness.Open()
	b.opened++
	b.made, b.ended, b.failed = 0, 0, 0
}

// commit makes a batch of "key=value" and "-key" words. It runs in an event.
func (b *storeBody) commit(synced bool, words ...string) {
	var batch door.Batch
	for _, word := range words {
		if key, ok := strings.CutPrefix(word, "-"); ok {
			batch.Delete([]byte(key))
			continue
		}
		key, value, _ := strings.Cut(word, "=")
		batch.Put([]byte(key), []byte(value))
	}
	b.commitBatch(synced, &batch)
}

func (b *storeBody) commitBatch(synced bool, batch *door.Batch) {
	if !synced {
		b.store.Commit(batch, nil)
		return
	}
	b.made++
	number, opened := b.made, b.opened
	b.store.Commit(batch, func(err error) {
		b.event("a done", func() { b.onDone(number, opened, err) })()
	})
}

// onDone takes the done of a commit, by its number since the store was opened
// for the opened-th time.
func (b *storeBody) onDone(number, opened int, err error) {
	if opened != b.opened {
		b.t.Errorf("the done of commit %d ran after a crash", number)
		return
	}
	if number != b.ended+1 { // or twice
		b.t.Errorf("the done of commit %d ran after %d others", number, b.ended)
	}
	b.ended++
	if err != nil {
		b.failed++
	} else if b.failed > 0 {
		b.t.Errorf("commit %d succeeded after an error", number)
	}
}

// synced waits for all dones and wants no error.
func (b *storeBody) synced() {
	b.t.Helper()
	b.wait("the dones of all commits", func() bool { return b.ended == b.made })
	b.do(func() {
		if b.failed > 0 {
			b.t.Errorf("%d commits failed", b.failed)
		}
	})
}

func (b *storeBody) crash() {
	b.t.Helper()
	b.harness.Crash()
	b.open()
}

// reader is what a Store and a View have in common.
type reader interface {
	Get(key []byte) ([]byte, bool, error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// contents lists the keys in [from, to) as "key=value" words.
func (b *storeBody) contents(r reader, from, to string) string {
	var words []string
	err := r.Scan([]byte(from), []byte(to), func(key, value []byte) bool {
		words = append(words, fmt.Sprintf("%s=%s", key, value))
		return true
	})
	if err != nil {
		b.t.Errorf("scanning: %v", err)
	}
	return strings.Join(words, " ")
}

// want checks all that a reader holds below "~". It runs in an event.
func (b *storeBody) want(r reader, words string) {
	b.t.Helper()
	if got := b.contents(r, "", "~"); got != words {
		b.t.Errorf("the store holds %q; want %q", got, words)
	}
}

func (b *storeBody) get(r reader, key string) (value string, ok bool) {
	v, ok, err := r.Get([]byte(key))
	if err != nil {
		b.t.Errorf("reading %q: %v", key, err)
	}
	return string(v), ok
}

func (b *storeBody) readsSeeCommits() {
	b.do(func() {
		if v, ok := b.get(b.store, "a"); ok {
			b.t.Errorf("an empty store holds a=%q", v)
		}
		b.want(b.store, "")
		b.commit(true, "a=1", "b=2")
		b.want(b.store, "a=1 b=2") // before its done
		b.commit(false, "a=3", "-b", "-absent", "c=")
		b.want(b.store, "a=3 c=")
		if v, ok := b.get(b.store, "c"); !ok || v != "" {
			b.t.Errorf("an empty value reads as %q, %v", v, ok)
		}
		if v, ok := b.get(b.store, "b"); ok {
			b.t.Errorf("a deleted key reads as %q", v)
		}
	})
	b.do(func() {
		v, _, _ := b.store.Get([]byte("a"))
		if len(v) == 1 {
			v[0] = 'x'
		}
		if v, _ := b.get(b.store, "a"); v != "3" {
			b.t.Errorf("after its copy was written to, a=%q", v)
		}
		b.commit(true, "z=26")
		if v, ok := b.get(b.store, "z"); !ok || v != "26" {
			b.t.Errorf("z=%q, %v", v, ok)
		}
	})
	b.synced()
	b.do(func() { b.want(b.store, "a=3 c= z=26") })
}

func (b *storeBody) batchesApplyInOrder() {
	b.do(func() {
		b.commit(false, "a=1", "-a", "a=2", "b=1", "b=2", "b=3")
		b.want(b.store, "a=2 b=3")
		var batch door.Batch
		batch.Put([]byte("c1"), []byte("lost"))
		batch.DeleteRange([]byte("a"), []byte("d"))
		batch.Put([]byte("c2"), []byte("kept"))
		b.commitBatch(true, &batch)
		b.want(b.store, "c2=kept")
	})
	b.synced()
	b.do(func() { b.want(b.store, "c2=kept") })
}

func (b *storeBody) deleteRangeBounds() {
	deleteRange := func(from, to string) {
		var batch door.Batch
		batch.DeleteRange([]byte(from), []byte(to))
		b.commitBatch(true, &batch)
	}
	b.do(func() {
		b.commit(false, "a=1", "b=2", "b\x00=3", "c=4", "d=5")
		deleteRange("b", "b") // nothing
		deleteRange("d", "a") // nothing either
		b.want(b.store, "a=1 b=2 b\x00=3 c=4 d=5")
		deleteRange("b", "c")
		b.want(b.store, "a=1 c=4 d=5")
		b.commit(true, "b=6")
		b.want(b.store, "a=1 b=6 c=4 d=5")
	})
	b.synced()
	b.crash()
	b.do(func() {
		b.want(b.store, "a=1 b=6 c=4 d=5")
		deleteRange("", "~")
		b.want(b.store, "")
	})
	b.synced()
	b.crash()
	b.do(func() { b.want(b.store, "") })
}

func (b *storeBody) scanBounds() {
	b.do(func() {
		b.commit(true, "b=2", "a=1", "d=4", "c=3", "c\x00=0", "\xff=5")
		for _, c := range []struct{ from, to, want string }{
			{"a", "c", "a=1 b=2"},
			{"b", "c\x00", "b=2 c=3"},
			{"b", "c\x01", "b=2 c=3 c\x00=0"},
			{"bb", "e", "c=3 c\x00=0 d=4"},
			{"c", "c", ""},
			{"d", "a", ""},
			{"e", "\xff", ""},
			{"e", "\xff\x00", "\xff=5"},
		} {
			if got := b.contents(b.store, c.from, c.to); got != c.want {
				b.t.Errorf("[%q, %q) holds %q; want %q", c.from, c.to, got, c.want)
			}
		}
		var seen []string
		err := b.store.Scan([]byte("a"), []byte("z"), func(key, _ []byte) bool {
			seen = append(seen, string(key))
			return len(seen) < 2
		})
		if err != nil || !slices.Equal(seen, []string{"a", "b"}) {
			b.t.Errorf("a scan that stops after two keys saw %q, %v", seen, err)
		}
	})
	b.synced()
}

func (b *storeBody) viewsStandStill() {
	var first, second door.View
	view := func() door.View {
		v, err := b.store.View()
		if err != nil {
			b.t.Errorf("opening a View: %v", err)
		}
		return v
	}
	b.do(func() {
		b.commit(false, "a=1", "b=1")
		if first = view(); first == nil {
			return
		}
		b.commit(true, "a=2", "-b", "c=2")
		second = view()
		var batch door.Batch
		batch.DeleteRange([]byte("a"), []byte("z"))
		b.commitBatch(true, &batch)
	})
	if first == nil || second == nil {
		b.t.FailNow()
	}
	check := func() {
		b.want(first, "a=1 b=1")
		b.want(second, "a=2 c=2")
		b.want(b.store, "")
		if v, ok := b.get(first, "b"); !ok || v != "1" {
			b.t.Errorf("the first View reads b=%q, %v", v, ok)
		}
		if v, ok := b.get(second, "b"); ok {
			b.t.Errorf("the second View reads b=%q", v)
		}
		if v, ok := b.get(first, "c"); ok {
			b.t.Errorf("the first View reads c=%q", v)
		}
	}
	b.do(check)
	b.synced()
	b.do(check)
	b.do(func() {
		first.Close()
		b.commit(true, "a=3")
		b.want(second, "a=2 c=2")
		second.Close()
		b.want(b.store, "a=3")
	})
	b.synced()
}

// readsEqualAModel runs a random program against the store and a map.
func (b *storeBody) readsEqualAModel() {
	random := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	for step := range 300 {
		b.do(func() {
			batch := randomBatch(random, step)
			modelBatch(model, batch)
			b.commitBatch(random.IntN(3) == 0, batch)
			from, to := randomKey(random), randomKey(random)
			if got, want := b.contents(b.store, from, to), modelContents(model, from, to); got != want {
				b.t.Errorf("step %d: [%s, %s) holds %q; want %q", step, from, to, got, want)
			}
			key := randomKey(random)
			got, ok := b.get(b.store, key)
			if want, there := model[key]; got != want || ok != there {
				b.t.Errorf("step %d: %s=%q, %v; want %q, %v", step, key, got, ok, want, there)
			}
		})
	}
	b.synced()
	b.do(func() { b.want(b.store, modelContents(model, "", "~")) })
}

func randomKey(random *rand.Rand) string { return fmt.Sprintf("k%02d", random.IntN(60)) }

func randomBatch(random *rand.Rand, step int) *door.Batch {
	var batch door.Batch
	for i := range random.IntN(6) {
		key := randomKey(random)
		switch random.IntN(8) {
		case 0:
			batch.Delete([]byte(key))
		case 1:
			batch.DeleteRange([]byte(key), []byte(randomKey(random)))
		default:
			batch.Put([]byte(key), fmt.Appendf(nil, "%d.%d", step, i))
		}
	}
	return &batch
}

func modelBatch(model map[string]string, batch *door.Batch) {
	for _, op := range batch.Ops {
		switch op.Kind {
		case door.BatchPut:
			model[string(op.Key)] = string(op.Value)
		case door.BatchDelete:
			delete(model, string(op.Key))
		case door.BatchDeleteRange:
			for key := range model {
				if key >= string(op.Key) && key < string(op.To) {
					delete(model, key)
				}
			}
		}
	}
}

func modelContents(model map[string]string, from, to string) string {
	var words []string
	for key, value := range model {
		if key >= from && key < to {
			words = append(words, key+"="+value)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (b *storeBody) doneInOrder() {
	for round := range 5 {
		b.do(func() {
			for i := range 40 {
				switch i % 4 {
				case 0:
					b.commit(false, fmt.Sprintf("k%d=%d", i, round))
				case 1:
					b.commit(true) // empty
				default:
					b.commit(true, fmt.Sprintf("k%d=%d", i, round))
				}
			}
			if b.ended == b.made {
				b.t.Error("dones ran inside the event of their commits")
			}
		})
	}
	b.synced()
	b.loop.Settle() // no done runs twice
}

func (b *storeBody) doneMeansDurable() {
	b.do(func() {
		b.commit(false, "a=1")
		b.commit(false, "b=1", "a=2")
		b.commit(true, "c=1", "-b")
	})
	b.synced()
	b.crash()
	b.do(func() { b.want(b.store, "a=2 c=1") })
	b.crash() // nothing was written since
	b.do(func() { b.want(b.store, "a=2 c=1") })
}

func (b *storeBody) emptyBatchIsABarrier() {
	b.do(func() { b.commit(true) }) // in an empty store
	b.synced()
	b.do(func() {
		b.commit(false, "a=1")
		b.commit(false)
		b.commit(true)
	})
	b.synced()
	b.crash()
	b.do(func() { b.want(b.store, "a=1") })

	b.do(func() {
		b.commit(true, "a=2")
		b.commit(true) // behind a commit that asked for a sync itself
	})
	b.wait("the barrier", func() bool { return b.ended == 2 })
	b.do(func() { b.commit(true) }) // with nothing to sync
	b.synced()
	b.crash()
	b.do(func() { b.want(b.store, "a=2") })
}

func (b *storeBody) largeBatches() {
	value := bytes.Repeat([]byte("v"), node.MaxValueBytes)
	key := bytes.Repeat([]byte("k"), node.MaxKeyBytes)
	const large = 12 // together above what a store may buffer at one time
	b.do(func() {
		var batch door.Batch
		for i := range large {
			batch.Put(fmt.Appendf(nil, "large%02d", i), value)
		}
		batch.Put(key, value)
		b.commitBatch(true, &batch)
		var many door.Batch
		for i := range 5000 {
			many.Put(fmt.Appendf(nil, "many%04d", i), []byte("small"))
		}
		b.commitBatch(true, &many)
	})
	b.synced()
	b.crash()
	b.do(func() {
		keys := map[string]int{}
		err := b.store.Scan(nil, []byte("~"), func(k, v []byte) bool {
			switch {
			case bytes.HasPrefix(k, []byte("many")) && string(v) == "small":
				keys["many"]++
			case bytes.Equal(v, value):
				keys["large"]++
			}
			return true
		})
		if err != nil || keys["many"] != 5000 || keys["large"] != large+1 {
			b.t.Errorf("after a crash: %v, %v", keys, err)
		}
	})
}

// crashKeepsAPrefix commits numbered batches and crashes, again and again on
// the same disk. Each batch writes its number at "last" and at a key of its
// own, and clears the range of an older one, so that a batch that survived in
// part, or without an earlier one, shows.
func (b *storeBody) crashKeepsAPrefix() {
	random := rand.New(rand.NewPCG(3, 4))
	number := 0
	for range 25 {
		durable := number
		var asked []int // the batches with a done
		b.do(func() {
			for range random.IntN(12) {
				number++
				synced := random.IntN(3) > 0
				if synced {
					asked = append(asked, number)
				}
				b.commitBatch(synced, numberedBatch(number))
			}
		})
		want := random.IntN(len(asked) + 1)
		b.wait("some dones", func() bool { return b.ended >= want })
		b.do(func() {
			if b.ended > 0 {
				durable = asked[b.ended-1]
			}
		})
		b.crash()
		b.do(func() { number = b.survivor(durable, number) })
	}
}

func numberedBatch(n int) *door.Batch {
	var batch door.Batch
	batch.Put([]byte("last"), fmt.Appendf(nil, "%d", n))
	for i := range 3 {
		batch.Put(fmt.Appendf(nil, "batch%04d.%d", n, i), fmt.Appendf(nil, "%d", n))
	}
	if n > 8 {
		batch.DeleteRange(fmt.Appendf(nil, "batch%04d", n-8), fmt.Appendf(nil, "batch%04d", n-7))
	}
	return &batch
}

// survivor checks that the store holds the batches up to some number, whole,
// not below durable and not above made, and returns the number.
func (b *storeBody) survivor(durable, made int) int {
	last := 0
	if v, ok := b.get(b.store, "last"); ok {
		if _, err := fmt.Sscan(v, &last); err != nil {
			b.t.Errorf("last=%q", v)
		}
	}
	if last < durable || last > made {
		b.t.Errorf("batches up to %d survived; %d were durable, %d made", last, durable, made)
	}
	var want []string
	for n := max(1, last-7); n <= last; n++ {
		for i := range 3 {
			want = append(want, fmt.Sprintf("batch%04d.%d=%d", n, i, n))
		}
	}
	if got := b.contents(b.store, "batch", "batch~"); got != strings.Join(want, " ") {
		b.t.Errorf("after %d batches the store holds %q", last, got)
	}
	return last
}

func (b *storeBody) nothingAfterError() {
	failer, ok := b.harness.(SyncFailer)
	if !ok {
		b.t.Skip("this world's disk does not fail")
	}
	b.do(func() { b.commit(true, "last=1", "a=1") })
	b.synced()
	failer.FailSyncs()
	b.do(func() {
		b.commit(false, "last=2")
		b.commit(true, "last=3", "a=3")
	})
	b.wait("the done of a commit that can't be synced", func() bool { return b.ended == b.made })
	b.do(func() {
		if b.failed != 1 {
			b.t.Error("a commit was acknowledged although its sync failed")
		}
		b.commit(true, "last=4")
		b.commit(false, "last=5")
		b.commit(true)
	})
	b.wait("the dones after an error", func() bool { return b.ended == b.made })
	b.do(func() {
		if b.failed != 3 {
			b.t.Errorf("%d of 3 commits failed after an error", b.failed)
		}
	})
	b.crash()
	b.do(func() {
		last, _ := b.get(b.store, "last")
		a, _ := b.get(b.store, "a")
		if want := map[string]string{"1": "1", "2": "1", "3": "3", "4": "3", "5": "3"}[last]; want == "" || a != want {
			b.t.Errorf("after the error and a crash: last=%s a=%s", last, a)
		}
		b.commit(true, "a=6")
	})
	b.synced()
}
