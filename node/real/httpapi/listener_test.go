package httpapi

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestDrainAnswersWhatWasAccepted: connections that wait in the backlog, and requests that
// are sent only while the server ends, get an answer; net/http's Shutdown drops both.
func TestDrainAnswersWhatWasAccepted(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := Limit(inner)
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}), slog.New(slog.DiscardHandler))
	var conns []net.Conn
	for range 8 { // nothing accepts yet: they wait in the backlog
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	drained := make(chan struct{})
	go func() { listener.Drain(ctx, server); close(drained) }()
	go func() { _ = server.Serve(listener) }()
	select {
	case <-listener.closed:
	case <-ctx.Done():
		t.Fatal("the listener was not closed")
	}
	for i, conn := range conns {
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: n\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d was not answered: %v", i, err)
		}
		if _ = answer.Body.Close(); answer.StatusCode != http.StatusServiceUnavailable || !answer.Close {
			t.Errorf("answered %d, close %v; want 503 and the end of the connection", answer.StatusCode, answer.Close)
		}
	}
	<-drained
	if conn, err := net.Dial("tcp", inner.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
}
