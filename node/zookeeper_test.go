package node

import (
	"bytes"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"dkv/node/door"
)

// zookeeper is a tree of znodes behind the Session door, without delays or
// servers that lag. Calls wait until answer is called.
type zookeeper struct {
	znodes   map[string]znode
	sessions int64
	session  *zkSession // the newest
	waiting  []zkCall
	answered []string // what was asked, in order, as "get /path"
	watches  map[string]bool
	// fault decides the fate of a call: the error it gets, if not nil, and
	// whether it took effect all the same.
	fault func(what string) (applied bool, err error)
}

type znode struct {
	data    []byte
	version int32
	owner   int64 // session of an ephemeral
}

// zkCall is a call without an answer yet.
type zkCall struct {
	what string
	do   func() (tell func(), err error) // takes effect; tell answers
	fail func(error)
}

func newZookeeper() *zookeeper {
	return &zookeeper{znodes: make(map[string]znode), watches: make(map[string]bool), sessions: 100}
}

func (z *zookeeper) put(path string, data []byte, version int32) {
	z.znodes[path] = znode{data: data, version: version}
}

// plant makes the znodes from which all others hang.
func (z *zookeeper) plant() {
	for _, p := range []string{"/dkv", "/dkv/default", "/dkv/default/nodes", "/dkv/default/live", "/dkv/default/stores"} {
		z.put(p, nil, 0)
	}
	z.put("/dkv/default/cluster", encodeRecord(clusterRecord{UUID: "c0ffee", Expect: 3, Partitions: 1, Replication: 3}), 0)
}

// register makes the two znodes of a node that is not under test.
func (z *zookeeper) register(id NodeID, live liveRecord, owner int64) {
	z.put("/dkv/default/nodes/"+string(id), encodeRecord(nodeRecord{live.Incarnation, live.Store}), int32(live.Incarnation))
	z.znodes["/dkv/default/live/"+string(id)] = znode{data: encodeRecord(live), owner: owner}
}

func (z *zookeeper) open(events func(door.SessionEvent)) door.Session {
	z.sessions++
	z.session = &zkSession{z, z.sessions, events, false}
	connected := func() (func(), error) { return func() { events(door.SessionEvent{Kind: door.EventConnected}) }, nil }
	z.waiting = append(z.waiting, zkCall{"connect", connected, nil})
	return z.session
}

// answer answers the oldest call; false if no call waits.
func (z *zookeeper) answer() bool {
	if len(z.waiting) == 0 {
		return false
	}
	c := z.waiting[0]
	z.waiting = z.waiting[1:]
	z.answered = append(z.answered, c.what)
	if z.fault != nil {
		if applied, err := z.fault(c.what); err != nil {
			if applied {
				c.do()
			}
			c.fail(err)
			return true
		}
	}
	tell, err := c.do()
	if err != nil {
		c.fail(err)
		return true
	}
	tell()
	return true
}

// changed fires the watch on a path.
func (z *zookeeper) changed(path string) {
	if !z.watches[path] {
		return
	}
	delete(z.watches, path)
	events := z.session.events
	tell := func() { events(door.SessionEvent{Kind: door.EventChanged, Path: path}) }
	z.waiting = append(z.waiting, zkCall{"event " + path, func() (func(), error) { return tell, nil }, nil})
}

// count counts calls; of a Multi, what names its first operations.
func (z *zookeeper) count(what string) int {
	return len(slices.DeleteFunc(slices.Clone(z.answered), func(s string) bool { return s != what && !strings.HasPrefix(s, what+" ") }))
}

// zkSession is one session.
type zkSession struct {
	z      *zookeeper
	id     int64
	events func(door.SessionEvent)
	closed bool
}

func (s *zkSession) ID() int64 { return s.id }

func (s *zkSession) Get(path string, watch bool, done func([]byte, door.Stat, error)) {
	do := func() (func(), error) {
		if watch {
			s.z.watches[path] = true
		}
		znode, ok := s.z.znodes[path]
		if !ok {
			return nil, door.ErrNoNode
		}
		return func() {
			done(bytes.Clone(znode.data), door.Stat{Version: znode.version, EphemeralOwner: znode.owner}, nil)
		}, nil
	}
	s.z.waiting = append(s.z.waiting, zkCall{"get " + path, do, func(err error) { done(nil, door.Stat{}, err) }})
}

func (s *zkSession) Children(parent string, watch bool, done func([]string, error)) {
	do := func() (func(), error) {
		if watch {
			s.z.watches[parent] = true
		}
		var names []string
		for _, p := range slices.Sorted(maps.Keys(s.z.znodes)) {
			if path.Dir(p) == parent {
				names = append(names, path.Base(p))
			}
		}
		return func() { done(names, nil) }, nil
	}
	s.z.waiting = append(s.z.waiting, zkCall{"children " + parent, do, func(err error) { done(nil, err) }})
}

func (s *zkSession) Multi(ops []door.Op, done func(error)) {
	names := []string{"multi"}
	for _, op := range ops {
		names = append(names, []string{"", "create", "create", "set", "delete", "check"}[op.Kind]+" "+op.Path)
	}
	do := func() (func(), error) {
		if err := s.z.multi(s.id, ops); err != nil {
			return nil, err
		}
		return func() { done(nil) }, nil
	}
	s.z.waiting = append(s.z.waiting, zkCall{strings.Join(names, " "), do, done})
}

func (s *zkSession) Close(done func()) {
	s.closed = true
	s.z.waiting = append(s.z.waiting, zkCall{"close", func() (func(), error) { return done, nil }, nil})
}

// multi makes all the changes, or none.
func (z *zookeeper) multi(session int64, ops []door.Op) error {
	next := maps.Clone(z.znodes)
	for i, op := range ops {
		if err := change(next, session, op); err != nil {
			return &door.OpError{Op: i, Err: err}
		}
	}
	z.znodes = next
	for _, op := range ops {
		if op.Kind != door.OpCheck {
			z.changed(op.Path)
			z.changed(path.Dir(op.Path))
		}
	}
	return nil
}

func change(znodes map[string]znode, session int64, op door.Op) error {
	was, ok := znodes[op.Path]
	switch create := op.Kind == door.OpCreate || op.Kind == door.OpCreateEphemeral; {
	case create && ok:
		return door.ErrNodeExists
	case create && op.Kind == door.OpCreateEphemeral:
		znodes[op.Path] = znode{data: op.Data, owner: session}
		return nil
	case create:
		znodes[op.Path] = znode{data: op.Data}
		return nil
	case !ok:
		return door.ErrNoNode
	case op.Version != door.AnyVersion && op.Version != was.version:
		return door.ErrBadVersion
	}
	switch op.Kind {
	case door.OpSet:
		znodes[op.Path] = znode{op.Data, was.version + 1, was.owner}
	case door.OpDelete:
		delete(znodes, op.Path)
	case door.OpCheck:
	default:
		return errors.New("no such operation")
	}
	return nil
}
