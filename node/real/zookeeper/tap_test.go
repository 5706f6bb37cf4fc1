package zookeeper

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/real/realtest"
	"dkv/zksim/zkserver"
)

// ZooKeeper's numbers of the operations that these tests look for.
const (
	opPing   = 11
	opExists = 3
)

// tap is a dialer whose connections a test can look at and disturb, one frame at a time.
type tap struct {
	mu       sync.Mutex
	changed  sync.Cond
	shut     bool    // dials wait
	together bool    // hold what the server sends until an event is among it
	sent     []int32 // operations on the latest connection, without pings
	// onSend, if not nil, is called before an operation is passed on.
	onSend func(op int32)
}

func newTap() *tap {
	p := &tap{}
	p.changed.L = &p.mu
	return p
}

// set changes the tap.
func (p *tap) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *tap) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	p.mu.Lock()
	for p.shut {
		p.changed.Wait()
	}
	p.sent = nil
	p.mu.Unlock()
	conn, err := net.DialTimeout(network, address, timeout)
	return &tapConn{Conn: conn, tap: p}, err
}

// atExists calls fn before a request for the existence of a znode is passed on.
func (p *tap) atExists(fn func()) {
	p.set(func() {
		p.onSend = func(op int32) {
			if op == opExists {
				fn()
			}
		}
	})
}

// count returns how many operations were sent on the latest connection.
func (p *tap) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

type tapConn struct {
	net.Conn
	tap     *tap
	greeted bool   // used by Write only
	pending []byte // used by Read only
}

func (c *tapConn) Write(b []byte) (int, error) {
	if !c.greeted {
		c.greeted = true
		return c.Conn.Write(b)
	}
	op := int32(binary.BigEndian.Uint32(b[8:]))
	c.tap.mu.Lock()
	if op != opPing {
		c.tap.sent = append(c.tap.sent, op)
	}
	onSend := c.tap.onSend
	c.tap.mu.Unlock()
	if onSend != nil {
		onSend(op)
	}
	return c.Conn.Write(b)
}

func (c *tapConn) Read(b []byte) (int, error) {
	for len(c.pending) == 0 || c.holds() {
		n, err := c.Conn.Read(b)
		if err != nil {
			return 0, err
		}
		c.pending = append(c.pending, b[:n]...)
	}
	n := copy(b, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// holds reports whether more has to arrive. What is pending begins with a frame.
func (c *tapConn) holds() bool {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	for rest := c.pending; c.tap.together && len(rest) >= 8; {
		length := 4 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < length {
			break
		}
		if int32(binary.BigEndian.Uint32(rest[4:])) == eventXid {
			c.tap.together = false
		}
		rest = rest[length:]
	}
	return c.tap.together
}

// patientServer is a server whose sessions live for long enough on a busy machine.
func patientServer(t *testing.T) *zkserver.TestServer {
	return zkserver.NewTestWith(t, zkserver.Options{Tick: time.Second})
}

// patience is the session timeout of the tests here: a call waits a quarter of it for a
// connection.
const patience = 16 * time.Second

// watches returns the number of watches that the server holds.
func watches(t *testing.T, server *zkserver.TestServer) (n int) {
	t.Helper()
	z := &zooKeeperProcess{address: server.Address()}
	realtest.Eventually(t, "the server tells its watches", func() bool {
		for line := range strings.Lines(z.ask("mntr")) {
			if _, err := fmt.Sscanf(line, "zk_watch_count\t%d", &n); err == nil {
				return true
			}
		}
		return false
	})
	return n
}

func setOp(path, data string) door.Op {
	return door.Op{Kind: door.OpSet, Path: path, Data: []byte(data), Version: door.AnyVersion}
}

// changes returns how often a path was reported as changed.
func (c *client) changes(path string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e == (door.SessionEvent{Kind: door.EventChanged, Path: path}) {
			n++
		}
	}
	return n
}

// A call that is made while there is no connection is sent behind the watches that are
// set again. Sent before them, a read would show a change that is not reported yet.
func TestRequestsWaitForTheWatches(t *testing.T) {
	t.Parallel()
	server, line := patientServer(t), newTap()
	c, other := openThrough(t, line.dial, patience, server.Address()), open(t, patience, server.Address())
	c.connected(t)
	if err := other.multi(t, createOp("/x")); err != nil {
		t.Fatal(err)
	}
	// The library needs a while to set many watches, in which a request could overtake them.
	const many, askers = 8000, 8 // still one packet
	var asking sync.WaitGroup
	for asker := range askers {
		asking.Go(func() {
			for i := asker; i < many; i += askers {
				if _, _, _, err := c.session.conn.ExistsW(fmt.Sprint("/none", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	asking.Wait()
	const rounds = 12
	for round, good := 0, 0; good < rounds; round++ {
		if round == 5*rounds {
			t.Fatalf("in %d of %d rounds a call was answered", good, round)
		}
		if _, err := c.get(t, "/x", true); err != nil {
			continue // a busy machine
		}
		lost, told := c.count(door.EventDisconnected), c.changes("/x")
		line.set(func() { line.shut = true })
		c.session.guard.cut()
		realtest.Eventually(t, "the loss is reported", func() bool { return c.count(door.EventDisconnected) > lost })
		value := fmt.Sprint("of round ", round)
		if err := other.multi(t, setOp("/x", value)); err != nil {
			t.Fatal(err)
		}
		answer, reported := make(chan error, 1), 0
		c.Do(func() {
			c.session.Get("/x", false, func(data []byte, _ door.Stat, err error) {
				if reported = c.changes("/x"); err == nil && string(data) != value {
					err = fmt.Errorf("read %q, want %q", data, value)
				}
				answer <- err
			})
		})
		line.set(func() { line.shut = false })
		err := awaitAnswer(t, answer)
		switch {
		case isUncertain(err): // a busy machine
		case err != nil:
			t.Fatal(err)
		case reported == told:
			t.Fatalf("round %d: a change was read before it was reported", round)
		default:
			good++
		}
	}
	line.set(func() {
		if line.sent[0] != opSetWatches {
			t.Errorf("operations on the last connection: %v", line.sent)
		}
	})
}

// A watch can fire before the goroutine that set it has its answer. It is used up then, and
// the next read sets another.
func TestWatchesThatFireWithTheirAnswer(t *testing.T) {
	t.Parallel()
	together := func(line *tap) func() { return func() { line.set(func() { line.together = true }) } }
	tests := map[string]struct {
		begin  []door.Op // before the read
		expect string    // what is read after the change
		change door.Op
		read   func(c *client, done func(data string, err error))
		before func(line *tap, other *client) // the first read
	}{
		"data": {
			begin: []door.Op{createOp("/x")}, change: setOp("/x", "new"), expect: "new", read: getX,
			before: func(line *tap, _ *client) { together(line)() },
		},
		"missing": {
			change: createOp("/x"), read: getX,
			before: func(line *tap, _ *client) {
				line.atExists(together(line))
			},
		},
		"created between the requests": {
			change: setOp("/x", "new"), expect: "new", read: getX,
			before: func(line *tap, other *client) {
				line.atExists(func() {
					<-other.send(createOp("/x"))
					together(line)()
				})
			},
		},
		"children": {
			begin: []door.Op{createOp("/x")}, change: createOp("/x/y"), expect: "y",
			read: func(c *client, done func(string, error)) {
				c.session.Children("/x", true, func(names []string, err error) { done(strings.Join(names, " "), err) })
			},
			before: func(line *tap, _ *client) { together(line)() },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 15 { // the adapter's goroutines race
				server, line := patientServer(t), newTap()
				c, other := openThrough(t, line.dial, patience, server.Address()), open(t, patience, server.Address())
				c.connected(t)
				if err := other.multi(t, append(test.begin, createOp("/other"))...); err != nil {
					t.Fatal(err)
				}
				test.before(line, other)
				answer, got := make(chan error, 1), ""
				read := func() { test.read(c, func(data string, err error) { got = data; answer <- err }) }
				c.Do(read)
				realtest.Eventually(t, "the server has the watch", func() bool { return watches(t, server) == 1 })
				if err := other.multi(t, test.change); err != nil {
					t.Fatal(err)
				}
				_ = awaitAnswer(t, answer) // shows the change or not
				realtest.Eventually(t, "the change is reported", func() bool { return c.changes("/x") == 1 })
				c.Do(read)
				if err := awaitAnswer(t, answer); err != nil || got != test.expect {
					t.Errorf("read %q, %v; want %q", got, err, test.expect)
				}
				if n := watches(t, server); n != 1 {
					t.Fatalf("the server has %d watches after the answer, want 1", n)
				}
			}
		})
	}
}

func getX(c *client, done func(string, error)) {
	c.session.Get("/x", true, func(data []byte, _ door.Stat, err error) { done(string(data), err) })
}

// A znode that is created between the two requests of a read is read.
func TestCreatedBetweenTwoRequests(t *testing.T) {
	t.Parallel()
	server, line := patientServer(t), newTap()
	c, other := openThrough(t, line.dial, patience, server.Address()), open(t, patience, server.Address())
	c.connected(t)
	other.connected(t)
	create := createOp("/x")
	create.Data = []byte("created")
	line.atExists(func() { <-other.send(create) })
	if data, err := c.get(t, "/x", true); err != nil || string(data) != "created" {
		t.Errorf("read %q, %v", data, err)
	}
	if err := other.multi(t, setOp("/x", "changed")); err != nil {
		t.Fatal(err)
	}
	realtest.Eventually(t, "the change is reported", func() bool { return c.changes("/x") == 1 })
}

// until waits for a condition on a goroutine other than the test's.
func until(t *testing.T, what string, holds func() bool) bool {
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("never: %s", what)
			return false
		}
	}
	return true
}

// What a read answers does not show a change that comes after it, so that is reported
// although an earlier change of the same znode waits for the loop too.
func TestAChangeAfterAnAnswerIsReported(t *testing.T) {
	t.Parallel()
	server, line := patientServer(t), newTap()
	c, other := openThrough(t, line.dial, patience, server.Address()), open(t, patience, server.Address())
	c.connected(t)
	other.connected(t)
	if err := other.multi(t, createOp("/x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(t, "/x", true); err != nil {
		t.Fatal(err)
	}
	w := watch{"/x", watchData}
	answered := make(chan int, 2) // with how many reports before
	read := func([]byte, door.Stat, error) { answered <- c.changes("/x") }
	c.Do(func() { // while this runs, reports and answers wait
		<-other.send(setOp("/x", "first"))
		until(t, "the first change is on its way", func() bool { return !c.session.isArmed(w) })
		sent := line.count()
		c.session.Get("/x", true, read)
		c.session.Get("/x", true, read)
		until(t, "the second read is sent, so the first is answered", func() bool { return line.count() == sent+2 })
		<-other.send(setOp("/x", "second"))
		until(t, "the second change is on its way", func() bool { return !c.session.isArmed(w) })
	})
	if n := <-answered; n != 1 {
		t.Errorf("the first read was answered after %d reports, want 1", n)
	}
	realtest.Eventually(t, "the second change is reported", func() bool { return c.changes("/x") == 2 })
}

// A change of the data and a change of the children of one znode are each reported, with
// no call in between.
func TestEachWatchOfAZnodeIsReported(t *testing.T) {
	t.Parallel()
	server := patientServer(t)
	c, other := open(t, patience, server.Address()), open(t, patience, server.Address())
	c.connected(t)
	if err := other.multi(t, createOp("/x")); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 2)
	c.Do(func() {
		c.session.Get("/x", true, func(_ []byte, _ door.Stat, err error) { answers <- err })
		c.session.Children("/x", true, func(_ []string, err error) { answers <- err })
	})
	for range 2 {
		if err := awaitAnswer(t, answers); err != nil {
			t.Fatal(err)
		}
	}
	for i, op := range []door.Op{setOp("/x", "data"), createOp("/x/child")} {
		if err := other.multi(t, op); err != nil {
			t.Fatal(err)
		}
		realtest.Eventually(t, "the change is reported", func() bool { return c.changes("/x") == i+1 })
	}
}

// Reports that wait for the loop when the session is closed are dropped.
func TestReportsThatWaitAtCloseAreDropped(t *testing.T) {
	t.Parallel()
	server, line := patientServer(t), newTap()
	c, other := openThrough(t, line.dial, patience, server.Address()), open(t, patience, server.Address())
	c.connected(t)
	other.connected(t)
	if _, err := c.get(t, "/x", true); err == nil {
		t.Fatal("/x exists")
	}
	before, closed := 0, make(chan struct{})
	c.Do(func() {
		<-other.send(createOp("/x"))
		until(t, "the change is on its way", func() bool { return !c.session.isArmed(watch{"/x", watchMissing}) })
		line.set(func() { line.shut = true })
		c.session.guard.cut()
		until(t, "the loss is on its way", func() bool { return c.session.state() == "connecting" })
		before = len(c.events)
		c.session.Close(func() { close(closed) })
		line.set(func() { line.shut = false })
	})
	realtest.Within(t, closed, "a session whose connection was lost did not close")
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) != before {
		t.Errorf("reported after Close: %v", c.events[before:])
	}
}

// A watch whose request was lost with the connection is known to the adapter alone: the
// library sets nothing again. Requests are sent all the same, and set it.
func TestNoWatchesToSetAgain(t *testing.T) {
	t.Parallel()
	server := patientServer(t)
	c := open(t, patience, server.Address())
	c.connected(t)
	c.session.arm(watch{"/x", watchMissing})
	c.session.guard.cut()
	realtest.Eventually(t, "it is connected again", func() bool { return c.count(door.EventConnected) == 2 })
	if _, err := c.get(t, "/x", true); isUncertain(err) {
		t.Fatal(err)
	}
	if n := watches(t, server); n != 1 {
		t.Errorf("the server has %d watches", n)
	}
}

// What a server says of a session reaches the program at once; the watchdog is for
// servers that say nothing. Nothing follows the end.
func TestTheServersWordEndsASession(t *testing.T) {
	t.Parallel()
	server := patientServer(t)
	c := open(t, patience, server.Address())
	c.connected(t)
	server.ExpireSession(c.session.ID())
	realtest.Eventually(t, "the expiry is reported", func() bool { return c.told(door.EventExpired) })
	if log := c.log.String(); !strings.Contains(log, "ZooKeeper expired it") {
		t.Errorf("log: %q", log)
	}
	c.Settle()
	c.checkOrder(t)
}

// The watchdog counts from the latest loss of the connection.
func TestTheWatchdogCountsFromTheLatestLoss(t *testing.T) {
	t.Parallel()
	const timeout, tries = 3 * time.Second, 5
	server, line := patientServer(t), newTap()
	var c *client
	// On a busy machine the session may be over before its second loss. Then another one is
	// tried: what is asked of it stays the same.
	for try := 1; ; try++ {
		c = openThrough(t, line.dial, timeout, server.Address())
		c.connected(t)
		first := time.Now()
		c.session.guard.cut()
		realtest.Eventually(t, "it is connected again, or over", func() bool { return c.count(door.EventConnected) == 2 || c.told(door.EventExpired) })
		for time.Since(first) < timeout/2 {
			time.Sleep(10 * time.Millisecond)
		}
		if !c.told(door.EventExpired) {
			break
		}
		if try == tries {
			t.Fatalf("each of %d sessions expired within %v of its first loss", tries, timeout/2)
		}
	}
	line.set(func() { line.shut = true })
	t.Cleanup(func() { line.set(func() { line.shut = false }) })
	last := time.Now()
	c.session.guard.cut()
	realtest.Eventually(t, "the watchdog ends the session", func() bool { return c.told(door.EventExpired) })
	if took := time.Since(last); took < 2*timeout {
		t.Errorf("the session was over %v after the latest loss, want %v", took, 2*timeout)
	}
}

// Close ends within a limited time although the server takes requests and answers none.
func TestCloseAtAHungServer(t *testing.T) {
	t.Parallel()
	server := patientServer(t)
	p := newProxy(t, server.Address())
	c := open(t, patience, p.address())
	c.connected(t)
	p.set(proxyRule{holdUp: true, holdDown: true})
	call := c.send(createOp("/x"))
	closed := make(chan struct{})
	c.Do(func() { c.session.Close(func() { close(closed) }) })
	realtest.Within(t, closed, "a session at a hung server did not close")
	if err := awaitAnswer(t, call); !isUncertain(err) {
		t.Errorf("a call at a hung server: %v", err)
	}
}

// Calls beyond the limit are not made, and are answered in their order all the same.
func TestTooManyCallsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	server := zkserver.NewTest(t)
	line := &deafLine{}
	c := openThrough(t, line.dial, time.Second, server.Address())
	c.connected(t)
	line.deaf.Store(true)
	const calls = maxCalls + 100
	var answered []int
	tooMany := 0
	c.Do(func() {
		for i := range calls {
			c.session.Get("/x", false, func(_ []byte, _ door.Stat, err error) {
				answered = append(answered, i)
				if !isUncertain(err) {
					t.Errorf("call %d: %v", i, err)
				}
				if strings.Contains(err.Error(), "too many") {
					tooMany++
				}
			})
		}
	})
	realtest.Eventually(t, "all calls are answered", func() (all bool) {
		c.Do(func() { all = len(answered) >= calls })
		return all
	})
	c.Do(func() {
		if len(answered) != calls || !slices.IsSorted(answered) {
			t.Errorf("%d answers to %d calls, in order: %v", len(answered), calls, slices.IsSorted(answered))
		}
		if tooMany == 0 || tooMany > 100 {
			t.Errorf("%d calls were too many, want 99 or 100", tooMany)
		}
	})
}
