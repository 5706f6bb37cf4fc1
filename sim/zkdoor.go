package sim

import (
	"errors"
	"fmt"
	"slices"

	"dkv/node"
	"dkv/zksim"

	"github.com/cespare/xxhash/v2"
)

// zkDoor opens a process's sessions with the simulated ZooKeeper.
type zkDoor struct{ life *life }

func (z zkDoor) Open(events func(node.SessionEvent)) node.Session {
	s := &session{life: z.life, events: events}
	if z.life.ended {
		s.closed = true
		return s
	}
	if old := z.life.session; old != nil && !old.over() {
		panic("sim: a node opened a session while it has one")
	}
	z.life.session = s
	w := z.life.world()
	s.client = w.zookeeper.Connect(z.life.host.name, w.cfg.SessionTimeout, s)
	return s
}

// session is a node.Session over a client of the simulated ZooKeeper. Answers
// and events reach the node as events of its process.
type session struct {
	life    *life
	client  *zksim.Client
	events  func(node.SessionEvent)
	closed  bool // by the node
	expired bool
	calls   []*answer // not answered, in the order made
}

// answer is a call's place in the order of answers.
type answer struct {
	payload uint64
	fn      func() // nil: not known yet
}

func (s *session) ID() int64 {
	if s.client == nil {
		return 0
	}
	return s.client.Session()
}

// Get reads a znode. Two requests go out when it is to be watched, one behind
// the other, since ZooKeeper arms a watch on a missing znode for exists alone.
func (s *session) Get(path string, watch bool, done func([]byte, node.Stat, error)) {
	a := s.call()
	if s.over() {
		s.settle(a, path, zksim.ErrClosing, func(err error) { done(nil, node.Stat{}, err) })
		return
	}
	var armed error
	if watch {
		s.client.Exists(path, true, func(_ zksim.Stat, err error) { armed = err })
	}
	s.client.Get(path, watch, func(data []byte, stat zksim.Stat, err error) {
		if errors.Is(err, zksim.ErrNoNode) && watch && armed != nil && !errors.Is(armed, zksim.ErrNoNode) {
			err = armed // missing, and no watch tells of its creation
		}
		s.settle(a, path, err, func(err error) { done(data, statOf(stat), err) })
	})
}

// Children lists the names under a znode.
func (s *session) Children(path string, watch bool, done func([]string, error)) {
	a := s.call()
	if s.over() {
		s.settle(a, path, zksim.ErrClosing, func(err error) { done(nil, err) })
		return
	}
	s.client.Children(path, watch, func(names []string, _ zksim.Stat, err error) {
		slices.Sort(names)
		s.settle(a, path, err, func(err error) { done(names, err) })
	})
}

// Multi makes all the changes or none.
func (s *session) Multi(ops []node.Op, done func(error)) {
	a := s.call()
	if s.over() {
		s.settle(a, "multi", zksim.ErrClosing, done)
		return
	}
	list := make([]zksim.Op, len(ops))
	for i, op := range ops {
		list[i] = opOf(op)
	}
	s.client.Multi(list, func(results []zksim.OpResult, err error) {
		for i := range results {
			if e := results[i].Err; e != zksim.OK && e != zksim.ErrRuntimeInconsistency {
				s.settle(a, "multi", e, func(err error) { done(&node.OpError{Op: i, Err: err}) })
				return
			}
		}
		s.settle(a, "multi", err, done)
	})
}

// Close ends the session.
func (s *session) Close(done func()) {
	if done == nil {
		done = func() {}
	}
	if s.over() {
		s.closed = true
		s.post(KindAnswer, 0, done)
		return
	}
	s.closed = true
	s.client.Close(func() { s.post(KindAnswer, 0, done) })
}

func (s *session) over() bool { return s.closed || s.expired }

// abandon is the end of the process: the session lives until it expires.
func (s *session) abandon() {
	s.calls = nil
	if s.client != nil {
		s.client.Abandon()
	}
}

// SessionEvent tells the node what became of the session.
func (s *session) SessionEvent(state zksim.SessionState) {
	if s.over() {
		return
	}
	var kind node.SessionEventKind
	switch state {
	case zksim.HasSession:
		kind = node.EventConnected
	case zksim.Disconnected:
		kind = node.EventDisconnected
		if s.life.host.cutFromZK {
			s.life.world().count(faultCutZooKeeper)
		}
	case zksim.Expired:
		kind = node.EventExpired
		s.expired = true
	default:
		panic(fmt.Sprintf("sim: session state %v", state))
	}
	s.tell(node.SessionEvent{Kind: kind})
}

// WatchEvent tells the node that a watch fired.
func (s *session) WatchEvent(e zksim.Event) {
	if !s.over() {
		s.tell(node.SessionEvent{Kind: node.EventChanged, Path: e.Path})
	}
}

func (s *session) tell(ev node.SessionEvent) {
	s.post(KindSession, uint64(ev.Kind)<<56^xxhash.Sum64String(ev.Path), func() {
		if !s.closed { // it may have been, while this waited for its turn
			s.events(ev)
		}
	})
}

// call takes a place in the order of answers.
func (s *session) call() *answer {
	a := new(answer)
	s.calls = append(s.calls, a)
	return a
}

// settle maps an error and gives a call its answer, which goes out behind
// those of all earlier calls.
func (s *session) settle(a *answer, about string, err error, done func(error)) {
	code := zksim.OK
	if err != nil && !errors.As(err, &code) {
		panic(fmt.Sprintf("sim: ZooKeeper answered %v", err))
	}
	mapped := errorOf(code)
	a.payload = uint64(uint32(code)) ^ xxhash.Sum64String(about)
	a.fn = func() { done(mapped) }
	for len(s.calls) > 0 && s.calls[0].fn != nil {
		first := s.calls[0]
		s.calls[0] = nil
		s.calls = s.calls[1:]
		s.post(KindAnswer, first.payload, first.fn)
	}
}

func (s *session) post(kind Kind, payload uint64, fn func()) {
	s.life.post(dispatch{kind: kind, payload: payload, fn: fn})
}

// errorOf maps a code of ZooKeeper's to what a Session may answer. What never
// went out is unknown too, as it is with the real client, which can't tell.
func errorOf(code zksim.Code) error {
	switch code {
	case zksim.OK:
		return nil
	case zksim.ErrNoNode:
		return node.ErrNoNode
	case zksim.ErrNodeExists:
		return node.ErrNodeExists
	case zksim.ErrBadVersion:
		return node.ErrBadVersion
	case zksim.ErrNotEmpty:
		return node.ErrNotEmpty
	case zksim.ErrConnectionLoss, zksim.ErrNoServer, zksim.ErrSessionMoved:
		return node.ErrUnknownOutcome
	case zksim.ErrSessionExpired, zksim.ErrClosing:
		return node.ErrSessionOver
	}
	return fmt.Errorf("not done: %w", code)
}

func statOf(s zksim.Stat) node.Stat {
	return node.Stat{Version: s.Version, EphemeralOwner: s.EphemeralOwner, Czxid: s.Czxid}
}

func opOf(op node.Op) zksim.Op {
	o := zksim.Op{Path: op.Path, Data: op.Data, Version: op.Version}
	switch op.Kind {
	case node.OpCreate:
		o.Code = zksim.OpCreate
	case node.OpCreateEphemeral:
		o.Code, o.Flags = zksim.OpCreate, zksim.Ephemeral
	case node.OpSet:
		o.Code = zksim.OpSetData
	case node.OpDelete:
		o.Code = zksim.OpDelete
	case node.OpCheck:
		o.Code = zksim.OpCheck
	default:
		panic(fmt.Sprintf("sim: a multi with an operation of kind %d", op.Kind))
	}
	return o
}
