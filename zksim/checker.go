package zksim

import (
	"fmt"
	"time"

	"dkv/zksim/zktree"
)

// Rule is one of ZooKeeper's promises.
type Rule string

// The promises, all that ZooKeeper makes. What is not here, above all that a
// read is new, it does not promise.
const (
	// ZxidOrder: writes, failed ones too, take effect in the order of their
	// zxids, each between its call and its answer.
	ZxidOrder Rule = "writes take effect in zxid order"
	// SessionOrder: a client's calls end in their order, and a read shows one
	// state of the log that includes the client's own earlier writes.
	SessionOrder Rule = "calls of a client take effect in their order"
	// NoGap: a write is never done without those sent before it over the same
	// connection.
	NoGap Rule = "no write without the earlier ones of its connection"
	// Forward: the zxids that a client sees never go back, whatever servers it
	// comes to.
	Forward Rule = "a client's zxids never go back"
	// EventFirst: a watch tells before its client is shown the change, and
	// events come in zxid order over one connection.
	EventFirst Rule = "an event comes before the data it tells of"
	// Atomic: a transaction is done as a whole or leaves no trace.
	Atomic Rule = "a transaction is done as a whole or not at all"
	// Ended: no write of a session that is over, or over a connection from
	// which the session has moved, is done.
	Ended Rule = "no write of a session that is over or has moved"
	// OneEnd: all ephemerals of a session go at one zxid, with the session.
	OneEnd Rule = "ephemerals go with their session, at one zxid"
	// Durable: what was committed survives every loss of a minority.
	Durable Rule = "what was committed survives"
)

// Rules are all of them.
var Rules = []Rule{ZxidOrder, SessionOrder, NoGap, Forward, EventFirst, Atomic, Ended, OneEnd, Durable}

// Violation is a promise that was broken.
type Violation struct {
	Rule Rule
	At   time.Duration // virtual time
	What string
}

func (v Violation) String() string { return fmt.Sprintf("%v: %s: %s", v.At, v.Rule, v.What) }

const (
	// maxViolations bounds what a Checker keeps: what comes after a broken
	// promise is mostly its consequence.
	maxViolations = 16
	// maxEnded bounds the sessions of which is remembered that they are over.
	maxEnded = 4096
)

// Checker holds a Service to all that ZooKeeper promises, at each commit and
// at each answer and event that a client gets. Give it to one Service, as its
// Config.Checker, and ask for Violations, or have them reported as they come;
// Service.Audit looks at everything at once.
//
// It takes nothing from servers' trees: what they answer is held against the
// log. A nil Checker checks nothing.
type Checker struct {
	report     func(Violation)
	s          *Service
	violations []Violation

	zxid  int64 // of the last commit
	acked int64 // the greatest of a write whose answer a client has

	speakers   map[int64]int64 // by session: the connection that the leader lets write
	ended      map[int64]bool
	endedOrder []int64 // a ring, the oldest at endedAt
	endedAt    int
	ephemerals map[int64]map[string]struct{} // by session
}

// NewChecker makes a Checker. report, if not nil, hears of each violation when
// it is found, inside a call of the Scheduler's; it must not call into the
// service.
func NewChecker(report func(Violation)) *Checker {
	return &Checker{
		report:     report,
		speakers:   make(map[int64]int64),
		ended:      make(map[int64]bool),
		ephemerals: make(map[int64]map[string]struct{}),
	}
}

// Violations are the first that were found, at most 16.
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

// armedWatch names a watch that a client's reads have left.
type armedWatch struct {
	kind zktree.WatchKind
	path string
}

// Commits.

// onCommit sees a transaction that the leader has applied.
func (k *Checker) onCommit(e *entry, r *zktree.Result) {
	if k == nil {
		return
	}
	txn := &e.txn
	if txn.Zxid <= k.zxid || r.Zxid != txn.Zxid {
		k.broken(ZxidOrder, "transaction %#x, whose result says %#x, after %#x", txn.Zxid, r.Zxid, k.zxid)
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
		k.broken(Ended, "session %#x, which is over, wrote at %#x", txn.Session, txn.Zxid)
	}
	if r.Failed {
		return
	}
	k.trackEphemerals(txn, r)
	if txn.Code == zktree.OpCloseSession {
		k.onSessionEnd(txn, r)
	}
}

// onWrite: writes of one connection come without a gap, and only of the
// connection that speaks for the session.
func (k *Checker) onWrite(e *entry, r *zktree.Result) {
	c, n := e.req.conn, e.req.number
	switch {
	case n == c.written+1:
		c.written = n
	case !r.Failed: // after a gap a write may still be refused
		k.broken(NoGap, "write %d of connection %d follows write %d", n, c.id, c.written)
	}
	if speaker, known := k.speakers[e.txn.Session]; known && speaker != c.id && !r.Failed {
		k.broken(Ended, "session %#x wrote over connection %d, but has moved to %d", e.txn.Session, c.id, speaker)
	}
}

// checkWhole: a transaction that failed has no effect, one that did not has all
// of its parts.
func (k *Checker) checkWhole(txn *zktree.Txn, r *zktree.Result) {
	if r.Failed != (r.Err != zktree.OK) && txn.Code != zktree.OpMulti {
		k.broken(Atomic, "transaction %#x failed and did not", txn.Zxid)
	}
	if r.Failed {
		if len(r.Changes) > 0 {
			k.broken(Atomic, "transaction %#x failed and changed %v", txn.Zxid, r.Changes)
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
			k.broken(Atomic, "multi %#x was done, but not its operation %d: %v", txn.Zxid, i, r.Ops[i].Err)
		}
		if txn.Ops[i].Code.Creates() || txn.Ops[i].Code == zktree.OpDelete || txn.Ops[i].Code == zktree.OpSetData {
			want++
		}
	}
	if want != len(r.Changes) {
		k.broken(Atomic, "multi %#x of %d changes made %d", txn.Zxid, want, len(r.Changes))
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
			if was, known := k.s.chronicle.latest(change.Path); known && was.owner != 0 {
				delete(k.ephemerals[was.owner], change.Path)
			}
		}
	}
}

// onSessionEnd: everything that the session owned has just gone.
func (k *Checker) onSessionEnd(txn *zktree.Txn, r *zktree.Result) {
	for _, path := range sortedKeys(k.ephemerals[txn.Session]) {
		k.broken(OneEnd, "%s outlives session %#x, which ended at %#x", path, txn.Session, txn.Zxid)
	}
	for _, change := range r.Changes {
		if was, known := k.s.chronicle.latest(change.Path); change.Kind != zktree.Deleted || known && was.owner != txn.Session {
			k.broken(OneEnd, "the end of session %#x did %d to %s, which is not its own", txn.Session, change.Kind, change.Path)
		}
	}
	delete(k.ephemerals, txn.Session)
	delete(k.speakers, txn.Session)
	k.ended[txn.Session] = true
	if len(k.endedOrder) < maxEnded {
		k.endedOrder = append(k.endedOrder, txn.Session)
		return
	}
	delete(k.ended, k.endedOrder[k.endedAt])
	k.endedOrder[k.endedAt] = txn.Session
	k.endedAt = (k.endedAt + 1) % maxEnded
}

// onAttach is the leader's word on which connection speaks for a session.
func (k *Checker) onAttach(session int64, c *conn) {
	if k == nil {
		return
	}
	k.speakers[session] = c.id
}

// onElected: the new leader has everything that was ever committed.
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
	clear(k.speakers)
	clear(k.ephemerals)
}

// checkTree holds a whole tree against the log, up to a zxid.
func (k *Checker) checkTree(who string, t *zktree.Tree, zxid int64) {
	if t.Zxid() != zxid {
		k.broken(Durable, "%s has applied %#x, not %#x", who, t.Zxid(), zxid)
		return
	}
	for _, path := range sortedKeys(k.s.chronicle.paths) {
		was, known := k.s.chronicle.at(path, zxid)
		if !known {
			continue
		}
		stat, code := t.Exists(path)
		if what := was.differs(stat, code); what != "" {
			k.broken(Durable, "%s has %s otherwise than the log at %#x: %s", who, path, zxid, what)
		}
	}
}

// differs says in what a node is not what the log makes it, "" if in nothing.
func (p *pathState) differs(stat zktree.Stat, code zktree.Code) string {
	switch {
	case p.exists != (code == zktree.OK):
		return fmt.Sprintf("it exists: %v, answered %v", p.exists, code)
	case !p.exists:
		return ""
	case p.czxid != stat.Czxid || p.mzxid != stat.Mzxid || p.version != stat.Version:
		return fmt.Sprintf("created at %#x, set at %#x, version %d; answered %#x, %#x, %d",
			p.czxid, p.mzxid, p.version, stat.Czxid, stat.Mzxid, stat.Version)
	case p.children != stat.NumChildren:
		return fmt.Sprintf("%d children, answered %d", p.children, stat.NumChildren)
	case p.owner != 0 && p.owner != stat.EphemeralOwner:
		return fmt.Sprintf("of session %#x, answered %#x", p.owner, stat.EphemeralOwner)
	}
	return ""
}

// Audit holds every server's tree against the log, and every ephemeral against
// the leader's sessions. It changes nothing and reports to Config.Checker.
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
		k.broken(Durable, "the leader has applied %#x, the last transaction is %#x", s.leader.tree.Zxid(), k.zxid)
	}
	for _, path := range sortedKeys(s.chronicle.paths) {
		if now, _ := s.chronicle.latest(path); now.exists && now.owner != 0 && s.leases[now.owner] == nil {
			k.broken(OneEnd, "%s belongs to session %#x, which is over", path, now.owner)
		}
	}
}

// Clients.

// onCall is a call's beginning.
func (k *Checker) onCall(cl *Client, req *request) {
	if k == nil {
		return
	}
	req.floor = k.acked
	cl.called++
	req.serial = cl.called
}

// onEnd is a call's end, by a server's answer or without one.
func (k *Checker) onEnd(cl *Client, req *request) {
	if k == nil || req.serial == 0 {
		return
	}
	cl.endedCalls++
	if req.serial != cl.endedCalls {
		k.broken(SessionOrder, "%s: call %d ends as number %d", cl.host.name, req.serial, cl.endedCalls)
		cl.endedCalls = req.serial
	}
}

// onAnswer is a server's answer, before the client knows of it.
func (k *Checker) onAnswer(cl *Client, c *conn, req *request, r *reply) {
	if k == nil {
		return
	}
	if r.zxid < cl.lastZxid {
		k.broken(Forward, "%s: the answer is of zxid %#x, one before was of %#x", cl.host.name, r.zxid, cl.lastZxid)
	}
	if r.zxid < cl.wrote {
		k.broken(SessionOrder, "%s: the answer is of zxid %#x, the client has written at %#x", cl.host.name, r.zxid, cl.wrote)
	}
	switch req.kind {
	case reqWrite, reqClose:
		if req.committed != r.zxid || r.zxid <= req.floor {
			k.broken(ZxidOrder, "%s: a write answered with %#x was committed at %#x, and when it was called %#x had been answered",
				cl.host.name, r.zxid, req.committed, req.floor)
		}
		cl.wrote = max(cl.wrote, r.zxid)
		k.acked = max(k.acked, r.zxid)
	case reqGet, reqExists, reqChildren:
		k.onRead(cl, c, req, r)
	case reqAddWatch: // which takes the place of what stood there
		delete(c.armed, armedWatch{zktree.DataWatch, req.op.Path})
		delete(c.armed, armedWatch{zktree.ChildWatch, req.op.Path})
	case reqSetWatches:
		clear(c.armed)
	}
}

// onRead: what was read is the state of the log at the answer's zxid, and the
// connection's watches have told of every change that it shows.
func (k *Checker) onRead(cl *Client, c *conn, req *request, r *reply) {
	path, code := req.op.Path, r.result.Err
	if code != zktree.OK && code != zktree.ErrNoNode {
		return
	}
	was, known := k.s.chronicle.at(path, r.zxid)
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
		before, known := k.s.chronicle.at(path, since)
		// Of a node that the client may not read its watches tell nothing.
		readable := k.s.leader.tree.Allowed(path, zktree.PermRead, nil) != zktree.ErrNoAuth
		if known && readable && before.changed(&was, kind) {
			k.broken(EventFirst, "%s: %s was shown as of %#x without an event, the watch is of %#x", cl.host.name, path, r.zxid, since)
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

// changed says whether a watch of this kind tells what lies between two states.
func (p *pathState) changed(now *pathState, kind zktree.WatchKind) bool {
	if kind == zktree.ChildWatch {
		return p.childAt != now.childAt || p.czxid != now.czxid || p.exists != now.exists
	}
	return p.exists != now.exists || p.exists && (p.mzxid != now.mzxid || p.czxid != now.czxid)
}

// onTold is an event's arrival. zxid is of the change that it tells.
func (k *Checker) onTold(cl *Client, c *conn, e zktree.Event, zxid int64) {
	if k == nil {
		return
	}
	if zxid < c.toldZxid {
		k.broken(EventFirst, "%s: the event of %#x on %s comes after one of %#x", cl.host.name, zxid, e.Path, c.toldZxid)
	}
	c.toldZxid = zxid
	if e.Type != zktree.EventChildrenChanged {
		delete(c.armed, armedWatch{zktree.DataWatch, e.Path})
	}
	if e.Type == zktree.EventChildrenChanged || e.Type == zktree.EventDeleted {
		delete(c.armed, armedWatch{zktree.ChildWatch, e.Path})
	}
}
