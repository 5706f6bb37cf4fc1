package node

import (
	"dkv/node/door"
	"time"
)

// replica is this node's part of one partition: the log, the state, the promise,
// and what this node is to the partition just now: its primary (reign), about to
// become it (taker), or the receiver of a snapshot (install).
//
// Between two turns
//
//	base(log) <= applied == commit <= last(log)
//
// where commit restarts at applied with the process, and neither ever falls.
// applied follows commit in the same event: nothing waits between the two, so a
// read of the state sees all that is committed here.
type replica struct {
	n  *Node
	id PartitionID

	// Durable as of the turn's commit. The store may be behind while a commit is
	// under way, which is why an answer that speaks of these fields is sent from a
	// whenDurable (rules "persist before promise", "durable before acknowledged").
	//
	// promised never falls, and no entry has a greater epoch (rule "the log is a
	// promise"). promisedTo is its primary; 0 while no frame and no layout has named it,
	// which a promise of format 1 and one that only the log proves leave open.
	// generation names the keys that are the state.
	promised   Epoch
	promisedTo MemberNumber
	log        log
	generation uint64
	applied    Index

	// appliedEpoch is the epoch of the entry at applied, which the log still has
	// unless it is its base. appliedBytes is what the entries up to applied count
	// for; those after it are not the business of compaction. stored is the record
	// of all this in the store, and is what state returns, but for a tombstone,
	// which has none.
	appliedEpoch Epoch
	commit       Index
	appliedBytes int
	stored       stateRecord
	stateKey     []byte // of that record, made once: keys are never written to

	// bootPromised is what the store held when the process started; lastStarted
	// the greatest epoch in which it has acted as primary since. Both are at most
	// promised. An epoch above both was skipped by this process and can't be
	// started any more once promised has passed it (rule "refuse only for good").
	bootPromised Epoch
	lastStarted  Epoch

	// lastGeneration is the greatest generation ever written by this process
	// or found in the store, so that each transfer loads into a fresh one.
	lastGeneration uint64

	// The primary of the newest known epoch, as seen from here. heardEpoch may be
	// above the known epoch: a heartbeat names an epoch, but not its assignment.
	followed   Epoch         // the newest that onAssignment saw
	learnedAt  time.Duration // when this process first learned of the epoch
	heardEpoch Epoch
	heardAt    time.Duration
	lost       bool // its connection closed, and nothing was heard since

	// As a follower: the greatest match that was acknowledged in ackEpoch. While
	// ackEpoch == promised the log reaches it and is the primary's up to it.
	ackEpoch Epoch
	ackMatch Index

	// At most one reign stands, of the epoch that is promised. A transfer loads
	// into the newest generation, under an epoch of at least the promised one: a
	// promise of a higher epoch spoke of the old log, so it ends the transfer.
	reign   *reign
	ended   []endedReign // by rising epoch, all below promised
	taker   taker
	move    moveWatch
	kept    kept
	install *install
	partial *partial // of a snapshot whose transfer was interrupted

	// copiedAt is when the primary last sent something here that is not of R or N.
	copiedAt time.Duration

	toldCommit Index // what its primary said last is committed

	passed bool // to an heir, by this node's stop

	dirty, reading bool // listed in the turn
}

// check asserts what the comment of replica says.
func (r *replica) check() error {
	if err := r.log.check(); err != nil {
		return err
	}
	last := r.log.lastIndex()
	lastEpoch, _ := r.last()
	appliedEpoch, kept := r.log.epochAt(r.applied)
	switch {
	case r.applied < r.log.baseIndex || r.applied > last || r.applied != r.commit:
		return broken("applied %d, commit %d in a log from %d to %d", r.applied, r.commit, r.log.baseIndex, last)
	case !kept || appliedEpoch != r.appliedEpoch:
		return broken("applied up to epoch %d, where the log has epoch %d", r.appliedEpoch, appliedEpoch)
	case (r.applied == r.log.baseIndex) != (r.appliedBytes == 0) || r.appliedBytes < 0:
		return broken("%d bytes are applied between %d and %d", r.appliedBytes, r.log.baseIndex, r.applied)
	case lastEpoch > r.promised || r.bootPromised > r.promised || r.lastStarted > r.promised:
		return broken("promised %d, log %d, at the start %d, started %d", r.promised, lastEpoch, r.bootPromised, r.lastStarted)
	case r.stored != r.state() && (r.stored != stateRecord{} || r.applied != 0):
		return broken("stored %+v instead of %+v", r.stored, r.state())
	case r.followed > r.known().Epoch:
		return broken("follows epoch %d, knows %d", r.followed, r.known().Epoch)
	case r.ackEpoch > r.promised || r.ackEpoch == r.promised && r.ackMatch > last:
		return broken("acknowledged %d in epoch %d, promised %d, the log ends at %d", r.ackMatch, r.ackEpoch, r.promised, last)
	case len(r.ended) > 0 && r.ended[len(r.ended)-1].epoch > r.promised:
		return broken("the reign of epoch %d ended under promise %d", r.ended[len(r.ended)-1].epoch, r.promised)
	case r.taker.since == 0 && (r.taker.goAt != 0 || len(r.taker.votes) > 0):
		return broken("a step at %v and %d votes without having asked", r.taker.goAt, len(r.taker.votes))
	}
	if i := r.install; i != nil && (i.epoch < r.promised || i.generation <= r.generation || i.generation > r.lastGeneration) {
		return broken("a snapshot of epoch %d loads into generation %d; promised %d, generations %d to %d", i.epoch, i.generation, r.promised, r.generation, r.lastGeneration)
	}
	if err := r.checkPartial(); err != nil {
		return err
	}
	if err := r.checkKept(); err != nil {
		return err
	}
	if r.reign != nil {
		return r.reign.check()
	}
	return nil
}

func newReplica(n *Node, id PartitionID) *replica {
	return &replica{n: n, id: id, stateKey: stateKey(id), learnedAt: n.now()}
}

// known returns the newest assignment of the partition, wherever it came from.
func (r *replica) known() *Assignment { return &r.n.assignments[r.id] }

// onAssignment follows a newer assignment than any known before. Knowing an epoch is not
// promising it: a reign of a lower epoch closes, but ends only when promised rises. If
// this node is the new primary it starts at once, unless its disk has promised the epoch
// before this process began to act in it (rule "never resume an epoch").
func (r *replica) onAssignment(a Assignment) {
	r.learnedAt, r.followed = r.n.now(), a.Epoch
	r.lost = false
	r.taker.forget()
	r.watchMove(a)
	if g := r.reign; g != nil && g.epoch < a.Epoch {
		g.close(r.n.now())
	}
	if a.Primary == r.n.self && r.promised < a.Epoch && r.n.mayLead(&a) {
		r.startReign(a)
	}
}

// heard notes a frame of the reign of e. Frames of earlier epochs count for nothing: a
// deposed primary that still sends them must not keep this replica from taking over from
// a silent successor (rule "heard is per epoch").
func (r *replica) heard(e Epoch) {
	if e < r.heardEpoch {
		return
	}
	r.heardEpoch, r.heardAt = e, r.n.now()
	if e == r.known().Epoch {
		r.lost = false
	}
}

// silence returns how long the primary of the newest known epoch has not been heard
// here. It is given the time since this process learned of the epoch, or started, since it
// could not have been heard before. A lost connection counts as more than any bound: it
// nearly always means that the process is gone, and if not, the others still hear it.
func (r *replica) silence(now time.Duration) time.Duration {
	if r.lost {
		return 1 << 62
	}
	since := max(r.learnedAt, r.n.started)
	if r.heardEpoch == r.known().Epoch {
		since = max(since, r.heardAt)
	}
	return now - since
}

// raise makes promised at least e, with the turn's commit. When it rises, a reign of a
// lower epoch ends in the same event (rule "a higher promise ends the reign"), and so does
// a transfer under a lower epoch: the primary that gets the promise is told where the old log ends.
// What depends on the promise being durable waits for it in its own whenDurable. A promise
// that names no primary yet is given this one (rule "a promise names its primary").
func (r *replica) raise(e Epoch, primary MemberNumber) {
	if e < r.promised || e == r.promised && r.promisedTo != 0 {
		return
	}
	again := e == r.promised
	r.promised, r.promisedTo = e, primary
	r.n.turn.batch.Put(promisedKey(r.id), encodePromise(e, primary))
	if again {
		return
	}
	r.n.observe(Event{Kind: EventPromised, Partition: r.id, Epoch: e})
	r.endReign("a higher epoch was promised")
	if r.install != nil && r.install.epoch < e {
		r.suspendInstall()
	}
	r.n.whenDurable(r.inEpoch(e, func() {
		r.n.observe(Event{Kind: EventPromiseKept, Partition: r.id, Epoch: e})
	}))
}

// endReigns ends all reigns of a node that may lead no longer, though no higher epoch was
// promised. Its replicas are then as after a restart: they hold what they held, and an epoch
// that this node led is not led again.
func (n *Node) endReigns(why string) {
	for _, r := range n.replicas {
		if r != nil {
			r.endReign(why)
		}
	}
}

// inEpoch drops a callback that outlived the promise under which it was made. A sync
// takes milliseconds or seconds; in that time a higher epoch may be promised, and an
// answer in the old epoch would count this log for a primary that is no longer followed.
func (r *replica) inEpoch(e Epoch, fn func()) func() {
	return func() {
		r.n.scratch.uncheckedPartition(r.id)
		if r.promised != e {
			r.n.observe(Event{Kind: EventLateSync, Partition: r.id, Epoch: e})
			return
		}
		fn()
	}
}

// inReign is inEpoch for what only the reign's primary does: it also drops a callback that
// outlived a reign that ended without a higher promise.
func (g *reign) inReign(fn func()) func() {
	return g.r.inEpoch(g.epoch, func() {
		if g.r.reign == g {
			fn()
		}
	})
}

// appendEntry adds to the log, in memory and in the turn's batch. The two may not differ
// by more than the commits under way, so nothing else adds to either.
func (r *replica) appendEntry(e Entry) {
	r.log.append(e)
	r.n.turn.batch.Put(logKey(r.id, e.Index), appendEntry(nil, &e))
	r.n.observe(Event{Kind: EventLogged, Partition: r.id, Epoch: e.Epoch, Index: e.Index, Hash: e.hash()})
}

// cutAfter removes the log's entries after i. What is committed is never cut: if it had
// to be, two logs would have been chosen that differ in it, and the process ends before it
// serves one of them.
func (r *replica) cutAfter(i Index) {
	if i >= r.log.lastIndex() {
		return
	}
	assertf(i >= r.commit, "partition %d: cutting the log to %d below commit %d", r.id, i, r.commit)
	from, to := logRange(r.id, i+1)
	r.n.turn.batch.DeleteRange(from, to)
	r.log.cut(i)
	r.n.observe(Event{Kind: EventCut, Partition: r.id, Epoch: r.promised, Index: i})
}

// merge takes entries that follow prev, an entry that the logs share. It cuts only at the
// first entry that differs: rule "cut only at a difference". Entries that it has already
// are skipped. Frames are duplicated and overtake one another, so an Append that ends
// earlier than the log says nothing of what follows.
func (r *replica) merge(prev Index, entries []Entry) {
	for _, e := range entries {
		prev++
		assertf(e.Index == prev, "partition %d: entry %d where %d belongs", r.id, e.Index, prev)
		if e.Index <= r.log.lastIndex() {
			if epoch, ok := r.log.epochAt(e.Index); !ok || epoch == e.Epoch {
				continue // below the base all is applied, and the same
			}
			r.cutAfter(e.Index - 1)
		}
		r.appendEntry(e)
	}
}

// holds reports whether the log has the entry (i, e), or has applied i: what is applied
// was committed, so a primary of a later epoch has the same there, whatever the log here
// still remembers of it. That is rule "the past must match".
func (r *replica) holds(i Index, e Epoch) bool {
	if i <= r.applied {
		return true
	}
	epoch, ok := r.log.epochAt(i)
	return ok && epoch == e
}

// learnCommit takes a commit index from the primary of the promised epoch; i must not be
// beyond what this log shares with the primary's (rule "commit only what matches").
func (r *replica) learnCommit(i Index) {
	if i = min(i, r.log.lastIndex()); i > r.commit {
		r.commit = i
		r.apply()
	}
}

// apply brings the state up to commit. Conditions are decided here, in log order, the
// same at every replica (rule "decide at apply"); a primary answers from here. It stops
// where the store can't be read: an entry whose condition was not decided is not applied,
// and the node ends.
func (r *replica) apply() {
	for r.applied < r.commit && !r.n.dead {
		e := r.log.at(r.applied + 1)
		response := r.applyEntry(e)
		if r.n.dead {
			return // the store failed: the condition was not decided
		}
		r.applied, r.appliedEpoch = e.Index, e.Epoch
		r.appliedBytes += e.size()
		r.n.observe(Event{Kind: EventApplied, Partition: r.id, Epoch: e.Epoch, Index: e.Index, Hash: e.hash()})
		if r.reign != nil {
			r.reign.finish(e, response)
		}
	}
	r.touch()
}

// applyEntry makes one entry's change and returns what a client would hear. It reads the
// key only where the answer or the condition needs it: most puts go without.
func (r *replica) applyEntry(e *Entry) door.Response {
	if e.Kind == EntryNoop {
		return door.Response{}
	}
	key := kvKey(r.id, r.generation, e.Key)
	answer := door.Response{Outcome: door.Done, Index: e.Index}
	if e.Kind == EntryDelete || e.If != (door.Condition{}) {
		answer.Version, answer.Value = r.n.readKV(key)
		answer.Found = answer.Version != 0
	}
	if !e.If.Holds(answer.Version) {
		answer.Failed = true
		return answer
	}
	switch e.Kind {
	case EntryPut:
		r.n.putKV(key, encodeValue(e.Index, e.Value))
		return door.Response{Outcome: door.Done, Index: e.Index, Found: true, Version: e.Index}
	case EntryDelete:
		if answer.Found {
			r.n.deleteKV(key)
		}
	}
	return answer
}

// touch lists the replica for the end of the turn.
func (r *replica) touch() {
	if !r.dirty {
		r.dirty = true
		r.n.turn.dirty = append(r.n.turn.dirty, r)
	}
}

// settleDirty does once a turn what would cost too much once an entry: the state record,
// the compaction, the Appends and the primary's own acknowledgement. All of it goes into
// the same batch as the entries, so that the store never holds a state whose record is of
// another index (rule "a snapshot is an applied prefix").
// The list is taken before it is worked on, so a replica that is touched meanwhile
// gets its turn in the next round.
func (n *Node) settleDirty() {
	t := &n.turn
	for len(t.dirty) > 0 {
		dirty := t.dirty
		t.dirty, n.scratch.settled = n.scratch.settled[:0], nil
		for _, r := range dirty {
			r.dirty = false
			r.compact()
			r.writeState()
			if r.reign != nil {
				r.reign.push()
			}
		}
		clear(dirty)
		n.scratch.settled = dirty
	}
}

// state returns the record of what the store should hold.
func (r *replica) state() stateRecord {
	return stateRecord{r.generation, r.applied, r.appliedEpoch, r.log.baseIndex, r.log.baseEpoch}
}

// writeState puts the record that makes this turn's applies whole.
func (r *replica) writeState() {
	if s := r.state(); s != r.stored {
		r.stored = s
		r.n.turn.batch.Put(r.stateKey, s.encode())
	}
}

// compact cuts the front of a log that grew beyond its bounds, but never what has not
// been applied. It waits until the log is twice as long as it should be and then halves
// it: each compaction copies what it keeps, so it must not run for every entry. Bytes
// count only where they are applied; large values that are still in flight are no reason
// to give up entries that followers need.
func (r *replica) compact() {
	kept := int(r.applied - r.log.baseIndex)
	excess := kept > 2*r.n.cfg.RetainEntries
	if !excess && (r.appliedBytes <= 2*r.n.cfg.RetainBytes || kept < 2) {
		return
	}
	keep := min(kept/2, r.n.cfg.RetainEntries)
	base := r.applied - Index(keep)
	if kept <= laggardFactor*r.n.cfg.RetainEntries && r.appliedBytes <= laggardFactor*r.n.cfg.RetainBytes {
		base = r.heldBack(base)
	}
	if base == r.log.baseIndex {
		return
	}
	size := 0
	for i := r.log.baseIndex + 1; i <= base; i++ {
		size += r.log.at(i).size()
	}
	r.appliedBytes -= size
	r.keep(base, size)
	r.log.compact(base)
	r.n.observe(Event{Kind: EventCompacted, Partition: r.id, Index: base})
}

// laggardFactor is how much more than usual a log keeps for followers that answer
// but lag, and for snapshots that it has to continue from. Beyond that a snapshot
// is cheaper for everyone than the log.
const laggardFactor = 16

// heldBack lowers a new base to what followers and receivers still need: a snapshot is
// worth nothing if the log no longer continues from it when it has arrived. A transfer
// that is not asked for, or a follower that does not answer, holds nothing back.
func (r *replica) heldBack(base Index) Index {
	now, bound := r.n.now(), r.n.cfg.SuspectAfter
	for _, t := range r.n.transfers {
		if t.partition == r.id && now-t.usedAt < 2*bound {
			base = min(base, t.name.Index)
		}
	}
	if g := r.reign; g != nil && g.phase == leading {
		for _, f := range g.followers {
			if f.match >= r.log.baseIndex && now-f.answered <= bound {
				base = min(base, f.match)
			}
		}
	}
	return max(base, r.log.baseIndex)
}

// last returns the end of the log, by which logs are compared.
func (r *replica) last() (Epoch, Index) { return r.log.last() }

// tickForget gives up a replica that its partition has left behind. It waits for
// settle-time, because a newer assignment may name this node again, and its data would
// have to be sent a second time. For the same reason it keeps what the ring means for
// this node: rule "a learner keeps its copy".
func (r *replica) tickForget(now time.Duration) {
	a := r.known()
	outside := r.n.self != 0 && !a.Names(r.n.self) && a.Epoch >= r.promised
	since := now - max(r.learnedAt, r.copiedAt)
	if !outside || r.install != nil || since < r.n.cfg.SettleTime {
		return
	}
	if r.n.cfg.MoveRate > 0 && r.n.mayTarget(r.id) {
		if since < r.n.cfg.SettleTime+r.n.interval() && r.log.lastIndex() > 0 {
			r.n.observe(Event{Kind: EventLearnerKept, Partition: r.id, Epoch: a.Epoch})
		}
		return
	}
	if r.log.lastIndex() == 0 && r.promised == 0 && r.partial == nil {
		r.n.replicas[r.id] = nil // never held anything
		return
	}
	r.forget(a.Epoch)
}

// forget deletes the data of a partition that this member is not a replica of, and keeps
// the promise: rule "keep the tombstone". Forgetting the data is harmless, since R and N
// of the newer epoch hold what was committed. Forgetting the promise is not: a primary of
// an epoch that is over could win this node as a follower, and commit with it. Both
// happen in one batch.
func (r *replica) forget(c Epoch) {
	r.raise(c, r.known().Primary)
	r.dropPartial()
	if r.log.lastIndex() == 0 {
		return // a tombstone already
	}
	from, to := logRange(r.id, 0)
	r.n.turn.batch.DeleteRange(from, to)
	r.n.turn.batch.DeleteRange(generationKey(r.id, 0), generationsEnd(r.id))
	r.n.turn.batch.Delete(stateKey(r.id))
	r.lastGeneration++
	r.generation = r.lastGeneration
	r.stored = stateRecord{}
	r.dropKept(r.log.baseIndex)
	r.log.reset(0, 0)
	r.commit, r.applied, r.appliedEpoch, r.appliedBytes = 0, 0, 0, 0
	r.ackEpoch, r.ackMatch = 0, 0
	r.n.observe(Event{Kind: EventForgotten, Partition: r.id, Epoch: c})
}
