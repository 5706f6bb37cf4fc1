package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// healthAge is how old the page of /v1/health may be: asking all members costs them work,
// however many ask for the page.
const healthAge = time.Second

// clusterHealth is the last page of /v1/health. Those who ask while it is being made wait
// for it.
type clusterHealth struct {
	mu     sync.Mutex
	at     time.Time
	page   any
	served bool
	err    error
}

// get does not end when one of those who wait goes away.
func (h *clusterHealth) get(ctx context.Context, ask func(context.Context) (any, bool, error)) (page any, served bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) > healthAge {
		h.page, h.served, h.err = ask(context.WithoutCancel(ctx))
		h.at = time.Now()
	}
	return h.page, h.served, h.err
}

// serveClusterHealth answers 503 if some keys are not served, with the same page.
func (a *API) serveClusterHealth(w http.ResponseWriter, r *http.Request) {
	page, served, err := a.health.get(r.Context(), a.node.Health)
	switch {
	case err != nil:
		w.Header().Set("Retry-After", retryAfter)
		a.refuse(w, http.StatusServiceUnavailable, err.Error())
	case !served:
		answerJSON(w, http.StatusServiceUnavailable, page)
	default:
		answerJSON(w, http.StatusOK, page)
	}
}
