package world

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"dkv/zksim"
	"dkv/zksim/zktree"
)

// ZKScripts are sessions that use parts of ZooKeeper which nodes do not use: sequential
// znodes, second connections, requests that are too large, containers, persistent
// watches, ephemerals of other sessions. They work below /scripts and share nothing with
// the nodes but ZooKeeper's log. Each runs on a host of its own, which it sometimes cuts
// off or crashes.
//
// Audit compares the answers that they got with what is there at the end.
type ZKScripts struct {
	world *World
	note  func(format string, args ...any)
	acts  []zkAct
	all   []*scriptHost
	ended bool // scripts do nothing more but close their sessions

	// Each set of the ledger raises its version by one. So the version is at least
	// acked, and at most acked + unknown.
	acked, unknown int
	// A znode of the queue whose creation was answered (queued) is there, unless a
	// script has tried to delete it (taken). That may come before the answer.
	queued, taken map[string]struct{}
}

const (
	scriptRoot   = "/scripts"
	scriptLocks  = scriptRoot + "/locks"
	scriptQueue  = scriptRoot + "/queue"
	scriptLedger = scriptRoot + "/ledger"
	scriptOld    = scriptRoot + "/old" // its sequence counter is about to overflow
	scriptBox    = scriptRoot + "/box" // a container
)

// NewZKScripts makes count scripts, which do nothing before Begin. They report to note
// what they do.
func NewZKScripts(w *World, count int, note func(string, ...any)) *ZKScripts {
	z := &ZKScripts{world: w, note: note, acts: zkActs, queued: make(map[string]struct{}), taken: make(map[string]struct{})}
	for i := range count {
		s := &scriptHost{scripts: z, name: scriptName(i), draws: draws{random: w.random, purpose: "zk-script", entity: uint64(i)}}
		kind := s.draws.below(4)
		s.options = zksim.ClientOptions{Unguarded: kind == 1, Reopen: kind == 2}
		z.all = append(z.all, s)
	}
	return z
}

func scriptName(i int) string { return "s" + strconv.Itoa(i+1) }

// Begin makes the scripts open their sessions within two seconds.
func (z *ZKScripts) Begin() {
	for _, s := range z.all {
		z.world.After(s.draws.within(Range{0, 2 * time.Second}), s.connect)
	}
}

// End makes every script close its session as soon as it can.
func (z *ZKScripts) End() {
	z.ended = true
	for _, s := range z.all {
		s.close()
	}
}

// Audit compares what is in ZooKeeper with the answers that the scripts got, and
// describes each contradiction.
func (z *ZKScripts) Audit() []string {
	var wrong []string
	zk := z.world.zookeeper
	for _, c := range zk.Counters() {
		if c.Name == "rolled-back" && c.Count > 0 {
			return nil // ZooKeeper has lost its state, so there is nothing to compare
		}
	}
	_, stat, code := zk.Peek(scriptLedger)
	if sets := int(stat.Version); code == zktree.OK && (sets < z.acked || sets > z.acked+z.unknown) || code != zktree.OK && z.acked > 0 {
		wrong = append(wrong, fmt.Sprintf("%s has version %d (%v), but %d sets of it succeeded and %d have an unknown outcome", scriptLedger, stat.Version, code, z.acked, z.unknown))
	}
	missing := make([]string, 0)
	// order-free: sorted below
	for path := range z.queued {
		if _, _, code := zk.Peek(path); code != zktree.OK {
			missing = append(missing, path)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		wrong = append(wrong, fmt.Sprintf("%s was created and never deleted, but it is missing", missing[0]))
	}
	return wrong
}

// scriptHost is the host of one script: its client, and the state of what it does.
type scriptHost struct {
	scripts *ZKScripts
	name    string
	draws   draws
	options zksim.ClientOptions
	run     int // grows when the host crashes or begins a session anew

	client    *zksim.Client
	second    *zksim.Client // another connection, at another server
	connected bool
	lock      string // path of its lock's znode, or ""
	lockLost  bool   // an answer was lost, so the session may have other lock znodes
	sleepy    bool   // does nothing until an event comes
	reading   bool   // only syncs and reads
}

func (s *scriptHost) connect() {
	if s.scripts.ended {
		return
	}
	s.run++
	s.lock, s.lockLost, s.sleepy, s.reading, s.connected = "", false, false, false, false
	w := s.scripts.world
	s.client = w.zookeeper.ConnectWith(s.name, w.cfg.SessionTimeout, s, s.options)
	for _, path := range []string{scriptRoot, scriptLocks, scriptQueue, scriptLedger, scriptOld} {
		s.client.Create(path, nil, 0, func(_ zksim.CreateResult, err error) {
			if err == nil && path == scriptOld {
				w.zookeeper.AgeSequence(scriptOld, math.MaxInt32-4)
			}
		})
	}
	s.client.AddWatch(scriptRoot, s.draws.below(2) == 0, func(error) {})
	s.actLater(s.run)
}

// SessionEvent opens another session when this one is over, unless the client does so
// by itself.
func (s *scriptHost) SessionEvent(state zksim.SessionState) {
	s.connected = state == zksim.HasSession
	switch {
	case state == zksim.Expired:
		s.lock = ""
		if !s.options.Reopen {
			s.scripts.world.After(s.draws.within(Range{10 * time.Millisecond, time.Second}), s.connect)
		}
	case state == zksim.HasSession && s.scripts.ended:
		s.close()
	}
}

// WatchEvent wakes a sleepy script. The script then reads from another server, which
// may not know of the change yet.
func (s *scriptHost) WatchEvent(e zktree.Event) {
	if !s.sleepy {
		return
	}
	s.sleepy = false
	s.client.Cut()
	s.scripts.world.After(time.Millisecond, func() {
		s.client.Get(e.Path, false, func([]byte, zktree.Stat, error) {})
	})
}

func (s *scriptHost) close() {
	if s.second != nil {
		s.second.Abandon()
		s.second = nil
	}
	if s.client != nil && s.connected {
		s.client.Close(nil)
	}
}

func (s *scriptHost) actLater(run int) {
	s.scripts.world.After(s.draws.within(Range{50 * time.Millisecond, 700 * time.Millisecond}), func() {
		if s.scripts.ended || s.run != run {
			return
		}
		if !s.sleepy && !s.reading {
			s.act()
		}
		s.actLater(s.run)
	})
}

// zkAct is an action of scripts. Its share is how often it is drawn, in relation to the
// others.
type zkAct struct {
	name  string
	share int
	do    func(s *scriptHost)
}

// ZKActs returns the names of all actions of scripts.
func ZKActs() []string {
	names := make([]string, len(zkActs))
	for i := range zkActs {
		names[i] = zkActs[i].name
	}
	return names
}

var zkActs = []zkAct{
	{"takes or leaves a lock", 16, (*scriptHost).useLock},
	{"puts into the queue or takes from it", 14, (*scriptHost).useQueue},
	{"sets the ledger", 14, (*scriptHost).setLedger},
	{"creates its ephemeral or changes another's", 12, (*scriptHost).useEphemeral},
	{"recreates a znode", 8, (*scriptHost).remake},
	{"watches znodes that come and go", 8, (*scriptHost).watch},
	{"sends a multi that must fail", 6, (*scriptHost).failMulti},
	{"syncs and reads", 6, (*scriptHost).syncAndRead},
	{"fills or empties the container", 6, (*scriptHost).useBox},
	{"creates znodes under an old parent", 3, (*scriptHost).useOld},
	{"connects a second time", 5, (*scriptHost).takeTwice},
	{"only reads for a while", 4, (*scriptHost).onlyRead},
	{"waits for an event", 4, (*scriptHost).sleep},
	{"is cut off", 5, (*scriptHost).cutHost},
	{"breaks its connection", 3, func(s *scriptHost) { s.client.Cut() }},
	{"crashes", 2, (*scriptHost).crash},
	{"misses a znode that comes and goes", 3, (*scriptHost).missBrief},
	{"sends a request that is too large", 1, (*scriptHost).oversize},
}

func (s *scriptHost) act() {
	total := 0
	for i := range s.scripts.acts {
		total += s.scripts.acts[i].share
	}
	n := s.draws.below(total)
	for i := range s.scripts.acts {
		act := &s.scripts.acts[i]
		if n -= act.share; n < 0 {
			s.scripts.note("script %s %s", s.name, act.name)
			act.do(s)
			return
		}
	}
}

// lost reports whether an error leaves the outcome unknown.
func lost(err error) bool { return errors.Is(err, zktree.ErrConnectionLoss) }

// useLock follows ZooKeeper's recipe for a lock: each contender creates a sequential
// ephemeral, and the lowest has the lock. After a lost answer it creates another one and
// deletes the others of its session, as a correct recipe must.
func (s *scriptHost) useLock() {
	if s.lock != "" {
		s.client.Delete(s.lock, -1, func(error) {})
		s.lock = ""
		return
	}
	s.client.Create(scriptLocks+"/n-", []byte(s.name), zktree.Ephemeral|zktree.Sequential, func(r zksim.CreateResult, err error) {
		switch {
		case lost(err):
			s.lockLost = true
		case err == nil:
			s.lock = r.Path
			s.listLocks()
		}
	})
}

func (s *scriptHost) listLocks() {
	s.client.Children(scriptLocks, true, func(names []string, _ zktree.Stat, err error) {
		if err != nil || !s.lockLost {
			return
		}
		s.lockLost = false
		for _, name := range names {
			path := scriptLocks + "/" + name
			if path == s.lock {
				continue
			}
			s.client.Get(path, false, func(_ []byte, stat zktree.Stat, err error) {
				if err == nil && stat.EphemeralOwner == s.client.Session() {
					s.client.Delete(path, -1, func(error) {})
				}
			})
		}
	})
}

func (s *scriptHost) useQueue() {
	z := s.scripts
	if s.draws.below(2) == 0 {
		s.client.Create(scriptQueue+"/q-", []byte(s.name), zktree.Sequential, func(r zksim.CreateResult, err error) {
			if _, taken := z.taken[r.Path]; err == nil && !taken {
				z.queued[r.Path] = struct{}{}
			}
		})
		return
	}
	s.client.Children(scriptQueue, false, func(names []string, _ zktree.Stat, err error) {
		if err != nil || len(names) == 0 {
			return
		}
		path := scriptQueue + "/" + slices.Min(names)
		delete(z.queued, path)
		z.taken[path] = struct{}{}
		s.client.Delete(path, -1, func(error) {})
	})
}

func (s *scriptHost) setLedger() {
	z := s.scripts
	s.client.Get(scriptLedger, false, func(_ []byte, stat zktree.Stat, err error) {
		if err != nil {
			return
		}
		z.unknown++ // until the answer comes
		s.client.Set(scriptLedger, []byte(s.name), stat.Version, func(_ zktree.Stat, err error) {
			if lost(err) {
				return
			}
			z.unknown--
			if err == nil {
				z.acked++
			}
		})
	})
}

// useEphemeral creates an ephemeral, or sets or deletes that of a drawn script. That may
// be its own, and may belong to an earlier session.
func (s *scriptHost) useEphemeral() {
	victim := scriptRoot + "/" + scriptName(s.draws.below(len(s.scripts.all)))
	switch s.draws.below(4) {
	case 0:
		s.client.Set(victim, []byte(s.name), -1, func(zktree.Stat, error) {})
	case 1:
		s.client.Delete(victim, -1, func(error) {})
	default:
		s.client.Create(scriptRoot+"/"+s.name, nil, zktree.Ephemeral, func(zksim.CreateResult, error) {})
	}
}

// thing draws one of a few znodes that come and go.
func (s *scriptHost) thing() string { return scriptRoot + "/thing-" + strconv.Itoa(s.draws.below(4)) }

func (s *scriptHost) remake() {
	path := s.thing()
	s.client.Set(path, nil, -1, func(zktree.Stat, error) {})
	s.client.Delete(path, -1, func(error) {})
	if s.draws.below(4) > 0 {
		s.client.Create(path, nil, 0, func(zksim.CreateResult, error) {})
	}
}

func (s *scriptHost) watch() {
	for range 3 {
		path := s.thing()
		s.client.Exists(path, true, func(zktree.Stat, error) {})
		s.client.Get(path, true, func([]byte, zktree.Stat, error) {})
	}
	s.client.Children(scriptRoot, true, func([]string, zktree.Stat, error) {})
}

func (s *scriptHost) failMulti() {
	ops := []zktree.Op{
		{Code: zktree.OpCreate, Path: scriptRoot + "/never"},
		{Code: zktree.OpCheck, Path: scriptLedger, Version: math.MaxInt32},
	}
	s.client.Multi(ops, func(_ []zktree.OpResult, err error) {})
}

func (s *scriptHost) syncAndRead() {
	s.client.Sync(scriptLedger, func(error) {})
	s.client.Get(scriptLedger, false, func([]byte, zktree.Stat, error) {})
}

func (s *scriptHost) useBox() {
	if s.draws.below(3) == 0 {
		s.client.Delete(scriptBox+"/x", -1, func(error) {})
		return
	}
	made := func(zksim.CreateResult, error) {}
	s.client.CreateNode(zktree.Op{Code: zktree.OpContainer, Path: scriptBox, Flags: zktree.Container}, made)
	s.client.Create(scriptBox+"/x", nil, zktree.Ephemeral, made)
	s.client.CreateNode(zktree.Op{Code: zktree.OpCreateTTL, Path: scriptRoot + "/brief", Flags: zktree.WithTTL, TTL: time.Second}, made)
}

func (s *scriptHost) useOld() {
	for range 3 {
		s.client.Create(scriptOld+"/o-", nil, zktree.Sequential, func(r zksim.CreateResult, err error) {
			if err == nil {
				s.client.Delete(r.Path, -1, func(error) {})
			}
		})
	}
}

// missBrief watches for a znode and loses its connection just when another session
// creates and deletes that znode. ZooKeeper reports nothing of it after the reconnect.
func (s *scriptHost) missBrief() {
	w, client, path := s.scripts.world, s.client, scriptRoot+"/brief-of-"+s.name
	visitor := w.zookeeper.Connect(s.name, client.Timeout(), noEvents{})
	client.Exists(path, true, func(zktree.Stat, error) {
		visitor.Exists(path, false, func(zktree.Stat, error) {
			client.Cut()
			visitor.Create(path, nil, zktree.Ephemeral, func(zksim.CreateResult, error) {})
			visitor.Delete(path, -1, func(error) {})
			visitor.Close(nil)
		})
	})
}

// onlyRead makes the script only sync and read for a while. A write would fail on a
// server that is cut off; reads show what such a server still serves.
func (s *scriptHost) onlyRead() {
	run := s.run
	s.reading = true
	for i := range 40 {
		s.scripts.world.After(time.Duration(i)*150*time.Millisecond, func() {
			if s.run == run && !s.scripts.ended {
				s.syncAndRead()
				s.reading = i < 39
			}
		})
	}
}

// takeTwice opens a second connection at another server, for the same session or for a
// new one. If the session is the same, the first connection can still read; ZooKeeper
// breaks it when it writes.
func (s *scriptHost) takeTwice() {
	if s.client.Server() < 0 || s.second != nil {
		return
	}
	w := s.scripts.world
	servers := w.zookeeper.Servers()
	other := (s.client.Server()+1+s.draws.below(servers))%servers + 1
	options := zksim.ClientOptions{First: other}
	if s.draws.below(3) > 0 {
		options.Session, options.Password = s.client.Session(), s.client.Password()
	}
	second := w.zookeeper.ConnectWith(s.name, s.client.Timeout(), noEvents{}, options)
	s.second = second
	second.Set(scriptLedger+"/none", nil, -1, func(zktree.Stat, error) {})
	for i := range 6 {
		w.After(time.Duration(i+1)*100*time.Millisecond, func() {
			if !s.scripts.ended {
				s.client.Get(scriptLedger, false, func([]byte, zktree.Stat, error) {})
				second.Get(scriptLedger, false, func([]byte, zktree.Stat, error) {})
			}
		})
	}
	w.After(s.draws.within(Range{500 * time.Millisecond, 3 * time.Second}), func() {
		second.Abandon()
		if s.second == second {
			s.second = nil
		}
	})
}

// noEvents is a zksim.Handler that ignores events.
type noEvents struct{}

func (noEvents) SessionEvent(zksim.SessionState) {}
func (noEvents) WatchEvent(zktree.Event)         {}

func (s *scriptHost) sleep() {
	s.client.Get(scriptLedger, true, func(_ []byte, _ zktree.Stat, err error) {
		if err != nil {
			return
		}
		s.sleepy = true
		run := s.run
		s.scripts.world.After(3*time.Second, func() {
			if s.run == run {
				s.sleepy = false
			}
		})
	})
}

func (s *scriptHost) cutHost() {
	zk := s.scripts.world.zookeeper
	if s.draws.below(2) == 0 {
		zk.CutHost(s.name)
	} else {
		zk.CutHostFrom(s.name, max(0, s.client.Server()))
	}
	longest := 2 * s.client.Timeout()
	s.scripts.world.After(s.draws.within(Range{100 * time.Millisecond, longest}), func() { zk.HealHost(s.name) })
}

// crash abandons the script's sessions, which ZooKeeper keeps until they expire.
func (s *scriptHost) crash() {
	if s.second != nil {
		s.second.Abandon()
		s.second = nil
	}
	s.client.Abandon()
	s.run++
	s.scripts.world.After(s.draws.within(Range{50 * time.Millisecond, 2 * time.Second}), s.connect)
}

var tooMuch [zktree.MaxRequest]byte

func (s *scriptHost) oversize() {
	s.client.Set(scriptLedger, tooMuch[:], math.MaxInt32, func(zktree.Stat, error) {})
}
