package linearizability

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Write writes a history in the format JSONLines: its calls and returns in stamp order.
func Write(w io.Writer, history []Operation) error {
	if err := Validate(history); err != nil {
		return err
	}
	type event struct {
		stamp Stamp
		op    int32
		ret   bool
	}
	events := make([]event, 0, 2*len(history))
	for i := range history {
		events = append(events, event{history[i].Call, int32(i), false})
		if history[i].Return != 0 {
			events = append(events, event{history[i].Return, int32(i), true})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.stamp - b.stamp) })
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for _, e := range events {
		if e.ret {
			line = appendReturn(line[:0], &history[e.op])
		} else {
			line = appendCall(line[:0], &history[e.op])
		}
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("writing the history: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

func appendCall(b []byte, op *Operation) []byte {
	b = append(b, `{"event":"call","stamp":`...)
	b = strconv.AppendInt(b, int64(op.Call), 10)
	b = append(b, `,"client":`...)
	b = strconv.AppendInt(b, int64(op.Client), 10)
	b = append(b, `,"kind":"`...)
	b = append(b, op.Kind.String()...)
	b = append(b, '"')
	b = appendText(b, "key", op.Key)
	if op.Writes() {
		b = appendText(b, "value", op.Value)
	}
	b = appendNumber(b, "if_match", uint64(op.IfMatch))
	b = appendFlag(b, "if_absent", op.IfAbsent)
	if op.HasIfValue {
		b = appendText(b, "if_value", op.IfValue)
	}
	b = appendTime(b, op.CallTime)
	if op.Node != "" {
		b = appendText(b, "node", op.Node)
	}
	return append(b, '}', '\n')
}

func appendReturn(b []byte, op *Operation) []byte {
	b = append(b, `{"event":"return","stamp":`...)
	b = strconv.AppendInt(b, int64(op.Return), 10)
	b = append(b, `,"of":`...)
	b = strconv.AppendInt(b, int64(op.Call), 10)
	b = append(b, `,"outcome":"`...)
	b = append(b, op.Outcome.String()...)
	b = append(b, '"')
	a := &op.Answer
	b = appendFlag(b, "condition_failed", a.ConditionFailed)
	if op.Observes() && !a.Unreported {
		b = append(b, `,"found":`...)
		b = strconv.AppendBool(b, a.Found)
	}
	b = appendNumber(b, "version", uint64(a.Version))
	if a.HasValue {
		b = appendText(b, "value", a.Value)
	}
	b = appendNumber(b, "index", uint64(a.Index))
	b = appendTime(b, op.ReturnTime)
	return append(b, '}', '\n')
}

// appendText appends a text as JSON, or, if it is not valid UTF-8, as base64 in the field
// with the suffix _base64.
func appendText(b []byte, name, text string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	if !utf8.ValidString(text) {
		b = append(b, `_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(text))
		return append(b, '"')
	}
	quotedText, err := json.Marshal(text)
	if err != nil {
		panic(fmt.Sprintf("linearizability: a string has no JSON: %v", err))
	}
	b = append(b, '"', ':')
	return append(b, quotedText...)
}

func appendNumber(b []byte, name string, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendUint(b, n, 10)
}

func appendFlag(b []byte, name string, set bool) []byte {
	if !set {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, `":true`...)
}

func appendTime(b []byte, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	b = append(b, `,"time":`...)
	return strconv.AppendInt(b, int64(d), 10)
}

// JSONLines is this package's own format, which README.md documents.
var JSONLines = Format{
	Name:      "jsonl",
	About:     "JSON Lines, two for each operation; see linearizability/README.md",
	Recognize: beginsAsJSON,
	Read:      readJSONLines,
}

// beginsAsJSON reports whether the head is empty, which is an empty history, or that
// of a JSON object whose first line has "event".
func beginsAsJSON(head []byte) bool {
	text := bytes.TrimLeft(head, " \t\r\n")
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return len(text) == 0 || text[0] == '{' && bytes.Contains(first, []byte(`"event"`))
}

// readJSONLines reads a history with its annotations.
func readJSONLines(in *Source) (*Recording, error) {
	h := historyReader{Source: in, open: make(map[Stamp]int), annotations: &Annotations{}}
	if err := in.EachLine(h.line); err != nil {
		return nil, err
	}
	recording := &Recording{Operations: h.ops}
	if !h.annotations.empty() {
		recording.Annotations = h.annotations
	}
	return recording, nil
}

// A historyReader matches returns with their calls.
type historyReader struct {
	*Source
	ops         []Operation
	open        map[Stamp]int // open operations, by call stamp
	last        Stamp
	event       event // the current line
	annotations *Annotations
}

func (h *historyReader) line(number int, line []byte) error {
	if isAnnotation(line) {
		return h.annotate(number, line)
	}
	e := &h.event
	column, err := parseEvent(line, e, h.pool)
	if err == nil {
		column, err = e.check()
	}
	if err == nil && e.stamp <= h.last {
		column, err = e.column(fieldStamp), fmt.Errorf("stamp %d is not greater than the previous stamp, %d", e.stamp, h.last)
	}
	if err == nil {
		h.last = e.stamp
		if e.isCall {
			err = h.call(e)
		} else {
			column, err = h.returned(e)
		}
	}
	if err != nil {
		return &FormatError{number, column, err}
	}
	return nil
}

func (h *historyReader) call(e *event) error {
	op := Operation{
		Client: e.client, Key: e.key, Kind: e.kind, Value: e.value,
		IfMatch: Version(e.ifMatch), IfAbsent: e.ifAbsent,
		HasIfValue: e.has(fieldIfValue) || e.has(fieldIfValueBase64), IfValue: e.ifValue,
		Call: e.stamp, CallTime: e.time, Node: e.node,
	}
	if err := op.validateCall(); err != nil {
		return err
	}
	h.open[op.Call] = len(h.ops)
	h.ops = append(h.Grow(h.ops), op)
	return nil
}

func (h *historyReader) returned(e *event) (column int, err error) {
	at, open := h.open[e.of]
	if !open {
		return e.column(fieldOf), h.notOpen(e.of)
	}
	op := &h.ops[at]
	op.Return, op.ReturnTime, op.Outcome = e.stamp, e.time, e.outcome
	op.Answer = Answer{
		Found: e.found, ConditionFailed: e.conditionFailed, Unreported: e.conditionFailed && !e.has(fieldFound), Version: Version(e.version),
		HasValue: e.has(fieldValue) || e.has(fieldValueBase64), Value: e.value, Index: Index(e.index),
	}
	if err := op.validateReturn(); err != nil {
		return 0, err
	}
	if (op.Observes() && !op.Answer.Unreported) != e.has(fieldFound) {
		if op.Observes() {
			return 0, fmt.Errorf(`"found" is missing: the answer to a %s says whether the key was found`, op.Kind)
		}
		return e.column(fieldFound), errors.New(`"found" does not belong to the return of a successful write`)
	}
	delete(h.open, e.of)
	return 0, nil
}

func (h *historyReader) notOpen(call Stamp) error {
	at, found := slices.BinarySearchFunc(h.ops, call, func(op Operation, call Stamp) int { return int(op.Call - call) })
	if !found {
		return fmt.Errorf("return without a call: no call has stamp %d", call)
	}
	return fmt.Errorf("the operation called at stamp %d has already returned, at stamp %d", call, h.ops[at].Return)
}

// check reports whether the fields present belong together.
func (e *event) check() (column int, err error) {
	allowed, required := returnFields, returnRequired
	if e.isCall {
		allowed, required = callFields, callRequired
	}
	for f := range fieldCount {
		switch {
		case e.has(f) && allowed&(1<<f) == 0:
			return e.column(f), fmt.Errorf("%q does not belong to a %s", fieldNames[f], e.eventName())
		case !e.has(f) && required&(1<<f) != 0:
			return 0, fmt.Errorf("%q is missing", fieldNames[f])
		}
	}
	text, encoded := e.has(fieldValue), e.has(fieldValueBase64)
	switch {
	case text && encoded:
		return e.column(fieldValueBase64), errors.New(`both "value" and "value_base64" are present`)
	case e.has(fieldKey) && e.has(fieldKeyBase64):
		return e.column(fieldKeyBase64), errors.New(`both "key" and "key_base64" are present`)
	case e.isCall && !e.has(fieldKey) && !e.has(fieldKeyBase64):
		return 0, errors.New(`"key" is missing`)
	case e.has(fieldIfValue) && e.has(fieldIfValueBase64):
		return e.column(fieldIfValueBase64), errors.New(`both "if_value" and "if_value_base64" are present`)
	case e.isCall && (e.kind == Put || e.kind == Append) && !text && !encoded:
		return 0, errors.New(`"value" is missing: a put and an append need one`)
	case e.isCall && e.kind != Put && e.kind != Append && (text || encoded):
		return 0, fmt.Errorf("a %s cannot have a value", e.kind)
	case e.has(fieldIfMatch) && e.ifMatch == 0:
		return e.column(fieldIfMatch), errors.New("if_match must be greater than 0: leave it out if there is no condition")
	}
	return 0, nil
}
