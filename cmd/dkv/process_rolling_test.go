//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// testRollingRestart stops and starts five nodes one after the other, under 16 writers. A
// writer that is refused, or finds no process, tries another node once. No write may end
// unknown (rule "hand over before leaving"). How long a key could not be written is printed
// and not judged: it says as much about the machine.
func testRollingRestart(t *testing.T, p programs) {
	dir, zookeeper := t.TempDir(), serveZooKeeper(t, freePorts(t))
	flags := nodeFlags{"zookeeper": zookeeper, "cluster": "c", "expect": "5", "partitions": "32"}
	nodes := startNodes(t, p, dir, 5, flags)
	over := make(chan struct{})
	writers := make([]rollingWriter, 16)
	var running sync.WaitGroup
	for i := range writers {
		w := &writers[i]
		w.nodes, w.key, w.next = nodes, fmt.Sprintf("key-%02d", i), i
		running.Go(func() { w.run(over) })
	}
	time.Sleep(300 * time.Millisecond)
	for _, n := range nodes {
		n.terminate()
		n.awaitOutput("partitions are handed over", patience)
		n.start()
		n.awaitReady(patience)
	}
	time.Sleep(300 * time.Millisecond)
	close(over)
	running.Wait()
	var gap time.Duration
	done, again := 0, 0
	for i := range writers {
		w := &writers[i]
		gap, done, again = max(gap, longestGap(w.done)), done+len(w.done), again+w.again
		for _, what := range w.failed {
			t.Errorf("%s: %s", w.key, what)
		}
	}
	if done < 200 {
		t.Errorf("only %d puts were done", done)
	}
	t.Logf("%d puts, %d of them at a second node; no key waited longer than %v", done, again, gap.Round(time.Millisecond))
}

// rollingWriter puts one key again and again, each time through the next node.
type rollingWriter struct {
	nodes  []*node
	key    string
	next   int
	done   []time.Duration // when puts were answered
	again  int             // puts that a second node answered
	failed []string
}

func (w *rollingWriter) run(over <-chan struct{}) {
	// A request on a connection that the server closes just then has no known outcome, so
	// each has its own.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now()
	for {
		select {
		case <-over:
			return
		case <-time.After(5 * time.Millisecond):
		}
		w.next++
		why, definite := w.put(client, w.nodes[w.next%len(w.nodes)])
		if why != "" && definite {
			w.again++
			w.next++
			why, _ = w.put(client, w.nodes[w.next%len(w.nodes)])
		}
		if why != "" {
			w.failed = append(w.failed, why)
			continue
		}
		w.done = append(w.done, time.Since(began))
	}
}

// put returns why a put was not done, and whether it certainly did nothing.
func (w *rollingWriter) put(client *http.Client, n *node) (why string, definite bool) {
	r, err := http.NewRequest(http.MethodPut, n.http+"/v1/kv/"+w.key, strings.NewReader("x"))
	if err != nil {
		return err.Error(), true
	}
	p, err := client.Do(r)
	if err != nil {
		// Without a connection nothing was sent: a port that closes may refuse or reset it.
		var op *net.OpError
		return fmt.Sprintf("%s: %v", n.id, err), errors.As(err, &op) && op.Op == "dial"
	}
	defer p.Body.Close()
	body, err := io.ReadAll(p.Body)
	switch {
	case err != nil:
		return fmt.Sprintf("%s: %v", n.id, err), false
	case p.StatusCode/100 == 2:
		return "", true
	}
	return fmt.Sprintf("%s: %d %s", n.id, p.StatusCode, body), p.StatusCode == http.StatusServiceUnavailable
}
