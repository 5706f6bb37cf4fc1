package jepsen

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// maps reads events that are maps, of EDN or of JSON.
type maps struct {
	*reader
	index int64 // of the last event that has an index
}

// An operationMap collects the fields of one map.
type operationMap struct {
	*maps
	event  event
	whole  position
	seen   uint
	client bool
}

// fieldNames are the keys of a map that have a meaning here. The first requiredFields of
// them are required.
var fieldNames = []string{"process", "type", "f", "value", "key", "time", "index", "error"}

const requiredFields = 3

// end adds the event of the map to the history.
func (m *operationMap) end() error {
	if !m.client {
		return nil
	}
	for field, must := range fieldNames[:requiredFields] {
		if m.seen&(1<<field) == 0 {
			return m.whole.fail(fmt.Errorf(":%s is missing", must))
		}
	}
	return m.maps.event(&m.event)
}

// field handles one key of the map with its value. Keys without a meaning here are
// ignored.
func (m *operationMap) field(name, value *ednElement) (err error) {
	field := slices.Index(fieldNames, name.text)
	switch {
	case field < 0:
		return nil
	case m.seen&(1<<field) != 0:
		return name.fail(fmt.Errorf("duplicate key :%s", name.text))
	}
	m.seen |= 1 << field
	e := &m.event
	switch name.text {
	case "process":
		if value.kind == ednKeyword {
			m.client = false // the nemesis, or another process that is not a client
			return nil
		}
		e.at.process = value.position
		e.process, err = processOf(value)
	case "type", "f":
		if value.kind != ednKeyword {
			return value.fail(fmt.Errorf(":%s must be a keyword", name.text))
		}
		if name.text == "f" {
			e.f, e.at.f = value.text, value.position
		} else {
			e.kind, e.at.kind = value.text, value.position
		}
	case "key":
		text, ok := value.value()
		if !ok {
			return value.fail(errors.New(":key must be a string, a number, a keyword, true or false"))
		}
		e.key, e.hasKey, e.at.key = m.Name([]byte(text)), true, value.position
	case "value":
		e.value, e.at.value = *value, value.position
	case "error":
		e.failure = value.kind != ednNil
	case "time", "index":
		n, err := strconv.ParseInt(value.text, 10, 64)
		if err != nil || !value.number {
			return value.fail(fmt.Errorf(":%s must be a whole number", name.text))
		}
		if name.text == "time" {
			e.time = m.clamp(time.Duration(n))
			return nil
		}
		if n <= m.index {
			return value.fail(fmt.Errorf(":index %d is not greater than the previous :index, %d", n, m.index))
		}
		m.index = n
	}
	return err
}
