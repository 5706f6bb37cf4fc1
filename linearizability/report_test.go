package linearizability

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden reports")

// reported holds histories whose reports are in testdata/reports.
var reported = map[string]func() []Operation{
	"linearizable": func() []Operation { return load(300, 5, true) },
	"stale-read": func() []Operation {
		history := []Operation{
			put(1, 1, 2, "a", 4), unanswered(put(5, 3, 0, "lost", 0)), put(2, 4, 9, "b", 7),
			get(3, 5, 8, "b", 7), getAbsent(4, 10, 11), get(3, 12, 13, "a", 4), unanswered(erased(12345678, 14, 0, true)),
		}
		for i := range history {
			op := &history[i]
			op.Node = "n" + string(rune('1'+i%3))
			op.CallTime = time.Duration(op.Call) * 1234 * time.Microsecond
			op.ReturnTime = time.Duration(op.Return) * 1234 * time.Microsecond
		}
		return history
	},
	"many-keys-fail": func() []Operation {
		var history []Operation
		for i := range 12 {
			for _, op := range anomalies[1+i%4].history {
				op.Key = strings.Repeat(string(rune('a'+i)), 1+5*i)
				op.Call, op.Return = op.Call+Stamp(20*i), op.Return+Stamp(20*i)
				history = append(history, op)
			}
		}
		return history
	},
	"refused-seen": func() []Operation {
		return []Operation{refused(put(1, 1, 2, "né\x00ver", 0)), get(2, 3, 4, "né\x00ver", 4)}
	},
	"planted": func() []Operation {
		history, _ := stalePlanted(400, 30, false)
		return history
	},
}

func TestReports(t *testing.T) {
	for name, history := range reported {
		t.Run(name, func(t *testing.T) {
			r, err := Check(history(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := r.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(b.String(), "\n") {
				sentence := strings.HasPrefix(line, "  L: ") || strings.HasPrefix(line, "  D: ") || strings.HasPrefix(line, "  R: ")
				if len(line) > 100 && !sentence || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
					t.Errorf("longer than 100 columns or not ASCII: %q", line)
				}
			}
			path := filepath.Join("testdata", "reports", name+".txt")
			if *rewrite {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("report\n%s\nwant\n%s", &b, want)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	for verdict, want := range map[Verdict]ExitStatus{Linearizable: 0, Illegal: 1, Undecided: 2} {
		if got := (&Result{Verdict: verdict}).ExitStatus(); got != want {
			t.Errorf("%v: %d, want %d", verdict, got, want)
		}
	}
}
