package schedule

import (
	"strings"
	"testing"
	"time"
)

// An Order that a program builds, without the parser, is checked too.
func TestOrderIsValidated(t *testing.T) {
	for _, test := range []struct {
		order Order
		names string
	}{
		{Order{Mode: "random"}, "Mode"},
		{Order{Window: -1}, "Window"},
		{Order{Window: maxWindow + 1}, "Window"},
		{Order{Depth: -1}, "Depth"},
		{Order{Span: -1}, "Span"},
		{Order{From: -1}, "From"},
		{Order{Picks: "3"}, "Picks"},
		{Order{Picks: "3:1,2:1"}, "Picks"},
		{Order{Picks: Picks(strings.TrimSuffix(strings.Repeat("0:1,", maxPicks+1), ","))}, "Picks"},
		{Order{Crash: CrashPoint{Host: -1, Step: 1}}, "Crash.Host"},
		{Order{Crash: CrashPoint{Host: MaxNodes, Step: 1}}, "Crash.Host"},
		{Order{Crash: CrashPoint{Step: -1}}, "Crash.Step"},
		{Order{Crash: CrashPoint{Step: MaxRunSteps + 1}}, "Crash.Step"},
		{Order{Crash: CrashPoint{Step: 1, Restart: -1}}, "Crash.Restart"},
	} {
		if err := test.order.Validate(); err == nil || !strings.Contains(err.Error(), test.names) {
			t.Errorf("%+v: %v, want an error that names %s", test.order, err, test.names)
		}
	}
	for _, order := range []Order{
		{}, {Mode: PCT, Depth: 3, Span: 100, Window: maxWindow},
		{Mode: Steered, From: time.Second, Picks: "3:1,9:2", Crash: CrashPoint{Host: MaxNodes - 1, Step: MaxRunSteps, Restart: time.Second}},
	} {
		if err := order.Validate(); err != nil {
			t.Errorf("%+v: %v", order, err)
		}
	}
}
