package world

import (
	"fmt"
	"testing"
	"time"
)

// TestFirstDifferenceIsTheFirst compares hand-made records.
func TestFirstDifferenceIsTheFirst(t *testing.T) {
	record := func(like *StepRecord, payloads ...uint64) *StepRecord {
		r := &StepRecord{Like: like}
		trace := newTrace(r)
		for i, p := range payloads {
			trace.step(time.Duration(i), uint64(i), 0, kindMessage, p)
			trace.print(time.Duration(i), 0, kindMessage, fmt.Sprintf("hello %d", p))
		}
		return r
	}
	for _, c := range []struct {
		second []uint64
		want   string
	}{
		{[]uint64{5, 6, 7}, ""},
		{[]uint64{5, 9, 7}, "step 2:\n  first:  1ns n1 message sequence=1 content=0000000000000006 hello 6\n  second: 1ns n1 message sequence=1 content=0000000000000009 hello 9"},
		{[]uint64{5, 6}, "step 3:\n  first:  2ns n1 message sequence=2 content=0000000000000007 hello 7\n  second: the run is over"},
		{[]uint64{5, 6, 7, 8}, "step 4:\n  first:  the run is over\n  second: 3ns n1 message sequence=3 content=0000000000000008 hello 8"},
	} {
		got := record(record(nil, 5, 6, 7), c.second...).Difference()
		if want := c.want; want != "" && got != "the first difference is "+want || want == "" && got != "" {
			t.Errorf("%v: %q, want %q", c.second, got, want)
		}
	}
}
