//go:build !linux

package loop

import "time"

var processStart = time.Now()

// sinceBoot is Go's monotonic clock, counted from the start of the process:
// outside Linux nothing better is portable. Reads by lease are unsafe on it
// across a suspend; quorum reads are not.
func sinceBoot() time.Duration { return time.Since(processStart) }
