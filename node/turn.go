package node

import (
	"slices"

	"dkv/node/door"
	"dkv/node/layout"
)

// turn gathers what the events of one turn want of the doors: one batch for
// the store, what waits for it to be durable, and the messages to peers.
//
// Between two turns everything has been handed over: batch, out, dirty, reading
// and overlay are empty, and every waiter waits for a commit that was made.
// Commits become durable in order, so those who wait stand in the order of their
// commits, and all of them are above durable.
type turn struct {
	batch   door.Batch
	waiting []waiter          // for what was written to be durable, in order
	out     []outgoing        // in order
	dirty   []*replica        // applied something, or logged something as primary
	reading []*replica        // took reads that no transmission covers yet
	overlay map[string][]byte // kv written in this turn; nil value: deleted

	committed uint64 // commits made
	durable   uint64 // the greatest whose done ran
	covered   int    // of waiting: how many wait for a commit under way
}

// check asserts what the comment of turn says.
func (t *turn) check() error {
	switch {
	case !t.batch.Empty() || len(t.out) > 0 || len(t.dirty) > 0 || len(t.reading) > 0 || len(t.overlay) > 0:
		return broken("left by the turn: %d writes, %d messages, %d dirty and %d reading replicas", len(t.batch.Ops), len(t.out), len(t.dirty), len(t.reading))
	case t.durable > t.committed || t.covered != len(t.waiting):
		return broken("commit %d of %d is durable, %d of %d waiters wait for one", t.durable, t.committed, t.covered, len(t.waiting))
	case t.covered > 0 && (t.waiting[0].commit <= t.durable || t.waiting[t.covered-1].commit > t.committed):
		return broken("waiters wait for commits %d to %d of %d, durable %d", t.waiting[0].commit, t.waiting[t.covered-1].commit, t.committed, t.durable)
	}
	return nil
}

// usualBatch bounds the room that a batch is given before it has anything: a large
// batch, of a snapshot's chunk, says nothing about the next one.
const usualBatch = 16

type outgoing struct {
	to   MemberNumber
	body Message
}

// waiter is what runs when a commit is durable. Those of all commits stand in one
// list, which is used again, so that waiting costs no allocation a commit.
type waiter struct {
	fn     func()
	commit uint64 // 0: to be told at the end of the turn
}

// whenDurable runs fn, in a later turn or at the end of this one, when all that the node
// has written up to now is durable. Most rules of safety are a call of this in the right
// place. fn runs after other events may have changed everything: see inEpoch.
func (n *Node) whenDurable(fn func()) { n.turn.waiting = append(n.turn.waiting, waiter{fn: fn}) }

// send queues a message for the end of the turn. It leaves after the turn's writes were
// handed to the store, but before they are durable; a message that depends on them is sent
// from a whenDurable.
func (n *Node) send(to MemberNumber, m Message) {
	n.turn.out = append(n.turn.out, outgoing{to, m})
}

// EndTurn makes the turn's Commit and sends the turn's messages. The owner calls it after
// every event, or after up to 256 of them: all their writes then cost one sync.
//
// The loop is for waiters that run at once because everything was durable already: what
// they do belongs to this turn, so the work at its end is done again.
func (n *Node) EndTurn() {
	if n.dead {
		return
	}
	if n.voteSoon {
		n.voteSoon = false
		n.sendPreVotes(n.now())
	}
	for {
		if n.stepSoon {
			n.stepSoon = false
			n.takeSteps()
		}
		n.retryWaiting()
		n.settleDirty()
		n.sendConfirmations()
		if n.dead {
			return
		}
		if !n.commitTurn() {
			break
		}
	}
	if !n.dead {
		n.flush()
		n.mark()
	}
}

// commitTurn makes the commit. It returns true if waiters ran at once, because all was
// durable already, so that there may be more to do.
//
// With nothing to write and a commit under way, those who came in this turn wait for that
// one: it is the last that they can mean. Only if that was made without a sync does an
// empty commit have to be made for them.
func (n *Node) commitTurn() bool {
	t := &n.turn
	if t.batch.Empty() && len(t.waiting) == t.covered {
		return false
	}
	if !t.batch.Empty() {
		n.commit()
		return false
	}
	if t.durable == t.committed {
		first := len(t.waiting)
		for i := range first { // more may come meanwhile
			t.waiting[i].fn()
		}
		t.dropWaiting(first)
		return true
	}
	if t.covered > 0 && t.waiting[t.covered-1].commit == t.committed {
		n.cover()
		return false
	}
	n.commit()
	return false
}

// commit hands the batch to the store, with a sync if anything waits for it. State that
// only followers' applies have changed needs none: after a crash it is made again from
// the log.
func (n *Node) commit() {
	t := &n.turn
	synced := len(t.waiting) > t.covered
	if synced {
		n.countCommit()
	}
	batch := t.batch
	// The store keeps the batch. The next one is often as long.
	t.batch = door.Batch{Ops: make([]door.BatchOp, 0, min(len(batch.Ops), usualBatch))}
	clear(t.overlay)
	t.committed++
	if !synced {
		n.env.Store.Commit(&batch, nil)
		return
	}
	n.cover()
	number, count := t.committed, n.stamps.made
	n.env.Store.Commit(&batch, func(err error) { n.onDurable(number, count, err) })
}

// cover lets all waiters of this turn wait for the last commit.
func (n *Node) cover() {
	t := &n.turn
	for ; t.covered < len(t.waiting); t.covered++ {
		t.waiting[t.covered].commit = t.committed
	}
}

// dropWaiting forgets the first waiters: they ran.
func (t *turn) dropWaiting(first int) {
	t.waiting = slices.Delete(t.waiting, 0, first)
	t.covered = max(0, t.covered-first)
}

// onDurable runs what waited for a commit. Commits become durable in order, so all
// earlier waiters run first: an acknowledgement never overtakes one that it builds on.
// A failed sync ends the node: what the disk holds is not known from then on, not even by
// trying again (rule "stop on damage").
func (n *Node) onDurable(number, count uint64, err error) {
	if n.dead {
		return
	}
	if err != nil {
		n.fail(err)
		return
	}
	t := &n.turn
	t.durable = max(t.durable, number)
	n.stamps.kept = max(n.stamps.kept, count)
	first := 0
	for first < t.covered && t.waiting[first].commit <= number {
		first++
	}
	for i := 0; i < first && !n.dead; i++ {
		t.waiting[i].fn()
	}
	t.dropWaiting(first)
}

// flush hands the turn's messages to the network. A member whose address this node does
// not know, or that is gone, is left out: messages may be lost in any case.
func (n *Node) flush() {
	out := n.turn.out
	n.turn.out = n.turn.out[:0]
	envelope, stamp := &n.scratch.envelope, n.stamp()
	for i := range out {
		if peer, ok := n.peer(out[i].to); ok {
			*envelope = Envelope{From: n.self, FromStore: n.store, ToStore: peer.Store, Stamp: stamp, Body: out[i].body}
			n.env.Network.Send(peer, envelope)
		}
		out[i] = outgoing{}
	}
	*envelope = Envelope{}
}

// peer returns where a member can be reached, as far as the layout knows.
func (n *Node) peer(m MemberNumber) (door.Peer, bool) {
	if n.layout == nil || m == n.self {
		return door.Peer{}, false
	}
	member, ok := n.layout.Member(m)
	if !ok || member.State == layout.Gone {
		return door.Peer{}, false
	}
	return door.Peer{Number: m, Store: member.Store, Address: member.Peer}, true
}

// putKV and deleteKV write a key of a partition's state; readKV sees what they wrote in
// this turn. Entries of one turn are applied before their batch is handed over, and a
// condition has to see what the entry before it did.
func (n *Node) putKV(key, value []byte) {
	n.turn.batch.Put(key, value)
	n.turn.overlay[string(key)] = value
}

func (n *Node) deleteKV(key []byte) {
	n.turn.batch.Delete(key)
	n.turn.overlay[string(key)] = nil
}

// readKV reads a key of a partition's state; version 0 if it is absent. After
// an error the node has failed.
func (n *Node) readKV(key []byte) (Version, []byte) {
	raw, written := n.turn.overlay[string(key)]
	if !written {
		var err error
		var ok bool
		raw, ok, err = n.env.Store.Get(key)
		if err != nil {
			n.fail(err)
			return 0, nil
		}
		if !ok {
			return 0, nil
		}
	}
	if raw == nil {
		return 0, nil
	}
	version, value, err := decodeValue(raw)
	if err != nil {
		n.fail(wrapKey(key, err))
	}
	return version, value
}
