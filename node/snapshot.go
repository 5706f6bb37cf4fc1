package node

import (
	"bytes"
	"dkv/node/door"
	"slices"
	"time"
)

// How a replica whose log ends before the source's begins catches up:
//
//	offerSnapshot ─▶ onSnapshotOffer ─▶ pull ⇄ onSnapshotPull (the source)
//	              ─▶ onSnapshotChunk … ─▶ switchState ─▶ acknowledge
//
// The receiver asks for one chunk at a time, so a lost frame costs a repeat and
// no receiver is flooded. What it loads stands beside its state, under a generation
// of its own, and does not count until all of it is there: a crash leaves the old
// state or the new one (rule "switch in one batch"). How far it came is durable with
// what it loaded, so that neither a restart nor a new epoch makes it begin again while
// the source still offers the same View (partial.go).

// transfer is a snapshot on its way to one member, at its source. The View does not
// change, so all chunks of one name are of one state (rule "a transfer has one
// name"). It costs disk space for as long as it is open, hence the bounds.
type transfer struct {
	to        MemberNumber
	partition PartitionID
	name      SnapshotName
	view      door.View
	usedAt    time.Duration
	sent      bool          // to the last chunk
	pull      *SnapshotPull // the last one; its answer may wait for the rate
}

// offerSnapshot tells a member what it can load: the state as of the last commit, if the
// log continues from there. An offer is repeated with the same name while the member
// loads; a transfer that is not used any more, and from which the log no longer continues,
// is replaced.
func (r *replica) offerSnapshot(to MemberNumber, a Assignment) {
	t := r.n.transfer(r.id, to)
	// A transfer in use is offered again under its name, even if the log no longer
	// continues from it: the member may be about to finish it.
	idle := t != nil && r.n.now()-t.usedAt >= r.n.cfg.SuspectAfter
	if idle && t.name.Index < r.firstKept() {
		r.n.closeTransfer(t)
		t = nil
	}
	if t == nil {
		t = r.openTransfer(to)
	}
	if t == nil {
		return // the View lags behind this turn, or too many are held: later
	}
	r.n.send(to, &SnapshotOffer{r.id, a, r.n.transmission(), t.name})
}

// openTransfer takes a View and reads from it what it is a view of: rule "a snapshot is an
// applied prefix". The replica's own applied would be wrong, because it may be ahead of
// what the store has been given. Since the record is written in the batch of the changes,
// the View's record and its keys belong together.
func (r *replica) openTransfer(to MemberNumber) *transfer {
	if len(r.n.transfers) >= maxViews {
		return nil
	}
	view, err := r.n.env.Store.View()
	if err != nil {
		r.n.fail(err)
		return nil
	}
	raw, ok, err := view.Get(stateKey(r.id))
	if err != nil {
		view.Close()
		r.n.fail(err)
		return nil
	}
	var s stateRecord
	if ok {
		s, err = decodeState(raw)
	}
	if err != nil || s.appliedIndex < r.log.baseIndex || s.appliedIndex == 0 {
		view.Close()
		return nil
	}
	// The name is the View's own: which process took it, and of what.
	name := SnapshotName{r.n.store, r.n.boot, s.appliedIndex, s.appliedEpoch, s.generation}
	t := &transfer{to: to, partition: r.id, name: name, view: view, usedAt: r.n.now()}
	r.n.transfers = append(r.n.transfers, t)
	return t
}

func (n *Node) transfer(p PartitionID, to MemberNumber) *transfer {
	for _, t := range n.transfers {
		if t.partition == p && t.to == to {
			return t
		}
	}
	return nil
}

func (n *Node) closeTransfer(t *transfer) {
	t.view.Close()
	n.copying.asked = slices.DeleteFunc(n.copying.asked, func(o *transfer) bool { return o == t })
	n.transfers = slices.DeleteFunc(n.transfers, func(o *transfer) bool { return o == t })
}

// tickTransfers gives up Views that are not asked for any more. One that was sent to the
// end may have to repeat its last chunk, but not for long.
func (n *Node) tickTransfers(now time.Duration) {
	for _, t := range slices.Clone(n.transfers) {
		bound := n.cfg.ViewTime
		if t.sent {
			bound = min(bound, 2*n.cfg.SuspectAfter)
		}
		if now-t.usedAt >= bound {
			n.closeTransfer(t)
		}
	}
}

// install is a snapshot on its way into this replica, under one epoch. Chunks follow one
// another by their keys: the next one must begin behind the last key loaded.
type install struct {
	partial
	epoch    Epoch
	from     MemberNumber
	counter  Counter // of the offer, echoed with the acknowledgement
	askedAt  time.Duration
	progress time.Duration
}

// onSnapshotOffer begins a transfer, unless the own log reaches that far: then what
// follows may have been acknowledged, and stays (rule "keep the suffix"). An offer of the
// transfer under way only renews the counter, with which it will be acknowledged.
func (n *Node) onSnapshotOffer(m *Envelope, o *SnapshotOffer) {
	r := n.replica(o.Partition)
	e := o.Assignment.Epoch
	if r == nil || n.self == 0 || r.reject(m, e) || r.ignoreOffer(m, o) || r.promisedAnother(m.From, e, o.Assignment.Primary) {
		return
	}
	n.learn(r.id, o.Assignment)
	if m.From == o.Assignment.Primary {
		r.heard(e)
	}
	if r.holds(o.Name.Index, o.Name.Epoch) {
		n.observe(Event{Kind: EventSnapshotSkipped, Partition: r.id, Epoch: e, Index: o.Name.Index})
		r.snapshotHeld(m.From, e, o.Name, o.Counter)
		return
	}
	if r.install != nil && r.install.name == o.Name && r.install.epoch == e {
		r.install.counter = o.Counter
		return // under way; the tick asks again if need be
	}
	if !o.Assignment.Names(n.self) {
		r.copiedAt = n.now()
		if r.install == nil && n.installs() >= maxInstalls {
			return // offered again, each interval
		}
	}
	r.suspendInstall()
	r.install = &install{
		partial: r.takePartial(o.Name, e), epoch: e, from: m.From, counter: o.Counter, progress: n.now(),
	}
	r.pull()
}

// ignoreOffer drops an offer that neither the primary made, nor the source of the log
// that this node copies as primary, and one of a state of a later epoch than the frame.
func (r *replica) ignoreOffer(m *Envelope, o *SnapshotOffer) bool {
	if o.Name.Epoch > o.Assignment.Epoch || o.Name.Epoch == 0 || o.Name.Index == 0 {
		return true
	}
	if g := r.n.reignOf(r.id, o.Assignment.Epoch); g != nil {
		return g.copying == nil || g.copying.source.member != m.From
	}
	return m.From != o.Assignment.Primary || o.Assignment.Primary == r.n.self
}

// snapshotHeld continues from an index at which the logs are known to agree. For the
// primary that copies a log this is a step of the copy; a follower acknowledges it like an
// Append, and may commit it, since a snapshot holds only what is committed.
func (r *replica) snapshotHeld(from MemberNumber, e Epoch, name SnapshotName, counter Counter) {
	if g := r.n.reignOf(r.id, e); g != nil {
		if g.copying != nil {
			g.copying.since = r.n.now()
			g.copyAfter(r.log.agree(g.copying.source.lastIndex, g.copying.source.lastEpoch))
		}
		return
	}
	r.raise(e, from)
	r.acknowledge(from, e, name.Index, counter)
	r.learnCommit(name.Index)
}

// pull asks for the next chunk.
func (r *replica) pull() {
	i := r.install
	i.askedAt = r.n.now()
	r.n.send(i.from, &SnapshotPull{r.id, i.epoch, i.name, i.begun, i.after})
}

// onSnapshotPull sends the chunk after a key, from the View of that name. If this process
// does not hold that View, the receiver must start anew: chunks of two Views are not a
// state that ever was.
func (n *Node) onSnapshotPull(m *Envelope, q *SnapshotPull) {
	r := n.held(q.Partition)
	if r == nil || r.reject(m, q.Epoch) {
		return
	}
	t := n.transfer(q.Partition, m.From)
	if t == nil || t.name != q.Name {
		n.send(m.From, &SnapshotChunk{Partition: q.Partition, Epoch: q.Epoch, Name: q.Name, Started: q.Started, After: q.After, Gone: true})
		return
	}
	t.usedAt = n.now()
	if g := r.reign; g != nil && g.learner(m.From) != nil {
		if t.pull == nil || t.pull.Started != q.Started || !bytes.Equal(t.pull.After, q.After) {
			g.progressed(g.learner(m.From))
		}
		t.pull = q
		if !slices.Contains(n.copying.asked, t) {
			n.copying.asked = append(n.copying.asked, t)
			n.copyMore()
		}
		return
	}
	t.pull = q
	n.sendChunk(t)
}

// sendChunk answers the last pull. It returns what the chunk counts for in bounds, in bytes,
// and what it holds.
func (n *Node) sendChunk(t *transfer) (size int, items []SnapshotItem) {
	q := t.pull
	chunk := &SnapshotChunk{Partition: q.Partition, Epoch: q.Epoch, Name: q.Name, Started: q.Started, After: q.After}
	size, err := n.fillChunk(chunk, t)
	if err != nil {
		n.fail(err)
		return 0, nil
	}
	if chunk.Last {
		t.sent = true
		n.observe(Event{Kind: EventSnapshotSent, Partition: t.partition, Epoch: q.Epoch, Index: q.Name.Index, Peer: t.to})
	}
	n.send(t.to, chunk)
	return size, chunk.Items
}

// fillChunk reads as many keys as a chunk should hold. A chunk holds at least one key,
// whatever its size, and the aim is far enough below the largest frame for one more.
func (n *Node) fillChunk(c *SnapshotChunk, t *transfer) (size int, _ error) {
	from, to := kvRange(t.partition, t.name.Generation)
	prefix := len(from)
	if c.Started {
		from = append(kvKey(t.partition, t.name.Generation, c.After), 0)
	}
	var damage error
	c.Last = true
	err := t.view.Scan(from, to, func(key, raw []byte) bool {
		if size >= n.cfg.ChunkBytes {
			c.Last = false
			return false
		}
		version, value, err := decodeValue(raw)
		if err != nil {
			damage = wrapKey(key, err)
			return false
		}
		c.Items = append(c.Items, SnapshotItem{bytes.Clone(key[prefix:]), version, bytes.Clone(value)})
		size += len(key) + len(raw)
		return true
	})
	if damage != nil {
		err = damage
	}
	return size, err
}

// onSnapshotChunk loads a chunk into the transfer's generation, and asks for the next
// one. Before the first it clears that generation: a crash may have left keys there which
// were deleted since.
func (n *Node) onSnapshotChunk(m *Envelope, c *SnapshotChunk) {
	r := n.held(c.Partition)
	if r == nil || r.ignoreChunk(m, c) {
		return
	}
	i := r.install
	leads := n.reignOf(r.id, i.epoch) != nil // and copies the log: the promise is to this node
	if c.Gone || !leads && r.promisedAnother(i.from, i.epoch, i.from) {
		r.suspendInstall() // a new offer follows when the source is asked again
		if c.Gone {
			r.dropPartial()
		}
		return
	}
	if m.From == r.known().Primary && r.known().Epoch == i.epoch {
		r.heard(i.epoch)
	}
	if !i.begun {
		r.clear(i.generation) // an earlier process may have left something there
	}
	size := 0
	for _, item := range c.Items {
		n.putKV(kvKey(r.id, i.generation, item.Key), encodeValue(item.Version, item.Value))
		i.after = item.Key
		size += len(item.Key) + len(item.Value)
	}
	i.begun, i.progress = i.begun || len(c.Items) > 0, n.now()
	if c.Last {
		r.switchState()
		return
	}
	r.notePartial(&i.partial)
	r.pullPaced(size)
}

// ignoreChunk drops what is not the next chunk of the transfer under way. A repeated
// chunk would be harmless, but it would also ask for the next one twice.
func (r *replica) ignoreChunk(m *Envelope, c *SnapshotChunk) bool {
	i := r.install
	if i == nil || i.name != c.Name || i.from != m.From || i.epoch != c.Epoch {
		return true
	}
	return !c.Gone && (c.Started != i.begun || !bytes.Equal(c.After, i.after))
}

// switchState replaces log and state by what was loaded, in one batch, which also raises
// promised: rule "switch in one batch". It is given up if the own log got there meanwhile,
// because commit and applied never fall (rule "keep the suffix").
func (r *replica) switchState() {
	i := r.install
	if r.holds(i.name.Index, i.name.Epoch) {
		r.dropInstall()
		r.snapshotHeld(i.from, i.epoch, i.name, i.counter)
		return
	}
	assertf(i.epoch >= r.promised, "partition %d: snapshot of epoch %d, promised %d", r.id, i.epoch, r.promised)
	r.install = nil
	r.raise(i.epoch, i.from)
	r.dropKept(r.log.baseIndex)
	batch := &r.n.turn.batch
	batch.Delete(installKey(r.id))
	from, to := logRange(r.id, 0)
	batch.DeleteRange(from, to)
	r.clear(r.generation)
	r.generation = i.generation
	r.log.reset(i.name.Index, i.name.Epoch)
	r.applied, r.appliedEpoch, r.commit = i.name.Index, i.name.Epoch, i.name.Index
	r.appliedBytes = 0
	r.writeState()
	r.n.observe(Event{Kind: EventSnapshotInstalled, Partition: r.id, Epoch: i.epoch, Index: i.name.Index, Peer: i.from})
	r.snapshotHeld(i.from, i.epoch, i.name, i.counter)
}

// dropInstall gives up a transfer and clears what it loaded.
func (r *replica) dropInstall() {
	r.suspendInstall()
	r.dropPartial()
}

// clear deletes the keys of a generation.
func (r *replica) clear(generation uint64) {
	r.n.turn.batch.DeleteRange(generationKey(r.id, generation), generationKey(r.id, generation+1))
}

// tickInstall asks again for a chunk that did not come, and gives up when the source has
// sent nothing for as long as it holds a View.
func (r *replica) tickInstall(now time.Duration) {
	if p := r.partial; p != nil && now-p.since >= r.n.cfg.ViewTime {
		r.dropPartial()
	}
	i := r.install
	if i == nil {
		return
	}
	switch {
	case now-i.progress >= r.n.cfg.ViewTime:
		r.dropInstall()
	case now-i.askedAt >= r.n.cfg.SuspectAfter/2:
		r.pull()
	}
}
