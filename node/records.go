package node

import (
	"errors"
	"fmt"

	"dkv/node/door"
	"dkv/node/layout"
)

// ZooKeeper's record of a store, stores/<store id>: the last stamp that it told there. It
// stands under the store's id and not the node's, so that another --id does not evade it.
//
//	proveStamp ─▶ onRecord ─▶ writeRecord ─▶ recordShows
//
// The record is written by compare-and-set, at each start, every settle-time, and at an
// orderly stop; what it showed before is compared first, also at each new session. Only a
// contradiction counts: after a conflict or a lost answer it is read and compared again, so
// of two processes on copies of one disk the second finds the line of the first. The
// record's word is final.

// storeRecord is the znode stores/<store id>.
type storeRecord struct {
	Line  LineID `json:"line"`
	Count uint64 `json:"count"`
}

func (n *Node) recordPath(s StoreID) string { return n.root() + "/stores/" + string(s) }

func isNoNode(err error) bool { return errors.Is(err, door.ErrNoNode) }

// proveStamp compares this store's lineage with its record, writes the newest stamp there,
// and continues with then. It belongs to a chain of reconcile.
func (n *Node) proveStamp(then func()) {
	current, session := n.inSession(), n.member.session
	session.Get(n.recordPath(n.store), false, func(data []byte, stat door.Stat, err error) {
		switch {
		case !current():
		case isNoNode(err):
			n.createRecord(session, then)
		case err != nil:
			n.lookAgain(n.interval())
		default:
			n.onRecord(session, data, stat.Version, then)
		}
	})
}

// onRecord compares. A record that is older than what this store gave it was lost by
// ZooKeeper, which then says nothing about this store; it is written anew.
func (n *Node) onRecord(session door.Session, data []byte, version int32, then func()) {
	var record storeRecord
	if err := decodeRecord(data, &record); err != nil {
		n.alarm("%s in ZooKeeper can't be read: %v; it is written anew", n.recordPath(n.store), err)
	}
	found := Stamp(record)
	if n.stamps.lines.contradicts(found) {
		n.bar(found)
		return
	}
	lost := ""
	if found.Count < n.stamps.told.Count {
		lost = fmt.Sprintf("showed count %d", found.Count)
	}
	now := n.stamp()
	if found == now || found.Line == now.Line && lost == "" && !n.stamps.due { // a new session of a process that told already
		n.recordShows(found, version, then)
		return
	}
	n.writeRecord(session, door.Op{Kind: door.OpSet, Version: version}, version+1, lost, then)
}

// createRecord makes the first record of this store, and the parent of all records, which
// a cluster of an earlier build lacks.
func (n *Node) createRecord(session door.Session, then func()) {
	lost := ""
	if n.stamps.told != (Stamp{}) {
		lost = "was gone"
	}
	current := n.inSession()
	session.Multi([]door.Op{{Kind: door.OpCreate, Path: n.root() + "/stores"}}, func(err error) {
		switch {
		case !current():
		case err == nil || errors.Is(err, door.ErrNodeExists):
			n.writeRecord(session, door.Op{Kind: door.OpCreate}, 0, lost, then)
		default:
			n.lookAgain(n.interval())
		}
	})
}

// writeRecord writes the stamp of now, on the condition that the record is what was
// compared. Lost says how that was older than what this store gave it; a reading may be stale,
// so it is true only if the condition held.
func (n *Node) writeRecord(session door.Session, op door.Op, version int32, lost string, then func()) {
	stamp := n.stamp()
	op.Path, op.Data = n.recordPath(n.store), encodeRecord(storeRecord(stamp))
	current := n.inSession()
	session.Multi([]door.Op{op}, func(err error) {
		var refusal *door.OpError
		switch {
		case !current():
		case err == nil:
			if lost != "" {
				n.recordLost(lost)
			}
			n.recordShows(stamp, version, then)
		case errors.As(err, &refusal):
			n.proveStamp(then) // another process of this store, or a peer that raised it
		default:
			n.lookAgain(n.interval())
		}
	})
}

// recordShows notes what the record holds, as of now.
func (n *Node) recordShows(s Stamp, version int32, then func()) {
	own := &n.stamps
	own.version, own.due = version, false
	if own.told != s {
		own.told = s
		n.turn.batch.Put(keyTold, encodeStamp(s))
	}
	if own.shown != s.Line {
		own.shown = s.Line
		n.turn.batch.Put(keyLines, encodeLineage(own.shown, own.lines))
	}
	if own.full {
		n.member.busy, n.member.verify = false, true // the rest follows when the new line is durable
		n.recordFreesLines()
		return
	}
	own.greets = true
	n.requests.rerouted = true
	if !own.proved && !own.lost {
		own.proved = true
		n.startReigns()
	}
	then()
}

func (n *Node) recordLost(how string) {
	n.stamps.lost = true
	n.alarm("ZooKeeper's record of store %s %s, though it was given count %d: ZooKeeper was restored from a backup, or wiped; this start can't tell there whether the disk was rolled back, and leads no partition without another replica until the next one", n.store, how, n.stamps.told.Count)
}

// bar ends this store for good: the record proves that it lacks what it told. The mark is
// durable before the node ends, since ZooKeeper may be away at the next start.
func (n *Node) bar(found Stamp) {
	why := fmt.Sprintf("store %s must not be used any more: ZooKeeper's record has count %d of its line %x, which this disk lacks: the data directory was restored from an earlier state of itself, or copied, and what it acknowledged since is not on it; start the node with an empty data directory, and replace the member with dkv member replace", n.store, found.Count, uint64(found.Line))
	n.observe(Event{Kind: EventStampFinal})
	n.turn.batch.Put(keyBarred, []byte(why))
	n.accuseFinally(why)
	n.whenDurable(func() { n.fail(errors.New(why)) })
}

// accuseFinally makes the node wait for its end.
func (n *Node) accuseFinally(why string) {
	n.stamps.greets, n.stamps.barred, n.stamps.why = false, true, why
	n.stamps.accusers = append(n.stamps.accusers, accuser{member: n.self})
	n.endReigns("the node ends, because its disk was rolled back")
}

// tellRecord compares and writes the record of a node that is registered.
func (n *Node) tellRecord() {
	m := &n.member
	if !n.registered() || m.busy || n.stopping {
		return
	}
	m.busy, n.stamps.due = true, true
	n.proveStamp(func() {
		m.busy = false
		if m.verify || m.recheck || !m.standing {
			n.reconcile()
		}
	})
}

// tellLast writes the record a last time before an orderly end, if that is possible.
func (n *Node) tellLast(then func()) {
	if !n.registered() || n.stamps.told == (Stamp{}) || n.stamps.told == n.stamp() || n.stamps.accused() {
		then()
		return
	}
	told := false
	once := func() {
		if !told && !n.dead {
			told = true
			then()
		}
	}
	op := door.Op{Kind: door.OpSet, Path: n.recordPath(n.store), Version: n.stamps.version, Data: encodeRecord(storeRecord(n.stamp()))}
	n.member.session.Multi([]door.Op{op}, func(error) { once() })
	n.after(n.stopWait(), once)
}

// raiseRecords writes what this node was told into the records of the other members, where
// it is more than they show: what a store told while ZooKeeper was away reaches the record
// that way. It happens once a session, and when a hello contradicts what is kept.
func (n *Node) raiseRecords() {
	if n.layout == nil {
		return
	}
	for _, m := range n.layout.Members() {
		if m.Number != n.self && m.State != layout.Gone {
			n.raiseRecord(m.Store)
		}
	}
}

func (n *Node) raiseRecord(store StoreID) {
	p := n.stamps.peers[store]
	if p == nil || p.told == (Stamp{}) || !n.lists(store) || !n.registered() {
		return // the next session looks at all of them
	}
	for _, waiting := range n.stamps.toRaise {
		if waiting == store {
			return
		}
	}
	n.stamps.toRaise = append(n.stamps.toRaise, store)
	n.raiseNext()
}

// raiseNext raises one record at a time.
func (n *Node) raiseNext() {
	s := &n.stamps
	if s.raising || len(s.toRaise) == 0 || !n.registered() {
		return
	}
	store := s.toRaise[0]
	s.toRaise, s.raising = s.toRaise[1:], true
	current, session := n.inSession(), n.member.session
	next := func() { s.raising = false; n.raiseNext() }
	session.Get(n.recordPath(store), false, func(data []byte, stat door.Stat, err error) {
		p := n.stamps.peers[store]
		var record storeRecord
		switch {
		case !current():
			return
		case p == nil || err != nil && !isNoNode(err) || err == nil && decodeRecord(data, &record) != nil:
			next()
			return
		case record.Count >= p.told.Count:
			next()
			return
		}
		told := p.told
		op := door.Op{Kind: door.OpSet, Path: n.recordPath(store), Version: stat.Version, Data: encodeRecord(storeRecord(told))}
		if err != nil {
			op.Kind = door.OpCreate
		}
		session.Multi([]door.Op{op}, func(err error) {
			if !current() {
				return
			}
			if err == nil {
				n.observe(Event{Kind: EventRecordRaised, Text: string(store)})
			}
			next()
		})
	})
}

// newSession forgets what was under way in the last one.
func (s *stamps) newSession() { s.toRaise, s.raising, s.asking = nil, false, nil }
