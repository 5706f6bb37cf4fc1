package jepsen

import (
	"bytes"
	"dkv/linearizability"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The meaning of a Jepsen history, in either of its two formats:
//
//   - :invoke is a call; :ok, :fail and :info are returns. Their order is the order of
//     the lines.
//   - :ok of a :read or :get has the value; nil means that there was none. :ok of a
//     write means that it took effect.
//   - :fail means that the operation did not take effect and never will: it is refused.
//     Only a :fail of a :cas that repeats the value of the operation means more: the
//     value was compared, and differed.
//   - :info means that the outcome is unknown, as does the end of the history. The
//     operation stays open, although its process may invoke another one.
//
// A number is represented by its digits, so that 3 and "3" are the same value.

// logger is the logger whose lines are operations in a Jepsen log.
const logger = "jepsen.util"

// Log is the log of a Jepsen test: the lines of jepsen.util, such as
// "INFO  jepsen.util - 0 :invoke :cas [3 1]". Lines of other loggers and of the nemesis
// are ignored.
var Log = linearizability.Format{
	Name:      "jepsen-log",
	About:     `the log of a Jepsen test: "INFO  jepsen.util - 0 :invoke :read nil"`,
	Recognize: beginsAsLog,
	Read:      readLog,
}

// EDN is a Jepsen history: a map for each invocation and completion, such as
// {:process 0, :type :invoke, :f :append, :key "k", :value "v"}.
var EDN = linearizability.Format{
	Name:      "jepsen-edn",
	About:     "a Jepsen history: {:process 0, :type :invoke, :f :append, …}",
	Recognize: beginsAsEDN,
	Read:      readEDN,
}

const ednSpace = " \t\r\n,"

func beginsAsLog(head []byte) bool {
	text := bytes.TrimLeft(head, ednSpace)
	return len(text) > 0 && text[0] != '{' && bytes.Contains(head, []byte(logger))
}

func beginsAsEDN(head []byte) bool {
	text := bytes.TrimLeft(head, ednSpace)
	switch {
	case len(text) == 0 || beginsAsLog(head):
		return false
	case text[0] == '{':
		inner := bytes.TrimLeft(text[1:], ednSpace)
		return len(inner) > 0 && bytes.IndexByte([]byte(":#;"), inner[0]) >= 0
	}
	return bytes.IndexByte([]byte("[(#;"), text[0]) >= 0
}

var knownWords = []string{"process", "type", "f", "value", "time", "index", "key", "error", "nemesis",
	"invoke", "ok", "fail", "info", "read", "write", "cas", "get", "put", "append"}

// An event is one line of a log, or one map of an EDN history.
type event struct {
	line    int
	process int
	kind    string // invoke, ok, fail or info
	f       string
	value   ednElement
	key     string
	hasKey  bool
	failure bool // the completion gives a reason for a failure
	time    time.Duration
	at      struct{ process, kind, f, value, key position }
}

// A process holds the latest operation of a Jepsen process.
type process struct {
	op       int // in ops
	f        string
	value    ednElement
	open     bool
	called   int // line
	returned int // line
}

// A reader matches completions with their invocations.
type reader struct {
	*linearizability.Source
	ops        []linearizability.Operation
	processes  map[int]*process
	stamp      linearizability.Stamp
	model      linearizability.Model
	modelKnown bool
}

func newReader(in *linearizability.Source) reader {
	return reader{Source: in, processes: make(map[int]*process)}
}

// event adds the next event to the history.
func (j *reader) event(e *event) error {
	j.stamp++
	var at position
	var err error
	switch e.kind {
	case "invoke":
		at, err = j.invoked(e)
	case "ok", "fail", "info":
		at, err = j.completed(e)
	default:
		at, err = e.at.kind, fmt.Errorf("unknown type %s (want :invoke, :ok, :fail or :info)", linearizability.Quote(":"+e.kind))
	}
	switch {
	case err == nil:
		return nil
	case at == position{}:
		return &linearizability.FormatError{Line: e.line, Err: err}
	}
	return at.fail(err)
}

func (j *reader) invoked(e *event) (at position, err error) {
	p := j.processes[e.process]
	if p == nil {
		p = &process{}
		j.processes[e.process] = p
	}
	if p.open {
		return e.at.process, fmt.Errorf("process %d invokes an operation before the one that it invoked at line %d has returned", e.process, p.called)
	}
	op := linearizability.Operation{Client: e.process, Call: j.stamp, CallTime: e.time, Key: e.key}
	value := &e.value
	if key, inner := splitKey(value, e.f); key != nil {
		op.Key = j.Name([]byte(key.text))
		value = inner
	}
	if err := j.learnModel(e.f); err != nil {
		return e.at.f, err
	}
	if err := fillRequest(&op, e.f, value); err != nil {
		return e.at.value, err
	}
	*p = process{op: len(j.ops), f: e.f, value: *value, open: true, called: e.line}
	j.ops = append(j.Grow(j.ops), op)
	return position{}, nil
}

// learnModel checks the function of an invocation. The first one decides which of the two
// workloads of Jepsen this is.
func (j *reader) learnModel(f string) error {
	var model linearizability.Model
	switch f {
	case "read", "write", "cas":
		model = linearizability.Register
	case "get", "put", "append":
		model = linearizability.Text
	default:
		return fmt.Errorf("unknown function %s (want :read, :write or :cas for a register, :get, :put or :append for a key-value store)", linearizability.Quote(":"+f))
	}
	if j.modelKnown && model != j.model {
		return fmt.Errorf(":%s does not belong to the workload of the earlier operations: a register has :read, :write and :cas, "+
			"a key-value store has :get, :put and :append", f)
	}
	j.model, j.modelKnown = model, true
	return nil
}

// fillRequest fills in what an invocation asks for.
func fillRequest(op *linearizability.Operation, f string, value *ednElement) error {
	switch f {
	case "read", "get":
		op.Kind = linearizability.Get
		if value.kind == ednNone || value.kind == ednNil {
			return nil
		}
		return errors.New("the value of an invoked read must be nil")
	case "cas":
		op.Kind = linearizability.Put
		if value.kind != ednVector || len(value.items) != 2 {
			return errors.New("a :cas needs a vector of the expected value and the new value")
		}
		if from := &value.items[0]; from.kind == ednNil {
			op.IfAbsent = true
		} else if from.kind == ednText {
			op.HasIfValue, op.IfValue = true, from.text
		} else {
			return errors.New("the expected value of a :cas must be a string, a number or nil")
		}
		value = &value.items[1]
	case "append":
		op.Kind = linearizability.Append
	default:
		op.Kind = linearizability.Put
	}
	if value.kind != ednText {
		return fmt.Errorf("a :%s needs a string or a number as its value", f)
	}
	op.Value = value.text
	return nil
}

// splitKey splits the pair of key and value with which Jepsen tests many registers at once.
// key is nil if the value is not such a pair.
func splitKey(value *ednElement, f string) (key, inner *ednElement) {
	if value.kind != ednVector || len(value.items) != 2 || value.items[0].kind != ednText {
		return nil, nil
	}
	if f == "cas" && value.items[1].kind != ednVector {
		return nil, nil // this is the pair of the :cas itself
	}
	return &value.items[0], &value.items[1]
}

func (j *reader) completed(e *event) (at position, err error) {
	p := j.processes[e.process]
	switch {
	case p == nil:
		return e.at.process, fmt.Errorf("completion without an invocation: process %d has no open operation", e.process)
	case !p.open:
		return e.at.process, fmt.Errorf("the operation that process %d invoked at line %d has already completed, at line %d", e.process, p.called, p.returned)
	case e.f != p.f:
		return e.at.f, fmt.Errorf("process %d completes :%s, but at line %d it invoked :%s", e.process, e.f, p.called, p.f)
	}
	op := &j.ops[p.op]
	value := &e.value
	if key, inner := splitKey(value, e.f); key != nil {
		if key.text != op.Key {
			return e.at.value, fmt.Errorf("the key is %s, but the operation was invoked with %s at line %d", linearizability.Quote(key.text), linearizability.Quote(op.Key), p.called)
		}
		value = inner
	}
	if e.hasKey && e.key != op.Key {
		return e.at.key, fmt.Errorf("the key is %s, but the operation was invoked with %s at line %d", linearizability.Quote(e.key), linearizability.Quote(op.Key), p.called)
	}
	p.open, p.returned = false, e.line
	if e.kind == "info" {
		return position{}, nil // the operation stays open
	}
	op.Return, op.ReturnTime = j.stamp, e.time
	if e.kind == "fail" && !(e.f == "cas" && !e.failure && sameValue(value, &p.value)) {
		op.Outcome = linearizability.Refused
		return position{}, nil
	}
	op.Outcome = linearizability.OK
	if err := fillAnswer(op, e, value, p); err != nil {
		return e.at.value, err
	}
	return position{}, op.Validate()
}

// fillAnswer fills in the answer in a completion.
func fillAnswer(op *linearizability.Operation, e *event, value *ednElement, p *process) error {
	a := &op.Answer
	switch {
	case e.kind == "fail":
		a.ConditionFailed, a.Unreported = true, true
	case op.Kind != linearizability.Get:
		if value.kind != ednNone && value.kind != ednNil && !sameValue(value, &p.value) {
			return fmt.Errorf("the value differs from that of the invocation at line %d", p.called)
		}
	case value.kind == ednNil && e.f == "read": // the register has no value
	case value.kind == ednNil:
		a.Found, a.HasValue = true, true // a key that was never written is empty
	case value.kind == ednText:
		a.Found, a.HasValue, a.Value = true, true, value.text
	case value.kind == ednNone:
		return fmt.Errorf("the :ok of a :%s needs the value that was read, or nil", e.f)
	default:
		return fmt.Errorf("the value of the :ok of a :%s must be a string, a number or nil", e.f)
	}
	return nil
}

// sameValue reports whether two elements are the same text or equal vectors.
func sameValue(a, b *ednElement) bool {
	if a.kind != b.kind || a.text != b.text {
		return false
	}
	return slices.EqualFunc(a.items, b.items, func(x, y ednElement) bool { return sameValue(&x, &y) })
}

// timeOf parses the date at the beginning of a log line, such as
// 2015-06-07 08:09:10,123, if there is one.
func timeOf(line []byte) (time.Duration, bool) {
	const layout = "2006-01-02 15:04:05.000"
	if len(line) < len(layout) {
		return 0, false
	}
	t, err := time.Parse(layout, strings.Replace(string(line[:len(layout)]), ",", ".", 1))
	if err != nil {
		return 0, false
	}
	return time.Duration(t.UnixNano()), true
}
