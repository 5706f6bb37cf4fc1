package node

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func within(key, from, to []byte) bool {
	return bytes.Compare(key, from) >= 0 && bytes.Compare(key, to) < 0
}

func TestKeysSortByNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := genPartition(t), genPartition(t)
		i, j := genUint64[Index](t), genUint64[Index](t)
		if got, ok := indexOfLogKey(logKey(p, i)); !ok || got != i {
			t.Fatalf("index %d of partition %d reads as %d, %v", i, p, got, ok)
		}
		if (bytes.Compare(logKey(p, i), logKey(p, j)) < 0) != (i < j) {
			t.Fatalf("log keys %d and %d do not sort", i, j)
		}
		if p != q && (bytes.Compare(logKey(p, i), logKey(q, j)) < 0) != (p < q) {
			t.Fatalf("log keys of partitions %d and %d do not sort", p, q)
		}
		from, to := logRange(p, i)
		if within(logKey(q, j), from, to) != (p == q && j >= i) {
			t.Fatalf("entry %d of partition %d in the range of partition %d from %d", j, q, p, i)
		}
	})
}

// TestRangesHoldTheirOwn: a range holds all keys of its kind, partition and
// generation, and none of another: what a DeleteRange must not touch.
func TestRangesHoldTheirOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := genPartition(t), genPartition(t)
		g, h := rapid.Uint64Range(0, 1<<40).Draw(t, "g"), rapid.Uint64Range(0, 1<<40).Draw(t, "h")
		if rapid.Bool().Draw(t, "same") {
			q, h = p, g
		}
		user := genBytes(t)
		key := kvKey(q, h, user)
		if from, to := kvRange(p, g); within(key, from, to) != (p == q && g == h) {
			t.Fatalf("key %q in the keys of partition %d, generation %d", key, p, g)
		} else if p == q && g == h && !bytes.Equal(key[len(from):], user) {
			t.Fatalf("key %q behind its prefix is %q, want %q", key, key[len(from):], user)
		}
		if within(key, generationKey(p, g), generationKey(p, g+1)) != (p == q && g == h) {
			t.Fatalf("key %q in generation %d of partition %d", key, g, p)
		}
		if within(key, generationKey(p, 0), generationsEnd(p)) != (p == q) {
			t.Fatalf("key %q in the generations of partition %d", key, p)
		}
		logFrom, logTo := logRange(p, 0)
		for _, fact := range [][]byte{promisedKey(q), stateKey(q), key, keyFormat, keyStore, keyCluster, keyBoot, keyLayout} {
			if within(fact, logFrom, logTo) {
				t.Fatalf("%q in the log of partition %d", fact, p)
			}
		}
		for _, fact := range [][]byte{promisedKey(q), stateKey(q), logKey(q, Index(h)), keyStore} {
			if within(fact, generationKey(p, 0), generationsEnd(p)) {
				t.Fatalf("%q in the generations of partition %d", fact, p)
			}
		}
	})
}

func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := stateRecord{genUint64[uint64](t), genUint64[Index](t), genUint64[Epoch](t), genUint64[Index](t), genUint64[Epoch](t)}
		if got, err := decodeState(s.encode()); err != nil || got != s {
			t.Fatalf("state %v reads as %v, %v", s, got, err)
		}
		v, value := genUint64[Version](t), genBytes(t)
		if gotV, got, err := decodeValue(encodeValue(v, value)); err != nil || gotV != v || !bytes.Equal(got, value) {
			t.Fatalf("value %q of version %d reads as %q, %d, %v", value, v, got, gotV, err)
		}
		if got, err := decodeNumber(encodeNumber(uint64(v))); err != nil || got != uint64(v) {
			t.Fatalf("number %d reads as %d, %v", v, got, err)
		}
	})
}

func TestRecordsOfAnotherLengthAreRefused(t *testing.T) {
	for n := range 48 {
		b := make([]byte, n)
		if _, err := decodeNumber(b); (err == nil) != (n == 8) {
			t.Errorf("a number of %d bytes: %v", n, err)
		}
		if _, _, err := decodeValue(b); (err == nil) != (n >= 8) {
			t.Errorf("a value of %d bytes: %v", n, err)
		}
		if _, err := decodeState(b); (err == nil) != (n == 40) {
			t.Errorf("a state of %d bytes: %v", n, err)
		}
		if _, ok := indexOfLogKey(b); ok != (n == 19) {
			t.Errorf("a log key of %d bytes: %v", n, ok)
		}
	}
}
