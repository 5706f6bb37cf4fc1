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
	maxHeaderBytes    = 64 << 10 // a key is at most 12 KiB in a path
	readHeaderTimeout = 10 * time.Second
	// bodyTimeout bounds the reading of a request, answerTimeout that and its
	// answer: the longest Request-Timeout, and time to send.
	bodyTimeout    = 60 * time.Second
	answerTimeout  = bodyTimeout + node.MaxRequestTimeout + 60*time.Second
	idleTimeout    = 2 * time.Minute
	maxConnections = 8192
)

// newHTTPServer returns a server with bounds on what a client can make it wait for and
// keep in memory. Panics and protocol errors go to the log.
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

// limitConnections accepts at most 8,192 connections at a time; further ones
// wait in the listener's backlog.
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
