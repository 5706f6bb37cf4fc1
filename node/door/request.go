package door

import "time"

// Index is a position in the log of a partition. The first entry has index 1.
type Index uint64

// Version identifies the value of a key: the log index of the write that made
// it. Zero means that the key is absent.
type Version = Index

// RequestKind says what a client asks for.
type RequestKind uint8

const (
	RequestGet RequestKind = iota + 1
	RequestPut
	RequestDelete
)

// Writes reports whether requests of this kind can change state.
func (k RequestKind) Writes() bool { return k != RequestGet }

// Condition makes a write conditional on the version of its key. The zero value
// always holds; several conditions must hold together.
type Condition struct {
	// Absent requires that the key is absent (HTTP: If-None-Match: *).
	Absent bool
	// Match, if not zero, requires that the key has this version (If-Match).
	Match Version
	// Present requires that the key is present, with any version (If-Match: *).
	Present bool
}

// Holds reports whether the condition holds for a key of version v; 0 means
// that the key is absent.
func (c Condition) Holds(v Version) bool {
	switch {
	case c.Absent && v != 0:
		return false
	case c.Match != 0 && v != c.Match:
		return false
	case c.Present && v == 0:
		return false
	}
	return true
}

// Request is one operation of a client on one key.
type Request struct {
	Kind  RequestKind
	Key   []byte
	Value []byte    // of RequestPut; may be empty
	If    Condition // of RequestPut and RequestDelete
	// Timeout bounds the whole call; 0 means the node's default.
	Timeout time.Duration
}

// Outcome says how a request ended. Every request ends exactly once.
type Outcome uint8

const (
	// Done means that the request was applied and the response is its result.
	Done Outcome = iota + 1
	// Refused means that the request was not applied and never will be.
	Refused
	// Unknown means that the request may have been applied, or may still be.
	Unknown
)

func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Refused:
		return "refused"
	case Unknown:
		return "unknown"
	}
	return "invalid"
}

// Response ends a request.
type Response struct {
	Outcome Outcome
	// Reason says in words why a request was refused or its outcome is unknown.
	Reason string
	// Busy marks a refusal because this node is overloaded; another node may
	// accept the request.
	Busy bool

	// The other fields belong to Done.

	// Found reports whether the key was present: for a get, that there is a
	// value; for a delete, that something was removed; for a failed condition,
	// what the condition met.
	Found bool
	// Failed reports that the condition did not hold and nothing was changed.
	Failed bool
	// Version is the new version after a put, and otherwise the version that the
	// request met; 0 if the key was absent.
	Version Version
	// Value is what a get, a delete or a failed condition met.
	Value []byte
	// Index is the log index at which the request was decided: the index of its
	// own entry for a write, the applied index at which it was served for a get.
	// The answers about one key, ordered by Index with each write before the
	// gets of the same index, are a linearization.
	Index Index
}
