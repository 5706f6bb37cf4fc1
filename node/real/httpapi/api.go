package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/real/metrics"
)

const (
	// maxRequests limits the unanswered requests of this node, and maxBodyBytes
	// the memory of their bodies.
	maxRequests  = 4096
	maxBodyBytes = 256 << 20
	// maxJSONBytes limits the body of /put: JSON may escape each byte of key and
	// value as six.
	maxJSONBytes = 6*(node.MaxKeyBytes+node.MaxValueBytes) + 1<<10
	retryAfter   = "1" // seconds
)

// An API turns HTTP calls into requests for a node, and its responses into
// answers. It judges only the form of a call.
type API struct {
	node        Node
	metrics     requestMetrics
	health      clusterHealth
	metricsPage http.Handler

	requests  atomic.Int64 // given to the node and not answered by it
	bodyBytes atomic.Int64 // reserved for the bodies of those
	leaving   atomic.Bool  // clients are told to connect elsewhere
}

// Node is the node behind an API. Its functions may be called from any goroutine.
type Node struct {
	// Submit gives a request to the node. If the node has stopped, it returns
	// false and never calls done.
	Submit func(q door.Request, done func(door.Response)) bool
	// Stopped is closed when no answer will come any more.
	Stopped <-chan struct{}
	// Command gives an operator's command to the node. If the node has stopped, it
	// returns false and never calls done.
	Command func(c node.MemberCommand, done func(node.MemberAnswer)) bool
	// Set does the same with a change of the cluster's settings.
	Set func(c node.SettingCommand, done func(node.MemberAnswer)) bool
	// Status returns nil if the node has stopped or does not answer. With all
	// it describes every partition.
	Status func(all bool) *node.Status
	// Health returns what all members together say about the cluster, as JSON, and
	// whether all keys are served.
	Health func(ctx context.Context) (page any, served bool, err error)
	// Timeout applies to a request without a timeout of its own. The node ends
	// requests that time out; if it has not done so Grace later, the API answers
	// in its place, because a node whose disk does not answer cannot.
	Timeout, Grace time.Duration
}

// New returns the API of a node and registers its metrics. metricsPage serves
// /metrics.
func New(n Node, m *metrics.Registry, metricsPage http.Handler) *API {
	a := &API{node: n, metricsPage: metricsPage}
	a.register(m)
	return a
}

// Leave makes every answer from now on the last one on its connection. Clients that are
// told so send nothing more on it; what they send just when it is closed would have no
// known outcome.
func (a *API) Leave() { a.leaving.Store(true) }

// page answers the calls of one path.
type page struct {
	methods []string
	serve   func(a *API, w http.ResponseWriter, r *http.Request)
}

const kvPrefix = "/v1/kv/"

var pages = map[string]page{
	"/put":           {[]string{http.MethodPost}, (*API).servePut},
	"/get":           {[]string{http.MethodGet}, (*API).serveGet},
	"/delete":        {[]string{http.MethodDelete}, (*API).serveDelete},
	"/v1/cluster":    {[]string{http.MethodGet, http.MethodHead, http.MethodPost}, (*API).serveCluster},
	"/v1/partitions": {readMethods, (*API).servePartitions},
	"/v1/health":     {readMethods, (*API).serveClusterHealth},
	"/v1/members":    {[]string{http.MethodGet, http.MethodHead, http.MethodPost}, (*API).serveMembers},
	"/healthz":       {readMethods, (*API).serveHealth},
	"/readyz":        {readMethods, (*API).serveReady},
	"/metrics":       {readMethods, (*API).serveMetrics},
}

var (
	readMethods = []string{http.MethodGet, http.MethodHead}
	kvPage      = page{[]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, (*API).serveKV}
)

// ServeHTTP routes by the decoded path. It does not use http.ServeMux, which
// redirects keys that contain dots or double slashes to other keys.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	p, ok := kvPage, true
	if !strings.HasPrefix(r.URL.Path, kvPrefix) && r.URL.Path+"/" != kvPrefix {
		p, ok = pages[r.URL.Path]
	}
	switch {
	case !ok:
		a.refuse(w, http.StatusNotFound, "nothing is served at this path; keys are under "+kvPrefix)
	case !slices.Contains(p.methods, r.Method):
		w.Header().Set("Allow", strings.Join(p.methods, ", "))
		a.refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s accepts %s", r.URL.Path, strings.Join(p.methods, ", ")))
	default:
		p.serve(a, w, r)
	}
}

// do sends a request to the node and waits for the response. release frees the
// memory of the body.
//
// A request holds its slot and its memory until the node ends it, even if the
// client has gone away or was answered unknown in the meantime: the node still
// works on it, so it must still count.
func (a *API) do(q door.Request, release func()) door.Response {
	began := time.Now()
	if a.requests.Add(1) > maxRequests {
		a.requests.Add(-1)
		release()
		return a.count(q, began, door.Response{Outcome: door.Refused, Busy: true, Reason: "too many concurrent requests"})
	}
	answer := make(chan door.Response, 1)
	submitted := a.node.Submit(q, func(p door.Response) {
		a.requests.Add(-1)
		release()
		answer <- p
	})
	if !submitted {
		a.requests.Add(-1)
		release()
		return a.count(q, began, door.Response{Outcome: door.Refused, Reason: "this node is stopping"})
	}
	return a.count(q, began, a.await(answer, cmp.Or(q.Timeout, a.node.Timeout)+a.node.Grace))
}

// await waits for the response. If none comes, the outcome is unknown: the node
// has the request and may still execute it.
func (a *API) await(answer <-chan door.Response, bound time.Duration) door.Response {
	late := time.NewTimer(bound)
	defer late.Stop()
	why := "this node stopped before it answered"
	select {
	case p := <-answer:
		return p
	case <-a.node.Stopped:
	case <-late.C:
		why = "this node is stalled: no answer within the timeout"
	}
	select { // the node may have answered just before it stopped
	case p := <-answer:
		return p
	default:
		return door.Response{Outcome: door.Unknown, Reason: why}
	}
}

func (a *API) count(q door.Request, began time.Time, p door.Response) door.Response {
	a.metrics.ended(q.Kind, p.Outcome, time.Since(began))
	return p
}

// problem is the body of an error (RFC 9457). Its type is about:blank, so Title is
// the text of the status.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Outcome is what became of the request: "refused" (not applied, and it never
	// will be), "unknown", or "done".
	Outcome string `json:"outcome"`
}

func writeProblem(w http.ResponseWriter, status int, outcome door.Outcome, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	writeJSON(w, problem{Title: http.StatusText(status), Status: status, Detail: detail, Outcome: outcome.String()})
}

// refuse answers a call that did not reach the node.
func (a *API) refuse(w http.ResponseWriter, status int, detail string) {
	a.metrics.invalid.Inc()
	writeProblem(w, status, door.Refused, detail)
}

// unanswered writes a problem and returns true unless the response is done.
func unanswered(w http.ResponseWriter, p door.Response) bool {
	switch p.Outcome {
	case door.Done:
		return false
	case door.Refused:
		w.Header().Set("Retry-After", retryAfter)
		writeProblem(w, http.StatusServiceUnavailable, door.Refused, p.Reason)
	default:
		writeProblem(w, http.StatusGatewayTimeout, door.Unknown, p.Reason)
	}
	return true
}

// writeJSON appends a newline and does not escape <, > and &. It ignores write
// errors: they mean that the client has gone away.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}

// inputError says what is wrong with a call, and with which status to answer it.
type inputError struct {
	status int
	detail string
}

func (e *inputError) Error() string { return e.detail }

func badInput(status int, format string, args ...any) error {
	return &inputError{status, fmt.Sprintf(format, args...)}
}

// reject answers a call with what is wrong with it.
func (a *API) reject(w http.ResponseWriter, err error) {
	var input *inputError
	if !errors.As(err, &input) {
		input = &inputError{http.StatusBadRequest, err.Error()}
	}
	if input.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	a.refuse(w, input.status, input.detail)
}

var conditionHeaders = []string{"If-Match", "If-None-Match"}

// checkHeaders refuses headers that are not supported and would be dangerous to
// ignore.
func checkHeaders(r *http.Request) error {
	for _, name := range conditionHeaders {
		if values, given := r.Header[name]; given && slices.Contains(values, "") {
			return badInput(http.StatusBadRequest, "%s is empty; leave it out for an unconditional request", name)
		}
	}
	if r.Header.Get("Content-Range") != "" {
		return badInput(http.StatusBadRequest, "Content-Range is not supported: a value is written as a whole")
	}
	if r.Header.Get("Idempotency-Key") != "" {
		return badInput(http.StatusNotImplemented, "Idempotency-Key is not supported yet: leave it out, and make retries safe with If-Match or If-None-Match")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return badInput(http.StatusUnsupportedMediaType, "Content-Encoding %q is not supported: send the value unencoded", coding)
	}
	return nil
}

// timeoutOf reads Request-Timeout, which is in seconds. It returns 0 if the header
// is missing.
func timeoutOf(r *http.Request) (time.Duration, error) {
	text := r.Header.Get("Request-Timeout")
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	limit := node.MaxRequestTimeout.Seconds()
	if err != nil || !(seconds >= 0.001 && seconds <= limit) {
		return 0, badInput(http.StatusBadRequest, "invalid Request-Timeout %q (want seconds, from 0.001 to %g)", text, limit)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return badInput(http.StatusBadRequest, "the key is missing or empty")
	case len(key) > node.MaxKeyBytes:
		return badInput(http.StatusRequestEntityTooLarge, "the key has %d bytes; the limit is %d", len(key), node.MaxKeyBytes)
	}
	return nil
}

// readBody reads at most limit bytes, provided that all bodies together stay
// within maxBodyBytes. release frees the memory.
func (a *API) readBody(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, release func(), err error) {
	tooLarge := badInput(http.StatusRequestEntityTooLarge, "the body is larger than the limit of %d bytes", limit)
	if r.ContentLength > limit {
		return nil, nil, tooLarge
	}
	reserved := r.ContentLength
	if reserved < 0 {
		reserved = limit
	}
	if a.bodyBytes.Add(reserved) > maxBodyBytes {
		a.bodyBytes.Add(-reserved)
		return nil, nil, badInput(http.StatusServiceUnavailable, "too many concurrent requests: their bodies take too much memory")
	}
	release = func() { a.bodyBytes.Add(-reserved) }
	body, err = readLimited(w, r, limit)
	if err == nil {
		return body, release, nil
	}
	release()
	var max *http.MaxBytesError
	if errors.As(err, &max) {
		return nil, nil, tooLarge
	}
	return nil, nil, badInput(http.StatusBadRequest, "reading the body: %v", err)
}

func readLimited(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	reader := http.MaxBytesReader(w, r.Body, limit)
	if r.ContentLength < 0 {
		return io.ReadAll(reader)
	}
	// net/http ends the body at its Content-Length, which is within the limit.
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(reader, body)
	return body, err
}
