package linearizability

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// An event is one line of a history. The parser is written for this format, a flat object
// of strings, integers and booleans: it knows the column of every error, rejects unknown
// and duplicate fields, and is fast enough for millions of lines.
type event struct {
	isCall bool
	stamp  Stamp
	time   time.Duration

	client   int
	key      string
	kind     Kind
	ifMatch  uint64
	ifAbsent bool
	ifValue  string
	node     string

	value string // of a call or of an answer

	of              Stamp
	outcome         Outcome
	found           bool
	conditionFailed bool
	version         uint64
	index           uint64

	present uint32 // by field
	columns [fieldCount]int
}

type field uint

const (
	fieldEvent field = iota
	fieldStamp
	fieldTime
	fieldClient
	fieldKey
	fieldKeyBase64
	fieldKind
	fieldIfMatch
	fieldIfAbsent
	fieldIfValue
	fieldIfValueBase64
	fieldNode
	fieldNodeBase64
	fieldValue
	fieldValueBase64
	fieldOf
	fieldOutcome
	fieldFound
	fieldConditionFailed
	fieldVersion
	fieldIndex
	fieldCount
)

var fieldNames = [fieldCount]string{
	"event", "stamp", "time", "client", "key", "key_base64", "kind", "if_match", "if_absent",
	"if_value", "if_value_base64", "node", "node_base64", "value", "value_base64", "of", "outcome", "found", "condition_failed", "version", "index",
}

var fieldByName = func() map[string]field {
	m := make(map[string]field, fieldCount)
	for f, name := range fieldNames {
		m[name] = field(f)
	}
	return m
}()

const (
	callFields = 1<<fieldEvent | 1<<fieldStamp | 1<<fieldTime | 1<<fieldClient | 1<<fieldKey | 1<<fieldKeyBase64 |
		1<<fieldKind | 1<<fieldIfMatch | 1<<fieldIfAbsent | 1<<fieldIfValue | 1<<fieldIfValueBase64 |
		1<<fieldNode | 1<<fieldNodeBase64 | 1<<fieldValue | 1<<fieldValueBase64
	callRequired = 1<<fieldEvent | 1<<fieldStamp | 1<<fieldClient | 1<<fieldKind
	returnFields = 1<<fieldEvent | 1<<fieldStamp | 1<<fieldTime | 1<<fieldOf | 1<<fieldOutcome | 1<<fieldFound |
		1<<fieldConditionFailed | 1<<fieldVersion | 1<<fieldIndex | 1<<fieldValue | 1<<fieldValueBase64
	returnRequired = 1<<fieldEvent | 1<<fieldStamp | 1<<fieldOf | 1<<fieldOutcome
)

func (e *event) has(f field) bool   { return e.present&(1<<f) != 0 }
func (e *event) column(f field) int { return e.columns[f] }

func (e *event) eventName() string {
	if e.isCall {
		return "call"
	}
	return "return"
}

// parseEvent parses one line. An error comes with its column.
func parseEvent(line []byte, e *event, texts *pool) (column int, err error) {
	p := lineParser{line: line, pool: texts}
	*e = event{}
	if err := p.object(e); err != nil {
		return p.at + 1, err
	}
	if !e.has(fieldEvent) {
		return 1, errors.New(`"event" is missing`)
	}
	return 0, nil
}

type lineParser struct {
	line []byte
	at   int   // the position of the next byte, or of the error
	pool *pool // for texts that are kept
}

func (p *lineParser) object(e *event) error {
	if err := p.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		if p.peek() == '}' && first {
			break
		}
		if err := p.member(e); err != nil {
			return err
		}
		if p.peek() != ',' {
			break
		}
		p.at++
	}
	if err := p.expect('}'); err != nil {
		return err
	}
	if p.peek() != 0 || p.at < len(p.line) {
		return errors.New("text after the end of the object")
	}
	return nil
}

func (p *lineParser) member(e *event) error {
	p.peek()
	start := p.at
	raw, escaped, err := p.rawText()
	if err != nil {
		return err
	}
	f, known := fieldByName[string(raw)]
	if !known || escaped {
		p.at = start
		return fmt.Errorf("unknown field %s", Quote(string(raw)))
	}
	if e.has(f) {
		p.at = start
		return fmt.Errorf("duplicate field %q", fieldNames[f])
	}
	if err := p.expect(':'); err != nil {
		return err
	}
	p.peek()
	e.present |= 1 << f
	e.columns[f] = p.at + 1
	start = p.at
	if err := p.value(e, f); err != nil {
		if p.at < len(p.line) { // otherwise the error is at the end of the line
			p.at = start
		}
		return fmt.Errorf("%q: %w", fieldNames[f], err)
	}
	return nil
}

func (p *lineParser) value(e *event, f field) (err error) {
	switch f {
	case fieldStamp, fieldOf, fieldTime, fieldClient:
		var n int64
		n, err = p.integer()
		switch f {
		case fieldStamp:
			e.stamp = Stamp(n)
		case fieldOf:
			e.of = Stamp(n)
		case fieldTime:
			e.time = time.Duration(n)
		case fieldClient:
			e.client = int(n)
		}
	case fieldIfMatch:
		e.ifMatch, err = p.natural()
	case fieldVersion:
		e.version, err = p.natural()
	case fieldIndex:
		e.index, err = p.natural()
	case fieldIfAbsent:
		e.ifAbsent, err = p.truth()
	case fieldFound:
		e.found, err = p.truth()
	case fieldConditionFailed:
		e.conditionFailed, err = p.truth()
	default:
		err = p.textField(e, f)
	}
	return err
}

func (p *lineParser) textField(e *event, f field) error {
	text, err := p.text()
	if err != nil {
		return err
	}
	switch f {
	case fieldKeyBase64, fieldNodeBase64, fieldValueBase64, fieldIfValueBase64:
		if text, err = base64.StdEncoding.AppendDecode(nil, text); err != nil {
			return fmt.Errorf("invalid base64: %w", err)
		}
	}
	switch f {
	case fieldEvent:
		e.isCall = string(text) == "call"
		if !e.isCall && string(text) != "return" {
			return fmt.Errorf("unknown event %s (want call, return, span, band or place)", Quote(string(text)))
		}
	case fieldKind:
		e.kind, err = parseKind(text)
	case fieldOutcome:
		e.outcome, err = parseOutcome(text)
	case fieldKey, fieldKeyBase64:
		e.key = p.pool.name(text)
	case fieldNode, fieldNodeBase64:
		e.node = p.pool.name(text)
	case fieldIfValue, fieldIfValueBase64:
		e.ifValue = p.pool.value(text)
	case fieldValue, fieldValueBase64:
		e.value = p.pool.value(text)
	}
	return err
}

func parseKind(s []byte) (Kind, error) {
	for k := Get; k <= Append; k++ {
		if string(s) == kindNames[k] {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind %s (want get, put, delete or append)", Quote(string(s)))
}

func parseOutcome(s []byte) (Outcome, error) {
	for o := Unknown; o <= Refused; o++ {
		if string(s) == outcomeNames[o] {
			return o, nil
		}
	}
	return 0, fmt.Errorf("unknown outcome %s (want ok, refused or unknown)", Quote(string(s)))
}

// peek skips white space and returns the next byte, or 0 at the end.
func (p *lineParser) peek() byte {
	for p.at < len(p.line) {
		switch p.line[p.at] {
		case ' ', '\t', '\r':
			p.at++
		default:
			return p.line[p.at]
		}
	}
	return 0
}

func (p *lineParser) expect(c byte) error {
	if p.peek() != c || p.at >= len(p.line) {
		return fmt.Errorf("malformed JSON: expected %q, %s", c, p.here())
	}
	p.at++
	return nil
}

// here describes what was found instead of what was expected.
func (p *lineParser) here() string {
	if p.at >= len(p.line) {
		return "but the line ends"
	}
	return fmt.Sprintf("found %q", p.line[p.at])
}

// text returns a string, which is valid until the next call.
func (p *lineParser) text() ([]byte, error) {
	raw, escaped, err := p.rawText()
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(raw) {
		return nil, errors.New("malformed JSON: the string is not valid UTF-8 (use the field that ends in _base64)")
	}
	if !escaped {
		return raw, nil
	}
	var s string
	if err := json.Unmarshal(p.line[p.at-len(raw)-2:p.at], &s); err != nil {
		return nil, fmt.Errorf("malformed JSON: %w", err)
	}
	return []byte(s), nil
}

// rawText returns the text between the quotation marks, before unescaping.
func (p *lineParser) rawText() (raw []byte, escaped bool, err error) {
	if p.peek() != '"' || p.at >= len(p.line) {
		return nil, false, fmt.Errorf("malformed JSON: expected a string, %s", p.here())
	}
	start := p.at + 1
	for i := start; i < len(p.line); i++ {
		switch c := p.line[i]; {
		case c == '\\':
			escaped = true
			i++
		case c == '"':
			p.at = i + 1
			return p.line[start:i], escaped, nil
		case c < ' ':
			p.at = i
			return nil, false, fmt.Errorf("malformed JSON: control character %#x in a string", c)
		}
	}
	p.at = len(p.line)
	return nil, false, errors.New("malformed JSON: the line ends inside a string")
}

func (p *lineParser) number() (string, error) {
	start := p.at
	for p.at < len(p.line) {
		c := p.line[p.at]
		if c != '-' && (c < '0' || c > '9') {
			break
		}
		p.at++
	}
	n := string(p.line[start:p.at])
	if n == "" || p.at < len(p.line) && (p.line[p.at] == '.' || p.line[p.at]|0x20 == 'e') {
		return "", fmt.Errorf("malformed JSON: expected a whole number, %s", p.here())
	}
	return n, nil
}

func (p *lineParser) integer() (int64, error) {
	s, err := p.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s does not fit into a signed 64-bit integer", s)
	}
	return n, nil
}

func (p *lineParser) natural() (uint64, error) {
	s, err := p.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not an unsigned 64-bit integer", s)
	}
	return n, nil
}

func (p *lineParser) truth() (bool, error) {
	rest := p.line[p.at:]
	for _, word := range []string{"true", "false"} {
		if len(rest) >= len(word) && string(rest[:len(word)]) == word {
			p.at += len(word)
			return word == "true", nil
		}
	}
	return false, fmt.Errorf("malformed JSON: expected true or false, %s", p.here())
}
