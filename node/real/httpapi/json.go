package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"dkv/node"
	"dkv/node/door"
)

// The calls /put, /get and /delete speak JSON. Keys, and the values of /put, are
// text; arbitrary bytes go through /v1/kv/.

type putAnswer struct {
	Status  string       `json:"status"`
	Key     string       `json:"key"`
	Version door.Version `json:"version"`
}

type getAnswer struct {
	Key         string       `json:"key"`
	Value       *string      `json:"value,omitempty"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Version     door.Version `json:"version"`
}

type keyAnswer struct {
	Status string `json:"status"`
	Key    string `json:"key"`
}

const (
	statusSuccess = "Success"
	statusFailed  = "Failed"
)

func (a *API) servePut(w http.ResponseWriter, r *http.Request) {
	q, release, err := a.readPut(w, r)
	if err != nil {
		a.reject(w, err)
		return
	}
	p := a.do(q, release)
	if unanswered(w, p) {
		return
	}
	setIndex(w, p)
	answerJSON(w, http.StatusOK, putAnswer{statusSuccess, string(q.Key), p.Version})
}

func (a *API) serveGet(w http.ResponseWriter, r *http.Request) {
	key, p, ok := a.doByQuery(w, r, door.RequestGet)
	if !ok {
		return
	}
	if !p.Found {
		answerJSON(w, http.StatusNotFound, keyAnswer{statusFailed, key})
		return
	}
	answer := getAnswer{Key: key, Version: p.Version}
	if utf8.Valid(p.Value) {
		text := string(p.Value)
		answer.Value = &text
	} else {
		answer.ValueBase64 = p.Value
	}
	answerJSON(w, http.StatusOK, answer)
}

func (a *API) serveDelete(w http.ResponseWriter, r *http.Request) {
	key, p, ok := a.doByQuery(w, r, door.RequestDelete)
	if !ok {
		return
	}
	if !p.Found {
		answerJSON(w, http.StatusNotFound, keyAnswer{statusFailed, key})
		return
	}
	answerJSON(w, http.StatusOK, keyAnswer{statusSuccess, key})
}

// doByQuery executes a request whose key is in the query. It returns false if it
// has already answered the call.
func (a *API) doByQuery(w http.ResponseWriter, r *http.Request, kind door.RequestKind) (key string, p door.Response, ok bool) {
	key, err := queryKey(r)
	if err == nil {
		err = checkJSONCall(r)
	}
	q := door.Request{Kind: kind, Key: []byte(key)}
	if err == nil {
		q.Timeout, err = timeoutOf(r)
	}
	if err != nil {
		a.reject(w, err)
		return "", door.Response{}, false
	}
	p = a.do(q, nothing)
	if unanswered(w, p) {
		return "", door.Response{}, false
	}
	setIndex(w, p)
	return key, p, true
}

// checkJSONCall refuses conditions, which must not be ignored.
func checkJSONCall(r *http.Request) error {
	if r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "" {
		return badInput(http.StatusBadRequest, "conditions are only supported under "+kvPrefix)
	}
	return checkHeaders(r)
}

func queryKey(r *http.Request) (string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", badInput(http.StatusBadRequest, "invalid query: %v", err)
	}
	keys := query["key"]
	if len(keys) > 1 {
		return "", badInput(http.StatusBadRequest, "the query has %d keys; want one", len(keys))
	}
	key := query.Get("key")
	if err := checkKey([]byte(key)); err != nil {
		return "", err
	}
	if !utf8.ValidString(key) {
		return "", badInput(http.StatusBadRequest, "the key is not valid UTF-8; use "+kvPrefix+" for arbitrary bytes")
	}
	return key, nil
}

func (a *API) readPut(w http.ResponseWriter, r *http.Request) (q door.Request, release func(), err error) {
	q.Kind = door.RequestPut
	if err := checkJSONCall(r); err != nil {
		return q, nil, err
	}
	if err := checkJSONType(r); err != nil {
		return q, nil, err
	}
	if q.Timeout, err = timeoutOf(r); err != nil {
		return q, nil, err
	}
	body, release, err := a.readBody(w, r, maxJSONBytes)
	if err != nil {
		return q, nil, err
	}
	key, value, err := decodePut(body)
	q.Key, q.Value = []byte(key), []byte(value)
	if err == nil {
		err = checkKey(q.Key)
	}
	if err == nil && len(value) > node.MaxValueBytes {
		err = badInput(http.StatusRequestEntityTooLarge, "the value has %d bytes; the limit is %d", len(value), node.MaxValueBytes)
	}
	if err != nil {
		release()
		return q, nil, err
	}
	return q, release, nil
}

func checkJSONType(r *http.Request) error {
	text := r.Header.Get("Content-Type")
	if text == "" {
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(text)
	charset, given := parameters["charset"]
	if err != nil || kind != "application/json" || given && !isUTF8(charset) {
		return badInput(http.StatusUnsupportedMediaType, "Content-Type %q is not supported: send application/json", text)
	}
	return nil
}

func isUTF8(charset string) bool {
	return len(charset) == 5 && bytes.EqualFold([]byte(charset), []byte("utf-8"))
}

// decodePut reads {"key": K, "value": V}. Unlike encoding/json it refuses repeated
// names, other spellings of them, and text that would be stored differently from
// what was sent.
func decodePut(body []byte) (key, value string, err error) {
	if !utf8.Valid(body) || hasLoneSurrogate(body) {
		return "", "", badInput(http.StatusBadRequest, "the body is not valid UTF-8 text; use %s for arbitrary bytes", kvPrefix)
	}
	fields := map[string]json.RawMessage{}
	if err := decodeObject(body, fields); err != nil {
		return "", "", badInput(http.StatusBadRequest, `the body is not a JSON object such as {"key":"a","value":"b"}: %v`, err)
	}
	if key, err = stringField(fields, "key"); err != nil {
		return "", "", err
	}
	value, err = stringField(fields, "value")
	return key, value, err
}

func stringField(fields map[string]json.RawMessage, name string) (string, error) {
	raw, ok := fields[name]
	if !ok {
		return "", badInput(http.StatusBadRequest, "%q is missing", name)
	}
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return "", badInput(http.StatusBadRequest, "%q must be a string", name)
	}
	return *text, nil
}

// decodeObject reads the members of one JSON object, after which nothing may
// follow.
func decodeObject(body []byte, fields map[string]json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return errOr(err, "it does not begin with {")
	}
	for d.More() {
		token, err := d.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return errOr(err, "a member has no name")
		}
		if _, repeated := fields[name]; repeated {
			return fmt.Errorf("%q appears twice", name)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		fields[name] = raw
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more text follows the object")
	}
	return nil
}

func errOr(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

// hasLoneSurrogate finds an escape from \ud800 to \udfff that is not part of a
// pair. encoding/json would silently replace it.
func hasLoneSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		high, ok := surrogate(body[i:])
		if !ok {
			i++ // skip the escaped character, which may be a backslash
			continue
		}
		low, ok := surrogate(body[min(i+6, len(body)):])
		if high >= 0xdc00 || !ok || low < 0xdc00 {
			return true
		}
		i += 11
	}
	return false
}

// surrogate reads an escape such as \ud83d at the beginning of text.
func surrogate(text []byte) (unit uint16, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		digit := bytes.IndexByte([]byte("0123456789abcdef"), c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		unit = unit<<4 | uint16(digit)
	}
	return unit, unit >= 0xd800 && unit <= 0xdfff
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeJSON(w, v)
}
