package sim

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// unlike is the n-th of runs that differ from one another in everything that a
// campaign counts.
func unlike(n int) *Result {
	r := good()
	r.Events, r.Virtual = uint64(1000+n), time.Duration(n)*time.Second
	r.PrimaryChanges = (n * 7) % 5
	r.Called, r.Done, r.Unknown, r.UnknownSeen, r.Compared = 100+n, 60+n, 10, uint64(n%2), uint64(n%3)
	for b := range r.Uses {
		r.Uses[b] = Use{boundNames[b], n * (b + 1) % 7, 10 + n%4}
	}
	r.Schedule.Setup.Nodes = 3 + n%5
	r.History = r.History[:300-n]
	for i := range r.Counters {
		r.Counters[i].Count = uint64(i * n % 3)
	}
	for k := range r.Probes[1:] {
		r.Probes[k+1] = uint64((k + n) % 4)
	}
	if n%3 == 0 {
		r.Classes = []Class{Linearizability, Progress}
	}
	return r
}

// written is a campaign's tally after it was written down and read again.
func written(t *testing.T, c *Campaign) Tally {
	t.Helper()
	text, err := json.Marshal(c.Tally())
	if err != nil {
		t.Fatal(err)
	}
	var tally Tally
	if err := json.Unmarshal(text, &tally); err != nil {
		t.Fatal(err)
	}
	return tally
}

func TestTalliesAddUpToOneCampaign(t *testing.T) {
	whole, sum := NewCampaign("default"), NewCampaign("default")
	parts := []*Campaign{NewCampaign("default"), NewCampaign("default"), NewCampaign("default")} // the last stays empty
	for n := range 12 {
		r, took := unlike(n), time.Duration(n)*time.Millisecond
		whole.Add(r, took)
		parts[n%2].Add(r, took)
	}
	for _, part := range parts {
		if err := sum.AddTally(written(t, part)); err != nil {
			t.Fatal(err)
		}
	}
	if sum.Tables() != whole.Tables() {
		t.Errorf("the parts add up to\n%s\nand the whole is\n%s", sum.Tables(), whole.Tables())
	}
	if a, b := written(t, sum), written(t, whole); !reflect.DeepEqual(a, b) {
		t.Errorf("the parts add up to\n%+v\nand the whole is\n%+v", a, b)
	}
	if !reflect.DeepEqual(sum.Fired(), []Class{Linearizability, Progress}) {
		t.Errorf("classes %v fired", sum.Fired())
	}
	if sum.Err().Error() != whole.Err().Error() {
		t.Errorf("the parts say %v, the whole %v", sum.Err(), whole.Err())
	}
}

func TestTallyThatDoesNotFitIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Tally)
		want   string
	}{
		{"a run more", func(t *Tally) { t.Runs++ }, "counts 2 runs"},
		{"an unknown class", func(t *Tally) { t.ByClass["X"] = 1 }, `no class "X"`},
		{"other probes", func(t *Tally) { t.Probes[3].Name = "other" }, "probes"},
		{"other bounds", func(t *Tally) { t.Bounds = t.Bounds[1:] }, "bounds"},
		{"a fault less", func(t *Tally) { t.Faults = t.Faults[1:] }, "faults"},
		{"larger clusters", func(t *Tally) { t.Nodes = append(t.Nodes, 0) }, "tables"},
	} {
		one, sum := NewCampaign("default"), NewCampaign("default")
		one.Add(good(), time.Second)
		sum.Add(good(), time.Second)
		before := sum.Tables()
		tally := written(t, one)
		c.change(&tally)
		if err := sum.AddTally(tally); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if sum.Tables() != before {
			t.Errorf("%s: it was refused, and counted", c.name)
		}
	}
}

func TestCampaignKnowsHowMuchItReached(t *testing.T) {
	c := NewCampaign("default")
	if faults, _, probes, _ := c.Reached(); faults != 0 || probes != 0 {
		t.Errorf("before any run: %d faults, %d probes", faults, probes)
	}
	r := good()
	r.Counters[0].Count, r.Counters[1].Count, r.UnknownSeen, r.Compared = 0, 0, 0, 0
	c.Add(r, time.Second)
	faults, ofFaults, probes, ofProbes := c.Reached()
	if ofFaults != len(new(Campaign).drawn()) || faults != ofFaults-2 || ofProbes != len(probeKinds())+len(ownProbes) || probes != ofProbes-len(ownProbes) {
		t.Errorf("%d of %d faults, %d of %d probes", faults, ofFaults, probes, ofProbes)
	}
	if zeros := c.Zeros(); len(zeros) != 2+len(ownProbes) {
		t.Errorf("zeros: %v", zeros)
	}
}
