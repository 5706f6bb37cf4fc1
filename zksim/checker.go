package zksim

import (
	"fmt"
	"time"

	"dkv/zksim/zktree"
)

// A Rule is one of ZooKeeper's promises.
type Rule string

// The rules are all that ZooKeeper promises. It does not promise, above all, that a
// read returns the latest state.
const (
	// ZxidOrder: writes, including failed ones, take effect in the order of their
	// zxids, each between its call and its answer.
	ZxidOrder Rule = "writes take effect in zxid order"
	// SessionOrder: a client's calls end in their order, and a read shows one
	// state of the log that includes the client's own earlier writes.
	SessionOrder Rule = "calls of a client take effect in their order"
	// NoGap: a write takes effect only if all those sent before it over the same
	// connection did.
	NoGap Rule = "no write without the earlier ones of its connection"
	// Forward: the zxids that a client sees never decrease, whichever servers it
	// connects to.
	Forward Rule = "a client's zxids never go back"
	// EventFirst: a client gets the event of a watch before it can read the change,
	// and the events of one connection come in zxid order.
	EventFirst Rule = "an event comes before the data it tells of"
	// Atomic: a transaction is done as a whole or changes nothing.
	Atomic Rule = "a transaction is done as a whole or not at all"
	// Ended: no write takes effect for a session that has ended, or over a
	// connection that its session has left for another.
	Ended Rule = "no write of a session that is over or has moved"
	// OneEnd: all ephemerals of a session are removed at one zxid, with the session.
	OneEnd Rule = "ephemerals go with their session, at one zxid"
	// Durable: what was committed survives the loss of any minority.
	Durable Rule = "what was committed survives"
)

// Rules lists all rules.
var Rules = []Rule{ZxidOrder, SessionOrder, NoGap, Forward, EventFirst, Atomic, Ended, OneEnd, Durable}

// A Violation is an observation that breaks a rule.
type Violation struct {
	Rule Rule
	At   time.Duration // virtual time
	What string
}

func (v Violation) String() string { return fmt.Sprintf("%v: %s: %s", v.At, v.Rule, v.What) }

const (
	// maxViolations bounds what a Checker keeps: most violations after the first
	// are its consequences.
	maxViolations = 16
	// maxEnded bounds the ended sessions that are remembered.
	maxEnded = 4096
)

// A Checker checks a Service against all that ZooKeeper promises: at each commit,
// and at each answer and event that a client gets. Set it as the Config.Checker
// of one Service; ask for Violations, or have them reported as they occur.
// Service.Audit checks the whole state.
//
// What servers answer is compared with the log, never with a tree: a tree that is
// wrong would agree with itself. A nil Checker checks nothing.
type Checker struct {
	report     func(Violation)
	s          *Service
	violations []Violation

	zxid  int64 // of the last commit
	acked int64 // the greatest zxid of a write whose answer a client has

	writers    map[int64]int64 // by session: the one connection whose writes the leader accepts
	ended      map[int64]bool
	endedOrder []int64 // a ring, the oldest at endedAt
	endedAt    int
	ephemerals map[int64]map[string]struct{} // by session
}

// NewChecker returns a Checker. report, if not nil, is called for each violation
// when it is found, within an event of the Scheduler; it must not call into the
// service.
func NewChecker(report func(Violation)) *Checker {
	return &Checker{
		report:     report,
		writers:    make(map[int64]int64),
		ended:      make(map[int64]bool),
		ephemerals: make(map[int64]map[string]struct{}),
	}
}

// Violations returns the first violations that were found, at most 16.
func (k *Checker) Violations() []Violation { return k.violations }

func (k *Checker) broken(rule Rule, format string, args ...any) {
	if len(k.violations) == maxViolations {
		return
	}
	v := Violation{Rule: rule, At: k.s.sched.Now(), What: fmt.Sprintf(format, args...)}
	k.violations = append(k.violations, v)
	if k.report != nil {
		k.report(v)
	}
}

// armedWatch identifies a watch that a client's read has set.
type armedWatch struct {
	kind zktree.WatchKind
	path string
}

// Commits.

// onCommit checks a transaction that the leader has applied.
func (k *Checker) onCommit(e *entry, r *zktree.Result) {
	if k == nil {
		return
	}
	txn := &e.txn
	if txn.Zxid <= k.zxid || r.Zxid != txn.Zxid {
		k.broken(ZxidOrder, "transaction %#x, with a result for %#x, was applied after %#x", txn.Zxid, r.Zxid, k.zxid)
	}
	k.zxid = txn.Zxid
	if e.req != nil {
		e.req.committed = txn.Zxid
		if e.req.kind != reqConnect {
			k.onWrite(e, r)
		}
	}
	k.checkWhole(txn, r)
	if k.ended[txn.Session] && r.Err == zktree.OK && !r.Failed {
		k.broken(Ended, "session %#x has ended, but wrote at %#x", txn.Session, txn.Zxid)
	}
	if r.Failed {
		return
	}
	k.trackEphemerals(txn, r)
	if txn.Code == zktree.OpCloseSession {
		k.onSessionEnd(txn, r)
	}
}

// onWrite checks that the writes of one connection come without a gap, and that
// only the connection that the session has moved to last writes.
func (k *Checker) onWrite(e *entry, r *zktree.Result) {
	c, n := e.req.conn, e.req.number
	switch {
	case n == c.written+1:
		c.written = n
	case !r.Failed: // a write after a gap may still fail
		k.broken(NoGap, "write %d of connection %d took effect directly after write %d", n, c.id, c.written)
	}
	if writer, known := k.writers[e.txn.Session]; known && writer != c.id && !r.Failed {
		k.broken(Ended, "session %#x wrote over connection %d after it had moved to %d", e.txn.Session, c.id, writer)
	}
}

// checkWhole checks that a failed transaction changed nothing, and that one that
// succeeded did all its parts.
func (k *Checker) checkWhole(txn *zktree.Txn, r *zktree.Result) {
	if r.Failed != (r.Err != zktree.OK) && txn.Code != zktree.OpMulti {
		k.broken(Atomic, "the result of transaction %#x says both that it failed and that it succeeded", txn.Zxid)
	}
	if r.Failed {
		if len(r.Changes) > 0 {
			k.broken(Atomic, "transaction %#x failed but changed %v", txn.Zxid, r.Changes)
		}
		return
	}
	if txn.Code != zktree.OpMulti {
		return
	}
	if len(r.Ops) != len(txn.Ops) {
		k.broken(Atomic, "multi %#x of %d operations has %d results", txn.Zxid, len(txn.Ops), len(r.Ops))
		return
	}
	want := 0
	for i := range r.Ops {
		if r.Ops[i].Err != zktree.OK {
			k.broken(Atomic, "multi %#x succeeded, but its operation %d failed: %v", txn.Zxid, i, r.Ops[i].Err)
		}
		if txn.Ops[i].Code.Creates() || txn.Ops[i].Code == zktree.OpDelete || txn.Ops[i].Code == zktree.OpSetData {
			want++
		}
	}
	if want != len(r.Changes) {
		k.broken(Atomic, "multi %#x should make %d changes, but made %d", txn.Zxid, want, len(r.Changes))
	}
}

func (k *Checker) trackEphemerals(txn *zktree.Txn, r *zktree.Result) {
	for _, change := range r.Changes {
		switch change.Kind {
		case zktree.Created:
			if owner := ownerOf(change.Path, txn, r); owner != 0 {
				if k.ephemerals[owner] == nil {
					k.ephemerals[owner] = make(map[string]struct{})
				}
				k.ephemerals[owner][change.Path] = struct{}{}
			}
		case zktree.Deleted:
			if was, known := k.s.history.latest(change.Path); known && was.owner != 0 {
				delete(k.ephemerals[was.owner], change.Path)
			}
		}
	}
}

// onSessionEnd checks that the end of a session removed exactly its ephemerals.
func (k *Checker) onSessionEnd(txn *zktree.Txn, r *zktree.Result) {
	for _, path := range sortedKeys(k.ephemerals[txn.Session]) {
		k.broken(OneEnd, "%s still exists after its session %#x ended at %#x", path, txn.Session, txn.Zxid)
	}
	for _, change := range r.Changes {
		if was, known := k.s.history.latest(change.Path); change.Kind != zktree.Deleted || known && was.owner != txn.Session {
			k.broken(OneEnd, "the end of session %#x made a change of kind %d to %s, which it does not own", txn.Session, change.Kind, change.Path)
		}
	}
	delete(k.ephemerals, txn.Session)
	delete(k.writers, txn.Session)
	k.ended[txn.Session] = true
	if len(k.endedOrder) < maxEnded {
		k.endedOrder = append(k.endedOrder, txn.Session)
		return
	}
	delete(k.ended, k.endedOrder[k.endedAt])
	k.endedOrder[k.endedAt] = txn.Session
	k.endedAt = (k.endedAt + 1) % maxEnded
}

// onAttach records the connection from which the leader now accepts a session's
// writes.
func (k *Checker) onAttach(session int64, c *conn) {
	if k == nil {
		return
	}
	k.writers[session] = c.id
}

// onElected checks that the new leader has everything that was ever committed.
func (k *Checker) onElected() {
	if k != nil {
		k.checkTree("the new leader", k.s.leader.tree, k.zxid)
	}
}

func (k *Checker) onWipe() {
	if k == nil {
		return
	}
	k.zxid, k.acked = 0, 0
	clear(k.writers)
	clear(k.ephemerals)
}

// checkTree compares a whole tree with the log up to a zxid.
func (k *Checker) checkTree(who string, t *zktree.Tree, zxid int64) {
	if t.Zxid() != zxid {
		k.broken(Durable, "%s has applied up to %#x, not %#x", who, t.Zxid(), zxid)
		return
	}
	for _, path := range sortedKeys(k.s.history.paths) {
		was, known := k.s.history.at(path, zxid)
		if !known {
			continue
		}
		stat, code := t.Exists(path)
		if what := was.differs(stat, code); what != "" {
			k.broken(Durable, "%s has another state of %s than the log at %#x: %s", who, path, zxid, what)
		}
	}
}

// differs describes how an answer differs from what the log says of a path; it
// returns "" if they agree.
func (p *pathState) differs(stat zktree.Stat, code zktree.Code) string {
	switch {
	case p.exists != (code == zktree.OK):
		return fmt.Sprintf("exists: %v; answered: %v", p.exists, code)
	case !p.exists:
		return ""
	case p.czxid != stat.Czxid || p.mzxid != stat.Mzxid || p.version != stat.Version:
		return fmt.Sprintf("created at %#x, set at %#x, version %d; answered: %#x, %#x, %d",
			p.czxid, p.mzxid, p.version, stat.Czxid, stat.Mzxid, stat.Version)
	case p.children != stat.NumChildren:
		return fmt.Sprintf("%d children; answered: %d", p.children, stat.NumChildren)
	case p.owner != 0 && p.owner != stat.EphemeralOwner:
		return fmt.Sprintf("owned by session %#x; answered: %#x", p.owner, stat.EphemeralOwner)
	}
	return ""
}

// Audit compares every server's tree with the log, and every ephemeral with the
// leader's sessions. It changes nothing and reports to Config.Checker.
func (s *Service) Audit() {
	k := s.cfg.Checker
	if k == nil {
		return
	}
	for _, v := range s.servers {
		if !v.wiped {
			k.checkTree(fmt.Sprintf("server %d", v.id), v.tree, v.tree.Zxid())
		}
	}
	if s.leader.tree.Zxid() != k.zxid {
		k.broken(Durable, "the leader has applied up to %#x, but the last transaction is %#x", s.leader.tree.Zxid(), k.zxid)
	}
	for _, path := range sortedKeys(s.history.paths) {
		if now, _ := s.history.latest(path); now.exists && now.owner != 0 && s.leases[now.owner] == nil {
			k.broken(OneEnd, "%s belongs to session %#x, which has ended", path, now.owner)
		}
	}
}

// Clients.

// onCall records that a call begins.
func (k *Checker) onCall(cl *Client, req *request) {
	if k == nil {
		return
	}
	req.floor = k.acked
	cl.called++
	req.serial = cl.called
}

// onEnd checks the order in which calls end, with or without a server's answer.
func (k *Checker) onEnd(cl *Client, req *request) {
	if k == nil || req.serial == 0 {
		return
	}
	cl.endedCalls++
	if req.serial != cl.endedCalls {
		k.broken(SessionOrder, "%s: call %d ended as number %d", cl.host.name, req.serial, cl.endedCalls)
		cl.endedCalls = req.serial
	}
}

// onAnswer checks a server's answer before the client handles it.
func (k *Checker) onAnswer(cl *Client, c *conn, req *request, r *reply) {
	if k == nil {
		return
	}
	if r.zxid < cl.lastZxid {
		k.broken(Forward, "%s: got an answer of zxid %#x after one of %#x", cl.host.name, r.zxid, cl.lastZxid)
	}
	if r.zxid < cl.wrote {
		k.broken(SessionOrder, "%s: got an answer of zxid %#x after its own write at %#x", cl.host.name, r.zxid, cl.wrote)
	}
	switch req.kind {
	case reqWrite, reqClose:
		if req.committed != r.zxid || r.zxid <= req.floor {
			k.broken(ZxidOrder, "%s: a write answered with %#x was committed at %#x; when it was called, %#x had been answered",
				cl.host.name, r.zxid, req.committed, req.floor)
		}
		cl.wrote = max(cl.wrote, r.zxid)
		k.acked = max(k.acked, r.zxid)
	case reqGet, reqExists, reqChildren:
		k.onRead(cl, c, req, r)
	case reqAddWatch: // its watches replace those of reads
		delete(c.armed, armedWatch{zktree.DataWatch, req.op.Path})
		delete(c.armed, armedWatch{zktree.ChildWatch, req.op.Path})
	case reqSetWatches:
		clear(c.armed)
	}
}

// onRead checks that a read returned the state of the log at the answer's zxid, and
// that the connection's watches have reported every change that it shows.
func (k *Checker) onRead(cl *Client, c *conn, req *request, r *reply) {
	path, code := req.op.Path, r.result.Err
	if code != zktree.OK && code != zktree.ErrNoNode {
		return
	}
	was, known := k.s.history.at(path, r.zxid)
	if !known {
		return
	}
	if what := was.differs(r.result.Stat, code); what != "" {
		k.broken(SessionOrder, "%s: read %s at %#x: %s", cl.host.name, path, r.zxid, what)
	}
	kind := zktree.DataWatch
	if req.kind == reqChildren {
		kind = zktree.ChildWatch
	}
	if since, armed := c.armed[armedWatch{kind, path}]; armed {
		before, known := k.s.history.at(path, since)
		// The watches on a node that the client may not read report nothing.
		readable := k.s.leader.tree.Allowed(path, zktree.PermRead, nil) != zktree.ErrNoAuth
		if known && readable && before.changed(&was, kind) {
			k.broken(EventFirst, "%s: read %s as of %#x without an event of the watch set as of %#x", cl.host.name, path, r.zxid, since)
		}
	}
	if !req.watch || code != zktree.OK && req.kind != reqExists {
		return
	}
	if c.armed == nil {
		c.armed = make(map[armedWatch]int64)
	}
	c.armed[armedWatch{kind, path}] = r.zxid
}

// changed reports whether a watch of this kind fires between two states.
func (p *pathState) changed(now *pathState, kind zktree.WatchKind) bool {
	if kind == zktree.ChildWatch {
		return p.childAt != now.childAt || p.czxid != now.czxid || p.exists != now.exists
	}
	return p.exists != now.exists || p.exists && (p.mzxid != now.mzxid || p.czxid != now.czxid)
}

// onTold checks an event when it arrives. zxid is that of the change it reports.
func (k *Checker) onTold(cl *Client, c *conn, e zktree.Event, zxid int64) {
	if k == nil {
		return
	}
	if zxid < c.toldZxid {
		k.broken(EventFirst, "%s: the event of %#x on %s came after one of %#x", cl.host.name, zxid, e.Path, c.toldZxid)
	}
	c.toldZxid = zxid
	if e.Type != zktree.EventChildrenChanged {
		delete(c.armed, armedWatch{zktree.DataWatch, e.Path})
	}
	if e.Type == zktree.EventChildrenChanged || e.Type == zktree.EventDeleted {
		delete(c.armed, armedWatch{zktree.ChildWatch, e.Path})
	}
}
