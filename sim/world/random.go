package world

import (
	"fmt"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Range is a range of durations, both ends included, from which one is drawn.
type Range struct {
	Min, Max time.Duration
}

// pick maps a uniform 64-bit word into the range.
func (r Range) pick(word uint64) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + time.Duration(word%uint64(r.Max-r.Min+1))
}

// Random is a source of keyed draws. A draw depends on the seed and its key alone,
// not on earlier draws. Shrinking needs that: when it takes one fault out of a run,
// the others stay as they were. The zero value is the source of seed 0.
type Random struct {
	seed uint64
}

// NewRandom returns the source of one seed.
func NewRandom(seed uint64) Random { return Random{seed} }

// Draw returns a uniform 64-bit word. Equal keys give equal words, different keys
// independent ones. An entity is a host, a client or the like, and sequence numbers
// its draws for the purpose.
func (r Random) Draw(purpose string, entity, sequence uint64) uint64 {
	return wordOf(r.Key(purpose, entity), sequence)
}

// Key returns the part of a key's hash that all draws of one purpose and entity
// share, to be computed once and passed to DrawOf.
func (r Random) Key(purpose string, entity uint64) uint64 {
	h := mix(r.seed + 0x9e3779b97f4a7c15)
	h = mix(h ^ xxhash.Sum64String(purpose))
	return mix(h ^ entity + 0xbf58476d1ce4e5b9)
}

// DrawOf returns Draw(purpose, entity, sequence) for key = Key(purpose, entity).
func (r Random) DrawOf(key, sequence uint64) uint64 { return wordOf(key, sequence) }

func wordOf(key, sequence uint64) uint64 { return mix(key ^ sequence + 0x94d049bb133111eb) }

// Between draws a duration within a range.
func (r Random) Between(span Range, purpose string, entity, sequence uint64) time.Duration {
	if span.Max <= span.Min {
		return span.Min
	}
	return span.pick(r.Draw(purpose, entity, sequence))
}

// Chance returns true with a probability of perMille in a thousand.
func (r Random) Chance(perMille int, purpose string, entity, sequence uint64) bool {
	return perMille > 0 && r.Draw(purpose, entity, sequence)%1000 < uint64(perMille)
}

// Below draws a number from 0 to n-1. It panics if n is not above 0.
func (r Random) Below(n int, purpose string, entity, sequence uint64) int {
	if n <= 0 {
		panic(fmt.Sprintf("world: Random.Below(%d): the bound must be above 0", n))
	}
	return int(r.Draw(purpose, entity, sequence) % uint64(n))
}

// Float draws a number from [0, 1).
func (r Random) Float(purpose string, entity, sequence uint64) float64 {
	return float64(r.Draw(purpose, entity, sequence)>>11) / (1 << 53)
}

// LogScale draws a number between low and high, both above 0. Every order of
// magnitude is equally likely.
func (r Random) LogScale(low, high float64, purpose string, entity, sequence uint64) float64 {
	return low * math.Pow(high/low, r.Float(purpose, entity, sequence))
}

// mix is the finalizer of splitmix64: a bijection that makes each bit of the result
// depend on all bits of the argument.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// draws is the sequence of one entity's draws for one purpose.
type draws struct {
	random  Random
	purpose string
	entity  uint64
	next    uint64 // sequence number of the last draw
	key     uint64 // random.Key(purpose, entity); 0 before the first draw
}

// word returns the next draw.
func (d *draws) word() uint64 {
	d.next++
	if d.key == 0 {
		d.key = d.random.Key(d.purpose, d.entity)
	}
	return wordOf(d.key, d.next)
}

func (d *draws) within(span Range) time.Duration {
	if span.Max <= span.Min {
		return span.Min
	}
	return span.pick(d.word())
}

// float draws a number from [0, 1).
func (d *draws) float() float64 { return float64(d.word()>>11) / (1 << 53) }

// below draws a number from 0 to n-1; n is above 0.
func (d *draws) below(n int) int { return int(d.word() % uint64(n)) }

// Uint64 makes *draws a door.Random.
func (d *draws) Uint64() uint64 { return d.word() }
