package zkserver

import (
	"net"
	"slices"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// Promises of the server and of TestServer that no other test holds.

// A connection takes its watches with it.
func TestWatchesEndWithTheirConnection(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c := newSession(t, s.Address(), 20*time.Second)
	c.exists("/a", true)
	c.exists("/b", true)
	held := func() (n int) {
		s.call(func() { n = s.watches.Len() })
		return n
	}
	want(t, "watches", held(), 2)
	s.DropConnections()
	waitFor(t, "the watches to end", func() bool { return held() == 0 })
	want(t, "sessions that stay", s.Sessions(), []int64{c.session})
}

// Wipe ends a lag: what is done afterwards is shown at once.
func TestWipeEndsALag(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	s.Lag(time.Hour)
	s.Wipe()
	lags := false
	s.call(func() { lags = s.lag != nil })
	if lags {
		t.Fatal("the server still lags")
	}
	c := newSession(t, s.Address(), 20*time.Second)
	want(t, "create", c.create("/a", "", 0).Err, zktree.OK)
	want(t, "exists", c.exists("/a", false).Err, zktree.OK)
}

// ExpireSession says whether there was such a session, and ends it with its ephemerals.
func TestExpireSession(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	a, b := newSession(t, s.Address(), 20*time.Second), newSession(t, s.Address(), 20*time.Second)
	a.create("/e", "", zktree.Ephemeral)
	want(t, "two sessions", s.Sessions(), slices.Sorted(slices.Values([]int64{a.session, b.session})))
	want(t, "ending a session", s.ExpireSession(a.session), true)
	want(t, "ending it again", s.ExpireSession(a.session), false)
	want(t, "ending one that never was", s.ExpireSession(7), false)
	want(t, "the session that is left", s.Sessions(), []int64{b.session})
	want(t, "its ephemeral", b.exists("/e", false).Err, zktree.ErrNoNode)
	if !a.closedByServer() {
		t.Error("the connection of a session that was ended stays open")
	}
}

// Down breaks connections and lets none in; Up serves the same sessions at the same
// address.
func TestDownAndUp(t *testing.T) {
	s := NewTestWith(t, Options{Tick: time.Second})
	c := newSession(t, s.Address(), 20*time.Second)
	c.create("/e", "", zktree.Ephemeral)
	address := s.Address()
	s.Down()
	if !c.closedByServer() {
		t.Error("a connection outlived Down")
	}
	if other, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		_ = other.Close()
		t.Error("a client was let in after Down")
	}
	s.Up()
	want(t, "the address", s.Address(), address)
	back, err := hello(t, address, 20*time.Second, c.session, c.password, 0)
	if err != nil || back.session != c.session {
		t.Fatalf("resuming the session: %v %+v", err, back)
	}
	want(t, "its ephemeral", back.exists("/e", false).Err, zktree.OK)
}
