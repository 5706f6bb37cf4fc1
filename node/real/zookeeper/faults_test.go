package zookeeper

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
	"dkv/node/real/loop"
	"dkv/node/real/realtest"
)

// target is a server to test the adapter against.
type target struct {
	address string
	roots   atomic.Int64
	// fresh starts another server, whose state is empty.
	fresh func(t *testing.T) (address string)
	// oracle is a session that does not go through the adapter.
	oracle *zk.Conn
}

const faultTick = 200 * time.Millisecond

// TestZooKeeperFaults exposes the adapter to faults of networks and servers,
// through a proxy, with the embedded server and with Apache ZooKeeper.
func TestZooKeeperFaults(t *testing.T) {
	t.Run("Embedded", func(t *testing.T) {
		t.Parallel()
		start := func(t *testing.T) string {
			return lastingServer(t).Address()
		}
		testFaults(t, newTarget(t, start))
	})
	t.Run("Apache", func(t *testing.T) {
		t.Parallel()
		testFaults(t, newTarget(t, func(t *testing.T) string { return startZooKeeper(t).address }))
	})
}

func newTarget(t *testing.T, start func(*testing.T) string) *target {
	t.Helper()
	z := &target{address: start(t), fresh: start}
	z.oracle = z.connect(t, z.address)
	return z
}

func (z *target) connect(t *testing.T, address string) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{address, address}, lasting, zk.WithLogger(libraryLog{slog.New(slog.DiscardHandler)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { go conn.Close() })
	return conn
}

// root creates a znode for this test.
func (z *target) root(t *testing.T) string {
	t.Helper()
	path := fmt.Sprintf("/fault-%d", z.roots.Add(1))
	if _, err := z.oracle.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatalf("creating %s: %v", path, err)
	}
	return path
}

// names returns the children of a znode at the server.
func (z *target) names(t *testing.T, path string) []string {
	t.Helper()
	names, _, err := z.oracle.Children(path)
	if err != nil {
		t.Fatalf("listing %s: %v", path, err)
	}
	slices.Sort(names)
	return names
}

func testFaults(t *testing.T, z *target) {
	tests := []struct {
		name string
		test func(*testing.T, *target)
	}{
		{"StalledUntilExpired", testStalledUntilExpired},
		{"PausedUntilExpired", testPausedUntilExpired},
		{"DropStorm", testDropStorm},
		{"TurnedAway", testTurnedAway},
		{"DroppedAfterEachHandshake", testDroppedAfterEachHandshake},
		{"ManyWatches", testManyWatches},
		{"WipedServer", testWipedServer},
		{"HungHandshake", testHungHandshake},
		{"HalfHandshake", testHalfHandshake},
		{"HungServer", testHungServer},
		{"LostReply", testLostReply},
		{"LargestRequest", testLargestRequest},
		{"ReplyTooLarge", testReplyTooLarge},
		{"OneServerRefuses", testOneServerRefuses},
		{"OneServerHangs", testOneServerHangs},
		{"QueuedRequestsStayInTheirSession", testQueuedRequestsStayInTheirSession},
	}
	// The tests mostly wait, so run more of them than there are cores.
	var running sync.WaitGroup
	lanes := make(chan struct{}, 4)
	for _, test := range tests {
		running.Go(func() {
			lanes <- struct{}{}
			defer func() { <-lanes }()
			t.Run(test.name, func(t *testing.T) { test.test(t, z) })
		})
	}
	running.Wait()
}

// openFaulty opens a session through the given addresses, which may be proxies.
func openFaulty(t *testing.T, timeout time.Duration, servers ...string) *client {
	t.Helper()
	c := &client{World: realtest.NewWorld(t, loop.New())}
	c.zk = New(c.Post, servers, timeout, slog.New(slog.NewTextHandler(&c.log, nil)))
	c.reopen(t)
	return c
}

// reopen opens a new session. The events of earlier sessions are kept.
func (c *client) reopen(t *testing.T) {
	t.Helper()
	c.Do(func() {
		c.session = c.zk.Open(func(e door.SessionEvent) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.events = append(c.events, e)
		}).(*session)
	})
	session := c.session
	t.Cleanup(func() {
		session.guard.shut()
		go session.conn.Close()
	})
}

// count returns the number of events of a kind.
func (c *client) count(kind door.SessionEventKind) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// checkOrder checks that the events of a session keep the promise of the door:
// connections alternate with their loss, and nothing follows the end.
func (c *client) checkOrder(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	connected, over := false, false
	for i, e := range c.events {
		wrong := over
		switch e.Kind {
		case door.EventConnected:
			wrong = wrong || connected
			connected = true
		case door.EventDisconnected:
			wrong = wrong || !connected
			connected = false
		case door.EventExpired:
			over = true
		}
		if wrong {
			t.Errorf("event %d of %v is out of order", i, c.events)
			return
		}
	}
}

// send submits a transaction and returns the channel that receives its answer.
func (c *client) send(ops ...door.Op) <-chan error {
	answer := make(chan error, 2) // a second answer would be a bug, and must not block the loop
	c.Do(func() { c.session.Multi(ops, func(err error) { answer <- err }) })
	return answer
}

func awaitAnswer(t *testing.T, answer <-chan error) error {
	t.Helper()
	select {
	case err := <-answer:
		return err
	case <-time.After(2 * lasting):
		t.Fatal("a call was not answered")
		return nil
	}
}

func (c *client) get(t *testing.T, path string, watched bool) (data []byte, err error) {
	t.Helper()
	answer := make(chan error, 1)
	c.Do(func() {
		c.session.Get(path, watched, func(d []byte, _ door.Stat, err error) { data = d; answer <- err })
	})
	return data, awaitAnswer(t, answer)
}

func (c *client) children(t *testing.T, path string) (names []string, err error) {
	t.Helper()
	answer := make(chan error, 1)
	c.Do(func() {
		c.session.Children(path, false, func(n []string, err error) { names = n; answer <- err })
	})
	return names, awaitAnswer(t, answer)
}

func isUncertain(err error) bool {
	return errors.Is(err, door.ErrUnknownOutcome) || errors.Is(err, door.ErrSessionOver)
}

// The network stalls until ZooKeeper has expired the session. Calls made meanwhile
// have an unknown outcome and never take effect; the next session is a new one.
func testStalledUntilExpired(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, 3*time.Second, p.address())
	c.connected(t)
	first := c.session.ID()
	if err := c.multi(t, door.Op{Kind: door.OpCreateEphemeral, Path: root + "/me"}); err != nil {
		t.Fatal(err)
	}
	p.set(proxyRule{holdUp: true, holdDown: true})
	var held []<-chan error
	for i := range 3 {
		held = append(held, c.send(createOp(fmt.Sprintf("%s/held-%d", root, i))))
	}
	realtest.Eventually(t, "the session ends at the server", func() bool { return len(z.names(t, root)) == 0 })
	p.set(proxyRule{})
	for _, answer := range held {
		if err := awaitAnswer(t, answer); !isUncertain(err) {
			t.Errorf("a transaction held until the end of its session: %v", err)
		}
	}
	realtest.Eventually(t, "the expiry is reported", func() bool { return c.told(door.EventExpired) })
	if err := c.multi(t, createOp(root+"/after")); !errors.Is(err, door.ErrSessionOver) {
		t.Errorf("a transaction after the end of the session: %v", err)
	}
	c.Settle()
	c.checkOrder(t)
	c.reopen(t)
	realtest.Eventually(t, "a new session", func() bool { return c.session.ID() != 0 })
	if id := c.session.ID(); id == first {
		t.Errorf("the new session has the ID of the old one, %#x", id)
	}
	if err := c.multi(t, createOp(root+"/new")); err != nil {
		t.Errorf("a transaction of the new session: %v", err)
	}
	if names := z.names(t, root); !slices.Equal(names, []string{"new"}) {
		t.Errorf("znodes %v, want only the one of the new session", names)
	}
}

// Connections break one after the other, while calls are in progress. The session
// survives, each call is answered once, and the answers are true.
func testDropStorm(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, p.address())
	c.connected(t)
	id := c.session.ID()
	var answers sync.Map
	made := 0
	for i := range 15 {
		p.drop()
		for range 3 {
			path := fmt.Sprintf("%s/%04d", root, made)
			made++
			c.Do(func() {
				c.session.Multi([]door.Op{createOp(path)}, func(err error) {
					if before, twice := answers.LoadOrStore(path, err); twice {
						t.Errorf("%s was answered twice: %v and %v", path, before, err)
					}
				})
			})
		}
		realtest.Eventually(t, "it is connected again", func() bool { return c.count(door.EventConnected) == 2+i })
		if i%2 == 0 { // otherwise cut before watches and calls have been sent
			time.Sleep(10 * time.Millisecond)
		}
	}
	realtest.Eventually(t, "every call is answered", func() bool {
		n := 0
		answers.Range(func(any, any) bool { n++; return true })
		return n == made
	})
	if err := c.multi(t, createOp(root+"/last")); err != nil {
		t.Errorf("a transaction after the storm: %v", err)
	}
	names := z.names(t, root)
	done := 0
	answers.Range(func(path, answer any) bool {
		err, _ := answer.(error)
		_, there := slices.BinarySearch(names, strings.TrimPrefix(path.(string), root+"/"))
		switch {
		case err == nil && !there:
			t.Errorf("%s was answered done but does not exist", path)
		case err != nil && !errors.Is(err, door.ErrUnknownOutcome):
			t.Errorf("%s was answered %v", path, err)
		case err == nil:
			done++
		}
		return true
	})
	if now := c.session.ID(); now != id || c.told(door.EventExpired) {
		t.Errorf("session %#x was replaced by %#x", id, now)
	}
	if done == 0 {
		t.Error("no call succeeded")
	}
	c.checkOrder(t)
}

// A server that closes each connection at once is not flooded with connections, and
// is used again when it recovers.
func testTurnedAway(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, p.address())
	c.connected(t)
	id := c.session.ID()
	before, began := p.taken.Load(), time.Now()
	p.set(proxyRule{turnAway: true})
	p.drop()
	time.Sleep(1200 * time.Millisecond)
	n := p.taken.Load() - before
	if took := time.Since(began); float64(n) > 10*took.Seconds() {
		t.Errorf("%d connections in %v to a server that closes them", n, took)
	}
	realtest.Eventually(t, "it is tried again", func() bool { return p.taken.Load()-before >= 2 })
	p.set(proxyRule{})
	if err := c.multi(t, createOp(root+"/x")); err != nil && !errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("a transaction afterwards: %v", err)
	}
	realtest.Eventually(t, "it is connected again", func() bool { return c.count(door.EventConnected) == 2 })
	if err := c.multi(t, createOp(root+"/y")); err != nil || c.session.ID() != id {
		t.Errorf("a transaction of the same session: %v", err)
	}
}

// A server that resumes the session and then closes the connection, again and
// again, is not flooded either.
func testDroppedAfterEachHandshake(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, p.address())
	c.connected(t)
	before, began := p.taken.Load(), time.Now()
	p.set(proxyRule{downBytes: len(connectReply(0, 0)), thenEnd: true})
	p.drop()
	time.Sleep(time.Second)
	n := p.taken.Load() - before
	if took := time.Since(began); float64(n) > 25*took.Seconds() {
		t.Errorf("%d connections in %v to a server that closes them after the handshake", n, took)
	}
	realtest.Eventually(t, "it is tried again", func() bool { return p.taken.Load()-before >= 2 })
	p.set(proxyRule{})
	realtest.Eventually(t, "a transaction succeeds", func() bool { return c.multi(t, createOp(root+"/x")) == nil })
	c.checkOrder(t)
}

// watcher behaves like the node: it reads what has changed, and after each
// connection everything that it watches. Its fields are used on the loop only.
type watcher struct {
	session *session
	paths   []string
	seen    map[string]string
	changes int
}

func (w *watcher) onEvent(e door.SessionEvent) {
	switch e.Kind {
	case door.EventConnected:
		for _, path := range w.paths {
			w.read(path)
		}
	case door.EventChanged:
		w.changes++
		w.read(e.Path)
	}
}

func (w *watcher) read(path string) {
	w.session.Get(path, true, func(data []byte, _ door.Stat, err error) {
		if err == nil {
			w.seen[path] = string(data)
		}
	})
}

// The session has more watches than fit into one SetWatches packet, everything
// changes, and the connection breaks. Reading after each reconnect, as rule "read
// again" demands, finds all changes, and afterwards every watch is set.
func testManyWatches(t *testing.T, z *target) {
	const watches, perMulti = 160, 80 // of 900 bytes and more: two packets
	root, p := z.root(t), newProxy(t, z.address)
	w := &watcher{seen: map[string]string{}}
	var creates []any
	for i := range watches {
		w.paths = append(w.paths, fmt.Sprintf("%s/%s-%04d", root, strings.Repeat("w", 900), i))
		creates = append(creates, &zk.CreateRequest{Path: w.paths[i], Data: []byte("0"), Acl: zk.WorldACL(zk.PermAll)})
	}
	for part := range slices.Chunk(creates, perMulti) {
		if _, err := z.oracle.Multi(part...); err != nil {
			t.Fatal(err)
		}
	}
	c := &client{World: realtest.NewWorld(t, loop.New())}
	c.zk = New(c.Post, []string{p.address()}, lasting, slog.New(slog.DiscardHandler))
	c.Do(func() { w.session = c.zk.Open(w.onEvent).(*session) })
	t.Cleanup(func() { w.session.guard.shut(); go w.session.conn.Close() })
	agrees := func(value string) func() bool {
		return func() (all bool) {
			c.Do(func() {
				all = true
				for _, path := range w.paths {
					all = all && w.seen[path] == value
				}
			})
			return all
		}
	}
	realtest.Eventually(t, "everything is read", agrees("0"))
	change := func(value string) {
		for part := range slices.Chunk(w.paths, perMulti) {
			var sets []any
			for _, path := range part {
				sets = append(sets, &zk.SetDataRequest{Path: path, Data: []byte(value), Version: -1})
			}
			if _, err := z.oracle.Multi(sets...); err != nil {
				t.Error(err)
			}
		}
	}
	p.set(proxyRule{turnAway: true})
	p.drop()
	change("away") // while no server has any of the watches
	p.set(proxyRule{})
	realtest.Eventually(t, "every change while away is found", agrees("away"))
	for round := range 4 { // changes while the watches are being set again
		p.drop()
		change(fmt.Sprint("round ", round))
		realtest.Eventually(t, "every change in a storm is found", agrees(fmt.Sprint("round ", round)))
	}
	realtest.Eventually(t, "every watch is set", func() bool {
		w.session.mu.Lock()
		defer w.session.mu.Unlock()
		return len(w.session.armed) == watches && len(w.session.calls) == 0
	})
	c.Settle()
	before := 0
	c.Do(func() { before = w.changes })
	change("quiet")
	realtest.Eventually(t, "every change is reported", func() (all bool) {
		c.Do(func() { all = w.changes-before >= watches })
		return all
	})
	realtest.Eventually(t, "every change is found", agrees("quiet"))
}

// A server that lost its state keeps refusing the session and never says that it
// has expired.
func testWipedServer(t *testing.T, z *target) {
	const timeout = 3 * time.Second
	empty := z.fresh(t)
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, timeout, p.address())
	c.connected(t)
	var began time.Time
	for i := range 20 { // so that the zxid of the session is ahead of a new server
		began = time.Now()
		if err := c.multi(t, createOp(fmt.Sprintf("%s/%d", root, i))); err != nil {
			t.Fatal(err)
		}
	}
	before := p.taken.Load()
	p.aim(empty)
	p.drop()
	var answers []<-chan error
	for i := 0; !c.told(door.EventExpired); i++ {
		answers = append(answers, c.send(createOp(fmt.Sprintf("/old-%d", i))))
		if time.Since(began) > 10*timeout {
			t.Fatal("the watchdog did not end the session")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took < 2*timeout || took > 5*timeout {
		t.Errorf("the session was over after %v, want about %v", took, 2*timeout)
	}
	if tries := p.taken.Load() - before; tries < 2 {
		t.Errorf("only %d connections to the new server: it did not refuse the session", tries)
	}
	c.reopen(t)
	realtest.Eventually(t, "a new session", func() bool { return c.session.ID() != 0 })
	if err := c.multi(t, createOp("/new")); err != nil {
		t.Errorf("a transaction of the new session: %v", err)
	}
	for i, answer := range answers {
		if err := awaitAnswer(t, answer); !isUncertain(err) {
			t.Errorf("call %d of the old session: %v", i, err)
		}
	}
	names := z.connect(t, empty)
	got, _, err := names.Children("/")
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []string{"new", "zookeeper"}) {
		t.Errorf("the new server holds %v, %v", got, err)
	}
}

func testHungHandshake(t *testing.T, z *target) {
	testHandshakeGivenUp(t, z, proxyRule{holdDown: true})
}

func testHalfHandshake(t *testing.T, z *target) {
	testHandshakeGivenUp(t, z, proxyRule{downBytes: len(connectReply(0, 0)) / 2})
}

// A handshake that gets no answer, or half of one, times out. The library alone
// would wait for 200 s.
func testHandshakeGivenUp(t *testing.T, z *target, rule proxyRule) {
	root, p := z.root(t), newProxy(t, z.address)
	p.set(rule)
	c := openFaulty(t, lasting, p.address())
	realtest.Eventually(t, "it tries again", func() bool { return p.taken.Load() >= 2 })
	p.set(proxyRule{})
	released := time.Now()
	c.connected(t)
	if took := time.Since(released); took > 20*maxHandshakeTime {
		t.Errorf("connected %v after the handshakes were answered", took)
	}
	if log := c.log.String(); !strings.Contains(log, "cannot reach ZooKeeper") || !strings.Contains(log, p.address()) {
		t.Errorf("log: %q", log)
	}
	if err := c.multi(t, createOp(root+"/x")); err != nil {
		t.Error(err)
	}
}

// A call to a server that accepts requests and never answers fails at its deadline,
// not later.
func testHungServer(t *testing.T, z *target) {
	const timeout = 3 * time.Second
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, timeout, p.address())
	c.connected(t)
	id := c.session.ID()
	p.set(proxyRule{holdUp: true, holdDown: true})
	began := time.Now()
	var answers []<-chan error
	for i := range 5 {
		answers = append(answers, c.send(createOp(fmt.Sprintf("%s/%d", root, i))))
	}
	for i, answer := range answers {
		if err := awaitAnswer(t, answer); !errors.Is(err, door.ErrUnknownOutcome) {
			t.Errorf("call %d to a hung server: %v", i, err)
		}
	}
	if took := time.Since(began); took > 4*timeout {
		t.Errorf("calls to a hung server failed after %v", took)
	}
	realtest.Eventually(t, "the loss is reported", func() bool { return c.told(door.EventDisconnected) })
	p.set(proxyRule{})
	realtest.Eventually(t, "the hang ends", func() bool {
		return c.told(door.EventExpired) || c.count(door.EventConnected) >= 2
	})
	tries := 0 // what the proxy held back may cost another connection
	realtest.Eventually(t, "a transaction succeeds, or the session is over", func() bool {
		tries++
		err := c.multi(t, createOp(fmt.Sprintf("%s/after-%d", root, tries)))
		return err == nil || errors.Is(err, door.ErrSessionOver)
	})
	if now := c.session.ID(); now != id {
		t.Errorf("session %#x was replaced by %#x", id, now)
	}
	c.checkOrder(t)
}

// A create whose reply is lost has an unknown outcome; reading shows that it took
// effect.
func testLostReply(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, p.address())
	c.connected(t)
	id := c.session.ID()
	p.set(proxyRule{loseDown: true})
	op := door.Op{Kind: door.OpCreateEphemeral, Path: root + "/x", Data: []byte("mine")}
	answer := c.send(op)
	realtest.Eventually(t, "it takes effect at the server", func() bool { return len(z.names(t, root)) == 1 })
	p.drop()
	p.set(proxyRule{})
	if err := awaitAnswer(t, answer); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("a create whose reply was lost: %v", err)
	}
	var owner int64
	read := make(chan error, 1)
	c.Do(func() {
		c.session.Get(op.Path, false, func(_ []byte, stat door.Stat, err error) { owner = stat.EphemeralOwner; read <- err })
	})
	if err := awaitAnswer(t, read); err != nil || owner != id {
		t.Errorf("reading it again: owner %#x, want %#x: %v", owner, id, err)
	}
	if err := c.multi(t, op); !errors.Is(err, door.ErrNodeExists) {
		t.Errorf("creating it again: %v", err)
	}
}

// A server accepts every request that the adapter sends; a larger one fails with
// certainty.
func testLargestRequest(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, p.address())
	c.connected(t)
	largest := func(extra int) door.Op {
		op := createOp(fmt.Sprintf("%s/%d", root, extra))
		op.Data = make([]byte, maxRequestBytes-128-len(op.Path)-1+extra)
		return op
	}
	if err := c.multi(t, largest(0)); err != nil {
		t.Errorf("the largest transaction: %v", err)
	}
	if err := c.multi(t, largest(1)); !errors.Is(err, errTooLarge) || isUncertain(err) {
		t.Errorf("a larger transaction: %v", err)
	}
	var many []door.Op // the encoding of each operation counts too
	for i := 0; len(many) < (maxRequestBytes-64)/(64+len(root)+5); i++ {
		many = append(many, createOp(fmt.Sprintf("%s/m%03x", root, i)))
	}
	many = slices.DeleteFunc(many, func(op door.Op) bool { return len(op.Path) > len(root)+5 })
	if err := c.multi(t, many...); err != nil {
		t.Errorf("a transaction of %d creates: %v", len(many), err)
	}
	if names := z.names(t, root); len(names) != 1+len(many) {
		t.Errorf("%d znodes, want %d", len(names), 1+len(many))
	}
	if c.told(door.EventDisconnected) {
		t.Error("the connection was lost")
	}
}

// A reply above the adapter's limit costs only the connection. One that is larger
// than any request is read.
func testReplyTooLarge(t *testing.T, z *target) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, p.address())
	c.connected(t)
	id, made := c.session.ID(), 0
	grow := func(children int) {
		for range children / 800 {
			var creates []any
			for range 800 {
				path := fmt.Sprintf("%s/%s%05d", root, strings.Repeat("n", 1000), made)
				made++
				creates = append(creates, &zk.CreateRequest{Path: path, Acl: zk.WorldACL(zk.PermAll)})
			}
			if _, err := z.oracle.Multi(creates...); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(3200)
	names, err := c.children(t, root)
	if err != nil || len(names) != made {
		t.Errorf("a reply of %d MB: %d names of %d, %v", made/1000, len(names), made, err)
	}
	grow(5600)
	if made*1009 < maxReplyBytes {
		t.Fatalf("%d names of 1,009 bytes do not exceed the limit of %d", made, maxReplyBytes)
	}
	if _, err := c.children(t, root); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("a reply above the limit: %v", err)
	}
	if err := c.multi(t, createOp(root+"/x")); err != nil || c.session.ID() != id {
		t.Errorf("a transaction after it: %v", err)
	}
	if n := c.count(door.EventDisconnected); n != 1 {
		t.Errorf("%d connections were lost, want 1", n)
	}
}

func testOneServerRefuses(t *testing.T, z *target) {
	testOneServerDead(t, z, realtest.Address(t))
}

func testOneServerHangs(t *testing.T, z *target) {
	hung := newProxy(t, z.address)
	hung.set(proxyRule{holdDown: true})
	testOneServerDead(t, z, hung.address())
}

// One of two servers is dead: the other is found in time, at the start and whenever
// its connection breaks. The library alone would wait 200 s for a hung server.
func testOneServerDead(t *testing.T, z *target, dead string) {
	root, p := z.root(t), newProxy(t, z.address)
	c := openFaulty(t, lasting, dead, p.address())
	c.connected(t)
	id := c.session.ID()
	for i := range 2 {
		p.drop()
		realtest.Eventually(t, "it is connected again", func() bool { return c.count(door.EventConnected) == 2+i })
		if err := c.multi(t, createOp(fmt.Sprintf("%s/%d", root, i))); err != nil || c.session.ID() != id {
			t.Errorf("a transaction on the other server: %v", err)
		}
	}
	if c.told(door.EventExpired) {
		t.Error("the session is over")
	}
}

// With three servers the library keeps unsent requests and would send them in its
// next session. Nothing of a session may take effect after its end.
func testQueuedRequestsStayInTheirSession(t *testing.T, z *target) {
	root := z.root(t)
	ways := []*proxy{newProxy(t, z.address), newProxy(t, z.address), newProxy(t, z.address)}
	all := func(rule proxyRule) {
		for _, p := range ways {
			p.set(rule)
			p.drop()
		}
	}
	c := openFaulty(t, 3*time.Second, ways[0].address(), ways[1].address(), ways[2].address())
	c.connected(t)
	if err := c.multi(t, door.Op{Kind: door.OpCreateEphemeral, Path: root + "/me"}); err != nil {
		t.Fatal(err)
	}
	all(proxyRule{turnAway: true})
	realtest.Eventually(t, "the loss is reported", func() bool { return c.told(door.EventDisconnected) })
	realtest.Eventually(t, "the session ends at the server", func() bool { return len(z.names(t, root)) == 0 })
	// Bypass the adapter, as if it had passed these on just before. While the
	// library waits they are in its queue.
	var waiting sync.WaitGroup
	for i := range 8 {
		waiting.Go(func() {
			_, _ = c.session.conn.Create(fmt.Sprintf("%s/queued-%d", root, i), nil, 0, zk.WorldACL(zk.PermAll)) // never answered
		})
	}
	all(proxyRule{})
	realtest.Eventually(t, "the expiry is reported", func() bool { return c.told(door.EventExpired) })
	waiting.Wait() // until the library has given up on all of them
	if names := z.names(t, root); len(names) != 0 {
		t.Errorf("the next session created %v", names)
	}
}

// A server keeps answering pings and nothing else: only the adapter's own deadline
// ends the wait.
func TestCallsHaveADeadlineThoughPingsAreAnswered(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerPingsOnly(conn, timeout)
		}
	}()
	c := openFaulty(t, timeout, listener.Addr().String())
	c.connected(t)
	began := time.Now()
	answer := c.send(createOp("/x"))
	time.Sleep(timeout * 3 / 4) // longer than the library waits for a silent server
	if c.told(door.EventDisconnected) {
		t.Error("the library gave up first: the pings were not answered")
	}
	if err := awaitAnswer(t, answer); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("a transaction that is never answered: %v", err)
	}
	if took := time.Since(began); took < timeout || took > 3*timeout {
		t.Errorf("a transaction that is never answered took %v, want %v", took, timeout)
	}
	realtest.Eventually(t, "its connection is cut", func() bool { return c.told(door.EventDisconnected) })
}

func answerPingsOnly(conn net.Conn, timeout time.Duration) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	if _, err := conn.Read(buffer); err != nil {
		return
	}
	_, _ = conn.Write(connectReply(timeout, 7))
	ping := []byte{0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11}
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], ping) {
			_, _ = conn.Write(frame(append(bytes.Clone(ping[:4]), make([]byte, 12)...)...))
		}
	}
}
