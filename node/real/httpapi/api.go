package httpapi

import (
	"cmp"
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
	// maxRequests bounds the requests at this node without an answer, and
	// maxBodyBytes the memory that their bodies may take.
	maxRequests  = 4096
	maxBodyBytes = 256 << 20
	// maxJSONBytes bounds the body of /put: each byte of key and value may be
	// written as an escape of six.
	maxJSONBytes = 6*(node.MaxKeyBytes+node.MaxValueBytes) + 1<<10
	retryAfter   = "1" // seconds
)

// api is the clients' door: HTTP in, requests to the node, answers out. It
// decides nothing but what is wrong with a request's form.
type API struct {
	node        Node
	metrics     requestMetrics
	metricsPage http.Handler

	requests  atomic.Int64 // without an answer
	bodyBytes atomic.Int64 // reserved for their bodies
}

// apiNode is the node behind an API. Its functions may be called from any
// goroutine.
type Node struct {
	// Submit hands a request to the node. It returns false, and done never
	// runs, if the node has stopped.
	Submit func(q door.Request, done func(door.Response)) bool
	// Stopped is closed when no answer will come any more.
	Stopped <-chan struct{}
	// Status returns nil if the node has stopped or does not answer. With all
	// it describes every partition.
	Status func(all bool) *node.Status
	// Timeout bounds a request that names no bound of its own. The node ends
	// requests at their bounds. Grace after a bound the API answers in its
	// place, because a node whose disk does not answer cannot.
	Timeout, Grace time.Duration
}

// newAPI returns the API of a node, and registers its metrics; metricsPage
// serves /metrics.
func New(n Node, m *metrics.Registry, metricsPage http.Handler) *API {
	a := &API{node: n, metricsPage: metricsPage}
	a.register(m)
	return a
}

// page is what answers at one path.
type page struct {
	methods []string
	serve   func(a *API, w http.ResponseWriter, r *http.Request)
}

const kvPrefix = "/v1/kv/"

var pages = map[string]page{
	"/put":           {[]string{http.MethodPost}, (*API).servePut},
	"/get":           {[]string{http.MethodGet}, (*API).serveGet},
	"/delete":        {[]string{http.MethodDelete}, (*API).serveDelete},
	"/v1/cluster":    {readMethods, (*API).serveCluster},
	"/v1/partitions": {readMethods, (*API).servePartitions},
	"/healthz":       {readMethods, (*API).serveHealth},
	"/readyz":        {readMethods, (*API).serveReady},
	"/metrics":       {readMethods, (*API).serveMetrics},
}

var (
	readMethods = []string{http.MethodGet, http.MethodHead}
	kvPage      = page{[]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, (*API).serveKV}
)

// ServeHTTP routes by the decoded path, byte by byte: http.ServeMux would
// redirect keys with dots and double slashes to other keys.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := kvPage, true
	if !strings.HasPrefix(r.URL.Path, kvPrefix) && r.URL.Path+"/" != kvPrefix {
		p, ok = pages[r.URL.Path]
	}
	switch {
	case !ok:
		a.refuse(w, http.StatusNotFound, "there is nothing at this path; keys are under "+kvPrefix)
	case !slices.Contains(p.methods, r.Method):
		w.Header().Set("Allow", strings.Join(p.methods, ", "))
		a.refuse(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s takes %s", r.URL.Path, strings.Join(p.methods, ", ")))
	default:
		p.serve(a, w, r)
	}
}

// do sends a request to the node and waits for its end. Requests without an
// answer are bounded; the slot and the memory of one whose client went away, or
// was told that nobody knows, stay taken until the node ends it. release gives
// the memory back.
func (a *API) do(q door.Request, release func()) door.Response {
	began := time.Now()
	if a.requests.Add(1) > maxRequests {
		a.requests.Add(-1)
		release()
		return a.count(q, began, door.Response{Outcome: door.Refused, Busy: true, Reason: "too many requests at once"})
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

// await waits for the answer. Without one the request was submitted, so that
// nobody knows what becomes of it.
func (a *API) await(answer <-chan door.Response, bound time.Duration) door.Response {
	late := time.NewTimer(bound)
	defer late.Stop()
	why := "this node stopped before it had an answer"
	select {
	case p := <-answer:
		return p
	case <-a.node.Stopped:
	case <-late.C:
		why = "this node does not get on: it did not answer in time"
	}
	select { // the last answers may have come with the end
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

// problem is an error by RFC 9457. Its type is about:blank, so that Title is
// the status in words.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Outcome says what became of the request: "refused" (certainly not
	// applied, and never will be), "unknown", or "done".
	Outcome string `json:"outcome"`
}

func writeProblem(w http.ResponseWriter, status int, outcome door.Outcome, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	writeJSON(w, problem{Title: http.StatusText(status), Status: status, Detail: detail, Outcome: outcome.String()})
}

// refuse answers a request that never reached the node.
func (a *API) refuse(w http.ResponseWriter, status int, detail string) {
	a.metrics.invalid.Inc()
	writeProblem(w, status, door.Refused, detail)
}

// unanswered writes the problem of a response that is not done; false if it is
// done.
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

// writeJSON ends with a line feed and leaves <, > and & as they are. A client
// that went away is nobody's error.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}

// inputError is what is wrong with a request, and the status that says so.
type inputError struct {
	status int
	detail string
}

func (e *inputError) Error() string { return e.detail }

func badInput(status int, format string, args ...any) error {
	return &inputError{status, fmt.Sprintf(format, args...)}
}

// reject answers with what is wrong.
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

// checkHeaders refuses what this version does not offer and would be dangerous
// to ignore.
func checkHeaders(r *http.Request) error {
	for _, name := range conditionHeaders {
		if values, given := r.Header[name]; given && slices.Contains(values, "") {
			return badInput(http.StatusBadRequest, "%s is empty; without a condition leave it out", name)
		}
	}
	if r.Header.Get("Content-Range") != "" {
		return badInput(http.StatusBadRequest, "Content-Range: a value is written as a whole")
	}
	if r.Header.Get("Idempotency-Key") != "" {
		return badInput(http.StatusNotImplemented, "Idempotency-Key is not offered yet: leave it out, and make retries safe with If-Match or If-None-Match")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return badInput(http.StatusUnsupportedMediaType, "Content-Encoding %q: send the value as it is", coding)
	}
	return nil
}

// timeoutOf reads Request-Timeout, in seconds; 0 if there is none.
func timeoutOf(r *http.Request) (time.Duration, error) {
	text := r.Header.Get("Request-Timeout")
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	limit := node.MaxRequestTimeout.Seconds()
	if err != nil || !(seconds >= 0.001 && seconds <= limit) {
		return 0, badInput(http.StatusBadRequest, "Request-Timeout %q: give seconds, from 0.001 to %g", text, limit)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return badInput(http.StatusBadRequest, "the key is missing or empty")
	case len(key) > node.MaxKeyBytes:
		return badInput(http.StatusRequestEntityTooLarge, "the key has %d bytes, more than %d", len(key), node.MaxKeyBytes)
	}
	return nil
}

// readBody reads at most limit bytes, within the memory that all bodies may
// take at once. release gives that memory back.
func (a *API) readBody(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, release func(), err error) {
	tooLarge := badInput(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", limit)
	if r.ContentLength > limit {
		return nil, nil, tooLarge
	}
	reserved := r.ContentLength
	if reserved < 0 {
		reserved = limit
	}
	if a.bodyBytes.Add(reserved) > maxBodyBytes {
		a.bodyBytes.Add(-reserved)
		return nil, nil, badInput(http.StatusServiceUnavailable, "too many requests at once: their bodies take too much memory")
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
