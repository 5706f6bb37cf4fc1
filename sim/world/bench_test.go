package world

import (
	"fmt"
	"syscall"
	"testing"
)

// BenchmarkNodes runs a formed cluster without faults, with two clients per node. An
// operation of the benchmark is an event.
func BenchmarkNodes(b *testing.B) {
	for _, nodes := range []int{5, 15, 50} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			cfg := Config{Seed: 1, Hosts: nodes}
			cfg.Node.Partitions = 64
			cfg.Node.RetainEntries = 64 // the most that a drawn run keeps
			w := cluster(b, cfg)
			defer w.Close()
			busy(w, 2*nodes)
			b.ReportAllocs()
			b.ResetTimer()
			for end := w.Events() + uint64(b.N); w.Events() < end; {
				w.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(megabytes(), "MB-of-process")
		})
	}
}

// megabytes returns the peak resident set of the process, as Linux counts it.
func megabytes() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) / (1 << 10)
}
