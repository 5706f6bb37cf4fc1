package node

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/node/door"
	"dkv/node/layout"
)

// What a node does with the identity of its disk (stamp.go):
//
//	recoverStamps ─▶ begin ─▶ proveStamp (records.go) ─▶ greets ─▶ Hello
//	judgeStamp (each peer, on Hello) ─▶ accept, or refuse ─▶ OnRefused (here) ─▶ wait
//
// A start makes the end of the last line and its own new line durable before it tells
// other nodes anything; then it asks ZooKeeper, if that can be reached; then it greets its
// peers. Each of them compares the lineage with what it was told before. Until two nodes
// have accepted one another's lineage nothing that either says counts at the other (rule
// "a disk proves that it was not rolled back").

// stamps is what a node knows of its own place in time and of its peers'.
//
//   - kept <= made; made is the count of the last synced commit, kept of the last one that
//     is durable, and only kept is ever told.
//   - lines ends with this process's own line, unless the lineage was full.
//   - While accusers is not empty the node leads nothing, answers only with layouts, and
//     refuses its clients; why says so.
type stamps struct {
	lines  Lineage
	full   bool   // no line was drawn: the start waits for ZooKeeper's record
	shown  LineID // the latest of lines that the record has shown
	told   Stamp  // the last that the record was given, by any process of this store
	made   uint64
	kept   uint64
	counts []byte // encoded counts are cut off it

	greets   bool   // peers may know of this process
	barred   bool   // by the record: the node is about to end
	proved   bool   // this process compared its lineage with the record, and they agree
	lost     bool   // the record is older than what it was given
	due      bool   // the record is to be given the newest stamp, though it shows this line
	asking   func() // continues the start when no twin answers; nil: not asking
	asked    bool   // whether a twin answers was asked in this process
	accusers []accuser
	why      string // of the wait

	peers  map[StoreID]*peerStamp
	doneAt time.Duration // when the stamps were last kept and told

	version int32 // of the own record, as of the last look
	toRaise []StoreID
	raising bool
}

// peerStamp is what this node keeps of another store: the last stamp that it told, and the
// line that its last accepted hello named, whose frames count. former is the line of the
// hello accepted before that. kept is what the own store holds of it.
type peerStamp struct {
	told   Stamp
	kept   Stamp
	line   LineID
	former LineID
}

// accuser is a member whose word keeps this node waiting.
type accuser struct {
	member MemberNumber
	at     time.Duration
}

const (
	// maxPeerStamps bounds the stores that are remembered: members, and strangers that
	// are about to join.
	maxPeerStamps = 1024
	countsAtOnce  = 64
)

func (s *stamps) accused() bool { return len(s.accusers) > 0 }

// Distrusted reports whether the node waits, because other members or ZooKeeper say that
// its disk was rolled back.
func (n *Node) Distrusted() bool { return n.stamps.accused() }

// stamp returns what frames tell: durable, so that no crash takes it back.
func (n *Node) stamp() Stamp { return Stamp{n.stamps.lines.Running(), n.stamps.kept} }

// recoverStamps ends the last line where this start found the count, and begins a new one,
// in the batch that counts the boot. What was found is never overwritten: a start that
// crashes before it has compared it leaves it in the lineage for the next one.
func (n *Node) recoverStamps() error {
	s := &n.stamps
	barred, err := n.fact(keyBarred)
	if err != nil {
		return err
	}
	if barred != nil {
		return fmt.Errorf("%s", barred)
	}
	for _, f := range []struct {
		key    []byte
		decode func([]byte) error
	}{
		{keyCount, func(b []byte) (err error) { s.made, err = decodeNumber(b); return err }},
		{keyLines, func(b []byte) (err error) { s.shown, s.lines, err = decodeLineage(b); return err }},
		{keyTold, func(b []byte) (err error) { s.told, err = decodeStamp(b); return err }},
	} {
		value, err := n.fact(f.key)
		if err == nil && value != nil { // a store of format 1 has none of them
			err = f.decode(value)
			if err != nil {
				return wrapKey(f.key, err)
			}
		}
		if err != nil {
			return err
		}
	}
	s.kept = s.made
	n.drawLine()
	if err := n.recoverPeerStamps(); err != nil {
		return err
	}
	return n.recoverAccusers()
}

// recoverAccusers has the node wait as it did before it was restarted.
func (n *Node) recoverAccusers() error {
	var damage error
	err := n.env.Store.Scan([]byte(accusedPrefix), []byte(accusedEnd), func(key, value []byte) bool {
		told, err := decodeStamp(value)
		if err != nil {
			damage = wrapKey(key, err)
			return false
		}
		by, err := accuserOfKey(key)
		if err != nil {
			damage = err
			return false
		}
		n.stamps.addAccuser(by, told, n.now())
		return true
	})
	if err != nil {
		return fmt.Errorf("reading who accuses this store: %w", err)
	}
	if n.stamps.accused() {
		n.alarm("%s; stop this node and run dkv member replace for it", n.stamps.why)
	}
	return damage
}

// drawLine begins this process's line, unless the lineage is full.
func (n *Node) drawLine() {
	s := &n.stamps
	id := LineID(n.env.Random.Uint64())
	if id == 0 {
		id = 1
	}
	lines, ok := s.lines.extend(id, s.made, s.shown)
	s.full = !ok
	if ok {
		s.lines = lines
		n.turn.batch.Put(keyLines, encodeLineage(s.shown, s.lines))
	}
}

// awaitsRecord reports whether the start has to wait: so many starts have ended without
// ZooKeeper's record that no old line may be dropped. Nothing is told meanwhile but the
// record, and when that has shown the last line, the start continues.
func (n *Node) awaitsRecord() bool {
	s := &n.stamps
	if !s.full {
		return false
	}
	if n.member.session == nil {
		n.notice("waiting for ZooKeeper: this store was started %d times without it, and must compare its stamp there before it may be used", len(s.lines))
		n.openSession()
	}
	return true
}

// recordFreesLines continues a start that had to wait.
func (n *Node) recordFreesLines() {
	n.drawLine()
	assertf(!n.stamps.full, "the record shows line %x and frees none", n.stamps.shown)
	n.whenDurable(n.begin)
}

func (n *Node) recoverPeerStamps() error {
	var damage error
	err := n.env.Store.Scan([]byte(knownPrefix), []byte(knownEnd), func(key, value []byte) bool {
		told, err := decodeStamp(value)
		if err != nil {
			damage = wrapKey(key, err)
			return false
		}
		store := StoreID(strings.TrimPrefix(string(key), knownPrefix))
		n.stamps.peers[store] = &peerStamp{told: told, kept: told}
		return true
	})
	if err != nil {
		return fmt.Errorf("reading the stamps of peers: %w", err)
	}
	return damage
}

// countCommit counts a synced commit, in its own batch.
func (n *Node) countCommit() {
	s := &n.stamps
	s.made++
	if len(s.counts) < 8 {
		s.counts = make([]byte, 8*countsAtOnce)
	}
	count := s.counts[:8:8]
	s.counts = s.counts[8:]
	binary.BigEndian.PutUint64(count, s.made)
	n.turn.batch.Put(keyCount, count)
}

// ignoreStamp drops a frame of a process that this one has not accepted, and of any
// process while this node waits. Of an accepted one it keeps the stamp: what it
// acknowledges here, it must never be without.
func (n *Node) ignoreStamp(m *Envelope) bool {
	p := n.stamps.peers[m.FromStore]
	if p == nil || p.line == 0 || p.line != m.Stamp.Line {
		n.observe(Event{Kind: EventFrameRefused, Peer: m.From})
		return true
	}
	p.told.Count = max(p.told.Count, m.Stamp.Count)
	if !n.stamps.accused() {
		return false
	}
	switch m.Body.(type) {
	case *LayoutCopy:
		n.takenBack(m.From)
		return false
	case *ForwardReply:
		return false
	}
	return true
}

// judgeStamp compares a peer's lineage with what its store told here before. The stamp
// that proves the peer wrong is made durable at once: this node must not forget it.
func (n *Node) judgeStamp(h *Hello) error {
	if len(h.Lineage) == 0 {
		return fmt.Errorf("node %s: %s speaks protocol %d, which has no stamps: upgrade it", n.cfg.ID, h.Node, h.MaxVersion)
	}
	p := n.peerStamp(h.Store)
	if p == nil {
		return fmt.Errorf("node %s knows too many stores already", n.cfg.ID)
	}
	if p.former != 0 && h.Lineage.Running() == p.former {
		return fmt.Errorf("node %s has met a later process of store %s", n.cfg.ID, h.Store) // it was under way for long
	}
	if h.Lineage.contradicts(p.told) {
		n.observe(Event{Kind: EventStampRefused, Peer: h.Member})
		n.alarm("refusing node %s: its store %s told count %d of line %x here, and lacks it now: its data directory was restored from an earlier state of itself, or is a copy; stop that node and run dkv member replace for it", h.Node, h.Store, p.told.Count, uint64(p.told.Line))
		n.keepPeerStamp(h.Store, p)
		n.whenDurable(func() {}) // nothing else may need a sync for long
		n.raiseRecord(h.Store)
		return fmt.Errorf("node %s was told count %d of line %x by store %s, which its lineage lacks: the data directory was restored from an earlier state of itself, or is a copy", n.cfg.ID, p.told.Count, uint64(p.told.Line), h.Store)
	}
	if running := h.Lineage.Running(); running != p.line {
		p.former, p.line = p.line, running
	}
	if p.told.Line != p.line || p.told.Count < h.Count {
		p.told = Stamp{p.line, h.Count}
	}
	return nil
}

// peerStamp returns what is kept of a store, to be changed; nil if there are too many.
func (n *Node) peerStamp(store StoreID) *peerStamp {
	p := n.stamps.peers[store]
	if p != nil {
		return p
	}
	if len(n.stamps.peers) >= maxPeerStamps {
		n.dropStrangers()
	}
	if len(n.stamps.peers) >= maxPeerStamps {
		return nil
	}
	p = &peerStamp{}
	n.stamps.peers[store] = p
	return p
}

// dropStrangers forgets the stores that the layout does not list.
func (n *Node) dropStrangers() {
	// order-free: each is judged by itself
	for store, p := range n.stamps.peers {
		if !n.lists(store) {
			delete(n.stamps.peers, store)
			if p.kept != (Stamp{}) {
				n.turn.batch.Delete(knownKey(store))
			}
		}
	}
}

func (n *Node) lists(store StoreID) bool {
	if n.layout == nil {
		return false
	}
	_, ok := n.layout.MemberByStore(store)
	return ok
}

// Refuse returns the refusal that answers a hello.
func (n *Node) Refuse(h Hello, why error) HelloRefusal {
	r := HelloRefusal{Reason: why.Error(), Store: n.store, To: h.Store}
	if p := n.stamps.peers[h.Store]; p != nil {
		r.Known = p.told
	}
	return r
}

// OnRefused takes the refusal of a hello that this node sent to the address of a member,
// or, as member 0, of what may be its twin. A refusal that proves a roll-back by this
// store's own lineage makes the node wait. It does not end it: the member may be wrong, or
// lie (rule "a claim ends no process"). One that was meant for a process which ran at this
// address with another store, and came late, says nothing about this one.
func (n *Node) OnRefused(by MemberNumber, r HelloRefusal) {
	if n.dead || !n.begun {
		return
	}
	if by == 0 && n.stamps.asking != nil && r.Store == n.store {
		n.fail(fmt.Errorf("another process runs with this data directory's store %s: %s; nothing was changed", n.store, r.Reason))
		return
	}
	if n.layout == nil || by == n.self || r.To != n.store || !n.stamps.lines.contradicts(r.Known) {
		return
	}
	if m, ok := n.layout.Member(by); !ok || m.Store != r.Store || m.State == layout.Gone {
		return
	}
	n.accuse(by, r.Known)
}

// accuse makes the node wait for the record's word, for that of the member that accuses
// it, or for the operator's.
func (n *Node) accuse(by MemberNumber, told Stamp) {
	s := &n.stamps
	n.observe(Event{Kind: EventStampAccused, Peer: by})
	i := slices.IndexFunc(s.accusers, func(a accuser) bool { return a.member == by })
	if i >= 0 {
		s.accusers[i].at = n.now()
		return
	}
	s.addAccuser(by, told, n.now())
	n.turn.batch.Put(accusedKey(by), encodeStamp(told)) // a restart must not end the wait
	n.whenDurable(func() {})
	n.alarm("%s; stop this node and run dkv member replace for it", s.why)
	n.endReigns("the node waits, because its disk may have been rolled back")
	n.tellRecord()
}

func (s *stamps) addAccuser(by MemberNumber, told Stamp, now time.Duration) {
	s.accusers = append(s.accusers, accuser{by, now})
	s.why = fmt.Sprintf("waiting: member %d was told count %d of line %x by this store, which has lost it: the data directory was restored from an earlier state of itself, or is a copy", by, told.Count, uint64(told.Line))
}

// takenBack ends an accusation: a member that accepts this process again answers it with
// its layout. What it sent before it accused is over by then.
func (n *Node) takenBack(by MemberNumber) {
	s := &n.stamps
	i := slices.IndexFunc(s.accusers, func(a accuser) bool { return a.member == by })
	if i < 0 || s.barred || n.now()-s.accusers[i].at < n.cfg.SuspectAfter {
		return
	}
	s.accusers = slices.Delete(s.accusers, i, i+1)
	n.turn.batch.Delete(accusedKey(by))
	if !s.accused() {
		n.notice("member %d takes back that this disk was rolled back: the node continues", by)
		n.startReigns()
	}
}

// mayLead reports whether this node may act as primary under an assignment. One that is
// its only replica needs no other consent, so ZooKeeper has to have agreed.
func (n *Node) mayLead(a *Assignment) bool {
	s := &n.stamps
	if s.accused() {
		return false
	}
	alone := len(a.Replicas) == 1 && a.Replicas[0] == n.self
	return s.proved || !alone
}

// startReigns begins the reigns that mayLead has held back.
func (n *Node) startReigns() {
	for _, r := range n.replicas {
		if r == nil || n.self == 0 {
			continue
		}
		if a := r.known(); a.Primary == n.self && r.promised < a.Epoch && n.mayLead(a) {
			r.startReign(*a)
		}
	}
}

// tickStamps opens the way to peers when ZooKeeper has had its time, keeps asking those who
// accuse this node, and, once in settle-time, makes what peers told durable and tells the
// record. An accuser that was removed can't take its word back; it may have been right, so
// the node waits on.
func (n *Node) tickStamps(now time.Duration) {
	s := &n.stamps
	if s.barred {
		return
	}
	if !s.greets && now-n.started >= 2*n.cfg.SuspectAfter {
		s.greets = true
		n.requests.rerouted = true
		n.greetAll()
	}
	for _, a := range s.accusers {
		n.send(a.member, &LayoutRequest{})
	}
	if now-s.doneAt < n.cfg.SettleTime && !s.accused() {
		return
	}
	s.doneAt = now
	n.keepPeerStamps()
	if n.layout != nil {
		n.tellRecord()
	}
}

// greetAll sends a frame to every member, so that each sees this store's lineage, and this node
// hears those that refuse it. ZooKeeper could not be asked.
func (n *Node) greetAll() {
	if n.layout == nil {
		return
	}
	for _, m := range n.layout.Members() {
		if m.Number != n.self && m.State != layout.Gone {
			n.send(m.Number, &RollCall{})
		}
	}
}

// keepPeerStamps makes durable what members told. Nothing waits for it: what is lost in a
// crash was told less than settle-time ago.
func (n *Node) keepPeerStamps() {
	if n.layout == nil {
		return
	}
	changed := false
	for _, m := range n.layout.Members() {
		if p := n.stamps.peers[m.Store]; p != nil && p.told != p.kept {
			n.keepPeerStamp(m.Store, p)
			changed = true
		}
	}
	if changed {
		n.whenDurable(func() {})
	}
}

func (n *Node) keepPeerStamp(store StoreID, p *peerStamp) {
	if p.told == p.kept || !n.lists(store) {
		return
	}
	p.kept = p.told
	n.turn.batch.Put(knownKey(store), encodeStamp(p.told))
}

// findTwin asks, once in a process, whether another one runs with this store: its
// live/<id> is there, with another address. It is looked for under the id that this node
// was given and under the one that the layout lists. If no process answers for it, it is the
// ephemeral of a process that is gone.
func (n *Node) findTwin(then func()) {
	s := &n.stamps
	if s.asked || s.full {
		then()
		return
	}
	ids := []NodeID{n.cfg.ID}
	if n.layout != nil {
		if m, ok := n.layout.MemberByStore(n.store); ok && m.Node != n.cfg.ID {
			ids = append(ids, m.Node)
		}
	}
	n.findTwinAt(ids, then)
}

func (n *Node) findTwinAt(ids []NodeID, then func()) {
	if len(ids) == 0 {
		n.stamps.asked = true
		then()
		return
	}
	current, session := n.inSession(), n.member.session
	session.Get(n.livePath(ids[0]), false, func(data []byte, stat door.Stat, err error) {
		var live liveRecord
		next := func() {
			if current() {
				n.findTwinAt(ids[1:], then)
			}
		}
		switch {
		case !current():
		case err != nil && !isNoNode(err):
			n.lookAgain(n.interval())
		case err != nil || decodeRecord(data, &live) != nil:
			next()
		case live.Store != n.store || live.Peer == n.cfg.PeerAddress || stat.EphemeralOwner == session.ID():
			next()
		default:
			n.askTwin(live.Peer, next)
		}
	})
}

// askTwin greets the process at an address as this store.
func (n *Node) askTwin(address string, then func()) {
	done, current := false, n.inSession()
	n.stamps.asking = func() {
		if !done && current() { // a later session asks anew
			done, n.stamps.asking = true, nil
			then()
		}
	}
	n.env.Network.Send(door.Peer{Store: n.store, Address: address}, &Envelope{
		From: n.self, FromStore: n.store, ToStore: n.store, Stamp: n.stamp(), Body: &LayoutRequest{},
	})
	n.after(2*n.cfg.SuspectAfter, n.stamps.asking)
}

// noTwin continues the start when no process listens where a twin was asked for.
func (n *Node) noTwin() {
	if n.stamps.asking != nil {
		n.stamps.asking()
	}
}
