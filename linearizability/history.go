package linearizability

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Stamp is a position in the one sequence of all calls and returns of a
// history. Stamps are greater than 0 and no two events share one; an operation
// is before another if and only if its return is stamped lower than the other's
// call. They say nothing about time.
type Stamp int64

// A Version names one write of one key: later writes of the same key have
// greater versions (in this store: the log index of the write). 0 is no version.
type Version uint64

// maxVersion leaves room above every version, and fits where numbers are signed.
const maxVersion = 1<<63 - 1

// An Index is a place in a partition's log. 0 is unknown.
type Index uint64

// A Kind says what an operation does.
type Kind uint8

// The kinds of operation. The zero Kind is none of them.
const (
	Get Kind = iota + 1
	Put
	Delete
	// Append writes what was there with its own value behind it; of a key that
	// is absent it makes one that holds its value alone.
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
	// Unknown: the operation may have taken effect, or may yet. An operation
	// that never returned is unknown.
	Unknown Outcome = iota
	// OK: the store answered, and Answer holds what it said. "Not found" and
	// "condition failed" are answers.
	OK
	// Refused: the operation certainly never took effect and never will.
	Refused
)

var outcomeNames = [...]string{Unknown: "unknown", OK: "ok", Refused: "refused"}

func (o Outcome) String() string {
	if o <= Refused {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// An Answer is what the store said. It means something only with outcome OK.
//
// A get, a delete and a write whose condition failed tell what they met: Found,
// and as much of Version and Value as the store said. A successful put or append
// tells the version it was given, and nothing else.
type Answer struct {
	// Found: the operation met the key present. For a delete: it removed
	// something. For a failed condition: a current version exists (412 with an
	// ETag). Meaningless for a successful put or append.
	Found bool
	// ConditionFailed: the write's condition did not hold, and it had no effect.
	ConditionFailed bool
	// Untold: the condition failed, and the store did not say what it met, not even
	// whether there was anything.
	Unreported bool
	// HasValue: Value holds what the operation met. Never set for a successful
	// put or append, and only with Found.
	HasValue bool
	// Version is that of the value met, or the one a successful write was given.
	// 0: the answer carried none, and none is required.
	Version Version
	Value   string
	// Index is the log index at which the answer was decided: the entry's own
	// for a write (whatever came of it), the applied index at which it was
	// served for a get. 0: not told.
	Index Index
}

// An Operation is one request of one client, from its call to its return.
type Operation struct {
	Client int // for the reader of a report; the verdict does not depend on it
	Key    string
	Kind   Kind
	// Outcome is how it ended, and Answer what the store said if it is OK.
	Outcome Outcome
	// IfAbsent makes a put, an append or a delete conditional on there being no
	// value (If-None-Match: *), IfMatch on the current version (0 is no
	// condition), and IfValue, if HasIfValue is set, on the current value: a put
	// is then a compare-and-set. At most one of the three.
	IfAbsent   bool
	HasIfValue bool
	IfMatch    Version
	IfValue    string
	// Value is what a put or an append writes. Best no two puts of a key that may
	// take effect share one: a value read then names the write it came from, and
	// most of the search is spared. (Where they share one, or where there are
	// appends, the search goes with less; it may then take the whole budget.)
	Value string

	Call   Stamp
	Return Stamp // 0: never returned
	Answer Answer

	// What follows is for reports alone.
	CallTime   time.Duration // since any fixed moment; virtual or wall time
	ReturnTime time.Duration
	Node       string // the node that was asked
}

func (op *Operation) conditional() bool { return op.IfMatch != 0 || op.IfAbsent || op.HasIfValue }

// Writes reports whether the operation has a value to write: a put or an append.
func (op *Operation) Writes() bool { return op.Kind == Put || op.Kind == Append }

// answered: the store said something.
func (op *Operation) answered() bool { return op.Outcome == OK }

// metNothing: an answer that says that the key was absent.
func (op *Operation) foundAbsent() bool {
	return op.Observes() && !op.Answer.Found && !op.Answer.Unreported
}

// effective: an answered write that took effect.
func (op *Operation) effective() bool {
	if op.Outcome != OK || op.Answer.ConditionFailed {
		return false
	}
	return op.Writes() || op.Kind == Delete && op.Answer.Found
}

// mayTakeEffect: a write that was not answered and not refused.
func (op *Operation) mayTakeEffect() bool { return op.Outcome == Unknown && op.Kind != Get }

// Observes reports whether the answer tells what the operation met. Every
// answer does but that of a successful put or append.
func (op *Operation) Observes() bool {
	return op.Outcome == OK && (!op.Writes() || op.Answer.ConditionFailed)
}

// Validate reports the first operation that no client of a store can have
// performed, or nil. Histories that were read by Read or made by a Recorder
// are valid.
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

// Validate reports why no client of a store can have performed the operation,
// or nil.
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
