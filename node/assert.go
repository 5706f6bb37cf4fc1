package node

import "fmt"

// Assertion is what assertf panics with: the core found itself in a state that can't
// be. The process ends; its durable state is the recovery. To continue would mean to
// promise or acknowledge on the strength of a state that is known to be wrong.
type Assertion struct{ What string }

func (a Assertion) Error() string { return "assertion failed: " + a.What }

// assertf is for what cannot happen, and is always on.
func assertf(holds bool, format string, args ...any) {
	if !holds {
		panic(Assertion{fmt.Sprintf(format, args...)})
	}
}
