package zookeeper

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy forwards TCP connections to a server and can disturb them. It treats the
// bytes of every kind of server alike.
type proxy struct {
	t        *testing.T
	listener net.Listener
	taken    atomic.Int64 // connections, including those turned away

	mu      sync.Mutex
	changed sync.Cond
	target  string
	rule    proxyRule
	pairs   map[*proxyPair]struct{}
	over    bool
}

// proxyRule says how to treat connections, including those that exist already. The
// zero value lets everything pass.
type proxyRule struct {
	turnAway bool // close new connections at once
	holdUp   bool // hold back what the client sends until the rule changes
	holdDown bool // hold back what the server sends until the rule changes
	loseDown bool // discard what the server sends
	// downBytes, if not 0, is how many bytes of the server a connection delivers.
	// After that it delivers nothing more, or ends if thenEnd is set.
	downBytes int
	thenEnd   bool
}

// proxyPair is the connection of a client and the one to the server.
type proxyPair struct {
	client, server net.Conn
	dead           bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: listener, target: target, pairs: map[*proxyPair]struct{}{}}
	p.changed.L = &p.mu
	var running sync.WaitGroup
	running.Go(func() { p.accept(&running) })
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		p.drop()
		running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// set changes the rule. Bytes that were held back are sent if the new rule allows.
func (p *proxy) set(rule proxyRule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
	p.changed.Broadcast()
}

// aim directs new connections to another server.
func (p *proxy) aim(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// drop closes every connection.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		p.end(pair)
	}
}

// end closes a pair; the caller holds the lock.
func (p *proxy) end(pair *proxyPair) {
	pair.dead = true
	_ = pair.client.Close()
	_ = pair.server.Close()
	delete(p.pairs, pair)
	p.changed.Broadcast()
}

func (p *proxy) accept(running *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.taken.Add(1)
		p.mu.Lock()
		target, away := p.target, p.rule.turnAway
		p.mu.Unlock()
		if away {
			_ = client.Close()
			continue
		}
		server, err := net.DialTimeout("tcp", target, time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		pair := &proxyPair{client: client, server: server}
		p.mu.Lock()
		p.pairs[pair] = struct{}{}
		if p.over {
			p.end(pair)
		}
		p.mu.Unlock()
		running.Go(func() { p.forward(pair, client, server, false) })
		running.Go(func() { p.forward(pair, server, client, true) })
	}
}

// forward carries one direction until the pair is dead.
func (p *proxy) forward(pair *proxyPair, from, to net.Conn, down bool) {
	buffer := make([]byte, 64<<10)
	passed := 0
	for {
		p.awaitShare(pair, down, passed)
		n, err := from.Read(buffer)
		if err != nil {
			break
		}
		pass := p.judge(pair, buffer[:n], down, passed)
		passed += len(pass)
		if len(pass) > 0 {
			if _, err := to.Write(pass); err != nil {
				break
			}
		}
		if p.isSpent(down, passed) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(pair)
}

// awaitShare waits while a connection has delivered all that it may. It waits even
// if the server has closed the connection: the client must not learn of that.
func (p *proxy) awaitShare(pair *proxyPair, down bool, passed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !pair.dead && down && p.rule.downBytes > 0 && !p.rule.thenEnd && passed >= p.rule.downBytes {
		p.changed.Wait()
	}
}

// judge waits while bytes are held back, and returns those that may pass.
func (p *proxy) judge(pair *proxyPair, b []byte, down bool, passed int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !pair.dead && (down && p.rule.holdDown || !down && p.rule.holdUp) {
		p.changed.Wait()
	}
	switch {
	case pair.dead, down && p.rule.loseDown:
		return nil
	case down && p.rule.downBytes > 0:
		return b[:max(0, min(len(b), p.rule.downBytes-passed))]
	}
	return b
}

// isSpent reports whether a connection has delivered all that the rule allows.
func (p *proxy) isSpent(down bool, passed int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return down && p.rule.thenEnd && passed >= p.rule.downBytes
}
