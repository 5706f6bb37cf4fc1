package zksim

import (
	"testing"
	"time"
)

// TestSessionTimeoutIsNegotiated: the service keeps a timeout within its bounds, tells
// the client which one it chose, and ends the session by that one.
func TestSessionTimeoutIsNegotiated(t *testing.T) {
	for _, c := range []struct {
		cfg         Config
		asked, want time.Duration
	}{
		{Config{}, 100 * time.Millisecond, 2 * tick},
		{Config{}, time.Second, time.Second},
		{Config{}, time.Hour, 20 * tick},
		{Config{MinSessionTimeout: 2 * time.Second}, time.Second, 2 * time.Second},
		{Config{MaxSessionTimeout: time.Second}, 2 * time.Second, time.Second},
	} {
		c.cfg.Servers = 1
		g := newTestService(t, 1, c.cfg)
		a := g.client("n1", c.asked)
		if got := a.cl.Timeout(); got != c.want {
			t.Errorf("asked for a timeout of %v, the client was told %v; want %v", c.asked, got, c.want)
		}
		id := a.cl.Session()
		a.cl.Abandon()
		began := g.w.now
		g.w.run(g.w.now+time.Minute, func() bool { return !g.s.SessionAlive(id) })
		if took := g.w.now - began; took < c.want-10*time.Millisecond || took > c.want+tick {
			t.Errorf("asked for a timeout of %v, the session ended after %v; want %v", c.asked, took, c.want)
		}
	}
}

// TestReconnectRestartsTheTimeout: a session that its client comes back to has its full
// timeout again, before the first heartbeat of the new connection.
func TestReconnectRestartsTheTimeout(t *testing.T) {
	const timeout = 4 * time.Second
	for seed := range uint64(10) {
		g := newTestService(t, seed, Config{Servers: 1 + int(seed%2)*2})
		a := g.client("n1", timeout)
		g.s.CutHost("n1")
		g.await("Disconnected", func() bool { return a.last() == Disconnected })
		g.s.HealHost("n1")
		g.await("the session again", func() bool { return a.last() == HasSession && len(a.states) > 1 })
		back := g.w.now
		id := a.cl.Session()
		a.cl.Abandon()
		g.w.run(g.w.now+time.Minute, func() bool { return !g.s.SessionAlive(id) })
		if took := g.w.now - back; took < timeout-20*time.Millisecond || took > timeout+tick+tick/2 {
			t.Errorf("seed %d: the session ended %v after its client came back; its timeout is %v", seed, took, timeout)
		}
	}
}
