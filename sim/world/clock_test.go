package world

import (
	"dkv/sim/schedule"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestClockKeepsItsRateAndNeverWakesEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(0, schedule.MaxDriftPPM).Draw(t, "bound")
		c := newClock(NewRandom(rapid.Uint64().Draw(t, "seed")), 3, bound)
		if c.ppm < -int64(bound) || c.ppm > int64(bound) {
			t.Fatalf("drift %d beyond %d", c.ppm, bound)
		}
		now := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "now"))
		span := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "span"))
		passed := float64(c.read(now+span) - c.read(now))
		low, high := float64(span)*(1-float64(bound)/1e6)-3, float64(span)*(1+float64(bound)/1e6)+3
		if passed < low*(1-1e-12) || passed > high*(1+1e-12) {
			t.Fatalf("%v passed as %v with a bound of %d ppm", span, time.Duration(passed), bound)
		}
		d := time.Duration(rapid.Int64Range(-5, int64(time.Hour)).Draw(t, "d"))
		wait := c.trueTime(now, d)
		if c.read(now+wait) < c.read(now)+d {
			t.Fatalf("an alarm set for %v at %v went off %v early", d, now, c.read(now)+d-c.read(now+wait))
		}
		if wait > 0 && c.read(now+wait-1) >= c.read(now)+d {
			t.Fatalf("an alarm set for %v at %v went off later than necessary", d, now)
		}
	})
}

func TestClocksDiffer(t *testing.T) {
	a, b := newClock(NewRandom(1), 0, 1000), newClock(NewRandom(1), 1, 1000)
	if a == b || a.ppm == b.ppm || a.began == b.began {
		t.Errorf("two hosts have clocks %v and %v", a, b)
	}
	if exact := newClock(NewRandom(1), 0, 0); exact.ppm != 0 {
		t.Errorf("without drift the clock has %d ppm", exact.ppm)
	}
}
