package linearizability

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Model is the sequential machine that each key is compared with.
type Model uint8

const (
	// Register: a key is absent at first. Put, append, delete and every condition mean
	// what Kind and Operation say.
	Register Model = iota
	// Text: a key holds a text, which is empty at first; an absent key and an empty text
	// are the same. There is no delete and no condition on absence.
	Text
)

var modelNames = [...]string{Register: "register", Text: "text"}

func (m Model) String() string {
	if m <= Text {
		return modelNames[m]
	}
	return fmt.Sprintf("Model(%d)", uint8(m))
}

// ParseModel is the inverse of String.
func ParseModel(name string) (Model, error) {
	for m, known := range modelNames {
		if name == known {
			return Model(m), nil
		}
	}
	return 0, fmt.Errorf("unknown model %s (want register or text)", Quote(name))
}

// initial returns the state of a key before the first write.
func (m Model) initial() state {
	if m == Text {
		return state{present: true, text: true}
	}
	return state{}
}

// admits returns why the model does not have an operation, or nil.
func (m Model) admits(op *Operation) error {
	switch {
	case m > Text:
		return fmt.Errorf("unknown model %s (want register or text)", m)
	case m == Text && op.Kind == Delete:
		return errors.New("the text model has no delete")
	case m == Text && op.IfAbsent:
		return errors.New("the text model has no condition on absence")
	}
	return nil
}

// state is the state of one key between two operations. It is comparable, so that
// Porcupine recognizes states that it has seen before.
type state struct {
	present bool
	text    bool   // the model is Text: always present, and empty means absent
	value   string // "" if absent
	// version is the version of value. It is 0 while it is unknown: the outcome of the
	// write is unknown and no answer has revealed its version yet.
	version Version
	// floor is the greatest version known to be assigned. Each later write of the key
	// has a greater one.
	floor Version
	// excluded holds versions that value cannot have, according to failed conditions
	// that did not report what they found.
	excluded versionSet
}

// A versionSet is a set of versions that can be compared with ==. It is empty in all but
// rare states.
type versionSet string

func (set versionSet) has(v Version) bool {
	for i := 0; i < len(set); i += 8 {
		if binary.BigEndian.Uint64([]byte(set[i:i+8])) == uint64(v) {
			return true
		}
	}
	return false
}

func (set versionSet) with(v Version) versionSet {
	if set.has(v) {
		return set
	}
	return versionSet(binary.BigEndian.AppendUint64([]byte(set), uint64(v)))
}

// meets reports whether an answer about the value found can be true of s. It returns s
// with the version that the answer reveals.
func (s state) meets(found bool, version Version, value string, hasValue bool) (state, bool) {
	if !found {
		return s, !s.present || s.text && s.value == ""
	}
	if !s.present || hasValue && s.value != value {
		return s, false
	}
	if version == 0 || s.version == version {
		return s, true
	}
	if s.version != 0 || version <= s.floor || s.excluded.has(version) {
		return s, false
	}
	s.version, s.floor, s.excluded = version, version, ""
	return s, true
}

// step is the store as a sequential machine. It reports whether op, with the answer it
// got, can take effect in s, and returns the state after it.
//
// An operation of unknown outcome can take effect in every state. If its condition may
// or may not hold, because the version is unknown, step assumes that it holds. The
// other case is covered by placing the operation after all others, where it contradicts
// nothing.
func step(s state, op *Operation) (state, bool) {
	switch {
	case op.Outcome == Refused:
		return s, true
	case op.Outcome == Unknown:
		return stepUnknown(s, op), true
	case op.Answer.ConditionFailed:
		return stepConditionFailed(s, op)
	case op.Writes():
		return stepWrite(s, op)
	case op.Kind == Delete:
		return stepDelete(s, op)
	}
	a := &op.Answer
	return s.meets(a.Found, a.Version, a.Value, a.HasValue)
}

func stepUnknown(s state, op *Operation) state {
	switch {
	case op.Kind == Get,
		op.IfAbsent && s.present,
		op.HasIfValue && !s.holds(op.IfValue):
		return s
	}
	if op.IfMatch != 0 {
		met, ok := s.meets(true, op.IfMatch, "", false)
		if !ok {
			return s
		}
		s = met
	}
	if op.Kind == Delete {
		return s.erased()
	}
	return s.written(op, 0)
}

// holds reports whether the key is present with this value.
func (s state) holds(value string) bool { return s.present && s.value == value }

func (s state) erased() state { return state{text: s.text, present: s.text, floor: s.floor} }

// written returns the state after a put or an append; version is 0 if it is unknown.
func (s state) written(op *Operation, version Version) state {
	value := op.Value
	if op.Kind == Append {
		value = s.value + value
	}
	return state{present: true, text: s.text, value: value, version: version, floor: max(s.floor, version)}
}

func stepConditionFailed(s state, op *Operation) (state, bool) {
	if a := &op.Answer; !a.Unreported {
		var ok bool
		if s, ok = s.meets(a.Found, a.Version, a.Value, a.HasValue); !ok {
			return s, false
		}
	}
	switch {
	case op.IfAbsent:
		return s, s.present
	case op.HasIfValue:
		return s, !s.holds(op.IfValue)
	}
	if s.present && s.version == 0 {
		s.excluded = s.excluded.with(op.IfMatch)
	}
	return s, !s.present || s.version != op.IfMatch
}

func stepWrite(s state, op *Operation) (state, bool) {
	s, ok := s.meetsCondition(op)
	if !ok {
		return s, false
	}
	version := op.Answer.Version
	if version != 0 && version <= s.floor {
		return s, false
	}
	return s.written(op, version), true
}

func stepDelete(s state, op *Operation) (state, bool) {
	a := &op.Answer
	s, ok := s.meets(a.Found, a.Version, a.Value, a.HasValue)
	if !ok || !a.Found { // an absent key is not changed, whatever the condition
		return s, ok
	}
	s, ok = s.meetsCondition(op)
	return s.erased(), ok
}

// meetsCondition reports whether the condition of a successful write can have held in
// s.
func (s state) meetsCondition(op *Operation) (state, bool) {
	switch {
	case op.IfAbsent:
		return s, !s.present
	case op.IfMatch != 0:
		return s.meets(true, op.IfMatch, "", false)
	case op.HasIfValue:
		return s, s.holds(op.IfValue)
	}
	return s, true
}
