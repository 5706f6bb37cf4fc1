package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"dkv/node"
)

const (
	maxHeaderBytes    = 64 << 10 // a key takes at most 12 KiB in a path
	readHeaderTimeout = 10 * time.Second
	// bodyTimeout limits the reading of a request. answerTimeout limits that and
	// the answer: the longest Request-Timeout, and time to send.
	bodyTimeout    = 60 * time.Second
	answerTimeout  = bodyTimeout + node.MaxRequestTimeout + 60*time.Second
	idleTimeout    = 2 * time.Minute
	maxConnections = 8192
)

// NewServer returns an HTTP server that limits how long a client can make it wait
// and how much it can make it store. Panics and protocol errors are logged.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Limit accepts at most 8,192 connections at a time. Further ones wait in the
// backlog of the listener.
func Limit(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
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

func (l *limitedListener) Close() error {
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
