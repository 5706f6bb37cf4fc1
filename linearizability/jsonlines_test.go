package linearizability

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestWriteReadIsIdentity(t *testing.T) {
	for seed := range uint64(300) {
		history, _ := randomHistory(seed)
		for i := range history {
			op := &history[i]
			op.CallTime = time.Duration(op.Call) * time.Millisecond
			if op.Return != 0 {
				op.ReturnTime = time.Duration(op.Return) * time.Millisecond
			}
			op.Node = []string{"", "n1", "\xff"}[i%3]
			if i%4 == 0 {
				op.Key = "\x80key\n\"é"
			}
		}
		got, err := Read(strings.NewReader(dump(t, history)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(got, history) {
			t.Fatalf("seed %d: read\n%+v\nwrote\n%+v", seed, got, history)
		}
	}
}

func TestValuesThatAreNotUTF8(t *testing.T) {
	history := []Operation{put(1, 1, 2, "\x00\xff\xfe", 3), get(1, 3, 4, "\x00\xff\xfe", 3), put(1, 5, 6, "", 4), get(1, 7, 8, "", 4),
		put(1, 9, 10, "<\u2028>\\ \"é\x7f", 5)}
	text := dump(t, history)
	if !strings.Contains(text, `"value_base64":"AP/+"`) {
		t.Errorf("no base64 in\n%s", text)
	}
	got, err := Read(strings.NewReader(text))
	if err != nil || !reflect.DeepEqual(got, history) {
		t.Errorf("read %+v, %v", got, err)
	}
}

const (
	callLine   = `{"event":"call","stamp":1,"client":0,"kind":"get","key":"k"}` + "\n"
	returnLine = `{"event":"return","stamp":2,"of":1,"outcome":"ok","found":false}` + "\n"
	putLine    = `{"event":"call","stamp":1,"client":0,"kind":"put","key":"k","value":"v"}` + "\n"
)

func TestBadInput(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"not JSON", callLine + "hello\n", `line 2, column 1: malformed JSON: expected '{', found 'h'`},
		{"empty line", callLine + "\n" + returnLine, `line 2, column 1: malformed JSON: expected '{', but the line ends`},
		{"comma missing", `{"event":"call" "stamp":1}` + "\n", `line 1, column 17: malformed JSON: expected '}', found '"'`},
		{"text after the object", `{"event":"call"} {}` + "\n", `line 1, column 18: text after the end of the object`},
		{"truncated", callLine + returnLine[:30], `line 2, column 31: the last line is incomplete (was the file cut off?): ` +
			`malformed JSON: the line ends inside a string`},
		{"truncated in a value", callLine + returnLine[:48], `line 2, column 49: the last line is incomplete (was the file cut off?): ` +
			`"outcome": malformed JSON: the line ends inside a string`},
		{"truncated in a boolean", callLine + strings.TrimSuffix(returnLine, "e}\n"), `line 2, column 59: the last line is incomplete (was the file cut off?): ` +
			`"found": malformed JSON: expected true or false, found 'f'`},
		{"unknown field", `{"event":"call","stamp":1,"clyent":0}` + "\n", `line 1, column 27: unknown field "clyent"`},
		{"duplicate field", `{"event":"call","stamp":1,"stamp":2}` + "\n", `line 1, column 27: duplicate field "stamp"`},
		{"field names are case-sensitive", `{"Event":"call"}` + "\n", `line 1, column 2: unknown field "Event"`},
		{"unknown event", `{"event":"invoke","stamp":1}` + "\n", `line 1, column 10: "event": unknown event "invoke" (want call, return, span, band or place)`},
		{"no event", `{"stamp":1}` + "\n", `line 1, column 1: "event" is missing`},
		{"unknown kind", strings.Replace(callLine, "get", "cas", 1), `line 1, column 45: "kind": unknown kind "cas" (want get, put, delete or append)`},
		{"unknown outcome", callLine + strings.Replace(returnLine, `"ok"`, `"fail"`, 1), `line 2, column 46: "outcome": unknown outcome "fail" (want ok, refused or unknown)`},
		{"no stamp", strings.Replace(callLine, `"stamp":1,`, "", 1), `line 1: "stamp" is missing`},
		{"no key", strings.Replace(callLine, `,"key":"k"`, "", 1), `line 1: "key" is missing`},
		{"two keys", strings.Replace(callLine, `"key":"k"`, `"key":"k","key_base64":"aw=="`, 1), `line 1, column 74: both "key" and "key_base64" are present`},
		{"put without value", strings.Replace(callLine, "get", "put", 1), `line 1: "value" is missing: a put and an append need one`},
		{"get with value", strings.Replace(putLine, "put", "get", 1), `line 1: a get cannot have a value`},
		{"get with a condition", strings.Replace(callLine, "}", `,"if_absent":true}`, 1), `line 1: a get cannot have a condition`},
		{"both conditions", strings.Replace(putLine, "}", `,"if_absent":true,"if_match":3}`, 1), `line 1: if_match and if_absent exclude each other`},
		{"version 0", strings.Replace(putLine, "}", `,"if_match":0}`, 1), `line 1, column 84: if_match must be greater than 0: leave it out if there is no condition`},
		{"negative version", strings.Replace(putLine, "}", `,"if_match":-3}`, 1), `line 1, column 84: "if_match": -3 is not an unsigned 64-bit integer`},
		{"fraction", strings.Replace(callLine, `"stamp":1`, `"stamp":1.5`, 1), `line 1, column 25: "stamp": malformed JSON: expected a whole number, found '.'`},
		{"stamp as text", strings.Replace(callLine, `"stamp":1`, `"stamp":"1"`, 1), `line 1, column 25: "stamp": malformed JSON: expected a whole number, found '"'`},
		{"stamp 0", strings.Replace(callLine, `"stamp":1`, `"stamp":0`, 1), `line 1, column 25: stamp 0 is not greater than the previous stamp, 0`},
		{"stamps go backwards", callLine + strings.Replace(returnLine, `"stamp":2`, `"stamp":1`, 1),
			`line 2, column 27: stamp 1 is not greater than the previous stamp, 1`},
		{"return without call", returnLine, `line 1, column 34: return without a call: no call has stamp 1`},
		{"second return", callLine + returnLine + strings.Replace(returnLine, `"stamp":2`, `"stamp":3`, 1),
			`line 3, column 34: the operation called at stamp 1 has already returned, at stamp 2`},
		{"field of a call in a return", callLine + strings.Replace(returnLine, "}", `,"client":3}`, 1), `line 2, column 74: "client" does not belong to a return`},
		{"found is missing", callLine + strings.Replace(returnLine, `,"found":false`, "", 1),
			`line 2: "found" is missing: the answer to a get says whether the key was found`},
		{"found in the answer to a put", putLine + returnLine, `line 2, column 59: "found" does not belong to the return of a successful write`},
		{"refused with an answer", putLine + `{"event":"return","stamp":2,"of":1,"outcome":"refused","version":3}` + "\n", `line 2: an operation with outcome refused cannot have an answer`},
		{"failed condition without a condition", putLine + `{"event":"return","stamp":2,"of":1,"outcome":"ok","condition_failed":true,"found":true}` + "\n",
			`line 2: condition_failed is set, but the operation has no condition`},
		{"version of an absent key", callLine + strings.Replace(returnLine, "}", `,"version":3}`, 1), `line 2: the answer found no value, but has a version or a value`},
		{"invalid base64", strings.Replace(callLine, `"key":"k"`, `"key_base64":"!"`, 1), `line 1, column 64: "key_base64": invalid base64: illegal base64 data at input byte 0`},
		{"invalid UTF-8", strings.Replace(callLine, `"k"`, "\"\xff\"", 1),
			`line 1, column 57: "key": malformed JSON: the string is not valid UTF-8 (use the field that ends in _base64)`},
		{"control character", strings.Replace(callLine, `"k"`, "\"\x01\"", 1), `line 1, column 57: "key": malformed JSON: control character 0x1 in a string`},
		{"too long", strings.Replace(callLine, `"k"`, `"`+strings.Repeat("k", MaxLineBytes)+`"`, 1), `line 1: longer than 8388608 bytes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(test.text))
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("error %v, want a FormatError", err)
			}
			if err.Error() != test.want {
				t.Errorf("\n%v\nwant\n%v", err, test.want)
			}
		})
	}
}

func TestLastLineNeedsNoNewline(t *testing.T) {
	history, err := Read(strings.NewReader(callLine + strings.TrimSuffix(returnLine, "\n")))
	if err != nil || len(history) != 1 || history[0].Return != 2 {
		t.Errorf("%+v, %v", history, err)
	}
}

func FuzzRead(f *testing.F) {
	for seed := range uint64(4) {
		history := generate(rand.New(rand.NewPCG(seed, 7)), storeConfig{clients: 3, keys: 1, operations: 5, unknown: 20, bare: 30, indexed: true})
		var b bytes.Buffer
		if err := Write(&b, history); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		history, err := Read(bytes.NewReader(text))
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("%v is not a FormatError", err)
			}
			return
		}
		again, err := Read(strings.NewReader(dump(t, history))) // validates, too
		if err != nil || len(again) != len(history) || len(history) > 0 && !reflect.DeepEqual(again, history) {
			t.Fatalf("%+v read again: %+v, %v", history, again, err)
		}
		if len(history) <= 8 {
			if _, err := Check(history, Options{StepBudget: 10_000}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
