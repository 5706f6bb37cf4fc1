package node

import "time"

// RequestKind says what a client asks for.
type RequestKind uint8

const (
	RequestGet RequestKind = iota + 1
	RequestPut
	RequestDelete
)

// Condition limits a write. The zero value always holds.
type Condition struct {
	// Absent: only if the key is absent (If-None-Match: *).
	Absent bool
	// Match: only if the key is present with this version (If-Match). Zero
	// asks nothing.
	Match Version
	// Present: only if the key is present with any version (If-Match: *).
	Present bool
}

// Request is one operation of a client on one key.
type Request struct {
	Kind  RequestKind
	Key   []byte
	Value []byte    // of RequestPut; may be empty
	If    Condition // of RequestPut and RequestDelete
	// Timeout bounds the whole call; 0 means the node's RequestTimeout.
	Timeout time.Duration
}

// Outcome says how a request ended. It ends exactly once.
type Outcome uint8

const (
	// Done: applied, and the answer is the truth.
	Done Outcome = iota + 1
	// Refused: certainly not applied, and it never will be.
	Refused
	// Unknown: it may have been applied, or may yet be.
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
	// Reason says in words why a request was refused or is unknown.
	Reason string
	// Busy: refused because of too much at once; others may fare better.
	Busy bool

	// Of Done:

	// Found: the key was present. Of a get: the answer. Of a delete: it
	// removed something. Of a failed condition: what it met.
	Found bool
	// Failed: the condition did not hold; nothing was changed.
	Failed bool
	// Version of a put: its own. Otherwise that of the value met; 0: absent.
	Version Version
	// Value that a get, a delete or a failed condition met.
	Value []byte
	// Index is the log index at which the request was decided: of a write its
	// own, of a get the applied index it was served at. Answers of one key in
	// the order of their indices, writes before the gets of the same index,
	// are a linearization.
	Index Index
}

func refused(reason string) Response { return Response{Outcome: Refused, Reason: reason} }
func unknown(reason string) Response { return Response{Outcome: Unknown, Reason: reason} }
func busy(reason string) Response    { return Response{Outcome: Refused, Reason: reason, Busy: true} }

// write says whether the request changes state when it is applied twice.
func (k RequestKind) write() bool { return k != RequestGet }
