package jepsen

import (
	"dkv/linearizability"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// readEDN reads a Jepsen history of maps, either one after the other or in one vector or
// list.
func readEDN(in *linearizability.Source) (*linearizability.Recording, error) {
	j := newReader(in)
	h := ednHistoryReader{reader: &j, edn: ednReader{in: in.Reader, texts: in, line: 1, column: 1}, index: -1}
	for {
		ended, err := h.next()
		if err != nil {
			return nil, err
		}
		if ended {
			return &linearizability.Recording{Operations: j.ops, Model: j.model}, nil
		}
	}
}

type ednHistoryReader struct {
	*reader
	edn     ednReader
	wrapper ednElement // the vector or list around all maps; ednNone if there is no wrapper
	closing byte       // of it
	closed  bool
	index   int64         // of the last event that has an index
	time    time.Duration // of the last event
}

// next reads the next map. ended reports that there is no further map.
func (h *ednHistoryReader) next() (ended bool, err error) {
	r := &h.edn
	c, err := r.skip()
	if err == io.EOF {
		if h.closing != 0 && !h.closed {
			return false, r.truncated(&h.wrapper, "the history", err)
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	at := r.last()
	switch {
	case h.closed:
		return false, at.fail(errors.New("text after the end of the history"))
	case c == '{':
		return false, h.operation()
	case h.closing != 0 && c == h.closing:
		h.closed = true
		return false, nil
	case (c == '[' || c == '(') && h.closing == 0 && h.stamp == 0:
		h.wrapper.position = at
		h.closing = map[byte]byte{'[': ']', '(': ')'}[c]
		return false, nil
	case c == '#':
		return false, h.tag(at)
	}
	return false, at.fail(fmt.Errorf("expected the map of an operation, such as {:process 0, :type :invoke, …}, found %q", c))
}

// tag reads a tag before a map, such as that of a record, or a discarded element.
func (h *ednHistoryReader) tag(at position) error {
	r := &h.edn
	e := ednElement{position: at}
	c, err := r.read()
	if err != nil {
		return r.truncated(&e, "an element", err)
	}
	if c == '_' {
		return r.skipRequired(&e, 0)
	}
	if isEDNDelimiter(c) || c == '#' {
		return at.fail(errors.New("expected the map of an operation, found #"))
	}
	return r.word(&e, c)
}

// fieldNames are the keys of a map that have a meaning here. The first requiredFields of
// them are required.
var fieldNames = []string{"process", "type", "f", "value", "key", "time", "index", "error"}

const requiredFields = 3

// operation reads one map after its opening brace.
func (h *ednHistoryReader) operation() error {
	r := &h.edn
	whole := ednElement{position: r.last()}
	e := event{line: r.line}
	var seen uint
	client := true
	for {
		c, err := r.skip()
		if err != nil {
			return r.truncated(&whole, "an operation", err)
		}
		if c == '}' {
			break
		}
		name, err := r.elementFrom(c, 1, true)
		if err != nil {
			return err
		}
		if name.kind == ednNone {
			continue // discarded
		}
		value, err := r.element(1, true)
		switch {
		case err != nil:
			return err
		case value.kind == ednNone:
			return r.truncated(&whole, "an operation", io.EOF)
		}
		field := slices.Index(fieldNames, name.text)
		switch {
		case field < 0 || name.kind != ednKeyword:
			continue // the key has no meaning here
		case seen&(1<<field) != 0:
			return name.fail(fmt.Errorf("duplicate key :%s", name.text))
		}
		seen |= 1 << field
		if name.text == "process" && value.kind == ednKeyword {
			client = false // the nemesis, or another process that is not a client
			continue
		}
		if err := h.field(&e, name.text, &value); err != nil {
			return err
		}
	}
	if !client {
		return nil
	}
	for field, must := range fieldNames[:requiredFields] {
		if seen&(1<<field) == 0 {
			return whole.fail(fmt.Errorf(":%s is missing", must))
		}
	}
	return h.event(&e)
}

// field handles one key of the map with its value.
func (h *ednHistoryReader) field(e *event, name string, value *ednElement) (err error) {
	r := &h.edn
	switch name {
	case "process":
		e.at.process = value.position
		e.process, err = processOf(value, r)
	case "type", "f":
		if value.kind != ednKeyword {
			return value.fail(fmt.Errorf(":%s must be a keyword", name))
		}
		if name == "f" {
			e.f, e.at.f = value.text, value.position
		} else {
			e.kind, e.at.kind = value.text, value.position
		}
	case "key":
		if value.kind != ednText {
			return value.fail(errors.New(":key must be a string or a number"))
		}
		e.key, e.hasKey, e.at.key = h.Name([]byte(value.text)), true, value.position
	case "value":
		e.value, e.at.value = *value, value.position
	case "error":
		e.failure = value.kind != ednNil
	case "time", "index":
		n, err := strconv.ParseInt(value.text, 10, 64)
		if err != nil || !value.number {
			return value.fail(fmt.Errorf(":%s must be a whole number", name))
		}
		return h.checkOrder(e, name, n, value)
	}
	return err
}

// checkOrder handles a time or an index, which must not go backwards.
func (h *ednHistoryReader) checkOrder(e *event, name string, n int64, at *ednElement) error {
	if name == "index" {
		if n <= h.index {
			return at.fail(fmt.Errorf(":index %d is not greater than the previous :index, %d", n, h.index))
		}
		h.index = n
		return nil
	}
	if time.Duration(n) < h.time {
		return at.fail(fmt.Errorf(":time %d is less than the previous :time, %d", n, h.time))
	}
	e.time, h.time = time.Duration(n), time.Duration(n)
	return nil
}
