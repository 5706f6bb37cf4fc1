package world

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/zksim"
	"dkv/zksim/zktree"

	"github.com/cespare/xxhash/v2"
)

// rewatchWait is how long the production adapter waits, after a reconnect, for the
// client library to set its watches again.
const rewatchWait = 250 * time.Millisecond

// zkDoor is a process's door.Coordinator.
type zkDoor struct{ process *hostProcess }

func (z zkDoor) Open(events func(door.SessionEvent)) door.Session {
	w := z.process.world()
	s := &session{process: z.process, world: w, view: w.cfg.Door, events: events, dirty: make(map[string]struct{})}
	if z.process.ended {
		s.closed = true
		return s
	}
	if old := z.process.session; old != nil && !old.over() {
		panic("world: a process opened a session while it has one")
	}
	z.process.session = s
	s.client = w.zookeeper.Connect(z.process.host.name, w.cfg.SessionTimeout, s)
	return s
}

// session is a door.Session over a client of the simulated ZooKeeper. Answers and
// events reach the node as events of its process. Its view selects which habits of the
// production adapter it imitates.
//
//   - calls are the calls without a delivered answer, in the order in which the node
//     made them. The node gets the answers in that order: an answer that comes early
//     waits for those of the calls before it.
//   - A call is unsent while it has send. Every call gets exactly one answer, also when
//     the session ends; abandon alone drops calls, because the process is gone.
//   - held implies connected.
//   - Once over, a session sends nothing and tells the node nothing new but answers.
//   - silence grows with every connect and disconnect, so that a timer can tell whether
//     the connection has changed since it was set.
type session struct {
	process *hostProcess
	world   *World
	view    schedule.DoorView
	client  *zksim.Client
	events  func(door.SessionEvent)
	closed  bool // by the node, or because its process has ended
	expired bool // the node was told so
	calls   []*zkCall

	connected bool
	held      bool // calls wait until the watches are set again
	silence   uint64
	dirty     map[string]struct{} // paths whose EventChanged the node has not handled
}

// zkCall is a call and its place in the order of answers.
type zkCall struct {
	about   string // path, for the trace hash
	send    func() // nil once the call was sent or has failed
	fail    func(error)
	payload uint64
	answer  func() // nil until the answer is known
	stop    func() // ends the deadline
}

func (s *session) ID() int64 {
	if s.client == nil {
		return 0
	}
	return s.client.Session()
}

// Get reads a znode. If it is to be watched, Exists comes first, because ZooKeeper sets
// a watch on a missing znode only for an exists request.
func (s *session) Get(path string, watch bool, done func([]byte, door.Stat, error)) {
	c := &zkCall{about: path, fail: func(err error) { done(nil, door.Stat{}, err) }}
	c.send = func() {
		var armed error
		if watch {
			s.client.Exists(path, true, func(_ zktree.Stat, err error) { armed = err })
		}
		s.client.Get(path, watch, func(data []byte, stat zktree.Stat, err error) {
			if errors.Is(err, zktree.ErrNoNode) && watch && armed != nil && !errors.Is(armed, zktree.ErrNoNode) {
				err = armed // the znode is missing, and no watch would report its creation
			}
			s.settle(c, err, func(err error) { done(data, statOf(stat), err) })
		})
	}
	s.make(c)
}

// Children lists the names under a znode.
func (s *session) Children(path string, watch bool, done func([]string, error)) {
	c := &zkCall{about: path, fail: func(err error) { done(nil, err) }}
	c.send = func() {
		s.client.Children(path, watch, func(names []string, _ zktree.Stat, err error) {
			slices.Sort(names)
			s.settle(c, err, func(err error) { done(names, err) })
		})
	}
	s.make(c)
}

// Multi makes all changes or none.
func (s *session) Multi(ops []door.Op, done func(error)) {
	list := make([]zktree.Op, len(ops))
	for i, op := range ops {
		list[i] = opOf(op)
	}
	c := &zkCall{about: "multi", fail: done}
	c.send = func() {
		s.client.Multi(list, func(results []zktree.OpResult, err error) {
			for i := range results {
				if e := results[i].Err; e != zktree.OK && e != zktree.ErrRuntimeInconsistency {
					s.settle(c, e, func(err error) { done(&door.OpError{Op: i, Err: err}) })
					return
				}
			}
			s.settle(c, err, done)
		})
	}
	s.make(c)
}

// Close ends the session.
func (s *session) Close(done func()) {
	if done == nil {
		done = func() {}
	}
	if s.over() {
		s.closed = true
		s.post(kindAnswer, 0, done)
		return
	}
	s.closed = true
	s.failUnsent(zktree.ErrClosing)
	s.client.Close(func() { s.post(kindAnswer, 0, done) })
}

func (s *session) over() bool { return s.closed || s.expired }

// abandon drops the session with its process. ZooKeeper keeps it until it expires.
func (s *session) abandon() {
	for _, c := range s.calls {
		c.unarm()
	}
	s.calls = nil
	s.closed = true
	if s.client != nil {
		s.client.Abandon()
	}
}

// SessionEvent tells the node what became of the session.
func (s *session) SessionEvent(state zksim.SessionState) {
	if s.over() {
		return
	}
	var kind door.SessionEventKind
	switch state {
	case zksim.HasSession:
		kind = door.EventConnected
		s.onConnected()
	case zksim.Disconnected:
		kind = door.EventDisconnected
		if s.process.host.cutFromZK {
			s.world.Count(faultCutZooKeeper)
		}
		s.onDisconnected()
	case zksim.Expired:
		kind = door.EventExpired
		s.expired = true
	default:
		panic(fmt.Sprintf("world: unknown session state %v", state))
	}
	s.tell(door.SessionEvent{Kind: kind})
	if s.expired {
		s.failUnsent(zktree.ErrSessionExpired)
	}
	s.sendNext()
}

func (s *session) onConnected() {
	s.connected, s.held = true, false
	s.silence++
	if s.view.Rewatch == 0 || !s.client.Watching() {
		return
	}
	if s.process.host.rewatches.float() < s.view.Rewatch {
		s.held = true
		since := s.silence
		s.after(rewatchWait, func() {
			if s.silence == since {
				s.held = false
				s.sendNext()
			}
		})
	}
}

func (s *session) onDisconnected() {
	s.connected, s.held = false, false
	s.silence++
	if !s.view.Watchdog {
		return
	}
	since := s.silence
	s.after(2*s.client.Timeout(), func() {
		if s.over() || s.silence != since {
			return
		}
		s.world.Count(faultDoorWatchdog)
		s.expired = true
		s.tell(door.SessionEvent{Kind: door.EventExpired})
		s.failUnsent(zktree.ErrSessionExpired)
		s.client.Close(nil)
	})
}

// WatchEvent tells the node that a watch fired.
func (s *session) WatchEvent(e zktree.Event) {
	if s.over() {
		return
	}
	if s.view.Coalesce {
		if _, told := s.dirty[e.Path]; told {
			s.world.Count(faultDoorCoalesced)
			return
		}
		s.dirty[e.Path] = struct{}{}
	}
	s.tell(door.SessionEvent{Kind: door.EventChanged, Path: e.Path})
}

func (s *session) tell(ev door.SessionEvent) {
	s.post(kindSession, uint64(ev.Kind)<<56^xxhash.Sum64String(ev.Path), func() {
		if ev.Kind == door.EventChanged {
			delete(s.dirty, ev.Path)
		}
		if !s.closed { // the node may have closed it while the event was queued
			s.events(ev)
		}
	})
}

// The stages of a call:
//
//	make ─▶ sendNext ─▶ settle
//	make ─▶ unsent, late or failUnsent ─▶ settle

// make queues a call and sends it when it may be sent.
func (s *session) make(c *zkCall) {
	s.calls = append(s.calls, c)
	if s.over() {
		c.send = nil
		s.settle(c, zktree.ErrClosing, c.fail)
		return
	}
	if s.view.Deadlines {
		c.stop = s.after(s.timeout(), func() { s.late(c) })
		if !s.sendable() {
			s.after(s.timeout()/4, func() { s.unsent(c) })
		}
	}
	s.sendNext()
	switch {
	case c.send == nil:
	case s.held:
		s.world.Count(faultDoorHeld)
	case s.connected:
		s.world.Count(faultDoorQueued)
	}
}

func (s *session) timeout() time.Duration { return s.client.Timeout() }

// sendable reports whether a call may be sent now. Without deadlines, the client itself
// keeps calls until there is a connection.
func (s *session) sendable() bool { return !s.held && (s.connected || !s.view.Deadlines) }

// sendNext sends the calls that may be sent, in order.
func (s *session) sendNext() {
	for i, c := range s.calls {
		switch {
		case c.send == nil:
			continue
		case !s.sendable() || s.over():
			return
		case i > 0 && s.view.OneAtATime:
			return
		}
		send := c.send
		c.send = nil
		send()
	}
}

// unsent fails a call that has waited too long for a connection.
func (s *session) unsent(c *zkCall) {
	if c.send != nil && !s.sendable() {
		c.send = nil
		s.world.Count(faultDoorUnsent)
		s.settle(c, zktree.ErrNoServer, c.fail)
	}
}

// late fails a call whose answer did not come in time. It also cuts the connection, so
// that no later call can take effect before this one does.
func (s *session) late(c *zkCall) {
	if c.answer != nil {
		return
	}
	s.world.Count(faultDoorLate)
	if c.send == nil {
		s.client.Cut()
	}
	c.send = nil
	s.settle(c, zktree.ErrConnectionLoss, c.fail)
}

func (s *session) failUnsent(code zktree.Code) {
	for _, c := range slices.Clone(s.calls) {
		if c.send != nil {
			c.send = nil
			s.settle(c, code, c.fail)
		}
	}
}

// settle gives a call its answer, and delivers all answers that have no unanswered call
// before them. Only the first answer of a call counts.
func (s *session) settle(c *zkCall, err error, done func(error)) {
	if c.answer != nil {
		return
	}
	code := zktree.OK
	if err != nil && !errors.As(err, &code) {
		panic(fmt.Sprintf("world: ZooKeeper answered with an error that has no code: %v", err))
	}
	mapped := errorOf(code)
	c.payload = uint64(uint32(code)) ^ xxhash.Sum64String(c.about)
	c.answer = func() { done(mapped) }
	c.unarm()
	for len(s.calls) > 0 && s.calls[0].answer != nil {
		first := s.calls[0]
		s.calls = slices.Delete(s.calls, 0, 1)
		clear(s.dirty) // the answer may predate a change that comes now, so report that again
		s.post(kindAnswer, first.payload, first.answer)
	}
	s.sendNext()
}

func (c *zkCall) unarm() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// after is a timer of the adapter. It waits while the process is paused.
func (s *session) after(d time.Duration, fn func()) (stop func()) {
	return s.world.After(d, func() { s.whenRunning(fn) })
}

func (s *session) whenRunning(fn func()) {
	const poll = 250 * time.Millisecond
	switch {
	case s.process.ended:
	case s.process.host.state == Paused:
		s.world.After(poll, func() { s.whenRunning(fn) })
	default:
		fn()
	}
}

func (s *session) post(kind stepKind, payload uint64, fn func()) {
	s.process.post(dispatch{kind: kind, payload: payload, fn: fn})
}

// errorOf maps an error code of ZooKeeper to an error of door.Session. The outcome of a
// call that was never sent is unknown too, because the production client can't tell.
func errorOf(code zktree.Code) error {
	switch code {
	case zktree.OK:
		return nil
	case zktree.ErrNoNode:
		return door.ErrNoNode
	case zktree.ErrNodeExists:
		return door.ErrNodeExists
	case zktree.ErrBadVersion:
		return door.ErrBadVersion
	case zktree.ErrNotEmpty:
		return door.ErrNotEmpty
	case zktree.ErrConnectionLoss, zktree.ErrNoServer, zktree.ErrSessionMoved:
		return door.ErrUnknownOutcome
	case zktree.ErrSessionExpired, zktree.ErrClosing:
		return door.ErrSessionOver
	}
	return fmt.Errorf("not done: %w", code)
}

func statOf(s zktree.Stat) door.Stat {
	return door.Stat{Version: s.Version, EphemeralOwner: s.EphemeralOwner, Czxid: s.Czxid}
}

func opOf(op door.Op) zktree.Op {
	o := zktree.Op{Path: op.Path, Data: op.Data, Version: op.Version}
	switch op.Kind {
	case door.OpCreate:
		o.Code = zktree.OpCreate
	case door.OpCreateEphemeral:
		o.Code, o.Flags = zktree.OpCreate, zktree.Ephemeral
	case door.OpSet:
		o.Code = zktree.OpSetData
	case door.OpDelete:
		o.Code = zktree.OpDelete
	case door.OpCheck:
		o.Code = zktree.OpCheck
	default:
		panic(fmt.Sprintf("world: a multi has an operation of unknown kind %d", op.Kind))
	}
	return o
}
