package zookeeper

import (
	"errors"
	"slices"
	"testing"
	"time"

	"dkv/node/door"
	"dkv/node/real/realtest"
)

// A server that lags behind answers late. If it answers before the deadline of the
// call, nothing else changes: a session reads its own writes, and learns of a change
// before it sees it. After the deadline the outcome is unknown, even if the call
// took effect.
func TestLaggingServer(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second
	server := lastingServer(t)
	c := openFaulty(t, timeout, server.Address())
	c.connected(t)
	const lag = 200 * time.Millisecond
	server.Lag(lag)
	began := time.Now()
	if err := c.multi(t, createOp("/x")); err != nil || time.Since(began) < lag {
		t.Errorf("a transaction at a lagging server: %v after %v", err, time.Since(began))
	}
	if _, err := c.get(t, "/x", true); err != nil {
		t.Errorf("the session does not see its own write: %v", err)
	}
	set := door.Op{Kind: door.OpSet, Path: "/x", Data: []byte("new"), Version: door.AnyVersion}
	if err := c.multi(t, set); err != nil {
		t.Error(err)
	}
	if data, err := c.get(t, "/x", false); err != nil || string(data) != "new" || !c.told(door.EventChanged) {
		t.Errorf("read %q, %v; the change was reported: %v", data, err, c.told(door.EventChanged))
	}
	server.Lag(5 * timeout)
	if err := c.multi(t, createOp("/late")); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Errorf("a transaction at a server that lags beyond the deadline: %v", err)
	}
	server.Lag(0)
	realtest.Eventually(t, "it took effect", func() bool {
		_, err := c.get(t, "/late", false)
		if errors.Is(err, door.ErrSessionOver) {
			c.reopen(t) // the lag may have ended the session too
		}
		return err == nil
	})
}

// The disk of a server is replaced while clients are connected: the watchdog ends
// the session, and the next one finds the empty state.
func TestWipedUnderASession(t *testing.T) {
	t.Parallel()
	server := lastingServer(t)
	c := openFaulty(t, 2*time.Second, server.Address())
	c.connected(t)
	for _, path := range []string{"/a", "/a/b", "/a/c"} {
		if err := c.multi(t, createOp(path)); err != nil {
			t.Fatal(err)
		}
	}
	first := c.session.ID()
	server.Wipe()
	realtest.Eventually(t, "the expiry is reported", func() bool { return c.told(door.EventExpired) })
	c.Settle()
	c.checkOrder(t)
	c.reopen(t)
	realtest.Eventually(t, "a new session", func() bool { return c.session.ID() != 0 })
	if c.session.ID() == first || slices.Contains(server.Sessions(), first) {
		t.Errorf("session %#x was resumed", first)
	}
	if _, err := c.get(t, "/a", false); !errors.Is(err, door.ErrNoNode) {
		t.Errorf("reading a wiped znode: %v", err)
	}
}
