package sim

import (
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// good is a run that reached everything.
func good() *Result {
	r := &Result{Schedule: &schedule.Schedule{Setup: schedule.DefaultSetup()}, Events: 1000, PrimaryChanges: 3, Called: 100, Done: 70, Refused: 20, Unknown: 10, UnknownSeen: 1, Compared: 1}
	for _, name := range new(Campaign).drawn() {
		r.Counters = append(r.Counters, world.Counter{Name: name, Count: 1})
	}
	for k := range r.Probes {
		r.Probes[k] = 1
	}
	r.Turns[0], r.Turns[6] = 899, 100
	r.History = make([]linearizability.Operation, 300)
	return r
}

func TestCampaignJudgesWhatItSaw(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *Result)
		want   string
	}{
		{"all is well", func(*Result) {}, ""},
		{"a run failed", func(r *Result) { r.Classes = []Class{Progress} }, "1000 of 1000 runs failed"},
		{"a fault never took effect", func(r *Result) { r.Counters[3].Count = 0 }, "never: fault " + new(Campaign).drawn()[3]},
		{"a probe was never hit", func(r *Result) { r.Probes[node.EventRelayed] = 0 }, "never: probe forward-relayed"},
		{"no unknown write was seen", func(r *Result) { r.UnknownSeen = 0 }, "never: probe unknown-write-seen-later"},
		{"no snapshot was compared", func(r *Result) { r.Compared = 0 }, "never: probe installed-snapshot-compared"},
		{"too few operations", func(r *Result) { r.History = r.History[:299] }, "only 299 operations"},
		{"too few done", func(r *Result) { r.Done = 59 }, "59.0 % of the operations called under faults were done"},
		{"too few unknown", func(r *Result) { r.Unknown = 1 }, "ended unknown"},
		{"too calm", func(r *Result) { r.PrimaryChanges = 2 }, "2 changes of primary"},
		{"turns too short", func(r *Result) { r.Turns[0] = 950 }, "9.5 % of the turns had two events or more"},
		{"no turn of many events", func(r *Result) { r.Turns[6] = 0 }, "no turn had 64 events or more"},
		{"too small", func(r *Result) { r.Schedule.Setup.Nodes = 4 }, "five nodes or more"},
	} {
		r := good()
		c.change(r)
		sum := NewCampaign("default")
		for range judgedFrom {
			sum.Add(r, time.Millisecond)
		}
		err := sum.Err()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCampaignOfFewRunsIsNotJudgedAsAWhole(t *testing.T) {
	sum := NewCampaign("default")
	r := good()
	r.PrimaryChanges = 0
	sum.Add(r, time.Second)
	if err := sum.Err(); err != nil {
		t.Fatal(err)
	}
	if rate := sum.Rate(); rate != 1000 {
		t.Fatalf("%v events a second, want 1000", rate)
	}
	tables := sum.Tables()
	for _, want := range []string{"faults that took effect", "probes hit", "done 70.0 %", "5: 100 %"} {
		if !strings.Contains(tables, want) {
			t.Errorf("the tables lack %q:\n%s", want, tables)
		}
	}
}

func TestParseSeeds(t *testing.T) {
	for text, want := range map[string]Seeds{"7": {1, 7}, "5-9": {5, 9}, "3-3": {3, 3}} {
		if got, err := ParseSeeds(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "9-5", "1-2-3", "-3"} {
		if got, err := ParseSeeds(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
