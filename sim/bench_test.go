package sim

import (
	"dkv/sim/schedule"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSwarm runs the seeds of the default profile as they are drawn, from their
// schedules to their verdicts. Its events/s and seeds/h are those of a campaign with one
// job. One benchmark operation is one seed; at least 300 of them are a fair sample.
func BenchmarkSwarm(b *testing.B) {
	var events uint64
	b.ReportAllocs()
	for i := range b.N {
		s, err := Draw(uint64(i)+1, "default")
		if err != nil {
			b.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if len(r.Classes) > 0 {
			b.Errorf("seed %d fails: %v", i+1, r.Violations)
		}
		events += r.Events
	}
	reportRates(b, events)
}

// reportRates reports the two rates that every simulation has: events and seeds.
func reportRates(b *testing.B, events uint64) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Hours(), "seeds/h")
	b.ReportMetric(megabytes(), "MB-of-process")
}

// BenchmarkSeeds runs seeds of the default profile from their schedules to
// their verdicts, as a campaign does on one core. It takes those that draw five
// nodes and stretches them to 60 virtual seconds, with proportionally more
// operations. One benchmark operation is one seed.
func BenchmarkSeeds(b *testing.B) {
	const virtual = 60 * time.Second
	var events uint64
	var passed time.Duration
	seed := uint64(0)
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		s := fiveNodes(b, &seed)
		stretch := virtual - 2*time.Second // about what the other phases take
		s.Setup.Workload.Operations = int(int64(s.Setup.Workload.Operations) * int64(stretch) / int64(s.Setup.Phases.Faults))
		s.Setup.Phases.Faults = stretch
		b.StartTimer()
		r, err := Run(s, RunOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if len(r.Classes) > 0 {
			b.Errorf("seed %d fails: %v", seed, r.Violations)
		}
		events += r.Events
		passed += r.Virtual
	}
	reportRates(b, events)
	b.ReportMetric(passed.Seconds()/float64(b.N), "virtual-s/op")
}

// fiveNodes draws schedules of the next seeds until one has five nodes.
func fiveNodes(b *testing.B, seed *uint64) *schedule.Schedule {
	for {
		*seed++
		s, err := Draw(*seed, "default")
		if err != nil {
			b.Fatal(err)
		}
		if s.Setup.Nodes == 5 {
			return s
		}
	}
}

// megabytes returns the greatest resident size of the process, as Linux counts it.
func megabytes() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Maxrss) / (1 << 10)
}
