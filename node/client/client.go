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
	maxTimeout    = 60 * time.Second // the longest Request-Timeout that a server takes
	answerTimeout = maxTimeout + 15*time.Second
	dialTimeout   = time.Second
	maxIdleConns  = 256
	maxPageBytes  = 64 << 20
	maxErrorBytes = 64 << 10
)

// MaxValueBytes is the length of the longest value that a server takes.
const MaxValueBytes = 1 << 20

// Client calls the servers of one cluster. It is safe for concurrent use.
type Client struct {
	servers []string // base URLs
	http    *http.Client
	turn    atomic.Uint64
}

// New makes a Client of servers given as host:port or as URLs. Calls begin at
// the servers in turn.
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
		// No server of a cluster redirects: a put would be followed as a get.
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
		return "", fmt.Errorf("server %q: %w", server, err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("server %q: give host:port or a URL", server)
	}
	return u.Scheme + "://" + u.Host, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is what the store said.
type Answer struct {
	// Found: the key was present. Of a put: always false.
	Found bool
	// Failed: the condition did not hold; nothing was changed. Found and
	// Version say what it met.
	Failed bool
	// Version of a put: its own. Otherwise that of the value met; 0: absent.
	Version uint64
	// Value that a get met.
	Value []byte
	// Index is the log index at which the request was decided.
	Index uint64
}

// Outcome says what is known of a call that was not answered.
type Outcome string

const (
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
)

// Error is why a call was not answered.
type Error struct {
	Outcome Outcome
	Status  int    // of HTTP; 0: the server gave none
	Detail  string // in words
	Server  string // who said so, or did not answer
	cause   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Server, e.Outcome, e.Detail) }
func (e *Error) Unwrap() error { return e.cause }

// Condition limits a write.
type Condition func(http.Header)

// IfVersion lets a write pass only if the key is present with this version.
func IfVersion(version uint64) Condition {
	return func(h http.Header) { h.Set("If-Match", `"`+strconv.FormatUint(version, 10)+`"`) }
}

// IfPresent lets a write pass only if the key is present.
func IfPresent() Condition { return func(h http.Header) { h.Set("If-Match", "*") } }

// IfAbsent lets a write pass only if the key is absent.
func IfAbsent() Condition { return func(h http.Header) { h.Set("If-None-Match", "*") } }

// Get reads a key.
func (c *Client) Get(ctx context.Context, key []byte) (Answer, error) {
	return c.call(ctx, http.MethodGet, key, nil, nil)
}

// Put writes a key, under at most one condition.
func (c *Client) Put(ctx context.Context, key, value []byte, conditions ...Condition) (Answer, error) {
	if value == nil {
		value = []byte{}
	}
	return c.call(ctx, http.MethodPut, key, value, conditions)
}

// Delete removes a key, under at most one condition.
func (c *Client) Delete(ctx context.Context, key []byte, conditions ...Condition) (Answer, error) {
	return c.call(ctx, http.MethodDelete, key, nil, conditions)
}

// call goes from server to server while it is refused.
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

// mayRetry says that the call was refused for a reason that another server may
// not have.
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
		return Answer{}, &Error{Outcome: Refused, Detail: "no time is left", Server: server, cause: context.DeadlineExceeded}
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return Answer{}, transportError(server, err)
	}
	defer answer.Body.Close()
	return read(server, method, answer)
}

// bodyOf keeps GET and DELETE without a body, and an empty put with one.
func bodyOf(value []byte) io.Reader {
	if value == nil {
		return nil
	}
	return bytes.NewReader(value)
}

// setTimeout tells the server how long the caller waits; false if no longer.
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

// transportError is Refused only if no byte of the request can have left.
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
		return nil, fmt.Errorf("the value has more than %d bytes", MaxValueBytes)
	}
	return value, nil
}

// problemOf reads an RFC 9457 problem. Without one somebody else answered, and
// only a status that says that the request was not taken counts as refused.
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

// notTaken are the statuses with which a server or proxy turns a request away
// for what it is, before anybody acts on it. Others, such as 408 and 409, may
// come after it was passed on.
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
