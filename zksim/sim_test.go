package zksim

import (
	"cmp"
	"container/heap"
	"fmt"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// testWorld is the Scheduler and the Random of the tests.
type testWorld struct {
	now    time.Duration
	seq    uint64
	events eventHeap
	seed   uint64
	steps  int
}

type testEvent struct {
	at  time.Duration
	seq uint64
	fn  func()
}

type eventHeap []*testEvent

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(*testEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

func (w *testWorld) Now() time.Duration { return w.now }

func (w *testWorld) After(d time.Duration, fn func()) func() {
	if d < 0 {
		panic("negative delay")
	}
	w.seq++
	e := &testEvent{w.now + d, w.seq, fn}
	heap.Push(&w.events, e)
	return func() { e.fn = nil }
}

func (w *testWorld) Draw(purpose string, entity, sequence uint64) uint64 {
	x := w.seed*0x9e3779b97f4a7c15 ^ nameHash(purpose) ^ entity*0xbf58476d1ce4e5b9 ^ sequence*0x94d049bb133111eb
	for range 2 {
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}

// run dispatches events until a time, or until done returns true.
func (w *testWorld) run(until time.Duration, done func() bool) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(*testEvent)
		if e.fn == nil {
			continue
		}
		w.now = e.at
		w.steps++
		e.fn()
		if done != nil && done() {
			return
		}
	}
	w.now = max(w.now, until)
}

func (w *testWorld) pass(d time.Duration) { w.run(w.now+d, nil) }

// app is an application: it keeps everything that its client reports, in order.
type app struct {
	t      *testing.T
	w      *testWorld
	cl     *Client
	states []SessionState
	events []zktree.Event
	told   []string
}

func (a *app) SessionEvent(s SessionState) {
	a.states = append(a.states, s)
	a.told = append(a.told, s.String())
}

func (a *app) WatchEvent(e zktree.Event) {
	a.events = append(a.events, e)
	a.told = append(a.told, fmt.Sprintf("event %d %s", e.Type, e.Path))
}

func (a *app) last() SessionState {
	if len(a.states) == 0 {
		return 0
	}
	return a.states[len(a.states)-1]
}

// testService is a service under test, in a world of its own.
type testService struct {
	t *testing.T
	w *testWorld
	s *Service
}

func newTestService(t *testing.T, seed uint64, cfg Config) *testService {
	t.Helper()
	if cfg.Tick == 0 {
		cfg.Tick = 200 * time.Millisecond
	}
	w := &testWorld{seed: seed}
	return &testService{t, w, NewService(w, w, cfg)}
}

func (g *testService) client(name string, timeout time.Duration) *app {
	g.t.Helper()
	a := &app{t: g.t, w: g.w}
	a.cl = g.s.Connect(name, timeout, a)
	g.await("a session for "+name, func() bool { return a.last() == HasSession })
	return a
}

func (g *testService) await(what string, done func() bool) {
	g.t.Helper()
	if done() {
		return
	}
	g.w.run(g.w.now+time.Minute, done)
	if !done() {
		g.t.Fatalf("waited a minute for %s, which did not happen", what)
	}
}

func (g *testService) counted(name string) uint64 {
	for _, c := range g.s.Counters() {
		if c.Name == name {
			return c.Count
		}
	}
	g.t.Fatalf("no counter %q", name)
	return 0
}

// do makes one asynchronous call and waits for its end.
func do[T any](a *app, call func(done func(T))) T {
	a.t.Helper()
	var result T
	ended := 0
	call(func(r T) {
		result = r
		ended++
	})
	if ended != 0 {
		a.t.Fatal("a callback ran inside the call")
	}
	a.w.run(a.w.now+time.Minute, func() bool { return ended > 0 })
	if ended != 1 {
		a.t.Fatalf("the callback ran %d times", ended)
	}
	return result
}

type answer struct {
	path  string
	data  []byte
	stat  zktree.Stat
	names []string
	ops   []zktree.OpResult
	err   error
}

func (a *app) create(path, data string, flags zktree.CreateFlags) answer {
	return do(a, func(done func(answer)) {
		a.cl.Create(path, []byte(data), flags, func(r CreateResult, err error) {
			done(answer{path: r.Path, stat: r.Stat, err: err})
		})
	})
}

func (a *app) delete(path string, version int32) error {
	return do(a, func(done func(error)) { a.cl.Delete(path, version, done) })
}

func (a *app) set(path, data string, version int32) answer {
	return do(a, func(done func(answer)) {
		a.cl.Set(path, []byte(data), version, func(s zktree.Stat, err error) { done(answer{stat: s, err: err}) })
	})
}

func (a *app) get(path string, watch bool) answer {
	return do(a, func(done func(answer)) {
		a.cl.Get(path, watch, func(d []byte, s zktree.Stat, err error) { done(answer{data: d, stat: s, err: err}) })
	})
}

func (a *app) exists(path string, watch bool) answer {
	return do(a, func(done func(answer)) {
		a.cl.Exists(path, watch, func(s zktree.Stat, err error) { done(answer{stat: s, err: err}) })
	})
}

func (a *app) children(path string, watch bool) answer {
	return do(a, func(done func(answer)) {
		a.cl.Children(path, watch, func(n []string, s zktree.Stat, err error) { done(answer{names: n, stat: s, err: err}) })
	})
}

func (a *app) multi(ops ...zktree.Op) answer {
	return do(a, func(done func(answer)) {
		a.cl.Multi(ops, func(r []zktree.OpResult, err error) { done(answer{ops: r, err: err}) })
	})
}

func (a *app) sync() error {
	return do(a, func(done func(error)) { a.cl.Sync("/", done) })
}
