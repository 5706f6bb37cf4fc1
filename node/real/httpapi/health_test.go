package httpapi

import (
	"context"
	"errors"
	"strings"
	"testing"

	"dkv/node/door"
)

// TestHealthPage checks the status of /v1/health, and that members are asked once for all
// who want the page within a second.
func TestHealthPage(t *testing.T) {
	for _, c := range []struct {
		served bool
		err    error
		status int
		says   string
	}{
		{true, nil, 200, `{"state":"s"}`},
		{false, nil, 503, `{"state":"s"}`},
		{false, errors.New("no server answers"), 503, "no server answers"},
	} {
		d := newScripted(t, fixed(door.Response{}))
		asked := 0
		d.node.Health = func(context.Context) (any, bool, error) {
			asked++
			return map[string]string{"state": "s"}, c.served, c.err
		}
		for range 3 {
			if w := d.serve(ask{"GET", "/v1/health", "", nil}); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.says)
			}
		}
		if asked != 1 {
			t.Errorf("the members were asked %d times", asked)
		}
	}
}
