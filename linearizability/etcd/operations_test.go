package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dkv/linearizability"
)

// request returns a line.
func request(client int, input string, call int, output string, ret int) string {
	return fmt.Sprintf(`{"ClientId":%d,"Input":%s,"Call":%d,"Output":%s,"Return":%d}`+"\n", client, input, call, output, ret)
}

func get(key string) string {
	return fmt.Sprintf(`{"Type":"range","Range":{"Start":%q,"End":"","Limit":0}}`, key)
}

func found(key, value string, revision int) string {
	return fmt.Sprintf(`{"Range":%s,"Revision":%d,"Error":""}`, kvs(key, value, revision), revision)
}

func kvs(key, value string, revision int) string {
	if value == "" {
		return `{"KVs":null,"Count":0}`
	}
	return fmt.Sprintf(`{"KVs":[{"Key":%q,"Value":{"Value":%q,"Hash":0},"ModRevision":%d,"Version":1}],"Count":1}`, key, value, revision)
}

func put(key, value string) string {
	return fmt.Sprintf(`{"Type":"put-operation","Put":{"Key":%q,"Value":{"Value":%q,"Hash":0},"LeaseID":0}}`, key, value)
}

func txn(conditions, success, failure string) string {
	return fmt.Sprintf(`{"Type":"txn","Txn":{"Conditions":[%s],"OperationsOnSuccess":[%s],"OperationsOnFailure":[%s]}}`, conditions, success, failure)
}

func done(failure bool, results string, revision int) string {
	return fmt.Sprintf(`{"Txn":{"Failure":%t,"Results":[%s]},"Revision":%d,"Error":""}`, failure, results, revision)
}

const (
	written = `{"KVs":null,"Count":0,"Deleted":0}`
	lost    = `{"Txn":null,"Revision":0,"Error":"connection reset"}`
	ofA     = `{"Key":"a","ExpectedRevision":2}`
	getA    = `{"Type":"range-operation","Range":{"Start":"a"}}`
)

func readText(text string) (*linearizability.Recording, error) {
	return linearizability.ReadRecording(strings.NewReader(text), linearizability.ReadOptions{
		Formats: []linearizability.Format{linearizability.JSONLines, Operations},
	})
}

func TestVerdicts(t *testing.T) {
	first := request(1, txn("", put("a", "x"), ""), 10, done(false, written, 2), 20)
	tests := []struct {
		name string
		text string
		want linearizability.Verdict
	}{
		{"a put and its read", first + request(2, get("a"), 30, found("a", "x", 2), 40), linearizability.Linearizable},
		{"a read that misses it", first + request(2, get("a"), 30, found("a", "", 2), 40), linearizability.Illegal},
		{"a read of another revision", first + request(2, get("a"), 30, found("a", "x", 3), 40), linearizability.Illegal},
		{"calls and returns at equal times are concurrent", first + request(2, get("a"), 20, found("a", "", 1), 40), linearizability.Linearizable},
		{"lines in another order", request(2, get("a"), 30, found("a", "x", 2), 40) + first, linearizability.Linearizable},
		{"a put without an answer may have taken effect", first + request(2, txn("", put("a", "y"), ""), 25, lost, 26) + request(3, get("a"), 50, found("a", "y", 3), 60), linearizability.Linearizable},
		{"or not", first + request(2, txn("", put("a", "y"), ""), 25, lost, 26) + request(3, get("a"), 50, found("a", "x", 2), 60), linearizability.Linearizable},
		{"a refused put did not", first + request(2, txn("", put("a", "y"), ""), 25, `{"ClientError":"too large"}`, 26) + request(3, get("a"), 50, found("a", "y", 3), 60), linearizability.Illegal},
		{"a condition that held", first + request(2, txn(ofA, put("a", "y"), getA), 30, done(false, written, 3), 40), linearizability.Linearizable},
		{"a condition that cannot have held", first + first[:0] + request(2, txn(`{"Key":"a","ExpectedRevision":0}`, put("a", "y"), ""), 30, done(false, written, 3), 40), linearizability.Illegal},
		{"a condition that failed without reason", first + request(2, txn(ofA, put("a", "y"), ""), 30, done(true, "", 2), 40), linearizability.Illegal},
		{"a condition that failed with what it found", first + request(2, txn(`{"Key":"a","ExpectedRevision":7}`, put("a", "y"), getA), 30, done(true, kvs("a", "z", 2), 2), 40), linearizability.Illegal},
		{"several keys at once", request(1, txn("", put("a", "x")+","+put("b", "y"), ""), 10, done(false, written+","+written, 2), 20) + request(2, get("b"), 30, found("b", "", 2), 40), linearizability.Illegal},
		{"the branch of a failed condition", request(1, txn(`{"Key":"c","ExpectedVersion":3}`, put("a", "x"), put("b", "y")), 10, done(true, written, 2), 20) + request(2, get("b"), 30, found("b", "y", 2), 40), linearizability.Linearizable},
		{"a delete that found it", first + request(2, txn("", `{"Type":"delete-operation","Delete":{"Key":"a"}}`, ""), 30, done(false, `{"Deleted":1}`, 3), 40), linearizability.Linearizable},
		{"a delete that did not", first + request(2, txn("", `{"Type":"delete-operation","Delete":{"Key":"a"}}`, ""), 30, done(false, `{"Deleted":0}`, 3), 40), linearizability.Illegal},
		{"long values", strings.Replace(first, `"Value":"x","Hash":0`, `"Value":"","Hash":255`, 1) + request(2, get("a"), 30, found("a", "#ff", 2), 40), linearizability.Linearizable},
	}
	for _, test := range tests {
		r, err := readText(test.text)
		if err != nil || r.Format != Operations.Name || len(r.Warnings) > 0 {
			t.Errorf("%s: %+v, %v", test.name, r, err)
			continue
		}
		result, err := linearizability.Check(r.Operations, linearizability.Options{})
		if err != nil || result.Verdict != test.want {
			t.Errorf("%s: %v, %v, want %v", test.name, result, err, test.want)
		}
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	leased := strings.Replace(txn("", put("a", "x"), ""), `"LeaseID":0`, `"LeaseID":9`, 1)
	r, err := readText(request(1, leased, 10, done(false, written, 2), 20) +
		request(1, `{"Type":"leaseRevoke","LeaseRevoke":{"LeaseID":9}}`, 22, `{"LeaseRevoke":{},"Revision":3}`, 23) +
		request(2, get("a"), 30, found("a", "", 3), 40) +
		request(3, `{"Type":"range","Range":{"Start":"a","End":"b"}}`, 30, found("a", "x", 2), 40) +
		request(3, `{"Type":"range","Range":{"Start":"b","Revision":2}}`, 50, found("b", "", 2), 60) +
		request(3, get("b"), 70, found("b", "", 2), 80))
	if err != nil || len(r.Operations) != 1 || r.Operations[0].Key != "b" {
		t.Fatalf("%+v, %v", r, err)
	}
	want := []string{"2 reads of several keys or of a past revision were left out", "2 operations on 1 keys that were attached to a lease were left out"}
	if fmt.Sprint(r.Warnings) != fmt.Sprint(want) {
		t.Errorf("warnings %q, want %q", r.Warnings, want)
	}
}

func TestBadInput(t *testing.T) {
	good := request(1, get("a"), 10, found("a", "", 2), 20)
	for text, want := range map[string]string{
		good + `{"ClientId":1,"Input":{}}`:                                                 "line 2: the last line is incomplete (was the file cut off?): an object needs ClientId, Input, Call, Output and Return",
		good + "{\n":                                                                       "line 2: unexpected end of JSON input",
		request(-1, get("a"), 10, found("a", "", 2), 20):                                   "line 1: the ClientId -1 is negative",
		request(1, get("a"), 30, found("a", "", 2), 20):                                    "line 1: the Return 20 is before the Call 30",
		request(1, `{"Type":"watch"}`, 10, `{}`, 20):                                       `line 1: unknown request of type "watch" (want range, txn, leaseGrant, leaseRevoke, defragment or compact, with its field)`,
		request(1, get("a"), 10, `{}`, 20):                                                 "line 1: a range was answered without Range",
		request(1, get("a"), 10, found("b", "x", 2), 20):                                   `line 1: a read of "a" was answered with another key, or with several`,
		request(1, txn("", put("a", "x"), ""), 10, `{}`, 20):                               "line 1: a txn was answered without Txn",
		request(1, txn("", put("a", "x"), ""), 10, done(false, "", 2), 20):                 "line 1: a txn of 1 operations has 0 results",
		request(1, txn("", `{"Type":"lock"}`, ""), 10, done(false, written, 2), 20):        `line 1: unknown operation of type "lock" (want range-operation, put-operation or delete-operation)`,
		request(1, txn(ofA, put("a", "x"), getA), 10, done(false, "", 3), 20):              "line 1: a txn of 1 operation has 0 results",
		request(1, txn(ofA, put("a", "x"), getA), 10, done(true, kvs("b", "x", 2), 3), 20): `line 1: a read of "a" was answered with another key, or with several`,
	} {
		_, err := linearizability.ReadRecording(strings.NewReader(text), linearizability.ReadOptions{Formats: []linearizability.Format{Operations}})
		var at *linearizability.FormatError
		if !errors.As(err, &at) || err.Error() != want {
			t.Errorf("%s\n%v\nwant\n%v", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(request(1, txn(ofA, put("a", "y"), getA), 30, done(true, kvs("a", "z", 2), 2), 40) + request(2, get("a"), 20, found("a", "", 1), 40)))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := linearizability.ReadRecording(bytes.NewReader(text), linearizability.ReadOptions{Formats: []linearizability.Format{Operations}})
		if err != nil {
			var at *linearizability.FormatError
			if !errors.As(err, &at) || at.Line < 1 || at.Line > 1+bytes.Count(text, []byte("\n")) {
				t.Fatal(err)
			}
			return
		}
		var b bytes.Buffer
		if err := linearizability.Write(&b, r.Operations); err != nil {
			t.Fatalf("%v in %+v", err, r.Operations)
		}
	})
}
