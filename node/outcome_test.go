package node

import "testing"

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name      string
		condition Condition
		version   Version // 0: the key is absent
		holds     bool
	}{
		{"none, absent", Condition{}, 0, true},
		{"none, present", Condition{}, 5, true},
		{"absent, absent", Condition{Absent: true}, 0, true},
		{"absent, present", Condition{Absent: true}, 5, false},
		{"match, absent", Condition{Match: 5}, 0, false},
		{"match, the same", Condition{Match: 5}, 5, true},
		{"match, older", Condition{Match: 5}, 4, false},
		{"match, newer", Condition{Match: 5}, 6, false},
		{"present, absent", Condition{Present: true}, 0, false},
		{"present, present", Condition{Present: true}, 1, true},
		{"present and match", Condition{Present: true, Match: 5}, 5, true},
		{"present and another match", Condition{Present: true, Match: 5}, 4, false},
		{"absent and present never", Condition{Absent: true, Present: true}, 5, false},
		{"present and absent never", Condition{Absent: true, Present: true}, 0, false},
	} {
		if got := c.condition.holds(c.version); got != c.holds {
			t.Errorf("%s: %v, want %v", c.name, got, c.holds)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for outcome, name := range map[Outcome]string{Done: "done", Refused: "refused", Unknown: "unknown", 0: "invalid", 9: "invalid"} {
		if outcome.String() != name {
			t.Errorf("outcome %d is called %q, want %q", outcome, outcome, name)
		}
	}
	if r := refused("why"); r.Outcome != Refused || r.Busy || r.Reason != "why" {
		t.Errorf("refused: %+v", r)
	}
	if r := busy("why"); r.Outcome != Refused || !r.Busy || r.Reason != "why" {
		t.Errorf("busy: %+v", r)
	}
	if r := unknown("why"); r.Outcome != Unknown || r.Busy || r.Reason != "why" {
		t.Errorf("unknown: %+v", r)
	}
	if RequestGet.write() || !RequestPut.write() || !RequestDelete.write() {
		t.Error("puts and deletes are writes, gets are not")
	}
}
