package sim

import (
	"os"
	"runtime/debug"
)

// ballast is never touched, so it takes no physical memory. The garbage collector
// counts it as live and therefore runs less often.
//
//lint:ignore U1000 it only has to be alive
var ballast []byte

const (
	ballastBytes = 32 << 20
	heapPercent  = 130
)

// TuneHeap makes the garbage collector run less often. It is meant for programs
// that only run simulations. The live heap of a run is a few megabytes and most
// of what it allocates is garbage, so with GOGC alone the collector would run
// every few thousand steps. The ballast costs up to 75 MB per process, however
// many runs share it. If GOGC is set in the environment, TuneHeap does nothing.
func TuneHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapPercent)
		ballast = make([]byte, ballastBytes)
	}
}
