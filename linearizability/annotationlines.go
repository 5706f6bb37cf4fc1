package linearizability

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// WriteAnnotations writes annotations as lines, which may come before, between or
// after the lines of their history. It returns an error if a span or a band is
// invalid.
func WriteAnnotations(w io.Writer, s *Annotations) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for i := range s.Spans {
		span := &s.Spans[i]
		if _, err := span.validate(); err != nil {
			return fmt.Errorf("span %d: %w", i, err)
		}
		line = appendSpan(line[:0], span)
		_, _ = out.Write(line) // Flush returns its error
	}
	for i := range s.Bands {
		band := &s.Bands[i]
		if _, err := band.validate(); err != nil {
			return fmt.Errorf("band %d: %w", i, err)
		}
		line = appendText(append(line[:0], `{"event":"band"`...), "kind", band.Kind)
		line = appendMoments(line, band.From, band.To)
		line = appendLabel(line, band.Label)
		_, _ = out.Write(line)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Partitions)) {
		line = appendText(append(line[:0], `{"event":"place"`...), "key", key)
		line = appendText(line, "partition", s.Partitions[key])
		_, _ = out.Write(append(line, '}', '\n'))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing annotations: %w", err)
	}
	return nil
}

func appendSpan(b []byte, s *Span) []byte {
	b = appendText(append(b, `{"event":"span"`...), "lane", s.Lane)
	b = appendText(b, "state", s.State.String())
	if s.State == Primary {
		b = appendText(b, "partition", s.Partition)
		b = appendNumber(b, "epoch", s.Epoch)
	}
	b = appendMoments(b, s.From, s.To)
	return appendLabel(b, s.Label)
}

func appendMoments(b []byte, from, to time.Duration) []byte {
	b = strconv.AppendInt(append(b, `,"from":`...), int64(from), 10)
	if to != 0 {
		b = strconv.AppendInt(append(b, `,"to":`...), int64(to), 10)
	}
	return b
}

func appendLabel(b []byte, label string) []byte {
	if label != "" {
		b = appendText(b, "label", label)
	}
	return append(b, '}', '\n')
}

// An annotation is one of the lines; event says which kind.
type annotation struct {
	event   string
	span    Span
	band    Band
	key     string
	columns map[string]int // of the values present
}

func (a *annotation) has(field string) bool { return a.columns[field] != 0 }

// annotationEvents lists the events that are annotations, with their optional and their
// required fields.
var annotationEvents = map[string]struct{ may, must []string }{
	"span":  {[]string{"partition", "epoch", "to", "label"}, []string{"lane", "state", "from"}},
	"band":  {[]string{"to", "label"}, []string{"kind", "from"}},
	"place": {[]string{"key", "key_base64"}, []string{"partition"}},
}

// isAnnotation reports whether the "event" of a line is an annotation. On a usual line,
// which begins with its event, it looks at a few bytes only.
func isAnnotation(line []byte) bool {
	p := lineParser{line: line}
	if p.expect('{') != nil {
		return false
	}
	for {
		name, _, err := p.rawText()
		if err != nil || p.expect(':') != nil {
			return false
		}
		p.peek()
		if string(name) == "event" {
			event, _, err := p.rawText()
			_, is := annotationEvents[string(event)]
			return err == nil && is
		}
		if p.peek() == '"' {
			_, _, err = p.rawText()
			if err != nil {
				return false
			}
		}
		// Any other value is not a string and contains no comma.
		comma := bytes.IndexByte(p.line[p.at:], ',')
		if comma < 0 {
			return false
		}
		p.at += comma + 1
	}
}

// annotate adds an annotation to those of the history.
func (h *historyReader) annotate(number int, line []byte) error {
	a := annotation{columns: make(map[string]int, 8)}
	column, err := a.parse(line)
	if err != nil {
		return &FormatError{number, column, err}
	}
	switch a.event {
	case "span":
		a.span.Lane, a.span.Partition = h.pool.name([]byte(a.span.Lane)), h.pool.name([]byte(a.span.Partition))
		h.annotations.Spans = append(h.annotations.Spans, a.span)
	case "band":
		h.annotations.Bands = append(h.annotations.Bands, a.band)
	default:
		if h.annotations.Partitions == nil {
			h.annotations.Partitions = make(map[string]string)
		}
		h.annotations.Partitions[h.pool.name([]byte(a.key))] = h.pool.name([]byte(a.span.Partition))
	}
	return nil
}

// parse parses one line. An error comes with its column; 0 means the whole line.
func (a *annotation) parse(line []byte) (column int, err error) {
	p := lineParser{line: line}
	if err := p.expect('{'); err != nil {
		return p.at + 1, err
	}
	for {
		if err := a.member(&p); err != nil {
			return p.at + 1, err
		}
		if p.peek() != ',' {
			break
		}
		p.at++
	}
	if err := p.expect('}'); err != nil {
		return p.at + 1, err
	}
	if p.peek() != 0 || p.at < len(p.line) {
		return p.at + 1, errors.New("text after the end of the object")
	}
	return a.check()
}

func (a *annotation) member(p *lineParser) error {
	p.peek()
	start := p.at
	raw, _, err := p.rawText()
	if err != nil {
		return err
	}
	name := string(raw)
	if a.has(name) {
		p.at = start
		return fmt.Errorf("duplicate field %q", name)
	}
	if err := p.expect(':'); err != nil {
		return err
	}
	p.peek()
	value := p.at
	a.columns[name] = value + 1
	known, err := a.value(p, name)
	switch {
	case !known:
		p.at = start
		return fmt.Errorf("unknown field %s", Quote(name))
	case err != nil:
		if p.at < len(p.line) { // else the line ends here, which is where to look
			p.at = value
		}
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// value parses the value of a field. known is false if there is no such field.
func (a *annotation) value(p *lineParser, name string) (known bool, err error) {
	var text string
	var n int64
	switch name {
	case "epoch":
		a.span.Epoch, err = p.natural()
		return true, err
	case "from", "to":
		n, err = p.integer()
		if name == "from" {
			a.span.From, a.band.From = time.Duration(n), time.Duration(n)
		} else {
			a.span.To, a.band.To = time.Duration(n), time.Duration(n)
		}
		return true, err
	}
	if p.peek() == '"' {
		var raw []byte
		raw, err = p.text()
		text = string(raw)
	} else {
		err = fmt.Errorf("malformed JSON: expected a string, %s", p.here())
	}
	switch name {
	case "event":
		a.event = text
	case "lane":
		a.span.Lane = text
	case "state":
		a.span.State = SpanState(max(0, slices.Index(stateNames[:], text)))
		if err == nil && a.span.State == 0 {
			err = fmt.Errorf("unknown state %s (want up, down, paused or primary)", Quote(text))
		}
	case "partition":
		a.span.Partition = text
	case "label":
		a.span.Label, a.band.Label = text, text
	case "kind":
		a.band.Kind = text
	case "key":
		a.key = text
	case "key_base64":
		if err == nil {
			var key []byte
			if key, err = base64.StdEncoding.DecodeString(text); err != nil {
				err = fmt.Errorf("invalid base64: %w", err)
			}
			a.key = string(key)
		}
	default:
		return false, nil
	}
	return true, err
}

// check reports whether the fields present belong together.
func (a *annotation) check() (column int, err error) {
	fields := annotationEvents[a.event]
	for _, name := range fields.must {
		if !a.has(name) {
			return 0, fmt.Errorf("%q is missing", name)
		}
	}
	names := slices.SortedFunc(maps.Keys(a.columns), func(x, y string) int { return cmp.Compare(a.columns[x], a.columns[y]) })
	for _, name := range names {
		if name != "event" && !slices.Contains(fields.must, name) && !slices.Contains(fields.may, name) {
			return a.columns[name], fmt.Errorf("%q does not belong to a %s", name, a.event)
		}
	}
	var field string
	switch {
	case a.event == "place" && a.has("key") == a.has("key_base64"):
		field, err = "key", errors.New(`a place needs either "key" or "key_base64"`)
	case a.has("to") && a.span.To == 0:
		field, err = "to", errors.New(`"to" cannot be 0: leave it out if the end is open`)
	case a.event == "span":
		field, err = a.span.validate()
	case a.event == "band":
		field, err = a.band.validate()
	}
	if err != nil {
		return a.columns[field], err
	}
	return 0, nil
}

// validate returns the field that is wrong, and why.
func (s *Span) validate() (field string, err error) {
	switch {
	case s.State < Up || s.State > Primary:
		return "state", errors.New("the state is not set (want up, down, paused or primary)")
	case s.To != 0 && s.To < s.From:
		return "to", fmt.Errorf("ends at %d, before its beginning at %d", s.To, s.From)
	case s.State != Primary && s.Partition != "":
		return "partition", errors.New("only a primary has a partition")
	case s.State != Primary && s.Epoch != 0:
		return "epoch", errors.New("only a primary has an epoch")
	}
	return "", nil
}

func (b *Band) validate() (field string, err error) {
	if b.To != 0 && b.To < b.From {
		return "to", fmt.Errorf("ends at %d, before its beginning at %d", b.To, b.From)
	}
	return "", nil
}
