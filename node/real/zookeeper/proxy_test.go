package zookeeper

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is a TCP connection's way to a server, with hands to break it. What it
// does to the bytes is the same whoever the server is.
type proxy struct {
	t        *testing.T
	listener net.Listener
	taken    atomic.Int64 // connections, those turned away included

	mu      sync.Mutex
	changed sync.Cond
	target  string
	rule    proxyRule
	pairs   map[*proxyPair]struct{}
	over    bool
}

// proxyRule is how connections are treated, those that stand too. The zero
// value lets everything pass.
type proxyRule struct {
	turnAway bool // new connections are closed as soon as they are taken
	holdUp   bool // what the client sends is kept, to be sent once let go
	holdDown bool // what the server sends is kept, likewise
	loseDown bool // what the server sends vanishes
	// downBytes, if not 0, is how many of the server's bytes a connection is
	// given. Then it gets nothing more, or ends if thenEnd is set.
	downBytes int
	thenEnd   bool
}

// proxyPair is a client's connection and the server's.
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

// set changes the rule. What was kept back is sent, if that is now the rule.
func (p *proxy) set(rule proxyRule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
	p.changed.Broadcast()
}

// aim leads new connections to another server.
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

// awaitShare waits while a connection has got all that it may get, even if the
// server has closed it: the client is not told.
func (p *proxy) awaitShare(pair *proxyPair, down bool, passed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !pair.dead && down && p.rule.downBytes > 0 && !p.rule.thenEnd && passed >= p.rule.downBytes {
		p.changed.Wait()
	}
}

// judge waits while bytes are held and returns those that may pass.
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

// isSpent says that a connection has got all that the rule gives it.
func (p *proxy) isSpent(down bool, passed int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return down && p.rule.thenEnd && passed >= p.rule.downBytes
}
