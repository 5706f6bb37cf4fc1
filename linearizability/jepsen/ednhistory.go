package jepsen

import (
	"dkv/linearizability"
	"errors"
	"fmt"
	"io"
)

// readEDN reads a Jepsen history of maps, either one after the other or in one vector or
// list.
func readEDN(in *linearizability.Source, met bool) (*linearizability.Recording, error) {
	j := newReader(in, met)
	h := ednHistoryReader{maps: maps{reader: &j, index: -1}, edn: ednReader{in: in.Reader, texts: in, line: 1, column: 1}}
	for {
		ended, err := h.next()
		if err != nil {
			return nil, err
		}
		if ended {
			return j.recording(), nil
		}
	}
}

type ednHistoryReader struct {
	maps
	edn     ednReader
	wrapper ednElement // the vector or list around all maps; ednNone if there is no wrapper
	closing byte       // of it
	closed  bool
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

// operation reads one map after its opening brace.
func (h *ednHistoryReader) operation() error {
	r := &h.edn
	m := operationMap{maps: &h.maps, whole: r.last(), client: true, event: event{line: r.line}}
	for {
		c, err := r.skip()
		whole := ednElement{position: m.whole}
		if err != nil {
			return r.truncated(&whole, "an operation", err)
		}
		if c == '}' {
			return m.end()
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
		case name.kind != ednKeyword:
			continue // the key has no meaning here
		}
		if err := m.field(&name, &value); err != nil {
			return err
		}
	}
}
