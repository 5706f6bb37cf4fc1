package world

import (
	"fmt"
	"math/bits"
	"strings"

	"dkv/sim/schedule"
)

// TurnSizes counts turns by the number of their events: the first number counts those
// with one event, the next those with two to three, then four to seven, and so on. Turns
// without events are not counted.
type TurnSizes [turnClasses]uint64

const turnClasses = 9 // the last is that of schedule.MostTurn

func (t *TurnSizes) add(events int) {
	if events > 0 {
		t[min(bits.Len(uint(events)), turnClasses)-1]++
	}
}

// Add adds the turns of another table.
func (t *TurnSizes) Add(o *TurnSizes) {
	for i, n := range o {
		t[i] += n
	}
}

// Share returns which part of the turns, from 0 to 1, had at least so many events, which
// must be a power of two.
func (t *TurnSizes) Share(least int) float64 {
	all, some := uint64(0), uint64(0)
	for i, n := range t {
		if all += n; 1<<i >= least {
			some += n
		}
	}
	return float64(some) / float64(max(1, all))
}

// String lists the share of each class that occurred.
func (t *TurnSizes) String() string {
	var b strings.Builder
	for i, n := range t {
		if n == 0 {
			continue
		}
		class := fmt.Sprintf("%d-%d", 1<<i, 2<<i-1)
		switch i {
		case 0:
			class = "1"
		case turnClasses - 1:
			class = fmt.Sprint(schedule.MostTurn)
		}
		fmt.Fprintf(&b, "  %s: %.3g %%", class, 100*(t.Share(1<<i)-t.Share(2<<i)))
	}
	return b.String()
}

// Turns returns the sizes of all turns so far.
func (w *World) Turns() TurnSizes { return w.turns }
