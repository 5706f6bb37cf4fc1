package zookeeper

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/node/door"
	"dkv/node/real/metrics"
	"dkv/node/real/realtest"
)

// page is what a registry shows of these sessions, by name.
func page(t *testing.T, m *metrics.Registry) map[string]float64 {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	values := map[string]float64{}
	for line := range strings.Lines(answer.Body.String()) {
		var value float64
		if name, text, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "dkv_zookeeper_") {
			if _, err := fmt.Sscan(text, &value); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			values[strings.TrimPrefix(name, "dkv_zookeeper_")] = value
		}
	}
	return values
}

// What happens to a session shows on the page of metrics when it has happened.
func TestMetricsOfASession(t *testing.T) {
	t.Parallel()
	server, line := patientServer(t), newTap()
	line.shut = true
	c := openThrough(t, line.dial, patience, server.Address())
	m := metrics.New()
	c.zk.Register(m)
	want := func(when string, counts map[string]float64) {
		t.Helper()
		got := page(t, m)
		for name, value := range counts {
			if have, ok := got[name]; !ok || have != value {
				t.Errorf("%s: %s is %v (there: %v), want %v", when, name, have, ok, value)
			}
		}
	}
	want("at first", map[string]float64{
		"sessions_total": 1, "expired_total": 0, "reconnects_total": 0, "unanswered_total": 0, "connected": 0, "silence_seconds": 0})
	line.set(func() { line.shut = false })
	c.connected(t)
	want("connected", map[string]float64{"connected": 1, "reconnects_total": 0})

	began := time.Now()
	if err := c.multi(t, createOp("/x")); err != nil {
		t.Fatal(err)
	}
	if silence, took := page(t, m)["silence_seconds"], time.Since(began).Seconds(); silence <= 0 || silence > took {
		t.Errorf("silent for %v s, %v s after a call was made that was answered", silence, took)
	}

	server.DropNextWrite(true)
	if err := c.multi(t, createOp("/y")); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Fatal(err)
	}
	realtest.Eventually(t, "it is connected again", func() bool { return c.count(door.EventConnected) == 2 })
	want("connected again", map[string]float64{"connected": 1, "reconnects_total": 1})

	line.set(func() { line.shut = true })
	c.session.guard.cut()
	realtest.Eventually(t, "the loss is reported", func() bool { return c.count(door.EventDisconnected) == 2 })
	want("cut off", map[string]float64{"connected": 0, "expired_total": 0})
	if err := c.multi(t, createOp("/z")); !errors.Is(err, door.ErrUnknownOutcome) {
		t.Fatal(err)
	}
	if n := page(t, m)["unanswered_total"]; n < 1 {
		t.Errorf("%v calls were not answered, want 1", n)
	}
	server.ExpireSession(c.session.ID())
	line.set(func() { line.shut = false })
	realtest.Eventually(t, "the expiry is reported", func() bool { return c.told(door.EventExpired) })
	want("over", map[string]float64{"connected": 0, "expired_total": 1, "sessions_total": 1})
}

// The first error in the answer to a transaction is its reason, and only some reasons are
// certain.
func TestErrorsOfTransactions(t *testing.T) {
	of := func(errs ...error) (results []zk.MultiResponse) {
		for _, err := range errs {
			results = append(results, zk.MultiResponse{Error: err})
		}
		return results
	}
	later := errors.New("runtime inconsistency")
	for name, test := range map[string]struct {
		results []zk.MultiResponse
		err     error
		op      int // -1: no operation is named
		want    error
	}{
		"done":                     {of(nil, nil), nil, -1, nil},
		"the first":                {of(zk.ErrNodeExists, later, later), zk.ErrNodeExists, 0, door.ErrNodeExists},
		"the last":                 {of(nil, nil, zk.ErrBadVersion), zk.ErrBadVersion, 2, door.ErrBadVersion},
		"not allowed":              {of(nil, zk.ErrNoAuth), zk.ErrNoAuth, 1, zk.ErrNoAuth},
		"an unknown reason":        {of(nil, zk.ErrAPIError, later), zk.ErrAPIError, -1, door.ErrUnknownOutcome},
		"the session is over":      {of(zk.ErrSessionExpired), zk.ErrSessionExpired, -1, door.ErrSessionOver},
		"no answer":                {nil, zk.ErrConnectionClosed, -1, door.ErrUnknownOutcome},
		"the session moved":        {nil, zk.ErrSessionMoved, -1, door.ErrUnknownOutcome},
		"no reason at any of them": {of(nil, nil), zk.ErrClosing, -1, door.ErrUnknownOutcome},
	} {
		got := multiError(test.results, test.err)
		var op *door.OpError
		named := -1
		if errors.As(got, &op) {
			named = op.Op
		}
		if !errors.Is(got, test.want) || (got == nil) != (test.want == nil) || named != test.op {
			t.Errorf("%s: %v, which names operation %d; want %v of %d", name, got, named, test.want, test.op)
		}
	}
}
