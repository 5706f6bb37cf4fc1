package world

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
)

// hashOf is the hash of a run that took these steps.
func hashOf(steps []stepFacts) uint64 {
	t := newTrace(nil)
	for _, s := range steps {
		t.step(s.at, s.sequence, s.host, s.kind, s.payload)
	}
	return t.Hash()
}

// Wherever a step stands, each bit of each of its fields decides the hash, and so do
// its presence and its place.
func TestEveryFieldOfEveryStepChangesTheHash(t *testing.T) {
	steps := make([]stepFacts, 2*bufferBytes/recordBytes+5)
	for i := range steps {
		steps[i] = stepFacts{time.Duration(i) * time.Millisecond, uint64(i) * 7, uint64(i) * 13, i%9 - 1, 1 + stepKind(i)%(kinds-1)}
	}
	seen := map[uint64]string{hashOf(steps): "as they are"}
	check := func(what string, other []stepFacts) {
		t.Helper()
		h := hashOf(other)
		if was, known := seen[h]; known {
			t.Errorf("the hash is the same with %s and with the steps %s", what, was)
		}
		seen[h] = what
	}
	for i := range steps {
		for name, change := range map[string]func(s *stepFacts){
			"time": func(s *stepFacts) { s.at++ }, "late time": func(s *stepFacts) { s.at ^= 1 << 50 },
			"sequence": func(s *stepFacts) { s.sequence ^= 1 << 20 }, "high sequence": func(s *stepFacts) { s.sequence ^= 1 << 63 },
			"host": func(s *stepFacts) { s.host ^= 1 << 4 }, "kind": func(s *stepFacts) { s.kind ^= 1 << 5 },
			"content": func(s *stepFacts) { s.payload ^= 1 }, "high content": func(s *stepFacts) { s.payload ^= 1 << 63 },
		} {
			other := slices.Clone(steps)
			change(&other[i])
			check(fmt.Sprintf("another %s in step %d", name, i), other)
		}
		check(fmt.Sprintf("step %d missing", i), slices.Delete(slices.Clone(steps), i, i+1))
		if i > 0 {
			other := slices.Clone(steps)
			other[i-1], other[i] = other[i], other[i-1]
			check(fmt.Sprintf("steps %d and %d exchanged", i-1, i), other)
		}
	}
	// A hash that is asked for early does not change the later ones.
	early := newTrace(nil)
	for _, s := range steps {
		early.step(s.at, s.sequence, s.host, s.kind, s.payload)
		early.Hash()
	}
	if early.Hash() != hashOf(steps) {
		t.Error("asking for the hash changes it")
	}
}

// eachField calls check for a copy of v with each field changed alone.
func eachField[T any](t *testing.T, v T, check func(field string, changed T)) {
	t.Helper()
	for i := range reflect.TypeFor[T]().NumField() {
		changed := v
		switch f := reflect.ValueOf(&changed).Elem().Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Slice:
			f.SetBytes(append(bytes.Clone(f.Bytes()), 0))
		case reflect.Struct:
			continue // a request's condition has a case of its own
		default:
			switch {
			case f.CanUint():
				f.SetUint(f.Uint() + 1)
			case f.CanInt():
				f.SetInt(f.Int() + 1)
			default:
				t.Fatalf("there is no change for a field of kind %v", f.Kind())
			}
		}
		check(reflect.TypeFor[T]().Field(i).Name, changed)
	}
}

// What nodes report, what clients ask and what they are told is hashed field by field.
func TestEveryFieldOfAnEventRequestAndAnswerIsHashed(t *testing.T) {
	ev := node.Event{Kind: 3, Partition: 4, Epoch: 5, Index: 6, Peer: 7, Hash: 8, Text: "text"}
	eachField(t, ev, func(field string, changed node.Event) {
		if eventHash(&changed) == eventHash(&ev) {
			t.Errorf("%s of an event is not in the hash", field)
		}
	})
	answer := door.Response{Outcome: door.Done, Reason: "reason", Version: 5, Value: []byte("value"), Index: 6}
	eachField(t, answer, func(field string, changed door.Response) {
		if responseHash(&changed, false) == responseHash(&answer, false) {
			t.Errorf("%s of an answer is not in the hash", field)
		}
	})
	if responseHash(&answer, true) == responseHash(&answer, false) {
		t.Error("a broken connection is not in the hash")
	}
	request := door.Request{Kind: door.RequestPut, Key: []byte("key"), Value: []byte("value"), Timeout: time.Second}
	hashes := []uint64{requestHash(&request)}
	eachField(t, request, func(field string, changed door.Request) {
		hashes = append(hashes, requestHash(&changed))
	})
	for _, change := range []func(r *door.Request){
		func(r *door.Request) { r.If.Match = 7 }, func(r *door.Request) { r.If.Absent = true },
		func(r *door.Request) { r.Key, r.Value = []byte("keyv"), []byte("alue") },
	} {
		changed := request
		change(&changed)
		hashes = append(hashes, requestHash(&changed))
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(hashes))); len(distinct) != len(hashes) {
		t.Errorf("of %d requests only %d hashes differ", len(hashes), len(distinct))
	}
}
