package zksim_test

import (
	"container/heap"
	"fmt"
	"time"

	"dkv/zksim"
	"dkv/zksim/zktree"
)

// clock is a minimal scheduler: a heap of events.
type clock struct {
	now    time.Duration
	made   int
	events events
}

type event struct {
	at  time.Duration
	seq int
	fn  func()
}

type events []*event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (c *clock) Now() time.Duration { return c.now }

func (c *clock) After(d time.Duration, fn func()) func() {
	c.made++
	e := &event{c.now + d, c.made, fn}
	heap.Push(&c.events, e)
	return func() { e.fn = func() {} }
}

func (c *clock) run(until time.Duration) {
	for len(c.events) > 0 && c.events[0].at <= until {
		e := heap.Pop(&c.events).(*event)
		c.now = e.at
		e.fn()
	}
	c.now = until
}

// seed is a Random that hashes its arguments.
type seed uint64

func (s seed) Draw(purpose string, entity, sequence uint64) uint64 {
	h := uint64(s) ^ entity*0x9e3779b97f4a7c15 ^ sequence*0xbf58476d1ce4e5b9
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return (h ^ h>>29) * 0x94d049bb133111eb
}

// printer is an application that prints what its client reports.
type printer string

func (p printer) SessionEvent(s zksim.SessionState) { fmt.Println(p, "session:", s) }
func (p printer) WatchEvent(e zktree.Event)         { fmt.Println(p, "event:", e.Path) }

// A session ends at the leader. Its client learns of it only when it reconnects.
func Example() {
	c := &clock{}
	zk := zksim.NewService(c, seed(42), zksim.Config{Servers: 3})
	alice := zk.Connect("host-a", 4*time.Second, printer("alice"))
	c.run(time.Second)
	alice.Create("/live", nil, zktree.Ephemeral, func(r zksim.CreateResult, err error) { fmt.Println("created", r.Path, err) })
	c.run(2 * time.Second)

	zk.CutHost("host-a")
	zk.ExpireSession(alice.Session())
	_, _, code := zk.Peek("/live")
	fmt.Println("at the leader:", code)
	c.run(3 * time.Second)
	fmt.Println("alice does not know yet")
	zk.HealHost("host-a")
	c.run(10 * time.Second)
	for _, n := range zk.Counters() {
		if n.Name == "session-expired" {
			fmt.Println(n.Name, n.Count)
		}
	}
	// Output:
	// alice session: HasSession
	// created /live <nil>
	// at the leader: zookeeper: node does not exist
	// alice does not know yet
	// alice session: Disconnected
	// alice session: Expired
	// session-expired 1
}

// A Checker checks the ensemble against its promises while faults occur.
func ExampleChecker() {
	c := &clock{}
	checker := zksim.NewChecker(nil)
	zk := zksim.NewService(c, seed(7), zksim.Config{Servers: 3, Checker: checker})
	alice := zk.Connect("host-a", 4*time.Second, silent{})
	c.run(time.Second)
	for i := range 20 {
		alice.Create("/q-", nil, zktree.Sequential, func(zksim.CreateResult, error) {})
		if i == 10 {
			zk.LoseNextWrite("host-a", true)
			zk.ChangeLeader(true)
		}
		c.run(c.Now() + time.Second)
	}
	zk.Audit()
	fmt.Println(len(checker.Violations()), "promises broken")
	for _, n := range zk.Counters() {
		if n.Name == "leader-changed" {
			fmt.Println(n.Name, n.Count)
		}
	}
	// Output:
	// 0 promises broken
	// leader-changed 1
}

// silent is an application that ignores what its client reports.
type silent struct{}

func (silent) SessionEvent(zksim.SessionState) {}
func (silent) WatchEvent(zktree.Event)         {}
