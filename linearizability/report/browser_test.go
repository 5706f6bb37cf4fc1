package report

import (
	"dkv/linearizability"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// browserDriver opens a page in Chromium. scripts/browser.sh installs what it
// needs.
const browserDriver = "testdata/browser/report.mjs"

// browserWork is the input of report.mjs.
type browserWork struct {
	Page     string `json:"page"`
	Key      string `json:"key"`
	Client   int    `json:"client"`
	Value    string `json:"value"`
	Searched int    `json:"searched"` // operations of the key
	Shots    string `json:"shots"`    // directory for screenshots; "": no screenshots
}

// browserMeasures is its output.
type browserMeasures struct {
	LoadMs       float64 `json:"loadMs"`
	Drawings     int     `json:"drawings"`
	DrawMedianMs float64 `json:"drawMedianMs"`
	DrawP95Ms    float64 `json:"drawP95Ms"`
	Porcupine    bool    `json:"porcupine"`
}

// needBrowser skips the test if no browser is installed, or, with CI=true, fails
// it.
func needBrowser(t *testing.T) (chromium string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err == nil {
		_, err = exec.LookPath("node")
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(filepath.Dir(browserDriver), "node_modules", "playwright-core"))
	}
	if err != nil {
		const what = "NOT RUN in a browser: %v (scripts/browser.sh installs Chromium, Node.js and playwright-core)"
		if os.Getenv("CI") == "true" {
			t.Fatalf(what, err)
		}
		t.Skipf(what, err)
	}
	return chromium
}

// openInBrowser uses a page as a reader would. DKV_TEST_SHOTS names a directory
// for screenshots.
func openInBrowser(t *testing.T, w browserWork) browserMeasures {
	t.Helper()
	chromium := needBrowser(t)
	if dir := os.Getenv("DKV_TEST_SHOTS"); dir != "" {
		w.Shots = filepath.Join(dir, t.Name())
		if err := os.MkdirAll(w.Shots, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "work.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, err := exec.Command("node", browserDriver, chromium, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var m browserMeasures
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("loaded in %v ms; %d drawings, median %v ms, 95 %% within %v ms; all in %v",
		m.LoadMs, m.Drawings, m.DrawMedianMs, m.DrawP95Ms, time.Since(began).Round(time.Millisecond))
	return m
}

// openHistory writes the page of a history and opens it.
func openHistory(t *testing.T, operations int, o Options) browserMeasures {
	t.Helper()
	needBrowser(t)
	history, annotations := bigHistory(t, operations)
	text, r := writePage(t, history, annotations, o)
	page := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, k := range r.Keys {
		if k.Verdict != linearizability.Illegal {
			continue
		}
		last := k.Contradiction.Core[len(k.Contradiction.Core)-1]
		return openInBrowser(t, browserWork{Page: page, Key: k.Key, Client: last.Client, Value: last.Answer.Value, Searched: k.Operations})
	}
	t.Fatal("the history is linearizable")
	return browserMeasures{}
}

func TestBrowserOpensAReport(t *testing.T) {
	o := Options{Title: "A planted stale read", Facts: []Fact{{"asked for", "by a test"}}, Commands: []Command{{"again", "go test ./linearizability"}}}
	if m := openHistory(t, 400, o); !m.Porcupine {
		t.Error("Porcupine's own view did not open")
	}
}

// The bounds are far above what is measured on a quiet machine (README.md), so
// that a busy one passes too.
func TestBrowserOpensAHundredThousandOperations(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a page of 100,000 operations")
	}
	const maxLoadMs, maxDrawMs = 60_000, 100
	m := openHistory(t, 100_000, Options{})
	if m.LoadMs > maxLoadMs || m.DrawMedianMs > maxDrawMs || m.Drawings < 20 {
		t.Errorf("%+v: want at most %d ms to load, %d ms to draw", m, maxLoadMs, maxDrawMs)
	}
}
