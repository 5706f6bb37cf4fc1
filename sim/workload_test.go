package sim

import (
	"testing"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/ring"
	"dkv/sim/schedule"

	"github.com/cespare/xxhash/v2"
)

func TestBoundaryKeysLieNextToTheEnds(t *testing.T) {
	const q = 5
	keys := chooseKeys(&schedule.Workload{Shape: schedule.Boundary, Keys: 10}, q)
	for i, key := range keys {
		p := i / 2 % q
		hash := xxhash.Sum64String(key)
		want := p
		if i%2 == 1 {
			want = (p + q - 1) % q // just before the point
		}
		if got := ring.PartitionOf([]byte(key), q); got != want {
			t.Errorf("key %s lies in partition %d, want %d", key, got, want)
		}
		distance := min(hash-ring.Point(p, q), ring.Point(p, q)-hash)
		if distance > 1<<64/200 {
			t.Errorf("key %s is %d away from the point of partition %d", key, distance, p)
		}
	}
}

func TestKeyInFindsAKeyOfEachPartition(t *testing.T) {
	for p := range node.PartitionID(16) {
		if got := ring.PartitionOf([]byte(keyIn(p, 16)), 16); got != int(p) {
			t.Errorf("the key of partition %d lies in %d", p, got)
		}
	}
}

// The checker needs values that identify their writes, and conditions of which
// some hold and some do not.
func TestWorkloadOfARun(t *testing.T) {
	s, err := Draw(3, "calm")
	if err != nil {
		t.Fatal(err)
	}
	s.Setup.Workload.Get, s.Setup.Workload.Put, s.Setup.Workload.Delete, s.Setup.Workload.Conditional = 30, 30, 10, 30
	r, err := Run(s, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Classes) > 0 {
		t.Fatalf("a calm run fails: %v", r.Violations)
	}
	if err := linearizability.Validate(r.History); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]bool)
	var kinds [4]int
	conditions, held := 0, 0
	for i := range r.History {
		op := &r.History[i]
		kinds[op.Kind]++
		if op.Kind == linearizability.Put {
			if values[op.Value] {
				t.Fatalf("value %q is written twice", op.Value)
			}
			values[op.Value] = true
		}
		if op.IfAbsent || op.IfMatch != 0 {
			conditions++
			if op.Outcome == linearizability.OK && !op.Answer.ConditionFailed {
				held++
			}
		}
	}
	if kinds[linearizability.Get] == 0 || kinds[linearizability.Put] == 0 || kinds[linearizability.Delete] == 0 {
		t.Errorf("kinds %v: one is missing", kinds)
	}
	if conditions < 50 || held == 0 || held == conditions {
		t.Errorf("%d of %d conditions held: want some and not all", held, conditions)
	}
	if r.Called != r.Done {
		t.Errorf("%d of %d operations done in a calm run: refused %d, unknown %d", r.Done, r.Called, r.Refused, r.Unknown)
	}
}
