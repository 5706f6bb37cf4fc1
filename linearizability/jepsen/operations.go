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

// A CASFail says what a :cas means that completes with :fail and without a reason.
type CASFail uint8

const (
	// CASFailAsUsual: in a Log the :cas met another value, as in the logs that are
	// known; elsewhere it was not applied.
	CASFailAsUsual CASFail = iota
	// CASFailNotApplied: it had no effect, for whatever reason. This is all that
	// Jepsen and Knossos say.
	CASFailNotApplied
	// CASFailMet: it met another value than the expected one, so that it also tells
	// what the register was not.
	CASFailMet
)

// The formats, with CASFailAsUsual.
var (
	// Log is the log of a Jepsen test: the lines of jepsen.util, such as
	// "INFO  jepsen.util - 0 :invoke :cas [3 1]". Lines of other loggers and of the
	// nemesis are ignored.
	Log = logFormat(CASFailAsUsual)

	// Text is the history.txt of a Jepsen test: process, type, function and value,
	// separated by tabs, such as "0	:invoke	:cas	[3 1]".
	Text = textFormat(CASFailAsUsual)

	// EDN is a Jepsen history: a map for each invocation and completion, such as
	// {:process 0, :type :invoke, :f :append, :key "k", :value "v"}.
	EDN = ednFormat(CASFailAsUsual)

	// JSON holds the same maps as JSON: one object after another, or one array.
	JSON = jsonFormat(CASFailAsUsual)
)

// Formats returns all formats of this package, with the given meaning of a failed
// :cas.
func Formats(fail CASFail) []linearizability.Format {
	return []linearizability.Format{logFormat(fail), textFormat(fail), ednFormat(fail), jsonFormat(fail)}
}

func logFormat(fail CASFail) linearizability.Format {
	return linearizability.Format{
		Name:      "jepsen-log",
		About:     `the log of a Jepsen test: "INFO  jepsen.util - 0 :invoke :read nil"`,
		Recognize: beginsAsLog,
		Read: func(in *linearizability.Source) (*linearizability.Recording, error) {
			return readLog(in, false, fail != CASFailNotApplied)
		},
	}
}

func textFormat(fail CASFail) linearizability.Format {
	return linearizability.Format{
		Name:      "jepsen-txt",
		About:     `history.txt of a Jepsen test: "0 :invoke :read nil", with tabs`,
		Recognize: beginsAsText,
		Read: func(in *linearizability.Source) (*linearizability.Recording, error) {
			return readLog(in, true, fail == CASFailMet)
		},
	}
}

func ednFormat(fail CASFail) linearizability.Format {
	return linearizability.Format{
		Name:      "jepsen-edn",
		About:     "a Jepsen history: {:process 0, :type :invoke, :f :append, …}",
		Recognize: beginsAsEDN,
		Read: func(in *linearizability.Source) (*linearizability.Recording, error) {
			return readEDN(in, fail == CASFailMet)
		},
	}
}

func jsonFormat(fail CASFail) linearizability.Format {
	return linearizability.Format{
		Name:      "jepsen-json",
		About:     `the same maps as JSON: {"process": 0, "type": "invoke", …}`,
		Recognize: beginsAsJSON,
		Read: func(in *linearizability.Source) (*linearizability.Recording, error) {
			return readJSON(in, fail == CASFailMet)
		},
	}
}

const ednSpace = " \t\r\n,"

func beginsAsLog(head []byte) bool {
	text := bytes.TrimLeft(head, ednSpace)
	return len(text) > 0 && text[0] != '{' && bytes.Contains(head, []byte(logger))
}

func beginsAsEDN(head []byte) bool {
	text := bytes.TrimLeft(head, ednSpace)
	switch {
	case len(text) == 0 || beginsAsLog(head) || beginsAsJSON(head):
		return false
	case text[0] == '{':
		inner := bytes.TrimLeft(text[1:], ednSpace)
		return len(inner) > 0 && bytes.IndexByte([]byte(":#;"), inner[0]) >= 0
	}
	return bytes.IndexByte([]byte("[(#;"), text[0]) >= 0
}

// beginsAsText reports whether the first line that is not blank begins with a
// process and a type.
func beginsAsText(head []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	words := bytes.Fields(line)
	if len(words) < 2 || words[0][0] != ':' && (words[0][0] < '0' || words[0][0] > '9') {
		return false
	}
	return slices.Contains([]string{":invoke", ":ok", ":fail", ":info"}, string(words[1]))
}

// beginsAsJSON reports whether the head is that of a JSON object, alone or in an
// array, with a process in its first line.
func beginsAsJSON(head []byte) bool {
	text := bytes.TrimLeft(head, " \t\r\n")
	if len(text) > 0 && text[0] == '[' {
		text = bytes.TrimLeft(text[1:], " \t\r\n")
	}
	if len(text) == 0 || text[0] != '{' {
		return false
	}
	first, _, _ := bytes.Cut(text, []byte("}"))
	return bytes.Contains(first, []byte(`"process"`)) && !bytes.Contains(first, []byte(`"event"`))
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
	ops       []linearizability.Operation
	processes map[int]*process
	stamp     linearizability.Stamp
	workload  *workload     // of the operations so far; nil: none came yet
	met       bool          // a :cas that failed without a reason met another value
	inferred  []int         // the operations of which that was inferred
	time      time.Duration // greatest so far
	behind    int           // times that were before an earlier one
}

func newReader(in *linearizability.Source, met bool) reader {
	return reader{Source: in, processes: make(map[int]*process), met: met}
}

// recording returns what was read.
func (j *reader) recording() *linearizability.Recording {
	r := &linearizability.Recording{Operations: j.ops, Inferred: j.inferred}
	if j.workload != nil {
		r.Model = j.workload.model
	}
	if j.behind > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("times that lie before an earlier one: %d, each raised to that; the order of the events is that of the text", j.behind))
	}
	return r
}

// clamp returns the time, or the greatest so far if that is later: workers take
// the time before they write the event down.
func (j *reader) clamp(t time.Duration) time.Duration {
	if t < j.time {
		j.behind++
	}
	j.time = max(j.time, t)
	return j.time
}

// A workload is a set of functions that occur together.
type workload struct {
	functions []string
	model     linearizability.Model
}

var workloads = []workload{
	{[]string{"read", "write", "cas"}, linearizability.Register},
	{[]string{"get", "put", "append"}, linearizability.Text},
	{[]string{"acquire", "release"}, linearizability.Register},
}

// heldLock is the value of a register that stands for a mutex and is held.
const heldLock = "held"

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
		text, _ := key.value()
		op.Key = j.Name([]byte(text))
		value = inner
	}
	if err := j.learnWorkload(e.f); err != nil {
		return e.at.f, err
	}
	if err := fillRequest(&op, e.f, value); err != nil {
		return e.at.value, err
	}
	*p = process{op: len(j.ops), f: e.f, value: *value, open: true, called: e.line}
	j.ops = append(j.Grow(j.ops), op)
	return position{}, nil
}

// learnWorkload checks the function of an invocation. The first one decides the
// workload.
func (j *reader) learnWorkload(f string) error {
	i := slices.IndexFunc(workloads, func(w workload) bool { return slices.Contains(w.functions, f) })
	switch {
	case i < 0:
		return fmt.Errorf("unknown function %s (want %s)", linearizability.Quote(":"+f), workloadWords)
	case j.workload != nil && j.workload != &workloads[i]:
		return fmt.Errorf(":%s does not belong to the workload of the earlier operations (%s)", f, workloadWords)
	}
	j.workload = &workloads[i]
	return nil
}

const workloadWords = ":read, :write or :cas for a register, :get, :put or :append for a key-value store, :acquire or :release for a mutex"

// fillRequest fills in what an invocation asks for.
func fillRequest(op *linearizability.Operation, f string, value *ednElement) error {
	switch f {
	case "read", "get":
		op.Kind = linearizability.Get // some tests write the answer into the invocation; it asks for nothing
		return nil
	case "acquire":
		op.Kind, op.IfAbsent, op.Value = linearizability.Put, true, heldLock
		return nil
	case "release":
		op.Kind, op.HasIfValue, op.IfValue = linearizability.Delete, true, heldLock
		return nil
	case "cas":
		op.Kind = linearizability.Put
		if value.kind != ednVector || len(value.items) != 2 {
			return errors.New("a :cas needs a vector of the expected value and the new value")
		}
		if from := &value.items[0]; from.kind == ednNil {
			op.IfAbsent = true
		} else if text, ok := from.value(); ok {
			op.HasIfValue, op.IfValue = true, text
		} else {
			return errors.New("the expected value of a :cas must be a string, a number, a keyword, true, false or nil")
		}
		value = &value.items[1]
	case "append":
		op.Kind = linearizability.Append
	default:
		op.Kind = linearizability.Put
	}
	text, ok := value.value()
	if !ok {
		return fmt.Errorf("a :%s needs a string, a number, a keyword, true or false as its value", f)
	}
	op.Value = text
	return nil
}

// splitKey splits the pair of key and value with which Jepsen tests many registers at once.
// key is nil if the value is not such a pair.
func splitKey(value *ednElement, f string) (key, inner *ednElement) {
	if value.kind != ednVector || len(value.items) != 2 {
		return nil, nil
	}
	if _, ok := value.items[0].value(); !ok {
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
		if text, _ := key.value(); text != op.Key {
			return e.at.value, fmt.Errorf("the key is %s, but the operation was invoked with %s at line %d", linearizability.Quote(text), linearizability.Quote(op.Key), p.called)
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
	if e.kind == "fail" {
		if !(j.met && e.f == "cas" && !e.failure && sameValue(value, &p.value)) {
			op.Outcome = linearizability.Refused
			return position{}, nil
		}
		j.inferred = append(j.inferred, p.op)
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
	case e.f == "release":
		a.Found = true
	case op.Kind != linearizability.Get:
		if value.kind != ednNone && value.kind != ednNil && !sameValue(value, &p.value) {
			return fmt.Errorf("the value differs from that of the invocation at line %d", p.called)
		}
	case value.kind == ednNil && e.f == "read": // the register has no value
	case value.kind == ednNil:
		a.Found, a.HasValue = true, true // a key that was never written is empty
	case value.kind == ednNone:
		return fmt.Errorf("the :ok of a :%s needs the value that was read, or nil", e.f)
	default:
		text, ok := value.value()
		if !ok {
			return fmt.Errorf("the value of the :ok of a :%s must be a string, a number, a keyword, true, false or nil", e.f)
		}
		a.Found, a.HasValue, a.Value = true, true, text
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
