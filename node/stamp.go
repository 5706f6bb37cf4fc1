package node

import "fmt"

// The identity of a disk in time. A store id says which disk this is, but a disk that was
// rolled back to an earlier state, or copied, has the same one. What it promised and
// acknowledged since is gone, and counting it as before can lose acknowledged writes (rule
// "a disk proves that it was not rolled back").
//
// A store counts its synced commits, for as long as it exists, and draws a random line at
// each start. Its lineage is the list of these lines with the counts at which they began.
// A peer that was told a line and a count, a stamp, can compare: a store that really wrote
// it keeps the line in its lineage, and ended it no earlier. Because the lineage is only
// ever extended, running on does not hide a roll-back.
//
// This file is the arithmetic; stamps.go has what a node does with it.

// LineID names the time from one start of a store to the next. It is drawn at random, so
// that two processes never share one, whatever disks they started on. Zero names none.
type LineID uint64

// Stamp is how far a store had come when it spoke to another node: the synced commits it has ever
// made, and the line that made the last of them. The zero Stamp tells nothing.
type Stamp struct {
	Line  LineID
	Count uint64
}

// Line is one start of a store. Its commits have the counts above Began; it ended where
// the next line began, which is the count that the next start recovered.
type Line struct {
	ID    LineID
	Began uint64
	// Damaged marks a line that a start ended early because it found damage in the log:
	// the line may have told greater counts.
	Damaged bool
}

// Lineage is the list of a store's lines, oldest first; the last is the one that runs.
// Began never falls, no ID stands twice, and old lines are missing: see extend.
type Lineage []Line

const (
	// keptLines is how many lines a lineage keeps. Who was told an older one, and
	// nothing since, can't tell a roll-back any more.
	keptLines = 64
	// maxLines bounds a lineage that keeps more because ZooKeeper's record may still name
	// an old line.
	maxLines = 4096
)

// contradicts reports whether a stamp that this store told proves that it was rolled back
// or copied since: its lineage lacks the line, or ended it below the count. What was told
// before the oldest line kept began contradicts nothing.
func (l Lineage) contradicts(told Stamp) bool {
	if told.Line == 0 || len(l) == 0 {
		return false
	}
	for i := range l {
		if l[i].ID == told.Line {
			ended := i+1 < len(l)
			return ended && told.Count > l[i+1].Began && !l[i].Damaged
		}
	}
	return told.Count > l[0].Began
}

// extend returns the lineage with a new line that begins at the count that a start
// recovered. shown is the latest line that ZooKeeper's record has shown: lines before it
// are dropped while more than keptLines are left, the others are kept, so that the record
// always names a line that can be compared. ok is false if that would be too many: then
// the start waits until the record has shown a later one.
func (l Lineage) extend(id LineID, recovered uint64, shown LineID) (extended Lineage, ok bool) {
	drop := max(0, min(l.place(shown), len(l)+1-keptLines))
	if len(l)+1-drop > maxLines {
		return l, false
	}
	extended = append(make(Lineage, 0, len(l)+1-drop), l[drop:]...)
	return append(extended, Line{ID: id, Began: recovered}), true
}

// place returns where a line stands; -1 if the lineage lacks it.
func (l Lineage) place(id LineID) int {
	for i := range l {
		if l[i].ID == id {
			return i
		}
	}
	return -1
}

// Running returns the line that runs; 0 in a lineage without lines.
func (l Lineage) Running() LineID {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1].ID
}

// lineBytes is the size of an encoded Line.
const lineBytes = 8 + 8 + 1

func (w *wireWriter) lineage(l Lineage) {
	w.count(len(l))
	for _, line := range l {
		w.u64(uint64(line.ID))
		w.u64(line.Began)
		w.bool(line.Damaged)
	}
}

// lineage reads a list in which every stamp has one meaning: no line is nameless or stands
// twice, and none began before the line ahead of it.
func (r *wireReader) lineage() Lineage {
	count := r.count(lineBytes)
	if count > maxLines {
		r.fail(errCount)
	}
	if count == 0 || r.err != nil {
		return nil
	}
	l, seen := make(Lineage, count), make(map[LineID]bool, count)
	for i := range l {
		l[i] = Line{ID: LineID(r.u64()), Began: r.u64(), Damaged: r.bool()}
		if l[i].ID == 0 || seen[l[i].ID] || i > 0 && l[i].Began < l[i-1].Began && !l[i-1].Damaged {
			r.fail(errValue)
			return nil
		}
		seen[l[i].ID] = true
	}
	return l
}

func (w *wireWriter) stamp(s Stamp) {
	w.u64(uint64(s.Line))
	w.u64(s.Count)
}

func (r *wireReader) stamp() Stamp { return Stamp{Line: LineID(r.u64()), Count: r.u64()} }

// stampBytes is the size of an encoded Stamp.
const stampBytes = 16

func encodeStamp(s Stamp) []byte {
	w := wireWriter{buf: make([]byte, 0, stampBytes)}
	w.stamp(s)
	return w.buf
}

func decodeStamp(b []byte) (Stamp, error) {
	if len(b) != stampBytes {
		return Stamp{}, fmt.Errorf("%d bytes where a stamp has %d", len(b), stampBytes)
	}
	r := wireReader{rest: b}
	return r.stamp(), nil
}

// encodeLineage is the lineage as the store keeps it, with the latest line that ZooKeeper's
// record has shown.
func encodeLineage(shown LineID, l Lineage) []byte {
	w := wireWriter{buf: make([]byte, 0, 8+4+len(l)*lineBytes)}
	w.u64(uint64(shown))
	w.lineage(l)
	return w.buf
}

func decodeLineage(b []byte) (shown LineID, l Lineage, err error) {
	r := wireReader{rest: b}
	shown, l = LineID(r.u64()), r.lineage()
	return shown, l, r.end()
}
