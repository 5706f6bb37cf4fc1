package linearizability

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Stamp is a position in the single sequence of all calls and returns of a
// history. Stamps are greater than 0 and unique. One operation precedes another if
// and only if its return has a lower stamp than the call of the other. Stamps are
// not times.
type Stamp int64

// A Version identifies one write of one key. Later writes of the same key have
// greater versions (in DKV, the log index of the write). 0 means no version.
type Version uint64

// maxVersion is the greatest version: it fits into signed integers.
const maxVersion = 1<<63 - 1

// An Index is a position in the log of a partition. 0 means unknown.
type Index uint64

// A Kind says what an operation does.
type Kind uint8

// The kinds of operation. The zero Kind is invalid.
const (
	Get Kind = iota + 1
	Put
	Delete
	// Append writes the current value followed by its own. On an absent key it
	// writes its own value alone.
	Append
)

var kindNames = [...]string{Get: "get", Put: "put", Delete: "delete", Append: "append"}

func (k Kind) String() string {
	if k >= Get && k <= Append {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// An Outcome says how an operation ended for its client.
type Outcome uint8

const (
	// Unknown: the operation may have taken effect or may still do so. An
	// operation that never returned is unknown.
	Unknown Outcome = iota
	// OK: the store answered, and Answer holds the answer. "Not found" and
	// "condition failed" are answers, too.
	OK
	// Refused: the operation certainly did not take effect and never will.
	Refused
)

var outcomeNames = [...]string{Unknown: "unknown", OK: "ok", Refused: "refused"}

func (o Outcome) String() string {
	if o <= Refused {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// An Answer is the answer of the store to an operation with outcome OK.
//
// A get, a delete and a write whose condition failed report what they found: Found,
// and as much of Version and Value as the store reports. A successful put or append
// reports only the version that it was assigned.
type Answer struct {
	// Found: the key was present. For a delete: it removed a value. For a failed
	// condition: there is a current version (412 with an ETag). It is not set for a
	// successful put or append.
	Found bool
	// ConditionFailed: the condition of the write did not hold, so that it had no
	// effect.
	ConditionFailed bool
	// Unreported: the condition failed, and the store did not report what it found,
	// not even whether the key was present.
	Unreported bool
	// HasValue: Value holds the value found. It is set only with Found.
	HasValue bool
	// Version is the version of the value found, or the one that a successful write
	// was assigned. 0: the answer has no version; none is required.
	Version Version
	Value   string
	// Index is the log index at which the answer was decided: for a write the index
	// of its entry, even if the write had no effect; for a get the applied index at
	// which it was served. 0: unknown.
	Index Index
}

// An Operation is one request of one client, from its call to its return.
type Operation struct {
	Client int // for reports; the verdict does not depend on it
	Key    string
	Kind   Kind
	// Outcome says how the operation ended. Answer is the answer if it is OK.
	Outcome Outcome
	// A put, an append or a delete may have one of three conditions: IfAbsent, that
	// the key is absent (If-None-Match: *); IfMatch, if not 0, that it is the
	// current version; IfValue, if HasIfValue is set, that it is the current value,
	// which makes a put a compare-and-set.
	IfAbsent   bool
	HasIfValue bool
	IfMatch    Version
	IfValue    string
	// Value is what a put or an append writes. If no two puts of a key that may take
	// effect write the same value, a value read identifies its write, and most of
	// the search can be skipped. Otherwise, and if there are appends, the search
	// knows less and may use up its budget.
	Value string

	Call   Stamp
	Return Stamp // 0: never returned
	Answer Answer

	// The remaining fields are only for reports.
	CallTime   time.Duration // since any fixed time; virtual or wall time
	ReturnTime time.Duration
	Node       string // the node that received the request
}

func (op *Operation) conditional() bool { return op.IfMatch != 0 || op.IfAbsent || op.HasIfValue }

// Writes reports whether the operation has a value to write: a put or an append.
func (op *Operation) Writes() bool { return op.Kind == Put || op.Kind == Append }

// answered reports whether the store answered.
func (op *Operation) answered() bool { return op.Outcome == OK }

// foundAbsent reports whether the answer says that the key was absent.
func (op *Operation) foundAbsent() bool {
	return op.Observes() && !op.Answer.Found && !op.Answer.Unreported
}

// effective reports whether the operation is an answered write that took effect.
func (op *Operation) effective() bool {
	if op.Outcome != OK || op.Answer.ConditionFailed {
		return false
	}
	return op.Writes() || op.Kind == Delete && op.Answer.Found
}

// mayTakeEffect reports whether the operation is a write of unknown outcome.
func (op *Operation) mayTakeEffect() bool { return op.Outcome == Unknown && op.Kind != Get }

// Observes reports whether the answer reports what the operation found. Every
// answer does but that of a successful put or append.
func (op *Operation) Observes() bool {
	return op.Outcome == OK && (!op.Writes() || op.Answer.ConditionFailed)
}

// Validate returns an error about the first operation that no client of a store can
// have performed, or nil. Histories from Read or a Recorder are valid.
func Validate(history []Operation) error {
	stamps := make([]Stamp, 0, 2*len(history))
	for i := range history {
		op := &history[i]
		if err := op.Validate(); err != nil {
			return fmt.Errorf("operation %d (client %d, called at stamp %d): %w", i, op.Client, op.Call, err)
		}
		stamps = append(stamps, op.Call)
		if op.Return != 0 {
			stamps = append(stamps, op.Return)
		}
	}
	slices.Sort(stamps)
	for i := 1; i < len(stamps); i++ {
		if stamps[i] == stamps[i-1] {
			return fmt.Errorf("two events have stamp %d; every call and every return needs a stamp of its own", stamps[i])
		}
	}
	return nil
}

// Validate returns why no client of a store can have performed the operation, or
// nil.
func (op *Operation) Validate() error { return errors.Join(op.validateCall(), op.validateReturn()) }

func (op *Operation) validateCall() error {
	switch {
	case op.Kind < Get || op.Kind > Append:
		return fmt.Errorf("invalid kind %d (want get, put, delete or append)", uint8(op.Kind))
	case op.Call <= 0:
		return fmt.Errorf("the call stamp is %d, but must be greater than 0", op.Call)
	case op.Kind == Get && op.conditional():
		return errors.New("a get cannot have a condition")
	case op.IfMatch != 0 && op.IfAbsent:
		return errors.New("if_match and if_absent exclude each other")
	case op.HasIfValue && (op.IfAbsent || op.IfMatch != 0):
		return errors.New("if_value excludes other conditions")
	case !op.HasIfValue && op.IfValue != "":
		return errors.New("IfValue is set, but HasIfValue is not")
	case op.IfMatch > maxVersion:
		return errors.New("if_match is greater than 2^63-1")
	case !op.Writes() && op.Value != "":
		return fmt.Errorf("a %s cannot have a value", op.Kind)
	}
	return nil
}

func (op *Operation) validateReturn() error {
	a := &op.Answer
	switch {
	case op.Outcome > Refused:
		return fmt.Errorf("invalid outcome %d (want ok, refused or unknown)", uint8(op.Outcome))
	case op.Return == 0 && op.Outcome != Unknown:
		return fmt.Errorf("the outcome is %s, but there is no return", op.Outcome)
	case op.Return != 0 && op.Return <= op.Call:
		return fmt.Errorf("the return stamp is %d, but must be greater than the call stamp, %d", op.Return, op.Call)
	case op.Outcome != OK && *a != Answer{}:
		return fmt.Errorf("an operation with outcome %s cannot have an answer", op.Outcome)
	case op.Outcome != OK:
		return nil
	case a.Version > maxVersion || a.Index > maxVersion:
		return errors.New("the version or the index is greater than 2^63-1")
	case a.ConditionFailed && !op.conditional():
		return errors.New("condition_failed is set, but the operation has no condition")
	case op.Writes() && !a.ConditionFailed && (a.Found || a.HasValue):
		return fmt.Errorf("a successful %s reports only its version, not what it found", op.Kind)
	case a.Unreported && (!a.ConditionFailed || a.Found):
		return errors.New("only an answer with a failed condition may be Unreported, and then it cannot be Found")
	case op.Observes() && !a.Found && (a.Version != 0 || a.HasValue):
		return errors.New("the answer found no value, but has a version or a value")
	case !a.HasValue && a.Value != "":
		return errors.New("Value is set, but HasValue is not")
	}
	return nil
}
