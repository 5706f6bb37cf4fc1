package sim

import (
	"dkv/sim/schedule"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// comparedSeeds is the number of seeds that go test runs on the model and on
// Pebble.
const comparedSeeds = 20

// A run is the same whether its disks are the model or Pebble.
func TestPebbleTakesTheStepsOfTheModel(t *testing.T) {
	for seed := uint64(1); seed <= comparedSeeds; seed++ {
		profile := [...]string{"default", "disk"}[seed%2]
		t.Run(fmt.Sprintf("seed=%d profile=%s", seed, profile), func(t *testing.T) {
			t.Parallel()
			var results [2]*Result
			for i, store := range []schedule.Store{schedule.ModelStore, schedule.PebbleStore} {
				s, err := DrawOn(seed, profile, store)
				if err != nil {
					t.Fatal(err)
				}
				if results[i], err = Run(s, RunOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			model, pebble := results[0], results[1]
			if model.Trace != pebble.Trace || model.Steps != pebble.Steps {
				t.Errorf("traces %016x of %d steps and, on Pebble, %016x of %d", model.Trace, model.Steps, pebble.Trace, pebble.Steps)
			}
			if !reflect.DeepEqual(model.History, pebble.History) || !reflect.DeepEqual(model.Counters, pebble.Counters) {
				t.Error("histories or counters differ")
			}
			if len(model.Classes)+len(pebble.Classes) > 0 {
				t.Errorf("classes %v and %v", model.Classes, pebble.Classes)
			}
		})
	}
}

// TestRawPebbleIsSafe runs a few seeds over torn and damaged files.
func TestRawPebbleIsSafe(t *testing.T) {
	sum := NewCampaign("disk")
	for seed := uint64(1); seed <= 12; seed++ {
		s, err := DrawOn(seed, "disk", schedule.PebbleRaw)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Violations {
			t.Errorf("seed %d: %v", seed, v)
		}
		sum.Add(r, 0)
	}
	for _, k := range sum.counters {
		if slices.Contains([]string{"disk-torn", "disk-flip-table"}, k.Name) && k.Count == 0 {
			t.Errorf("%s never took effect", k.Name)
		}
	}
}

// TestDamageNeverTakesAMajority strikes all disks of a cluster: the second and the
// third are spared, and the cluster continues to serve.
func TestDamageNeverTakesAMajority(t *testing.T) {
	s, err := schedule.Parse("seed 1\nnodes 3\nreplication 3\nstore pebble-raw\n" +
		"at 6s crash n1 for 100ms\nat 9s crash n2 for 100ms\nat 12s crash n3 for 100ms\n" + // tables are made of the logs
		"at 15s disk-flip-table n1 for 1s\nat 19s disk-flip-table n2 for 1s\nat 23s disk-flip-table n3 for 1s")
	if err != nil {
		t.Fatal(err)
	}
	spared := 0
	r, err := Run(s, RunOptions{Note: func(_ time.Duration, what string) {
		if strings.HasPrefix(what, "no bit was flipped") {
			spared++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if spared != 2 || len(r.Violations) > 0 {
		t.Errorf("%d of 3 disks were spared: %v", spared, r.Violations)
	}
}
