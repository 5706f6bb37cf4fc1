package jepsen

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"dkv/linearizability"
)

// readJSON reads maps like those of EDN, written as JSON objects: one after the
// other, or in one array. Strings stand for keywords where EDN has them.
func readJSON(in *linearizability.Source, met bool) (*linearizability.Recording, error) {
	j := newReader(in, met)
	lines := &lineReader{in: in, lines: []int64{0}}
	h := jsonHistoryReader{maps: maps{reader: &j, index: -1}, lines: lines, tokens: json.NewDecoder(lines)}
	h.tokens.UseNumber()
	for {
		ended, err := h.next()
		switch {
		case err != nil:
			return nil, err
		case ended:
			return j.recording(), nil
		}
	}
}

type jsonHistoryReader struct {
	maps
	lines  *lineReader
	tokens *json.Decoder
	array  bool // around all objects
	closed bool
}

// A lineReader remembers where the lines begin that the decoder has read but not
// passed, and bounds one element.
type lineReader struct {
	in    io.Reader
	read  int64
	taken int64   // the start of the element under way
	first int     // number of the line that begins at lines[0], from 0
	lines []int64 // offsets
}

var errElementTooLong = fmt.Errorf("an element of more than %d bytes", linearizability.MaxLineBytes)

func (l *lineReader) Read(b []byte) (int, error) {
	if l.read-l.taken > linearizability.MaxLineBytes {
		return 0, errElementTooLong
	}
	n, err := l.in.Read(b)
	for i, c := range b[:n] {
		if c == '\n' {
			l.lines = append(l.lines, l.read+int64(i)+1)
		}
	}
	l.read += int64(n)
	return n, err
}

// position returns the position of an offset, and forgets the lines before it.
func (l *lineReader) position(offset int64) position {
	for len(l.lines) > 1 && l.lines[1] <= offset {
		l.lines = l.lines[1:]
		l.first++
	}
	return position{l.first + 1, int(offset-l.lines[0]) + 1}
}

// token returns the next token and the position before it.
func (h *jsonHistoryReader) token() (json.Token, position, error) {
	h.lines.taken = h.tokens.InputOffset()
	at := h.lines.position(h.lines.taken)
	token, err := h.tokens.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil || err == io.EOF:
		return token, at, err
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errElementTooLong):
		if h.lines.read == 0 {
			at = position{1, 1}
		}
		return nil, at, at.fail(err)
	}
	return nil, at, fmt.Errorf("reading the history at line %d: %w", at.line, err)
}

// inside is like token, inside of something that began at a position.
func (h *jsonHistoryReader) inside(what string, began position) (json.Token, position, error) {
	token, at, err := h.token()
	if err == io.EOF {
		err = at.fail(fmt.Errorf("the file ends inside %s that began at line %d, column %d (was the file cut off?)", what, began.line, began.column))
	}
	return token, at, err
}

// next reads the next map. ended reports that there is no further map.
func (h *jsonHistoryReader) next() (ended bool, err error) {
	token, at, err := h.token()
	switch {
	case err == io.EOF && h.array && !h.closed:
		return false, at.fail(errors.New("the file ends inside the array of the history (was the file cut off?)"))
	case err == io.EOF:
		return true, nil
	case err != nil:
		return false, err
	case h.closed:
		return false, at.fail(errors.New("text after the end of the history"))
	}
	switch token {
	case json.Delim('{'):
		return false, h.operation(at)
	case json.Delim('['):
		if !h.array && h.stamp == 0 {
			h.array = true
			return false, nil
		}
	case json.Delim(']'):
		h.closed = true
		return false, nil
	}
	return false, at.fail(fmt.Errorf(`expected the object of an operation, such as {"process": 0, "type": "invoke", …}, found %v`, token))
}

// operation reads one object after its opening brace.
func (h *jsonHistoryReader) operation(began position) error {
	m := operationMap{maps: &h.maps, whole: began, client: true, event: event{line: began.line}}
	for {
		token, at, err := h.inside("an operation", began)
		if err != nil {
			return err
		}
		if token == json.Delim('}') {
			return m.end()
		}
		name := ednElement{position: at, kind: ednKeyword}
		name.text = strings.TrimPrefix(token.(string), ":") // the decoder allows no other key
		value, err := h.element(began, 1)
		if err != nil {
			return err
		}
		switch name.text {
		case "process", "type", "f":
			if value.kind == ednText && !value.number {
				value.kind, value.text = ednKeyword, strings.TrimPrefix(value.text, ":")
			}
		}
		if err := m.field(&name, &value); err != nil {
			return err
		}
	}
}

// element reads one value.
func (h *jsonHistoryReader) element(began position, depth int) (ednElement, error) {
	token, at, err := h.inside("an operation", began)
	if err != nil {
		return ednElement{}, err
	}
	e := ednElement{position: at}
	if depth > maxEDNDepth {
		return e, at.fail(fmt.Errorf("nested more than %d levels deep", maxEDNDepth))
	}
	switch v := token.(type) {
	case nil:
		e.kind = ednNil
	case bool:
		e.kind, e.text = ednText, fmt.Sprint(v)
	case json.Number:
		e.kind, e.number, e.text = ednText, true, h.Value([]byte(v))
	case string:
		e.kind, e.text = ednText, h.Value([]byte(v))
	case json.Delim:
		return h.collection(e, v, began, depth)
	}
	return e, nil
}

// collection reads an array, which is kept, or an object, which is not.
func (h *jsonHistoryReader) collection(e ednElement, open json.Delim, began position, depth int) (ednElement, error) {
	e.kind = ednOther
	if open == '[' && depth < maxEDNKept {
		e.kind = ednVector
	}
	for h.tokens.More() {
		if open == '{' {
			if _, _, err := h.inside("an operation", began); err != nil {
				return e, err
			}
		}
		item, err := h.element(began, depth+1)
		switch {
		case err != nil:
			return e, err
		case e.kind == ednVector && len(e.items) < maxEDNItems:
			e.items = append(e.items, item)
		default:
			e.kind, e.items = ednOther, nil
		}
	}
	_, _, err := h.inside("an operation", began) // the closing bracket
	return e, err
}
