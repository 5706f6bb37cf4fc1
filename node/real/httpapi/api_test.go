package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/real/metrics"
)

// scriptedAPI is an API whose node is a function. It records what the node was
// asked.
type scriptedAPI struct {
	*API
	asked []door.Request
}

func newScripted(t *testing.T, answer func(door.Request) door.Response) *scriptedAPI {
	t.Helper()
	d := &scriptedAPI{}
	m := metrics.New()
	d.API = New(Node{
		Stopped: make(chan struct{}),
		Timeout: time.Minute,
		Status:  func(bool) *node.Status { return &node.Status{Node: "n1", Why: "waiting for n2 and n3"} },
		Submit: func(q door.Request, done func(door.Response)) bool {
			d.asked = append(d.asked, q)
			done(answer(q))
			return true
		},
	}, m, m.Handler(slog.New(slog.DiscardHandler)))
	return d
}

func mustNotAsk(t *testing.T) func(door.Request) door.Response {
	return func(q door.Request) door.Response {
		t.Errorf("the node was asked: %+v", q)
		return door.Response{Outcome: door.Done}
	}
}

func fixed(p door.Response) func(door.Request) door.Response {
	return func(door.Request) door.Response { return p }
}

type ask struct {
	method, target, body string
	headers              map[string]string
}

func (d *scriptedAPI) serve(q ask) *httptest.ResponseRecorder {
	r := httptest.NewRequest(q.method, q.target, strings.NewReader(q.body))
	for name, value := range q.headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

var (
	long     = strings.Repeat("k", node.MaxKeyBytes+1)
	large    = strings.Repeat("v", node.MaxValueBytes+1)
	jsonType = map[string]string{"Content-Type": "application/json"}
)

func put(body string) ask { return ask{"POST", "/put", body, jsonType} }

func header(method, target, name, value string) ask {
	return ask{method, target, "", map[string]string{name: value}}
}

// badInputs covers every kind of malformed call.
var badInputs = []struct {
	name   string
	ask    ask
	status int
	says   string
}{
	{"not JSON", put(`key=a`), 400, "not a JSON object"},
	{"a JSON array", put(`["a","b"]`), 400, "not a JSON object"},
	{"cut JSON", put(`{"key":"a","value":"b"`), 400, "not a JSON object"},
	{"empty body", put(``), 400, "not a JSON object"},
	{"something after the object", put(`{"key":"a","value":"b"} {}`), 400, "more text follows"},
	{"a repeated name", put(`{"key":"a","value":"b","key":"c"}`), 400, `"key" appears twice`},
	{"missing key", put(`{"value":"b"}`), 400, `"key" is missing`},
	{"empty key", put(`{"key":"","value":"b"}`), 400, "missing or empty"},
	{"key in another case", put(`{"Key":"a","value":"b"}`), 400, `"key" is missing`},
	{"key is null", put(`{"key":null,"value":"b"}`), 400, "must be a string"},
	{"key is a number", put(`{"key":7,"value":"b"}`), 400, "must be a string"},
	{"missing value", put(`{"key":"a"}`), 400, `"value" is missing`},
	{"value is null", put(`{"key":"a","value":null}`), 400, "must be a string"},
	{"value is an object", put(`{"key":"a","value":{}}`), 400, "must be a string"},
	{"not UTF-8", put("{\"key\":\"a\",\"value\":\"\xff\"}"), 400, "UTF-8"},
	{"a lone high surrogate", put(`{"key":"a","value":"\ud83d"}`), 400, "UTF-8"},
	{"a lone low surrogate", put(`{"key":"a","value":"\uDE00x"}`), 400, "UTF-8"},
	{"a high surrogate and an ordinary escape", put(`{"key":"a","value":"\ud83d\u0041"}`), 400, "UTF-8"},
	{"wrong content type", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "application/json"},
	{"wrong charset", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"Content-Type": "application/json; charset=latin1"}}, 415, "application/json"},
	{"malformed content type", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"Content-Type": "application/json; ="}}, 415, "application/json"},
	{"long key in JSON", put(`{"key":"` + long + `","value":"b"}`), 413, "4097 bytes"},
	{"large value in JSON", put(`{"key":"a","value":"` + large + `"}`), 413, "1048577 bytes"},
	{"large body of JSON", put(strings.Repeat(" ", maxJSONBytes+1)), 413, "the body is larger"},
	{"wrong method of /put", ask{"GET", "/put", "", nil}, 405, "accepts POST"},
	{"wrong method of /get", ask{"POST", "/get?key=a", "", nil}, 405, "accepts GET"},
	{"wrong method of /delete", ask{"GET", "/delete?key=a", "", nil}, 405, "accepts DELETE"},
	{"wrong method of a key", ask{"POST", "/v1/kv/a", "", nil}, 405, "accepts GET, HEAD, PUT, DELETE"},
	{"wrong method of a page", ask{"DELETE", "/v1/cluster", "", nil}, 405, "accepts GET, HEAD"},
	{"no such path", ask{"GET", "/", "", nil}, 404, "nothing is served at this path"},
	{"get without a key", ask{"GET", "/get", "", nil}, 400, "missing or empty"},
	{"get of an empty key", ask{"GET", "/get?key=", "", nil}, 400, "missing or empty"},
	{"get of two keys", ask{"GET", "/get?key=a&key=b", "", nil}, 400, "2 keys"},
	{"get of a bad escape", ask{"GET", "/get?key=%zz", "", nil}, 400, "invalid query"},
	{"get of a key that is not text", ask{"GET", "/get?key=%ff", "", nil}, 400, "not valid UTF-8"},
	{"get of a long key", ask{"GET", "/get?key=" + long, "", nil}, 413, "4097 bytes"},
	{"delete without a key", ask{"DELETE", "/delete", "", nil}, 400, "missing or empty"},
	{"delete of a long key", ask{"DELETE", "/delete?key=" + long, "", nil}, 413, "4097 bytes"},
	{"kv without a key", ask{"GET", "/v1/kv/", "", nil}, 400, "missing or empty"},
	{"kv without a slash", ask{"PUT", "/v1/kv", "v", nil}, 400, "missing or empty"},
	{"kv of a long key", ask{"PUT", "/v1/kv/" + long, "v", nil}, 413, "4097 bytes"},
	{"kv of a large value", ask{"PUT", "/v1/kv/a", large, nil}, 413, "limit of 1048576"},
	{"compressed value", header("PUT", "/v1/kv/a", "Content-Encoding", "gzip"), 415, "unencoded"},
	{"idempotency key", header("PUT", "/v1/kv/a", "Idempotency-Key", "x"), 501, "not supported yet"},
	{"idempotency key of /put", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"Idempotency-Key": "x"}}, 501, "not supported yet"},
	{"idempotency key of /delete", header("DELETE", "/delete?key=a", "Idempotency-Key", "x"), 501, "not supported yet"},
	{"If-Match that is not an entity tag", header("PUT", "/v1/kv/a", "If-Match", "7"), 400, "entity tag"},
	{"If-Match of a weak tag", header("PUT", "/v1/kv/a", "If-Match", `W/"7"`), 400, "entity tag"},
	{"If-Match of two tags", header("DELETE", "/v1/kv/a", "If-Match", `"7", "8"`), 400, "one entity tag"},
	{"If-Match of a read", header("GET", "/v1/kv/a", "If-Match", `"7"`), 400, "only for PUT and DELETE"},
	{"If-None-Match of a tag", header("PUT", "/v1/kv/a", "If-None-Match", `"7"`), 400, "must be *"},
	{"both conditions", ask{"PUT", "/v1/kv/a", "v", map[string]string{"If-Match": `"7"`, "If-None-Match": "*"}}, 400, "cannot be combined"},
	{"empty If-Match", header("PUT", "/v1/kv/a", "If-Match", ""), 400, "If-Match is empty"},
	{"empty If-None-Match", header("DELETE", "/v1/kv/a", "If-None-Match", ""), 400, "If-None-Match is empty"},
	{"empty condition of /put", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"If-Match": ""}}, 400, "If-Match is empty"},
	{"part of a value", header("PUT", "/v1/kv/a", "Content-Range", "bytes 0-1/5"), 400, "as a whole"},
	{"condition of /put", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"If-Match": `"7"`}}, 400, "/v1/kv/"},
	{"condition of /delete", header("DELETE", "/delete?key=a", "If-None-Match", "*"), 400, "/v1/kv/"},
	{"Request-Timeout that is not a number", header("GET", "/v1/kv/a", "Request-Timeout", "soon"), 400, "want seconds"},
	{"Request-Timeout of zero", header("GET", "/get?key=a", "Request-Timeout", "0"), 400, "want seconds"},
	{"negative Request-Timeout", header("DELETE", "/delete?key=a", "Request-Timeout", "-1"), 400, "want seconds"},
	{"Request-Timeout above the limit", ask{"POST", "/put", `{"key":"a","value":"b"}`, map[string]string{"Request-Timeout": "60.1"}}, 400, "want seconds"},
	{"Request-Timeout of NaN", header("PUT", "/v1/kv/a", "Request-Timeout", "NaN"), 400, "want seconds"},
}

func TestBadInputIsRefusedBeforeTheNode(t *testing.T) {
	for _, test := range badInputs {
		t.Run(test.name, func(t *testing.T) {
			d := newScripted(t, mustNotAsk(t))
			w := d.serve(test.ask)
			p := wantProblem(t, w, test.status, "refused")
			if !strings.Contains(p.Detail, test.says) {
				t.Errorf("detail %q does not say %q", p.Detail, test.says)
			}
			if test.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("405 without the header Allow")
			}
			if d.bodyBytes.Load() != 0 || d.requests.Load() != 0 {
				t.Errorf("%d bytes and %d requests are still held", d.bodyBytes.Load(), d.requests.Load())
			}
		})
	}
}

func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, outcome string) problem {
	t.Helper()
	var p problem
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("content type %q", kind)
	}
	if p.Status != status || p.Outcome != outcome || p.Title == "" {
		t.Errorf("problem %+v, want status %d and outcome %s", p, status, outcome)
	}
	return p
}

func TestOutcomesOfTheNode(t *testing.T) {
	calls := []ask{
		{"POST", "/put", `{"key":"a","value":"b"}`, nil},
		{"GET", "/get?key=a", "", nil},
		{"DELETE", "/delete?key=a", "", nil},
		{"PUT", "/v1/kv/a", "v", nil},
		{"GET", "/v1/kv/a", "", nil},
		{"DELETE", "/v1/kv/a", "", nil},
	}
	for _, call := range calls {
		t.Run(call.method+call.target, func(t *testing.T) {
			w := newScripted(t, fixed(door.Response{Outcome: door.Refused, Reason: "no majority", Busy: true})).serve(call)
			p := wantProblem(t, w, 503, "refused")
			if p.Detail != "no majority" || w.Header().Get("Retry-After") == "" {
				t.Errorf("problem %+v, headers %v", p, w.Header())
			}
			w = newScripted(t, fixed(door.Response{Outcome: door.Unknown, Reason: "no answer"})).serve(call)
			wantProblem(t, w, 504, "unknown")
		})
	}
}

func TestNodeThatStops(t *testing.T) {
	call := ask{"PUT", "/v1/kv/a", "v", nil}
	d := newScripted(t, mustNotAsk(t))
	d.node.Submit = func(door.Request, func(door.Response)) bool { return false }
	wantProblem(t, d.serve(call), 503, "refused")
	if d.requests.Load() != 0 {
		t.Error("a request that was not submitted keeps its slot")
	}

	d = newScripted(t, mustNotAsk(t))
	stopped := make(chan struct{})
	d.node.Stopped = stopped
	d.node.Submit = func(door.Request, func(door.Response)) bool { close(stopped); return true }
	wantProblem(t, d.serve(call), 504, "unknown")
}

// A node that is stalled, because its disk does not answer, does not keep clients
// waiting forever. The requests that it holds stay counted.
// TestAnswerBeforeAStopIsGiven: a node that answers and then stops has answered, although
// the call may see the stop first.
func TestAnswerBeforeAStopIsGiven(t *testing.T) {
	for range 100 { // with both at hand, the choice is random
		d := newScripted(t, mustNotAsk(t))
		stopped := make(chan struct{})
		d.node.Stopped = stopped
		d.node.Submit = func(_ door.Request, done func(door.Response)) bool {
			done(door.Response{Outcome: door.Done, Version: 7, Index: 7})
			close(stopped)
			return true
		}
		if w := d.serve(ask{"PUT", "/v1/kv/a", "v", nil}); w.Code != 204 {
			t.Fatalf("answered %d %s; want the node's answer", w.Code, w.Body)
		}
	}
}

func TestNodeThatDoesNotAnswer(t *testing.T) {
	d := newScripted(t, mustNotAsk(t))
	var end func(door.Response)
	d.node.Submit = func(_ door.Request, done func(door.Response)) bool { end = done; return true }
	call := ask{"PUT", "/v1/kv/a", "v", map[string]string{"Request-Timeout": "0.01"}}
	wantProblem(t, d.serve(call), 504, "unknown")
	if d.requests.Load() != 1 || d.bodyBytes.Load() != 1 {
		t.Errorf("%d requests and %d bytes are counted, want one each", d.requests.Load(), d.bodyBytes.Load())
	}
	end(door.Response{Outcome: door.Done})
	if d.requests.Load() != 0 || d.bodyBytes.Load() != 0 {
		t.Errorf("after the answer %d requests and %d bytes are still counted", d.requests.Load(), d.bodyBytes.Load())
	}
}

func TestTooManyConcurrentRequests(t *testing.T) {
	d := newScripted(t, mustNotAsk(t))
	d.requests.Store(maxRequests)
	wantProblem(t, d.serve(ask{"GET", "/v1/kv/a", "", nil}), 503, "refused")
	if d.requests.Load() != maxRequests {
		t.Errorf("%d requests are counted", d.requests.Load())
	}
	d.requests.Store(0)
	d.bodyBytes.Store(maxBodyBytes)
	w := d.serve(ask{"PUT", "/v1/kv/a", "v", nil})
	wantProblem(t, w, 503, "refused")
	if w.Header().Get("Retry-After") == "" || d.bodyBytes.Load() != maxBodyBytes {
		t.Errorf("headers %v, %d bytes are counted", w.Header(), d.bodyBytes.Load())
	}
}

func TestJSONAnswers(t *testing.T) {
	tests := []struct {
		name   string
		ask    ask
		answer door.Response
		status int
		body   string
	}{
		{"put", ask{"POST", "/put", `{"key":"a<b","value":"x"}`, nil},
			door.Response{Outcome: door.Done, Version: 7, Index: 7}, 200, `{"status":"Success","key":"a<b","version":7}`},
		{"get", ask{"GET", "/get?key=a%26b", "", nil},
			door.Response{Outcome: door.Done, Found: true, Value: []byte("é&"), Version: 7, Index: 9}, 200, `{"key":"a&b","value":"é&","version":7}`},
		{"get of an empty value", ask{"GET", "/get?key=a", "", nil},
			door.Response{Outcome: door.Done, Found: true, Version: 7}, 200, `{"key":"a","value":"","version":7}`},
		{"get of bytes", ask{"GET", "/get?key=a", "", nil},
			door.Response{Outcome: door.Done, Found: true, Value: []byte{0xff, 0}, Version: 7}, 200, `{"key":"a","value_base64":"/wA=","version":7}`},
		{"get of an absent key", ask{"GET", "/get?key=a", "", nil},
			door.Response{Outcome: door.Done, Index: 3}, 404, `{"status":"Failed","key":"a"}`},
		{"delete", ask{"DELETE", "/delete?key=a", "", nil},
			door.Response{Outcome: door.Done, Found: true, Version: 7, Index: 8}, 200, `{"status":"Success","key":"a"}`},
		{"delete of an absent key", ask{"DELETE", "/delete?key=a", "", nil},
			door.Response{Outcome: door.Done, Index: 8}, 404, `{"status":"Failed","key":"a"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newScripted(t, fixed(test.answer)).serve(test.ask)
			if w.Code != test.status || w.Body.String() != test.body+"\n" {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			//lint:ignore SA1008 the server sends the header in this form
			if got, want := w.Header()["DKV-Index"], fmt.Sprint(test.answer.Index); len(got) != 1 || got[0] != want {
				t.Errorf("DKV-Index %v, want %s", got, want)
			}
		})
	}
}

func TestJSONRequests(t *testing.T) {
	d := newScripted(t, fixed(door.Response{Outcome: door.Done}))
	d.serve(ask{"POST", "/put", `{"value":"\ud83d\ude00\\ud800","extra":[1,{"key":"no"}],"key":"k"}`, map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "Request-Timeout": "1.5"}})
	d.serve(ask{"POST", "/put", ` {"key":"k","value":""} `, map[string]string{"Content-Type": ""}})
	if len(d.asked) != 2 {
		t.Fatalf("asked %+v", d.asked)
	}
	q := d.asked[0]
	if q.Kind != door.RequestPut || string(q.Key) != "k" || string(q.Value) != "😀\\ud800" || q.Timeout != 1500*time.Millisecond {
		t.Errorf("asked %+v", q)
	}
	if q := d.asked[1]; q.Kind != door.RequestPut || len(q.Value) != 0 || q.Timeout != 0 {
		t.Errorf("asked %+v", q)
	}
}

// A key may be any bytes. Paths that a router would clean up are different keys.
func TestKeysOfPaths(t *testing.T) {
	tests := map[string]string{
		"/v1/kv/a":             "a",
		"/v1/kv/a/b":           "a/b",
		"/v1/kv/a%2fb":         "a/b",
		"/v1/kv//a":            "/a",
		"/v1/kv/a//b/":         "a//b/",
		"/v1/kv/../a":          "../a",
		"/v1/kv/%00%ff%20":     "\x00\xff ",
		"/v1/kv/%25":           "%",
		"/v1/kv/a+b":           "a+b",
		"/v1/kv/a?b=c":         "a",
		"/v1/kv/%2e%2E":        "..",
		"/v1/kv/v1/kv/":        "v1/kv/",
		"/v1/kv/%F0%9F%98%80~": "😀~",
	}
	d := newScripted(t, fixed(door.Response{Outcome: door.Done, Found: true}))
	for target, key := range tests {
		d.asked = nil
		r := httptest.NewRequest("GET", target, nil)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if len(d.asked) != 1 || string(d.asked[0].Key) != key {
			t.Errorf("%s: asked %+v, want key %q", target, d.asked, key)
		}
	}
}

func TestConditions(t *testing.T) {
	tests := []struct {
		method, name, value string
		want                door.Condition
	}{
		{"PUT", "If-Match", `"7"`, door.Condition{Match: 7}},
		{"DELETE", "If-Match", `"18446744073709551615"`, door.Condition{Match: noVersion}},
		{"PUT", "If-Match", `"someone-elses"`, door.Condition{Match: noVersion}},
		{"PUT", "If-Match", `"0"`, door.Condition{Match: noVersion}},
		{"PUT", "If-Match", `"007"`, door.Condition{Match: noVersion}},
		{"PUT", "If-Match", `*`, door.Condition{Present: true}},
		{"PUT", "If-None-Match", `*`, door.Condition{Absent: true}},
		{"DELETE", "If-None-Match", `*`, door.Condition{Absent: true}},
		{"GET", "If-None-Match", `*`, door.Condition{}},
	}
	for _, test := range tests {
		d := newScripted(t, fixed(door.Response{Outcome: door.Done, Found: true, Version: 1}))
		d.serve(ask{test.method, "/v1/kv/a", "", map[string]string{test.name: test.value}})
		if len(d.asked) != 1 || d.asked[0].If != test.want {
			t.Errorf("%s %s: %s: asked %+v, want %+v", test.method, test.name, test.value, d.asked, test.want)
		}
	}
}

func TestKVAnswers(t *testing.T) {
	value := []byte{0, 0xff, '\n'}
	found := door.Response{Outcome: door.Done, Found: true, Version: 7, Value: value, Index: 9}
	failed := found
	failed.Failed = true
	tests := []struct {
		name    string
		ask     ask
		answer  door.Response
		status  int
		etag    string
		body    []byte
		problem bool
	}{
		{"put", ask{"PUT", "/v1/kv/a", "v", nil}, door.Response{Outcome: door.Done, Version: 7, Index: 7}, 204, `"7"`, nil, false},
		{"get", ask{"GET", "/v1/kv/a", "", nil}, found, 200, `"7"`, value, false},
		{"head", ask{"HEAD", "/v1/kv/a", "", nil}, found, 200, `"7"`, nil, false},
		{"get of a version that the client has", ask{"GET", "/v1/kv/a", "", map[string]string{"If-None-Match": `"3", W/"7"`}}, found, 304, `"7"`, nil, false},
		{"get of a version that the client does not have", ask{"GET", "/v1/kv/a", "", map[string]string{"If-None-Match": `"3"`}}, found, 200, `"7"`, value, false},
		{"get of an absent key", ask{"GET", "/v1/kv/a", "", nil}, door.Response{Outcome: door.Done, Index: 9}, 404, "", nil, true},
		{"delete", ask{"DELETE", "/v1/kv/a", "", nil}, found, 204, `"7"`, nil, false},
		{"delete of an absent key", ask{"DELETE", "/v1/kv/a", "", nil}, door.Response{Outcome: door.Done, Index: 9}, 404, "", nil, true},
		{"put of another version", ask{"PUT", "/v1/kv/a", "v", map[string]string{"If-Match": `"3"`}}, failed, 412, `"7"`, nil, true},
		{"delete of another version", ask{"DELETE", "/v1/kv/a", "", map[string]string{"If-Match": `"3"`}}, failed, 412, `"7"`, nil, true},
		{"put of an absent key", ask{"PUT", "/v1/kv/a", "v", map[string]string{"If-Match": `"3"`}},
			door.Response{Outcome: door.Done, Failed: true, Index: 9}, 412, "", nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newScripted(t, fixed(test.answer)).serve(test.ask)
			if test.problem {
				wantProblem(t, w, test.status, "done")
			} else if w.Code != test.status || !bytes.Equal(w.Body.Bytes(), test.body) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			if got := w.Header().Get("ETag"); got != test.etag {
				t.Errorf("ETag %s, want %s", got, test.etag)
			}
			//lint:ignore SA1008 the server sends the header in this form
			if got, want := w.Header()["DKV-Index"], fmt.Sprint(test.answer.Index); len(got) != 1 || got[0] != want {
				t.Errorf("DKV-Index %v, want %s", got, want)
			}
		})
	}
}

// This test uses a real connection: for chunked bodies, the Content-Length of HEAD,
// and the largest value.
func TestBodiesOverTheWire(t *testing.T) {
	largest := bytes.Repeat([]byte{0xfe}, node.MaxValueBytes)
	d := newScripted(t, fixed(door.Response{Outcome: door.Done, Found: true, Version: 1, Value: largest}))
	server := httptest.NewServer(d)
	defer server.Close()
	send := func(body io.Reader) int {
		r, _ := http.NewRequest("PUT", server.URL+"/v1/kv/a", body)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	if status := send(bytes.NewReader(largest)); status != 204 {
		t.Errorf("largest value: %d", status)
	}
	if status := send(io.MultiReader(bytes.NewReader(largest))); status != 204 { // chunked
		t.Errorf("largest value, chunked: %d", status)
	}
	if status := send(io.MultiReader(bytes.NewReader(largest), strings.NewReader("x"))); status != 413 {
		t.Errorf("one byte more, chunked: %d", status)
	}
	if len(d.asked) != 2 || !bytes.Equal(d.asked[0].Value, largest) || !bytes.Equal(d.asked[1].Value, largest) {
		t.Errorf("%d requests reached the node", len(d.asked))
	}
	head, err := server.Client().Head(server.URL + "/v1/kv/a")
	if err != nil {
		t.Fatal(err)
	}
	if head.ContentLength != int64(len(largest)) || head.Header.Get("DKV-Index") == "" {
		t.Errorf("HEAD: length %d, headers %v", head.ContentLength, head.Header)
	}
	if d.bodyBytes.Load() != 0 {
		t.Errorf("%d bytes are still held", d.bodyBytes.Load())
	}
}

func TestPages(t *testing.T) {
	d := newScripted(t, fixed(door.Response{Outcome: door.Done}))
	if w := d.serve(ask{"GET", "/healthz", "", nil}); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
	w := d.serve(ask{"GET", "/readyz", "", nil})
	if w.Code != 503 || !strings.Contains(w.Body.String(), "waiting for n2 and n3") {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	if w := d.serve(ask{"GET", "/v1/cluster", "", nil}); w.Code != 200 || !strings.Contains(w.Body.String(), `"version":-1`) {
		t.Errorf("cluster: %d %s", w.Code, w.Body)
	}
	d.do(door.Request{Kind: door.RequestGet}, nothing) // counted below
	if w := d.serve(ask{"GET", "/metrics", "", nil}); w.Code != 200 || !strings.Contains(w.Body.String(), `dkv_requests_total{operation="get",outcome="done"} 1`) {
		t.Errorf("metrics: %d %s", w.Code, w.Body)
	}
	d.node.Status = func(bool) *node.Status { return nil }
	for _, path := range []string{"/healthz", "/readyz", "/v1/cluster", "/v1/partitions"} {
		if w := d.serve(ask{"GET", path, "", nil}); w.Code != 503 {
			t.Errorf("%s of a stopped node: %d", path, w.Code)
		}
	}
	d.node.Status = func(bool) *node.Status {
		return &node.Status{Ready: true, Partitions: []node.PartitionStatus{
			{ID: 3, Assignment: node.Assignment{Epoch: 2, Primary: 1, Replicas: []node.MemberNumber{1, 2}}, Here: true, Role: "primary", Last: 9, Commit: 7, Applied: 7}}}
	}
	if w := d.serve(ask{"GET", "/readyz", "", nil}); w.Code != 200 {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	w = d.serve(ask{"GET", "/v1/partitions", "", nil})
	if !strings.Contains(w.Body.String(), `{"id":3,"epoch":2,"primary":1,"replicas":[1,2],"here":{"role":"primary","promised":0,"first":0,"last":9,"commit":7,"applied":7,"lag":2}}`) {
		t.Errorf("partitions: %s", w.Body)
	}
}
