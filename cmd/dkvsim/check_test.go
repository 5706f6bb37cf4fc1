package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dkv/sim/campaign"

	"github.com/anishathalye/porcupine"
	"github.com/klauspost/compress/zstd"
)

// runCheck runs the command and returns its exit status and what it printed.
func runCheck(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	return runCheckOn(t, strings.NewReader(""), args...)
}

func runCheckOn(t *testing.T, in io.Reader, args ...string) (status int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := checkCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err := cmd.Execute()
	var exit campaign.Status
	switch {
	case errors.As(err, &exit):
		status = int(exit)
	case err != nil:
		t.Fatal(err)
	}
	return status, stdout.String(), stderr.String()
}

func historyFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	goodHistory = `{"event":"call","stamp":1,"client":1,"kind":"put","key":"k","value":"old"}
{"event":"return","stamp":2,"of":1,"outcome":"ok"}
`
	staleHistory = goodHistory + `{"event":"call","stamp":3,"client":2,"kind":"get","key":"k"}
{"event":"return","stamp":4,"of":3,"outcome":"ok","found":false}
`
	emptyReads = `{:process 0, :type :invoke, :f :read, :key "k", :value nil}
{:process 0, :type :ok, :f :read, :key "k", :value ""}
`
)

const (
	failedCAS = `{:process 0, :type :invoke, :f :write, :value 7} {:process 0, :type :ok, :f :write, :value 7}
{:process 1, :type :invoke, :f :cas, :value [7 8]} {:process 1, :type :fail, :f :cas, :value [7 8]}
`
	unanswered = `{:process 0, :type :invoke, :f :read, :value nil} {:process 0, :type :fail, :f :read, :value nil}
{:process 1, :type :invoke, :f :write, :value 3}
`
	timesRunBack = `{:process 5, :time 900, :type :invoke, :f :write, :value 3} {:process 6, :time 850, :type :invoke, :f :read, :value 3}
{:process 5, :time 1000, :type :ok, :f :write, :value 3} {:process 6, :time 1100, :type :ok, :f :read, :value 3}
`
)

// TestCheckReadsEveryPacking checks compressed files and standard input.
func TestCheckReadsEveryPacking(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(staleHistory)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := string(e.EncodeAll([]byte(staleHistory), nil))
	for name, text := range map[string]string{"plain": staleHistory, "h.gz": zipped.String(), "h.zst": packed} {
		if status, out, errs := runCheck(t, historyFile(t, name, text)); status != 1 || !strings.Contains(out, "2 operations") {
			t.Errorf("%s: status %d, %s%s", name, status, out, errs)
		}
		status, out, errs := runCheckOn(t, strings.NewReader(text), "-")
		if status != 1 || !strings.HasPrefix(out, "standard input: not linearizable") {
			t.Errorf("%s on standard input: status %d, %s%s", name, status, out, errs)
		}
	}
	for name, text := range map[string]string{"cut.gz": zipped.String()[:zipped.Len()-9], "cut.zst": packed[:len(packed)-3]} {
		if status, out, errs := runCheck(t, historyFile(t, name, text)); status != 3 || !strings.Contains(errs, name+": reading the history") {
			t.Errorf("%s: status %d, %s%s", name, status, out, errs)
		}
	}
}

// TestCheckKnowsTheRightAnswer checks small files in the formats of others. The name
// of each ends with its exit status.
func TestCheckKnowsTheRightAnswer(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		want := int(base[len(base)-1] - '0')
		if status, out, errs := runCheck(t, file); status != want {
			t.Errorf("%s: exit status %d, want %d\n%s%s", file, status, want, out, errs)
		}
	}
}

// hardHistory is linearizable, but a search takes more than a few steps to prove it.
func hardHistory() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "{:process %d :type :invoke :f :write :value %d}\n", i, i%3)
	}
	for i := range 40 {
		fmt.Fprintf(&b, "{:process %d :type :ok :f :write :value %d}\n", i, i%3)
	}
	return b.String()
}

func TestCheckExits(t *testing.T) {
	good, stale := historyFile(t, "good", goodHistory), historyFile(t, "stale", staleHistory)
	empty, hard := historyFile(t, "empty", emptyReads), historyFile(t, "hard", hardHistory())
	bad := historyFile(t, "bad", goodHistory+"{}\n")
	tests := []struct {
		name   string
		args   []string
		status int
		says   string // on either output
	}{
		{"linearizable", []string{good}, 0, "good: linearizable: 1 operation on 1 key"},
		{"not linearizable", []string{stale}, 1, `client 2's get (stamps 3-4) found no value, but before that call`},
		{"undecided", []string{"--steps=5", hard}, 2, "the step budget of 5 ran out"},
		{"a mutex has no key", []string{"testdata/check/held-twice-1.edn"}, 1, "held-twice-1.edn: not linearizable: 2 operations\n"},
		{"decided with more steps", []string{hard}, 0, "hard: linearizable"},
		{"bad input", []string{bad}, 3, `bad: line 3, column 1: "event" is missing`},
		{"the greatest of all", []string{stale, bad, good}, 3, "good: linearizable"},
		{"missing", []string{filepath.Join(t.TempDir(), "missing")}, 3, "opening the history"},
		{"no file", []string{}, 3, "no file to check: name at least one"},
		{"no step", []string{"--steps=0", good}, 3, "--steps 0"},
		{"two budgets", []string{"--steps=5", "--budget=1m", good}, 3, "--budget and --steps limit the same"},
		{"a budget in time", []string{"--budget=1us", hard}, 2, "the step budget of 10 ran out; a larger one may decide this key (dkvsim check --steps or --budget)"},
		{"no memory", []string{"--memory=0", good}, 3, "invalid --memory 0: want at least 1"},
		{"no such meaning", []string{"--cas-fail=lost", good}, 3, `unknown --cas-fail "lost" (want auto, not-applied or met)`},
		{"a register never had the value of a failed cas", []string{historyFile(t, "cas", failedCAS)}, 0, "cas: linearizable"},
		{"but it had", []string{"--cas-fail=met", historyFile(t, "cas", failedCAS)}, 1, "this verdict rests on --cas-fail met"},
		{"and that does not matter here", []string{"--cas-fail=met", historyFile(t, "cas", failedCAS+emptyReads)}, 1, "not linearizable: 3 operations on 2 keys\n"},
		{"nothing happened", []string{historyFile(t, "nothing", "")}, 3, "nothing: no operation: there is nothing to check"},
		{"nothing answered", []string{historyFile(t, "open", unanswered)}, 2, "open: undecided: none of its 2 operations has an answer"},
		{"nothing has to be answered", []string{"--allow-empty", historyFile(t, "open", unanswered)}, 0, "open: linearizable"},
		{"a warning", []string{historyFile(t, "back", timesRunBack)}, 0, "warning: times that lie before an earlier one: 1,"},
		{"no such flag", []string{"--frmat=jsonl", good}, 3, "unknown flag"},
		{"no such format", []string{"--format=xml", good}, 3, `unknown format "xml" (want auto, jsonl, etcd-operations, jepsen-log, jepsen-txt, jepsen-edn or jepsen-json)`},
		{"no such model", []string{"--model=queue", good}, 3, `unknown model "queue" (want register or text)`},
		{"the format is named", []string{"--format=jsonl", good}, 0, "good: linearizable"},
		{"another format is named", []string{"--format=jepsen-edn", good}, 3, "good: line 1, column 1: :process is missing"},
		{"a register is absent at first", []string{empty}, 1, "no put of this key wrote that value"},
		{"a text is empty at first", []string{"--model=text", empty}, 0, "empty: linearizable"},
		{"a text has no delete", []string{"--model=text", historyFile(t, "delete", `{"event":"call","stamp":1,"client":1,"kind":"delete","key":"k"}`+"\n")}, 3, `: operation 0 (client 1, called at stamp 1): the text model has no delete`},
	}
	for _, test := range tests {
		status, out, errs := runCheck(t, test.args...)
		if status != test.status || !strings.Contains(out+errs, test.says) {
			t.Errorf("%s: exit status %d, want %d, and %q in\n%s%s", test.name, status, test.status, test.says, out, errs)
		}
	}
}

func TestProgressIsDrawnForLongWorkOnly(t *testing.T) {
	var b bytes.Buffer
	begun := time.Now()
	p := newProgress(&b, "reading", 200)
	if p.due.Before(begun.Add(progressAfter)) {
		t.Errorf("the first drawing is due after %v, want %v", p.due.Sub(begun), progressAfter)
	}
	p.due = begun.Add(time.Hour) // however slow this machine is
	p.add(50)
	if b.Len() != 0 {
		t.Errorf("drawn at once: %q", &b)
	}
	p.due = time.Now().Add(-time.Second)
	p.add(50)
	if got := b.String(); got != "\r\x1b[Kreading [###############...............]  50 %" {
		t.Errorf("drew %q", got)
	}
	p.end()
	if !strings.HasSuffix(b.String(), "%\r\x1b[K") {
		t.Errorf("the bar was not erased: %q", &b)
	}
	newProgress(nil, "reading", 200).add(1) // no terminal
}

// recordings returns the directory of Porcupine's module, with its histories.
func recordings(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anishathalye/porcupine").Output()
	if err != nil {
		t.Fatalf("finding Porcupine's histories: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// published returns the verdicts in Porcupine's own tests, by file.
func published(t *testing.T, dir string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "porcupine_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]bool{}
	for _, m := range regexp.MustCompile(`\bcheckJepsen\(t, (\d+), (true|false)\)`).FindAllStringSubmatch(string(text), -1) {
		verdicts[fmt.Sprintf("jepsen/etcd_%03s.log", m[1])] = m[2] == "true"
	}
	for _, m := range regexp.MustCompile(`\bcheckKv\(t, "([^"]+)", (true|false), true\)`).FindAllStringSubmatch(string(text), -1) {
		verdicts["kv/"+m[1]+".txt"] = m[2] == "true"
	}
	return verdicts
}

// The verdicts on Jepsen's histories of etcd and of a key-value store equal those
// in Porcupine's own tests, and those of Porcupine here, with a reader and a model
// that share no code with the package.
func TestJepsensHistoriesGetPorcupinesVerdicts(t *testing.T) {
	dir := recordings(t)
	want := published(t, dir)
	if len(want) != 102+6 {
		t.Fatalf("found %d verdicts in Porcupine's tests, want 102 for etcd and 6 for the key-value store", len(want))
	}
	// One history is empty, since etcd did not start in that run; it has no verdict.
	files, err := filepath.Glob(filepath.Join(dir, "test_data", "*", "*.*"))
	if err != nil || len(files) != len(want)+1 {
		t.Fatalf("found %d histories, want %d and an empty one: %v", len(files), len(want), err)
	}
	legal := 0
	for _, file := range files {
		name := filepath.ToSlash(strings.TrimPrefix(file, filepath.Join(dir, "test_data")+string(filepath.Separator)))
		linearizable, known := want[name]
		if !known {
			if name != "jepsen/etcd_095.log" {
				t.Errorf("%s: no verdict in Porcupine's tests", name)
			} else if status, _, errs := runCheck(t, file); status != 3 || !strings.Contains(errs, "no operation") {
				t.Errorf("%s, which holds no operation: exit status %d\n%s", name, status, errs)
			}
			continue
		}
		if linearizable {
			legal++
		}
		if got := porcupineSays(t, file); got != linearizable {
			t.Errorf("%s: Porcupine says %v here, its tests %v", name, got, linearizable)
		}
		status, out, errs := runCheck(t, file)
		if wantStatus := map[bool]int{true: 0, false: 1}[linearizable]; status != wantStatus {
			t.Errorf("%s: exit status %d, want %d\n%s%s", name, status, wantStatus, out, errs)
		}
		if strings.Contains(out, ": undecided (") {
			t.Errorf("%s: a key is undecided:\n%s", name, out)
		}
	}
	t.Logf("%d histories, %d of them linearizable", len(files), legal)
}

// TestTheProgramExits runs the program itself once for each verdict.
func TestTheProgramExits(t *testing.T) {
	program := filepath.Join(t.TempDir(), "dkvsim")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	data := filepath.Join(recordings(t), "test_data")
	for file, want := range map[string]int{
		filepath.Join(data, "jepsen", "etcd_002.log"): 0,
		filepath.Join(data, "kv", "c10-bad.txt"):      1,
		historyFile(t, "hard", hardHistory()):         2,
		historyFile(t, "bad", "hello\n"):              3,
	} {
		cmd := exec.Command(program, "check", "--steps=2000", file)
		if want == 2 {
			cmd.Args[2] = "--steps=5"
		}
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit status %d, want %d\n%s", filepath.Base(file), got, want, out)
		}
	}
}

// asked is an invocation, as the reader of this test parses it.
type asked struct {
	f, key, value, from string
}

// porcupineSays returns the verdict of Porcupine, key by key, with a model of
// strings: a key is "" at first, which a register reports as "nil".
func porcupineSays(t *testing.T, file string) bool {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := regexp.MustCompile(`^INFO\s+jepsen\.util - (\d+)\s+:(\w+)\s+:(\w+)\s+(?:\[(\d+) )?([^\]]+)`)
	edn := regexp.MustCompile(`^\{:process (\d+), :type :(\w+), :f :(\w+), :key "(.*)", :value (?:nil|"(.*)")\}`)
	events := map[string][]porcupine.Event{}
	type running struct {
		key string
		id  int
	}
	open, ids := map[string]running{}, 0
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		var process, kind string
		var a asked
		if m := line.FindStringSubmatch(scanner.Text()); m != nil {
			process, kind, a = m[1], m[2], asked{f: m[3], from: m[4], value: m[5]}
		} else if m := edn.FindStringSubmatch(scanner.Text()); m != nil {
			process, kind, a = m[1], m[2], asked{f: m[3], key: m[4], value: m[5]}
		} else {
			t.Fatalf("%s: %s", file, scanner.Text())
		}
		if kind == "invoke" {
			ids++
			open[process] = running{a.key, ids}
			events[a.key] = append(events[a.key], porcupine.Event{Kind: porcupine.CallEvent, Value: a, Id: ids})
		} else if r := open[process]; kind != "info" {
			delete(open, process)
			events[r.key] = append(events[r.key], porcupine.Event{Kind: porcupine.ReturnEvent, Value: kind + " " + a.value, Id: r.id})
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	for _, r := range open {
		events[r.key] = append(events[r.key], porcupine.Event{Kind: porcupine.ReturnEvent, Value: "info", Id: r.id})
	}
	return keysAreLegal(t, file, events)
}

// keysAreLegal asks Porcupine about each key. Some keys of the illegal histories are
// too hard: it would search for hours and use up the memory. It stops after a number
// of steps, without a verdict; then another key of the history must be illegal.
func keysAreLegal(t *testing.T, file string, events map[string][]porcupine.Event) bool {
	budget := 100_000_000 // for a single register, which Porcupine can decide
	if len(events) > 1 {
		budget = 500_000
	}
	legal, beyond := true, 0
	for _, of := range events {
		model, steps := stringModel, 0
		model.Step = func(state, input, output any) (bool, any) {
			if steps++; steps > budget {
				return false, state
			}
			return stringModel.Step(state, input, output)
		}
		switch ok := porcupine.CheckEvents(model, of); {
		case !ok && steps > budget:
			beyond++
		case !ok:
			legal = false
		}
	}
	if legal && beyond > 0 {
		t.Errorf("%s: Porcupine cannot decide %d keys, and finds no illegal one", file, beyond)
	}
	return legal
}

var stringModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(string), input.(asked), output.(string)
		switch in.f {
		case "read", "get":
			read := strings.TrimPrefix(strings.TrimPrefix(out, "ok "), "nil")
			return out == "info" || out == "fail :timed-out" || read == s, s
		case "append":
			return true, s + in.value
		case "cas":
			if s != in.from {
				return !strings.HasPrefix(out, "ok"), s
			}
			return !strings.HasPrefix(out, "fail"), in.value
		}
		return true, in.value
	},
	Hash: func(state any) uint64 { return maphash.String(hashSeed, state.(string)) },
}

var hashSeed = maphash.MakeSeed()
