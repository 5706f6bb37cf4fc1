package netsim

import (
	"fmt"
	"math"
	"time"
)

// A Mode is a kind of network.
type Mode uint8

const (
	// Stream gives each ordered pair of hosts a connection.
	Stream Mode = iota
	// Datagram carries each frame on its own.
	Datagram
)

// String returns "stream" or "datagram".
func (m Mode) String() string {
	switch m {
	case Stream:
		return "stream"
	case Datagram:
		return "datagram"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// A Shape is a distribution of latencies.
type Shape uint8

const (
	// Exponential has a long tail above Latency.Min, which ends at 37 times
	// Latency.Mean at most.
	Exponential Shape = iota
	// Uniform is flat from Latency.Min to as far above Latency.Mean as Latency.Min is
	// below it.
	Uniform
)

// Latency is the ordinary time from Send to OnFrame.
type Latency struct {
	Min   time.Duration
	Mean  time.Duration // at least Min; if equal to Min, the latency is constant
	Shape Shape
}

// A Range is a range of durations, both ends included, from which one is drawn.
type Range struct {
	Min, Max time.Duration
}

// Rates are the probabilities, from 0 to 1, that a fault affects a frame. The zero value
// is a network without such faults.
type Rates struct {
	// Loss loses a datagram. In a stream the frame and all frames behind it wait for
	// Config.Retransmit.
	Loss float64
	// Duplicate delivers a datagram a second time, Config.Duplicate later.
	// Streams ignore it.
	Duplicate float64
	// Reorder holds a datagram back by Config.Reorder, so that later ones
	// overtake it. Streams ignore it.
	Reorder float64
	// Delay adds Config.Spike to the latency of a frame. In a stream all frames behind
	// it wait, too.
	Delay float64
	// Corrupt flips one bit of a frame as it is delivered, in a copy.
	Corrupt float64
	// Reset breaks the connection on which a frame was just sent, like Network.Reset.
	// Datagrams ignore it.
	Reset float64
	// HalfOpen makes the connection on which a frame was just sent half-open, like
	// Network.HalfOpen. Datagrams ignore it.
	HalfOpen float64
	// HintLoss keeps an end of a broken connection from being told.
	HintLoss float64
}

// Config configures a network. The zero value is a stream network without faults; a zero
// field means its default. For no latency at all, set one nanosecond.
type Config struct {
	Mode    Mode
	Latency Latency // default Min 200 µs, Mean 1 ms, Exponential

	// Rates hold until SetRates. By default there are none.
	Rates Rates

	// Spike is the delay that Rates.Delay adds; default 50 ms to 1 s.
	Spike Range
	// Reorder is how long Rates.Reorder holds a datagram back; default 1 to 20 ms.
	Reorder Range
	// Duplicate is how long after the first copy the second one arrives; default 1 ms
	// to 1 s.
	Duplicate Range

	// Connect is how long it takes to open a connection, or to learn that it cannot be
	// opened; default 1 to 100 ms.
	Connect Range
	// GiveUp is how long the sender on a connection waits for a peer that acknowledges
	// nothing before it considers the connection lost; default 300 ms to 3 s.
	GiveUp Range
	// Retransmit is the delay of a frame lost in a stream, and the longest time that a
	// held stream takes to flow again after a cut is healed; default 200 ms.
	Retransmit time.Duration

	// QueueFrames and QueueBytes limit what is in flight from one host to another; a
	// frame beyond that is dropped and counted. Defaults: 4,096 frames and 64 MiB (at
	// most 4 GiB).
	QueueFrames int
	QueueBytes  int

	// MaxHosts limits the number of hosts; default 1,024.
	MaxHosts int

	// Dropped, if not nil, is called for every frame that is lost, with the cause. It
	// must not call the Network.
	Dropped func(from, to HostID, frame []byte, cause Cause)
}

// mostQueueBytes keeps the arithmetic of slow links within 64 bits.
const mostQueueBytes = 4 << 30

func (c Config) withDefaults() Config {
	if c.Latency.Min == 0 && c.Latency.Mean == 0 {
		c.Latency.Min, c.Latency.Mean = 200*time.Microsecond, time.Millisecond
	}
	setRange(&c.Spike, 50*time.Millisecond, time.Second)
	setRange(&c.Reorder, time.Millisecond, 20*time.Millisecond)
	setRange(&c.Duplicate, time.Millisecond, time.Second)
	setRange(&c.Connect, time.Millisecond, 100*time.Millisecond)
	setRange(&c.GiveUp, 300*time.Millisecond, 3*time.Second)
	if c.Retransmit == 0 {
		c.Retransmit = 200 * time.Millisecond
	}
	setInt(&c.QueueFrames, 4096)
	setInt(&c.QueueBytes, 64<<20)
	setInt(&c.MaxHosts, 1024)
	return c
}

func setRange(s *Range, from, to time.Duration) {
	if *s == (Range{}) {
		*s = Range{Min: from, Max: to}
	}
}

func setInt(v *int, to int) {
	if *v == 0 {
		*v = to
	}
}

// Validate returns an error about the first invalid field, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Mode > Datagram {
		return fmt.Errorf("netsim: invalid Mode %d (want Stream or Datagram)", c.Mode)
	}
	if c.Latency.Shape > Uniform {
		return fmt.Errorf("netsim: invalid Latency.Shape %d (want Exponential or Uniform)", c.Latency.Shape)
	}
	if c.Latency.Min < 0 || c.Latency.Mean < c.Latency.Min || c.Latency.Mean > time.Hour {
		return fmt.Errorf("netsim: invalid Latency: Min is %v and Mean is %v (want 0 <= Min <= Mean <= 1h)",
			c.Latency.Min, c.Latency.Mean)
	}
	for _, f := range []struct {
		name string
		span Range
	}{
		{"Spike", c.Spike}, {"Reorder", c.Reorder}, {"Duplicate", c.Duplicate},
		{"Connect", c.Connect}, {"GiveUp", c.GiveUp}, {"Retransmit", Range{0, c.Retransmit}},
	} {
		if f.span.Min < 0 || f.span.Max < f.span.Min {
			return fmt.Errorf("netsim: invalid %s: Min is %v and Max is %v (want 0 <= Min <= Max)", f.name, f.span.Min, f.span.Max)
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"QueueFrames", c.QueueFrames}, {"QueueBytes", c.QueueBytes}, {"MaxHosts", c.MaxHosts}} {
		if f.value < 0 {
			return fmt.Errorf("netsim: invalid %s %d (want at least 0)", f.name, f.value)
		}
	}
	if int64(c.QueueBytes) > mostQueueBytes {
		return fmt.Errorf("netsim: invalid QueueBytes %d (want at most %d)", c.QueueBytes, int64(mostQueueBytes))
	}
	return c.Rates.Validate()
}

// Validate returns an error about the first rate that is not a probability, or nil.
func (r Rates) Validate() error {
	for _, f := range []struct {
		name string
		rate float64
	}{
		{"Loss", r.Loss}, {"Duplicate", r.Duplicate}, {"Reorder", r.Reorder}, {"Delay", r.Delay},
		{"Corrupt", r.Corrupt}, {"Reset", r.Reset}, {"HalfOpen", r.HalfOpen}, {"HintLoss", r.HintLoss},
	} {
		if !(f.rate >= 0 && f.rate <= 1) { // written so that it is also true for NaN
			return fmt.Errorf("netsim: invalid rate %s %v (want a probability from 0 to 1)", f.name, f.rate)
		}
	}
	return nil
}

// chance is a probability as a threshold for a draw of 64 bits.
type chance uint64

const certain chance = math.MaxUint64

func newChance(p float64) chance {
	if p >= 1 {
		return certain
	}
	return chance(p * (1 << 64))
}

// chances are Rates in the form in which each frame needs them.
type chances struct {
	none                                                                bool
	loss, duplicate, reorder, delay, corrupt, reset, halfOpen, hintLoss chance
}

func newChances(r Rates) chances {
	return chances{
		none:      r == Rates{},
		loss:      newChance(r.Loss),
		duplicate: newChance(r.Duplicate),
		reorder:   newChance(r.Reorder),
		delay:     newChance(r.Delay),
		corrupt:   newChance(r.Corrupt),
		reset:     newChance(r.Reset),
		halfOpen:  newChance(r.HalfOpen),
		hintLoss:  newChance(r.HintLoss),
	}
}
