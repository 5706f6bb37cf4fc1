package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/linearizability"
)

// register is a key-value store over HTTP with one lock. With lie set, a get
// returns the value before the latest.
type register struct {
	mu      sync.Mutex
	values  map[string][]string
	version uint64
	cpu     float64
	refuse  bool
	lie     bool
}

func (s *register) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	key := r.URL.Path
	switch {
	case key == "/metrics":
		s.cpu++
		fmt.Fprintf(w, "# HELP x\nprocess_cpu_seconds_total %g\ndkv_wal_syncs_total %d\ndkv_wal_syncs_total_not 7\n", s.cpu, s.version/2)
	case s.refuse && s.version > 100:
		w.WriteHeader(503)
		_ = json.NewEncoder(w).Encode(map[string]string{"outcome": "refused"})
	case r.Method == http.MethodPut:
		s.version++
		s.values[key] = append(s.values[key], string(body))
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, s.version))
		w.Header().Set("DKV-Index", fmt.Sprint(s.version))
		w.WriteHeader(204)
	case len(s.values[key]) == 0:
		w.Header().Set("DKV-Index", fmt.Sprint(s.version))
		w.WriteHeader(404)
	default:
		written := s.values[key]
		if s.lie && len(written) > 1 {
			written = written[:len(written)-1]
		}
		w.Header().Set("DKV-Index", fmt.Sprint(s.version))
		_, _ = io.WriteString(w, written[len(written)-1])
	}
}

func loaded(t *testing.T, s *register, args ...string) (out string) {
	t.Helper()
	s.values = map[string][]string{}
	server := httptest.NewServer(s)
	defer server.Close()
	code, out, errors := execute(t, "", append([]string{"bench", "--servers", server.URL, "--clients", "4", "--keys", "20", "--duration", "200ms"}, args...)...)
	if code != 0 {
		t.Fatalf("code %d: %s", code, errors)
	}
	return out
}

func TestBench(t *testing.T) {
	out := loaded(t, &register{}, "--mix", "get=50,put=40,delete=10", "--distribution", "zipf")
	for _, says := range []string{"get", "put", "delete", "p99.9", "throughput", "server CPU", "µs/op", "WAL syncs", "per put"} {
		if !strings.Contains(out, says) {
			t.Errorf("the report does not print %q:\n%s", says, out)
		}
	}
	out = loaded(t, &register{refuse: true}, "--mix", "put=1", "--preload=false")
	line := regexp.MustCompile(`(?m)^ *put .*$`).FindString(out)
	if fields := strings.Fields(line); len(fields) < 4 || fields[2] == "0" || fields[3] == "0" {
		t.Errorf("done and refused calls are not both counted: %q", line)
	}
}

// The history holds what the clients saw: a store that lies is caught.
func TestBenchRecordsAHistory(t *testing.T) {
	for _, lie := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "history")
		loaded(t, &register{lie: lie}, "--history", file, "--mix", "get=1,put=1")
		history, err := linearizability.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(history) < 20 {
			t.Errorf("%d operations", len(history))
		}
		result, err := linearizability.Check(history, linearizability.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Verdict == linearizability.Linearizable; got == lie {
			t.Errorf("a store that lies (%v): %v", lie, result.Verdict)
		}
	}
}

func TestMix(t *testing.T) {
	m, err := parseMix("get=3, put=1")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	counts := map[linearizability.Kind]int{}
	for range 4000 {
		counts[m.draw(r)]++
	}
	if gets := counts[linearizability.Get]; gets < 2800 || gets > 3200 || counts[linearizability.Delete] != 0 {
		t.Errorf("drew %v, want about three gets for each put", counts)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	r := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(r.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	for _, share := range []float64{0.1, 0.5, 0.99, 0.999, 1} {
		exact := all[int(share*float64(len(all)))-1]
		got := h.quantile(share)
		if got < exact || float64(got) > 1.04*float64(exact)+64 {
			t.Errorf("quantile %g: %v, want %v", share, got, exact)
		}
	}
	for _, d := range []time.Duration{-1, 0, 1, 31, 32, 33, 63, 64, time.Second, time.Hour, 1 << 62} {
		b := bucketOf(d)
		if b < 0 || b >= len(h) || b < len(h)-1 && upperBound(b) < d {
			t.Errorf("%v is in bucket %d, up to %v", d, b, upperBound(b))
		}
	}
	if (&histogram{}).quantile(0.5) != 0 {
		t.Error("the quantile of an empty histogram is not 0")
	}
}

func TestCPUOfAProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("this machine does not have /proc")
	}
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
	}
	after, err := cpuOf(os.Getpid())
	if err != nil || after <= before || after-before > 10*time.Second {
		t.Errorf("%v, then %v: %v", before, after, err)
	}
	if _, err := cpuOf(1 << 30); err == nil {
		t.Error("no error for a process that does not exist")
	}
}
