//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/linearizability"
)

// workload is a set of clients that call a cluster and record the answers. Every
// call is an operation of its own: no retry is hidden from the history.
type workload struct {
	t        *testing.T
	nodes    []string // base URLs
	keys     []string
	recorder *linearizability.Recorder
	began    time.Time // the times of the history count from here
	file     *os.File

	values       atomic.Uint64 // latest value; each put writes a new one
	acknowledged atomic.Int64  // writes that succeeded
	ended        chan struct{}
	clients      sync.WaitGroup
}

func newWorkload(t *testing.T, file string, nodes []string, keys int) *workload {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := &workload{t: t, nodes: nodes, began: time.Now(), file: f, ended: make(chan struct{})}
	w.recorder = linearizability.NewRecorder(linearizability.RecorderConfig{To: f, Now: w.now})
	for i := range keys {
		w.keys = append(w.keys, fmt.Sprintf("key/%d", i))
	}
	return w
}

// start runs clients until end is called.
func (w *workload) start(clients int) {
	for i := range clients {
		w.clients.Go(func() {
			c := w.client(i)
			defer c.close()
			for !w.isOver() {
				c.operate()
			}
		})
	}
}

func (w *workload) isOver() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// end stops the clients and waits for their last answers. A call without an answer
// is recorded as unknown.
func (w *workload) end() {
	close(w.ended)
	w.clients.Wait()
}

func (w *workload) now() time.Duration { return time.Since(w.began) }

// close writes the rest of the history to its file, and the faults of the cluster
// meanwhile.
func (w *workload) close(annotations *linearizability.Annotations) {
	w.t.Helper()
	if err := errors.Join(w.recorder.Flush(), linearizability.WriteAnnotations(w.file, annotations), w.file.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// workloadClient is one client with connections of its own.
type workloadClient struct {
	*workload
	number int
	at     int // index of the node that it calls
	random *rand.Rand
	http   *http.Client
	seen   map[string]linearizability.Version // latest version seen of each key
}

const (
	requestTimeout = 2 * time.Second // sent to the node
	clientTimeout  = 3 * time.Second // after which a client stops waiting
)

func (w *workload) client(number int) *workloadClient {
	return &workloadClient{
		workload: w, number: number, at: number % len(w.nodes),
		random: rand.New(rand.NewPCG(uint64(number), 1)),
		http:   &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: clientTimeout},
		seen:   map[string]linearizability.Version{},
	}
}

func (c *workloadClient) close() { c.http.CloseIdleConnections() }

// operate makes one random call. If the call is not done, the client continues at
// another node.
func (c *workloadClient) operate() {
	op := linearizability.Operation{Key: c.keys[c.random.IntN(len(c.keys))], Kind: linearizability.Put}
	switch n := c.random.IntN(100); {
	case n < 40:
		op.Kind = linearizability.Get
	case n < 65:
	case n < 75:
		op.IfAbsent = true
	case n < 85:
		op.IfMatch = c.seen[op.Key]
	case n < 95:
		op.Kind = linearizability.Delete
	default:
		op.Kind, op.IfMatch = linearizability.Delete, c.seen[op.Key]
	}
	if c.call(op) != linearizability.OK {
		c.at = (c.at + 1 + c.random.IntN(len(c.nodes)-1)) % len(c.nodes)
		time.Sleep(time.Duration(1+c.random.IntN(10)) * time.Millisecond)
	}
}

// read reads a key, retrying until there is an answer.
func (c *workloadClient) read(key string, patience time.Duration) {
	c.t.Helper()
	await(c.t, patience, func() error {
		c.at = (c.at + 1) % len(c.nodes)
		if outcome := c.call(linearizability.Operation{Key: key, Kind: linearizability.Get}); outcome != linearizability.OK {
			return fmt.Errorf("reading %s at %s: %v", key, c.nodes[c.at], outcome)
		}
		return nil
	})
}

// call makes one call to the client's current node and records it.
func (c *workloadClient) call(op linearizability.Operation) linearizability.Outcome {
	op.Client, op.Node = c.number, c.nodes[c.at]
	if op.Kind == linearizability.Put {
		op.Value = fmt.Sprintf("v%d", c.values.Add(1))
	}
	stamp := c.recorder.Call(op)
	outcome, answer, err := c.send(op)
	c.recorder.Return(stamp, outcome, answer)
	if err != nil {
		c.t.Errorf("%s of %s at %s: %v", op.Kind, op.Key, op.Node, err)
	}
	if outcome != linearizability.OK {
		return outcome
	}
	if answer.Version != 0 {
		c.seen[op.Key] = answer.Version
	}
	if op.Kind == linearizability.Put && !answer.ConditionFailed || op.Kind == linearizability.Delete && answer.Found && !answer.ConditionFailed {
		c.acknowledged.Add(1)
	}
	return outcome
}

var methods = map[linearizability.Kind]string{
	linearizability.Get: http.MethodGet, linearizability.Put: http.MethodPut, linearizability.Delete: http.MethodDelete,
}

// send makes a call and returns what the client then knows. It returns an error for
// an answer that violates the API.
func (c *workloadClient) send(op linearizability.Operation) (linearizability.Outcome, linearizability.Answer, error) {
	connected := false // once true, the node may have received the request
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	var body io.Reader
	if op.Kind == linearizability.Put {
		body = strings.NewReader(op.Value)
	}
	r, err := http.NewRequestWithContext(ctx, methods[op.Kind], op.Node+"/v1/kv/"+op.Key, body)
	if err != nil {
		return linearizability.Refused, linearizability.Answer{}, err
	}
	r.Header.Set("Request-Timeout", strconv.FormatFloat(requestTimeout.Seconds(), 'f', -1, 64))
	switch {
	case op.IfMatch != 0:
		r.Header.Set("If-Match", fmt.Sprintf(`"%d"`, op.IfMatch))
	case op.IfAbsent:
		r.Header.Set("If-None-Match", "*")
	}
	p, err := c.http.Do(r)
	switch {
	case err != nil && connected:
		return linearizability.Unknown, linearizability.Answer{}, nil
	case err != nil:
		return linearizability.Refused, linearizability.Answer{}, nil
	}
	defer p.Body.Close()
	text, err := io.ReadAll(p.Body)
	if err != nil {
		return linearizability.Unknown, linearizability.Answer{}, nil
	}
	return understand(op, p, text)
}

// understand reads an answer according to the API's documentation.
func understand(op linearizability.Operation, p *http.Response, body []byte) (linearizability.Outcome, linearizability.Answer, error) {
	a := linearizability.Answer{
		Version: linearizability.Version(headerNumber(p, "ETag")),
		Index:   linearizability.Index(headerNumber(p, "DKV-Index")),
	}
	unexpected := fmt.Errorf("unexpected answer: %s, ETag %q, DKV-Index %q: %.200s", p.Status, p.Header.Get("ETag"), p.Header.Get("DKV-Index"), body)
	decided := a.Index != 0
	switch {
	case p.StatusCode == http.StatusOK && op.Kind == linearizability.Get && decided && a.Version != 0:
		a.Found, a.HasValue, a.Value = true, true, string(body)
	case p.StatusCode == http.StatusNoContent && op.Kind == linearizability.Put && decided && a.Version != 0:
	case p.StatusCode == http.StatusNoContent && op.Kind == linearizability.Delete && decided && a.Version != 0:
		a.Found = true
	case p.StatusCode == http.StatusNotFound && op.Kind != linearizability.Put && decided && a.Version == 0:
	case p.StatusCode == http.StatusPreconditionFailed && (op.IfMatch != 0 || op.IfAbsent) && decided:
		a.ConditionFailed, a.Found = true, a.Version != 0
	case p.StatusCode == http.StatusServiceUnavailable && problemOutcome(p, body) == "refused":
		return linearizability.Refused, linearizability.Answer{}, nil
	case p.StatusCode == http.StatusGatewayTimeout && problemOutcome(p, body) == "unknown":
		return linearizability.Unknown, linearizability.Answer{}, nil
	default:
		return linearizability.Unknown, linearizability.Answer{}, unexpected
	}
	return linearizability.OK, a, nil
}

// headerNumber returns the number in a header, with or without quotes, or 0 if the
// header is missing.
func headerNumber(p *http.Response, name string) uint64 {
	n, err := strconv.ParseUint(strings.Trim(p.Header.Get(name), `"`), 10, 63)
	if err != nil {
		return 0
	}
	return n
}

// problemOutcome returns the outcome of the request in an RFC 9457 problem.
func problemOutcome(p *http.Response, body []byte) string {
	var problem struct{ Outcome string }
	if p.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(body, &problem) != nil {
		return ""
	}
	return problem.Outcome
}

// tally summarizes a history.
type tally struct {
	operations, ok, refused, unknown int
	// gap is the longest time without a successful operation, keyGap the longest
	// without one on the same key.
	gap, keyGap time.Duration
}

// count counts all operations, and measures the gaps up to a time.
func count(history []linearizability.Operation, until time.Duration) tally {
	t := tally{operations: len(history)}
	var answered []time.Duration
	byKey := map[string][]time.Duration{}
	for _, op := range history {
		switch op.Outcome {
		case linearizability.OK:
			t.ok++
			if op.ReturnTime <= until {
				answered = append(answered, op.ReturnTime)
				byKey[op.Key] = append(byKey[op.Key], op.ReturnTime)
			}
		case linearizability.Refused:
			t.refused++
		default:
			t.unknown++
		}
	}
	t.gap = longestGap(answered)
	for _, times := range byKey {
		t.keyGap = max(t.keyGap, longestGap(times))
	}
	return t
}

func longestGap(times []time.Duration) time.Duration {
	slices.Sort(times)
	var gap time.Duration
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i]-times[i-1])
	}
	return gap
}

// checkFinalReads compares the last read of each key with its last acknowledged
// write, by log index. It does not depend on the checker. Only a write of unknown
// outcome may have come between the two.
func checkFinalReads(t *testing.T, history []linearizability.Operation, keys []string) {
	t.Helper()
	for _, key := range keys {
		var wrote, read *linearizability.Operation
		unknownPuts, unknownDelete := map[string]bool{}, false
		for i := range history {
			op := &history[i]
			write := op.Kind != linearizability.Get && !op.Answer.ConditionFailed
			switch {
			case op.Key != key:
			case op.Kind == linearizability.Get && op.Outcome == linearizability.OK:
				read = op
			case write && op.Outcome == linearizability.OK && (op.Kind == linearizability.Put || op.Answer.Found):
				if wrote == nil || op.Answer.Index > wrote.Answer.Index {
					wrote = op
				}
			case op.Outcome == linearizability.Unknown && op.Kind == linearizability.Put:
				unknownPuts[op.Value] = true
			case op.Outcome == linearizability.Unknown && op.Kind == linearizability.Delete:
				unknownDelete = true
			}
		}
		switch {
		case wrote == nil || read == nil:
			t.Errorf("%s: no acknowledged write or no final read: the workload is too small", key)
		case read.Answer.Found && wrote.Kind == linearizability.Put && read.Answer.Value == wrote.Value:
		case read.Answer.Found && unknownPuts[read.Answer.Value] && uint64(read.Answer.Version) > uint64(wrote.Answer.Index):
		case !read.Answer.Found && (wrote.Kind == linearizability.Delete || unknownDelete):
		default:
			t.Errorf("%s: the last acknowledged write was %+v, but the final read was %+v", key, *wrote, *read)
		}
	}
}
