//go:build !linux

package loop

import "time"

var processStart = time.Now()

// sinceBoot reads Go's monotonic clock, counted from the start of the process. Outside
// Linux there is no better portable clock. It stops while the machine is suspended,
// after which reads by lease are unsafe; quorum reads remain safe.
func sinceBoot() time.Duration { return time.Since(processStart) }
