package world

import (
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Range is a span of durations, both ends included, from which one is drawn.
type Range struct {
	Min, Max time.Duration
}

// pick maps a word, uniform over 64 bits, into the range.
func (r Range) pick(word uint64) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + time.Duration(word%uint64(r.Max-r.Min+1))
}

// Random is keyed randomness: a draw depends on the seed and its key alone, not
// on the draws before it, so that taking one fault out of a run leaves the
// others as they were. The zero value is the source of seed 0.
type Random struct {
	seed uint64
}

// NewRandom returns the source of one seed.
func NewRandom(seed uint64) Random { return Random{seed} }

// Draw returns the word of a key: equal keys give equal words, different ones
// independent words, uniform over 64 bits.
func (r Random) Draw(purpose string, entity, sequence uint64) uint64 {
	return wordOf(r.Key(purpose, entity), sequence)
}

// Key is what draws of one purpose and entity have in common, and DrawOf the
// rest of them: Draw(purpose, entity, sequence) is
// DrawOf(Key(purpose, entity), sequence).
func (r Random) Key(purpose string, entity uint64) uint64 {
	h := mix(r.seed + 0x9e3779b97f4a7c15)
	h = mix(h ^ xxhash.Sum64String(purpose))
	return mix(h ^ entity + 0xbf58476d1ce4e5b9)
}

// DrawOf is as Key says.
func (r Random) DrawOf(key, sequence uint64) uint64 { return wordOf(key, sequence) }

func wordOf(key, sequence uint64) uint64 { return mix(key ^ sequence + 0x94d049bb133111eb) }

// Between draws a duration from a range.
func (r Random) Between(span Range, purpose string, entity, sequence uint64) time.Duration {
	if span.Max <= span.Min {
		return span.Min
	}
	return span.pick(r.Draw(purpose, entity, sequence))
}

// Chance is true perMille times in a thousand.
func (r Random) Chance(perMille int, purpose string, entity, sequence uint64) bool {
	return perMille > 0 && r.Draw(purpose, entity, sequence)%1000 < uint64(perMille)
}

// Below draws a number from 0 to n-1. It panics if n is not above 0.
func (r Random) Below(n int, purpose string, entity, sequence uint64) int {
	if n <= 0 {
		panic("sim: a draw below a number that is not above 0")
	}
	return int(r.Draw(purpose, entity, sequence) % uint64(n))
}

// Float draws a number from [0, 1).
func (r Random) Float(purpose string, entity, sequence uint64) float64 {
	return float64(r.Draw(purpose, entity, sequence)>>11) / (1 << 53)
}

// LogScale draws a number between low and high, both above 0, so that each
// order of magnitude is as likely as the next.
func (r Random) LogScale(low, high float64, purpose string, entity, sequence uint64) float64 {
	return low * math.Pow(high/low, r.Float(purpose, entity, sequence))
}

// mix is the finalizer of splitmix64: a bijection in which each bit of the
// result depends on all bits of the argument.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// draws is one entity's supply for one purpose, numbered in the order of use.
type draws struct {
	random  Random
	purpose string
	entity  uint64
	next    uint64
	key     uint64 // hash of all but the sequence; 0: not yet made
}

// word is what Random.Draw says of the next number.
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

// float is a number from [0, 1).
func (d *draws) float() float64 { return float64(d.word()>>11) / (1 << 53) }

// below is a number from 0 to n-1; n is above 0.
func (d *draws) below(n int) int { return int(d.word() % uint64(n)) }

// Uint64 makes draws a node.Random.
func (d *draws) Uint64() uint64 { return d.word() }
