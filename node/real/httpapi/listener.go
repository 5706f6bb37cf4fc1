package httpapi

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limit accepts at most 8,192 connections at a time. Further ones wait in the
// backlog of the listener.
func Limit(l net.Listener) *Listener {
	return &Listener{Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{})}
}

// A Listener knows how many of the connections that it accepted are open.
type Listener struct {
	net.Listener
	slots  chan struct{} // one for each open connection, and one for the next
	once   sync.Once
	closed chan struct{}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: conn, release: func() { <-l.slots }}, nil
}

// Close ends Accept. Connections that were accepted stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}

// Drain ends a server that serves this listener. Until ctx ends it waits for the requests
// of all connections that the kernel has accepted, and for their answers. Shutdown alone
// would drop two kinds of them without an answer, and their clients could not know what
// became of a write: connections in the backlog, and those whose request arrives only now.
func (l *Listener) Drain(ctx context.Context, s *http.Server) {
	deafen(l.Listener)
	l.await(ctx, func() bool { return !pending(l.Listener) })
	s.SetKeepAlivesEnabled(false) // this closes the idle connections
	_ = l.Close()
	l.await(ctx, func() bool { return len(l.slots) == 0 })
	_ = s.Close()
}

// await polls, because neither the kernel's backlog nor net/http tells.
func (l *Listener) await(ctx context.Context, over func() bool) {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !over() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}
