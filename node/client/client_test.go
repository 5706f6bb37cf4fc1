package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server gives every call the same answer and keeps the last request.
type server struct {
	*httptest.Server
	calls atomic.Int64
	last  *http.Request
	body  []byte
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.last = r.Clone(context.Background())
		s.body, _ = io.ReadAll(r.Body)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, servers ...string) *Client {
	t.Helper()
	c, err := New(servers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answering(status int, etag, index, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		if index != "" {
			w.Header().Set("DKV-Index", index)
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = io.WriteString(w, body)
		}
	}
}

func TestAnswers(t *testing.T) {
	get := func(c *Client) (Answer, error) { return c.Get(t.Context(), []byte("k")) }
	put := func(c *Client) (Answer, error) {
		return c.Put(t.Context(), []byte("k"), []byte("v"), IfVersion(3))
	}
	remove := func(c *Client) (Answer, error) { return c.Delete(t.Context(), []byte("k")) }
	tests := []struct {
		name   string
		call   func(*Client) (Answer, error)
		answer func(http.ResponseWriter, *http.Request)
		want   Answer
	}{
		{"get", get, answering(200, `"7"`, "9", "v\x00"), Answer{Found: true, Version: 7, Index: 9, Value: []byte("v\x00")}},
		{"get of an absent key", get, answering(404, "", "9", "{}"), Answer{Index: 9}},
		{"put", put, answering(204, `"7"`, "7", ""), Answer{Version: 7, Index: 7}},
		{"put of another version", put, answering(412, `"5"`, "8", "{}"), Answer{Failed: true, Found: true, Version: 5, Index: 8}},
		{"put of an absent key", put, answering(412, "", "8", "{}"), Answer{Failed: true, Index: 8}},
		{"delete", remove, answering(204, `"7"`, "8", ""), Answer{Found: true, Version: 7, Index: 8}},
		{"delete of an absent key", remove, answering(404, "", "8", "{}"), Answer{Index: 8}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.answer)
			got, err := test.call(connect(t, s.URL))
			if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("%+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	s := serve(t, answering(204, `"1"`, "1", ""))
	c := connect(t, s.Listener.Addr().String())
	key := []byte{0xff, 0, '/', ' ', '%', '.', '.', '?'}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	if _, err := c.Put(ctx, key, nil, IfAbsent()); err != nil {
		t.Fatal(err)
	}
	if got := s.last.URL.Path; got != "/v1/kv/"+string(key) {
		t.Errorf("path %q", got)
	}
	if s.last.Header.Get("If-None-Match") != "*" || !nearFifty(s.last.Header.Get("Request-Timeout")) || s.last.ContentLength != 0 {
		t.Errorf("headers %v, length %d", s.last.Header, s.last.ContentLength)
	}
	if _, err := c.Delete(t.Context(), key, IfVersion(7)); err != nil || s.last.Header.Get("If-Match") != `"7"` || s.last.Header.Get("Request-Timeout") != "" {
		t.Errorf("%v, headers %v", err, s.last.Header)
	}
	value := bytes.Repeat([]byte{1, 0xfe}, 1000)
	if _, err := c.Put(t.Context(), key, value, IfPresent()); err != nil || s.last.Header.Get("If-Match") != "*" || !bytes.Equal(s.body, value) {
		t.Errorf("%v, headers %v, body of %d bytes", err, s.last.Header, len(s.body))
	}
}

func wantError(t *testing.T, err error, outcome Outcome, says string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Outcome != outcome || !strings.Contains(e.Error(), says) {
		t.Errorf("error %v, want %s and %q", err, outcome, says)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		outcome    Outcome
		says       string
	}{
		{"refused", `{"outcome":"refused","detail":"no majority"}`, 503, Refused, "no majority"},
		{"unknown", `{"outcome":"unknown","title":"Gateway Timeout"}`, 504, Unknown, "Gateway Timeout"},
		{"bad request", `{"outcome":"refused","detail":"too long"}`, 413, Refused, "too long"},
		{"error of a proxy", `<html>502</html>`, 502, Unknown, "502"},
		{"refusal of a proxy", `nope`, 403, Refused, "nope"},
		{"conflict of a proxy", `busy`, 409, Unknown, "busy"},
		{"timeout of a proxy", `slow`, 408, Unknown, "slow"},
		{"page of a proxy", `<html>log in</html>`, 200, Unknown, "log in"},
		{"not found by a proxy", `404 page not found`, 404, Refused, "page not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, answering(test.status, "", "", test.body))
			_, err := connect(t, s.URL).Put(t.Context(), []byte("k"), nil)
			wantError(t, err, test.outcome, test.says)
		})
	}
}

// A redirect does not come from a node, and is not followed: a put would become a
// get.
func TestRedirectsAreNotFollowed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/v1/kv/k", http.StatusFound)
	})
	_, err := connect(t, s.URL).Put(t.Context(), []byte("k"), nil)
	wantError(t, err, Unknown, "302")
	if s.calls.Load() != 1 {
		t.Errorf("%d calls, want one", s.calls.Load())
	}
}

func TestRefusedCallsTryOtherServers(t *testing.T) {
	busy := serve(t, answering(503, "", "", `{"outcome":"refused"}`))
	good := serve(t, answering(204, `"1"`, "1", ""))
	c := connect(t, busy.URL, good.URL, "127.0.0.1:1") // where nothing listens
	for range 6 {
		if _, err := c.Put(t.Context(), []byte("k"), nil); err != nil {
			t.Error(err)
		}
	}
	if good.calls.Load() != 6 || busy.calls.Load() == 0 {
		t.Errorf("%d calls at the good server, %d at the busy one", good.calls.Load(), busy.calls.Load())
	}
	_, err := connect(t, busy.URL, busy.URL).Put(t.Context(), []byte("k"), nil)
	wantError(t, err, Refused, "")
}

// A write of unknown outcome must not be repeated: rule "unknown is final" holds for
// the client too.
func TestUnknownIsNeverRepeated(t *testing.T) {
	other := serve(t, answering(204, `"1"`, "1", ""))
	hangUp := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.Close()
	})
	c := connect(t, other.URL, hangUp.URL)
	for range 2 {
		if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
			wantError(t, err, Unknown, "")
		}
	}
	if other.calls.Load() != 1 || hangUp.calls.Load() != 1 {
		t.Errorf("%d and %d calls, want one each", other.calls.Load(), hangUp.calls.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel() // the caller gives up once the call has arrived
		<-r.Context().Done()
	})
	_, err := connect(t, other.URL, slow.URL).Put(ctx, []byte("k"), []byte("v"))
	wantError(t, err, Unknown, "canceled")
	if other.calls.Load() != 1 || slow.calls.Load() != 1 {
		t.Errorf("%d and %d calls, want one each", other.calls.Load(), slow.calls.Load())
	}
}

func TestInvalidInput(t *testing.T) {
	if _, err := New(); err == nil {
		t.Error("New accepted an empty list of servers")
	}
	for _, server := range []string{"", "ftp://x", "http://", "%zz"} {
		if _, err := New(server); err == nil {
			t.Errorf("server %q was accepted", server)
		}
	}
	_, err := connect(t, "127.0.0.1:1").Get(t.Context(), nil)
	wantError(t, err, Refused, "empty")
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err = connect(t, "127.0.0.1:1").Get(ctx, []byte("k"))
	wantError(t, err, Refused, "deadline has passed")
}

func TestPages(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/v1/cluster":
			_, _ = io.WriteString(w, `{"cluster":"u","version":3,"node":{"id":"n1","ready":true},"members":[{"number":2,"node":"n2","http":"h"}]}`)
		case "/v1/partitions":
			_, _ = io.WriteString(w, `{"partitions":[{"id":1,"epoch":2,"primary":3,"here":{"role":"primary","lag":4}}]}`)
		case "/readyz":
			w.WriteHeader(503)
			_, _ = io.WriteString(w, `{"ready":false,"why":"waiting for n2"}`)
		}
	})
	c := connect(t, "127.0.0.1:1", s.URL)
	cluster, err := c.Cluster(t.Context())
	if err != nil || cluster.Version != 3 || !cluster.Node.Ready || len(cluster.Members) != 1 || cluster.Members[0].HTTP != "h" {
		t.Errorf("%+v, %v", cluster, err)
	}
	partitions, err := c.Partitions(t.Context())
	if err != nil || len(partitions) != 1 || partitions[0].Here == nil || partitions[0].Here.Lag != 4 {
		t.Errorf("%+v, %v", partitions, err)
	}
	if ready, why, err := c.Ready(t.Context()); ready || why != "waiting for n2" || err != nil {
		t.Errorf("%v %q %v", ready, why, err)
	}
	if _, err := connect(t, "127.0.0.1:1").Cluster(t.Context()); err == nil {
		t.Error("no error although no server answered")
	}
}

// nearFifty allows for a machine that is slow to send the request.
func nearFifty(seconds string) bool {
	return seconds == "50.000" || strings.HasPrefix(seconds, "4") && len(seconds) == len("49.999")
}
