package sim

import (
	"fmt"
	"strings"
)

// Use is how near runs came to one bound of class B.
type Use struct {
	Name  string `json:"name"`
	Worst int    `json:"worst"` // of the run with the greatest share of its bound
	Bound int    `json:"bound"` // in that run; 0: no run came near it
}

// above reports whether a use is a greater share of its bound than another one.
func (u Use) above(v Use) bool {
	return v.Bound == 0 || float64(u.Worst)*float64(v.Bound) > float64(v.Worst)*float64(u.Bound)
}

// bound names a bound of class B that depends on a run's settings.
type bound int

const (
	boundTables bound = iota
	boundLogEntries
	boundLogBytes
	boundResends
	boundOffers
	boundCopies
	boundForwards
	boundFrames
	boundBytes
	boundResendBytes
	boundQuiet
	bounds
)

var boundNames = [bounds]string{
	"tables of a reign", "entries of a log", "bytes of a log", "resends at once", "offers at once", "copies of a forward",
	"forwards", "frames", "bytes", "bytes of resends", "milliseconds until quiet",
}

// uses is how near a run comes to each bound.
type uses [bounds]Use

func newUses() *uses {
	u := new(uses)
	for b, name := range boundNames {
		u[b].Name = name
	}
	return u
}

// within notes a value and its bound, which is positive, and reports whether the value is
// within it.
func (u *uses) within(b bound, value, most int) bool {
	u.add(b, Use{boundNames[b], value, most})
	return value <= most
}

// String returns a table.
func (u *uses) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %12s %12s\n", "bounds, in the run nearest to each", "used", "bound")
	for _, use := range u {
		fmt.Fprintf(&b, "  %-32s %12d %12d   %.0f %%\n", use.Name, use.Worst, use.Bound, percent(use.Worst, use.Bound))
	}
	return b.String()
}

// add keeps the use that is the greater share of its bound.
func (u *uses) add(b bound, v Use) {
	if v.Bound > 0 && v.above(u[b]) {
		u[b] = v
	}
}
