package jepsen

import (
	"bytes"
	"dkv/linearizability"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	logRead  = "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
	logWrite = "INFO  jepsen.util - 1\t:invoke\t:write\t4\n"
	ednRead  = "{:process 0, :type :invoke, :f :read, :value nil}\n"
	ednGet   = "{:process 0, :type :invoke, :f :get, :key \"k\", :value nil}\n"
)

var formats = []linearizability.Format{linearizability.JSONLines, Log, Text, EDN, JSON}

// written returns the history in the format JSONLines; to write it is to
// validate it.
func written(t *testing.T, history []linearizability.Operation) string {
	t.Helper()
	var b strings.Builder
	if err := linearizability.Write(&b, history); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asRefused(op linearizability.Operation) linearizability.Operation {
	op.Outcome, op.Answer = linearizability.Refused, linearizability.Answer{}
	return op
}

func asIfAbsent(op linearizability.Operation) linearizability.Operation {
	op.IfAbsent = true
	return op
}

func TestOperations(t *testing.T) {
	op := func(client int, kind linearizability.Kind, call, ret linearizability.Stamp) linearizability.Operation {
		o := linearizability.Operation{Client: client, Kind: kind, Call: call, Return: ret}
		if ret != 0 {
			o.Outcome = linearizability.OK
		}
		return o
	}
	valued := func(o linearizability.Operation, value string) linearizability.Operation { o.Value = value; return o }
	met := func(o linearizability.Operation, a linearizability.Answer) linearizability.Operation {
		o.Answer = a
		return o
	}
	found := func(value string) linearizability.Answer {
		return linearizability.Answer{Found: true, HasValue: true, Value: value}
	}
	cas := func(o linearizability.Operation, from, to string) linearizability.Operation {
		o.HasIfValue, o.IfValue, o.Value = true, from, to
		return o
	}
	keyed := func(o linearizability.Operation, key string) linearizability.Operation { o.Key = key; return o }
	tests := []struct {
		name, log, edn string // the same events
		want           []linearizability.Operation
	}{
		{"a read of an absent key", logRead + "INFO  jepsen.util - 0 :ok :read nil\n",
			ednRead + "{:process 0 :type :ok :f :read :value nil}", []linearizability.Operation{op(0, linearizability.Get, 1, 2)}},
		{"a read of a value", logRead + "INFO  jepsen.util - 0 :ok :read 3\n",
			ednRead + "{:process 0 :type :ok :f :read :value 3}", []linearizability.Operation{met(op(0, linearizability.Get, 1, 2), found("3"))}},
		{"a read that failed", logRead + "INFO  jepsen.util - 0 :fail :read :timed-out\n",
			ednRead + "{:process 0 :type :fail :f :read :value nil :error :timed-out}", []linearizability.Operation{asRefused(op(0, linearizability.Get, 1, 2))}},
		{"a write that took effect", logWrite + "INFO  jepsen.util - 1 :ok :write 4\n",
			"{:process 1 :type :invoke :f :write :value 4}{:process 1 :type :ok :f :write :value 4}", []linearizability.Operation{valued(op(1, linearizability.Put, 1, 2), "4")}},
		{"a write of unknown outcome", logWrite + "INFO  jepsen.util - 1 :info :write :timed-out\n" + strings.Replace(logWrite, "- 1", "- 6", 1),
			"{:process 1 :type :invoke :f :write :value 4}{:process 1 :type :info :f :write :value 4 :error :timeout}{:process 6 :type :invoke :f :write :value 4}",
			[]linearizability.Operation{valued(op(1, linearizability.Put, 1, 0), "4"), valued(op(6, linearizability.Put, 3, 0), "4")}},
		{"a write that failed", logWrite + "INFO  jepsen.util - 1 :fail :write 4\n",
			"{:process 1 :type :invoke :f :write :value 4}{:process 1 :type :fail :f :write :value 4}", []linearizability.Operation{valued(asRefused(op(1, linearizability.Put, 1, 2)), "4")}},
		{"a cas that held", "INFO  jepsen.util - 2 :invoke :cas [3 1]\nINFO  jepsen.util - 2 :ok :cas [3 1]\n",
			"{:process 2 :type :invoke :f :cas :value [3 1]}{:process 2 :type :ok :f :cas :value [3 1]}", []linearizability.Operation{cas(op(2, linearizability.Put, 1, 2), "3", "1")}},
		{"a cas that failed for another reason", "INFO  jepsen.util - 2 :invoke :cas [3 1]\nINFO  jepsen.util - 2 :fail :cas [3 1] :no-leader\n",
			"{:process 2 :type :invoke :f :cas :value [3 1]}{:process 2 :type :fail :f :cas :value [3 1] :error \"no leader\"}",
			[]linearizability.Operation{cas(asRefused(op(2, linearizability.Put, 1, 2)), "3", "1")}},
		{"a cas on an absent key", "INFO  jepsen.util - 2 :invoke :cas [nil 1]\n", "{:process 2 :type :invoke :f :cas :value [nil 1]}",
			[]linearizability.Operation{asIfAbsent(valued(op(2, linearizability.Put, 1, 0), "1"))}},
		{"many registers", "INFO  jepsen.util - 2 :invoke :cas [7 [3 1]]\nINFO  jepsen.util - 0 :invoke :read [7 nil]\nINFO  jepsen.util - 0 :ok :read [7 3]\n",
			"{:process 2 :type :invoke :f :cas :value [7 [3 1]]} {:process 0 :type :invoke :f :read :value [7 nil]} {:process 0 :type :ok :f :read :value [7 3]}",
			[]linearizability.Operation{keyed(cas(op(2, linearizability.Put, 1, 0), "3", "1"), "7"), keyed(met(op(0, linearizability.Get, 2, 3), found("3")), "7")}},
	}
	for _, test := range tests {
		for format, text := range map[string]string{Log.Name: test.log, EDN.Name: test.edn} {
			r, err := linearizability.ReadRecording(strings.NewReader(text), linearizability.ReadOptions{Formats: formats})
			if err != nil || r.Format != format || r.Model != linearizability.Register || !reflect.DeepEqual(r.Operations, test.want) {
				t.Errorf("%s, %v: read %+v, %v\nwant %+v", test.name, format, r, err, test.want)
			}
		}
	}
}

// TestFailedCAS checks what a :cas means that fails without a reason.
func TestFailedCAS(t *testing.T) {
	texts := map[string]string{
		Log.Name:  "INFO  jepsen.util - 2 :invoke :cas [3 1]\nINFO  jepsen.util - 2 :fail :cas [3 1]\n",
		Text.Name: "2\t:invoke\t:cas\t[3 1]\n2\t:fail\t:cas\t[3 1]\n",
		EDN.Name:  "{:process 2 :type :invoke :f :cas :value [3 1]}{:process 2 :type :fail :f :cas :value [3 1]}",
		JSON.Name: `{"process":2,"type":"invoke","f":"cas","value":[3,1]} {"process":2,"type":"fail","f":"cas","value":[3,1]}`,
	}
	for fail, met := range map[CASFail][]string{
		CASFailAsUsual: {Log.Name}, CASFailNotApplied: nil, CASFailMet: {Log.Name, Text.Name, EDN.Name, JSON.Name},
	} {
		for _, format := range Formats(fail) {
			r, err := linearizability.ReadRecording(strings.NewReader(texts[format.Name]), linearizability.ReadOptions{Formats: []linearizability.Format{format}})
			if err != nil || len(r.Operations) != 1 {
				t.Fatalf("%s: %+v, %v", format.Name, r, err)
			}
			got, want := r.Operations[0], linearizability.Operation{
				Client: 2, Kind: linearizability.Put, Value: "1", HasIfValue: true, IfValue: "3", Call: 1, Return: 2, Outcome: linearizability.Refused,
			}
			var inferred []int
			if slices.Contains(met, format.Name) {
				want.Outcome, want.Answer = linearizability.OK, linearizability.Answer{ConditionFailed: true, Unreported: true}
				inferred = []int{0}
			}
			if got != want || !slices.Equal(r.Inferred, inferred) {
				t.Errorf("%s, meaning %d: read %+v, inferred %v\nwant %+v, %v", format.Name, fail, got, r.Inferred, want, inferred)
			}
		}
	}
}

// TestOneHistoryInAllFormats checks that keys and values of every kind mean the
// same in each format, and that times only raise a warning when they run back.
func TestOneHistoryInAllFormats(t *testing.T) {
	const edn = `{:index 0, :time 500, :process :nemesis, :type :info, :f :start, :value nil}
{:index 1, :time 700, :process 0, :type :invoke, :f :write, :value [:color :red]}
{:index 2, :time 690, :process 1, :type :invoke, :f :read, :value [:color :blue]}
{:index 3, :time 900, :process 0, :type :ok, :f :write, :value [:color :red]}
{:index 4, :time 910, :process 1, :type :ok, :f :read, :value [:color :red]}
{:index 5, :time 920, :process 1, :type :invoke, :f :cas, :value [7 [true -2]]}
{:index 6, :time 930, :process 1, :type :ok, :f :cas, :value [7 [true -2]]}
{:index 7, :time 940, :process 2, :type :invoke, :f :read, :value ["a b" nil]}
{:index 8, :time 950, :process 2, :type :info, :f :read, :value ["a b" nil], :error :timeout}
`
	text := "\n:nemesis\t:info\t:start\tnil\n0\t:invoke\t:write\t[:color :red]\n1\t:invoke\t:read\t[:color :blue]\n0\t:ok\t:write\t[:color :red]\n" +
		"1\t:ok\t:read\t[:color :red]\n1\t:invoke\t:cas\t[7 [true -2]]\n1\t:ok\t:cas\t[7 [true -2]]\n2\t:invoke\t:read\t[\"a b\" nil]\n2\t:info\t:read\t[\"a b\" nil]\t:timeout\n"
	const object = `{"index": 0, "time": 500, "process": "nemesis", "type": "info", "f": "start", "value": null}
{"index": 1, "time": 700, "process": 0, "type": "invoke", "f": "write", "value": [":color", ":red"]}
{"index": 2, "time": 690, "process": 1, "type": "invoke", "f": "read", "value": [":color", ":blue"]}
{"index": 3, "time": 900, "process": 0, "type": "ok", "f": "write", "value": [":color", ":red"]}
{"index": 4, "time": 910, "process": 1, "type": "ok", "f": "read", "value": [":color", ":red"]}
{"index": 5, "time": 920, "process": 1, "type": ":invoke", "f": ":cas", "value": [7, [true, -2]]}
{"index": 6, "time": 930, "process": 1, "type": ":ok", "f": ":cas", "value": [7, [true, -2]]}
{"index": 7, "time": 940, "process": 2, "type": "invoke", "f": "read", "value": ["a b", null]}
{"index": 8, "time": 950, "process": 2, "type": "info", "f": "read", "value": ["a b", null], "error": {"of": ["time"]}}
`
	var want []linearizability.Operation
	for _, test := range []struct{ format, text string }{
		{EDN.Name, edn}, {EDN.Name, "[" + edn + "]"}, {Text.Name, text}, {JSON.Name, object}, {JSON.Name, "[" + strings.ReplaceAll(strings.TrimSpace(object), "\n", ",\n") + "]\n"},
	} {
		r, err := linearizability.ReadRecording(strings.NewReader(test.text), linearizability.ReadOptions{Formats: formats})
		if err != nil || r.Format != test.format || len(r.Operations) != 4 {
			t.Fatalf("%s: read %+v, %v\n%s", test.format, r, err, test.text)
		}
		if back := test.format != Text.Name; back && (len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "times that lie before an earlier one: 1,")) || !back && len(r.Warnings) != 0 {
			t.Errorf("%s: warnings %q", test.format, r.Warnings)
		}
		if test.format == Text.Name {
			for i := range r.Operations {
				r.Operations[i].CallTime, r.Operations[i].ReturnTime = want[i].CallTime, want[i].ReturnTime // this format has no times
			}
		}
		if want == nil {
			want = slices.Clone(r.Operations)
			if w := want[0]; w.Key != ":color" || w.Value != ":red" || want[1].Answer.Value != ":red" || want[1].CallTime != 700 || want[2].IfValue != "true" || want[2].Value != "-2" || want[2].Key != "7" || want[3].Key != "a b" {
				t.Errorf("read %+v", want)
			}
		} else if !reflect.DeepEqual(r.Operations, want) {
			t.Errorf("%s: read %+v\nwant %+v", test.format, r.Operations, want)
		}
	}
}

// TestMutex checks histories of a lock.
func TestMutex(t *testing.T) {
	lines := func(words ...string) string {
		var b strings.Builder
		for _, w := range words {
			process, rest, _ := strings.Cut(w, " ")
			kind, f, _ := strings.Cut(rest, " ")
			fmt.Fprintf(&b, "{:process %s, :type :%s, :f :%s, :value nil}\n", process, kind, f)
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		text string
		want linearizability.Verdict
	}{
		"two hold it":             {lines("3 invoke acquire", "3 ok acquire", "4 invoke acquire", "4 ok acquire"), linearizability.Illegal},
		"one after the other":     {lines("3 invoke acquire", "3 ok acquire", "3 invoke release", "3 ok release", "4 invoke acquire", "4 ok acquire"), linearizability.Linearizable},
		"a refused one holds not": {lines("3 invoke acquire", "3 ok acquire", "4 invoke acquire", "4 fail acquire"), linearizability.Linearizable},
		"released unheld":         {lines("3 invoke release", "3 ok release"), linearizability.Illegal},
		"perhaps released":        {lines("3 invoke acquire", "3 ok acquire", "3 invoke release", "3 info release", "4 invoke acquire", "4 ok acquire"), linearizability.Linearizable},
	} {
		r, err := linearizability.ReadRecording(strings.NewReader(test.text), linearizability.ReadOptions{Formats: formats})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		result, err := linearizability.Check(r.Operations, linearizability.Options{Model: r.Model})
		if err != nil || result.Verdict != test.want {
			t.Errorf("%s: %v, %v, want %v", name, result, err, test.want)
		}
	}
}

func TestOtherSyntax(t *testing.T) {
	edn := `; a history
#jepsen.history.Op{:index 0, :time 10, :type :info, :process :nemesis, :f :start, :value #{"n1" [1 2 #inst "2015-01-01"]}}
{:type :invoke, :f :append, :value "a\"\n\u00e9\ud83d\ude00", :key "k", :process 0, :time 20, :index 1 :extra (1 \a \newline ##NaN -3/4 #"re")}
#_ {:discarded [#_ 1 2]}
{:type :ok, :f :append, :value "a\"\n\u00e9\ud83d\ude00", :key "k", :process 0, :time 30, :index 2}
{:type :invoke, :f :get, :key "k", :value nil, :process 0, :time 30}
{:type :ok, :f :get, :key "k", :value "", :process 0, :time 35}
{:type :invoke, :f :get, :key "k", :value nil, :process 0, :time 35}
{:type :ok, :f :get, :key "k", :value nil, :process 0, :time 35}`
	for _, text := range []string{edn, "[" + edn + "]", "(" + edn + "\n)"} {
		r, err := linearizability.ReadRecording(strings.NewReader(text), linearizability.ReadOptions{Formats: formats})
		if err != nil || r.Model != linearizability.Text || len(r.Operations) != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
		first := r.Operations[0]
		if first.Kind != linearizability.Append || first.Value != "a\"\né😀" || first.CallTime != 20 || first.ReturnTime != 30 {
			t.Errorf("read %+v", first)
		}
		for _, get := range r.Operations[1:] {
			if want := (linearizability.Answer{Found: true, HasValue: true}); get.Answer != want {
				t.Errorf("read %+v, want %+v: a key that was never written is empty", get.Answer, want)
			}
		}
	}
	log := "2015-06-07 08:09:10,000 INFO  jepsen.core - Everything is set up\n\tat some.Java.line\n\n" +
		"2015-06-07 08:09:10,000{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:read\tnil\r\n" +
		"2015-06-07 08:09:10,250{GMT}\tINFO\t[nemesis] jepsen.util: :nemesis\t:info\t:start\t[\"cut off\" {}]\n" +
		"2015-06-07 08:09:10,500{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:ok\t:read\t7\n"
	r, err := linearizability.ReadRecording(strings.NewReader(log), linearizability.ReadOptions{Formats: formats})
	if err != nil || r.Format != Log.Name || len(r.Operations) != 1 || r.Operations[0].ReturnTime != 500e6 || r.Operations[0].Answer.Value != "7" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFormatsAreRecognized(t *testing.T) {
	for text, want := range map[string]linearizability.Format{
		"": linearizability.JSONLines, " \n": linearizability.JSONLines, `{"event":"call","stamp":1}`: linearizability.JSONLines, "{ \"event\"": linearizability.JSONLines, "hello": linearizability.JSONLines,
		logRead: Log, "[main] INFO jepsen.util - 0": Log, ednRead: EDN, "{\n ,:process": EDN,
		"; comment": EDN, "[{:process 0": EDN, "#jepsen.history.Op{": EDN, "({": EDN,
	} {
		recognized := formats[0]
		for _, f := range formats {
			if f.Recognize([]byte(text)) {
				recognized = f
				break
			}
		}
		if recognized.Name != want.Name {
			t.Errorf("%q: %v, want %v", text, recognized.Name, want.Name)
		}
	}
}

func TestBadLogs(t *testing.T) {
	runBad(t, Log, []badInput{
		{"a log of another program", logRead + "hello\n", `line 2, column 1: neither a line of jepsen.util nor a line of another logger`},
		{"no operation", "INFO  jepsen.util\n", `line 1, column 18: no operation after jepsen.util`},
		{"no process", "INFO  jepsen.util - \n", `line 1, column 21: the process is missing`},
		{"process is not a number", "INFO  jepsen.util - \"0\" :invoke :read nil\n", `line 1, column 21: a process must be a whole number or a keyword such as :nemesis`},
		{"no type", "INFO  jepsen.util - 0\n", `line 1, column 22: the type of the event is missing`},
		{"unknown type", "INFO  jepsen.util - 0 :invoked :read nil\n", `line 1, column 23: unknown type ":invoked" (want :invoke, :ok, :fail or :info)`},
		{"type is not a keyword", "INFO  jepsen.util - 0 invoke :read nil\n", `line 1, column 23: the type of the event must be a keyword, such as :read`},
		{"no value", "INFO  jepsen.util - 0 :invoke :read\n", `line 1, column 36: the value is missing`},
		{"unknown function", "INFO  jepsen.util - 0 :invoke :enqueue 3\n",
			`line 1, column 31: unknown function ":enqueue" (want ` + workloadWords + `)`},
		{"write of nil", "INFO  jepsen.util - 0 :invoke :write nil\n", `line 1, column 38: a :write needs a string, a number, a keyword, true or false as its value`},
		{"cas of one value", "INFO  jepsen.util - 0 :invoke :cas [3]\n", `line 1, column 36: a :cas needs a vector of the expected value and the new value`},
		{"text after the operation", "INFO  jepsen.util - 0 :invoke :read nil nil\n", `line 1, column 41: text after the end of the operation`},
		{"truncated", logRead + "INFO  jepsen.util - 2 :invoke :cas [3",
			`line 2, column 38: the last line is incomplete (was the file cut off?): the file ends inside a vector that began at line 2, column 36 (was the file cut off?)`},
		{"truncated before the operation", logRead + "INFO  jeps", `line 2, column 1: the last line is incomplete (was the file cut off?): neither a line of jepsen.util nor a line of another logger`},
		{"return without call", logRead + "INFO  jepsen.util - 3 :ok :read nil\n", `line 2, column 21: completion without an invocation: process 3 has no open operation`},
		{"second return", logRead + "INFO  jepsen.util - 0 :ok :read nil\nINFO  jepsen.util - 0 :ok :read nil\n",
			`line 3, column 21: the operation that process 0 invoked at line 1 has already completed, at line 2`},
		{"second call", logRead + logRead, `line 2, column 21: process 0 invokes an operation before the one that it invoked at line 1 has returned`},
		{"return of another function", logRead + "INFO  jepsen.util - 0 :ok :write 3\n", `line 2, column 27: process 0 completes :write, but at line 1 it invoked :read`},
		{"return with another value", logWrite + "INFO  jepsen.util - 1 :ok :write 3\n", `line 2, column 34: the value differs from that of the invocation at line 1`},
		{"too long", logRead + strings.Repeat(" ", linearizability.MaxLineBytes+1) + "\n", `line 2: longer than 8388608 bytes`},
	})
}

func TestBadText(t *testing.T) {
	runBad(t, Text, []badInput{
		{"no operation", "0\t:invoke\t:read\tnil\nhello\n", `line 2, column 1: a process must be a whole number or a keyword such as :nemesis`},
		{"no value", "0\t:invoke\t:read\n", `line 1, column 16: the value is missing`},
	})
}

func TestBadJSON(t *testing.T) {
	const read = `{"process": 0, "type": "invoke", "f": "read", "value": null}` + "\n"
	runBad(t, JSON, []badInput{
		{"not an object", read + "7", `line 1, column 61: expected the object of an operation, such as {"process": 0, "type": "invoke", …}, found 7`},
		{"no JSON", read + "hello", `line 1, column 61: invalid character 'h' looking for beginning of value`},
		{"truncated", read + `{"process": 1`, `line 2, column 14: the file ends inside an operation that began at line 1, column 61 (was the file cut off?)`},
		{"truncated array", "[" + read, `line 1, column 62: the file ends inside the array of the history (was the file cut off?)`},
		{"no process", `{"type": "ok", "f": "read"}`, `line 1, column 1: :process is missing`},
		{"process is negative", `{"process": -1}`, `line 1, column 11: a process must be a whole number or a keyword such as :nemesis`},
		{"write of an object", `{"process": 0, "type": "invoke", "f": "write", "value": {}}`, `line 1, column 55: a :write needs a string, a number, a keyword, true or false as its value`},
		{"too deep", `{"value": ` + strings.Repeat("[", 100), `line 1, column 75: nested more than 64 levels deep`},
		{"text after the array", "[] {}", `line 1, column 3: text after the end of the history`},
		{"too long", `{"error": "` + strings.Repeat("x", linearizability.MaxLineBytes+1<<20), `line 1, column 9: an element of more than 8388608 bytes`},
	})
}

func TestBadEDN(t *testing.T) {
	deep := strings.Repeat("[", 100)
	runBad(t, EDN, []badInput{
		{"not a map", ednRead + "hello", `line 2, column 1: expected the map of an operation, such as {:process 0, :type :invoke, …}, found 'h'`},
		{"truncated", ednRead + "{:process 0, :type :ok", `line 2, column 23: the file ends inside an operation that began at line 2, column 1 (was the file cut off?)`},
		{"truncated in a string", ednRead + "\n{:process 0, :f \"x", `line 3, column 19: the file ends inside a string that began at line 3, column 17 (was the file cut off?)`},
		{"truncated in a vector", "[" + ednRead, `line 2, column 1: the file ends inside the history that began at line 1, column 1 (was the file cut off?)`},
		{"truncated before a value", "{:process", `line 1, column 10: the file ends inside an operation that began at line 1, column 1 (was the file cut off?)`},
		{"key without a value", "{:process}", `line 1, column 10: malformed EDN: unmatched '}'`},
		{"wrong closing bracket", "{:process 0 :value [3)}", `line 1, column 22: malformed EDN: unmatched ')'`},
		{"too deep", "{:value " + deep, `line 1, column 73: malformed EDN: nested more than 64 levels deep`},
		{"invalid escape", `{:value "a\q"}`, `line 1, column 11: malformed EDN: invalid escape \q in a string`},
		{"invalid code point", `{:value "\u12g4"}`, `line 1, column 10: malformed EDN: \u needs four hexadecimal digits`},
		{"tag without an element", "{:value # 3}", `line 1, column 9: malformed EDN: # without a tag`},
		{"tagged value", "{:process 0 :type :invoke :f :write :value #inst \"2015\"}", `line 1, column 44: a :write needs a string, a number, a keyword, true or false as its value`},
		{"duplicate key", "{:process 0 :process 1}", `line 1, column 13: duplicate key :process`},
		{"no process", "{:type :invoke :f :read :value nil}", `line 1, column 1: :process is missing`},
		{"no type", "{:process 0 :f :read :value nil}", `line 1, column 1: :type is missing`},
		{"invalid process", "{:process -1 :type :ok :f :read}", `line 1, column 11: a process must be a whole number or a keyword such as :nemesis`},
		{"unknown type", "{:process 0 :type :invoked :f :read}", `line 1, column 19: unknown type ":invoked" (want :invoke, :ok, :fail or :info)`},
		{"two workloads", ednRead + strings.Replace(ednGet, "0", "1", 1), `line 2, column 32: :get does not belong to the workload of the earlier operations (` + workloadWords + `)`},
		{"on another line", "{:process 0, :type :invoke,\n :f :enqueue, :value 1}",
			`line 2, column 5: unknown function ":enqueue" (want ` + workloadWords + `)`},
		{"return without call", "{:process 3, :type :ok, :f :read, :value nil}", `line 1, column 11: completion without an invocation: process 3 has no open operation`},
		{"second return", ednRead + strings.Repeat("{:process 0, :type :ok, :f :read, :value nil}\n", 2),
			`line 3, column 11: the operation that process 0 invoked at line 1 has already completed, at line 2`},
		{"second call", ednRead + ednRead, `line 2, column 11: process 0 invokes an operation before the one that it invoked at line 1 has returned`},
		{"another key", ednGet + `{:process 0, :type :ok, :f :get, :key "j", :value ""}`, `line 2, column 39: the key is "j", but the operation was invoked with "k" at line 1`},
		{"read without a value", ednGet + `{:process 0, :type :ok, :f :get, :key "k"}`, `line 2: the :ok of a :get needs the value that was read, or nil`},
		{"index runs backwards", "{:index 1 :process :nemesis}{:index 1}", `line 1, column 37: :index 1 is not greater than the previous :index, 1`},
		{"text after the vector", "[] {}", `line 1, column 4: text after the end of the history`},
	})
}

type badInput struct{ name, text, want string }

func runBad(t *testing.T, format linearizability.Format, tests []badInput) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := linearizability.ReadRecording(strings.NewReader(test.text), linearizability.ReadOptions{Formats: []linearizability.Format{format}})
			var at *linearizability.FormatError
			if !errors.As(err, &at) {
				t.Fatalf("error %v, want a FormatError", err)
			}
			if err.Error() != test.want {
				t.Errorf("\n%v\nwant\n%v", err, test.want)
			}
		})
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte(logRead + "INFO  jepsen.util - 0 :ok :read 3\n" + logWrite + "INFO  jepsen.util - 1 :info :write :timed-out\n"))
	f.Add([]byte("2015-06-07 08:09:10,001 INFO  jepsen.util - 2 :invoke :cas [3 1]\nINFO  jepsen.util - 2 :fail :cas [3 1]\n"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzRead(t, Log, text) })
}

func FuzzReadEDN(f *testing.F) {
	f.Add([]byte(ednRead + "{:process 0 :type :ok :f :read :value 3}"))
	f.Add([]byte("[" + ednGet + "#x{:process 0 :type :ok :f :get :key \"k\" :value \"\\u00e9\"}#_ 3 ;\n]"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzRead(t, EDN, text) })
}

func FuzzReadText(f *testing.F) {
	f.Add([]byte("0\t:invoke\t:read\tnil\n0\t:ok\t:read\t:red\n:nemesis\t:info\t:stop\tnil\n1\t:invoke\t:acquire\tnil\n"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzRead(t, Text, text) })
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`[{"process":0,"type":"invoke","f":"cas","value":["k",[1,true]]},` + "\n" + `{"process":0,"type":"fail","f":":cas","value":["k",[1,true]],"error":null}]`))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzRead(t, JSON, text) })
}

// fuzzRead checks that the result is a valid history, which can be written and read
// again, or a FormatError with a line; and that memory is bounded by the text.
func fuzzRead(t *testing.T, format linearizability.Format, text []byte) {
	told := 0
	r, err := linearizability.ReadRecording(bytes.NewReader(text), linearizability.ReadOptions{Formats: []linearizability.Format{format}, Size: 1 << 40, Progress: func(n int) { told += n }})
	if told > len(text) {
		t.Fatalf("progress reported %d bytes of %d", told, len(text))
	}
	if err != nil {
		var at *linearizability.FormatError
		if !errors.As(err, &at) || at.Line < 1 || at.Line > 1+bytes.Count(text, []byte("\n")) {
			t.Fatalf("%v", err)
		}
		return
	}
	if len(r.Operations) > len(text)/linearizability.LeastOperationBytes {
		t.Fatalf("%d operations in %d bytes", len(r.Operations), len(text))
	}
	again, err := linearizability.Read(strings.NewReader(written(t, r.Operations))) // validates, too
	if err != nil || fmt.Sprint(again) != fmt.Sprint(r.Operations) {
		t.Fatalf("%+v read again: %+v, %v", r.Operations, again, err)
	}
	if len(r.Operations) <= 8 {
		if _, err := linearizability.Check(r.Operations, linearizability.Options{Model: r.Model, StepBudget: 10_000}); err != nil {
			t.Fatal(err)
		}
	}
}
