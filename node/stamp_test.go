package node

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestStampsThatContradict(t *testing.T) {
	lines := Lineage{{ID: 7, Began: 10}, {ID: 8, Began: 20, Damaged: true}, {ID: 9, Began: 30}, {ID: 4, Began: 30}, {ID: 5, Began: 35}}
	for _, c := range []struct {
		name string
		told Stamp
		want bool
	}{
		{"nothing was told", Stamp{}, false},
		{"a line at its end", Stamp{7, 20}, false},
		{"a line beyond its end", Stamp{7, 21}, true},
		{"a line beyond the end that damage gave it", Stamp{8, 99}, false},
		{"a line that made no commit", Stamp{9, 30}, false},
		{"a line that made none, beyond its end", Stamp{9, 31}, true},
		{"the line that runs", Stamp{5, 1000}, false},
		{"a missing line", Stamp{6, 25}, true},
		{"a missing line, long ago", Stamp{6, 10}, false},
		{"a missing line, after the oldest one kept began", Stamp{6, 11}, true},
	} {
		if got := lines.contradicts(c.told); got != c.want {
			t.Errorf("%s: %+v contradicts: %v, want %v", c.name, c.told, got, c.want)
		}
	}
	if (Lineage{{ID: 1, Began: 0}}).contradicts(Stamp{2, 1}) != true {
		t.Error("a store that lost its whole lineage is not noticed")
	}
}

func TestOldLinesAreDropped(t *testing.T) {
	// While the record has shown nothing, all are kept, up to the bound.
	var l Lineage
	for i := range uint64(maxLines) {
		var ok bool
		if l, ok = l.extend(LineID(i+1), i, 0); !ok || len(l) != int(i)+1 {
			t.Fatalf("start %d: %d lines, %v", i, len(l), ok)
		}
	}
	if _, ok := l.extend(9999, maxLines, 0); ok {
		t.Fatal("a lineage grows above its bound")
	}
	// The record has shown line 100: those before it may go, it and the later ones not.
	l, ok := l.extend(9999, maxLines, 100)
	if !ok || l[0].ID != 100 || l.Running() != 9999 {
		t.Fatalf("%v: begins with line %d, ends with %d", ok, l[0].ID, l.Running())
	}
	// It has shown the last one: keptLines are left.
	l, ok = l.extend(10000, maxLines, 9999)
	if !ok || len(l) != keptLines || l.Running() != 10000 {
		t.Fatalf("%v: %d lines, the last is %d", ok, len(l), l.Running())
	}
}

// diskInTime is a disk as the property below sees it.
type diskInTime struct {
	lines Lineage
	count uint64
	shown LineID
}

// TestARollBackIsProvedByWhatWasToldSince follows a disk through starts, commits, and
// roll-backs to earlier states of its own, with a listener who was told some stamps. What
// the listener knows must be exactly right: a stamp contradicts the lineage if and only if the disk
// does not descend from the state that told it.
func TestARollBackIsProvedByWhatWasToldSince(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type state struct {
			diskInTime
			past []Stamp // told by it or by a state before it
		}
		var told []Stamp
		saved := []state{}
		now := state{}
		lines := LineID(0)
		start := func() {
			lines++
			l, ok := now.lines.extend(lines, now.count, now.shown)
			if !ok {
				t.Fatal("the lineage is full")
			}
			now.lines = l
			now.count++
		}
		start()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				start()
			case 1, 2:
				now.count++
			case 3:
				s := Stamp{now.lines.Running(), now.count}
				told = append(told, s)
				now.past = append(append([]Stamp(nil), now.past...), s)
			case 4:
				saved = append(saved, now)
			case 5:
				if len(saved) > 0 {
					now = saved[rapid.IntRange(0, len(saved)-1).Draw(t, "saved")]
					start() // no process continues on a restored disk
				}
			}
		}
		for _, s := range told {
			descendant := false
			for _, p := range now.past {
				descendant = descendant || p == s
			}
			// What was told at the very count of the state that was saved is lost too, but it
			// told nothing that the state does not hold.
			holds := false
			if i := now.lines.place(s.Line); i >= 0 && (i+1 == len(now.lines) || s.Count <= now.lines[i+1].Began) {
				holds = true
			}
			if got := now.lines.contradicts(s); got == (descendant || holds) {
				t.Fatalf("%+v, told by a state that this is a descendant of: %v, contradicts: %v; %+v", s, descendant, got, now.lines)
			}
		}
	})
}

func TestLineageCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Lineage
		began := uint64(0)
		for i := range rapid.IntRange(0, 80).Draw(t, "lines") {
			began += rapid.Uint64Range(0, 9).Draw(t, "commits")
			l = append(l, Line{ID: LineID(i + 1), Began: began, Damaged: rapid.Bool().Draw(t, "damaged")})
		}
		shown, got, err := decodeLineage(encodeLineage(7, l))
		if err != nil || shown != 7 || fmt.Sprint(got) != fmt.Sprint(l) {
			t.Fatalf("%v, %v, %v, want %v", shown, got, err, l)
		}
	})
	for name, l := range map[string]Lineage{
		"a nameless line": {{ID: 0}},
		"a line twice":    {{ID: 1}, {ID: 2}, {ID: 1}},
		"a count fell":    {{ID: 1, Began: 5}, {ID: 2, Began: 4}},
		"too many":        make(Lineage, maxLines+1),
	} {
		if _, _, err := decodeLineage(encodeLineage(0, l)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecodeLineage(f *testing.F) {
	f.Add(encodeLineage(1, Lineage{{ID: 1}, {ID: 2, Began: 3, Damaged: true}, {ID: 3, Began: 3}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		shown, l, err := decodeLineage(b)
		if err == nil && !bytes.Equal(encodeLineage(shown, l), b) {
			t.Fatalf("%x decodes as %d, %v", b, shown, l)
		}
	})
}
