package door

import "time"

// Clock measures time since boot and never runs backwards. The clocks of two
// nodes may differ by any offset; their rates differ by a bounded factor.
type Clock interface {
	// Now returns the time since boot.
	Now() time.Duration
	// After runs fn once, as an event of its own, no earlier than d from now. A
	// call of stop cancels it: fn does not run after that.
	After(d time.Duration, fn func()) (stop func())
}

// Random is a source of random numbers for jitter and for new identities. The
// owner of the node seeds it.
type Random interface{ Uint64() uint64 }
