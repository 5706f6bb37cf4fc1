package sim

import (
	"os"
	"runtime/debug"
)

// ballast is never touched, so it takes no memory of the machine. The garbage
// collector counts it as alive and therefore runs less often.
//
//lint:ignore U1000 it only has to be alive
var ballast []byte

const (
	ballastBytes = 32 << 20
	heapPercent  = 130
)

// TuneHeap is for programs that do nothing but run simulations: it lets them
// gather more garbage before it is collected. Runs are small, a few megabytes,
// and garbage is most of what they make, so by a percentage of what is alive
// alone the collector would run every few thousand steps. The floor costs up to
// 75 MB a process, however many runs share it; bigger worlds pay as before.
// Whoever sets GOGC has it as said there.
func TuneHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapPercent)
		ballast = make([]byte, ballastBytes)
	}
}
