package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// The harness is only as good as the flaws that it finds, so these tests run it
// with processes that have a known flaw.

// mapStore is a store without a protocol: it answers at once from a map.
type mapStore struct {
	values map[string]storedValue
	index  *door.Index
	answer func(door.Response) door.Response
	heard  func(door.Request) // if not nil, called for each request
	panics bool
	mute   bool
}

type storedValue struct {
	version door.Version
	value   []byte
}

func (p *mapStore) Start()                       {}
func (p *mapStore) OnMessage(*node.Envelope)     {}
func (p *mapStore) OnPeerLost(node.MemberNumber) {}
func (p *mapStore) EndTurn()                     {}
func (p *mapStore) Stop(done func())             { done() }

func (p *mapStore) OnRequest(r door.Request, done func(door.Response)) {
	if p.heard != nil {
		p.heard(r)
	}
	if p.panics && r.Kind == door.RequestDelete {
		panic("a bug")
	}
	if p.mute {
		return
	}
	*p.index++
	met, found := p.values[string(r.Key)]
	resp := door.Response{Outcome: door.Done, Found: found, Version: met.version, Value: met.value, Index: *p.index}
	switch {
	case r.If.Absent && found, r.If.Match != 0 && met.version != r.If.Match:
		resp.Failed = true
	case r.Kind == door.RequestPut:
		p.values[string(r.Key)] = storedValue{*p.index, r.Value}
		resp = door.Response{Outcome: door.Done, Found: true, Version: *p.index, Index: *p.index}
	case r.Kind == door.RequestDelete:
		delete(p.values, string(r.Key))
	}
	done(p.answer(resp))
}

// mapStoreSchedule is short, with one crash.
const mapStoreSchedule = `
seed 1
nodes 3
partitions 1
workload clients=4 keys=8 operations=400 timeout=500ms
phases faults=10s core=3s converge=1s
at 6s crash n1 for 1s
at 7.5s power-loss for 100ms
at 9.95s power-loss
`

// runMapStores runs the schedule over map stores; private: each has a map of its own.
func runMapStores(t *testing.T, private bool, with func(p *mapStore, starts int)) *Result {
	t.Helper()
	return runMapStoresWith(t, RunOptions{}, private, with)
}

func runMapStoresWith(t *testing.T, o RunOptions, private bool, with func(p *mapStore, starts int)) *Result {
	t.Helper()
	s, err := schedule.Parse(mapStoreSchedule)
	if err != nil {
		t.Fatal(err)
	}
	shared, index, starts := make(map[string]storedValue), door.Index(0), 0
	r, err := runProcesses(s, o, func(int, node.Config, node.Env) (world.Process, error) {
		p := &mapStore{values: shared, index: &index, answer: func(r door.Response) door.Response { return r }}
		if private {
			p.values = make(map[string]storedValue)
		}
		starts++
		with(p, starts)
		return p, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantClass(t *testing.T, r *Result, want Class) {
	t.Helper()
	if !slices.Contains(r.Classes, want) {
		t.Errorf("classes %v, want %s among them: %v", r.Classes, want, r.Violations)
	}
}

func TestHarnessPassesAStoreThatKeepsItsPromises(t *testing.T) {
	r := runMapStores(t, false, func(*mapStore, int) {})
	for _, c := range r.Classes {
		if c != Convergence { // map stores have no layout, and nothing to compare
			t.Errorf("class %s for one map that all nodes share: %v", c, r.Violations)
		}
	}
	if len(r.History) < 150 {
		t.Errorf("only %d operations recorded", len(r.History))
	}
}

func TestHarnessSeesStoresThatDoNotReplicate(t *testing.T) {
	wantClass(t, runMapStores(t, true, func(*mapStore, int) {}), Linearizability)
}

func TestHarnessSeesAcknowledgedWritesLost(t *testing.T) {
	r := runMapStores(t, false, func(p *mapStore, starts int) {
		if starts > 7 { // after the second power loss
			clear(p.values)
		}
	})
	wantClass(t, r, Linearizability)
	wantClass(t, r, Durability)
}

func TestHarnessSeesRefusedWritesTakeEffect(t *testing.T) {
	n := 0
	r := runMapStores(t, false, func(p *mapStore, _ int) {
		p.answer = func(r door.Response) door.Response {
			if n++; n%7 == 0 {
				return door.Response{Outcome: door.Refused}
			}
			return r
		}
	})
	wantClass(t, r, RefusedSeen)
}

func TestHarnessSeesReadsOfThePast(t *testing.T) {
	var stale door.Response
	n := 0
	r := runMapStores(t, false, func(p *mapStore, _ int) {
		p.answer = func(r door.Response) door.Response {
			if n++; n >= 60 && stale.Version == 0 && len(r.Value) > 0 {
				stale = r
			}
			if n > 100 && n%5 == 0 && len(r.Value) > 0 && stale.Version != 0 && r.Version != stale.Version {
				return stale
			}
			return r
		}
	})
	if stale.Version != 0 {
		wantClass(t, r, Linearizability)
	} else {
		t.Error("no value was kept: the test is blind")
	}
}

func TestHarnessSeesPanics(t *testing.T) {
	r := runMapStores(t, false, func(p *mapStore, _ int) { p.panics = true })
	wantClass(t, r, Assertion)
	if r.Called < 100 {
		t.Errorf("the run did not continue after a panic: %d operations", r.Called)
	}
}

func TestHarnessSeesThatNoNodeAnswers(t *testing.T) {
	r := runMapStores(t, false, func(p *mapStore, starts int) { p.mute = starts > 3 })
	wantClass(t, r, Progress)
}

func TestUnknownWritesSeenLaterAreCounted(t *testing.T) {
	history := []linearizability.Operation{
		{Kind: linearizability.Put, Value: "a", Outcome: linearizability.Unknown},
		{Kind: linearizability.Put, Value: "b", Outcome: linearizability.Unknown},
		{Kind: linearizability.Put, Value: "c", Outcome: linearizability.OK},
		{Kind: linearizability.Get, Outcome: linearizability.OK, Answer: linearizability.Answer{Found: true, HasValue: true, Value: "a"}},
		{Kind: linearizability.Get, Outcome: linearizability.OK, Answer: linearizability.Answer{Found: true, HasValue: true, Value: "a"}},
		{Kind: linearizability.Get, Outcome: linearizability.OK, Answer: linearizability.Answer{Found: true, HasValue: true, Value: "c"}},
	}
	if got := unknownSeen(history); got != 1 {
		t.Fatalf("%d unknown writes seen, want 1", got)
	}
}

// faultyDoor stands between a node and ZooKeeper and has a flaw.
type faultyDoor struct {
	door.Coordinator
	hides     bool // does not report the end of a session
	unchecked bool // drops the conditions of a change
}

func (d faultyDoor) Open(events func(door.SessionEvent)) door.Session {
	return faultySession{d.Coordinator.Open(func(ev door.SessionEvent) {
		if ev.Kind != door.EventExpired || !d.hides {
			events(ev)
		}
	}), d.unchecked}
}

type faultySession struct {
	door.Session
	unchecked bool
}

func (s faultySession) Multi(ops []door.Op, done func(error)) {
	if s.unchecked {
		ops = slices.DeleteFunc(slices.Clone(ops), func(op door.Op) bool { return op.Kind == door.OpCheck })
	}
	s.Session.Multi(ops, done)
}

// runBehind runs a schedule over nodes that reach ZooKeeper through a door.
func runBehind(t *testing.T, text string, door faultyDoor) *Result {
	t.Helper()
	s, err := schedule.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := runProcesses(s, RunOptions{}, func(host int, cfg node.Config, env node.Env) (world.Process, error) {
		own := door
		own.Coordinator = env.Coordinator
		env.Coordinator = own
		return world.NewNode(host, cfg, env)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHarnessSeesThatNodesDoNotRegisterAgain(t *testing.T) {
	const s = `
seed 1
nodes 3
partitions 1
workload operations=0
phases faults=4s core=8s converge=0s
at 2s zk-expire n1
at 2s zk-expire n2
at 2s zk-expire n3
`
	if r := runBehind(t, s, faultyDoor{}); len(r.Violations) > 0 {
		t.Errorf("nodes that register again: %v", r.Violations)
	}
	r := runBehind(t, s, faultyDoor{hides: true})
	wantClass(t, r, Progress)
	for _, v := range r.Violations {
		if !strings.Contains(v.What, "did not register") {
			t.Errorf("%v, want only that nodes did not register: they serve without a session", v)
		}
	}
}

// A node's session ends at various instants while the others form the cluster.
func TestHarnessSeesAClusterFormedWithOneThatIsGone(t *testing.T) {
	seen := 0
	for at := 5; at <= 350; at += 5 {
		s := fmt.Sprintf("seed 1\nnodes 3\npartitions 1\nworkload operations=0\n"+
			"phases faults=2s core=0s converge=0s\nat %dms zk-expire n1\n", at)
		if r := runBehind(t, s, faultyDoor{}); len(r.Violations) > 0 {
			t.Fatalf("session ended at %dms: %v", at, r.Violations)
		}
		if r := runBehind(t, s, faultyDoor{unchecked: true}); len(r.Classes) > 0 {
			wantClass(t, r, Invariant)
			seen++
		}
	}
	if seen == 0 {
		t.Error("without conditions, no cluster formed with a member that was gone: the test is blind")
	}
}
