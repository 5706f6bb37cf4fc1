package campaign

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dkv/sim"
)

// keysOf lists the paths of all keys below a value; of a list, those of its
// first element.
func keysOf(path string, value any) []string {
	var keys []string
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			keys = append(keys, path+key)
			keys = append(keys, keysOf(path+key+".", below)...)
		}
	case []any:
		if len(v) > 0 {
			keys = keysOf(path, v[0])
		}
	case nil:
		keys = append(keys, path+"null")
	}
	return keys
}

// schemaOne is what readers of version 1 may rely on. What is added stands here
// too; what goes, or means something else, makes another version.
const schemaOne = `
version kind complete whole failures_left_out never wrong wall_ns seeds_per_second events_per_second_and_core report
build build.commit build.modified build.go build.platform build.binary_sha256
flags flags.seeds
plan plan.profile plan.store plan.from plan.to plan.shards
shards
ran ran.from ran.to ran.step
failures failures.seed failures.classes failures.first failures.what failures.trace failures.reproduce failures.report
exit exit.status exit.means
tally tally.runs tally.failed tally.events tally.virtual_ns tally.core_ns tally.pebble_raw
tally.runs_by_primary_changes tally.runs_by_nodes
tally.failed_by_class tally.failed_by_class.L tally.failed_by_class.D tally.failed_by_class.R tally.failed_by_class.I
tally.failed_by_class.A tally.failed_by_class.C tally.failed_by_class.V tally.failed_by_class.B
tally.faults tally.faults.name tally.faults.drawn tally.faults.times tally.faults.runs
tally.probes tally.probes.name tally.probes.drawn tally.probes.times tally.probes.runs
tally.bounds tally.bounds.name tally.bounds.worst tally.bounds.bound
tally.operations tally.operations.called tally.operations.done tally.operations.refused tally.operations.unknown
tally.operations.fewest_of_a_run
tally.turns_by_events
`

func TestResultsHaveTheSchemaOfTheirVersion(t *testing.T) {
	c := sham(map[uint64]sim.Class{2: sim.Progress})
	c.JSON, c.described = filepath.Join(t.TempDir(), "results.json"), maxDescribed
	c.Flags = map[string]string{"seeds": "1-12"}
	shown(t, c)
	text, err := os.ReadFile(c.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var parsed any
	if err := json.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	got, want := keysOf("", parsed), strings.Fields(schemaOne)
	slices.Sort(got)
	slices.Sort(want)
	for _, key := range got {
		if !slices.Contains(want, key) {
			t.Errorf("%s is new", key)
		}
	}
	for _, key := range want {
		if !slices.Contains(got, key) {
			t.Errorf("%s is missing", key)
		}
	}
}
