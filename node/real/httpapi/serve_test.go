package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"dkv/node/real/realtest"
)

// A bug that ends a request must not go unnoticed.
func TestPanicsAreLogged(t *testing.T) {
	var log realtest.Log
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }),
		slog.New(slog.NewTextHandler(&log, nil)))
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	if _, err := http.Get("http://" + listener.Addr().String()); err == nil {
		t.Error("a request that panicked was answered")
	}
	realtest.Eventually(t, "the panic is logged", func() bool { return strings.Contains(log.String(), "a bug") })
}
