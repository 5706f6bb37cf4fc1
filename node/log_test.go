package node

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dkv/node/door"
)

// naiveLog keeps every entry that was ever compacted, and slices of nothing.
type naiveLog struct {
	base    int
	entries []Entry // all, from index 1
}

func (l *naiveLog) epochAt(i int) (Epoch, bool) {
	if i < l.base || i > len(l.entries) {
		return 0, false
	}
	if i == 0 {
		return 0, true
	}
	return l.entries[i-1].Epoch, true
}

// agree is the definition: the last place, from the base to at, with an epoch
// of at most e; the base if no entry has one.
func (l *naiveLog) agree(at int, e Epoch) (int, Epoch) {
	for i := min(at, len(l.entries)); i > l.base; i-- {
		if epoch, _ := l.epochAt(i); epoch <= e {
			return i, epoch
		}
	}
	epoch, _ := l.epochAt(l.base)
	return l.base, epoch
}

// TestLogIsItsEntries drives a log and a plain list side by side. What between
// handed out must stay as it was, whatever is cut and appended later.
func TestLogIsItsEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l log
		var model naiveLog
		epoch := Epoch(1)
		var lent, copies [][]Entry
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				epoch += Epoch(rapid.IntRange(0, 2).Draw(t, "raise"))
				e := Entry{Index: Index(len(model.entries) + 1), Epoch: epoch, Kind: EntryPut, Value: make([]byte, rapid.IntRange(0, 50).Draw(t, "size"))}
				l.append(e)
				model.entries = append(model.entries, e)
			},
			"cut": func(t *rapid.T) {
				i := rapid.IntRange(model.base, len(model.entries)).Draw(t, "after")
				l.cut(Index(i))
				model.entries = slices.Clone(model.entries[:i])
				epoch++ // what replaces an entry is of a later epoch
			},
			"compact": func(t *rapid.T) {
				model.base = rapid.IntRange(model.base, len(model.entries)).Draw(t, "base")
				l.compact(Index(model.base))
			},
			"between": func(t *rapid.T) {
				after := rapid.IntRange(model.base, len(model.entries)).Draw(t, "after")
				upTo := rapid.IntRange(0, len(model.entries)+2).Draw(t, "up to")
				bound := rapid.IntRange(0, 400).Draw(t, "bytes")
				got := l.between(Index(after), Index(upTo), bound)
				checkBetween(t, got, model.entries[after:max(after, min(upTo, len(model.entries)))], bound)
				lent, copies = append(lent, got), append(copies, slices.Clone(got))
			},
			"agree": func(t *rapid.T) {
				at := rapid.IntRange(model.base, len(model.entries)+2).Draw(t, "at")
				e := Epoch(rapid.Uint64Range(0, uint64(epoch)+1).Draw(t, "epoch"))
				i, got := l.agree(Index(at), e)
				if wantIndex, want := model.agree(at, e); int(i) != wantIndex || got != want {
					t.Fatalf("agree(%d, %d) = %d of epoch %d, want %d of %d", at, e, i, got, wantIndex, want)
				}
			},
			"": func(t *rapid.T) {
				checkLog(t, &l, &model)
				for k := range lent {
					if !slices.EqualFunc(lent[k], copies[k], func(a, b Entry) bool { return a.hash() == b.hash() }) {
						t.Fatalf("entries that were handed out have changed: %v, were %v", lent[k], copies[k])
					}
				}
			},
		})
	})
}

// checkBetween wants as many of all as fit into the bound, but at least one.
func checkBetween(t *rapid.T, got, all []Entry, bound int) {
	size := 0
	for k := range all {
		size += all[k].size()
		if within := k == 0 || size <= bound; within != (k < len(got)) {
			t.Fatalf("between gives %d of %d entries, the first %d are %d bytes, the bound is %d", len(got), len(all), k+1, size, bound)
		}
		if k < len(got) && got[k].hash() != all[k].hash() {
			t.Fatalf("between gives entry %v in place %d, want %v", got[k], k, all[k])
		}
	}
	if len(got) > len(all) {
		t.Fatalf("between gives %d entries of %d", len(got), len(all))
	}
}

func checkLog(t *rapid.T, l *log, model *naiveLog) {
	if err := l.check(); err != nil {
		t.Fatal(err)
	}
	wantEpoch, _ := model.epochAt(len(model.entries))
	if e, i := l.last(); int(i) != len(model.entries) || e != wantEpoch || l.lastIndex() != i {
		t.Fatalf("last is %d of epoch %d, want %d of %d", i, e, len(model.entries), wantEpoch)
	}
	for i := 0; i <= len(model.entries)+1; i++ {
		got, ok := l.epochAt(Index(i))
		if want, wantOK := model.epochAt(i); got != want || ok != wantOK {
			t.Fatalf("epochAt(%d) = %d, %v, want %d, %v", i, got, ok, want, wantOK)
		}
	}
}

func TestEntryHashCoversEverything(t *testing.T) {
	entries := []Entry{
		{Index: 1, Epoch: 1, Kind: EntryPut, Key: []byte("ab"), Value: []byte("c")},
		{Index: 2, Epoch: 1, Kind: EntryPut, Key: []byte("ab"), Value: []byte("c")},
		{Index: 1, Epoch: 2, Kind: EntryPut, Key: []byte("ab"), Value: []byte("c")},
		{Index: 1, Epoch: 1, Kind: EntryDelete, Key: []byte("ab"), Value: []byte("c")},
		{Index: 1, Epoch: 1, Kind: EntryPut, Key: []byte("a"), Value: []byte("bc")},
		{Index: 1, Epoch: 1, Kind: EntryPut, Key: []byte("ab"), Value: []byte("d")},
		{Index: 1, Epoch: 1, Kind: EntryPut, Key: []byte("ab"), Value: []byte("c"), If: door.Condition{Absent: true}},
		{Index: 1, Epoch: 1, Kind: EntryPut, Key: []byte("ab"), Value: []byte("c"), If: door.Condition{Present: true}},
		{Index: 1, Epoch: 1, Kind: EntryPut, Key: []byte("ab"), Value: []byte("c"), If: door.Condition{Match: 1}},
	}
	seen := make(map[uint64]int)
	for i := range entries {
		if j, ok := seen[entries[i].hash()]; ok {
			t.Errorf("entries %d and %d have the same hash", j, i)
		}
		seen[entries[i].hash()] = i
	}
}
