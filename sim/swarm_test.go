package sim

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"dkv/netsim"
	"dkv/sim/schedule"
	"dkv/zksim"
)

func TestDrawnSchedulesAreValidAndPrintable(t *testing.T) {
	for _, name := range Profiles() {
		for seed := range uint64(200) {
			s, err := Draw(seed, name)
			if err != nil {
				t.Fatal(err)
			}
			read, err := schedule.Parse(s.String())
			if err != nil {
				t.Fatalf("profile %s seed %d: %v\n%s", name, seed, err, s)
			}
			if !reflect.DeepEqual(read, s) {
				t.Fatalf("profile %s seed %d: drawn\n%s\nread\n%s", name, seed, s, read)
			}
		}
	}
}

// The faults that only one store has come on top: the rest of a seed's schedule
// stays the same.
func TestDrawOnAddsTheFaultsOfTheStore(t *testing.T) {
	added := 0
	for seed := range uint64(100) {
		model, _ := DrawOn(seed, "default", schedule.ModelStore)
		pebble, _ := DrawOn(seed, "default", schedule.PebbleStore)
		raw, _ := DrawOn(seed, "default", schedule.PebbleRaw)
		if pebble.Setup.Store = schedule.ModelStore; !reflect.DeepEqual(model, pebble) {
			t.Fatalf("seed %d: the model has\n%s\nand Pebble\n%s", seed, model, pebble)
		}
		all := len(raw.Steps)
		raw.Steps = slices.DeleteFunc(raw.Steps, func(s schedule.Step) bool { return s.Do == schedule.DiskFlipTable || s.Do == schedule.DiskFlipWAL })
		added += all - len(raw.Steps)
		if raw.Setup.Store = schedule.ModelStore; !reflect.DeepEqual(model, raw) {
			t.Fatalf("seed %d: the model has\n%s\nand pebble-raw\n%s", seed, model, raw)
		}
	}
	if added < 50 {
		t.Fatalf("%d flipped bits in 100 schedules", added)
	}
}

func TestUseStoreRefusesWhatOnlyPebbleCanDo(t *testing.T) {
	s, err := schedule.Parse("store pebble-raw\nat 1s disk-flip-table n1 for 1s")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UseStore(schedule.PebbleStore); err == nil || s.Setup.Store != schedule.PebbleRaw {
		t.Fatalf("a flipped bit on store %s: %v", s.Setup.Store, err)
	}
	s.Steps = nil
	if err := s.UseStore(schedule.PebbleStore); err != nil || s.Setup.Store != schedule.PebbleStore {
		t.Fatalf("store %s: %v", s.Setup.Store, err)
	}
}

func TestDrawIsAFunctionOfSeedAndProfile(t *testing.T) {
	a, _ := Draw(42, "default")
	b, _ := Draw(42, "default")
	if !reflect.DeepEqual(a, b) {
		t.Fatal("two draws of one seed differ")
	}
	c, _ := Draw(43, "default")
	if reflect.DeepEqual(a, c) {
		t.Fatal("two seeds draw the same")
	}
	if _, err := Draw(1, "nonsense"); err == nil || !strings.Contains(err.Error(), "default") {
		t.Fatalf("an unknown profile gives %v, want an error that lists the profiles", err)
	}
}

func TestCalmProfileHasNoFaults(t *testing.T) {
	s, _ := Draw(7, "calm")
	if len(s.Steps) > 0 || s.Setup.Rates != (netsim.Rates{}) {
		t.Fatalf("the calm profile draws faults:\n%s", s)
	}
}

// Each action must be on in some runs and off in others.
func TestSwarmTurnsEveryActionOnAndOff(t *testing.T) {
	const runs = 400
	with := make(map[*schedule.Action]int)
	large := 0
	for seed := range uint64(runs) {
		s, _ := DrawOn(seed, "default", schedule.PebbleRaw)
		has := make(map[*schedule.Action]bool)
		for i := range s.Steps {
			has[s.Steps[i].Do] = true
		}
		for a := range has {
			with[a]++
		}
		if s.Setup.Nodes >= 5 {
			large++
		}
	}
	for _, a := range schedule.Actions() {
		switch a {
		case schedule.Restart, schedule.Resume, schedule.Heal, schedule.ZKHeal, schedule.ZKUp: // schedules use "for" instead
			continue
		case schedule.ZKLoseAll: // after it no cluster can keep its promises
			if with[a] > 0 {
				t.Errorf("%v is drawn", a)
			}
			continue
		}
		if with[a] == 0 || with[a] == runs {
			t.Errorf("%v is on in %d of %d runs", a, with[a], runs)
		}
	}
	if large < runs*60/100 || large > runs*80/100 {
		t.Errorf("%d of %d runs have five nodes or more, want about 70%%", large, runs)
	}
}

// A third of the runs are lean: they have no rates and at most four fifths as
// many kinds of step as the others. A narrow profile has no such runs.
func TestSomeRunsAreLean(t *testing.T) {
	const runs = 300
	count := func(profile string) (lean int, kinds, others float64) {
		for seed := range uint64(runs) {
			s, _ := Draw(seed, profile)
			has := make(map[*schedule.Action]bool)
			for i := range s.Steps {
				has[s.Steps[i].Do] = true
			}
			if s.Setup.Rates == (netsim.Rates{}) && s.Setup.ZKRates == (zksim.Rates{}) {
				lean++
				kinds += float64(len(has))
			} else {
				others += float64(len(has))
			}
		}
		return lean, kinds / float64(max(1, lean)), others / float64(max(1, runs-lean))
	}
	if lean, kinds, others := count("default"); lean < runs*28/100 || lean > runs*42/100 || kinds > others*4/5 {
		t.Errorf("%d of %d runs are lean, with %.1f kinds of step; the others have %.1f", lean, runs, kinds, others)
	}
	if lean, _, _ := count("network"); lean > runs*15/100 {
		t.Errorf("%d of %d runs of a narrow profile have no rates", lean, runs)
	}
}
