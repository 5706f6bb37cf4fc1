package netsim

import (
	"testing"
	"time"
)

// fifo is a Scheduler with minimal cost: it runs events in the order in which they
// were requested, a microsecond apart.
type fifo struct {
	now        time.Duration
	ring       [1 << 12]func()
	head, tail uint
}

func stopNothing() {}

func (f *fifo) Now() time.Duration { return f.now }

func (f *fifo) After(_ time.Duration, fn func()) func() {
	f.ring[f.tail%uint(len(f.ring))] = fn
	f.tail++
	return stopNothing
}

func (f *fifo) run() {
	for f.head != f.tail {
		fn := f.ring[f.head%uint(len(f.ring))]
		f.head++
		f.now += time.Microsecond
		fn()
	}
}

type sink struct{ frames int }

func (s *sink) OnFrame(HostID, []byte) { s.frames++ }
func (s *sink) OnPeerLost(HostID)      {}

// busyNetwork returns a function that sends and delivers a frame for each pair of five
// hosts, and one that returns how many frames arrived.
func busyNetwork(tb testing.TB, cfg Config) (round func(), arrived func() int) {
	const hosts = 5
	clock := &fifo{}
	n, err := New(clock, keyed(1), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	var ends [hosts]sink
	for i := range ends {
		n.Attach(n.Host(string(rune('a'+i))), &ends[i])
	}
	frame := make([]byte, 100)
	round = func() {
		for from := range HostID(hosts) {
			for to := range HostID(hosts) {
				if from != to {
					n.Send(from, to, frame)
				}
			}
		}
		clock.run()
	}
	arrived = func() (sum int) {
		for i := range ends {
			sum += ends[i].frames
		}
		return sum
	}
	return round, arrived
}

func benchmark(b *testing.B, cfg Config) {
	round, arrived := busyNetwork(b, cfg)
	round()
	before := arrived()
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(arrived()-before)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(0, "ns/op") // would be the time of a round
}

func BenchmarkStream(b *testing.B)   { benchmark(b, Config{}) }
func BenchmarkDatagram(b *testing.B) { benchmark(b, Config{Mode: Datagram}) }
func BenchmarkDatagramWithRates(b *testing.B) {
	benchmark(b, Config{Mode: Datagram, Rates: Rates{Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, Delay: 0.01}})
}

func TestOrdinaryFramesAllocateNothing(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		round, _ := busyNetwork(t, Config{Mode: mode})
		for range 10 {
			round()
		}
		if allocations := testing.AllocsPerRun(100, round); allocations != 0 {
			t.Errorf("%v: %v allocations for 20 frames", mode, allocations)
		}
	}
}
