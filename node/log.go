package node

import (
	"dkv/node/door"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// EntryKind tells what an entry does when it is applied.
type EntryKind uint8

const (
	// EntryNoop begins a reign.
	EntryNoop EntryKind = iota + 1
	EntryPut
	EntryDelete
)

// Entry is one position of a partition's log. Two entries with the same index and
// epoch are the same, because one process wrote the epoch's entries, each once: this is
// what all comparisons of logs rest on.
type Entry struct {
	Index Index
	Epoch Epoch
	Kind  EntryKind
	Key   []byte
	Value []byte
	If    door.Condition
}

// size returns what an entry counts for in bounds, in bytes.
func (e *Entry) size() int { return len(e.Key) + len(e.Value) + 64 }

// hash identifies the entry: its position and what it does. Checkers compare what two nodes
// applied at one index by it, so it covers every field.
func (e *Entry) hash() uint64 {
	var d xxhash.Digest
	d.Reset()
	var b [34]byte
	binary.BigEndian.PutUint64(b[0:], uint64(e.Index))
	binary.BigEndian.PutUint64(b[8:], uint64(e.Epoch))
	binary.BigEndian.PutUint64(b[16:], uint64(e.If.Match))
	binary.BigEndian.PutUint32(b[24:], uint32(len(e.Key)))
	binary.BigEndian.PutUint32(b[28:], uint32(len(e.Value)))
	b[32] = byte(e.Kind)
	if e.If.Absent {
		b[33] |= 1
	}
	if e.If.Present {
		b[33] |= 2
	}
	d.Write(b[:])
	d.Write(e.Key)
	d.Write(e.Value)
	return d.Sum64()
}

// log is the part of a partition's log that is kept: the entries after base.
// What is at or below base was applied and is in the state. The store holds the
// same entries; only recovery reads them back.
//
//   - entries[k] has index baseIndex + 1 + k: there are no gaps.
//   - Epochs never fall along the log, from baseEpoch on: a reign begins with the
//     log of an earlier epoch and appends to it.
//   - baseIndex and baseEpoch are 0 together, before anything was compacted or
//     loaded.
//
// A slice that between handed out is shared with messages that were sent. So no
// element of entries is ever written to again: append adds behind them, cut gives
// up the capacity with them, and compact copies.
type log struct {
	baseIndex Index
	baseEpoch Epoch
	entries   []Entry
}

// check asserts what the comment of log says. Of the entries it looks at the
// ends; append asserts for each one, as it comes, that it follows the one before.
func (l *log) check() error {
	if (l.baseIndex == 0) != (l.baseEpoch == 0) {
		return broken("the log begins after %d of epoch %d", l.baseIndex, l.baseEpoch)
	}
	if len(l.entries) == 0 {
		return nil
	}
	first, last := &l.entries[0], &l.entries[len(l.entries)-1]
	switch {
	case first.Index != l.baseIndex+1 || last.Index != l.lastIndex():
		return broken("entries %d to %d in a log of %d after %d", first.Index, last.Index, len(l.entries), l.baseIndex)
	case first.Epoch < l.baseEpoch || last.Epoch < first.Epoch:
		return broken("epochs %d to %d in a log after epoch %d", first.Epoch, last.Epoch, l.baseEpoch)
	}
	return nil
}

func (l *log) lastIndex() Index { return l.baseIndex + Index(len(l.entries)) }

// last returns the end of the log, last(log): what a Promise reports, and what logs are
// compared by.
func (l *log) last() (Epoch, Index) {
	if len(l.entries) == 0 {
		return l.baseEpoch, l.baseIndex
	}
	e := &l.entries[len(l.entries)-1]
	return e.Epoch, e.Index
}

// epochAt returns the epoch of the entry at i; ok is false if the log does not reach it, at
// either end.
func (l *log) epochAt(i Index) (e Epoch, ok bool) {
	switch {
	case i == l.baseIndex:
		return l.baseEpoch, true
	case i < l.baseIndex || i > l.lastIndex():
		return 0, false
	}
	return l.entries[i-l.baseIndex-1].Epoch, true
}

// at returns the entry at i, which must be in the log. The entry must not be changed.
func (l *log) at(i Index) *Entry { return &l.entries[i-l.baseIndex-1] }

// between returns the entries in (after, upTo], as many as fit into maxBytes but at least
// one, so that an entry larger than that can be sent at all. The slice is never written to
// again, and its capacity ends with it.
func (l *log) between(after, upTo Index, maxBytes int) []Entry {
	if upTo > l.lastIndex() {
		upTo = l.lastIndex()
	}
	if after >= upTo {
		return nil
	}
	from := int(after - l.baseIndex)
	to, size := from, 0
	for to < int(upTo-l.baseIndex) {
		size += l.entries[to].size()
		if to > from && size > maxBytes {
			break
		}
		to++
	}
	return l.entries[from:to:to]
}

// append adds the entry that follows the last one.
func (l *log) append(e Entry) {
	assertf(e.Index == l.lastIndex()+1, "log: entry %d after %d", e.Index, l.lastIndex())
	l.entries = append(l.entries, e)
}

// cut removes the entries after i. The capacity goes with them, so that what was handed out
// by between is not written over.
func (l *log) cut(i Index) {
	keep := int(i - l.baseIndex)
	l.entries = l.entries[:keep:keep]
}

// compact moves the base up to i, which the log must reach. What remains is copied: the old
// entries, with their keys and values, would otherwise be kept by what follows them.
func (l *log) compact(i Index) {
	epoch, ok := l.epochAt(i)
	assertf(ok, "log: compacting to %d beyond %d..%d", i, l.baseIndex, l.lastIndex())
	kept := l.entries[i-l.baseIndex:]
	l.entries = append(make([]Entry, 0, 2*len(kept)+8), kept...) // with room to grow, as it will
	l.baseIndex, l.baseEpoch = i, epoch
}

// reset empties the log: what is up to (i, e) is in the state.
func (l *log) reset(i Index, e Epoch) {
	*l = log{baseIndex: i, baseEpoch: e}
}

// agree returns the greatest index, at most at, whose entry's epoch is at most e: the last
// place where this log can agree with one that has epoch e at at. Below it a disagreement
// needs no comparison entry by entry: each exchange of hints steps over a whole epoch, so
// two logs find their last common entry in as many steps as they have epochs.
func (l *log) agree(at Index, e Epoch) (Index, Epoch) {
	i := min(at, l.lastIndex())
	for i > l.baseIndex {
		epoch, _ := l.epochAt(i)
		if epoch <= e {
			return i, epoch
		}
		i--
	}
	return l.baseIndex, l.baseEpoch
}
