package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxTimeout    = 60 * time.Second // the longest Request-Timeout that a server accepts
	answerTimeout = maxTimeout + 15*time.Second
	dialTimeout   = time.Second
	maxIdleConns  = 256
	maxPageBytes  = 64 << 20
	maxErrorBytes = 64 << 10
)

// MaxValueBytes is the size of the largest value that a server accepts.
const MaxValueBytes = 1 << 20

// A Client calls the servers of one cluster. It is safe for concurrent use.
type Client struct {
	servers []string // base URLs
	http    *http.Client
	turn    atomic.Uint64
}

// New returns a Client for servers given as host:port or as URLs. Each call starts at
// the next server.
func New(servers ...string) (*Client, error) {
	if len(servers) == 0 {
		return nil, errors.New("a client needs at least one server")
	}
	c := &Client{http: &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxIdleConnsPerHost:   maxIdleConns,
			DisableCompression:    true,
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: answerTimeout,
		},
		// No server of a cluster redirects, and net/http would follow a put with a get.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, server := range servers {
		base, err := baseURL(server)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, base)
	}
	return c, nil
}

func baseURL(server string) (string, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("invalid server %q: %w", server, err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("invalid server %q (want host:port or a URL)", server)
	}
	return u.Scheme + "://" + u.Host, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is the answer of the store to a call.
type Answer struct {
	// Found means that the key was present. It is always false for a put that
	// took effect.
	Found bool
	// Failed means that the condition did not hold and nothing was changed. Found
	// and Version then describe the key as it was.
	Failed bool
	// Version is the version that a put created, or else the version of the key
	// when the call was executed; 0 if it was absent.
	Version uint64
	// Value is the value that a get found.
	Value []byte
	// Index is the log index at which the call was decided.
	Index uint64
}

// Outcome says what is known about a call that did not get an answer.
type Outcome string

const (
	Refused Outcome = "refused" // it was not applied and never will be
	Unknown Outcome = "unknown" // it may have been applied, or may still be
)

// Error says why a call did not get an answer.
type Error struct {
	Outcome Outcome
	Status  int    // HTTP status; 0 if there was no response
	Detail  string // the reason
	Server  string // the last server called
	cause   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Server, e.Outcome, e.Detail) }
func (e *Error) Unwrap() error { return e.cause }

// A Condition makes a write conditional.
type Condition func(http.Header)

// IfVersion applies a write only if the key has this version.
func IfVersion(version uint64) Condition {
	return func(h http.Header) { h.Set("If-Match", `"`+strconv.FormatUint(version, 10)+`"`) }
}

// IfPresent applies a write only if the key is present.
func IfPresent() Condition { return func(h http.Header) { h.Set("If-Match", "*") } }

// IfAbsent applies a write only if the key is absent.
func IfAbsent() Condition { return func(h http.Header) { h.Set("If-None-Match", "*") } }

// Get reads a key.
func (c *Client) Get(ctx context.Context, key []byte) (Answer, error) {
	return c.call(ctx, http.MethodGet, key, nil, nil)
}

// Put writes a key, subject to at most one condition.
func (c *Client) Put(ctx context.Context, key, value []byte, conditions ...Condition) (Answer, error) {
	if value == nil {
		value = []byte{}
	}
	return c.call(ctx, http.MethodPut, key, value, conditions)
}

// Delete removes a key, subject to at most one condition.
func (c *Client) Delete(ctx context.Context, key []byte, conditions ...Condition) (Answer, error) {
	return c.call(ctx, http.MethodDelete, key, nil, conditions)
}

// call tries one server after the other until one does not refuse.
func (c *Client) call(ctx context.Context, method string, key, value []byte, conditions []Condition) (Answer, error) {
	if len(key) == 0 {
		return Answer{}, &Error{Outcome: Refused, Detail: "the key is empty"}
	}
	first := c.turn.Add(1)
	var err *Error
	for i := range c.servers {
		server := c.servers[(first+uint64(i))%uint64(len(c.servers))]
		var answer Answer
		if answer, err = c.callServer(ctx, server, method, key, value, conditions); err == nil {
			return answer, nil
		}
		if !mayRetry(err) || ctx.Err() != nil {
			break
		}
	}
	return Answer{}, err
}

// mayRetry reports whether the call was refused for a reason that may not apply to
// another server.
func mayRetry(err *Error) bool {
	return err.Outcome == Refused && (err.Status == 0 || err.Status == http.StatusServiceUnavailable)
}

func (c *Client) callServer(ctx context.Context, server, method string, key, value []byte, conditions []Condition) (Answer, *Error) {
	r, err := http.NewRequestWithContext(ctx, method, server+"/v1/kv/"+url.PathEscape(string(key)), bodyOf(value))
	if err != nil {
		return Answer{}, &Error{Outcome: Refused, Detail: err.Error(), Server: server, cause: err}
	}
	for _, condition := range conditions {
		condition(r.Header)
	}
	if !setTimeout(ctx, r) {
		return Answer{}, &Error{Outcome: Refused, Detail: "the deadline has passed", Server: server, cause: context.DeadlineExceeded}
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return Answer{}, transportError(server, err)
	}
	defer answer.Body.Close()
	return read(server, method, answer)
}

// bodyOf returns no body for GET and DELETE, but an empty body for an empty value.
func bodyOf(value []byte) io.Reader {
	if value == nil {
		return nil
	}
	return bytes.NewReader(value)
}

// setTimeout tells the server how long the caller will wait. It returns false if the
// deadline has passed.
func setTimeout(ctx context.Context, r *http.Request) bool {
	deadline, ok := ctx.Deadline()
	if !ok {
		return true
	}
	left := min(time.Until(deadline), maxTimeout)
	if left < time.Millisecond {
		return false
	}
	r.Header.Set("Request-Timeout", strconv.FormatFloat(left.Seconds(), 'f', 3, 64))
	return true
}

// transportError is Refused only if no byte of the request can have been sent.
func transportError(server string, err error) *Error {
	e := &Error{Outcome: Unknown, Detail: err.Error(), Server: server, cause: err}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		e.Outcome = Refused
	}
	return e
}

func read(server, method string, r *http.Response) (Answer, *Error) {
	a := Answer{Version: versionOf(r), Index: indexOf(r)}
	switch r.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		if !decided(r) {
			break
		}
		a.Found = method != http.MethodPut
		var err error
		if a.Value, err = readValue(r, method); err != nil {
			return Answer{}, &Error{Outcome: Unknown, Status: r.StatusCode, Detail: err.Error(), Server: server, cause: err}
		}
		return a, nil
	case http.StatusNotFound, http.StatusPreconditionFailed:
		if !decided(r) {
			break
		}
		a.Failed = r.StatusCode == http.StatusPreconditionFailed
		a.Found = a.Version != 0
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxErrorBytes)) // or the connection is lost
		return a, nil
	}
	return Answer{}, problemOf(server, r)
}

// decided says that the store answered, and not something on the way to it.
func decided(r *http.Response) bool { return r.Header.Get("DKV-Index") != "" }

func readValue(r *http.Response, method string) ([]byte, error) {
	if method != http.MethodGet {
		return nil, nil
	}
	value, err := io.ReadAll(io.LimitReader(r.Body, MaxValueBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if len(value) > MaxValueBytes {
		return nil, fmt.Errorf("the value is larger than %d bytes", MaxValueBytes)
	}
	return value, nil
}

// problemOf reads an RFC 9457 problem. Without a problem, something other than a node
// answered, and the call counts as refused only if the status proves that it was
// not forwarded.
func problemOf(server string, r *http.Response) *Error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxErrorBytes))
	var p struct {
		Title, Detail string
		Outcome       Outcome
	}
	e := &Error{Outcome: Unknown, Status: r.StatusCode, Server: server}
	if json.Unmarshal(body, &p) == nil && (p.Outcome == Refused || p.Outcome == Unknown) {
		e.Outcome, e.Detail = p.Outcome, p.Detail
		if e.Detail == "" {
			e.Detail = p.Title
		}
		return e
	}
	if notTaken[r.StatusCode] {
		e.Outcome = Refused
	}
	e.Detail = fmt.Sprintf("%s: %.200s", r.Status, bytes.TrimSpace(body))
	return e
}

// notTaken holds the statuses with which a server or proxy rejects a request before
// acting on it. Others, such as 408 and 409, may follow after it was forwarded.
var notTaken = map[int]bool{
	http.StatusBadRequest: true, http.StatusUnauthorized: true, http.StatusForbidden: true,
	http.StatusNotFound: true, http.StatusMethodNotAllowed: true,
	http.StatusProxyAuthRequired: true, http.StatusLengthRequired: true,
	http.StatusRequestEntityTooLarge: true, http.StatusRequestURITooLong: true,
	http.StatusUnsupportedMediaType: true, http.StatusExpectationFailed: true,
	http.StatusTooManyRequests: true, http.StatusRequestHeaderFieldsTooLarge: true,
}

func versionOf(r *http.Response) uint64 {
	version, err := strconv.ParseUint(strings.Trim(r.Header.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return 0
	}
	return version
}

func indexOf(r *http.Response) uint64 {
	index, err := strconv.ParseUint(r.Header.Get("DKV-Index"), 10, 64)
	if err != nil {
		return 0
	}
	return index
}
