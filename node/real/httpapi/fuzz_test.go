package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// Whatever /put accepts, any JSON reader reads in the same way, and it is stored as
// it was sent.
func FuzzDecodePut(f *testing.F) {
	for _, seed := range []string{
		`{"key":"a","value":"b"}`, `{"key":"a","value":""}`, `{"value":"\ud83d\ude00\\ud800","key":"\u00e9"}`,
		`{"key":"a","value":"\ud83d"}`, `{"key":"a","value":"\ud83d\\de00"}`, `{"key":"a","value":"b","key":"c"}`,
		`{"key":"a","value":null}`, `{"key":"a","value":"b"}x`, `[]`, `{"key":"a","value":"b","x":{"key":1}}`, "\"\xff\"", `\`, `\u`, `\\\ud8`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		key, value, err := decodePut(body)
		if err != nil {
			return
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			t.Fatalf("%q: key %q, value %q", body, key, value)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		for name, got := range map[string]string{"key": key, "value": value} {
			var want string
			if err := json.Unmarshal(fields[name], &want); err != nil || want != got {
				t.Errorf("%q: %s %q, want %q, %v", body, name, got, want, err)
			}
			// Replacement characters come from the sender only.
			sent := bytes.Count(body, []byte("\ufffd")) + bytes.Count(bytes.ToLower(body), []byte(`\ufffd`))
			if read := bytes.Count([]byte(got), []byte("\ufffd")); read > sent {
				t.Errorf("%q: %s %q has %d replacement characters, %d were sent", body, name, got, read, sent)
			}
		}
	})
}
