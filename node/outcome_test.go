package node

import (
	"testing"

	"dkv/node/door"
)

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name      string
		condition door.Condition
		version   Version // 0: the key is absent
		holds     bool
	}{
		{"none, absent", door.Condition{}, 0, true},
		{"none, present", door.Condition{}, 5, true},
		{"absent, absent", door.Condition{Absent: true}, 0, true},
		{"absent, present", door.Condition{Absent: true}, 5, false},
		{"match, absent", door.Condition{Match: 5}, 0, false},
		{"match, the same", door.Condition{Match: 5}, 5, true},
		{"match, older", door.Condition{Match: 5}, 4, false},
		{"match, newer", door.Condition{Match: 5}, 6, false},
		{"present, absent", door.Condition{Present: true}, 0, false},
		{"present, present", door.Condition{Present: true}, 1, true},
		{"present and match", door.Condition{Present: true, Match: 5}, 5, true},
		{"present and another match", door.Condition{Present: true, Match: 5}, 4, false},
		{"absent and present never", door.Condition{Absent: true, Present: true}, 5, false},
		{"present and absent never", door.Condition{Absent: true, Present: true}, 0, false},
	} {
		if got := c.condition.Holds(c.version); got != c.holds {
			t.Errorf("%s: %v, want %v", c.name, got, c.holds)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for outcome, name := range map[door.Outcome]string{door.Done: "done", door.Refused: "refused", door.Unknown: "unknown", 0: "invalid", 9: "invalid"} {
		if outcome.String() != name {
			t.Errorf("outcome %d is called %q, want %q", outcome, outcome, name)
		}
	}
	if r := refused("why"); r.Outcome != door.Refused || r.Busy || r.Reason != "why" {
		t.Errorf("refused: %+v", r)
	}
	if r := busy("why"); r.Outcome != door.Refused || !r.Busy || r.Reason != "why" {
		t.Errorf("busy: %+v", r)
	}
	if r := unknown("why"); r.Outcome != door.Unknown || r.Busy || r.Reason != "why" {
		t.Errorf("unknown: %+v", r)
	}
	if door.RequestGet.Writes() || !door.RequestPut.Writes() || !door.RequestDelete.Writes() {
		t.Error("puts and deletes are writes, gets are not")
	}
}
