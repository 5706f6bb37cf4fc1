package sim

import (
	"encoding/binary"
	"strings"
	"testing"

	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

// stored returns the sum of a state as a disk would have it.
func stored(keys map[string]node.Version) (sum uint64) {
	for key, version := range keys {
		sum += sumOf([]byte(key), append(binary.BigEndian.AppendUint64(nil, uint64(version)), "x"...))
	}
	return sum
}

// A snapshot whose state lacks a key, carries a deleted one, or has an older version
// differs from the model at the same index; the true state does not.
func TestSnapshotDiffersFromItsEntries(t *testing.T) {
	log := []node.Entry{
		{Index: 1, Kind: node.EntryNoop},
		{Index: 2, Kind: node.EntryPut, Key: []byte("a"), Value: []byte("x")},
		{Index: 3, Kind: node.EntryPut, Key: []byte("b"), Value: []byte("x")},
		{Index: 4, Kind: node.EntryDelete, Key: []byte("a")},
		{Index: 5, Kind: node.EntryPut, Key: []byte("c"), Value: []byte("x"), If: door.Condition{Present: true}},
		{Index: 6, Kind: node.EntryPut, Key: []byte("b"), Value: []byte("x"), If: door.Condition{Match: 3}},
	}
	for _, c := range []struct {
		name  string
		index node.Index
		keys  map[string]node.Version
		fires bool
	}{
		{"as it was before the delete", 3, map[string]node.Version{"a": 2, "b": 3}, false},
		{"as it is at the end", 6, map[string]node.Version{"b": 6}, false},
		{"a key is missing", 6, nil, true},
		{"a deleted key is there", 6, map[string]node.Version{"a": 2, "b": 6}, true},
		{"an older version", 6, map[string]node.Version{"b": 3}, true},
		{"a condition that did not hold", 6, map[string]node.Version{"b": 6, "c": 5}, true},
		{"ahead of its index", 5, map[string]node.Version{"b": 6}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			setup := schedule.DefaultSetup()
			r := newRun(&schedule.Schedule{Setup: setup}, RunOptions{})
			r.snapshots = newSnapshots(1)
			for i := range log {
				for range 2 { // a second replica applies it, too
					r.snapshots.partitions[0].apply(log[i].Index, &log[i], true)
				}
			}
			r.compareInstalled(installed{index: c.index}, stateDump{applied: c.index, sum: stored(c.keys)})
			if fired := len(r.verdict.violations) == 1 && strings.Contains(r.verdict.violations[0].What, "is not what the entries"); fired != c.fires || r.snapshots.compared != 1 {
				t.Fatalf("fires %v, want %v: %v", fired, c.fires, r.verdict.violations)
			}
		})
	}
}

// A run compares the snapshots that its nodes install, and says how many.
func TestInstalledSnapshotsAreCompared(t *testing.T) {
	for seed := range uint64(20) {
		drawn, err := Draw(seed+1, "default")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(drawn, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		installed := r.Probes[node.EventSnapshotInstalled]
		if r.Compared > installed {
			t.Fatalf("seed %d: %d snapshots compared of %d", seed+1, r.Compared, installed)
		}
		if installed >= 5 {
			if r.Compared == 0 {
				t.Fatalf("seed %d: none of %d snapshots was compared", seed+1, installed)
			}
			return
		}
	}
	t.Fatal("no run installed five snapshots")
}
