package node

// The log that a copy needs and that memory does not keep. Rule "a copy's log is kept":
// a snapshot is worth nothing if the log no longer continues from it when it has arrived,
// and a large one takes longer to arrive than memory can hold what is written meanwhile.
// So what compaction takes out of memory stays on disk for as long as a copy needs it, is
// read from there in pieces of ChunkBytes, and is given up, with the copy, at a bound of
// bytes for all partitions together.

// kept is the part of a log that only the disk has: the entries after base, up to the base
// of the log in memory. It grows by what a compaction takes out of memory, and goes in the
// same pieces.
type kept struct {
	base   Index // meaningful only if there are pieces
	epoch  Epoch // of the entry at base
	pieces []piece
	bytes  int // of all pieces
}

// piece ends with an entry: end is its index, epoch its epoch.
type piece struct {
	end   Index
	epoch Epoch
	bytes int
}

// firstKept returns the index after which this node can show the log, from memory or disk.
func (r *replica) firstKept() Index {
	if len(r.kept.pieces) > 0 {
		return r.kept.base
	}
	return r.log.baseIndex
}

// neededFrom returns the index after which a copy needs the log; ok is false if no copy
// needs any. A transfer needs what follows its snapshot, until it is closed; a member that
// got a snapshot needs what follows its match.
func (r *replica) neededFrom() (i Index, ok bool) {
	need := func(from Index) {
		if from > 0 && from >= r.firstKept() && (!ok || from < i) {
			i, ok = from, true
		}
	}
	for _, t := range r.n.transfers {
		if t.partition == r.id {
			need(t.name.Index)
		}
	}
	if g := r.reign; g != nil && g.phase == leading {
		for _, f := range g.learners.list {
			need(f.match)
		}
		for _, f := range g.followers {
			if f.offeredAt != 0 && r.n.now()-f.answered <= r.n.cfg.SuspectAfter {
				need(f.match)
			}
		}
	}
	return i, ok
}

// keep is compaction's other half: the entries up to base leave memory, and the disk too
// unless a copy needs them. size is what they count for.
func (r *replica) keep(base Index, size int) {
	k := &r.kept
	if need, ok := r.neededFrom(); !ok || need >= base {
		r.dropKept(base)
		return
	}
	if len(k.pieces) == 0 {
		k.base, k.epoch = r.log.baseIndex, r.log.baseEpoch
	}
	epoch, _ := r.log.epochAt(base)
	k.pieces = append(k.pieces, piece{base, epoch, size})
	k.bytes += size
	r.n.copying.kept += size
}

// tickKept lets go what no copy needs any more; beyond the bound it gives the copy up
// (rule "a copy's log is kept").
func (r *replica) tickKept() {
	k := &r.kept
	if len(k.pieces) == 0 {
		return
	}
	if r.n.copying.kept > r.n.cfg.CopyLogBytes {
		r.giveUpKept()
		return
	}
	need, ok := r.neededFrom()
	if !ok || need >= r.log.baseIndex {
		r.dropKept(r.log.baseIndex)
		return
	}
	gone := 0
	for gone < len(k.pieces) && k.pieces[gone].end <= need {
		k.bytes -= k.pieces[gone].bytes
		r.n.copying.kept -= k.pieces[gone].bytes
		gone++
	}
	if gone > 0 {
		end := k.pieces[gone-1]
		r.deleteLog(k.base, end.end)
		k.base, k.epoch = end.end, end.epoch
		k.pieces = append([]piece(nil), k.pieces[gone:]...)
	}
}

// giveUpKept lets the log go that copies need, and the copies with it. They begin again
// with a new snapshot: those of learners after a back-off, those of replicas at once.
func (r *replica) giveUpKept() {
	r.n.observe(Event{Kind: EventCopyLogBound, Partition: r.id, Index: r.log.baseIndex})
	for i := len(r.n.transfers) - 1; i >= 0; i-- {
		if t := r.n.transfers[i]; t.partition == r.id && t.name.Index < r.log.baseIndex {
			r.n.closeTransfer(t)
		}
	}
	r.dropKept(r.log.baseIndex)
	if g := r.reign; g != nil && len(g.learners.list) > 0 {
		g.cancelCopy("the log that it needs has grown beyond --copy-log")
	}
}

// dropKept deletes what is on disk up to an index, and counts nothing as kept.
func (r *replica) dropKept(upTo Index) {
	r.deleteLog(r.firstKept(), upTo)
	r.n.copying.kept -= r.kept.bytes
	r.kept = kept{}
}

// deleteLog deletes the log's keys from an index, which may be gone already, to another.
func (r *replica) deleteLog(from, to Index) {
	begin, _ := logRange(r.id, from)
	end, _ := logRange(r.id, to+1)
	r.n.turn.batch.DeleteRange(begin, end)
}

// entriesAfter returns entries that follow prev, one batch of them at most, and the epoch
// at prev; ok is false if this node can't show the log from there. Below the base of the
// log in memory it reads the disk.
func (r *replica) entriesAfter(prev Index) (entries []Entry, prevEpoch Epoch, ok bool) {
	if epoch, ok := r.log.epochAt(prev); ok {
		return r.log.between(prev, r.log.lastIndex(), r.n.cfg.ChunkBytes), epoch, true
	}
	if prev < r.firstKept() || prev > r.log.baseIndex {
		return nil, 0, false
	}
	from := prev
	if prev == r.kept.base {
		prevEpoch = r.kept.epoch
		from++
	}
	size := 0
	var damage error
	begin, _ := logRange(r.id, from)
	end, _ := logRange(r.id, r.log.baseIndex+1)
	err := r.n.env.Store.Scan(begin, end, func(key, value []byte) bool {
		e, err := decodeEntry(value)
		if err != nil || e.Index != from {
			damage = wrapKey(key, broken("where entry %d belongs: %v", from, err))
			return false
		}
		from++
		if e.Index == prev {
			prevEpoch = e.Epoch
			return true
		}
		if size += e.size(); len(entries) > 0 && size > r.n.cfg.ChunkBytes {
			return false
		}
		entries = append(entries, cloneEntry(e))
		return true
	})
	if damage != nil {
		err = damage
	}
	if err != nil {
		r.n.fail(err)
		return nil, 0, false
	}
	return entries, prevEpoch, len(entries) > 0 && prevEpoch != 0
}

// dropOldLog deletes what a former process kept for copies: their Views went with it.
func (r *replica) dropOldLog() error {
	begin, _ := logRange(r.id, 0)
	end, _ := logRange(r.id, r.log.baseIndex+1)
	found := false
	err := r.n.env.Store.Scan(begin, end, func(_, _ []byte) bool {
		found = true
		return false
	})
	if found {
		r.n.turn.batch.DeleteRange(begin, end)
	}
	return err
}

// checkKept asserts what the comment of kept says.
func (r *replica) checkKept() error {
	k := &r.kept
	bytes, at := 0, k.base
	for _, p := range k.pieces {
		if p.end <= at || p.epoch < k.epoch {
			return broken("a piece of the kept log ends at %d of epoch %d, the one before at %d", p.end, p.epoch, at)
		}
		bytes, at = bytes+p.bytes, p.end
	}
	if len(k.pieces) > 0 && at != r.log.baseIndex || bytes != k.bytes {
		return broken("the kept log ends at %d and has %d bytes, counted as %d; memory begins after %d", at, bytes, k.bytes, r.log.baseIndex)
	}
	return nil
}
