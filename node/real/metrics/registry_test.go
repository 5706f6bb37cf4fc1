package metrics

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dkv/internal/version"
)

// ask requests the page.
func ask(h http.Handler) (status int, text string) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Code, answer.Body.String()
}

func wantLines(t *testing.T, h http.Handler, lines ...string) {
	t.Helper()
	status, text := ask(h)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, text)
	}
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the page lacks the line %q", line)
		}
	}
}

// A number is read whenever the page is requested, and shown as what it is.
func TestNumbersAreReadForEachPage(t *testing.T) {
	r := New()
	var count uint64
	level := 2.5
	r.Counter("dkv_writes_total", "Writes.", func() uint64 { return count })
	r.Gauge("dkv_level", "The level.", func() float64 { return level })
	h := r.Handler(slog.New(slog.DiscardHandler))
	wantLines(t, h, "dkv_writes_total 0", "# TYPE dkv_writes_total counter", "# HELP dkv_writes_total Writes.",
		"dkv_level 2.5", "# TYPE dkv_level gauge", "# HELP dkv_level The level.")
	count, level = 7, -1
	wantLines(t, h, "dkv_writes_total 7", "dkv_level -1")
}

// The page tells which build is running, and how the process and the runtime do.
func TestThePageTellsTheBuild(t *testing.T) {
	h := New().Handler(slog.New(slog.DiscardHandler))
	_, text := ask(h)
	build := version.Read()
	for _, want := range []string{`version="` + build.Version + `"`, `commit="` + build.Revision() + `"`, `go="` + build.Go + `"`, "protocol=", "store_format="} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, "dkv_build_info{") && strings.Contains(line, want) && strings.HasSuffix(line, "} 1\n")
		}
		if !found {
			t.Errorf("no dkv_build_info of value 1 has %s", want)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("the page lacks %s", name)
		}
	}
}

// A name is registered once: two packages that count under one name are a bug.
func TestANameIsTakenOnce(t *testing.T) {
	r := New()
	r.Counter("dkv_writes_total", "Writes.", func() uint64 { return 1 })
	defer func() {
		if recover() == nil {
			t.Error("a second metric was registered under a name that is taken")
		}
	}()
	r.Counter("dkv_writes_total", "Writes.", func() uint64 { return 2 })
}

// Requests beyond the limit are refused and do not pile up behind a number that takes long
// to read.
func TestRequestsForThePageAreLimited(t *testing.T) {
	r := New()
	reading, release := make(chan struct{}, maxInFlight), make(chan struct{})
	r.Gauge("dkv_slow", "It takes long.", func() float64 { reading <- struct{}{}; <-release; return 1 })
	h := r.Handler(slog.New(slog.DiscardHandler))
	var asking sync.WaitGroup
	statuses := make(chan int, maxInFlight)
	for range maxInFlight {
		asking.Go(func() { status, _ := ask(h); statuses <- status })
	}
	for range maxInFlight {
		<-reading
	}
	if status, _ := ask(h); status != http.StatusServiceUnavailable {
		t.Errorf("one request more than %d at once: status %d", maxInFlight, status)
	}
	close(release)
	asking.Wait()
	for range maxInFlight {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("a request within the limit: status %d", status)
		}
	}
	go func() { <-reading }()
	if status, _ := ask(h); status != http.StatusOK {
		t.Errorf("a request afterwards: status %d", status)
	}
}

// brokenCollector cannot tell its number.
type brokenCollector struct{ what *prometheus.Desc }

func (c brokenCollector) Describe(all chan<- *prometheus.Desc) { all <- c.what }
func (c brokenCollector) Collect(all chan<- prometheus.Metric) {
	all <- prometheus.NewInvalidMetric(c.what, errors.New("the disk is on fire"))
}

// What cannot be read is logged, and the page does not pass for a whole one.
func TestFailuresAreLogged(t *testing.T) {
	r := New()
	r.Register(brokenCollector{prometheus.NewDesc("dkv_broken", "It is broken.", nil, nil)})
	var log bytes.Buffer
	status, text := ask(r.Handler(slog.New(slog.NewTextHandler(&log, nil))))
	if status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", status, text)
	}
	if said := log.String(); !strings.Contains(said, "the disk is on fire") || !strings.Contains(said, "level=WARN") {
		t.Errorf("log: %q", said)
	}
}
