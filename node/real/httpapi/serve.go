package httpapi

import (
	"log/slog"
	"net/http"
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
